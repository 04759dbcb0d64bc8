/* The sparse matrix against a plain dense loop in double, and against itself: threads, selection,
 * double transposition.  Made matrices have empty rows and columns. */
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
#include "matrix/matrix.h"

static struct cm_csr made(size_t rows, size_t cols, double density, uint32_t salt)
{
    struct cm_rng g = cm_rng_make(7, CM_RNG_TEST, salt, 0);
    struct cm_csr m = cm_csr_make(cols);
    uint32_t *idx = CM_NEW(cols, uint32_t);
    float *val = CM_NEW(cols, float);
    for (size_t i = 0; i < rows; i++) {
        uint64_t n = 0;
        for (size_t j = 0; j < cols && i % 7 != 3; j++)
            if (j % 11 != 5 && cm_rng_uniform(&g) < density) {
                idx[n] = (uint32_t)j;
                val[n++] = (float)cm_rng_normal(&g);
            }
        uint64_t ptr[2] = {0, n};
        cm_csr_append(&m, 1, ptr, idx, val);
    }
    cm_free(idx);
    cm_free(val);
    return m;
}

static double *dense(const struct cm_csr *m)
{
    double *d = CM_ZNEW(m->rows * m->cols, double);
    for (size_t i = 0; i < m->rows; i++)
        for (size_t e = m->ptr[i]; e < m->ptr[i + 1]; e++)
            d[i * m->cols + m->idx[e]] = (double)m->val[e];
    return d;
}

static float *gaussian(size_t n, uint32_t salt)
{
    struct cm_rng g = cm_rng_make(8, CM_RNG_TEST, salt, 0);
    float *v = CM_NEW(n, float);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)cm_rng_normal(&g);
    return v;
}

static void append_keeps_rows(void **state)
{
    (void)state;
    struct cm_csr m = cm_csr_make(5);
    const uint64_t ptr[] = {2, 4, 4, 5};
    const uint32_t idx[] = {9, 9, 0, 3, 4};
    const float val[] = {9, 9, 1, 2, 3};
    cm_csr_append(&m, 3, ptr, idx, val);
    cm_csr_append(&m, 1, ptr, idx, val);
    cm_csr_append(&m, 0, ptr, NULL, NULL);
    assert_int_equal(m.rows, 4);
    const uint64_t want[] = {0, 2, 2, 3, 5};
    const uint32_t cols[] = {0, 3, 4, 0, 3};
    const float vals[] = {1, 2, 3, 1, 2};
    assert_memory_equal(m.ptr, want, sizeof want);
    assert_memory_equal(m.idx, cols, sizeof cols);
    assert_memory_equal(m.val, vals, sizeof vals);
    cm_csr_free(&m);
    assert_null(m.ptr);
}

static void borrowed_is_left_alone(void **state)
{
    (void)state;
    uint64_t ptr[] = {0, 1};
    uint32_t idx[] = {0};
    float val[] = {1};
    struct cm_csr m = {.rows = 1, .cols = 1, .ptr = ptr, .idx = idx, .val = val};
    cm_csr_free(&m); /* would crash if it freed the stack */
    assert_null(m.val);
}

static void rows_are_taken(void **state)
{
    (void)state;
    struct cm_csr m = made(20, 30, .3, 1);
    const uint64_t pick[] = {19, 3, 0, 0, 7};
    struct cm_csr t = cm_csr_rows(&m, pick, 5);
    double *a = dense(&m), *b = dense(&t);
    assert_int_equal(t.rows, 5);
    for (size_t i = 0; i < 5; i++)
        assert_memory_equal(b + i * 30, a + pick[i] * 30, 30 * sizeof *a);
    cm_free(a);
    cm_free(b);
    cm_csr_free(&t);
    t = cm_csr_rows(&m, pick, 0);
    assert_int_equal(t.rows, 0);
    assert_int_equal(t.ptr[0], 0);
    cm_csr_free(&t);
    cm_csr_free(&m);
}

static void transposed_twice_is_itself(void **state)
{
    (void)state;
    struct cm_csr m = made(37, 53, .2, 2), t = cm_csr_transpose(&m), u = cm_csr_transpose(&t);
    assert_int_equal(t.rows, 53);
    assert_int_equal(t.cols, 37);
    for (size_t i = 0; i < t.rows; i++)
        for (size_t e = t.ptr[i] + 1; e < t.ptr[i + 1]; e++)
            assert_true(t.idx[e - 1] < t.idx[e]);
    double *a = dense(&m), *b = dense(&t);
    for (size_t i = 0; i < 37; i++)
        for (size_t j = 0; j < 53; j++)
            assert_true(a[i * 53 + j] == b[j * 37 + i]);
    assert_memory_equal(m.ptr, u.ptr, 38 * sizeof *m.ptr);
    assert_memory_equal(m.idx, u.idx, m.ptr[37] * sizeof *m.idx);
    assert_memory_equal(m.val, u.val, m.ptr[37] * sizeof *m.val);
    cm_free(a);
    cm_free(b);
    cm_csr_free(&m);
    cm_csr_free(&t);
    cm_csr_free(&u);
}

static void column_sums(void **state)
{
    (void)state;
    struct cm_csr m = made(40, 25, .3, 3);
    double *a = dense(&m), sum[25], count[25];
    for (size_t j = 0; j < 25; j++)
        sum[j] = 1, count[j] = 2;
    cm_csr_column_sums(&m, sum, count);
    for (size_t j = 0; j < 25; j++) {
        double s = 1, n = 2;
        for (size_t i = 0; i < 40; i++)
            s += a[i * 25 + j], n += a[i * 25 + j] > 0;
        assert_true(fabs(s - sum[j]) < 1e-12);
        assert_true(n == count[j]);
    }
    cm_csr_column_sums(&m, NULL, NULL);
    cm_free(a);
    cm_csr_free(&m);
}

/* One shape and width: both products against loops in double, and against three threads. */
static void check_products(const struct cm_csr *x, const double *d, size_t k)
{
    size_t rows = x->rows, cols = x->cols, ld = k + 3;
    float *mean = gaussian(cols, 5), *v = gaussian(cols * k, 6), *b = gaussian(rows * ld, 7);
    float *bias = CM_NEW(k, float), *y = CM_NEW(rows * ld, float), *y2 = CM_NEW(rows * ld, float);
    float *z = CM_NEW(cols * k, float), *z2 = CM_NEW(cols * k, float);
    for (size_t c = 0; c < k; c++) {
        double s = 0;
        for (size_t j = 0; j < cols; j++)
            s += (double)mean[j] * (double)v[j * k + c];
        bias[c] = (float)s;
    }
    for (size_t i = 0; i < rows * ld; i++)
        y[i] = y2[i] = 77;
    cm_csr_times(x, v, k, bias, y, ld);
    for (size_t i = 0; i < rows; i += 1 + rows / 20)
        for (size_t c = 0; c < ld; c++) {
            if (c >= k) { /* nothing is written beside the product */
                assert_true(y[i * ld + c] == 77);
                continue;
            }
            double s = 0, size = 1;
            for (size_t j = 0; j < cols; j++) {
                double term = (d[i * cols + j] - (double)mean[j]) * (double)v[j * k + c];
                s += term;
                size += fabs(term);
            }
            assert_true(fabs(s - (double)y[i * ld + c]) < 1e-6 * size);
        }
    cm_csr_transposed_times(x, b, k, ld, mean, z);
    for (size_t j = 0; j < cols; j += 1 + cols / 20)
        for (size_t c = 0; c < k; c++) {
            double s = 0, size = 1;
            for (size_t i = 0; i < rows; i++) {
                double term = (d[i * cols + j] - (double)mean[j]) * (double)b[i * ld + c];
                s += term;
                size += fabs(term);
            }
            assert_true(fabs(s - (double)z[j * k + c]) < 1e-6 * size);
        }
    cm_pool_set_threads(3);
    cm_csr_times(x, v, k, bias, y2, ld);
    cm_csr_transposed_times(x, b, k, ld, mean, z2);
    cm_pool_set_threads(1);
    assert_memory_equal(y, y2, rows * ld * sizeof *y);
    assert_memory_equal(z, z2, cols * k * sizeof *z);
    float *all[] = {mean, v, b, bias, y, y2, z, z2};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        cm_free(all[i]);
}

/* Every width of the vector loops and their tails; shapes of one and of many shards. */
static void products_equal_dense(void **state)
{
    (void)state;
    static const size_t shape[][2] = {{61, 83}, {400, 700}, {1, 1}, {3, 20000}, {2000, 3}};
    for (size_t z = 0; z < sizeof shape / sizeof *shape; z++) {
        struct cm_csr x = made(shape[z][0], shape[z][1], .15, 4);
        double *d = dense(&x);
        for (size_t k = 1; k <= 150; k = k < 20 ? k + 1 : k * 3 / 2)
            check_products(&x, d, k);
        cm_free(d);
        cm_csr_free(&x);
    }
}

static void nothing_is_allowed(void **state)
{
    (void)state;
    struct cm_csr m = cm_csr_make(4);
    float v[8] = {0}, y[8];
    memset(y, 1, sizeof y);
    cm_csr_times(&m, v, 2, NULL, y, 2);
    cm_csr_transposed_times(&m, v, 2, 2, NULL, y);
    for (int i = 0; i < 8; i++)
        assert_true(y[i] == 0); /* an empty sum, not what was there */
    struct cm_csr t = cm_csr_transpose(&m);
    assert_int_equal(t.rows, 4);
    assert_int_equal(t.ptr[4], 0);
    cm_csr_free(&t);
    cm_csr_free(&m);
    struct cm_dense d = cm_dense_make(3, 2);
    assert_int_equal(d.ld, 2);
    for (int i = 0; i < 6; i++)
        assert_true(d.v[i] == 0);
    cm_dense_free(&d);
    assert_null(d.v);
}

/* Rows of a dense matrix become their non-zero entries, each is found where it stands, and the
 * transpose has every element across the diagonal. */
static void dense_rows_become_entries(void **state)
{
    (void)state;
    enum { ROWS = 45, COLS = 37, LD = 40 };
    float *v = CM_ZNEW(ROWS * LD, float), *t = CM_NEW(ROWS * COLS, float);
    struct cm_rng g = cm_rng_make(9, CM_RNG_TEST, 0, 0);
    size_t nnz = 0;
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < LD; j++) {
            v[i * LD + j] = cm_rng_uniform(&g) < .3 ? (float)cm_rng_normal(&g) : 0;
            nnz += j < COLS && v[i * LD + j] != 0;
        }
    struct cm_csr m = cm_csr_make(COLS);
    cm_csr_append_dense(&m, 20, v, LD);
    cm_csr_append_dense(&m, ROWS - 20, v + (size_t)20 * LD, LD);
    cm_dense_transpose(ROWS, COLS, v, LD, t);
    assert_int_equal(m.rows, ROWS);
    assert_int_equal(m.ptr[ROWS], nnz);
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < COLS; j++) {
            uint64_t at = cm_csr_find(&m, i, (uint32_t)j);
            float x = at == UINT64_MAX ? 0 : m.val[at];
            assert_true(memcmp(&x, &v[i * LD + j], sizeof x) == 0);
            assert_true(memcmp(&t[j * ROWS + i], &v[i * LD + j], sizeof x) == 0);
        }
    cm_csr_free(&m);
    cm_free(v);
    cm_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(append_keeps_rows),  cmocka_unit_test(borrowed_is_left_alone),
        cmocka_unit_test(rows_are_taken),     cmocka_unit_test(transposed_twice_is_itself),
        cmocka_unit_test(column_sums),        cmocka_unit_test(products_equal_dense),
        cmocka_unit_test(nothing_is_allowed), cmocka_unit_test(dense_rows_become_entries),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
