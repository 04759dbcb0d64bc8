/* plot/figure.c - title, legend, caption and style of a figure.  See figure.h. */
#include "plot/figure.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "plot/svg.h"

enum { TITLE = 15, TEXT = 12, MARGIN = 10, LINE = 16 };
#define BOLD 1.15 /* as wide as plain letters, at most, in the fonts of browsers */

/* Classes: fN filled and lN drawn in colour N; t text in the middle of things, m muted text. */
static const char style[] =
    ".cm{font-family:system-ui,\"Segoe UI\",Roboto,\"DejaVu Sans\",Arial,sans-serif;"
    "font-size:12px;background:#fff}\n"
    ".cm text{fill:#1c1f24}.cm .m{fill:#51565e}.cm .t{font-size:15px;font-weight:600}\n"
    ".cm .s{font-size:10.5px}.cm .w{fill:#fff}.cm .k{fill:#111}\n"
    ".cm .fk{fill:#51565e}.cm .bg{fill:#fff}.cm .grid{stroke:#e2e5ea}.cm "
    ".axis{stroke:#6a7079;fill:none}\n"
    ".cm .faint{stroke:#8b919a;stroke-width:.6;fill:none;opacity:.55}\n"
    ".cm .dash{stroke:#6a7079;stroke-width:1.4;fill:none;stroke-dasharray:5 4}\n"
    ".cm .edge{stroke:#fff;stroke-width:.8;opacity:.75}.cm .pixels{image-rendering:pixelated}\n"
    "@media screen and (prefers-color-scheme:dark){.cm{background:#15181d}\n"
    ".cm text{fill:#e9ebee}.cm .m{fill:#aab0b9}.cm .w{fill:#fff}.cm .k{fill:#111}\n"
    ".cm .fk{fill:#aab0b9}.cm .bg{fill:#15181d}.cm .grid{stroke:#2c3138}.cm .axis,.cm "
    ".dash{stroke:#969ca6}}\n";

static void put_colours(struct cm_buf *b)
{
    for (size_t k = 0; k < CM_COLOURS; k++) {
        struct cm_rgb c = cm_okabe_ito(k);
        unsigned rgb = (unsigned)c.r << 16 | (unsigned)c.g << 8 | c.b;
        cm_buf_printf(b, ".cm .f%zu{fill:#%06x}.cm .l%zu{stroke:#%06x;fill:none}", k, rgb, k, rgb);
    }
    cm_buf_puts(b, "\n");
}

void cm_figure_free(struct cm_figure *f)
{
    cm_free(f->title);
    cm_buf_free(&f->body);
    cm_buf_free(&f->tsv);
    cm_strs_free(&f->caption);
    cm_strs_free(&f->omitted);
    cm_raster_free(&f->pixels);
    *f = (struct cm_figure){0};
}

/* ===== text =============================================================================== */

double cm_text_width(const char *text, double size)
{
    double em = 0;
    for (const unsigned char *c = (const unsigned char *)text; *c; c++) {
        if ((*c & 0xC0) == 0x80)
            continue; /* inside a character */
        em += strchr("iljtfrI.,:;'|!()[] ", *c) ? 0.36
              : strchr("mwMW@%", *c)            ? 0.92
              : *c >= 'A' && *c <= 'Z'          ? 0.72
                                                : 0.61;
    }
    return em * size;
}

void cm_text_fit(struct cm_buf *b, const char *text, double size, double width)
{
    static const char dots[] = "\xE2\x80\xA6";
    size_t n = strlen(text);
    if (cm_text_width(text, size) > width) {
        char *part = cm_strdup(text);
        do {
            while (n > 0 && ((unsigned char)part[n - 1] & 0xC0) == 0x80)
                n--;
            n -= n > 0;
            part[n] = 0;
        } while (n > 0 && cm_text_width(part, size) + 0.6 * size > width);
        cm_buf_puts(b, part);
        cm_buf_puts(b, dots);
        cm_free(part);
    } else {
        cm_buf_puts(b, text);
    }
    cm_buf_u8(b, 0);
}

/* Draws text in lines, broken at blanks; y: the first baseline.  Returns the last one. */
static double put_lines(struct cm_buf *b, const char *class, double size, double y, double step,
                        const char *text)
{
    double width = CM_FIGURE_WIDTH - 2 * MARGIN;
    char *copy = cm_strdup(text), *line = copy;
    while (*line) {
        char *end = line, *next = strchr(line, ' ');
        for (;;) {
            char *stop = next ? next : line + strlen(line), was = *stop;
            *stop = 0;
            bool fits = cm_text_width(line, size) <= width || end == line;
            *stop = was;
            if (!fits)
                break;
            end = stop;
            if (!next)
                break;
            next = strchr(next + 1, ' ');
        }
        bool more = *end != 0;
        *end = 0;
        cm_svg_text(b, class, CM_SVG_START, MARGIN, y, line);
        line = end + more;
        y += *line ? step : 0;
    }
    cm_free(copy);
    return y;
}

void cm_figure_begin(struct cm_figure *f, const char *title)
{
    if (!f->title)
        f->title = cm_strdup(title);
    f->y = put_lines(&f->body, "t", BOLD * TITLE, 24, 20, f->title) + 12;
}

static void add_sentence(struct cm_strs *s, const char *format, va_list ap)
{
    char text[1000];
    vsnprintf(text, sizeof text, format, ap);
    cm_strs_add(s, text);
}

void cm_figure_note(struct cm_figure *f, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    add_sentence(&f->caption, format, ap);
    va_end(ap);
}

void cm_figure_omit(struct cm_figure *f, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    add_sentence(&f->omitted, format, ap);
    va_end(ap);
    cm_strs_add(&f->caption, cm_strs_get(&f->omitted, f->omitted.n - 1));
}

/* ===== panels ============================================================================= */

enum { LEFT = 62, RIGHT = 18, BELOW = 42 };

double cm_panel_x(const struct cm_panel *p, double v)
{
    return p->x + p->w * cm_axis_share(&p->across, v);
}

double cm_panel_y(const struct cm_panel *p, double v)
{
    return p->y + p->h * (1 - cm_axis_share(&p->up, v));
}

struct cm_panel cm_panel_make(struct cm_figure *f, double h, struct cm_axis across,
                              struct cm_axis up)
{
    struct cm_panel p = {LEFT, f->y, CM_FIGURE_WIDTH - LEFT - RIGHT, h, across, up};
    struct cm_ticks t;
    struct cm_buf *b = &f->body;
    cm_ticks_make(&t, &p.up, h < 150 ? 4 : 6);
    for (size_t k = 0; k < t.n; k++) {
        double y = cm_panel_y(&p, t.at[k]);
        cm_svg_line(b, "grid", p.x, y, p.x + p.w, y);
        cm_svg_text(b, "m", CM_SVG_END, p.x - 6, y + 4, t.text[k]);
    }
    cm_ticks_make(&t, &p.across, 6);
    for (size_t k = 0; k < t.n; k++) {
        double x = cm_panel_x(&p, t.at[k]);
        cm_svg_line(b, "grid", x, p.y, x, p.y + p.h);
        cm_svg_text(b, "m", CM_SVG_CENTRE, x, p.y + p.h + 16, t.text[k]);
    }
    cm_svg_rect(b, "axis", p.x, p.y, p.w, p.h);
    if (across.label)
        cm_svg_text(b, "", CM_SVG_CENTRE, p.x + p.w / 2, p.y + p.h + 34, across.label);
    if (up.label)
        cm_svg_text_rotated(b, "", CM_SVG_CENTRE, 14, p.y + p.h / 2, -90, up.label);
    f->y = p.y + p.h + BELOW + 4;
    return p;
}

/* ===== legend ============================================================================= */

void cm_mark(struct cm_buf *b, double x, double y, double radius, enum cm_key key, size_t colour)
{
    char class[16];
    if (colour == CM_KEY_GREY)
        strcpy(class, "m fk");
    else
        snprintf(class, sizeof class, "f%zu", colour % CM_COLOURS);
    if (key == CM_KEY_DISC) {
        cm_svg_circle(b, class, x, y, radius);
        return;
    }
    cm_svg_path_begin(b, class);
    cm_svg_move(b, x, y - radius);
    cm_svg_line_to(b, x + 0.866 * radius, y + radius / 2);
    cm_svg_line_to(b, x - 0.866 * radius, y + radius / 2);
    cm_svg_close(b);
    cm_svg_path_end(b, 0);
}

struct cm_legend cm_legend_begin(struct cm_figure *f)
{
    f->y += 10;
    return (struct cm_legend){f, MARGIN};
}

void cm_legend_add(struct cm_legend *l, enum cm_key key, size_t colour, const char *text)
{
    struct cm_buf fit = {0}, *b = &l->f->body;
    cm_text_fit(&fit, text, TEXT, CM_FIGURE_WIDTH - 2 * MARGIN - 30);
    double width = 24 + cm_text_width((char *)fit.p, TEXT) + 12;
    if (l->x > MARGIN && l->x + width > CM_FIGURE_WIDTH - MARGIN + 12) {
        l->x = MARGIN;
        l->f->y += LINE + 1;
    }
    double y = l->f->y - 4;
    char class[16] = "axis";
    if (key == CM_KEY_DASHES)
        strcpy(class, "dash");
    else if (colour != CM_KEY_GREY)
        snprintf(class, sizeof class, "l%zu", colour % CM_COLOURS);
    if (key == CM_KEY_DISC || key == CM_KEY_TRIANGLE) {
        cm_mark(b, l->x + 9, y, 5, key, colour);
    } else {
        cm_svg_path_begin(b, class);
        cm_svg_move(b, l->x, y);
        cm_svg_line_to(b, l->x + 18, y);
        cm_svg_path_end(b, key == CM_KEY_DASHES ? 0 : 2);
    }
    cm_svg_text(b, "", CM_SVG_START, l->x + 23, l->f->y, (char *)fit.p);
    l->x += width;
    cm_buf_free(&fit);
}

void cm_legend_end(struct cm_legend *l) { l->f->y += LINE; }

void cm_colour_bar(struct cm_figure *f, const struct cm_axis *a)
{
    enum { STEPS = 128 };
    struct cm_raster r = cm_raster_make(STEPS, 1);
    struct cm_buf png = {0};
    double x = LEFT, w = CM_FIGURE_WIDTH - LEFT - RIGHT;
    struct cm_ticks t;
    for (size_t k = 0; k < STEPS; k++)
        cm_raster_set(&r, k, 0, cm_viridis(((double)k + 0.5) / STEPS));
    if (!cm_png_encode(&png, &r))
        cm_svg_image(&f->body, "pixels", x, f->y, w, 10, &png);
    cm_ticks_make(&t, a, 5);
    for (size_t k = 0; k < t.n; k++) {
        double at = x + w * cm_axis_share(a, t.at[k]);
        cm_svg_line(&f->body, "axis", at, f->y + 10, at, f->y + 14);
        cm_svg_text(&f->body, "m", CM_SVG_CENTRE, at, f->y + 26, t.text[k]);
    }
    cm_svg_text(&f->body, "", CM_SVG_CENTRE, x + w / 2, f->y + 43, a->label);
    f->y += 52;
    cm_buf_free(&png);
    cm_raster_free(&r);
}

/* ===== the picture ======================================================================== */

static void put_caption(const struct cm_figure *f, struct cm_buf *text)
{
    for (size_t k = 0; k < f->caption.n; k++)
        cm_buf_printf(text, "%s%s", k ? " " : "", cm_strs_get(&f->caption, k));
    cm_buf_u8(text, 0);
}

void cm_figure_svg(const struct cm_figure *f, const char *id, struct cm_buf *out)
{
    struct cm_buf caption = {0}, lines = {0};
    put_caption(f, &caption);
    double height = f->y + 4;
    if (f->caption.n)
        height = put_lines(&lines, "m", TEXT, f->y + 14, LINE, (char *)caption.p) + 12;
    height = ceil(height);
    cm_buf_printf(out,
                  "<svg xmlns=\"http://www.w3.org/2000/svg\" class=\"cm\" viewBox=\"0 0 %.0f %.0f\""
                  " width=\"%.0f\" height=\"%.0f\" role=\"img\" aria-labelledby=\"%s-t %s-d\">\n"
                  "<title id=\"%s-t\">",
                  CM_FIGURE_WIDTH, height, CM_FIGURE_WIDTH, height, id, id, id);
    cm_svg_escape(out, f->title);
    cm_buf_printf(out, "</title>\n<desc id=\"%s-d\">", id);
    cm_svg_escape(out, (char *)caption.p);
    cm_buf_printf(out, "</desc>\n<style>\n%s", style);
    put_colours(out);
    cm_buf_puts(out, "</style>\n");
    cm_svg_rect(out, "bg", 0, 0, CM_FIGURE_WIDTH, height);
    cm_buf_put(out, f->body.p, f->body.n);
    cm_buf_put(out, lines.p, lines.n);
    cm_buf_puts(out, "</svg>\n");
    cm_buf_free(&caption);
    cm_buf_free(&lines);
}
