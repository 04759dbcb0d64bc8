/* stream/ahead.c - see ahead.h.
 *
 * A thread of its own rather than a shard of the pool: it waits for pipes, and the pool is busy
 * with what was read.
 */
#include "stream/ahead.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "base/mem.h"
#include "base/signals.h"

struct cm_ahead {
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t ready, wanted;
    bool full, stop; /* full: the piece is the caller's */
    int wake[2];
    size_t front;
    struct cm_unpack *in;
    struct cm_piece piece;
};

static void make_piece(struct cm_ahead *a)
{
    struct cm_piece *p = &a->piece;
    p->raw.n = 0;
    cm_buf_extend(&p->raw, a->front);
    cm_unpack_next(a->in, p);
}

static void *work(void *arg)
{
    struct cm_ahead *a = arg;
    pthread_mutex_lock(&a->lock);
    while (!a->stop) {
        if (a->full) {
            pthread_cond_wait(&a->wanted, &a->lock);
            continue;
        }
        pthread_mutex_unlock(&a->lock);
        make_piece(a);
        bool last = a->piece.end || a->piece.code;
        pthread_mutex_lock(&a->lock);
        a->full = true;
        pthread_mutex_unlock(&a->lock);
        pthread_cond_signal(&a->ready); /* who wakes finds the lock free */
        pthread_mutex_lock(&a->lock);
        if (last)
            break;
    }
    pthread_mutex_unlock(&a->lock);
    return NULL;
}

struct cm_ahead *cm_ahead_start(struct cm_unpack *u, size_t front)
{
    struct cm_ahead *a = CM_ZNEW(1, struct cm_ahead);
    *a = (struct cm_ahead){.front = front, .in = u};
    if (pipe2(a->wake, O_CLOEXEC)) {
        cm_free(a);
        return NULL;
    }
    u->wake = a->wake[0];
    pthread_mutex_init(&a->lock, NULL);
    pthread_cond_init(&a->ready, NULL);
    pthread_cond_init(&a->wanted, NULL);
    sigset_t all, old;
    cm_signals_of_workers(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    bool failed = pthread_create(&a->thread, NULL, work, a) != 0;
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (!failed)
        return a;
    a->stop = true;
    cm_ahead_stop(a);
    return NULL;
}

struct cm_piece *cm_ahead_wait(struct cm_ahead *a)
{
    pthread_mutex_lock(&a->lock);
    while (!a->full)
        pthread_cond_wait(&a->ready, &a->lock);
    pthread_mutex_unlock(&a->lock);
    return &a->piece;
}

void cm_ahead_next(struct cm_ahead *a)
{
    pthread_mutex_lock(&a->lock);
    a->full = false;
    pthread_mutex_unlock(&a->lock);
    pthread_cond_signal(&a->wanted);
}

void cm_ahead_stop(struct cm_ahead *a)
{
    if (!a)
        return;
    pthread_mutex_lock(&a->lock);
    bool runs = !a->stop;
    a->stop = true;
    pthread_cond_signal(&a->wanted);
    pthread_mutex_unlock(&a->lock);
    close(a->wake[1]); /* its other end becomes readable */
    if (runs)
        pthread_join(a->thread, NULL);
    close(a->wake[0]);
    a->in->wake = -1;
    pthread_mutex_destroy(&a->lock);
    pthread_cond_destroy(&a->ready);
    pthread_cond_destroy(&a->wanted);
    cm_piece_free(&a->piece);
    cm_free(a);
}
