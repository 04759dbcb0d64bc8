/* plot/heatmap.c - matrices as colours: attention of regions, confusion of labels.  See plots.h. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "match/groups.h"
#include "match/transfer.h"
#include "plot/plots.h"
#include "plot/svg.h"
#include "stream/wire.h"

enum { PIXELS_MAX = 1200, LEFT = 62, WIDE = 400 };

struct heat {
    size_t rows, cols;
    double *v; /* rows x cols; NaN: nothing known */
    bool log;
    double low, high; /* of what is finite, and positive if `log` */
    size_t unknown;   /* squares without a colour */
};

static void find_range(struct heat *h)
{
    h->low = INFINITY;
    h->high = -INFINITY;
    for (size_t k = 0; k < h->rows * h->cols; k++) {
        if (!isfinite(h->v[k]) || (h->log && !(h->v[k] > 0))) {
            h->unknown++;
            continue;
        }
        h->low = fmin(h->low, h->v[k]);
        h->high = fmax(h->high, h->v[k]);
    }
}

/* Means of blocks of cells, so that neither side has more than PIXELS_MAX. */
static void shrink(struct cm_figure *f, struct heat *h)
{
    size_t down = (h->rows + PIXELS_MAX - 1) / PIXELS_MAX;
    size_t across = (h->cols + PIXELS_MAX - 1) / PIXELS_MAX;
    size_t rows = (h->rows + down - 1) / down, cols = (h->cols + across - 1) / across;
    if (down == 1 && across == 1)
        return;
    double *v = CM_ZNEW(rows * cols, double);
    size_t *n = CM_ZNEW(rows * cols, size_t);
    for (size_t i = 0; i < h->rows; i++)
        for (size_t j = 0; j < h->cols; j++) {
            size_t k = i / down * cols + j / across;
            v[k] += h->v[i * h->cols + j];
            n[k]++;
        }
    for (size_t k = 0; k < rows * cols; k++)
        v[k] /= (double)n[k];
    cm_figure_omit(f, "Each dot is the mean of up to %zu x %zu of the %zu x %zu cells.", down,
                   across, h->rows, h->cols);
    cm_free(n);
    cm_free(h->v);
    h->v = v;
    h->rows = rows;
    h->cols = cols;
}

/* The share of the colour scale; NaN where there is no colour. */
static double share_of(const struct heat *h, double v)
{
    if (!isfinite(v) || (h->log && !(v > 0)))
        return NAN;
    if (!(h->high > h->low))
        return 0.5;
    return h->log ? log(v / h->low) / log(h->high / h->low) : (v - h->low) / (h->high - h->low);
}

/* Draws it at x, f->y, w units wide; the height, with about square cells. */
static int paint(struct cm_figure *f, const struct heat *h, double x, double w, double *height)
{
    struct cm_buf png = {0};
    f->pixels = cm_raster_make(h->cols, h->rows);
    for (size_t i = 0; i < h->rows; i++)
        for (size_t j = 0; j < h->cols; j++)
            cm_raster_set(&f->pixels, j, i, cm_viridis(share_of(h, h->v[i * h->cols + j])));
    *height = fmin(720, fmax(60, w * (double)h->rows / (double)h->cols));
    int code = cm_png_encode(&png, &f->pixels);
    if (!code)
        cm_svg_image(&f->body, "pixels", x, f->y, w, *height, &png);
    cm_svg_rect(&f->body, "axis", x, f->y, w, *height);
    cm_buf_free(&png);
    return code;
}

/* The bar of colours, unless nothing has one. */
static void put_scale(struct cm_figure *f, const struct heat *h, const char *label)
{
    struct cm_axis a = {h->low, h->high, h->log, label, false};
    if (!(h->high >= h->low))
        cm_figure_note(f, "No cell has a value.");
    else
        cm_colour_bar(f, &a);
    if (h->unknown)
        cm_figure_omit(f, "%zu squares without a%s value are grey.", h->unknown,
                       h->log ? " positive" : "");
}

/* ===== a matrix with chromosomes ========================================================== */

/* What stands beside each row or column: equal neighbours make a band. */
static void put_bands(struct cm_figure *f, const struct cm_strs *key, double x, double y, double w,
                      double h, bool down, size_t *unnamed)
{
    double unit = (down ? h : w) / (double)key->n;
    for (size_t i = 0, k; i < key->n; i = k) {
        for (k = i + 1; k < key->n && !strcmp(cm_strs_get(key, i), cm_strs_get(key, k)); k++)
            ;
        double from = (double)i * unit, to = (double)k * unit;
        if (i && down)
            cm_svg_line(&f->body, "edge", x, y + from, x + w, y + from);
        else if (i)
            cm_svg_line(&f->body, "edge", x + from, y, x + from, y + h);
        struct cm_buf fit = {0};
        cm_text_fit(&fit, cm_strs_get(key, i), 10.5, LEFT - 12);
        if (to - from < 11)
            *unnamed += *fit.p != 0;
        else if (down)
            cm_svg_text(&f->body, "m s", CM_SVG_END, x - 4, y + (from + to) / 2 + 4, (char *)fit.p);
        else
            cm_svg_text_rotated(&f->body, "m s", CM_SVG_END, x + (from + to) / 2 + 4, y + h + 5,
                                -90, (char *)fit.p);
        cm_buf_free(&fit);
    }
}

/* The chromosome of each column, with the side in front where there are two; "" if unknown. */
static void column_keys(const struct cm_cols *cols, struct cm_strs *key)
{
    struct cm_strs chrom = {0}, side = {0};
    const struct cm_vec *c = cm_cols_find(cols, "chrom"), *s = cm_cols_find(cols, "side");
    if (c)
        cm_vec_text(c, NULL, &chrom);
    if (s)
        cm_vec_text(s, NULL, &side);
    bool two = side.n && strcmp(cm_strs_get(&side, 0), cm_strs_get(&side, side.n - 1)) != 0;
    for (size_t j = 0; j < cols->names.n; j++) {
        struct cm_buf b = {0};
        cm_buf_printf(&b, "%s%s%s", two ? cm_strs_get(&side, j) : "", two ? " " : "",
                      chrom.n ? cm_strs_get(&chrom, j) : "");
        cm_strs_addn(key, (char *)b.p, b.n);
        cm_buf_free(&b);
    }
    cm_strs_free(&chrom);
    cm_strs_free(&side);
}

/* The same of the rows: their region is a column's, or their name; several maps of one stream are
 * identified by the label that is behind region, side and cells. */
static void row_keys(const struct cm_table *t, const struct cm_strs *column_key,
                     struct cm_strs *key)
{
    const struct cm_strs *names = &t->head.slot[0].cols.names;
    int region = cm_head_find_label(&t->head, "region");
    struct cm_strs text = {0}, map = {0};
    struct cm_index at;
    cm_index_make(&at, names);
    if (region >= 0)
        cm_vec_text(&t->label[region], &t->head.label[region].dict, &text);
    if (region >= 0 && t->head.nlabels > 3)
        cm_vec_text(&t->label[3], &t->head.label[3].dict, &map);
    for (size_t i = 0; i < t->names.n; i++) {
        size_t j = names->n == t->names.n ? i
                   : region >= 0          ? i % names->n
                                          : cm_index_find(&at, cm_strs_get(&t->names, i));
        struct cm_buf b = {0};
        cm_buf_printf(&b, "%s%s%s", map.n ? cm_strs_get(&map, i) : "", map.n ? " " : "",
                      j == CM_ABSENT || region < 0 ? "" : cm_strs_get(column_key, j));
        cm_strs_addn(key, (char *)b.p, b.n);
        cm_buf_free(&b);
    }
    cm_index_free(&at);
    cm_strs_free(&text);
    cm_strs_free(&map);
}

static void matrix_table(struct cm_figure *f, const struct cm_table *t)
{
    char text[CM_NUMBER_MAX];
    const struct cm_strs *names = &t->head.slot[0].cols.names;
    cm_buf_puts(&f->tsv, "row");
    for (size_t j = 0; j < names->n; j++) {
        cm_buf_puts(&f->tsv, "\t");
        cm_escape(&f->tsv, cm_strs_get(names, j));
    }
    for (size_t i = 0; i < t->names.n; i++) {
        cm_buf_puts(&f->tsv, "\n");
        cm_escape(&f->tsv, cm_strs_get(&t->names, i));
        for (size_t j = 0; j < names->n; j++)
            cm_buf_printf(&f->tsv, "\t%s", cm_format_f32(t->full.v[i * t->full.ld + j], text));
    }
    cm_buf_puts(&f->tsv, "\n");
}

int cm_plot_matrix(struct cm_figure *f, const struct cm_table *t, bool log_scale)
{
    struct heat h = {.rows = t->full.rows, .cols = t->full.cols, .log = log_scale};
    const char *module = cm_kv_get(&t->head.kv, "xattn.module");
    struct cm_strs across = {0}, down = {0};
    double height;
    size_t unnamed = 0;
    char title[200];
    if (h.rows == 0 || h.cols == 0)
        return cm_fail(CM_EINPUT, "the matrix has no cells");
    h.v = CM_NEW(h.rows * h.cols, double);
    for (size_t i = 0; i < h.rows; i++)
        for (size_t j = 0; j < h.cols; j++)
            h.v[i * h.cols + j] = (double)t->full.v[i * t->full.ld + j];
    snprintf(title, sizeof title, module ? "Attention of region to region (%.100s)" : "%.100s",
             module ? module : t->head.slot[0].name);
    cm_figure_begin(f, title);
    cm_figure_note(f, "%zu rows, %zu columns.", h.rows, h.cols);
    shrink(f, &h);
    find_range(&h);
    int code = paint(f, &h, LEFT, WIDE, &height);
    column_keys(&t->head.slot[0].cols, &across);
    row_keys(t, &across, &down);
    put_bands(f, &down, LEFT, f->y, WIDE, height, true, &unnamed);
    put_bands(f, &across, LEFT, f->y, WIDE, height, false, &unnamed);
    f->y += height + 62;
    put_scale(f, &h, module ? "mean attention" : "value");
    if (module)
        cm_figure_note(f, "Rows attend to columns.");
    if (unnamed)
        cm_figure_omit(f, "%zu bands are too narrow for their names.", unnamed);
    matrix_table(f, t);
    cm_strs_free(&across);
    cm_strs_free(&down);
    cm_free(h.v);
    return code;
}

/* ===== confusion ========================================================================== */

/* The texts of a label for rows and columns, rows first; CM_EINPUT where a side has none. */
static int confusion_texts(const struct cm_table *match, const struct cm_labels *extra,
                           const char *label, struct cm_strs *text)
{
    const struct cm_head *h = extra ? &extra->head : &match->head;
    const struct cm_strs *cols = &match->head.slot[0].cols.names;
    const struct cm_vec *v = cm_cols_find(&match->head.slot[0].cols, label);
    int l = cm_head_find_label(h, label);
    if (l < 0)
        return cm_head_no_label(h, label);
    if (!extra && !v)
        return cm_fail(CM_EINPUT, "the columns have no label '%s'", label);
    if (!extra) {
        cm_vec_text(&match->label[l], &match->head.label[l].dict, text);
        cm_vec_text(v, NULL, text);
        return 0;
    }
    struct cm_strs all = {0};
    cm_vec_text(&extra->label[l], &h->label[l].dict, &all);
    for (size_t i = 0; i < match->names.n + cols->n; i++) {
        const char *name = i < match->names.n ? cm_strs_get(&match->names, i)
                                              : cm_strs_get(cols, i - match->names.n);
        size_t at = cm_index_find(&extra->at, name);
        cm_strs_add(text, at == CM_ABSENT ? "" : cm_strs_get(&all, at));
    }
    cm_strs_free(&all);
    return 0;
}

/* Mass of values x values, each row divided by its sum; *left: cells that are not in it. */
static double *count_confusion(const struct cm_csr *m, const uint32_t *code, size_t n, size_t *left)
{
    double *v = CM_ZNEW(n * n, double);
    *left = 0;
    for (size_t i = 0; i < m->rows; i++) {
        double sum = 0;
        for (uint64_t k = m->ptr[i]; k < m->ptr[i + 1]; k++) {
            uint32_t c = code[m->rows + m->idx[k]];
            if (m->val[k] > 0 && c != CM_CAT_MISSING && code[i] != CM_CAT_MISSING) {
                v[code[i] * n + c] += (double)m->val[k];
                sum += (double)m->val[k];
            }
        }
        *left += !(sum > 0);
    }
    for (size_t a = 0; a < n; a++) {
        double sum = 0;
        for (size_t b = 0; b < n; b++)
            sum += v[a * n + b];
        for (size_t b = 0; b < n; b++)
            v[a * n + b] = sum > 0 ? v[a * n + b] / sum : NAN;
    }
    return v;
}

enum { NAMES_MAX = 90, NUMBERS_MAX = 10 };

/* Room for the longest of the names, within bounds. */
static double names_width(const struct cm_strs *text)
{
    double w = 20;
    for (size_t k = 0; k < text->n; k++)
        w = fmax(w, cm_text_width(cm_strs_get(text, k), 12));
    return fmin(w, NAMES_MAX);
}

static void name_values(struct cm_figure *f, const struct heat *h, const struct cm_strs *text,
                        double x, double w, double height)
{
    double down = height / (double)h->rows, across = w / (double)h->cols;
    for (size_t k = 0; k < text->n; k++) {
        struct cm_buf fit = {0};
        cm_text_fit(&fit, cm_strs_get(text, k), 12, NAMES_MAX);
        cm_svg_text(&f->body, "m", CM_SVG_END, x - 6, f->y + ((double)k + 0.5) * down + 4,
                    (char *)fit.p);
        cm_svg_text_rotated(&f->body, "m", CM_SVG_END, x + ((double)k + 0.5) * across + 4,
                            f->y + height + 8, -60, (char *)fit.p);
        cm_buf_free(&fit);
    }
    for (size_t k = 0; k < h->rows * h->cols && text->n <= NUMBERS_MAX; k++) {
        char number[16];
        double v = h->v[k];
        if (!isfinite(v))
            continue;
        snprintf(number, sizeof number, "%.2f", v);
        cm_svg_text(&f->body, share_of(h, v) > 0.6 ? "k s" : "w s", CM_SVG_CENTRE,
                    x + ((double)(k % h->cols) + 0.5) * across,
                    f->y + ((double)(k / h->cols) + 0.5) * down + 4, number);
    }
}

static void confusion_table(struct cm_figure *f, const struct heat *h, const struct cm_strs *text)
{
    char number[CM_NUMBER_MAX];
    cm_buf_puts(&f->tsv, "rows\tcolumns\tshare\n");
    for (size_t k = 0; k < h->rows * h->cols; k++) {
        cm_escape(&f->tsv, cm_strs_get(text, k / h->cols));
        cm_buf_puts(&f->tsv, "\t");
        cm_escape(&f->tsv, cm_strs_get(text, k % h->cols));
        cm_buf_printf(&f->tsv, "\t%s\n", cm_format_f64(h->v[k], number));
    }
}

int cm_plot_confusion(struct cm_figure *f, const struct cm_table *match,
                      const struct cm_labels *extra, const char *label)
{
    struct cm_strs text = {0};
    struct cm_label_values values = {0};
    char title[200];
    size_t left;
    int code = confusion_texts(match, extra, label, &text);
    if (!code)
        cm_label_values_make(&values, &text);
    size_t n = values.text.n;
    if (!code && n == 0)
        code = cm_fail(CM_EINPUT, "label '%s' has no value in any cell", label);
    if (!code && n > PIXELS_MAX / 4)
        code = cm_fail(CM_EINPUT, "label '%s' has %zu values, too many to draw", label, n);
    if (!code) {
        struct heat h = {.rows = n, .cols = n, .high = 1};
        double names = names_width(&values.text), x = names + 32;
        double w = CM_FIGURE_WIDTH - x - 18, height;
        h.v = count_confusion(&match->csr, values.code, n, &left);
        for (size_t k = 0; k < n * n; k++)
            h.unknown += isnan(h.v[k]);
        snprintf(title, sizeof title, "Which %.150s is matched with which?", label);
        cm_figure_begin(f, title);
        code = paint(f, &h, x, w, &height);
        name_values(f, &h, &values.text, x, w, height);
        cm_svg_text_rotated(&f->body, "", CM_SVG_CENTRE, 14, f->y + height / 2, -90, "row cells");
        f->y += height + 34 + 0.87 * names;
        cm_svg_text(&f->body, "", CM_SVG_CENTRE, x + w / 2, f->y, "column cells");
        f->y += 14;
        put_scale(f, &h, "share of the row cells' probability");
        confusion_table(f, &h, &values.text);
        cm_figure_note(f, "%zu cells.", match->csr.rows);
        if (left)
            cm_figure_omit(f,
                           "%zu of %zu cells without the label, or with no candidate that has "
                           "it, are left out.",
                           left, match->csr.rows);
        cm_free(h.v);
    }
    cm_strs_free(&text);
    cm_label_values_free(&values);
    return code;
}
