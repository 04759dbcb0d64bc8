/* format/hdf5/transpose.c - rows of a matrix that is stored by columns.
 *
 * CSC: pass 1 reads the row numbers and counts entries a row (and checks them); rows are cut into
 * buckets whose entries fit the memory allowed.  Pass 2 deals the entries in file order, that is by
 * ascending column, to their buckets: straight into place if there is one bucket, otherwise to that
 * bucket's known segment of an unlinked temporary file.  So every row ends up sorted by column
 * without a sort.  Rejected: a general external sort.
 */
#include "format/hdf5/values.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/spool.h"

#define PIECE ((uint64_t)262144) /* entries read at once in a pass */

/* An entry on its way to its bucket. */
struct entry {
    uint32_t row, col; /* row: within the bucket */
    double val;
};

struct cm_h5transpose {
    uint64_t *begin;         /* rows + 1: entries before each row, over the whole matrix */
    uint64_t *bucket;        /* buckets + 1: first row of each */
    uint64_t nbuckets, held; /* held: the bucket in memory, nbuckets = none */
    FILE *spill;
    uint32_t *idx; /* entries of the held bucket, by row */
    double *val;
    uint64_t *cursor; /* next place of each row of the held bucket */
};

void cm_h5transpose_free(struct cm_h5transpose *t)
{
    if (!t)
        return;
    if (t->spill)
        fclose(t->spill);
    cm_free(t->begin);
    cm_free(t->bucket);
    cm_free(t->idx);
    cm_free(t->val);
    cm_free(t->cursor);
    cm_free(t);
}

static int bad_row_number(struct cm_h5mat *m, uint64_t at, uint64_t n)
{
    CM_GROW(m->whole, m->whole_cap, n);
    int code = cm_h5set_i64(&m->indices, at, n, m->whole);
    for (uint64_t i = 0; i < n && !code; i++)
        if (m->whole[i] < 0 || (uint64_t)m->whole[i] >= m->rows)
            code = cm_fail(CM_EINPUT,
                           "%s: %s: item %" PRIu64 ": row %" PRId64 ", but there are %" PRIu64,
                           CM_H5_AT(&m->indices), at + i, m->whole[i], m->rows);
    return code ? code
                : cm_fail(CM_EINPUT, "%s: %s: changed while it was read", CM_H5_AT(&m->indices));
}

/* Pass 1: counts the entries of each row. */
static int count_rows(struct cm_h5mat *m, struct cm_h5transpose *t)
{
    int code = 0;
    t->begin = CM_ZNEW(m->rows + 1, uint64_t);
    uint32_t *row = CM_NEW(PIECE, uint32_t);
    for (uint64_t at = 0; at < m->nnz && !code; at += PIECE) {
        uint64_t n = m->nnz - at < PIECE ? m->nnz - at : PIECE;
        bool fits = true;
        code = cm_h5mat_bulk_numbers(m, at, n, m->rows, row, &fits);
        if (!code && !fits)
            code = bad_row_number(m, at, n);
        for (uint64_t i = 0; i < n && !code; i++)
            t->begin[row[i] + 1]++;
    }
    cm_free(row);
    for (uint64_t r = 0; r < m->rows; r++)
        t->begin[r + 1] += t->begin[r];
    return code;
}

static void cut_buckets(struct cm_h5mat *m, struct cm_h5transpose *t)
{
    uint64_t fit = m->max_memory / 12, max = 0, longest = 0;
    size_t cap = 0;
    fit = fit ? fit : 1;
    t->nbuckets = 0;
    for (uint64_t r = 0; r < m->rows;) {
        uint64_t end = r + 1;
        while (end < m->rows && t->begin[end + 1] - t->begin[r] <= fit && end - r < UINT32_MAX)
            end++;
        CM_GROW(t->bucket, cap, t->nbuckets + 2);
        t->bucket[t->nbuckets++] = r;
        max = t->begin[end] - t->begin[r] > max ? t->begin[end] - t->begin[r] : max;
        longest = end - r > longest ? end - r : longest;
        r = end;
    }
    CM_GROW(t->bucket, cap, t->nbuckets + 1);
    t->bucket[t->nbuckets] = m->rows;
    t->idx = CM_NEW(max, uint32_t);
    t->val = CM_NEW(max, double);
    t->cursor = CM_NEW(longest + 1, uint64_t);
    t->held = t->nbuckets;
}

static void hold_bucket(struct cm_h5transpose *t, uint64_t b)
{
    uint64_t r0 = t->bucket[b], base = t->begin[r0];
    for (uint64_t r = r0; r < t->bucket[b + 1]; r++)
        t->cursor[r - r0] = t->begin[r] - base;
    t->held = b;
}

static void place_entry(struct cm_h5transpose *t, const struct entry *e)
{
    uint64_t at = t->cursor[e->row]++;
    t->idx[at] = e->col;
    t->val[at] = e->val;
}

/* Full buffers go to the file at their bucket's place, which is known from the counts. */
struct deal {
    struct entry *e; /* nbuckets x capacity */
    uint64_t capacity, *n, *done;
};

static int deal_flush(struct cm_h5transpose *t, struct deal *d, uint64_t b)
{
    uint64_t at = t->begin[t->bucket[b]] + d->done[b];
    const char *p = (const char *)(d->e + b * d->capacity);
    size_t left = (size_t)(d->n[b] * sizeof *d->e);
    off_t to = (off_t)(at * sizeof *d->e);
    while (left) {
        ssize_t did = pwrite(fileno(t->spill), p, left, to);
        if (did < 0 && errno == EINTR)
            continue;
        if (did < 0)
            return cm_fail_errno(CM_ESYSTEM, "cannot write a temporary file in %s", cm_spool_dir());
        p += did;
        to += did;
        left -= (size_t)did;
    }
    d->done[b] += d->n[b];
    d->n[b] = 0;
    return 0;
}

static int open_spill(struct cm_h5transpose *t)
{
    int fd = cm_spool_open();
    if (fd < 0)
        return fd;
    t->spill = fdopen(fd, "w+");
    if (!t->spill)
        cm_panic(4, "out of memory: a temporary file");
    return 0;
}

static uint64_t bucket_of(const struct cm_h5transpose *t, uint64_t row)
{
    uint64_t lo = 0, hi = t->nbuckets;
    while (hi - lo > 1) {
        uint64_t mid = lo + (hi - lo) / 2;
        if (t->bucket[mid] <= row)
            lo = mid;
        else
            hi = mid;
    }
    return lo;
}

/* Pass 2: deals the entries, in file order, to their place or their bucket. */
static int deal_entries(struct cm_h5mat *m, struct cm_h5transpose *t, struct deal *d)
{
    int code = 0;
    int64_t *ptr = CM_NEW(m->cols + 1, int64_t);
    uint32_t *rows = CM_NEW(PIECE, uint32_t);
    double *val = CM_NEW(PIECE, double);
    code = cm_h5mat_offsets(m, 0, m->cols);
    if (!code)
        memcpy(ptr, m->ptr, (m->cols + 1) * sizeof *ptr);
    uint64_t col = 0;
    for (uint64_t at = 0; at < m->nnz && !code; at += PIECE) {
        uint64_t n = m->nnz - at < PIECE ? m->nnz - at : PIECE;
        bool fits = true;
        struct cm_h5facts facts;
        code = cm_h5mat_bulk_numbers(m, at, n, m->rows, rows, &fits);
        if (!code && !fits)
            code = cm_fail(CM_EINPUT, "%s: %s: changed while it was read", CM_H5_AT(&m->indices));
        if (!code)
            code = cm_h5mat_bulk_values(m, at, n, val, &facts);
        for (uint64_t i = 0; i < n && !code; i++) {
            while ((uint64_t)ptr[col + 1] <= at + i)
                col++;
            uint64_t row = rows[i], b = d ? bucket_of(t, row) : 0;
            struct entry e = {(uint32_t)(row - t->bucket[b]), (uint32_t)col, val[i]};
            if (!d)
                place_entry(t, &e);
            else {
                d->e[b * d->capacity + d->n[b]++] = e;
                if (d->n[b] == d->capacity)
                    code = deal_flush(t, d, b);
            }
        }
    }
    for (uint64_t b = 0; d && b < t->nbuckets && !code; b++)
        code = deal_flush(t, d, b);
    cm_free(rows);
    cm_free(ptr);
    cm_free(val);
    return code;
}

static int start_transpose(struct cm_h5mat *m)
{
    struct cm_h5transpose *t = m->transpose = CM_ZNEW(1, struct cm_h5transpose);
    int code = count_rows(m, t);
    if (code)
        return code;
    cut_buckets(m, t);
    if (t->nbuckets <= 1) {
        if (t->nbuckets)
            hold_bucket(t, 0);
        return deal_entries(m, t, NULL);
    }
    struct deal d = {.capacity = m->max_memory / 4 / t->nbuckets / sizeof(struct entry)};
    d.capacity = d.capacity < 64 ? 64 : d.capacity > 65536 ? 65536 : d.capacity;
    size_t capacity;
    if (cm_mul(d.capacity, t->nbuckets, &capacity))
        return cm_fail(CM_EINPUT, "%s: %s: too large for --max-memory", m->file, m->path);
    d.e = CM_NEW(capacity, struct entry);
    d.n = CM_ZNEW(t->nbuckets, uint64_t);
    d.done = CM_ZNEW(t->nbuckets, uint64_t);
    code = open_spill(t);
    if (!code)
        code = deal_entries(m, t, &d);
    cm_free(d.e);
    cm_free(d.n);
    cm_free(d.done);
    return code;
}

static int load_bucket(struct cm_h5transpose *t, uint64_t b)
{
    uint64_t first = t->begin[t->bucket[b]], left = t->begin[t->bucket[b + 1]] - first;
    struct entry *e = CM_NEW(65536, struct entry);
    int code = 0;
    hold_bucket(t, b);
    for (uint64_t n; left && !code; left -= n, first += n) {
        n = left < 65536 ? left : 65536;
        size_t want = (size_t)n * sizeof *e, got = 0;
        while (got < want && !code) {
            ssize_t did = pread(fileno(t->spill), (char *)e + got, want - got,
                                (off_t)(first * sizeof *e + got));
            if (did == 0)
                errno = EIO; /* the file is shorter than what was written to it */
            if (did == 0 || (did < 0 && errno != EINTR))
                code = cm_fail_errno(CM_ESYSTEM, "cannot read back a temporary file");
            got += did > 0 ? (size_t)did : 0;
        }
        for (uint64_t i = 0; i < n && !code; i++)
            place_entry(t, &e[i]);
    }
    cm_free(e);
    return code;
}

int cm_h5mat_read_csc(struct cm_h5mat *m, uint64_t first, uint64_t n, struct cm_h5rows *out)
{
    int code = m->transpose ? 0 : start_transpose(m);
    if (code)
        return code;
    struct cm_h5transpose *t = m->transpose;
    uint64_t items = t->begin[first + n] - t->begin[first], at = 0;
    CM_GROW(out->ptr, out->ptr_cap, n + 1);
    CM_GROW(out->idx, out->idx_cap, items + 1);
    cm_h5rows_capacity(out, CM_V_F64, items);
    double *val = out->val;
    out->rows = (size_t)n;
    out->ptr[0] = 0;
    for (uint64_t r = first; r < first + n && !code; r++) {
        uint64_t b = bucket_of(t, r);
        if (b != t->held)
            code = load_bucket(t, b);
        uint64_t len = t->begin[r + 1] - t->begin[r];
        uint64_t from = t->begin[r] - t->begin[t->bucket[b]];
        memcpy(out->idx + at, t->idx + from, len * sizeof *out->idx);
        memcpy(val + at, t->val + from, len * sizeof *val);
        at += len;
        out->ptr[r - first + 1] = at;
    }
    return code ? code : cm_h5mat_tidy(m, first, out);
}

/* Cells are columns of the dataset. */
int cm_h5mat_read_transposed(struct cm_h5mat *m, uint64_t first, uint64_t n, struct cm_h5rows *out)
{
    uint64_t items = m->cols * n, at = 0;
    bool whole = m->data.cls != CM_H5_FLOAT;
    unsigned char *p = m->bulk;
    CM_GROW(p, m->bulk_cap, (size_t)(items + 1) * 8);
    m->bulk = p;
    int code = cm_h5set_read_cols(&m->data, first, n, whole ? H5T_NATIVE_INT64 : H5T_NATIVE_DOUBLE,
                                  m->bulk);
    CM_GROW(out->ptr, out->ptr_cap, n + 1);
    CM_GROW(out->idx, out->idx_cap, items + 1);
    cm_h5rows_capacity(out, CM_V_F64, items);
    double *val = out->val;
    out->rows = (size_t)n;
    out->ptr[0] = 0;
    for (uint64_t i = 0; i < n && !code; i++) {
        for (uint64_t j = 0; j < m->cols && !code; j++) {
            int64_t w = whole ? ((const int64_t *)m->bulk)[j * n + i] : 0;
            double v = whole ? (double)w : ((const double *)m->bulk)[j * n + i];
            if (!isfinite(v))
                code = cm_h5mat_bad_value(m, first + i, j, v);
            else if (w > CM_H5_EXACT_WHOLE || w < -CM_H5_EXACT_WHOLE)
                code = cm_fail(CM_EINPUT, "%s: %s: row %" PRIu64 ": a whole number beyond 2^53",
                               CM_H5_AT(&m->data), j);
            else if (v != 0) {
                out->idx[at] = (uint32_t)j;
                val[at++] = v;
            }
        }
        out->ptr[i + 1] = at;
    }
    return code;
}
