/* plot/reliability.c - the reliability diagram of a match.  See plots.h. */
#include <inttypes.h>
#include <math.h>

#include "base/text.h"
#include "plot/plots.h"
#include "plot/svg.h"

static void put_bin(struct cm_figure *f, const struct cm_panel *p,
                    const struct cm_reliability_bin *bin)
{
    double x = cm_panel_x(p, bin->claimed);
    double low = cm_panel_y(p, fmax(p->up.from, bin->right - bin->error));
    double high = cm_panel_y(p, fmin(p->up.to, bin->right + bin->error));
    cm_svg_path_begin(&f->body, "l0");
    cm_svg_move(&f->body, x, low);
    cm_svg_line_to(&f->body, x, high);
    cm_svg_path_end(&f->body, 1.5);
    cm_mark(&f->body, x, cm_panel_y(p, bin->right), 4.5, CM_KEY_DISC, 0);
}

static void put_table(struct cm_figure *f, const struct cm_reliability *r)
{
    char a[CM_NUMBER_MAX], b[CM_NUMBER_MAX], c[CM_NUMBER_MAX];
    cm_buf_puts(&f->tsv, "bin\tcells\tclaimed\tright\tstderr\n");
    for (size_t k = 0; k < CM_RELIABILITY_BINS; k++)
        cm_buf_printf(&f->tsv, "%zu\t%zu\t%s\t%s\t%s\n", k + 1, r->bin[k].cells,
                      cm_format_f64(r->bin[k].claimed, a), cm_format_f64(r->bin[k].right, b),
                      cm_format_f64(r->bin[k].error, c));
}

void cm_plot_reliability(struct cm_figure *f, const struct cm_csr *match,
                         const struct cm_pairs *truth)
{
    struct cm_reliability r;
    cm_match_reliability(match, truth, &r);
    double max = 0.05;
    for (size_t k = 0; k < CM_RELIABILITY_BINS; k++)
        if (r.bin[k].cells)
            max = fmax(max, fmax(r.bin[k].claimed, r.bin[k].right + r.bin[k].error));
    cm_figure_begin(f, "Can the probabilities be believed?");
    struct cm_axis across = cm_axis_around(0, fmin(1, max), "probability of the first choice");
    struct cm_axis up = across;
    up.label = "share of right first choices";
    struct cm_panel p = cm_panel_make(f, 300, across, up);
    cm_svg_path_begin(&f->body, "dash");
    cm_svg_move(&f->body, cm_panel_x(&p, 0), cm_panel_y(&p, 0));
    cm_svg_line_to(&f->body, cm_panel_x(&p, across.to), cm_panel_y(&p, across.to));
    cm_svg_path_end(&f->body, 0);
    size_t bins = 0;
    for (size_t k = 0; k < CM_RELIABILITY_BINS; k++)
        if (r.bin[k].cells) {
            put_bin(f, &p, &r.bin[k]);
            bins++;
        }
    struct cm_legend l = cm_legend_begin(f);
    cm_legend_add(&l, CM_KEY_DISC, 0, "cells of like probability, with standard error");
    cm_legend_add(&l, CM_KEY_DASHES, CM_KEY_GREY, "true probabilities");
    cm_legend_end(&l);
    put_table(f, &r);
    cm_figure_note(f, "%zu cells in %zu bins of equal numbers.", r.cells, bins);
    if (r.cells)
        cm_figure_note(f, "Expected calibration error %.3f; true probabilities would show %.3f.",
                       r.ece, r.ece_by_chance);
    if (r.cells < truth->n)
        cm_figure_omit(f, "%zu cells without any candidate are in no bin.", truth->n - r.cells);
}
