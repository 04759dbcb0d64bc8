/* plot/pr.c - precision and recall of all pairs.  See plots.h. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "match/metrics.h"
#include "match/select.h"
#include "plot/plots.h"
#include "plot/svg.h"

/* After all pairs of at least that value: how many pairs, how many of them true. */
struct point {
    float value;
    uint64_t found, right;
};

struct curve {
    struct point *p;
    size_t n, cap;
    uint64_t found, right; /* at the end */
};

/* Entries of paired rows as numbers that sort: the order of the value, then 1 if it is true. */
static uint64_t *collect(const struct cm_csr *m, const struct cm_pairs *truth, size_t *n)
{
    uint64_t *key = CM_NEW(m->ptr[m->rows] + 1, uint64_t);
    *n = 0;
    for (size_t i = 0; i < m->rows; i++)
        for (uint64_t k = m->ptr[i]; k < m->ptr[i + 1]; k++)
            if (truth->col_of_row[i] != CM_UNPAIRED)
                key[(*n)++] =
                    (uint64_t)cm_float_order(m->val[k]) << 1 | (m->idx[k] == truth->col_of_row[i]);
    return key;
}

static int descending(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return (x < y) - (x > y);
}

static float value_of(uint64_t key)
{
    uint32_t b = (uint32_t)(key >> 1);
    float v;
    b = b & 0x80000000u ? b ^ 0x80000000u : ~b;
    memcpy(&v, &b, 4);
    return v;
}

static struct curve find_points(const struct cm_csr *m, const struct cm_pairs *truth)
{
    struct curve c = {0};
    size_t n;
    uint64_t *key = collect(m, truth, &n);
    qsort(key, n, sizeof *key, descending);
    for (size_t k = 0; k < n; k++) {
        c.found++;
        c.right += key[k] & 1;
        if (k + 1 < n && key[k + 1] >> 1 == key[k] >> 1)
            continue;
        CM_GROW(c.p, c.cap, c.n + 1);
        c.p[c.n++] = (struct point){value_of(key[k]), c.found, c.right};
    }
    cm_free(key);
    return c;
}

enum { POINTS_MAX = 1000 };

/* Keeps the first point, the last, and those of them in between where recall or the logarithm of
 * the number of pairs has gone on by a step; how many are left. */
static size_t thin(struct curve *c, size_t pairs)
{
    size_t kept = 0;
    double recall = -1, pairs_log = -1;
    double step = c->n > POINTS_MAX ? 2.0 / POINTS_MAX : 0;
    double log_step = c->n > POINTS_MAX ? log((double)c->found) * 2.0 / POINTS_MAX : 0;
    for (size_t k = 0; k < c->n; k++) {
        double r = (double)c->p[k].right / (double)pairs, l = log((double)c->p[k].found);
        if (k > 0 && k + 1 < c->n && r - recall < step && l - pairs_log < log_step)
            continue;
        recall = r;
        pairs_log = l;
        c->p[kept++] = c->p[k];
    }
    return kept;
}

static void put_curve(struct cm_figure *f, const struct cm_panel *p, const struct curve *c,
                      size_t pairs)
{
    char a[CM_NUMBER_MAX], b[CM_NUMBER_MAX], v[CM_NUMBER_MAX];
    cm_buf_puts(&f->tsv, "value\tpairs\trecall\tprecision\n");
    cm_svg_path_begin(&f->body, "l0");
    for (size_t k = 0; k < c->n; k++) {
        double recall = (double)c->p[k].right / (double)pairs;
        double precision = (double)c->p[k].right / (double)c->p[k].found;
        (k ? cm_svg_line_to : cm_svg_move)(&f->body, cm_panel_x(p, recall),
                                           cm_panel_y(p, precision));
        cm_buf_printf(&f->tsv, "%s\t%llu\t%s\t%s\n", cm_format_f32(c->p[k].value, v),
                      (unsigned long long)c->p[k].found, cm_format_f64(recall, a),
                      cm_format_f64(precision, b));
    }
    cm_svg_path_end(&f->body, 2);
}

/* From the last stored pair to all pairs: those that are not stored come in random order. */
static void put_rest(struct cm_figure *f, const struct cm_panel *p, const struct curve *c,
                     double pairs, double all)
{
    double right = (double)c->right, found = (double)c->found;
    cm_svg_path_begin(&f->body, "dash");
    for (int k = 0; k <= 100; k++) {
        double r = right + (pairs - right) * k / 100, n = found + (all - found) * k / 100;
        (k ? cm_svg_line_to : cm_svg_move)(&f->body, cm_panel_x(p, r / pairs),
                                           cm_panel_y(p, n > 0 ? r / n : 1));
    }
    cm_svg_path_end(&f->body, 0);
}

void cm_plot_pr(struct cm_figure *f, const struct cm_csr *match, const struct cm_pairs *truth)
{
    struct curve c = find_points(match, truth);
    double aupr, auroc, pairs = (double)truth->n, all = pairs * (double)match->cols;
    size_t points = c.n;
    c.n = thin(&c, truth->n);
    cm_match_curves(match, truth, &aupr, &auroc);
    cm_figure_begin(f, "Precision and recall of all pairs");
    struct cm_panel p = cm_panel_make(f, 300, (struct cm_axis){0, 1, .label = "recall"},
                                      (struct cm_axis){0, 1, .label = "precision"});
    cm_svg_path_begin(&f->body, "l3");
    cm_svg_move(&f->body, cm_panel_x(&p, 0), cm_panel_y(&p, pairs / all));
    cm_svg_line_to(&f->body, cm_panel_x(&p, 1), cm_panel_y(&p, pairs / all));
    cm_svg_path_end(&f->body, 1.5);
    bool rest = (double)c.found < all;
    if (rest)
        put_rest(f, &p, &c, pairs, all);
    put_curve(f, &p, &c, truth->n);
    struct cm_legend l = cm_legend_begin(f);
    cm_legend_add(&l, CM_KEY_LINE, 0, "stored pairs, best first");
    if (rest)
        cm_legend_add(&l, CM_KEY_DASHES, CM_KEY_GREY, "the others, in random order");
    cm_legend_add(&l, CM_KEY_LINE, 3, "chance");
    cm_legend_end(&l);
    cm_figure_note(f, "%zu true pairs among %.0f; area under the curve %.3f, chance %.4f.",
                   truth->n, all, aupr, pairs / all);
    if (c.n < points)
        cm_figure_omit(f, "The curve is drawn through %zu of its %zu points.", c.n, points);
    if (truth->n < match->rows)
        cm_figure_omit(f, "%zu cells without a known partner are left out.",
                       match->rows - truth->n);
    cm_free(c.p);
}
