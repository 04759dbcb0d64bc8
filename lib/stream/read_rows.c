/* stream/read_rows.c - rows, blocks, picks and tensors: what a reader delivers.
 *
 * Every count is checked against the bytes that are there before anything is allocated for it.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "stream/narrow.h"
#include "stream/planes.h"
#include "stream/reader.h"

enum { ENTRIES_AHEAD = 32 << 20 }; /* of a matrix that is loaded, asked for before they are there */

/* Bytes of a value on the wire; a text has at least its length. */
static size_t label_size(enum cm_type type)
{
    return type == CM_T_BOOL ? 1 : type == CM_T_CAT || type == CM_T_STR ? 4 : 8;
}

int cm_take_rows(struct cm_reader *r, struct cm_chunk *c)
{
    const struct cm_head *h = &r->head;
    struct cm_cursor u = cm_cursor_make(r->in.payload.p, r->in.payload.n);
    uint64_t first = cm_cursor_u64(&u);
    uint32_t n = cm_cursor_u32(&u), labels = cm_cursor_u32(&u);
    if (u.bad || labels != h->nlabels)
        return cm_records_bad(&r->in, "its labels are not those of HEAD");
    if (h->nslots && first != r->rows[0])
        return cm_sticky_fail(&r->in.error, CM_EINPUT,
                              "record %" PRIu64 " (ROWS): expected row %" PRIu64
                              ", found row %" PRIu64,
                              r->in.n, r->rows[0], first);
    if (n > u.n) /* each row has at least the four bytes of its name's length */
        return cm_records_bad(&r->in, "more rows than it has bytes");
    cm_strs_clear(&c->names);
    if (!cm_wire_get_strs(&u, n, &c->names))
        return cm_records_bad(&r->in, "damaged row names");
    size_t width = 0, bytes; /* of a row's labels, at least */
    for (size_t k = 0; k < h->nlabels; k++)
        width += label_size(h->label[k].type);
    if (cm_mul(n, width, &bytes) || bytes > u.n)
        return cm_records_bad(&r->in, "cut label values");
    size_t bad = cm_strs_not_utf8(&c->names, 0);
    if (bad != CM_ABSENT)
        return cm_sticky_fail(&r->in.error, CM_EINPUT,
                              "row %" PRIu64 ": the name \"%.60s\" is not UTF-8", first + bad,
                              cm_strs_get(&c->names, bad));
    c->first = first;
    c->rows = n;
    cm_chunk_labels(c, h);
    for (size_t k = 0; k < h->nlabels; k++) {
        struct cm_vec *v = &c->label[k];
        if (v->type == CM_T_STR) {
            cm_strs_clear(&v->s);
            if (!cm_wire_get_strs(&u, n, &v->s))
                return cm_records_bad(&r->in, "damaged text label");
            if ((bad = cm_strs_not_utf8(&v->s, 0)) != CM_ABSENT)
                return cm_sticky_fail(&r->in.error, CM_EINPUT,
                                      "row %" PRIu64 ": label %s: \"%.60s\" is not UTF-8",
                                      first + bad, v->name, cm_strs_get(&v->s, bad));
            continue;
        }
        size_t size = label_size(v->type);
        void *to = v->type == CM_T_CAT    ? (void *)v->cat
                   : v->type == CM_T_BOOL ? (void *)v->b
                   : v->type == CM_T_I64  ? (void *)v->i
                                          : (void *)v->f;
        const void *from = cm_cursor_items(&u, n, size);
        cm_cursor_pad8(&u);
        if (u.bad)
            return cm_records_bad(&r->in, "cut label values");
        cm_le_copy(to, from, n, size);
        for (size_t i = 0; v->type == CM_T_CAT && i < n; i++)
            if (v->cat[i] != CM_CAT_MISSING && v->cat[i] >= h->label[k].dict.names.n)
                return cm_sticky_fail(&r->in.error, CM_EINPUT,
                                      "row %" PRIu64 ": label %s has code %u, its DICT has %zu "
                                      "categories",
                                      first + i, v->name, v->cat[i], h->label[k].dict.names.n);
    }
    return 0;
}

static int not_finite(struct cm_reader *r, const struct cm_block *b, uint64_t first,
                      const struct cm_slot *s, size_t i, uint64_t e, double x)
{
    size_t j = b->dense ? e - i * b->cols : b->idx[e];
    return cm_sticky_fail(&r->in.error, CM_EINPUT,
                          "slot %s, row %" PRIu64 ", column %s: expected a finite value, found %g",
                          s->name, first + i, cm_strs_get(&s->cols.names, j), x);
}

/* The same of the values that a lazy slot means. */
static int check_meant(struct cm_reader *r, struct cm_block *b, uint64_t first, size_t slot)
{
    const struct cm_slot *s = &r->head.slot[slot];
    uint64_t e = cm_lazy_overflow(b, s, &r->bound[slot]);
    if (e == b->nnz)
        return 0;
    size_t i = 0;
    while (b->dense ? e >= (i + 1) * b->cols : e >= b->ptr[i + 1])
        i++;
    return not_finite(r, b, first, s, i, e, (double)cm_block_f32(b, s)[e]);
}

static int check_finite(struct cm_reader *r, const struct cm_block *b, uint64_t first,
                        const struct cm_slot *s)
{
    /* x - x is 0 for finite x and NaN otherwise: a sum that stays 0 clears the whole block. */
    double sum = 0;
    if (b->type == CM_V_F32)
        for (uint64_t e = 0; e < b->nnz; e++)
            sum += (double)(((const float *)b->raw)[e] - ((const float *)b->raw)[e]);
    else if (b->type == CM_V_F64)
        for (uint64_t e = 0; e < b->nnz; e++)
            sum += ((const double *)b->raw)[e] - ((const double *)b->raw)[e];
    if (sum == 0)
        return 0;
    for (size_t i = 0; i < b->rows; i++) {
        uint64_t e = b->dense ? i * b->cols : b->ptr[i];
        uint64_t end = b->dense ? e + b->cols : b->ptr[i + 1];
        for (; e < end; e++)
            if (!isfinite(cm_block_x(b, e)))
                return not_finite(r, b, first, s, i, e, cm_block_x(b, e));
    }
    return 0;
}

/* Columns from four byte planes of differences; counts say where rows begin. */
static int get_columns(struct cm_reader *r, struct cm_block *b, const unsigned char *counts,
                       const unsigned char *plane, uint64_t first)
{
    const uint64_t n = b->nnz;
    uint64_t e = 0;
    for (size_t i = 0; i < b->rows; i++) {
        uint32_t count;
        uint64_t last;
        cm_le_copy(&count, counts + 4 * i, 1, 4);
        if (count > n - e)
            return cm_records_bad(&r->in, "rows hold more entries than the block");
        if (!b->spared && !cm_planes_join(plane + e, n, count, b->cols, b->idx + e, &last))
            return cm_sticky_fail(&r->in.error, CM_EINPUT,
                                  "record %" PRIu64 " (BLOCK), row %" PRIu64 ": expected "
                                  "ascending columns below %zu, found %" PRIu64,
                                  r->in.n, first + i, b->cols, last);
        b->ptr[i + 1] = e += count;
    }
    return e == n ? 0 : cm_records_bad(&r->in, "rows hold fewer entries than the block");
}

/* Keeps what the writer may pass on, from byte `head` of the payload; then columns may be spared
 * if it will do so: the values are of the type that it would choose, which is cheap to know of
 * bytes. */
static void pack(struct cm_reader *r, struct cm_block *b, const unsigned char *plane, size_t head)
{
    const struct cm_inflate *z = &r->in.bytes;
    bool frame = cm_inflate_is_frame(z, r->in.from + head);
    size_t whole = cm_wire_entries(b->nnz, b->type);
    r->packed = (struct cm_frame){.frame = frame ? z->frame.p : NULL,
                                  .raw = plane,
                                  .nframe = frame ? z->frame.n : 0,
                                  .nraw = r->in.payload.n - head,
                                  .type = b->type};
    b->spared = r->spare && b->type <= CM_V_U8 && r->packed.nraw == whole &&
                cm_narrowest(b, false) == b->type;
}

/* Row factors, columns and values into the block, whose memory is there; and checks. */
static int take_arrays(struct cm_reader *r, struct cm_cursor *u, struct cm_block *b, size_t slot,
                       uint32_t flags, uint64_t first)
{
    const struct cm_slot *s = &r->head.slot[slot];
    size_t rows = b->rows, size = cm_value_size(b->type);
    const unsigned char *counts = NULL, *plane = NULL;
    if (!b->dense) {
        counts = cm_cursor_items(u, rows, 4);
        cm_cursor_pad8(u);
    }
    if (flags & CM_WIRE_ROWF) {
        const void *f = cm_cursor_items(u, rows, 4);
        cm_cursor_pad8(u);
        if (!u->bad)
            cm_le_copy(cm_block_rowf(b), f, rows, 4);
        for (size_t i = 0; !u->bad && i < rows; i++)
            if (!isfinite(b->rowf[i]))
                return cm_records_bad(&r->in, "a row factor is not finite");
    }
    size_t head = u->at; /* bytes of the payload before the columns */
    if (!b->dense) {
        plane = cm_cursor_items(u, b->nnz, 4);
        cm_cursor_pad8(u);
    }
    const void *values = cm_cursor_items(u, b->nnz, size);
    if (u->bad)
        return cm_records_bad(&r->in, "cut values");
    cm_le_copy(b->raw, values, (size_t)b->nnz, size);
    if (!b->dense && b->nnz && u->n < 8)
        pack(r, b, plane, head);
    int rc = b->dense ? 0 : get_columns(r, b, counts, plane, first);
    if (!rc)
        rc = check_finite(r, b, first, s);
    return rc ? rc : check_meant(r, b, first, slot);
}

/* Takes the block's memory for entries from the matrix that all of them are for; what it had is
 * kept in `own`.  Rows are mostly of one length: those to come are estimated by those that came,
 * within reason, since HEAD may lie about their number. */
static void lend_entries(struct cm_reader *r, struct cm_block *b, size_t rows, uint64_t nnz,
                         struct cm_block *own)
{
    struct cm_csr *m = r->into;
    uint64_t want = nnz, all = r->head.slot[0].rows;
    if (!m->capacity && all > rows)
        want = (uint64_t)fmin(ENTRIES_AHEAD, 1.02 * (double)nnz / (double)rows * (double)all);
    cm_csr_reserve(m, rows, (size_t)(want < nnz ? nnz : want));
    *own = *b;
    b->idx = m->idx + m->ptr[m->rows];
    b->raw = m->val + m->ptr[m->rows];
    b->idx_cap = b->raw_cap = SIZE_MAX;
}

static void return_entries(struct cm_block *b, const struct cm_block *own)
{
    b->idx = own->idx;
    b->raw = own->raw;
    b->idx_cap = own->idx_cap;
    b->raw_cap = own->raw_cap;
}

int cm_take_block(struct cm_reader *r, struct cm_chunk *c, bool *got)
{
    struct cm_cursor u = cm_cursor_make(r->in.payload.p, r->in.payload.n);
    uint32_t slot = cm_cursor_u32(&u), type = cm_cursor_u32(&u), rows = cm_cursor_u32(&u);
    uint32_t flags = cm_cursor_u32(&u);
    uint64_t first = cm_cursor_u64(&u), nnz = cm_cursor_u64(&u);
    if (u.bad || slot >= r->head.nslots || type > CM_V_F64 || got[slot])
        return cm_records_bad(&r->in,
                              "unknown slot or value type, or a second block for these rows");
    const struct cm_slot *s = &r->head.slot[slot];
    bool dense = flags & CM_WIRE_DENSE;
    size_t cols = s->cols.names.n, size = cm_value_size((enum cm_value)type), cells;
    if (rows != c->rows || first != c->first || dense != s->dense)
        return cm_records_bad(&r->in, "its rows or encoding are not those announced");
    /* The payload's length is known to be there: sizes that it cannot hold are refused first. */
    if (dense ? type < CM_V_F32 || cm_mul(rows, cols, &cells) || nnz != cells || cells > u.n / size
              : nnz > u.n / (4 + size) || rows > u.n / 4)
        return cm_records_bad(&r->in, "declares more values than it has bytes");
    struct cm_block *b = &c->block[slot], own = {0};
    r->placed = r->into && !dense && nnz && type == CM_V_F32 && s->lazy == CM_LAZY_NO;
    if (r->placed)
        lend_entries(r, b, rows, nnz, &own);
    cm_block_shape(b, dense, rows, cols, nnz, (enum cm_value)type);
    int rc = take_arrays(r, &u, b, slot, flags, first);
    if (r->placed)
        return_entries(b, &own);
    got[slot] = true;
    r->nnz[slot] += nnz;
    return rc;
}

int cm_take_pick(struct cm_reader *r, struct cm_chunk *c)
{
    struct cm_cursor u = cm_cursor_make(r->in.payload.p, r->in.payload.n);
    c->batch = (struct cm_batch){.epoch = cm_cursor_u32(&u)};
    c->batch.rows = cm_cursor_u32(&u);
    c->batch.step = cm_cursor_u64(&u);
    const void *rows = cm_cursor_items(&u, c->batch.rows, 8);
    if (u.bad || r->head.kind != CM_PAIRS)
        return cm_records_bad(&r->in, "cut, or in a stream that is no pairs");
    CM_GROW(c->pick, c->pick_cap, c->batch.rows);
    cm_le_copy(c->pick, rows, c->batch.rows, 8);
    for (size_t k = 0; k < c->batch.rows; k++)
        if (c->pick[k] >= r->rows[0])
            return cm_sticky_fail(&r->in.error, CM_EINPUT,
                                  "record %" PRIu64 " (PICK): row %" PRIu64
                                  " of a data pass of %" PRIu64 " rows",
                                  r->in.n, c->pick[k], r->rows[0]);
    c->is_pick = true;
    return 1;
}

/* The first of n values that is not finite, or n.  Without a branch a value: models are millions of
 * them. */
static size_t first_infinite(const void *values, enum cm_value type, size_t n)
{
    bool found = false;
    size_t at = 0;
    if (type == CM_V_F32) {
        for (size_t k = 0; k < n; k++)
            found |= !isfinite(((const float *)values)[k]);
        while (found && at < n && isfinite(((const float *)values)[at]))
            at++;
    } else if (type == CM_V_F64) {
        for (size_t k = 0; k < n; k++)
            found |= !isfinite(((const double *)values)[k]);
        while (found && at < n && isfinite(((const double *)values)[at]))
            at++;
    }
    return found ? at : n;
}

/* The values of a tensor, into its memory unless they are only checked. */
static int take_values(struct cm_reader *r, struct cm_tensor *t, const unsigned char *from)
{
    enum { PART = 1024 };
    double checked[PART];
    size_t size = cm_value_size(t->type);
    t->data = r->drains ? NULL : cm_alloc((size_t)t->n + 1, size);
    for (size_t at = 0, n; at < t->n; at += n) {
        n = t->n - at < PART ? (size_t)t->n - at : PART;
        void *part = t->data ? (unsigned char *)t->data + at * size : (void *)checked;
        cm_le_copy(part, from + at * size, n, size);
        size_t bad = first_infinite(part, t->type, n);
        if (bad == n)
            continue;
        double x = t->type == CM_V_F32 ? (double)((float *)part)[bad] : ((double *)part)[bad];
        return cm_sticky_fail(&r->in.error, CM_EINPUT,
                              "tensor %s, item %zu: expected a finite value, found %g", t->name,
                              at + bad, x);
    }
    return 0;
}

int cm_take_tensor(struct cm_reader *r, struct cm_chunk *c)
{
    struct cm_cursor u = cm_cursor_make(r->in.payload.p, r->in.payload.n);
    struct cm_tensor *t = CM_ZNEW(1, struct cm_tensor);
    cm_tensor_free(c->tensor);
    c->tensor = t;
    uint32_t type = cm_cursor_u32(&u);
    t->ndim = cm_cursor_u32(&u);
    uint32_t name = cm_cursor_u32(&u);
    cm_cursor_u32(&u);
    if (u.bad || type > CM_V_F64 || type == CM_V_ONE || t->ndim > CM_TENSOR_DIMS ||
        name > CM_MAX_NAME)
        return cm_records_bad(&r->in, "unknown type or shape");
    t->type = (enum cm_value)type;
    t->n = 1;
    for (unsigned k = 0; k < t->ndim; k++) {
        t->shape[k] = cm_cursor_u64(&u);
        if (t->shape[k] > CM_MAX_PAYLOAD || (t->n && t->shape[k] > CM_MAX_PAYLOAD / t->n))
            return cm_records_bad(&r->in, "declares more values than it has bytes");
        t->n *= t->shape[k];
    }
    const char *text = cm_cursor_take(&u, name);
    cm_cursor_pad8(&u);
    size_t size = cm_value_size(t->type);
    const void *data = cm_cursor_items(&u, t->n, size);
    if (u.bad || memchr(text, 0, name))
        return cm_records_bad(&r->in, "cut, or a damaged name");
    t->name = memcpy(cm_zalloc(name + 1, 1), text, name);
    if (cm_utf8_bad(t->name, name) != name)
        return cm_sticky_fail(&r->in.error, CM_EINPUT, "the tensor name \"%.60s\" is not UTF-8",
                              t->name);
    int rc = take_values(r, t, data);
    if (rc)
        return rc;
    c->is_tensor = true;
    /* Beside its tensor the chunk is an empty one, so that a tool which works on rows and forgets
     * to ask does nothing, and copies the tensor through. */
    cm_strs_clear(&c->names);
    cm_chunk_labels(c, &r->head);
    for (size_t k = 0; k < r->head.nslots; k++)
        cm_block_shape(&c->block[k], r->head.slot[k].dense, 0, r->head.slot[k].cols.names.n, 0,
                       CM_V_F32);
    return 1;
}
