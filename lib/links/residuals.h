/* links/residuals.h - what the leading components leave of each feature. */
#ifndef CM_LINKS_RESIDUALS_H
#define CM_LINKS_RESIDUALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "links/links.h"
#include "matrix/matrix.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Regression of every column of X - mean on [z_1..r, 1], ridge included, as all places of a
 * side. */
int cm_links_regress(struct cm_links_side *s, const struct cm_csr *x, const float *z, size_t ldz,
                     const float *mean, size_t r, double ridge);

/* Of a side that holds all features: those whose keep[] is set. */
struct cm_links_side cm_links_side_take(const struct cm_links_side *all, const bool *keep,
                                        size_t r);

/* out (rows from..to-1 of x, s->n columns, ld ldo) = clip((x - off - z h') / sd).  No BLAS: its
 * bits depend on how many rows are in a call, and an embedding must not depend on the stream's
 * chunks. */
void cm_links_residuals(const struct cm_links_side *s, size_t r, double clip,
                        const struct cm_csr *x, const float *z, size_t ldz, size_t from, size_t to,
                        float *out, size_t ldo);

#ifdef __cplusplus
}
#endif
#endif
