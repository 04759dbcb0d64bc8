/* linear/lsi.h - latent semantic indexing: leading singular directions of one modality's features.
 *
 * Letters: n cells, d features, k components.  With D = diag(sd^-scale) of the features (0 for one
 * that does not vary): V = D (right singular vectors of (X - 1 mean') D), Z = (X - 1 mean') V.
 * scale 0 is plain LSI, principal components of covariances; 1 gives those of correlations.
 */
#ifndef CM_LINEAR_LSI_H
#define CM_LINEAR_LSI_H

#include <stddef.h>
#include <stdint.h>

#include "linear/config.h"
#include "matrix/matrix.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_SVD_ITERATIONS 200

struct cm_linear_side {
    size_t d;
    float *mean;       /* d: training means */
    float *v;          /* d x k: loadings, Z = (X - 1 mean') V */
    double *s;         /* k: singular values */
    float *p;          /* k x q: e = unit(z p), by linear/cca.h */
    float *bias;       /* k: mean' v, so that Z = X V - 1 bias' stays a sparse product (derived) */
    size_t iterations; /* of the SVD; more than CM_SVD_ITERATIONS when it was stopped there */
};

/* Fits mean, v, s, bias and iterations (allocated here) on the rows of x; the mean is that of its
 * columns.  c->k <= rows and columns.  CM_ENUMERIC when nothing varies; `slot` is for the message.
 */
int cm_lsi_fit(struct cm_linear_side *s, const struct cm_csr *x, const struct cm_linear_config *c,
               uint64_t seed, size_t slot);
/* D: sd^-scale of the columns about their means, 0 where nothing varies; NULL for scale 0. */
float *cm_lsi_weights(const struct cm_csr *x, double scale);
/* z (rows x k, ld k) = (X - 1 mean') V. */
void cm_lsi_components(const struct cm_linear_side *s, size_t k, const struct cm_csr *x, float *z);

#ifdef __cplusplus
}
#endif
#endif
