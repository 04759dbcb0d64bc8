/* matrix/kernel.c - the inner loops of sparse x dense.
 *
 * One entry of x is one multiply-add along a row of the dense side; fetching those rows is the
 * cost.  So the columns of x are taken in tiles whose rows of the dense side stay in a core's
 * cache, from a table of where each row enters each tile, and the sums stay in registers: GCC's
 * vector types, sixteen floats or eight doubles each, up to four of them at a time, compiled for
 * AVX-512, for AVX2 and for the plain machine and chosen when the program starts (target_clones).
 * A sum never crosses lanes, so all give the same bits.  Float and double differ in the type alone:
 * kernel_loops.h is included twice.
 */
#include "matrix/kernel.h"

#include "base/clones.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/spool.h"

enum {
    CACHE = 1 << 20, /* bytes of the dense side that a core keeps near */
    LINE = 16,       /* entries whose columns, or values, are a line of the cache */
    AHEAD = 2        /* rows: this one's entries are fetched */
};

struct cut {
    const struct cm_csr *x;
    struct cm_tiles *tiles;
    size_t shards;
};

static int cut_rows(void *arg, size_t shard)
{
    const struct cut *c = arg;
    const struct cm_csr *x = c->x;
    size_t stop = cm_shard_begin(x->rows, c->shards, shard + 1);
    for (size_t i = cm_shard_begin(x->rows, c->shards, shard); i < stop; i++) {
        const uint32_t *idx = x->idx + x->ptr[i];
        uint32_t n = (uint32_t)(x->ptr[i + 1] - x->ptr[i]), at = 0;
        for (size_t t = 0; t <= c->tiles->n; t++) {
            size_t limit = cm_shard_begin(x->cols, c->tiles->n, t);
            while (at < n && idx[at] < limit)
                at++;
            c->tiles->from[t * x->rows + i] = at;
        }
    }
    return 0;
}

struct cm_tiles cm_tiles_make(const struct cm_csr *x, size_t row, size_t min)
{
    CM_ASSERT(x->cols <= UINT32_MAX);
    /* A tile of fewer than 8 entries of an average row costs more than its misses. */
    size_t by_cache = x->cols / (row && row < CACHE ? CACHE / row : 1) + 1;
    size_t by_entries = x->rows ? x->ptr[x->rows] / x->rows / 8 : 0;
    size_t n = by_cache < by_entries ? by_cache : by_entries;
    if (n < min)
        n = min;
    struct cm_tiles tiles = {.n = cm_shards(x->cols, 16, n)};
    size_t size;
    if (cm_mul(tiles.n + 1, x->rows, &size))
        cm_panic(4, "out of memory: %zu tiles of %zu rows", tiles.n, x->rows);
    tiles.from = CM_NEW(size, uint32_t);
    struct cut c = {.x = x, .tiles = &tiles, .shards = cm_shards(x->rows, 64, 64)};
    cm_parallel(c.shards, cut_rows, &c);
    return tiles;
}

void cm_tiles_free(struct cm_tiles *t)
{
    cm_free(t->from);
    t->from = NULL;
}

size_t cm_kernel_rows(const struct cm_csr *x, size_t parts)
{
    size_t bytes = 8 * (x->rows ? x->ptr[x->rows] / x->rows : 0) + 1,
           rows = CM_SPOOL_WINDOW / parts / bytes;
    return !cm_spool_active() ? x->rows : rows < 64 ? 64 : rows;
}

#define EACH_1(DO, V) DO(0, V)
#define EACH_2(DO, V) EACH_1(DO, V) DO(1, V)
#define EACH_4(DO, V) EACH_2(DO, V) DO(2, V) DO(3, V)

#define LOAD(w, V)  V s##w = *(const V *)(at + w * SIZE(V));
#define ADD(w, V)   s##w += a * *(const V *)(row + w * SIZE(V));
#define STORE(w, V) *(V *)(at + w * SIZE(V)) = s##w;
#define PUT(w, V)   *(V *)(row + w * SIZE(V)) += a * s##w;

/* Unaligned vectors: rows of the dense side begin anywhere. */
typedef float vec_f __attribute__((vector_size(64), aligned(4), may_alias));
typedef float half_f __attribute__((vector_size(32), aligned(4), may_alias));
typedef double vec_d __attribute__((vector_size(64), aligned(8), may_alias));
typedef double half_d __attribute__((vector_size(32), aligned(8), may_alias));

#define T          float
#define VEC        vec_f
#define HALF       half_f
#define TIMES      cm_kernel_times_f
#define TRANSPOSED cm_kernel_transposed_f
#include "matrix/kernel_loops.h"

#define T          double
#define VEC        vec_d
#define HALF       half_d
#define TIMES      cm_kernel_times_d
#define TRANSPOSED cm_kernel_transposed_d
#include "matrix/kernel_loops.h"
