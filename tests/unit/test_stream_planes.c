/* Unit test of stream/planes: columns to byte planes and back for rows of many lengths and gaps,
 * against the definition written out; what does not ascend, or leaves 32 bits, is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "stream/planes.h"

enum { OTHERS = 7 }; /* entries of other rows around this one */

/* Planes of one row by the definition. */
static unsigned char *planes_of(const uint64_t *difference, size_t len)
{
    size_t n = len + 2 * OTHERS;
    unsigned char *p = CM_ZNEW(4 * n + 1, unsigned char);
    for (size_t k = 0; k < len; k++)
        for (size_t b = 0; b < 4; b++)
            p[b * n + OTHERS + k] = (unsigned char)(difference[k] >> (8 * b));
    return p;
}

static void there_and_back(void **state)
{
    (void)state;
    static const size_t lengths[] = {0, 1, 2, 3, 5, 1023, 1024, 1025, 2048, 5000};
    static const uint64_t gaps[] = {1, 2, 200, 300, 70000, 400000};
    struct cm_rng g = cm_rng_make(3, CM_RNG_SAMPLE, 0, 0);
    for (size_t a = 0; a < sizeof lengths / sizeof *lengths; a++)
        for (size_t b = 0; b < sizeof gaps / sizeof *gaps; b++) {
            size_t len = lengths[a], n = len + 2 * OTHERS;
            uint64_t *d = CM_NEW(len + 1, uint64_t), at = 0, last;
            uint32_t *idx = CM_NEW(len + 1, uint32_t), *back = CM_NEW(len + 1, uint32_t);
            for (size_t k = 0; k < len; k++) {
                d[k] = cm_rng_below(&g, gaps[b]) + (k > 0);
                idx[k] = (uint32_t)(at += d[k]);
            }
            unsigned char *want = planes_of(d, len), *got = CM_ZNEW(4 * n + 1, unsigned char);
            cm_planes_split(idx, len, got + OTHERS, n);
            assert_memory_equal(got, want, 4 * n);
            assert_true(cm_planes_join(want + OTHERS, n, len, at + 1, back, &last));
            assert_int_equal(last, at);
            if (len) {
                assert_memory_equal(back, idx, len * sizeof *idx);
                assert_false(cm_planes_join(want + OTHERS, n, len, at, back, &last));
                assert_int_equal(last, at);
            }
            cm_free(d), cm_free(idx), cm_free(back), cm_free(want), cm_free(got);
        }
}

static void refused(const uint64_t *d, size_t len, uint64_t sum)
{
    unsigned char *p = planes_of(d, len);
    uint32_t *idx = CM_NEW(len, uint32_t);
    uint64_t last;
    assert_false(cm_planes_join(p + OTHERS, len + 2 * OTHERS, len, 1u << 31, idx, &last));
    assert_int_equal(last, sum);
    cm_free(p), cm_free(idx);
}

static void what_does_not_ascend_is_refused(void **state)
{
    (void)state;
    refused((uint64_t[]){4, 0, 2}, 3, 6);
    refused((uint64_t[]){4, 1, 2, 1, 0}, 5, 8);
    refused((uint64_t[]){4, UINT32_MAX}, 2, 4 + (uint64_t)UINT32_MAX); /* wraps to 3 */
    refused((uint64_t[]){4, 1u << 31, 1u << 31}, 3, 4 + ((uint64_t)1 << 32));
    refused((uint64_t[]){1u << 31}, 1, (uint64_t)1 << 31);
    uint64_t *d = CM_NEW(1026, uint64_t); /* the first of a later piece */
    for (size_t k = 0; k < 1026; k++)
        d[k] = k != 1024;
    refused(d, 1026, 1025);
    cm_free(d);
    assert_true(cm_planes_ascend((uint32_t[]){0, 1, 5}, 3, 6));
    assert_false(cm_planes_ascend((uint32_t[]){0, 1, 5}, 3, 5));
    assert_false(cm_planes_ascend((uint32_t[]){0, 1, 1}, 3, 6));
    assert_true(cm_planes_ascend(NULL, 0, 0));
}

static void ones(void **state)
{
    (void)state;
    uint8_t x[100];
    memset(x, 1, sizeof x);
    for (size_t n = 0; n <= sizeof x; n++)
        assert_true(cm_planes_ones(x, n));
    for (size_t k = 0; k < sizeof x; k++) {
        x[k] = k % 2 ? 0 : 3;
        assert_false(cm_planes_ones(x, sizeof x));
        assert_true(cm_planes_ones(x, k));
        x[k] = 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_and_back),
        cmocka_unit_test(what_does_not_ascend_is_refused),
        cmocka_unit_test(ones),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
