/* sim/marginals.c - marginals of a perfect matching: exact where it is small, else by belief
 * propagation (oracle.h). */
#include "sim/oracle.h"

#include <math.h>

#include "base/mem.h"

enum { EXACT = 12 };

/* out[k] = 1 / (sum of all v except v[k]), for n values: sums from both ends, no subtraction. */
static void others(size_t n, const double *v, double *out)
{
    double left = 0, right = 0;
    for (size_t k = 0; k < n; k++) {
        out[k] = left;
        left += v[k];
    }
    for (size_t k = n; k-- > 0;) {
        out[k] = 1 / fmax(out[k] + right, 1e-280);
        right += v[k];
    }
}

static double belief(double odds) { return odds > 1e15 ? 1 : odds / (1 + odds); }

/* Exactly, for few nodes: sums over subsets of columns, of the ways to match the first rows with
 * them (ahead) and the others with the rest (behind).  2^n n steps. */
static void exact_marginals(size_t n, double *w)
{
    size_t sets = (size_t)1 << n;
    double *ahead = CM_ZNEW(sets, double), *behind = CM_ZNEW(sets, double),
           *p = CM_ZNEW(n * n, double);
    ahead[0] = behind[sets - 1] = 1;
    for (size_t set = 0; set < sets; set++) {
        size_t i = (size_t)__builtin_popcountll(set);
        for (size_t j = 0; i < n && j < n; j++)
            if (!(set >> j & 1))
                ahead[set | (size_t)1 << j] += ahead[set] * w[i * n + j];
    }
    for (size_t set = sets; set-- > 0;) {
        size_t i = (size_t)__builtin_popcountll(set);
        for (size_t j = 0; i < n && j < n; j++)
            if (!(set >> j & 1)) {
                double rest = w[i * n + j] * behind[set | (size_t)1 << j];
                behind[set] += rest;
                p[i * n + j] += ahead[set] * rest;
            }
    }
    for (size_t k = 0; k < n * n; k++)
        w[k] = p[k] / behind[0];
    cm_free(ahead);
    cm_free(behind);
    cm_free(p);
}

void cm_matching_marginals(size_t n, double *w)
{
    if (n == 0)
        return;
    for (size_t i = 0; i < n; i++) { /* scales of rows and columns do not matter */
        double max = -INFINITY;
        for (size_t j = 0; j < n; j++)
            max = fmax(max, w[i * n + j]);
        for (size_t j = 0; j < n; j++)
            w[i * n + j] = exp(fmax(w[i * n + j] - max, -60));
    }
    if (n <= EXACT) {
        exact_marginals(n, w);
        return;
    }
    /* x[i * n + j]: message of row i to column j; y[j * n + i]: of column j to row i. */
    double *x = CM_NEW(n * n, double), *y = CM_NEW(n * n, double);
    double *v = CM_NEW(n, double), *fresh = CM_NEW(n, double);
    for (size_t k = 0; k < n * n; k++)
        y[k] = 1;
    double change = 1;
    /* Ties between two near-equal matchings settle slowly and matter little. */
    for (int round = 0; round < 100 && change > 1e-4; round++) {
        change = 0;
        for (size_t i = 0; i < n; i++) {
            for (size_t j = 0; j < n; j++)
                v[j] = w[i * n + j] * y[j * n + i];
            others(n, v, x + i * n);
        }
        for (size_t j = 0; j < n; j++) {
            for (size_t i = 0; i < n; i++)
                v[i] = w[i * n + j] * x[i * n + j];
            others(n, v, fresh);
            for (size_t i = 0; i < n; i++) {
                change = fmax(change, fabs(belief(v[i] * fresh[i]) - belief(v[i] * y[j * n + i])));
                y[j * n + i] = fresh[i];
            }
        }
    }
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t j = 0; j < n; j++)
            sum += w[i * n + j] = belief(w[i * n + j] * x[i * n + j] * y[j * n + i]);
        for (size_t j = 0; j < n; j++)
            w[i * n + j] /= sum;
    }
    cm_free(x);
    cm_free(y);
    cm_free(v);
    cm_free(fresh);
}
