/* match/matcher.c - six rules behind one interface.  See match/matcher.h.
 *
 * Thinning by quantiles makes the candidates final only when all are there; the rule then gets its
 * first pass from memory.  Rows of an exact assignment are made from the partner alone.
 */
#include "match/matcher.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "match/exact.h"
#include "match/graph.h"
#include "match/select.h"

void cm_matcher_make(struct cm_matcher *x, const struct cm_rule *rule,
                     const struct cm_rule_more *more, size_t cols, size_t max)
{
    *x = (struct cm_matcher){.rule = *rule, .more = *more, .cols = cols, .max = max};
    enum cm_rule_method m = rule->method;
    x->whole = m == CM_RULE_SINKHORN || m == CM_RULE_EXACT || more->quantile > 0;
    x->graph = cm_csr_make(cols);
    if (m == CM_RULE_DUAL)
        cm_normalisers_make(&x->sums, cols, rule->temperature);
    if (x->more.neighbours == 0)
        x->more.neighbours = m == CM_RULE_CSLS ? 10 : 1;
    if (m == CM_RULE_CSLS || m == CM_RULE_SNN)
        cm_nearest_make(&x->nearest, cols, x->more.neighbours);
}

void cm_matcher_free(struct cm_matcher *x)
{
    cm_normalisers_free(&x->sums);
    cm_nearest_free(&x->nearest);
    cm_csr_free(&x->graph);
    cm_free(x->row_code);
    cm_free(x->offset);
    cm_free(x->partner);
    cm_free(x->by_row);
    cm_free(x->by_col);
    cm_free(x->out.ptr);
    cm_free(x->out.idx);
    cm_free(x->out.val);
    *x = (struct cm_matcher){0};
}

bool cm_matcher_two_passes(const struct cm_matcher *x)
{
    return x->whole || x->rule.method != CM_RULE_SOFTMAX;
}

static void see_rows(struct cm_matcher *x, uint64_t first, const struct cm_rows *r)
{
    if (x->rule.method == CM_RULE_DUAL)
        cm_rows_normalise(r, &x->sums);
    if (x->nearest.max)
        for (size_t i = 0; i < r->n; i++)
            cm_nearest_add(&x->nearest, first + i, (size_t)(r->ptr[i + 1] - r->ptr[i]),
                           r->idx + r->ptr[i], r->val + r->ptr[i]);
}

void cm_matcher_see(struct cm_matcher *x, const struct cm_rows *rows, const uint32_t *row_code)
{
    if (x->whole)
        cm_csr_append(&x->graph, rows->n, rows->ptr, rows->idx, rows->val);
    else
        see_rows(x, x->rows, rows);
    if (x->whole && row_code && rows->n) {
        CM_GROW(x->row_code, x->row_code_cap, x->rows + rows->n);
        memcpy(x->row_code + x->rows, row_code, rows->n * sizeof *row_code);
    }
    x->rows += rows->n;
}

void cm_matcher_learn(struct cm_matcher *x, const uint32_t *col_code)
{
    enum cm_rule_method m = x->rule.method;
    if (x->more.quantile > 0)
        cm_graph_quantile(&x->graph, x->row_code, col_code, x->more.quantile);
    if (x->whole) {
        struct cm_rows all = {x->graph.rows, x->graph.ptr, x->graph.idx, x->graph.val};
        see_rows(x, 0, &all);
    }
    if (m == CM_RULE_DUAL || m == CM_RULE_CSLS || m == CM_RULE_SINKHORN)
        x->offset = CM_ZNEW(x->cols, double);
    if (m == CM_RULE_DUAL)
        cm_normalisers_log(&x->sums, x->offset);
    if (m == CM_RULE_CSLS)
        cm_nearest_offsets(&x->nearest, x->rule.temperature, x->offset);
    if (m == CM_RULE_SNN)
        cm_nearest_by_row(&x->nearest, x->rows, &x->by_row, &x->by_col);
    if (m == CM_RULE_SINKHORN) {
        if (x->more.epsilon > 0) {
            cm_graph_scale(&x->graph, x->row_code);
            x->rule.temperature = 1 / x->more.epsilon;
        }
        cm_graph_sinkhorn(&x->graph, x->rule.temperature, x->more.iterations, x->offset);
    }
    if (m == CM_RULE_EXACT) {
        x->partner = CM_NEW(x->rows, uint32_t);
        cm_exact(&x->graph, x->partner);
    }
}

/* ===== second pass ======================================================================== */

static void out_row(struct cm_matcher *x, size_t i, size_t capacity)
{
    uint64_t at = x->out.ptr[i];
    CM_GROW(x->out.idx, x->idx_cap, at + capacity);
    CM_GROW(x->out.val, x->val_cap, at + capacity);
}

static void apply_exact(struct cm_matcher *x, uint64_t first, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        uint32_t j = x->partner[first + i];
        uint64_t at = x->out.ptr[i + 1] = x->out.ptr[i];
        if (j == CM_NO_PARTNER)
            continue;
        out_row(x, i, 1);
        x->out.idx[at] = j;
        x->out.val[at] = 1;
        x->out.ptr[i + 1] = at + 1;
    }
}

/* The row's own nearest (a, ascending) and the columns it is nearest to (b, ascending), united. */
static size_t unite(const uint32_t *a, size_t na, const uint32_t *b, size_t nb, size_t max,
                    uint32_t *idx, float *val)
{
    float mutual = 1 / (float)max, one_way = 1 / (2 * (float)max + 1);
    size_t n = 0, i = 0, k = 0;
    while (i < na || k < nb) {
        bool left = k == nb || (i < na && a[i] <= b[k]),
             right = i == na || (k < nb && b[k] <= a[i]);
        idx[n] = left ? a[i] : b[k];
        val[n++] = left && right ? mutual : one_way;
        i += left;
        k += right;
    }
    return n;
}

static void apply_snn(struct cm_matcher *x, uint64_t first, struct cm_rows *r)
{
    size_t max = x->more.neighbours;
    uint32_t *scratch = NULL;
    size_t cap = 0;
    for (size_t i = 0; i < r->n; i++) {
        uint64_t own = r->ptr[i], from = x->by_row[first + i];
        size_t n = (size_t)(r->ptr[i + 1] - own);
        size_t named = (size_t)(x->by_row[first + i + 1] - from);
        CM_GROW(scratch, cap, n + named + 1);
        n = cm_top_keep(n, max, r->val + own, r->idx + own, NULL, scratch);
        out_row(x, i, n + named + 1);
        uint32_t *idx = x->out.idx + x->out.ptr[i];
        float *val = x->out.val + x->out.ptr[i];
        n = unite(r->idx + own, n, x->by_col + from, named, max, idx, val);
        n = cm_top_keep(n, x->max, val, idx, NULL, scratch);
        double sum = 0;
        for (size_t k = 0; k < n; k++)
            sum += (double)val[k];
        for (size_t k = 0; k < n; k++)
            val[k] = (float)((double)val[k] / sum);
        x->out.ptr[i + 1] = x->out.ptr[i] + n;
    }
    cm_free(scratch);
}

void cm_matcher_apply(struct cm_matcher *x, uint64_t first, struct cm_rows *rows)
{
    enum cm_rule_method m = x->rule.method;
    size_t n = rows->n;
    CM_ASSERT(!cm_matcher_two_passes(x) || first + n <= x->rows);
    CM_GROW(x->out.ptr, x->ptr_cap, n + 1);
    x->out.ptr[0] = 0;
    x->out.n = n;
    if (m == CM_RULE_EXACT) {
        apply_exact(x, first, n);
        *rows = x->out;
        return;
    }
    if (x->whole) {
        struct cm_csr *g = &x->graph;
        uint64_t base = g->ptr[first];
        for (size_t i = 0; i <= n; i++)
            x->out.ptr[i] = g->ptr[first + i] - base;
        *rows = (struct cm_rows){n, x->out.ptr, g->idx + base, g->val + base};
        if (m == CM_RULE_SNN) { /* its output needs the offsets' place */
            rows->ptr = CM_NEW(n + 1, uint64_t);
            memcpy(rows->ptr, x->out.ptr, (n + 1) * sizeof *rows->ptr);
        }
    }
    if (m != CM_RULE_SNN) {
        cm_rows_rule(rows, &x->rule, x->offset, x->max);
        return;
    }
    apply_snn(x, first, rows);
    if (x->whole)
        cm_free(rows->ptr);
    *rows = x->out;
    if (x->rule.hard)
        cm_rows_harden(rows);
}

/* ===== tuning ============================================================================= */

/* Mean probability of the true partners, and the share of rows whose largest entry it is. */
static void evaluate(const struct cm_trial *t, struct cm_choice *c)
{
    const struct cm_csr *m = t->m;
    const struct cm_pairs *truth = t->truth;
    enum { PORTION = 512 };
    struct cm_matcher x;
    struct cm_rows part = {0};
    size_t ptr_cap = 0, idx_cap = 0, val_cap = 0;
    double soft = 0, hard = 0, loss = 0;
    cm_matcher_make(&x, &c->rule, t->more, m->cols, t->max);
    for (int pass = cm_matcher_two_passes(&x) ? 0 : 1; pass < 2; pass++) {
        for (size_t first = 0; first < m->rows; first += PORTION) {
            size_t n = m->rows - first < PORTION ? m->rows - first : PORTION;
            uint64_t base = m->ptr[first], entries = m->ptr[first + n] - base;
            CM_GROW(part.ptr, ptr_cap, n + 1);
            CM_GROW(part.idx, idx_cap, entries + 1);
            CM_GROW(part.val, val_cap, entries + 1);
            part.n = n;
            for (size_t i = 0; i <= n; i++)
                part.ptr[i] = m->ptr[first + i] - base;
            if (entries) {
                memcpy(part.idx, m->idx + base, entries * sizeof *part.idx);
                memcpy(part.val, m->val + base, entries * sizeof *part.val);
            }
            if (pass == 0) {
                cm_matcher_see(&x, &part, t->row_code ? t->row_code + first : NULL);
                continue;
            }
            struct cm_rows p = part;
            cm_matcher_apply(&x, first, &p);
            for (size_t i = 0; i < n; i++) {
                uint32_t partner = truth->col_of_row[first + i];
                uint64_t best = p.ptr[i];
                double own = 0;
                for (uint64_t k = p.ptr[i]; partner != CM_UNPAIRED && k < p.ptr[i + 1]; k++) {
                    if (p.idx[k] == partner)
                        own = (double)p.val[k];
                    if (p.val[k] > p.val[best])
                        best = k;
                }
                soft += own;
                loss -= partner != CM_UNPAIRED ? log(fmax(own, CM_RULE_PROBABLE)) : 0;
                hard += partner != CM_UNPAIRED && best < p.ptr[i + 1] && p.idx[best] == partner;
            }
        }
        if (pass == 0)
            cm_matcher_learn(&x, t->col_code);
    }
    c->rule.temperature = x.rule.temperature;
    c->soft = soft / (double)truth->n;
    c->hard = hard / (double)truth->n;
    c->loss = loss / (double)truth->n;
    cm_matcher_free(&x);
    cm_free(part.ptr);
    cm_free(part.idx);
    cm_free(part.val);
}

size_t cm_matcher_tune(const struct cm_trial *trial, int method, double temperature, bool hard,
                       struct cm_choice *choice, size_t *best)
{
    size_t n = 0;
    for (int k = 0; k < CM_RULE_COUNT; k++) {
        enum cm_rule_method name = (enum cm_rule_method)k;
        bool fixed = temperature > 0 || !cm_rule_tempered(name) ||
                     (name == CM_RULE_SINKHORN && trial->more->epsilon > 0);
        if (method >= 0 && method != k)
            continue;
        for (size_t t = 0; t < (fixed ? 1 : CM_RULE_GRID); t++) {
            double at =
                fixed ? (temperature > 0 ? temperature : CM_RULE_TEMPERATURE) : cm_rule_grid[t];
            choice[n] = (struct cm_choice){.rule = {name, at, false}};
            evaluate(trial, &choice[n++]);
        }
    }
    size_t top = 0;
    for (size_t k = 1; k < n; k++)
        if ((hard ? choice[k].hard : choice[k].soft) > (hard ? choice[top].hard : choice[top].soft))
            top = k;
    *best = top;
    for (size_t k = 0; k < top && !hard; k++)
        if (choice[k].rule.method == choice[top].rule.method &&
            choice[k].soft >= CM_RULE_NEAR * choice[top].soft) {
            *best = k;
            break;
        }
    return n;
}

struct search {
    const struct cm_trial *trial;
    struct cm_choice *choice;
};

static double search_loss(void *arg, double temperature)
{
    struct search *x = arg;
    x->choice->rule.temperature = temperature;
    evaluate(x->trial, x->choice);
    return x->choice->loss;
}

bool cm_matcher_calibrate(const struct cm_trial *trial, const struct cm_choice *choice, size_t n,
                          struct cm_choice *calibrated)
{
    struct search x = {trial, calibrated};
    bool found = false;
    for (size_t k = 0; k < n; k++) {
        enum cm_rule_method method = choice[k].rule.method;
        if (!cm_rule_tempered(method) || (method == CM_RULE_SINKHORN && trial->more->epsilon > 0))
            continue;
        if (!found || choice[k].loss < calibrated->loss)
            *calibrated = choice[k];
        found = true;
    }
    double min;
    if (found) /* the last evaluation is that of the temperature found */
        calibrated->rule.temperature = cm_min_loss(search_loss, &x, &min);
    return found;
}
