/* links/factor.c - residuals of cells in factored form.  See links/residuals.h. */
#include <math.h>
#include <string.h>

#include "base/clones.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/spool.h"
#include "links/residuals.h"

enum { FACTOR_SHARDS = 8, FACTOR_TILE = 2048, AHEAD = 2 }; /* AHEAD: cells */

struct factor {
    const struct cm_links_side *side;
    const struct cm_links_cells *cells;
    const uint64_t *at; /* or NULL: the first n */
    size_t n, r, shards;
    float clip;
    struct cm_factored *to;
    uint64_t *next; /* the end of each feature's entries so far; NULL: count */
    float *left;    /* rank x n: left, transposed */
    struct entries *part;
};

static uint64_t row_of(const struct factor *f, size_t i) { return f->at ? f->at[i] : i; }

/* ===== stored non-zeros, feature by feature ================================================= */

/* A row's next entries: rows anywhere, and a short piece of each, are no stream for a processor. */
static inline void fetch(const struct cm_csr *x, uint64_t e, uint64_t end)
{
    enum { LINE = 64 / sizeof *x->idx, LINES = 5 };
    for (size_t k = 0; k < LINES && e < end; k++, e += LINE) {
        __builtin_prefetch(x->idx + e);
        __builtin_prefetch(x->val + e);
    }
}

/* Features below `to` of all cells, from where `cursor` stands in each row: their numbers to ptr,
 * or the entries x/sd themselves. */
static void columns_tile(const struct factor *f, size_t to, uint64_t *cursor)
{
    const struct cm_links_side *s = f->side;
    const struct cm_csr *x = f->cells->x;
    const uint32_t *idx = x->idx, *at = s->at;
    const float *val = x->val, *sd = s->sd;
    uint64_t *number = f->to->ptr + 1, *next = f->next;
    uint32_t last = s->feature[to - 1], *cell = f->to->cell;
    float *entry = f->to->val;
    for (size_t i = 0; i < f->n; i++) {
        uint64_t e = cursor[i], end = x->ptr[row_of(f, i) + 1];
        if (i + AHEAD < f->n)
            fetch(x, cursor[i + AHEAD], x->ptr[row_of(f, i + AHEAD) + 1]);
        for (; e < end && idx[e] <= last; e++) {
            uint32_t j = at[idx[e]];
            if (j == CM_LINKS_NOWHERE)
                continue;
            if (!next) {
                number[j]++;
                continue;
            }
            uint64_t put = next[j]++;
            cell[put] = (uint32_t)i;
            entry[put] = val[e] / sd[j];
        }
        cursor[i] = e;
    }
}

/* The features of a shard, so many at a time that what is written stays in a cache. */
static int columns_shard(void *arg, size_t shard)
{
    const struct factor *f = arg;
    const struct cm_links_side *s = f->side;
    size_t from = cm_shard_begin(s->n, f->shards, shard),
           to = cm_shard_begin(s->n, f->shards, shard + 1);
    if (from == to)
        return 0;
    uint64_t *cursor = CM_NEW(f->n, uint64_t);
    for (size_t i = 0; i < f->n; i++)
        cursor[i] = cm_csr_lower_bound(f->cells->x, row_of(f, i), s->feature[from]);
    for (; from < to; from += FACTOR_TILE)
        columns_tile(f, to - from < FACTOR_TILE ? to : from + FACTOR_TILE, cursor);
    cm_free(cursor);
    return 0;
}

static void take_columns(struct factor *f)
{
    struct cm_factored *to = f->to;
    to->ptr = CM_ZNEW(to->d + 1, uint64_t);
    f->next = NULL;
    cm_parallel(f->shards, columns_shard, f);
    for (size_t j = 0; j < to->d; j++)
        to->ptr[j + 1] += to->ptr[j];
    to->cell = CM_NEW(to->ptr[to->d], uint32_t);
    to->val = CM_NEW(to->ptr[to->d], float);
    f->next = CM_NEW(to->d, uint64_t);
    memcpy(f->next, to->ptr, to->d * sizeof *f->next);
    cm_parallel(f->shards, columns_shard, f);
    cm_free(f->next);
}

/* ===== what clipping changes ================================================================ */

struct entries {
    uint32_t *cell;
    float *val;
    size_t n, cell_capacity, val_capacity;
};

/* base (n) = the low-rank part of feature j; returns its largest magnitude. */
CM_CLONES_O3 static float low_rank(float *restrict base, const float *restrict left,
                                   const float *right, size_t n, size_t rank)
{
    enum { TILE = 32 }; /* sums in registers */
    float peak[TILE] = {0}, largest = 0;
    size_t i = 0;
    for (; i + TILE <= n; i += TILE) {
        float sum[TILE] = {0};
        for (size_t k = 0; k < rank; k++)
            for (size_t t = 0; t < TILE; t++)
                sum[t] += right[k] * left[k * n + i + t];
        for (size_t t = 0; t < TILE; t++) {
            base[i + t] = sum[t];
            float size = fabsf(sum[t]);
            peak[t] = size > peak[t] ? size : peak[t];
        }
    }
    for (; i < n; i++) {
        base[i] = 0;
        for (size_t k = 0; k < rank; k++)
            base[i] += right[k] * left[k * n + i];
        peak[0] = fmaxf(peak[0], fabsf(base[i]));
    }
    for (size_t t = 0; t < TILE; t++)
        largest = fmaxf(largest, peak[t]);
    return largest;
}

static void add_entry(struct entries *to, size_t cell, float base, float entry, float clip)
{
    float v = base + entry;
    if (v > clip)
        entry = clip - base;
    else if (v < -clip)
        entry = -clip - base;
    to->cell[to->n] = (uint32_t)cell;
    to->val[to->n++] = entry;
}

/* A cell without an entry may be beyond the bound as well. */
static int clip_shard(void *arg, size_t shard)
{
    const struct factor *f = arg;
    const struct cm_factored *to = f->to;
    struct entries *out = &f->part[shard];
    float *base = CM_NEW(f->n, float);
    for (size_t j = cm_shard_begin(to->d, f->shards, shard);
         j < cm_shard_begin(to->d, f->shards, shard + 1); j++) {
        uint64_t e = to->ptr[j], end = to->ptr[j + 1];
        float peak = low_rank(base, f->left, to->right + j * to->rank, f->n, f->r + 1);
        size_t before = out->n, need = before + (peak > f->clip ? f->n : end - e);
        CM_GROW(out->cell, out->cell_capacity, need);
        CM_GROW(out->val, out->val_capacity, need);
        for (size_t i = 0; peak > f->clip && i < f->n; i++) {
            bool own = e < end && to->cell[e] == i;
            if (own || fabsf(base[i]) > f->clip)
                add_entry(out, i, base[i], own ? to->val[e] : 0, f->clip);
            e += own;
        }
        for (; e < end; e++)
            add_entry(out, to->cell[e], base[to->cell[e]], to->val[e], f->clip);
        f->next[j] = out->n - before;
    }
    cm_free(base);
    return 0;
}

static void clip_columns(struct factor *f)
{
    struct cm_factored *to = f->to;
    f->left = CM_NEW(to->rank * f->n, float);
    for (size_t i = 0; i < f->n; i++)
        for (size_t k = 0; k < to->rank; k++)
            f->left[k * f->n + i] = to->left[i * to->rank + k];
    f->next = CM_NEW(to->d, uint64_t);
    f->part = CM_ZNEW(f->shards, struct entries);
    cm_parallel(f->shards, clip_shard, f);
    for (size_t j = 0; j < to->d; j++)
        to->ptr[j + 1] = to->ptr[j] + f->next[j];
    cm_free(to->cell);
    cm_free(to->val);
    to->cell = CM_NEW(to->ptr[to->d], uint32_t);
    to->val = CM_NEW(to->ptr[to->d], float);
    for (size_t shard = 0, put = 0; shard < f->shards; shard++) {
        struct entries *part = &f->part[shard];
        if (part->n) {
            memcpy(to->cell + put, part->cell, part->n * sizeof *to->cell);
            memcpy(to->val + put, part->val, part->n * sizeof *to->val);
        }
        put += part->n;
        cm_free(part->cell);
        cm_free(part->val);
    }
    cm_free(f->part);
    cm_free(f->next);
    cm_free(f->left);
}

/* The cells in memory: every shard reads pieces of all of them, which of spooled ones would make
 * pages resident that belong to others. */
static struct cm_csr in_memory(const struct cm_csr *x, const uint64_t *at, size_t n)
{
    uint64_t *first = at ? NULL : CM_NEW(n, uint64_t);
    for (size_t i = 0; first && i < n; i++)
        first[i] = i;
    struct cm_csr own = cm_csr_rows(x, at ? at : first, n);
    cm_free(first);
    return own;
}

void cm_links_factor(struct cm_factored *to, const struct cm_links_side *side, size_t r,
                     double clip, const struct cm_links_cells *cells, const uint64_t *at, size_t n)
{
    bool spooled = cm_spool_active();
    struct cm_csr own = spooled ? in_memory(cells->x, at, n) : (struct cm_csr){0};
    struct factor f = {.side = side,
                       .cells = cells,
                       .at = at,
                       .n = n,
                       .r = r,
                       .shards = cm_shards(side->n, 64, FACTOR_SHARDS),
                       .clip = (float)clip,
                       .to = to};
    *to = (struct cm_factored){
        .n = n, .d = side->n, .rank = cm_factored_rank(r + 1), .right = side->right};
    to->left = CM_ZNEW(n * to->rank, float);
    for (size_t i = 0; i < n; i++) {
        memcpy(to->left + i * to->rank, cells->z + row_of(&f, i) * cells->ldz,
               r * sizeof *to->left);
        to->left[i * to->rank + r] = 1;
    }
    struct cm_links_cells copied = {.x = &own};
    if (spooled) {
        f.cells = &copied;
        f.at = NULL;
    }
    take_columns(&f);
    cm_csr_free(&own);
    if (isfinite(clip))
        clip_columns(&f);
}
