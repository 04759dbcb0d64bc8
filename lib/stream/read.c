/* stream/read.c - the reader of CMS: opening, chunks, END.
 *
 * Bytes from a pipe are hostile until proven otherwise: cut, flipped, or not ours at all.
 * inflate.c turns zstd frames into bytes, record.c hands out whole records, read_rows.c checks
 * every count against what was declared; here is the order in which they may come.  Errors stay
 * and name the stream.  A stream that ends at a frame boundary without END is damaged, and so is
 * one with bytes after END (two files put together with cat would otherwise lose the second in
 * silence).
 * Rejected: mmap (pipes).
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "stream/reader.h"

/* ===== records ============================================================================ */

/* 0 or an error; the end of the input is one. */
static int next_record(struct cm_reader *r)
{
    r->packed = (struct cm_frame){0};
    int rc = cm_records_next(&r->in);
    if (rc == 0)
        return cm_sticky_fail(&r->in.error, CM_EINPUT,
                              "ends without an END record after %" PRIu64
                              " rows: it was cut, or the program that wrote it died",
                              r->rows[0]);
    return rc < 0 ? rc : 0;
}

static int take_abort(struct cm_reader *r)
{
    struct cm_cursor c = cm_cursor_make(r->in.payload.p, r->in.payload.n);
    uint32_t status = cm_cursor_u32(&c), nt = cm_cursor_u32(&c), nm = cm_cursor_u32(&c);
    cm_cursor_u32(&c);
    const char *tool = cm_cursor_take(&c, nt), *message = cm_cursor_take(&c, nm);
    if (c.bad)
        return cm_sticky_fail(&r->in.error, CM_EABORT, "the stage before gave up");
    r->abort_status = (int)status;
    struct cm_buf t = {0};
    cm_buf_printf(&t, "%.*s", (int)nt, tool);
    r->abort_tool = (char *)t.p;
    t = (struct cm_buf){0};
    cm_buf_printf(&t, "%.*s", (int)nm, message);
    r->abort_message = (char *)t.p;
    return cm_sticky_fail(&r->in.error, CM_EABORT, "%s upstream failed: %s", r->abort_tool,
                          r->abort_message);
}

static int take_dict(struct cm_reader *r)
{
    struct cm_cursor c = cm_cursor_make(r->in.payload.p, r->in.payload.n);
    uint32_t label = cm_cursor_u32(&c), first = cm_cursor_u32(&c), n = cm_cursor_u32(&c);
    uint32_t ordered = cm_cursor_u32(&c);
    if (c.bad || label >= r->head.nlabels || r->head.label[label].type != CM_T_CAT)
        return cm_records_bad(&r->in, "not for a categorical label");
    struct cm_dict *d = &r->head.label[label].dict;
    if (first != d->names.n)
        return cm_records_bad(&r->in, "its first code does not follow the last one");
    if (!cm_wire_get_strs(&c, n, &d->names))
        return cm_records_bad(&r->in, "damaged list of names");
    size_t bad = cm_strs_not_utf8(&d->names, first);
    if (bad != CM_ABSENT)
        return cm_sticky_fail(&r->in.error, CM_EINPUT,
                              "label %s: the category \"%.60s\" is not UTF-8",
                              r->head.label[label].name, cm_strs_get(&d->names, bad));
    d->ordered = ordered & 1;
    return 0;
}

/* Keeps a lower-case record: it is copied through, and provenance is shown. */
static int take_other(struct cm_reader *r)
{
    r->past_bytes += r->in.payload.n + CM_WIRE_RECORD;
    if (r->past_bytes > CM_MAX_HISTORY)
        return cm_records_bad(&r->in, "more than 64 MiB of records that may be ignored");
    cm_past_add(&r->past, r->in.tag, r->in.payload.p, r->in.payload.n);
    return 0;
}

static int take_end(struct cm_reader *r)
{
    struct cm_cursor c = cm_cursor_make(r->in.payload.p, r->in.payload.n);
    for (size_t k = 0; k < r->head.nslots; k++) {
        uint64_t n = cm_cursor_u64(&c);
        if (!c.bad && n != r->rows[k])
            return cm_sticky_fail(&r->in.error, CM_EINPUT,
                                  "END: slot %s: expected %" PRIu64 " rows, found %" PRIu64,
                                  r->head.slot[k].name, n, r->rows[k]);
    }
    uint64_t records = cm_cursor_u64(&c), digest = cm_cursor_u64(&c);
    if (c.bad)
        return cm_records_bad(&r->in, "damaged END");
    if (records && records != r->in.n)
        return cm_sticky_fail(&r->in.error, CM_EINPUT,
                              "END: expected %" PRIu64 " records, found %" PRIu64, records,
                              r->in.n);
    r->digest = cm_hash_value(r->in.hash);
    if (r->again && r->whole && r->digest != r->first_digest)
        return cm_sticky_fail(&r->in.error, CM_EINPUT, "changed while it was read");
    if (!r->again) {
        r->first_digest = r->digest;
        r->whole = true;
    }
    if (digest && digest != r->digest)
        return cm_sticky_fail(&r->in.error, CM_EINPUT,
                              "END: digest %016" PRIx64 " does not match the content's %016" PRIx64,
                              digest, r->digest);
    for (size_t k = 0; k < r->head.nslots; k++)
        if (r->head.slot[k].rows && r->head.kind != CM_MODEL && r->head.slot[k].rows != r->rows[k])
            return cm_sticky_fail(&r->in.error, CM_EINPUT,
                                  "slot %s: HEAD promised %" PRIu64 " rows, found %" PRIu64,
                                  r->head.slot[k].name, r->head.slot[k].rows, r->rows[k]);
    int rc = cm_inflate_need(&r->in.bytes, 1); /* also reads the last frame's checksum */
    if (rc < 0)
        return rc;
    if (rc > 0)
        return cm_sticky_fail(&r->in.error, CM_EINPUT,
                              "bytes follow the END record (files put together with cat? "
                              "use cms-cat)");
    cm_inflate_finish(&r->in.bytes);
    r->ended = true;
    return 0;
}

/* ===== opening ============================================================================ */

static int take_cols(struct cm_reader *r, const uint64_t *cols, bool *seen)
{
    struct cm_cursor c = cm_cursor_make(r->in.payload.p, r->in.payload.n);
    uint32_t slot = cm_cursor_u32(&c);
    cm_cursor_u32(&c);
    if (c.bad || slot >= r->head.nslots || seen[slot])
        return cm_records_bad(&r->in, "for a slot that HEAD does not declare, or a second time");
    if (memchr(c.p, 0, c.n))
        return cm_records_bad(&r->in, "a NUL byte in the text");
    if (cols[slot] > c.n) /* a line is at least its newline */
        return cm_records_bad(&r->in, "HEAD declares more columns than it has lines");
    seen[slot] = true;
    int rc = cm_wire_get_cols((char *)r->in.payload.p + 8, cols[slot], &r->head.slot[slot].cols);
    if (rc)
        return cm_sticky_fail(&r->in.error, rc, "slot %s: %s", r->head.slot[slot].name,
                              cm_error_message());
    rc = cm_lazy_bound(&r->head.slot[slot], &r->bound[slot]);
    return rc ? cm_sticky_fail(&r->in.error, rc, "%s", cm_error_message()) : 0;
}

/* HEAD, COLS of every slot, first DICTs; stops at the first record of data. */
static int read_head(struct cm_reader *r)
{
    int rc = cm_records_prefix(&r->in);
    if (!rc)
        rc = next_record(r);
    if (rc)
        return rc;
    if (r->in.type == CM_RECORD_ABORT)
        return take_abort(r);
    if (r->in.type != CM_RECORD_HEAD)
        return cm_records_bad(&r->in, "expected HEAD as the first record");
    if (memchr(r->in.payload.p, 0, r->in.payload.n))
        return cm_records_bad(&r->in, "a NUL byte in the text");
    uint64_t cols[CM_MAX_SLOTS] = {0}, hash = cm_hash64(r->in.payload.p, r->in.payload.n, 0);
    rc = r->again ? 0 : cm_wire_get_head((char *)r->in.payload.p, &r->head, cols);
    if (rc)
        return cm_sticky_fail(&r->in.error, rc, "%s", cm_error_message());
    struct cm_head *h = &r->head;
    bool seen[CM_MAX_SLOTS] = {false};
    for (;;) {
        rc = next_record(r);
        if (rc)
            return rc;
        if (r->in.type == CM_RECORD_COLS) {
            hash = cm_hash64(r->in.payload.p, r->in.payload.n, hash);
            rc = r->again ? 0 : take_cols(r, cols, seen);
        } else if (r->in.type == CM_RECORD_DICT)
            rc = take_dict(r);
        else if (r->in.type == CM_RECORD_OTHER)
            rc = take_other(r);
        else
            break;
        if (rc)
            return rc;
    }
    if (r->in.type == CM_RECORD_ABORT)
        return take_abort(r);
    if (r->again && hash != r->head_hash)
        return cm_sticky_fail(&r->in.error, CM_EINPUT, "changed while it was read");
    r->head_hash = hash;
    for (size_t k = 0; k < h->nslots; k++)
        if (!r->again && !seen[k])
            return cm_sticky_fail(&r->in.error, CM_EINPUT, "slot %s has no column table (COLS)",
                                  h->slot[k].name);
    cm_records_hold(&r->in);
    return 0;
}

int cm_reader_open(struct cm_reader **out, const char *path)
{
    *out = NULL;
    int fd = 0;
    if (strcmp(path, "-")) {
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return cm_fail_errno(CM_ESYSTEM, "%s", path);
    }
    const char *name = strcmp(path, "-") ? path : "stdin";
    struct stat st;
    if (fstat(fd, &st) < 0)
        return cm_fail_errno(CM_ESYSTEM, "%s", name);
    if (isatty(fd) || S_ISDIR(st.st_mode)) {
        int tty = isatty(fd);
        if (fd)
            close(fd);
        return cm_fail(
            CM_EUSAGE, "%s: %s", name,
            tty ? "is a terminal; expected a CMS stream from a file or a pipe"
                : "is a directory; expected a CMS stream (mtx-read reads MTX directories)");
    }
    struct cm_reader *r = CM_ZNEW(1, struct cm_reader);
    cm_records_start(&r->in, fd, name);
    int rc = read_head(r);
    cm_inflate_opened(&r->in.bytes);
    if (rc < 0) {
        cm_reader_close(r);
        return rc;
    }
    *out = r;
    return 0;
}

void cm_reader_close(struct cm_reader *r)
{
    if (!r)
        return;
    cm_records_free(&r->in);
    cm_head_free(&r->head);
    cm_past_free(&r->past);
    cm_free(r->abort_tool);
    cm_free(r->abort_message);
    cm_free(r);
}

int cm_reader_keep(struct cm_reader *r) { return cm_inflate_keep(&r->in.bytes); }

void cm_reader_spare(struct cm_reader *r) { r->spare = r->again && r->whole; }

int cm_reader_rewind(struct cm_reader *r)
{
    if (r->in.error.code)
        return cm_sticky_again(&r->in.error);
    int rc = cm_records_rewind(&r->in);
    if (rc)
        return rc;
    r->ended = r->spare = false;
    memset(r->rows, 0, sizeof r->rows);
    memset(r->nnz, 0, sizeof r->nnz);
    for (size_t k = 0; k < r->head.nlabels; k++) /* the rest of the head stays */
        cm_strs_clear(&r->head.label[k].dict.names);
    cm_past_free(&r->past);
    r->past_bytes = 0;
    r->again = true;
    return read_head(r);
}

/* ===== chunks ============================================================================= */

/* How far a chunk has come that cm_reader_next is reading. */
struct progress {
    bool in_rows, got[CM_MAX_SLOTS]; /* ROWS was there; and these blocks */
    size_t left;                     /* blocks still to come */
};

static int take_batch(struct cm_reader *r, struct cm_chunk *c)
{
    struct cm_cursor u = cm_cursor_make(r->in.payload.p, r->in.payload.n);
    c->batch.epoch = cm_cursor_u32(&u);
    c->batch.rows = cm_cursor_u32(&u);
    c->batch.step = cm_cursor_u64(&u);
    c->batch.split = cm_cursor_u8(&u);
    if (u.bad || c->batch.split > 1)
        return cm_records_bad(&r->in, "cut, or an unknown split");
    c->has_batch = true;
    return 0;
}

/* A block; 1 when it is the last of its rows. */
static int add_block(struct cm_reader *r, struct cm_chunk *c, struct progress *p)
{
    int rc = cm_take_block(r, c, p->got);
    if (rc || --p->left)
        return rc;
    for (size_t k = 0; k < r->head.nslots; k++)
        r->rows[k] += c->rows;
    if (c->has_batch && c->batch.rows != c->rows)
        return cm_records_bad(&r->in, "BATCH announced another number of rows");
    return 1;
}

static int start_rows(struct cm_reader *r, struct cm_chunk *c, struct progress *p)
{
    if (r->head.kind == CM_PAIRS && !c->has_batch)
        return cm_records_bad(&r->in, "expected BATCH before ROWS in kind pairs");
    p->in_rows = true;
    p->left = r->head.nslots;
    return cm_take_rows(r, c);
}

/* The record at hand.  1: the chunk is whole; 0: go on, or END (r->ended); < 0 error. */
static int take_record(struct cm_reader *r, struct cm_chunk *c, struct progress *p)
{
    const struct cm_head *h = &r->head;
    enum cm_record type = r->in.type;
    if (type == CM_RECORD_ABORT)
        return take_abort(r);
    if (type == CM_RECORD_OTHER)
        return take_other(r);
    if (p->in_rows)
        return type == CM_RECORD_BLOCK
                   ? add_block(r, c, p)
                   : cm_records_bad(&r->in, "expected the BLOCKs of the rows just announced");
    if (type == CM_RECORD_DICT)
        return take_dict(r);
    if (c->has_batch && type != CM_RECORD_ROWS)
        return cm_records_bad(&r->in, "expected ROWS behind BATCH");
    if (type == CM_RECORD_BATCH && h->kind == CM_PAIRS)
        return take_batch(r, c);
    if (type == CM_RECORD_ROWS && h->nslots && h->kind != CM_MODEL)
        return start_rows(r, c, p);
    if (type == CM_RECORD_PICK)
        return cm_take_pick(r, c);
    if (type == CM_RECORD_TENSOR)
        return cm_take_tensor(r, c);
    if (type == CM_RECORD_END)
        return take_end(r);
    return cm_records_bad(&r->in, "unknown record, or not where it belongs");
}

int cm_reader_next(struct cm_reader *r, struct cm_chunk *c)
{
    struct progress p = {0};
    int rc = 0;
    if (r->in.error.code)
        return cm_sticky_again(&r->in.error);
    cm_inflate_forget(&r->in.bytes);
    c->has_batch = c->is_pick = c->is_tensor = false;
    c->rows = 0;
    while (!rc && !r->ended)
        if (!(rc = next_record(r)))
            rc = take_record(r, c, &p);
    return rc;
}

int cm_reader_drain(struct cm_reader *r)
{
    struct cm_chunk c = {0};
    int rc;
    r->drains = true;
    while ((rc = cm_reader_next(r, &c)) > 0) {
    }
    r->drains = false;
    cm_chunk_free(&c);
    return rc;
}

/* ===== what is known ====================================================================== */

const struct cm_head *cm_reader_head(const struct cm_reader *r) { return &r->head; }
const char *cm_reader_path(const struct cm_reader *r) { return r->in.error.name; }
uint64_t cm_reader_rows(const struct cm_reader *r, size_t slot) { return r->rows[slot]; }
uint64_t cm_reader_nnz(const struct cm_reader *r, size_t slot) { return r->nnz[slot]; }
uint64_t cm_reader_digest(const struct cm_reader *r) { return r->digest; }
bool cm_reader_frame(const struct cm_reader *r, struct cm_frame *out)
{
    *out = r->packed;
    return r->packed.raw != NULL;
}

bool cm_reader_ended(const struct cm_reader *r) { return r->ended; }
const struct cm_history *cm_reader_history_list(const struct cm_reader *r, size_t *n)
{
    *n = r->past.n;
    return r->past.list;
}

void cm_reader_abort_info(const struct cm_reader *r, int *status, const char **tool,
                          const char **message)
{
    *status = r->abort_status;
    *tool = r->abort_tool ? r->abort_tool : "";
    *message = r->abort_message ? r->abort_message : "";
}
