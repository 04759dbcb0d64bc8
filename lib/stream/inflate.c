/* stream/inflate.c - the bytes behind a descriptor as one text, whose frames nobody notices.
 *
 * What a record needs must stand in one piece.  Mostly it does: the columns and values of a block
 * are a frame, and the little that comes before them is moved in front of it, into bytes that are
 * left free for that.
 */
#include "stream/inflate.h"

#include <string.h>

#include "base/mem.h"
#include "base/pool.h"

enum { FRONT = 256 * 1024 };

void cm_inflate_start(struct cm_inflate *z, int fd, struct cm_sticky *error)
{
    *z = (struct cm_inflate){.error = error};
    cm_unpack_start(&z->in, fd);
}

static void stop_ahead(struct cm_inflate *z)
{
    cm_ahead_stop(z->ahead);
    z->ahead = NULL;
}

void cm_inflate_free(struct cm_inflate *z)
{
    stop_ahead(z);
    cm_unpack_free(&z->in);
    cm_buf_free(&z->out);
    cm_buf_free(&z->frame);
}

void cm_inflate_opened(struct cm_inflate *z) { z->in.opening = false; }

void cm_inflate_forget(struct cm_inflate *z)
{
    if (!z->in.copying)
        cm_buf_free(&z->in.prefix);
}

void cm_inflate_bare(struct cm_inflate *z) { z->in.bare = !z->ahead; }

static void swap(struct cm_buf *a, struct cm_buf *b)
{
    struct cm_buf was = *a;
    *a = *b;
    *b = was;
}

/* Moves what is left of `out` to the front, or so that it ends at FRONT if it is no more. */
static void move_left(struct cm_inflate *z)
{
    size_t left = z->out.n - z->out_at, to = left <= FRONT ? FRONT - left : 0;
    if (z->out.cap < FRONT)
        cm_buf_extend(&z->out, FRONT);
    if (left && to != z->out_at)
        memmove(z->out.p + to, z->out.p + z->out_at, left);
    z->out_at = to;
    z->out.n = to + left;
}

/* Long records from short frames are not moved for each of these. */
static bool must_move(const struct cm_inflate *z)
{
    return z->out.n - z->out_at <= FRONT || z->out_at > z->out.cap / 2;
}

/* before: what of the piece's buffer is not the piece. */
static int take(struct cm_inflate *z, struct cm_piece *p, size_t before, size_t bytes)
{
    if (p->code)
        return cm_sticky_fail(z->error, p->code, "%s", p->message);
    z->frame_from = z->out_total + (p->last - before);
    z->frame_kept = p->whole;
    z->out_total += bytes;
    swap(&z->frame, &p->frame);
    return p->end ? 0 : 1;
}

/* The next piece behind what is left, decoded where it belongs.  1, 0 at the end, or an error. */
static int append_next(struct cm_inflate *z)
{
    struct cm_piece p = {.frame = z->frame};
    z->frame = (struct cm_buf){0};
    if (must_move(z))
        move_left(z);
    size_t before = z->out.n;
    swap(&z->out, &p.raw);
    cm_unpack_next(&z->in, &p);
    swap(&z->out, &p.raw);
    int rc = take(z, &p, before, z->out.n - before);
    cm_piece_free(&p);
    return rc;
}

/* The same from the thread: its buffer for ours, what is left in front of the piece. */
static int take_ahead(struct cm_inflate *z)
{
    struct cm_piece *p = cm_ahead_wait(z->ahead);
    size_t left = z->out.n - z->out_at, bytes = p->raw.n - FRONT;
    int rc = take(z, p, FRONT, bytes);
    if (rc <= 0)
        return rc;
    if (left <= FRONT) {
        if (left)
            memcpy(p->raw.p + FRONT - left, z->out.p + z->out_at, left);
        swap(&z->out, &p->raw);
        z->out_at = FRONT - left;
    } else {
        if (must_move(z))
            move_left(z);
        cm_buf_put(&z->out, p->raw.p + FRONT, bytes);
    }
    cm_ahead_next(z->ahead);
    return 1;
}

int cm_inflate_need(struct cm_inflate *z, size_t n)
{
    int rc = 1;
    while (rc > 0 && z->out.n - z->out_at < n) {
        /* A short stream is over before a thread is there. */
        if (!z->ahead && !z->in.opening && !z->in.eof && z->in.in_total >= CM_UNPACK_READ &&
            cm_pool_threads() > 1)
            z->ahead = cm_ahead_start(&z->in, FRONT);
        rc = z->ahead ? take_ahead(z) : append_next(z);
    }
    return rc;
}

uint64_t cm_inflate_position(const struct cm_inflate *z)
{
    return z->out_total - (z->out.n - z->out_at);
}

bool cm_inflate_is_frame(const struct cm_inflate *z, uint64_t from)
{
    return z->frame_kept && z->frame_from == from && z->out_at == z->out.n;
}

void cm_inflate_finish(struct cm_inflate *z)
{
    stop_ahead(z);
    cm_buf_free(&z->out);
    cm_buf_free(&z->frame);
    cm_buf_free(&z->in.in);
    z->in.in_at = 0;
    z->out_at = 0;
    z->frame_kept = false;
}

int cm_inflate_keep(struct cm_inflate *z)
{
    int rc = cm_unpack_keep(&z->in);
    return rc ? cm_sticky_fail(z->error, rc, "%s", cm_error_message()) : 0;
}

int cm_inflate_rewind(struct cm_inflate *z)
{
    stop_ahead(z);
    int rc = cm_unpack_rewind(&z->in);
    if (rc)
        return cm_sticky_fail(z->error, rc, "%s", cm_error_message());
    z->out_at = z->out.n = 0;
    z->out_total = 0;
    z->frame_kept = false;
    return 0;
}
