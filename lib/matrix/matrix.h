/* matrix/matrix.h - the two matrices of the toolkit, rows = cells.
 *
 * Plain, open structs, because every kernel wants to see the arrays: CSR with 64-bit offsets and
 * 32-bit columns (non-zeros beyond 2^31 are ordinary), and row-major dense floats with a leading
 * dimension.
 */
#ifndef CM_MATRIX_MATRIX_H
#define CM_MATRIX_MATRIX_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Row i holds entries ptr[i] .. ptr[i+1]-1; columns ascend strictly within a row.  ptr[0] == 0. */
struct cm_csr {
    size_t rows, cols;
    uint64_t *ptr; /* rows + 1 */
    uint32_t *idx;
    float *val;
    size_t row_capacity,
        capacity; /* allocated rows + 1 and entries; 0 if the arrays are borrowed */
};

/* Element (i, j) is v[i * ld + j]. */
struct cm_dense {
    size_t rows, cols, ld;
    float *v;
};

struct cm_csr cm_csr_make(size_t cols); /* no rows yet */
/* Memory for that many more rows and entries; the latter begin at ptr[rows]. */
void cm_csr_reserve(struct cm_csr *m, size_t rows, size_t entries);
/* Rows of a block, whose ptr[0] may be any offset.  idx NULL: the entries are there already, behind
 * those of the rows before. */
void cm_csr_append(struct cm_csr *m, size_t rows, const uint64_t *ptr, const uint32_t *idx,
                   const float *val);
/* The non-zero entries of dense rows (rows x m->cols, ld). */
void cm_csr_append_dense(struct cm_csr *m, size_t rows, const float *v, size_t ld);
void cm_csr_free(struct cm_csr *m);
/* Rows rows[0..n-1] of m in that order, as a new matrix. */
struct cm_csr cm_csr_rows(const struct cm_csr *m, const uint64_t *rows, size_t n);
/* Position in idx and val of the first entry of row i whose column is at least j; the row's end if
 * there is none.  Columns ascend. */
uint64_t cm_csr_lower_bound(const struct cm_csr *m, size_t i, uint32_t j);
/* Position in idx and val of entry (i, j), or UINT64_MAX where it is not stored. */
uint64_t cm_csr_find(const struct cm_csr *m, size_t i, uint32_t j);
struct cm_csr cm_csr_transpose(const struct cm_csr *m); /* cols x rows; rows < 2^32 */

struct cm_dense cm_dense_make(size_t rows, size_t cols); /* zeros, ld = cols */
void cm_dense_free(struct cm_dense *m);
/* out (cols x rows) = in' for in rows x cols (ld). */
void cm_dense_transpose(size_t rows, size_t cols, const float *in, size_t ld, float *out);

/* Sums in double over all rows: sum[j] = sum of x_ij, count[j] = stored entries > 0.  Either may be
 * NULL; both have cols items and are added to. */
void cm_csr_column_sums(const struct cm_csr *m, double *sum, double *count);
/* mean[j] = mean of x_ij over all rows, zeros included. */
void cm_csr_column_means(const struct cm_csr *m, float *mean);

/* y = (x - 1 mean') v for the rows of x: y is rows x k (ld ldy), v is cols x k row-major (ld k),
 * `mean` has cols items or is NULL; `bias` (k items, or NULL) is mean' v precomputed, so that the
 * sparse product stays sparse.  Runs on the pool. */
void cm_csr_times(const struct cm_csr *x, const float *v, size_t k, const float *bias, float *y,
                  size_t ldy);
/* bias (k) = mean' v for v cols x k. */
void cm_csr_bias(const float *mean, const float *v, size_t cols, size_t k, float *bias);
/* y (cols x k, row-major) = x' b for b rows x k (ld ldb), minus mean (cols) times colsum(b)' when
 * mean is not NULL.  Fixed shards, summed in shard order: same bits for any thread count. */
void cm_csr_transposed_times(const struct cm_csr *x, const float *b, size_t k, size_t ldb,
                             const float *mean, float *y);

#ifdef __cplusplus
}
#endif
#endif
