/* matrix/kernel_loops.h - the loops of kernel.c, included once for each type: no guard.
 *
 * The includer defines T (float or double), VEC and HALF (vectors of them), TIMES and TRANSPOSED
 * (the names).  EACH_w(DO, V) writes DO(0, V) .. DO(w-1, V) out, so that every sum has a register;
 * the compiler keeps an array of them in memory.
 */

#define SIZE(V) (sizeof(V) / sizeof(T))

/* EACH entry e of a row in this tile, a line of the cache at a time; meanwhile as many of a row to
 * come are fetched, because a row's part of a tile is too short a stream for the processor to see.
 */
#define SWEEP(EACH)                                                                                \
    {                                                                                              \
        size_t e = begin;                                                                          \
        for (; end - e >= LINE; soon += LINE) {                                                    \
            if (soon < later)                                                                      \
                FETCH                                                                              \
            _Pragma("GCC unroll 4") for (size_t g = 0; g < LINE; g++, e++) EACH                    \
        }                                                                                          \
        for (; e < end; e++)                                                                       \
            EACH                                                                                   \
    }

/* The line at soon. */
#define FETCH                                                                                      \
    {                                                                                              \
        __builtin_prefetch(idx + soon, 0, 2);                                                      \
        __builtin_prefetch(val + soon, 0, 2);                                                      \
    }

/* `W` vectors from column c on: sums go on from what y holds, so tiles keep their order. */
#define GATHER(W, V)                                                                               \
    {                                                                                              \
        T *at = out + c;                                                                           \
        EACH_##W(LOAD, V);                                                                         \
        SWEEP({                                                                                    \
            const T *row = v + (size_t)idx[e] * k + c;                                             \
            T a = val[e];                                                                          \
            EACH_##W(ADD, V);                                                                      \
        })                                                                                         \
        EACH_##W(STORE, V);                                                                        \
        c += (W)*SIZE(V);                                                                          \
    }

CM_FAST_CLONES void TIMES(const struct cm_csr *x, const struct cm_tiles *tiles, size_t r0,
                          size_t r1, const T *v, size_t k, T *y, size_t ldy)
{
    const uint32_t *idx = x->idx;
    const float *val = x->val;
    for (size_t t = 0; t < tiles->n; t++) {
        const uint32_t *from = tiles->from + t * x->rows, *to = from + x->rows;
        for (size_t i = r0; i < r1; i++) {
            size_t c = 0, begin = x->ptr[i] + from[i], end = x->ptr[i] + to[i];
            size_t next = i + AHEAD < r1 ? i + AHEAD : r1 - 1;
            size_t soon = x->ptr[next] + from[next], later = x->ptr[next] + to[next];
            T *out = y + i * ldy;
            while (c + 4 * SIZE(VEC) <= k)
                GATHER(4, VEC)
            if (c + 2 * SIZE(VEC) <= k)
                GATHER(2, VEC)
            if (c + SIZE(VEC) <= k)
                GATHER(1, VEC)
            if (c + SIZE(HALF) <= k)
                GATHER(1, HALF)
            for (; soon < later; soon += LINE)
                FETCH
            if (c < k)
                for (size_t e = begin; e < end; e++)
                    for (size_t d = c; d < k; d++)
                        out[d] += (T)val[e] * v[(size_t)idx[e] * k + d];
        }
    }
}

/* `W` vectors of one row of b, from column c on, into the rows of y that the entries name. */
#define SCATTER(W, V)                                                                              \
    {                                                                                              \
        const T *at = in + c;                                                                      \
        EACH_##W(LOAD, V);                                                                         \
        SWEEP({                                                                                    \
            T *row = y + (size_t)idx[e] * k + c;                                                   \
            T a = val[e];                                                                          \
            EACH_##W(PUT, V);                                                                      \
        })                                                                                         \
        c += (W)*SIZE(V);                                                                          \
    }

CM_FAST_CLONES void TRANSPOSED(const struct cm_csr *x, const struct cm_tiles *tiles, size_t t,
                               size_t r0, size_t r1, const T *b, size_t k, size_t ldb, T *y)
{
    const uint32_t *idx = x->idx;
    const float *val = x->val;
    const uint32_t *from = tiles->from + t * x->rows, *to = from + x->rows;
    for (size_t i = r0; i < r1; i++) {
        size_t c = 0, begin = x->ptr[i] + from[i], end = x->ptr[i] + to[i];
        size_t next = i + AHEAD < r1 ? i + AHEAD : r1 - 1;
        size_t soon = x->ptr[next] + from[next], later = x->ptr[next] + to[next];
        const T *in = b + i * ldb;
        while (c + 4 * SIZE(VEC) <= k)
            SCATTER(4, VEC)
        if (c + 2 * SIZE(VEC) <= k)
            SCATTER(2, VEC)
        if (c + SIZE(VEC) <= k)
            SCATTER(1, VEC)
        if (c + SIZE(HALF) <= k)
            SCATTER(1, HALF)
        for (; soon < later; soon += LINE)
            FETCH
        if (c < k)
            for (size_t e = begin; e < end; e++)
                for (size_t d = c; d < k; d++)
                    y[(size_t)idx[e] * k + d] += (T)val[e] * in[d];
    }
}

#undef SIZE
#undef SWEEP
#undef FETCH
#undef GATHER
#undef SCATTER
#undef T
#undef VEC
#undef HALF
#undef TIMES
#undef TRANSPOSED
