/* format/hdf5/source.c - a source once it is open: choices, heads, rows.  See source.h.
 *
 * Formats differ only in where names, tables and matrix are (open.c).  From then on all are alike:
 * obs as a frame that is read in ranges, the features as one column table cut into types, a matrix
 * reader.  Rows that a condition excludes are dropped before anything is made of them.
 */
#include "format/hdf5/source.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "base/clones.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/values.h"

struct cm_where {
    size_t col; /* of obs */
    struct cm_values *values;
};

/* ===== opening ============================================================================ */

static const struct cm_strs *texts(const struct cm_cols *c, const char *name)
{
    const struct cm_vec *v = cm_cols_find(c, name);
    return v && v->type == CM_T_STR ? &v->s : NULL;
}

void cm_source_cut(struct cm_source *s, const char *genome)
{
    cm_types_cut(&s->types, s->cols.names.n, texts(&s->cols, "feature_types"),
                 genome ? texts(&s->cols, "genome") : NULL, genome);
}

int cm_source_no_layer(const struct cm_source *s, const char *layer)
{
    struct cm_strs found = {0};
    int code = cm_h5_layers(s->file, s->root ? s->root : "", &found);
    code = code ? code : cm_h5_list_fail(s->file, "has no layer ", layer, &found);
    cm_strs_free(&found);
    return code;
}

void cm_source_close(struct cm_source *s)
{
    if (s->has_matrix)
        cm_h5mat_close(&s->mat);
    cm_frame_close(&s->obs);
    cm_frame_close(&s->table);
    cm_cols_free(&s->cols);
    cm_free(s->fallback);
    cm_types_free(&s->types);
    for (size_t k = 0; k < s->nwhere; k++) {
        cm_values_free(s->where[k].values);
        cm_free(s->where[k].values);
    }
    cm_free(s->where);
    cm_free(s->label);
    cm_free(s->keep);
    cm_free(s->root);
    cm_free(s->slot);
    cm_kv_free(&s->kv);
    cm_h5rows_free(&s->rows);
    *s = (struct cm_source){0};
}

/* ===== choices ============================================================================ */

int cm_source_type(const struct cm_source *s, const char *name, size_t *type)
{
    *type = CM_ALL_TYPES;
    if (cm_types_unnamed(&s->types)) {
        if (s->slot && strcmp(cm_slot_alias(s->slot), cm_slot_alias(name)))
            return cm_fail(CM_EINPUT, "%s: holds %s, not %s", s->file->name, s->slot, name);
        return 0;
    }
    *type = cm_types_find(&s->types, name);
    if (*type != CM_ABSENT)
        return 0;
    struct cm_strs found = {0};
    for (size_t k = 0; k < s->types.n; k++)
        cm_strs_add(&found, s->types.type[k].name);
    int code = cm_h5_list_fail(s->file, "has no features of type ", name, &found);
    cm_strs_free(&found);
    return code;
}

static int find_label(const struct cm_source *s, const char *name, size_t *at)
{
    *at = cm_frame_find(&s->obs, name);
    if (*at != CM_ABSENT)
        return 0;
    struct cm_strs found = {0};
    for (size_t k = 0; k < s->obs.ncols; k++)
        cm_strs_add(&found, s->obs.col[k].name);
    int code = cm_h5_list_fail(s->file, "has no label ", name, &found);
    cm_strs_free(&found);
    return code;
}

/* Labels by a list of names, in the order of the list. */
static int listed_labels(struct cm_source *s, const char *names)
{
    struct cm_values list;
    cm_values_make(&list, names);
    size_t *place = CM_NEW(s->obs.ncols + 1, size_t);
    for (size_t k = 0; k < s->obs.ncols; k++)
        place[k] = cm_values_find(&list, s->obs.col[k].name);
    for (size_t p = 0; p < list.part.n; p++)
        for (size_t k = 0; k < s->obs.ncols; k++)
            if (place[k] == p)
                s->label[s->nlabels++] = k;
    int code = 0;
    size_t at = 0;
    for (size_t p = 0; p < list.part.n && !code; p++)
        if (!list.seen[p])
            code = find_label(s, cm_strs_get(&list.part, p), &at);
    cm_free(place);
    cm_values_free(&list);
    return code;
}

int cm_source_labels(struct cm_source *s, const char *names)
{
    s->nlabels = 0;
    cm_free(s->label);
    s->label = CM_NEW(s->obs.ncols + 1, size_t);
    if (!strcmp(names, "all")) {
        for (size_t k = 0; k < s->obs.ncols; k++)
            s->label[s->nlabels++] = k;
        return 0;
    }
    return strcmp(names, "none") ? listed_labels(s, names) : 0;
}

int cm_source_where(struct cm_source *s, const char *condition)
{
    const char *eq = strchr(condition, '=');
    if (!eq || eq == condition)
        return cm_fail(CM_EUSAGE, "--where %s: expected LABEL=VALUE[,VALUE...]", condition);
    char *name = cm_strdup(condition);
    size_t at = CM_ABSENT;
    for (const char *end = eq; end && at == CM_ABSENT; end = strchr(end + 1, '=')) {
        memcpy(name, condition, strlen(condition));
        name[end - condition] = 0;
        at = cm_frame_find(&s->obs, name);
        eq = at == CM_ABSENT ? eq : end;
    }
    name[eq - condition] = 0;
    int code = find_label(s, name, &at);
    if (!code) {
        s->where = cm_realloc(s->where, s->nwhere + 1, sizeof *s->where);
        struct cm_where *w = &s->where[s->nwhere++];
        *w = (struct cm_where){.col = at, .values = CM_NEW(1, struct cm_values)};
        cm_values_make(w->values, eq + 1);
    }
    cm_free(name);
    return code;
}

size_t cm_source_missing(const struct cm_source *s, size_t condition, const char **label,
                         struct cm_buf *out)
{
    const struct cm_where *w = &s->where[condition];
    *label = s->obs.col[w->col].name;
    return cm_values_missing(w->values, out);
}

/* ===== heads ============================================================================== */

int cm_source_head(const struct cm_source *s, size_t type, const char *name, struct cm_head *head)
{
    *head = (struct cm_head){.kind = CM_MATRIX};
    const char *slot = name;
    if (!slot && type != CM_ALL_TYPES && *s->types.type[type].name)
        slot = cm_slot_alias(s->types.type[type].name);
    if (!slot && s->slot)
        slot = s->slot;
    if (!slot && s->types.n == 1 && *s->types.type[0].name)
        slot = cm_slot_alias(s->types.type[0].name);
    struct cm_slot *t = cm_head_add_slot(head, slot ? slot : s->fallback ? s->fallback : "X");
    t->dense = s->has_matrix && cm_h5mat_is_dense(&s->mat);
    t->wide = s->wide;
    t->state = s->state;
    t->rows = s->nwhere ? 0 : s->obs.rows;
    cm_types_cols(&s->types, type, &s->cols, &t->cols);
    for (size_t k = 0; k < s->nlabels; k++) {
        const struct cm_h5col *c = &s->obs.col[s->label[k]];
        struct cm_label *l = cm_head_add_label(head, c->name, c->type, -1);
        cm_strs_copy(&l->dict.names, &c->dict.names);
        l->dict.ordered = c->dict.ordered;
    }
    for (size_t k = 0; k < s->kv.key.n; k++)
        cm_kv_set(&head->kv, cm_strs_get(&s->kv.key, k), cm_strs_get(&s->kv.value, k));
    return 0;
}

/* ===== rows =============================================================================== */

static bool number_is(const struct cm_vec *v, size_t i, const char *word)
{
    double number;
    switch (v->type) {
    case CM_T_BOOL:
        return v->b[i] == cm_values_truth(word);
    case CM_T_I64:
        return v->i[i] != CM_I64_MISSING && cm_parse_f64(word, &number) &&
               (double)v->i[i] == number;
    case CM_T_F64:
        return cm_parse_f64(word, &number) && v->f[i] == number;
    case CM_T_CAT:
    case CM_T_STR:
        break;
    }
    return false;
}

static bool meets(const struct cm_source *s, const struct cm_where *w, const struct cm_vec *v,
                  size_t i)
{
    const struct cm_strs *dict = &s->obs.col[w->col].dict.names;
    if (v->type == CM_T_CAT)
        return v->cat[i] < dict->n &&
               cm_values_find(w->values, cm_strs_get(dict, v->cat[i])) != CM_ABSENT;
    if (v->type == CM_T_STR)
        return cm_values_find(w->values, cm_strs_get(&v->s, i)) != CM_ABSENT;
    bool is = false;
    for (size_t k = 0; k < w->values->part.n; k++)
        if (number_is(v, i, cm_strs_get(&w->values->part, k)))
            is = w->values->seen[k] = true;
    return is;
}

/* The rows of first .. first + n - 1 that all conditions keep, into s->keep (0-based in block). */
static int keep_rows(struct cm_source *s, uint64_t first, uint64_t n, size_t *kept)
{
    CM_GROW(s->keep, s->keep_cap, n + 1);
    *kept = (size_t)n;
    for (uint64_t i = 0; i < n; i++)
        s->keep[i] = i;
    struct cm_vec v = {0};
    int code = 0;
    for (size_t k = 0; k < s->nwhere && !code; k++) {
        const struct cm_where *w = &s->where[k];
        code = cm_frame_read(&s->obs, w->col, first, n, &v);
        bool *yes = CM_ZNEW(n + 1, bool);
        for (uint64_t i = 0; i < n && !code;
             i++) /* all rows, so that every value that occurs is marked */
            yes[i] = meets(s, w, &v, (size_t)i);
        size_t left = 0;
        for (size_t i = 0; i < *kept && !code; i++)
            if (yes[s->keep[i]])
                s->keep[left++] = s->keep[i];
        cm_free(yes);
        *kept = left;
    }
    cm_vec_free(&v);
    return code;
}

static int fill_labels(struct cm_source *s, uint64_t first, uint64_t n, size_t kept,
                       struct cm_chunk *c)
{
    c->rows = kept;
    cm_strs_clear(&c->names);
    struct cm_strs all = {0};
    int code = cm_frame_names(&s->obs, first, n, &all);
    for (size_t i = 0; i < kept && !code; i++)
        cm_strs_add(&c->names, cm_strs_get(&all, (size_t)s->keep[i]));
    cm_strs_free(&all);
    if (c->nlabels != s->nlabels) {
        for (size_t k = 0; k < c->nlabels; k++)
            cm_vec_free(&c->label[k]);
        c->label = cm_realloc(c->label, s->nlabels + 1, sizeof *c->label);
        memset(c->label, 0, (s->nlabels + 1) * sizeof *c->label);
        c->nlabels = s->nlabels;
    }
    for (size_t k = 0; k < s->nlabels && !code; k++) {
        code = cm_frame_read(&s->obs, s->label[k], first, n, &c->label[k]);
        if (!code && kept < n)
            cm_vec_take(&c->label[k], &c->label[k], s->keep, kept);
    }
    return code;
}

static int no_count(const struct cm_source *s, uint64_t row, uint64_t col, double v)
{
    return cm_fail(CM_EINPUT,
                   "%s: %s: row %" PRIu64 ", column %" PRIu64 " (%s): the value is %g, but counts "
                   "are %s (--state says what the values are)",
                   s->file->name, s->mat.path, row, col, cm_strs_get(&s->cols.names, (size_t)col),
                   v, v < 0 ? "not negative" : "whole numbers");
}

/* Values of one type as another, and the same of the entries of one type of features: entries
 * from..to of a row go to places from `at` on; returns where the next go. */
#define COPY(name, from_type, to_type)                                                             \
    CM_CLONES_O3 static void name(const void *restrict from, uint64_t n, void *restrict to)        \
    {                                                                                              \
        const from_type *v = from;                                                                 \
        to_type *out = to;                                                                         \
        for (uint64_t e = 0; e < n; e++)                                                           \
            out[e] = (to_type)v[e];                                                                \
    }                                                                                              \
    static uint64_t name##_some(const struct cm_source *s, uint64_t from, uint64_t to,             \
                                size_t type, struct cm_block *b, uint64_t at)                      \
    {                                                                                              \
        const from_type *v = s->rows.val;                                                          \
        const uint32_t *idx = s->rows.idx;                                                         \
        to_type *out = b->raw;                                                                     \
        for (uint64_t e = from; e < to; e++)                                                       \
            if (s->types.of[idx[e]] == type) {                                                     \
                b->idx[at] = s->types.place[idx[e]];                                               \
                out[at++] = (to_type)v[e];                                                         \
            }                                                                                      \
        return at;                                                                                 \
    }
COPY(u32_u8, uint32_t, uint8_t)
COPY(u32_u16, uint32_t, uint16_t)
COPY(u32_u32, uint32_t, uint32_t)
COPY(f32_u8, float, uint8_t)
COPY(f32_u16, float, uint16_t)
COPY(f32_f32, float, float)
COPY(f64_f64, double, double)

struct copier {
    enum cm_value type; /* of the copy */
    void (*all)(const void *restrict, uint64_t, void *restrict);
    uint64_t (*some)(const struct cm_source *, uint64_t, uint64_t, size_t, struct cm_block *,
                     uint64_t);
};
static const struct copier no_values = {CM_V_F64, f64_f64, f64_f64_some};

/* To the narrowest type that holds these rows, which saves the writer time. */
static struct copier choose(const struct cm_h5rows *r)
{
    const struct cm_h5facts *f = &r->facts;
    double max = r->type == CM_V_U32 ? (double)f->max : f->largest;
    bool u8 = max <= 255, u16 = max <= 65535;
    if (r->type == CM_V_F64)
        return no_values;
    if (r->type == CM_V_U32)
        return u8    ? (struct copier){CM_V_U8, u32_u8, u32_u8_some}
               : u16 ? (struct copier){CM_V_U16, u32_u16, u32_u16_some}
                     : (struct copier){CM_V_U32, u32_u32, u32_u32_some};
    u8 = u8 && !f->fraction && !f->negative;
    u16 = u16 && !f->fraction && !f->negative;
    return u8    ? (struct copier){CM_V_U8, f32_u8, f32_u8_some}
           : u16 ? (struct copier){CM_V_U16, f32_u16, f32_u16_some}
                 : (struct copier){CM_V_F32, f32_f32, f32_f32_some};
}

/* Counts must not be negative; nor fractions if only a note declares them counts. */
static int check_counts(const struct cm_source *s, uint64_t first, size_t row)
{
    const struct cm_h5rows *r = &s->rows;
    bool dense = cm_h5mat_is_dense(&s->mat);
    if (s->state != CM_S_COUNTS)
        return 0;
    if (r->known && !r->facts.negative && !(s->check_whole && r->facts.fraction))
        return 0;
    uint64_t e = dense ? row * s->mat.cols : r->ptr[row];
    uint64_t end = dense ? e + s->mat.cols : r->ptr[row + 1];
    for (uint64_t at = e; at < end; at++) {
        double v = cm_h5rows_at(r, at);
        if (v < 0 || (s->check_whole && v != floor(v)))
            return no_count(s, first + row, dense ? at - e : r->idx[at], v);
    }
    return 0;
}

/* All entries of all rows.  last: nobody needs s->rows after this. */
static void fill_all(struct cm_source *s, bool last, const struct copier *copy, struct cm_block *b)
{
    struct cm_h5rows *r = &s->rows;
    uint64_t nnz = r->ptr[r->rows];
    memcpy(b->ptr, r->ptr, (r->rows + 1) * sizeof *b->ptr);
    copy->all(r->val, nnz, b->raw);
    if (last) {
        uint32_t *idx = b->idx;
        size_t cap = b->idx_cap;
        b->idx = r->idx;
        b->idx_cap = r->idx_cap;
        r->idx = idx;
        r->idx_cap = cap;
    } else if (nnz) {
        memcpy(b->idx, r->idx, nnz * sizeof *b->idx);
    }
}

/* The rows that were kept, in one block for the features of a type.  last: of the types. */
static int fill_csr(struct cm_source *s, uint64_t first, size_t kept, size_t type, bool last,
                    struct cm_block *b)
{
    const struct cm_h5rows *r = &s->rows;
    size_t cols = type == CM_ALL_TYPES ? s->cols.names.n : (size_t)s->types.type[type].cols;
    uint64_t nnz = 0, at = 0;
    struct copier copy = s->has_matrix ? choose(r) : no_values;
    int code = 0;
    for (size_t i = 0; i < kept && s->has_matrix && !code; i++) {
        nnz += r->ptr[s->keep[i] + 1] - r->ptr[s->keep[i]];
        code = check_counts(s, first, (size_t)s->keep[i]);
    }
    if (code)
        return code;
    cm_block_shape(b, false, kept, cols, nnz, copy.type);
    if (s->has_matrix && type == CM_ALL_TYPES && kept == r->rows) {
        fill_all(s, last, &copy, b);
        return 0;
    }
    size_t size = cm_value_size(copy.type);
    for (size_t i = 0; i < kept; i++) {
        uint64_t from = s->has_matrix ? r->ptr[s->keep[i]] : 0;
        uint64_t to = s->has_matrix ? r->ptr[s->keep[i] + 1] : 0;
        if (type != CM_ALL_TYPES && to > from) {
            at = copy.some(s, from, to, type, b, at);
        } else if (to > from) {
            copy.all((const char *)r->val + from * cm_value_size(r->type), to - from,
                     (char *)b->raw + at * size);
            memcpy(b->idx + at, r->idx + from, (to - from) * sizeof *b->idx);
            at += to - from;
        }
        b->ptr[i + 1] = at;
    }
    b->nnz = at;
    return 0;
}

static int fill_dense(struct cm_source *s, uint64_t first, size_t kept, size_t type,
                      struct cm_block *b)
{
    size_t all = s->cols.names.n,
           cols = type == CM_ALL_TYPES ? all : (size_t)s->types.type[type].cols;
    bool single = s->rows.type == CM_V_F32;
    cm_block_shape(b, true, kept, cols, 0, single ? CM_V_F32 : CM_V_F64);
    float *out32 = b->raw;
    double *out64 = b->raw;
    for (size_t i = 0; i < kept; i++) {
        int code = check_counts(s, first, (size_t)s->keep[i]);
        if (code)
            return code;
        uint64_t e = s->keep[i] * all;
        for (size_t j = 0; j < all; j++) {
            if (type != CM_ALL_TYPES && s->types.of[j] != type)
                continue;
            if (single)
                *out32++ = ((const float *)s->rows.val)[e + j];
            else
                *out64++ = ((const double *)s->rows.val)[e + j];
        }
    }
    return 0;
}

/* Lets other threads start on the blocks behind row `next`. */
static void read_ahead(struct cm_source *s, uint64_t next)
{
    s->ahead = s->ahead > next ? s->ahead : next;
    for (uint64_t rows; s->ahead < s->obs.rows; s->ahead += rows)
        if (cm_h5mat_step(&s->mat, s->ahead, CM_BLOCK_ROWS, &rows) ||
            !cm_h5mat_ahead(&s->mat, s->ahead, rows))
            break;
}

int cm_source_next(struct cm_source *s, const size_t *type, size_t n, struct cm_chunk *chunk)
{
    if (s->next >= s->obs.rows)
        return 0;
    uint64_t first = s->next, rows = s->obs.rows - first;
    rows = rows < CM_BLOCK_ROWS ? rows : CM_BLOCK_ROWS;
    int code = s->has_matrix ? cm_h5mat_step(&s->mat, first, CM_BLOCK_ROWS, &rows) : 0;
    size_t kept = 0;
    if (!code)
        code = keep_rows(s, first, rows, &kept);
    if (!code && s->has_matrix)
        code = cm_h5mat_read(&s->mat, first, rows, &s->rows);
    if (!code && s->has_matrix)
        read_ahead(s, first + rows);
    for (size_t k = 0; k < n && !code; k++) {
        struct cm_chunk *c = &chunk[k];
        c->first = first;
        code = fill_labels(s, first, rows, kept, c);
        if (!code)
            code = s->has_matrix && cm_h5mat_is_dense(&s->mat)
                       ? fill_dense(s, first, kept, type[k], &c->block[0])
                       : fill_csr(s, first, kept, type[k], k + 1 == n, &c->block[0]);
    }
    s->next = first + rows;
    return code ? code : 1;
}
