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

#include "base/bytes.h"
#include "base/mem.h"
#include "base/text.h"
#include "cli/cells.h"
#include "cli/cli.h"
#include "links/rows.h"
#include "links/significance.h"
#include "links/sites.h"
#include "stream/wire.h"

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

/* One of the two tables: where its features are. */
struct side {
    const struct cm_cols *cols;
    const struct cm_vec *chrom, *start, *end;
    double *place;
};

static struct side side_of(const struct cm_model *m, const char *name)
{
    int at = cm_model_side(m, name);
    cm_try(at);
    const struct cm_cols *cols = &m->head.slot[at].cols;
    return (struct side){cols, cm_cols_find(cols, "chrom"), cm_cols_find(cols, "start"),
                         cm_cols_find(cols, "end"), cm_links_positions(cols, !strcmp(name, "GEX"))};
}

static double start_of(const struct side *s, size_t i) { return cm_vec_number(s->start, i); }

static double end_of(const struct side *s, size_t i)
{
    double end = cm_vec_number(s->end, i);
    return isfinite(end) ? end : start_of(s, i);
}

static void put_chrom(struct cm_buf *b, const struct side *s, size_t i)
{
    cm_escape(b, s->chrom && s->chrom->type == CM_T_STR ? cm_strs_get(&s->chrom->s, i) : "");
}

/* Bases, never as 1e+08. */
static void put_bases(struct cm_buf *b, double v)
{
    char text[CM_NUMBER_MAX];
    if (v == floor(v) && fabs(v) < 1e15)
        cm_buf_printf(b, "\t%.0f", v);
    else
        cm_buf_printf(b, "\t%s", cm_format_f64(v, text));
}

/* distance, correlation, z, p, q; `missing` in place of what the model does not have. */
static void put_numbers(struct cm_buf *b, const struct cm_link_row *row, double distance,
                        const char *missing)
{
    char c[CM_NUMBER_MAX], p[CM_NUMBER_MAX], q[CM_NUMBER_MAX];
    put_bases(b, distance);
    if (isnan(row->z))
        cm_buf_printf(b, "\t%s\t%s\t%s\t%s", missing, missing, missing, missing);
    else
        cm_buf_printf(b, "\t%s\t%.6g\t%s\t%s", cm_format_f32(row->c, c), row->z,
                      cm_format_exp(row->log_p, p), cm_format_exp(row->log_q, q));
}

static void put_row(struct cm_buf *b, const struct side *gene, const struct side *peak,
                    const struct cm_link_row *row)
{
    char weight[CM_NUMBER_MAX];
    double tss = gene->place[row->gene];
    cm_escape(b, cm_strs_get(&gene->cols->names, row->gene));
    cm_buf_puts(b, "\t");
    put_chrom(b, gene, row->gene);
    put_bases(b, tss);
    cm_buf_puts(b, "\t");
    cm_escape(b, cm_strs_get(&peak->cols->names, row->peak));
    put_bases(b, start_of(peak, row->peak));
    put_bases(b, end_of(peak, row->peak));
    put_numbers(b, row, peak->place[row->peak] - tss, "");
    cm_buf_printf(b, "\t%s\n", cm_format_f32(row->weight, weight));
}

/* Whole numbers, and both ends on the gene's name of the chromosome: browsers want it so. */
static void put_bedpe(struct cm_buf *b, const struct side *gene, const struct side *peak,
                      const struct cm_link_row *row)
{
    char weight[CM_NUMBER_MAX];
    double tss = gene->place[row->gene], start = floor(start_of(peak, row->peak)),
           end = fmax(start + 1, ceil(end_of(peak, row->peak)));
    put_chrom(b, gene, row->gene);
    put_bases(b, floor(tss));
    put_bases(b, floor(tss) + 1);
    cm_buf_puts(b, "\t");
    put_chrom(b, gene, row->gene);
    put_bases(b, start);
    put_bases(b, end);
    cm_buf_puts(b, "\t");
    cm_escape(b, cm_strs_get(&gene->cols->names, row->gene));
    cm_buf_printf(b, "\t%s\t.\t.\t", cm_format_f32(row->weight, weight));
    cm_escape(b, cm_strs_get(&peak->cols->names, row->peak));
    put_numbers(b, row, peak->place[row->peak] - tss, ".");
    cm_buf_puts(b, "\n");
}

static void write_rows(const struct cm_link_rows *rows, const struct side *gene,
                       const struct side *peak)
{
    FILE *out = cm_out_text();
    struct cm_buf b = {0};
    cm_buf_puts(&b, o.bedpe ? "#chrom1\tstart1\tend1\tchrom2\tstart2\tend2\tname\tscore\tstrand1\t"
                              "strand2\tpeak\tdistance\tcorrelation\tz\tp\tq\n"
                            : "gene\tchrom\ttss\tpeak\tstart\tend\tdistance\tcorrelation\tz\tp\tq\t"
                              "weight\n");
    for (size_t k = 0; k <= rows->n; k++) {
        if (k == rows->n || b.n > 1 << 16) {
            fwrite(b.p, 1, b.n, out);
            b.n = 0;
        }
        if (k < rows->n)
            (o.bedpe ? put_bedpe : put_row)(&b, gene, peak, &rows->row[k]);
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
    struct side gene = side_of(&m, "GEX"), peak = side_of(&m, "ATAC");
    cm_try(cm_fail_in(cm_link_rows_make(&rows, &m.links, gene.cols, peak.cols), o.model));
    struct cm_link_choice choice = {o.all, cm_given("fdr") ? o.fdr : (double)NAN, (size_t)o.top};
    cm_link_rows_choose(&rows, &choice);
    write_rows(&rows, &gene, &peak);
    cm_free(rows.row);
    cm_free(gene.place);
    cm_free(peak.place);
    cm_model_free(&m);
    return cm_finish();
}
