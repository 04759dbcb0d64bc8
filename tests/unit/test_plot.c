/* What figures are made of: principal axes and colours against NumPy and Matplotlib
 * (tests/ref/make_plot.py), ticks, numbers, escaped text, PNG by libpng's own reader. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <png.h>
#include <string.h>

#include "base/error.h"
#include "plot/axis.h"
#include "plot/figure.h"
#include "plot/plots.h"
#include "plot/svg.h"
#include "ref.h"

#define FILE_ "tests/ref/plot.txt"

static void plane_is_numpys(void **state)
{
    (void)state;
    struct ref x = ref_load(FILE_, "x"), want = ref_load(FILE_, "plane");
    struct ref share = ref_load(FILE_, "share");
    struct cm_dense m = cm_dense_make(x.rows, x.cols);
    double *got = CM_NEW(2 * x.rows, double), part[2];
    for (size_t i = 0; i < x.rows * x.cols; i++)
        m.v[i] = (float)x.v[i];
    assert_int_equal(cm_pca_plane(&m, got, part), 0);
    for (size_t i = 0; i < 2 * x.rows; i++)
        assert_true(fabs(got[i] - want.v[i]) < 1e-6);
    assert_true(fabs(part[0] - share.v[0]) < 1e-8 && fabs(part[1] - share.v[1]) < 1e-8);
    cm_dense_free(&m);
    cm_free(got);
    cm_free(x.v);
    cm_free(want.v);
    cm_free(share.v);
}

/* Less than two columns, one cell, cells that are all alike: a plane all the same. */
static void plane_of_little(void **state)
{
    (void)state;
    double at[6], share[2];
    struct cm_dense m = cm_dense_make(3, 1);
    m.v[0] = 1;
    m.v[1] = 2;
    m.v[2] = 6;
    assert_int_equal(cm_pca_plane(&m, at, share), 0);
    assert_true(fabs(at[4] - 3) < 1e-9 && fabs(at[5]) < 1e-9 && fabs(share[0] - 1) < 1e-12);
    m.v[1] = m.v[2] = 1;
    assert_int_equal(cm_pca_plane(&m, at, share), 0);
    assert_true(at[0] == 0 && share[0] == 0);
    m.rows = 0;
    assert_int_equal(cm_pca_plane(&m, at, share), CM_EINPUT);
    cm_dense_free(&m);
}

static void viridis_is_near(void **state)
{
    (void)state;
    struct ref want = ref_load(FILE_, "viridis");
    for (size_t k = 0; k < 256; k++) {
        struct cm_rgb c = cm_viridis((double)k / 255);
        assert_true(fabs(c.r - want.v[3 * k]) <= 2 && fabs(c.g - want.v[3 * k + 1]) <= 2 &&
                    fabs(c.b - want.v[3 * k + 2]) <= 2);
    }
    assert_int_equal(cm_viridis(-1).r, cm_viridis(0).r);
    assert_int_equal(cm_viridis(NAN).r, 128);
    cm_free(want.v);
}

static void ticks_of(double from, double to, bool log, const char *want)
{
    struct cm_ticks t;
    struct cm_axis a = {.from = from, .to = to, .log = log};
    char text[400] = "";
    cm_ticks_make(&t, &a, 5);
    for (size_t k = 0; k < t.n; k++) {
        strcat(text, k ? " " : "");
        strcat(text, t.text[k]);
    }
    assert_string_equal(text, want);
}

static void ticks_are_nice(void **state)
{
    (void)state;
    ticks_of(0, 1, false, "0.0 0.2 0.4 0.6 0.8 1.0");
    ticks_of(0, 0.3, false, "0.0 0.1 0.2 0.3");
    ticks_of(-3, 7, false, "-2 0 2 4 6");
    ticks_of(12, 19, false, "12 14 16 18");
    ticks_of(0, 50000, false,
             "0 10\xE2\x80\x89"
             "000 20\xE2\x80\x89"
             "000 30\xE2\x80\x89"
             "000 40\xE2\x80\x89"
             "000 50\xE2\x80\x89"
             "000");
    ticks_of(0, 1e-7, false, "0 2e-08 4e-08 6e-08 8e-08 1e-07");
    ticks_of(1, 1000, true, "1 10 100 1000");
    ticks_of(1, 20, true, "1 2 5 10 20");
    ticks_of(0.001, 1, true, "0.001 0.01 0.1 1");
    ticks_of(3, 3, false, "3");
    struct cm_axis a = cm_axis_around(0.13, 0.87, "x");
    assert_true(fabs(a.from) < 1e-12 && fabs(a.to - 1) < 1e-12);
    a = cm_axis_around(5, 5, "x");
    assert_true(a.from < 5 && a.to > 5);
    a = cm_axis_around(INFINITY, -INFINITY, "x");
    assert_true(a.from == 0 && a.to == 1);
}

static void number(double v, const char *want)
{
    struct cm_buf b = {0};
    cm_svg_number(&b, v);
    cm_buf_u8(&b, 0);
    assert_string_equal((char *)b.p, want);
    cm_buf_free(&b);
}

static void numbers_are_short(void **state)
{
    (void)state;
    number(0, "0");
    number(-0.001, "0");
    number(1.5, "1.5");
    number(-12.345678, "-12.35");
    number(100, "100");
    number(NAN, "0");
    number(INFINITY, "0");
}

static void text_is_escaped(void **state)
{
    (void)state;
    struct cm_buf b = {0};
    cm_svg_escape(&b, "<a href=\"x\">'&\x01\x7f\xC3\xA4");
    cm_buf_u8(&b, 0);
    assert_string_equal((char *)b.p, "&lt;a href=&quot;x&quot;&gt;&#39;&amp;"
                                     "\xEF\xBF\xBD\xEF\xBF\xBD\xC3\xA4");
    b.n = 0;
    cm_text_fit(&b, "\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4", 10, 20);
    assert_string_equal((char *)b.p, "\xC3\xA4\xC3\xA4\xE2\x80\xA6"); /* no half of a character */
    b.n = 0;
    cm_text_fit(&b, "short", 10, 100);
    assert_string_equal((char *)b.p, "short");
    cm_buf_free(&b);
}

static void base64_is_rfc4648(void **state)
{
    (void)state;
    static const char *const want[] = {"",         "Zg==",     "Zm8=",    "Zm9v",
                                       "Zm9vYg==", "Zm9vYmE=", "Zm9vYmFy"};
    for (size_t n = 0; n < 7; n++) {
        struct cm_buf b = {0};
        cm_base64(&b, (const unsigned char *)"foobar", n);
        cm_buf_u8(&b, 0);
        assert_string_equal((char *)b.p, want[n]);
        cm_buf_free(&b);
    }
}

static void pixels_come_back(void **state)
{
    (void)state;
    struct cm_raster r = cm_raster_make(5, 3);
    struct cm_buf b = {0};
    png_image image = {.version = PNG_IMAGE_VERSION};
    unsigned char got[60];
    cm_raster_set(&r, 4, 2, (struct cm_rgb){1, 2, 3});
    cm_raster_mark(&r, 1, 1, 1, 0, (struct cm_rgb){200, 100, 50}, 1);
    assert_int_equal(cm_png_encode(&b, &r), 0);
    assert_true(png_image_begin_read_from_memory(&image, b.p, b.n));
    image.format = PNG_FORMAT_RGBA;
    assert_true(image.width == 5 && image.height == 3);
    assert_true(png_image_finish_read(&image, NULL, got, 20, NULL));
    assert_memory_equal(got, r.rgba, 60);
    assert_true(r.rgba[4 * 14] == 1 && r.rgba[4 * 14 + 3] == 255);
    assert_int_equal(r.rgba[0], 200);
    assert_int_equal(r.rgba[4 * 2 * 5 + 4 * 4 - 1], 0); /* beyond the disc */
    cm_buf_free(&b);
    cm_raster_free(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plane_is_numpys),   cmocka_unit_test(plane_of_little),
        cmocka_unit_test(viridis_is_near),   cmocka_unit_test(ticks_are_nice),
        cmocka_unit_test(numbers_are_short), cmocka_unit_test(text_is_escaped),
        cmocka_unit_test(base64_is_rfc4648), cmocka_unit_test(pixels_come_back)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
