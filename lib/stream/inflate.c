/* stream/inflate.c - the bytes behind a descriptor, decompressed.
 *
 * Memory grows only as bytes really arrive, whatever a frame claims.  A pipe that is read twice is
 * copied, still compressed, to a file without a name.
 */
#include "stream/inflate.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zstd_errors.h>

#include "base/mem.h"
#include "base/sniff.h"
#include "base/spool.h"

enum { IN_SIZE = 256 * 1024, FRAME_KEPT_MAX = 16 << 20 };

void cm_inflate_start(struct cm_inflate *z, int fd, struct cm_sticky *error)
{
    struct stat st;
    *z = (struct cm_inflate){.error = error, .fd = fd, .spool = -1, .start = -1, .opening = true};
    if (!fstat(fd, &st) && S_ISREG(st.st_mode))
        z->start = lseek(fd, 0, SEEK_CUR);
    z->regular = z->start >= 0;
    z->in = CM_NEW(IN_SIZE, unsigned char);
    z->z = ZSTD_createDStream();
    if (!z->z)
        cm_panic(4, "out of memory: a zstd decoder");
}

void cm_inflate_free(struct cm_inflate *z)
{
    if (z->fd > 0 && z->fd != z->spool)
        close(z->fd);
    if (z->spool >= 0)
        close(z->spool);
    ZSTD_freeDStream(z->z);
    cm_free(z->in);
    cm_buf_free(&z->out);
    cm_buf_free(&z->prefix);
    cm_buf_free(&z->frame);
}

static int copy_to_spool(struct cm_inflate *z, const unsigned char *p, size_t n)
{
    while (n) {
        ssize_t w = write(z->spool, p, n);
        if (w < 0 && errno != EINTR)
            return cm_sticky_fail(z->error, CM_ESYSTEM, "cannot spool the input to TMPDIR: %s",
                                  strerror(errno));
        p += w > 0 ? w : 0;
        n -= w > 0 ? (size_t)w : 0;
    }
    return 0;
}

static int not_zstd(struct cm_inflate *z)
{
    return cm_sticky_fail(z->error, CM_EINPUT, "not a CMS stream: expected zstd frames, found %s",
                          cm_sniff(z->in_n ? z->in : NULL, z->in_n));
}

/* More compressed bytes, or eof. */
static int fill(struct cm_inflate *z)
{
    ssize_t n;
    do
        n = read(z->fd, z->in, IN_SIZE);
    while (n < 0 && errno == EINTR);
    if (n < 0)
        return cm_sticky_fail(z->error, CM_ESYSTEM, "read: %s", strerror(errno));
    bool first = z->in_total == 0;
    z->in_at = 0;
    z->in_n = (size_t)n;
    z->in_total += (uint64_t)n;
    z->eof = n == 0;
    if (z->opening && !z->regular)
        cm_buf_put(&z->prefix, z->in, z->in_n);
    if (z->copying) {
        int rc = copy_to_spool(z, z->in, z->in_n);
        if (rc)
            return rc;
    }
    return first && n && memcmp(z->in, "\x28\xb5\x2f\xfd", n < 4 ? (size_t)n : 4) ? not_zstd(z) : 0;
}

/* Decompresses what is there, as far as one step goes. */
static int step(struct cm_inflate *z)
{
    size_t capacity = ZSTD_DStreamOutSize(), before = z->out.n, taken = z->in_at;
    if (!z->frame_open) {
        z->frame.n = 0;
        z->frame_from = z->out_total;
        z->frame_kept = z->keep_frames;
    }
    ZSTD_inBuffer in = {z->in, z->in_n, z->in_at};
    ZSTD_outBuffer out = {cm_buf_extend(&z->out, capacity), capacity, 0};
    size_t left = ZSTD_decompressStream(z->z, &out, &in);
    if (ZSTD_getErrorCode(left) == ZSTD_error_memory_allocation)
        return cm_sticky_fail(z->error, CM_ESYSTEM, "out of memory: a zstd decoder");
    if (ZSTD_isError(left))
        return cm_sticky_fail(z->error, CM_EINPUT, "damaged near byte %" PRIu64 ": %s",
                              z->in_total - (z->in_n - z->in_at), ZSTD_getErrorName(left));
    z->in_at = in.pos;
    z->out.n = before + out.pos;
    z->out_total += out.pos;
    z->frame_kept = z->frame_kept && z->frame.n + (in.pos - taken) <= FRAME_KEPT_MAX;
    if (z->frame_kept)
        cm_buf_put(&z->frame, z->in + taken, in.pos - taken);
    z->frame_open = left != 0;
    return 0;
}

int cm_inflate_need(struct cm_inflate *z, size_t n)
{
    int rc = 0;
    while (!rc && z->out.n - z->out_at < n) {
        if (z->out_at && (z->out_at == z->out.n || z->out_at > z->out.cap / 2)) {
            memmove(z->out.p, z->out.p + z->out_at, z->out.n - z->out_at);
            z->out.n -= z->out_at;
            z->out_at = 0;
        }
        if (z->in_at == z->in_n && !z->eof && (rc = fill(z)))
            return rc;
        if (z->in_at < z->in_n || !z->eof) {
            rc = step(z);
            continue;
        }
        if (z->in_total == 0)
            return not_zstd(z);
        if (z->frame_open)
            return cm_sticky_fail(
                z->error, CM_EINPUT,
                "cut in the middle of a compressed frame (after %" PRIu64 " bytes)", z->in_total);
        return 0;
    }
    return rc ? rc : 1;
}

uint64_t cm_inflate_position(const struct cm_inflate *z)
{
    return z->out_total - (z->out.n - z->out_at);
}

bool cm_inflate_is_frame(const struct cm_inflate *z, uint64_t from)
{
    return z->frame_kept && !z->frame_open && z->frame_from == from && z->out_at == z->out.n;
}

void cm_inflate_finish(struct cm_inflate *z)
{
    cm_buf_free(&z->out);
    cm_buf_free(&z->frame);
    z->out_at = 0;
    z->frame_kept = false;
}

int cm_inflate_keep(struct cm_inflate *z)
{
    if (z->regular || z->copying)
        return 0;
    z->spool = cm_spool_open();
    if (z->spool < 0)
        return cm_sticky_fail(z->error, CM_ESYSTEM, "cannot spool the input: %s",
                              cm_error_message());
    z->copying = true;
    int rc = copy_to_spool(z, z->prefix.p, z->prefix.n);
    cm_buf_free(&z->prefix);
    return rc;
}

int cm_inflate_rewind(struct cm_inflate *z)
{
    if (!z->regular) {
        CM_ASSERT(z->copying || z->fd == z->spool);
        if (z->fd > 0 && z->fd != z->spool)
            close(z->fd);
        z->fd = z->spool;
        z->copying = false;
    }
    if (lseek(z->fd, z->regular ? z->start : 0, SEEK_SET) < 0)
        return cm_sticky_fail(z->error, CM_ESYSTEM, "rewind: %s", strerror(errno));
    ZSTD_DCtx_reset(z->z, ZSTD_reset_session_only);
    z->in_at = z->in_n = z->out_at = z->out.n = 0;
    z->in_total = z->out_total = 0;
    z->eof = z->frame_open = false;
    return 0;
}
