/* csls, sinkhorn, snn, thinning and exact assignment against NumPy, SciPy, scikit-learn and POT
 * (tests/ref/match_rules.txt), and vectors of exponentials against the C library. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/pool.h"
#include "match/exact.h"
#include "match/graph.h"
#include "match/matcher.h"
#include "match/topk.h"
#include "matrix/vexp.h"
#include "ref.h"

#define REF "tests/ref/match_rules.txt"

static struct ref block(const char *name, const char *what)
{
    char full[64];
    snprintf(full, sizeof full, "%s.%s", name, what);
    return ref_load(REF, full);
}

static struct cm_csr candidates(const char *name)
{
    struct ref shape = block(name, "shape"), e = block(name, "entries");
    size_t rows = (size_t)shape.v[0], at = 0;
    struct cm_csr m = cm_csr_make((size_t)shape.v[1]);
    uint64_t ptr[2] = {0};
    uint32_t idx[64];
    float val[64];
    for (size_t i = 0; i < rows; i++) {
        size_t n = 0;
        for (; at < e.rows && e.v[3 * at] < (double)i + 0.5; at++) {
            idx[n] = (uint32_t)e.v[3 * at + 1];
            val[n++] = (float)e.v[3 * at + 2];
        }
        ptr[1] = n;
        cm_csr_append(&m, 1, ptr, idx, val);
    }
    assert_int_equal(at, e.rows);
    cm_free(shape.v);
    cm_free(e.v);
    return m;
}

static uint32_t *codes(const char *name, const char *what)
{
    struct ref r = block(name, what);
    uint32_t *c = CM_NEW(r.cols, uint32_t);
    for (size_t k = 0; k < r.cols; k++)
        c[k] = (uint32_t)r.v[k];
    cm_free(r.v);
    return c;
}

/* The rule on a copy of m, `step` rows at a time, as a dense matrix. */
static double *apply(const struct cm_csr *m, const struct cm_rule *rule,
                     const struct cm_rule_more *more, const uint32_t *row, const uint32_t *col,
                     size_t step)
{
    double *p = CM_ZNEW(m->rows * m->cols, double);
    struct cm_matcher x;
    cm_matcher_make(&x, rule, more, m->cols, 1000);
    uint64_t ptr[64];
    uint32_t idx[4096];
    float val[4096];
    for (int pass = 0; pass < 2; pass++) {
        for (size_t first = 0; first < m->rows; first += step) {
            struct cm_rows r = {m->rows - first < step ? m->rows - first : step, ptr, idx, val};
            for (size_t i = 0; i <= r.n; i++)
                ptr[i] = m->ptr[first + i] - m->ptr[first];
            assert_true(ptr[r.n] <= 4096);
            for (uint64_t k = 0; k < ptr[r.n]; k++) {
                idx[k] = m->idx[m->ptr[first] + k];
                val[k] = m->val[m->ptr[first] + k];
            }
            if (pass == 0) {
                cm_matcher_see(&x, &r, row ? row + first : NULL);
                continue;
            }
            cm_matcher_apply(&x, first, &r);
            for (size_t i = 0; i < r.n; i++)
                for (uint64_t k = r.ptr[i]; k < r.ptr[i + 1]; k++) {
                    assert_true(k == r.ptr[i] || r.idx[k] > r.idx[k - 1]);
                    p[(first + i) * m->cols + r.idx[k]] = (double)r.val[k];
                }
        }
        if (pass == 0)
            cm_matcher_learn(&x, col);
    }
    cm_matcher_free(&x);
    return p;
}

static void equals(const double *p, size_t n, const char *name, const char *what, double tolerance)
{
    struct ref r = block(name, what);
    assert_int_equal(r.rows * r.cols, n);
    for (size_t k = 0; k < n; k++)
        if (!(fabs(p[k] - r.v[k]) <= tolerance))
            fail_msg("%s.%s, place %zu: %.9g, expected %.9g", name, what, k, p[k], r.v[k]);
    cm_free(r.v);
}

static void one_rule(const char *name, const char *what, enum cm_rule_method method,
                     struct cm_rule_more more, bool groups)
{
    struct cm_csr m = candidates(name);
    uint32_t *row = groups ? codes(name, "row") : NULL, *col = groups ? codes(name, "col") : NULL;
    struct cm_rule rule = {method, 15, false};
    size_t n = m.rows * m.cols;
    double *p = apply(&m, &rule, &more, row, col, 64);
    equals(p, n, name, what, 2e-6);
    cm_pool_set_threads(3); /* the same bits, also in other portions */
    double *q = apply(&m, &rule, &more, row, col, 5);
    cm_pool_set_threads(1);
    assert_memory_equal(p, q, n * sizeof *p);
    cm_free(q);
    rule.hard = true; /* one-hot at the first of the largest */
    q = apply(&m, &rule, &more, row, col, 64);
    for (size_t i = 0; i < m.rows; i++) {
        size_t best = 0;
        for (size_t j = 1; j < m.cols; j++)
            if (p[i * m.cols + j] > p[i * m.cols + best])
                best = j;
        for (size_t j = 0; j < m.cols; j++)
            assert_true(q[i * m.cols + j] == (double)(j == best && p[i * m.cols + j] > 0));
    }
    cm_free(p);
    cm_free(q);
    cm_free(row);
    cm_free(col);
    cm_csr_free(&m);
}

static const char *const dense[] = {"full12x12", "full9x15", "full15x9",
                                    "full1x1",   "full1x6",  "full6x1"};
enum { DENSE = sizeof dense / sizeof *dense };
static const char *const thin[] = {"sparse", "groups"};

static void rules(void **state)
{
    (void)state;
    for (size_t k = 0; k < DENSE + 2; k++) {
        const char *name = k < DENSE ? dense[k] : thin[k - DENSE];
        bool groups = k == DENSE + 1;
        one_rule(name, "csls1", CM_RULE_CSLS, (struct cm_rule_more){.neighbours = 1}, groups);
        one_rule(name, "csls3", CM_RULE_CSLS, (struct cm_rule_more){.neighbours = 3}, groups);
        one_rule(name, "snn1", CM_RULE_SNN, (struct cm_rule_more){0}, groups);
        one_rule(name, "snn3", CM_RULE_SNN, (struct cm_rule_more){.neighbours = 3}, groups);
        one_rule(name, "sinkhorn1", CM_RULE_SINKHORN, (struct cm_rule_more){.iterations = 1},
                 groups);
        one_rule(name, "sinkhorn7", CM_RULE_SINKHORN, (struct cm_rule_more){.iterations = 7},
                 groups);
        if (k < DENSE)
            one_rule(name, "clue", CM_RULE_SNN, (struct cm_rule_more){0}, false);
        if (k < DENSE || groups)
            one_rule(name, "epsilon", CM_RULE_SINKHORN,
                     (struct cm_rule_more){.iterations = 7, .epsilon = .05}, groups);
    }
}

/* Far beyond what exponentials of the similarities themselves could hold. */
static void transport_is_stable(void **state)
{
    (void)state;
    struct cm_csr m = candidates("full9x15");
    for (uint64_t k = 0; k < m.ptr[m.rows]; k++)
        m.val[k] = m.val[k] * 100 - 1e5f;
    struct cm_rule rule = {CM_RULE_SINKHORN, 500, false};
    struct cm_rule_more more = {.iterations = 50};
    double *p = apply(&m, &rule, &more, NULL, NULL, 64);
    for (size_t i = 0; i < m.rows; i++) {
        double sum = 0;
        for (size_t j = 0; j < m.cols; j++)
            sum += p[i * m.cols + j];
        assert_true(fabs(sum - 1) < 1e-6);
    }
    cm_free(p);
    cm_csr_free(&m);
}

static void quantiles(void **state)
{
    (void)state;
    for (size_t k = 0; k <= DENSE; k++) {
        const char *name = k < DENSE ? dense[k] : "groups";
        struct cm_csr m = candidates(name);
        uint32_t *row = k < DENSE ? NULL : codes(name, "row");
        uint32_t *col = k < DENSE ? NULL : codes(name, "col");
        cm_graph_quantile(&m, row, col, k < DENSE ? .8 : .6);
        double *p = CM_ZNEW(m.rows * m.cols, double);
        for (size_t i = 0; i < m.rows; i++)
            for (uint64_t e = m.ptr[i]; e < m.ptr[i + 1]; e++)
                p[i * m.cols + m.idx[e]] = (double)m.val[e];
        equals(p, m.rows * m.cols, name, "quantile", 1e-8);
        cm_free(p);
        cm_free(row);
        cm_free(col);
        cm_csr_free(&m);
    }
    /* and before a rule: the thinned candidates alone are left to choose from */
    struct cm_csr m = candidates("full12x12");
    struct cm_rule rule = {CM_RULE_SOFTMAX, 15, false};
    struct cm_rule_more more = {.quantile = .8};
    struct ref kept = block("full12x12", "quantile");
    double *p = apply(&m, &rule, &more, NULL, NULL, 7);
    for (size_t e = 0; e < m.rows * m.cols; e++)
        assert_true((p[e] > 0) == (kept.v[e] > 0 || kept.v[e] < 0));
    cm_free(p);
    cm_free(kept.v);
    cm_csr_free(&m);
}

/* Pairs and sum of an assignment, which must use stored pairs and no column twice. */
static size_t worth(const struct cm_csr *m, const uint32_t *partner, double *sum)
{
    size_t pairs = 0;
    bool *used = CM_ZNEW(m->cols, bool);
    *sum = 0;
    for (size_t i = 0; i < m->rows; i++) {
        if (partner[i] == CM_NO_PARTNER)
            continue;
        bool found = false;
        for (uint64_t k = m->ptr[i]; k < m->ptr[i + 1]; k++)
            if (m->idx[k] == partner[i]) {
                found = true;
                *sum += (double)m->val[k];
            }
        assert_true(found && !used[partner[i]]);
        used[partner[i]] = true;
        pairs++;
    }
    cm_free(used);
    return pairs;
}

static void assignments_are_scipys(void **state)
{
    (void)state;
    for (int k = 0; k < 50; k++) {
        char name[24];
        snprintf(name, sizeof name, "exact%d", k);
        struct cm_csr m = candidates(name);
        struct ref want = block(name, "expected");
        uint32_t *partner = CM_NEW(m.rows, uint32_t);
        double sum;
        cm_exact(&m, partner);
        size_t pairs = worth(&m, partner, &sum);
        if (pairs != (size_t)want.v[0] || !(fabs(sum - want.v[1]) < 1e-6))
            fail_msg("%s: %zu pairs of sum %.9g, expected %g of %.9g", name, pairs, sum, want.v[0],
                     want.v[1]);
        cm_free(partner);
        cm_free(want.v);
        cm_csr_free(&m);
    }
}

/* A problem whose best sum is known: s_ij = a_i - distance, with distance 0 for the hidden pairs,
 * so no assignment exceeds the sum of a. */
static void hidden(size_t n, size_t m, bool sparse)
{
    struct cm_csr c = cm_csr_make(m);
    uint32_t *idx = CM_NEW(m, uint32_t), *partner = CM_NEW(n > m ? n : m, uint32_t);
    float *val = CM_NEW(m, float);
    double want = 0, sum;
    for (size_t i = 0; i < n; i++) {
        uint64_t ptr[2] = {0, 0};
        for (size_t j = 0; j < m; j++) {
            uint32_t mix = (uint32_t)(i * 7919 + j * 104729) * 2654435761u;
            bool pair = (i * 37) % m == j;
            if (sparse && !pair && mix >> 28 > 2)
                continue;
            float distance = pair ? 0 : (float)(1 + (mix >> 20) % 64) / 8;
            idx[ptr[1]] = (uint32_t)j;
            val[ptr[1]++] = (float)(i % 13) - distance; /* whole eighths: sums are exact */
        }
        want += (double)(i % 13);
        cm_csr_append(&c, 1, ptr, idx, val);
    }
    cm_exact(&c, partner);
    assert_int_equal(worth(&c, partner, &sum), n);
    assert_true(fabs(sum - want) < 1e-9);
    struct cm_csr transposed = cm_csr_transpose(&c); /* more rows than columns */
    cm_exact(&transposed, partner);
    assert_int_equal(worth(&transposed, partner, &sum), n);
    assert_true(fabs(sum - want) < 1e-9);
    cm_csr_free(&transposed);
    cm_csr_free(&c);
    cm_free(idx);
    cm_free(val);
    cm_free(partner);
}

static void hidden_assignments(void **state)
{
    (void)state;
    hidden(300, 340, true);
    hidden(300, 340, false); /* by its core */
    hidden(150, 170, false); /* too small for one */
}

/* All columns are alike, so that every core is the same: prices must widen it to everything. */
static void useless_core(void **state)
{
    (void)state;
    enum { N = 200 };
    struct cm_csr c = cm_csr_make(N);
    uint32_t idx[N], partner[N];
    float val[N];
    double sum;
    for (size_t i = 0; i < N; i++) {
        uint64_t ptr[2] = {0, N};
        for (size_t j = 0; j < N; j++) {
            idx[j] = (uint32_t)j;
            val[j] = (float)j / 8;
        }
        cm_csr_append(&c, 1, ptr, idx, val);
    }
    cm_exact(&c, partner);
    assert_int_equal(worth(&c, partner, &sum), N);
    assert_true(fabs(sum - N * (N - 1) / 16.0) < 1e-9);
    cm_csr_free(&c);
}

static void nothing_to_assign(void **state)
{
    (void)state;
    uint64_t ptr[4] = {0, 0, 0, 0};
    uint32_t partner[3] = {0, 0, 0};
    struct cm_csr m = cm_csr_make(5);
    cm_exact(&m, partner); /* no rows */
    cm_csr_append(&m, 3, ptr, NULL, NULL);
    cm_exact(&m, partner); /* no candidates */
    for (int i = 0; i < 3; i++)
        assert_true(partner[i] == CM_NO_PARTNER);
    cm_csr_free(&m);
    m = cm_csr_make(0);
    cm_csr_append(&m, 3, ptr, NULL, NULL);
    partner[1] = 0;
    cm_exact(&m, partner); /* no columns */
    assert_true(partner[1] == CM_NO_PARTNER);
    cm_csr_free(&m);
}

static void tangents(void **state)
{
    (void)state;
    enum { N = 4003 };
    double x[N], y[N];
    for (int k = 0; k < N; k++)
        x[k] = y[k] = 0.01 * (k - N / 2) + 1e-9 * k;
    x[0] = y[0] = -1000;
    x[1] = y[1] = 1e300;
    x[2] = y[2] = -1e-20;
    cm_tanh(y, N);
    for (int k = 0; k < N; k++)
        assert_true(fabs(y[k] - tanh(x[k])) <= 1e-14);
    x[0] = NAN;
    cm_tanh(x, 1);
    assert_true(isnan(x[0]));
}

static void exponentials(void **state)
{
    (void)state;
    enum { N = 2003 };
    float x[N], y[N];
    double sum = 0;
    for (int k = 0; k < N; k++) {
        x[k] = y[k] = -0.055f * (float)k;
        sum += exp((double)x[k]);
    }
    double got = cm_exp_below(y, N);
    assert_true(fabs(got - sum) < 3e-7 * sum);
    for (int k = 0; k < N; k++) {
        double want = exp((double)x[k]);
        double tolerance = want > 1.2e-38 ? 3e-7 * want : 3e-45; /* below: steps of 1.4e-45 */
        if (x[k] > -103)
            assert_true(fabs((double)y[k] - want) <= tolerance);
        else
            assert_true((double)y[k] <= 3e-45);
    }
    double logit[N], top = 3.5, less[2] = {-1e300, top};
    sum = 0;
    for (int k = 0; k < N; k++) {
        logit[k] = top + (double)x[k];
        sum += exp(logit[k] - top);
    }
    assert_true(fabs(cm_exp_sum(logit, N, top) - sum) < 1e-14 * sum);
    assert_true(cm_exp_sum(less, 2, top) == 1);
    enum { ROWS = 37, COLS = 29, LD = 31 };
    float s[ROWS * LD], max[COLS];
    double sums[COLS];
    for (int k = 0; k < ROWS * LD; k++)
        s[k] = (float)((k * 7919) % 1000) / 100 - 5;
    for (int j = 0; j < COLS; j++) {
        max[j] = -6;
        sums[j] = 0.5;
    }
    cm_column_max(s, ROWS, COLS, LD, max);
    cm_exp_column_sums(s, ROWS, COLS, LD, 80, max, sums);
    for (int j = 0; j < COLS; j++) {
        float bound = -6;
        double want = 0.5;
        for (int i = 0; i < ROWS; i++)
            bound = s[i * LD + j] > bound ? s[i * LD + j] : bound;
        assert_true(memcmp(&bound, &max[j], sizeof bound) == 0);
        for (int i = 0; i < ROWS; i++)
            want += exp(80 * ((double)s[i * LD + j] - (double)bound));
        assert_true(fabs(sums[j] - want) < 1e-13 * want);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(rules),
                                       cmocka_unit_test(transport_is_stable),
                                       cmocka_unit_test(quantiles),
                                       cmocka_unit_test(assignments_are_scipys),
                                       cmocka_unit_test(hidden_assignments),
                                       cmocka_unit_test(useless_core),
                                       cmocka_unit_test(nothing_to_assign),
                                       cmocka_unit_test(tangents),
                                       cmocka_unit_test(exponentials)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
