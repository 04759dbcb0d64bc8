/* matrix/vexp.c - exp in vectors.  See matrix/vexp.h. */
#include "matrix/vexp.h"

#include <stdint.h>
#include <string.h>

#include "base/clones.h"

#ifdef __clang__ /* fuses by default, gcc -std=c11 does not */
#pragma STDC FP_CONTRACT OFF
#endif
#define INLINE static inline __attribute__((always_inline))

enum { LANES = 16 };
typedef float wide __attribute__((vector_size(64)));
typedef int32_t bits __attribute__((vector_size(64)));
typedef float loose __attribute__((vector_size(64), aligned(4), may_alias));

typedef double wide_d __attribute__((vector_size(64)));
typedef int64_t bits_d __attribute__((vector_size(64)));
typedef float half __attribute__((vector_size(32)));
enum { LANES_D = 8 };

/* In place; x <= 0.  2^n in two halves, so that subnormal numbers come out right. */
INLINE void exp_lanes(wide *p)
{
    const float magic = 0x1.8p23f; /* adding it rounds to a whole number, in the lowest bits */
    const wide low = (wide){0} - 104.f;
    wide x = *p;
    bits under = x < low;
    x = (wide)((under & (bits)low) | (~under & (bits)x));
    wide shifted = x * 1.44269504088896341f + magic, whole = shifted - magic;
    wide r = x - whole * 0.693359375f;
    r = r - whole * -2.12194440e-4f;
    wide y = r * 1.9875691500e-4f + 1.3981999507e-3f;
    y = y * r + 8.3334519073e-3f;
    y = y * r + 4.1665795894e-2f;
    y = y * r + 1.6666665459e-1f;
    y = y * r + 5.0000001201e-1f;
    y = y * (r * r) + (r + 1.f);
    bits n = (bits)shifted - 0x4b400000; /* the bits of the magic number itself */
    bits part = n >> 1;
    *p = (wide)(~under & (bits)(y * (wide)((part + 127) << 23) * (wide)((n - part + 127) << 23)));
}

/* In place; x <= 0; what would be subnormal is 0. */
INLINE void exp_lanes_d(wide_d *p)
{
    const double magic = 0x1.8p52;
    wide_d x = *p;
    bits_d under = x < -708.0;
    wide_d shifted = x * 1.4426950408889634074 + magic, whole = shifted - magic;
    wide_d r = x - whole * 6.93145751953125e-1;
    r = r - whole * 1.42860682030941723212e-6;
    wide_d y = r * (1 / 39916800.0) + 1 / 3628800.0;
    y = y * r + 1 / 362880.0;
    y = y * r + 1 / 40320.0;
    y = y * r + 1 / 5040.0;
    y = y * r + 1 / 720.0;
    y = y * r + 1 / 120.0;
    y = y * r + 1 / 24.0;
    y = y * r + 1 / 6.0;
    y = y * r + 0.5;
    y = y * (r * r) + (r + 1.0);
    bits_d n = (bits_d)shifted - 0x4338000000000000;
    *p = (wide_d)(~under & (bits_d)(y * (wide_d)((n + 1023) << 52)));
}

INLINE double lanes_sum(const wide *x)
{
    double s = 0;
    for (int k = 0; k < LANES; k++)
        s += (double)(*x)[k];
    return s;
}

CM_FAST_CLONES double cm_exp_below(float *x, size_t n)
{
    double sum = 0;
    size_t at = 0;
    for (; at + LANES <= n; at += LANES) {
        wide v = *(loose *)(x + at);
        exp_lanes(&v);
        *(loose *)(x + at) = v;
        sum += lanes_sum(&v);
    }
    if (at < n) {
        wide v = (wide){0} - 1000.f;
        memcpy(&v, x + at, (n - at) * sizeof *x);
        exp_lanes(&v);
        memcpy(x + at, &v, (n - at) * sizeof *x);
        sum += lanes_sum(&v);
    }
    return sum;
}

CM_FAST_CLONES double cm_exp_sum(const double *x, size_t n, double max)
{
    wide_d sum = {0};
    for (size_t at = 0; at < n; at += LANES_D) {
        size_t some = n - at < LANES_D ? n - at : LANES_D;
        wide_d v = (wide_d){0} + (max - 1000);
        memcpy(&v, x + at, some * sizeof *x);
        v -= max;
        exp_lanes_d(&v);
        sum += v;
    }
    double all = 0;
    for (int k = 0; k < LANES_D; k++)
        all += sum[k];
    return all;
}

/* tanh|x| = (1 - t) / (1 + t), t = exp(-2|x|); near 0 the difference keeps its absolute error. */
CM_FAST_CLONES void cm_tanh(double *x, size_t n)
{
    for (size_t at = 0; at < n; at += LANES_D) {
        size_t some = n - at < LANES_D ? n - at : LANES_D;
        wide_d v = {0}, t;
        memcpy(&v, x + at, some * sizeof *x);
        bits_d sign = (bits_d)v & INT64_MIN;
        t = (wide_d)((bits_d)v & INT64_MAX) * -2.0;
        exp_lanes_d(&t);
        t = (1.0 - t) / (1.0 + t);
        t = (wide_d)((bits_d)t | sign);
        memcpy(x + at, &t, some * sizeof *x);
    }
}

CM_FAST_CLONES void cm_tanh_float(float *x, size_t n)
{
    for (size_t at = 0; at < n; at += LANES) {
        size_t some = n - at < LANES ? n - at : LANES;
        wide v = {0}, t;
        if (some == LANES)
            v = *(loose *)(x + at);
        else
            memcpy(&v, x + at, some * sizeof *x);
        bits sign = (bits)v & INT32_MIN;
        t = (wide)((bits)v & INT32_MAX) * -2.f;
        exp_lanes(&t);
        t = (1.f - t) / (1.f + t);
        t = (wide)((bits)t | sign);
        memcpy(x + at, &t, some * sizeof *x);
    }
}

CM_FAST_CLONES void cm_exp_column_sums(const float *s, size_t rows, size_t cols, size_t ld,
                                       double factor, const float *max, double *sum)
{
    for (size_t j = 0; j < cols; j += LANES_D) {
        size_t n = cols - j < LANES_D ? cols - j : LANES_D;
        half top = {0}, f = {0};
        wide_d total = {0};
        memcpy(&top, max + j, n * sizeof *max);
        wide_d wide_max = __builtin_convertvector(top, wide_d);
        for (size_t i = 0; i < rows; i++) {
            if (n == LANES_D)
                memcpy(&f, s + i * ld + j, sizeof f);
            else
                memcpy(&f, s + i * ld + j, n * sizeof *s);
            wide_d v = (__builtin_convertvector(f, wide_d) - wide_max) * factor;
            exp_lanes_d(&v);
            total += v;
        }
        for (size_t k = 0; k < n; k++)
            sum[j + k] += total[k];
    }
}

CM_FAST_CLONES void cm_column_max(const float *s, size_t rows, size_t cols, size_t ld, float *max)
{
    size_t whole = cols / LANES * LANES;
    for (size_t j = 0; j < whole; j += LANES) {
        wide bound = *(const loose *)(max + j);
        for (size_t i = 0; i < rows; i++) {
            wide v = *(const loose *)(s + i * ld + j);
            bits more = v > bound;
            bound = (wide)((more & (bits)v) | (~more & (bits)bound));
        }
        *(loose *)(max + j) = bound;
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t j = whole; j < cols; j++)
            max[j] = s[i * ld + j] > max[j] ? s[i * ld + j] : max[j];
}
