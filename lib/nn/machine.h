/* nn/machine.h - which vectors this processor has (private to this directory).
 *
 * Kernels are written once, in a header without a guard, and included for AVX-512, for AVX2 with
 * FMA and for any machine; the function that runs is chosen when it is called.  Fused multiply-add
 * is asked for by name: AVX-512 and AVX2 give the same bits, the portable kernels others.
 */
#ifndef CM_NN_MACHINE_H
#define CM_NN_MACHINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#if defined(__x86_64__) && defined(__GNUC__)
#define CM_X86 1
#include <immintrin.h>
#endif

enum cm_machine { CM_AVX512, CM_AVX2, CM_PORTABLE, CM_MACHINES };

static inline bool cm_machine_has(enum cm_machine which)
{
#ifdef CM_X86
    if (which == CM_AVX512)
        return __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("fma");
    if (which == CM_AVX2)
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma");
#endif
    return which == CM_PORTABLE;
}

static inline enum cm_machine cm_machine(void)
{
    return cm_machine_has(CM_AVX512) ? CM_AVX512 : cm_machine_has(CM_AVX2) ? CM_AVX2 : CM_PORTABLE;
}

#define CM_ANYWHERE aligned(4), may_alias

/* Vectors of floats and of int32 that may begin anywhere, and their first n numbers. */
#ifdef CM_X86
typedef float cm_f512 __attribute__((vector_size(64), CM_ANYWHERE));
typedef int32_t cm_i512 __attribute__((vector_size(64), CM_ANYWHERE));
typedef float cm_f256 __attribute__((vector_size(32), CM_ANYWHERE));
typedef int32_t cm_i256 __attribute__((vector_size(32), CM_ANYWHERE));

#define CM_TARGET_512       __attribute__((target("avx512f,fma")))
#define CM_FMA_512(a, b, c) ((cm_f512)_mm512_fmadd_ps((__m512)(a), (__m512)(b), (__m512)(c)))
#define CM_FIRST_512(n)     ((__mmask16)((1u << (n)) - 1))
#define CM_GET_512(p, n)    ((cm_f512)_mm512_maskz_loadu_ps(CM_FIRST_512(n), (p)))
#define CM_PUT_512(p, n, r) _mm512_mask_storeu_ps((p), CM_FIRST_512(n), (__m512)(r))

/* The first n numbers of p, then those of `rest`. */
#define CM_OR_512(p, n, rest) ((cm_f512)_mm512_mask_loadu_ps((__m512)(rest), CM_FIRST_512(n), (p)))
#define CM_SUM_512(parts)     _mm512_reduce_add_ps((__m512)(parts)[0])
#define CM_MAX_512(parts)     _mm512_reduce_max_ps((__m512)(parts)[0])

#define CM_TARGET_256       __attribute__((target("avx2,fma")))
#define CM_FMA_256(a, b, c) ((cm_f256)_mm256_fmadd_ps((__m256)(a), (__m256)(b), (__m256)(c)))
#define CM_GET_256(p, n)    ((cm_f256)_mm256_maskload_ps((p), cm_first_of_8(n)))
#define CM_PUT_256(p, n, r) _mm256_maskstore_ps((p), cm_first_of_8(n), (__m256)(r))
__attribute__((target("avx2"), always_inline)) static inline __m256i cm_first_of_8(size_t n)
{
    return _mm256_cmpgt_epi32(_mm256_set1_epi32((int)n), _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
#define CM_OR_256(p, n, rest)                                                                      \
    ((cm_f256)_mm256_blendv_ps((__m256)(rest), _mm256_maskload_ps((p), cm_first_of_8(n)),          \
                               _mm256_castsi256_ps(cm_first_of_8(n))))
#define CM_SUM_256(parts) cm_sum_of_8(_mm256_add_ps((__m256)(parts)[0], (__m256)(parts)[1]))
#define CM_MAX_256(parts) cm_max_of_8(_mm256_max_ps((__m256)(parts)[0], (__m256)(parts)[1]))
__attribute__((target("avx2"), always_inline)) static inline float cm_sum_of_8(__m256 v)
{
    __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_add_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_add_ss(s, _mm_shuffle_ps(s, s, 1)));
}
__attribute__((target("avx2"), always_inline)) static inline float cm_max_of_8(__m256 v)
{
    __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
    s = _mm_max_ps(s, _mm_movehl_ps(s, s));
    return _mm_cvtss_f32(_mm_max_ss(s, _mm_shuffle_ps(s, s, 1)));
}
#endif

typedef float cm_f128 __attribute__((vector_size(16), CM_ANYWHERE));
typedef int32_t cm_i128 __attribute__((vector_size(16), CM_ANYWHERE));
#define CM_FMA_128(a, b, c) ((a) * (b) + (c))
#define CM_GET_128(p, n)    cm_first_of_4(p, n)
#define CM_PUT_128(p, n, r) memcpy((p), &(r), (n) * sizeof *(p))
static inline cm_f128 cm_first_of_4(const float *p, size_t n)
{
    cm_f128 r = {0};
    memcpy(&r, p, n * sizeof *p);
    return r;
}
#define CM_OR_128(p, n, rest) cm_first_or(p, n, rest)
static inline cm_f128 cm_first_or(const float *p, size_t n, cm_f128 rest)
{
    memcpy(&rest, p, n * sizeof *p);
    return rest;
}
#define CM_SUM_128(parts) cm_sum_of_4(((parts)[0] + (parts)[2]) + ((parts)[1] + (parts)[3]))
static inline float cm_sum_of_4(cm_f128 s) { return (s[0] + s[2]) + (s[1] + s[3]); }
#define CM_MAX_128(parts) cm_max_of_16((const float *)(parts))
static inline float cm_max_of_16(const float *x)
{
    float max = x[0];
    for (int i = 1; i < 16; i++)
        max = x[i] > max ? x[i] : max;
    return max;
}

#endif
