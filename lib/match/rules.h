/* match/rules.h - from similarities to match probabilities.
 *
 * A similarity says who is near; a user wants to know who is the partner, and how sure that is.  A
 * rule makes probabilities that sum to 1 of the stored similarities of a row.
 *
 *   softmax  p_ij = exp(T s_ij) / sum_j exp(T s_ij)
 *   dual     p_ij proportional over j to r_ij q_ij, r the softmax of row i, q of column j, both
 *            at T: a column that is near everybody (a hub) loses weight.  As r's normaliser is
 *            the same for the whole row, p_i. = softmax over j of (2 T s_ij - L_j), where
 *            L_j = log sum_i exp(T s_ij); so a row needs L, nothing else of the other rows.
 *
 *   csls     p_ij = softmax over j of T (2 s_ij - r_i - r_j), r the mean similarity of a cell to
 *            its K nearest on the other side (Conneau et al. 2018); r_i drops out of the row.
 *   sinkhorn p_ij = exp(T s_ij + u_i + v_j), u and v such that all columns, then all rows have
 *            equal sums, so many times (entropic transport, Cuturi 2013); u_i drops out of the row.
 *   snn      cells and their N nearest on the other side as sets, the Jaccard index of two such
 *            sets: 1/N where each is among the other's nearest, 1/(2N+1) one-way.  N = 1: 3 to 1.
 *   exact    the one-to-one assignment with the largest sum (match/exact.h).
 *
 * dual, csls and sinkhorn differ in what they take off a column, nothing else: the offsets o_j.
 * The temperature T multiplies (about 40 for cosines).  Entries that are not stored count as -inf.
 * Candidates may be restricted to a group (a batch): everything outside counts as not stored.
 *
 * Letters: n rows, m columns, s similarities, T temperature.
 */
#ifndef CM_MATCH_RULES_H
#define CM_MATCH_RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

enum cm_rule_method {
    CM_RULE_SOFTMAX,
    CM_RULE_DUAL,
    CM_RULE_CSLS,
    CM_RULE_SINKHORN,
    CM_RULE_SNN,
    CM_RULE_EXACT
};
#define CM_RULE_COUNT 6
/* In the order of the enum: metavar of --method. */
#define CM_RULE_METHODS     "softmax|dual|csls|sinkhorn|snn|exact"
#define CM_RULE_TEMPERATURE 40.0 /* where nothing was tuned */
#define CM_RULE_PROBABLE    1e-9 /* what a partner that is no candidate counts as in a loss */

struct cm_rule {
    enum cm_rule_method method;
    double temperature; /* > 0 */
    bool hard;          /* all mass to the largest entry, the lowest column among equals */
};

const char *cm_rule_name(enum cm_rule_method m);
bool cm_rule_tempered(enum cm_rule_method m); /* has a temperature: not snn, not exact */
/* s_ij is multiplied by it before the offset o_j is taken off: 2T for dual and csls, else T. */
double cm_rule_factor(const struct cm_rule *rule);

/* What the numbers of a match are, in its head as rule.values: probabilities at a temperature that
 * somebody gave (no key), at the calibrated one of a model or at that of its highest match
 * probability (which claim more than they know); or no probabilities at all: 1 at the partner that
 * was decided for, or the weights of snn. */
enum cm_rule_values {
    CM_RULE_GIVEN,
    CM_RULE_CALIBRATED,
    CM_RULE_SHARP,
    CM_RULE_DECISION,
    CM_RULE_WEIGHT
};

/* What single rules need besides. */
struct cm_rule_more {
    size_t neighbours; /* csls: K, snn: N; 0 = 10 and 1 */
    size_t iterations; /* sinkhorn */
    double epsilon;    /* sinkhorn: > 0: T = 1 / (epsilon max (1 - s)), the maximum of the group */
    double quantile;   /* > 0: candidates below it in their row and in their column are dropped */
    enum cm_rule_values values;
};

/* The rule in a head: keys rule.method and rule.temperature (rules that have one).  Reading: 0, or
 * CM_EINPUT when a key is absent, unknown, or no positive number; `hard` is left alone. */
void cm_rule_write(struct cm_kv *kv, const struct cm_rule *rule);
int cm_rule_read(const struct cm_kv *kv, struct cm_rule *rule);
/* The temperature of key rule.calibrated; the method stays. */
int cm_rule_calibrated(const struct cm_kv *kv, struct cm_rule *rule);

/* What rule.values says; CM_RULE_GIVEN where it says nothing that this version knows. */
enum cm_rule_values cm_rule_values(const struct cm_kv *kv);
/* Its word, "" for CM_RULE_GIVEN. */
const char *cm_rule_values_name(enum cm_rule_values v);
/* May the numbers be read as probabilities? */
bool cm_rule_values_probable(enum cm_rule_values v);

/* What applies to the rule, beside the keys of cm_rule_write. */
void cm_rule_more_write(struct cm_kv *kv, const struct cm_rule *rule,
                        const struct cm_rule_more *more);

/* ===== choosing a rule on cells whose partners are known ================================== */

#define CM_RULE_GRID 8
extern const double cm_rule_grid[CM_RULE_GRID]; /* 5 10 20 40 80 120 160 240 */
#define CM_RULE_NEAR   0.98 /* a temperature is good enough at this share of the best soft score */
#define CM_RULE_ENOUGH 0.03 /* below this accuracy of the row argmax, dual is not trusted */

/* "soft" is the mean probability of the true partner, "hard" the share of cells whose true partner
 * is the argmax (the first among equals); every number is the mean of both directions. */
struct cm_rule_tuning {
    struct cm_rule rule;             /* chosen; hard = false */
    double soft;                     /* of the chosen rule */
    double hard;                     /* of the chosen rule's argmax */
    double argmax;                   /* hard, of the similarities themselves */
    double soft_at[2][CM_RULE_GRID]; /* [softmax, dual][temperature] */
    double dual_at[CM_RULE_GRID];    /* hard, after dual */
};

/* s: n x n (row-major, ld floats a row, finite), cell i of one side and cell i of the other are the
 * same cell.  group: n codes, candidates are the cells of equal code; NULL = all.  Chooses dual, or
 * softmax where `argmax` is below CM_RULE_ENOUGH, at the lowest temperature of the grid whose soft
 * score is at least CM_RULE_NEAR of the best: rows as soft as the score allows, for AUPR and for
 * people.  n >= 1.  Runs on the pool; takes 4 n^2 bytes. */
void cm_rule_tune(const float *s, size_t ld, size_t n, const uint32_t *group,
                  struct cm_rule_tuning *out);

/* ===== calibration ======================================================================== */

/* That score is linear in a probability and so rewards a bold guess; the logarithm is not, and the
 * temperature of its highest mean gives probabilities that mean what they say (Guo et al. 2017). */

/* Cells that are matched among themselves: s, ld, n, group as in cm_rule_tune. */
struct cm_rule_block {
    const float *s;
    size_t ld, n;
    const uint32_t *group;
};

/* The temperature of softmax or dual with the least mean of -log p of the true partner, over the
 * cells of all blocks and both directions, to 1 in 1,000; *loss (or NULL) = that mean.  A partner
 * that is no candidate counts as 1e-9.  Between exp(-4) and exp(9).  Runs on the pool; takes 4 n^2
 * bytes a block. */
double cm_rule_calibrate(const struct cm_rule_block *b, size_t n, enum cm_rule_method method,
                         double *loss);

/* The search itself, for a loss with one valley: doubles or halves the temperature from 16 until
 * it is between two higher ones, then golden section of its logarithm. */
double cm_min_loss(double (*loss)(void *arg, double temperature), void *arg, double *at_best);

/* ===== applying a rule ==================================================================== */

/* Running log-sum-exp of T s over the entries of each column: the L_j of dual. */
struct cm_normalisers {
    size_t cols;
    double temperature;
    double *max, *sum; /* L_j = T max_j + log sum_j; -inf and 0 where nothing was seen */
};
void cm_normalisers_make(struct cm_normalisers *c, size_t cols, double temperature);
void cm_normalisers_add(struct cm_normalisers *c, size_t n, const uint32_t *idx, const float *s);
/* The same for a full tile: rows x n (ld n) at columns idx. */
void cm_normalisers_add_tile(struct cm_normalisers *c, size_t rows, size_t n, const uint32_t *idx,
                             const float *s);
/* L (cols items); columns without entries get 0, nothing asks for them. */
void cm_normalisers_log(const struct cm_normalisers *c, double *log_sum);
void cm_normalisers_free(struct cm_normalisers *c);

/* Columns of a row are ranked by s_ij - shift_j: shift = o / factor. */
void cm_rule_shift(const struct cm_rule *rule, size_t cols, const double *offset, float *shift);

/* Scratch of cm_rule_row; zero-initialise, release with cm_rule_scratch_free. */
struct cm_rule_scratch {
    double *d;
    uint32_t *u;
    size_t d_cap, u_cap; /* items */
};
void cm_rule_scratch_free(struct cm_rule_scratch *x);

/* One row of a tempered rule, in place: n similarities s at columns idx (ascending) become
 * probabilities that sum to 1.  offset: the o_j of ALL columns (dual: L_j, csls: T r_j, sinkhorn:
 * -v_j), NULL for softmax.  At most `max` (>= 1) entries are kept, the largest (the lower column
 * among equals), and the kept ones sum to 1; entries below 1e-38 of the largest are dropped.
 * Returns the number kept, 0 only if n == 0. */
size_t cm_rule_row(const struct cm_rule *rule, size_t n, uint32_t *idx, float *s,
                   const double *offset, size_t max, struct cm_rule_scratch *x);

#ifdef __cplusplus
}
#endif
#endif
