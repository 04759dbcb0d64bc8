/* match/matcher.h - a decision rule applied to rows that are read once or twice.
 *
 * Six rules want different things before the first row can be written: nothing (softmax), a number
 * a column (dual, csls), the columns' nearest rows (snn), or all candidates at once (sinkhorn,
 * exact, thinning by quantiles).  One object sees all rows in a first pass if its rule asks for
 * one, learns what it needs, and then makes each portion of rows probabilities; where it holds all
 * candidates the second pass brings names and labels alone.
 */
#ifndef CM_MATCH_MATCHER_H
#define CM_MATCH_MATCHER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "match/nearest.h"
#include "match/pairs.h"
#include "match/rows.h"
#include "match/rules.h"
#include "matrix/matrix.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cm_matcher {
    struct cm_rule rule;
    struct cm_rule_more more;
    size_t rows, cols, max;
    bool whole;                 /* keeps all candidates */
    struct cm_normalisers sums; /* dual: filled in the first pass */
    struct cm_nearest nearest;  /* csls, snn: the same */
    struct cm_csr graph;        /* whole */
    uint32_t *row_code;         /* whole, with groups */
    size_t row_code_cap;
    double *offset; /* o_j, made by cm_matcher_learn; NULL where the rule has none */
    uint32_t *partner;
    uint64_t *by_row; /* snn: cm_nearest_by_row */
    uint32_t *by_col;
    struct cm_rows out; /* snn: rows may become longer */
    size_t ptr_cap, idx_cap, val_cap;
};

/* max: entries kept in a row. */
void cm_matcher_make(struct cm_matcher *x, const struct cm_rule *rule,
                     const struct cm_rule_more *more, size_t cols, size_t max);
void cm_matcher_free(struct cm_matcher *x);

bool cm_matcher_two_passes(const struct cm_matcher *x);
/* First pass: rows in order.  row_code: of these rows, or NULL in all calls. */
void cm_matcher_see(struct cm_matcher *x, const struct cm_rows *rows, const uint32_t *row_code);
/* After it; col_code NULL or of all columns.  Without `see` (knn-match fills sums and nearest by
 * itself) x->rows must be set. */
void cm_matcher_learn(struct cm_matcher *x, const uint32_t *col_code);
/* Second pass: rows first .. first + rows->n - 1 become probabilities.  The struct may point to
 * arrays of the matcher afterwards, valid until the next call. */
void cm_matcher_apply(struct cm_matcher *x, uint64_t first, struct cm_rows *rows);

/* ===== choosing among all rules on cells whose partners are known ========================= */

struct cm_choice {
    struct cm_rule rule;
    double soft, hard; /* mean probability of the true partner, of rows as they are and one-hot */
    double loss;       /* mean -log of it, at least 1e-9 */
};
/* What rules are tried on: candidates with the true partners of some rows, and at most `max`
 * entries a row.  All borrowed; codes of groups may be NULL. */
struct cm_trial {
    const struct cm_csr *m;
    const struct cm_pairs *truth;
    const uint32_t *row_code, *col_code;
    const struct cm_rule_more *more;
    size_t max;
};
/* Applies the rules of method (or all of them: -1) at `temperature` (or those of cm_rule_grid: 0)
 * to the candidates: choice gets CM_CHOICES items, the number of tries is returned.  Only rows
 * with a partner count.  *best: the highest `hard` or `soft` score; with soft the lowest
 * temperature of that method that comes to CM_RULE_NEAR of it; the first among equals. */
#define CM_CHOICES (CM_RULE_COUNT * CM_RULE_GRID)
size_t cm_matcher_tune(const struct cm_trial *trial, int method, double temperature, bool hard,
                       struct cm_choice *choice, size_t *best);

/* Of the rules tried (n choices of cm_matcher_tune at the grid's temperatures) the one with the
 * least loss, at the temperature where that is least (cm_min_loss).  False if none of them has a
 * temperature that may be chosen. */
bool cm_matcher_calibrate(const struct cm_trial *trial, const struct cm_choice *choice, size_t n,
                          struct cm_choice *calibrated);

#ifdef __cplusplus
}
#endif
#endif
