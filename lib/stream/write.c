/* stream/write.c - the writer of CMS.
 *
 * Nothing wrong may leave a stage: order, finiteness and the promises of a match are checked, and
 * new categories are sent before their first use.  The end is provenance, END and the digest.
 * Columns and values of a large block are a frame of their own, so that the stages which change
 * neither (most normalisations) pass it on without compressing it again.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "stream/cms.h"
#include "stream/deflate.h"
#include "stream/narrow.h"
#include "stream/planes.h"
#include "stream/recode.h"
#include "stream/wire.h"

struct cm_writer {
    struct cm_sticky error;
    struct cm_deflate out;
    bool begun, ended;
    uint64_t digest, rows[CM_MAX_SLOTS], max_row;
    struct cm_head head;
    size_t *sent; /* categories already sent, per label */
    struct cm_recode *recode;
    struct cm_reader **parent;
    size_t nparents;
    struct cm_buf stage; /* our own prov, without parents; empty = no provenance */
    struct cm_past notes;
    const struct cm_reader *reuse; /* for the next chunk */
    struct cm_lazy_bound bound[CM_MAX_SLOTS];
};

struct cm_writer *cm_writer_make(int fd, const char *what, int level)
{
    struct cm_writer *w = CM_ZNEW(1, struct cm_writer);
    w->error.name = cm_strdup(what);
    w->max_row = 1000;
    cm_deflate_start(&w->out, fd, level, &w->error);
    return w;
}

void cm_writer_free(struct cm_writer *w)
{
    if (!w)
        return;
    cm_deflate_free(&w->out);
    cm_buf_free(&w->stage);
    for (size_t k = 0; w->recode && k < w->head.nlabels; k++)
        cm_free(w->recode[k].map);
    cm_free(w->recode);
    cm_free(w->sent);
    cm_head_free(&w->head);
    cm_free(w->parent);
    cm_past_free(&w->notes);
    cm_sticky_free(&w->error);
    cm_free(w);
}

int cm_writer_flush(struct cm_writer *w) { return cm_deflate_flush(&w->out); }

/* ===== provenance ========================================================================= */

void cm_writer_stage(struct cm_writer *w, const char *tool, const char *version, const char *args,
                     const char *seed)
{
    const char *pair[][2] = {{"tool", tool}, {"version", version}, {"args", args}, {"seed", seed}};
    w->stage.n = 0;
    for (size_t k = 0; k < 4; k++)
        if (pair[k][1]) {
            cm_buf_printf(&w->stage, "%s\t", pair[k][0]);
            cm_escape(&w->stage, pair[k][1]);
            cm_buf_puts(&w->stage, "\n");
        }
    for (size_t at = 0;
         (at += cm_utf8_bad((const char *)w->stage.p + at, w->stage.n - at)) < w->stage.n;)
        w->stage.p[at] = '?'; /* names of files are in any encoding, text of a stream is not */
}

void cm_writer_parent(struct cm_writer *w, struct cm_reader *r)
{
    w->parent = cm_realloc(w->parent, w->nparents + 1, sizeof *w->parent);
    w->parent[w->nparents++] = r;
}

/* What the parents carried, then our own prov with their ids and digests. */
static int write_history(struct cm_writer *w)
{
    struct cm_past all = {0};
    for (size_t p = 0; p < w->nparents; p++) {
        size_t m;
        const struct cm_history *h = cm_reader_history_list(w->parent[p], &m);
        const char *last = NULL;
        for (size_t k = 0; k < m; k++) {
            bool prov = !strcmp(h[k].tag, "prov");
            if (prov && !w->stage.n)
                continue;
            if (prov)
                last = h[k].id;
            cm_past_add(&all, h[k].tag, h[k].payload.p, h[k].payload.n);
        }
        if (last && w->stage.n)
            cm_buf_printf(&w->stage, "parent\t%s\n", last);
        if (cm_reader_ended(w->parent[p]) && w->stage.n)
            cm_buf_printf(&w->stage, "input\t%016" PRIx64 "\n", cm_reader_digest(w->parent[p]));
    }
    for (size_t k = 0; k < w->notes.n; k++)
        cm_past_add(&all, "note", w->notes.list[k].payload.p, w->notes.list[k].payload.n);
    if (w->stage.n)
        cm_past_add(&all, "prov", w->stage.p, w->stage.n);
    int rc = 0;
    for (size_t k = 0; !rc && k < all.n; k++) {
        cm_record_begin(&w->out, all.list[k].tag);
        cm_buf_put(&w->out.raw, all.list[k].payload.p, all.list[k].payload.n);
        rc = cm_record_end(&w->out);
    }
    cm_past_free(&all);
    return rc;
}

int cm_writer_note(struct cm_writer *w, const char *key, const char *value)
{
    struct cm_buf b = {0};
    cm_escape(&b, key);
    cm_buf_puts(&b, "\t");
    cm_escape(&b, value);
    cm_buf_puts(&b, "\n");
    cm_past_add(&w->notes, "note", b.p, b.n);
    cm_buf_free(&b);
    return w->error.code ? cm_sticky_again(&w->error) : 0;
}

/* ===== head and categories ================================================================ */

/* Lengths on the wire are limited; `what` is for the message. */
static int check_names(struct cm_writer *w, const struct cm_strs *s, size_t from, size_t n,
                       const char *what)
{
    for (size_t i = from; i < from + n; i++)
        if (strlen(cm_strs_get(s, i)) > CM_MAX_NAME)
            return cm_sticky_fail(&w->error, CM_EINPUT, "%s longer than 64 KiB: %.40s...", what,
                                  cm_strs_get(s, i));
    return 0;
}

/* Categories from..end of label k. */
static int write_dict(struct cm_writer *w, size_t k)
{
    const struct cm_dict *d = &w->head.label[k].dict;
    if (check_names(w, &d->names, w->sent[k], d->names.n - w->sent[k], "a category"))
        return w->error.code;
    cm_record_begin(&w->out, "DICT");
    cm_buf_u32(&w->out.raw, (uint32_t)k);
    cm_buf_u32(&w->out.raw, (uint32_t)w->sent[k]);
    cm_buf_u32(&w->out.raw, (uint32_t)(d->names.n - w->sent[k]));
    cm_buf_u32(&w->out.raw, d->ordered);
    cm_wire_put_strs(&w->out.raw, &d->names, w->sent[k], d->names.n - w->sent[k]);
    size_t bad = cm_strs_not_utf8(&d->names, w->sent[k]);
    if (bad != CM_ABSENT)
        return cm_sticky_fail(&w->error, CM_EINPUT, "label %s: the category \"%.60s\" is not UTF-8",
                              w->head.label[k].name, cm_strs_get(&d->names, bad));
    w->sent[k] = d->names.n;
    return cm_record_end(&w->out);
}

/* Is the text of the record at hand, behind `skip` bytes, UTF-8?  Names the line if not. */
static int check_text(struct cm_writer *w, const char *what, size_t skip)
{
    const char *text = (const char *)w->out.raw.p + w->out.record + skip;
    size_t n = w->out.raw.n - w->out.record - skip, bad = cm_utf8_bad(text, n), line = bad;
    if (bad == n)
        return 0;
    while (line && text[line - 1] != '\n')
        line--;
    return cm_sticky_fail(&w->error, CM_EINPUT, "%s: \"%.*s\" is not UTF-8", what,
                          (int)strcspn(text + line, "\t\n") % 60, text + line);
}

static void put_prefix(struct cm_buf *b)
{
    const unsigned char version[8] = {CM_CMS_MAJOR, 0, CM_CMS_MINOR, 0};
    cm_buf_put(b, CM_WIRE_MAGIC, 8);
    cm_buf_put(b, version, 8);
}

int cm_writer_head(struct cm_writer *w, const struct cm_head *h)
{
    if (w->error.code)
        return cm_sticky_again(&w->error);
    CM_ASSERT(!w->begun);
    cm_head_copy(&w->head, h);
    for (size_t k = 0; k < h->nslots; k++)
        if (cm_lazy_bound(&w->head.slot[k], &w->bound[k]))
            return cm_sticky_fail(&w->error, CM_ENUMERIC, "%s", cm_error_message());
    w->sent = CM_ZNEW(h->nlabels + 1, size_t);
    w->recode = CM_ZNEW(h->nlabels + 1, struct cm_recode);
    w->begun = true;
    put_prefix(&w->out.raw);
    cm_record_begin(&w->out, "HEAD");
    cm_wire_put_head(&w->out.raw, &w->head);
    int rc = check_text(w, "head", 0);
    rc = rc ? rc : cm_record_end(&w->out);
    for (size_t k = 0; !rc && k < h->nslots; k++) {
        if (check_names(w, &w->head.slot[k].cols.names, 0, w->head.slot[k].cols.names.n,
                        "a column"))
            return w->error.code;
        cm_record_begin(&w->out, "COLS");
        cm_wire_put_cols(&w->out.raw, k, &w->head.slot[k].cols);
        rc = check_text(w, "column", 8);
        rc = rc ? rc : cm_record_end(&w->out);
    }
    for (size_t k = 0; !rc && k < h->nlabels; k++)
        if (h->label[k].type == CM_T_CAT && h->label[k].dict.names.n)
            rc = write_dict(w, k);
    rc = rc ? rc : cm_writer_flush(w);
    cm_deflate_trim(&w->out);
    return rc;
}

/* ===== rows =============================================================================== */

static int write_rows(struct cm_writer *w, struct cm_chunk *c, const struct cm_head *origin)
{
    const struct cm_head *h = &w->head;
    if (c->names.n != c->rows || c->nlabels != h->nlabels)
        return cm_sticky_fail(&w->error, CM_EBUG,
                              "a chunk of %zu rows with %zu names and %zu labels (expected %zu)",
                              c->rows, c->names.n, c->nlabels, h->nlabels);
    int long_one = check_names(w, &c->names, 0, c->rows, "a name");
    if (long_one)
        return long_one;
    size_t bad = cm_strs_not_utf8(&c->names, 0);
    if (bad != CM_ABSENT)
        return cm_sticky_fail(&w->error, CM_EINPUT,
                              "row %" PRIu64 ": the name \"%.60s\" is not UTF-8", w->rows[0] + bad,
                              cm_strs_get(&c->names, bad));
    for (size_t k = 0; k < h->nlabels; k++) {
        const struct cm_vec *v = &c->label[k];
        if (v->type == CM_T_STR && (bad = cm_strs_not_utf8(&v->s, 0)) < c->rows)
            return cm_sticky_fail(&w->error, CM_EINPUT,
                                  "row %" PRIu64 ": label %s: \"%.60s\" is not UTF-8",
                                  w->rows[0] + bad, v->name, cm_strs_get(&v->s, bad));
        size_t have = v->type == CM_T_STR ? v->s.n : v->n;
        if (v->type != h->label[k].type || have < c->rows)
            return cm_sticky_fail(&w->error, CM_EBUG, "label %s: wrong type or length",
                                  h->label[k].name);
        if (v->type == CM_T_STR && check_names(w, &v->s, 0, c->rows, "a label"))
            return w->error.code;
        if (v->type != CM_T_CAT)
            continue;
        cm_recode_extend(&w->recode[k], &w->head, k, origin ? origin : h);
        size_t categories = w->recode[k].known;
        for (size_t i = 0; i < c->rows; i++)
            if (v->cat[i] != CM_CAT_MISSING && v->cat[i] >= categories)
                return cm_sticky_fail(&w->error, CM_EBUG, "label %s: code %u of %zu categories",
                                      v->name, v->cat[i], categories);
        int rc = h->label[k].dict.names.n > w->sent[k] ? write_dict(w, k) : 0;
        if (rc)
            return rc;
    }
    cm_record_begin(&w->out, "ROWS");
    struct cm_buf *b = &w->out.raw;
    cm_buf_u64(b, w->rows[0]);
    cm_buf_u32(b, (uint32_t)c->rows);
    cm_buf_u32(b, (uint32_t)h->nlabels);
    cm_wire_put_strs(b, &c->names, 0, c->rows);
    for (size_t k = 0; k < h->nlabels; k++) {
        const struct cm_vec *v = &c->label[k];
        switch (v->type) {
        case CM_T_CAT:
            cm_recode_put(b, v->cat, c->rows, &w->recode[k]);
            break;
        case CM_T_BOOL:
            cm_buf_put(b, v->b, c->rows);
            break;
        case CM_T_I64:
            cm_buf_le(b, v->i, c->rows, 8);
            break;
        case CM_T_F64:
            cm_buf_le(b, v->f, c->rows, 8);
            break;
        case CM_T_STR:
            cm_wire_put_strs(b, &v->s, 0, c->rows);
            break;
        }
        cm_buf_pad8(b, w->out.record);
    }
    return cm_record_end(&w->out);
}

/* ===== blocks ============================================================================= */

/* What a reader would refuse: row factors or values meant that are not finite. */
static int check_lazy(struct cm_writer *w, size_t slot, struct cm_block *b)
{
    const struct cm_slot *s = &w->head.slot[slot];
    if (s->lazy == CM_LAZY_NO)
        return 0;
    for (size_t i = 0; b->rowf && i < b->rows; i++)
        if (!isfinite(b->rowf[i]))
            return cm_sticky_fail(&w->error, CM_ENUMERIC,
                                  "slot %s, row %" PRIu64 ": the row factor is not finite (%g)",
                                  s->name, w->rows[slot] + i, (double)b->rowf[i]);
    uint64_t e = cm_lazy_overflow(b, s, &w->bound[slot]);
    if (e == b->nnz)
        return 0;
    size_t i = 0;
    while (b->dense ? e >= (i + 1) * b->cols : e >= b->ptr[i + 1])
        i++;
    return cm_sticky_fail(&w->error, CM_ENUMERIC,
                          "slot %s, row %" PRIu64 ", column %s: the result is not finite (%g)",
                          s->name, w->rows[slot] + i,
                          cm_strs_get(&s->cols.names, b->dense ? e % b->cols : b->idx[e]),
                          (double)cm_block_f32(b, s)[e]);
}

static int check_block(struct cm_writer *w, size_t slot, struct cm_block *b, size_t rows)
{
    const struct cm_slot *s = &w->head.slot[slot];
    uint64_t row0 = w->rows[slot];
    if (b->rows != rows || b->cols != s->cols.names.n || b->dense != s->dense)
        return cm_sticky_fail(&w->error, CM_EBUG,
                              "slot %s: a block of %zu x %zu (%s), expected %zu x %zu (%s)",
                              s->name, b->rows, b->cols, b->dense ? "dense" : "csr", rows,
                              s->cols.names.n, s->dense ? "dense" : "csr");
    bool probability = w->head.kind == CM_MATCH && s->state == CM_S_PROBABILITY;
    for (size_t i = 0; i < rows; i++) {
        uint64_t begin = b->dense ? i * b->cols : b->ptr[i];
        uint64_t end = b->dense ? begin + b->cols : b->ptr[i + 1];
        if (!b->dense && !w->reuse &&
            !cm_planes_ascend(b->idx + begin, (size_t)(end - begin), b->cols))
            return cm_sticky_fail(&w->error, CM_EBUG,
                                  "slot %s, row %" PRIu64 ": columns do not ascend", s->name,
                                  row0 + i);
        double sum = 0;
        for (uint64_t e = begin; b->type >= CM_V_F32 && e < end; e++) {
            double x = cm_block_x(b, e);
            if (!isfinite(x))
                return cm_sticky_fail(&w->error, CM_ENUMERIC,
                                      "slot %s, row %" PRIu64 ", column %s: the result is not "
                                      "finite (%g)",
                                      s->name, row0 + i,
                                      cm_strs_get(&s->cols.names, b->dense ? e - begin : b->idx[e]),
                                      x);
        }
        if (!probability || end == begin)
            continue;
        for (uint64_t e = begin; e < end; e++) {
            double x = cm_block_x(b, e);
            sum += x;
            if (x < 0)
                return cm_sticky_fail(&w->error, CM_ENUMERIC,
                                      "row %" PRIu64 ": a match probability below 0 (%g)", row0 + i,
                                      x);
        }
        if (fabs(sum - 1) > 1e-5)
            return cm_sticky_fail(&w->error, CM_ENUMERIC,
                                  "row %" PRIu64 ": match probabilities sum to %.8g, not 1",
                                  row0 + i, sum);
        if (!b->dense && end - begin > w->max_row)
            return cm_sticky_fail(&w->error, CM_ENUMERIC,
                                  "row %" PRIu64 ": %" PRIu64 " match probabilities, at most "
                                  "%" PRIu64 " are allowed",
                                  row0 + i, end - begin, w->max_row);
    }
    return check_lazy(w, slot, b);
}

/* Sizes, counts a row and row factors of a block: what stands before columns and values. */
static void put_block_head(struct cm_writer *w, size_t slot, const struct cm_block *b,
                           enum cm_value type)
{
    const struct cm_slot *s = &w->head.slot[slot];
    bool rowf = b->rowf && s->lazy != CM_LAZY_NO;
    struct cm_buf *o = &w->out.raw;
    cm_buf_u32(o, (uint32_t)slot);
    cm_buf_u32(o, (uint32_t)type);
    cm_buf_u32(o, (uint32_t)b->rows);
    cm_buf_u32(o, (b->dense ? CM_WIRE_DENSE : 0u) | (rowf ? CM_WIRE_ROWF : 0u));
    cm_buf_u64(o, w->rows[slot]);
    cm_buf_u64(o, b->nnz);
    if (!b->dense) {
        for (size_t i = 0; i < b->rows; i++)
            cm_buf_u32(o, (uint32_t)(b->ptr[i + 1] - b->ptr[i]));
        cm_buf_pad8(o, w->out.record);
    }
    if (rowf) {
        cm_buf_le(o, b->rowf, b->rows, 4);
        cm_buf_pad8(o, w->out.record);
    }
}

static int write_block(struct cm_writer *w, size_t slot, const struct cm_block *b)
{
    enum cm_value type = cm_narrowest(b, w->head.slot[slot].wide);
    size_t rest = cm_wire_entries(b->nnz, type);
    struct cm_frame ready = {0};
    bool same = w->reuse && !b->dense && cm_reader_frame(w->reuse, &ready) && ready.type == type &&
                ready.nraw == rest;
    CM_ASSERT(same || !b->spared);
    struct cm_buf *o = &w->out.raw;
    cm_record_begin(&w->out, "BLOCK");
    put_block_head(w, slot, b, type);
    int rc = 0;
    bool cut = !b->dense && rest >= CM_WIRE_FRAME;
    if (cut && (rc = cm_record_cut(&w->out, rest)))
        return rc;
    size_t from = cut ? 0 : w->out.record;
    if (cut && same && ready.frame && w->out.level == 1) {
        cm_hash_update(w->out.hash, ready.raw, ready.nraw);
        rc = cm_deflate_send(&w->out, ready.frame, ready.nframe);
    } else {
        if (same) {
            cm_buf_put(o, ready.raw, rest);
        } else {
            if (!b->dense)
                cm_put_columns(o, b, from);
            cm_put_values(o, b, type);
            cm_buf_pad8(o, from);
        }
        if (cut)
            cm_hash_update(w->out.hash, o->p, o->n);
        rc = cut ? cm_writer_flush(w) : cm_record_end(&w->out);
    }
    w->rows[slot] += b->rows;
    return rc;
}

void cm_writer_reuse(struct cm_writer *w, const struct cm_reader *r) { w->reuse = r; }

static int write_pick(struct cm_writer *w, const struct cm_chunk *c)
{
    cm_record_begin(&w->out, "PICK");
    cm_buf_u32(&w->out.raw, c->batch.epoch);
    cm_buf_u32(&w->out.raw, c->batch.rows);
    cm_buf_u64(&w->out.raw, c->batch.step);
    cm_buf_le(&w->out.raw, c->pick, c->batch.rows, 8);
    int rc = cm_record_end(&w->out);
    return rc ? rc : cm_writer_flush(w);
}

static int write_batch(struct cm_writer *w, const struct cm_chunk *c)
{
    cm_record_begin(&w->out, "BATCH");
    cm_buf_u32(&w->out.raw, c->batch.epoch);
    cm_buf_u32(&w->out.raw, (uint32_t)c->rows);
    cm_buf_u64(&w->out.raw, c->batch.step);
    cm_buf_u8(&w->out.raw, c->batch.split);
    cm_buf_pad8(&w->out.raw, w->out.record);
    return cm_record_end(&w->out);
}

static int write_chunk(struct cm_writer *w, struct cm_chunk *c, const struct cm_head *labels)
{
    if (c->is_tensor)
        return cm_writer_tensor(w, c->tensor->name, c->tensor->type, c->tensor->ndim,
                                c->tensor->shape, c->tensor->data);
    if (c->is_pick)
        return write_pick(w, c);
    if (c->rows == 0)
        return 0;
    CM_ASSERT(c->rows <= UINT32_MAX);
    for (size_t k = 0; k < w->head.nslots; k++) {
        int rc = check_block(w, k, &c->block[k], c->rows);
        if (rc)
            return rc;
    }
    int rc = 0;
    if (w->head.kind == CM_PAIRS)
        rc = write_batch(w, c);
    if (!rc)
        rc = write_rows(w, c, labels);
    for (size_t k = 0; !rc && k < w->head.nslots; k++)
        rc = write_block(w, k, &c->block[k]);
    if (!rc && c->has_batch && c->batch.epoch)
        rc = cm_writer_flush(w);
    return rc;
}

int cm_writer_chunk(struct cm_writer *w, struct cm_chunk *c, const struct cm_head *labels)
{
    if (w->error.code)
        return cm_sticky_again(&w->error);
    CM_ASSERT(w->begun && !w->ended);
    int rc = write_chunk(w, c, labels);
    w->reuse = NULL; /* of this chunk alone, though it may have had no rows */
    return rc;
}

int cm_writer_tensor(struct cm_writer *w, const char *name, enum cm_value type, unsigned ndim,
                     const uint64_t *shape, const void *data)
{
    if (w->error.code)
        return cm_sticky_again(&w->error);
    CM_ASSERT(type != CM_V_ONE && ndim <= CM_TENSOR_DIMS);
    if (strlen(name) > CM_MAX_NAME)
        return cm_sticky_fail(&w->error, CM_EINPUT,
                              "the name of a tensor longer than 64 KiB: %.40s...", name);
    if (cm_utf8_bad(name, strlen(name)) != strlen(name))
        return cm_sticky_fail(&w->error, CM_EINPUT, "the tensor name \"%.60s\" is not UTF-8", name);
    uint64_t n = 1;
    for (unsigned k = 0; k < ndim; k++)
        n *= shape[k];
    cm_record_begin(&w->out, "TENSOR");
    struct cm_buf *o = &w->out.raw;
    cm_buf_u32(o, (uint32_t)type);
    cm_buf_u32(o, ndim);
    cm_buf_u32(o, (uint32_t)strlen(name));
    cm_buf_u32(o, 0);
    for (unsigned k = 0; k < ndim; k++)
        cm_buf_u64(o, shape[k]);
    cm_buf_puts(o, name);
    cm_buf_pad8(o, w->out.record);
    for (uint64_t k = 0; k < n && type >= CM_V_F32; k++) {
        double x = type == CM_V_F32 ? (double)((const float *)data)[k] : ((const double *)data)[k];
        if (!isfinite(x))
            return cm_sticky_fail(&w->error, CM_ENUMERIC, "tensor %s, item %" PRIu64 ": not finite",
                                  name, k);
    }
    cm_buf_le(o, data, (size_t)n, cm_value_size(type));
    return cm_record_end(&w->out);
}

void cm_writer_max_row(struct cm_writer *w, uint64_t n) { w->max_row = n; }

/* ===== the end ============================================================================ */

int cm_writer_end(struct cm_writer *w)
{
    if (w->error.code)
        return cm_sticky_again(&w->error);
    if (w->ended)
        return 0;
    CM_ASSERT(w->begun);
    int rc = write_history(w);
    if (rc)
        return rc;
    w->digest = cm_hash_value(w->out.hash);
    cm_record_begin(&w->out, "END");
    for (size_t k = 0; k < w->head.nslots; k++)
        cm_buf_u64(&w->out.raw, w->rows[k]);
    cm_buf_u64(&w->out.raw, w->out.records);
    cm_buf_u64(&w->out.raw, w->digest);
    rc = cm_record_end(&w->out);
    if (!rc)
        rc = cm_writer_flush(w);
    w->ended = rc == 0;
    return rc;
}

void cm_writer_abort(struct cm_writer *w, int status, const char *tool, const char *message)
{
    if (w->ended || w->error.code == CM_ESYSTEM)
        return;
    cm_free(w->error.message); /* whatever was wrong, these last bytes must go out */
    w->error.message = NULL;
    w->error.code = 0;
    w->out.raw.n = 0;
    if (!w->begun)
        put_prefix(&w->out.raw);
    w->begun = w->ended = true;
    cm_record_begin(&w->out, "ABORT");
    cm_buf_u32(&w->out.raw, (uint32_t)status);
    cm_buf_u32(&w->out.raw, (uint32_t)strlen(tool));
    cm_buf_u32(&w->out.raw, (uint32_t)strlen(message));
    cm_buf_u32(&w->out.raw, 0);
    cm_buf_puts(&w->out.raw, tool);
    cm_buf_puts(&w->out.raw, message);
    if (cm_record_end(&w->out) == 0)
        cm_writer_flush(w);
}

uint64_t cm_writer_digest(const struct cm_writer *w) { return w->digest; }
