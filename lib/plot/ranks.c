/* plot/ranks.c - the partners' places among the candidates.  See plots.h. */
#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "base/text.h"
#include "match/topk.h"
#include "plot/plots.h"
#include "plot/svg.h"

/* Of one row: candidates of a greater value than the partner's, and equal ones, itself included; 0
 * equal ones where the partner is not stored. */
struct place {
    uint64_t greater, equal;
};

static struct place find_place(const struct cm_csr *m, size_t i, uint32_t partner)
{
    struct place p = {0, 0};
    uint64_t at = m->ptr[i], to = m->ptr[i + 1];
    while (at < to && m->idx[at] != partner)
        at++;
    if (at == to)
        return p;
    for (uint64_t k = m->ptr[i]; k < to; k++) {
        p.greater += m->val[k] > m->val[at];
        p.equal += m->val[k] >= m->val[at] && m->val[k] <= m->val[at];
    }
    return p;
}

enum { BINS = 34 }; /* bin b > 0 holds the places 2^(b-1) + 1 .. 2^b, bin 0 the first */

struct ranks {
    size_t n, stored, bins; /* bins: up to the last one that has a cell */
    struct place *place;    /* of the n paired rows */
    size_t *candidates;     /* columns that each could be matched with */
    size_t count[BINS];
};

static size_t bin_of(double place)
{
    size_t b = 0;
    while (b < BINS - 1 && place > (double)((uint64_t)1 << b))
        b++;
    return b;
}

/* Columns of each group; all columns where there are no groups. */
static size_t candidates_of(const struct cm_csr *m, const size_t *size, const uint32_t *row_group,
                            size_t i)
{
    if (!row_group)
        return m->cols;
    return row_group[i] == CM_GROUP_NONE || row_group[i] >= m->cols ? 0 : size[row_group[i]];
}

static struct ranks find_ranks(const struct cm_csr *m, const struct cm_pairs *truth,
                               const uint32_t *row_group, const uint32_t *col_group)
{
    struct ranks x = {.place = CM_NEW(truth->n, struct place),
                      .candidates = CM_NEW(truth->n, size_t)};
    size_t *size = CM_ZNEW(m->cols + 1, size_t);
    for (size_t j = 0; j < m->cols && col_group; j++)
        if (col_group[j] < m->cols)
            size[col_group[j]]++;
    for (size_t i = 0; i < m->rows; i++) {
        if (truth->col_of_row[i] == CM_UNPAIRED)
            continue;
        struct place p = find_place(m, i, truth->col_of_row[i]);
        x.candidates[x.n] = candidates_of(m, size, row_group, i);
        x.place[x.n++] = p;
        if (!p.equal)
            continue;
        size_t b = bin_of((double)p.greater + ((double)p.equal + 1) / 2);
        x.count[b]++;
        x.stored++;
        x.bins = b + 1 > x.bins ? b + 1 : x.bins;
    }
    cm_free(size);
    return x;
}

/* Share of cells whose partner is among the first k, equals in random order; and by chance. */
static double recall(const struct ranks *x, double k)
{
    double sum = 0;
    for (size_t i = 0; i < x->n; i++)
        if (x->place[i].equal && (double)x->place[i].greater < k)
            sum += fmin(1, (k - (double)x->place[i].greater) / (double)x->place[i].equal);
    return sum / (double)x->n;
}

static double chance(const struct ranks *x, double k)
{
    double sum = 0;
    for (size_t i = 0; i < x->n; i++)
        sum += x->candidates[i] ? fmin(1, k / (double)x->candidates[i]) : 0;
    return sum / (double)x->n;
}

/* ===== drawing ============================================================================ */

static void name_bin(size_t b, char text[3 * CM_TICK_TEXT])
{
    char low[CM_TICK_TEXT], high[CM_TICK_TEXT];
    cm_thousands(b ? (double)((uint64_t)1 << (b - 1)) + 1 : 1, 0, low);
    cm_thousands((double)((uint64_t)1 << b), 0, high);
    if (b < 2)
        snprintf(text, 3 * CM_TICK_TEXT, "%s", low);
    else
        snprintf(text, 3 * CM_TICK_TEXT, "%s\xE2\x80\x93%s", low, high);
}

static void put_histogram(struct cm_figure *f, const struct ranks *x)
{
    size_t missing = x->n - x->stored, columns = x->bins + (missing > 0), max = missing;
    for (size_t b = 0; b < x->bins; b++)
        max = x->count[b] > max ? x->count[b] : max;
    struct cm_axis across = {0, (double)columns, .bare = true};
    struct cm_axis up = cm_axis_around(0, (double)max, "cells");
    struct cm_panel p = cm_panel_make(f, 150, across, up);
    bool rotated = columns > 8;
    for (size_t b = 0; b < columns; b++) {
        bool none = b == x->bins;
        double v = (double)(none ? missing : x->count[b]);
        double x0 = cm_panel_x(&p, (double)b + 0.1), x1 = cm_panel_x(&p, (double)b + 0.9);
        char name[3 * CM_TICK_TEXT] = "none";
        cm_svg_rect(&f->body, none ? "f6" : "f0", x0, cm_panel_y(&p, v), x1 - x0,
                    cm_panel_y(&p, 0) - cm_panel_y(&p, v));
        if (!none)
            name_bin(b, name);
        if (rotated)
            cm_svg_text_rotated(&f->body, "m s", CM_SVG_END, (x0 + x1) / 2 + 4, p.y + p.h + 13, -40,
                                name);
        else
            cm_svg_text(&f->body, "m", CM_SVG_CENTRE, (x0 + x1) / 2, p.y + p.h + 16, name);
    }
    f->y += rotated ? 26 : 0;
    cm_svg_text(&f->body, "", CM_SVG_CENTRE, p.x + p.w / 2, f->y - 12,
                "place of the true partner among the candidates");
}

/* The values of k: all up to 10, then some 20 a decade, the last one `max`. */
static double next_k(double k, double max)
{
    double next = k < 10 ? k + 1 : fmax(k + 1, floor(k * 1.122));
    return k < max && next > max ? max : next;
}

static void put_curve(struct cm_figure *f, const struct ranks *x, const struct cm_panel *p,
                      const char *class, double width, double (*of)(const struct ranks *, double))
{
    cm_svg_path_begin(&f->body, class);
    for (double k = 1; k <= p->across.to; k = next_k(k, p->across.to))
        (k > 1 ? cm_svg_line_to : cm_svg_move)(&f->body, cm_panel_x(p, k), cm_panel_y(p, of(x, k)));
    cm_svg_path_end(&f->body, width);
}

static void put_recall(struct cm_figure *f, const struct ranks *x, size_t cols)
{
    struct cm_axis across = {1, fmax(2, (double)cols), .log = true,
                             .label = "k (first choices looked at)"};
    struct cm_axis up = {0, 1, .label = "recall at k"};
    struct cm_panel p = cm_panel_make(f, 190, across, up);
    put_curve(f, x, &p, "dash", 0, chance);
    put_curve(f, x, &p, "l0", 2, recall);
    struct cm_legend l = cm_legend_begin(f);
    cm_legend_add(&l, CM_KEY_LINE, 0, "partner among the first k");
    cm_legend_add(&l, CM_KEY_DASHES, CM_KEY_GREY, "chance");
    cm_legend_end(&l);
}

static void put_table(struct cm_figure *f, const struct ranks *x, double max)
{
    char a[CM_NUMBER_MAX], b[CM_NUMBER_MAX];
    cm_buf_puts(&f->tsv, "panel\tfrom\tto\tvalue\tchance\n");
    for (size_t k = 0; k < x->bins; k++)
        cm_buf_printf(&f->tsv, "places\t%llu\t%llu\t%zu\t-\n",
                      k ? ((unsigned long long)1 << (k - 1)) + 1 : 1, (unsigned long long)1 << k,
                      x->count[k]);
    cm_buf_printf(&f->tsv, "places\t-\t-\t%zu\t-\n", x->n - x->stored);
    for (double k = 1; k <= max; k = next_k(k, max))
        cm_buf_printf(&f->tsv, "recall\t1\t%.0f\t%s\t%s\n", k, cm_format_f64(recall(x, k), a),
                      cm_format_f64(chance(x, k), b));
}

void cm_plot_ranks(struct cm_figure *f, const struct cm_csr *match, const struct cm_pairs *truth,
                   const uint32_t *row_group, const uint32_t *col_group)
{
    struct ranks x = find_ranks(match, truth, row_group, col_group);
    cm_figure_begin(f, "Where is the true partner?");
    put_histogram(f, &x);
    f->y += 8;
    put_recall(f, &x, match->cols);
    put_table(f, &x, fmax(2, (double)match->cols));
    cm_figure_note(f,
                   "%zu cells; the partner is the first choice of %.1f %%, among the first ten "
                   "of %.1f %% (chance %.2f and %.2f %%).",
                   x.n, 100 * recall(&x, 1), 100 * recall(&x, 10), 100 * chance(&x, 1),
                   100 * chance(&x, 10));
    if (x.stored < x.n)
        cm_figure_omit(f, "Of %zu cells the partner is not among the stored candidates (none).",
                       x.n - x.stored);
    if (truth->n < match->rows)
        cm_figure_omit(f, "%zu cells without a known partner are left out.",
                       match->rows - truth->n);
    cm_free(x.place);
    cm_free(x.candidates);
}
