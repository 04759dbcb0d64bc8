/* links/significance.c - p and q of many correlations, as logarithms. */
#include "links/significance.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/mem.h"

double cm_normal_log_p(double z)
{
    double x = fabs(z) / sqrt(2);
    if (x < 20) /* where erfc is far above the smallest double */
        return log(erfc(x));
    /* erfc(x) = exp(-x^2) / (x sqrt(pi)) (1 - 1/(2x^2) + 3/(4x^4) - 15/(8x^6) + ...) */
    double term = 1, sum = 1, step = 1 / (2 * x * x);
    for (int k = 1; k < 10; k++) {
        term *= -(2 * k - 1) * step;
        sum += term;
    }
    return -x * x - log(x * sqrt(acos(-1))) + log(sum);
}

struct ranked {
    double log_p;
    uint64_t at;
};

static int by_p(const void *pa, const void *pb)
{
    const struct ranked *a = pa, *b = pb;
    if (a->log_p < b->log_p || a->log_p > b->log_p)
        return a->log_p < b->log_p ? -1 : 1;
    return a->at < b->at ? -1 : a->at > b->at;
}

void cm_log_q(double *log_q, const double *log_p, size_t n)
{
    struct ranked *r = CM_NEW(n, struct ranked);
    for (size_t i = 0; i < n; i++)
        r[i] = (struct ranked){log_p[i], i};
    qsort(r, n, sizeof *r, by_p);
    double min = 0;
    for (size_t i = n; i-- > 0;) {
        min = fmin(min, r[i].log_p + log((double)n / (double)(i + 1)));
        log_q[r[i].at] = min;
    }
    cm_free(r);
}

const char *cm_format_exp(double v, char buf[CM_NUMBER_MAX])
{
    if (v > -690) {
        snprintf(buf, CM_NUMBER_MAX, "%.6g", exp(v));
        return buf;
    }
    double decimal = v / log(10), exponent = floor(decimal);
    char digits[CM_NUMBER_MAX];
    snprintf(digits, sizeof digits, "%.6g", pow(10, decimal - exponent));
    if (digits[1] == '0') /* 10 */
        snprintf(buf, CM_NUMBER_MAX, "1e%.0f", exponent + 1);
    else
        snprintf(buf, CM_NUMBER_MAX, "%.10se%.0f", digits, exponent);
    return buf;
}
