/* plot/report_links.c - the links of a report: a table of them, and arcs.  See report.h. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "links/rows_text.h"
#include "plot/report.h"

/* The first `top` rows of `shown`, and the arcs of all links. */
static int put_links(struct cm_page *p, const struct cm_text_table *shown, size_t top,
                     const struct cm_plot_links *all)
{
    static const char *const column[] = {"gene", "peak", "distance", "correlation", "q", "weight"};
    static const char *const bedpe[] = {"name", "peak", "distance", "correlation", "q", "score"};
    enum { COLUMNS = sizeof column / sizeof *column };
    struct cm_figure f = {0};
    size_t at[COLUMNS];
    if (all->n == 0) {
        cm_page_warn(p, "%s has no links, so this page has none: peak-links found none.",
                     shown->path);
        return 0;
    }
    for (size_t k = 0; k < COLUMNS; k++)
        if (cm_text_table_need(shown, cm_plot_links_bedpe(shown) ? bedpe[k] : column[k], &at[k]))
            return CM_EINPUT;
    cm_page_section(p, "Peak-gene links");
    size_t n = shown->rows < top ? shown->rows : top;
    cm_page_text(p, "The first %zu of %zu links of %s, which peak-links(1) sorts by |weight|.", n,
                 all->n, shown->path);
    cm_page_table_begin(p, "llrrrr", column);
    for (size_t i = 0; i < n; i++) {
        const char *cell[COLUMNS];
        for (size_t k = 0; k < COLUMNS; k++)
            cell[k] = cm_text_table_get(shown, i, at[k]);
        cm_page_row(p, cell);
    }
    cm_page_table_end(p);
    int code = cm_fail_in(cm_plot_arcs(&f, all, NULL, NULL), shown->path);
    if (!code) {
        cm_page_figures_begin(p);
        cm_page_figure(p, &f);
        cm_page_figures_end(p);
    }
    cm_figure_free(&f);
    return code;
}

int cm_report_links(struct cm_page *p, const struct cm_text_table *links, size_t top)
{
    struct cm_plot_links all;
    int code = cm_plot_links_make(&all, links);
    if (code)
        return code;
    code = put_links(p, links, top, &all);
    cm_plot_links_free(&all);
    return code;
}

/* ===== of a model ========================================================================= */

static size_t put_fields(struct cm_strs *to, char *line)
{
    size_t n = 0;
    line[strcspn(line, "\n")] = 0;
    for (char *rest = line, *field; (field = cm_next_field(&rest)); n++)
        cm_strs_add(to, field);
    return n;
}

/* The first rows as the table that peak-links prints. */
static struct cm_text_table first_rows(const struct cm_link_rows *rows, size_t top,
                                       const struct cm_link_side side[2], const char *path)
{
    struct cm_text_table t = {.path = cm_strdup(path), .rows = rows->n < top ? rows->n : top};
    struct cm_buf b = {0};
    cm_buf_puts(&b, cm_link_tsv_header);
    for (size_t k = 0; k <= t.rows; k++) {
        size_t n = put_fields(k ? &t.field : &t.name, (char *)b.p);
        t.columns = k ? t.columns : n;
        b.n = 0;
        if (k < t.rows)
            cm_link_put_tsv(&b, &side[0], &side[1], &rows->row[k]);
    }
    cm_buf_free(&b);
    return t;
}

int cm_report_model_links(struct cm_page *p, const struct cm_model *m, const char *path, size_t top)
{
    static const char *const name[] = {"GEX", "ATAC"};
    struct cm_link_side side[2];
    struct cm_link_rows rows;
    for (size_t s = 0; s < 2; s++)
        side[s] =
            cm_link_side_make(&m->head.slot[cm_head_find_slot(&m->head, name[s])].cols, s == 0);
    int code = cm_fail_in(cm_link_rows_make(&rows, &m->links, side[0].cols, side[1].cols), path);
    struct cm_plot_links all = {.value_name = "weight"};
    if (!code) {
        cm_link_rows_choose(&rows, &(struct cm_link_choice){.fdr = (double)NAN});
        all.link = CM_NEW(rows.n, struct cm_plot_link);
        for (; all.n < rows.n; all.n++) {
            const struct cm_link_row *row = &rows.row[all.n];
            all.link[all.n] =
                (struct cm_plot_link){.gene = cm_strs_get(&side[0].cols->names, row->gene),
                                      .peak = cm_strs_get(&side[1].cols->names, row->peak),
                                      .chrom = cm_link_side_chrom(&side[0], row->gene),
                                      .tss = side[0].position[row->gene],
                                      .start = cm_link_side_start(&side[1], row->peak),
                                      .end = cm_link_side_end(&side[1], row->peak),
                                      .value = (double)row->weight};
        }
        struct cm_text_table shown = first_rows(&rows, top, side, path);
        code = put_links(p, &shown, top, &all);
        cm_text_table_free(&shown);
    }
    cm_plot_links_free(&all);
    cm_free(rows.row);
    cm_link_side_free(&side[0]);
    cm_link_side_free(&side[1]);
    return code;
}
