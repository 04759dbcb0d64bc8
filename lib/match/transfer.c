/* match/transfer.c - see transfer.h. */
#include "match/transfer.h"

#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"

enum { SHARDS_MAX = 16, ROWS_MIN = 16 };

/* ===== labels =============================================================================== */

static int by_text(const void *a, const void *b, void *texts)
{
    const struct cm_strs *s = texts;
    return strcmp(cm_strs_get(s, *(const uint32_t *)a), cm_strs_get(s, *(const uint32_t *)b));
}

void cm_label_values_make(struct cm_label_values *x, const struct cm_strs *text)
{
    uint32_t *order = CM_NEW(text->n, uint32_t);
    *x = (struct cm_label_values){.code = CM_NEW(text->n, uint32_t)};
    for (size_t i = 0; i < text->n; i++)
        order[i] = (uint32_t)i;
    qsort_r(order, text->n, sizeof *order, by_text, (void *)(uintptr_t)text);
    for (size_t i = 0; i < text->n; i++) {
        const char *s = cm_strs_get(text, order[i]);
        if (*s && (x->text.n == 0 || strcmp(s, cm_strs_get(&x->text, x->text.n - 1))))
            cm_strs_add(&x->text, s);
        x->code[order[i]] = *s ? (uint32_t)x->text.n - 1 : CM_CAT_MISSING;
    }
    cm_free(order);
}

void cm_label_values_free(struct cm_label_values *x)
{
    cm_strs_free(&x->text);
    cm_free(x->code);
    *x = (struct cm_label_values){0};
}

struct votes {
    const struct cm_candidates *m;
    const uint32_t *code;
    size_t values, shards;
    struct cm_vote *out;
};

static void take_two_largest(const double *share, size_t values, struct cm_vote *v)
{
    *v = (struct cm_vote){CM_CAT_MISSING, CM_CAT_MISSING, 0, 0};
    for (size_t c = 0; c < values; c++) {
        if (share[c] > v->first_share) {
            v->second = v->first;
            v->second_share = v->first_share;
            v->first = (uint32_t)c;
            v->first_share = share[c];
        } else if (share[c] > v->second_share) {
            v->second = (uint32_t)c;
            v->second_share = share[c];
        }
    }
}

static int votes_of_shard(void *arg, size_t shard)
{
    const struct votes *x = arg;
    const struct cm_candidates *m = x->m;
    double *share = CM_NEW(x->values, double);
    size_t end = cm_shard_begin(m->rows, x->shards, shard + 1);
    for (size_t i = cm_shard_begin(m->rows, x->shards, shard); i < end; i++) {
        memset(share, 0, x->values * sizeof *share);
        for (uint64_t e = m->ptr[i]; e < m->ptr[i + 1]; e++) {
            uint32_t c = x->code[m->idx[e]];
            if (c != CM_CAT_MISSING)
                share[c] += (double)m->p[e];
        }
        take_two_largest(share, x->values, &x->out[i]);
    }
    cm_free(share);
    return 0;
}

void cm_transfer_votes(const struct cm_candidates *m, const uint32_t *code, size_t values,
                       struct cm_vote *out)
{
    struct votes x = {m, code, values, cm_shards(m->rows, ROWS_MIN, SHARDS_MAX), out};
    cm_parallel(x.shards, votes_of_shard, &x);
}

/* ===== values =============================================================================== */

struct profiles {
    const struct cm_candidates *m;
    const uint32_t *at;
    const struct cm_table *from;
    size_t shards;
    struct cm_csr part[SHARDS_MAX]; /* of a sparse result */
    float *dense;
};

/* A row under construction: sums, and a bitmap of the columns that have one. */
struct sums {
    double *v;
    uint64_t *seen;
    size_t words;
};

static void add_profile(struct sums *s, const struct cm_csr *x, size_t row, double p)
{
    for (uint64_t e = x->ptr[row]; e < x->ptr[row + 1]; e++) {
        uint32_t j = x->idx[e];
        uint64_t bit = (uint64_t)1 << (j & 63);
        if (!(s->seen[j >> 6] & bit)) {
            s->seen[j >> 6] |= bit;
            s->v[j] = 0;
        }
        s->v[j] += p * (double)x->val[e];
    }
}

/* Ascending columns come out of the bitmap without sorting.  Returns how many; clears it. */
static uint64_t take_sums(struct sums *s, uint32_t *idx, float *val)
{
    uint64_t n = 0;
    for (size_t w = 0; w < s->words; w++) {
        for (uint64_t left = s->seen[w]; left; left &= left - 1) {
            size_t j = (w << 6) + (size_t)__builtin_ctzll(left);
            idx[n] = (uint32_t)j;
            val[n++] = (float)s->v[j];
        }
        s->seen[w] = 0;
    }
    return n;
}

static int sparse_shard(void *arg, size_t shard)
{
    struct profiles *x = arg;
    const struct cm_candidates *m = x->m;
    const struct cm_csr *from = &x->from->csr;
    size_t words = from->cols / 64 + 1;
    struct sums s = {CM_NEW(from->cols, double), CM_ZNEW(words, uint64_t), words};
    uint32_t *idx = CM_NEW(from->cols, uint32_t);
    float *val = CM_NEW(from->cols, float);
    x->part[shard] = cm_csr_make(from->cols);
    size_t end = cm_shard_begin(m->rows, x->shards, shard + 1);
    for (size_t i = cm_shard_begin(m->rows, x->shards, shard); i < end; i++) {
        for (uint64_t e = m->ptr[i]; e < m->ptr[i + 1]; e++)
            if (m->p[e] > 0)
                add_profile(&s, from, x->at[m->idx[e]], (double)m->p[e]);
        const uint64_t ptr[2] = {0, take_sums(&s, idx, val)};
        cm_csr_append(&x->part[shard], 1, ptr, idx, val);
    }
    cm_free(s.v);
    cm_free(s.seen);
    cm_free(idx);
    cm_free(val);
    return 0;
}

static int dense_shard(void *arg, size_t shard)
{
    struct profiles *x = arg;
    const struct cm_candidates *m = x->m;
    const struct cm_dense *from = &x->from->full;
    double *sum = CM_NEW(from->cols, double);
    size_t end = cm_shard_begin(m->rows, x->shards, shard + 1);
    for (size_t i = cm_shard_begin(m->rows, x->shards, shard); i < end; i++) {
        memset(sum, 0, from->cols * sizeof *sum);
        for (uint64_t e = m->ptr[i]; e < m->ptr[i + 1]; e++) {
            const float *row = from->v + x->at[m->idx[e]] * from->ld;
            for (size_t j = 0; j < from->cols; j++)
                sum[j] += (double)m->p[e] * (double)row[j];
        }
        for (size_t j = 0; j < from->cols; j++)
            x->dense[i * from->cols + j] = (float)sum[j];
    }
    cm_free(sum);
    return 0;
}

/* The parts of the shards, one behind the other. */
static void join_parts(struct profiles *x, struct cm_block *b)
{
    uint64_t nnz = 0, *ptr;
    for (size_t k = 0; k < x->shards; k++)
        nnz += x->part[k].ptr[x->part[k].rows];
    cm_block_shape(b, false, x->m->rows, x->from->csr.cols, nnz, CM_V_F32);
    nnz = 0;
    ptr = b->ptr;
    for (size_t k = 0; k < x->shards; k++) {
        const struct cm_csr *part = &x->part[k];
        uint64_t n = part->ptr[part->rows];
        for (size_t i = 0; i < part->rows; i++)
            *++ptr = nnz + part->ptr[i + 1];
        memcpy(b->idx + nnz, part->idx, n * sizeof *part->idx);
        memcpy((float *)b->raw + nnz, part->val, n * sizeof *part->val);
        nnz += n;
        cm_csr_free(&x->part[k]);
    }
}

void cm_transfer_values(const struct cm_candidates *m, const uint32_t *at,
                        const struct cm_table *from, struct cm_block *b)
{
    struct profiles x = {.m = m, .at = at, .from = from};
    x.shards = cm_shards(m->rows, ROWS_MIN, SHARDS_MAX);
    if (from->dense) {
        size_t cols = from->full.cols;
        cm_block_shape(b, true, m->rows, cols, (uint64_t)m->rows * cols, CM_V_F32);
        x.dense = b->raw;
        cm_parallel(x.shards, dense_shard, &x);
    } else {
        cm_parallel(x.shards, sparse_shard, &x);
        join_parts(&x, b);
    }
}
