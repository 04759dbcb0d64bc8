/* assign - from similarities to match probabilities.
 *
 * In:  kind match, state similarity (or unknown); several of the same cells with --sum.  A match in
 *      state probability is accepted by --hard alone: nothing is normalised twice.
 * Out: kind match, state probability: every row sums to 1, or is empty where there is no candidate.
 *
 *   softmax, dual, csls, sinkhorn, snn, exact: formulas in match/rules.h and in assign(1)
 *
 * Only stored entries count: what a truncated match leaves out is -inf.  All rules but softmax read
 * their input twice; sinkhorn, exact and --quantile hold all candidates.  --tune prints how well
 * each rule does on known partners, as text, and writes no match.
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
    CM_OPT_INT("top", 'k', &o.top, "1000", 1, 1e9, "N", "entries kept in each row, the largest"),
    CM_OPT_FLAG("sum", 0, &o.sum, "add the similarities of several inputs, an ensemble"),
    CM_GRAPH_OPTIONS(o.rule),
    CM_OPT_END,
};

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
    if (ninputs > 1 && !o.sum)
        cm_usage_error("%zu inputs: --sum adds them", ninputs);
    bool harden = o.rule.hard && !ruled && !o.rule.tune && ninputs == 1;
    feed = CM_ZNEW(ninputs, struct cm_feed);
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
    for (size_t k = 1; k < ninputs && !feed[0].recalls; k++) {
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

/* What the rule must know before the first row is written, from a first pass. */
static void first_pass(struct cm_matcher *x)
{
    struct cm_rows rows;
    if (x->whole)
        cm_feed_keep_cells(&feed[0]);
    for (size_t k = 0; k < ninputs && !x->whole; k++)
        cm_try(cm_reader_keep(feed[k].r));
    while (next_portion(&rows))
        cm_matcher_see(x, &rows, within.row);
    cm_matcher_learn(x, within.col);
    cm_within_again(&within);
    if (x->whole)
        cm_feed_recall(&feed[0]);
    for (size_t k = 0; k < ninputs && !x->whole; k++)
        cm_try(cm_feed_rewind(&feed[k]));
}

static void close_inputs(void)
{
    for (size_t k = 0; k < ninputs; k++)
        cm_feed_free(&feed[k]);
    cm_free(feed);
    cm_within_free(&within);
}

static int tune(const struct cm_rule_more *more)
{
    const struct cm_strs *cols = &cm_reader_head(feed[0].r)->slot[0].cols.names;
    struct cm_csr m = cm_csr_make(cols->n);
    struct cm_strs names = {0};
    struct cm_pairs truth;
    struct cm_choice choice[CM_CHOICES], calibrated;
    struct cm_rows rows;
    uint32_t *code = NULL;
    size_t cap = 0, best;
    while (next_portion(&rows)) {
        CM_GROW(code, cap, m.rows + rows.n);
        for (size_t i = 0; i < rows.n; i++) {
            cm_strs_add(&names, cm_strs_get(&feed[0].names, i));
            code[m.rows + i] = within.row ? within.row[i] : 0;
        }
        cm_csr_append(&m, rows.n, rows.ptr, rows.idx, rows.val);
    }
    cm_try(cm_pairs_read(&truth, o.rule.tune, &names, cols));
    const struct cm_trial trial = {&m,         &truth, within.col ? code : NULL,
                                   within.col, more,   (size_t)o.top};
    size_t n = cm_matcher_tune(&trial, cm_given("method") ? o.rule.method : -1,
                               cm_given("temperature") ? o.rule.temperature : 0, o.rule.hard,
                               choice, &best);
    bool found = !cm_given("temperature") && cm_matcher_calibrate(&trial, choice, n, &calibrated);
    cm_print_choices(cm_out_text(), choice, n, best, found ? &calibrated : NULL);
    close_inputs();
    cm_pairs_free(&truth);
    cm_strs_free(&names);
    cm_csr_free(&m);
    cm_free(code);
    return cm_finish();
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_rule rule;
    struct cm_rule_more more;
    while (in[ninputs])
        ninputs++;
    open_inputs(in, cm_rule_choose(&o.rule, ninputs, &rule, &more));
    const struct cm_head *h = cm_reader_head(feed[0].r);
    size_t cols = h->slot[0].cols.names.n;
    bool harden = h->slot[0].state == CM_S_PROBABILITY; /* --hard alone */
    cm_within_make(&within, &o.rule, feed[0].r, NULL, NULL);
    if (o.rule.tune)
        return tune(&more);
    struct cm_matcher matcher;
    cm_matcher_make(&matcher, &rule, &more, cols, (size_t)o.top);
    if (!harden && cm_matcher_two_passes(&matcher))
        first_pass(&matcher);

    struct cm_head head = {0};
    cm_head_copy(&head, h);
    head.slot[0].state = CM_S_PROBABILITY;
    if (!harden) {
        cm_rule_write(&head.kv, &rule);
        cm_rule_more_write(&head.kv, &rule, &matcher.more);
    } else {
        cm_kv_set(&head.kv, "rule.values", cm_rule_values_name(CM_RULE_DECISION));
    }
    struct cm_writer *w = cm_out_open(&head);
    cm_writer_max_row(w, (uint64_t)o.top);
    struct cm_rows rows;
    uint64_t done = 0, empty = 0;
    while (next_portion(&rows)) {
        if (harden)
            cm_rows_harden(&rows);
        else
            cm_matcher_apply(&matcher, feed[0].first, &rows);
        struct cm_chunk c = cm_feed_chunk(&feed[0], &rows, cols);
        cm_try(cm_writer_chunk(w, &c, h));
        empty += cm_rows_empty(&rows);
        done += rows.n;
        cm_progress(done, head.slot[0].rows, "cells");
    }
    if (empty)
        cm_warn("%" PRIu64 " of %" PRIu64 " cells have no %s, their rows are empty", empty, done,
                rule.method == CM_RULE_EXACT ? "partner" : "candidate");

    close_inputs();
    cm_matcher_free(&matcher);
    cm_head_free(&head);
    return cm_finish();
}
