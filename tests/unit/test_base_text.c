/* Unit test of base/: UTF-8, small tables of text, and lists of values. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/error.h"
#include "base/lines.h"
#include "base/strs.h"
#include "base/text.h"
#include "base/utf8.h"
#include "base/values.h"

static void test_utf8_is_distinguished_from_other_bytes(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t bad; /* SIZE_MAX = valid */
    } cases[] = {
        {"", SIZE_MAX},
        {"plain ASCII text of more than eight bytes", SIZE_MAX},
        {"caf\xc3\xa9", SIZE_MAX},
        {"\xe2\x82\xac \xf0\x9f\xa7\xac \xf4\x8f\xbf\xbf \xed\x9f\xbf", SIZE_MAX},
        {"caf\xe9", 3},
        {"12345678\xe9 behind a whole word", 8},
        {"\xc0\x80", 0},         /* overlong */
        {"\xe0\x80\x80", 0},     /* overlong */
        {"\xf0\x80\x80\x80", 0}, /* overlong */
        {"\xed\xa0\x80", 0},     /* a surrogate */
        {"\xf4\x90\x80\x80", 0}, /* beyond U+10FFFF */
        {"a\xe2\x82", 1},        /* cut */
        {"a\x80", 1},
        {"\xff", 0},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        size_t n = strlen(cases[k].text);
        assert_int_equal(cm_utf8_bad(cases[k].text, n),
                         cases[k].bad == SIZE_MAX ? n : cases[k].bad);
    }
}

static int cut(struct cm_lines *l, const char *text, size_t n)
{
    cm_lines_free(l);
    cm_buf_put(&l->text, text, n);
    return cm_lines_cut(l, "f");
}

static void test_lines_forgive_what_is_harmless(void **state)
{
    (void)state;
    struct cm_lines l = {0};
    static const char good[] = "\xef\xbb\xbf"
                               "one\r\ntwo\n\nfour\r\n\n  \n";
    assert_int_equal(cut(&l, good, sizeof good - 1), 0);
    assert_int_equal(l.n, 4);
    assert_string_equal(l.line[0], "one");
    assert_string_equal(l.line[1], "two");
    assert_string_equal(l.line[2], "");
    assert_string_equal(l.line[3], "four");
    assert_int_equal(cut(&l, "", 0), 0);
    assert_int_equal(l.n, 0);
    assert_int_equal(cut(&l, "last", 4), 0);
    assert_int_equal(l.n, 1);
    cm_lines_free(&l);
}

static void test_lines_refuse_what_is_no_text(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        size_t n;
        const char *says;
    } cases[] = {
        {"one\nca\xe9\n", 8, "f: line 2: byte 3 (0xe9) is not UTF-8"},
        {"one\nt\0o\n", 8, "f: line 2: holds a zero byte"},
        {"one\rtwo\rthree\n", 14, "f: line 1: holds a carriage return"},
        {"PK\3\4 ....", 9, "a zip archive (unzip it first)"},
        {"\x1f\x8b\x08 ...", 7, "a gzip file"},
        {"\xff\xfe\x61\0", 4, "UTF-16 text"},
        {"%%MatrixMarket matrix\n", 22, "read it with mtx-read"},
        {"\x89HDF\r\n\x1a\n....", 12, "read it with h5-read"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        struct cm_lines l = {0};
        assert_int_equal(cut(&l, cases[k].text, cases[k].n), CM_EINPUT);
        assert_non_null(strstr(cm_error_message(), cases[k].says));
        cm_lines_free(&l);
    }
}

static void test_quotes_around_a_whole_field_go(void **state)
{
    (void)state;
    static const char *const want[] = {"plain",  "a\tb", "say \"hi\"", "5\" probe",
                                       "\"open", "",     "\"a\"b",     "end"};
    char line[] = "plain\t\"a\tb\"\t\"say \"\"hi\"\"\"\t5\" probe\t\"open\t\"\"\t\"a\"b\tend";
    char *rest = line;
    for (size_t k = 0; k < 8; k++)
        assert_string_equal(cm_lines_field(&rest, '\t'), want[k]);
    assert_null(cm_lines_field(&rest, '\t'));
}

static void check_values(const char *text, const char *const *has, const char *missing)
{
    struct cm_values v;
    struct cm_buf b = {0};
    cm_values_make(&v, text);
    for (; *has; has++)
        assert_int_not_equal(cm_values_find(&v, *has), CM_ABSENT);
    cm_values_missing(&v, &b);
    assert_string_equal(b.n ? (const char *)b.p : "", missing);
    assert_int_equal(cm_values_find(&v, "not there"), CM_ABSENT);
    cm_buf_free(&b);
    cm_values_free(&v);
}

static void test_values_may_hold_commas(void **state)
{
    (void)state;
    check_values("a", (const char *[]){"a", NULL}, "");
    check_values("a,b", (const char *[]){"a", "b", NULL}, "");
    check_values("a,b", (const char *[]){"a", NULL}, "\"b\"");
    check_values("CD8, x,b", (const char *[]){"CD8, x", "b", NULL}, "");
    check_values("b,CD8, x,c", (const char *[]){"CD8, x", NULL}, "\"b\", \"c\"");
    check_values("b,CD8, x", (const char *[]){"b", NULL}, "\"CD8, x\"");
    check_values("CD8\\, x", (const char *[]){"CD8, x", NULL}, "");
    check_values("a\\\\b", (const char *[]){"a\\b", NULL}, "");
    check_values("a\\b", (const char *[]){"a\\b", NULL}, "");
    check_values("", (const char *[]){"", NULL}, "");
    check_values("1,2,3,4,5,6,7,8,9,10,11,12,13,14,15",
                 (const char *[]){"1,2,3,4,5,6,7,8,9,10,11,12,13,14,15", NULL}, "");
    struct cm_values v;
    cm_values_make(&v, "a\\,b");
    assert_int_equal(cm_values_find(&v, "a"), CM_ABSENT); /* such a comma never parts */
    cm_values_free(&v);
}

static void check_unique(const char *const *in, const char *const *want, size_t n, size_t changed)
{
    struct cm_strs s = {0};
    for (size_t k = 0; k < n; k++)
        cm_strs_add(&s, in[k]);
    assert_int_equal(cm_strs_repeats(&s), changed);
    assert_int_equal(cm_strs_make_unique(&s), changed);
    assert_int_equal(s.n, n);
    for (size_t k = 0; k < n; k++)
        assert_string_equal(cm_strs_get(&s, k), want[k]);
    assert_int_equal(cm_strs_repeats(&s), 0);
    cm_strs_free(&s);
}

static void test_repeated_names_get_numbers(void **state)
{
    (void)state;
    check_unique((const char *[]){"a", "b"}, (const char *[]){"a", "b"}, 2, 0);
    check_unique((const char *[]){"a", "a", "a"}, (const char *[]){"a", "a-1", "a-2"}, 3, 2);
    check_unique((const char *[]){"a", "a-1", "a"}, (const char *[]){"a", "a-1", "a-2"}, 3, 1);
    check_unique((const char *[]){"a", "a", "a-1", "a-1", "a"},
                 (const char *[]){"a", "a-2", "a-1", "a-1-1", "a-3"}, 5, 3);
    check_unique((const char *[]){"", ""}, (const char *[]){"", "-1"}, 2, 1);
}

static void test_the_string_that_is_not_utf8_is_found(void **state)
{
    (void)state;
    struct cm_strs s = {0};
    assert_int_equal(cm_strs_not_utf8(&s, 0), CM_ABSENT);
    cm_strs_add(&s, "a\xe2"); /* two strings that would be one character if they touched */
    cm_strs_add(&s, "\x82\xac");
    cm_strs_add(&s, "caf\xc3\xa9");
    assert_int_equal(cm_strs_not_utf8(&s, 0), 0);
    assert_int_equal(cm_strs_not_utf8(&s, 1), 1);
    assert_int_equal(cm_strs_not_utf8(&s, 2), CM_ABSENT);
    assert_int_equal(cm_strs_not_utf8(&s, 3), CM_ABSENT);
    cm_strs_free(&s);
}

static void test_whole_numbers_of_any_length(void **state)
{
    (void)state;
    const struct {
        const char *text;
        int64_t value;
    } good[] = {{"0", 0},
                {"-1", -1},
                {"999999999999999999", 999999999999999999},
                {"1000000000000000000", 1000000000000000000},
                {"9223372036854775807", INT64_MAX},
                {"-9223372036854775808", INT64_MIN}};
    const char *const bad[] = {"",
                               "-",
                               "1x",
                               "x",
                               " 1",
                               "9223372036854775808",
                               "12345678901234567x",
                               "123456789012345678x"};
    char text[CM_NUMBER_MAX];
    int64_t v;
    for (size_t k = 0; k < sizeof good / sizeof *good; k++) {
        assert_true(cm_parse_i64(good[k].text, &v));
        assert_true(v == good[k].value);
        assert_int_equal(cm_format_i64(v, text), strlen(good[k].text));
        assert_string_equal(text, good[k].text);
    }
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        assert_false(cm_parse_i64(bad[k], &v));
    assert_true(cm_parse_i64("+007", &v) && v == 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_is_distinguished_from_other_bytes),
        cmocka_unit_test(test_lines_forgive_what_is_harmless),
        cmocka_unit_test(test_lines_refuse_what_is_no_text),
        cmocka_unit_test(test_quotes_around_a_whole_field_go),
        cmocka_unit_test(test_values_may_hold_commas),
        cmocka_unit_test(test_repeated_names_get_numbers),
        cmocka_unit_test(test_the_string_that_is_not_utf8_is_found),
        cmocka_unit_test(test_whole_numbers_of_any_length),
    };
    return cmocka_run_group_tests_name("base_text", tests, NULL, NULL);
}
