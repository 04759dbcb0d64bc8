/* stream/text_out.c - streams as text.
 *
 *     #cms     1
 *     #head    key  value                  HEAD but for rows (they may be filtered) and lazy
 *     #cols    slot  line of COLS
 *     #numbers slot                        columns are named by number, 0-based
 *     #dict    label  ordered|plain  category ...     again when categories are added
 *     #name    label ...                   what the fields of a row are; for people
 *     #block   type ...                    a block begins; value type of each slot
 *     name  label ...  column:value ...    a row; dense: values alone
 *     #batch   epoch  step  split          pairs: the block below is a batch
 *     #pick    epoch  step  row ...
 *     #tensor  name  type  AxB  values     a tensor among rows (the fit that svd carries)
 *     #end
 *
 * A row of several slots has "|NAME" before each slot's values; a tensor of a model is a row.  A
 * missing label is an empty field, the empty category is "%".  Block lines are hints.
 */
#include "stream/tsv.h"

#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "stream/wire.h"

void cm_tsv_make(struct cm_tsv *t, const struct cm_head *h)
{
    *t = (struct cm_tsv){.sent = CM_ZNEW(h->nlabels + 1, size_t)};
    for (size_t k = 0; k < h->nslots; k++) {
        struct cm_index x;
        cm_index_make(&x, &h->slot[k].cols.names);
        t->number[k] = x.duplicate != CM_ABSENT;
        cm_index_free(&x);
    }
}

void cm_tsv_free(struct cm_tsv *t)
{
    cm_free(t->sent);
    t->sent = NULL;
}

/* A name as the first thing in a field: what looks like one of our own marks is escaped too. */
static void put_name(struct cm_buf *to, const char *name)
{
    if (*name == '#' || *name == '|')
        cm_buf_printf(to, "%%%02X", (unsigned)(unsigned char)*name++);
    cm_escape(to, name);
}

void cm_tsv_keys(const struct cm_head *h, struct cm_buf *to) { cm_wire_put_head(to, h); }

void cm_tsv_cols(const struct cm_head *h, size_t slot, struct cm_buf *to)
{
    struct cm_buf b = {0};
    cm_wire_put_cols(&b, slot, &h->slot[slot].cols);
    cm_buf_put(to, b.p + 8, b.n - 8); /* behind u32 slot, u32 0 */
    cm_buf_free(&b);
}

/* Categories that the text does not know yet. */
static void put_dicts(struct cm_tsv *t, const struct cm_head *h, struct cm_buf *to)
{
    for (size_t k = 0; k < h->nlabels; k++) {
        const struct cm_dict *d = &h->label[k].dict;
        if (t->sent[k] == d->names.n)
            continue;
        cm_buf_puts(to, "#dict\t");
        cm_escape(to, h->label[k].name);
        cm_buf_puts(to, d->ordered ? "\tordered" : "\tplain");
        for (; t->sent[k] < d->names.n; t->sent[k]++) {
            cm_buf_puts(to, "\t");
            cm_escape(to, cm_strs_get(&d->names, t->sent[k]));
        }
        cm_buf_puts(to, "\n");
    }
}

void cm_tsv_row_names(const struct cm_head *h, struct cm_buf *to)
{
    cm_buf_puts(to, "#name");
    for (size_t k = 0; k < h->nlabels; k++) {
        cm_buf_puts(to, "\t");
        cm_escape(to, h->label[k].name);
    }
    for (size_t k = 0; k < h->nslots; k++) {
        if (h->nslots > 1) {
            cm_buf_puts(to, "\t|");
            cm_escape(to, h->slot[k].name);
        }
        if (!h->slot[k].dense)
            cm_buf_puts(to, "\tcolumn:value ...");
        for (size_t j = 0; h->slot[k].dense && j < h->slot[k].cols.names.n; j++) {
            cm_buf_puts(to, "\t");
            cm_escape(to, cm_strs_get(&h->slot[k].cols.names, j));
        }
    }
    cm_buf_puts(to, "\n");
}

void cm_tsv_head(struct cm_tsv *t, const struct cm_head *h, struct cm_buf *to)
{
    struct cm_buf b = {0};
    struct cm_head plain = {0};
    char front[32];
    cm_head_copy(&plain, h);
    for (size_t k = 0; k < plain.nslots; k++) {
        plain.slot[k].rows = 0;
        plain.slot[k].lazy = CM_LAZY_NO;
    }
    cm_buf_puts(to, "#cms\t1\n");
    cm_wire_put_head(&b, &plain);
    cm_put_lines(to, "#head\t", (const char *)b.p, b.n);
    for (size_t k = 0; k < plain.nslots; k++) {
        snprintf(front, sizeof front, "#cols\t%zu\t", k);
        b.n = 0;
        cm_tsv_cols(&plain, k, &b);
        cm_put_lines(to, front, (const char *)b.p, b.n);
        if (t->number[k])
            cm_buf_printf(to, "#numbers\t%zu\n", k);
    }
    cm_head_free(&plain);
    cm_buf_free(&b);
    put_dicts(t, h, to);
    if (h->kind != CM_MODEL)
        cm_tsv_row_names(h, to);
}

static void put_label(struct cm_buf *to, const struct cm_label *l, const struct cm_vec *v, size_t i)
{
    char number[CM_NUMBER_MAX];
    switch (v->type) {
    case CM_T_CAT:
        if (v->cat[i] != CM_CAT_MISSING) {
            const char *name = cm_strs_get(&l->dict.names, v->cat[i]);
            cm_escape(to, name);
            if (!*name)
                cm_buf_puts(to, "%");
        }
        break;
    case CM_T_BOOL:
        if (v->b[i] != CM_BOOL_MISSING)
            cm_buf_puts(to, v->b[i] ? "true" : "false");
        break;
    case CM_T_I64:
        if (v->i[i] != CM_I64_MISSING)
            cm_buf_printf(to, "%" PRId64, v->i[i]);
        break;
    case CM_T_F64:
        if (v->f[i] == v->f[i])
            cm_buf_puts(to, cm_format_f64(v->f[i], number));
        break;
    case CM_T_STR:
        cm_escape(to, cm_strs_get(&v->s, i));
        break;
    }
}

/* Values of a block as the stream means them: f32 where the transform is lazy, else as stored. */
struct values {
    const float *lazy;
    const struct cm_block *b;
};

static struct values values_of(struct cm_block *b, const struct cm_slot *s)
{
    return (struct values){s->lazy == CM_LAZY_NO ? NULL : cm_block_f32(b, s), b};
}

static void put_value(struct cm_buf *to, const struct values *v, uint64_t e)
{
    char number[CM_NUMBER_MAX];
    if (v->lazy)
        cm_buf_puts(to, cm_format_f32(v->lazy[e], number));
    else if (v->b->type < CM_V_F32)
        cm_buf_printf(to, "%.0f", cm_block_x(v->b, e));
    else if (v->b->type == CM_V_F32)
        cm_buf_puts(to, cm_format_f32((float)cm_block_x(v->b, e), number));
    else
        cm_buf_puts(to, cm_format_f64(cm_block_x(v->b, e), number));
}

static void put_tensor(const struct cm_tensor *t, struct cm_buf *to)
{
    struct cm_block b = {.type = t->type, .raw = t->data, .nnz = t->n};
    struct values v = {NULL, &b};
    put_name(to, t->name);
    cm_buf_printf(to, "\t%s\t", cm_value_name(t->type));
    for (unsigned k = 0; k < t->ndim; k++)
        cm_buf_printf(to, "%s%" PRIu64, k ? "x" : "", t->shape[k]);
    for (uint64_t e = 0; e < t->n; e++) {
        cm_buf_puts(to, "\t");
        put_value(to, &v, e);
    }
    cm_buf_puts(to, "\n");
}

static void put_row(const struct cm_tsv *t, const struct cm_slot *s, size_t slot,
                    const struct values *v, size_t i, struct cm_buf *to)
{
    const struct cm_block *b = v->b;
    uint64_t e = b->dense ? i * b->cols : b->ptr[i], end = b->dense ? e + b->cols : b->ptr[i + 1];
    for (; e < end; e++) {
        cm_buf_puts(to, "\t");
        if (!b->dense) {
            if (t->number[slot])
                cm_buf_printf(to, "%" PRIu32, b->idx[e]);
            else
                put_name(to, cm_strs_get(&s->cols.names, b->idx[e]));
            cm_buf_puts(to, ":");
        }
        put_value(to, v, e);
    }
}

static void put_name_and_labels(const struct cm_head *h, const struct cm_chunk *c, size_t i,
                                struct cm_buf *to)
{
    put_name(to, cm_strs_get(&c->names, i));
    for (size_t k = 0; k < h->nlabels; k++) {
        cm_buf_puts(to, "\t");
        put_label(to, &h->label[k], &c->label[k], i);
    }
}

void cm_tsv_labels_head(const struct cm_head *h, struct cm_buf *to)
{
    cm_buf_puts(to, "name");
    for (size_t k = 0; k < h->nlabels; k++) {
        cm_buf_puts(to, "\t");
        cm_escape(to, h->label[k].name);
    }
    cm_buf_puts(to, "\n");
}

void cm_tsv_labels(const struct cm_head *h, const struct cm_chunk *c, struct cm_buf *to)
{
    for (size_t i = 0; i < c->rows; i++) {
        put_name_and_labels(h, c, i, to);
        cm_buf_puts(to, "\n");
    }
}

void cm_tsv_chunk(struct cm_tsv *t, const struct cm_head *h, struct cm_chunk *c, bool bare,
                  struct cm_buf *to)
{
    if (c->is_tensor) {
        if (bare && h->kind != CM_MODEL)
            return;
        if (h->kind != CM_MODEL)
            cm_buf_puts(to, "#tensor\t");
        put_tensor(c->tensor, to);
        return;
    }
    if (c->is_pick) {
        if (bare)
            return;
        cm_buf_printf(to, "#pick\t%u\t%" PRIu64, c->batch.epoch, c->batch.step);
        for (size_t k = 0; k < c->batch.rows; k++)
            cm_buf_printf(to, "\t%" PRIu64, c->pick[k]);
        cm_buf_puts(to, "\n");
        return;
    }
    struct values v[CM_MAX_SLOTS];
    for (size_t k = 0; k < h->nslots; k++)
        v[k] = values_of(&c->block[k], &h->slot[k]);
    if (!bare) {
        put_dicts(t, h, to);
        if (c->has_batch)
            cm_buf_printf(to, "#batch\t%u\t%" PRIu64 "\t%u\n", c->batch.epoch, c->batch.step,
                          c->batch.split);
        cm_buf_puts(to, "#block");
        for (size_t k = 0; k < h->nslots; k++)
            cm_buf_printf(to, "\t%s", v[k].lazy ? "f32" : cm_value_name(c->block[k].type));
        cm_buf_puts(to, "\n");
    }
    for (size_t i = 0; i < c->rows; i++) {
        put_name_and_labels(h, c, i, to);
        for (size_t k = 0; k < h->nslots; k++) {
            if (h->nslots > 1) {
                cm_buf_puts(to, "\t|");
                cm_escape(to, h->slot[k].name);
            }
            put_row(t, &h->slot[k], k, &v[k], i, to);
        }
        cm_buf_puts(to, "\n");
    }
}

void cm_tsv_end(struct cm_buf *to) { cm_buf_puts(to, "#end\n"); }

void cm_tsv_triplets(const struct cm_head *h, struct cm_chunk *c, struct cm_buf *to)
{
    if (c->is_pick || c->is_tensor)
        return;
    for (size_t k = 0; k < h->nslots; k++) {
        const struct cm_slot *s = &h->slot[k];
        struct values v = values_of(&c->block[k], s);
        const struct cm_block *b = v.b;
        for (size_t i = 0; i < c->rows; i++) {
            uint64_t e = b->dense ? i * b->cols : b->ptr[i];
            uint64_t end = b->dense ? e + b->cols : b->ptr[i + 1];
            for (size_t j = 0; e < end; e++, j++) {
                if (h->nslots > 1) {
                    cm_escape(to, s->name);
                    cm_buf_puts(to, "\t");
                }
                cm_escape(to, cm_strs_get(&c->names, i));
                cm_buf_puts(to, "\t");
                cm_escape(to, cm_strs_get(&s->cols.names, b->dense ? j : b->idx[e]));
                cm_buf_puts(to, "\t");
                put_value(to, &v, e);
                cm_buf_puts(to, "\n");
            }
        }
    }
}
