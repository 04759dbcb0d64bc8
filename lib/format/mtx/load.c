/* format/mtx/load.c - the entries of an MTX matrix, parsed into runs.
 *
 * A pipeline of two buffers: while the pieces of one are parsed and made into runs on the pool, one
 * shard fills the other (reading and inflating, which no pool can divide).  The text is cut at line
 * ends into pieces of fixed size, so that nothing depends on the number of threads.
 */
#include "format/mtx/read.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"

enum { PIECES = 8 };
#define PIECE    ((size_t)256 << 10)
#define CAPACITY (PIECES * PIECE)

struct cm_mtx_loader {
    struct cm_mtx *m;
    char *text[2];               /* CAPACITY bytes and a NUL */
    size_t have[2];              /* bytes in it */
    int now;                     /* the buffer that is parsed */
    size_t begin, whole, pieces; /* of text[now]: from here, up to the last line end */
    bool ended;
    struct cm_mtx_piece piece[PIECES];
    struct cm_mtx_run run[PIECES];
    uint64_t lines, listed;
};

static int fill(struct cm_mtx_loader *l, int which)
{
    size_t got = 0;
    int code =
        cm_gzin_read(l->m->in, l->text[which] + l->have[which], CAPACITY - l->have[which], &got);
    l->have[which] += got;
    if (!code && l->have[which] < CAPACITY)
        l->ended = true;
    return code;
}

static int load_shard(void *arg, size_t shard)
{
    struct cm_mtx_loader *l = arg;
    if (shard == 0)
        return l->ended ? 0 : fill(l, 1 - l->now);
    struct cm_mtx_piece *p = &l->piece[shard - 1];
    cm_mtx_piece_parse(&l->m->front.shape, p);
    if (!p->bad && p->entries)
        cm_mtx_run_make(&l->run[shard - 1], p, l->m->runs.pattern);
    return 0;
}

/* Cuts text[now] into pieces; 0, or CM_EINPUT for a line that never ends. */
static int cut(struct cm_mtx_loader *l)
{
    char *text = l->text[l->now];
    size_t n = l->have[l->now], begin = l->begin;
    text[n] = 0;
    l->whole = n;
    while (!l->ended && l->whole > begin && text[l->whole - 1] != '\n')
        l->whole--;
    if (l->whole == begin && n > begin && !l->ended)
        return cm_fail(CM_EINPUT, "%s: line %" PRIu64 " has no end: no MTX file",
                       cm_gzin_name(l->m->in), l->lines + 1);
    l->pieces = 0;
    for (size_t at = begin; at < l->whole;) {
        size_t end = at + PIECE;
        const char *stop = end < l->whole && l->pieces + 1 < PIECES
                               ? memchr(text + end, '\n', l->whole - end)
                               : NULL;
        end = stop ? (size_t)(stop - text) + 1 : l->whole;
        l->piece[l->pieces].text = text + at;
        l->piece[l->pieces++].n = end - at;
        at = end;
    }
    return 0;
}

static int take_pieces(struct cm_mtx_loader *l)
{
    struct cm_mtx *m = l->m;
    const char *name = cm_gzin_name(m->in);
    int code = 0;
    for (size_t k = 0; k < l->pieces; k++) {
        struct cm_mtx_piece *p = &l->piece[k];
        uint64_t line = l->lines;
        l->lines += p->lines;
        l->listed += p->listed;
        if (!code && p->bad)
            code = cm_fail(CM_EINPUT, "%s: line %" PRIu64 ": %s", name, line + p->bad, p->message);
        if (!code && l->listed > m->front.shape.entries)
            code = cm_fail(
                CM_EINPUT,
                "%s: line %" PRIu64 ": more than the %" PRIu64 " entries of the line of sizes",
                name, l->lines - (l->listed - m->front.shape.entries) + 1, m->front.shape.entries);
        if (!code && p->entries)
            code = cm_mtx_runs_add(&m->runs, &l->run[k]);
        cm_free(l->run[k].own);
        l->run[k] = (struct cm_mtx_run){0};
        m->wide = m->wide || p->wide;
        m->odd = m->odd || p->negative || p->fraction;
    }
    m->read = l->listed;
    return code;
}

static void warn_state(struct cm_mtx *m, const char *why, enum cm_state state)
{
    struct cm_buf b = {0};
    cm_buf_printf(&b, "%s: %s: state %s; --state can say otherwise", m->files.matrix, why,
                  cm_state_name(state));
    cm_strs_add(&m->warnings, (char *)b.p);
    cm_buf_free(&b);
    m->state = state;
}

/* What a note says is believed unless the values contradict it: files are edited. */
static void settle_state(struct cm_mtx *m)
{
    bool noted = m->state_known, whole = !m->odd && m->read;
    m->state_known = true;
    if (m->front.shape.field == CM_MTX_PATTERN && !noted)
        m->state = CM_S_BINARY;
    else if (!noted && !m->odd)
        m->state = CM_S_COUNTS;
    else if (!noted)
        warn_state(m, "some values are fractions or negative, so they are no counts", CM_S_UNKNOWN);
    else if (m->state == CM_S_COUNTS && m->odd)
        warn_state(m, "the file's note says counts, but some values are fractions or negative",
                   CM_S_UNKNOWN);
    else if ((m->state == CM_S_LOGNORM || m->state == CM_S_TFIDF) && whole)
        warn_state(m, "the file's note says normalised, but all values are whole numbers",
                   CM_S_COUNTS);
}

int cm_mtx_load(struct cm_mtx *m)
{
    struct cm_mtx_loader *l = m->load;
    if (!l)
        return 0;
    int code = cut(l), next = 1 - l->now;
    if (code)
        return code;
    size_t carry = l->have[l->now] - l->whole;
    bool last = l->ended;
    memcpy(l->text[next], l->text[l->now] + l->whole, carry);
    l->have[next] = carry;
    code = cm_parallel(l->pieces + 1, load_shard, l);
    if (code) {
        for (size_t k = 0; k < l->pieces; k++) {
            cm_free(l->run[k].own);
            l->run[k].own = NULL;
        }
        return code;
    }
    code = take_pieces(l);
    l->now = next;
    l->begin = 0;
    if (code || !last)
        return code ? code : 1;
    if (l->listed < m->front.shape.entries)
        return cm_fail(CM_EINPUT,
                       "%s: ends after %" PRIu64 " of the %" PRIu64
                       " entries of the line of sizes: is it cut?",
                       cm_gzin_name(m->in), l->listed, m->front.shape.entries);
    settle_state(m);
    return cm_mtx_runs_seal(&m->runs);
}

void cm_mtx_loader_close(struct cm_mtx_loader *l)
{
    if (!l)
        return;
    for (size_t k = 0; k < PIECES; k++)
        cm_mtx_piece_free(&l->piece[k]);
    cm_free(l->text[0]);
    cm_free(l->text[1]);
    cm_free(l);
}

/* Reads the front of the text. */
int cm_mtx_open_text(struct cm_mtx *m)
{
    struct cm_mtx_loader *l = m->load = CM_ZNEW(1, struct cm_mtx_loader);
    l->m = m;
    l->text[0] = CM_NEW(CAPACITY + 1, char);
    l->text[1] = CM_NEW(CAPACITY + 1, char);
    int code = fill(l, 0);
    if (!code)
        code = cm_mtx_front_parse(&m->front, cm_gzin_name(m->in), l->text[0], l->have[0]);
    if (!code && !l->ended && m->front.bytes == l->have[0])
        code = cm_fail(CM_EINPUT, "%s: more than %zu bytes of comments", cm_gzin_name(m->in),
                       CAPACITY);
    l->begin = m->front.bytes;
    l->lines = m->front.lines;
    return code;
}
