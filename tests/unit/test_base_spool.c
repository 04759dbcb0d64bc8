/* Unit test of base/spool.h: arrays in temporary files, and products with what lies in them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/spool.h"
#include "matrix/matrix.h"

static void test_an_array_grows_and_keeps_what_it_holds(void **state)
{
    (void)state;
    struct cm_spool s = {0}, t = {0};
    assert_false(cm_spool_active());
    assert_int_equal(cm_spool_reserve(&s, 1), 0);
    assert_true(cm_spool_active());
    size_t first = s.bytes / sizeof(uint32_t);
    uint32_t *x = s.p;
    for (size_t i = 0; i < first; i++) {
        assert_int_equal(x[i], 0);
        x[i] = (uint32_t)i;
    }
    assert_int_equal(cm_spool_reserve(&t, 1), 0); /* what stands behind it in memory */
    assert_int_equal(cm_spool_reserve(&s, 3 * s.bytes), 0);
    assert_true(s.bytes >= 3 * first * sizeof *x);
    x = s.p;
    for (size_t i = 0; i < 3 * first; i++)
        assert_int_equal(x[i], i < first ? i : 0);
    cm_spool_close(&t);
    cm_spool_close(&s);
    assert_null(s.p);
    assert_int_equal(s.bytes, 0);
    assert_false(cm_spool_active());
    cm_spool_close(&s); /* of one that was never used, or is closed */
}

static size_t resident_files(void)
{
    size_t all, anonymous, files;
    FILE *f = fopen("/proc/self/statm", "r");
    if (!f)
        return 0;
    assert_int_equal(fscanf(f, "%zu %zu %zu", &all, &anonymous, &files), 3);
    fclose(f);
    return files * (size_t)sysconf(_SC_PAGESIZE);
}

/* Reads on and on: no more than the window stays, and a page that was given back is as it was. */
static void test_only_a_window_is_resident(void **state)
{
    (void)state;
    enum { MIB = 1 << 20, SIZE = 192 };
    struct cm_spool s = {0};
    size_t before = resident_files(), peak = 0;
    assert_int_equal(cm_spool_reserve(&s, (size_t)SIZE * MIB), 0);
    for (unsigned pass = 0; pass < 2; pass++)
        for (size_t m = 0; m < SIZE; m++) {
            uint64_t *at = (uint64_t *)s.p + m * (MIB / 8);
            for (size_t i = 0; i < MIB / 8; i += 64) {
                assert_true(pass == 0 || at[i] == m * MIB + i);
                at[i] = m * MIB + i;
            }
            cm_spool_check();
            peak = cm_size_max(peak, resident_files());
        }
    assert_true(peak <= before + CM_SPOOL_WINDOW + 8 * (size_t)MIB);
    cm_spool_close(&s);
}

static void test_failures_leave_the_array_as_it_was(void **state)
{
    (void)state;
    struct cm_spool s = {0}, none = {0};
    struct rlimit old, low;
    char *dir = getenv("TMPDIR") ? cm_strdup(getenv("TMPDIR")) : NULL;
    setenv("TMPDIR", "/nonexistent", 1);
    assert_int_equal(cm_spool_reserve(&none, 1), CM_ESYSTEM);
    assert_non_null(strstr(cm_error_message(), "/nonexistent"));
    assert_null(none.p);
    assert_false(cm_spool_active());
    dir ? setenv("TMPDIR", dir, 1) : unsetenv("TMPDIR");
    cm_free(dir);

    assert_int_equal(cm_spool_reserve(&s, 100), 0);
    memset(s.p, 7, 100);
    size_t bytes = s.bytes;
    getrlimit(RLIMIT_FSIZE, &old);
    low = old;
    low.rlim_cur = bytes;
    signal(SIGXFSZ, SIG_IGN);
    setrlimit(RLIMIT_FSIZE, &low);
    assert_int_equal(cm_spool_reserve(&s, 2 * bytes), CM_ESYSTEM);
    setrlimit(RLIMIT_FSIZE, &old);
    assert_non_null(strstr(cm_error_message(), "TMPDIR"));
    assert_int_equal(s.bytes, bytes);
    assert_int_equal(((unsigned char *)s.p)[99], 7);
    cm_spool_close(&s);
}

/* Products take spooled cells a few rows at a time, and give the same bits. */
static void test_products_do_not_depend_on_it(void **state)
{
    (void)state;
    enum { ROWS = 1500, COLS = 4000, K = 3 };
    struct cm_csr x = cm_csr_make(COLS);
    struct cm_rng g = cm_rng_make(1, 0, 0, 0);
    float *row = CM_NEW(COLS, float), *b = CM_NEW(ROWS * K, float),
          *y[2] = {CM_NEW(COLS * K, float), CM_NEW(COLS * K, float)}, *mean = CM_NEW(COLS, float);
    uint32_t *idx = CM_NEW(COLS, uint32_t);
    for (uint32_t j = 0; j < COLS; j++)
        idx[j] = j;
    for (size_t i = 0; i < ROWS; i++) {
        const uint64_t ptr[2] = {0, COLS};
        for (size_t j = 0; j < COLS; j++)
            row[j] = (float)cm_rng_normal(&g);
        cm_csr_append(&x, 1, ptr, idx, row);
    }
    for (size_t i = 0; i < ROWS * K; i++)
        b[i] = (float)cm_rng_normal(&g);
    cm_csr_column_means(&x, mean);
    for (int spooled = 0; spooled < 2; spooled++) {
        struct cm_spool s = {0};
        if (spooled)
            assert_int_equal(cm_spool_reserve(&s, 1), 0);
        cm_csr_transposed_times(&x, b, K, K, mean, y[spooled]);
        cm_spool_close(&s);
    }
    assert_memory_equal(y[0], y[1], COLS * K * sizeof(float));
    cm_csr_free(&x);
    void *all[] = {row, b, y[0], y[1], mean, idx};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        cm_free(all[i]);
}

int main(void)
{
    cm_pool_set_threads(2);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_array_grows_and_keeps_what_it_holds),
        cmocka_unit_test(test_only_a_window_is_resident),
        cmocka_unit_test(test_failures_leave_the_array_as_it_was),
        cmocka_unit_test(test_products_do_not_depend_on_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
