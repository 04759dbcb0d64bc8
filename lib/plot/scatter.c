/* plot/scatter.c - cells of one or two embeddings in the plane of their variance.  See plots.h. */
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

enum { PIXELS_FROM = 5000, COLOURED_MAX = 8, OTHER = 6, PANEL = 400, SCALE = 2 };

struct cloud {
    size_t n, first; /* cells; of them those of side 0, which come first */
    double *at;      /* n x 2 */
    double share[2];
    struct cm_strs text; /* the label's value of each cell */
    struct cm_label_values values;
    size_t *colour; /* of each value: its number, OTHER for those without a colour of their own */
    size_t *cells;  /* of each value */
    size_t grey, nameless;
};

static void read_texts(struct cloud *c, const struct cm_table *t, const char *label)
{
    int l = label ? cm_head_find_label(&t->head, label) : -1;
    if (l >= 0)
        cm_vec_text(&t->label[l], &t->head.label[l].dict, &c->text);
    else
        for (size_t i = 0; i < t->names.n; i++)
            cm_strs_add(&c->text, "");
}

/* Mean and standard deviation of each column. */
static void measure(const struct cm_dense *x, double *mean, double *sd)
{
    for (size_t j = 0; j < x->cols; j++)
        mean[j] = sd[j] = 0;
    for (size_t i = 0; i < x->rows; i++)
        for (size_t j = 0; j < x->cols; j++)
            mean[j] += (double)x->v[i * x->ld + j] / (double)x->rows;
    for (size_t i = 0; i < x->rows; i++)
        for (size_t j = 0; j < x->cols; j++) {
            double v = (double)x->v[i * x->ld + j] - mean[j];
            sd[j] += v * v / (double)x->rows;
        }
    for (size_t j = 0; j < x->cols; j++)
        sd[j] = sqrt(sd[j]);
}

/* Two embeddings in one space.  A model fixes the products e_j t_j alone, not how the scale of a
 * dimension is shared by its sides; here each is centred, and has the geometric mean of both
 * standard deviations. */
static struct cm_dense join_sides(const struct cm_dense *x[2])
{
    size_t d = x[0]->cols;
    double *mean = CM_NEW(2 * d, double), *sd = CM_NEW(2 * d, double);
    struct cm_dense all = cm_dense_make(x[0]->rows + x[1]->rows, d);
    for (size_t s = 0; s < 2; s++)
        measure(x[s], mean + s * d, sd + s * d);
    for (size_t s = 0; s < 2; s++)
        for (size_t i = 0; i < x[s]->rows; i++)
            for (size_t j = 0; j < d; j++) {
                double v = (double)x[s]->v[i * x[s]->ld + j] - mean[s * d + j];
                double by = sd[s * d + j] > 0 ? sqrt(sd[(1 - s) * d + j] / sd[s * d + j]) : 0;
                all.v[(i + s * x[0]->rows) * d + j] = (float)(v * by);
            }
    cm_free(mean);
    cm_free(sd);
    return all;
}

static int project(struct cloud *c, const struct cm_scatter *s)
{
    const struct cm_table *a = s->side[0], *b = s->side[1];
    size_t d = a->full.cols;
    if (b && b->full.cols != d)
        return cm_fail(
            CM_EINPUT,
            "one stream has %zu columns, the other %zu: expected embeddings by one model", d,
            b->full.cols);
    c->first = a->full.rows;
    c->n = c->first + (b ? b->full.rows : 0);
    c->at = CM_NEW(2 * c->n + 1, double);
    if (!b)
        return cm_pca_plane(&a->full, c->at, c->share);
    const struct cm_dense *x[2] = {&a->full, &b->full};
    struct cm_dense all = join_sides(x);
    int code = cm_pca_plane(&all, c->at, c->share);
    cm_dense_free(&all);
    return code;
}

/* The most frequent values get the colours, in the order of their names. */
static void colour_values(struct cloud *c)
{
    size_t n = c->values.text.n, given = 0;
    c->colour = CM_NEW(n + 1, size_t);
    c->cells = CM_ZNEW(n + 1, size_t);
    for (size_t i = 0; i < c->n; i++)
        if (c->values.code[i] == CM_CAT_MISSING)
            c->nameless++;
        else
            c->cells[c->values.code[i]]++;
    for (size_t v = 0; v < n; v++) {
        size_t more = 0;
        for (size_t w = 0; w < n; w++) /* how many values go before it */
            more += c->cells[w] > c->cells[v] || (w < v && c->cells[w] == c->cells[v]);
        bool own = more + (n > COLOURED_MAX || c->nameless) < COLOURED_MAX;
        c->colour[v] = own ? given + (given >= OTHER && (n > COLOURED_MAX || c->nameless)) : OTHER;
        given += own;
        c->grey += own ? 0 : c->cells[v];
    }
}

static size_t colour_of(const struct cloud *c, size_t i)
{
    if (!c->values.text.n)
        return i < c->first ? 0 : 1;
    return c->values.code[i] == CM_CAT_MISSING ? OTHER : c->colour[c->values.code[i]];
}

static void free_cloud(struct cloud *c)
{
    cm_free(c->at);
    cm_free(c->colour);
    cm_free(c->cells);
    cm_strs_free(&c->text);
    cm_label_values_free(&c->values);
}

/* ===== drawing ============================================================================ */

static struct cm_axis range(const struct cloud *c, size_t k, const char *label)
{
    double low = INFINITY, high = -INFINITY;
    for (size_t i = 0; i < c->n; i++) {
        low = fmin(low, c->at[2 * i + k]);
        high = fmax(high, c->at[2 * i + k]);
    }
    double margin = 0.03 * (high - low);
    struct cm_axis a = cm_axis_around(low, high, label);
    if (margin > 0) {
        a.from = low - margin;
        a.to = high + margin;
    }
    return a;
}

/* Evenly spaced ones of the pairs, at most s->lines. */
static void put_lines(struct cm_figure *f, const struct cm_panel *p, const struct cloud *c,
                      const struct cm_scatter *s)
{
    size_t n = s->pairs->n, drawn = n < s->lines ? n : s->lines, seen = 0, next = 0;
    for (size_t i = 0; i < s->pairs->rows && next < drawn; i++) {
        uint32_t j = s->pairs->col_of_row[i];
        if (j == CM_UNPAIRED || seen++ != next * n / drawn)
            continue;
        next++;
        const double *a = c->at + 2 * i, *b = c->at + 2 * (c->first + j);
        cm_svg_line(&f->body, "faint", cm_panel_x(p, a[0]), cm_panel_y(p, a[1]),
                    cm_panel_x(p, b[0]), cm_panel_y(p, b[1]));
    }
    if (drawn == n)
        cm_figure_note(f, "Lines join the %zu true pairs.", n);
    else if (drawn)
        cm_figure_omit(f, "Lines join %zu of the %zu true pairs, evenly chosen.", drawn, n);
}

static int put_pixels(struct cm_figure *f, const struct cm_panel *p, const struct cloud *c)
{
    struct cm_buf png = {0};
    size_t w = (size_t)(SCALE * p->w), h = (size_t)(SCALE * p->h);
    f->pixels = cm_raster_make(w, h);
    for (size_t i = 0; i < c->n; i++)
        cm_raster_mark(&f->pixels, SCALE * (cm_panel_x(p, c->at[2 * i]) - p->x),
                       SCALE * (cm_panel_y(p, c->at[2 * i + 1]) - p->y), 1.8 * SCALE, i >= c->first,
                       cm_okabe_ito(colour_of(c, i)), 0.7);
    int code = cm_png_encode(&png, &f->pixels);
    if (!code)
        cm_svg_image(&f->body, "smooth", p->x, p->y, p->w, p->h, &png);
    cm_buf_free(&png);
    return code;
}

static void put_points(struct cm_figure *f, const struct cm_panel *p, const struct cloud *c)
{
    double radius = c->n > 1000 ? 2 : 3;
    cm_buf_puts(&f->body, "<g opacity=\"0.8\">\n");
    for (size_t i = 0; i < c->n; i++)
        cm_mark(&f->body, cm_panel_x(p, c->at[2 * i]), cm_panel_y(p, c->at[2 * i + 1]),
                i < c->first ? radius : radius * 1.3, i < c->first ? CM_KEY_DISC : CM_KEY_TRIANGLE,
                colour_of(c, i));
    cm_buf_puts(&f->body, "</g>\n");
}

static void put_legend(struct cm_figure *f, const struct cloud *c, const struct cm_scatter *s)
{
    struct cm_legend l = cm_legend_begin(f);
    bool by_side = c->values.text.n == 0;
    if (s->side[1]) {
        cm_legend_add(&l, CM_KEY_DISC, by_side ? 0 : CM_KEY_GREY, s->side[0]->head.slot[0].name);
        cm_legend_add(&l, CM_KEY_TRIANGLE, by_side ? 1 : CM_KEY_GREY,
                      s->side[1]->head.slot[0].name);
    }
    bool others = c->nameless > 0;
    for (size_t v = 0; v < c->values.text.n; v++)
        if (c->colour[v] == OTHER && (c->grey || c->nameless))
            others = true;
        else
            cm_legend_add(&l, CM_KEY_DISC, c->colour[v], cm_strs_get(&c->values.text, v));
    if (others)
        cm_legend_add(&l, CM_KEY_DISC, OTHER, "other, unknown");
    cm_legend_end(&l);
}

static void put_table(struct cm_figure *f, const struct cloud *c, const struct cm_scatter *s)
{
    char a[CM_NUMBER_MAX], b[CM_NUMBER_MAX];
    cm_buf_printf(&f->tsv, "cell\tside\tx\ty\tlabel\n");
    for (size_t i = 0; i < c->n; i++) {
        const struct cm_table *t = s->side[i >= c->first];
        cm_escape(&f->tsv, cm_strs_get(&t->names, i < c->first ? i : i - c->first));
        cm_buf_printf(&f->tsv, "\t%d\t%s\t%s\t", 1 + (i >= c->first),
                      cm_format_f64(c->at[2 * i], a), cm_format_f64(c->at[2 * i + 1], b));
        cm_escape(&f->tsv, cm_strs_get(&c->text, i));
        cm_buf_puts(&f->tsv, "\n");
    }
}

static int draw(struct cm_figure *f, const struct cloud *c, const struct cm_scatter *s)
{
    char title[300], across[64], up[64], number[CM_TICK_TEXT];
    int code = 0;
    cm_thousands((double)c->n, 0, number);
    snprintf(title, sizeof title, "%s cells%s%.200s", number, s->label ? " by " : "",
             s->label ? s->label : "");
    snprintf(across, sizeof across, "first axis (%.1f %% of the variance)", 100 * c->share[0]);
    snprintf(up, sizeof up, "second axis (%.1f %%)", 100 * c->share[1]);
    cm_figure_begin(f, title);
    struct cm_panel p = cm_panel_make(f, PANEL, range(c, 0, across), range(c, 1, up));
    if (s->pairs && s->side[1])
        put_lines(f, &p, c, s);
    if (c->n > PIXELS_FROM)
        code = put_pixels(f, &p, c);
    else
        put_points(f, &p, c);
    put_legend(f, c, s);
    put_table(f, c, s);
    if (s->side[1])
        cm_figure_note(f, "Each dimension is centred and has the same variance on both sides.");
    if (c->grey)
        cm_figure_omit(f,
                       "Only the %d most frequent values have a colour; %zu cells of others "
                       "are grey.",
                       COLOURED_MAX - 1, c->grey);
    if (c->nameless && s->label)
        cm_figure_omit(f, "%zu cells without the label are grey.", c->nameless);
    return code;
}

int cm_plot_scatter(struct cm_figure *f, const struct cm_scatter *s)
{
    struct cloud c = {0};
    int code = project(&c, s);
    if (!code) {
        read_texts(&c, s->side[0], s->label);
        if (s->side[1])
            read_texts(&c, s->side[1], s->label);
        cm_label_values_make(&c.values, &c.text);
        colour_values(&c);
        code = draw(f, &c, s);
    }
    free_cloud(&c);
    return code;
}
