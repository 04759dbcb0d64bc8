/* matrix/kernel.h - the inner loops of sparse x dense, one thread, in float and in double (private
 * to this room; the products that others call are in matrix.h).
 *
 * Letters: x sparse rows x cols; k columns of the dense side; ranges of x are half-open.  All dense
 * operands are row-major.  Sums run over entries in row order, in the type of the dense side.
 */
#ifndef CM_MATRIX_KERNEL_H
#define CM_MATRIX_KERNEL_H

#include "matrix/matrix.h"

/* The columns of x cut into n ranges of equal width, and where each row enters each of them: row
 * i's entries in range t are ptr[i] + from[t * rows + i] .. ptr[i] + from[(t + 1) * rows + i] -
 * 1. */
struct cm_tiles {
    size_t n;
    uint32_t *from; /* (n + 1) x rows */
};

/* Ranges so narrow that their rows of a dense side with `row` bytes a row stay in a core's cache,
 * at least `min` of them where there are columns enough.  Depends on x and `row` alone. */
struct cm_tiles cm_tiles_make(const struct cm_csr *x, size_t row, size_t min);
void cm_tiles_free(struct cm_tiles *t);

/* y += x v for rows r0..r1-1: v cols x k (ld k), y rows x k (ld ldy). */
void cm_kernel_times_f(const struct cm_csr *x, const struct cm_tiles *tiles, size_t r0, size_t r1,
                       const float *v, size_t k, float *y, size_t ldy);
void cm_kernel_times_d(const struct cm_csr *x, const struct cm_tiles *tiles, size_t r0, size_t r1,
                       const double *v, size_t k, double *y, size_t ldy);

/* y += x' b of rows r0..r1-1 for the columns of tile t: b rows x k (ld ldb), y cols x k (ld k). */
void cm_kernel_transposed_f(const struct cm_csr *x, const struct cm_tiles *tiles, size_t t,
                            size_t r0, size_t r1, const float *b, size_t k, size_t ldb, float *y);
void cm_kernel_transposed_d(const struct cm_csr *x, const struct cm_tiles *tiles, size_t t,
                            size_t r0, size_t r1, const double *b, size_t k, size_t ldb, double *y);

/* Rows to take at a time, so that all tiles have passed over them while they are resident: all of
 * them, unless entries are spooled (base/spool.h); then 1 / `parts` of the window.  Sums do not
 * depend on it. */
size_t cm_kernel_rows(const struct cm_csr *x, size_t parts);

#endif
