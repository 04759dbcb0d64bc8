/* Ridge regression and Procrustes on given components, against scikit-learn and SciPy
 * (tests/ref/make_baselines.py), and what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "linear/projections.h"
#include "ref.h"

#define REF "tests/ref/baselines.txt"

static float *floats(const char *name)
{
    struct ref r = ref_load(REF, name);
    float *v = CM_NEW(r.rows * r.cols, float);
    for (size_t i = 0; i < r.rows * r.cols; i++)
        v[i] = (float)r.v[i];
    cm_free(r.v);
    return v;
}

/* A linear part of k components whose projections are to be replaced. */
static struct cm_linear linear(size_t k)
{
    struct cm_linear m = {.k = k, .q = 2, .corr = CM_ZNEW(2, double)};
    for (size_t side = 0; side < 2; side++)
        m.side[side].p = CM_ZNEW(k * 2, float);
    return m;
}

static void equal(const char *name, size_t n, const float *got, const double *gotd)
{
    struct ref want = ref_load(REF, name);
    assert_int_equal(want.rows * want.cols, n);
    for (size_t i = 0; i < n; i++) {
        double v = got ? (double)got[i] : gotd[i];
        if (!(fabs(v - want.v[i]) <= 1e-6 * fmax(1, fabs(want.v[i]))))
            fail_msg("%s[%zu]: %.9g, expected %.9g", name, i, v, want.v[i]);
    }
    cm_free(want.v);
}

static void check(const char *name, enum cm_projection_method method)
{
    struct ref sizes = ref_load(REF, "sizes");
    size_t n = (size_t)sizes.v[0], k = (size_t)sizes.v[1];
    float *z1 = floats("z1"), *z2 = floats("z2");
    const float *const z[2] = {z1, z2};
    struct cm_linear m = linear(k);
    char corr[40];
    assert_int_equal(cm_linear_project(&m, z, n, method, sizes.v[2]), 0);
    assert_int_equal(m.q, k);
    equal(name, k * k, m.side[0].p, NULL);
    snprintf(corr, sizeof corr, "%s.corr", name);
    equal(corr, k, NULL, m.corr);
    for (size_t i = 0; i < k * k; i++)
        assert_true(m.side[1].p[i] == (i / k == i % k ? 1.0F : 0.0F));
    cm_linear_free(&m);
    cm_free(z1);
    cm_free(z2);
    cm_free(sizes.v);
}

static void ridge(void **state) { (void)state, check("ridge", CM_PROJECT_RIDGE); }
static void procrustes(void **state) { (void)state, check("procrustes", CM_PROJECT_PROCRUSTES); }

static void cca_is_left_alone(void **state)
{
    (void)state;
    struct cm_linear m = linear(3);
    m.side[0].p[4] = 7;
    assert_int_equal(
        cm_linear_project(&m, (const float *const[2]){NULL, NULL}, 0, CM_PROJECT_CCA, 1), 0);
    assert_int_equal(m.q, 2);
    assert_true(m.side[0].p[4] == 7);
    cm_linear_free(&m);
}

static void a_singular_covariance_without_ridge(void **state)
{
    (void)state;
    float z1[8] = {1, 2, -1, -2, 2, 4, -2, -4}, z2[8] = {1, 0, -1, 0, 0, 1, 0, -1};
    const float *const z[2] = {z1, z2};
    struct cm_linear m = linear(2);
    assert_int_equal(cm_linear_project(&m, z, 4, CM_PROJECT_RIDGE, 0), CM_ENUMERIC);
    assert_non_null(strstr(cm_error_message(), "singular"));
    assert_int_equal(m.q, 2);
    assert_int_equal(cm_linear_project(&m, z, 4, CM_PROJECT_RIDGE, .1), 0);
    cm_linear_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(ridge), cmocka_unit_test(procrustes),
                                       cmocka_unit_test(cca_is_left_alone),
                                       cmocka_unit_test(a_singular_covariance_without_ridge)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
