/* assign - from similarities to match probabilities.
 *
 * In:  kind match, state similarity (or unknown); several of the same cells with --sum.  A match in
 *      state probability is taken by --hard alone: nothing is normalised twice.
 * Out: kind match, state probability: every row sums to 1, or is empty where there is no candidate.
 *
 *   softmax  p_ij = exp(T s_ij) / sum_j exp(T s_ij)
 *   dual     p_ij proportional to softmax over the row times softmax over the column, at T
 *
 * Only stored entries count: what a truncated match leaves out is -inf.  knn-match --method applies
 * the same rules to all similarities.  dual reads its input twice and holds two numbers a column.
 */
#include <inttypes.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/match.h"
#include "match/feed.h"

static struct {
    int64_t top;
    bool sum;
    struct cm_rule_options rule;
} o;

static const struct cm_opt options[] = {
    CM_RULE_OPTIONS(o.rule, "dual"),
    {"top", 'k', CM_O_INT, &o.top, "1000", 1, 1e9, "N", "entries kept in each row, the largest"},
    {"sum", 0, CM_O_FLAG, &o.sum, NULL, 0, 0, NULL,
     "add the similarities of several inputs, an ensemble"},
    {0}};

static const struct cm_tool tool = {
    "assign", "[MATCH.cms...]", "match probabilities from similarities", options, 0,
    -1,       CM_TOOL_DEFAULT};

static size_t ninputs;
static struct cm_feed *feed; /* one an input; the first receives the sums */
static struct cm_within within;

static void require_same_columns(struct cm_reader *a, struct cm_reader *b)
{
    if (!cm_strs_equal(&cm_reader_head(a)->slot[0].cols.names,
                       &cm_reader_head(b)->slot[0].cols.names))
        cm_die(3, "%s and %s: the columns are not the same cells in the same order",
               cm_reader_path(a), cm_reader_path(b));
}

static void open_inputs(char **in, bool ruled)
{
    static const int similar[] = {CM_S_SIMILARITY, CM_S_UNKNOWN, -1};
    static const int either[] = {CM_S_SIMILARITY, CM_S_UNKNOWN, CM_S_PROBABILITY, -1};
    while (in[ninputs])
        ninputs++;
    if (ninputs > 1 && !o.sum)
        cm_usage_error("%zu inputs: --sum adds them", ninputs);
    bool harden = o.rule.hard && !ruled && ninputs == 1;
    feed = CM_ZNEW(struct cm_feed, ninputs);
    for (size_t k = 0; k < ninputs; k++) {
        struct cm_reader *r = cm_in_open(in[k]);
        cm_require_kind(r, CM_MATCH);
        cm_try(cm_feed_make(&feed[k], r));
        cm_require_state(r, 0, harden ? either : similar, "a rule needs similarities");
        if (cm_reader_head(r)->slot[0].dense)
            cm_die(3, "%s: expected a sparse match, found a dense one", cm_reader_path(r));
        require_same_columns(feed[0].r, r);
    }
}

/* The next portion of rows, inputs added up and candidates restricted; false at the end. */
static bool next_portion(struct cm_rows *rows)
{
    int more = cm_feed_next(&feed[0], CM_BLOCK_ROWS);
    cm_try(more);
    *rows = cm_feed_rows(&feed[0]);
    for (size_t k = 1; k < ninputs; k++) {
        cm_try(cm_feed_next(&feed[k], CM_BLOCK_ROWS));
        if (!cm_strs_equal(&feed[k].names, &feed[0].names))
            cm_die(3, "%s and %s: the rows from %" PRIu64 " on are not the same cells",
                   cm_reader_path(feed[0].r), cm_reader_path(feed[k].r), feed[0].first);
        struct cm_rows other = cm_feed_rows(&feed[k]);
        cm_rows_add(rows, &other);
    }
    cm_within_rows(&within, feed[0].label);
    if (within.row)
        cm_rows_within(rows, within.row, within.col);
    return more > 0;
}

/* First pass of dual: the normaliser of every column over its stored entries. */
static void column_pass(double temperature, size_t cols, double *column_log)
{
    struct cm_normalisers sums;
    struct cm_rows rows;
    for (size_t k = 0; k < ninputs; k++)
        cm_try(cm_reader_keep(feed[k].r));
    cm_normalisers_make(&sums, cols, temperature);
    while (next_portion(&rows))
        cm_rows_normalise(&rows, &sums);
    cm_normalisers_log(&sums, column_log);
    cm_normalisers_free(&sums);
    for (size_t k = 0; k < ninputs; k++)
        cm_try(cm_feed_rewind(&feed[k]));
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_rule rule;
    open_inputs(in, cm_rule_choose(&o.rule, &rule));
    const struct cm_head *h = cm_reader_head(feed[0].r);
    size_t cols = h->slot[0].cols.names.n;
    bool harden = h->slot[0].state == CM_S_PROBABILITY; /* --hard alone */
    cm_within_make(&within, &o.rule, feed[0].r, NULL, NULL);
    double *column_log = CM_ZNEW(double, cols);
    if (rule.method == CM_RULE_DUAL && !harden)
        column_pass(rule.temperature, cols, column_log);

    struct cm_head head = {0};
    cm_head_copy(&head, h);
    head.slot[0].state = CM_S_PROBABILITY;
    if (!harden)
        cm_rule_write(&head.kv, &rule);
    struct cm_writer *w = cm_out_open(&head);
    cm_writer_max_row(w, (uint64_t)o.top);
    struct cm_rows rows;
    uint64_t done = 0, empty = 0;
    while (next_portion(&rows)) {
        if (harden)
            cm_rows_harden(&rows);
        else
            cm_rows_rule(&rows, &rule, column_log, (size_t)o.top);
        struct cm_chunk c = cm_feed_chunk(&feed[0], &rows, cols);
        cm_try(cm_writer_chunk(w, &c, h));
        empty += cm_rows_empty(&rows);
        done += rows.n;
        cm_progress(done, head.slot[0].rows, "cells");
    }
    if (empty)
        cm_warn("%" PRIu64 " of %" PRIu64 " cells have no candidate, their rows are empty", empty,
                done);

    for (size_t k = 0; k < ninputs; k++)
        cm_feed_free(&feed[k]);
    cm_free(feed);
    cm_within_free(&within);
    cm_head_free(&head);
    cm_free(column_log);
    return cm_finish();
}
