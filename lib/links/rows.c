/* links/rows.c - the links of a model as rows of a table.  See links/rows.h. */
#include "links/rows.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "links/significance.h"
#include "links/sites.h"

static int altered(const struct cm_links *links, uint64_t found)
{
    return cm_fail(CM_EINPUT,
                   "the places of genes and peaks are not those of the fit: %s%" PRIu64
                   " pairs lie within %.0f bases, the model has correlations of %" PRIu64,
                   found > links->candidates ? "at least " : "", found, links->window,
                   links->candidates);
}

/* One row for every candidate; the model's links are among them. */
static int join(struct cm_link_rows *rows, const struct cm_links *links,
                const struct cm_links_candidates *near, size_t genes)
{
    size_t position = 0;
    uint64_t found = 0;
    for (size_t g = 0; g < genes; g++) {
        bool linked = position < links->gene.n && links->gene.feature[position] == g;
        uint64_t e = linked ? links->ptr[position] : 0, end = linked ? links->ptr[position + 1] : 0;
        for (uint64_t k = near->ptr[g]; k < near->ptr[g + 1]; k++) {
            struct cm_link_row *row = &rows->row[k];
            *row = (struct cm_link_row){.gene = (uint32_t)g, .peak = near->peak[k]};
            row->c = links->correlation[k];
            row->used = e < end && links->peak.feature[links->peak_of[e]] == near->peak[k];
            row->weight = row->used ? links->c[e] : 0;
            e += row->used;
            found += row->used;
        }
        position += linked;
    }
    return found == links->n
               ? 0
               : cm_fail(CM_EINPUT,
                         "%" PRIu64 " of %zu links are not among the pairs within %.0f bases",
                         links->n - found, links->n, links->window);
}

static void test(struct cm_link_rows *rows, double cells)
{
    double *v = CM_NEW(rows->n, double);
    for (size_t k = 0; k < rows->n; k++) {
        struct cm_link_row *row = &rows->row[k];
        row->z = (double)row->c * sqrt(cells);
        v[k] = row->log_p = cm_normal_log_p(row->z);
    }
    cm_log_q(v, v, rows->n);
    for (size_t k = 0; k < rows->n; k++)
        rows->row[k].log_q = v[k];
    cm_free(v);
    rows->tested = true;
}

int cm_link_rows_make(struct cm_link_rows *rows, const struct cm_links *links,
                      const struct cm_cols *genes, const struct cm_cols *peaks)
{
    *rows = (struct cm_link_rows){0};
    if (!links->correlation) {
        rows->row = CM_NEW(links->n, struct cm_link_row);
        for (size_t g = 0; g < links->gene.n; g++)
            for (uint64_t e = links->ptr[g]; e < links->ptr[g + 1]; e++)
                rows->row[rows->n++] =
                    (struct cm_link_row){.gene = links->gene.feature[g],
                                         .peak = links->peak.feature[links->peak_of[e]],
                                         .used = true,
                                         .c = NAN,
                                         .weight = links->c[e],
                                         .z = NAN,
                                         .log_p = NAN,
                                         .log_q = NAN};
        return 0;
    }
    size_t placed[2];
    struct cm_links_candidates near =
        cm_links_candidates_find(genes, peaks, links->window, links->candidates, placed);
    int code = near.n == links->candidates ? 0 : altered(links, near.n);
    if (!code) {
        rows->n = near.n;
        rows->row = CM_NEW(near.n, struct cm_link_row);
        code = join(rows, links, &near, genes->names.n);
    }
    cm_links_candidates_free(&near);
    if (!code)
        test(rows, links->cells);
    return code;
}

/* ===== choosing ============================================================================= */

static int falling(double a, double b) { return a > b ? -1 : a < b; }

static int as_found(const struct cm_link_row *a, const struct cm_link_row *b)
{
    if (a->gene != b->gene)
        return a->gene < b->gene ? -1 : 1;
    return a->peak < b->peak ? -1 : a->peak > b->peak;
}

static int by_weight(const void *pa, const void *pb)
{
    const struct cm_link_row *a = pa, *b = pb;
    int order = falling(fabs((double)a->weight), fabs((double)b->weight));
    if (!order)
        order = falling(fabs(a->z), fabs(b->z));
    return order ? order : as_found(a, b);
}

static int by_z(const void *pa, const void *pb)
{
    const struct cm_link_row *a = pa, *b = pb;
    int order = falling(fabs(a->z), fabs(b->z));
    return order ? order : by_weight(pa, pb);
}

void cm_link_rows_choose(struct cm_link_rows *rows, const struct cm_link_choice *choice)
{
    size_t n = 0;
    double limit = log(choice->fdr);
    for (size_t k = 0; k < rows->n; k++)
        if ((choice->all || rows->row[k].used) && !(rows->row[k].log_q > limit))
            rows->row[n++] = rows->row[k];
    rows->n = n;
    bool cut = choice->top && choice->top < n;
    if (cut && choice->all) {
        qsort(rows->row, n, sizeof *rows->row, by_z);
        rows->n = choice->top;
    }
    qsort(rows->row, rows->n, sizeof *rows->row, by_weight);
    if (cut)
        rows->n = choice->top;
}
