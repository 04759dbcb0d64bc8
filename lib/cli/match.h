/* cli/match.h - the options by which knn-match and assign choose a decision rule.
 *
 * One table row each and one function, so that both tools read a rule alike: from the command line,
 * or from a model that was tuned on validation cells, never from both.
 */
#ifndef CM_CLI_MATCH_H
#define CM_CLI_MATCH_H

#include "cli/cli.h"
#include "match/groups.h"
#include "match/matcher.h"
#include "match/rules.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cm_rule_options {
    int method;
    double temperature, epsilon, quantile;
    int64_t neighbours, iterations;
    const char *model, *within, *tune;
    bool hard, calibrated, sharp;
};

/* Rows of an option table; `preset` is the default of --method. */
/* clang-format off */
#define CM_RULE_OPTIONS(o, preset)                                                                 \
    CM_OPT_CHOICE("method", 0, &(o).method, preset, CM_RULE_METHODS,                               \
                  "rule that turns similarities into probabilities"),                              \
    CM_OPT_REAL("temperature", 0, &(o).temperature, "40", 1e-3, 1e6, "T",                          \
                "factor of the similarities inside the exponential"),                              \
    CM_OPT_INPUT("model", 0, &(o).model, "MODEL.cms",                                              \
                 "take the rule and temperature tuned in training"),                               \
    CM_OPT_FLAG("calibrated", 0, &(o).calibrated,                                                  \
                "with --model: the calibrated temperature (the default)"),                         \
    CM_OPT_FLAG("sharp", 0, &(o).sharp,                                                            \
                "with --model: the temperature of the highest match probability"),                 \
    CM_OPT_FLAG("hard", 0, &(o).hard, "all of a row's probability to its most probable column"),   \
    CM_OPT_STR("within", 0, &(o).within, NULL, "LABEL",                                            \
               "candidates only where this label is equal on both sides"),                         \
    CM_OPT_INT("neighbours", 0, &(o).neighbours, NULL, 1, 1000, "N",                               \
               "nearest cells that csls (10) and snn (1) look at")
/* And those of rules that need all candidates at once. */
#define CM_GRAPH_OPTIONS(o)                                                                        \
    CM_OPT_INT("iterations", 0, &(o).iterations, "20", 1, 1e6, "N", "of sinkhorn"),                \
    CM_OPT_REAL("epsilon", 0, &(o).epsilon, NULL, 1e-6, 1e6, "E",                                  \
                "sinkhorn: regularisation, costs 1 - s scaled to at most 1, in place of a "        \
                "temperature"),                                                                    \
    CM_OPT_REAL("quantile", 0, &(o).quantile, NULL, 1e-6, 0.999999, "Q",                           \
                "drop candidates below this quantile of their row and of their column"),           \
    CM_OPT_INPUT("tune", 0, &(o).tune, "PAIRS.tsv",                                                \
                 "try rules and temperatures on these partners, print scores and choice as text")
/* clang-format on */

/* True if a rule was asked for (--method, --temperature, --model, --quantile); *rule and *more are
 * filled anyway, `hard` included.  --model with --method is status 2, and so is an option that the
 * rule does not have; --temperature wins over the model's.  `inputs` is the number of matches that
 * are summed: a calibrated temperature, which is of one model, is divided by it.  Opens the model,
 * which so becomes a parent of later outputs. */
bool cm_rule_choose(const struct cm_rule_options *o, size_t inputs, struct cm_rule *rule,
                    struct cm_rule_more *more);

/* The table of assign --tune: method, temperature (empty where there is none), soft, hard, loss; a
 * line with `calibrated` in front, unless it is NULL, and the last line with `choice`. */
void cm_print_choices(FILE *to, const struct cm_choice *c, size_t n, size_t best,
                      const struct cm_choice *calibrated);

/* --within, for both tools: the codes of the columns and of each portion of rows.  Zero-initialise;
 * without the option nothing happens and col, row stay NULL. */
struct cm_within {
    struct cm_groups groups;
    const struct cm_reader *rows;
    size_t label;        /* among the rows' labels */
    uint32_t *col, *row; /* codes */
    const char *name, *cols_path;
    uint64_t nrows, rows_missing, rows_foreign; /* foreign: a value that no column has */
    uint64_t ncols, cols_missing;
};
/* The columns' values come from a label of `cols` (the table of reader `of`) or, with cols NULL,
 * from the column table of the match that `rows` reads.  A missing label is status 3. */
void cm_within_make(struct cm_within *x, const struct cm_rule_options *o,
                    const struct cm_reader *rows, const struct cm_reader *of,
                    const struct cm_table *cols);
/* Codes of a portion: labels are those of a chunk or feed of the reader. */
void cm_within_rows(struct cm_within *x, const struct cm_vec *labels);
/* Before the rows come a second time: forgets what was counted. */
void cm_within_again(struct cm_within *x);
/* Warns of cells without the label, which have no candidates and are none; frees. */
void cm_within_free(struct cm_within *x);

#ifdef __cplusplus
}
#endif
#endif
