/* knn-match - the most similar cells of the other modality.
 *
 * In:  two streams of kind embedding, dense, of the same parts (head keys part.N) and width.
 * Out: kind match: rows are the first operand's cells, columns the second's; the k largest inner
 *      products of each row (state similarity), or match probabilities when a rule is asked for
 *      (state probability).  Embeddings are taken as they are: S0 = E T', never re-normalised.
 *
 * Rules see ALL similarities, not the k kept ones: what dual, csls and snn must know of the columns
 * is taken in a first pass over E.  sinkhorn and exact walk over the candidates many times: that is
 * work for assign.  The second operand is in memory, the first is read in portions.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/match.h"
#include "match/feed.h"
#include "match/topk.h"

static struct {
    int64_t top;
    bool similarities;
    struct cm_rule_options rule;
} o;

static const struct cm_opt options[] = {
    CM_OPT_INT("top", 'k', &o.top, "1000", 1, 1e9, "N", "entries kept in each row"),
    CM_OPT_FLAG("similarities", 0, &o.similarities,
                "similarities (the default when no rule is given)"),
    CM_RULE_OPTIONS(o.rule, "dual"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "knn-match", "E.cms T.cms",  "match each cell with the most similar cells", options, 2,
    2,           CM_TOOL_DEFAULT};

static void require_embedding(struct cm_reader *r)
{
    cm_require_kind(r, CM_EMBEDDING);
    const struct cm_head *h = cm_reader_head(r);
    if (h->nslots != 1 || !h->slot[0].dense)
        cm_die(3, "%s: expected one dense slot, found %zu%s", cm_reader_path(r), h->nslots,
               h->nslots == 1 ? ", sparse" : "");
}

/* Both sides must come from one model, or their inner product means nothing. */
static void require_same_model(const struct cm_reader *e, const struct cm_reader *t)
{
    const struct cm_head *a = cm_reader_head(e), *b = cm_reader_head(t);
    size_t cols = a->slot[0].cols.names.n, cols2 = b->slot[0].cols.names.n;
    if (cols != cols2)
        cm_die(3, "%s has %zu columns, %s has %zu: expected embeddings by one model",
               cm_reader_path(e), cols, cm_reader_path(t), cols2);
    const char *m = cm_kv_get(&a->kv, "embed.model"), *m2 = cm_kv_get(&b->kv, "embed.model");
    if (m && m2 && strcmp(m, m2))
        cm_die(3, "%s is by model %s, %s by model %s: expected embeddings by one model",
               cm_reader_path(e), m, cm_reader_path(t), m2);
    for (int part = 0;; part++) {
        char key[32];
        snprintf(key, sizeof key, "part.%d", part);
        const char *x = cm_kv_get(&a->kv, key), *y = cm_kv_get(&b->kv, key);
        if (!x && !y)
            return;
        if (!x || !y || strcmp(x, y))
            cm_die(3, "%s: %s is '%s', in %s it is '%s': expected the same parts",
                   cm_reader_path(e), key, x ? x : "", cm_reader_path(t), y ? y : "");
    }
}

/* The match's head: E's labels for the rows, T's labels as typed columns. */
static void make_head(struct cm_head *out, const struct cm_head *e, const struct cm_table *t,
                      const struct cm_matcher *rule)
{
    out->kind = CM_MATCH;
    struct cm_slot *slot = cm_head_add_slot(out, "match");
    slot->state = rule ? CM_S_PROBABILITY : CM_S_SIMILARITY;
    slot->rows = e->slot[0].rows;
    cm_strs_copy(&slot->cols.names, &t->names);
    cm_labels_to_columns(t, &slot->cols);
    for (size_t l = 0; l < e->nlabels; l++) {
        struct cm_label *to = cm_head_add_label(out, e->label[l].name, e->label[l].type, -1);
        to->dict.ordered = e->label[l].dict.ordered;
        cm_strs_copy(&to->dict.names, &e->label[l].dict.names);
    }
    cm_kv_set(&out->kv, "match.rows", e->slot[0].name);
    cm_kv_set(&out->kv, "match.cols", t->head.slot[0].name);
    if (rule) {
        cm_rule_write(&out->kv, &rule->rule);
        cm_rule_more_write(&out->kv, &rule->rule, &rule->more);
    }
}

/* Vectors may be finite and their product not. */
static void check_portion(const struct cm_feed *e, const struct cm_search *search,
                          const struct cm_within *within, const float *shift,
                          const struct cm_strs *cols)
{
    size_t row;
    uint32_t col;
    if (!cm_search_finite(search, e->val, e->cols, e->rows, within->row, shift, &row, &col))
        cm_die(6, "the similarity of cell %s to cell %s is not finite%s",
               cm_strs_get(&e->names, row), cm_strs_get(cols, col),
               shift ? " beside what the rule takes from it" : "");
}

/* What the rule must know of all columns, from a first pass. */
static void column_pass(struct cm_feed *e, struct cm_search *search, struct cm_within *within,
                        size_t portion, struct cm_matcher *x, const struct cm_strs *cols)
{
    int more;
    while ((more = cm_feed_next(e, portion)) > 0) {
        cm_within_rows(within, e->label);
        check_portion(e, search, within, NULL, cols);
        if (x->rule.method == CM_RULE_DUAL)
            cm_search_normalise(search, e->val, e->cols, e->rows, within->row, &x->sums);
        else
            cm_search_nearest(search, e->val, e->cols, e->first, e->rows, within->row, &x->nearest);
        x->rows += e->rows;
    }
    cm_try(more);
    cm_matcher_learn(x, within->col);
    cm_try(cm_feed_rewind(e));
    cm_within_again(within);
}

/* Is there a rule? */
static bool choose_rule(struct cm_rule *rule, struct cm_rule_more *extra)
{
    bool ruled = cm_rule_choose(&o.rule, 1, rule, extra) || rule->hard;
    if (ruled && o.similarities)
        cm_usage_error("--similarities contradicts --method, --temperature, --model and --hard");
    if (ruled && (rule->method == CM_RULE_SINKHORN || rule->method == CM_RULE_EXACT))
        cm_usage_error("%s needs all candidates at once: knn-match -k N E T | assign --method %s",
                       cm_rule_name(rule->method), cm_rule_name(rule->method));
    return ruled;
}

/* What the search of a portion takes. */
struct search {
    struct cm_feed feed;
    struct cm_table cells; /* the columns */
    struct cm_search *columns;
    struct cm_within within;
    struct cm_matcher *rule; /* NULL: similarities */
    float *shift;            /* what the rule takes off each column, or NULL */
    size_t k, portion;       /* entries of a row; rows at a time */
};

/* The second pass: each portion searched, turned into probabilities, written. */
static void write_rows(struct search *x, struct cm_writer *w, const struct cm_reader *e,
                       uint64_t total)
{
    size_t k = x->k, m = x->cells.full.rows;
    struct cm_rows found = {0, CM_NEW(x->portion + 1, uint64_t), CM_NEW(x->portion * k, uint32_t),
                            CM_NEW(x->portion * k, float)};
    size_t *count = CM_NEW(x->portion, size_t);
    uint64_t done = 0, empty = 0;
    int more;
    while ((more = cm_feed_next(&x->feed, x->portion)) > 0) {
        struct cm_rows rows = found;
        rows.n = x->feed.rows;
        cm_within_rows(&x->within, x->feed.label);
        check_portion(&x->feed, x->columns, &x->within, x->shift, &x->cells.names);
        cm_search_rows(x->columns, x->feed.val, x->feed.cols, x->feed.rows, x->within.row, k,
                       x->shift, rows.idx, rows.val, count);
        cm_rows_pack(&rows, k, count);
        if (x->rule)
            cm_matcher_apply(x->rule, x->feed.first, &rows);
        struct cm_chunk c = cm_feed_chunk(&x->feed, &rows, m);
        cm_try(cm_writer_chunk(w, &c, cm_reader_head(e)));
        empty += cm_rows_empty(&rows);
        done += rows.n;
        cm_progress(done, total, "cells");
    }
    cm_try(more);
    if (empty)
        cm_warn("%" PRIu64 " of %" PRIu64 " cells have no candidate, their rows are empty", empty,
                done);
    cm_free(found.ptr);
    cm_free(found.idx);
    cm_free(found.val);
    cm_free(count);
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_reader *e = cm_in_open(in[0]), *t = cm_in_open(in[1]);
    require_embedding(e);
    require_embedding(t);
    require_same_model(e, t);
    struct cm_rule rule;
    struct cm_rule_more extra;
    bool ruled = choose_rule(&rule, &extra);

    struct search x = {0};
    cm_try(cm_feed_make(&x.feed, e));
    cm_try(cm_table_load(t, &x.cells));
    size_t m = x.cells.full.rows, k = (uint64_t)o.top < m ? (size_t)o.top : m;
    struct cm_matcher matcher = {0};
    cm_within_make(&x.within, &o.rule, e, t, &x.cells);
    x.columns = cm_search_make(&x.cells.full, x.within.col);
    if (ruled) {
        cm_matcher_make(&matcher, &rule, &extra, m, k ? k : 1);
        x.rule = &matcher;
    }
    x.k = ruled && rule.method == CM_RULE_SNN ? matcher.more.neighbours : k;
    x.k = x.k < m ? x.k : m;
    x.portion = cm_search_portion(x.k);
    if (ruled && cm_matcher_two_passes(&matcher)) {
        cm_try(cm_reader_keep(e));
        column_pass(&x.feed, x.columns, &x.within, x.portion, &matcher, &x.cells.names);
    }
    if (matcher.offset) {
        x.shift = CM_NEW(m, float);
        cm_rule_shift(&rule, m, matcher.offset, x.shift);
    }

    struct cm_head head = {0};
    make_head(&head, cm_reader_head(e), &x.cells, x.rule);
    struct cm_writer *w = cm_out_open(&head);
    cm_writer_max_row(w, k);
    write_rows(&x, w, e, head.slot[0].rows);

    cm_search_free(x.columns);
    cm_within_free(&x.within);
    cm_matcher_free(&matcher);
    cm_feed_free(&x.feed);
    cm_table_free(&x.cells);
    cm_head_free(&head);
    cm_free(x.shift);
    return cm_finish();
}
