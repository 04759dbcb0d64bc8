/* The truncated SVD against SciPy and NumPy (tests/ref/make_matrix.py), against LAPACK on matrices
 * with flat, repeated and vanishing singular values, and against itself on other threads. */
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
#include "matrix/svd.h"
#include "ref.h"

#define FILE_ "tests/ref/matrix_svd.txt"

static struct cm_csr from_dense(const double *a, size_t rows, size_t cols)
{
    struct cm_csr m = cm_csr_make(cols);
    uint32_t *idx = CM_NEW(cols, uint32_t);
    float *val = CM_NEW(cols, float);
    for (size_t i = 0; i < rows; i++) {
        uint64_t ptr[2] = {0, 0};
        for (size_t j = 0; j < cols; j++)
            if (a[i * cols + j] != 0) {
                idx[ptr[1]] = (uint32_t)j;
                val[ptr[1]++] = (float)a[i * cols + j];
            }
        cm_csr_append(&m, 1, ptr, idx, val);
    }
    cm_free(idx);
    cm_free(val);
    return m;
}

static struct cm_csr fixture(size_t cols)
{
    struct ref ptr = ref_load(FILE_, "ptr"), idx = ref_load(FILE_, "idx");
    struct ref val = ref_load(FILE_, "val");
    struct cm_csr m = cm_csr_make(cols);
    uint64_t *p = CM_NEW(ptr.cols, uint64_t);
    uint32_t *i = CM_NEW(idx.cols, uint32_t);
    float *v = CM_NEW(val.cols, float);
    for (size_t e = 0; e < ptr.cols; e++)
        p[e] = (uint64_t)ptr.v[e];
    for (size_t e = 0; e < idx.cols; e++)
        i[e] = (uint32_t)idx.v[e], v[e] = (float)val.v[e];
    cm_csr_append(&m, ptr.cols - 1, p, i, v);
    void *all[] = {ptr.v, idx.v, val.v, p, i, v};
    for (size_t e = 0; e < sizeof all / sizeof *all; e++)
        cm_free(all[e]);
    return m;
}

static void compare(const struct cm_csr *x, const float *mean, const char *name)
{
    char block[32];
    snprintf(block, sizeof block, "%s.s", name);
    struct ref s = ref_load(FILE_, block);
    snprintf(block, sizeof block, "%s.v", name);
    struct ref v = ref_load(FILE_, block);
    size_t k = s.cols, iterations = 0;
    float *got = CM_NEW(x->cols * k, float);
    double *values = CM_NEW(k, double);
    assert_int_equal(cm_svd_truncated(x, mean, NULL, k, 1, 1e-8, 100, got, values, &iterations), 0);
    assert_in_range(iterations, 1, 100);
    for (size_t e = 0; e < k; e++)
        assert_true(fabs(values[e] - s.v[e]) < 1e-9 * s.v[e]);
    for (size_t i = 0; i < x->cols * k; i++) /* v is rounded to float once */
        assert_true(fabs((double)got[i] - v.v[i]) < 1e-6);
    /* the transpose has the same values, and takes the other path */
    if (!mean) {
        struct cm_csr t = cm_csr_transpose(x);
        float *left = CM_NEW(t.cols * k, float);
        assert_int_equal(cm_svd_truncated(&t, NULL, NULL, k, 1, 1e-8, 100, left, values, NULL), 0);
        for (size_t e = 0; e < k; e++)
            assert_true(fabs(values[e] - s.v[e]) < 1e-9 * s.v[e]);
        cm_free(left);
        cm_csr_free(&t);
    }
    cm_free(got);
    cm_free(values);
    cm_free(s.v);
    cm_free(v.v);
}

static void equals_scipy(void **state)
{
    (void)state;
    struct ref m = ref_load(FILE_, "mean");
    struct cm_csr x = fixture(m.cols);
    float *mean = CM_NEW(m.cols, float);
    for (size_t j = 0; j < m.cols; j++)
        mean[j] = (float)m.v[j];
    compare(&x, NULL, "plain");
    compare(&x, mean, "centred");
    cm_free(mean);
    cm_free(m.v);
    cm_csr_free(&x);
}

/* A random orthonormal n x r as rows of r x n. */
static double *frame(size_t n, size_t r, uint32_t salt)
{
    struct cm_rng g = cm_rng_make(3, CM_RNG_TEST, salt, 1);
    double *a = CM_NEW(n * r, double), *t = CM_NEW(n * r, double);
    for (size_t i = 0; i < n * r; i++)
        a[i] = cm_rng_normal(&g);
    assert_int_equal(cm_qr_double(n, r, a, r), 0);
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < r; c++)
            t[c * n + i] = a[i * r + c];
    cm_free(a);
    return t;
}

/* U diag(given) V' for random frames, `count` values. */
static struct cm_csr planted(size_t rows, size_t cols, const double *given, size_t count)
{
    double *u = frame(rows, count, 1), *v = frame(cols, count, 2);
    double *a = CM_ZNEW(rows * cols, double);
    for (size_t e = 0; e < count; e++)
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < cols; j++)
                a[i * cols + j] += u[e * rows + i] * given[e] * v[e * cols + j];
    struct cm_csr m = from_dense(a, rows, cols);
    cm_free(a);
    cm_free(u);
    cm_free(v);
    return m;
}

/* Values against LAPACK's on the same floats; v orthonormal; |X v| = s; the sign rule. */
static void check(const struct cm_csr *x, size_t k, double tolerance)
{
    size_t rows = x->rows, cols = x->cols, r = rows < cols ? rows : cols;
    double *a = CM_ZNEW(rows * cols, double), *u = CM_NEW(rows * r, double);
    double *want = CM_NEW(r, double), *vt = CM_NEW(r * cols, double), *s = CM_NEW(k, double);
    double *b = CM_NEW(rows * cols, double);
    for (size_t i = 0; i < rows; i++)
        for (size_t e = x->ptr[i]; e < x->ptr[i + 1]; e++)
            a[i * cols + x->idx[e]] = (double)x->val[e];
    memcpy(b, a, rows * cols * sizeof *a);
    assert_int_equal(cm_svd(rows, cols, b, u, want, vt), 0);
    float *v = CM_NEW(cols * k, float);
    size_t iterations;
    assert_int_equal(cm_svd_truncated(x, NULL, NULL, k, 5, 1e-7, 1000, v, s, &iterations), 0);
    assert_true(iterations <= 1000);
    for (size_t e = 0; e < k; e++) {
        if (fabs(s[e] - want[e]) > tolerance * want[0])
            fail_msg("value %zu of %zu: %.17g, expected %.17g", e, k, s[e], want[e]);
        if (e)
            assert_true(s[e] <= s[e - 1]);
        double length = 0, largest = 0;
        for (size_t i = 0; i < rows; i++) {
            double y = 0;
            for (size_t j = 0; j < cols; j++)
                y += a[i * cols + j] * (double)v[j * k + e];
            length += y * y;
        }
        assert_true(fabs(sqrt(length) - want[e]) < 1e-5 * want[0] + 1e-30);
        for (size_t f = 0; f <= e; f++) {
            double d = 0;
            for (size_t j = 0; j < cols; j++)
                d += (double)v[j * k + e] * (double)v[j * k + f];
            assert_true(fabs(d - (e == f)) < 1e-5);
        }
        for (size_t j = 0; j < cols; j++)
            if (fabs((double)v[j * k + e]) > fabs(largest))
                largest = (double)v[j * k + e];
        assert_true(largest > 0);
    }
    void *all[] = {a, b, u, want, vt, s, v};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        cm_free(all[i]);
}

static void both(const struct cm_csr *x, size_t k, double tolerance)
{
    struct cm_csr t = cm_csr_transpose(x);
    check(x, k, tolerance);
    check(&t, k, tolerance);
    cm_csr_free(&t);
}

static void flat_spectrum(void **state)
{
    (void)state;
    double s[90];
    for (size_t e = 0; e < 90; e++)
        s[e] = e < 4 ? 50 - 10 * (double)e : 3 - .005 * (double)e;
    struct cm_csr x = planted(150, 100, s, 90);
    both(&x, 40, 1e-7);
    cm_csr_free(&x);
}

static void repeated_values(void **state)
{
    (void)state;
    double s[80]; /* more copies than a block has columns */
    for (size_t e = 0; e < 80; e++)
        s[e] = e < 35 ? 7 : 2;
    struct cm_csr x = planted(120, 90, s, 80);
    both(&x, 20, 1e-6);
    both(&x, 50, 1e-6);
    cm_csr_free(&x);
}

static void deficient_rank(void **state)
{
    (void)state;
    const double s[3] = {9, 4, 1};
    struct cm_csr x = planted(60, 45, s, 3);
    both(&x, 3, 1e-6);
    both(&x, 10, 1e-6);
    both(&x, 45, 1e-6);
    cm_csr_free(&x);
    struct cm_csr zero = cm_csr_make(30);
    const uint64_t none[41] = {0};
    cm_csr_append(&zero, 40, none, NULL, NULL);
    both(&zero, 25, 1e-12);
    cm_csr_free(&zero);
    double diagonal[64] = {0};
    for (size_t i = 0; i < 8; i++)
        diagonal[i * 9] = 1;
    struct cm_csr one = from_dense(diagonal, 8, 8);
    both(&one, 8, 1e-12);
    cm_csr_free(&one);
}

/* A diagonal whose neighbours differ so little that the basis (4 k + 512) is full long before the
 * leading values are found: several restarts.  The answer is known without another program. */
static void restarts(void **state)
{
    (void)state;
    enum { N = 1200, K = 5 };
    struct cm_csr x = cm_csr_make(N + 7); /* 7 empty columns: n is the rows; its transpose below */
    for (uint32_t i = 0; i < N; i++) {
        uint64_t ptr[2] = {0, 1};
        float v = sqrtf(1000 + (float)i);
        cm_csr_append(&x, 1, ptr, &i, &v);
    }
    struct cm_csr t = cm_csr_transpose(&x), *both_ways[2] = {&x, &t};
    for (size_t w = 0; w < 2; w++) {
        double s[K];
        float *v = CM_NEW(both_ways[w]->cols * K, float);
        size_t iterations;
        assert_int_equal(
            cm_svd_truncated(both_ways[w], NULL, NULL, K, 3, 1e-7, 1000, v, s, &iterations), 0);
        assert_in_range(iterations, (4 * K + 512) / (K + 20) + 1, 1000); /* more than one basis */
        for (size_t e = 0; e < K; e++) {
            assert_true(fabs(s[e] - (double)x.val[N - 1 - e]) < 1e-9);
            for (size_t j = 0; j < both_ways[w]->cols; j++)
                assert_true(fabs((double)v[j * K + e] - (j == N - 1 - e)) < 1e-3);
        }
        cm_free(v);
    }
    cm_csr_free(&x);
    cm_csr_free(&t);
}

/* The largest |C v - s^2 v| / s^2, C = A' A and A = (X - 1 mean') diag(weight), in double; less
 * what rounding v to float makes of it, 1e-7 of the largest s^2. */
static double residual(const struct cm_csr *x, const float *mean, const float *weight, size_t k,
                       const float *v, const double *s)
{
    size_t rows = x->rows, cols = x->cols;
    double *a = CM_NEW(rows * cols, double), *y = CM_NEW(rows, double), worst = 0;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++) {
            uint64_t at = cm_csr_find(x, i, (uint32_t)j);
            double value = at == UINT64_MAX ? 0 : (double)x->val[at];
            a[i * cols + j] = (value - (double)mean[j]) * (double)weight[j];
        }
    for (size_t e = 0; e < k; e++) {
        double sum = 0;
        for (size_t i = 0; i < rows; i++) {
            y[i] = 0;
            for (size_t j = 0; j < cols; j++)
                y[i] += a[i * cols + j] * (double)v[j * k + e];
        }
        for (size_t j = 0; j < cols; j++) {
            double c = -s[e] * s[e] * (double)v[j * k + e];
            for (size_t i = 0; i < rows; i++)
                c += a[i * cols + j] * y[i];
            sum += c * c;
        }
        double r = (sqrt(sum) - 1e-7 * s[0] * s[0]) / (s[e] * s[e]);
        worst = r > worst ? r : worst;
    }
    cm_free(a);
    cm_free(y);
    return worst;
}

/* Products in float reach the tolerance that they are used for, on a spectrum from 50 to 3 that is
 * flat behind its head, with means and weights, on either side; values are those of products in
 * double to the square of it and rounding; threads change no bit. */
static void in_float(void **state)
{
    (void)state;
    enum { K = 12 };
    const double tolerances[] = {CM_SVD_SINGLE, 1e-4, 1e-3};
    double given[90];
    for (size_t e = 0; e < 90; e++)
        given[e] = e < 4 ? 50 - 10 * (double)e : 3 - .02 * (double)e;
    struct cm_csr x = planted(150, 100, given, 90), t = cm_csr_transpose(&x);
    const struct cm_csr *ways[] = {&x, &t};
    for (size_t w = 0; w < 2; w++) {
        size_t cols = ways[w]->cols;
        float *mean = CM_NEW(cols, float), *weight = CM_NEW(cols, float);
        float *v = CM_NEW(cols * K, float), *again = CM_NEW(cols * K, float);
        double s[K], s_again[K], exact[K];
        for (size_t j = 0; j < cols; j++) {
            mean[j] = (float)(j % 3) / 64;
            weight[j] = 1 + (float)(j % 5) / 8;
        }
        assert_int_equal(cm_svd_truncated(ways[w], mean, weight, K, 1, 1e-9, 500, v, exact, NULL),
                         0);
        for (size_t i = 0; i < sizeof tolerances / sizeof *tolerances; i++) {
            double tolerance = tolerances[i];
            assert_int_equal(
                cm_svd_truncated(ways[w], mean, weight, K, 1, tolerance, 500, v, s, NULL), 0);
            double r = residual(ways[w], mean, weight, K, v, s);
            if (!(r <= 2 * tolerance))
                fail_msg("way %zu: residual %.3g, tolerance %.3g", w, r, tolerance);
            for (size_t e = 0; e < K; e++)
                assert_true(fabs(s[e] / exact[e] - 1) < tolerance * tolerance * 1e2 + 1e-6);
            cm_pool_set_threads(3);
            assert_int_equal(
                cm_svd_truncated(ways[w], mean, weight, K, 1, tolerance, 500, again, s_again, NULL),
                0);
            cm_pool_set_threads(1);
            assert_memory_equal(v, again, cols * K * sizeof *v);
            assert_memory_equal(s, s_again, sizeof s);
        }
        cm_free(mean);
        cm_free(weight);
        cm_free(v);
        cm_free(again);
    }
    cm_csr_free(&x);
    cm_csr_free(&t);
}

/* A bound that is too low is distinguished from a result. */
static void the_bound_is_reported(void **state)
{
    (void)state;
    struct cm_csr x = cm_csr_make(900);
    for (uint32_t i = 0; i < 900; i++) {
        uint64_t ptr[2] = {0, 1};
        float v = sqrtf(1000 + (float)i);
        cm_csr_append(&x, 1, ptr, &i, &v);
    }
    float *v = CM_NEW(900 * 5, float);
    double s[5];
    size_t iterations;
    assert_int_equal(cm_svd_truncated(&x, NULL, NULL, 5, 3, 1e-9, 6, v, s, &iterations), 0);
    assert_int_equal(iterations, 7);
    cm_free(v);
    cm_csr_free(&x);
}

static void the_same_on_any_threads(void **state)
{
    (void)state;
    struct cm_csr x = fixture(90);
    float v1[90 * 8], v2[90 * 8];
    double s1[8], s2[8];
    assert_int_equal(cm_svd_truncated(&x, NULL, NULL, 8, 42, 1e-6, 100, v1, s1, NULL), 0);
    cm_pool_set_threads(3);
    assert_int_equal(cm_svd_truncated(&x, NULL, NULL, 8, 42, 1e-6, 100, v2, s2, NULL), 0);
    cm_pool_set_threads(1);
    assert_memory_equal(v1, v2, sizeof v1);
    assert_memory_equal(s1, s2, sizeof s1);
    cm_csr_free(&x);
}

/* Weights that are powers of two change no bit of what is multiplied: with them it is the SVD of
 * the matrix whose values and means were multiplied beforehand, by columns and by rows. */
static void weights_are_a_diagonal(void **state)
{
    (void)state;
    enum { K = 6 };
    struct ref m = ref_load(FILE_, "mean");
    struct cm_csr x = fixture(m.cols), transposed = cm_csr_transpose(&x);
    const struct cm_csr *both_ways[] = {&x, &transposed};
    for (size_t way = 0; way < 2; way++) {
        const struct cm_csr *in = both_ways[way];
        size_t d = in->cols;
        float *mean = CM_NEW(d, float), *weight = CM_NEW(d, float), *scaled_mean = CM_NEW(d, float);
        float *v = CM_NEW(d * K, float), *want = CM_NEW(d * K, float);
        double s[K], want_s[K];
        uint64_t *rows = CM_NEW(in->rows, uint64_t);
        for (size_t i = 0; i < in->rows; i++)
            rows[i] = i;
        struct cm_csr scaled = cm_csr_rows(in, rows, in->rows);
        for (size_t j = 0; j < d; j++) {
            weight[j] = j % 5 == 4 ? 0 : ldexpf(1, (int)(j % 7) - 3);
            mean[j] = (float)(j % 3) / 8;
            scaled_mean[j] = mean[j] * weight[j];
        }
        for (uint64_t e = 0; e < scaled.ptr[scaled.rows]; e++)
            scaled.val[e] *= weight[scaled.idx[e]];
        assert_int_equal(cm_svd_truncated(in, mean, weight, K, 1, 1e-8, 100, v, s, NULL), 0);
        assert_int_equal(
            cm_svd_truncated(&scaled, scaled_mean, NULL, K, 1, 1e-8, 100, want, want_s, NULL), 0);
        for (size_t e = 0; e < K; e++)
            assert_true(fabs(s[e] - want_s[e]) < 1e-9 * want_s[e]);
        for (size_t i = 0; i < d * K; i++)
            assert_true(fabs((double)v[i] - (double)want[i]) < 2e-6);
        void *all[] = {mean, weight, scaled_mean, v, want, rows};
        for (size_t i = 0; i < sizeof all / sizeof *all; i++)
            cm_free(all[i]);
        cm_csr_free(&scaled);
    }
    cm_free(m.v);
    cm_csr_free(&x);
    cm_csr_free(&transposed);
}

static void bad_requests(void **state)
{
    (void)state;
    double a[6] = {1, 2, 3, 4, 5, (double)NAN}, s[3];
    float v[9];
    struct cm_csr x = from_dense(a, 2, 3);
    assert_int_equal(cm_svd_truncated(&x, NULL, NULL, 3, 1, 1e-6, 10, v, s, NULL), CM_EUSAGE);
    assert_int_equal(cm_svd_truncated(&x, NULL, NULL, 2, 1, 1e-6, 10, v, s, NULL), CM_ENUMERIC);
    assert_int_equal(cm_svd_truncated(&x, NULL, NULL, 0, 1, 1e-6, 10, v, s, NULL), 0);
    cm_csr_free(&x);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equals_scipy),
        cmocka_unit_test(flat_spectrum),
        cmocka_unit_test(repeated_values),
        cmocka_unit_test(deficient_rank),
        cmocka_unit_test(restarts),
        cmocka_unit_test(in_float),
        cmocka_unit_test(the_bound_is_reported),
        cmocka_unit_test(the_same_on_any_threads),
        cmocka_unit_test(weights_are_a_diagonal),
        cmocka_unit_test(bad_requests),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
