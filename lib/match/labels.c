/* match/labels.c - labels of both sides of a match.  See labels.h. */
#include "match/labels.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "match/groups.h"

int cm_labels_load(struct cm_labels *x, struct cm_reader *r)
{
    const struct cm_head *h = cm_reader_head(r);
    *x = (struct cm_labels){0};
    x->label = CM_ZNEW(h->nlabels, struct cm_vec);
    for (size_t l = 0; l < h->nlabels; l++)
        cm_vec_reset(&x->label[l], h->label[l].name, h->label[l].type, 0);
    struct cm_chunk c = {0};
    int more;
    while ((more = cm_reader_next(r, &c)) > 0) {
        if (c.is_pick || c.is_tensor)
            continue;
        for (size_t i = 0; i < c.rows; i++)
            cm_strs_add(&x->names, cm_strs_get(&c.names, i));
        for (size_t l = 0; l < h->nlabels; l++)
            cm_vec_append(&x->label[l], &c.label[l]);
    }
    cm_chunk_free(&c);
    cm_head_copy(&x->head, h); /* after END: all categories are known */
    cm_index_make(&x->at, &x->names);
    if (more == 0 && x->at.duplicate != CM_ABSENT)
        more = cm_fail(CM_EINPUT, "%s: the name '%s' occurs twice", cm_reader_path(r),
                       cm_strs_get(&x->names, x->at.duplicate));
    if (more < 0)
        cm_labels_free(x);
    return more;
}

size_t cm_labels_found(const struct cm_labels *x, const struct cm_strs *names)
{
    size_t found = 0;
    for (size_t i = 0; i < names->n; i++)
        found += cm_index_find(&x->at, cm_strs_get(names, i)) != CM_ABSENT;
    return found;
}

void cm_labels_free(struct cm_labels *x)
{
    for (size_t l = 0; l < x->head.nlabels; l++)
        cm_vec_free(&x->label[l]);
    cm_free(x->label);
    cm_strs_free(&x->names);
    cm_index_free(&x->at);
    cm_head_free(&x->head);
    *x = (struct cm_labels){0};
}

/* The texts of a label for the cells called `names`; false (and nothing) if it is not there. */
static bool from_stream(const struct cm_labels *x, const char *label, const struct cm_strs *names,
                        struct cm_strs *out)
{
    int l = x ? cm_head_find_label(&x->head, label) : -1;
    if (l < 0)
        return false;
    struct cm_strs all = {0};
    cm_vec_text(&x->label[l], &x->head.label[l].dict, &all);
    for (size_t i = 0; i < names->n; i++) {
        size_t at = cm_index_find(&x->at, cm_strs_get(names, i));
        cm_strs_add(out, at == CM_ABSENT ? "" : cm_strs_get(&all, at));
    }
    cm_strs_free(&all);
    return true;
}

static bool from_rows(const struct cm_table *match, const char *label, struct cm_strs *out)
{
    int l = cm_head_find_label(&match->head, label);
    if (l >= 0)
        cm_vec_text(&match->label[l], &match->head.label[l].dict, out);
    return l >= 0;
}

static bool from_columns(const struct cm_table *match, const char *label, struct cm_strs *out)
{
    const struct cm_vec *v = cm_cols_find(&match->head.slot[0].cols, label);
    if (v)
        cm_vec_text(v, NULL, out);
    return v != NULL;
}

/* What is known of one side's n cells (own may be empty), the rest as their true partners have it.
 *  */
static void complete(const struct cm_strs *own, const struct cm_strs *other,
                     const uint32_t *partner, size_t n, struct cm_strs *out)
{
    for (size_t i = 0; i < n; i++) {
        const char *text = own->n ? cm_strs_get(own, i) : "";
        bool ask = !*text && other->n && partner[i] != CM_UNPAIRED;
        cm_strs_add(out, ask ? cm_strs_get(other, partner[i]) : text);
    }
}

struct cm_codes cm_match_codes(const struct cm_table *match, const struct cm_pairs *truth,
                               const struct cm_labels *extra, const char *label)
{
    struct cm_codes c = {0};
    struct cm_strs row = {0}, col = {0}, rows = {0}, cols = {0};
    bool known = from_stream(extra, label, &match->names, &row);
    if (known) {
        from_stream(extra, label, &match->head.slot[0].cols.names, &col);
    } else {
        known = from_rows(match, label, &row);
        known = from_columns(match, label, &col) || known;
    }
    if (known) {
        complete(&row, &col, truth->col_of_row, truth->rows, &rows);
        complete(&col, &row, truth->row_of_col, truth->cols, &cols);
        struct cm_groups groups;
        cm_groups_make(&groups, &cols);
        c = (struct cm_codes){CM_NEW(truth->rows, uint32_t), CM_NEW(truth->cols, uint32_t),
                              groups.n};
        cm_groups_codes(&groups, &rows, c.row);
        cm_groups_codes(&groups, &cols, c.col);
        cm_groups_free(&groups);
    }
    cm_strs_free(&row);
    cm_strs_free(&col);
    cm_strs_free(&rows);
    cm_strs_free(&cols);
    return c;
}

void cm_codes_free(struct cm_codes *c)
{
    cm_free(c->row);
    cm_free(c->col);
    *c = (struct cm_codes){0};
}

int cm_rows_by_name(const struct cm_table *t, const struct cm_strs *names, struct cm_dense *out)
{
    CM_ASSERT(t->dense);
    struct cm_index at;
    cm_index_make(&at, &t->names);
    bool same = cm_strs_equal(&t->names, names);
    int code = 0;
    *out = cm_dense_make(names->n, t->full.cols);
    if (!same && at.duplicate != CM_ABSENT)
        code =
            cm_fail(CM_EINPUT, "the name '%s' occurs twice", cm_strs_get(&t->names, at.duplicate));
    for (size_t i = 0; i < names->n && code == 0; i++) {
        size_t k = same ? i : cm_index_find(&at, cm_strs_get(names, i));
        if (k == CM_ABSENT)
            code = cm_fail(CM_EINPUT, "the match's cell '%s' is missing", cm_strs_get(names, i));
        else
            memcpy(out->v + i * out->ld, t->full.v + k * t->full.ld, out->cols * sizeof *out->v);
    }
    cm_index_free(&at);
    if (code < 0)
        cm_dense_free(out);
    return code;
}
