/* stream/unpack.c - frames of a descriptor, decompressed.  See unpack.h.
 *
 * Memory grows only as bytes really arrive, whatever a frame claims.  A pipe that is read twice is
 * copied, still compressed, to a file without a name.
 */
#include "stream/unpack.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd_errors.h>

#include "base/mem.h"
#include "base/sniff.h"
#include "base/spool.h"

/* Of a frame that is decoded at once: compressed, and what it says of its content. */
enum { FRAME_MAX = 16 << 20, CONTENT_MAX = 64 << 20 };
/* A piece goes on while it is shorter: the frame that names rows and that of their columns. */
enum { SHORT = 64 << 10 };

void cm_piece_free(struct cm_piece *p)
{
    cm_buf_free(&p->raw);
    cm_buf_free(&p->frame);
}

void cm_unpack_start(struct cm_unpack *u, int fd)
{
    struct stat st;
    *u = (struct cm_unpack){.fd = fd, .spool = -1, .start = -1, .opening = true, .wake = -1};
    if (!fstat(fd, &st) && S_ISREG(st.st_mode))
        u->start = lseek(fd, 0, SEEK_CUR);
    u->regular = u->start >= 0;
    u->z = ZSTD_createDStream();
    if (!u->z)
        cm_panic(4, "out of memory: a zstd decoder");
}

void cm_unpack_free(struct cm_unpack *u)
{
    if (u->fd > 0 && u->fd != u->spool)
        close(u->fd);
    if (u->spool >= 0)
        close(u->spool);
    ZSTD_freeDStream(u->z);
    cm_buf_free(&u->in);
    cm_buf_free(&u->prefix);
}

/* ===== compressed bytes =================================================================== */

static int copy_to_spool(struct cm_unpack *u, const unsigned char *p, size_t n)
{
    while (n) {
        ssize_t w = write(u->spool, p, n);
        if (w < 0 && errno != EINTR)
            return cm_fail_errno(CM_ESYSTEM, "cannot spool the input to TMPDIR");
        p += w > 0 ? w : 0;
        n -= w > 0 ? (size_t)w : 0;
    }
    return 0;
}

static int not_zstd(const struct cm_unpack *u)
{
    return cm_fail(CM_EINPUT, "not a CMS stream: expected zstd frames, found %s",
                   cm_sniff(u->in.n ? u->in.p : NULL, u->in.n));
}

/* Waits until there is something to read; an error once cm_unpack.wake says so. */
static int wait_for_input(const struct cm_unpack *u)
{
    struct pollfd on[2] = {{.fd = u->fd, .events = POLLIN}, {.fd = u->wake, .events = POLLIN}};
    if (u->regular || u->wake < 0)
        return 0;
    while (poll(on, 2, -1) < 0)
        if (errno != EINTR)
            return cm_fail_errno(CM_ESYSTEM, "poll");
    return on[1].revents ? cm_fail(CM_ESYSTEM, "reading has been stopped") : 0;
}

/* More compressed bytes, or eof. */
static int fill(struct cm_unpack *u)
{
    ssize_t n;
    int rc = wait_for_input(u);
    if (rc)
        return rc;
    if (u->in_at) {
        memmove(u->in.p, u->in.p + u->in_at, u->in.n - u->in_at);
        u->in.n -= u->in_at;
        u->in_at = 0;
    }
    unsigned char *to = cm_buf_extend(&u->in, CM_UNPACK_READ);
    u->in.n -= CM_UNPACK_READ;
    do
        n = read(u->fd, to, CM_UNPACK_READ);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return cm_fail_errno(CM_ESYSTEM, "read");
    bool first = u->in_total == 0;
    u->in.n += (size_t)n;
    u->in_total += (uint64_t)n;
    u->eof = n == 0;
    if (u->opening && !u->regular)
        cm_buf_put(&u->prefix, to, (size_t)n);
    if (u->copying && (rc = copy_to_spool(u, to, (size_t)n)))
        return rc;
    return first && n && memcmp(to, "\x28\xb5\x2f\xfd", n < 4 ? (size_t)n : 4) ? not_zstd(u) : 0;
}

/* ===== frames ============================================================================= */

/* Gathers the frame that begins here, if it can be decoded at once.  Its compressed size; 0: as it
 * arrives, please (which also finds the words for what is wrong with it); < 0 error. */
static ssize_t gather(struct cm_unpack *u)
{
    for (;;) {
        const unsigned char *at = u->in.p + u->in_at;
        size_t n = u->in.n - u->in_at, size = ZSTD_findFrameCompressedSize(at, n);
        unsigned long long content = ZSTD_getFrameContentSize(at, n);
        if (!ZSTD_isError(size))
            return size <= FRAME_MAX && content <= CONTENT_MAX ? (ssize_t)size : 0;
        if (ZSTD_getErrorCode(size) != ZSTD_error_srcSize_wrong || n > FRAME_MAX || u->eof ||
            content == ZSTD_CONTENTSIZE_UNKNOWN)
            return 0;
        if (n >= 18 && content > CONTENT_MAX) /* no header is longer; this one may be damaged */
            return 0;
        int rc = fill(u);
        if (rc)
            return rc;
    }
}

/* The frame that begins here at once.  1 done, 0 that will not do, < 0 error. */
static int take_whole(struct cm_unpack *u, struct cm_piece *p)
{
    ssize_t size = gather(u);
    if (size <= 0)
        return (int)size;
    const unsigned char *at = u->in.p + u->in_at;
    size_t content = (size_t)ZSTD_getFrameContentSize(at, (size_t)size), before = p->raw.n;
    void *to = cm_buf_extend(&p->raw, content);
    size_t n = ZSTD_decompressDCtx(u->z, to, content, at, (size_t)size);
    p->raw.n = before;
    if (ZSTD_isError(n)) {
        ZSTD_DCtx_reset(u->z, ZSTD_reset_session_only);
        return 0;
    }
    p->raw.n += n;
    p->last = before;
    p->whole = !u->bare;
    p->frame.n = 0;
    if (p->whole)
        cm_buf_put(&p->frame, at, (size_t)size);
    u->in_at += (size_t)size;
    return 1;
}

/* Decompresses what is there, as far as one step goes. */
static int step(struct cm_unpack *u, struct cm_piece *p, bool *more)
{
    size_t capacity = ZSTD_DStreamOutSize(), before = p->raw.n;
    ZSTD_inBuffer in = {u->in.p, u->in.n, u->in_at};
    ZSTD_outBuffer out = {cm_buf_extend(&p->raw, capacity), capacity, 0};
    size_t left = ZSTD_decompressStream(u->z, &out, &in);
    p->raw.n = before;
    if (ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation)
        return cm_fail(CM_ESYSTEM, "out of memory: a zstd decoder");
    if (ZSTD_isError(left))
        return cm_fail(CM_EINPUT, "damaged near byte %" PRIu64 ": %s",
                       u->in_total - (u->in.n - u->in_at), ZSTD_getErrorName(left));
    u->in_at = in.pos;
    p->raw.n += out.pos;
    u->frame_open = left != 0;
    *more = u->frame_open && (out.pos == capacity || u->in_at < u->in.n);
    return 0;
}

/* Part of a frame, as far as its bytes are there, but not without end. */
static int take_part(struct cm_unpack *u, struct cm_piece *p)
{
    size_t before = p->raw.n;
    bool more = u->frame_open; /* the decoder may hold what it had no capacity for */
    int rc = 0;
    while (!rc && (more || p->raw.n == before)) {
        if (!more && u->in_at == u->in.n) {
            if (!u->eof && (rc = fill(u)))
                break;
            if (u->in_at == u->in.n)
                return cm_fail(CM_EINPUT,
                               "cut in the middle of a compressed frame (after %" PRIu64 " bytes)",
                               u->in_total);
        }
        rc = step(u, p, &more);
        if (!u->frame_open || p->raw.n - before >= CONTENT_MAX)
            break;
    }
    return rc;
}

static int next(struct cm_unpack *u, struct cm_piece *p)
{
    int rc = 0;
    if (!u->frame_open) {
        if (u->in_at == u->in.n && !u->eof && (rc = fill(u)))
            return rc;
        if (u->in_at == u->in.n) {
            p->end = true;
            return u->in_total ? 0 : not_zstd(u);
        }
        size_t before = p->raw.n;
        while ((rc = take_whole(u, p)) > 0)
            if (!u->regular || u->in_at == u->in.n || p->raw.n - before >= SHORT)
                return 0;
        if (rc < 0)
            return rc;
        if (p->raw.n > before)
            return 0;
    }
    return take_part(u, p);
}

void cm_unpack_next(struct cm_unpack *u, struct cm_piece *p)
{
    size_t before = p->raw.n;
    p->whole = p->end = false;
    p->last = before;
    p->frame.n = 0;
    p->code = next(u, p);
    if (!p->code)
        return;
    p->raw.n = before;
    snprintf(p->message, sizeof p->message, "%s", cm_error_message());
}

/* ===== a second time ====================================================================== */

int cm_unpack_keep(struct cm_unpack *u)
{
    if (u->regular || u->copying)
        return 0;
    u->spool = cm_spool_open();
    if (u->spool < 0)
        return cm_fail_in(CM_ESYSTEM, "cannot spool the input");
    u->copying = true;
    int rc = copy_to_spool(u, u->prefix.p, u->prefix.n);
    cm_buf_free(&u->prefix);
    return rc;
}

int cm_unpack_rewind(struct cm_unpack *u)
{
    if (!u->regular) {
        CM_ASSERT(u->copying || u->fd == u->spool);
        if (u->fd > 0 && u->fd != u->spool)
            close(u->fd);
        u->fd = u->spool;
        u->copying = false;
    }
    if (lseek(u->fd, u->regular ? u->start : 0, SEEK_SET) < 0)
        return cm_fail_errno(CM_ESYSTEM, "rewind");
    ZSTD_DCtx_reset(u->z, ZSTD_reset_session_only);
    u->in_at = u->in.n = 0;
    u->in_total = 0;
    u->eof = u->frame_open = false;
    return 0;
}
