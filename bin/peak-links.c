/* peak-links - the peak-gene links of a model, with correlation, z, p, q and weight.
 *
 * In:  a model.
 * Out: text: a table, or BEDPE.
 * z = c sqrt(cells), p of a standard normal, two-sided, q by Benjamini and Hochberg over all pairs
 * inside the model's window.  See links/rows.h, links/significance.h.
 * Memory: the model, and 100 bytes a pair inside the window.
 */
#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cells.h"
#include "cli/cli.h"
#include "links/rows_text.h"

static struct {
    const char *model;
    bool all;
    int64_t top;
    double fdr;
    int bedpe;
} o;

static const struct cm_opt options[] = {
    CM_OPT_INPUT("model", 'm', &o.model, "MODEL.cms", "the model (required)"),
    CM_OPT_FLAG("all", 0, &o.all,
                "all pairs in the window, also those that the model does not use"),
    CM_OPT_INT("top", 0, &o.top, NULL, 1, 1e9, "N",
               "so many links: largest |weight|, with --all largest |z|"),
    CM_OPT_REAL("fdr", 0, &o.fdr, NULL, 1e-300, 1, "Q", "links whose q is at most this"),
    CM_OPT_CHOICE("format", 0, &o.bedpe, "tsv", "tsv|bedpe",
                  "a table, or ends of links for browsers"),
    CM_OPT_END,
};

static const struct cm_tool tool = {"peak-links", "", "peak-gene links of a model", options, 0, 0,
                                    CM_TOOL_TEXT};

static struct cm_link_side side_of(const struct cm_model *m, const char *name)
{
    int at = cm_model_side(m, name);
    cm_try(at);
    return cm_link_side_make(&m->head.slot[at].cols, !strcmp(name, "GEX"));
}

static void write_rows(const struct cm_link_rows *rows, const struct cm_link_side *gene,
                       const struct cm_link_side *peak)
{
    FILE *out = cm_out_text();
    struct cm_buf b = {0};
    cm_buf_puts(&b, o.bedpe ? cm_link_bedpe_header : cm_link_tsv_header);
    for (size_t k = 0; k <= rows->n; k++) {
        if (k == rows->n || b.n > 1 << 16) {
            fwrite(b.p, 1, b.n, out);
            b.n = 0;
        }
        if (k < rows->n)
            (o.bedpe ? cm_link_put_bedpe : cm_link_put_tsv)(&b, gene, peak, &rows->row[k]);
    }
    cm_buf_free(&b);
}

static void require_links(const struct cm_model *m)
{
    if (!m->has_links)
        cm_die(3, "%s: the model has no peak-gene links", o.model);
    if (m->links.correlation)
        return;
    if (o.all || cm_given("fdr"))
        cm_die(3,
               "%s: a model of an earlier version, which keeps no correlations of all pairs; --%s "
               "needs a model trained by this one",
               o.model, o.all ? "all" : "fdr");
    cm_warn("%s: a model of an earlier version: correlation, z, p and q stay empty, and need a "
            "model trained by this one",
            o.model);
}

int main(int argc, char **argv)
{
    cm_start(&tool, argc, argv);
    char digest[20];
    struct cm_model m;
    struct cm_link_rows rows;
    if (!o.model)
        cm_usage_error("--model is required");
    cm_model_open(&m, o.model, digest);
    require_links(&m);
    struct cm_link_side gene = side_of(&m, "GEX"), peak = side_of(&m, "ATAC");
    cm_try(cm_fail_in(cm_link_rows_make(&rows, &m.links, gene.cols, peak.cols), o.model));
    struct cm_link_choice choice = {o.all, cm_given("fdr") ? o.fdr : (double)NAN, (size_t)o.top};
    cm_link_rows_choose(&rows, &choice);
    write_rows(&rows, &gene, &peak);
    cm_free(rows.row);
    cm_link_side_free(&gene);
    cm_link_side_free(&peak);
    cm_model_free(&m);
    return cm_finish();
}
