/* match/rules.c - rules that are a softmax with offsets, and the choice between the two that
 * training tunes.  See rules.h.
 *
 * Sums of exponentials are taken relative to the largest term, in double.  Tuning looks at the
 * similarities from both sides: it keeps a transposed copy, so that both directions are the same
 * loop over rows, each row writes its own result, and the sums are added in row order.  Rejected:
 * tuning on the stored top k (the rule's columns need everything, and validation sets are small).
 */
#include "match/rules.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "match/select.h"
#include "matrix/matrix.h"
#include "matrix/vexp.h"

const double cm_rule_grid[CM_RULE_GRID] = {5, 10, 20, 40, 80, 120, 160, 240};

#define LOWEST  (-4.0) /* of log T, where the search for the smallest loss ends */
#define HIGHEST 9.0

static const char *const method_name[CM_RULE_COUNT] = {"softmax",  "dual", "csls",
                                                       "sinkhorn", "snn",  "exact"};

const char *cm_rule_name(enum cm_rule_method m) { return method_name[m]; }

bool cm_rule_tempered(enum cm_rule_method m) { return m != CM_RULE_SNN && m != CM_RULE_EXACT; }

double cm_rule_factor(const struct cm_rule *rule)
{
    bool twice = rule->method == CM_RULE_DUAL || rule->method == CM_RULE_CSLS;
    return twice ? 2 * rule->temperature : rule->temperature;
}

void cm_rule_write(struct cm_kv *kv, const struct cm_rule *rule)
{
    cm_kv_drop(kv, "rule.");
    cm_kv_set(kv, "rule.method", cm_rule_name(rule->method));
    if (cm_rule_tempered(rule->method))
        cm_kv_setf(kv, "rule.temperature", rule->temperature);
}

void cm_rule_more_write(struct cm_kv *kv, const struct cm_rule *rule,
                        const struct cm_rule_more *more)
{
    enum cm_rule_method m = rule->method;
    if (m == CM_RULE_CSLS || m == CM_RULE_SNN)
        cm_kv_seti(kv, "rule.neighbours", (int64_t)more->neighbours);
    if (m == CM_RULE_SINKHORN)
        cm_kv_seti(kv, "rule.iterations", (int64_t)more->iterations);
    if (m == CM_RULE_SINKHORN && more->epsilon > 0) {
        cm_kv_drop(kv, "rule.temperature");
        cm_kv_setf(kv, "rule.epsilon", more->epsilon);
    }
    if (more->quantile > 0)
        cm_kv_setf(kv, "rule.quantile", more->quantile);
    if (more->values != CM_RULE_GIVEN)
        cm_kv_set(kv, "rule.values", cm_rule_values_name(more->values));
}

static const char *const values_name[] = {"", "calibrated", "sharp", "decision", "weight"};

const char *cm_rule_values_name(enum cm_rule_values v) { return values_name[v]; }

enum cm_rule_values cm_rule_values(const struct cm_kv *kv)
{
    const char *word = cm_kv_get(kv, "rule.values");
    for (int v = CM_RULE_CALIBRATED; word && v <= CM_RULE_WEIGHT; v++)
        if (strcmp(word, values_name[v]) == 0)
            return (enum cm_rule_values)v;
    return CM_RULE_GIVEN;
}

bool cm_rule_values_probable(enum cm_rule_values v)
{
    return v != CM_RULE_DECISION && v != CM_RULE_WEIGHT;
}

static int read_temperature(const struct cm_kv *kv, const char *key, double *t)
{
    int code = cm_kv_f64(kv, key, t);
    if (!code && !(*t > 0 && isfinite(*t)))
        code = cm_fail(CM_EINPUT, "%s: expected a positive number, found %g", key, *t);
    return code;
}

int cm_rule_calibrated(const struct cm_kv *kv, struct cm_rule *rule)
{
    return read_temperature(kv, "rule.calibrated", &rule->temperature);
}

int cm_rule_read(const struct cm_kv *kv, struct cm_rule *rule)
{
    const char *name = cm_kv_get(kv, "rule.method");
    if (!name)
        return cm_fail(CM_EINPUT, "no decision rule here (the head has no key rule.method)");
    size_t m = 0;
    while (m < sizeof method_name / sizeof *method_name && strcmp(name, method_name[m]))
        m++;
    if (m == sizeof method_name / sizeof *method_name)
        return cm_fail(CM_EINPUT, "rule.method: expected %s, found '%s'", CM_RULE_METHODS, name);
    double t = CM_RULE_TEMPERATURE;
    int code = 0;
    if (cm_rule_tempered((enum cm_rule_method)m))
        code = read_temperature(kv, "rule.temperature", &t);
    if (code < 0)
        return code;
    rule->method = (enum cm_rule_method)m;
    rule->temperature = t;
    return 0;
}

/* ===== tuning ============================================================================= */

/* One direction at one temperature.  Row i of s is cell i's similarities. */
struct side {
    const float *s;
    size_t ld, n;
    const uint32_t *group;
    double temperature;
    double *log_sum;        /* out: log sum_j exp(T s_ij) */
    const double *opposite; /* the other direction's log_sum; NULL in the first pass */
    double *soft;           /* out: probability of the true partner */
    double *loss;           /* out: -log of it, at most -log of CM_RULE_PROBABLE */
    unsigned char *hit;     /* out: is the argmax the true partner? */
};

enum { SHARDS = 64 };

static bool allowed(const struct side *x, size_t i, size_t j)
{
    return !x->group || x->group[i] == x->group[j];
}

static double logit(const struct side *x, const float *row, size_t j)
{
    return x->opposite ? 2 * x->temperature * (double)row[j] - x->opposite[j]
                       : x->temperature * (double)row[j];
}

static int side_rows(void *arg, size_t shard)
{
    const struct side *x = arg;
    size_t from = cm_shard_begin(x->n, SHARDS, shard);
    size_t to = cm_shard_begin(x->n, SHARDS, shard + 1);
    double *own = CM_NEW(x->n, double); /* logits of the candidates */
    for (size_t i = from; i < to; i++) {
        const float *row = x->s + i * x->ld;
        size_t best = i, n = 0;
        double max = -INFINITY;
        for (size_t j = 0; j < x->n; j++) {
            if (!allowed(x, i, j))
                continue;
            own[n] = logit(x, row, j);
            if (own[n] > max) {
                max = own[n];
                best = j;
            }
            n++;
        }
        double sum = cm_exp_sum(own, n, max);
        if (x->log_sum)
            x->log_sum[i] = max + log(sum);
        x->soft[i] = exp(logit(x, row, i) - max) / sum;
        x->loss[i] = -log(fmax(x->soft[i], CM_RULE_PROBABLE));
        x->hit[i] = best == i;
    }
    cm_free(own);
    return 0;
}

/* Adds half the means of soft, hit and loss of one direction. */
static void side_run(struct side *x, double *soft, double *hard, double *loss)
{
    cm_parallel(SHARDS, side_rows, x);
    double a = 0, b = 0, c = 0;
    for (size_t i = 0; i < x->n; i++) {
        a += x->soft[i];
        b += x->hit[i];
        c += x->loss[i];
    }
    *soft += a / (double)x->n / 2;
    *hard += b / (double)x->n / 2;
    *loss += c / (double)x->n / 2;
}

/* A block and its transpose, with the scratch of both directions. */
struct pair_of_sides {
    const struct cm_rule_block *b;
    float *transposed;
    double *row_log, *col_log, *soft, *loss;
    unsigned char *hit;
};

static void sides_make(struct pair_of_sides *x, const struct cm_rule_block *b)
{
    size_t n = b->n;
    CM_ASSERT(n > 0 && b->ld >= n);
    *x = (struct pair_of_sides){b,
                                CM_NEW(n * n, float),
                                CM_NEW(n, double),
                                CM_NEW(n, double),
                                CM_NEW(n, double),
                                CM_NEW(n, double),
                                CM_NEW(n, unsigned char)};
    cm_dense_transpose(n, n, b->s, b->ld, x->transposed);
}

static void sides_free(struct pair_of_sides *x)
{
    cm_free(x->transposed);
    cm_free(x->row_log);
    cm_free(x->col_log);
    cm_free(x->soft);
    cm_free(x->loss);
    cm_free(x->hit);
}

/* Means of both directions at a temperature: [softmax, dual]. */
struct means {
    double soft[2], hard[2], loss[2];
};

static struct means sides_at(const struct pair_of_sides *x, double temperature, bool dual)
{
    const struct cm_rule_block *b = x->b;
    struct means to = {0};
    struct side row = {.s = b->s,
                       .ld = b->ld,
                       .n = b->n,
                       .group = b->group,
                       .temperature = temperature,
                       .log_sum = x->row_log,
                       .soft = x->soft,
                       .loss = x->loss,
                       .hit = x->hit},
                col = row;
    col.s = x->transposed;
    col.ld = b->n;
    col.log_sum = x->col_log;
    side_run(&row, &to.soft[0], &to.hard[0], &to.loss[0]);
    side_run(&col, &to.soft[0], &to.hard[0], &to.loss[0]);
    if (!dual)
        return to;
    row.opposite = x->col_log;
    col.opposite = x->row_log;
    row.log_sum = col.log_sum = NULL; /* the first pass' sums are still needed */
    side_run(&row, &to.soft[1], &to.hard[1], &to.loss[1]);
    side_run(&col, &to.soft[1], &to.hard[1], &to.loss[1]);
    return to;
}

void cm_rule_tune(const float *s, size_t ld, size_t n, const uint32_t *group,
                  struct cm_rule_tuning *out)
{
    struct cm_rule_block block = {s, ld, n, group};
    struct pair_of_sides x;
    sides_make(&x, &block);
    *out = (struct cm_rule_tuning){0};
    for (size_t k = 0; k < CM_RULE_GRID; k++) {
        struct means at = sides_at(&x, cm_rule_grid[k], true);
        out->argmax = at.hard[CM_RULE_SOFTMAX]; /* the same at every temperature */
        out->soft_at[CM_RULE_SOFTMAX][k] = at.soft[CM_RULE_SOFTMAX];
        out->soft_at[CM_RULE_DUAL][k] = at.soft[CM_RULE_DUAL];
        out->dual_at[k] = at.hard[CM_RULE_DUAL];
    }
    enum cm_rule_method m = out->argmax < CM_RULE_ENOUGH ? CM_RULE_SOFTMAX : CM_RULE_DUAL;
    double max = 0;
    for (size_t k = 0; k < CM_RULE_GRID; k++)
        max = fmax(max, out->soft_at[m][k]);
    size_t best =
        0; /* the curve is flat at its top, and sharper rows than needed cost calibration */
    while (out->soft_at[m][best] < CM_RULE_NEAR * max)
        best++;
    out->rule = (struct cm_rule){m, cm_rule_grid[best], false};
    out->soft = out->soft_at[m][best];
    out->hard = m == CM_RULE_DUAL ? out->dual_at[best] : out->argmax;
    sides_free(&x);
}

/* ===== calibration ======================================================================== */

double cm_min_loss(double (*loss)(void *arg, double temperature), void *arg, double *at_best)
{
    double x = log(16), fx = loss(arg, exp(x)), width = log(2);
    double left = loss(arg, exp(x - width)), right = loss(arg, exp(x + width));
    while (left < fx && x > LOWEST) {
        right = fx, fx = left, x -= width;
        left = loss(arg, exp(x - width));
    }
    while (right < fx && x < HIGHEST) {
        fx = right, x += width;
        right = loss(arg, exp(x + width));
    }
    const double golden = .6180339887498949;
    double a = x - width, b = x + width, c = b - golden * (b - a), d = a + golden * (b - a);
    double fc = loss(arg, exp(c)), fd = loss(arg, exp(d));
    for (int step = 0; step < 14; step++)
        if (fc < fd) {
            b = d, d = c, fd = fc;
            fc = loss(arg, exp(c = b - golden * (b - a)));
        } else {
            a = c, c = d, fc = fd;
            fd = loss(arg, exp(d = a + golden * (b - a)));
        }
    double best = exp((a + b) / 2);
    *at_best = loss(arg, best);
    return best;
}

struct blocks {
    struct pair_of_sides *x;
    size_t n, cells;
    enum cm_rule_method method;
};

static double blocks_loss(void *arg, double temperature)
{
    const struct blocks *all = arg;
    double sum = 0;
    for (size_t k = 0; k < all->n; k++)
        sum += (double)all->x[k].b->n *
               sides_at(&all->x[k], temperature, all->method == CM_RULE_DUAL).loss[all->method];
    return sum / (double)all->cells;
}

double cm_rule_calibrate(const struct cm_rule_block *b, size_t n, enum cm_rule_method method,
                         double *loss)
{
    CM_ASSERT(n > 0 && (method == CM_RULE_SOFTMAX || method == CM_RULE_DUAL));
    struct blocks all = {CM_NEW(n, struct pair_of_sides), n, 0, method};
    double min;
    for (size_t k = 0; k < n; k++) {
        sides_make(&all.x[k], &b[k]);
        all.cells += b[k].n;
    }
    double best = cm_min_loss(blocks_loss, &all, &min);
    if (loss)
        *loss = min;
    for (size_t k = 0; k < n; k++)
        sides_free(&all.x[k]);
    cm_free(all.x);
    return best;
}

/* ===== column normalisers ================================================================= */

void cm_normalisers_make(struct cm_normalisers *c, size_t cols, double temperature)
{
    *c = (struct cm_normalisers){cols, temperature, CM_NEW(cols, double), CM_ZNEW(cols, double)};
    for (size_t j = 0; j < cols; j++)
        c->max[j] = -INFINITY;
}

void cm_normalisers_add(struct cm_normalisers *c, size_t n, const uint32_t *idx, const float *s)
{
    for (size_t k = 0; k < n; k++) {
        double *max = &c->max[idx[k]], *sum = &c->sum[idx[k]], v = s[k];
        if (v > *max) {
            *sum = *sum * exp(c->temperature * (*max - v)) + 1;
            *max = v;
        } else {
            *sum += exp(c->temperature * (v - *max));
        }
    }
}

void cm_normalisers_add_tile(struct cm_normalisers *c, size_t rows, size_t n, const uint32_t *idx,
                             const float *s)
{
    enum { STRIP = 64 };
    float max[STRIP];
    double sum[STRIP];
    for (size_t j = 0; j < n; j += STRIP) {
        size_t wide = n - j < STRIP ? n - j : STRIP;
        for (size_t k = 0; k < wide; k++)
            max[k] = (float)c->max[idx[j + k]];
        cm_column_max(s + j, rows, wide, n, max);
        for (size_t k = 0; k < wide; k++) {
            double before = c->max[idx[j + k]], after = max[k];
            sum[k] = c->sum[idx[j + k]];
            if (after > before) /* nothing seen yet: before is -inf, exp of it 0 */
                sum[k] *= exp(c->temperature * (before - after));
            c->max[idx[j + k]] = after;
        }
        cm_exp_column_sums(s + j, rows, wide, n, c->temperature, max, sum);
        for (size_t k = 0; k < wide; k++)
            c->sum[idx[j + k]] = sum[k];
    }
}

void cm_normalisers_log(const struct cm_normalisers *c, double *log_sum)
{
    for (size_t j = 0; j < c->cols; j++)
        log_sum[j] = c->sum[j] > 0 ? c->temperature * c->max[j] + log(c->sum[j]) : 0;
}

void cm_normalisers_free(struct cm_normalisers *c)
{
    cm_free(c->max);
    cm_free(c->sum);
    *c = (struct cm_normalisers){0};
}

void cm_rule_shift(const struct cm_rule *rule, size_t cols, const double *offset, float *shift)
{
    double factor = cm_rule_factor(rule);
    for (size_t j = 0; j < cols; j++)
        shift[j] = (float)(offset[j] / factor);
}

/* ===== rows =============================================================================== */

void cm_rule_scratch_free(struct cm_rule_scratch *x)
{
    cm_free(x->d);
    cm_free(x->u);
    *x = (struct cm_rule_scratch){0};
}

static size_t drop_zeros(size_t n, uint32_t *idx, float *p)
{
    size_t kept = 0;
    for (size_t k = 0; k < n; k++)
        if (p[k] > 0) {
            idx[kept] = idx[k];
            p[kept++] = p[k];
        }
    return kept;
}

size_t cm_rule_row(const struct cm_rule *rule, size_t n, uint32_t *idx, float *s,
                   const double *offset, size_t max, struct cm_rule_scratch *x)
{
    CM_ASSERT(cm_rule_tempered(rule->method));
    if (n == 0)
        return 0;
    CM_GROW(x->d, x->d_cap, n);
    CM_GROW(x->u, x->u_cap, n);
    double factor = cm_rule_factor(rule);
    size_t best = 0;
    for (size_t k = 0; k < n; k++)
        x->d[k] = factor * (double)s[k];
    if (rule->method != CM_RULE_SOFTMAX)
        for (size_t k = 0; k < n; k++)
            x->d[k] -= offset[idx[k]];
    for (size_t k = 1; k < n; k++)
        if (x->d[k] > x->d[best])
            best = k;
    double top = x->d[best], sum = 0;
    if (rule->hard) {
        idx[0] = idx[best];
        s[0] = 1;
        return 1;
    }
    for (size_t k = 0; k < n; k++)
        s[k] = (float)(x->d[k] - top);
    if (n > max) {
        /* selection by the exponent, so that what is equal only after rounding stays apart */
        n = cm_top_keep(n, max, s, idx, NULL, x->u);
    }
    sum = cm_exp_below(s, n);
    for (size_t k = 0; k < n; k++)
        s[k] = (float)(s[k] / sum);
    return drop_zeros(n, idx, s);
}
