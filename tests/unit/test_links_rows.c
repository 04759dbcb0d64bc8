/* p and q against mpmath and scikit-learn (tests/ref/make_peak_links.py); choice and order of
 * rows. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/mem.h"
#include "links/rows.h"
#include "links/significance.h"
#include "ref.h"

#define FIXTURE "tests/ref/significance.txt"

static void near(double found, double expected, double tolerance)
{
    if (!(fabs(found - expected) <= tolerance))
        fail_msg("expected %.17g, found %.17g", expected, found);
}

/* An absolute error of the logarithm is a relative one of p. */
static void p_far_below_any_double(void **state)
{
    (void)state;
    struct ref r = ref_load(FIXTURE, "log_p");
    assert_true(r.rows >= 10 && r.cols == 2);
    for (size_t i = 0; i < r.rows; i++) {
        double z = r.v[2 * i], want = r.v[2 * i + 1];
        near(cm_normal_log_p(z), want, 1e-15 + 4e-16 * fabs(want));
        near(cm_normal_log_p(-z), cm_normal_log_p(z), 0);
    }
    cm_free(r.v);
}

static void q_of_ties_and_chosen_sets(void **state)
{
    (void)state;
    struct ref r = ref_load(FIXTURE, "log_q"), rates = ref_load(FIXTURE, "rates"),
               chosen = ref_load(FIXTURE, "chosen");
    size_t n = r.rows, different = 0;
    double *p = CM_NEW(n, double), *q = CM_NEW(n, double);
    for (size_t i = 0; i < n; i++)
        p[i] = r.v[2 * i];
    cm_log_q(q, p, n);
    for (size_t i = 0; i < n; i++)
        near(q[i], r.v[2 * i + 1], 1e-13);
    assert_true(chosen.rows == rates.cols && chosen.cols == n);
    for (size_t k = 0; k < rates.cols; k++)
        for (size_t i = 0; i < n; i++) {
            bool want = chosen.v[k * n + i] > 0;
            assert_true((q[i] <= log(rates.v[k])) == want);
            different += want;
        }
    assert_true(different > 20 && different < rates.cols * n / 2);
    cm_log_q(p, p, n); /* in place */
    assert_memory_equal(p, q, n * sizeof *p);
    double one = log(.3);
    cm_log_q(&one, &one, 1);
    near(one, log(.3), 1e-15);
    cm_log_q(q, p, 0);
    cm_free(p);
    cm_free(q);
    cm_free(r.v);
    cm_free(rates.v);
    cm_free(chosen.v);
}

static void text_of_any_exponent(void **state)
{
    (void)state;
    struct ref r = ref_load(FIXTURE, "exponents");
    char buf[CM_NUMBER_MAX];
    for (size_t i = 0; i < r.rows; i++) {
        double exponent = r.v[3 * i + 1], digits = r.v[3 * i + 2];
        const char *text = cm_format_exp(r.v[3 * i], buf), *e = strchr(text, 'e');
        double shift = (e ? strtod(e + 1, NULL) : 0) - exponent;
        char mantissa[CM_NUMBER_MAX] = "";
        memcpy(mantissa, text, e ? (size_t)(e - text) : strlen(text));
        near(strtod(mantissa, NULL) * pow(10, shift) / digits, 1, 6e-6);
    }
    cm_free(r.v);
    assert_string_equal(cm_format_exp(0, buf), "1");
    assert_string_equal(cm_format_exp(log(.05), buf), "0.05");
    assert_string_equal(cm_format_exp(-1000 * log(10), buf),
                        "1e-1000"); /* digits that round to 10 */
    assert_string_equal(cm_format_exp(-999.999999999 * log(10), buf), "1e-1000");
}

/* ===== rows ================================================================================= */

/* Three genes, four peaks: candidates 0: 0 1, 1: none, 2: 1 2 3; links (0,1) and (2,3). */
static struct cm_cols tables[2];
static struct cm_links links;

static struct cm_cols table_of(const char *names, const int64_t *start, const char *chrom)
{
    struct cm_cols t = {0};
    size_t n = strlen(names);
    for (size_t i = 0; i < n; i++)
        cm_strs_addn(&t.names, names + i, 1);
    struct cm_vec *place = cm_cols_vec(&t, "start", CM_T_I64);
    memcpy(place->i, start, n * sizeof *start);
    struct cm_vec *c = cm_cols_vec(&t, "chrom", CM_T_STR);
    cm_strs_clear(&c->s);
    for (size_t i = 0; i < n; i++)
        cm_strs_addn(&c->s, chrom + i, 1);
    return t;
}

static int make(void **state)
{
    (void)state;
    static const int64_t gene[] = {1000, 500000, 2001}, peak[] = {1001, 1500, 2500, 2600};
    static uint64_t ptr[] = {0, 1, 2};
    static uint32_t genes[] = {0, 2}, peaks[] = {1, 3}, peak_of[] = {0, 1};
    static float c[] = {.25F, -.5F}, correlation[] = {.01F, .3F, -.3F, 0, -.125F};
    tables[0] = table_of("abc", gene, "111");
    tables[1] = table_of("wxyz", peak, "1111");
    links = (struct cm_links){.n = 2,
                              .candidates = 5,
                              .correlation = correlation,
                              .cells = 400,
                              .window = 1000,
                              .gene = {.n = 2, .feature = genes, .features = 3},
                              .peak = {.n = 2, .feature = peaks, .features = 4},
                              .ptr = ptr,
                              .peak_of = peak_of,
                              .c = c};
    return 0;
}

static int drop(void **state)
{
    (void)state;
    cm_cols_free(&tables[0]);
    cm_cols_free(&tables[1]);
    return 0;
}

/* The rows as "gene peak" letters, after a choice. */
static void expect(const struct cm_link_choice *choice, const char *want)
{
    struct cm_link_rows rows;
    char text[32] = "";
    assert_int_equal(cm_link_rows_make(&rows, &links, &tables[0], &tables[1]), 0);
    cm_link_rows_choose(&rows, choice);
    for (size_t k = 0; k < rows.n && k < 10; k++) {
        text[strlen(text)] = "abc"[rows.row[k].gene];
        text[strlen(text)] = "wxyz"[rows.row[k].peak];
        text[strlen(text)] = ' ';
    }
    assert_string_equal(text, want);
    cm_free(rows.row);
}

static void rows_and_their_order(void **state)
{
    (void)state;
    struct cm_link_rows rows;
    assert_int_equal(cm_link_rows_make(&rows, &links, &tables[0], &tables[1]), 0);
    assert_true(rows.tested && rows.n == 5);
    assert_true(!rows.row[0].used && rows.row[1].used && rows.row[4].used);
    assert_true(rows.row[0].weight == 0 && rows.row[1].weight == .25F &&
                rows.row[4].weight == -.5F);
    near(rows.row[1].z, 6, 1e-6);
    near(rows.row[4].z, -2.5, 1e-12);
    near(rows.row[4].log_q, cm_normal_log_p(2.5) + log(5. / 3), 1e-12);
    near(rows.row[3].log_q, 0, 0);
    cm_free(rows.row);
    double any = (double)NAN;
    expect(&(struct cm_link_choice){false, any, 0}, "cz ax ");
    expect(&(struct cm_link_choice){false, any, 1}, "cz ");
    expect(&(struct cm_link_choice){true, any, 0}, "cz ax cx aw cy ");
    expect(&(struct cm_link_choice){true, any, 2}, "ax cx "); /* the largest |z| */
    expect(&(struct cm_link_choice){true, any, 9}, "cz ax cx aw cy ");
    expect(&(struct cm_link_choice){true, 1e-6, 0}, "ax cx ");
    expect(&(struct cm_link_choice){true, .05, 0}, "cz ax cx ");
    expect(&(struct cm_link_choice){false, 1e-6, 5}, "ax ");
    expect(&(struct cm_link_choice){true, 1e-300, 0}, "");
}

static void models_of_other_coordinates(void **state)
{
    (void)state;
    struct cm_link_rows rows;
    static const struct {
        double window;
        const char *says;
    } other[] = {{10, ": 1 pairs lie within 10 bases"}, {1e6, ": at least 6 pairs lie within"}};
    for (size_t k = 0; k < 2; k++) {
        links.window = other[k].window;
        assert_int_equal(cm_link_rows_make(&rows, &links, &tables[0], &tables[1]), CM_EINPUT);
        assert_non_null(strstr(cm_error_message(), other[k].says));
        cm_free(rows.row);
    }
    links.window = 1000;
    links.peak.feature[0] = 2; /* a link of gene a to a peak outside its window */
    assert_int_equal(cm_link_rows_make(&rows, &links, &tables[0], &tables[1]), CM_EINPUT);
    assert_string_equal(cm_error_message(),
                        "1 of 2 links are not among the pairs within 1000 bases");
    cm_free(rows.row);
    links.peak.feature[0] = 1;
    float *correlation = links.correlation;
    links.correlation = NULL; /* an earlier version: the links alone */
    assert_int_equal(cm_link_rows_make(&rows, &links, &tables[0], &tables[1]), 0);
    assert_true(!rows.tested && rows.n == 2 && isnan(rows.row[0].z) && isnan(rows.row[1].log_q));
    cm_free(rows.row);
    expect(&(struct cm_link_choice){false, (double)NAN, 0}, "cz ax ");
    links.correlation = correlation;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(p_far_below_any_double),      cmocka_unit_test(q_of_ties_and_chosen_sets),
        cmocka_unit_test(text_of_any_exponent),        cmocka_unit_test(rows_and_their_order),
        cmocka_unit_test(models_of_other_coordinates),
    };
    return cmocka_run_group_tests(tests, make, drop);
}
