/* knn-match - the most similar cells of the other modality.
 *
 * In:  two streams of kind embedding, dense, of the same parts (head keys part.N) and width.
 * Out: kind match: rows are the first operand's cells, columns the second's; the k largest inner
 *      products of each row (state similarity), or match probabilities when a rule is asked for
 *      (state probability).  Embeddings are taken as they are: S0 = E T', never re-normalised.
 *
 * Rules see ALL similarities, not the k kept ones: the column normalisers of dual are summed in a
 * first pass over E.  The second operand is in memory, the first passes by in portions.
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
    {"top", 'k', CM_O_INT, &o.top, "1000", 1, 1e9, "N", "entries kept in each row"},
    {"similarities", 0, CM_O_FLAG, &o.similarities, NULL, 0, 0, NULL,
     "similarities (the default when no rule is given)"},
    CM_RULE_OPTIONS(o.rule, "dual"),
    {0}};

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
                      const struct cm_rule *rule)
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
    if (rule)
        cm_rule_write(&out->kv, rule);
}

/* First pass of dual: the normaliser of every column over all rows. */
static void column_pass(struct cm_feed *e, struct cm_search *search, struct cm_within *within,
                        size_t portion, double temperature, size_t m, double *column_log)
{
    struct cm_normalisers sums;
    cm_normalisers_make(&sums, m, temperature);
    int more;
    while ((more = cm_feed_next(e, portion)) > 0) {
        cm_within_rows(within, e->label);
        cm_search_normalise(search, e->val, e->cols, e->rows, within->row, &sums);
    }
    cm_try(more);
    cm_normalisers_log(&sums, column_log);
    cm_normalisers_free(&sums);
    cm_try(cm_feed_rewind(e));
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_reader *e = cm_in_open(in[0]), *t = cm_in_open(in[1]);
    require_embedding(e);
    require_embedding(t);
    require_same_model(e, t);
    struct cm_rule rule;
    bool ruled = cm_rule_choose(&o.rule, &rule) || rule.hard;
    bool dual = ruled && rule.method == CM_RULE_DUAL;
    if (ruled && o.similarities)
        cm_usage_error("--similarities contradicts --method, --temperature, --model and --hard");

    struct cm_feed feed;
    cm_try(cm_feed_make(&feed, e));
    if (dual)
        cm_try(cm_reader_keep(e));
    struct cm_table cells;
    cm_try(cm_table_load(t, &cells));
    size_t m = cells.full.rows, k = (uint64_t)o.top < m ? (size_t)o.top : m;
    size_t portion = cm_search_portion(k);
    struct cm_within within = {0};
    cm_within_make(&within, &o.rule, e, t, &cells);
    struct cm_search *search = cm_search_make(&cells.full, within.col);

    double *column_log = dual ? CM_ZNEW(double, m) : NULL;
    float *shift = dual ? CM_NEW(float, m) : NULL;
    if (dual) {
        column_pass(&feed, search, &within, portion, rule.temperature, m, column_log);
        cm_rule_shift(&rule, m, column_log, shift);
    }

    struct cm_head head = {0};
    make_head(&head, cm_reader_head(e), &cells, ruled ? &rule : NULL);
    struct cm_writer *w = cm_out_open(&head);
    cm_writer_max_row(w, k);
    struct cm_rows rows = {0, CM_NEW(uint64_t, portion + 1), CM_NEW(uint32_t, portion * k),
                           CM_NEW(float, portion *k)};
    size_t *count = CM_NEW(size_t, portion);
    uint64_t done = 0, empty = 0;
    int more;
    while ((more = cm_feed_next(&feed, portion)) > 0) {
        rows.n = feed.rows;
        cm_within_rows(&within, feed.label);
        cm_search_rows(search, feed.val, feed.cols, feed.rows, within.row, k, shift, rows.idx,
                       rows.val, count);
        cm_rows_pack(&rows, k, count);
        if (ruled)
            cm_rows_rule(&rows, &rule, column_log, k);
        struct cm_chunk c = cm_feed_chunk(&feed, &rows, m);
        cm_try(cm_writer_chunk(w, &c, cm_reader_head(e)));
        empty += cm_rows_empty(&rows);
        done += rows.n;
        cm_progress(done, head.slot[0].rows, "cells");
    }
    cm_try(more);
    if (empty)
        cm_warn("%" PRIu64 " of %" PRIu64 " cells have no candidate, their rows are empty", empty,
                done);

    cm_search_free(search);
    cm_within_free(&within);
    cm_feed_free(&feed);
    cm_table_free(&cells);
    cm_head_free(&head);
    cm_free(column_log);
    cm_free(shift);
    cm_free(rows.ptr);
    cm_free(rows.idx);
    cm_free(rows.val);
    cm_free(count);
    return cm_finish();
}
