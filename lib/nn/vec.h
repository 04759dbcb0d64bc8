/* nn/vec.h - vectors of cm_real, and loops shared by the layers (private to this directory).
 *
 * GCC's vector types of 32 bytes; functions marked CM_CLONES are compiled for AVX2 and for the
 * plain machine and chosen when the program starts.  Lanes are added in a fixed order and nothing
 * is fused, so both give the same bits.  Vectors never cross a function boundary by value: their
 * calling convention would differ between the two.
 */
#ifndef CM_NN_VEC_H
#define CM_NN_VEC_H

#include "base/clones.h"
#include "nn/machine.h"
#include "nn/nn.h"

#ifdef __clang__ /* fuses by default, gcc -std=c11 does not */
#pragma STDC FP_CONTRACT OFF
#endif

#define CM_INLINE static inline __attribute__((always_inline))

/* Unaligned: rows begin anywhere. */
typedef cm_real cm_vec __attribute__((vector_size(32), aligned(__alignof__(cm_real)), may_alias));
enum { CM_LANES = sizeof(cm_vec) / sizeof(cm_real) };

#define CM_VEC(p)  (*(cm_vec *)(p))
#define CM_CVEC(p) (*(const cm_vec *)(p))

/* Half of a vector. */
typedef cm_real cm_half __attribute__((vector_size(16), aligned(__alignof__(cm_real)), may_alias));
enum { CM_HALF = sizeof(cm_half) / sizeof(cm_real) };

/* Sum of the lanes: halves, and halves of these. */
CM_INLINE cm_real cm_lanes_sum(const cm_vec *v)
{
    const cm_real *p = (const cm_real *)v;
    cm_half s = *(const cm_half *)p + *(const cm_half *)(p + CM_HALF);
#ifdef CM_REAL_DOUBLE
    return s[0] + s[1];
#else
    return (s[0] + s[2]) + (s[1] + s[3]);
#endif
}

/* y (n) += a x (n) */
CM_INLINE void cm_axpy(cm_real *y, cm_real a, const cm_real *x, size_t n)
{
    size_t i = 0;
    for (; i + CM_LANES <= n; i += CM_LANES)
        CM_VEC(y + i) += a * CM_CVEC(x + i);
    for (; i < n; i++)
        y[i] += a * x[i];
}

/* y (n) += x (n) */
CM_INLINE void cm_add_to(cm_real *y, const cm_real *x, size_t n)
{
    size_t i = 0;
    for (; i + CM_LANES <= n; i += CM_LANES)
        CM_VEC(y + i) += CM_CVEC(x + i);
    for (; i < n; i++)
        y[i] += x[i];
}

/* Private functions that one file of the room lends to another. */

/* din (N x I) = dout (N x O) w' + beta din */
void cm_linear_din(cm_real *din, int beta, const cm_real *dout, const cm_real *w, size_t N,
                   size_t I, size_t O);
/* sum (n) += the rows of x (N x n) */
void cm_column_sums(cm_real *sum, const cm_real *x, size_t N, size_t n);
/* y (n) += x (n), compiled for the machine */
void cm_accumulate(cm_real *y, const cm_real *x, size_t n);
#ifndef CM_REAL_DOUBLE
/* cm_softmax_rows by one set of kernels, for tests */
void cm_softmax_rows_by(enum cm_machine which, float *x, size_t N, size_t C);
#endif
/* d (n) *= f'(in) */
void cm_act_gradient(cm_real *d, const cm_real *in, size_t n, enum cm_activation kind,
                     double slope);
/* Elements from..from+n-1 of one cell's dropout: out = in under the mask; with add, out += . */
void cm_dropout_range(cm_real *out, const cm_real *in, size_t from, size_t n,
                      const struct cm_dropout *d, uint32_t row, bool add);
/* cm_attend_backward, its dq, dk, dv overwritten when beta is 0. */
void cm_attend_back(cm_real *dq, cm_real *dk, cm_real *dv, const cm_real *dout, const cm_real *prob,
                    const cm_real *q, size_t ldq, const cm_real *k, size_t ldk, const cm_real *v,
                    size_t ldv, size_t L, size_t M, size_t P, size_t H,
                    const struct cm_dropout *drop, int beta, cm_real *scratch);

#endif
