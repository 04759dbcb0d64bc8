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
    size_t *place = CM_NEW(size_t, s->obs.ncols + 1);
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
    s->label = CM_NEW(size_t, s->obs.ncols + 1);
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
        *w = (struct cm_where){.col = at, .values = CM_NEW(struct cm_values, 1)};
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
        bool *yes = CM_ZNEW(bool, n + 1);
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

/* Copies entries from..to of a row, those of one type; returns where the next go. */
#define COPY(name, from_type, to_type)                                                             \
    static uint64_t name(const struct cm_source *s, uint64_t from, uint64_t to, size_t type,       \
                         struct cm_block *b, uint64_t at)                                          \
    {                                                                                              \
        const from_type *v = s->rows.val;                                                          \
        const uint32_t *idx = s->rows.idx;                                                         \
        to_type *out = b->raw;                                                                     \
        if (type == CM_ALL_TYPES) {                                                                \
            memcpy(b->idx + at, idx + from, (to - from) * sizeof *idx);                            \
            for (uint64_t e = from; e < to; e++)                                                   \
                out[at++] = (to_type)v[e];                                                         \
            return at;                                                                             \
        }                                                                                          \
        for (uint64_t e = from; e < to; e++)                                                       \
            if (s->types.of[idx[e]] == type) {                                                     \
                b->idx[at] = s->types.place[idx[e]];                                               \
                out[at++] = (to_type)v[e];                                                         \
            }                                                                                      \
        return at;                                                                                 \
    }
COPY(copy_u32_u8, uint32_t, uint8_t)
COPY(copy_u32_u16, uint32_t, uint16_t)
COPY(copy_u32, uint32_t, uint32_t)
COPY(copy_f32_u8, float, uint8_t)
COPY(copy_f32_u16, float, uint16_t)
COPY(copy_f32, float, float)
COPY(copy_f64, double, double)

typedef uint64_t copier(const struct cm_source *, uint64_t, uint64_t, size_t, struct cm_block *,
                        uint64_t);

/* The narrowest type that holds these rows, which saves the writer time. */
static copier *choose(const struct cm_h5rows *r, enum cm_value *type)
{
    if (r->type == CM_V_U32) {
        *type = r->facts.max <= 255 ? CM_V_U8 : r->facts.max <= 65535 ? CM_V_U16 : CM_V_U32;
        return *type == CM_V_U8 ? copy_u32_u8 : *type == CM_V_U16 ? copy_u32_u16 : copy_u32;
    }
    *type = r->type;
    if (r->type == CM_V_F64)
        return copy_f64;
    if (!r->facts.fraction && !r->facts.negative && r->facts.largest <= 65535)
        *type = r->facts.largest <= 255 ? CM_V_U8 : CM_V_U16;
    return *type == CM_V_U8 ? copy_f32_u8 : *type == CM_V_U16 ? copy_f32_u16 : copy_f32;
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

static int fill_csr(struct cm_source *s, uint64_t first, size_t kept, size_t type,
                    struct cm_block *b)
{
    size_t cols = type == CM_ALL_TYPES ? s->cols.names.n : (size_t)s->types.type[type].cols;
    uint64_t nnz = 0, at = 0;
    enum cm_value value = CM_V_F64;
    copier *copy = s->has_matrix ? choose(&s->rows, &value) : copy_f64;
    for (size_t i = 0; i < kept && s->has_matrix; i++)
        nnz += s->rows.ptr[s->keep[i] + 1] - s->rows.ptr[s->keep[i]];
    cm_block_shape(b, false, kept, cols, nnz, value);
    for (size_t i = 0; i < kept; i++) {
        uint64_t row = s->keep[i];
        int code = s->has_matrix ? check_counts(s, first, (size_t)row) : 0;
        if (code)
            return code;
        if (s->has_matrix)
            at = copy(s, s->rows.ptr[row], s->rows.ptr[row + 1], type, b, at);
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
    for (size_t k = 0; k < n && !code; k++) {
        struct cm_chunk *c = &chunk[k];
        c->first = first;
        code = fill_labels(s, first, rows, kept, c);
        if (!code)
            code = s->has_matrix && cm_h5mat_is_dense(&s->mat)
                       ? fill_dense(s, first, kept, type[k], &c->block[0])
                       : fill_csr(s, first, kept, type[k], &c->block[0]);
    }
    s->next = first + rows;
    uint64_t more = 0;
    if (!code && s->has_matrix && s->next < s->obs.rows &&
        !cm_h5mat_step(&s->mat, s->next, CM_BLOCK_ROWS, &more))
        cm_h5mat_ahead(&s->mat, s->next, more);
    return code ? code : 1;
}
