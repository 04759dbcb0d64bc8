/* prep/select.h - scores of features, and the choice of the best.
 *
 * Most genes and peaks say nothing about a cell, and "highly variable" has as many meanings as
 * there are programs.  Three scores, with their formulas; moments by Welford's recurrence over the
 * stored entries, the zeros joined at the end in one step, so that neither large values nor many
 * cells cost digits.  Models of the noise were rejected: a choice must be reproducible from a
 * formula in a manual page.
 *
 * Letters: n cells fitted on, x_ij values (in state lognorm: exp(x_ij) - 1, the scale on which
 * means are taken), m_j mean, v_j variance with n - 1.
 *     cells       number of cells with x_ij != 0
 *     variance    v_j
 *     dispersion  d_j = ln(v_j / m_j), standardised within 20 bins of ln(1 + m_j) of equal width:
 *                 (d_j - mean of the bin) / standard deviation of the bin (n - 1); alone in its
 *                 bin: d_j / d_j = 1; the flavour "seurat" of Scanpy
 */
#ifndef CM_PREP_SELECT_H
#define CM_PREP_SELECT_H

#include "prep/where.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

enum cm_select_by { CM_BY_DISPERSION, CM_BY_VARIANCE, CM_BY_CELLS };

/* Zero-initialise; cm_select_free.  Arrays have one item a column. */
struct cm_select {
    size_t cols;
    uint64_t rows;                                /* n */
    uint64_t *cells;                              /* cells with a value */
    double *mean, *variance, *dispersion, *score; /* dispersion, score: NaN = not defined */
};

/* Reads r to its end, takes moments over the rows that meet `where` (NULL = all), and rewinds.
 * cm_reader_keep must have been called.  Memory: 40 bytes a column. */
int cm_select_fit(struct cm_select *s, struct cm_reader *r, struct cm_where *where);
/* Sets score.  CM_EINPUT: no cells.  A score that is not defined (no entries, v = 0 or m <= 0 for
 * dispersion) is the lowest. */
int cm_select_score(struct cm_select *s, enum cm_select_by by);
/* The `top` best of the features with at least min_cells cells (top 0 = all of these), in input
 * order: keep[0..n-1]; returns n.  Equal scores: the earlier one. */
size_t cm_select_top(const struct cm_select *s, size_t top, uint64_t min_cells, uint64_t *keep);
/* The positions in `in` of the columns that `like` has, in the order of `like`: keep has an item
 * for each of them.  CM_EINPUT names the first that is missing. */
int cm_select_like(const struct cm_cols *like, const char *path, const struct cm_cols *in,
                   uint64_t *keep);
void cm_select_free(struct cm_select *s);

#ifdef __cplusplus
}
#endif
#endif
