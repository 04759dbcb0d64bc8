/* stream/block.c - blocks of values: shapes, selections, and the lazy transform.
 *
 * A block keeps the stored x in its wire type (counts mostly fit a byte); values are computed
 * when a tool asks, in double and rounded once: value = post_j f(row_i col_j x).  Without column
 * factors f depends on (row, x) alone, so each row keeps a table of the values of x = 0..63,
 * which removes nearly all logarithms of log-normalised genes.  Rejected: transformed floats in
 * the stream (six times the bytes).
 */
#include "stream/cms.h"

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "stream/wire.h"

void cm_block_free(struct cm_block *b)
{
    if (!b->borrowed) {
        cm_free(b->ptr);
        cm_free(b->idx);
        cm_free(b->raw);
        cm_free(b->rowf);
    }
    cm_free(b->f32);
    cm_free(b->f64);
    *b = (struct cm_block){0};
}

void cm_block_shape(struct cm_block *b, bool dense, size_t rows, size_t cols, uint64_t nnz,
                    enum cm_value type)
{
    if (b->borrowed)
        cm_block_free(b);
    if (dense) {
        size_t all;
        CM_ASSERT(cm_mul(rows, cols, &all) == 0);
        nnz = all;
    } else {
        CM_GROW(b->ptr, b->ptr_cap, rows + 1);
        CM_GROW(b->idx, b->idx_cap, (size_t)nnz + 1);
        b->ptr[0] = 0;
    }
    unsigned char *raw = b->raw;
    size_t bytes;
    CM_ASSERT(cm_mul((size_t)nnz, cm_value_size(type), &bytes) == 0);
    if (bytes + 8 > b->raw_cap) { /* items of up to 8 bytes want malloc's alignment: fresh memory */
        cm_free(raw);
        b->raw_cap = bytes + bytes / 2 + 64;
        b->raw = cm_alloc(b->raw_cap, 1);
    }
    cm_free(b->rowf);
    b->rowf = NULL;
    b->rowf_cap = 0;
    b->dense = dense;
    b->spared = false;
    b->rows = rows;
    b->cols = cols;
    b->nnz = nnz;
    b->type = type;
}

float *cm_block_rowf(struct cm_block *b)
{
    if (!b->rowf) {
        CM_GROW(b->rowf, b->rowf_cap, b->rows + 1);
        for (size_t i = 0; i < b->rows; i++)
            b->rowf[i] = 1;
    }
    return b->rowf;
}

double cm_block_x(const struct cm_block *b, uint64_t e)
{
    switch (b->type) {
    case CM_V_ONE:
        return 1;
    case CM_V_U8:
        return ((const uint8_t *)b->raw)[e];
    case CM_V_U16:
        return ((const uint16_t *)b->raw)[e];
    case CM_V_U32:
        return ((const uint32_t *)b->raw)[e];
    case CM_V_F32:
        return (double)((const float *)b->raw)[e];
    case CM_V_F64:
        return ((const double *)b->raw)[e];
    }
    return 0;
}

/* ===== the lazy transform ================================================================= */

enum { TABLE = 64, SHARD_ROWS = 64 };

struct eval {
    const struct cm_block *b;
    const double *col, *post; /* NULL = 1 */
    enum cm_lazy lazy;
    float *f32; /* exactly one of the two outputs */
    double *f64;
};

static inline double transform(enum cm_lazy f, double t)
{
    return f == CM_LAZY_LOG1P ? log1p(t) : f == CM_LAZY_SQRT ? sqrt(t) : t;
}

static inline void put(const struct eval *v, uint64_t e, double y)
{
    if (v->f32)
        v->f32[e] = (float)y;
    else
        v->f64[e] = y;
}

static int eval_rows(void *arg, size_t shard)
{
    const struct eval *v = arg;
    const struct cm_block *b = v->b;
    size_t end = (shard + 1) * SHARD_ROWS < b->rows ? (shard + 1) * SHARD_ROWS : b->rows;
    for (size_t i = shard * SHARD_ROWS; i < end; i++) {
        uint64_t e = b->dense ? i * b->cols : b->ptr[i];
        uint64_t stop = b->dense ? e + b->cols : b->ptr[i + 1];
        if (v->lazy == CM_LAZY_NO) {
            for (; e < stop; e++)
                put(v, e, cm_block_x(b, e));
            continue;
        }
        double rowf = b->rowf ? (double)b->rowf[i] : 1, table[TABLE];
        unsigned long long have = 0; /* bit x: table[x] is computed */
        for (; e < stop; e++) {
            size_t j = b->dense ? e % b->cols : b->idx[e];
            double x = cm_block_x(b, e), y;
            unsigned small = x >= 0 && x < TABLE ? (unsigned)x : 0;
            if (v->col || (double)small != x) {
                y = transform(v->lazy, rowf * (v->col ? v->col[j] : 1) * x);
            } else {
                if (!(have >> small & 1)) {
                    table[small] = transform(v->lazy, rowf * x);
                    have |= 1ull << small;
                }
                y = table[small];
            }
            put(v, e, v->post ? v->post[j] * y : y);
        }
    }
    return 0;
}

static const double *factor(const struct cm_slot *s, const char *name)
{
    struct cm_vec *v = s->lazy == CM_LAZY_NO ? NULL : cm_cols_find(&s->cols, name);
    return v && v->type == CM_T_F64 ? v->f : NULL;
}

static void evaluate(struct cm_block *b, const struct cm_slot *s, float *f32, double *f64)
{
    CM_ASSERT(!b->spared);
    struct eval v = {b, factor(s, "fit.col"), factor(s, "fit.post"), s->lazy, f32, f64};
    cm_parallel((b->rows + SHARD_ROWS - 1) / SHARD_ROWS, eval_rows, &v);
}

const float *cm_block_f32(struct cm_block *b, const struct cm_slot *s)
{
    if (s->lazy == CM_LAZY_NO && b->type == CM_V_F32)
        return b->raw;
    CM_GROW(b->f32, b->f32_cap, (size_t)b->nnz + 1);
    evaluate(b, s, b->f32, NULL);
    return b->f32;
}

const double *cm_block_f64(struct cm_block *b, const struct cm_slot *s)
{
    if (s->lazy == CM_LAZY_NO && b->type == CM_V_F64)
        return b->raw;
    CM_GROW(b->f64, b->f64_cap, (size_t)b->nnz + 1);
    evaluate(b, s, NULL, b->f64);
    return b->f64;
}

static int largest_factor(const struct cm_slot *s, const char *name, double *max, bool *negative)
{
    const struct cm_vec *v = cm_cols_find(&s->cols, name);
    *max = 1;
    if (!v)
        return 0;
    if (v->type != CM_T_F64)
        return cm_fail(CM_EINPUT, "slot %s: column table: %s is not of type f64", s->name, name);
    *max = 0;
    for (size_t j = 0; j < s->cols.names.n; j++) {
        if (!isfinite(v->f[j]))
            return cm_fail(CM_EINPUT, "slot %s, column %s: %s: expected a finite factor, found %g",
                           s->name, cm_strs_get(&s->cols.names, j), name, v->f[j]);
        *max = fmax(*max, fabs(v->f[j]));
        *negative |= v->f[j] < 0;
    }
    return 0;
}

int cm_lazy_bound(const struct cm_slot *s, struct cm_lazy_bound *out)
{
    bool any = false;
    *out = (struct cm_lazy_bound){0};
    if (s->lazy == CM_LAZY_NO)
        return 0;
    int rc = largest_factor(s, "fit.col", &out->col, &out->negative);
    return rc ? rc : largest_factor(s, "fit.post", &out->post, &any);
}

uint64_t cm_lazy_overflow(struct cm_block *b, const struct cm_slot *s,
                          const struct cm_lazy_bound *bound)
{
    static const double max[] = {1, UINT8_MAX, UINT16_MAX, UINT32_MAX};
    double x = b->type < CM_V_F32 ? max[b->type] : 0, row = b->rowf ? 0 : 1;
    bool negative = bound->negative;
    if (s->lazy == CM_LAZY_NO)
        return b->nnz;
    for (uint64_t e = 0; b->type >= CM_V_F32 && e < b->nnz; e++) {
        double v = cm_block_x(b, e);
        negative |= v < 0;
        x = fmax(x, fabs(v));
    }
    for (size_t i = 0; b->rowf && i < b->rows; i++) {
        negative |= b->rowf[i] < 0;
        row = fmax(row, fabs((double)b->rowf[i]));
    }
    /* log1p(t) <= t and sqrt(t) <= max(1, t); only they mind a sign. */
    bool sign = negative && s->lazy != CM_LAZY_IDENTITY;
    if (!sign && fmax(1, row * bound->col * x) * bound->post <= FLT_MAX)
        return b->nnz;
    const float *v = cm_block_f32(b, s);
    uint64_t e = 0;
    while (e < b->nnz && isfinite(v[e]))
        e++;
    return e;
}

/* Replaces the stored values by n = b->nnz items of another type. */
static void set_raw(struct cm_block *b, enum cm_value type, const void *items)
{
    size_t bytes = (size_t)b->nnz * cm_value_size(type);
    void *raw = cm_alloc(bytes + 64, 1);
    if (bytes)
        memcpy(raw, items, bytes);
    if (!b->borrowed)
        cm_free(b->raw);
    b->raw = raw;
    b->raw_cap = bytes + 64;
    b->type = type;
}

/* Makes a borrowed block own copies of its arrays. */
static void own(struct cm_block *b)
{
    if (!b->borrowed)
        return;
    struct cm_block copy = {0};
    cm_block_copy(&copy, b);
    cm_free(b->f32);
    cm_free(b->f64);
    *b = copy;
}

float *cm_block_plain(struct cm_block *b, const struct cm_slot *s)
{
    own(b);
    if (s->lazy != CM_LAZY_NO || b->type != CM_V_F32)
        set_raw(b, CM_V_F32, cm_block_f32(b, s));
    cm_free(b->rowf);
    b->rowf = NULL;
    b->rowf_cap = 0;
    return b->raw;
}

void cm_block_materialize(struct cm_block *b, const struct cm_slot *s)
{
    if (s->lazy != CM_LAZY_NO)
        cm_block_plain(b, s);
}

/* ===== copies and selections ============================================================== */

void cm_block_copy(struct cm_block *to, const struct cm_block *from)
{
    if (to == from)
        return;
    CM_ASSERT(!from->spared);
    cm_block_shape(to, from->dense, from->rows, from->cols, from->nnz, from->type);
    if (!from->dense) {
        memcpy(to->ptr, from->ptr, (from->rows + 1) * sizeof *to->ptr);
        if (from->nnz)
            memcpy(to->idx, from->idx, (size_t)from->nnz * sizeof *to->idx);
    }
    size_t bytes = (size_t)from->nnz * cm_value_size(from->type);
    if (bytes)
        memcpy(to->raw, from->raw, bytes);
    if (from->rowf)
        memcpy(cm_block_rowf(to), from->rowf, from->rows * sizeof(float));
}

void cm_block_take(struct cm_block *to, const struct cm_block *from, const uint64_t *at, size_t n)
{
    struct cm_block b = {0};
    uint64_t nnz = 0;
    CM_ASSERT(!from->spared);
    if (!from->dense)
        for (size_t k = 0; k < n; k++)
            nnz += from->ptr[at[k] + 1] - from->ptr[at[k]];
    cm_block_shape(&b, from->dense, n, from->cols, nnz, from->type);
    size_t size = cm_value_size(from->type);
    const char *in = from->raw;
    char *out = b.raw;
    uint64_t e = 0;
    for (size_t k = 0; k < n; k++) {
        uint64_t begin = from->dense ? at[k] * from->cols : from->ptr[at[k]];
        uint64_t len = from->dense ? from->cols : from->ptr[at[k] + 1] - begin;
        if (!from->dense) {
            if (len)
                memcpy(b.idx + e, from->idx + begin, (size_t)len * sizeof *b.idx);
            b.ptr[k + 1] = e + len;
        }
        if (len && size)
            memcpy(out + e * size, in + begin * size, (size_t)len * size);
        e += len;
    }
    if (from->rowf) {
        float *f = cm_block_rowf(&b);
        for (size_t k = 0; k < n; k++)
            f[k] = from->rowf[at[k]];
    }
    cm_block_free(to);
    *to = b;
}

struct entry {
    uint32_t column, from;
};

static int by_column(const void *a, const void *b)
{
    uint32_t x = ((const struct entry *)a)->column, y = ((const struct entry *)b)->column;
    return (x > y) - (x < y);
}

/* What orders the entries of a row by their columns: a bit for each column that is there. */
struct row_order {
    uint64_t *bits;
    uint32_t *from; /* of a column that is there */
    size_t words;
};

/* In a wide row of few entries the bits would be dearer than a sort.  Where the map makes one
 * column of two both stay, and the writer refuses them. */
static void sort_row(struct entry *row, size_t len, const struct row_order *o)
{
    enum { WORDS_AN_ENTRY = 16 };
    if (len < o->words / WORDS_AN_ENTRY) {
        qsort(row, len, sizeof *row, by_column);
        return;
    }
    bool twice = false;
    for (size_t k = 0; k < len; k++) {
        uint64_t bit = (uint64_t)1 << row[k].column % 64, *word = &o->bits[row[k].column / 64];
        twice = twice || (*word & bit);
        *word |= bit;
        o->from[row[k].column] = row[k].from;
    }
    if (twice) {
        memset(o->bits, 0, o->words * sizeof *o->bits);
        qsort(row, len, sizeof *row, by_column);
        return;
    }
    for (size_t w = 0, k = 0; w < o->words; w++) {
        for (uint64_t left = o->bits[w]; left; left &= left - 1) {
            uint32_t column = (uint32_t)(64 * w) + (uint32_t)__builtin_ctzll(left);
            row[k++] = (struct entry){column, o->from[column]};
        }
        o->bits[w] = 0;
    }
}

/* The entries of row i in their new columns, in order; how many are left. */
static size_t map_row(const struct cm_block *b, size_t i, const uint32_t *map,
                      const struct row_order *o, struct entry *row)
{
    size_t len = 0;
    bool sorted = true;
    for (uint64_t k = b->ptr[i]; k < b->ptr[i + 1]; k++) {
        uint32_t to = map[b->idx[k]];
        if (to == UINT32_MAX)
            continue;
        if (len && row[len - 1].column > to)
            sorted = false;
        row[len++] = (struct entry){to, (uint32_t)(k - b->ptr[i])};
    }
    if (!sorted)
        sort_row(row, len, o);
    return len;
}

static void map_sparse(const struct cm_block *b, const uint32_t *map, size_t cols,
                       struct cm_block *n)
{
    size_t size = cm_value_size(b->type), longest = 0;
    const char *in = b->raw;
    cm_block_shape(n, false, b->rows, cols, b->nnz, b->type);
    char *out = n->raw;
    for (size_t i = 0; i < b->rows; i++)
        if (b->ptr[i + 1] - b->ptr[i] > longest)
            longest = (size_t)(b->ptr[i + 1] - b->ptr[i]);
    struct entry *row = CM_NEW(longest + 1, struct entry);
    struct row_order o = {.words = cols / 64 + 1};
    o.bits = CM_ZNEW(o.words, uint64_t);
    o.from = CM_NEW(cols + 1, uint32_t);
    uint64_t e = 0;
    for (size_t i = 0; i < b->rows; i++) {
        size_t len = map_row(b, i, map, &o, row);
        for (size_t k = 0; k < len; k++, e++) {
            n->idx[e] = row[k].column;
            if (size == 1)
                out[e] = in[b->ptr[i] + row[k].from];
            else if (size)
                memcpy(out + e * size, in + (b->ptr[i] + row[k].from) * size, size);
        }
        n->ptr[i + 1] = e;
    }
    n->nnz = e;
    cm_free(row);
    cm_free(o.bits);
    cm_free(o.from);
}

void cm_block_map_columns(struct cm_block *b, const uint32_t *map, size_t cols)
{
    struct cm_block n = {0};
    CM_ASSERT(!b->spared);
    if (b->dense) {
        size_t size = cm_value_size(b->type);
        const char *in = b->raw;
        cm_block_shape(&n, true, b->rows, cols, 0, b->type);
        memset(n.raw, 0, (size_t)n.nnz * size);
        char *out = n.raw;
        for (size_t i = 0; i < b->rows; i++)
            for (size_t j = 0; j < b->cols; j++)
                if (map[j] != UINT32_MAX)
                    memcpy(out + (i * cols + map[j]) * size, in + (i * b->cols + j) * size, size);
    } else {
        map_sparse(b, map, cols, &n);
    }
    if (b->rowf)
        memcpy(cm_block_rowf(&n), b->rowf, b->rows * sizeof(float));
    cm_block_free(b);
    *b = n;
}

/* ===== chunks ============================================================================= */

void cm_tensor_free(struct cm_tensor *t)
{
    if (!t)
        return;
    cm_free(t->name);
    cm_free(t->data);
    cm_free(t);
}

void cm_chunk_free(struct cm_chunk *c)
{
    cm_free(c->pick);
    cm_strs_free(&c->names);
    for (size_t k = 0; k < c->nlabels; k++)
        cm_vec_free(&c->label[k]);
    cm_free(c->label);
    for (size_t k = 0; k < CM_MAX_SLOTS; k++)
        cm_block_free(&c->block[k]);
    cm_tensor_free(c->tensor);
    memset(c, 0, sizeof *c);
}

void cm_chunk_take(struct cm_chunk *c, const uint64_t *at, size_t n)
{
    struct cm_strs names = {0};
    for (size_t k = 0; k < n; k++)
        cm_strs_add(&names, cm_strs_get(&c->names, at[k]));
    cm_strs_free(&c->names);
    c->names = names;
    for (size_t k = 0; k < c->nlabels; k++)
        cm_vec_take(&c->label[k], &c->label[k], at, n);
    for (size_t k = 0; k < CM_MAX_SLOTS; k++)
        if (c->block[k].rows == c->rows && (c->block[k].ptr || c->block[k].dense))
            cm_block_take(&c->block[k], &c->block[k], at, n);
    c->rows = n;
    c->batch.rows = (uint32_t)n;
}

void cm_chunk_slice(struct cm_chunk *to, const struct cm_chunk *from, size_t first, size_t n)
{
    uint64_t *at = CM_NEW(n, uint64_t);
    cm_chunk_free(to);
    for (size_t i = 0; i < n; i++) {
        at[i] = first + i;
        cm_strs_add(&to->names, cm_strs_get(&from->names, first + i));
    }
    to->rows = n;
    to->first = from->first + first;
    to->nlabels = from->nlabels;
    to->label = CM_ZNEW(from->nlabels, struct cm_vec);
    for (size_t k = 0; k < from->nlabels; k++)
        cm_vec_take(&to->label[k], &from->label[k], at, n);
    for (size_t k = 0; k < CM_MAX_SLOTS; k++)
        if (from->block[k].rows == from->rows && (from->block[k].ptr || from->block[k].dense))
            cm_block_take(&to->block[k], &from->block[k], at, n);
    cm_free(at);
}

void cm_chunk_labels(struct cm_chunk *c, const struct cm_head *h)
{
    for (size_t k = h->nlabels; k < c->nlabels; k++)
        cm_vec_free(&c->label[k]);
    if (c->nlabels != h->nlabels)
        c->label = cm_realloc(c->label, h->nlabels, sizeof *c->label);
    for (size_t k = c->nlabels; k < h->nlabels; k++)
        c->label[k] = (struct cm_vec){0};
    c->nlabels = h->nlabels;
    for (size_t k = 0; k < h->nlabels; k++)
        cm_vec_reset(&c->label[k], h->label[k].name, h->label[k].type, c->rows);
}
