/* transfer - carry labels or values over a match, from its column cells to its row cells.
 *
 * In:  a match in state probability, and a stream of the column cells (any kind that has rows).
 * Out: a table of labels with their shares (text), or with --values expected profiles (a matrix
 *      stream: rows of the match, columns of FROM).
 * Label: the value with the largest sum of p_ij; profile: sum_j p_ij x_j.  See match/transfer.h.
 * Memory: FROM, and one block of the match.
 */
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/values.h"
#include "cli/cli.h"
#include "match/groups.h"
#include "match/labels.h"
#include "match/transfer.h"
#include "stream/wire.h"

static struct {
    const char *labels;
    bool values;
} o;

static const struct cm_opt options[] = {
    CM_OPT_STR("labels", 0, &o.labels, NULL, "A,B",
               "labels to carry (default: all that are not numbers)"),
    CM_OPT_FLAG("values", 0, &o.values, "carry the values: a matrix stream of expected profiles"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "transfer", "MATCH.cms FROM.cms", "carry labels or values over a match", options, 2, 2, 0};

/* Row cells whose candidates are none, or whose profile or label is empty for another reason. */
static size_t rows, empty;

static struct cm_candidates candidates(struct cm_chunk *c, const struct cm_slot *slot)
{
    const float *p = cm_block_f32(&c->block[0], slot);
    struct cm_candidates m = {c->rows, c->block[0].ptr, c->block[0].idx, p};
    for (size_t i = 0; i < c->rows; i++)
        empty += m.ptr[i] == m.ptr[i + 1];
    rows += c->rows;
    return m;
}

/* The row of FROM that is each column cell, or the end of the program. */
static uint32_t *find_columns(const struct cm_reader *match, const char *from,
                              const struct cm_index *at)
{
    const struct cm_strs *names = &cm_reader_head(match)->slot[0].cols.names;
    uint32_t *row = CM_NEW(names->n, uint32_t);
    size_t missing = 0, first = 0;
    for (size_t j = 0; j < names->n; j++) {
        size_t k = cm_index_find(at, cm_strs_get(names, j));
        row[j] = (uint32_t)k;
        if (k == CM_ABSENT && missing++ == 0)
            first = j;
    }
    if (missing)
        cm_die(3,
               "%s: %zu of the %zu column cells of %s are missing, the first of them '%s'; FROM "
               "must hold the cells of the match's columns",
               from, missing, names->n, cm_reader_path(match), cm_strs_get(names, first));
    return row;
}

/* ===== labels =============================================================================== */

struct carried {
    const char *name;
    struct cm_label_values values;
    uint32_t *code; /* of each column cell */
};

/* With --labels those, numbers too; a label that FROM lacks ends the program. */
static bool *choose_names(const struct cm_head *h, const char *path)
{
    bool *take = CM_ZNEW(h->nlabels, bool);
    struct cm_values list = {0};
    cm_values_make(&list, o.labels ? o.labels : "");
    for (size_t l = 0; l < h->nlabels; l++)
        take[l] = o.labels ? cm_values_find(&list, h->label[l].name) != CM_ABSENT
                           : h->label[l].type != CM_T_F64 && h->label[l].type != CM_T_I64;
    struct cm_buf missing = {0}, found = {0};
    if (o.labels && cm_values_missing(&list, &missing)) {
        for (size_t l = 0; l < h->nlabels; l++)
            cm_buf_printf(&found, "%s%s", l ? ", " : "", h->label[l].name);
        cm_die(3, "%s: no label %s; labels here: %s", path, (const char *)missing.p,
               h->nlabels ? (const char *)found.p : "none");
    }
    cm_buf_free(&missing);
    cm_values_free(&list);
    return take;
}

static size_t choose_labels(const struct cm_labels *from, const char *path, const uint32_t *row,
                            size_t columns, struct carried *out)
{
    size_t n = 0;
    bool *take = choose_names(&from->head, path);
    for (size_t l = 0; l < from->head.nlabels; l++) {
        const struct cm_label *label = &from->head.label[l];
        if (!take[l])
            continue;
        struct carried *x = &out[n++];
        struct cm_strs text = {0};
        cm_vec_text(&from->label[l], &label->dict, &text);
        cm_label_values_make(&x->values, &text);
        cm_strs_free(&text);
        x->name = label->name;
        x->code = CM_NEW(columns, uint32_t);
        for (size_t j = 0; j < columns; j++)
            x->code[j] = x->values.code[row[j]];
    }
    cm_free(take);
    if (n == 0)
        cm_die(3, "%s: no label to carry: it has %s", path,
               from->head.nlabels ? "numbers alone; name them with --labels" : "none");
    return n;
}

static void put_header(const struct carried *x, size_t n, FILE *out)
{
    struct cm_buf b = {0};
    cm_buf_puts(&b, "cell");
    for (size_t k = 0; k < n; k++) {
        static const char *const column[] = {"", "_confidence", "_second", "_second_confidence"};
        for (size_t c = 0; c < 4; c++) {
            cm_buf_puts(&b, "\t");
            cm_escape(&b, x[k].name);
            cm_buf_puts(&b, column[c]);
        }
    }
    cm_buf_puts(&b, "\n");
    fwrite(b.p, 1, b.n, out);
    cm_buf_free(&b);
}

static void put_value(struct cm_buf *b, const struct carried *x, uint32_t code, double share)
{
    char text[CM_NUMBER_MAX];
    cm_buf_puts(b, "\t");
    if (code != CM_CAT_MISSING)
        cm_escape(b, cm_strs_get(&x->values.text, code));
    cm_buf_printf(b, "\t%s", cm_format_f32((float)share, text));
}

static void put_rows(const struct cm_chunk *c, const struct carried *x, size_t n,
                     struct cm_vote *const *votes, FILE *out)
{
    struct cm_buf b = {0};
    for (size_t i = 0; i < c->rows; i++) {
        cm_escape(&b, cm_strs_get(&c->names, i));
        for (size_t k = 0; k < n; k++) {
            put_value(&b, &x[k], votes[k][i].first, votes[k][i].first_share);
            put_value(&b, &x[k], votes[k][i].second, votes[k][i].second_share);
        }
        cm_buf_puts(&b, "\n");
    }
    fwrite(b.p, 1, b.n, out);
    cm_buf_free(&b);
}

static void carry_labels(struct cm_reader *match, struct cm_reader *r)
{
    struct cm_labels from;
    cm_try(cm_labels_load(&from, r));
    size_t columns = cm_reader_head(match)->slot[0].cols.names.n;
    uint32_t *row = find_columns(match, cm_reader_path(r), &from.at);
    struct carried *x = CM_ZNEW(from.head.nlabels, struct carried);
    size_t n = choose_labels(&from, cm_reader_path(r), row, columns, x);
    struct cm_vote **votes = CM_ZNEW(n, struct cm_vote *);

    FILE *out = cm_out_text();
    put_header(x, n, out);
    struct cm_chunk c = {0};
    while (cm_next(match, &c)) {
        struct cm_candidates m = candidates(&c, &cm_reader_head(match)->slot[0]);
        for (size_t k = 0; k < n; k++) {
            votes[k] = cm_realloc(votes[k], c.rows, sizeof **votes);
            cm_transfer_votes(&m, x[k].code, x[k].values.text.n, votes[k]);
        }
        put_rows(&c, x, n, votes, out);
    }
    cm_chunk_free(&c);
    for (size_t k = 0; k < n; k++) {
        cm_free(votes[k]);
        cm_free(x[k].code);
        cm_label_values_free(&x[k].values);
    }
    cm_free(votes);
    cm_free(x);
    cm_free(row);
    cm_labels_free(&from);
}

/* ===== values =============================================================================== */

/* The head of the match's rows with the slot of FROM; what counts are expected is no count. */
static void make_head(struct cm_head *to, const struct cm_head *match, const struct cm_head *from)
{
    cm_head_copy(to, match);
    to->kind = CM_MATRIX;
    cm_slot_copy(&to->slot[0], &from->slot[0]);
    to->slot[0].rows = match->slot[0].rows;
    to->slot[0].lazy = CM_LAZY_NO;
    to->slot[0].wide = false;
    if (from->slot[0].state == CM_S_COUNTS || from->slot[0].state == CM_S_BINARY)
        to->slot[0].state = CM_S_UNKNOWN;
    cm_kv_free(&to->kv); /* the match's rule */
}

static void carry_values(struct cm_reader *match, struct cm_reader *r)
{
    struct cm_table from = {0};
    struct cm_index at;
    struct cm_head head = {0};
    enum cm_kind kind = cm_reader_head(r)->kind;
    if (kind != CM_MATRIX && kind != CM_EMBEDDING)
        cm_die(3, "%s: expected a stream of kind matrix or embedding, found kind %s",
               cm_reader_path(r), cm_kind_name(kind));
    cm_try(cm_table_load(r, &from));
    cm_index_make(&at, &from.names);
    if (at.duplicate != CM_ABSENT)
        cm_die(3, "%s: the name '%s' occurs twice", cm_reader_path(r),
               cm_strs_get(&from.names, at.duplicate));
    uint32_t *row = find_columns(match, cm_reader_path(r), &at);
    make_head(&head, cm_reader_head(match), &from.head);
    struct cm_writer *w = cm_out_open(&head);
    struct cm_chunk c = {0};
    struct cm_block result = {0};
    while (cm_next(match, &c)) {
        struct cm_candidates m = candidates(&c, &cm_reader_head(match)->slot[0]);
        cm_transfer_values(&m, row, &from, &result);
        struct cm_block mine = c.block[0];
        c.block[0] = result;
        cm_try(cm_writer_chunk(w, &c, cm_reader_head(match)));
        result = c.block[0];
        c.block[0] = mine;
        cm_progress(rows, cm_reader_head(match)->slot[0].rows, "cells");
    }
    cm_block_free(&result);
    cm_chunk_free(&c);
    cm_head_free(&head);
    cm_free(row);
    cm_index_free(&at);
    cm_table_free(&from);
}

int main(int argc, char **argv)
{
    static const int welcome[] = {CM_S_PROBABILITY, -1};
    char **in = cm_start(&tool, argc, argv);
    if (o.labels && o.values)
        cm_usage_error("--labels contradicts --values");
    struct cm_reader *match = cm_in_open(in[0]);
    cm_require_kind(match, CM_MATCH);
    cm_require_state(match, 0, welcome, "assign makes probabilities of similarities");
    struct cm_reader *from = cm_in_open(in[1]);
    if (o.values)
        carry_values(match, from);
    else
        carry_labels(match, from);
    if (empty)
        cm_warn("%s: %zu of %zu cells have no candidate; they get nothing", cm_reader_path(match),
                empty, rows);
    return cm_finish();
}
