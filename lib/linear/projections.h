/* linear/projections.h - the linear baselines beside CCA: regression and Procrustes on the same
 * LSI.
 *
 * A comparison with the plain methods of the field is fair only when preparation, cells, decision
 * rule and scores are the same: they share the linear start (linear/cca.h) and change nothing but
 * its projections P, so that everything behind them (embed, knn-match, assign, score) is what it is
 * for every other model.
 *
 *   RIDGE       P1 = (Z1'Z1 + n r tr(Z1'Z1/n)/k I)^-1 Z1'Z2, P2 = I: modality 1 predicts modality 2
 *   PROCRUSTES  P1 = U V' with U S V' = svd(Z1'Z2), P2 = I: the rotation that fits best
 *               (Schoenemann 1966)
 *
 * With e = unit(z1 P1) and t = unit(z2), inner products rank the neighbours by cosine.  Euclidean
 * neighbours were rejected: shrunken predictions lie near the origin, which then is near all.
 */
#ifndef CM_LINEAR_PROJECTIONS_H
#define CM_LINEAR_PROJECTIONS_H

#include <stddef.h>

#include "linear/cca.h"

#ifdef __cplusplus
extern "C" {
#endif

enum cm_projection_method { CM_PROJECT_CCA, CM_PROJECT_RIDGE, CM_PROJECT_PROCRUSTES };
#define CM_PROJECT_METHODS "cca|ridge|procrustes" /* in the order of the enum */

/* Replaces the projections of a fitted m; q becomes k, and corr the correlation of z1 P1 and z2,
 * component by component (0 where one does not vary).  z[s]: the n training components of side s
 * (n x k), not changed.  CM_PROJECT_CCA changes nothing.  CM_ENUMERIC: no ridge and a singular
 * covariance. */
int cm_linear_project(struct cm_linear *m, const float *const z[2], size_t n,
                      enum cm_projection_method method, double ridge);

#ifdef __cplusplus
}
#endif
#endif
