/* base/pool.h - work in a FIXED number of shards on any number of threads.
 *
 * Results have the same bits for any -t: the caller cuts the work into shards whose number
 * depends on the problem alone, each shard writes to its own place, and the caller adds partial
 * results in shard order.  Threads only decide who takes the next shard.  Rejected: one chunk a
 * thread, and atomics on sums.
 */
#ifndef CM_BASE_POOL_H
#define CM_BASE_POOL_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CM_THREADS_MAX 1024

/* Threads used by cm_parallel from now on; 0 = all online processors.  Call from the main thread
 * while no cm_parallel runs.  Before the first call it is 1. */
void cm_pool_set_threads(size_t n);
size_t cm_pool_threads(void);

/* Runs fn(arg, shard) for shard = 0..shards-1 and returns when all are done.  fn returns 0 or a
 * CM_E... code with a message; the result is that of the LOWEST failing shard, message included.
 * All shards run even if one fails.  Called from inside a shard, it runs serially. */
int cm_parallel(size_t shards, int (*fn)(void *arg, size_t shard), void *arg);

/* The half-open range of items that belongs to `shard` of `shards`: sizes differ by at most one. */
static inline size_t cm_shard_begin(size_t items, size_t shards, size_t shard)
{
    return items / shards * shard + (shard < items % shards ? shard : items % shards);
}

/* A shard count for `items` items of at least `grain` each: between 1 and `max`. */
size_t cm_shards(size_t items, size_t grain, size_t max);

#ifdef __cplusplus
}
#endif
#endif
