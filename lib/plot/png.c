/* plot/png.c - pictures of pixels.  See png.h. */
#include "plot/png.h"

#include <math.h>
#include <png.h>
#include <setjmp.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

struct cm_raster cm_raster_make(size_t w, size_t h)
{
    size_t pixels;
    if (cm_mul(w, h, &pixels) || pixels > (size_t)1 << 28)
        cm_panic(70, "internal error: a picture of %zu x %zu pixels", w, h);
    return (struct cm_raster){w, h, cm_zalloc(pixels, 4)};
}

void cm_raster_free(struct cm_raster *r)
{
    cm_free(r->rgba);
    *r = (struct cm_raster){0};
}

void cm_raster_set(struct cm_raster *r, size_t x, size_t y, struct cm_rgb c)
{
    unsigned char *p = r->rgba + 4 * (y * r->w + x);
    p[0] = c.r;
    p[1] = c.g;
    p[2] = c.b;
    p[3] = 255;
}

/* Lays colour c of opacity a over the pixel p (neither is premultiplied). */
static void blend(unsigned char *p, struct cm_rgb c, double a)
{
    double under = p[3] / 255.0 * (1 - a), all = a + under;
    if (!(all > 0))
        return;
    p[0] = (unsigned char)lrint((c.r * a + p[0] * under) / all);
    p[1] = (unsigned char)lrint((c.g * a + p[1] * under) / all);
    p[2] = (unsigned char)lrint((c.b * a + p[2] * under) / all);
    p[3] = (unsigned char)lrint(255 * all);
}

/* Signed distance of (x, y) to the edge of a disc or triangle of that radius about (0, 0), inside
 * negative. */
static double to_edge(double x, double y, double radius, int triangle)
{
    if (!triangle)
        return sqrt(x * x + y * y) - radius;
    double slanted = 0.866025403784 * fabs(x) - 0.5 * y - radius / 2;
    return fmax(slanted, y - radius / 2);
}

void cm_raster_mark(struct cm_raster *r, double x, double y, double radius, int triangle,
                    struct cm_rgb c, double opacity)
{
    double x0 = fmax(0, floor(x - radius - 1)), x1 = fmin((double)r->w, ceil(x + radius + 1));
    double y0 = fmax(0, floor(y - radius - 1)), y1 = fmin((double)r->h, ceil(y + radius + 1));
    for (double v = y0; v < y1; v++)
        for (double u = x0; u < x1; u++) {
            double inside = 0.5 - to_edge(u + 0.5 - x, v + 0.5 - y, radius, triangle);
            double cover = fmin(1, fmax(0, inside));
            if (cover > 0)
                blend(r->rgba + 4 * ((size_t)v * r->w + (size_t)u), c, cover * opacity);
        }
}

/* ===== encoding =========================================================================== */

static void write_bytes(png_structp png, png_bytep p, png_size_t n)
{
    cm_buf_put(png_get_io_ptr(png), p, n);
}

static void flush_nothing(png_structp png) { (void)png; }

static void failed(png_structp png, png_const_charp message)
{
    cm_fail(CM_EBUG, "libpng: %s", message);
    longjmp(*(jmp_buf *)png_get_error_ptr(png), 1);
}

static void warned(png_structp png, png_const_charp message) { (void)png, (void)message; }

static void encode(png_structp png, png_infop info, struct cm_buf *out, const struct cm_raster *r)
{
    png_set_write_fn(png, out, write_bytes, flush_nothing);
    png_set_IHDR(png, info, (png_uint_32)r->w, (png_uint_32)r->h, 8, PNG_COLOR_TYPE_RGB_ALPHA,
                 PNG_INTERLACE_NONE, PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    png_write_info(png, info);
    for (size_t y = 0; y < r->h; y++)
        png_write_row(png, r->rgba + 4 * y * r->w);
    png_write_end(png, info);
}

int cm_png_encode(struct cm_buf *out, const struct cm_raster *r)
{
    jmp_buf back;
    png_structp png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &back, failed, warned);
    png_infop info = png ? png_create_info_struct(png) : NULL;
    int code = info ? 0 : cm_fail(CM_ESYSTEM, "libpng: out of memory");
    if (info && setjmp(back))
        code = CM_EBUG;
    else if (info)
        encode(png, info, out, r);
    if (png)
        png_destroy_write_struct(&png, &info);
    return code;
}

void cm_base64(struct cm_buf *out, const unsigned char *p, size_t n)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for (size_t i = 0; i < n; i += 3) {
        size_t left = n - i;
        unsigned v = (unsigned)p[i] << 16 | (left > 1 ? (unsigned)p[i + 1] << 8 : 0) |
                     (left > 2 ? (unsigned)p[i + 2] : 0);
        char four[4] = {digit[v >> 18], digit[v >> 12 & 63], left > 1 ? digit[v >> 6 & 63] : '=',
                        left > 2 ? digit[v & 63] : '='};
        cm_buf_put(out, four, 4);
    }
}
