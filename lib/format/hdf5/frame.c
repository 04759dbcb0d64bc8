/* format/hdf5/frame.c - reading obs and var.  See frame.h.
 *
 * A column's type is decided once, from its storage and its encoding attributes, leniently: missing
 * encoding attributes are inferred, numeric categories become text, and what has no counterpart is
 * skipped with a warning.  What cannot be represented faithfully (a code outside the categories, a
 * whole number beyond 63 bits) is an error that names the row.
 */
#include "format/hdf5/frame.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "format/hdf5/text.h"
#include "format/hdf5/attr.h"

#define BATCH ((uint64_t)65536)

/* ===== opening ============================================================================ */

static enum cm_type type_of(const struct cm_h5set *s)
{
    return s->cls == CM_H5_BOOL    ? CM_T_BOOL
           : s->cls == CM_H5_INT   ? CM_T_I64
           : s->cls == CM_H5_FLOAT ? CM_T_F64
                                   : CM_T_STR;
}

static void col_close(struct cm_h5col *c)
{
    cm_h5set_close(&c->values);
    cm_h5set_close(&c->mask);
    cm_dict_free(&c->dict);
    cm_vec_free(&c->all);
    cm_free(c->code);
    cm_free(c->name);
    *c = (struct cm_h5col){0};
}

/* Reads categories as text.  Equal texts (1 and 1.0 of a mixed list) become one. */
static int take_categories(struct cm_h5col *c, const struct cm_h5set *cats)
{
    struct cm_strs text = {0};
    int code = 0;
    if (cats->rows >= CM_CAT_MISSING)
        code = cm_fail(CM_EINPUT, "%s: %s: too many categories", CM_H5_AT(cats));
    if (!code)
        code = cm_h5set_texts(cats, 0, cats->rows, &text);
    c->ncodes = text.n;
    c->code = CM_NEW(text.n + 1, uint32_t);
    struct cm_index x;
    cm_index_make(&x, &text);
    for (size_t i = 0; !code && i < text.n; i++) {
        size_t first = cm_index_find(&x, cm_strs_get(&text, i));
        c->code[i] = first < i ? c->code[first] : (uint32_t)c->dict.names.n;
        if (first == i)
            cm_strs_add(&c->dict.names, cm_strs_get(&text, i));
    }
    cm_index_free(&x);
    cm_strs_free(&text);
    c->type = CM_T_CAT;
    return code;
}

/* anndata >= 0.8: a group with codes and categories. */
static int open_categorical(struct cm_h5col *c, const struct cm_h5 *h, const char *path)
{
    char *codes = cm_h5_join(path, "codes"), *cats = cm_h5_join(path, "categories");
    struct cm_h5set s = {0};
    int code = cm_h5set_open(&c->values, h, codes, NULL, 0);
    if (!code && cm_h5_what(h, cats) == CM_H5_GROUP) { /* categories as nullable strings */
        char *values = cm_h5_join(cats, "values");
        code = cm_h5set_open(&s, h, values, NULL, 0);
        cm_free(values);
    } else if (!code) {
        code = cm_h5set_open(&s, h, cats, NULL, 0);
    }
    if (!code)
        code = take_categories(c, &s);
    if (!code) {
        int seen = cm_h5_attr_flag(h, path, "ordered", &c->dict.ordered);
        code = seen < 0 ? seen : 0;
    }
    cm_h5set_close(&s);
    cm_free(codes);
    cm_free(cats);
    return code;
}

/* nullable-integer, nullable-boolean, nullable-string-array: values and mask. */
static int open_nullable(struct cm_h5set *values, struct cm_h5set *mask, const struct cm_h5 *h,
                         const char *path)
{
    char *v = cm_h5_join(path, "values"), *m = cm_h5_join(path, "mask");
    int code = cm_h5set_open(values, h, v, NULL, 0);
    if (!code && cm_h5_what(h, m) != CM_H5_ABSENT)
        code = cm_h5set_open(mask, h, m, NULL, 0);
    if (!code && mask->open && mask->rows != values->rows)
        code = cm_fail(CM_EINPUT, "%s: %s: %" PRIu64 " rows, but %s has %" PRIu64, h->name, m,
                       mask->rows, v, values->rows);
    cm_free(v);
    cm_free(m);
    return code;
}

/* Before 0.7: whole numbers whose labels are in uns; used only when every code fits, because obs
 * and var share that name space. */
static int old_categories(struct cm_h5col *c, const struct cm_h5 *h, const char *path)
{
    struct cm_h5set cats = {0};
    if (c->values.cls != CM_H5_INT || cm_h5_what(h, path) != CM_H5_DATASET)
        return 0;
    int code = cm_h5set_open(&cats, h, path, NULL, 0);
    if (code)
        return code;
    int64_t *v = CM_NEW(BATCH, int64_t);
    bool fits = cats.rows > 0 && (cats.cls == CM_H5_STRING || cats.cls == CM_H5_INT);
    for (uint64_t at = 0; at < c->values.rows && fits && !code; at += BATCH) {
        uint64_t n = c->values.rows - at < BATCH ? c->values.rows - at : BATCH;
        code = cm_h5set_i64(&c->values, at, n, v);
        for (uint64_t i = 0; i < n && !code; i++)
            fits = fits && v[i] < (int64_t)cats.rows;
    }
    cm_free(v);
    if (!code && fits)
        code = take_categories(c, &cats);
    cm_h5set_close(&cats);
    return code;
}

static int open_column(struct cm_h5col *c, struct cm_h5 *h, const char *path, const char *member,
                       const char *categories)
{
    enum cm_h5_object what = cm_h5_what(h, path);
    if (what == CM_H5_ABSENT || what == CM_H5_BROKEN || what == CM_H5_ERROR)
        return cm_h5_unexpected(h, path, "a column");
    if (what == CM_H5_GROUP) {
        if (cm_h5_there(h, path, "codes"))
            return open_categorical(c, h, path);
        if (!cm_h5_there(h, path, "values"))
            return 1;
        int code = open_nullable(&c->values, &c->mask, h, path);
        c->type = type_of(&c->values);
        return code;
    }
    if (what != CM_H5_DATASET)
        return 1;
    int code = cm_h5set_open(&c->values, h, path, member, 0);
    if (code)
        return code;
    c->type = type_of(&c->values);
    if (member)
        return categories ? old_categories(c, h, categories) : 0;
    struct cm_h5set cats;
    code = cm_h5set_open_ref(&cats, h, path, "categories", &c->dict.ordered);
    if (code <= 0)
        return code;
    code = take_categories(c, &cats);
    cm_h5set_close(&cats);
    return code;
}

int cm_frame_add(struct cm_frame *f, struct cm_h5 *h, const char *path, const char *name,
                 const char *member, const char *categories)
{
    struct cm_h5col c = {.name = cm_strdup(name)};
    int code = open_column(&c, h, path, member, categories);
    const char *why = code > 0 ? "is a nested table, or stands in another file" : NULL;
    if (!code &&
        (c.values.rank == 2 || c.values.cls == CM_H5_NONE || c.values.cls == CM_H5_COMPOUND))
        why = "has no counterpart in a stream";
    if (!code && !why && c.values.rows != f->rows && f->rows)
        code = cm_fail(CM_EINPUT, "%s: %s: %" PRIu64 " rows, but %s has %" PRIu64, h->name, path,
                       c.values.rows, f->path, f->rows);
    if (code < 0 || why) {
        if (why)
            cm_h5_warn(h, "%s: %s%s%s: %s; left out", h->name, path, member ? "/" : "",
                       member ? member : "", why);
        col_close(&c);
        return code < 0 ? code : 0;
    }
    CM_GROW(f->col, f->cap, f->ncols + 1);
    f->col[f->ncols++] = c;
    return 1;
}

static int open_compound(struct cm_frame *f, struct cm_h5 *h, const char *uns)
{
    struct cm_h5set whole;
    int code = cm_h5set_open(&whole, h, f->path, NULL, 0);
    if (code)
        return code;
    if (whole.cls != CM_H5_COMPOUND) {
        code = cm_fail(CM_EINPUT, "%s: %s: expected a table", h->name, f->path);
        cm_h5set_close(&whole);
        return code;
    }
    f->rows = whole.rows;
    int n = H5Tget_nmembers(whole.type);
    for (int k = 0; k < n && code >= 0; k++) {
        char *name = H5Tget_member_name(whole.type, (unsigned)k);
        if (k == 0) {
            code = cm_h5set_open(&f->index, h, f->path, name, 0);
        } else {
            char *cats = CM_NEW(strlen(uns) + strlen(name) + 16, char);
            sprintf(cats, "%s/%s_categories", uns, name);
            code = cm_frame_add(f, h, f->path, name, name, cats);
            cm_free(cats);
        }
        H5free_memory(name);
    }
    cm_h5set_close(&whole);
    return code < 0 ? code : 0;
}

static int open_index(struct cm_frame *f, struct cm_h5 *h, const char *name)
{
    char *path = cm_h5_join(f->path, name);
    int code = cm_h5_what(h, path) == CM_H5_GROUP
                   ? open_nullable(&f->index, &f->index_mask, h, path)
                   : cm_h5set_open(&f->index, h, path, NULL, 0);
    if (!code && f->index.rank > 1)
        code = cm_fail(CM_EINPUT, "%s: %s: names must have one dimension", h->name, path);
    f->rows = f->index.open ? f->index.rows : 0;
    cm_free(path);
    return code;
}

static int open_group(struct cm_frame *f, struct cm_h5 *h)
{
    struct cm_strs order = {0};
    char *index = NULL;
    int code = cm_h5_attr_text(h, f->path, "_index", &index);
    if (code == 0)
        index = cm_strdup(cm_h5_there(h, f->path, "_index") ? "_index" : "index");
    code = code < 0 ? code : open_index(f, h, index);
    if (!code)
        code = cm_h5_attr_strs(h, f->path, "column-order", &order);
    bool listed = code > 0;
    if (code == 0)
        code = cm_h5_members(h, f->path, &order);
    struct cm_index place;
    cm_index_make(&place, &order);
    for (size_t k = 0; k < order.n && code >= 0; k++) {
        const char *name = cm_strs_get(&order, k);
        if (cm_index_find(&place, name) < k) /* listed twice, but there is one */
            continue;
        if (!*name || (!listed && (!strcmp(name, index) || !strcmp(name, "__categories"))))
            continue;
        char *path = cm_h5_join(f->path, name);
        code = cm_frame_add(f, h, path, name, NULL, NULL);
        cm_free(path);
    }
    cm_free(index);
    cm_index_free(&place);
    cm_strs_free(&order);
    return code < 0 ? code : 0;
}

int cm_frame_open(struct cm_frame *f, struct cm_h5 *h, const char *path, const char *uns)
{
    *f = (struct cm_frame){.path = cm_strdup(path)};
    enum cm_h5_object what = cm_h5_what(h, path);
    int code = what == CM_H5_GROUP     ? open_group(f, h)
               : what == CM_H5_DATASET ? open_compound(f, h, uns)
                                       : cm_h5_unexpected(h, path, "a table");
    code = cm_h5_trouble(h) ? cm_h5_trouble(h) : code;
    if (code)
        cm_frame_close(f);
    return code;
}

int cm_frame_open_names(struct cm_frame *f, struct cm_h5 *h, const char *path)
{
    *f = (struct cm_frame){.path = cm_strdup(path)};
    int code = cm_h5set_open(&f->index, h, path, NULL, 0);
    f->rows = f->index.open ? f->index.rows : 0;
    if (code)
        cm_frame_close(f);
    return code;
}

void cm_frame_close(struct cm_frame *f)
{
    for (size_t k = 0; k < f->ncols; k++)
        col_close(&f->col[k]);
    cm_free(f->col);
    cm_free(f->joined);
    cm_h5set_close(&f->index);
    cm_h5set_close(&f->index_mask);
    cm_free(f->path);
    *f = (struct cm_frame){0};
}

/* ===== reading ============================================================================ */

size_t cm_frame_find(const struct cm_frame *f, const char *name)
{
    for (size_t k = 0; k < f->ncols; k++)
        if (!strcmp(f->col[k].name, name))
            return k;
    return CM_ABSENT;
}

int cm_frame_names(const struct cm_frame *f, uint64_t first, uint64_t n, struct cm_strs *out)
{
    return cm_h5set_texts(&f->index, first, n, out);
}

static int read_codes(const struct cm_h5col *c, uint64_t first, uint64_t n, struct cm_vec *out)
{
    int64_t *v = CM_NEW(n, int64_t);
    int code = cm_h5set_i64(&c->values, first, n, v);
    for (uint64_t i = 0; i < n && !code; i++) {
        if (v[i] >= (int64_t)c->ncodes)
            code = cm_fail(CM_EINPUT,
                           "%s: %s: row %" PRIu64 ": code %" PRId64 ", but there are %" PRIu64
                           " categories",
                           CM_H5_AT(&c->values), first + i, v[i], c->ncodes);
        else
            out->cat[i] = v[i] < 0 ? CM_CAT_MISSING : c->code[v[i]];
    }
    cm_free(v);
    return code;
}

static int read_whole(const struct cm_h5col *c, uint64_t first, uint64_t n, int64_t *out)
{
    int code = cm_h5set_i64(&c->values, first, n, out);
    /* HDF5 clamps what does not fit, and only that gives these two numbers. */
    for (uint64_t i = 0; i < n && !code; i++)
        if (out[i] == CM_I64_MISSING || (!c->values.is_signed && out[i] == INT64_MAX))
            code = cm_fail(CM_EINPUT, "%s: %s: row %" PRIu64 ": a whole number beyond 63 bits",
                           CM_H5_AT(&c->values), first + i);
    return code;
}

static int apply_mask(const struct cm_h5col *c, uint64_t first, uint64_t n, struct cm_vec *out)
{
    int64_t *m = CM_NEW(n, int64_t);
    int code = cm_h5set_i64(&c->mask, first, n, m);
    for (uint64_t i = 0; i < n && !code; i++) {
        if (!m[i])
            continue;
        if (out->type == CM_T_BOOL)
            out->b[i] = CM_BOOL_MISSING;
        else if (out->type == CM_T_I64)
            out->i[i] = CM_I64_MISSING;
        else if (out->type == CM_T_F64)
            out->f[i] = NAN;
    }
    if (!code && out->type == CM_T_STR) {
        struct cm_strs s = {0};
        for (uint64_t i = 0; i < n; i++)
            cm_strs_add(&s, m[i] ? "" : cm_strs_get(&out->s, i));
        cm_strs_free(&out->s);
        out->s = s;
    }
    cm_free(m);
    return code;
}

static int read_column(const struct cm_h5col *c, uint64_t first, uint64_t n, struct cm_vec *out)
{
    int code = 0;
    cm_vec_reset(out, c->name, c->type, (size_t)n);
    switch (c->type) {
    case CM_T_CAT:
        code = read_codes(c, first, n, out);
        break;
    case CM_T_BOOL:
        code = cm_h5set_read(&c->values, first, n, H5T_NATIVE_UINT8, out->b);
        break;
    case CM_T_I64:
        code = read_whole(c, first, n, out->i);
        break;
    case CM_T_F64:
        code = cm_h5set_f64(&c->values, first, n, out->f);
        break;
    case CM_T_STR:
        cm_strs_clear(&out->s);
        code = cm_h5set_texts(&c->values, first, n, &out->s);
        break;
    }
    for (uint64_t i = 0; i < n && !code && c->type == CM_T_BOOL; i++)
        out->b[i] = out->b[i] != 0;
    if (!code && c->mask.open)
        code = apply_mask(c, first, n, out);
    return code;
}

void cm_frame_join(struct cm_frame *f, struct cm_frame *from, size_t k, uint64_t *at)
{
    CM_ASSERT(!f->joined || f->joined == at);
    f->joined = at;
    CM_GROW(f->col, f->cap, f->ncols + 1);
    struct cm_h5col *c = &f->col[f->ncols++];
    *c = from->col[k];
    c->joined = true;
    memmove(from->col + k, from->col + k + 1, (--from->ncols - k) * sizeof *from->col);
}

/* One value of a vector that was reset to missing ones. */
static void put_value(struct cm_vec *to, size_t i, const struct cm_vec *from, uint64_t at)
{
    bool there = at != UINT64_MAX;
    switch (to->type) {
    case CM_T_CAT:
        to->cat[i] = there ? from->cat[at] : CM_CAT_MISSING;
        break;
    case CM_T_BOOL:
        to->b[i] = there ? from->b[at] : CM_BOOL_MISSING;
        break;
    case CM_T_I64:
        to->i[i] = there ? from->i[at] : CM_I64_MISSING;
        break;
    case CM_T_F64:
        to->f[i] = there ? from->f[at] : NAN;
        break;
    case CM_T_STR:
        cm_strs_add(&to->s, there ? cm_strs_get(&from->s, (size_t)at) : "");
    }
}

int cm_frame_read(const struct cm_frame *f, size_t col, uint64_t first, uint64_t n,
                  struct cm_vec *out)
{
    struct cm_h5col *c = &f->col[col];
    if (!c->joined)
        return read_column(c, first, n, out);
    if (!c->all.name) {
        int code = read_column(c, 0, c->values.rows, &c->all);
        if (code) {
            cm_vec_free(&c->all);
            return code;
        }
    }
    cm_vec_reset(out, c->name, c->type, (size_t)n);
    cm_strs_clear(&out->s);
    for (uint64_t i = 0; i < n; i++)
        put_value(out, (size_t)i, &c->all, f->joined[first + i]);
    return 0;
}
