/* sim/posterior.c - the Laplace posterior of one cell's latent state, and the ratio of two.
 *
 * For each plausible type Newton's method finds the mode of the factors (shared and private), with
 * every locus state summed out at the current rates; the Hessian there gives the Gaussian; private
 * factors are integrated out by taking the shared block of the covariance.  Types whose evidence is
 * hopeless are dropped early.  Rejected: importance sampling (needs thousands of draws a pair) and
 * quadrature in 8 dimensions.
 */
#include "sim/posterior.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"

enum { K = CM_GEN_FACTORS, F = CM_GEN_SHARED };
static const double EARLY = 60, LATE = 25; /* nats behind the best type */

/* ===== small matrices ===================================================================== */

/* Lower Cholesky factor of a (n x n) in place; log determinant, or NaN when not positive. */
static double cholesky(size_t n, double *a)
{
    double logdet = 0;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j <= i; j++) {
            double s = a[i * n + j];
            for (size_t k = 0; k < j; k++)
                s -= a[i * n + k] * a[j * n + k];
            if (i > j) {
                a[i * n + j] = s / a[j * n + j];
            } else {
                if (!(s > 0))
                    return NAN;
                a[i * n + i] = sqrt(s);
                logdet += log(s);
            }
        }
    return logdet;
}

/* x = L^-1 b for the factor above, in place; returns |x|^2 = b' A^-1 b. */
static double forward(size_t n, const double *l, double *x)
{
    double norm = 0;
    for (size_t i = 0; i < n; i++) {
        for (size_t k = 0; k < i; k++)
            x[i] -= l[i * n + k] * x[k];
        x[i] /= l[i * n + i];
        norm += x[i] * x[i];
    }
    return norm;
}

static void backward(size_t n, const double *l, double *x)
{
    for (size_t i = n; i-- > 0;) {
        for (size_t k = i + 1; k < n; k++)
            x[i] -= l[k * n + i] * x[k];
        x[i] /= l[i * n + i];
    }
}

/* ===== one cell =========================================================================== */

struct scratch {
    const struct cm_gen_side *s;
    size_t genes;
    float *fixed; /* log rate without factors, for the type at hand */
    float *count;
    double *rate, *up, *down; /* rate without locus; log likelihood of a locus open, closed */
};

/* log p(x | rate) but for terms without the rate; phi = 0: Poisson. */
static double log_count(double x, double rate, double phi)
{
    if (phi <= 0)
        return (x > 0 ? x * log(rate) : 0) - rate;
    return (x > 0 ? x * log(rate) : 0) - (x + 1 / phi) * log1p(phi * rate);
}

/* Log posterior density of the factors u (up to a constant shared by all types and u), its gradient
 * and minus its Hessian (with the prior's identity).  grad NULL: the density alone. */
static double evaluate(struct scratch *a, const double *u, double *grad, double *hess)
{
    const struct cm_gen_side *s = a->s;
    double phi = s->dispersion, value = 0;
    memset(a->up, 0, a->genes * sizeof *a->up);
    memset(a->down, 0, a->genes * sizeof *a->down);
    for (size_t j = 0; j < s->cols; j++) {
        const float *w = s->load + j * K;
        double x = a->fixed[j];
        for (size_t k = 0; k < K; k++)
            x += w[k] * u[k];
        double rate = a->rate[j] = exp(x);
        if (s->locus[j] == CM_GEN_NOWHERE) {
            value += log_count(a->count[j], rate, phi);
        } else {
            a->up[s->locus[j]] += log_count(a->count[j], rate * (1 + s->local[j]), phi);
            a->down[s->locus[j]] += log_count(a->count[j], rate * (1 - s->local[j]), phi);
        }
    }
    for (size_t d = 0; d < a->genes;
         d++) /* up becomes p(open), value gains log((e^up + e^down)/2) */
        if (a->up[d] != 0 || a->down[d] != 0) {
            double x = a->up[d] - a->down[d];
            value += a->down[d] + (x > 0 ? x + log1p(exp(-x)) : log1p(exp(x))) - M_LN2;
            a->up[d] = 1 / (1 + exp(-x));
        }
    for (size_t k = 0; k < K; k++)
        value -= u[k] * u[k] / 2;
    if (!grad)
        return value;
    for (size_t k = 0; k < K; k++) {
        grad[k] = -u[k];
        for (size_t l = 0; l < K; l++)
            hess[k * K + l] = k == l;
    }
    for (size_t j = 0; j < s->cols; j++) {
        const float *w = s->load + j * K;
        double g = 0, h = 0, x = a->count[j];
        double open = s->locus[j] == CM_GEN_NOWHERE ? 1 : a->up[s->locus[j]];
        for (int state = 0; state < 2; state++) {
            double p = state ? 1 - open : open;
            if (p <= 0)
                continue;
            double rate = a->rate[j] * (state ? 1 - s->local[j] : 1 + s->local[j]);
            double one = 1 + phi * rate;
            g += p * (x - rate) / one;
            h += p * rate * (1 + phi * x) / (one * one);
        }
        for (size_t k = 0; k < K; k++) {
            grad[k] += g * w[k];
            for (size_t l = 0; l <= k; l++)
                hess[k * K + l] += h * w[k] * w[l];
        }
    }
    for (size_t k = 0; k < K; k++)
        for (size_t l = 0; l < k; l++)
            hess[l * K + k] = hess[k * K + l];
    return value;
}

/* Newton from u; returns the log evidence (Laplace) and leaves mode and Hessian's factor. */
static double climb(struct scratch *a, double *u, double *factor, size_t steps)
{
    double grad[K], hess[K * K], value = evaluate(a, u, grad, hess), logdet = 0;
    for (size_t step = 0;; step++) {
        memcpy(factor, hess, sizeof hess);
        logdet = cholesky(K, factor);
        if (step == steps)
            break;
        double move[K], next[K], max = 0;
        memcpy(move, grad, sizeof move);
        forward(K, factor, move);
        backward(K, factor, move);
        for (size_t k = 0; k < K; k++)
            max = fmax(max, fabs(move[k]));
        if (max < 1e-4)
            break;
        double size = max > 2 ? 2 / max : 1, better = 0;
        for (int half = 0; half < 12; half++, size /= 2) {
            for (size_t k = 0; k < K; k++)
                next[k] = u[k] + size * move[k];
            better = evaluate(a, next, grad, hess);
            if (better >= value - 1e-9)
                break;
        }
        memcpy(u, next, sizeof next);
        value = better;
    }
    return value - logdet / 2;
}

static struct scratch scratch_make(const struct cm_gen *g, int side, size_t cell)
{
    size_t n = g->side[side].cols, genes = g->o.cols[CM_GEN_GEX], capacity = 0;
    uint32_t *idx = NULL, *count = NULL;
    struct scratch a = {&g->side[side],       genes,
                        CM_NEW(n, float),     CM_ZNEW(n, float),
                        CM_NEW(n, double),    CM_NEW(genes, double),
                        CM_NEW(genes, double)};
    size_t nnz = cm_gen_counts(g, side, cell, &idx, &count, &capacity);
    for (size_t k = 0; k < nnz; k++)
        a.count[idx[k]] = (float)count[k];
    cm_free(idx);
    cm_free(count);
    return a;
}

static void scratch_free(struct scratch *a)
{
    cm_free(a->fixed);
    cm_free(a->count);
    cm_free(a->rate);
    cm_free(a->up);
    cm_free(a->down);
}

/* The view by one type, from the mode u and the factor of the Hessian there.  The shared factors'
 * covariance is the leading block of the inverse. */
static void view_at(struct cm_view *x, const double *u, const double *factor)
{
    double cov[F * F], unit[K];
    for (size_t k = 0; k < F; k++) {
        memset(unit, 0, sizeof unit);
        unit[k] = 1;
        forward(K, factor, unit);
        backward(K, factor, unit);
        memcpy(cov + k * F, unit, sizeof(double) * F);
    }
    x->norm = cholesky(F, cov);
    for (size_t k = 0; k < F; k++) {
        double row[F] = {0};
        row[k] = 1;
        forward(F, cov, row);
        backward(F, cov, row);
        memcpy(x->prec + k * F, row, sizeof row);
        x->eta[k] = 0;
        for (size_t l = 0; l < F; l++)
            x->eta[k] += row[l] * u[l];
    }
    for (size_t k = 0; k < F; k++)
        x->norm += x->eta[k] * u[k];
}

/* Posterior means of the locus states, under the type of the last `evaluate`. */
static void locus_states(const struct scratch *a, float *locus)
{
    for (size_t d = 0; d < a->genes; d++)
        locus[d] = a->up[d] == 0 && a->down[d] == 0 ? 0 : (float)(2 * a->up[d] - 1);
}

/* Log rates without factors: library size, gene or peak, type, batch. */
static void fixed_rates(struct scratch *a, double size, size_t type, size_t batch)
{
    const struct cm_gen_side *s = a->s;
    size_t n = s->cols;
    for (size_t j = 0; j < n; j++)
        a->fixed[j] = (float)(size + s->base[j] + s->type[type * n + j] + s->batch[batch * n + j]);
}

/* Shares from log evidences. */
static void normalise(struct cm_view *type, size_t types, double best)
{
    double sum = 0;
    for (size_t t = 0; t < types; t++)
        sum += exp(type[t].share - best);
    for (size_t t = 0; t < types; t++)
        type[t].share -= best + log(sum);
}

void cm_posterior_view(const struct cm_gen *g, int side, size_t cell, struct cm_cell_view *v)
{
    static const size_t steps[] = {0, 1, 30};    /* at zero, after one step, at the mode */
    struct cm_gen_cell c = cm_gen_cell(g, cell); /* its batch and library sizes only */
    struct scratch a = scratch_make(g, side, cell);
    size_t types = g->o.types;
    double *u = CM_ZNEW(types * K, double), *evidence = CM_NEW(types, double), best = -INFINITY;
    double factor[K * K], size = log(c.library[side]);
    for (int round = 0; round < 3; round++) {
        double limit = best - (round == 1 ? EARLY : LATE), top = -INFINITY;
        for (size_t t = 0; t < types; t++) {
            if (round && evidence[t] < limit)
                continue;
            fixed_rates(&a, size, t, c.batch);
            evidence[t] = log(g->type_share[t]) + climb(&a, u + t * K, factor, steps[round]);
            top = fmax(top, evidence[t]);
            if (round < 2)
                continue;
            view_at(&v->type[t], u + t * K, factor);
            v->type[t].share = evidence[t];
            if (evidence[t] == top) /* the likeliest type so far */
                locus_states(&a, v->locus);
        }
        best = top;
    }
    normalise(v->type, types, best);
    cm_free(u);
    cm_free(evidence);
    scratch_free(&a);
}

/* ===== two cells ========================================================================== */

double cm_posterior_ratio(const struct cm_gen *g, const struct cm_view *x, const struct cm_view *y)
{
    double term[64], max = -INFINITY, sum = 0;
    size_t m = 0;
    for (size_t t = 0; t < g->o.types; t++) {
        double base = x[t].share + y[t].share - log(g->type_share[t]);
        if (!(base > -60) || m == 64)
            continue;
        double a[F * F], eta[F];
        for (size_t k = 0; k < F * F; k++)
            a[k] = x[t].prec[k] + y[t].prec[k] - (k % (F + 1) == 0);
        for (size_t k = 0; k < F; k++)
            eta[k] = x[t].eta[k] + y[t].eta[k];
        double logdet = cholesky(F, a), norm = forward(F, a, eta);
        term[m] = base + (norm - logdet - x[t].norm - y[t].norm) / 2;
        max = fmax(max, term[m++]);
    }
    if (!m)
        return -120;
    for (size_t t = 0; t < m; t++)
        sum += exp(term[t] - max);
    return fmax(max + log(sum), -120);
}
