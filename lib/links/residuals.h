/* links/residuals.h - what the leading components leave of each feature. */
#ifndef CM_LINKS_RESIDUALS_H
#define CM_LINKS_RESIDUALS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "links/factored.h"
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

/* Cells and their components: row i of z belongs to row i of x. */
struct cm_links_cells {
    const struct cm_csr *x;
    const float *z;
    size_t ldz;
};

/* out (rows from..to-1 of x, s->n columns, ld ldo) = clip((x - off - z h') / sd).  No BLAS: its
 * bits depend on how many rows are in a call, and an embedding must not depend on the stream's
 * chunks. */
void cm_links_residuals(const struct cm_links_side *s, size_t r, double clip,
                        const struct cm_links_cells *cells, size_t from, size_t to, float *out,
                        size_t ldo);

/* The same residuals of cells at[0..n-1] (NULL: the first n), factored; right is the side's own.
 * Equal to the dense ones up to rounding. */
void cm_links_factor(struct cm_factored *to, const struct cm_links_side *side, size_t r,
                     double clip, const struct cm_links_cells *cells, const uint64_t *at, size_t n);

#ifdef __cplusplus
}
#endif
#endif
