/* nn/gemm.c - matrix products of the shapes that a group of cells has.
 *
 * OpenBLAS copies both operands into panels of its own before it multiplies, which costs as much as
 * the product where one side has a hundred rows.  Here the right operand is read where it stands,
 * row by row, unless it is transposed or not a whole number of vectors wide; then a panel of it is
 * laid out on the stack.  A transposed left operand is laid out in strips as high as a tile, 96
 * rows of the result at a time: read where it stands, each tile takes half of every cache line, and
 * the long step between lines sends them all to one place of the cache.  A row of the result does
 * not depend on how many rows there are.  Sums run along k in order, in blocks of K_BLOCK, with
 * fused multiply-add where the processor has it: AVX-512 and AVX2 give the same bits, the portable
 * code others.  Rejected: a copy of every panel (4-8 % slower at 92 rows), fetching the next panel
 * ahead (no gain, 2 % lost where it is near), squares of eight for the transpose (no gain).
 */
#include "nn/gemm.h"

#include <string.h>

#include "nn/machine.h"

#ifdef CM_REAL_DOUBLE

void cm_gemm(const struct cm_gemm *g)
{
    for (size_t i = 0; g->bias && i < g->m; i++)
        memcpy(g->c + i * g->ldc, g->bias, g->n * sizeof *g->c);
    cm_dgemm(g->ta, g->tb, g->m, g->n, g->k, g->alpha, g->a, g->lda, g->b, g->ldb,
             g->add || g->bias ? 1 : 0, g->c, g->ldc);
    for (size_t i = 0; g->relu && i < g->m; i++)
        for (size_t j = 0; j < g->n; j++)
            g->c[i * g->ldc + j] *= g->c[i * g->ldc + j] > 0;
}

#else

/* A panel of b: at most 256 x 48 floats, 48 KB; strips of a transposed a: 96 x 256, 96 KB. */
enum { K_BLOCK = 256, WIDE = 48, M_BLOCK = 96 };

/* What all tiles of a panel have in common. */
struct tile {
    size_t m, k, a_row, a_strip, a_along, ldb, ldc, cut;
    float alpha;
    bool add, relu;
};

#ifdef CM_X86
#define NAME(x)          x##_avx512
#define TARGET           CM_TARGET_512
#define V                cm_f512
#define FMA(c, a, b)     ((c) = CM_FMA_512(a, b, c))
#define SET(x)           ((V)_mm512_set1_ps(x))
#define GET_CUT(p, n)    CM_GET_512(p, n)
#define PUT_CUT(p, n, r) CM_PUT_512(p, n, r)
#define ROWS             8
#define VECS             3
#include "nn/tile.h"
#define NAME(x)          x##_avx2
#define TARGET           CM_TARGET_256
#define V                cm_f256
#define FMA(c, a, b)     ((c) = CM_FMA_256(a, b, c))
#define SET(x)           ((V)_mm256_set1_ps(x))
#define GET_CUT(p, n)    CM_GET_256(p, n)
#define PUT_CUT(p, n, r) CM_PUT_256(p, n, r)
#define ROWS             6
#define VECS             2
#include "nn/tile.h"
#endif
#define NAME(x) x##_plain
#define TARGET
#define V                cm_f128
#define FMA(c, a, b)     ((c) = CM_FMA_128(a, b, c))
#define SET(x)           ((V){(x), (x), (x), (x)})
#define GET_CUT(p, n)    CM_GET_128(p, n)
#define PUT_CUT(p, n, r) CM_PUT_128(p, n, r)
#define ROWS             6
#define VECS             2
#include "nn/tile.h"

typedef void panels(const struct tile *t, const float *a, const float *b, float *c,
                    const float *bias, size_t vecs);
typedef void strips(float *to, const float *from, size_t ld, size_t m, size_t k);

static const struct kernels {
    panels *run;
    strips *lay;              /* of a transposed left operand */
    size_t lanes, vecs, rows; /* of a vector; in the widest panel; of a strip */
} kernels[CM_MACHINES] = {
#ifdef CM_X86
    [CM_AVX512] = {panels_avx512, strips_avx512, 16, 3, 8},
    [CM_AVX2] = {panels_avx2, strips_avx2, 8, 2, 6},
#endif
    [CM_PORTABLE] = {panels_plain, strips_plain, 4, 2, 6},
};

static size_t min(size_t a, size_t b) { return a < b ? a : b; }

/* Vectors of the next panel when `left` remain: none is left with one alone that can be spared. */
static size_t panel_vecs(size_t left, size_t max)
{
    if (left <= max)
        return left;
    return left == max + 1 ? (left + 1) / 2 : max;
}

/* A vector of elements i, j, k, l of the eight of a and b. */
#ifdef __clang__
#define PICK(a, b, i, j, k, l) __builtin_shufflevector(a, b, i, j, k, l)
#else
typedef int32_t pick __attribute__((vector_size(16)));
#define PICK(a, b, i, j, k, l) __builtin_shuffle(a, b, (pick){i, j, k, l})
#endif

/* Columns 0..3 of to (k x 4, ld width) = the four rows of from (ld), k numbers each. */
static void transpose_4_rows(float *to, size_t width, const float *from, size_t ld, size_t k)
{
    size_t p = 0;
    for (; p + 4 <= k; p += 4) {
        cm_f128 r[4], s[4];
        for (size_t j = 0; j < 4; j++)
            r[j] = *(const cm_f128 *)(from + j * ld + p);
        for (size_t j = 0; j < 2; j++) {
            s[j] = PICK(r[j], r[j + 2], 0, 4, 1, 5);
            s[j + 2] = PICK(r[j], r[j + 2], 2, 6, 3, 7);
        }
        for (size_t j = 0; j < 2; j++) {
            *(cm_f128 *)(to + (p + 2 * j) * width) = PICK(s[2 * j], s[2 * j + 1], 0, 4, 1, 5);
            *(cm_f128 *)(to + (p + 2 * j + 1) * width) = PICK(s[2 * j], s[2 * j + 1], 2, 6, 3, 7);
        }
    }
    for (; p < k; p++)
        for (size_t j = 0; j < 4; j++)
            to[p * width + j] = from[j * ld + p];
}

/* to (k x width, zeros beyond n) = op(b)'s rows k0.., columns j0.. */
static void lay_panel(float *to, size_t width, const struct cm_gemm *g, size_t k0, size_t k,
                      size_t j0, size_t n)
{
    if (!g->tb) {
        for (size_t p = 0; p < k; p++) {
            memcpy(to + p * width, g->b + (k0 + p) * g->ldb + j0, n * sizeof *to);
            memset(to + p * width + n, 0, (width - n) * sizeof *to);
        }
        return;
    }
    size_t whole = n / 4 * 4;
    for (size_t p = 0; p < k && whole < width; p++)
        memset(to + p * width + whole, 0, (width - whole) * sizeof *to);
    const float *from = g->b + j0 * g->ldb + k0;
    for (size_t j = 0; j < whole; j += 4)
        transpose_4_rows(to + j, width, from + j * g->ldb, g->ldb, k);
    for (size_t j = whole; j < n; j++)
        for (size_t p = 0; p < k; p++)
            to[p * width + j] = from[j * g->ldb + p];
}

/* Rows i0.. of m and k0.. of k of the product, all columns; a: where t's steps begin. */
static void run_block(const struct cm_gemm *g, const struct kernels *x, struct tile *t,
                      const float *a, size_t i0, size_t k0)
{
    float laid[K_BLOCK * WIDE];
    size_t left = (g->n + x->lanes - 1) / x->lanes;
    for (size_t j = 0; j < g->n;) {
        size_t vecs = panel_vecs(left, x->vecs), width = vecs * x->lanes;
        size_t n = min(g->n - j, width);
        const float *b = g->b + k0 * g->ldb + j;
        t->ldb = g->ldb;
        if (g->tb || n < width) {
            lay_panel(laid, width, g, k0, t->k, j, n);
            b = laid;
            t->ldb = width;
        }
        t->cut = n % x->lanes;
        x->run(t, a, b, g->c + i0 * g->ldc + j, g->bias && !k0 ? g->bias + j : NULL, vecs);
        j += n;
        left -= vecs;
    }
}

void cm_gemm_by(enum cm_machine which, const struct cm_gemm *g)
{
    const struct kernels *x = &kernels[which];
    float laid[M_BLOCK * K_BLOCK];
    for (size_t i = 0, m; i < g->m; i += m) {
        m = g->ta ? min(g->m - i, M_BLOCK) : g->m;
        for (size_t k0 = 0; k0 < g->k || k0 == 0; k0 += K_BLOCK) {
            size_t k = min(g->k - k0, K_BLOCK);
            struct tile t = {.m = m,
                             .k = k,
                             .a_row = g->lda,
                             .a_strip = x->rows * g->lda,
                             .a_along = 1,
                             .ldc = g->ldc,
                             .alpha = g->alpha,
                             .add = g->add || k0,
                             .relu = g->relu && k0 + k == g->k};
            const float *a = g->a + k0;
            if (g->ta) {
                x->lay(laid, g->a + k0 * g->lda + i, g->lda, m, k);
                t.a_row = 1;
                t.a_strip = k * x->rows;
                t.a_along = x->rows;
                a = laid;
            }
            run_block(g, x, &t, a, i, k0);
        }
    }
}

void cm_gemm(const struct cm_gemm *g) { cm_gemm_by(cm_machine(), g); }

#endif
