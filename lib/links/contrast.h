/* links/contrast.h - contrastive loss of the weights of links on cells of a fold. */
#ifndef CM_LINKS_CONTRAST_H
#define CM_LINKS_CONTRAST_H

#include <stddef.h>
#include <stdint.h>

#include "links/weights.h"
#include "nn/nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Cells that are matched among themselves: n cells, u (genes x n), w (peaks x n), s0 (n x n) = e.t,
 * rows genes' side; group (n) or NULL: cells of other groups are no candidates. */
struct cm_links_cells {
    size_t n, genes, peaks;
    cm_real *u, *w, *s0;
    const uint32_t *group;
    double mu;
};

/* Symmetric InfoNCE of exp(log_t) S.  dphi (pairs, or NULL: loss alone) is set, *dlog_t set.
 * Same bits for any number of threads. */
double cm_links_loss(cm_real *dphi, cm_real *dlog_t, const struct cm_links_cells *s,
                     const struct cm_links_facts *p, const cm_real *phi, double log_t);

#ifdef __cplusplus
}
#endif
#endif
