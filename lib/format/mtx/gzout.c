/* format/mtx/gzout.c - gzip out.
 *
 * Every piece is a run of deflate blocks of its own that ends on a byte boundary (Z_SYNC_FLUSH), so
 * pieces are made in parallel and put together; the checksum of the whole follows from those of the
 * pieces (crc32_combine).  No time stamp, no name.
 */
#include "format/mtx/gzout.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"

enum { PIECES = 16, LEVEL = 4 };

struct cm_gzout {
    char *name;
    int fd, code;
    bool packed, began;
    struct cm_buf text; /* waits for a full set of pieces */
    struct cm_buf out[PIECES];
    uint32_t crc[PIECES], whole;
    uint64_t bytes;
    z_stream z[PIECES];
    bool made[PIECES];
};

struct cm_gzout *cm_gzout_make(int fd, const char *name, bool packed)
{
    struct cm_gzout *g = CM_ZNEW(1, struct cm_gzout);
    g->fd = fd;
    g->name = cm_strdup(name);
    g->packed = packed;
    return g;
}

void cm_gzout_free(struct cm_gzout *g)
{
    if (!g)
        return;
    for (size_t k = 0; k < PIECES; k++) {
        if (g->made[k])
            deflateEnd(&g->z[k]);
        cm_buf_free(&g->out[k]);
    }
    cm_buf_free(&g->text);
    cm_free(g->name);
    cm_free(g);
}

static int put_raw(struct cm_gzout *g, const void *p, size_t n)
{
    for (const unsigned char *at = p; n;) {
        ssize_t done = write(g->fd, at, n);
        if (done < 0 && errno == EINTR)
            continue;
        if (done < 0)
            return cm_fail_errno(CM_ESYSTEM, "%s: cannot write", g->name);
        at += done;
        n -= (size_t)done;
    }
    return 0;
}

static int pack_piece(void *arg, size_t k)
{
    struct cm_gzout *g = arg;
    size_t from = k * CM_GZOUT_PIECE, n = g->text.n - from;
    n = n < CM_GZOUT_PIECE ? n : CM_GZOUT_PIECE;
    z_stream *z = &g->z[k];
    int status = g->made[k] ? deflateReset(z)
                            : deflateInit2(z, LEVEL, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
    if (status != Z_OK)
        cm_panic(4, "out of memory for zlib");
    g->made[k] = true;
    g->out[k].n = 0;
    size_t capacity = deflateBound(z, n) + 64;
    z->next_in = g->text.p + from;
    z->avail_in = (uInt)n;
    z->next_out = cm_buf_extend(&g->out[k], capacity);
    z->avail_out = (uInt)capacity;
    status = deflate(z, Z_SYNC_FLUSH);
    CM_ASSERT(status == Z_OK && z->avail_in == 0 && z->avail_out > 0);
    g->out[k].n = capacity - z->avail_out;
    g->crc[k] = (uint32_t)crc32(0, g->text.p + from, (uInt)n);
    return 0;
}

/* Compresses and writes what waits. */
static int flush_text(struct cm_gzout *g)
{
    static const unsigned char front[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 3};
    if (!g->packed) {
        int code = put_raw(g, g->text.p, g->text.n);
        g->text.n = 0;
        return code;
    }
    int code = g->began ? 0 : put_raw(g, front, sizeof front);
    g->began = true;
    size_t pieces = (g->text.n + CM_GZOUT_PIECE - 1) / CM_GZOUT_PIECE;
    if (!code && pieces)
        code = cm_parallel(pieces, pack_piece, g);
    for (size_t k = 0; k < pieces && !code; k++) {
        size_t n = k + 1 < pieces ? CM_GZOUT_PIECE : g->text.n - k * CM_GZOUT_PIECE;
        g->whole = (uint32_t)crc32_combine(g->whole, g->crc[k], (z_off_t)n);
        g->bytes += n;
        code = put_raw(g, g->out[k].p, g->out[k].n);
    }
    g->text.n = 0;
    return code;
}

int cm_gzout_put(struct cm_gzout *g, const void *p, size_t n)
{
    const unsigned char *at = p;
    while (n && !g->code) {
        size_t capacity = PIECES * CM_GZOUT_PIECE - g->text.n, step = n < capacity ? n : capacity;
        cm_buf_put(&g->text, at, step);
        at += step;
        n -= step;
        if (step == capacity)
            g->code = flush_text(g);
    }
    return g->code;
}

int cm_gzout_end(struct cm_gzout *g)
{
    if (!g->code)
        g->code = flush_text(g);
    if (!g->code && g->packed) {
        struct cm_buf tail = {0};
        cm_buf_put(&tail, "\3\0", 2); /* an empty last block */
        cm_buf_u32(&tail, g->whole);
        cm_buf_u32(&tail, (uint32_t)g->bytes);
        g->code = put_raw(g, tail.p, tail.n);
        cm_buf_free(&tail);
    }
    return g->code;
}
