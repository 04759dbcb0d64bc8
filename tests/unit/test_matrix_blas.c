/* blas.h against NumPy and SciPy (tests/ref/make_matrix.py) and against identities: Q'Q = 1,
 * U S V' = A, A v = w v, also where the rank is deficient and where values are not finite. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/pool.h"
#include "base/rng.h"
#include "matrix/blas.h"
#include "ref.h"

#define FILE_ "tests/ref/matrix_blas.txt"

static void close_to(const double *a, const double *b, size_t n, double tolerance)
{
    for (size_t i = 0; i < n; i++)
        if (!(fabs(a[i] - b[i]) <= tolerance))
            fail_msg("value %zu: %.17g, expected %.17g", i, a[i], b[i]);
}

static double *gaussian(size_t n, uint32_t salt)
{
    struct cm_rng g = cm_rng_make(9, CM_RNG_TEST, salt, 0);
    double *v = CM_NEW(n, double);
    for (size_t i = 0; i < n; i++)
        v[i] = cm_rng_normal(&g);
    return v;
}

/* a' a of m x n columns (ld) is the identity. */
static void orthonormal(const double *a, size_t m, size_t n, size_t ld, double tolerance)
{
    for (size_t p = 0; p < n; p++)
        for (size_t q = 0; q < n; q++) {
            double s = 0;
            for (size_t i = 0; i < m; i++)
                s += a[i * ld + p] * a[i * ld + q];
            assert_true(fabs(s - (p == q)) < tolerance);
        }
}

static void gemm_equals_numpy(void **state)
{
    (void)state;
    struct ref a = ref_load(FILE_, "gemm.a"), b = ref_load(FILE_, "gemm.b");
    struct ref c = ref_load(FILE_, "gemm.c"), want = ref_load(FILE_, "gemm.result");
    size_t m = 5, k = 7, n = 4;
    /* all four layouts, with leading dimensions wider than the matrices */
    for (int layout = 0; layout < 4; layout++) {
        bool ta = layout & 1, tb = layout & 2;
        double da[64] = {0}, db[64] = {0}, dc[64] = {0};
        float fa[64], fb[64], fc[64], fp[64];
        size_t lda = (ta ? m : k) + 1, ldb = (tb ? k : n) + 1, ldc = n + 2;
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < k; j++)
                da[ta ? j * lda + i : i * lda + j] = a.v[i * k + j];
        for (size_t i = 0; i < k; i++)
            for (size_t j = 0; j < n; j++)
                db[tb ? j * ldb + i : i * ldb + j] = b.v[i * n + j];
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++)
                dc[i * ldc + j] = c.v[i * n + j];
        for (size_t i = 0; i < 64; i++)
            fa[i] = (float)da[i], fb[i] = (float)db[i], fc[i] = fp[i] = (float)dc[i];
        cm_dgemm(ta, tb, m, n, k, 1.5, da, lda, db, ldb, -.5, dc, ldc);
        cm_sgemm(ta, tb, m, n, k, 1.5f, fa, lda, fb, ldb, -.5f, fc, ldc);
        cm_sgemm_parallel(ta, tb, m, n, k, 1.5f, fa, lda, fb, ldb, -.5f, fp, ldc);
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < n; j++) {
                assert_true(fabs(dc[i * ldc + j] - want.v[i * n + j]) < 1e-13);
                assert_true(fabs((double)fc[i * ldc + j] - want.v[i * n + j]) < 1e-5);
                assert_true(fc[i * ldc + j] == fp[i * ldc + j]);
            }
    }
    cm_free(a.v);
    cm_free(b.v);
    cm_free(c.v);
    cm_free(want.v);
    cm_dgemm(false, false, 0, 3, 0, 1, NULL, 0, NULL, 3, 0, NULL, 3); /* nothing to do */
    double y[2] = {5, 6};
    cm_dgemm(false, false, 1, 2, 0, 1, NULL, 0, NULL, 2, 0, y, 2); /* an empty sum */
    assert_true(y[0] == 0 && y[1] == 0);
}

static void parallel_gemm_has_one_answer(void **state)
{
    (void)state;
    size_t m = 700, n = 33, k = 129;
    float *a = CM_NEW(m * k, float), *b = CM_NEW(k * n, float);
    float *c1 = CM_ZNEW(m * n, float), *c2 = CM_ZNEW(m * n, float);
    double *g = gaussian(m * k, 1);
    for (size_t i = 0; i < m * k; i++)
        a[i] = (float)g[i];
    for (size_t i = 0; i < k * n; i++)
        b[i] = (float)g[m * k - 1 - i];
    cm_sgemm_parallel(false, false, m, n, k, 1, a, k, b, n, 0, c1, n);
    cm_pool_set_threads(3);
    cm_sgemm_parallel(false, false, m, n, k, 1, a, k, b, n, 0, c2, n);
    assert_memory_equal(c1, c2, m * n * sizeof *c1);
    for (size_t i = 0; i < m; i += 37)
        for (size_t j = 0; j < n; j++) {
            double s = 0;
            for (size_t l = 0; l < k; l++)
                s += (double)a[i * k + l] * (double)b[l * n + j];
            assert_true(fabs(s - (double)c1[i * n + j]) < 1e-4);
        }
    /* op(a) transposed: panels then are columns of the stored a */
    cm_sgemm_parallel(true, false, k, n, m, 1, a, k, c1, n, 0, c2, n);
    cm_pool_set_threads(1);
    for (size_t i = 0; i < k; i += 17)
        for (size_t j = 0; j < n; j++) {
            double s = 0;
            for (size_t l = 0; l < m; l++)
                s += (double)a[l * k + i] * (double)c1[l * n + j];
            assert_true(fabs(s - (double)c2[i * n + j]) < 1e-2);
        }
    cm_free(a);
    cm_free(b);
    cm_free(c1);
    cm_free(c2);
    cm_free(g);
}

static void eigen_equals_numpy(void **state)
{
    (void)state;
    struct ref a = ref_load(FILE_, "eigh.a"), w = ref_load(FILE_, "eigh.w");
    double v[36], got[6];
    memcpy(v, a.v, sizeof v);
    assert_int_equal(cm_eigh(6, v, got), 0);
    close_to(got, w.v, 6, 1e-13);
    for (size_t e = 0; e < 6; e++) /* rows of v are eigenvectors */
        for (size_t i = 0; i < 6; i++) {
            double s = 0, one = 0;
            for (size_t j = 0; j < 6; j++)
                s += a.v[i * 6 + j] * v[e * 6 + j], one += v[e * 6 + j] * v[e * 6 + j];
            assert_true(fabs(s - got[e] * v[e * 6 + i]) < 1e-13);
            assert_true(fabs(one - 1) < 1e-13);
        }
    v[7] = (double)NAN;
    assert_int_equal(cm_eigh(6, v, got), CM_ENUMERIC);
    assert_int_equal(cm_eigh(0, v, got), 0);
    cm_free(a.v);
    cm_free(w.v);
}

static void check_svd(const char *shape)
{
    char name[32];
    snprintf(name, sizeof name, "svd.%s.a", shape);
    struct ref a = ref_load(FILE_, name);
    snprintf(name, sizeof name, "svd.%s.s", shape);
    struct ref want = ref_load(FILE_, name);
    snprintf(name, sizeof name, "svd.%s.p2", shape);
    struct ref p2 = ref_load(FILE_, name);
    size_t m = a.rows, n = a.cols, r = m < n ? m : n;
    double copy[64], u[64], s[8], vt[64];
    memcpy(copy, a.v, m * n * sizeof *copy);
    assert_int_equal(cm_svd(m, n, copy, u, s, vt), 0);
    close_to(s, want.v, r, 1e-13);
    orthonormal(u, m, r, r, 1e-13);
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) {
            double sum = 0;
            for (size_t c = 0; c < r; c++)
                sum += u[i * r + c] * s[c] * vt[c * n + j];
            assert_true(fabs(sum - a.v[i * n + j]) < 1e-13);
        }
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++)
            assert_true(fabs(vt[i] * vt[j] + vt[n + i] * vt[n + j] - p2.v[i * n + j]) < 1e-12);
    cm_free(a.v);
    cm_free(want.v);
    cm_free(p2.v);
}

static void svd_equals_numpy(void **state)
{
    (void)state;
    check_svd("tall");
    check_svd("wide");
    double a[4] = {1, 2, (double)INFINITY, 4}, u[4], s[2], vt[4];
    assert_int_equal(cm_svd(2, 2, a, u, s, vt), CM_ENUMERIC);
}

static void qr_spans_the_columns(void **state)
{
    (void)state;
    struct ref a = ref_load(FILE_, "qr.a"), want = ref_load(FILE_, "qr.projector");
    enum { M = 9, N = 4, LD = 6 };
    double d[M * LD];
    for (size_t i = 0; i < M * LD; i++)
        d[i] = 55;
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < N; j++)
            d[i * LD + j] = a.v[i * N + j];
    assert_int_equal(cm_qr_double(M, N, d, LD), 0);
    orthonormal(d, M, N, LD, 1e-13);
    for (size_t i = 0; i < M; i++)
        for (size_t j = 0; j < M; j++) {
            double s = 0;
            for (size_t c = 0; c < N; c++)
                s += d[i * LD + c] * d[j * LD + c];
            assert_true(fabs(s - want.v[i * M + j]) < 1e-13);
        }
    for (size_t i = 0; i < M; i++)
        assert_true(d[i * LD + N] == 55);
    cm_free(a.v);
    cm_free(want.v);
}

static void qr_survives_a_deficient_rank(void **state)
{
    (void)state;
    size_t m = 300, n = 20;
    double *a = gaussian(m * n, 3);
    for (size_t i = 0; i < m; i++) {
        a[i * n + 3] = 0;
        a[i * n + 7] = 2 * a[i * n + 1] - a[i * n + 2];
        a[i * n + 8] = a[i * n + 9];
    }
    assert_int_equal(cm_qr_double(m, n, a, n), 0);
    orthonormal(a, m, n, n, 1e-13);
    a[5] = (double)INFINITY;
    assert_int_equal(cm_qr_double(m, n, a, n), CM_ENUMERIC);
    cm_free(a);
}

static void spd_equals_scipy(void **state)
{
    (void)state;
    struct ref a = ref_load(FILE_, "spd.a"), b = ref_load(FILE_, "spd.b");
    struct ref x = ref_load(FILE_, "spd.x");
    assert_int_equal(cm_solve_spd(6, 3, a.v, b.v), 0);
    close_to(b.v, x.v, 18, 1e-11);
    double bad[4] = {1, 2, 2, 1}, y[2] = {1, 1}; /* eigenvalues 3 and -1 */
    assert_int_equal(cm_solve_spd(2, 1, bad, y), CM_ENUMERIC);
    assert_non_null(strstr(cm_error_message(), "positive definite"));
    cm_free(a.v);
    cm_free(b.v);
    cm_free(x.v);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gemm_equals_numpy),    cmocka_unit_test(parallel_gemm_has_one_answer),
        cmocka_unit_test(eigen_equals_numpy),   cmocka_unit_test(svd_equals_numpy),
        cmocka_unit_test(qr_spans_the_columns), cmocka_unit_test(qr_survives_a_deficient_rank),
        cmocka_unit_test(spd_equals_scipy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
