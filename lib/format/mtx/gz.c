/* format/mtx/gz.c - plain and gzipped text, in and out; see mtxgz.h for the choice.
 *
 * In: ISA-L inflates; the first two bytes decide.  Zeros behind the last member (tapes, some
 * copiers) are tolerated, anything else there is not.  Out: every piece is a run of deflate blocks
 * of its own that ends on a byte boundary (Z_SYNC_FLUSH), so pieces are made in parallel and put
 * together; the checksum of the whole follows from those of the pieces (crc32_combine).  No time
 * stamp, no name.
 */
#include "format/mtx/gz.h"

#include <errno.h>
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"

enum { IN_BYTES = 1 << 18, PIECES = 16, LEVEL = 4 };

/* ===== in ================================================================================= */

struct cm_gzin {
    char *name;
    int fd; /* -1 = from memory */
    unsigned char *buf;
    const unsigned char *at;
    size_t left;
    bool began, packed, inside, ended; /* inside: a member has begun and has not ended */
    struct inflate_state *z;
};

static struct cm_gzin *gzin_new(const char *name, int fd)
{
    struct cm_gzin *g = CM_ZNEW(struct cm_gzin, 1);
    g->name = cm_strdup(name);
    g->fd = fd;
    return g;
}

int cm_gzin_open(struct cm_gzin **out, const char *path)
{
    bool dash = !strcmp(path, "-");
    int fd = dash ? fcntl(0, F_DUPFD_CLOEXEC, 3) : open(path, O_RDONLY | O_CLOEXEC);
    *out = NULL;
    if (fd < 0)
        return cm_fail_errno(CM_ESYSTEM, "%s", dash ? "stdin" : path);
    posix_fadvise(fd, 0, 0, POSIX_FADV_SEQUENTIAL); /* a hint; its failure does not matter */
    *out = gzin_new(dash ? "stdin" : path, fd);
    (*out)->buf = cm_alloc(IN_BYTES, 1);
    return 0;
}

void cm_gzin_memory(struct cm_gzin **out, const void *bytes, size_t n, const char *name)
{
    *out = gzin_new(name, -1);
    (*out)->at = bytes;
    (*out)->left = n;
}

const char *cm_gzin_name(const struct cm_gzin *g) { return g->name; }

void cm_gzin_close(struct cm_gzin *g)
{
    if (!g)
        return;
    cm_free(g->z);
    if (g->fd >= 0)
        close(g->fd);
    cm_free(g->buf);
    cm_free(g->name);
    cm_free(g);
}

static int64_t raw(struct cm_gzin *g, void *p, size_t n)
{
    for (;;) {
        ssize_t got = read(g->fd, p, n);
        if (got >= 0)
            return got;
        if (errno != EINTR)
            return cm_fail_errno(CM_ESYSTEM, "%s", g->name);
    }
}

/* More input behind what is left (which moves to the front); 1, 0 at the end, < 0. */
static int64_t fill(struct cm_gzin *g)
{
    if (g->fd < 0)
        return 0;
    if (g->left)
        memmove(g->buf, g->at, g->left);
    int64_t got = raw(g, g->buf + g->left, IN_BYTES - g->left);
    g->at = g->buf;
    g->left += got > 0 ? (size_t)got : 0;
    return got;
}

static void begin_member(struct cm_gzin *g)
{
    isal_inflate_init(g->z);
    g->z->crc_flag = ISAL_GZIP;
    g->inside = true;
}

static int begin(struct cm_gzin *g)
{
    int64_t more = 1;
    while (g->left < 2 && more > 0)
        more = fill(g);
    g->began = true;
    g->packed = g->left >= 2 && g->at[0] == 0x1f && g->at[1] == 0x8b;
    if (more < 0 || !g->packed)
        return (int)(more < 0 ? more : 0);
    g->z = CM_NEW(struct inflate_state, 1);
    begin_member(g);
    return 0;
}

/* Behind a member: 1 = another begins, 0 = the end, < 0. */
static int next_member(struct cm_gzin *g)
{
    int64_t more = 1;
    for (;;) {
        while (g->left < 2 && more > 0)
            more = fill(g);
        if (more < 0)
            return (int)more;
        if (g->left >= 2 && g->at[0] == 0x1f && g->at[1] == 0x8b) {
            begin_member(g);
            return 1;
        }
        if (!g->left)
            return 0;
        if (*g->at)
            return cm_fail(CM_EINPUT, "%s: what follows its gzip data is no gzip", g->name);
        g->at++;
        g->left--;
    }
}

static const char *why(int said)
{
    return said == ISAL_INCORRECT_CHECKSUM   ? "the checksum is wrong"
           : said == ISAL_INVALID_WRAPPER    ? "the header is wrong"
           : said == ISAL_UNSUPPORTED_METHOD ? "the method is unknown"
           : said == ISAL_INVALID_LOOKBACK   ? "a distance is too far"
                                             : "a block is wrong";
}

static int inflate_some(struct cm_gzin *g, unsigned char *p, size_t n, size_t *got)
{
    while (n && !g->ended) {
        if (!g->inside) {
            int more = next_member(g);
            if (more < 0)
                return more;
            g->ended = !more;
            continue;
        }
        int64_t more = g->left ? 1 : fill(g);
        if (more < 0)
            return (int)more;
        size_t in = g->left < 1 << 30 ? g->left : 1 << 30, capacity = n < 1 << 30 ? n : 1 << 30;
        g->z->next_in = (unsigned char *)(uintptr_t)g->at; /* it does not write there */
        g->z->avail_in = (uint32_t)in;
        g->z->next_out = p + *got;
        g->z->avail_out = (uint32_t)capacity;
        int said = isal_inflate(g->z);
        size_t used = in - g->z->avail_in, made = capacity - g->z->avail_out;
        g->at += used;
        g->left -= used;
        n -= made;
        *got += made;
        if (g->z->block_state == ISAL_BLOCK_FINISH && said == ISAL_DECOMP_OK)
            g->inside = false;
        else if (said < 0)
            return cm_fail(CM_EINPUT, "%s: damaged gzip data: %s", g->name, why(said));
        else if (!more && !made)
            return cm_fail(CM_EINPUT, "%s: cut: its gzip data ends too early", g->name);
    }
    return 0;
}

int cm_gzin_read(struct cm_gzin *g, void *p, size_t n, size_t *got)
{
    int code = g->began ? 0 : begin(g);
    unsigned char *out = p;
    *got = 0;
    if (!code && g->packed)
        return inflate_some(g, out, n, got);
    size_t have = g->left < n ? g->left : n;
    if (!code && have) {
        memcpy(out, g->at, have);
        g->at += have;
        g->left -= have;
        *got = have;
    }
    while (!code && *got < n && g->fd >= 0 && !g->ended) {
        int64_t more = raw(g, out + *got, n - *got);
        if (more < 0)
            return (int)more;
        g->ended = !more;
        *got += (size_t)more;
    }
    return code;
}

int cm_gzin_all(struct cm_gzin *g, size_t max, struct cm_buf *out)
{
    size_t step = (size_t)1 << 18, got = step;
    int code = 0;
    for (size_t total = 0; got == step && !code; total += got) {
        void *p = cm_buf_extend(out, step);
        code = cm_gzin_read(g, p, step, &got);
        out->n -= step - got;
        if (!code && total + got > max)
            code = cm_fail(CM_EINPUT, "%s: more than %zu bytes", g->name, max);
    }
    return code;
}

/* ===== out ================================================================================ */

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
    struct cm_gzout *g = CM_ZNEW(struct cm_gzout, 1);
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
    int said = g->made[k] ? deflateReset(z)
                          : deflateInit2(z, LEVEL, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY);
    if (said != Z_OK)
        cm_panic(4, "out of memory for zlib");
    g->made[k] = true;
    g->out[k].n = 0;
    size_t capacity = deflateBound(z, n) + 64;
    z->next_in = g->text.p + from;
    z->avail_in = (uInt)n;
    z->next_out = cm_buf_extend(&g->out[k], capacity);
    z->avail_out = (uInt)capacity;
    said = deflate(z, Z_SYNC_FLUSH);
    CM_ASSERT(said == Z_OK && z->avail_in == 0 && z->avail_out > 0);
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
