/* base/gzin.c - text that may be gzipped, and single zlib streams, inflated by ISA-L.
 *
 * The first two bytes decide.  Zeros behind the last member (tapes, some copiers) are tolerated,
 * anything else there is not.
 */
#include "base/gzin.h"

#include <errno.h>
#include <fcntl.h>
#include <isa-l/igzip_lib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"

enum { IN_BYTES = 1 << 18 };

struct cm_gzin {
    char *name;
    int fd; /* -1 = from memory */
    unsigned char *buf;
    const unsigned char *at;
    size_t left;
    bool began, packed, inside, ended; /* inside: a member has begun and has not ended */
    struct inflate_state *z;
    struct cm_buf line; /* text that was read for lines; the next begins at line_at */
    size_t line_at;
};

static struct cm_gzin *gzin_new(const char *name, int fd)
{
    struct cm_gzin *g = CM_ZNEW(1, struct cm_gzin);
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
    cm_buf_free(&g->line);
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
    g->z = CM_NEW(1, struct inflate_state);
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

static const char *why(int status)
{
    return status == ISAL_INCORRECT_CHECKSUM   ? "the checksum is wrong"
           : status == ISAL_INVALID_WRAPPER    ? "the header is wrong"
           : status == ISAL_UNSUPPORTED_METHOD ? "the method is unknown"
           : status == ISAL_INVALID_LOOKBACK   ? "a distance is too far"
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
        int status = isal_inflate(g->z);
        size_t used = in - g->z->avail_in, made = capacity - g->z->avail_out;
        g->at += used;
        g->left -= used;
        n -= made;
        *got += made;
        if (g->z->block_state == ISAL_BLOCK_FINISH && status == ISAL_DECOMP_OK)
            g->inside = false;
        else if (status < 0)
            return cm_fail(CM_EINPUT, "%s: damaged gzip data: %s", g->name, why(status));
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

int cm_gzin_line(struct cm_gzin *g, char **line, size_t *n)
{
    struct cm_buf *b = &g->line;
    size_t searched = g->line_at, got = 1;
    for (;;) {
        unsigned char *end =
            b->n > searched ? memchr(b->p + searched, '\n', b->n - searched) : NULL;
        if (end || (!got && b->n > g->line_at)) {
            *line = (char *)b->p + g->line_at;
            *n = (end ? (size_t)(end - b->p) : b->n) - g->line_at;
            g->line_at += *n + (end != NULL);
            (*line)[*n] = 0; /* there is always a byte behind the text */
            return 1;
        }
        if (!got)
            return 0;
        if (g->line_at) {
            memmove(b->p, b->p + g->line_at, b->n - g->line_at);
            b->n -= g->line_at;
            g->line_at = 0;
        }
        searched = b->n;
        unsigned char *to = cm_buf_extend(b, IN_BYTES + 1);
        int code = cm_gzin_read(g, to, IN_BYTES, &got);
        b->n = searched + got;
        if (code)
            return code;
    }
}

/* ===== one zlib stream ==================================================================== */

struct cm_inflater {
    struct inflate_state state;
};

struct cm_inflater *cm_inflater_new(void) { return CM_NEW(1, struct cm_inflater); }

void cm_inflater_free(struct cm_inflater *z) { cm_free(z); }

enum cm_inflated cm_inflate(struct cm_inflater *z, const void *in, size_t n, void *out,
                            size_t capacity, size_t *got)
{
    CM_ASSERT(n <= UINT32_MAX && capacity <= UINT32_MAX);
    isal_inflate_init(&z->state);
    z->state.crc_flag = ISAL_ZLIB;
    z->state.next_in = (unsigned char *)(uintptr_t)in; /* it does not write there */
    z->state.avail_in = (uint32_t)n;
    z->state.next_out = out;
    z->state.avail_out = (uint32_t)capacity;
    int code = isal_inflate_stateless(&z->state);
    *got = capacity - z->state.avail_out;
    return code == ISAL_DECOMP_OK      ? CM_INFLATED
           : code == ISAL_OUT_OVERFLOW ? CM_INFLATE_LONGER
                                       : CM_INFLATE_DAMAGED;
}
