/* nn/softmax.c - softmax over rows.
 *
 * One row of attention scores is about a hundred numbers, too few to hide a slow beginning or end:
 * three passes over a row that lies in the first cache (maximum; exp and sum; scale), in vectors of
 * 64 bytes, the remainder padded with -inf through the same code.  The lanes are added in a fixed
 * order, so every machine gets the same bits.  Rejected: a running maximum in one pass, which pays
 * for its exp twice.
 */
#include <math.h>
#include <string.h>

#include "nn/machine.h"
#include "nn/wide.h"

CM_FAST_CLONES void cm_exp_all(cm_real *x, size_t n)
{
    size_t whole = n / CM_WIDE * CM_WIDE;
    cm_wide tail = {0};
    for (size_t i = 0; i < whole; i += CM_WIDE)
        cm_exp_lanes(&CM_WIDE_AT(x + i));
    memcpy(&tail, x + whole, (n - whole) * sizeof *x);
    cm_exp_lanes(&tail);
    memcpy(x + whole, &tail, (n - whole) * sizeof *x);
}

#ifdef CM_REAL_DOUBLE

void cm_softmax_rows(cm_real *x, size_t N, size_t C)
{
    for (size_t i = 0; i < N; i++, x += C) {
        double max = -INFINITY, sum = 0;
        for (size_t j = 0; j < C; j++)
            max = x[j] > max ? x[j] : max;
        for (size_t j = 0; j < C; j++)
            sum += x[j] = max == -INFINITY ? 0 : exp(x[j] - max);
        for (size_t j = 0; j < C && sum > 0; j++)
            x[j] /= sum;
    }
}

#else

#ifdef CM_X86
#define NAME(x)          x##_avx512
#define TARGET           CM_TARGET_512
#define V                cm_f512
#define W                cm_i512
#define MUL_ADD(a, b, c) CM_FMA_512(a, b, c)
#define PUT_CUT(p, n, r) CM_PUT_512(p, n, r)
#define GET_OR(p, n, r)  CM_OR_512(p, n, r)
#define SUM_16(parts)    CM_SUM_512(parts)
#define MAX_16(parts)    CM_MAX_512(parts)
#include "nn/softmax_rows.h"
#define NAME(x)          x##_avx2
#define TARGET           CM_TARGET_256
#define V                cm_f256
#define W                cm_i256
#define MUL_ADD(a, b, c) CM_FMA_256(a, b, c)
#define PUT_CUT(p, n, r) CM_PUT_256(p, n, r)
#define GET_OR(p, n, r)  CM_OR_256(p, n, r)
#define SUM_16(parts)    CM_SUM_256(parts)
#define MAX_16(parts)    CM_MAX_256(parts)
#include "nn/softmax_rows.h"
#endif
#define NAME(x) x##_plain
#define TARGET
#define V                cm_f128
#define W                cm_i128
#define MUL_ADD(a, b, c) CM_FMA_128(a, b, c)
#define PUT_CUT(p, n, r) CM_PUT_128(p, n, r)
#define GET_OR(p, n, r)  CM_OR_128(p, n, r)
#define SUM_16(parts)    CM_SUM_128(parts)
#define MAX_16(parts)    CM_MAX_128(parts)
#include "nn/softmax_rows.h"

void cm_softmax_rows_by(enum cm_machine which, float *x, size_t N, size_t C)
{
    static void (*const run[CM_MACHINES])(float *, size_t, size_t) = {
#ifdef CM_X86
        [CM_AVX512] = softmax_avx512,
        [CM_AVX2] = softmax_avx2,
#endif
        [CM_PORTABLE] = softmax_plain,
    };
    run[which](x, N, C);
}

void cm_softmax_rows(cm_real *x, size_t N, size_t C) { cm_softmax_rows_by(cm_machine(), x, N, C); }

#endif

CM_FAST_CLONES void cm_softmax_rows_backward(cm_real *ds, const cm_real *p, size_t N, size_t C)
{
    size_t whole = C / CM_WIDE * CM_WIDE, rest = C - whole;
    for (size_t i = 0; i < N; i++, ds += C, p += C) {
        cm_wide a = {0}, b = {0};
        memcpy(&a, ds + whole, rest * sizeof *ds);
        memcpy(&b, p + whole, rest * sizeof *p);
        cm_wide sum = a * b;
        for (size_t j = 0; j < whole; j += CM_WIDE)
            sum += CM_CWIDE_AT(ds + j) * CM_CWIDE_AT(p + j);
        cm_real dot = cm_wide_sum(&sum);
        for (size_t j = 0; j < whole; j += CM_WIDE)
            CM_WIDE_AT(ds + j) = CM_CWIDE_AT(p + j) * (CM_CWIDE_AT(ds + j) - dot);
        a = b * (a - dot);
        memcpy(ds + whole, &a, rest * sizeof *ds);
    }
}
