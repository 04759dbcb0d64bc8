/* matrix/csr.c - the sparse matrix: building, selecting, transposing, column sums, products.
 *
 * Both products work on the rows as they lie, and give the same bits for any number of threads.  x
 * v gathers rows of v into sums that stay in registers, 64 columns at a time.  x' b is cut by
 * COLUMN ranges of x, not by rows: a shard walks all rows, finds where each enters its range in a
 * table, and adds into its own rows of y.  So every sum runs over the entries in row order whatever
 * the cut, no partial sums exist, no transpose is stored, and a range of y stays in the core's
 * cache.  Vector code runs across columns of the dense side, never along a sum: AVX2 and plain
 * builds agree to the bit.
 */
#include "matrix/matrix.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/spool.h"
#include "matrix/kernel.h"

/* ===== making ============================================================================= */

struct cm_csr cm_csr_make(size_t cols)
{
    struct cm_csr m = {.cols = cols};
    CM_GROW(m.ptr, m.row_capacity, (size_t)1);
    m.ptr[0] = 0;
    return m;
}

void cm_csr_reserve(struct cm_csr *m, size_t rows, size_t entries)
{
    size_t need, need_rows;
    if (cm_add(m->ptr[m->rows], entries, &need) || cm_add(m->rows, rows, &need_rows) ||
        need_rows == SIZE_MAX)
        cm_panic(4, "out of memory: %zu more entries asked for", entries);
    CM_GROW(m->ptr, m->row_capacity, need_rows + 1);
    if (need <= m->capacity)
        return;
    if (m->capacity) { /* idx and val grow together */
        size_t capacity = m->capacity;
        m->idx = cm_grow(m->idx, &capacity, need, sizeof *m->idx);
        m->val = cm_realloc(m->val, capacity, sizeof *m->val);
        m->capacity = capacity;
    } else {
        m->idx = CM_NEW(need, uint32_t);
        m->val = CM_NEW(need, float);
        m->capacity = need;
    }
}

void cm_csr_append(struct cm_csr *m, size_t rows, const uint64_t *ptr, const uint32_t *idx,
                   const float *val)
{
    size_t old = m->ptr[m->rows], add = ptr[rows] - ptr[0];
    cm_csr_reserve(m, rows, add);
    if (add && idx) {
        memcpy(m->idx + old, idx + ptr[0], add * sizeof *idx);
        memcpy(m->val + old, val + ptr[0], add * sizeof *val);
    }
    for (size_t i = 1; i <= rows; i++)
        m->ptr[m->rows + i] = old + (ptr[i] - ptr[0]);
    m->rows += rows;
}

void cm_csr_append_dense(struct cm_csr *m, size_t rows, const float *v, size_t ld)
{
    uint32_t *idx = CM_NEW(m->cols, uint32_t);
    float *val = CM_NEW(m->cols, float);
    for (size_t i = 0; i < rows; i++) {
        uint64_t ptr[2] = {0, 0};
        for (size_t j = 0; j < m->cols; j++)
            if (v[i * ld + j] != 0) {
                idx[ptr[1]] = (uint32_t)j;
                val[ptr[1]++] = v[i * ld + j];
            }
        cm_csr_append(m, 1, ptr, idx, val);
    }
    cm_free(idx);
    cm_free(val);
}

void cm_csr_free(struct cm_csr *m)
{
    if (m->row_capacity)
        cm_free(m->ptr);
    if (m->capacity) {
        cm_free(m->idx);
        cm_free(m->val);
    }
    memset(m, 0, sizeof *m);
}

/* A matrix with its own arrays of exactly these sizes. */
static struct cm_csr sized(size_t rows, size_t cols, size_t nnz)
{
    struct cm_csr m = {
        .rows = rows, .cols = cols, .row_capacity = rows + 1, .capacity = nnz ? nnz : 1};
    m.ptr = CM_NEW(m.row_capacity, uint64_t);
    m.idx = CM_NEW(m.capacity, uint32_t);
    m.val = CM_NEW(m.capacity, float);
    m.ptr[0] = 0;
    return m;
}

struct cm_csr cm_csr_rows(const struct cm_csr *m, const uint64_t *rows, size_t n)
{
    size_t nnz = 0;
    for (size_t i = 0; i < n; i++) {
        CM_ASSERT(rows[i] < m->rows);
        nnz += m->ptr[rows[i] + 1] - m->ptr[rows[i]];
    }
    struct cm_csr out = sized(n, m->cols, nnz);
    for (size_t i = 0; i < n; i++) {
        size_t from = m->ptr[rows[i]], len = m->ptr[rows[i] + 1] - from, at = out.ptr[i];
        if (len) {
            memcpy(out.idx + at, m->idx + from, len * sizeof *out.idx);
            memcpy(out.val + at, m->val + from, len * sizeof *out.val);
        }
        out.ptr[i + 1] = at + len;
        if (i % 64 == 63)
            cm_spool_check();
    }
    return out;
}

struct cm_csr cm_csr_transpose(const struct cm_csr *m)
{
    CM_ASSERT(m->rows <= UINT32_MAX);
    size_t nnz = m->ptr[m->rows];
    struct cm_csr out = sized(m->cols, m->rows, nnz);
    memset(out.ptr, 0, (out.rows + 1) * sizeof *out.ptr);
    for (size_t e = 0; e < nnz; e++)
        out.ptr[m->idx[e] + 1]++;
    for (size_t j = 0; j < out.rows; j++)
        out.ptr[j + 1] += out.ptr[j];
    uint64_t *next = CM_NEW(out.rows, uint64_t);
    memcpy(next, out.ptr, out.rows * sizeof *next);
    for (size_t i = 0; i < m->rows; i++)
        for (size_t e = m->ptr[i]; e < m->ptr[i + 1]; e++) {
            size_t at = next[m->idx[e]]++;
            out.idx[at] = (uint32_t)i;
            out.val[at] = m->val[e];
        }
    cm_free(next);
    return out;
}

uint64_t cm_csr_lower_bound(const struct cm_csr *m, size_t i, uint32_t j)
{
    uint64_t from = m->ptr[i], to = m->ptr[i + 1];
    while (from < to) {
        uint64_t mid = from + (to - from) / 2;
        if (m->idx[mid] < j)
            from = mid + 1;
        else
            to = mid;
    }
    return from;
}

uint64_t cm_csr_find(const struct cm_csr *m, size_t i, uint32_t j)
{
    uint64_t from = cm_csr_lower_bound(m, i, j);
    return from < m->ptr[i + 1] && m->idx[from] == j ? from : UINT64_MAX;
}

void cm_csr_column_sums(const struct cm_csr *m, double *sum, double *count)
{
    size_t nnz = m->ptr[m->rows];
    if (sum)
        for (size_t e = 0; e < nnz; e++)
            sum[m->idx[e]] += m->val[e];
    if (count)
        for (size_t e = 0; e < nnz; e++)
            count[m->idx[e]] += m->val[e] > 0;
}

void cm_csr_column_means(const struct cm_csr *m, float *mean)
{
    double *sum = CM_ZNEW(m->cols, double);
    cm_csr_column_sums(m, sum, NULL);
    for (size_t j = 0; j < m->cols; j++)
        mean[j] = (float)(sum[j] / (double)m->rows);
    cm_free(sum);
}

/* ===== products =========================================================================== */

struct product {
    const struct cm_csr *x;
    const float *in, *shift; /* v and bias; b and mean */
    float *out;
    const double *colsum;
    struct cm_tiles tiles;
    size_t k, ld, shards;
    size_t step, r0, r1; /* rows to take at a time, and taken now */
};

static int times_rows(void *arg, size_t shard)
{
    const struct product *p = arg;
    size_t from = cm_shard_begin(p->x->rows, p->shards, shard);
    size_t to = cm_shard_begin(p->x->rows, p->shards, shard + 1);
    for (size_t i = from; i < to; i++)
        memset(p->out + i * p->ld, 0, p->k * sizeof *p->out);
    for (size_t r0 = from, r1; r0 < to; r0 = r1) {
        r1 = to - r0 < p->step ? to : r0 + p->step;
        cm_kernel_times_f(p->x, &p->tiles, r0, r1, p->in, p->k, p->out, p->ld);
        cm_spool_check();
    }
    if (p->shift)
        for (size_t i = from; i < to; i++)
            for (size_t c = 0; c < p->k; c++)
                p->out[i * p->ld + c] -= p->shift[c];
    return 0;
}

void cm_csr_times(const struct cm_csr *x, const float *v, size_t k, const float *bias, float *y,
                  size_t ldy)
{
    struct product p = {.x = x,
                        .in = v,
                        .shift = bias,
                        .out = y,
                        .k = k,
                        .ld = ldy,
                        .step = cm_kernel_rows(x, 2 * cm_pool_threads()),
                        .tiles = cm_tiles_make(x, k * sizeof *y, 1),
                        .shards = cm_shards(x->rows, 128, 16)};
    cm_parallel(p.shards, times_rows, &p);
    cm_tiles_free(&p.tiles);
}

void cm_csr_bias(const float *mean, const float *v, size_t cols, size_t k, float *bias)
{
    double *sum = CM_ZNEW(k, double);
    for (size_t j = 0; j < cols; j++)
        for (size_t c = 0; c < k; c++)
            sum[c] += (double)mean[j] * (double)v[j * k + c];
    for (size_t c = 0; c < k; c++)
        bias[c] = (float)sum[c];
    cm_free(sum);
}

/* Columns of a shard, rows r0 .. r1 - 1: sums begin with the first rows, end with the last. */
static int transposed_cols(void *arg, size_t shard)
{
    const struct product *p = arg;
    size_t from = cm_shard_begin(p->x->cols, p->shards, shard);
    size_t to = cm_shard_begin(p->x->cols, p->shards, shard + 1);
    if (p->r0 == 0)
        memset(p->out + from * p->k, 0, (to - from) * p->k * sizeof *p->out);
    cm_kernel_transposed_f(p->x, &p->tiles, shard, p->r0, p->r1, p->in, p->k, p->ld, p->out);
    if (p->shift && p->r1 == p->x->rows)
        for (size_t j = from; j < to; j++)
            for (size_t c = 0; c < p->k; c++)
                p->out[j * p->k + c] -= (float)(p->shift[j] * p->colsum[c]);
    return 0;
}

void cm_csr_transposed_times(const struct cm_csr *x, const float *b, size_t k, size_t ldb,
                             const float *mean, float *y)
{
    double *colsum = CM_ZNEW(k, double);
    if (mean)
        for (size_t i = 0; i < x->rows; i++)
            for (size_t c = 0; c < k; c++)
                colsum[c] += b[i * ldb + c];
    struct product p = {.x = x,
                        .in = b,
                        .shift = mean,
                        .out = y,
                        .colsum = colsum,
                        .k = k,
                        .ld = ldb,
                        .tiles = cm_tiles_make(x, k * sizeof *y, 8)};
    p.shards = p.tiles.n;
    p.step = cm_kernel_rows(x, 2);
    do {
        p.r1 = x->rows - p.r0 < p.step ? x->rows : p.r0 + p.step;
        cm_parallel(p.shards, transposed_cols, &p);
        p.r0 = p.r1;
    } while (p.r0 < x->rows);
    cm_tiles_free(&p.tiles);
    cm_free(colsum);
}
