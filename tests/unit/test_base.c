/* Unit test of base/: random numbers against the published answers, the pool against its promise,
 * text and names against their edges.
 *
 * Philox4x32-10's known answers are those of Random123's kat_vectors (zero, all-ones and pi
 * inputs); the mapping of (seed, purpose, a, b, index) to key and counter is undone here so that
 * the same inputs reach it.  Moments of the distributions are checked against their exact values
 * within five standard errors, with a fixed seed, so the test cannot flicker.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/strs.h"
#include "base/text.h"
#include "base/utf8.h"

static void test_philox_known_answers(void **state)
{
    (void)state;
    const struct {
        uint32_t c[4], k[2], out[4];
    } kat[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    for (size_t k = 0; k < 3; k++) {
        struct cm_rng g = {.seed = (uint64_t)kat[k].k[1] << 32 | kat[k].k[0],
                           .a = kat[k].c[1],
                           .b = kat[k].c[2],
                           .purpose = kat[k].c[3]};
        uint32_t out[4];
        cm_rng_words(&g, kat[k].c[0], out);
        assert_memory_equal(out, kat[k].out, sizeof out);
    }
}

/* Many blocks at once are the blocks one by one, also where the index outgrows 32 bits. */
static void test_philox_blocks(void **state)
{
    (void)state;
    struct cm_rng g = cm_rng_make(0x123456789abcdef, CM_RNG_TEST, 3, 4);
    const uint64_t from[] = {0, 5, UINT32_MAX - 20, (uint64_t)7 << 32};
    for (size_t f = 0; f < sizeof from / sizeof *from; f++)
        for (size_t n = 0; n <= 40; n += n < 18 ? 1 : 11) {
            uint32_t many[4 * 41], one[4];
            memset(many, 0x55, sizeof many);
            cm_rng_blocks(&g, from[f], n, many);
            for (size_t i = 0; i < n; i++) {
                cm_rng_words(&g, from[f] + i, one);
                assert_memory_equal(many + 4 * i, one, sizeof one);
            }
            assert_int_equal(many[4 * n], 0x55555555); /* and nothing behind them */
        }
}

static void moments(double (*draw)(struct cm_rng *, double), double arg, double mean, double var)
{
    struct cm_rng g = cm_rng_make(7, CM_RNG_TEST, 1, (uint32_t)(arg * 10));
    enum { N = 200000 };
    double s = 0, q = 0;
    for (int i = 0; i < N; i++) {
        double x = draw(&g, arg);
        s += x, q += x * x;
    }
    s /= N, q = q / N - s * s;
    assert_true(fabs(s - mean) < 5 * sqrt(var / N));
    assert_true(fabs(q / var - 1) < 0.05);
}

static double uniform(struct cm_rng *g, double a) { return a * cm_rng_uniform(g); }
static double normal(struct cm_rng *g, double a) { return a * cm_rng_normal(g); }
static double below(struct cm_rng *g, double a) { return (double)cm_rng_below(g, (uint64_t)a); }

static void test_distributions_have_their_moments(void **state)
{
    (void)state;
    moments(uniform, 1, 0.5, 1.0 / 12);
    moments(normal, 1, 0, 1);
    moments(below, 7, 3, 4);
    moments(cm_rng_gamma, 0.4, 0.4, 0.4);
    moments(cm_rng_gamma, 6.5, 6.5, 6.5);
}

static void test_shuffle_is_a_permutation_by_seed(void **state)
{
    (void)state;
    uint64_t a[100], b[100], seen[100] = {0};
    for (uint64_t i = 0; i < 100; i++)
        a[i] = b[i] = i;
    struct cm_rng g = cm_rng_make(1, CM_RNG_SHUFFLE, 3, 0), h = g;
    cm_rng_shuffle(&g, a, 100);
    cm_rng_shuffle(&h, b, 100);
    assert_memory_equal(a, b, sizeof a);
    size_t moved = 0;
    for (size_t i = 0; i < 100; i++)
        seen[a[i]]++, moved += a[i] != i;
    for (size_t i = 0; i < 100; i++)
        assert_int_equal(seen[i], 1);
    assert_true(moved > 80);
}

static int sum_shard(void *arg, size_t s)
{
    double *part = arg;
    for (size_t i = cm_shard_begin(100003, 37, s); i < cm_shard_begin(100003, 37, s + 1); i++)
        part[s] += 1.0 / (double)(i + 1);
    return 0;
}

static int fail_some(void *arg, size_t s)
{
    (void)arg;
    return s >= 5 ? cm_fail(CM_EINPUT, "shard %zu", s) : 0;
}

static int nested(void *arg, size_t s)
{
    (void)s;
    return cm_parallel(37, sum_shard, arg);
}

static void test_pool_gives_the_same_bits_for_any_threads(void **state)
{
    (void)state;
    double one[37] = {0}, four[37] = {0}, inner[37] = {0};
    cm_pool_set_threads(1);
    cm_parallel(37, sum_shard, one);
    cm_pool_set_threads(4);
    assert_int_equal(cm_pool_threads(), 4);
    for (int again = 0; again < 50; again++) {
        memset(four, 0, sizeof four);
        cm_parallel(37, sum_shard, four);
        assert_memory_equal(one, four, sizeof one);
        assert_int_equal(cm_parallel(40, fail_some, NULL), CM_EINPUT);
        assert_string_equal(cm_error_message(), "shard 5");
    }
    cm_parallel(1, nested, inner);
    assert_memory_equal(one, inner, sizeof one);
    cm_pool_set_threads(1);
    double total = 0;
    for (size_t s = 0; s < 37; s++)
        total += one[s];
    assert_true(fabs(total - (log(100003.0) + 0.57721566490153286 + 0.5 / 100003)) < 1e-9);
}

static void test_numbers_in_text(void **state)
{
    (void)state;
    double f;
    int64_t i;
    uint64_t u;
    const char *const bad_f[] = {"", "1x", " 1", "0x10", "1e999", "--1", "1,5", "nanx"};
    for (size_t k = 0; k < sizeof bad_f / sizeof *bad_f; k++)
        assert_false(cm_parse_f64(bad_f[k], &f));
    assert_true(cm_parse_f64("-1e-3", &f) && f == -1e-3);
    assert_true(cm_parse_f64("nan", &f) && isnan(f));
    assert_true(cm_parse_f64(".5", &f) && f == 0.5);
    assert_true(cm_parse_i64("999999999999999999", &i) && i == 999999999999999999);
    assert_true(cm_parse_i64("9223372036854775807", &i) && i == INT64_MAX);
    assert_true(cm_parse_i64("+007", &i) && i == 7);
    assert_false(cm_parse_i64("", &i) || cm_parse_i64("-", &i) || cm_parse_i64("12 ", &i));
    assert_false(cm_parse_i64("9223372036854775808", &i));
    assert_true(cm_parse_i64("-9223372036854775808", &i) && i == INT64_MIN);
    assert_false(cm_parse_u64("-1", &u));
    assert_true(cm_parse_size("3K", &u) && u == 3072);
    assert_true(cm_parse_size("2g", &u) && u == (uint64_t)2 << 30);
    assert_false(cm_parse_size("16777216T", &u));
    assert_false(cm_parse_size("K", &u));
    char b[CM_NUMBER_MAX];
    const double exact[] = {0.1, 1.0 / 3, 1e300, -5e-324, 123456789, 0, 1e22, 3.14159265358979};
    for (size_t k = 0; k < sizeof exact / sizeof *exact; k++) {
        assert_true(cm_parse_f64(cm_format_f64(exact[k], b), &f));
        assert_true(f == exact[k]);
    }
    assert_string_equal(cm_format_f64(0.1, b), "0.1");
    assert_string_equal(cm_format_f64(10000, b), "10000");
    assert_string_equal(cm_format_f32(0.1f, b), "0.1");
}

static void test_names_and_their_index(void **state)
{
    (void)state;
    struct cm_strs s = {0};
    for (int k = 0; k < 5000; k++) {
        char name[16];
        snprintf(name, sizeof name, "cell%d", k);
        cm_strs_add(&s, name);
    }
    struct cm_index x;
    cm_index_make(&x, &s);
    assert_true(x.duplicate == CM_ABSENT);
    assert_int_equal(cm_index_find(&x, "cell4321"), 4321);
    assert_true(cm_index_find(&x, "cell5000") == CM_ABSENT);
    assert_true(cm_index_find(&x, "") == CM_ABSENT);
    cm_index_free(&x);
    cm_strs_add(&s, "cell17");
    cm_index_make(&x, &s);
    assert_int_equal(x.duplicate, 5000);
    assert_int_equal(cm_index_find(&x, "cell17"), 17);
    cm_index_free(&x);
    struct cm_strs t = {0};
    cm_strs_copy(&t, &s);
    assert_true(cm_strs_equal(&s, &t));
    cm_strs_add(&t, "x");
    assert_false(cm_strs_equal(&s, &t));
    cm_strs_free(&s);
    cm_strs_free(&t);
}

static void test_a_cursor_never_reads_beyond(void **state)
{
    (void)state;
    struct cm_buf b = {0};
    cm_buf_u32(&b, 0x01020304);
    cm_buf_u64(&b, 5);
    assert_int_equal(b.p[0], 4); /* little-endian */
    struct cm_cursor c = cm_cursor_make(b.p, b.n);
    assert_int_equal(cm_cursor_u32(&c), 0x01020304);
    assert_null(cm_cursor_items(&c, UINT64_MAX / 2, 8));
    assert_true(c.bad);
    assert_int_equal(cm_cursor_u64(&c), 0); /* sticky */
    cm_buf_free(&b);
}

static void test_xxh64_known_answers(void **state)
{
    (void)state;
    assert_true(cm_hash64("", 0, 0) == 0xef46db3751d8e999ull);
    struct cm_hash *h = cm_hash_new();
    cm_hash_update(h, "a", 1);
    cm_hash_update(h, "bc", 2);
    assert_true(cm_hash_value(h) == 0x44bc2cf5ad770999ull);
    cm_hash_free(h);
}

static size_t bad_at(const char *text) { return cm_utf8_bad(text, strlen(text)); }

static void test_utf8_is_what_unicode_says(void **state)
{
    static const char *const good[] = {"",
                                       "abcdefghijk",
                                       "\xc2\x80",
                                       "caf\xc3\xa9",
                                       "\xed\x9f\xbf",
                                       "\xee\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const struct {
        const char *text;
        size_t at;
    } bad[] = {{"caf\xe9", 3},          {"abcdefgh\x80", 8}, {"abcdefghijklmnop\xff", 16},
               {"\xc0\x80", 0},                              /* overlong */
               {"\xe0\x9f\xbf", 0},                          /* overlong */
               {"\xf0\x8f\xbf\xbf", 0}, {"\xed\xa0\x80", 0}, /* a surrogate */
               {"\xf4\x90\x80\x80", 0}, {"x\xe2\x82", 1},    /* cut */
               {"x\xe2\x82y", 1}};
    char out[16];
    (void)state;
    for (size_t k = 0; k < sizeof good / sizeof *good; k++)
        assert_int_equal(bad_at(good[k]), strlen(good[k]));
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        assert_int_equal(bad_at(bad[k].text), bad[k].at);
    assert_int_equal(cm_utf8_from_latin1("a\xe9\xff", 3, out), 5);
    assert_memory_equal(out, "a\xc3\xa9\xc3\xbf", 5);
    for (unsigned long c = 1; c <= 0x110000; c += c < 0x3000 ? 1 : 0x1ff) {
        size_t n = cm_utf8_put(c, out);
        bool is = c <= 0x10ffff && (c < 0xd800 || c > 0xdfff);
        assert_int_equal(n > 0, is);
        assert_int_equal(cm_utf8_bad(out, n), n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_philox_known_answers),
        cmocka_unit_test(test_philox_blocks),
        cmocka_unit_test(test_distributions_have_their_moments),
        cmocka_unit_test(test_shuffle_is_a_permutation_by_seed),
        cmocka_unit_test(test_pool_gives_the_same_bits_for_any_threads),
        cmocka_unit_test(test_numbers_in_text),
        cmocka_unit_test(test_names_and_their_index),
        cmocka_unit_test(test_a_cursor_never_reads_beyond),
        cmocka_unit_test(test_utf8_is_what_unicode_says),
        cmocka_unit_test(test_xxh64_known_answers),
    };
    return cmocka_run_group_tests_name("base", tests, NULL, NULL);
}
