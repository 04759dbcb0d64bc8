/* linear/refit.h - the linear start of a part of the training cells, from that of all. */
#ifndef CM_LINEAR_REFIT_H
#define CM_LINEAR_REFIT_H

#include "linear/cca.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_LINEAR_REFIT_CELLS                                                                      \
    4096 /* training cells below which every part is fitted from scratch */

/* The fit of all cells x, their components z (rows x k), and what parts have in common. */
struct cm_linear_whole {
    const struct cm_linear *linear;
    const struct cm_csr *x[2];
    const float *z[2];
    double ridge;
    float *weight[2]; /* of features, or NULL; owned */
};

struct cm_linear_whole cm_linear_whole(const struct cm_linear *linear,
                                       const struct cm_csr *const x[2], const float *const z[2],
                                       const struct cm_linear_config *c);
void cm_linear_whole_free(struct cm_linear_whole *w);

/* The fit of cells part[0..n-1]: one step of subspace iteration on the part alone.  With Q an
 * orthonormal basis of its components (centred), loadings are the singular vectors of Q'(X - 1
 * mean') D, D the weights of all cells, so every loading is a combination of cells of the part: a
 * cell outside of it is as new to the fit as any other.  Then CCA of the part.  z_to[s] (all cells
 * x k) gets the components of all cells.  Costs two sparse products a side; copies no cells.  0 or
 * CM_ENUMERIC.  The same bits for any number of threads. */
int cm_linear_refit(struct cm_linear *to, const struct cm_linear_whole *w, const uint64_t *part,
                    size_t n, float *const z_to[2]);

#ifdef __cplusplus
}
#endif
#endif
