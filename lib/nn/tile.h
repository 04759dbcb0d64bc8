/* nn/tile.h - the micro-kernels of gemm.c, included once for each processor: no guard.
 *
 * The includer defines NAME(x), TARGET (an attribute), V (a vector of floats), FMA(c, a, b) (c += a
 * b), SET(x) (a vector of x), GET_CUT(p, n) and PUT_CUT(p, n, r) (the first n numbers of a vector),
 * ROWS and VECS (the largest tile).  Rows of a come in strips of ROWS.  A tile is `rows` x (vecs
 * LANES) numbers of c in registers; every number is summed over k in order, so the shape of the
 * tile changes no bit.  c is fetched first: where it lies outside the second cache, reading it at
 * the end stalled the whole tile.
 */
#define LANES  (sizeof(V) / sizeof(float))
#define AT(p)  (*(V *)(p))
#define GET(p) (*(const V *)(p))

/* One tile: c = alpha (a b) and what else t asks for.  a: steps between strips, between the rows of
 * one and along k; b: k x (vecs LANES), ld ldb, whole vectors. */
__attribute__((always_inline)) static inline TARGET void
NAME(tile)(const struct tile *t, const float *a, const float *b, float *c, const float *bias,
           const size_t rows, const size_t vecs)
{
    V s[2 * ROWS][VECS];
#pragma GCC unroll 16
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (size_t v = 0; v < vecs; v++) {
            s[i][v] = (V){0};
            __builtin_prefetch(c + i * t->ldc + v * LANES, 1);
        }
    size_t row = t->a_row, strip = t->a_strip, along = t->a_along, ldb = t->ldb;
    for (size_t k = 0; k < t->k; k++, a += along, b += ldb) {
        V x[VECS];
#pragma GCC unroll 4
        for (size_t v = 0; v < vecs; v++)
            x[v] = GET(b + v * LANES);
#pragma GCC unroll 16
        for (size_t i = 0; i < rows; i++) {
            V y = SET(a[i / ROWS * strip + i % ROWS * row]);
#pragma GCC unroll 4
            for (size_t v = 0; v < vecs; v++)
                FMA(s[i][v], y, x[v]);
        }
    }
    float alpha = t->alpha;
    const size_t cut = t->cut; /* numbers of the last vector, 0 = all */
#pragma GCC unroll 16
    for (size_t i = 0; i < rows; i++)
#pragma GCC unroll 4
        for (size_t v = 0; v < vecs; v++) {
            float *to = c + i * t->ldc + v * LANES;
            const bool edge = v + 1 == vecs && cut;
            V r = s[i][v] * alpha;
            if (t->add)
                r += edge ? GET_CUT(to, cut) : GET(to);
            if (bias)
                r += edge ? GET_CUT(bias + v * LANES, cut) : GET(bias + v * LANES);
            if (t->relu) {
                __typeof__(r > 0) positive = r > 0;
                V zero = r * 0.f; /* so that NaN stays */
                r = (V)(((__typeof__(positive))r & positive) |
                        ((__typeof__(positive))zero & ~positive));
            }
            if (edge)
                PUT_CUT(to, cut, r);
            else
                AT(to) = r;
        }
}

__attribute__((always_inline)) static inline const float *NAME(row)(const struct tile *t,
                                                                    const float *a, size_t i)
{
    return a + i / ROWS * t->a_strip + i % ROWS * t->a_row;
}

/* All rows of a panel. */
__attribute__((always_inline)) static inline TARGET void NAME(panel)(const struct tile *t,
                                                                     const float *a, const float *b,
                                                                     float *c, const float *bias,
                                                                     const size_t vecs)
{
    const size_t full = vecs == 1 ? 2 * ROWS : ROWS; /* as many sums as hide the latency of one */
    size_t i = 0;
    for (; i + full <= t->m; i += full)
        NAME(tile)(t, NAME(row)(t, a, i), b, c + i * t->ldc, bias, full, vecs);
    if (vecs == 1 && i + ROWS <= t->m) {
        NAME(tile)(t, NAME(row)(t, a, i), b, c + i * t->ldc, bias, ROWS, vecs);
        i += ROWS;
    }
    if (i + ROWS / 2 <= t->m) {
        NAME(tile)(t, NAME(row)(t, a, i), b, c + i * t->ldc, bias, ROWS / 2, vecs);
        i += ROWS / 2;
    }
    for (; i + 2 <= t->m; i += 2)
        NAME(tile)(t, NAME(row)(t, a, i), b, c + i * t->ldc, bias, 2, vecs);
    if (i < t->m)
        NAME(tile)(t, NAME(row)(t, a, i), b, c + i * t->ldc, bias, 1, vecs);
}

static TARGET void NAME(panels)(const struct tile *t, const float *a, const float *b, float *c,
                                const float *bias, size_t vecs)
{
    if (vecs == 1)
        NAME(panel)(t, a, b, c, bias, 1);
    else if (vecs == 2)
        NAME(panel)(t, a, b, c, bias, 2);
#if VECS > 2
    else
        NAME(panel)(t, a, b, c, bias, 3);
#endif
}

/* to = strips of ROWS rows, each k x ROWS numbers, of the m columns of `from` (k rows, ld). */
static TARGET void NAME(strips)(float *to, const float *from, size_t ld, size_t m, size_t k)
{
    for (; m >= ROWS; m -= ROWS, from += ROWS, to += k * ROWS)
        for (size_t p = 0; p < k; p++)
            memcpy(to + p * ROWS, from + p * ld, ROWS * sizeof *to);
    for (size_t p = 0; p < k; p++)
        for (size_t r = 0; r < m; r++)
            to[p * ROWS + r] = from[p * ld + r];
}

#undef LANES
#undef AT
#undef GET
#undef NAME
#undef TARGET
#undef V
#undef FMA
#undef SET
#undef GET_CUT
#undef PUT_CUT
#undef ROWS
#undef VECS
