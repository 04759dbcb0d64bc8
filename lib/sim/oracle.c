/* sim/oracle.c - posterior of the best possible matcher (oracle.h has the formulas).
 *
 * For each cell of each side and each plausible type: Newton's method finds the mode of the factors
 * (shared and private), with every locus state summed out at the current rates; the Hessian there
 * gives the Gaussian; private factors are integrated out by taking the shared block of the
 * covariance.  Types whose evidence is hopeless are dropped early.  Pairs then cost one Cholesky
 * factor of 8 x 8 a common type and one product over the loci.  Rejected: importance sampling
 * (needs thousands of draws a pair), quadrature in 8 dimensions, and a mode search for every pair.
 */
#include "sim/oracle.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"

enum { K = CM_GEN_FACTORS, F = CM_GEN_SHARED, EXACT = 12 };
static const double EARLY = 60, LATE = 25; /* nats behind the best type */

/* ----- small matrices --------------------------------------------------------------------- */

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

/* ----- one cell --------------------------------------------------------------------------- */

/* What a cell's counts say about its shared state given a type. */
struct view {
    double share;  /* log p(t | counts); -inf when dropped */
    double eta[F]; /* precision x mean of the shared factors */
    double prec[F * F];
    double norm; /* eta' prec^-1 eta - log det prec */
};

struct cell_view {
    struct view *type; /* types */
    float *locus;      /* genes: posterior mean of the locus state (0 without linked peaks) */
};

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

static void look(const struct cm_gen *g, int side, size_t cell, struct cell_view *v)
{
    const struct cm_gen_side *s = &g->side[side];
    size_t types = g->o.types, n = s->cols, cap = 0;
    struct cm_gen_cell c = cm_gen_cell(g, cell); /* its batch and library sizes only */
    uint32_t *idx = NULL, *count = NULL;
    struct scratch a = {s,
                        g->o.cols[CM_GEN_GEX],
                        CM_NEW(float, n),
                        CM_ZNEW(float, n),
                        CM_NEW(double, n),
                        CM_NEW(double, g->o.cols[CM_GEN_GEX]),
                        CM_NEW(double, g->o.cols[CM_GEN_GEX])};
    size_t nnz = cm_gen_counts(g, side, cell, &idx, &count, &cap);
    for (size_t k = 0; k < nnz; k++)
        a.count[idx[k]] = (float)count[k];
    double *u = CM_ZNEW(double, types *K), *evidence = CM_NEW(double, types), best = -INFINITY;
    double factor[K * K], size = log(c.library[side]);
    for (int round = 0; round < 3; round++) { /* at zero, after one step, at the mode */
        double limit = best - (round == 1 ? EARLY : LATE), top = -INFINITY;
        for (size_t t = 0; t < types; t++) {
            if (round && evidence[t] < limit)
                continue;
            for (size_t j = 0; j < n; j++)
                a.fixed[j] =
                    (float)(size + s->base[j] + s->type[t * n + j] + s->batch[c.batch * n + j]);
            evidence[t] = log(g->type_share[t]) + climb(&a, u + t * K, factor,
                                                        round == 0   ? 0
                                                        : round == 1 ? 1
                                                                     : 30);
            top = fmax(top, evidence[t]);
            if (round < 2)
                continue;
            /* The shared factors' covariance is the leading block of the inverse. */
            struct view *x = &v->type[t];
            double cov[F * F], unit[K];
            for (size_t k = 0; k < F; k++) {
                memset(unit, 0, sizeof unit);
                unit[k] = 1;
                forward(K, factor, unit);
                backward(K, factor, unit);
                memcpy(cov + k * F, unit, sizeof(double) * F);
            }
            double logdet = -cholesky(F, cov);
            for (size_t k = 0; k < F; k++) {
                double row[F] = {0};
                row[k] = 1;
                forward(F, cov, row);
                backward(F, cov, row);
                memcpy(x->prec + k * F, row, sizeof row);
                x->eta[k] = 0;
                for (size_t l = 0; l < F; l++)
                    x->eta[k] += row[l] * u[t * K + l];
            }
            x->norm = -logdet;
            for (size_t k = 0; k < F; k++)
                x->norm += x->eta[k] * u[t * K + k];
            x->share = evidence[t];
            if (evidence[t] == top) /* the locus states under the likeliest type so far */
                for (size_t d = 0; d < a.genes; d++)
                    v->locus[d] = a.up[d] == 0 && a.down[d] == 0 ? 0 : (float)(2 * a.up[d] - 1);
        }
        best = top;
    }
    double sum = 0;
    for (size_t t = 0; t < types; t++)
        sum += exp(v->type[t].share - best);
    for (size_t t = 0; t < types; t++)
        v->type[t].share -= best + log(sum);
    cm_free(u);
    cm_free(evidence);
    cm_free(idx);
    cm_free(count);
    cm_free(a.fixed);
    cm_free(a.count);
    cm_free(a.rate);
    cm_free(a.up);
    cm_free(a.down);
}

/* ----- pairs ------------------------------------------------------------------------------ */

struct group {
    const struct cm_gen *g;
    size_t n;
    const uint64_t *cell; /* n, the same for both sides */
    struct cell_view *view[2];
    const uint32_t *linked; /* genes with linked peaks */
    size_t nlinked;
    float *state[2]; /* n x nlinked */
    double *w;       /* n x n log R */
};

static int look_shard(void *arg, size_t shard)
{
    struct group *p = arg;
    int side = shard < p->n ? CM_GEN_GEX : CM_GEN_ATAC;
    size_t i = shard < p->n ? shard : shard - p->n;
    struct cell_view *v = &p->view[side][i];
    v->locus = CM_ZNEW(float, p->g->o.cols[CM_GEN_GEX]);
    for (size_t t = 0; t < p->g->o.types; t++)
        v->type[t].share = -INFINITY;
    look(p->g, side, (size_t)p->cell[i], v);
    for (size_t d = 0; d < p->nlinked; d++)
        p->state[side][i * p->nlinked + d] = v->locus[p->linked[d]];
    cm_free(v->locus);
    return 0;
}

/* log of the sum over types of p(t|x) p(t|y) / p(t) O_t. */
static double global_ratio(const struct group *p, const struct view *x, const struct view *y)
{
    double term[64], max = -INFINITY, sum = 0;
    size_t m = 0;
    for (size_t t = 0; t < p->g->o.types; t++) {
        double base = x[t].share + y[t].share - log(p->g->type_share[t]);
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

static int pair_shard(void *arg, size_t i)
{
    struct group *p = arg;
    const float *a = p->state[CM_GEN_GEX] + i * p->nlinked;
    for (size_t j = 0; j < p->n; j++) {
        const float *b = p->state[CM_GEN_ATAC] + j * p->nlinked;
        double w = global_ratio(p, p->view[0][i].type, p->view[1][j].type), product = 1;
        for (size_t d = 0; d < p->nlinked; d++) {
            product *= 1 + (double)a[d] * b[d];
            if (d % 32 == 31) {
                w += log(fmax(product, 1e-280));
                product = 1;
            }
        }
        p->w[i * p->n + j] = w + log(fmax(product, 1e-280));
    }
    return 0;
}

/* ----- one to one ------------------------------------------------------------------------- */

/* out[k] = 1 / (sum of v but v[k]), for n values: sums from both ends, no subtraction. */
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
    double *ahead = CM_ZNEW(double, sets), *behind = CM_ZNEW(double, sets),
           *p = CM_ZNEW(double, n *n);
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
    double *x = CM_NEW(double, n *n), *y = CM_NEW(double, n *n);
    double *v = CM_NEW(double, n), *fresh = CM_NEW(double, n);
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

/* ----- all test cells --------------------------------------------------------------------- */

struct best {
    double p;
    uint32_t col;
};

static int by_value(const void *a, const void *b)
{
    const struct best *x = a, *y = b;
    if (x->p != y->p)
        return x->p > y->p ? -1 : 1;
    return x->col < y->col ? -1 : x->col > y->col;
}

static int by_column(const void *a, const void *b)
{
    const struct best *x = a, *y = b;
    return x->col < y->col ? -1 : x->col > y->col;
}

/* Rows of one batch: the `max` largest entries of each, in the columns' order, sum 1. */
static void keep_rows(struct cm_oracle *o, size_t first, size_t n, const double *w,
                      const uint32_t *place, size_t max)
{
    struct best *b = CM_NEW(struct best, n);
    for (size_t i = 0; i < n; i++) {
        double sum = 0, squares = 0;
        size_t kept = 0;
        for (size_t j = 0; j < n; j++)
            b[j] = (struct best){w[i * n + j], place[j]};
        qsort(b, n, sizeof *b, by_value);
        while (kept < n && kept < max && (kept == 0 || b[kept].p > 1e-9))
            sum += b[kept++].p;
        o->hard += b[0].col == place[i];
        o->chance += 1 / (double)n;
        uint64_t at = o->ptr[first + i];
        qsort(b, kept, sizeof *b, by_column);
        for (size_t k = 0; k < kept; k++, at++) {
            double p = b[k].p / sum;
            squares += p * p;
            if (b[k].col == place[i])
                o->soft += p;
            o->idx[at] = b[k].col;
            o->val[at] = (float)p;
        }
        o->expected += squares;
        o->ptr[first + i + 1] = at;
    }
    cm_free(b);
}

static int match_batch(struct cm_oracle *o, size_t first, size_t n, size_t max)
{
    const struct cm_gen *g = o->g;
    const struct cm_gen_side *genes = &g->side[CM_GEN_GEX];
    struct group p = {.g = g, .n = n, .cell = o->row + first};
    uint32_t *linked = CM_NEW(uint32_t, genes->cols);
    for (size_t d = 0; d < genes->cols; d++)
        if (genes->locus[d] != CM_GEN_NOWHERE)
            linked[p.nlinked++] = (uint32_t)d;
    p.linked = linked;
    struct view *views = CM_NEW(struct view, 2 * n * g->o.types);
    for (int m = 0; m < 2; m++) {
        p.view[m] = CM_NEW(struct cell_view, n);
        p.state[m] = CM_NEW(float, n *p.nlinked);
        for (size_t i = 0; i < n; i++)
            p.view[m][i].type = views + ((size_t)m * n + i) * g->o.types;
    }
    p.w = CM_NEW(double, n *n);
    int e = cm_parallel(2 * n, look_shard, &p);
    e = e ? e : cm_parallel(n, pair_shard, &p);
    if (!e) {
        cm_matching_marginals(n, p.w);
        /* Column of the cell in row j: its place among the test cells of the ATAC rows. */
        uint32_t *place = CM_NEW(uint32_t, n);
        for (size_t j = 0; j < n; j++)
            for (size_t c = first; c < first + n; c++)
                if (o->col[c] == o->row[first + j])
                    place[j] = (uint32_t)c;
        keep_rows(o, first, n, p.w, place, max);
        cm_free(place);
    }
    for (int m = 0; m < 2; m++) {
        cm_free(p.view[m]);
        cm_free(p.state[m]);
    }
    cm_free(views);
    cm_free(linked);
    cm_free(p.w);
    return e;
}

int cm_oracle_make(struct cm_oracle **out, const struct cm_gen *g, size_t max)
{
    struct cm_oracle *o = CM_ZNEW(struct cm_oracle, 1);
    *out = o;
    o->g = g;
    o->row = CM_NEW(uint64_t, g->o.cells);
    o->col = CM_NEW(uint64_t, g->o.cells);
    size_t m = 0;
    for (size_t r = 0; r < g->o.cells; r++) {
        if (cm_gen_cell(g, r).split == CM_GEN_TEST)
            o->row[o->n++] = r;
        size_t cell = cm_gen_at(g, CM_GEN_ATAC, r);
        if (cm_gen_cell(g, cell).split == CM_GEN_TEST)
            o->col[m++] = cell;
    }
    if (!o->n)
        return cm_fail(CM_EINPUT, "no cell fell into the split test");
    size_t capacity = 0;
    for (size_t b = 0, i = 0; b < g->o.batches; b++) {
        size_t n = 0;
        for (; i < o->n && o->row[i] < g->batch_begin[b + 1]; i++)
            n++;
        capacity += n * (n < max ? n : max);
    }
    o->ptr = CM_ZNEW(uint64_t, o->n + 1);
    o->idx = CM_NEW(uint32_t, capacity);
    o->val = CM_NEW(float, capacity);
    for (size_t b = 0, i = 0; b < g->o.batches; b++) { /* batches lie one after the other */
        size_t n = 0;
        while (i + n < o->n && o->row[i + n] < g->batch_begin[b + 1])
            n++;
        int e = n ? match_batch(o, i, n, max) : 0;
        if (e)
            return e;
        i += n;
    }
    o->soft /= (double)o->n;
    o->hard /= (double)o->n;
    o->expected /= (double)o->n;
    o->chance /= (double)o->n;
    return 0;
}

void cm_oracle_free(struct cm_oracle *o)
{
    if (!o)
        return;
    cm_free(o->row);
    cm_free(o->col);
    cm_free(o->ptr);
    cm_free(o->idx);
    cm_free(o->val);
    cm_free(o);
}

/* As knn-match does it: the columns' labels are typed columns. */
static void label_columns(const struct cm_oracle *o, struct cm_cols *cols)
{
    struct cm_head names = {0};
    cm_gen_add_labels(o->g, &names);
    for (size_t l = 0; l < names.nlabels; l++) {
        struct cm_vec *v = cm_cols_vec(cols, names.label[l].name, CM_T_STR);
        cm_strs_clear(&v->s);
        for (size_t j = 0; j < o->n; j++) {
            struct cm_gen_cell c = cm_gen_cell(o->g, (size_t)o->col[j]);
            size_t code = l == 0 ? c.batch : l == 1 ? c.type : (size_t)c.split;
            cm_strs_add(&v->s, cm_strs_get(&names.label[l].dict.names, code));
        }
    }
    cm_head_free(&names);
}

void cm_oracle_head(const struct cm_oracle *o, struct cm_head *h)
{
    char name[CM_GEN_NAME_MAX];
    h->kind = CM_MATCH;
    struct cm_slot *s = cm_head_add_slot(h, "match");
    s->state = CM_S_PROBABILITY;
    s->rows = o->n;
    for (size_t j = 0; j < o->n; j++) {
        cm_gen_name(o->g, (size_t)o->col[j], name);
        cm_strs_add(&s->cols.names, name);
    }
    label_columns(o, &s->cols);
    cm_gen_add_labels(o->g, h);
    cm_kv_set(&h->kv, "match.rows", "GEX");
    cm_kv_set(&h->kv, "match.cols", "ATAC");
}

void cm_oracle_chunk(const struct cm_oracle *o, size_t first, size_t rows, struct cm_chunk *c)
{
    uint64_t from = o->ptr[first], nnz = o->ptr[first + rows] - from;
    struct cm_block *b = &c->block[0];
    cm_block_shape(b, false, rows, o->n, nnz, CM_V_F32);
    memcpy(b->idx, o->idx + from, nnz * sizeof *b->idx);
    memcpy(b->raw, o->val + from, nnz * sizeof *o->val);
    c->first = first;
    c->rows = rows;
    cm_strs_clear(&c->names);
    cm_gen_reset_labels(c, rows);
    for (size_t i = 0; i < rows; i++) {
        char name[CM_GEN_NAME_MAX];
        b->ptr[i + 1] = o->ptr[first + i + 1] - from;
        cm_gen_name(o->g, (size_t)o->row[first + i], name);
        cm_strs_add(&c->names, name);
        cm_gen_set_labels(o->g, (size_t)o->row[first + i], c, i);
    }
}
