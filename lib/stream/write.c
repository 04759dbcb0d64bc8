/* stream/write.c - the writer of CMS.
 *
 * Problem: equal content must give equal bytes whoever wrote it, and nothing wrong may leave a
 * stage.  Choice: the writer picks the narrowest value type that holds a block exactly (so counts
 * read from i64, f32 or text travel alike), checks order, finiteness and the promises of a match,
 * sends new categories before their first use, and ends with provenance, END and the digest.
 * Records gather in one buffer and become a zstd frame of their own at 256 KiB, after the head, and
 * at a flush; a frame is one call of the one-shot compressor, with a content checksum.  Columns and
 * values of a large block are a frame of their own, so that the stages which change neither (most
 * normalisations) pass it on without compressing it again.  Rejected: a
 * streaming compressor (slower, and frames would not be independent).
 */
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "stream/cms.h"
#include "stream/planes.h"
#include "stream/wire.h"

/* How the codes of one label of an origin become ours. */
struct recode {
    const struct cm_head *origin;
    size_t same;  /* so many first categories are equal on both sides */
    size_t known; /* categories of the origin looked at */
    uint32_t *map;
    size_t map_cap;
};

struct cm_writer {
    int fd;
    char *what;
    int error; /* sticky */
    char *message;
    bool begun, ended;
    ZSTD_CCtx *z;
    struct cm_buf frame, packed, scratch;
    size_t record; /* where the open record's payload began in frame */
    struct cm_hash *hash;
    uint64_t digest, records, rows[CM_MAX_SLOTS], max_row;
    struct cm_head head;
    size_t *sent; /* categories already sent, per label */
    struct recode *recode;
    struct cm_reader **parent;
    size_t nparents;
    struct cm_buf stage; /* our own prov, without parents; empty = no provenance */
    struct cm_past notes;
    int level;
    const struct cm_reader *reuse; /* for the next chunk */
    struct cm_lazy_bound bound[CM_MAX_SLOTS];
};

static int fail(struct cm_writer *w, int code, const char *format, ...) CM_PRINTF(3, 4);
static int fail(struct cm_writer *w, int code, const char *format, ...)
{
    char text[CM_MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (!w->error) {
        cm_fail(code, "%s: %s", w->what, text);
        w->error = code;
        w->message = cm_strdup(cm_error_message());
    }
    return cm_fail(w->error, "%s", w->message);
}

static int sticky(struct cm_writer *w) { return cm_fail(w->error, "%s", w->message); }

struct cm_writer *cm_writer_make(int fd, const char *what, int level)
{
    struct cm_writer *w = CM_ZNEW(struct cm_writer, 1);
    w->fd = fd;
    w->what = cm_strdup(what);
    w->max_row = 1000;
    w->level = level;
    w->hash = cm_hash_new();
    w->z = ZSTD_createCCtx();
    if (!w->z)
        cm_panic(4, "out of memory: a zstd encoder");
    ZSTD_CCtx_setParameter(w->z, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(w->z, ZSTD_c_checksumFlag, 1);
    return w;
}

void cm_writer_free(struct cm_writer *w)
{
    if (!w)
        return;
    ZSTD_freeCCtx(w->z);
    cm_buf_free(&w->frame);
    cm_buf_free(&w->packed);
    cm_buf_free(&w->scratch);
    cm_buf_free(&w->stage);
    cm_hash_free(w->hash);
    for (size_t k = 0; w->recode && k < w->head.nlabels; k++)
        cm_free(w->recode[k].map);
    cm_free(w->recode);
    cm_free(w->sent);
    cm_head_free(&w->head);
    cm_free(w->parent);
    cm_past_free(&w->notes);
    cm_free(w->message);
    cm_free(w->what);
    cm_free(w);
}

/* ===== frames and records ================================================================= */

/* Compressed bytes to the descriptor. */
static int send(struct cm_writer *w, const unsigned char *p, size_t n)
{
    while (n) {
        ssize_t put = write(w->fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0) {
            int saved = errno;
            fail(w, CM_ESYSTEM, "write: %s", strerror(saved));
            errno = saved; /* cli/ treats a closed pipe on its own */
            return w->error;
        }
        p += put;
        n -= (size_t)put;
    }
    return 0;
}

int cm_writer_flush(struct cm_writer *w)
{
    if (w->error)
        return sticky(w);
    if (!w->frame.n)
        return 0;
    size_t capacity = ZSTD_compressBound(w->frame.n);
    w->packed.n = 0;
    void *to = cm_buf_extend(&w->packed, capacity);
    size_t n = ZSTD_compress2(w->z, to, capacity, w->frame.p, w->frame.n);
    if (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
        return fail(w, CM_ESYSTEM, "out of memory: a zstd encoder");
    if (ZSTD_isError(n))
        return fail(w, CM_EBUG, "zstd: %s", ZSTD_getErrorName(n));
    w->frame.n = 0;
    return send(w, w->packed.p, n);
}

static void record_begin(struct cm_writer *w, const char *tag)
{
    char name[8] = {0};
    memcpy(name, tag, strlen(tag));
    cm_buf_put(&w->frame, name, 8);
    cm_buf_u64(&w->frame, 0);
    w->record = w->frame.n;
}

static int record_end(struct cm_writer *w)
{
    size_t n = w->frame.n - w->record;
    unsigned char *p = w->frame.p + w->record;
    uint64_t size = n;
    if (n > CM_MAX_PAYLOAD)
        return fail(w, CM_ESYSTEM, "a record of %zu bytes, the format allows 1 GiB", n);
    cm_le_copy(p - 8, &size, 1, 8);
    const char *tag = (const char *)p - 16;
    if (memcmp(tag, "END\0", 4) && memcmp(tag, "ABORT", 5)) {
        w->records++;
        if (tag[0] >= 'A' && tag[0] <= 'Z')
            cm_hash_update(w->hash, p, n);
    }
    cm_buf_pad8(&w->frame, w->record);
    return w->frame.n >= CM_WIRE_FRAME ? cm_writer_flush(w) : 0;
}

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
        record_begin(w, all.list[k].tag);
        cm_buf_put(&w->frame, all.list[k].payload.p, all.list[k].payload.n);
        rc = record_end(w);
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
    return w->error ? sticky(w) : 0;
}

/* ===== head and categories ================================================================ */

/* Lengths on the wire are limited; `what` is for the message. */
static int check_names(struct cm_writer *w, const struct cm_strs *s, size_t from, size_t n,
                       const char *what)
{
    for (size_t i = from; i < from + n; i++)
        if (strlen(cm_strs_get(s, i)) > CM_MAX_NAME)
            return fail(w, CM_EINPUT, "%s longer than 64 KiB: %.40s...", what, cm_strs_get(s, i));
    return 0;
}

/* Categories from..end of label k. */
static int write_dict(struct cm_writer *w, size_t k)
{
    const struct cm_dict *d = &w->head.label[k].dict;
    if (check_names(w, &d->names, w->sent[k], d->names.n - w->sent[k], "a category"))
        return w->error;
    record_begin(w, "DICT");
    cm_buf_u32(&w->frame, (uint32_t)k);
    cm_buf_u32(&w->frame, (uint32_t)w->sent[k]);
    cm_buf_u32(&w->frame, (uint32_t)(d->names.n - w->sent[k]));
    cm_buf_u32(&w->frame, d->ordered);
    cm_wire_put_strs(&w->frame, &d->names, w->sent[k], d->names.n - w->sent[k]);
    size_t bad = cm_strs_not_utf8(&d->names, w->sent[k]);
    if (bad != CM_ABSENT)
        return fail(w, CM_EINPUT, "label %s: the category \"%.60s\" is not UTF-8",
                    w->head.label[k].name, cm_strs_get(&d->names, bad));
    w->sent[k] = d->names.n;
    return record_end(w);
}

/* Is the text of the record at hand, behind `skip` bytes, UTF-8?  Names the line if not. */
static int check_text(struct cm_writer *w, const char *what, size_t skip)
{
    const char *text = (const char *)w->frame.p + w->record + skip;
    size_t n = w->frame.n - w->record - skip, bad = cm_utf8_bad(text, n), line = bad;
    if (bad == n)
        return 0;
    while (line && text[line - 1] != '\n')
        line--;
    return fail(w, CM_EINPUT, "%s: \"%.*s\" is not UTF-8", what,
                (int)strcspn(text + line, "\t\n") % 60, text + line);
}

int cm_writer_head(struct cm_writer *w, const struct cm_head *h)
{
    if (w->error)
        return sticky(w);
    CM_ASSERT(!w->begun);
    cm_head_copy(&w->head, h);
    for (size_t k = 0; k < h->nslots; k++)
        if (cm_lazy_bound(&w->head.slot[k], &w->bound[k]))
            return fail(w, CM_ENUMERIC, "%s", cm_error_message());
    w->sent = CM_ZNEW(size_t, h->nlabels + 1);
    w->recode = CM_ZNEW(struct recode, h->nlabels + 1);
    w->begun = true;
    cm_buf_put(&w->frame, CM_WIRE_MAGIC, 8);
    const unsigned char version[8] = {CM_CMS_MAJOR, 0, CM_CMS_MINOR, 0};
    cm_buf_put(&w->frame, version, 8);
    record_begin(w, "HEAD");
    cm_wire_put_head(&w->frame, &w->head);
    int rc = check_text(w, "head", 0);
    rc = rc ? rc : record_end(w);
    for (size_t k = 0; !rc && k < h->nslots; k++) {
        if (check_names(w, &w->head.slot[k].cols.names, 0, w->head.slot[k].cols.names.n,
                        "a column"))
            return w->error;
        record_begin(w, "COLS");
        cm_wire_put_cols(&w->frame, k, &w->head.slot[k].cols);
        rc = check_text(w, "column", 8);
        rc = rc ? rc : record_end(w);
    }
    for (size_t k = 0; !rc && k < h->nlabels; k++)
        if (h->label[k].type == CM_T_CAT && h->label[k].dict.names.n)
            rc = write_dict(w, k);
    return rc ? rc : cm_writer_flush(w);
}

/* Brings label k's map from the origin's codes to ours up to date. */
static void recode(struct cm_writer *w, size_t k, const struct cm_head *origin)
{
    struct recode *x = &w->recode[k];
    struct cm_dict *ours = &w->head.label[k].dict;
    int at = cm_head_match_label(origin, &w->head.label[k], k);
    static const struct cm_dict none; /* an origin without this label: all values are missing */
    const struct cm_dict *theirs = at >= 0 ? &origin->label[at].dict : &none;
    if (x->origin != origin || theirs->names.n < x->known)
        x->known = x->same = 0;
    x->origin = origin;
    CM_GROW(x->map, x->map_cap, theirs->names.n + 1);
    for (; x->known < theirs->names.n; x->known++) {
        const char *name = cm_strs_get(&theirs->names, x->known);
        uint32_t code =
            x->known < ours->names.n && !strcmp(cm_strs_get(&ours->names, x->known), name)
                ? (uint32_t)x->known
                : cm_dict_code(ours, name);
        x->map[x->known] = code;
        x->same += code == x->known && x->same == x->known;
    }
}

/* ===== rows =============================================================================== */

static void put_codes(struct cm_buf *b, const uint32_t *code, size_t n, const struct recode *x)
{
    if (x->same == x->known) {
        cm_buf_le(b, code, n, 4);
        return;
    }
    for (size_t i = 0; i < n; i++) /* the caller's codes stay as they are */
        cm_buf_u32(b, code[i] == CM_CAT_MISSING ? code[i] : x->map[code[i]]);
}

static int write_rows(struct cm_writer *w, struct cm_chunk *c, const struct cm_head *origin)
{
    const struct cm_head *h = &w->head;
    if (c->names.n != c->rows || c->nlabels != h->nlabels)
        return fail(w, CM_EBUG, "a chunk of %zu rows with %zu names and %zu labels (expected %zu)",
                    c->rows, c->names.n, c->nlabels, h->nlabels);
    int long_one = check_names(w, &c->names, 0, c->rows, "a name");
    if (long_one)
        return long_one;
    size_t bad = cm_strs_not_utf8(&c->names, 0);
    if (bad != CM_ABSENT)
        return fail(w, CM_EINPUT, "row %" PRIu64 ": the name \"%.60s\" is not UTF-8",
                    w->rows[0] + bad, cm_strs_get(&c->names, bad));
    for (size_t k = 0; k < h->nlabels; k++) {
        const struct cm_vec *v = &c->label[k];
        if (v->type == CM_T_STR && (bad = cm_strs_not_utf8(&v->s, 0)) < c->rows)
            return fail(w, CM_EINPUT, "row %" PRIu64 ": label %s: \"%.60s\" is not UTF-8",
                        w->rows[0] + bad, v->name, cm_strs_get(&v->s, bad));
        size_t have = v->type == CM_T_STR ? v->s.n : v->n;
        if (v->type != h->label[k].type || have < c->rows)
            return fail(w, CM_EBUG, "label %s: wrong type or length", h->label[k].name);
        if (v->type == CM_T_STR && check_names(w, &v->s, 0, c->rows, "a label"))
            return w->error;
        if (v->type != CM_T_CAT)
            continue;
        recode(w, k, origin ? origin : h);
        size_t categories = w->recode[k].known;
        for (size_t i = 0; i < c->rows; i++)
            if (v->cat[i] != CM_CAT_MISSING && v->cat[i] >= categories)
                return fail(w, CM_EBUG, "label %s: code %u of %zu categories", v->name, v->cat[i],
                            categories);
        int rc = h->label[k].dict.names.n > w->sent[k] ? write_dict(w, k) : 0;
        if (rc)
            return rc;
    }
    record_begin(w, "ROWS");
    struct cm_buf *b = &w->frame;
    cm_buf_u64(b, w->rows[0]);
    cm_buf_u32(b, (uint32_t)c->rows);
    cm_buf_u32(b, (uint32_t)h->nlabels);
    cm_wire_put_strs(b, &c->names, 0, c->rows);
    for (size_t k = 0; k < h->nlabels; k++) {
        const struct cm_vec *v = &c->label[k];
        switch (v->type) {
        case CM_T_CAT:
            put_codes(b, v->cat, c->rows, &w->recode[k]);
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
        cm_buf_pad8(b, w->record);
    }
    return record_end(w);
}

/* ===== blocks ============================================================================= */

/* The narrowest wire type that holds all values of b without loss (f64 is rounded to f32 only when
 * the slot is not wide and no whole number would change). */
static enum cm_value narrowest(const struct cm_block *b, bool wide)
{
    uint64_t n = b->nnz;
    if (b->type == CM_V_ONE)
        return CM_V_ONE;
    if (b->type == CM_V_U8 && !b->dense)
        return cm_planes_ones(b->raw, n) ? CM_V_ONE : CM_V_U8;
    bool whole = true, ones = true, exact = true, big = false;
    double max = 0;
    if (b->type == CM_V_F32) {
        const float *v = b->raw;
        for (uint64_t e = 0; e < n && whole; e++) {
            whole = v[e] >= 0 && v[e] <= 4294967040.f && v[e] == (float)(uint32_t)v[e];
            ones &= v[e] == 1;
            max = (double)v[e] > max ? (double)v[e] : max;
        }
    } else if (b->type == CM_V_F64) {
        const double *v = b->raw;
        for (uint64_t e = 0; e < n; e++) {
            bool w = v[e] >= 0 && v[e] <= 4294967295. && v[e] == (double)(uint32_t)v[e];
            bool f = (double)(float)v[e] == v[e];
            whole &= w;
            ones &= v[e] == 1;
            exact &= f;
            big |= !f && v[e] == floor(v[e]);
            max = v[e] > max ? v[e] : max;
        }
    } else {
        for (uint64_t e = 0; e < n; e++) {
            double x = cm_block_x(b, e);
            ones &= x == 1;
            max = x > max ? x : max;
        }
    }
    if (!b->dense && n && whole)
        return ones ? CM_V_ONE : max <= 255 ? CM_V_U8 : max <= 65535 ? CM_V_U16 : CM_V_U32;
    if (!b->dense && !n)
        return CM_V_ONE;
    if (b->type == CM_V_F64)
        return !exact && (wide || big) ? CM_V_F64 : CM_V_F32;
    return b->type == CM_V_F32 || b->type < CM_V_U32 ? CM_V_F32 : CM_V_F64;
}

static void put_values(struct cm_buf *out, const struct cm_block *b, enum cm_value to)
{
    size_t size = cm_value_size(to), n = (size_t)b->nnz;
    if (to == b->type) {
        cm_buf_le(out, b->raw, size ? n : 0, size);
        return;
    }
    unsigned char *p = cm_buf_extend(out, n * size);
    for (size_t e = 0; size && e < n; e++) {
        double x = cm_block_x(b, e);
        uint8_t u8 = 0;
        uint16_t u16;
        uint32_t u32;
        float f32;
        switch (to) {
        case CM_V_ONE:
            break;
        case CM_V_U8:
            u8 = (uint8_t)x, p[e] = u8;
            break;
        case CM_V_U16:
            u16 = (uint16_t)x, cm_le_copy(p + 2 * e, &u16, 1, 2);
            break;
        case CM_V_U32:
            u32 = (uint32_t)x, cm_le_copy(p + 4 * e, &u32, 1, 4);
            break;
        case CM_V_F32:
            f32 = (float)x, cm_le_copy(p + 4 * e, &f32, 1, 4);
            break;
        case CM_V_F64:
            cm_le_copy(p + 8 * e, &x, 1, 8);
            break;
        }
    }
}

/* What a reader would refuse: row factors or values meant that are not finite. */
static int check_lazy(struct cm_writer *w, size_t slot, struct cm_block *b)
{
    const struct cm_slot *s = &w->head.slot[slot];
    if (s->lazy == CM_LAZY_NO)
        return 0;
    for (size_t i = 0; b->rowf && i < b->rows; i++)
        if (!isfinite(b->rowf[i]))
            return fail(w, CM_ENUMERIC,
                        "slot %s, row %" PRIu64 ": the row factor is not finite (%g)", s->name,
                        w->rows[slot] + i, (double)b->rowf[i]);
    uint64_t e = cm_lazy_overflow(b, s, &w->bound[slot]);
    if (e == b->nnz)
        return 0;
    size_t i = 0;
    while (b->dense ? e >= (i + 1) * b->cols : e >= b->ptr[i + 1])
        i++;
    return fail(w, CM_ENUMERIC,
                "slot %s, row %" PRIu64 ", column %s: the result is not finite (%g)", s->name,
                w->rows[slot] + i, cm_strs_get(&s->cols.names, b->dense ? e % b->cols : b->idx[e]),
                (double)cm_block_f32(b, s)[e]);
}

static int check_block(struct cm_writer *w, size_t slot, struct cm_block *b, size_t rows)
{
    const struct cm_slot *s = &w->head.slot[slot];
    uint64_t row0 = w->rows[slot];
    if (b->rows != rows || b->cols != s->cols.names.n || b->dense != s->dense)
        return fail(w, CM_EBUG, "slot %s: a block of %zu x %zu (%s), expected %zu x %zu (%s)",
                    s->name, b->rows, b->cols, b->dense ? "dense" : "csr", rows, s->cols.names.n,
                    s->dense ? "dense" : "csr");
    bool probability = w->head.kind == CM_MATCH && s->state == CM_S_PROBABILITY;
    for (size_t i = 0; i < rows; i++) {
        uint64_t begin = b->dense ? i * b->cols : b->ptr[i];
        uint64_t end = b->dense ? begin + b->cols : b->ptr[i + 1];
        if (!b->dense && !w->reuse &&
            !cm_planes_ascend(b->idx + begin, (size_t)(end - begin), b->cols))
            return fail(w, CM_EBUG, "slot %s, row %" PRIu64 ": columns do not ascend", s->name,
                        row0 + i);
        double sum = 0;
        for (uint64_t e = begin; b->type >= CM_V_F32 && e < end; e++) {
            double x = cm_block_x(b, e);
            if (!isfinite(x))
                return fail(w, CM_ENUMERIC,
                            "slot %s, row %" PRIu64 ", column %s: the result is not "
                            "finite (%g)",
                            s->name, row0 + i,
                            cm_strs_get(&s->cols.names, b->dense ? e - begin : b->idx[e]), x);
        }
        if (!probability || end == begin)
            continue;
        for (uint64_t e = begin; e < end; e++) {
            double x = cm_block_x(b, e);
            sum += x;
            if (x < 0)
                return fail(w, CM_ENUMERIC, "row %" PRIu64 ": a match probability below 0 (%g)",
                            row0 + i, x);
        }
        if (fabs(sum - 1) > 1e-5)
            return fail(w, CM_ENUMERIC, "row %" PRIu64 ": match probabilities sum to %.8g, not 1",
                        row0 + i, sum);
        if (!b->dense && end - begin > w->max_row)
            return fail(w, CM_ENUMERIC,
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
    struct cm_buf *o = &w->frame;
    cm_buf_u32(o, (uint32_t)slot);
    cm_buf_u32(o, (uint32_t)type);
    cm_buf_u32(o, (uint32_t)b->rows);
    cm_buf_u32(o, (b->dense ? CM_WIRE_DENSE : 0u) | (rowf ? CM_WIRE_ROWF : 0u));
    cm_buf_u64(o, w->rows[slot]);
    cm_buf_u64(o, b->nnz);
    if (!b->dense) {
        for (size_t i = 0; i < b->rows; i++)
            cm_buf_u32(o, (uint32_t)(b->ptr[i + 1] - b->ptr[i]));
        cm_buf_pad8(o, w->record);
    }
    if (rowf) {
        cm_buf_le(o, b->rowf, b->rows, 4);
        cm_buf_pad8(o, w->record);
    }
}

static void put_columns(struct cm_buf *o, const struct cm_block *b, size_t from)
{
    size_t n = (size_t)b->nnz;
    unsigned char *p = cm_buf_extend(o, 4 * n);
    for (size_t i = 0; i < b->rows; i++) {
        uint64_t e = b->ptr[i];
        cm_planes_split(b->idx + e, (size_t)(b->ptr[i + 1] - e), p + e, n);
    }
    cm_buf_pad8(o, from);
}

/* The open record ends here as far as its frame goes; `rest` bytes of payload follow in the next,
 * which a stage that leaves them alone can pass on as they came. */
static int record_cut(struct cm_writer *w, size_t rest)
{
    size_t n = w->frame.n - w->record;
    unsigned char *p = w->frame.p + w->record;
    uint64_t size = n + rest;
    if (size > CM_MAX_PAYLOAD)
        return fail(w, CM_ESYSTEM, "a record of %zu bytes, the format allows 1 GiB", n + rest);
    cm_le_copy(p - 8, &size, 1, 8);
    w->records++;
    cm_hash_update(w->hash, p, n);
    return cm_writer_flush(w);
}

static int write_block(struct cm_writer *w, size_t slot, const struct cm_block *b)
{
    enum cm_value type = narrowest(b, w->head.slot[slot].wide);
    size_t columns = ((size_t)b->nnz * 4 + 7) / 8 * 8;
    size_t rest = columns + ((size_t)b->nnz * cm_value_size(type) + 7) / 8 * 8;
    struct cm_frame ready = {0};
    if (w->reuse && w->level == 1 && !b->dense && cm_reader_frame(w->reuse, &ready) &&
        (ready.type != type || ready.nraw != rest))
        ready.frame = NULL;
    struct cm_buf *o = &w->frame;
    record_begin(w, "BLOCK");
    put_block_head(w, slot, b, type);
    int rc = 0;
    bool cut = !b->dense && rest >= CM_WIRE_FRAME;
    if (cut && (rc = record_cut(w, rest)))
        return rc;
    size_t from = cut ? 0 : w->record;
    if (cut && ready.frame) {
        cm_hash_update(w->hash, ready.raw, ready.nraw);
        rc = send(w, ready.frame, ready.nframe);
    } else {
        if (!b->dense)
            put_columns(o, b, from);
        put_values(o, b, type);
        cm_buf_pad8(o, from);
        if (cut)
            cm_hash_update(w->hash, o->p, o->n);
        rc = cut ? cm_writer_flush(w) : record_end(w);
    }
    w->rows[slot] += b->rows;
    return rc;
}

void cm_writer_reuse(struct cm_writer *w, const struct cm_reader *r) { w->reuse = r; }

int cm_writer_chunk(struct cm_writer *w, struct cm_chunk *c, const struct cm_head *labels)
{
    if (w->error)
        return sticky(w);
    CM_ASSERT(w->begun && !w->ended);
    if (c->is_tensor)
        return cm_writer_tensor(w, c->tensor->name, c->tensor->type, c->tensor->ndim,
                                c->tensor->shape, c->tensor->data);
    if (c->is_pick) {
        record_begin(w, "PICK");
        cm_buf_u32(&w->frame, c->batch.epoch);
        cm_buf_u32(&w->frame, c->batch.rows);
        cm_buf_u64(&w->frame, c->batch.step);
        cm_buf_le(&w->frame, c->pick, c->batch.rows, 8);
        int rc = record_end(w);
        return rc ? rc : cm_writer_flush(w);
    }
    if (c->rows == 0)
        return 0;
    CM_ASSERT(c->rows <= UINT32_MAX);
    for (size_t k = 0; k < w->head.nslots; k++) {
        int rc = check_block(w, k, &c->block[k], c->rows);
        if (rc)
            return rc;
    }
    int rc = 0;
    if (w->head.kind == CM_PAIRS) {
        record_begin(w, "BATCH");
        cm_buf_u32(&w->frame, c->batch.epoch);
        cm_buf_u32(&w->frame, (uint32_t)c->rows);
        cm_buf_u64(&w->frame, c->batch.step);
        cm_buf_u8(&w->frame, c->batch.split);
        cm_buf_pad8(&w->frame, w->record);
        rc = record_end(w);
    }
    if (!rc)
        rc = write_rows(w, c, labels);
    for (size_t k = 0; !rc && k < w->head.nslots; k++)
        rc = write_block(w, k, &c->block[k]);
    w->reuse = NULL;
    if (!rc && c->has_batch && c->batch.epoch)
        rc = cm_writer_flush(w);
    return rc;
}

int cm_writer_tensor(struct cm_writer *w, const char *name, enum cm_value type, unsigned ndim,
                     const uint64_t *shape, const void *data)
{
    if (w->error)
        return sticky(w);
    CM_ASSERT(type != CM_V_ONE && ndim <= CM_TENSOR_DIMS);
    if (strlen(name) > CM_MAX_NAME)
        return fail(w, CM_EINPUT, "the name of a tensor longer than 64 KiB: %.40s...", name);
    if (cm_utf8_bad(name, strlen(name)) != strlen(name))
        return fail(w, CM_EINPUT, "the tensor name \"%.60s\" is not UTF-8", name);
    uint64_t n = 1;
    for (unsigned k = 0; k < ndim; k++)
        n *= shape[k];
    record_begin(w, "TENSOR");
    struct cm_buf *o = &w->frame;
    cm_buf_u32(o, (uint32_t)type);
    cm_buf_u32(o, ndim);
    cm_buf_u32(o, (uint32_t)strlen(name));
    cm_buf_u32(o, 0);
    for (unsigned k = 0; k < ndim; k++)
        cm_buf_u64(o, shape[k]);
    cm_buf_puts(o, name);
    cm_buf_pad8(o, w->record);
    for (uint64_t k = 0; k < n && type >= CM_V_F32; k++) {
        double x = type == CM_V_F32 ? (double)((const float *)data)[k] : ((const double *)data)[k];
        if (!isfinite(x))
            return fail(w, CM_ENUMERIC, "tensor %s, item %" PRIu64 ": not finite", name, k);
    }
    cm_buf_le(o, data, (size_t)n, cm_value_size(type));
    return record_end(w);
}

void cm_writer_max_row(struct cm_writer *w, uint64_t n) { w->max_row = n; }

/* ===== the end ============================================================================ */

int cm_writer_end(struct cm_writer *w)
{
    if (w->error)
        return sticky(w);
    if (w->ended)
        return 0;
    CM_ASSERT(w->begun);
    int rc = write_history(w);
    if (rc)
        return rc;
    w->digest = cm_hash_value(w->hash);
    record_begin(w, "END");
    for (size_t k = 0; k < w->head.nslots; k++)
        cm_buf_u64(&w->frame, w->rows[k]);
    cm_buf_u64(&w->frame, w->records);
    cm_buf_u64(&w->frame, w->digest);
    rc = record_end(w);
    if (!rc)
        rc = cm_writer_flush(w);
    w->ended = rc == 0;
    return rc;
}

void cm_writer_abort(struct cm_writer *w, int status, const char *tool, const char *message)
{
    if (w->ended || (w->error && w->error == CM_ESYSTEM))
        return;
    cm_free(w->message); /* whatever was wrong with the content, these last bytes must go out */
    w->message = NULL;
    w->error = 0;
    w->frame.n = 0;
    if (!w->begun) {
        cm_buf_put(&w->frame, CM_WIRE_MAGIC, 8);
        const unsigned char version[8] = {CM_CMS_MAJOR, 0, CM_CMS_MINOR, 0};
        cm_buf_put(&w->frame, version, 8);
    }
    w->begun = w->ended = true;
    record_begin(w, "ABORT");
    cm_buf_u32(&w->frame, (uint32_t)status);
    cm_buf_u32(&w->frame, (uint32_t)strlen(tool));
    cm_buf_u32(&w->frame, (uint32_t)strlen(message));
    cm_buf_u32(&w->frame, 0);
    cm_buf_puts(&w->frame, tool);
    cm_buf_puts(&w->frame, message);
    if (record_end(w) == 0)
        cm_writer_flush(w);
}

uint64_t cm_writer_digest(const struct cm_writer *w) { return w->digest; }
