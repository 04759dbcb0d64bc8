/* matrix/blas.h - the few dense routines that the toolkit takes from OpenBLAS.
 *
 * OpenBLAS gives different bits for different numbers of threads, and its threads compete with
 * ours.  So this is the only door to BLAS and LAPACK: every routine sets one BLAS thread first, and
 * parallel callers cut their work into fixed shards (base/pool.h).  All matrices are row-major.
 */
#ifndef CM_MATRIX_BLAS_H
#define CM_MATRIX_BLAS_H

#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Before anything else: takes the memory that OpenBLAS needs, or ends the program with status 4.
 * Called by cm_start of every tool that has a product in it. */
void cm_blas_start(void);

/* c (m x n) = alpha op(a) op(b) + beta c, op(a) m x k, op(b) k x n; ld of the stored matrix. */
void cm_sgemm(bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a,
              size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc);
void cm_dgemm(bool ta, bool tb, size_t m, size_t n, size_t k, double alpha, const double *a,
              size_t lda, const double *b, size_t ldb, double beta, double *c, size_t ldc);

/* The same product, cut into row panels of c of a size fixed by m alone, on the pool. */
void cm_sgemm_parallel(bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a,
                       size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc);

/* Symmetric a (n x n, overwritten by eigenvectors as ROWS), w ascending.  0 or CM_ENUMERIC. */
int cm_eigh(size_t n, double *a, double *w);
/* a (m x n, destroyed) = u diag(s) vt; r = min(m, n); u m x r, s r descending, vt r x n. */
int cm_svd(size_t m, size_t n, double *a, double *u, double *s, double *vt);
/* Orthonormal basis of the columns of a (m x n, m >= n), in place (Householder QR).  Rank-deficient
 * columns become arbitrary orthonormal ones. */
int cm_qr_double(size_t m, size_t n, double *a, size_t lda);
/* Solves the symmetric positive definite a (n x n, destroyed) x = b (n x m, overwritten by x). */
int cm_solve_spd(size_t n, size_t m, double *a, double *b);

#ifdef __cplusplus
}
#endif
#endif
