/* nn/wide.h - exp and the normal distribution in vectors of 64 bytes (private to this directory).
 *
 * The C library's exp, one number at a time, took 30-50 % of an attention step.  This is
 * the classical reduction exp(x) = 2^n exp(r), |r| <= ln 2 / 2, n ln 2 subtracted in two parts
 * (Cody and Waite), the polynomial of Cephes' expf, and 2^n built from bits.  The normal
 * distribution, for GELU, comes from the same exp: Phi(-x) = exp(-x^2/2) t Q(t) / 2 with
 * t = 1 / (1 + .35 x / sqrt 2), x >= 0, Q our own fit of relative error 1e-8.  Plain operations, no
 * fused multiply-add: AVX-512, AVX2 and the portable code, chosen when the program starts, give the
 * same bits.  In double (the gradient checks) the library does the work.  Rejected: intrinsics,
 * tables, and the tanh form of GELU, which differs in the fourth digit.
 */
#ifndef CM_NN_WIDE_H
#define CM_NN_WIDE_H

#include <math.h>

#include "nn/vec.h"

/* Wider than cm_vec: one instruction with AVX-512, two independent ones with AVX2. */
typedef cm_real cm_wide __attribute__((vector_size(64), aligned(__alignof__(cm_real)), may_alias));
enum { CM_WIDE = sizeof(cm_wide) / sizeof(cm_real) };

#define CM_WIDE_AT(p)  (*(cm_wide *)(p))
#define CM_CWIDE_AT(p) (*(const cm_wide *)(p))

/* Sum and maximum of the lanes: halves, and halves of these. */
CM_INLINE cm_real cm_wide_sum(const cm_wide *w)
{
    const cm_real *p = (const cm_real *)w;
    cm_vec s = CM_CVEC(p) + CM_CVEC(p + CM_LANES);
    return cm_lanes_sum(&s);
}

CM_INLINE cm_real cm_wide_max(const cm_wide *w)
{
    const cm_real *p = (const cm_real *)w;
    cm_vec a = CM_CVEC(p), b = CM_CVEC(p + CM_LANES);
    __typeof__(b > a) more = b > a;
    a = (cm_vec)((more & (__typeof__(more))b) | (~more & (__typeof__(more))a));
    cm_real max = a[0];
    for (int j = 1; j < CM_LANES; j++)
        max = a[j] > max ? a[j] : max;
    return max;
}

#ifdef CM_REAL_DOUBLE

CM_INLINE void cm_exp_lanes(cm_wide *x)
{
    for (int i = 0; i < CM_WIDE; i++)
        (*x)[i] = exp((*x)[i]);
}
#define cm_exp_lanes_below cm_exp_lanes

/* phi = Phi(x), the normal distribution function, and density = its derivative. */
CM_INLINE void cm_normal_lanes(cm_wide *phi, cm_wide *density, const cm_wide *x)
{
    for (int i = 0; i < CM_WIDE; i++) {
        (*phi)[i] = 0.5 * (1 + erf((*x)[i] * M_SQRT1_2));
        (*density)[i] = 0.5 * M_2_SQRTPI * M_SQRT1_2 * exp(-0.5 * (*x)[i] * (*x)[i]);
    }
}

#else

typedef int32_t cm_wide_bits __attribute__((vector_size(64)));
typedef float cm_wide_f __attribute__((vector_size(64)));

#define CM_CHOOSE(mask, a, b)                                                                      \
    ((cm_wide_f)(((mask) & (cm_wide_bits)(a)) | (~(mask) & (cm_wide_bits)(b))))

/* exp(r), with x = n ln 2 + r; *n whole numbers.  |x| < 2^21. */
CM_INLINE void cm_exp_parts(cm_wide_f *y, cm_wide_bits *n, const cm_wide_f *x)
{
    const float magic = 0x1.8p23f; /* adding it rounds to a whole number, in the lowest bits */
    cm_wide_f shifted = *x * 1.44269504088896341f + magic, whole = shifted - magic;
    cm_wide_f r = *x - whole * 0.693359375f;
    r = r - whole * -2.12194440e-4f;
    cm_wide_f p = r * 1.9875691500e-4f + 1.3981999507e-3f;
    p = p * r + 8.3334519073e-3f;
    p = p * r + 4.1665795894e-2f;
    p = p * r + 1.6666665459e-1f;
    p = p * r + 5.0000001201e-1f;
    *y = p * (r * r) + (r + 1.f);
    *n = (cm_wide_bits)shifted - 0x4b400000; /* the bits of the magic number itself */
}

/* The whole range: 2^n in two halves, so that subnormal numbers and infinity come out right. */
CM_INLINE void cm_exp_lanes(cm_wide *p)
{
    const cm_wide_f low = (cm_wide_f){0} - 104.f; /* exp is 0 there */
    const cm_wide_f high = (cm_wide_f){0} + 89.f; /* and here infinity */
    cm_wide_f x = *p, y;
    cm_wide_bits under = (x < low), over = (x > high), n;
    x = CM_CHOOSE(under, low, x);
    x = CM_CHOOSE(over, high, x);
    cm_exp_parts(&y, &n, &x);
    cm_wide_bits half = n >> 1;
    *p = y * (cm_wide_f)((half + 127) << 23) * (cm_wide_f)((n - half + 127) << 23);
}

/* For x <= 0, fewer steps: what would be subnormal is 0. */
CM_INLINE void cm_exp_lanes_below(cm_wide *p)
{
    cm_wide_f x = *p, y;
    cm_wide_bits n, under = x < -87.f; /* false for NaN, which stays */
    cm_exp_parts(&y, &n, &x);
    *p = (cm_wide)(~under & (cm_wide_bits)(y * (cm_wide_f)((n + 127) << 23)));
}

/* phi = Phi(x), the normal distribution function, and density = its derivative. */
CM_INLINE void cm_normal_lanes(cm_wide *phi, cm_wide *density, const cm_wide *x)
{
    cm_wide_f v = *x;
    cm_wide e = v * v * -0.5f;
    cm_exp_lanes_below(&e);
    cm_wide_f t = 1.f / ((cm_wide_f)((cm_wide_bits)v & INT32_MAX) * 0.247487373f + 1.f);
    cm_wide_f q = t * 0.0418462641f - 0.177910054f;
    q = q * t + 0.226790357f;
    q = q * t - 0.0891614737f;
    q = q * t + 0.13903938f;
    q = q * t + 0.117592715f;
    q = q * t + 0.161217088f;
    q = q * t + 0.185707948f;
    q = q * t + 0.197408202f;
    q = q * t + 0.197469584f;
    cm_wide_f tail = e * t * q * 0.5f; /* Phi(-|x|) */
    cm_wide_bits positive = v > 0;
    *phi = CM_CHOOSE(positive, 1.f - tail, tail);
    *density = e * 0.398942280f;
}

#endif

#endif
