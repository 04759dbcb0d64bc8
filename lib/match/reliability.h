/* match/reliability.h - do the probabilities of a match mean what they say?
 *
 * Of each paired row the claim is the share of its largest entry (negatives count as 0, the row is
 * divided by its sum), and the claim is right by 1 if that is the true partner, by 1/k if it is
 * one of k equal largest, else by 0.  Rows are ranked by their claims and cut into bins of equal
 * numbers (bin b of n rows: b n / 10 .. (b+1) n / 10); rows of equal claims are right by their
 * mean, so that no result depends on the order of rows.  Rows without mass claim nothing and are in
 * no bin.
 */
#ifndef CM_MATCH_RELIABILITY_H
#define CM_MATCH_RELIABILITY_H

#include <stddef.h>

#include "match/pairs.h"
#include "matrix/matrix.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_RELIABILITY_BINS 10

struct cm_reliability_bin {
    size_t cells;
    double claimed, right; /* means; NaN in an empty bin */
    double error;          /* of `right`: sqrt(r (1 - r) / cells) with r = right */
};

struct cm_reliability {
    size_t cells;                                       /* in the bins */
    struct cm_reliability_bin bin[CM_RELIABILITY_BINS]; /* the least certain first */
    /* Expected calibration error: sum over bins of cells / n |claimed - right|; and what claims
     * that are true would come to by chance, sum over bins of sqrt(2 / pi sum c (1 - c)) / n over
     * the claims c of the bin.  NaN without a row. */
    double ece, ece_error, ece_by_chance;
    /* Over all paired rows, p the row's shares: mean of sum_j (p_j - y_j)^2 with y = 1 at the
     * partner, else 0 (Brier 1950: 0 .. 2), and of -log p of the partner, at least 1e-9.  A row
     * without mass has shares 0.  Errors from the spread over rows, NaN for one row. */
    double brier, brier_error, log_loss, log_loss_error;
};

/* Needs a pair.  Runs on the pool; the same bits for any number of threads. */
void cm_match_reliability(const struct cm_csr *m, const struct cm_pairs *truth,
                          struct cm_reliability *out);

#ifdef __cplusplus
}
#endif
#endif
