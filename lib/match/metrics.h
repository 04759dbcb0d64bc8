/* match/metrics.h - how good is a match, where the truth is known?
 *
 * Match probability, the metric of the NeurIPS 2021 competition, is computed exactly as its code
 * does, or results could not be compared; beside it stand the questions that it does not answer: is
 * the partner near the top, is the ranking right over all pairs, is at least the cell type right.
 * Every metric reads the stored entries once or twice and needs O(cells) memory; ties get their
 * expected value over random order, where other code draws or takes the first.
 *
 * Letters: n pairs, rows x cols the match, p_ij stored values, U = n * cols possible pairs.  A row
 * without a partner in the truth is left out of everything but cell type and format; a column
 * without one stays a candidate.  In the reverse direction the same holds with the roles exchanged.
 */
#ifndef CM_MATCH_METRICS_H
#define CM_MATCH_METRICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "match/pairs.h"
#include "matrix/matrix.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Match probability, as the competition's script: negatives become 0, each row is divided by its
 * sum, the value is the mean of the partner's share; a row without mass is 0/0, and makes
 * it NaN. */
struct cm_probability {
    double soft;   /* NaN if `empty` > 0 */
    double filled; /* the same with rows without mass counted as 0 */
    double hard;   /* each row's mass moved to its largest entry, divided among equals; empty = 0 */
    size_t empty;  /* paired rows without mass */
};
void cm_match_probability(const struct cm_csr *m, const struct cm_pairs *truth,
                          struct cm_probability *out);

/* The partner's rank among a cell's stored candidates, values compared as they are.  Equals share
 * their ranks: top[k] is the expected share of cells whose partner is among the first 1, 5, 10 in
 * a random order of equals.  A partner that is not stored is never among the first; for the median
 * its rank is the middle of the candidates that are not stored. */
struct cm_ranks {
    double top[3]; /* 1, 5, 10 */
    double median;
};
extern const size_t cm_ranks_top[3];
void cm_match_ranks(const struct cm_csr *m, const struct cm_pairs *truth, struct cm_ranks *forward,
                    struct cm_ranks *reverse);

/* Areas under the precision-recall and the ROC curve of all U pairs ranked by stored value,
 * descending, by the trapezoid rule: a point (0 found, precision 1) in front, a point per entry,
 * and, if fewer than U are stored, 10,000 equal steps from the last of them to (n, U - n).  Equals
 * are in random order: both areas are the exact expectation over that order, which within a block
 * of b equal values of which p are true puts (p-1)(t-1)/(b-1) true ones before a true one in place
 * t.  auroc is NaN when there is no wrong pair. */
void cm_match_curves(const struct cm_csr *m, const struct cm_pairs *truth, double *aupr,
                     double *auroc);

/* Share of the mass (negatives as 0) on pairs of equal code, of the mass on pairs where both codes
 * are known (CM_GROUP_NONE = unknown).  NaN where there is no such mass.  *rows (or NULL): the rows
 * that have any. */
double cm_match_agreement(const struct cm_csr *m, const uint32_t *row_code,
                          const uint32_t *col_code, size_t *rows);

/* Mean over paired rows of 1 / (columns in the row's group); groups NULL = all columns.  A row
 * whose group has no column adds 0. */
double cm_match_chance(const struct cm_pairs *truth, const uint32_t *row_group,
                       const uint32_t *col_group);

/* The competition's format check and the paper's rule.  A broken one leaves its reason in `why`. */
#define CM_WHY_MAX 160
struct cm_format {
    bool official; /* square and all paired, at most 1000 a row on average, no negative value, rows
                      sum to 1 up to a mean difference of 1e-5 over the rows that differ */
    bool paper;    /* at most 1000 entries in each row, each row sums to 1 within 1e-5 */
    char official_why[CM_WHY_MAX], paper_why[CM_WHY_MAX];
};
void cm_match_format(const struct cm_csr *m, const struct cm_pairs *truth, struct cm_format *out);

/* ===== metrics of two embeddings: e rows x d, t cols x d, similarity = inner product ======== */

/* FOSCTTM: for each pair the fraction of the other side's cells that are nearer than the partner,
 * equals counted half; the mean of both directions.  *stderr_ = standard error over pairs. */
double cm_foscttm(const struct cm_dense *e, const struct cm_dense *t, const struct cm_pairs *truth,
                  double *stderr_);

/* The protocol of the network's authors: the pairs in row order are cut into chunks of `chunk`, the
 * candidates are the cells of the chunk, softmax at temperature 1, mean of the row's and the
 * column's probability of the partner.  *chance: the same for similarities that know nothing. */
double cm_chunk_probability(const struct cm_dense *e, const struct cm_dense *t,
                            const struct cm_pairs *truth, size_t chunk, double *chance);

#ifdef __cplusplus
}
#endif
#endif
