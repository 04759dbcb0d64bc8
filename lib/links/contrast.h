/* links/contrast.h - contrastive loss of the weights of links, on cells matched among
 * themselves. */
#ifndef CM_LINKS_CONTRAST_H
#define CM_LINKS_CONTRAST_H

#include <stddef.h>
#include <stdint.h>

#include "links/factored.h"

#ifdef __cplusplus
extern "C" {
#endif

/* n cells: residuals u of genes and w of peaks, s0 (n x n) = e.t, rows genes' side; group (n) or
 * NULL: cells of other groups are no candidates. */
struct cm_links_batch {
    size_t n;
    struct cm_factored u, w;
    cm_real *s0;
    uint32_t *group;
    double mu;
};

/* s (n x n) = s0 + mu L with weights phi; far below all others where groups differ. */
void cm_links_scores(cm_real *s, const struct cm_links_batch *b, const struct cm_links_index *links,
                     const cm_real *phi);

/* Symmetric InfoNCE of exp(log_t) S.  dphi (one for each link, or NULL: loss alone) is set, *dlog_t
 * set.  Same bits for any number of threads. */
double cm_links_loss(cm_real *dphi, cm_real *dlog_t, const struct cm_links_batch *b,
                     const struct cm_links_index *links, const cm_real *phi, double log_t);
/* loss (n) under each of the factors log_t (n). */
void cm_links_losses(double *loss, const double *log_t, size_t n, const struct cm_links_batch *b,
                     const struct cm_links_index *links, const cm_real *phi);
void cm_links_batch_free(struct cm_links_batch *b);

#ifdef __cplusplus
}
#endif
#endif
