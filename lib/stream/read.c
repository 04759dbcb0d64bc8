/* stream/read.c - the reader of CMS.
 *
 * Problem: bytes from a pipe are hostile until proven otherwise: cut, flipped, or not ours at all,
 * and they claim sizes before they show them.  Choice: one layer turns the zstd frames into bytes
 * (memory grows only as bytes really arrive), one hands out whole records, one assembles chunks and
 * checks every count against what was declared.  Errors are sticky and name the stream.  A stream
 * that ends at a frame boundary without END is damaged, and so is one with bytes after END (two
 * files put together with cat would otherwise lose the second in silence).
 * Rejected: mmap (pipes), trusting a declared payload length for an allocation.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd.h>
#include <zstd_errors.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/sniff.h"
#include "base/spool.h"
#include "base/utf8.h"
#include "stream/cms.h"
#include "stream/planes.h"
#include "stream/wire.h"

enum { IN_SIZE = 256 * 1024, PACKED_MAX = 16 << 20 };

struct cm_reader {
    char *path;
    int fd;
    off_t start; /* where a regular file began, for rewind */
    bool regular;
    int spool; /* fd of the copy of a pipe, -1 = none */
    bool copying, opening;
    struct cm_buf prefix; /* compressed bytes read by open: cm_reader_keep may yet want them */

    ZSTD_DStream *z;
    unsigned char *in; /* compressed */
    size_t in_at, in_n;
    bool eof;          /* fd has no more */
    bool frame_open;   /* in the middle of a zstd frame */
    uint64_t in_total; /* compressed bytes read */
    struct cm_buf out; /* decompressed, from out_at */
    size_t out_at;
    uint64_t out_total;     /* decompressed bytes so far: the place where `out` ends */
    struct cm_buf frame;    /* the frame at hand as it came, as far as PACKED_MAX */
    uint64_t frame_from;    /* place where it begins */
    bool frame_kept;        /* all of it is in `frame` */
    uint64_t record_from;   /* place of the payload at hand */
    struct cm_frame packed; /* of the last block; frame NULL = none */

    int error; /* sticky */
    char *message;
    bool ended;
    struct cm_head head;
    bool again;         /* a second pass: head and column tables are not taken apart anew */
    uint64_t head_hash; /* of their records */
    uint64_t records, rows[CM_MAX_SLOTS], nnz[CM_MAX_SLOTS];
    struct cm_hash *hash;
    uint64_t digest, first_digest; /* the latter of the first pass, once that came to END */
    bool whole;                    /* it did */
    struct cm_lazy_bound bound[CM_MAX_SLOTS];
    struct cm_past past;
    size_t past_bytes;
    int abort_status;
    char *abort_tool, *abort_message;

    /* The record at hand: numbers in place in `out`, valid until more is read; text in `text`, with
     * a NUL behind it. */
    struct cm_buf record, text;
    char tag[9];
    bool have;
};

/* ===== errors ============================================================================= */

static int fail(struct cm_reader *r, int code, const char *format, ...) CM_PRINTF(3, 4);
static int fail(struct cm_reader *r, int code, const char *format, ...)
{
    char text[CM_MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (!r->error) {
        cm_fail(code, "%s: %s", r->path, text);
        r->error = code;
        r->message = cm_strdup(cm_error_message());
    }
    return cm_fail(r->error, "%s", r->message);
}

static int sticky(struct cm_reader *r) { return cm_fail(r->error, "%s", r->message); }

/* ===== bytes ============================================================================== */

static int spool(struct cm_reader *r, const unsigned char *p, size_t n)
{
    while (n) {
        ssize_t w = write(r->spool, p, n);
        if (w < 0 && errno != EINTR)
            return fail(r, CM_ESYSTEM, "cannot spool the input to TMPDIR: %s", strerror(errno));
        p += w > 0 ? w : 0;
        n -= w > 0 ? (size_t)w : 0;
    }
    return 0;
}

static int fill(struct cm_reader *r)
{
    ssize_t n;
    do
        n = read(r->fd, r->in, IN_SIZE);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return fail(r, CM_ESYSTEM, "read: %s", strerror(errno));
    r->in_at = 0;
    r->in_n = (size_t)n;
    r->in_total += (uint64_t)n;
    r->eof = n == 0;
    if (r->opening)
        cm_buf_put(&r->prefix, r->in, r->in_n);
    return r->copying ? spool(r, r->in, r->in_n) : 0;
}

/* Makes at least n decompressed bytes available at r->out.p + r->out_at.
 * 1 done, 0 the input ended first, < 0 error. */
static int need(struct cm_reader *r, size_t n)
{
    while (r->out.n - r->out_at < n) {
        if (r->out_at && (r->out_at == r->out.n || r->out_at > r->out.cap / 2)) {
            memmove(r->out.p, r->out.p + r->out_at, r->out.n - r->out_at);
            r->out.n -= r->out_at;
            r->out_at = 0;
        }
        if (r->in_at == r->in_n && !r->eof) {
            int rc = fill(r);
            if (rc)
                return rc;
            bool first = r->in_total == r->in_n;
            if (first && r->in_n && memcmp(r->in, "\x28\xb5\x2f\xfd", r->in_n < 4 ? r->in_n : 4))
                return fail(r, CM_EINPUT, "not a CMS stream: expected zstd frames, found %s",
                            cm_sniff(r->in, r->in_n));
        }
        if (r->in_at == r->in_n && r->eof) {
            if (r->in_total == 0)
                return fail(r, CM_EINPUT, "not a CMS stream: expected zstd frames, found %s",
                            cm_sniff(NULL, 0));
            if (r->frame_open)
                return fail(r, CM_EINPUT,
                            "cut in the middle of a compressed frame (after %" PRIu64 " bytes)",
                            r->in_total);
            return 0;
        }
        size_t capacity = ZSTD_DStreamOutSize();
        size_t before = r->out.n, taken = r->in_at;
        if (!r->frame_open) {
            r->frame.n = 0;
            r->frame_from = r->out_total;
            r->frame_kept = true;
        }
        ZSTD_inBuffer in = {r->in, r->in_n, r->in_at};
        ZSTD_outBuffer out = {cm_buf_extend(&r->out, capacity), capacity, 0};
        size_t left = ZSTD_decompressStream(r->z, &out, &in);
        if (ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation)
            return fail(r, CM_ESYSTEM, "out of memory: a zstd decoder");
        if (ZSTD_isError(left))
            return fail(r, CM_EINPUT, "damaged near byte %" PRIu64 ": %s",
                        r->in_total - (r->in_n - r->in_at), ZSTD_getErrorName(left));
        r->in_at = in.pos;
        r->out.n = before + out.pos;
        r->out_total += out.pos;
        r->frame_kept = r->frame_kept && r->frame.n + (in.pos - taken) <= PACKED_MAX;
        if (r->frame_kept)
            cm_buf_put(&r->frame, r->in + taken, in.pos - taken);
        r->frame_open = left != 0;
    }
    return 1;
}

/* ===== records ============================================================================ */

/* The next record into r->tag and r->record.  0 or an error; the end of the input is one. */
static int next_record(struct cm_reader *r)
{
    if (r->have) {
        r->have = false;
        return 0;
    }
    int rc = need(r, CM_WIRE_RECORD);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return fail(r, CM_EINPUT,
                    "ends without an END record after %" PRIu64 " rows: it was cut, or the program "
                    "that wrote it died",
                    r->rows[0]);
    struct cm_cursor c = cm_cursor_make(r->out.p + r->out_at, CM_WIRE_RECORD);
    memcpy(r->tag, cm_cursor_take(&c, 8), 8);
    r->tag[8] = 0;
    uint64_t n = cm_cursor_u64(&c);
    for (size_t k = 0; k < 8; k++) {
        unsigned char t = (unsigned char)r->tag[k];
        bool letter = (t >= 'A' && t <= 'Z') || (t >= 'a' && t <= 'z');
        if (k == 0 ? !letter : !letter && t && !(t >= '0' && t <= '9') && t != '_' && t != '-')
            return fail(r, CM_EINPUT, "record %" PRIu64 ": damaged tag", r->records + 1);
    }
    if (n > CM_MAX_PAYLOAD)
        return fail(r, CM_EINPUT,
                    "record %" PRIu64 " (%s): payload of %" PRIu64
                    " bytes, the format allows 1 GiB",
                    r->records + 1, r->tag, n);
    bool capital = r->tag[0] >= 'A' && r->tag[0] <= 'Z';
    if (!capital && n > CM_MAX_HISTORY)
        return fail(r, CM_EINPUT,
                    "record %" PRIu64 " (%s): more than 64 MiB of records that may be ignored",
                    r->records + 1, r->tag);
    r->out_at += CM_WIRE_RECORD;
    size_t padded = (size_t)((n + 7) / 8 * 8);
    rc = need(r, padded);
    if (rc < 0)
        return rc;
    if (rc == 0)
        return fail(r, CM_EINPUT, "cut inside record %" PRIu64 " (%s)", r->records + 1, r->tag);
    r->record = (struct cm_buf){.p = r->out.p + r->out_at, .n = (size_t)n};
    r->record_from = r->out_total - (r->out.n - r->out_at);
    r->packed.frame = NULL;
    static const char *const numbers[] = {"BLOCK", "ROWS", "TENSOR", "PICK", "BATCH"};
    bool in_place = false;
    for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
        in_place |= !strcmp(r->tag, numbers[k]);
    if (!in_place) {
        r->text.n = 0;
        cm_buf_put(&r->text, r->record.p, r->record.n);
        cm_buf_put(&r->text, "", 1);
        r->record.p = r->text.p;
    }
    r->out_at += padded;
    if (strcmp(r->tag, "END") && strcmp(r->tag, "ABORT")) {
        r->records++;
        if (capital)
            cm_hash_update(r->hash, r->record.p, r->record.n);
    }
    return 0;
}

static int bad_record(struct cm_reader *r, const char *why)
{
    return fail(r, CM_EINPUT, "record %" PRIu64 " (%s): %s", r->records, r->tag, why);
}

static int take_abort(struct cm_reader *r)
{
    struct cm_cursor c = cm_cursor_make(r->record.p, r->record.n);
    uint32_t status = cm_cursor_u32(&c), nt = cm_cursor_u32(&c), nm = cm_cursor_u32(&c);
    cm_cursor_u32(&c);
    const char *tool = cm_cursor_take(&c, nt), *message = cm_cursor_take(&c, nm);
    if (c.bad)
        return fail(r, CM_EABORT, "the stage before gave up");
    r->abort_status = (int)status;
    struct cm_buf t = {0};
    cm_buf_printf(&t, "%.*s", (int)nt, tool);
    r->abort_tool = (char *)t.p;
    t = (struct cm_buf){0};
    cm_buf_printf(&t, "%.*s", (int)nm, message);
    r->abort_message = (char *)t.p;
    return fail(r, CM_EABORT, "%s upstream failed: %s", r->abort_tool, r->abort_message);
}

static int take_dict(struct cm_reader *r)
{
    struct cm_cursor c = cm_cursor_make(r->record.p, r->record.n);
    uint32_t label = cm_cursor_u32(&c), first = cm_cursor_u32(&c), n = cm_cursor_u32(&c);
    uint32_t ordered = cm_cursor_u32(&c);
    if (c.bad || label >= r->head.nlabels || r->head.label[label].type != CM_T_CAT)
        return bad_record(r, "not for a categorical label");
    struct cm_dict *d = &r->head.label[label].dict;
    if (first != d->names.n)
        return bad_record(r, "its first code does not follow the last one");
    if (!cm_wire_get_strs(&c, n, &d->names))
        return bad_record(r, "damaged list of names");
    size_t bad = cm_strs_not_utf8(&d->names, first);
    if (bad != CM_ABSENT)
        return fail(r, CM_EINPUT, "label %s: the category \"%.60s\" is not UTF-8",
                    r->head.label[label].name, cm_strs_get(&d->names, bad));
    d->ordered = ordered & 1;
    return 0;
}

/* Keeps a lower-case record: it is copied through, and provenance is shown. */
static int take_other(struct cm_reader *r)
{
    r->past_bytes += r->record.n + CM_WIRE_RECORD;
    if (r->past_bytes > CM_MAX_HISTORY)
        return bad_record(r, "more than 64 MiB of records that may be ignored");
    cm_past_add(&r->past, r->tag, r->record.p, r->record.n);
    return 0;
}

static int take_end(struct cm_reader *r)
{
    struct cm_cursor c = cm_cursor_make(r->record.p, r->record.n);
    for (size_t k = 0; k < r->head.nslots; k++) {
        uint64_t n = cm_cursor_u64(&c);
        if (!c.bad && n != r->rows[k])
            return fail(r, CM_EINPUT, "END: slot %s: expected %" PRIu64 " rows, found %" PRIu64,
                        r->head.slot[k].name, n, r->rows[k]);
    }
    uint64_t records = cm_cursor_u64(&c), digest = cm_cursor_u64(&c);
    if (c.bad)
        return bad_record(r, "damaged END");
    if (records && records != r->records)
        return fail(r, CM_EINPUT, "END: expected %" PRIu64 " records, found %" PRIu64, records,
                    r->records);
    r->digest = cm_hash_value(r->hash);
    if (r->again && r->whole && r->digest != r->first_digest)
        return fail(r, CM_EINPUT, "changed while it was read");
    if (!r->again) {
        r->first_digest = r->digest;
        r->whole = true;
    }
    if (digest && digest != r->digest)
        return fail(r, CM_EINPUT,
                    "END: digest %016" PRIx64 " does not match the content's %016" PRIx64, digest,
                    r->digest);
    for (size_t k = 0; k < r->head.nslots; k++)
        if (r->head.slot[k].rows && r->head.kind != CM_MODEL && r->head.slot[k].rows != r->rows[k])
            return fail(r, CM_EINPUT, "slot %s: HEAD promised %" PRIu64 " rows, found %" PRIu64,
                        r->head.slot[k].name, r->head.slot[k].rows, r->rows[k]);
    int rc = need(r, 1); /* also reads the last frame's checksum */
    if (rc < 0)
        return rc;
    if (rc > 0)
        return fail(r, CM_EINPUT,
                    "bytes follow the END record (files put together with cat? "
                    "use cms-cat)");
    r->ended = true;
    return 0;
}

/* ===== opening ============================================================================ */

static int read_prefix(struct cm_reader *r)
{
    int rc = need(r, CM_WIRE_PREFIX);
    if (rc < 0)
        return rc;
    if (rc == 0 || memcmp(r->out.p + r->out_at, CM_WIRE_MAGIC, 8))
        return fail(r, CM_EINPUT, "not a CMS stream: zstd frames that hold something else");
    struct cm_cursor c = cm_cursor_make(r->out.p + r->out_at + 8, 8);
    const unsigned char *v = cm_cursor_take(&c, 4);
    unsigned major = v[0] | (unsigned)v[1] << 8, minor = v[2] | (unsigned)v[3] << 8;
    if (major != CM_CMS_MAJOR)
        return fail(r, CM_EINPUT, "CMS version %u.%u, this program reads %d.%d", major, minor,
                    CM_CMS_MAJOR, CM_CMS_MINOR);
    r->out_at += CM_WIRE_PREFIX;
    return 0;
}

static int take_cols(struct cm_reader *r, const uint64_t *cols, bool *seen)
{
    struct cm_cursor c = cm_cursor_make(r->record.p, r->record.n);
    uint32_t slot = cm_cursor_u32(&c);
    cm_cursor_u32(&c);
    if (c.bad || slot >= r->head.nslots || seen[slot])
        return bad_record(r, "for a slot that HEAD does not declare, or a second time");
    if (memchr(c.p, 0, c.n))
        return bad_record(r, "a NUL byte in the text");
    if (cols[slot] > c.n) /* a line is at least its newline */
        return bad_record(r, "HEAD declares more columns than it has lines");
    seen[slot] = true;
    int rc = cm_wire_get_cols((char *)r->record.p + 8, cols[slot], &r->head.slot[slot].cols);
    if (rc)
        return fail(r, rc, "slot %s: %s", r->head.slot[slot].name, cm_error_message());
    rc = cm_lazy_bound(&r->head.slot[slot], &r->bound[slot]);
    return rc ? fail(r, rc, "%s", cm_error_message()) : 0;
}

/* HEAD, COLS of every slot, first DICTs; stops at the first record of data. */
static int read_head(struct cm_reader *r)
{
    int rc = read_prefix(r);
    if (!rc)
        rc = next_record(r);
    if (rc)
        return rc;
    if (!strcmp(r->tag, "ABORT"))
        return take_abort(r);
    if (strcmp(r->tag, "HEAD"))
        return bad_record(r, "expected HEAD as the first record");
    if (memchr(r->record.p, 0, r->record.n))
        return bad_record(r, "a NUL byte in the text");
    uint64_t cols[CM_MAX_SLOTS] = {0}, hash = cm_hash64(r->record.p, r->record.n, 0);
    rc = r->again ? 0 : cm_wire_get_head((char *)r->record.p, &r->head, cols);
    if (rc)
        return fail(r, rc, "%s", cm_error_message());
    struct cm_head *h = &r->head;
    bool seen[CM_MAX_SLOTS] = {false};
    for (;;) {
        rc = next_record(r);
        if (rc)
            return rc;
        if (!strcmp(r->tag, "COLS")) {
            hash = cm_hash64(r->record.p, r->record.n, hash);
            rc = r->again ? 0 : take_cols(r, cols, seen);
        } else if (!strcmp(r->tag, "DICT"))
            rc = take_dict(r);
        else if (r->tag[0] >= 'a' && r->tag[0] <= 'z')
            rc = take_other(r);
        else
            break;
        if (rc)
            return rc;
    }
    if (!strcmp(r->tag, "ABORT"))
        return take_abort(r);
    if (r->again && hash != r->head_hash)
        return fail(r, CM_EINPUT, "changed while it was read");
    r->head_hash = hash;
    for (size_t k = 0; k < h->nslots; k++)
        if (!r->again && !seen[k])
            return fail(r, CM_EINPUT, "slot %s has no column table (COLS)", h->slot[k].name);
    r->have = true;
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
    struct cm_reader *r = CM_ZNEW(struct cm_reader, 1);
    r->path = cm_strdup(name);
    r->fd = fd;
    r->spool = -1;
    r->start = S_ISREG(st.st_mode) ? lseek(fd, 0, SEEK_CUR) : -1;
    r->regular = r->start >= 0;
    r->in = CM_NEW(unsigned char, IN_SIZE);
    r->z = ZSTD_createDStream();
    if (!r->z)
        cm_panic(4, "out of memory: a zstd decoder");
    r->hash = cm_hash_new();
    r->opening = true;
    int rc = read_head(r);
    r->opening = false;
    if (rc < 0) {
        cm_reader_close(r);
        return rc;
    }
    *out = r;
    return 0;
}

static void reset(struct cm_reader *r)
{
    ZSTD_DCtx_reset(r->z, ZSTD_reset_session_only);
    r->in_at = r->in_n = r->out_at = r->out.n = 0;
    r->in_total = r->out_total = 0;
    r->eof = r->frame_open = r->ended = r->have = false;
    r->records = 0;
    memset(r->rows, 0, sizeof r->rows);
    memset(r->nnz, 0, sizeof r->nnz);
    cm_hash_free(r->hash);
    r->hash = cm_hash_new();
    for (size_t k = 0; k < r->head.nlabels; k++) /* the rest of the head stays */
        cm_strs_clear(&r->head.label[k].dict.names);
    cm_past_free(&r->past);
    r->past_bytes = 0;
}

void cm_reader_close(struct cm_reader *r)
{
    if (!r)
        return;
    if (r->fd > 0 && r->fd != r->spool)
        close(r->fd);
    if (r->spool >= 0)
        close(r->spool);
    ZSTD_freeDStream(r->z);
    cm_free(r->in);
    cm_buf_free(&r->out);
    cm_buf_free(&r->prefix);
    cm_buf_free(&r->text);
    cm_buf_free(&r->frame);
    cm_head_free(&r->head);
    cm_hash_free(r->hash);
    cm_past_free(&r->past);
    cm_free(r->message);
    cm_free(r->abort_tool);
    cm_free(r->abort_message);
    cm_free(r->path);
    cm_free(r);
}

int cm_reader_keep(struct cm_reader *r)
{
    if (r->regular || r->copying)
        return 0;
    r->spool = cm_spool_open();
    if (r->spool < 0)
        return fail(r, CM_ESYSTEM, "cannot spool the input: %s", cm_error_message());
    r->copying = true;
    int rc = spool(r, r->prefix.p, r->prefix.n);
    cm_buf_free(&r->prefix);
    return rc;
}

int cm_reader_rewind(struct cm_reader *r)
{
    if (r->error)
        return sticky(r);
    if (!r->regular) {
        CM_ASSERT(r->copying || r->fd == r->spool);
        if (r->fd > 0 && r->fd != r->spool)
            close(r->fd);
        r->fd = r->spool;
        r->copying = false;
    }
    if (lseek(r->fd, r->regular ? r->start : 0, SEEK_SET) < 0)
        return fail(r, CM_ESYSTEM, "rewind: %s", strerror(errno));
    reset(r);
    r->again = true;
    return read_head(r);
}

/* ===== chunks ============================================================================= */

/* Bytes of a value on the wire; a text has at least its length. */
static size_t label_size(enum cm_type type)
{
    return type == CM_T_BOOL ? 1 : type == CM_T_CAT || type == CM_T_STR ? 4 : 8;
}

static int take_rows(struct cm_reader *r, struct cm_chunk *c)
{
    const struct cm_head *h = &r->head;
    struct cm_cursor u = cm_cursor_make(r->record.p, r->record.n);
    uint64_t first = cm_cursor_u64(&u);
    uint32_t n = cm_cursor_u32(&u), labels = cm_cursor_u32(&u);
    if (u.bad || labels != h->nlabels)
        return bad_record(r, "its labels are not those of HEAD");
    if (h->nslots && first != r->rows[0])
        return fail(r, CM_EINPUT,
                    "record %" PRIu64 " (ROWS): expected row %" PRIu64 ", found row %" PRIu64,
                    r->records, r->rows[0], first);
    if (n > u.n) /* each row has at least the four bytes of its name's length */
        return bad_record(r, "more rows than it has bytes");
    cm_strs_clear(&c->names);
    if (!cm_wire_get_strs(&u, n, &c->names))
        return bad_record(r, "damaged row names");
    size_t width = 0, bytes; /* of a row's labels, at least */
    for (size_t k = 0; k < h->nlabels; k++)
        width += label_size(h->label[k].type);
    if (cm_mul(n, width, &bytes) || bytes > u.n)
        return bad_record(r, "cut label values");
    size_t bad = cm_strs_not_utf8(&c->names, 0);
    if (bad != CM_ABSENT)
        return fail(r, CM_EINPUT, "row %" PRIu64 ": the name \"%.60s\" is not UTF-8", first + bad,
                    cm_strs_get(&c->names, bad));
    c->first = first;
    c->rows = n;
    cm_chunk_labels(c, h);
    for (size_t k = 0; k < h->nlabels; k++) {
        struct cm_vec *v = &c->label[k];
        if (v->type == CM_T_STR) {
            cm_strs_clear(&v->s);
            if (!cm_wire_get_strs(&u, n, &v->s))
                return bad_record(r, "damaged text label");
            if ((bad = cm_strs_not_utf8(&v->s, 0)) != CM_ABSENT)
                return fail(r, CM_EINPUT, "row %" PRIu64 ": label %s: \"%.60s\" is not UTF-8",
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
            return bad_record(r, "cut label values");
        cm_le_copy(to, from, n, size);
        for (size_t i = 0; v->type == CM_T_CAT && i < n; i++)
            if (v->cat[i] != CM_CAT_MISSING && v->cat[i] >= h->label[k].dict.names.n)
                return fail(r, CM_EINPUT,
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
    return fail(r, CM_EINPUT,
                "slot %s, row %" PRIu64 ", column %s: expected a finite value, found %g", s->name,
                first + i, cm_strs_get(&s->cols.names, j), x);
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
            return bad_record(r, "rows hold more entries than the block");
        if (!cm_planes_join(plane + e, n, count, b->cols, b->idx + e, &last))
            return fail(r, CM_EINPUT,
                        "record %" PRIu64 " (BLOCK), row %" PRIu64 ": expected "
                        "ascending columns below %zu, found %" PRIu64,
                        r->records, first + i, b->cols, last);
        b->ptr[i + 1] = e += count;
    }
    return e == n ? 0 : bad_record(r, "rows hold fewer entries than the block");
}

static int take_block(struct cm_reader *r, struct cm_chunk *c, bool *got)
{
    struct cm_cursor u = cm_cursor_make(r->record.p, r->record.n);
    uint32_t slot = cm_cursor_u32(&u), type = cm_cursor_u32(&u), rows = cm_cursor_u32(&u);
    uint32_t flags = cm_cursor_u32(&u);
    uint64_t first = cm_cursor_u64(&u), nnz = cm_cursor_u64(&u);
    if (u.bad || slot >= r->head.nslots || type > CM_V_F64 || got[slot])
        return bad_record(r, "unknown slot or value type, or a second block for these rows");
    const struct cm_slot *s = &r->head.slot[slot];
    bool dense = flags & CM_WIRE_DENSE;
    size_t cols = s->cols.names.n, size = cm_value_size((enum cm_value)type), cells;
    if (rows != c->rows || first != c->first || dense != s->dense)
        return bad_record(r, "its rows or encoding are not those announced");
    /* The payload's length is known to be there: sizes that it cannot hold are refused first. */
    if (dense ? type < CM_V_F32 || cm_mul(rows, cols, &cells) || nnz != cells || cells > u.n / size
              : nnz > u.n / (4 + size) || rows > u.n / 4)
        return bad_record(r, "declares more values than it has bytes");
    struct cm_block *b = &c->block[slot];
    cm_block_shape(b, dense, rows, cols, nnz, (enum cm_value)type);
    const unsigned char *counts = NULL, *plane = NULL;
    if (!dense) {
        counts = cm_cursor_items(&u, rows, 4);
        cm_cursor_pad8(&u);
    }
    if (flags & CM_WIRE_ROWF) {
        const void *f = cm_cursor_items(&u, rows, 4);
        cm_cursor_pad8(&u);
        if (!u.bad)
            cm_le_copy(cm_block_rowf(b), f, rows, 4);
        for (size_t i = 0; !u.bad && i < rows; i++)
            if (!isfinite(b->rowf[i]))
                return bad_record(r, "a row factor is not finite");
    }
    size_t head = u.at; /* bytes of the payload before the columns */
    if (!dense) {
        plane = cm_cursor_items(&u, nnz, 4);
        cm_cursor_pad8(&u);
    }
    const void *values = cm_cursor_items(&u, nnz, size);
    if (u.bad)
        return bad_record(r, "cut values");
    cm_le_copy(b->raw, values, (size_t)nnz, size);
    bool alone = r->frame_kept && !r->frame_open && r->frame_from == r->record_from + head;
    if (!dense && nnz && alone && r->out_at == r->out.n && u.n < 8)
        r->packed = (struct cm_frame){.frame = r->frame.p,
                                      .raw = plane,
                                      .nframe = r->frame.n,
                                      .nraw = r->record.n - head,
                                      .type = (enum cm_value)type};
    int rc = dense ? 0 : get_columns(r, b, counts, plane, first);
    if (!rc)
        rc = check_finite(r, b, first, s);
    if (!rc)
        rc = check_meant(r, b, first, slot);
    got[slot] = true;
    r->nnz[slot] += nnz;
    return rc;
}

bool cm_reader_frame(const struct cm_reader *r, struct cm_frame *out)
{
    *out = r->packed;
    return r->packed.frame != NULL;
}

static int take_pick(struct cm_reader *r, struct cm_chunk *c)
{
    struct cm_cursor u = cm_cursor_make(r->record.p, r->record.n);
    c->batch = (struct cm_batch){.epoch = cm_cursor_u32(&u)};
    c->batch.rows = cm_cursor_u32(&u);
    c->batch.step = cm_cursor_u64(&u);
    const void *rows = cm_cursor_items(&u, c->batch.rows, 8);
    if (u.bad || r->head.kind != CM_PAIRS)
        return bad_record(r, "cut, or in a stream that is no pairs");
    CM_GROW(c->pick, c->pick_cap, c->batch.rows);
    cm_le_copy(c->pick, rows, c->batch.rows, 8);
    for (size_t k = 0; k < c->batch.rows; k++)
        if (c->pick[k] >= r->rows[0])
            return fail(r, CM_EINPUT,
                        "record %" PRIu64 " (PICK): row %" PRIu64 " of a data pass of %" PRIu64
                        " rows",
                        r->records, c->pick[k], r->rows[0]);
    c->is_pick = true;
    return 1;
}

static int take_tensor(struct cm_reader *r, struct cm_chunk *c)
{
    struct cm_cursor u = cm_cursor_make(r->record.p, r->record.n);
    struct cm_tensor *t = CM_ZNEW(struct cm_tensor, 1);
    cm_tensor_free(c->tensor);
    c->tensor = t;
    uint32_t type = cm_cursor_u32(&u);
    t->ndim = cm_cursor_u32(&u);
    uint32_t name = cm_cursor_u32(&u);
    cm_cursor_u32(&u);
    if (u.bad || type > CM_V_F64 || type == CM_V_ONE || t->ndim > CM_TENSOR_DIMS ||
        name > CM_MAX_NAME)
        return bad_record(r, "unknown type or shape");
    t->type = (enum cm_value)type;
    t->n = 1;
    for (unsigned k = 0; k < t->ndim; k++) {
        t->shape[k] = cm_cursor_u64(&u);
        if (t->shape[k] > CM_MAX_PAYLOAD || (t->n && t->shape[k] > CM_MAX_PAYLOAD / t->n))
            return bad_record(r, "declares more values than it has bytes");
        t->n *= t->shape[k];
    }
    const char *text = cm_cursor_take(&u, name);
    cm_cursor_pad8(&u);
    size_t size = cm_value_size(t->type);
    const void *data = cm_cursor_items(&u, t->n, size);
    if (u.bad || memchr(text, 0, name))
        return bad_record(r, "cut, or a damaged name");
    t->name = memcpy(cm_zalloc(name + 1, 1), text, name);
    if (cm_utf8_bad(t->name, name) != name)
        return fail(r, CM_EINPUT, "the tensor name \"%.60s\" is not UTF-8", t->name);
    t->data = cm_alloc((size_t)t->n + 1, size);
    cm_le_copy(t->data, data, (size_t)t->n, size);
    for (uint64_t k = 0; type >= CM_V_F32 && k < t->n; k++) {
        double x = type == CM_V_F32 ? (double)((float *)t->data)[k] : ((double *)t->data)[k];
        if (!isfinite(x))
            return fail(r, CM_EINPUT,
                        "tensor %s, item %" PRIu64 ": expected a finite value, found %g", t->name,
                        k, x);
    }
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

int cm_reader_next(struct cm_reader *r, struct cm_chunk *c)
{
    if (r->error)
        return sticky(r);
    if (r->ended)
        return 0;
    if (!r->copying)
        cm_buf_free(&r->prefix);
    const struct cm_head *h = &r->head;
    c->has_batch = c->is_pick = c->is_tensor = false;
    c->rows = 0;
    bool in_chunk = false, got[CM_MAX_SLOTS] = {false};
    size_t left = 0; /* blocks still to come */
    for (;;) {
        int rc = next_record(r);
        if (rc)
            return rc;
        const char *t = r->tag;
        if (!strcmp(t, "BLOCK") && in_chunk) {
            rc = take_block(r, c, got);
            if (!rc && --left == 0) {
                for (size_t k = 0; k < h->nslots; k++)
                    r->rows[k] += c->rows;
                if (c->has_batch && c->batch.rows != c->rows)
                    return bad_record(r, "BATCH announced another number of rows");
                return 1;
            }
        } else if (!strcmp(t, "ABORT")) {
            return take_abort(r);
        } else if (t[0] >= 'a' && t[0] <= 'z') {
            rc = take_other(r);
        } else if (in_chunk) {
            return bad_record(r, "expected the BLOCKs of the rows just announced");
        } else if (!strcmp(t, "DICT")) {
            rc = take_dict(r);
        } else if (c->has_batch && strcmp(t, "ROWS")) {
            return bad_record(r, "expected ROWS behind BATCH");
        } else if (!strcmp(t, "BATCH") && h->kind == CM_PAIRS) {
            struct cm_cursor u = cm_cursor_make(r->record.p, r->record.n);
            c->batch.epoch = cm_cursor_u32(&u);
            c->batch.rows = cm_cursor_u32(&u);
            c->batch.step = cm_cursor_u64(&u);
            c->batch.split = cm_cursor_u8(&u);
            if (u.bad || c->batch.split > 1)
                return bad_record(r, "cut, or an unknown split");
            c->has_batch = true;
        } else if (!strcmp(t, "ROWS") && h->nslots && h->kind != CM_MODEL) {
            if (h->kind == CM_PAIRS && !c->has_batch)
                return bad_record(r, "expected BATCH before ROWS in kind pairs");
            rc = take_rows(r, c);
            in_chunk = true;
            left = h->nslots;
        } else if (!strcmp(t, "PICK")) {
            return take_pick(r, c);
        } else if (!strcmp(t, "TENSOR")) {
            return take_tensor(r, c);
        } else if (!strcmp(t, "END")) {
            return take_end(r);
        } else {
            return bad_record(r, "unknown record, or not where it belongs");
        }
        if (rc)
            return rc;
    }
}

int cm_reader_drain(struct cm_reader *r)
{
    struct cm_chunk c = {0};
    int rc;
    while ((rc = cm_reader_next(r, &c)) > 0) {
    }
    cm_chunk_free(&c);
    return rc;
}

/* ===== what is known ====================================================================== */

const struct cm_head *cm_reader_head(const struct cm_reader *r) { return &r->head; }
const char *cm_reader_path(const struct cm_reader *r) { return r->path; }
uint64_t cm_reader_rows(const struct cm_reader *r, size_t slot) { return r->rows[slot]; }
uint64_t cm_reader_nnz(const struct cm_reader *r, size_t slot) { return r->nnz[slot]; }
uint64_t cm_reader_digest(const struct cm_reader *r) { return r->digest; }
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
