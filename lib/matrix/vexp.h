/* matrix/vexp.h - exponentials of many floats at once.
 *
 * Softmax over a million candidates is nothing but exp, and the C library takes 5 ns for each.
 * Here: vectors of 64 bytes, x = n ln 2 + r by the reduction of Cody and Waite, a polynomial in r
 * (in float that of Cephes' expf, in double the series to r^11), in plain operations (no fused
 * multiply-add), so that AVX-512, AVX2 and portable code give the same bits.  Relative error 2e-7
 * in float, 1e-14 in double.  Sums are in double, in a fixed order.
 */
#ifndef CM_MATRIX_VEXP_H
#define CM_MATRIX_VEXP_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* x (n) = exp(x) for x <= 0, and returns the sum.  Below -104 the result is 0. */
double cm_exp_below(float *x, size_t n);

/* Sum of exp(x - max), x <= max; below -708 a term is 0. */
double cm_exp_sum(const double *x, size_t n, double max);

/* x (n) = tanh(x), to 1e-14, and to 2e-7. */
void cm_tanh(double *x, size_t n);
void cm_tanh_float(float *x, size_t n);

/* For each column j of s (rows x cols, ld >= cols), with s_ij <= max_j: sum_j += the sum over i of
 * exp(factor (s_ij - max_j)), in double; factor >= 0. */
void cm_exp_column_sums(const float *s, size_t rows, size_t cols, size_t ld, double factor,
                        const float *max, double *sum);

/* max (cols) = the larger of max and the column's entries. */
void cm_column_max(const float *s, size_t rows, size_t cols, size_t ld, float *max);

#ifdef __cplusplus
}
#endif
#endif
