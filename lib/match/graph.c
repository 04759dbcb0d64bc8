/* match/graph.c - transport and thinning on the candidates.  See match/graph.h. */
#include "match/graph.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "match/groups.h"
#include "matrix/vexp.h"

enum { SHARDS = 64 };

/* ===== entropic transport ================================================================= */

struct half {
    const struct cm_csr *m;
    double temperature;
    const double *other; /* of the columns of m */
    double *own;         /* out, of its rows */
};

/* own_i = -log sum_j exp(T s_ij + other_j) */
static int half_rows(void *arg, size_t shard)
{
    const struct half *x = arg;
    const struct cm_csr *m = x->m;
    double *d = NULL;
    float *f = NULL;
    size_t d_cap = 0, f_cap = 0;
    size_t from = cm_shard_begin(m->rows, SHARDS, shard);
    size_t to = cm_shard_begin(m->rows, SHARDS, shard + 1);
    for (size_t i = from; i < to; i++) {
        size_t n = (size_t)(m->ptr[i + 1] - m->ptr[i]);
        if (n == 0) /* a graph without entries has no arrays */
            continue;
        const uint32_t *idx = m->idx + m->ptr[i];
        const float *s = m->val + m->ptr[i];
        double max = -INFINITY;
        CM_GROW(d, d_cap, n);
        CM_GROW(f, f_cap, n);
        for (size_t k = 0; k < n; k++) {
            d[k] = x->temperature * (double)s[k] + x->other[idx[k]];
            max = d[k] > max ? d[k] : max;
        }
        for (size_t k = 0; k < n; k++)
            f[k] = (float)(d[k] - max);
        x->own[i] = -max - log(cm_exp_below(f, n));
    }
    cm_free(d);
    cm_free(f);
    return 0;
}

void cm_graph_sinkhorn(const struct cm_csr *m, double temperature, size_t iterations,
                       double *offset)
{
    struct cm_csr t = cm_csr_transpose(m);
    double *u = CM_ZNEW(m->rows, double), *v = CM_ZNEW(m->cols, double);
    struct half down = {&t, temperature, u, v}, across = {m, temperature, v, u};
    for (size_t k = 0; k < iterations; k++) {
        cm_parallel(SHARDS, half_rows, &down);
        if (k + 1 < iterations) /* the last one is the softmax over the row */
            cm_parallel(SHARDS, half_rows, &across);
    }
    for (size_t j = 0; j < m->cols; j++)
        offset[j] = -v[j];
    cm_csr_free(&t);
    cm_free(u);
    cm_free(v);
}

void cm_graph_scale(struct cm_csr *m, const uint32_t *row_code)
{
    size_t groups = 1;
    for (size_t i = 0; row_code && i < m->rows; i++)
        if (row_code[i] != CM_GROUP_NONE && row_code[i] >= groups)
            groups = (size_t)row_code[i] + 1;
    double *farthest = CM_ZNEW(groups, double);
    for (int pass = 0; pass < 2; pass++)
        for (size_t i = 0; i < m->rows; i++) {
            double *max = &farthest[row_code && row_code[i] != CM_GROUP_NONE ? row_code[i] : 0];
            for (uint64_t k = m->ptr[i]; k < m->ptr[i + 1]; k++)
                if (pass == 0)
                    *max = fmax(*max, 1 - (double)m->val[k]);
                else if (*max > 0)
                    m->val[k] = (float)((double)m->val[k] / *max);
        }
    cm_free(farthest);
}

/* ===== quantiles ========================================================================== */

/* How many columns each row could have: all, or those of its group. */
static uint64_t *possible(const uint32_t *row_code, size_t rows, const uint32_t *col_code,
                          size_t cols)
{
    uint64_t *n = CM_NEW(rows, uint64_t), *size = NULL;
    size_t groups = 0;
    for (size_t j = 0; col_code && j < cols; j++)
        if (col_code[j] != CM_GROUP_NONE && col_code[j] >= groups)
            groups = (size_t)col_code[j] + 1;
    size = CM_ZNEW(groups, uint64_t);
    for (size_t j = 0; col_code && j < cols; j++)
        if (col_code[j] != CM_GROUP_NONE)
            size[col_code[j]]++;
    for (size_t i = 0; i < rows; i++)
        n[i] = !row_code ? cols : row_code[i] < groups ? size[row_code[i]] : 0;
    cm_free(size);
    return n;
}

static int descending(const void *a, const void *b)
{
    float x = *(const float *)a, y = *(const float *)b;
    return (x < y) - (x > y);
}

struct quantile_job {
    const struct cm_csr *m;
    const uint64_t *possible;
    double q, *out;
};

static int quantile_rows(void *arg, size_t shard)
{
    const struct quantile_job *x = arg;
    const struct cm_csr *m = x->m;
    float *s = NULL;
    size_t cap = 0, from = cm_shard_begin(m->rows, SHARDS, shard);
    size_t to = cm_shard_begin(m->rows, SHARDS, shard + 1);
    for (size_t i = from; i < to; i++) {
        uint64_t n = m->ptr[i + 1] - m->ptr[i], all = x->possible[i];
        x->out[i] = -INFINITY;
        if (n == 0)
            continue;
        CM_GROW(s, cap, n);
        memcpy(s, m->val + m->ptr[i], n * sizeof *s);
        qsort(s, n, sizeof *s, descending);
        double rank = x->q * (double)(all - 1), below = floor(rank), part = rank - below;
        uint64_t low = all - 1 - (uint64_t)below; /* counted from the top */
        if (low < n)
            x->out[i] = part > 0 ? (double)s[low] + part * ((double)s[low - 1] - (double)s[low])
                                 : (double)s[low];
    }
    cm_free(s);
    return 0;
}

void cm_graph_quantile(struct cm_csr *m, const uint32_t *row_code, const uint32_t *col_code,
                       double q)
{
    struct cm_csr t = cm_csr_transpose(m);
    double *row = CM_NEW(m->rows, double), *col = CM_NEW(m->cols, double);
    uint64_t *of_row = possible(row_code, m->rows, col_code, m->cols);
    uint64_t *of_col = possible(col_code, m->cols, row_code, m->rows);
    struct quantile_job across = {m, of_row, q, row}, down = {&t, of_col, q, col};
    cm_parallel(SHARDS, quantile_rows, &across);
    cm_parallel(SHARDS, quantile_rows, &down);
    uint64_t kept = 0, k = 0;
    for (size_t i = 0; i < m->rows; i++) {
        for (uint64_t end = m->ptr[i + 1]; k < end; k++)
            if ((double)m->val[k] >= row[i] || (double)m->val[k] >= col[m->idx[k]]) {
                m->idx[kept] = m->idx[k];
                m->val[kept++] = m->val[k];
            }
        m->ptr[i + 1] = kept;
    }
    cm_csr_free(&t);
    cm_free(row);
    cm_free(col);
    cm_free(of_row);
    cm_free(of_col);
}
