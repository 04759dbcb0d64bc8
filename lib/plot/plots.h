/* plot/plots.h - the figures that can be drawn of matches, embeddings, logs and links.
 *
 * Each function fills an empty figure and its table (f->tsv).  Those that can meet data of which
 * nothing can be drawn return 0 or CM_EINPUT; the figure may be freed in either case.
 */
#ifndef CM_PLOT_PLOTS_H
#define CM_PLOT_PLOTS_H

#include "match/labels.h"
#include "match/pairs.h"
#include "match/reliability.h"
#include "plot/figure.h"
#include "plot/table.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ===== where the truth is known (needs a pair) ============================================ */

/* How sure the match is of its first choices, against the share of right ones. */
void cm_plot_reliability(struct cm_figure *f, const struct cm_csr *match,
                         const struct cm_pairs *truth);

/* The partners' places among the candidates: how many cells have theirs in which, and the share
 * with theirs among the first k, beside that of a random order.  Equals share their places, as in
 * `score`.  Groups as in cm_match_chance; NULL: all columns are candidates. */
void cm_plot_ranks(struct cm_figure *f, const struct cm_csr *match, const struct cm_pairs *truth,
                   const uint32_t *row_group, const uint32_t *col_group);

/* Precision and recall of all pairs ranked by value, one point for each distinct value. */
void cm_plot_pr(struct cm_figure *f, const struct cm_csr *match, const struct cm_pairs *truth);

/* ===== heat maps ========================================================================== */

/* A dense matrix, such as xattn-map makes, with borders between chromosomes where its columns have
 * them.  log_scale: colours by logarithm. */
int cm_plot_matrix(struct cm_figure *f, const struct cm_table *t, bool log_scale);

/* Where the probability of the row cells of each value of a label goes, by the columns' values.
 * extra: a stream with the labels, or NULL = those of the match. */
int cm_plot_confusion(struct cm_figure *f, const struct cm_table *match,
                      const struct cm_labels *extra, const char *label);

/* ===== embeddings ========================================================================= */

/* Coordinates of the centred rows of x (rows x cols) on their first two principal axes: out is
 * rows x 2, share[2] the part of the variance.  The entry of largest magnitude of each axis is
 * positive.  0, CM_EINPUT without rows, CM_ENUMERIC. */
int cm_pca_plane(const struct cm_dense *x, double *out, double share[2]);

struct cm_scatter {
    const struct cm_table *side[2]; /* dense, as many columns; side[1] NULL: one stream */
    const struct cm_pairs *pairs;   /* of side[0] and side[1], or NULL: no lines */
    const char *label;              /* colours; NULL: by side */
    size_t lines;                   /* at most so many are drawn */
};
int cm_plot_scatter(struct cm_figure *f, const struct cm_scatter *s);

/* ===== tables ============================================================================= */

/* Logs of trainers: a panel for each named column, a line for each log. */
int cm_plot_curves(struct cm_figure *f, const struct cm_text_table *log, size_t logs,
                   const struct cm_strs *columns);

/* Links between peaks and genes along a segment of genome. */
struct cm_plot_link {
    const char *gene, *peak, *chrom;
    double tss, start, end, value;
};
struct cm_plot_links {
    struct cm_plot_link *link;
    size_t n;
    const char *value_name;
};
/* Of peak-links: its TSV, by the header, or BEDPE (no header, or a comment).  Borrows the table.
 * CM_EINPUT names file, line and column of a coordinate or value that is not finite. */
int cm_plot_links_make(struct cm_plot_links *l, const struct cm_text_table *t);
bool cm_plot_links_bedpe(const struct cm_text_table *t); /* is it BEDPE? */
void cm_plot_links_free(struct cm_plot_links *l);
/* region: chrom:start-end, or NULL; gene: the segment around the links of that gene, or NULL;
 * neither: of the gene with the strongest link. */
int cm_plot_arcs(struct cm_figure *f, const struct cm_plot_links *l, const char *region,
                 const char *gene);

#ifdef __cplusplus
}
#endif
#endif
