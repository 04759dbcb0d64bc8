/* links/contrast.c - contrastive loss of the weights of links, and its gradient. */
#include "links/contrast.h"

#include <string.h>

#include "base/mem.h"

#define OUTSIDE ((cm_real)-1e30) /* similarity of cells of other groups: its exp is 0 */

void cm_links_scores(cm_real *s, const struct cm_links_batch *b, const struct cm_links_index *links,
                     const cm_real *phi)
{
    size_t n = b->n;
    memcpy(s, b->s0, n * n * sizeof *s);
    cm_links_product(s, n, &b->u, &b->w, links, phi, b->mu);
    for (size_t i = 0; b->group && i < n; i++)
        for (size_t k = 0; k < n; k++)
            if (b->group[i] != b->group[k])
                s[i * n + k] = OUTSIDE;
}

double cm_links_loss(cm_real *dphi, cm_real *dlog_t, const struct cm_links_batch *b,
                     const struct cm_links_index *links, const cm_real *phi, double log_t)
{
    size_t n = b->n;
    cm_real *s = CM_NEW(n * n, cm_real), *ds = dphi ? CM_ZNEW(n * n, cm_real) : NULL,
            *scratch = CM_NEW(cm_infonce_scratch(n), cm_real);
    cm_links_scores(s, b, links, phi);
    *dlog_t = 0;
    double loss = cm_infonce(ds, dlog_t, s, log_t, n, scratch);
    if (dphi)
        cm_links_product_backward(dphi, ds, n, &b->u, &b->w, links, b->mu);
    cm_free(s);
    cm_free(ds);
    cm_free(scratch);
    return loss;
}

void cm_links_losses(double *loss, const double *log_t, size_t n, const struct cm_links_batch *b,
                     const struct cm_links_index *links, const cm_real *phi)
{
    cm_real *s = CM_NEW(b->n * b->n, cm_real), *scratch = CM_NEW(cm_infonce_scratch(b->n), cm_real);
    cm_links_scores(s, b, links, phi);
    for (size_t i = 0; i < n; i++)
        loss[i] = cm_infonce(NULL, NULL, s, log_t[i], b->n, scratch);
    cm_free(s);
    cm_free(scratch);
}

void cm_links_batch_free(struct cm_links_batch *b)
{
    cm_factored_free(&b->u);
    cm_factored_free(&b->w);
    cm_free(b->s0);
    cm_free(b->group);
    memset(b, 0, sizeof *b);
}
