/* plot/svg.c - elements of an SVG picture.  See svg.h. */
#include "plot/svg.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "plot/png.h"

void cm_svg_number(struct cm_buf *b, double v)
{
    char text[64];
    if (!(fabs(v) < 1e12))
        v = 0;
    int n = snprintf(text, sizeof text, "%.2f", v);
    while (text[n - 1] == '0')
        n--;
    if (text[n - 1] == '.')
        n--;
    text[n] = 0;
    cm_buf_puts(b, strcmp(text, "-0") ? text : "0");
}

/* How many bytes at `text` XML has no character for: a control character, a byte that is no UTF-8,
 * U+FFFE or U+FFFF; 0 if it has one.  left: bytes up to the next one that is not UTF-8. */
static size_t no_character(const char *text, size_t left)
{
    if (left == 0 || (unsigned char)*text < ' ' || *text == 0x7f)
        return 1;
    return !strncmp(text, "\xEF\xBF\xBE", 3) || !strncmp(text, "\xEF\xBF\xBF", 3) ? 3 : 0;
}

void cm_svg_escape(struct cm_buf *b, const char *text)
{
    const char *end = text + strlen(text), *bad = text + cm_utf8_bad(text, strlen(text));
    for (; *text; text++) {
        if (text > bad)
            bad = text + cm_utf8_bad(text, (size_t)(end - text));
        size_t n = no_character(text, (size_t)(bad - text));
        if (n) {
            cm_buf_puts(b, "\xEF\xBF\xBD");
            text += n - 1;
            continue;
        }
        switch (*text) {
        case '&':
            cm_buf_puts(b, "&amp;");
            break;
        case '<':
            cm_buf_puts(b, "&lt;");
            break;
        case '>':
            cm_buf_puts(b, "&gt;");
            break;
        case '"':
            cm_buf_puts(b, "&quot;");
            break;
        case '\'':
            cm_buf_puts(b, "&#39;");
            break;
        default:
            cm_buf_put(b, text, 1);
        }
    }
}

static void attribute(struct cm_buf *b, const char *name, double v)
{
    cm_buf_printf(b, " %s=\"", name);
    cm_svg_number(b, v);
    cm_buf_puts(b, "\"");
}

static void element(struct cm_buf *b, const char *name, const char *class)
{
    cm_buf_printf(b, "<%s class=\"%s\"", name, class);
}

void cm_svg_line(struct cm_buf *b, const char *class, double x1, double y1, double x2, double y2)
{
    element(b, "line", class);
    attribute(b, "x1", x1);
    attribute(b, "y1", y1);
    attribute(b, "x2", x2);
    attribute(b, "y2", y2);
    cm_buf_puts(b, "/>\n");
}

void cm_svg_rect(struct cm_buf *b, const char *class, double x, double y, double w, double h)
{
    element(b, "rect", class);
    attribute(b, "x", x);
    attribute(b, "y", y);
    attribute(b, "width", fmax(0, w));
    attribute(b, "height", fmax(0, h));
    cm_buf_puts(b, "/>\n");
}

void cm_svg_circle(struct cm_buf *b, const char *class, double x, double y, double r)
{
    element(b, "circle", class);
    attribute(b, "cx", x);
    attribute(b, "cy", y);
    attribute(b, "r", r);
    cm_buf_puts(b, "/>\n");
}

static void end_text(struct cm_buf *b, const char *text)
{
    cm_buf_puts(b, ">");
    cm_svg_escape(b, text);
    cm_buf_puts(b, "</text>\n");
}

static const char *const anchor_word[] = {"", " text-anchor=\"middle\"", " text-anchor=\"end\""};

void cm_svg_text(struct cm_buf *b, const char *class, enum cm_svg_anchor anchor, double x, double y,
                 const char *text)
{
    element(b, "text", class);
    attribute(b, "x", x);
    attribute(b, "y", y);
    cm_buf_puts(b, anchor_word[anchor]);
    end_text(b, text);
}

void cm_svg_text_rotated(struct cm_buf *b, const char *class, enum cm_svg_anchor anchor, double x,
                         double y, double degrees, const char *text)
{
    element(b, "text", class);
    cm_buf_puts(b, anchor_word[anchor]);
    cm_buf_puts(b, " transform=\"translate(");
    cm_svg_number(b, x);
    cm_buf_puts(b, " ");
    cm_svg_number(b, y);
    cm_buf_puts(b, ") rotate(");
    cm_svg_number(b, degrees);
    cm_buf_puts(b, ")\"");
    end_text(b, text);
}

void cm_svg_path_begin(struct cm_buf *b, const char *class)
{
    element(b, "path", class);
    cm_buf_puts(b, " d=\"");
}

static void pair(struct cm_buf *b, const char *command, double x, double y)
{
    cm_buf_puts(b, command);
    cm_svg_number(b, x);
    cm_buf_puts(b, " ");
    cm_svg_number(b, y);
}

void cm_svg_move(struct cm_buf *b, double x, double y) { pair(b, "M", x, y); }
void cm_svg_line_to(struct cm_buf *b, double x, double y) { pair(b, "L", x, y); }

void cm_svg_cubic_to(struct cm_buf *b, double x1, double y1, double x2, double y2, double x,
                     double y)
{
    pair(b, "C", x1, y1);
    pair(b, " ", x2, y2);
    pair(b, " ", x, y);
}

void cm_svg_close(struct cm_buf *b) { cm_buf_puts(b, "Z"); }

void cm_svg_path_end(struct cm_buf *b, double width)
{
    cm_buf_puts(b, "\"");
    if (width > 0)
        attribute(b, "stroke-width", width);
    cm_buf_puts(b, "/>\n");
}

void cm_svg_image(struct cm_buf *b, const char *class, double x, double y, double w, double h,
                  const struct cm_buf *png)
{
    element(b, "image", class);
    attribute(b, "x", x);
    attribute(b, "y", y);
    attribute(b, "width", w);
    attribute(b, "height", h);
    cm_buf_puts(b, " preserveAspectRatio=\"none\" href=\"data:image/png;base64,");
    cm_base64(b, png->p, png->n);
    cm_buf_puts(b, "\"/>\n");
}
