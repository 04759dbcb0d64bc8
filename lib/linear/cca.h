/* linear/cca.h - the linear start of every preset: LSI of each modality, then regularised CCA.
 *
 * Maps a cell's RNA and its ATAC vector to one space where the two are close, in closed form: k
 * leading singular directions a modality (centred by training means), then canonical correlation of
 * the two with a ridge, each axis weighted by its correlation, unit norm at the end.  It matches
 * real cells better than every network trained from random weights, so the networks start here.
 * The components are not standardised before the CCA: the ridge is relative to the mean variance,
 * and so shrinks the weak components instead of lifting them to the level of the strong.
 *
 * Letters: n cells, d features, k components, q embedding width; side 0 and 1 are the slots.
 */
#ifndef CM_LINEAR_CCA_H
#define CM_LINEAR_CCA_H

#include <stddef.h>
#include <stdint.h>

#include "linear/config.h"
#include "linear/lsi.h"
#include "matrix/matrix.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cm_linear {
    size_t k, q;
    size_t cells; /* that it was fitted on */
    double *corr; /* q: canonical correlations (after the ridge), descending */
    struct cm_linear_side side[2];
};

/* Fits on the paired rows of x[0] and x[1].  c->k must be <= rows and <= both numbers of columns, q
 * <= k.  z[s], n x k (ld k), gets the training components of side s: the peak-gene term needs them
 * again, and would have to make another pass.  q 0: LSI alone, without P.  Formulas, with Z of
 * linear/lsi.h: C_ab = Z_a' Z_b / n and C_aa += ridge tr(C_aa) / k I; U S V' = svd(C_11^-1/2 C_12
 * C_22^-1/2); P_1 = C_11^-1/2 U S, P_2 = C_22^-1/2 V S, first q columns.  CM_ENUMERIC when a side
 * does not vary.  Same bits for any number of threads. */
int cm_linear_fit(struct cm_linear *m, const struct cm_csr *const x[2],
                  const struct cm_linear_config *c, uint64_t seed, float *const z[2]);

/* The CCA of a fit alone: z[s] (n x k) are components of paired cells; p and corr, allocated by the
 * caller, are set, all else stays as it is. */
int cm_linear_cca(struct cm_linear *m, const float *const z[2], size_t n, double ridge);

/* z (rows x k, ld k) = (X - 1 mean') V. */
void cm_linear_z(const struct cm_linear *m, size_t side, const struct cm_csr *x, float *z);
/* out (n x q, ld ldo) = unit(z p): rows of norm 1, or 0 where the norm is below 1e-12. */
void cm_linear_e(const struct cm_linear *m, size_t side, const float *z, size_t n, float *out,
                 size_t ldo);

/* Fills what is derived (bias) after the tensors of a model were read. */
void cm_linear_finish(struct cm_linear *m);
void cm_linear_free(struct cm_linear *m);

#ifdef __cplusplus
}
#endif
#endif
