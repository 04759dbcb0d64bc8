/* stream/diff.c - comparing two streams row by row; see diff.h.
 *
 * Each side is a cursor over its rows, whatever its blocks; picks and tensors are steps of their
 * own.  A row's entries are merged by column; an entry that one side does not store is 0 there.
 * Values of lazy slots are compared as the f32 that readers get, so that a lazy stream equals its
 * materialized form.
 */
#include "stream/diff.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

struct side {
    struct cm_reader *r;
    const struct cm_head *h;
    struct cm_chunk c;
    size_t row;  /* within the chunk */
    uint64_t at; /* rows passed */
    bool ended;
    const float *f32[CM_MAX_SLOTS]; /* of the chunk: one of the two per slot */
    const double *f64[CM_MAX_SLOTS];
};

static void note(struct cm_diff *d, const char *format, ...) CM_PRINTF(2, 3);
static void note(struct cm_diff *d, const char *format, ...)
{
    va_list ap;
    va_start(ap, format);
    if (!*d->first)
        vsnprintf(d->first, sizeof d->first, format, ap);
    va_end(ap);
}

static bool equal(struct cm_diff *d, double a, double b)
{
    if (a == b || (a != a && b != b))
        return true;
    double gap = fabs(a - b);
    d->largest = fmax(d->largest, gap);
    return gap <= d->tolerance * fmax(1, fmax(fabs(a), fabs(b)));
}

/* ===== heads ============================================================================== */

static void diff_texts(struct cm_diff *d, const char *what, const char *key, const char *a,
                       const char *b)
{
    double x, y;
    if (!a || !b)
        note(d, "%s%s: %s has it, %s has not", what, key, a ? "the first" : "the second",
             a ? "the second" : "the first");
    else if (strcmp(a, b) && !(cm_parse_f64(a, &x) && cm_parse_f64(b, &y) && equal(d, x, y)))
        note(d, "%s%s: %s and %s", what, key, a, b);
}

static void diff_keys(struct cm_diff *d, const char *what, const struct cm_kv *a,
                      const struct cm_kv *b)
{
    for (size_t k = 0; k < a->key.n; k++) {
        const char *key = cm_strs_get(&a->key, k);
        diff_texts(d, what, key, cm_strs_get(&a->value, k), cm_kv_get(b, key));
    }
    for (size_t k = 0; k < b->key.n; k++) {
        const char *key = cm_strs_get(&b->key, k);
        if (!cm_kv_get(a, key))
            diff_texts(d, what, key, NULL, cm_strs_get(&b->value, k));
    }
}

/* Item i of a vector as text. */
static const char *item(const struct cm_vec *v, const struct cm_dict *dict, size_t i, char *buf)
{
    switch (v->type) {
    case CM_T_CAT:
        return v->cat[i] == CM_CAT_MISSING ? "(missing)" : cm_strs_get(&dict->names, v->cat[i]);
    case CM_T_BOOL:
        return v->b[i] == CM_BOOL_MISSING ? "(missing)" : v->b[i] ? "true" : "false";
    case CM_T_I64:
        snprintf(buf, CM_NUMBER_MAX, "%" PRId64, v->i[i]);
        return v->i[i] == CM_I64_MISSING ? "(missing)" : buf;
    case CM_T_F64:
        return v->f[i] != v->f[i] ? "(missing)" : cm_format_f64(v->f[i], buf);
    case CM_T_STR:
        break;
    }
    return cm_strs_get(&v->s, i);
}

static bool same_item(struct cm_diff *d, const struct cm_vec *a, const struct cm_dict *da, size_t i,
                      const struct cm_vec *b, const struct cm_dict *db, size_t j)
{
    char x[CM_NUMBER_MAX], y[CM_NUMBER_MAX];
    if (a->type == CM_T_F64 && b->type == CM_T_F64)
        return equal(d, a->f[i], b->f[j]);
    return !strcmp(item(a, da, i, x), item(b, db, j, y));
}

static void diff_columns(struct cm_diff *d, const struct cm_slot *a, const struct cm_slot *b)
{
    char x[CM_NUMBER_MAX], y[CM_NUMBER_MAX];
    const struct cm_cols *p = &a->cols, *q = &b->cols;
    for (size_t j = 0; j < p->names.n; j++)
        if (strcmp(cm_strs_get(&p->names, j), cm_strs_get(&q->names, j))) {
            note(d, "slot %s, column %zu: named %s and %s", a->name, j, cm_strs_get(&p->names, j),
                 cm_strs_get(&q->names, j));
            return;
        }
    for (size_t k = 0; k < q->nvec; k++)
        if (!cm_cols_find(p, q->vec[k].name))
            note(d, "slot %s: the second has a column table with %s, the first has not", a->name,
                 q->vec[k].name);
    for (size_t k = 0; k < p->nvec; k++) {
        const struct cm_vec *v = &p->vec[k], *w = cm_cols_find(q, v->name);
        if (!w) {
            note(d, "slot %s: the first has a column table with %s, the second has not", a->name,
                 v->name);
            continue;
        }
        for (size_t j = 0; j < p->names.n; j++)
            if (!same_item(d, v, NULL, j, w, NULL, j)) {
                note(d, "slot %s, column %zu (%s): %s is %s and %s", a->name, j,
                     cm_strs_get(&p->names, j), v->name, item(v, NULL, j, x), item(w, NULL, j, y));
                break;
            }
    }
}

/* True if the rows can be compared at all. */
static bool diff_heads(struct cm_diff *d, const struct cm_head *a, const struct cm_head *b)
{
    if (a->kind != b->kind) {
        note(d, "kind: %s and %s", cm_kind_name(a->kind), cm_kind_name(b->kind));
        return false;
    }
    if (a->nslots != b->nslots) {
        note(d, "slots: %zu and %zu", a->nslots, b->nslots);
        return false;
    }
    bool same_shape = true;
    for (size_t k = 0; k < a->nslots; k++) {
        const struct cm_slot *s = &a->slot[k], *t = &b->slot[k];
        if (!d->ignore_names && strcmp(s->name, t->name))
            note(d, "slot %zu: named %s and %s", k, s->name, t->name);
        if (s->state != t->state)
            note(d, "slot %s: state %s and %s", s->name, cm_state_name(s->state),
                 cm_state_name(t->state));
        if (s->cols.names.n != t->cols.names.n) {
            note(d, "slot %s: %zu and %zu columns", s->name, s->cols.names.n, t->cols.names.n);
            same_shape = false;
        } else if (!d->ignore_names) {
            diff_columns(d, s, t);
            diff_keys(d, s->name, &s->fit, &t->fit);
        }
    }
    if (d->ignore_names)
        return same_shape;
    diff_keys(d, "key ", &a->kv, &b->kv);
    for (size_t k = 0; k < a->nlabels; k++)
        if (cm_head_match_label(b, &a->label[k], k) < 0)
            note(d, "label %s: the first has it, the second has not", a->label[k].name);
    for (size_t k = 0; k < b->nlabels; k++)
        if (cm_head_match_label(a, &b->label[k], k) < 0)
            note(d, "label %s: the second has it, the first has not", b->label[k].name);
    return same_shape;
}

/* ===== rows =============================================================================== */

/* Makes the cursor stand on a row, a pick or a tensor; 1, 0 at END, < 0. */
static int stand(struct side *s)
{
    while (!s->ended && s->row >= s->c.rows && !s->c.is_pick && !s->c.is_tensor) {
        int rc = cm_reader_next(s->r, &s->c);
        if (rc < 0)
            return rc;
        s->ended = rc == 0;
        s->row = 0;
        for (size_t k = 0; rc && s->c.rows && k < s->h->nslots; k++) {
            bool lazy = s->h->slot[k].lazy != CM_LAZY_NO;
            s->f32[k] = lazy ? cm_block_f32(&s->c.block[k], &s->h->slot[k]) : NULL;
            s->f64[k] = lazy ? NULL : cm_block_f64(&s->c.block[k], &s->h->slot[k]);
        }
    }
    return !s->ended;
}

/* Entries of a row in ascending columns. */
struct walk {
    const struct cm_block *b;
    const float *f32;
    const double *f64;
    uint64_t e, end, begin;
};

static struct walk walk_row(const struct side *s, size_t slot)
{
    const struct cm_block *b = &s->c.block[slot];
    struct walk w = {b, s->f32[slot], s->f64[slot], 0, 0, 0};
    w.begin = w.e = b->dense ? s->row * b->cols : b->ptr[s->row];
    w.end = b->dense ? w.e + b->cols : b->ptr[s->row + 1];
    return w;
}

static size_t column(const struct walk *w)
{
    return w->e == w->end ? SIZE_MAX : w->b->dense ? (size_t)(w->e - w->begin) : w->b->idx[w->e];
}

static double value(const struct walk *w) { return w->f32 ? (double)w->f32[w->e] : w->f64[w->e]; }

static bool diff_values(struct cm_diff *d, const struct side *a, const struct side *b, size_t slot)
{
    struct walk x = walk_row(a, slot), y = walk_row(b, slot);
    bool same = true;
    for (;;) {
        size_t i = column(&x), j = column(&y), at = i < j ? i : j;
        if (at == SIZE_MAX)
            return same;
        double p = i == at ? value(&x) : 0, q = j == at ? value(&y) : 0;
        x.e += i == at;
        y.e += j == at;
        d->values++;
        if (equal(d, p, q))
            continue;
        char t[CM_NUMBER_MAX], u[CM_NUMBER_MAX];
        d->different++;
        same = false;
        note(d, "slot %s, row %" PRIu64 " (%s), column %zu (%s): %s and %s", a->h->slot[slot].name,
             a->at, cm_strs_get(&a->c.names, a->row), at,
             cm_strs_get(&a->h->slot[slot].cols.names, at), cm_format_f64(p, t),
             cm_format_f64(q, u));
    }
}

static bool diff_row_names(struct cm_diff *d, const struct side *a, const struct side *b)
{
    char t[CM_NUMBER_MAX], u[CM_NUMBER_MAX];
    const char *name = cm_strs_get(&a->c.names, a->row), *other = cm_strs_get(&b->c.names, b->row);
    if (strcmp(name, other)) {
        note(d, "row %" PRIu64 ": named %s and %s", a->at, name, other);
        return false;
    }
    for (size_t k = 0; k < a->h->nlabels; k++) {
        const struct cm_label *l = &a->h->label[k];
        int at = cm_head_match_label(b->h, l, k);
        if (at < 0)
            continue;
        const struct cm_vec *v = &a->c.label[k], *w = &b->c.label[at];
        const struct cm_dict *other_dict = &b->h->label[at].dict;
        if (!same_item(d, v, &l->dict, a->row, w, other_dict, b->row)) {
            note(d, "row %" PRIu64 " (%s), label %s: %s and %s", a->at, name, l->name,
                 item(v, &l->dict, a->row, t), item(w, other_dict, b->row, u));
            return false;
        }
    }
    return true;
}

static void diff_rows(struct cm_diff *d, struct side *a, struct side *b)
{
    const struct cm_batch *p = &a->c.batch, *q = &b->c.batch;
    bool same = true;
    if (a->h->kind == CM_PAIRS &&
        (p->epoch != q->epoch || p->split != q->split || (p->epoch && p->step != q->step))) {
        note(d,
             "row %" PRIu64 ": epoch %u, step %" PRIu64 ", split %u and epoch %u, step %" PRIu64
             ", split %u",
             a->at, p->epoch, p->step, p->split, q->epoch, q->step, q->split);
        same = false;
    }
    if (!d->ignore_names && !diff_row_names(d, a, b))
        same = false;
    for (size_t k = 0; k < a->h->nslots; k++)
        if (!diff_values(d, a, b, k))
            same = false;
    d->rows++;
    d->rows_different += !same;
    a->row++;
    b->row++;
    a->at++;
    b->at++;
}

static void diff_picks(struct cm_diff *d, struct side *a, struct side *b)
{
    const struct cm_batch *p = &a->c.batch, *q = &b->c.batch;
    bool same = p->epoch == q->epoch && p->step == q->step && p->rows == q->rows;
    d->values++;
    if (!same || memcmp(a->c.pick, b->c.pick, p->rows * sizeof *a->c.pick)) {
        d->different++;
        note(d,
             "mini-batch: epoch %u, step %" PRIu64 ", %u rows and epoch %u, step %" PRIu64
             ", %u rows%s",
             p->epoch, p->step, p->rows, q->epoch, q->step, q->rows, same ? ", other ones" : "");
    }
    a->c.is_pick = b->c.is_pick = false;
}

static void diff_tensors(struct cm_diff *d, struct side *a, struct side *b)
{
    struct cm_tensor *t = a->c.tensor, *u = b->c.tensor;
    if (strcmp(t->name, u->name)) {
        note(d, "tensor %s in the first, %s in the second", t->name, u->name);
        d->different++;
    } else if (t->ndim != u->ndim || memcmp(t->shape, u->shape, t->ndim * sizeof *t->shape)) {
        note(d, "tensor %s: another shape (%" PRIu64 " and %" PRIu64 " items)", t->name, t->n,
             u->n);
        d->different++;
    } else {
        struct cm_block x = {.type = t->type, .raw = t->data},
                        y = {.type = u->type, .raw = u->data};
        for (uint64_t e = 0; e < t->n; e++) {
            double p = cm_block_x(&x, e), q = cm_block_x(&y, e);
            char v[CM_NUMBER_MAX], w[CM_NUMBER_MAX];
            d->values++;
            if (equal(d, p, q))
                continue;
            d->different++;
            note(d, "tensor %s, item %" PRIu64 ": %s and %s", t->name, e, cm_format_f64(p, v),
                 cm_format_f64(q, w));
        }
    }
    a->c.is_tensor = b->c.is_tensor = false;
}

int cm_diff_streams(struct cm_diff *d, struct cm_reader *ra, struct cm_reader *rb)
{
    struct side a = {.r = ra, .h = cm_reader_head(ra)}, b = {.r = rb, .h = cm_reader_head(rb)};
    bool go = diff_heads(d, a.h, b.h);
    int p = 0, q = 0;
    while (go) {
        p = stand(&a);
        q = p < 0 ? p : stand(&b);
        go = p > 0 && q > 0 && a.c.is_pick == b.c.is_pick && a.c.is_tensor == b.c.is_tensor;
        if (!go)
            break;
        if (a.c.is_tensor)
            diff_tensors(d, &a, &b);
        else if (a.c.is_pick)
            diff_picks(d, &a, &b);
        else
            diff_rows(d, &a, &b);
    }
    /* What is left is read for its END alone. */
    int rc = p < 0 ? p : q < 0 ? q : cm_reader_drain(ra);
    rc = rc ? rc : cm_reader_drain(rb);
    if (!rc && (p > 0) != (q > 0)) {
        if (a.h->nslots && a.h->kind != CM_MODEL && cm_reader_rows(ra, 0) != cm_reader_rows(rb, 0))
            note(d, "rows: %" PRIu64 " and %" PRIu64, cm_reader_rows(ra, 0), cm_reader_rows(rb, 0));
        else
            note(d, "%s has more records", p > 0 ? "the first" : "the second");
    } else if (!rc && p > 0) {
        note(d, "after %" PRIu64 " rows: records of another sort", a.at);
    }
    cm_chunk_free(&a.c);
    cm_chunk_free(&b.c);
    return rc ? rc : *d->first != 0;
}
