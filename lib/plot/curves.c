/* plot/curves.c - what trainers log: losses and validation by step.  See plots.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "plot/plots.h"
#include "plot/svg.h"
#include "stream/wire.h"

enum { POINTS_MAX = 400, MARKS_MAX = 60 };

struct series {
    size_t n;
    double *x, *y;
};

static int read_series(const struct cm_text_table *t, const char *column, struct series *s)
{
    size_t step, at;
    int code = cm_text_table_need(t, "step", &step);
    code = code ? code : cm_text_table_need(t, column, &at);
    *s = (struct series){0};
    if (code)
        return code;
    s->x = CM_NEW(t->rows + 1, double);
    s->y = CM_NEW(t->rows + 1, double);
    for (size_t i = 0; i < t->rows && !code; i++) {
        code = cm_text_table_number(t, i, step, &s->x[s->n]);
        code = code ? code : cm_text_table_number(t, i, at, &s->y[s->n]);
        s->n += isfinite(s->x[s->n]) && isfinite(s->y[s->n]);
    }
    return code;
}

static void free_series(struct series *s)
{
    cm_free(s->x);
    cm_free(s->y);
}

/* Means of consecutive values, at most POINTS_MAX of them; how many went into each. */
static size_t shorten(struct series *s)
{
    size_t by = (s->n + POINTS_MAX - 1) / POINTS_MAX, n = 0;
    for (size_t i = 0; i < s->n && by > 1; i += by) {
        size_t m = s->n - i < by ? s->n - i : by;
        double x = 0, y = 0;
        for (size_t k = 0; k < m; k++) {
            x += s->x[i + k] / (double)m;
            y += s->y[i + k] / (double)m;
        }
        s->x[n] = x;
        s->y[n++] = y;
    }
    s->n = by > 1 ? n : s->n;
    return by;
}

static const char *base_name(const char *path)
{
    const char *slash = strrchr(path, '/');
    return slash && slash[1] ? slash + 1 : path;
}

static void put_series(struct cm_figure *f, const struct cm_panel *p, const struct series *s,
                       size_t colour)
{
    char class[16];
    snprintf(class, sizeof class, "l%zu", colour % CM_COLOURS);
    cm_svg_path_begin(&f->body, class);
    for (size_t i = 0; i < s->n; i++)
        (i ? cm_svg_line_to : cm_svg_move)(&f->body, cm_panel_x(p, s->x[i]),
                                           cm_panel_y(p, s->y[i]));
    cm_svg_path_end(&f->body, 1.6);
    for (size_t i = 0; i < s->n && s->n <= MARKS_MAX; i++)
        cm_mark(&f->body, cm_panel_x(p, s->x[i]), cm_panel_y(p, s->y[i]), 2.6, CM_KEY_DISC, colour);
}

static void put_table(struct cm_figure *f, const char *log, const char *column,
                      const struct series *s)
{
    char x[CM_NUMBER_MAX], y[CM_NUMBER_MAX];
    for (size_t i = 0; i < s->n; i++) {
        cm_escape(&f->tsv, log);
        cm_buf_puts(&f->tsv, "\t");
        cm_escape(&f->tsv, column);
        cm_buf_printf(&f->tsv, "\t%s\t%s\n", cm_format_f64(s->x[i], x), cm_format_f64(s->y[i], y));
    }
}

static void put_panel(struct cm_figure *f, const struct cm_text_table *log, size_t logs,
                      const char *column, struct series *s, double last, double height)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t k = 0; k < logs; k++) {
        size_t all = s[k].n, by = shorten(&s[k]);
        if (by > 1)
            cm_figure_omit(f, "%s of %s: means of %zu consecutive ones of %zu values.", column,
                           base_name(log[k].path), by, all);
        for (size_t i = 0; i < s[k].n; i++) {
            low = fmin(low, s[k].y[i]);
            high = fmax(high, s[k].y[i]);
        }
    }
    struct cm_axis steps = {0, fmax(1, last), .label = "step"};
    struct cm_panel p = cm_panel_make(f, height, steps, cm_axis_around(low, high, column));
    for (size_t k = 0; k < logs; k++) {
        put_series(f, &p, &s[k], k);
        put_table(f, base_name(log[k].path), column, &s[k]);
        if (s[k].n == 0)
            cm_figure_omit(f, "%s has no value of %s.", base_name(log[k].path), column);
    }
    f->y += 6;
}

int cm_plot_curves(struct cm_figure *f, const struct cm_text_table *log, size_t logs,
                   const struct cm_strs *columns)
{
    size_t n = columns->n;
    struct series *s = CM_ZNEW(n * logs, struct series);
    double last = 0;
    int code = 0;
    for (size_t c = 0; c < n && !code; c++)
        for (size_t k = 0; k < logs && !code; k++) {
            struct series *x = &s[c * logs + k];
            code = read_series(&log[k], cm_strs_get(columns, c), x);
            for (size_t i = 0; i < x->n; i++)
                last = fmax(last, x->x[i]);
        }
    if (!code) {
        cm_figure_begin(f, "Training");
        cm_buf_puts(&f->tsv, "log\tcolumn\tstep\tvalue\n");
        for (size_t c = 0; c < n; c++)
            put_panel(f, log, logs, cm_strs_get(columns, c), s + c * logs, last, n > 1 ? 160 : 280);
    }
    if (!code && logs > 1) {
        struct cm_legend l = cm_legend_begin(f);
        for (size_t k = 0; k < logs; k++)
            cm_legend_add(&l, CM_KEY_LINE, k, base_name(log[k].path));
        cm_legend_end(&l);
    }
    for (size_t k = 0; k < n * logs; k++)
        free_series(&s[k]);
    cm_free(s);
    return code;
}
