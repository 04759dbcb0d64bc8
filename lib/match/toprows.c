/* match/toprows.c - blocked products with a streaming selection.  See topk.h.
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
 */
#include "match/topk.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "match/search.h"
#include "match/select.h"
#include "matrix/blas.h"

#if defined(__x86_64__) && defined(__GNUC__)
#include <immintrin.h>
#endif

enum { TILE_COLS = 512 };

/* Packing of a tile pays for that many rows; buffers of 2 k entries a row limit it. */
static size_t unit_rows(size_t k) { return k <= 4096 ? 256 : 128; }

struct top_job {
    struct cm_portion p;
    const struct cm_unit *unit;
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
static bool sampled(const struct top_job *job, struct cm_unit u, struct row_buffer *b, float *tile)
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
        shift[j] = job->shift[cm_search_column(x, x->begin[u.group] + cm_search_sampled(size, j))];
    for (size_t i = 0; i < rows; i++) {
        for (size_t j = 0; j < SAMPLE; j++)
            order[j] = cm_float_order(tile[i * SAMPLE + j] - shift[j]);
        uint32_t found = cm_top_kth(order, SAMPLE, rank);
        found ^= found & 0x80000000u ? 0x80000000u : UINT32_MAX; /* cm_float_order, undone */
        memcpy(&b[i].threshold, &found, sizeof found);
        b[i].threshold = nextafterf(b[i].threshold, -INFINITY);
    }
    return true;
}

/* False: a row got fewer than it should from its sampled threshold. */
static bool search_unit(const struct top_job *job, struct cm_unit u, bool sample)
{
    const struct cm_search *x = job->p.x;
    size_t rows = u.to - u.from, from = x->begin[u.group], to = x->begin[u.group + 1];
    /* capacity for k kept ones, as many new ones, and a tile */
    size_t cap = 2 * job->k + TILE_COLS, want = job->k < to - from ? job->k : to - from;
    if (cap > to - from)
        cap = to - from;
    float *tile = CM_NEW(rows * (sample ? SAMPLE : TILE_COLS), float), keys[TILE_COLS];
    float shift[TILE_COLS];
    uint32_t *scratch = CM_NEW(cap, uint32_t);
    /* one more: branch-free appending stores before it knows */
    size_t line = cap + 1;
    float *s = CM_NEW(rows * line, float), *key = job->shift ? CM_NEW(rows * line, float) : s;
    uint32_t *idx = CM_NEW(rows * line, uint32_t);
    struct row_buffer *b = CM_NEW(rows, struct row_buffer);
    bool enough = true;
    for (size_t i = 0; i < rows; i++)
        b[i] = (struct row_buffer){0, -INFINITY, idx + i * line, s + i * line, key + i * line};
    sample = sample && sampled(job, u, b, tile);
    for (size_t col = from; col < to; col += TILE_COLS) {
        size_t cols = to - col < TILE_COLS ? to - col : TILE_COLS;
        cm_search_product(&job->p, u.from, rows, col, cols, tile);
        for (size_t j = 0; job->shift && j < cols; j++)
            shift[j] = job->shift[cm_search_column(x, col + j)];
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
            job->idx[to_row * job->k + k] = cm_search_column(x, b[i].idx[k]);
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
    cm_portion_make(&job.p, x, e, lde, rows, group);
    size_t units;
    struct cm_unit *unit = cm_units_cut(job.p.begin, x->groups, unit_rows(k), &units);
    job.unit = unit;
    cm_parallel(units, top_unit, &job);
    cm_free(unit);
    cm_portion_free(&job.p);
}
