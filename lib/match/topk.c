/* match/topk.c - blocked products with a streaming selection.  See topk.h.
 *
 * Rows are cut into units (of one group), each walks the columns of its group in tiles: sgemm into
 * a tile that stays in the second-level cache, then every row appends what exceeds its threshold.
 * Where k is a small share of the columns the threshold comes from a sample first: every so-manyth
 * column, and of its similarities one so far down that a row falls short of k once in 30,000; a
 * unit with such a row is done again without.  A buffer that cannot take another tile is cut back
 * to k by a selection on the bits of the keys, linear also when all are equal, and the threshold
 * rises to the k-th key.  Later equals do not exceed it, so the lower column wins; buffers stay in
 * column order.  Appending compares eight keys at a time, or is branch-free: a branch would be a
 * coin toss.
 *
 * Column statistics run the other way: a unit is a tile of columns over all rows of the portion,
 * so that every column is served by one thread in row order.
 */
#include "match/topk.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "matrix/blas.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

enum { TILE_COLS = 512, STAT_ROWS = 256, STAT_COLS = 256, SAMPLE = 1024 };

/* Packing of a tile pays for that many rows; buffers of 2 k entries a row limit it. */
static size_t unit_rows(size_t k) { return k <= 4096 ? 256 : 128; }

/* ===== selection ========================================================================== */

/* The k-th largest of the n numbers (1 <= k <= n, in the order of cm_float_order), by their top 11
 * bits, the next 11, the last 10; destroys a.  Linear, whatever the values. */
static uint32_t kth_largest(uint32_t *a, size_t n, size_t k)
{
    enum { BITS = 11, BINS = 1 << BITS };
    static const unsigned shift[3] = {21, 10, 0};
    uint32_t count[BINS], answer = 0;
    for (int level = 0; level < 3; level++) {
        uint32_t mask = level == 2 ? (1u << 10) - 1 : BINS - 1;
        memset(count, 0, sizeof count);
        for (size_t i = 0; i < n; i++)
            count[a[i] >> shift[level] & mask]++;
        uint32_t bin = mask;
        while (count[bin] < k)
            k -= count[bin--];
        answer |= bin << shift[level];
        size_t left = 0;
        for (size_t i = 0; i < n; i++) {
            a[left] = a[i];
            left += (a[i] >> shift[level] & mask) == bin;
        }
        n = left;
    }
    return answer;
}

size_t cm_top_keep(size_t n, size_t k, float *key, uint32_t *idx, float *val, uint32_t *scratch)
{
    if (n <= k)
        return n;
    if (k == 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        scratch[i] = cm_float_order(key[i]);
    uint32_t threshold = kth_largest(scratch, n, k);
    size_t above = 0, kept = 0;
    for (size_t i = 0; i < n; i++)
        above += cm_float_order(key[i]) > threshold;
    size_t equals = k - above;       /* so many of the equal ones stay, the first */
    for (size_t i = 0; i < n; i++) { /* no branch here: which entries stay is a coin toss */
        uint32_t v = cm_float_order(key[i]);
        bool equal = v == threshold && equals > 0;
        idx[kept] = idx[i];
        if (val)
            val[kept] = val[i];
        key[kept] = key[i];
        kept += equal || v > threshold;
        equals -= equal;
    }
    return kept;
}

/* ===== columns, group by group ============================================================ */

struct cm_search {
    size_t m, d, ld;
    const float *t;  /* columns in order of `order` */
    float *own;      /* t if it is a copy */
    uint32_t *order; /* original column of a place; NULL = identity */
    size_t groups;
    size_t *begin;        /* groups + 1: the places of group g are begin[g]..begin[g+1]-1 */
    float *sample;        /* SAMPLE x d of each group that is large enough, one after the other */
    size_t *sample_group; /* where: SAMPLE * d * sample_group[g]; SIZE_MAX = none */
    double norm;          /* of the longest column */
};

static double longest(const float *v, size_t ld, size_t n, size_t d)
{
    double max = 0;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t c = 0; c < d; c++)
            sum += (double)v[i * ld + c] * (double)v[i * ld + c];
        max = sum > max ? sum : max;
    }
    return sqrt(max);
}

/* The place in its group of sampled column number `at`. */
static size_t sample_place(size_t size, size_t at)
{
    return size / SAMPLE * at + size % SAMPLE / 2;
}

static void take_samples(struct cm_search *x)
{
    size_t n = 0;
    x->sample_group = CM_NEW(size_t, x->groups);
    for (size_t g = 0; g < x->groups; g++)
        x->sample_group[g] = x->begin[g + 1] - x->begin[g] >= 4 * SAMPLE ? n++ : SIZE_MAX;
    x->sample = CM_NEW(float, n *SAMPLE * x->d);
    for (size_t g = 0; g < x->groups; g++)
        for (size_t k = 0; x->sample_group[g] != SIZE_MAX && k < SAMPLE; k++) {
            size_t from = x->begin[g] + sample_place(x->begin[g + 1] - x->begin[g], k);
            memcpy(x->sample + (x->sample_group[g] * SAMPLE + k) * x->d, x->t + from * x->ld,
                   x->d * sizeof *x->t);
        }
}

/* Stable counting sort of n items by code; codes >= groups are left out.  begin: groups + 1. */
static uint32_t *by_group(const uint32_t *group, size_t n, size_t groups, size_t *begin)
{
    memset(begin, 0, (groups + 1) * sizeof *begin);
    for (size_t i = 0; i < n; i++)
        if (group[i] < groups)
            begin[group[i] + 1]++;
    for (size_t g = 0; g < groups; g++)
        begin[g + 1] += begin[g];
    uint32_t *order = CM_NEW(uint32_t, n);
    size_t *next = CM_NEW(size_t, groups + 1);
    memcpy(next, begin, (groups + 1) * sizeof *next);
    for (size_t i = 0; i < n; i++)
        if (group[i] < groups)
            order[next[group[i]]++] = (uint32_t)i;
    cm_free(next);
    return order;
}

static float *gather(const float *v, size_t ld, size_t d, const uint32_t *order, size_t n)
{
    size_t size;
    CM_ASSERT(cm_mul(n, d, &size) == 0);
    float *out = CM_NEW(float, size);
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * d, v + order[i] * ld, d * sizeof *v);
    return out;
}

struct cm_search *cm_search_make(const struct cm_dense *t, const uint32_t *group)
{
    CM_ASSERT(t->rows < UINT32_MAX);
    struct cm_search *x = CM_ZNEW(struct cm_search, 1);
    x->m = t->rows;
    x->d = t->cols;
    if (!group) {
        x->t = t->v;
        x->ld = t->ld;
        x->groups = 1;
        x->begin = CM_ZNEW(size_t, 2);
        x->begin[1] = x->m;
        x->norm = longest(x->t, x->ld, x->m, x->d);
        take_samples(x);
        return x;
    }
    for (size_t j = 0; j < x->m; j++)
        if (group[j] != CM_GROUP_NONE && group[j] >= x->groups)
            x->groups = (size_t)group[j] + 1;
    x->begin = CM_NEW(size_t, x->groups + 1);
    x->order = by_group(group, x->m, x->groups, x->begin);
    x->own = gather(t->v, t->ld, x->d, x->order, x->begin[x->groups]);
    x->t = x->own;
    x->ld = x->d;
    x->norm = longest(x->t, x->ld, x->begin[x->groups], x->d);
    take_samples(x);
    return x;
}

void cm_search_free(struct cm_search *x)
{
    if (!x)
        return;
    cm_free(x->own);
    cm_free(x->order);
    cm_free(x->begin);
    cm_free(x->sample);
    cm_free(x->sample_group);
    cm_free(x);
}

static uint32_t column_at(const struct cm_search *x, size_t place)
{
    return x->order ? x->order[place] : (uint32_t)place;
}

/* ===== a portion of rows, group by group ================================================== */

struct portion {
    const struct cm_search *x;
    const float *e;
    float *own;
    size_t lde, rows;
    uint32_t *order; /* original row of a place, or NULL */
    size_t *begin;   /* as in cm_search */
};

static void portion_make(struct portion *p, const struct cm_search *x, const float *e, size_t lde,
                         size_t rows, const uint32_t *group)
{
    CM_ASSERT(!group == !x->order);
    *p = (struct portion){.x = x, .e = e, .lde = lde, .rows = rows};
    p->begin = CM_ZNEW(size_t, x->groups + 1);
    if (!group) {
        p->begin[1] = rows;
        return;
    }
    p->order = by_group(group, rows, x->groups, p->begin);
    p->e = p->own = gather(e, lde, x->d, p->order, p->begin[x->groups]);
    p->lde = x->d;
}

static void portion_free(struct portion *p)
{
    cm_free(p->own);
    cm_free(p->order);
    cm_free(p->begin);
}

bool cm_search_finite(const struct cm_search *x, const float *e, size_t lde, size_t rows,
                      const uint32_t *group, const float *shift, size_t *row, uint32_t *col)
{
    double shifted = 0;
    for (size_t j = 0; shift && j < x->m; j++)
        shifted = fmax(shifted, isfinite(shift[j]) ? fabs((double)shift[j]) : (double)INFINITY);
    if (longest(e, lde, rows, x->d) * x->norm + shifted < (double)FLT_MAX)
        return true;
    for (size_t i = 0; i < rows; i++)
        for (size_t g = 0; g < x->groups; g++)
            for (size_t at = x->begin[g]; at < x->begin[g + 1] && (!group || group[i] == g); at++) {
                double sum = shift ? fabs((double)shift[column_at(x, at)]) : 0;
                for (size_t c = 0; c < x->d; c++)
                    sum += fabs((double)e[i * lde + c] * (double)x->t[at * x->ld + c]);
                *row = i;
                *col = column_at(x, at);
                if (!(sum < (double)FLT_MAX))
                    return false;
            }
    return true;
}

/* Work units: pieces of at most `size` places of each group's range, in order. */
struct unit {
    size_t group, from, to;
};

static struct unit *cut(const size_t *begin, size_t groups, size_t size, size_t *n)
{
    struct unit *u = NULL;
    size_t cap = 0;
    *n = 0;
    for (size_t g = 0; g < groups; g++)
        for (size_t at = begin[g]; at < begin[g + 1]; at += size) {
            CM_GROW(u, cap, *n + 1);
            size_t to = at + size < begin[g + 1] ? at + size : begin[g + 1];
            u[(*n)++] = (struct unit){g, at, to};
        }
    return u;
}

/* tile (rows x cols, ld cols) = e rows of the portion times t columns. */
static void product(const struct portion *p, size_t row, size_t rows, size_t col, size_t cols,
                    float *tile)
{
    const struct cm_search *x = p->x;
    cm_sgemm(false, true, rows, cols, x->d, 1, p->e + row * p->lde, p->lde, x->t + col * x->ld,
             x->ld, 0, tile, cols);
}

/* ===== top k ============================================================================== */

struct top_job {
    struct portion p;
    const struct unit *unit;
    size_t k;
    const float *shift;
    uint32_t *idx;
    float *s;
    size_t *count;
};

/* Candidates of one row; key may be s itself. */
struct row_buffer {
    size_t n;
    float threshold;
    uint32_t *idx;
    float *s, *key;
};

/* Branch-free. */
static size_t append_all(const struct row_buffer *b, size_t at, const float *tile, const float *key,
                         size_t from, size_t n, uint32_t first)
{
    for (size_t j = from; j < n; j++) {
        b->idx[at] = first + (uint32_t)j;
        b->s[at] = tile[j];
        b->key[at] = key[j];
        at += key[j] > b->threshold;
    }
    return at;
}

#if defined(__x86_64__) && defined(__GNUC__)
__attribute__((target("avx2,bmi"))) static size_t append_some(const struct row_buffer *b, size_t at,
                                                              const float *tile, const float *key,
                                                              size_t n, uint32_t first)
{
    const __m256 threshold = _mm256_set1_ps(b->threshold);
    size_t j = 0;
    for (; j + 8 <= n; j += 8) {
        __m256 above = _mm256_cmp_ps(_mm256_loadu_ps(key + j), threshold, _CMP_GT_OQ);
        for (unsigned m = (unsigned)_mm256_movemask_ps(above); m; m &= m - 1, at++) {
            size_t k = j + (size_t)__builtin_ctz(m);
            b->idx[at] = first + (uint32_t)k;
            b->s[at] = tile[k];
            b->key[at] = key[k];
        }
    }
    return append_all(b, at, tile, key, j, n, first);
}
#endif

/* few: most keys stay below the threshold. */
static void append(struct row_buffer *b, const float *tile, const float *key, size_t n,
                   uint32_t first, bool few)
{
#if defined(__x86_64__) && defined(__GNUC__)
    if (few && __builtin_cpu_supports("avx2") && __builtin_cpu_supports("bmi")) {
        b->n = append_some(b, b->n, tile, key, n, first);
        return;
    }
#endif
    (void)few;
    b->n = append_all(b, b->n, tile, key, 0, n, first);
}

static void shrink(struct row_buffer *b, size_t k, uint32_t *scratch)
{
    if (b->n <= k)
        return;
    b->n = cm_top_keep(b->n, k, b->key, b->idx, b->key == b->s ? NULL : b->s, scratch);
    b->threshold = b->key[0];
    for (size_t i = 1; i < b->n; i++)
        if (b->key[i] < b->threshold)
            b->threshold = b->key[i];
}

/* Thresholds of the rows of a unit from the sample; false where there is none, or k is too large a
 * share for it to help.  tile: rows x SAMPLE. */
static bool sampled(const struct top_job *job, struct unit u, struct row_buffer *b, float *tile)
{
    const struct cm_search *x = job->p.x;
    size_t rows = u.to - u.from, size = x->begin[u.group + 1] - x->begin[u.group];
    if (x->sample_group[u.group] == SIZE_MAX)
        return false;
    double expected = (double)SAMPLE * (double)job->k / (double)size;
    size_t rank = (size_t)(expected + 4 * sqrt(expected) + 4);
    if (rank > SAMPLE / 4)
        return false;
    uint32_t order[SAMPLE];
    cm_sgemm(false, true, rows, SAMPLE, x->d, 1, job->p.e + u.from * job->p.lde, job->p.lde,
             x->sample + x->sample_group[u.group] * SAMPLE * x->d, x->d, 0, tile, SAMPLE);
    float shift[SAMPLE] = {0};
    for (size_t j = 0; job->shift && j < SAMPLE; j++)
        shift[j] = job->shift[column_at(x, x->begin[u.group] + sample_place(size, j))];
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < SAMPLE; j++)
            order[j] = cm_float_order(tile[i * SAMPLE + j] - shift[j]);
        uint32_t found = kth_largest(order, SAMPLE, rank);
        found ^= found & 0x80000000u ? 0x80000000u : UINT32_MAX; /* cm_float_order, undone */
        memcpy(&b[i].threshold, &found, sizeof found);
        b[i].threshold = nextafterf(b[i].threshold, -INFINITY);
    }
    return true;
}

/* False: a row got fewer than it should from its sampled threshold. */
static bool search_unit(const struct top_job *job, struct unit u, bool sample)
{
    const struct cm_search *x = job->p.x;
    size_t rows = u.to - u.from, from = x->begin[u.group], to = x->begin[u.group + 1];
    /* room for k kept ones, as many new ones, and a tile */
    size_t cap = 2 * job->k + TILE_COLS, want = job->k < to - from ? job->k : to - from;
    if (cap > to - from)
        cap = to - from;
    float *tile = CM_NEW(float, rows *(sample ? SAMPLE : TILE_COLS)), keys[TILE_COLS];
    float shift[TILE_COLS];
    uint32_t *scratch = CM_NEW(uint32_t, cap);
    /* a place more: branch-free appending stores before it knows */
    size_t line = cap + 1;
    float *s = CM_NEW(float, rows *line), *key = job->shift ? CM_NEW(float, rows *line) : s;
    uint32_t *idx = CM_NEW(uint32_t, rows * line);
    struct row_buffer *b = CM_NEW(struct row_buffer, rows);
    bool enough = true;
    for (size_t i = 0; i < rows; i++)
        b[i] = (struct row_buffer){0, -INFINITY, idx + i * line, s + i * line, key + i * line};
    sample = sample && sampled(job, u, b, tile);
    for (size_t col = from; col < to; col += TILE_COLS) {
        size_t cols = to - col < TILE_COLS ? to - col : TILE_COLS;
        product(&job->p, u.from, rows, col, cols, tile);
        for (size_t j = 0; job->shift && j < cols; j++)
            shift[j] = job->shift[column_at(x, col + j)];
        for (size_t i = 0; i < rows; i++) {
            const float *row = tile + i * cols;
            for (size_t j = 0; job->shift && j < cols; j++)
                keys[j] = row[j] - shift[j];
            if (b[i].n + cols > cap)
                shrink(&b[i], job->k, scratch);
            append(&b[i], row, job->shift ? keys : row, cols, (uint32_t)col, sample);
        }
    }
    for (size_t i = 0; i < rows; i++)
        enough = enough && b[i].n >= want;
    for (size_t i = 0; enough && i < rows; i++) {
        shrink(&b[i], job->k, scratch);
        size_t to_row = job->p.order ? job->p.order[u.from + i] : u.from + i;
        job->count[to_row] = b[i].n;
        if (b[i].n)
            memcpy(job->s + to_row * job->k, b[i].s, b[i].n * sizeof *b[i].s);
        for (size_t k = 0; k < b[i].n; k++)
            job->idx[to_row * job->k + k] = column_at(x, b[i].idx[k]);
    }
    if (key != s)
        cm_free(key);
    cm_free(tile);
    cm_free(scratch);
    cm_free(s);
    cm_free(idx);
    cm_free(b);
    CM_ASSERT(enough || sample);
    return enough;
}

static int top_unit(void *arg, size_t shard)
{
    const struct top_job *job = arg;
    if (!search_unit(job, job->unit[shard], true))
        search_unit(job, job->unit[shard], false);
    return 0;
}

size_t cm_search_portion(size_t k)
{
    enum { MAX = 1024, MIN = 128, ENTRIES = 4 << 20 };
    size_t rows = ENTRIES / (k + 1);
    return rows > MAX ? MAX : rows < MIN ? MIN : rows;
}

void cm_search_rows(struct cm_search *x, const float *e, size_t lde, size_t rows,
                    const uint32_t *group, size_t k, const float *shift, uint32_t *idx, float *s,
                    size_t *count)
{
    struct top_job job = {.k = k, .shift = shift, .idx = idx, .s = s, .count = count};
    memset(count, 0, rows * sizeof *count);
    portion_make(&job.p, x, e, lde, rows, group);
    size_t units;
    struct unit *unit = cut(job.p.begin, x->groups, unit_rows(k), &units);
    job.unit = unit;
    cm_parallel(units, top_unit, &job);
    cm_free(unit);
    portion_free(&job.p);
}

/* ===== columns over all rows ============================================================== */

/* One of c and near is NULL. */
struct stat_job {
    struct portion p;
    const struct unit *unit;
    struct cm_normalisers *c;
    struct cm_nearest *near;
    uint64_t first;
};

static int stat_unit(void *arg, size_t shard)
{
    const struct stat_job *job = arg;
    const struct unit u = job->unit[shard];
    const struct cm_search *x = job->p.x;
    size_t cols = u.to - u.from, from = job->p.begin[u.group], to = job->p.begin[u.group + 1];
    float *tile = CM_NEW(float, STAT_ROWS *STAT_COLS);
    uint32_t idx[STAT_COLS];
    for (size_t j = 0; j < cols; j++)
        idx[j] = column_at(x, u.from + j);
    for (size_t row = from; row < to; row += STAT_ROWS) {
        size_t rows = to - row < STAT_ROWS ? to - row : STAT_ROWS;
        product(&job->p, row, rows, u.from, cols, tile);
        if (job->c)
            cm_normalisers_add_tile(job->c, rows, cols, idx, tile);
        for (size_t i = 0; job->near && i < rows; i++) {
            size_t own = job->p.order ? job->p.order[row + i] : row + i;
            cm_nearest_add(job->near, job->first + own, cols, idx, tile + i * cols);
        }
    }
    cm_free(tile);
    return 0;
}

static void all_columns(struct stat_job *job, const struct cm_search *x, const float *e, size_t lde,
                        size_t rows, const uint32_t *group)
{
    portion_make(&job->p, x, e, lde, rows, group);
    size_t units;
    struct unit *unit = cut(x->begin, x->groups, STAT_COLS, &units);
    job->unit = unit;
    cm_parallel(units, stat_unit, job);
    cm_free(unit);
    portion_free(&job->p);
}

void cm_search_normalise(struct cm_search *x, const float *e, size_t lde, size_t rows,
                         const uint32_t *group, struct cm_normalisers *c)
{
    struct stat_job job = {.c = c};
    all_columns(&job, x, e, lde, rows, group);
}

void cm_search_nearest(struct cm_search *x, const float *e, size_t lde, uint64_t first, size_t rows,
                       const uint32_t *group, struct cm_nearest *n)
{
    struct stat_job job = {.near = n, .first = first};
    all_columns(&job, x, e, lde, rows, group);
}
