/* format/hdf5/bulk.c - chunks unpacked by several threads.  See bulk.h.
 *
 * A batch is a list of shards, each a rectangle of one chunk (or a segment of what libhdf5 has
 * read) and its place in the output.  Shards are taken under a lock, one by one: they are large.  A
 * chunk that two neighbouring ranges share is unpacked once, if the first range has come so far
 * when the second is added: such chunks go first, and their bytes are kept.
 */
#include "format/hdf5/bulk.h"

#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/signals.h"
#include "format/hdf5/chunk.h"

#define SEGMENT ((uint64_t)65536) /* items of a shard that was read by libhdf5 */

/* A dataset that a job reads, and how. */
struct cm_h5bulk {
    const struct cm_h5set *set;
    struct cm_h5chunks chunks;
    bool chunked;       /* false: libhdf5 reads */
    int kind;           /* of the items in memory before conversion */
    hid_t native;       /* the same for libhdf5; not owned */
    size_t item, bytes; /* of an item, of a chunk */
    /* The last chunk of the last range, which the next may need: kept in turns, because all batches
     * may be at work, and one more is read from. */
    uint64_t last[2];
    bool kept; /* it is unpacked; set under the lock */
    unsigned char *keep[CM_H5_BATCHES + 1];
    int turn;
};

struct shard {
    struct cm_h5bulk *b;
    size_t raw, nraw;           /* place in the batch's packed bytes */
    const unsigned char *ready; /* unpacked already; NULL = at raw */
    bool plain;                 /* what stands at raw is not packed */
    unsigned mask;
    unsigned char *keep;                /* unpack to here, NULL = to the worker's own memory */
    uint64_t where[2];                  /* first item of the chunk, for messages */
    uint64_t skip, rows, width, stride; /* of the source, in items */
    uint64_t at, out_stride;
    void *out;
    struct cm_h5facts facts, *sum;
    bool begins; /* the first of its range */
    bool bad;
};

struct batch {
    unsigned char *raw;
    size_t raw_n, raw_cap;
    struct shard *shard;
    size_t *order; /* of the shards, in which they are taken */
    size_t n, cap, order_cap;
    size_t next, running;
};

struct cm_h5job {
    struct batch batch[CM_H5_BATCHES]; /* a ring: `started` of them from `oldest` on */
    size_t oldest, started;
    struct cm_h5bulk **bulk; /* of every dataset that was added */
    size_t nbulk, bulk_cap;
};

static struct batch *batch_at(struct cm_h5job *j, size_t k)
{
    return &j->batch[(j->oldest + k) % CM_H5_BATCHES];
}

/* ===== what can be unpacked here ========================================================== */

enum cm_value cm_h5bulk_type(const struct cm_h5set *s)
{
    return s->cls != CM_H5_FLOAT ? CM_V_U32 : s->size > 4 ? CM_V_F64 : CM_V_F32;
}

static int kind_of(const struct cm_h5set *s, hid_t *native)
{
    if (s->cls == CM_H5_FLOAT) {
        *native = s->size > 4 ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT;
        return s->size > 4 ? CM_H5_F64 : CM_H5_F32;
    }
    bool sign = s->cls != CM_H5_INT || s->is_signed;
    if (s->size == 1)
        return *native = sign ? H5T_NATIVE_INT8 : H5T_NATIVE_UINT8, sign ? CM_H5_I8 : CM_H5_U8;
    if (s->size == 2)
        return *native = sign ? H5T_NATIVE_INT16 : H5T_NATIVE_UINT16, sign ? CM_H5_I16 : CM_H5_U16;
    if (s->size == 4)
        return *native = sign ? H5T_NATIVE_INT32 : H5T_NATIVE_UINT32, sign ? CM_H5_I32 : CM_H5_U32;
    return *native = sign ? H5T_NATIVE_INT64 : H5T_NATIVE_UINT64, sign ? CM_H5_I64 : CM_H5_U64;
}

static bool is_little(hid_t file, hid_t native)
{
    hid_t base = H5Tget_class(file) == H5T_ENUM ? H5Tget_super(file) : H5Tcopy(file);
    bool same = base >= 0 && H5Tequal(base, native) > 0;
    if (base >= 0)
        H5Tclose(base);
    return same;
}

static bool is_chunked(const struct cm_h5bulk *b, const struct cm_h5set *s)
{
    const struct cm_h5chunks *c = &b->chunks;
    hid_t dcpl = H5Dget_create_plist(s->id);
    unsigned options = 0;
    bool whole = H5Pget_chunk_opts(dcpl, &options) >= 0 && !options; /* also chunks at the edge */
    H5Pclose(dcpl);
    return whole && !s->member && s->size == b->item && is_little(s->type, b->native) && c->plain &&
           c->rows && c->rows <= CM_H5_CHUNK_MAX && c->cols <= CM_H5_CHUNK_MAX &&
           c->rows * c->cols * b->item <= CM_H5_CHUNK_MAX;
}

static struct cm_h5bulk *bulk_of(struct cm_h5job *j, const struct cm_h5set *s)
{
    for (size_t k = 0; k < j->nbulk; k++)
        if (j->bulk[k]->set == s)
            return j->bulk[k];
    struct cm_h5bulk *b = CM_ZNEW(1, struct cm_h5bulk);
    CM_GROW(j->bulk, j->bulk_cap, j->nbulk + 1);
    j->bulk[j->nbulk++] = b;
    b->set = s;
    b->kind = kind_of(s, &b->native);
    b->item = H5Tget_size(b->native);
    cm_h5chunks_of(&b->chunks, s);
    b->chunked = is_chunked(b, s);
    b->bytes = b->chunked ? (size_t)(b->chunks.rows * b->chunks.cols) * b->item : 0;
    return b;
}

/* ===== the threads ======================================================================== */

static void do_shard(const struct batch *b, struct shard *s, struct cm_h5unpacker *u)
{
    const unsigned char *p = s->ready ? s->ready : b->raw + s->raw;
    if (!s->ready && !s->plain)
        p = cm_h5chunk_unpack(&s->b->chunks, u, p, s->nraw, s->mask, s->b->item, s->b->bytes,
                              s->keep);
    s->bad = !p;
    for (uint64_t r = 0; p && r < s->rows; r++)
        cm_h5convert(s->b->kind, p + (s->skip + r * s->stride) * s->b->item, s->width, s->out,
                     s->at + r * s->out_stride, &s->facts);
}

static struct {
    pthread_mutex_t lock;
    pthread_cond_t wake, done;
    pthread_t *thread;
    size_t threads;
    struct cm_h5job *job;
    struct cm_h5unpacker unpacker; /* of the caller */
} pool = {.lock = PTHREAD_MUTEX_INITIALIZER,
          .wake = PTHREAD_COND_INITIALIZER,
          .done = PTHREAD_COND_INITIALIZER};

/* Does one shard of the oldest batch that has any left; false if none has.  With the lock held. */
static bool take_shard(struct cm_h5unpacker *u)
{
    struct cm_h5job *j = pool.job;
    struct batch *b = NULL;
    for (size_t k = 0; j && k < j->started && !b; k++)
        if (batch_at(j, k)->next < batch_at(j, k)->n)
            b = batch_at(j, k);
    if (!b)
        return false;
    struct shard *s = &b->shard[b->order[b->next++]];
    b->running++;
    pthread_mutex_unlock(&pool.lock);
    do_shard(b, s, u);
    pthread_mutex_lock(&pool.lock);
    if (s->keep && !s->bad && s->keep == s->b->keep[s->b->turn])
        s->b->kept = true;
    if (--b->running == 0 && b->next == b->n)
        pthread_cond_signal(&pool.done);
    return true;
}

static void *worker(void *unused)
{
    struct cm_h5unpacker u = {0};
    (void)unused;
    pthread_mutex_lock(&pool.lock);
    for (;;)
        if (!take_shard(&u))
            pthread_cond_wait(&pool.wake, &pool.lock);
    return NULL;
}

/* As many threads as the pool has, which sleeps meanwhile; they live as long as the process. */
static void pool_begin(void)
{
    size_t want = cm_pool_threads() - 1;
    if (pool.threads >= want)
        return;
    sigset_t all, old;
    cm_signals_of_workers(&all);
    pthread_sigmask(SIG_BLOCK, &all, &old);
    pool.thread = cm_realloc(pool.thread, want, sizeof *pool.thread);
    while (pool.threads < want) {
        if (pthread_create(&pool.thread[pool.threads], NULL, worker, NULL))
            break; /* go on with fewer */
        pthread_detach(pool.thread[pool.threads++]);
    }
    pthread_sigmask(SIG_SETMASK, &old, NULL);
}

/* ===== jobs =============================================================================== */

struct cm_h5job *cm_h5job_new(void) { return CM_ZNEW(1, struct cm_h5job); }

void cm_h5job_free(struct cm_h5job *j)
{
    if (!j)
        return;
    while (j->started)
        cm_h5job_finish(j);
    for (size_t k = 0; k < j->nbulk; k++) {
        for (size_t t = 0; t <= CM_H5_BATCHES; t++)
            cm_free(j->bulk[k]->keep[t]);
        cm_free(j->bulk[k]);
    }
    cm_free(j->bulk);
    for (size_t k = 0; k < CM_H5_BATCHES; k++) {
        cm_free(j->batch[k].raw);
        cm_free(j->batch[k].shard);
        cm_free(j->batch[k].order);
    }
    cm_free(j);
    cm_h5unpacker_free(&pool.unpacker);
}

static struct shard *add_shard(struct batch *batch, struct cm_h5bulk *b, void *out,
                               struct cm_h5facts *facts)
{
    CM_GROW(batch->shard, batch->cap, batch->n + 1);
    struct shard *x = &batch->shard[batch->n++];
    *x = (struct shard){.b = b, .out = out, .sum = facts, .rows = 1};
    return x;
}

/* 1: added, 0: a chunk that is not stored, CM_EINPUT. */
static int add_chunk(struct batch *batch, struct shard *x, const uint64_t *where)
{
    struct cm_h5bulk *b = x->b;
    const struct cm_h5set *s = b->set;
    hsize_t at[2] = {where[0], where[1]}, stored = 0;
    uint32_t mask = 0;
    x->where[0] = where[0];
    x->where[1] = where[1];
    pthread_mutex_lock(&pool.lock);
    if (b->kept && b->last[0] == where[0] && b->last[1] == where[1])
        x->ready = b->keep[b->turn];
    pthread_mutex_unlock(&pool.lock);
    if (x->ready)
        return 1;
    if (H5Dget_chunk_storage_size(s->id, at, &stored) < 0 || !stored)
        return 0;
    if (stored > 2 * b->bytes + 65536)
        return cm_h5chunk_damaged(s, where[0]);
    CM_GROW(batch->raw, batch->raw_cap, batch->raw_n + (size_t)stored);
    if (H5Dread_chunk(s->id, H5P_DEFAULT, at, &mask, batch->raw + batch->raw_n) < 0)
        return cm_h5chunk_unread(s, where[0]);
    x->raw = batch->raw_n;
    x->nraw = (size_t)stored;
    x->mask = mask;
    batch->raw_n += (size_t)stored;
    return 1;
}

/* Every chunk that the range touches; as add_chunk. */
static int add_chunks(struct batch *batch, struct cm_h5bulk *b, uint64_t first, uint64_t n,
                      void *out, struct cm_h5facts *facts)
{
    const struct cm_h5set *s = b->set;
    size_t begin = batch->n, raw = batch->raw_n;
    int got = 1;
    for (uint64_t r = first / b->chunks.rows * b->chunks.rows; r < first + n && got > 0;
         r += b->chunks.rows)
        for (uint64_t c = 0; c < s->cols && got > 0; c += b->chunks.cols) {
            uint64_t from = r > first ? r : first;
            uint64_t to = r + b->chunks.rows < first + n ? r + b->chunks.rows : first + n;
            struct shard *x = add_shard(batch, b, out, facts);
            x->skip = (from - r) * b->chunks.cols;
            x->at = (from - first) * s->cols + c;
            if (s->rank == 1) {
                x->width = to - from;
            } else {
                x->rows = to - from;
                x->width = s->cols - c < b->chunks.cols ? s->cols - c : b->chunks.cols;
                x->stride = b->chunks.cols;
                x->out_stride = s->cols;
            }
            uint64_t where[2] = {r, c};
            got = add_chunk(batch, x, where);
        }
    if (got <= 0) {
        batch->n = begin;
        batch->raw_n = raw;
        return got;
    }
    if (s->rank == 1 && batch->n > begin) { /* the next range may begin in this chunk */
        struct shard *x = &batch->shard[batch->n - 1];
        if (!x->ready) {
            pthread_mutex_lock(&pool.lock);
            b->turn = (b->turn + 1) % (CM_H5_BATCHES + 1);
            b->kept = false;
            pthread_mutex_unlock(&pool.lock);
            if (!b->keep[b->turn])
                b->keep[b->turn] = cm_alloc(b->bytes, 1);
            x->keep = b->keep[b->turn];
            b->last[0] = x->where[0];
            b->last[1] = x->where[1];
        }
    }
    return 1;
}

/* libhdf5 reads, we convert. */
static int add_read(struct batch *batch, struct cm_h5bulk *b, uint64_t first, uint64_t n, void *out,
                    struct cm_h5facts *facts)
{
    const struct cm_h5set *s = b->set;
    size_t items, bytes;
    if (cm_mul((size_t)n, (size_t)s->cols, &items) || cm_mul(items, b->item, &bytes))
        return cm_fail(CM_EINPUT, "%s: %s: too large", CM_H5_AT(s));
    batch->raw_n = (batch->raw_n + 7) / 8 * 8;
    CM_GROW(batch->raw, batch->raw_cap, batch->raw_n + bytes);
    int code = cm_h5set_read(s, first, n, b->native, batch->raw + batch->raw_n);
    for (uint64_t at = 0; at < items && !code; at += SEGMENT) {
        struct shard *x = add_shard(batch, b, out, facts);
        x->raw = batch->raw_n + at * b->item;
        x->plain = true;
        x->width = items - at < SEGMENT ? items - at : SEGMENT;
        x->at = at;
    }
    batch->raw_n += bytes;
    return code;
}

int cm_h5job_add(struct cm_h5job *j, const struct cm_h5set *s, uint64_t first, uint64_t n,
                 void *out, struct cm_h5facts *facts)
{
    CM_ASSERT(j->started < CM_H5_BATCHES);
    struct batch *batch = batch_at(j, j->started);
    *facts = (struct cm_h5facts){0};
    if (!n || !s->cols)
        return 0;
    if (n > s->rows || first > s->rows - n)
        return cm_fail(CM_EINPUT, "%s: %s: holds %" PRIu64 " rows, expected at least %" PRIu64,
                       CM_H5_AT(s), s->rows, first + n);
    struct cm_h5bulk *b = bulk_of(j, s);
    size_t begin = batch->n;
    int got = b->chunked ? add_chunks(batch, b, first, n, out, facts) : 0;
    if (got == 0)
        got = add_read(batch, b, first, n, out, facts);
    if (batch->n > begin)
        batch->shard[begin].begins = true;
    return got < 0 ? got : 0;
}

void cm_h5job_start(struct cm_h5job *j)
{
    struct batch *b = batch_at(j, j->started);
    size_t at = 0;
    CM_ASSERT(j->started < CM_H5_BATCHES && (!pool.job || pool.job == j));
    CM_GROW(b->order, b->order_cap, b->n + 1);
    for (int kept = 1; kept >= 0; kept--)
        for (size_t k = 0; k < b->n; k++)
            if (kept == (b->shard[k].keep != NULL))
                b->order[at++] = k;
    pool_begin();
    pthread_mutex_lock(&pool.lock);
    b->next = b->running = 0;
    j->started++;
    pool.job = j;
    pthread_cond_broadcast(&pool.wake);
    pthread_mutex_unlock(&pool.lock);
}

void cm_h5job_drop(struct cm_h5job *j)
{
    struct batch *b = batch_at(j, j->started);
    b->n = b->raw_n = 0;
}

static void add_up(struct cm_h5facts *sum, const struct cm_h5facts *f)
{
    sum->unfit |= f->unfit;
    sum->infinite |= f->infinite;
    sum->negative |= f->negative;
    sum->fraction |= f->fraction;
    sum->wide |= f->wide;
    sum->max = f->max > sum->max ? f->max : sum->max;
    sum->largest = f->largest > sum->largest ? f->largest : sum->largest;
    sum->falls += f->falls;
}

/* What was found out about the ranges of a batch that is done; 0 or CM_EINPUT. */
static int collect(struct batch *b)
{
    int code = 0;
    for (size_t k = 0; k < b->n; k++) {
        const struct shard *s = &b->shard[k];
        if (s->bad && !code)
            code = cm_h5chunk_damaged(s->b->set, s->where[0]);
        add_up(s->sum, &s->facts);
        /* the order across the border of two shards */
        if (!s->begins && s->b->kind != CM_H5_F32 && s->b->kind != CM_H5_F64 && s->rows == 1 &&
            s->width) {
            const uint32_t *v = (const uint32_t *)s->out + s->at;
            s->sum->falls += v[0] <= v[-1];
        }
    }
    b->n = b->raw_n = 0;
    return code;
}

int cm_h5job_finish(struct cm_h5job *j)
{
    struct batch *b = batch_at(j, 0);
    CM_ASSERT(j->started);
    pthread_mutex_lock(&pool.lock);
    while (b->next < b->n || b->running)
        if (!take_shard(&pool.unpacker))
            pthread_cond_wait(&pool.done, &pool.lock);
    j->oldest = (j->oldest + 1) % CM_H5_BATCHES;
    if (!--j->started)
        pool.job = NULL;
    pthread_mutex_unlock(&pool.lock);
    return collect(b);
}

int cm_h5bulk_read(struct cm_h5job *j, const struct cm_h5set *s, uint64_t first, uint64_t n,
                   void *out, struct cm_h5facts *facts)
{
    CM_ASSERT(!j->started);
    int code = cm_h5job_add(j, s, first, n, out, facts);
    if (code) {
        cm_h5job_drop(j);
        return code;
    }
    cm_h5job_start(j);
    return cm_h5job_finish(j);
}
