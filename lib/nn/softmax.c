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

CM_FAST_CLONES void cm_softmax_rows(cm_real *x, size_t N, size_t C)
{
    size_t whole = C / CM_WIDE * CM_WIDE, rest = C - whole;
    for (size_t i = 0; i < N; i++, x += C) {
        cm_wide tail = (cm_wide){0} - (cm_real)INFINITY;
        memcpy(&tail, x + whole, rest * sizeof *x);
        cm_wide lanes = tail;
        for (size_t j = 0; j < whole; j += CM_WIDE) {
            cm_wide v = CM_CWIDE_AT(x + j);
            __typeof__(v > lanes) more = v > lanes;
            lanes = (cm_wide)((more & (__typeof__(more))v) | (~more & (__typeof__(more))lanes));
        }
        cm_real max = cm_wide_max(&lanes);
        if (max == -(cm_real)INFINITY) { /* nothing may be attended to */
            memset(x, 0, C * sizeof *x);
            continue;
        }
        cm_wide sum = tail - max;
        cm_exp_lanes_below(&sum);
        tail = sum;
        for (size_t j = 0; j < whole; j += CM_WIDE) {
            cm_wide v = CM_CWIDE_AT(x + j) - max;
            cm_exp_lanes_below(&v);
            sum += v;
            CM_WIDE_AT(x + j) = v;
        }
        cm_real scale = 1 / cm_wide_sum(&sum);
        for (size_t j = 0; j < whole; j += CM_WIDE)
            CM_WIDE_AT(x + j) = CM_CWIDE_AT(x + j) * scale;
        tail = tail * scale;
        memcpy(x + whole, &tail, rest * sizeof *x);
    }
}

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
