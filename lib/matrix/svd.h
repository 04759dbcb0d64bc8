/* matrix/svd.h - truncated singular value decomposition of a sparse matrix, implicitly centred.
 *
 * The k leading right singular vectors of X - 1 mean' for 70,000 cells and 116,000 peaks, without
 * forming the dense matrix, and right to the last of them even where the spectrum is flat: a
 * randomised block Krylov method (Musco and Musco, NeurIPS 2015) on the shorter side, from a
 * Gaussian block drawn with Philox, restarted thickly when its basis is full; a pair counts as found
 * when its residual is small.  Power iterations (Halko, Martinsson and Tropp, SIAM Review 53, 2011)
 * stop when nothing seems to move, which is not the same.
 */
#ifndef CM_MATRIX_SVD_H
#define CM_MATRIX_SVD_H

#include <stddef.h>
#include <stdint.h>

#include "matrix/matrix.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Tolerances from here on are reached with products of X in float (error 1e-7 |X|, twice as fast);
 * smaller ones need products in double.  Everything else is in double in either case. */
#define CM_SVD_SINGLE 1e-5

/* x: rows x cols.  mean: cols values to subtract from every row, or NULL; weight: cols factors of
 * the columns, after that, or NULL: X below is (x - 1 mean') diag(weight).  k <= min(rows, cols).
 * v (cols x k, row-major) gets the right singular vectors as columns, s (k) the singular values,
 * descending.  Signs are fixed: the entry of largest magnitude of each vector is positive.
 * tolerance: largest allowed |C u - s^2 u| / s^2 of each vector u on the shorter side, C = X X' or
 * X' X: an error of the values of tolerance^2 / gap, of the vectors of tolerance / gap, where gap
 * is the relative distance of a s^2 to the next.  max_iterations bounds the work, in
 * products of C with k + 20 vectors (at least 4 are allowed).  *iterations, if not NULL, gets their
 * number, or max_iterations + 1 when the bound came first: v and s then are the best so far.
 * Values below 1e-6 of the largest lose their digits (s^2 is what is computed) and are given as 0
 * when s^2 is rounding error; their vectors are orthonormal all the same.  Memory: (4 k + 512)
 * min(rows, cols) doubles, 80 (rows + cols) more and k cols at the end, and (4 k + 512)^2 twice;
 * the same bits for any thread count.  0; CM_EUSAGE: k too large; CM_ENUMERIC: values that are not
 * finite. */
int cm_svd_truncated(const struct cm_csr *x, const float *mean, const float *weight, size_t k,
                     uint64_t seed, double tolerance, size_t max_iterations, float *v, double *s,
                     size_t *iterations);

#ifdef __cplusplus
}
#endif
#endif
