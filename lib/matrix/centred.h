/* matrix/centred.h - products with (X - 1 mean') diag(weight), X sparse, for the truncated SVD
 * (private to this directory).
 *
 * Blocks go in and out in double.  The products themselves run in double or, twice as fast, in
 * float: entry by entry the operands are rounded and the sums taken in float, an error of some 1e-7
 * of |X|, which a residual of 1e-5 and more does not notice.  Cuts are fixed and sums run in row
 * order: the same bits for any number of threads.
 */
#ifndef CM_MATRIX_CENTRED_H
#define CM_MATRIX_CENTRED_H

#include <stdbool.h>

#include "matrix/kernel.h"

struct cm_centred {
    const struct cm_csr *x;
    const float *mean, *weight; /* cols, or NULL */
    bool single;                /* products in float */
    struct cm_tiles tiles;
};

/* For blocks of about `block` columns. */
struct cm_centred cm_centred_make(const struct cm_csr *x, const float *mean, const float *weight,
                                  size_t block, bool single);
void cm_centred_free(struct cm_centred *a);

/* out (rows x b) = (X - 1 mean') W in (cols x b). */
void cm_centred_times(const struct cm_centred *a, const double *in, size_t b, double *out);
/* out (cols x b) = ((X - 1 mean') W)' in (rows x b). */
void cm_centred_transposed(const struct cm_centred *a, const double *in, size_t b, double *out);

#endif
