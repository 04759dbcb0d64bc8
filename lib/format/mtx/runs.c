/* format/mtx/runs.c - runs of entries and the rows they make.  See runs.h.
 *
 * A run holds values in the narrowest of u8, u16, u32 and f64 that fits, so that counts take 5
 * bytes an entry.  Gathering is a counting sort by cell over the front of every run; then each row
 * is sorted by feature on the pool: most are sorted or reversed already.  The temporary file is
 * written once and mapped; the kernel decides what of it stays in memory.
 */
#include "format/mtx/runs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/spool.h"
#include "base/pool.h"

#define BLOCK_ENTRIES ((uint64_t)4 << 20)

void cm_mtx_runs_init(struct cm_mtx_runs *r, uint64_t cells, uint64_t features, uint64_t max_memory)
{
    *r = (struct cm_mtx_runs){
        .cells = cells, .features = features, .max_memory = max_memory, .fd = -1};
    r->count = CM_ZNEW((size_t)cells + 1, uint64_t);
}

void cm_mtx_runs_free(struct cm_mtx_runs *r)
{
    for (size_t k = 0; k < r->n; k++)
        cm_free(r->run[k].own);
    if (r->map)
        munmap(r->map, r->spilled);
    if (r->count && r->fd >= 0)
        close(r->fd);
    cm_free(r->run);
    cm_free(r->count);
    cm_free(r->ptr);
    cm_free(r->idx);
    cm_free(r->val);
    *r = (struct cm_mtx_runs){.fd = -1};
}

/* ===== making ============================================================================= */

/* Stable sort of the piece's entries by cell: 11 bits at a time, from the lowest. */
static void order_by_cell(struct cm_mtx_piece *p)
{
    size_t n = p->entries;
    uint32_t max = 0;
    for (size_t k = 0; k < n; k++)
        max = p->cell[k] > max ? p->cell[k] : max;
    uint32_t *from = CM_NEW(n, uint32_t), *to = CM_NEW(n, uint32_t), *swap;
    for (size_t k = 0; k < n; k++)
        from[k] = (uint32_t)k;
    for (unsigned shift = 0; shift < 32 && (shift == 0 || max >> shift); shift += 11) {
        size_t at[2049] = {0};
        for (size_t k = 0; k < n; k++)
            at[(p->cell[k] >> shift & 2047) + 1]++;
        for (size_t d = 0; d < 2048; d++)
            at[d + 1] += at[d];
        for (size_t k = 0; k < n; k++)
            to[at[p->cell[from[k]] >> shift & 2047]++] = from[k];
        swap = from;
        from = to;
        to = swap;
    }
    uint32_t *part = to; /* free now */
    for (size_t k = 0; k < n; k++)
        part[k] = p->cell[from[k]];
    memcpy(p->cell, part, n * sizeof *part);
    for (size_t k = 0; k < n; k++)
        part[k] = p->feature[from[k]];
    memcpy(p->feature, part, n * sizeof *part);
    double *value = CM_NEW(n, double);
    for (size_t k = 0; k < n; k++)
        value[k] = p->value[from[k]];
    memcpy(p->value, value, n * sizeof *value);
    cm_free(value);
    cm_free(from);
    cm_free(to);
}

static unsigned narrowest(const struct cm_mtx_piece *p)
{
    double max = 0;
    if (p->negative || p->fraction)
        return 8;
    for (size_t k = 0; k < p->entries; k++)
        max = p->value[k] > max ? p->value[k] : max;
    return max < 256 ? 1 : max < 65536 ? 2 : max < 4294967296.0 ? 4 : 8;
}

static size_t value_bytes(const struct cm_mtx_run *r) { return (r->n * r->size + 7) / 8 * 8; }

/* Where the arrays of a run lie in its memory. */
static void lay_out(struct cm_mtx_run *r, const void *memory)
{
    r->value = memory;
    r->feature = (const uint32_t *)memory + value_bytes(r) / 4;
    r->cell = r->feature + r->n;
    r->end = r->cell + r->cells;
}

void cm_mtx_run_make(struct cm_mtx_run *run, struct cm_mtx_piece *p, bool pattern)
{
    size_t n = p->entries, cells = 0;
    if (!p->ordered)
        order_by_cell(p);
    for (size_t k = 0; k < n; k++)
        cells += k == 0 || p->cell[k] != p->cell[k - 1];
    *run = (struct cm_mtx_run){.n = n, .cells = cells, .size = pattern ? 0 : narrowest(p)};
    run->bytes = value_bytes(run) + 4 * (n + 2 * cells);
    run->own = cm_alloc(run->bytes, 1);
    lay_out(run, run->own);
    uint32_t *feature = (uint32_t *)run->own + value_bytes(run) / 4, *cell = feature + n;
    uint32_t *end = cell + cells;
    if (n)
        memcpy(feature, p->feature, n * sizeof *feature);
    for (size_t k = 0, c = 0; k < n; k++) {
        cell[c] = p->cell[k];
        end[c] = (uint32_t)k + 1;
        c += k + 1 < n && p->cell[k + 1] != p->cell[k];
    }
    const double *v = p->value;
    void *to = run->own;
    switch (run->size) {
    case 1:
        for (size_t k = 0; k < n; k++)
            ((uint8_t *)to)[k] = (uint8_t)v[k];
        break;
    case 2:
        for (size_t k = 0; k < n; k++)
            ((uint16_t *)to)[k] = (uint16_t)v[k];
        break;
    case 4:
        for (size_t k = 0; k < n; k++)
            ((uint32_t *)to)[k] = (uint32_t)v[k];
        break;
    case 8:
        memcpy(to, v, n * sizeof *v);
        break;
    default:
        break;
    }
}

static int spill(struct cm_mtx_runs *r, struct cm_mtx_run *run)
{
    if (r->fd < 0) {
        r->fd = cm_spool_open();
        if (r->fd < 0)
            return CM_ESYSTEM;
    }
    run->offset = r->spilled;
    size_t padded = (run->bytes + 7) / 8 * 8;
    for (size_t done = 0; done < run->bytes;) {
        ssize_t got =
            pwrite(r->fd, (char *)run->own + done, run->bytes - done, (off_t)(run->offset + done));
        if (got < 0 && errno != EINTR)
            return cm_fail_errno(CM_ESYSTEM, "cannot write a temporary file (TMPDIR)");
        done += got > 0 ? (size_t)got : 0;
    }
    r->spilled += padded;
    cm_free(run->own);
    run->own = NULL;
    return 0;
}

int cm_mtx_runs_add(struct cm_mtx_runs *r, struct cm_mtx_run *run)
{
    for (size_t k = 0, from = 0; k < run->cells; from = run->end[k++])
        r->count[run->cell[k]] += run->end[k] - (uint32_t)from;
    r->entries += run->n;
    CM_GROW(r->run, r->cap, r->n + 1);
    struct cm_mtx_run *mine = &r->run[r->n++];
    *mine = *run;
    *run = (struct cm_mtx_run){0};
    if (r->held + mine->bytes > r->max_memory)
        return spill(r, mine);
    r->held += mine->bytes;
    return 0;
}

int cm_mtx_runs_seal(struct cm_mtx_runs *r)
{
    if (!r->spilled)
        return 0;
    if (ftruncate(r->fd, (off_t)r->spilled)) /* the padding of the last run */
        return cm_fail_errno(CM_ESYSTEM, "cannot write a temporary file (TMPDIR)");
    void *map = mmap(NULL, r->spilled, PROT_READ, MAP_SHARED, r->fd, 0);
    if (map == MAP_FAILED)
        return cm_fail_errno(CM_ESYSTEM, "cannot map a temporary file");
    r->map = map;
    for (size_t k = 0; k < r->n; k++)
        if (!r->run[k].own)
            lay_out(&r->run[k], r->map + r->run[k].offset);
    return 0;
}

/* ===== gathering ========================================================================== */

size_t cm_mtx_runs_step(const struct cm_mtx_runs *r, uint64_t first, size_t max)
{
    uint64_t sum = 0;
    size_t n = 0;
    for (; n < max && first + n < r->cells; n++) {
        sum += r->count[first + n];
        if (n && sum > BLOCK_ENTRIES)
            break;
    }
    return n;
}

static void copy_values(double *to, const struct cm_mtx_run *r, size_t from, size_t n)
{
    switch (r->size) {
    case 1:
        for (size_t k = 0; k < n; k++)
            to[k] = ((const uint8_t *)r->value)[from + k];
        break;
    case 2:
        for (size_t k = 0; k < n; k++)
            to[k] = ((const uint16_t *)r->value)[from + k];
        break;
    case 4:
        for (size_t k = 0; k < n; k++)
            to[k] = ((const uint32_t *)r->value)[from + k];
        break;
    case 8:
        memcpy(to, (const double *)r->value + from, n * sizeof *to);
        break;
    default:
        for (size_t k = 0; k < n; k++)
            to[k] = 1;
    }
}

/* Sorts a row by feature, stably, through keys (feature, place); v follows. */
static void sort_row(uint32_t *idx, double *v, size_t n, uint64_t features)
{
    uint64_t *from = CM_NEW(n, uint64_t), *to = CM_NEW(n, uint64_t), *swap;
    double *moved = CM_NEW(n, double);
    for (size_t k = 0; k < n; k++)
        from[k] = (uint64_t)idx[k] << 32 | k;
    for (unsigned shift = 0; shift < 32 && (shift == 0 || features >> shift); shift += 11) {
        uint32_t at[2049] = {0};
        for (size_t k = 0; k < n; k++)
            at[(from[k] >> (32 + shift) & 2047) + 1]++;
        for (size_t d = 0; d < 2048; d++)
            at[d + 1] += at[d];
        for (size_t k = 0; k < n; k++)
            to[at[from[k] >> (32 + shift) & 2047]++] = from[k];
        swap = from;
        from = to;
        to = swap;
    }
    for (size_t k = 0; k < n; k++) {
        idx[k] = (uint32_t)(from[k] >> 32);
        moved[k] = v[(uint32_t)from[k]];
    }
    memcpy(v, moved, n * sizeof *v);
    cm_free(moved);
    cm_free(from);
    cm_free(to);
}

static void insert_row(uint32_t *idx, double *v, size_t n)
{
    for (size_t k = 1; k < n; k++) {
        uint32_t i = idx[k];
        double x = v[k];
        size_t at = k;
        for (; at && idx[at - 1] > i; at--) {
            idx[at] = idx[at - 1];
            v[at] = v[at - 1];
        }
        idx[at] = i;
        v[at] = x;
    }
}

static void reverse_row(uint32_t *idx, double *v, size_t n)
{
    for (size_t a = 0, b = n - 1; a < b; a++, b--) {
        uint32_t i = idx[a];
        double x = v[a];
        idx[a] = idx[b];
        v[a] = v[b];
        idx[b] = i;
        v[b] = x;
    }
}

struct tidy {
    struct cm_mtx_runs *r;
    size_t rows, shards;
};

static int tidy_rows(void *arg, size_t shard)
{
    struct tidy *t = arg;
    struct cm_mtx_runs *r = t->r;
    size_t from = cm_shard_begin(t->rows, t->shards, shard),
           to = cm_shard_begin(t->rows, t->shards, shard + 1);
    for (size_t i = from; i < to; i++) {
        uint32_t *idx = r->idx + r->ptr[i];
        double *v = r->val + r->ptr[i];
        size_t n = (size_t)(r->ptr[i + 1] - r->ptr[i]);
        bool up = true, down = true;
        for (size_t k = 1; k < n && (up || down); k++) {
            up = up && idx[k] >= idx[k - 1];
            down = down && idx[k] < idx[k - 1];
        }
        if (up)
            continue;
        if (down)
            reverse_row(idx, v, n);
        else if (n < 32)
            insert_row(idx, v, n);
        else
            sort_row(idx, v, n, r->features);
    }
    return 0;
}

/* Adds up entries that repeat a row and column. */
static void join_repeated(struct cm_mtx_runs *r, size_t rows)
{
    uint64_t out = 0, from = 0;
    for (size_t i = 0; i < rows; i++) {
        uint64_t end = r->ptr[i + 1], begin = out;
        for (uint64_t e = from; e < end; e++) {
            if (out > begin && r->idx[out - 1] == r->idx[e]) {
                if (!r->pattern)
                    r->val[out - 1] += r->val[e];
                r->repeated++;
                continue;
            }
            r->idx[out] = r->idx[e];
            r->val[out++] = r->val[e];
        }
        from = end;
        r->ptr[i + 1] = out;
    }
}

void cm_mtx_runs_gather(struct cm_mtx_runs *r, uint64_t first, size_t n)
{
    uint64_t total = 0;
    CM_GROW(r->ptr, r->ptr_cap, n + 2);
    for (size_t i = 0; i < n; i++) {
        r->ptr[i + 1] = total; /* where row i begins; grows to where it ends */
        total += r->count[first + i];
    }
    r->ptr[0] = 0;
    r->bytes = true;
    if (total + 1 > r->idx_cap) {
        cm_free(r->idx);
        cm_free(r->val);
        r->idx_cap = (size_t)(total + total / 4 + 1);
        r->idx = CM_NEW(r->idx_cap, uint32_t);
        r->val = CM_NEW(r->idx_cap, double);
    }
    for (size_t k = 0; k < r->n; k++) {
        struct cm_mtx_run *run = &r->run[k];
        for (; run->next < run->cells && run->cell[run->next] < first + n; run->next++) {
            size_t from = run->next ? run->end[run->next - 1] : 0,
                   items = run->end[run->next] - from;
            uint64_t *at = &r->ptr[run->cell[run->next] - first + 1];
            memcpy(r->idx + *at, run->feature + from, items * sizeof *r->idx);
            copy_values(r->val + *at, run, from, items);
            r->bytes = r->bytes && run->size <= 1;
            *at += items;
        }
        if (run->next == run->cells && run->own) { /* used up */
            cm_free(run->own);
            run->own = NULL;
            run->cells = run->next = 0;
        }
    }
    struct tidy t = {r, n, cm_shards(n, 16, 16)};
    cm_parallel(t.shards, tidy_rows, &t);
    bool again = false;
    for (size_t i = 0; i < n && !again; i++)
        for (uint64_t e = r->ptr[i] + 1; e < r->ptr[i + 1] && !again; e++)
            again = r->idx[e] == r->idx[e - 1];
    if (again) {
        join_repeated(r, n);
        r->bytes = false; /* sums may be larger */
    }
    if (r->map) /* pages that were read are not needed again; the others are on disk */
        madvise(r->map, r->spilled, MADV_DONTNEED);
}
