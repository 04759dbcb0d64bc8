/* Rules and their tuning against NumPy and SciPy (tests/ref/match.txt), and steps over rows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>

#include "base/error.h"
#include "base/pool.h"
#include "match/rows.h"
#include "match/rules.h"
#include "match/topk.h"
#include "ref.h"

#define REF "tests/ref/match.txt"

static void near_to(double a, double b, double tolerance)
{
    if (!(fabs(a - b) <= tolerance))
        fail_msg("%.17g and %.17g differ by more than %g", a, b, tolerance);
}

static void check_tuning(const float *s, size_t n, const uint32_t *group, const char *name)
{
    struct ref r = ref_load(REF, name); /* temperature x soft, soft dual, argmax, dual argmax */
    struct cm_rule_tuning one, two;
    cm_pool_set_threads(1);
    cm_rule_tune(s, n, n, group, &one);
    cm_pool_set_threads(3);
    cm_rule_tune(s, n, n, group, &two);
    cm_pool_set_threads(1);
    assert_memory_equal(&one.soft_at, &two.soft_at, sizeof one.soft_at);
    size_t best = CM_RULE_GRID; /* the lowest temperature within 2 % of the highest soft score */
    double max = 0;
    for (size_t k = 0; k < CM_RULE_GRID; k++)
        max = fmax(max, r.v[4 * k + 1]);
    for (size_t k = 0; k < CM_RULE_GRID; k++) {
        const double *row = r.v + 4 * k;
        near_to(one.soft_at[CM_RULE_SOFTMAX][k], row[0], 1e-12);
        near_to(one.soft_at[CM_RULE_DUAL][k], row[1], 1e-12);
        near_to(one.argmax, row[2], 1e-12);
        near_to(one.dual_at[k], row[3], 1e-12);
        if (best == CM_RULE_GRID && row[1] >= 0.98 * max)
            best = k;
    }
    assert_int_equal(one.rule.method, CM_RULE_DUAL);
    near_to(one.rule.temperature, cm_rule_grid[best], 0);
    near_to(one.soft, r.v[4 * best + 1], 1e-12);
    near_to(one.hard, r.v[4 * best + 3], 1e-12);
    cm_free(r.v);

    char block[32]; /* temperature and loss where the loss of dual, of softmax is least */
    snprintf(block, sizeof block, "%s.calibrated", name);
    r = ref_load(REF, block);
    struct cm_rule_block whole = {s, n, n, group};
    for (size_t k = 0; k < 2; k++) {
        enum cm_rule_method method = k ? CM_RULE_DUAL : CM_RULE_SOFTMAX;
        double loss, again;
        double t = cm_rule_calibrate(&whole, 1, method, &loss);
        near_to(t, r.v[2 * k], 2e-3 * t);
        near_to(loss, r.v[2 * k + 1], 1e-6);
        cm_pool_set_threads(3);
        near_to(cm_rule_calibrate(&whole, 1, method, &again), t, 0);
        near_to(again, loss, 0);
        cm_pool_set_threads(1);
    }
    cm_free(r.v);
}

/* Two blocks count by their cells: the same one twice changes nothing, and one cell alone adds
 * nothing that depends on the temperature. */
static void blocks_of_cells(void **state)
{
    (void)state;
    struct ref r = ref_load(REF, "tune.s");
    float *v = CM_NEW(r.rows * r.cols, float), lone = .3f;
    for (size_t k = 0; k < r.rows * r.cols; k++)
        v[k] = (float)r.v[k];
    size_t n = r.rows;
    struct cm_rule_block b[3] = {{v, n, n, NULL}, {v, n, n, NULL}, {&lone, 1, 1, NULL}};
    double loss[3], t = cm_rule_calibrate(b, 1, CM_RULE_DUAL, &loss[0]);
    near_to(cm_rule_calibrate(b, 2, CM_RULE_DUAL, &loss[1]), t, 1e-9);
    near_to(loss[1], loss[0], 1e-12);
    near_to(cm_rule_calibrate(b + 1, 2, CM_RULE_DUAL, &loss[2]), t, 1e-9);
    near_to(loss[2] * (double)(n + 1), loss[0] * (double)n, 1e-9);
    cm_free(r.v);
    cm_free(v);
}

/* The search crosses many powers of two to a valley that is nowhere near its start, and stops where
 * there is none. */
static double valley(void *arg, double t)
{
    double d = log(t) - *(double *)arg;
    return d * d;
}

static void the_min_loss(void **state)
{
    (void)state;
    static const double at[] = {-3.3, -1, 0.1, 2.7, 2.8, 4.4, 8.5};
    for (size_t k = 0; k < sizeof at / sizeof *at; k++) {
        double where = at[k], loss;
        near_to(log(cm_min_loss(valley, &where, &loss)), where, 1e-3);
        near_to(loss, 0, 1e-6);
    }
    double below = -100, above = 100, loss;
    double low = cm_min_loss(valley, &below, &loss), high = cm_min_loss(valley, &above, &loss);
    assert_true(low > exp(-6) && low < exp(-3) && high > exp(8) && high < exp(11));
}

static void words_of_values(void **state)
{
    (void)state;
    struct cm_kv kv = {0};
    assert_int_equal(cm_rule_values(&kv), CM_RULE_GIVEN);
    for (int v = CM_RULE_CALIBRATED; v <= CM_RULE_WEIGHT; v++) {
        cm_kv_set(&kv, "rule.values", cm_rule_values_name((enum cm_rule_values)v));
        assert_int_equal(cm_rule_values(&kv), v);
    }
    cm_kv_set(&kv, "rule.values", "of another version");
    assert_int_equal(cm_rule_values(&kv), CM_RULE_GIVEN);
    cm_kv_free(&kv);
}

static void tuning(void **state)
{
    (void)state;
    struct ref s = ref_load(REF, "tune.s"), g = ref_load(REF, "tune.group");
    float *v = CM_NEW(s.rows * s.cols, float);
    uint32_t *group = CM_NEW(g.cols, uint32_t);
    for (size_t k = 0; k < s.rows * s.cols; k++)
        v[k] = (float)s.v[k];
    for (size_t k = 0; k < g.cols; k++)
        group[k] = (uint32_t)g.v[k];
    check_tuning(v, s.rows, NULL, "tune.all");
    check_tuning(v, s.rows, group, "tune.within");
    cm_free(s.v);
    cm_free(g.v);
    cm_free(v);
    cm_free(group);
}

static void tuning_distrusts_dual(void **state)
{
    (void)state;
    enum { N = 50 };
    static float s[N * N]; /* the partner is the worst of all: accuracy 0 */
    for (size_t i = 0; i < N; i++)
        for (size_t j = 0; j < N; j++)
            s[i * N + j] = i == j ? 0.0f : 0.5f + 0.001f * (float)((i * 7 + j * 3) % 11);
    struct cm_rule_tuning t;
    cm_rule_tune(s, N, N, NULL, &t);
    assert_int_equal(t.rule.method, CM_RULE_SOFTMAX);
    near_to(t.rule.temperature, 5, 0);
    near_to(t.argmax, 0, 0);
    near_to(t.hard, 0, 0);
    struct cm_rule_block b = {s, N, N, NULL};
    assert_true(cm_rule_calibrate(&b, 1, CM_RULE_SOFTMAX, NULL) < .1); /* it knows nothing */
    float one = 0.3f;
    cm_rule_tune(&one, 1, 1, NULL, &t);
    near_to(t.soft, 1, 0);
}

/* p of a dense s by the definition: row softmax times column softmax, divided by the row's sum. */
static double dual_by_definition(const float *s, size_t n, size_t i, size_t j, double t)
{
    double row = 0, p = 0;
    for (size_t c = 0; c < n; c++) {
        double r = 0, q = 0;
        for (size_t k = 0; k < n; k++) {
            r += exp(t * ((double)s[i * n + k] - (double)s[i * n + c]));
            q += exp(t * ((double)s[k * n + c] - (double)s[i * n + c]));
        }
        row += 1 / r / q;
        if (c == j)
            p = 1 / r / q;
    }
    return p / row;
}

static void a_row(void **state)
{
    (void)state;
    struct ref s = ref_load(REF, "tune.s");
    size_t n = s.rows;
    float *v = CM_NEW(n * n, float), *p = CM_NEW(n, float);
    uint32_t *idx = CM_NEW(n, uint32_t);
    double *log_sum = CM_NEW(n, double);
    struct cm_normalisers c;
    cm_normalisers_make(&c, n, 20);
    for (size_t j = 0; j < n; j++)
        idx[j] = (uint32_t)j;
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++)
            v[i * n + j] = (float)s.v[i * n + j];
        cm_normalisers_add(&c, n, idx, v + i * n);
    }
    cm_normalisers_log(&c, log_sum);
    struct cm_rule_scratch x = {0};
    struct cm_rule rule = {CM_RULE_DUAL, 20, false};
    size_t best = 0;
    memcpy(p, v + 5 * n, n * sizeof *p);
    assert_int_equal(cm_rule_row(&rule, n, idx, p, log_sum, n, &x), n);
    for (size_t j = 0; j < n; j++) {
        near_to(p[j], dual_by_definition(v, n, 5, j, 20), 1e-7);
        best = p[j] > p[best] ? j : best;
    }
    /* the three largest, summing to 1, in column order */
    float *full = CM_NEW(n, float);
    memcpy(full, p, n * sizeof *p);
    memcpy(p, v + 5 * n, n * sizeof *p);
    assert_int_equal(cm_rule_row(&rule, n, idx, p, log_sum, 3, &x), 3);
    assert_true(idx[0] < idx[1] && idx[1] < idx[2]);
    double kept = (double)full[idx[0]] + (double)full[idx[1]] + (double)full[idx[2]];
    for (size_t j = 0; j < 3; j++)
        near_to(p[j], (double)full[idx[j]] / kept, 1e-6);
    size_t larger = 0;
    for (size_t j = 0; j < n; j++)
        larger += full[j] > full[idx[0]] || full[j] > full[idx[1]] || full[j] > full[idx[2]];
    assert_true(larger <= 2);
    /* hard: the argmax alone */
    for (size_t j = 0; j < n; j++)
        idx[j] = (uint32_t)j;
    memcpy(p, v + 5 * n, n * sizeof *p);
    rule.hard = true;
    assert_int_equal(cm_rule_row(&rule, n, idx, p, log_sum, n, &x), 1);
    assert_int_equal(idx[0], best);
    near_to(p[0], 1, 0);
    /* softmax of equal values, of far values (zeros are dropped), of nothing */
    uint32_t i2[3] = {4, 7, 9};
    float s2[3] = {0.25f, 0.25f, 0.25f};
    rule = (struct cm_rule){CM_RULE_SOFTMAX, 40, false};
    assert_int_equal(cm_rule_row(&rule, 3, i2, s2, NULL, 2, &x), 2);
    assert_true(i2[0] == 4 && i2[1] == 7); /* equals: the lower columns */
    near_to(s2[0], 0.5, 1e-7);
    uint32_t i3[2] = {1, 2};
    float s3[2] = {100, -100};
    assert_int_equal(cm_rule_row(&rule, 2, i3, s3, NULL, 2, &x), 1);
    near_to(s3[0], 1, 0);
    assert_int_equal(cm_rule_row(&rule, 0, i3, s3, NULL, 2, &x), 0);
    cm_rule_scratch_free(&x);
    cm_normalisers_free(&c);
    cm_free(s.v);
    cm_free(v);
    cm_free(p);
    cm_free(full);
    cm_free(idx);
    cm_free(log_sum);
}

static void heads(void **state)
{
    (void)state;
    struct cm_kv kv = {0};
    struct cm_rule a = {CM_RULE_DUAL, 40, false}, b = {0};
    assert_int_equal(cm_rule_read(&kv, &b), CM_EINPUT);
    cm_rule_write(&kv, &a);
    assert_string_equal(cm_kv_get(&kv, "rule.method"), "dual");
    assert_int_equal(cm_rule_read(&kv, &b), 0);
    assert_int_equal(b.method, CM_RULE_DUAL);
    near_to(b.temperature, 40, 0);
    cm_kv_set(&kv, "rule.method", "hungarian");
    assert_int_equal(cm_rule_read(&kv, &b), CM_EINPUT);
    cm_kv_set(&kv, "rule.method", "softmax");
    cm_kv_set(&kv, "rule.temperature", "-1");
    assert_int_equal(cm_rule_read(&kv, &b), CM_EINPUT);
    cm_kv_set(&kv, "rule.temperature", "nan");
    assert_int_equal(cm_rule_read(&kv, &b), CM_EINPUT);
    cm_kv_free(&kv);
}

static void steps(void **state)
{
    (void)state;
    /* rows of 2, 0, 3 entries that begin at multiples of 3 */
    uint64_t ptr[4];
    uint32_t idx[9] = {1, 4, 99, 99, 99, 99, 0, 2, 4};
    float val[9] = {.5f, .25f, 9, 9, 9, 9, 1, 2, 3};
    size_t count[3] = {2, 0, 3};
    struct cm_rows r = {3, ptr, idx, val};
    cm_rows_pack(&r, 3, count);
    assert_true(ptr[0] == 0 && ptr[1] == 2 && ptr[2] == 2 && ptr[3] == 5);
    assert_true(idx[0] == 1 && idx[2] == 0 && idx[4] == 4 && val[4] > 2.5f);
    assert_int_equal(cm_rows_empty(&r), 1);

    uint64_t ptr2[4] = {0, 2, 3, 5};
    uint32_t idx2[5] = {0, 4, 1, 2, 4};
    float val2[5] = {7, 1, 7, .5f, .25f};
    struct cm_rows other = {3, ptr2, idx2, val2};
    cm_rows_add(&r, &other);
    assert_true(ptr[1] == 1 && ptr[2] == 1 && ptr[3] == 3);
    assert_true(idx[0] == 4 && idx[1] == 2 && idx[2] == 4);
    near_to(val[0], 1.25, 0);
    near_to(val[1], 2.5, 0);
    near_to(val[2], 3.25, 0);

    uint32_t row_code[3] = {0, 1, 1}, col_code[5] = {0, 0, 1, CM_GROUP_NONE, 0};
    cm_rows_within(&r, row_code, col_code);
    assert_true(ptr[1] == 1 && ptr[2] == 1 && ptr[3] == 2 && idx[1] == 2);
    row_code[2] = CM_GROUP_NONE;
    cm_rows_within(&r, row_code, col_code);
    assert_true(ptr[3] == 1);

    uint64_t ptr3[4] = {0, 3, 5, 5};
    uint32_t idx3[5] = {3, 5, 6, 0, 1};
    float val3[5] = {.2f, .4f, .4f, 0, 0};
    struct cm_rows p = {3, ptr3, idx3, val3};
    cm_rows_harden(&p);
    assert_true(ptr3[1] == 1 && ptr3[2] == 1 && ptr3[3] == 1 && idx3[0] == 5);
    near_to(val3[0], 1, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tuning),
                                       cmocka_unit_test(blocks_of_cells),
                                       cmocka_unit_test(the_min_loss),
                                       cmocka_unit_test(words_of_values),
                                       cmocka_unit_test(tuning_distrusts_dual),
                                       cmocka_unit_test(a_row),
                                       cmocka_unit_test(heads),
                                       cmocka_unit_test(steps)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
