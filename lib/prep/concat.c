/* prep/concat.c - rows and columns of several streams, one stream after the other. */
#include "prep/concat.h"

#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/lines.h"
#include "base/mem.h"
#include "base/pool.h"

/* ===== names ============================================================================== */

static void finish_names(struct cm_names *l)
{
    cm_index_make(&l->index, &l->names);
    l->seen = CM_ZNEW(l->names.n + 1, bool);
}

int cm_names_read(struct cm_names *l, const char *path)
{
    struct cm_lines lines = {0};
    int code = cm_lines_read(&lines, path);
    if (code)
        return code;
    for (size_t k = 0; k < lines.n; k++) {
        char *rest = lines.line[k];
        const char *name = cm_lines_field(&rest, '\n');
        if (*name)
            cm_strs_add(&l->names, name);
    }
    cm_lines_free(&lines);
    finish_names(l);
    return 0;
}

int cm_names_read_pairs(struct cm_names *l, struct cm_strs *to, const char *path)
{
    struct cm_lines lines = {0};
    int code = cm_lines_read(&lines, path);
    for (size_t k = 0; !code && k < lines.n; k++) {
        char *rest = lines.line[k];
        if (!*rest)
            continue;
        const char *old = cm_lines_field(&rest, '\t'), *name = cm_lines_field(&rest, '\t');
        if (!*old || !name || !*name || rest) {
            code = cm_fail(CM_EINPUT, "%s: line %zu: expected old and new name, separated by a tab",
                           path, k + 1);
            break;
        }
        cm_strs_add(&l->names, old);
        cm_strs_add(to, name);
    }
    cm_lines_free(&lines);
    finish_names(l);
    if (!code && l->index.duplicate != CM_ABSENT)
        code = cm_fail(CM_EINPUT, "%s: '%s' occurs twice", path,
                       cm_strs_get(&l->names, l->index.duplicate));
    return code;
}

size_t cm_names_unseen(const struct cm_names *l, size_t *all, size_t *first)
{
    size_t missing = 0;
    *all = 0;
    *first = CM_ABSENT;
    for (size_t k = 0; k < l->names.n; k++) {
        if (cm_index_find(&l->index, cm_strs_get(&l->names, k)) != k)
            continue;
        ++*all;
        missing += !l->seen[k];
        *first = *first == CM_ABSENT && !l->seen[k] ? k : *first;
    }
    return missing;
}

void cm_names_free(struct cm_names *l)
{
    if (l->seen)
        cm_index_free(&l->index);
    cm_strs_free(&l->names);
    cm_free(l->seen);
}

/* Position of the name, which counts as met, or CM_ABSENT. */
static size_t meet(struct cm_names *l, const char *name)
{
    size_t at = cm_index_find(&l->index, name);
    if (at != CM_ABSENT)
        l->seen[at] = true;
    return at;
}

/* ===== opening ============================================================================ */

int cm_concat_shard(struct cm_selection *want, struct cm_reader *const *r, size_t inputs,
                    uint64_t part, uint64_t n)
{
    uint64_t all = 0;
    int code = 0;
    for (size_t k = 0; k < inputs && !code; k++) {
        uint64_t rows = cm_reader_head(r[k])->slot[0].rows;
        if (!rows) {
            code = cm_reader_keep(r[k]);
            code = code ? code : cm_reader_drain(r[k]);
            rows = cm_reader_rows(r[k], 0);
            code = code ? code : cm_reader_rewind(r[k]);
        }
        all += rows;
    }
    want->from = cm_shard_begin(all, n, part - 1);
    want->to = cm_shard_begin(all, n, part);
    return code;
}

/* The columns of one slot that the list names, in its order; found: names met in any slot. */
static void select_of_slot(struct cm_concat_input *in, size_t slot, const struct cm_names *l,
                           bool *found)
{
    const struct cm_strs *names = &in->h->slot[slot].cols.names;
    struct cm_index x;
    cm_index_make(&x, names);
    in->map[slot] = CM_NEW(names->n + 1, uint32_t);
    memset(in->map[slot], 0xff, names->n * sizeof(uint32_t));
    uint64_t *at = CM_NEW(l->names.n + 1, uint64_t);
    size_t n = 0;
    for (size_t j = 0; j < l->names.n; j++) {
        size_t c = cm_index_find(&x, cm_strs_get(&l->names, j));
        if (c == CM_ABSENT)
            continue;
        found[j] = true;
        in->map[slot][c] = (uint32_t)n;
        at[n++] = c;
    }
    cm_cols_select(&in->shown.slot[slot].cols, at, n);
    cm_index_free(&x);
    cm_free(at);
}

/* In every slot of the input; a name that is in none of them is an error. */
static int select_columns(struct cm_concat_input *in, const struct cm_names *l, const char *path)
{
    if (l->index.duplicate != CM_ABSENT)
        return cm_fail(CM_EINPUT, "%s: '%s' occurs twice", path,
                       cm_strs_get(&l->names, l->index.duplicate));
    if (in->h->kind == CM_MATCH && in->h->slot[0].state == CM_S_PROBABILITY)
        return cm_fail(CM_EINPUT,
                       "%s: rows of match probabilities must sum to 1, columns cannot be taken out",
                       cm_reader_path(in->r));
    bool *found = CM_ZNEW(l->names.n + 1, bool);
    int code = 0;
    for (size_t k = 0; k < in->h->nslots && !code; k++) {
        code = cm_cols_unique(&in->h->slot[k].cols, cm_reader_path(in->r));
        if (!code)
            select_of_slot(in, k, l, found);
    }
    for (size_t j = 0; j < l->names.n && !code; j++)
        if (!found[j])
            code = cm_fail(CM_EINPUT, "%s: no column '%s' (of %s)", cm_reader_path(in->r),
                           cm_strs_get(&l->names, j), path);
    cm_free(found);
    return code;
}

static int bind(struct cm_where **to, const char *const *text, size_t n,
                const struct cm_concat_input *in)
{
    *to = CM_ZNEW(n + 1, struct cm_where);
    for (size_t k = 0; k < n; k++) {
        int code = cm_where_parse(&(*to)[k], text[k]);
        if (!code)
            code = cm_fail_in(cm_where_bind(&(*to)[k], in->h), cm_reader_path(in->r));
        if (code)
            return code;
    }
    return 0;
}

static int open_input(struct cm_concat_input *in, struct cm_reader *r,
                      const struct cm_selection *want)
{
    in->r = r;
    in->h = cm_reader_head(r);
    if (in->h->kind == CM_PAIRS || in->h->kind == CM_MODEL || in->h->kind == CM_TABLE ||
        !in->h->nslots)
        return cm_fail(CM_EINPUT, "%s: expected a matrix, an embedding or a match, found kind %s",
                       cm_reader_path(r), cm_kind_name(in->h->kind));
    cm_head_copy(&in->shown, in->h);
    int code = want->columns ? select_columns(in, want->columns, want->columns_path) : 0;
    code = code ? code : bind(&in->where, want->where, want->nwhere, in);
    return code ? code : bind(&in->except, want->except, want->nexcept, in);
}

int cm_concat_open(struct cm_concat *x, struct cm_reader *const *r, size_t n,
                   const struct cm_selection *want)
{
    const struct cm_head **shown = CM_NEW(n, const struct cm_head *);
    const char **path = CM_NEW(n, const char *);
    int code = 0;
    x->want = *want;
    x->n = n;
    x->input = CM_ZNEW(n, struct cm_concat_input);
    for (size_t k = 0; k < n && !code; k++) {
        code = open_input(&x->input[k], r[k], want);
        shown[k] = &x->input[k].shown;
        path[k] = cm_reader_path(r[k]);
    }
    code = code ? code : cm_join_heads(&x->out, shown, path, n);
    bool whole =
        !want->from && want->to == UINT64_MAX && !want->names && !want->nwhere && !want->nexcept;
    for (size_t k = 0; k < x->out.nslots && !code; k++) {
        if (!whole)
            x->out.slot[k].rows = 0;
        if (want->materialize)
            x->out.slot[k].lazy = CM_LAZY_NO;
    }
    cm_free(shown);
    cm_free(path);
    return code;
}

void cm_concat_free(struct cm_concat *x)
{
    for (size_t k = 0; k < x->n; k++) {
        struct cm_concat_input *in = &x->input[k];
        for (size_t s = 0; s < CM_MAX_SLOTS; s++)
            cm_free(in->map[s]);
        for (size_t j = 0; in->where && j < x->want.nwhere; j++)
            cm_where_free(&in->where[j]);
        for (size_t j = 0; in->except && j < x->want.nexcept; j++)
            cm_where_free(&in->except[j]);
        cm_free(in->where);
        cm_free(in->except);
        cm_head_free(&in->shown);
    }
    cm_free(x->input);
    cm_head_free(&x->out);
    cm_strs_free(&x->tensors.names);
    cm_index_free(&x->tensors.index);
    cm_free(x->tensors.hash);
}

/* ===== rows =============================================================================== */

static bool is_kept(const struct cm_concat *x, const struct cm_concat_input *in,
                    const struct cm_chunk *c, size_t i)
{
    const struct cm_selection *want = &x->want;
    bool keep = x->row + i >= want->from && x->row + i < want->to;
    for (size_t k = 0; k < want->nwhere; k++) /* all are asked: they remember what they met */
        keep &= cm_where_row(&in->where[k], in->h, c, i);
    for (size_t k = 0; k < want->nexcept; k++)
        keep &= !cm_where_row(&in->except[k], in->h, c, i);
    return keep && (!want->names || meet(want->names, cm_strs_get(&c->names, i)) != CM_ABSENT);
}

/* Rows that the list does not name keep their names. */
static void rename_rows(const struct cm_selection *want, struct cm_strs *names)
{
    struct cm_strs out = {0};
    for (size_t i = 0; i < names->n; i++) {
        const char *name = cm_strs_get(names, i);
        size_t at = meet(want->rename, name);
        cm_strs_add(&out, at == CM_ABSENT ? name : cm_strs_get(want->new_names, at));
    }
    cm_strs_free(names);
    *names = out;
}

static void select_rows(struct cm_concat *x, const struct cm_concat_input *in, struct cm_chunk *c)
{
    uint64_t *at = CM_NEW(c->rows + 1, uint64_t);
    size_t n = 0, rows = c->rows;
    for (size_t i = 0; i < rows; i++)
        if (is_kept(x, in, c, i))
            at[n++] = i;
    if (n < rows)
        cm_chunk_take(c, at, n);
    cm_free(at);
    x->as_read = n == rows && !x->want.columns && !x->want.materialize;
    x->row += rows;
    x->kept += n;
}

/* Tensors (the components of svd) come once: an input that has another one of that name does not
 * belong to the same fit.  1 if this one is new. */
static int take_tensor(struct cm_concat *x, const struct cm_concat_input *in,
                       const struct cm_tensor *t)
{
    uint64_t hash = cm_hash64(t->data, (size_t)t->n * cm_value_size(t->type), t->n);
    cm_index_extend(&x->tensors.index, &x->tensors.names);
    size_t k = cm_index_find(&x->tensors.index, t->name);
    if (k != CM_ABSENT)
        return x->tensors.hash[k] == hash
                   ? 0
                   : cm_fail(CM_EINPUT, "%s: tensor %s differs from that of an input before",
                             cm_reader_path(in->r), t->name);
    CM_GROW(x->tensors.hash, x->tensors.capacity, x->tensors.names.n + 1);
    x->tensors.hash[x->tensors.names.n] = hash;
    cm_strs_add(&x->tensors.names, t->name);
    return 1;
}

int cm_concat_next(struct cm_concat *x, struct cm_chunk *c)
{
    int rc = 0;
    while (x->at < x->n) {
        struct cm_concat_input *in = &x->input[x->at];
        if ((rc = cm_reader_next(in->r, c)) < 0)
            return rc;
        if (rc == 0) {
            x->at++;
            continue;
        }
        if (c->is_tensor) {
            if ((rc = take_tensor(x, in, c->tensor)))
                return rc;
            continue;
        }
        select_rows(x, in, c);
        for (size_t k = 0; x->want.columns && k < in->h->nslots; k++)
            cm_block_map_columns(&c->block[k], in->map[k], in->shown.slot[k].cols.names.n);
        if (x->want.rename)
            rename_rows(&x->want, &c->names);
        for (size_t k = 0; x->want.materialize && k < x->out.nslots; k++)
            cm_block_materialize(&c->block[k], &in->shown.slot[k]);
        cm_join_labels(c, in->h, &x->out);
        return 1;
    }
    return 0;
}

struct cm_where *cm_concat_condition(struct cm_concat *x, size_t k, bool except)
{
    struct cm_where *w = except ? &x->input[0].except[k] : &x->input[0].where[k];
    for (size_t j = 1; j < x->n; j++) {
        const struct cm_where *other = except ? &x->input[j].except[k] : &x->input[j].where[k];
        for (size_t p = 0; p < w->values->part.n && p < other->values->part.n; p++)
            w->values->seen[p] |= other->values->seen[p];
    }
    return w;
}
