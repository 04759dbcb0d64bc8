/* nn/count.c - the likelihood of counts: negative binomial around a softmax.
 *
 * A decoder over 100,000 features is asked for every cell, of which a few hundred are not
 * zero; logarithms of gamma functions for all of them would cost more than the network.  So there
 * is one pass with the formula of x = 0, for all features alike, then corrections at the entries
 * that are stored.  Small whole counts, which are nearly all, take Gamma(x + t) / Gamma(t) as the
 * product t (t + 1) ... (t + x - 1), its logarithm's derivative as the sum of 1 / (t + i): exact,
 * and no special function.  The mean is m_j = l p_j with p the softmax, so its logarithm is taken
 * from the logits, and a p that underflows costs no digits.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "nn/vec.h"

#define WHOLE 32 /* whole counts up to here are products */

#ifdef CM_REAL_DOUBLE
#define REAL_LOG1P log1p
#else
#define REAL_LOG1P log1pf
#endif

/* psi(x), x > 0: recurrence up to 10, then the asymptotic series (Abramowitz and Stegun 6.3.18). */
double cm_digamma(double x)
{
    double sum = 0;
    for (; x < 10; x += 1)
        sum -= 1 / x;
    double r = 1 / (x * x);
    return sum + log(x) - .5 / x -
           r * (1. / 12 - r * (1. / 120 - r * (1. / 252 - r * (1. / 240 - r * (1. / 132)))));
}

/* *ratio = ln Gamma(x + t) - ln Gamma(t) - ln Gamma(x + 1), *slope = its derivative in t. */
static void gammas(double x, double t, double *ratio, double *slope)
{
    int sign;
    if (x <= WHOLE && x == floor(x)) {
        double product = 1, sum = 0;
        *ratio = 0;
        for (int i = 0; i < (int)x; i++) { /* the product is renewed before it can overflow */
            product *= (t + i) / (i + 1);
            sum += 1 / (t + i);
            if (i % 8 == 7) {
                *ratio += log(product);
                product = 1;
            }
        }
        *ratio += log(product);
        *slope = sum;
        return;
    }
    *ratio = lgamma_r(x + t, &sign) - lgamma_r(t, &sign) - lgamma_r(x + 1, &sign);
    *slope = cm_digamma(x + t) - cm_digamma(t);
}

size_t cm_negbin_scratch(size_t d) { return 2 * d; }

double cm_negbin(cm_real *dlogits, cm_real *dlog_theta, const cm_real *logits, const cm_real *theta,
                 const uint32_t *idx, const float *x, size_t n, size_t d, double weight,
                 cm_real *scratch)
{
    cm_real *p = scratch, *grow = p + d, max = d ? logits[0] : 0; /* grow = ln(1 + m / theta) */
    double total = 0, sum = 0;
    for (size_t e = 0; e < n; e++)
        total += (double)x[e];
    if (!(total > 0))
        return 0;
    for (size_t j = 1; j < d; j++)
        max = logits[j] > max ? logits[j] : max;
    for (size_t j = 0; j < d; j++)
        p[j] = logits[j] - max;
    cm_exp_all(p, d);
    for (size_t j = 0; j < d; j++)
        sum += (double)p[j];
    double log_mean = log(total) - log(sum) - (double)max; /* ln m_j = logit_j + log_mean */
    cm_real scale = (cm_real)(total / sum), share = (cm_real)(1 / sum);

    /* pull = sum over j of d log p / d ln m_j */
    double loss = 0, pull = 0;
    for (size_t j = 0; j < d; j++) {
        cm_real t = theta[j], m = p[j] * scale;
        grow[j] = REAL_LOG1P(m / t);
        loss += (double)(t * grow[j]);
        pull -= (double)(t * m / (t + m));
    }
    for (size_t e = 0; e < n; e++) {
        size_t j = idx[e];
        double t = (double)theta[j], c = (double)x[e], m = (double)(p[j] * scale), ratio, slope;
        if (c == 0)
            continue;
        gammas(c, t, &ratio, &slope);
        loss -= ratio + c * ((double)logits[j] + log_mean - log(t) - (double)grow[j]);
        pull += c * t / (t + m);
        if (dlogits)
            dlogits[j] -= (cm_real)(weight * c * t / (t + m));
        if (dlog_theta)
            dlog_theta[j] -= (cm_real)(weight * t * (slope - c / (t + m)));
    }
    cm_real w = (cm_real)weight, back = (cm_real)pull * share;
    for (size_t j = 0; dlogits && j < d; j++) {
        cm_real t = theta[j], m = p[j] * scale;
        dlogits[j] += w * (t * m / (t + m) + p[j] * back);
    }
    for (size_t j = 0; dlog_theta && j < d; j++) {
        cm_real t = theta[j], m = p[j] * scale;
        dlog_theta[j] += w * t * (grow[j] - m / (t + m));
    }
    return weight * loss;
}
