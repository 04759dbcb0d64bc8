/* matrix/kernel_loops.h - the loops of kernel.c, included once for each type: no guard.
 *
 * The includer defines T (float or double), VEC (a vector of N of them), TIMES and TRANSPOSED (the
 * names).  EACH_w(DO) writes DO(0) .. DO(w-1) out, so that every sum has a register; the compiler
 * keeps an array of them in memory.
 */

/* `W` vectors from column c on: sums go on from what y holds, so tiles keep their order. */
#define GATHER(W)                                                                                  \
    {                                                                                              \
        T *at = out + c;                                                                           \
        EACH_##W(LOAD);                                                                            \
        for (size_t e = begin; e < end; e++) {                                                     \
            const T *row = v + (size_t)x->idx[e] * k + c;                                          \
            T a = x->val[e];                                                                       \
            EACH_##W(ADD);                                                                         \
        }                                                                                          \
        EACH_##W(STORE);                                                                           \
        c += (W)*N;                                                                                \
    }

CM_CLONES void TIMES(const struct cm_csr *x, const struct cm_tiles *tiles, size_t r0, size_t r1,
                     const T *v, size_t k, T *y, size_t ldy)
{
    enum { N = sizeof(VEC) / sizeof(T), AHEAD = 4 };
    for (size_t t = 0; t < tiles->n; t++) {
        const uint32_t *from = tiles->from + t * x->rows, *to = from + x->rows;
        for (size_t i = r0; i < r1; i++) {
            size_t c = 0, begin = x->ptr[i] + from[i], end = x->ptr[i] + to[i];
            if (i + AHEAD < r1) {
                size_t soon = x->ptr[i + AHEAD] + from[i + AHEAD];
                __builtin_prefetch(x->idx + soon);
                __builtin_prefetch(x->val + soon);
            }
            T *out = y + i * ldy;
            while (c + 8 * N <= k)
                GATHER(8)
            if (c + 4 * N <= k)
                GATHER(4)
            if (c + 2 * N <= k)
                GATHER(2)
            if (c + N <= k)
                GATHER(1)
            if (c < k)
                for (size_t e = begin; e < end; e++)
                    for (size_t d = c; d < k; d++)
                        out[d] += (T)x->val[e] * v[(size_t)x->idx[e] * k + d];
        }
    }
}

/* `W` vectors of one row of b, from column c on, into the rows of y that the entries name. */
#define SCATTER(W)                                                                                 \
    {                                                                                              \
        const T *at = in + c;                                                                      \
        EACH_##W(LOAD);                                                                            \
        for (size_t e = begin; e < end; e++) {                                                     \
            T *row = y + (size_t)x->idx[e] * k + c;                                                \
            T a = x->val[e];                                                                       \
            EACH_##W(PUT);                                                                         \
        }                                                                                          \
        c += (W)*N;                                                                                \
    }

CM_CLONES void TRANSPOSED(const struct cm_csr *x, const struct cm_tiles *tiles, size_t t,
                          const T *b, size_t k, size_t ldb, T *y)
{
    enum { N = sizeof(VEC) / sizeof(T), AHEAD = 4 };
    const uint32_t *from = tiles->from + t * x->rows, *to = from + x->rows;
    for (size_t i = 0; i < x->rows; i++) {
        size_t c = 0, begin = x->ptr[i] + from[i], end = x->ptr[i] + to[i];
        if (i + AHEAD < x->rows) {
            size_t soon = x->ptr[i + AHEAD] + from[i + AHEAD];
            __builtin_prefetch(x->idx + soon);
            __builtin_prefetch(x->val + soon);
        }
        const T *in = b + i * ldb;
        while (c + 8 * N <= k)
            SCATTER(8)
        if (c + 4 * N <= k)
            SCATTER(4)
        if (c + 2 * N <= k)
            SCATTER(2)
        if (c + N <= k)
            SCATTER(1)
        if (c < k)
            for (size_t e = begin; e < end; e++)
                for (size_t d = c; d < k; d++)
                    y[(size_t)x->idx[e] * k + d] += (T)x->val[e] * in[d];
    }
}

#undef GATHER
#undef SCATTER
#undef T
#undef VEC
#undef TIMES
#undef TRANSPOSED
