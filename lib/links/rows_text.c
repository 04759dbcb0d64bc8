/* links/rows_text.c - rows of links as lines of a table, or of BEDPE. */
#include "links/rows_text.h"

#include <math.h>

#include "base/mem.h"
#include "base/text.h"
#include "links/significance.h"
#include "links/sites.h"
#include "stream/wire.h"

const char cm_link_tsv_header[] =
    "gene\tchrom\ttss\tpeak\tstart\tend\tdistance\tcorrelation\tz\tp\tq\tweight\n";
const char cm_link_bedpe_header[] =
    "#chrom1\tstart1\tend1\tchrom2\tstart2\tend2\tname\tscore\tstrand1\tstrand2\t"
    "peak\tdistance\tcorrelation\tz\tp\tq\n";

struct cm_link_side cm_link_side_make(const struct cm_cols *cols, bool genes)
{
    return (struct cm_link_side){cols, cm_cols_find(cols, "chrom"), cm_cols_find(cols, "start"),
                                 cm_cols_find(cols, "end"), cm_links_positions(cols, genes)};
}

void cm_link_side_free(struct cm_link_side *s)
{
    cm_free(s->position);
    *s = (struct cm_link_side){0};
}

const char *cm_link_side_chrom(const struct cm_link_side *s, size_t i)
{
    return s->chrom && s->chrom->type == CM_T_STR ? cm_strs_get(&s->chrom->s, i) : "";
}

double cm_link_side_start(const struct cm_link_side *s, size_t i)
{
    return cm_vec_number(s->start, i);
}

double cm_link_side_end(const struct cm_link_side *s, size_t i)
{
    double end = cm_vec_number(s->end, i);
    return isfinite(end) ? end : cm_link_side_start(s, i);
}

void cm_link_put_bases(struct cm_buf *b, double v)
{
    char text[CM_NUMBER_MAX];
    if (v == floor(v) && fabs(v) < 1e15)
        cm_buf_printf(b, "%.0f", v);
    else
        cm_buf_printf(b, "%s", cm_format_f64(v, text));
}

static void put_bases(struct cm_buf *b, double v)
{
    cm_buf_puts(b, "\t");
    cm_link_put_bases(b, v);
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

void cm_link_put_tsv(struct cm_buf *b, const struct cm_link_side *gene,
                     const struct cm_link_side *peak, const struct cm_link_row *row)
{
    char weight[CM_NUMBER_MAX];
    double tss = gene->position[row->gene];
    cm_escape(b, cm_strs_get(&gene->cols->names, row->gene));
    cm_buf_puts(b, "\t");
    cm_escape(b, cm_link_side_chrom(gene, row->gene));
    put_bases(b, tss);
    cm_buf_puts(b, "\t");
    cm_escape(b, cm_strs_get(&peak->cols->names, row->peak));
    put_bases(b, cm_link_side_start(peak, row->peak));
    put_bases(b, cm_link_side_end(peak, row->peak));
    put_numbers(b, row, peak->position[row->peak] - tss, "");
    cm_buf_printf(b, "\t%s\n", cm_format_f32(row->weight, weight));
}

void cm_link_put_bedpe(struct cm_buf *b, const struct cm_link_side *gene,
                       const struct cm_link_side *peak, const struct cm_link_row *row)
{
    char weight[CM_NUMBER_MAX];
    double tss = gene->position[row->gene], start = floor(cm_link_side_start(peak, row->peak)),
           end = fmax(start + 1, ceil(cm_link_side_end(peak, row->peak)));
    cm_escape(b, cm_link_side_chrom(gene, row->gene));
    put_bases(b, floor(tss));
    put_bases(b, floor(tss) + 1);
    cm_buf_puts(b, "\t");
    cm_escape(b, cm_link_side_chrom(gene, row->gene));
    put_bases(b, start);
    put_bases(b, end);
    cm_buf_puts(b, "\t");
    cm_escape(b, cm_strs_get(&gene->cols->names, row->gene));
    cm_buf_printf(b, "\t%s\t.\t.\t", cm_format_f32(row->weight, weight));
    cm_escape(b, cm_strs_get(&peak->cols->names, row->peak));
    put_numbers(b, row, peak->position[row->peak] - tss, ".");
    cm_buf_puts(b, "\n");
}
