/* Selection and blocked search against plain loops: ties, groups, any k, any thread count. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "match/select.h"
#include "match/topk.h"

static void keeps_the_largest(void **state)
{
    (void)state;
    struct cm_rng g = cm_rng_make(1, CM_RNG_TEST, 0, 0);
    for (int round = 0; round < 400; round++) {
        size_t n = 1 + (size_t)cm_rng_below(&g, 60), k = (size_t)cm_rng_below(&g, n + 5);
        uint64_t values = 1 + cm_rng_below(&g, 12); /* few values: many ties; 1: all equal */
        float key[60], copy[60], val[60];
        uint32_t idx[60], scratch[60];
        for (size_t i = 0; i < n; i++) {
            key[i] = copy[i] = (float)cm_rng_below(&g, values) - 3;
            if (round % 3 == 0)
                key[i] = copy[i] = (float)cm_rng_normal(&g) * (round % 2 ? 1e-3f : 1e20f);
            idx[i] = (uint32_t)(2 * i);
            val[i] = (float)i;
        }
        size_t kept = cm_top_keep(n, k, key, idx, val, scratch), at = 0;
        assert_int_equal(kept, k < n ? k : n);
        for (size_t i = 0; i < n; i++) { /* i is kept if fewer than k precede it */
            size_t before = 0;
            for (size_t j = 0; j < n; j++)
                before += copy[j] > copy[i] || (j < i && !(copy[j] < copy[i]));
            if (before >= k)
                continue;
            assert_true(at < kept && idx[at] == 2 * i);
            assert_true((size_t)val[at] == i && !(key[at] < copy[i]) && !(key[at] > copy[i]));
            at++;
        }
        assert_int_equal(at, kept);
    }
}

enum { N = 150, M = 2500, D = 5 };

/* Small whole numbers: products are exact in float, and ties abound. */
static void cells(float *v, size_t n, uint32_t purpose)
{
    struct cm_rng g = cm_rng_make(7, CM_RNG_TEST, purpose, 0);
    for (size_t i = 0; i < n * D; i++)
        v[i] = (float)cm_rng_below(&g, 7) - 3;
}

static float product(const float *a, const float *b)
{
    float s = 0;
    for (size_t d = 0; d < D; d++)
        s += a[d] * b[d];
    return s;
}

static bool unfair;

static void check_search(size_t n, size_t m, size_t k, bool groups, bool shifted)
{
    float *e = CM_NEW(n * D, float), *t = CM_NEW(m * D, float), *shift = CM_NEW(m, float);
    uint32_t *ge = CM_NEW(n, uint32_t), *gt = CM_NEW(m, uint32_t);
    cells(e, n, 1);
    cells(t, m, 2);
    for (size_t j = 0; unfair && j < m; j += 8) /* what a sample takes looks better than the rest */
        for (size_t d = 0; d < D; d++)
            t[j * D + d] *= 64;
    for (size_t i = 0; i < n; i++)
        ge[i] = i % 7 == 6 ? CM_GROUP_NONE : (uint32_t)(i * 5 % 4); /* 3: no column has it */
    for (size_t j = 0; j < m; j++) {
        gt[j] = j % 11 == 5 ? CM_GROUP_NONE : (uint32_t)(j % 3);
        shift[j] = (float)(j % 5);
    }
    struct cm_dense td = {m, D, D, t};
    uint32_t *idx[2];
    float *s[2];
    size_t *count[2];
    for (int run = 0; run < 2; run++) {
        cm_pool_set_threads(run ? 3 : 1);
        idx[run] = CM_ZNEW(n * k, uint32_t);
        s[run] = CM_ZNEW(n * k, float);
        count[run] = CM_NEW(n, size_t);
        struct cm_search *x = cm_search_make(&td, groups ? gt : NULL);
        cm_search_rows(x, e, D, n, groups ? ge : NULL, k, shifted ? shift : NULL, idx[run], s[run],
                       count[run]);
        cm_search_free(x);
    }
    cm_pool_set_threads(1);
    assert_memory_equal(idx[0], idx[1], n * k * sizeof **idx);
    assert_memory_equal(s[0], s[1], n * k * sizeof **s);
    float *key = CM_NEW(m, float), *val = CM_NEW(m, float);
    uint32_t *scratch = CM_NEW(m, uint32_t);
    uint32_t *want = CM_NEW(m, uint32_t);
    for (size_t i = 0; i < n; i++) {
        size_t all = 0;
        for (size_t j = 0; j < m; j++) {
            if (groups && (ge[i] == CM_GROUP_NONE || ge[i] != gt[j]))
                continue;
            want[all] = (uint32_t)j;
            val[all] = product(e + i * D, t + j * D);
            key[all] = shifted ? val[all] - shift[j] : val[all];
            all++;
        }
        all = cm_top_keep(all, k, key, want, val, scratch);
        assert_int_equal(count[0][i], all);
        if (all) {
            assert_memory_equal(idx[0] + i * k, want, all * sizeof *want);
            assert_memory_equal(s[0] + i * k, val, all * sizeof *val);
        }
    }
    for (int run = 0; run < 2; run++) {
        cm_free(idx[run]);
        cm_free(s[run]);
        cm_free(count[run]);
    }
    cm_free(e);
    cm_free(t);
    cm_free(shift);
    cm_free(ge);
    cm_free(gt);
    cm_free(key);
    cm_free(val);
    cm_free(scratch);
    cm_free(want);
}

static void search(void **state)
{
    (void)state;
    static const size_t ks[] = {1, 10, 700, 1500, M, M + 1000};
    for (size_t c = 0; c < sizeof ks / sizeof *ks; c++)
        for (int v = 0; v < 4; v++)
            check_search(N, M, ks[c], v & 1, v & 2);
    check_search(1, 1, 3, false, false);
    /* groups so large that thresholds come from a sample, with many equal similarities */
    for (int v = 0; v < 4; v++) {
        check_search(40, 14000, 1, v & 1, v & 2);
        check_search(40, 14000, 200, v & 1, v & 2);
    }
    unfair = true; /* thresholds too high for k: the unit is done again */
    check_search(40, 8192, 1200, false, false);
    check_search(40, 8192, 1200, false, true);
    unfair = false;
    check_search(70, 1, 1, true, true);
}

static void normalisers(void **state)
{
    (void)state;
    static float e[N * D], t[M * D];
    uint32_t ge[N], gt[M];
    cells(e, N, 3);
    cells(t, M, 4);
    for (size_t i = 0; i < N; i++)
        ge[i] = (uint32_t)(i % 2);
    for (size_t j = 0; j < M; j++)
        gt[j] = j == 9 ? CM_GROUP_NONE : (uint32_t)(j % 2);
    struct cm_dense td = {M, D, D, t};
    for (int groups = 0; groups < 2; groups++) {
        double *log_sum[2];
        for (int run = 0; run < 2; run++) {
            cm_pool_set_threads(run ? 3 : 1);
            struct cm_search *x = cm_search_make(&td, groups ? gt : NULL);
            struct cm_normalisers c;
            cm_normalisers_make(&c, M, 0.5);
            for (size_t at = 0; at < N; at += 64) /* portions */
                cm_search_normalise(x, e + at * D, D, N - at < 64 ? N - at : 64,
                                    groups ? ge + at : NULL, &c);
            log_sum[run] = CM_NEW(M, double);
            cm_normalisers_log(&c, log_sum[run]);
            cm_normalisers_free(&c);
            cm_search_free(x);
        }
        cm_pool_set_threads(1);
        assert_memory_equal(log_sum[0], log_sum[1], M * sizeof(double));
        for (size_t j = 0; j < M; j++) {
            double sum = 0;
            for (size_t i = 0; i < N; i++)
                if (!groups || ge[i] == gt[j])
                    sum += exp(0.5 * (double)product(e + i * D, t + j * D));
            double want = sum > 0 ? log(sum) : 0;
            assert_true(fabs(log_sum[0][j] - want) < 1e-11);
        }
        cm_free(log_sum[0]);
        cm_free(log_sum[1]);
    }
}

/* Finite vectors, similarities that are not: which pair is the first, within its group, and with
 * what a rule takes from it. */
static void overflow(void **state)
{
    (void)state;
    const float e[3 * 2] = {1, 1, 1e20f, 1, 1e20f, -1e20f}, t[3 * 2] = {1, 1, 2, 2, 1e20f, 1e20f};
    const uint32_t ge[3] = {0, 1, 0}, gt[3] = {0, 1, 0}, other[3] = {0, 1, 1};
    const float shift[3] = {0, -3e38f, 0}, none[3] = {0, 0, INFINITY};
    const struct cm_dense td = {3, 2, 2, (float *)(uintptr_t)t};
    struct cm_search *x = cm_search_make(&td, NULL);
    size_t row = 9;
    uint32_t col = 9;
    assert_true(cm_search_finite(x, e, 2, 1, NULL, NULL, &row, &col));
    assert_false(cm_search_finite(x, e, 2, 3, NULL, NULL, &row, &col));
    assert_int_equal(row, 1);
    assert_int_equal(col, 2);
    assert_false(cm_search_finite(x, e + 4, 2, 1, NULL, NULL, &row, &col)); /* inf - inf */
    assert_true(cm_search_finite(x, e, 2, 1, NULL, shift, &row, &col));
    const float far[2] = {3e37f, 3e37f};
    assert_false(cm_search_finite(x, far, 2, 1, NULL, shift, &row, &col));
    assert_false(cm_search_finite(x, e, 2, 1, NULL, none, &row, &col));
    assert_int_equal(col, 2);
    cm_search_free(x);
    x = cm_search_make(&td, gt);
    assert_true(cm_search_finite(x, e, 2, 2, ge, NULL, &row, &col));
    assert_false(cm_search_finite(x, e, 2, 3, ge, NULL, &row, &col));
    assert_int_equal(row, 2);
    assert_int_equal(col, 2);
    assert_true(cm_search_finite(x, e, 2, 3, other, NULL, &row, &col));
    cm_search_free(x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(keeps_the_largest),
                                       cmocka_unit_test(search), cmocka_unit_test(normalisers),
                                       cmocka_unit_test(overflow)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
