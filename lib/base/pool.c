/* base/pool.c - the thread pool behind cm_parallel.
 *
 * Workers are made once and sleep on a condition variable; a job is (fn, arg, shards) with a shared
 * counter that hands out shards one by one, so uneven shards balance themselves.  The main thread
 * works too.  Workers start with every signal blocked: signals belong to the main thread (cli/),
 * except those of a crash, which come where it happens.
 */
#include "base/pool.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/signals.h"
#include "base/spool.h"

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    pthread_t *thread;
    size_t workers; /* threads beside the main one */
    bool quit;
    unsigned long job; /* counts jobs, so that a worker knows a new one */
    int (*fn)(void *, size_t);
    void *arg;
    size_t shards, next, running;
    size_t failed; /* lowest failing shard */
    int code;
    char message[CM_MESSAGE_MAX];
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .done = PTHREAD_COND_INITIALIZER};

static _Thread_local bool inside;

static void take_shards(void) /* called with the lock held */
{
    while (pool.next < pool.shards) {
        size_t shard = pool.next++;
        pthread_mutex_unlock(&pool.lock);
        inside = true;
        int code = pool.fn(pool.arg, shard);
        inside = false;
        cm_spool_check();
        pthread_mutex_lock(&pool.lock);
        if (code < 0 && shard < pool.failed) {
            pool.failed = shard;
            pool.code = code;
            snprintf(pool.message, sizeof pool.message, "%s", cm_error_message());
        }
    }
}

static void *worker(void *unused)
{
    (void)unused;
    unsigned long seen = 0;
    pthread_mutex_lock(&pool.lock);
    for (;;) {
        while (!pool.quit && (pool.job == seen || pool.next >= pool.shards))
            pthread_cond_wait(&pool.wake, &pool.lock);
        if (pool.quit)
            break;
        seen = pool.job;
        pool.running++;
        take_shards();
        if (--pool.running == 0)
            pthread_cond_signal(&pool.done);
    }
    pthread_mutex_unlock(&pool.lock);
    return NULL;
}

static void stop_workers(void)
{
    pthread_mutex_lock(&pool.lock);
    pool.quit = true;
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.lock);
    for (size_t i = 0; i < pool.workers; i++)
        pthread_join(pool.thread[i], NULL);
    cm_free(pool.thread);
    pool.thread = NULL;
    pool.workers = 0;
    pool.quit = false;
}

void cm_pool_set_threads(size_t n)
{
    if (n == 0) {
        long online = sysconf(_SC_NPROCESSORS_ONLN);
        n = online > 0 ? (size_t)online : 1;
    }
    if (n > CM_THREADS_MAX)
        n = CM_THREADS_MAX;
    stop_workers();
    if (n == 1)
        return;
    pool.thread = CM_NEW(n - 1, pthread_t);
    sigset_t all, old;
    cm_signals_of_workers(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    while (pool.workers < n - 1) {
        int e = pthread_create(&pool.thread[pool.workers], NULL, worker, NULL);
        if (e)
            cm_panic(4, "cannot start thread %zu: %s", pool.workers + 2, strerror(e));
        pool.workers++;
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

size_t cm_pool_threads(void) { return pool.workers + 1; }

int cm_parallel(size_t shards, int (*fn)(void *, size_t), void *arg)
{
    if (inside || pool.workers == 0 || shards <= 1) {
        int code = 0;
        char message[CM_MESSAGE_MAX];
        for (size_t s = 0; s < shards; s++) {
            int c = fn(arg, s);
            if (c < 0 && code == 0) {
                code = c;
                snprintf(message, sizeof message, "%s", cm_error_message());
            }
        }
        return code ? cm_fail(code, "%s", message) : 0;
    }
    pthread_mutex_lock(&pool.lock);
    pool.fn = fn;
    pool.arg = arg;
    pool.shards = shards;
    pool.next = 0;
    pool.failed = shards;
    pool.code = 0;
    pool.job++;
    pthread_cond_broadcast(&pool.wake);
    take_shards();
    while (pool.running)
        pthread_cond_wait(&pool.done, &pool.lock);
    int code = pool.code;
    pthread_mutex_unlock(&pool.lock);
    return code ? cm_fail(code, "%s", pool.message) : 0;
}

size_t cm_shards(size_t items, size_t grain, size_t max)
{
    size_t n = grain ? items / grain : items;
    if (n > max)
        n = max;
    return n ? n : 1;
}
