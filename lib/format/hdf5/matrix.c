/* format/hdf5/matrix.c - rows of a matrix in HDF5, whatever its layout; see h5mat.h for the choice.
 *
 * Offsets are read for the rows of a block alone and checked there; the first and last are checked
 * at opening, so that a file whose offsets overflowed is refused before anything is written.  All
 * values pass through double: every float and every whole number below 2^53 survives; a larger
 * whole number is an error, never a rounding.
 *
 * Turning CSC: pass 1 reads the row numbers and counts entries a row (and checks them); rows are
 * cut into buckets whose entries fit the memory allowed.  Pass 2 deals the entries in file order,
 * that is by ascending column, to their buckets: straight into place if there is one bucket,
 * otherwise to that bucket's known stretch of an unlinked temporary file.  So every row ends up
 * sorted by column without a sort.  Rejected: a general external sort.
 */
#include "format/hdf5/matrix.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/spool.h"
#include "stream/cms.h"

#define PIECE       ((uint64_t)262144)  /* entries read at once in a pass */
#define BLOCK_MAX   ((uint64_t)4 << 20) /* entries of a block that ask for shorter blocks */
#define EXACT_WHOLE ((int64_t)1 << 53)
#define TILE        ((uint64_t)64) /* chunks of loom files are 64 x 64 */

/* ===== opening ============================================================================ */

static int open_part(struct cm_h5set *s, const struct cm_h5 *h, const char *group, const char *name,
                     uint64_t cache)
{
    char *path = cm_h5_join(group, name);
    int code = cm_h5set_open(s, h, path, NULL, cache);
    if (!code && s->rank != 1)
        code = cm_fail(CM_EINPUT, "%s: %s: expected one dimension, found %u", CM_H5_AT(s), s->rank);
    cm_free(path);
    return code;
}

static int need_values(const struct cm_h5set *s)
{
    if (s->size > 8)
        return cm_fail(CM_EINPUT, "%s: %s: numbers of %zu bytes are not read", CM_H5_AT(s),
                       s->size);
    if (s->cls == CM_H5_INT || s->cls == CM_H5_FLOAT || s->cls == CM_H5_BOOL)
        return 0;
    return cm_fail(CM_EINPUT, "%s: %s: expected numbers", CM_H5_AT(s));
}

/* The layout that the group's attributes, or the length of indptr, tell. */
static int find_layout(struct cm_h5mat *m, const struct cm_h5 *h)
{
    char *e = NULL;
    int code = cm_h5_attr_text(h, m->path, "encoding-type", &e);
    if (code == 0)
        code = cm_h5_attr_text(h, m->path, "h5sparse_format", &e);
    if (code > 0 && !strncmp(e, "csr", 3))
        m->layout = CM_H5_CSR;
    else if (code > 0 && !strncmp(e, "csc", 3))
        m->layout = CM_H5_CSC;
    else if (code > 0)
        code = cm_fail(CM_EINPUT, "%s: %s: encoding %s, expected csr_matrix or csc_matrix", m->file,
                       m->path, e);
    else if (code == 0)
        m->layout = m->indptr.rows == m->rows + 1 ? CM_H5_CSR : CM_H5_CSC;
    cm_free(e);
    return code < 0 ? code : 0;
}

static int check_shape(struct cm_h5mat *m, const struct cm_h5 *h)
{
    int64_t shape[2];
    int code = cm_h5_attr_i64s(h, m->path, "shape", shape, 2);
    if (code == 0)
        code = cm_h5_attr_i64s(h, m->path, "h5sparse_shape", shape, 2);
    if (code <= 0)
        return code;
    if (shape[0] < 0 || shape[1] < 0 || (uint64_t)shape[0] != m->rows ||
        (uint64_t)shape[1] != m->cols)
        return cm_fail(CM_EINPUT,
                       "%s: %s: shape %" PRId64 " x %" PRId64 ", but obs has %" PRIu64
                       " rows and var %" PRIu64,
                       m->file, m->path, shape[0], shape[1], m->rows, m->cols);
    return 0;
}

static int check_ends(struct cm_h5mat *m)
{
    uint64_t major = m->layout == CM_H5_CSR ? m->rows : m->cols;
    int64_t ends[2];
    if (m->indices.rows != m->data.rows)
        return cm_fail(CM_EINPUT, "%s: %s: %" PRIu64 " items, but %s has %" PRIu64,
                       CM_H5_AT(&m->indices), m->indices.rows, m->data.path, m->data.rows);
    m->nnz = m->data.rows;
    if (m->nnz >= CM_MAX_NNZ)
        return cm_fail(CM_EINPUT, "%s: %s: more than 2^40 entries", CM_H5_AT(&m->data));
    if (m->indptr.rows != major + 1)
        return cm_fail(CM_EINPUT, "%s: %s: %" PRIu64 " items, expected %" PRIu64,
                       CM_H5_AT(&m->indptr), m->indptr.rows, major + 1);
    int code = cm_h5set_i64(&m->indptr, 0, 1, &ends[0]);
    if (!code)
        code = cm_h5set_i64(&m->indptr, major, 1, &ends[1]);
    if (!code && ends[0])
        code = cm_fail(CM_EINPUT, "%s: %s: begins with %" PRId64 ", expected 0",
                       CM_H5_AT(&m->indptr), ends[0]);
    if (!code && (uint64_t)ends[1] != m->nnz)
        code =
            cm_fail(CM_EINPUT, "%s: %s: ends with %" PRId64 ", but there are %" PRIu64 " entries",
                    CM_H5_AT(&m->indptr), ends[1], m->nnz);
    return code;
}

static int open_group(struct cm_h5mat *m, struct cm_h5 *h, int layout)
{
    uint64_t cache = m->max_memory / 4;
    int code = open_part(&m->indptr, h, m->path, "indptr", cache);
    if (!code)
        code = open_part(&m->indices, h, m->path, "indices", cache);
    if (!code)
        code = open_part(&m->data, h, m->path, "data", cache);
    if (!code)
        code = need_values(&m->data);
    if (!code && m->indices.cls != CM_H5_INT)
        code = cm_fail(CM_EINPUT, "%s: %s: expected whole numbers", CM_H5_AT(&m->indices));
    if (!code && layout >= 0)
        m->layout = (enum cm_h5layout)layout;
    else if (!code)
        code = find_layout(m, h);
    if (!code && layout < 0)
        code = check_shape(m, h);
    return code ? code : check_ends(m);
}

static int open_dense(struct cm_h5mat *m, struct cm_h5 *h, bool transposed)
{
    uint64_t rows = transposed ? m->cols : m->rows, cols = transposed ? m->rows : m->cols;
    int code = cm_h5set_open(&m->data, h, m->path, NULL, m->max_memory / 2);
    if (!code)
        code = need_values(&m->data);
    /* one feature is sometimes stored without its second dimension */
    if (!code && (m->data.rows != rows || m->data.cols != cols || m->data.rank == 0 ||
                  (m->data.rank == 1 && (transposed || m->cols != 1))))
        code = cm_fail(CM_EINPUT,
                       "%s: %s: shape %" PRIu64 " x %" PRIu64 ", but obs has %" PRIu64
                       " rows and var %" PRIu64,
                       CM_H5_AT(&m->data), m->data.rows, m->data.cols, rows, cols);
    if (!code && m->cols && m->rows >= CM_MAX_NNZ / m->cols)
        code = cm_fail(CM_EINPUT, "%s: %s: more than 2^40 values", CM_H5_AT(&m->data));
    m->layout = transposed ? CM_H5_TRANSPOSED : CM_H5_DENSE;
    m->nnz = m->rows * m->cols;
    return code;
}

int cm_h5mat_open(struct cm_h5mat *m, struct cm_h5 *h, const char *path, uint64_t rows,
                  uint64_t cols, int layout, uint64_t max_memory)
{
    *m = (struct cm_h5mat){.path = cm_strdup(path),
                           .file = cm_strdup(h->name),
                           .rows = rows,
                           .cols = cols,
                           .max_memory = max_memory,
                           .job = cm_h5job_new()};
    int code = 0;
    if (rows >= CM_MAX_ROWS || cols >= UINT32_MAX)
        code = cm_fail(CM_EINPUT, "%s: %s: %" PRIu64 " x %" PRIu64 " is beyond the format's limits",
                       h->name, path, rows, cols);
    else {
        enum cm_h5_object what = cm_h5_what(h, path);
        code = what == CM_H5_DATASET ? open_dense(m, h, layout == CM_H5_TRANSPOSED)
               : what == CM_H5_GROUP ? open_group(m, h, layout)
                                     : cm_h5_unexpected(h, path, "a matrix");
    }
    if (code)
        cm_h5mat_close(m);
    return code;
}

int cm_h5mat_open_columns(struct cm_h5mat *m, const struct cm_h5 *h, const char *path,
                          uint64_t rows, const struct cm_h5set **column, uint64_t cols)
{
    *m = (struct cm_h5mat){.path = cm_strdup(path),
                           .file = cm_strdup(h->name),
                           .layout = CM_H5_COLUMNS,
                           .rows = rows,
                           .cols = cols,
                           .nnz = rows * cols,
                           .column = column,
                           .job = cm_h5job_new()};
    /* what is asked of `data` without reading it */
    m->data.cls = CM_H5_FLOAT;
    m->data.size = sizeof(double);
    int code = 0;
    for (uint64_t j = 0; j < cols && !code; j++)
        code = need_values(column[j]);
    if (!code && (rows >= CM_MAX_ROWS || (cols && rows >= CM_MAX_NNZ / cols)))
        code = cm_fail(CM_EINPUT, "%s: %s: more than 2^40 values", h->name, path);
    if (code)
        cm_h5mat_close(m);
    return code;
}

static void turn_free(struct cm_h5transpose *t);

void cm_h5mat_close(struct cm_h5mat *m)
{
    turn_free(m->turn);
    cm_h5job_free(m->job); /* before what it reads into */
    cm_h5rows_free(&m->ahead.rows);
    cm_free(m->bulk);
    cm_h5set_close(&m->data);
    cm_h5set_close(&m->indices);
    cm_h5set_close(&m->indptr);
    cm_free(m->column);
    cm_free(m->ptr);
    cm_free(m->whole);
    cm_free(m->single);
    cm_free(m->order);
    cm_free(m->path);
    cm_free(m->file);
    *m = (struct cm_h5mat){0};
}

void cm_h5rows_free(struct cm_h5rows *r)
{
    cm_free(r->ptr);
    cm_free(r->idx);
    cm_free(r->val);
    *r = (struct cm_h5rows){0};
}

/* ===== values and indices ================================================================= */

/* Rows first .. first + n - 1 of the dataset of values as doubles; exact or an error. */
static int read_values(struct cm_h5mat *m, uint64_t first, uint64_t n, double *out)
{
    uint64_t items = n * m->data.cols;
    int code;
    if (m->data.cls == CM_H5_FLOAT && m->data.size > 4)
        return cm_h5set_read(&m->data, first, n, H5T_NATIVE_DOUBLE, out);
    if (m->data.cls == CM_H5_FLOAT) {
        CM_GROW(m->single, m->single_cap, items);
        code = cm_h5set_read(&m->data, first, n, H5T_NATIVE_FLOAT, m->single);
        for (uint64_t i = 0; !code && i < items; i++)
            out[i] = (double)m->single[i];
        return code;
    }
    CM_GROW(m->whole, m->whole_cap, items);
    code = cm_h5set_read(&m->data, first, n, H5T_NATIVE_INT64, m->whole);
    for (uint64_t i = 0; !code && i < items; i++) {
        int64_t v = m->whole[i];
        if (v > EXACT_WHOLE || v < -EXACT_WHOLE)
            code = cm_fail(CM_EINPUT, "%s: %s: item %" PRIu64 ": a whole number beyond 2^53",
                           CM_H5_AT(&m->data), first * m->data.cols + i);
        out[i] = (double)v;
    }
    return code;
}

static int bad_value(const struct cm_h5mat *m, uint64_t row, uint64_t col, double v)
{
    return cm_fail(CM_EINPUT,
                   "%s: %s: row %" PRIu64 ", column %" PRIu64 ": the value is %s, not a finite "
                   "number",
                   m->file, m->path, row, col,
                   isnan(v) ? "NaN"
                   : v > 0  ? "inf"
                            : "-inf");
}

/* Room for the values of `items` entries of a type. */
static void values_capacity(struct cm_h5rows *r, enum cm_value type, uint64_t items)
{
    size_t bytes;
    CM_ASSERT(!cm_mul((size_t)items + 1, cm_value_size(type), &bytes));
    unsigned char *p = r->val;
    CM_GROW(p, r->val_cap, bytes);
    r->val = p;
    r->type = type;
    r->known = false;
}

/* The values as doubles, whatever they were. */
static void widen(struct cm_h5rows *r, uint64_t items)
{
    struct cm_h5rows w = {0};
    if (r->type == CM_V_F64)
        return;
    values_capacity(&w, CM_V_F64, items);
    for (uint64_t e = 0; e < items; e++)
        ((double *)w.val)[e] = cm_h5rows_at(r, e);
    cm_free(r->val);
    r->val = w.val;
    r->val_cap = w.val_cap;
    r->type = CM_V_F64;
}

/* Rows of the dataset of values as doubles, by way of the crew where the values allow it. */
static int bulk_values(struct cm_h5mat *m, uint64_t first, uint64_t n, double *out,
                       struct cm_h5facts *facts)
{
    uint64_t items = n * m->data.cols;
    enum cm_value type = cm_h5bulk_type(&m->data);
    unsigned char *p = m->bulk;
    CM_GROW(p, m->bulk_cap, (size_t)(items + 1) * 8);
    m->bulk = p;
    int code = cm_h5bulk_read(m->job, &m->data, first, n, type == CM_V_F64 ? out : m->bulk, facts);
    if (code)
        return code;
    if (facts->unfit) {
        code = read_values(m, first, n, out);
        for (uint64_t i = 0; i < items && !code; i++) {
            facts->negative |= out[i] < 0;
            facts->wide |= (double)(float)out[i] != out[i];
        }
        return code;
    }
    if (type == CM_V_U32) {
        const uint32_t *v = m->bulk;
        for (uint64_t i = 0; i < items; i++)
            out[i] = (double)v[i];
        for (uint64_t i = 0; i < items && facts->max > 1u << 24 && !facts->wide; i++)
            facts->wide = (double)(float)out[i] != out[i];
    } else if (type == CM_V_F32) {
        const float *v = m->bulk;
        for (uint64_t i = 0; i < items; i++)
            out[i] = (double)v[i];
    }
    return 0;
}

/* Column or row numbers of entries; one that is not below `limit` is reported by the caller, who
 * knows what it means: *fits is false and `out` undefined. */
static int bulk_numbers(struct cm_h5mat *m, uint64_t first, uint64_t n, uint64_t limit,
                        uint32_t *out, bool *fits)
{
    struct cm_h5facts f;
    int code = cm_h5bulk_read(m->job, &m->indices, first, n, out, &f);
    *fits = !f.unfit && (!n || f.max < limit);
    return code;
}

/* Offsets of major positions first .. first + n (n + 1 items) into m->ptr, checked. */
static int read_offsets(struct cm_h5mat *m, uint64_t first, uint64_t n)
{
    CM_GROW(m->ptr, m->ptr_cap, n + 1);
    int code = cm_h5set_i64(&m->indptr, first, n + 1, m->ptr);
    for (uint64_t i = 0; !code && i <= n; i++)
        if (m->ptr[i] < (i ? m->ptr[i - 1] : 0) || (uint64_t)m->ptr[i] > m->nnz)
            code =
                cm_fail(CM_EINPUT,
                        "%s: %s: item %" PRIu64 ": offset %" PRId64 " after %" PRId64 " of %" PRIu64
                        " entries",
                        CM_H5_AT(&m->indptr), first + i, m->ptr[i], i ? m->ptr[i - 1] : 0, m->nnz);
    return code;
}

int cm_h5mat_step(struct cm_h5mat *m, uint64_t first, uint64_t max, uint64_t *n)
{
    uint64_t left = m->rows - first, some = left < max ? left : max;
    *n = some;
    if ((cm_h5mat_is_dense(m) || m->layout == CM_H5_TRANSPOSED) && m->cols) {
        uint64_t fit = BLOCK_MAX / m->cols;
        if (m->layout == CM_H5_TRANSPOSED && fit > TILE)
            fit = fit / TILE * TILE; /* a tile that two blocks share is unpacked twice */
        *n = some < fit ? some : fit ? fit : 1;
    } else if (m->layout == CM_H5_CSR && some) {
        int code = read_offsets(m, first, some);
        if (code)
            return code;
        while (*n > 1 && (uint64_t)(m->ptr[*n] - m->ptr[0]) > BLOCK_MAX)
            --*n;
    }
    return *n > left ? cm_fail(CM_EBUG, "a block beyond the last row") : 0;
}

/* Sorts the entries of one row by column where they are not, and sums duplicates.  Returns how many
 * are left.  The sort is stable in file order, so that sums do not depend on it. */
static size_t tidy_row(struct cm_h5mat *m, uint32_t *idx, double *val, size_t n)
{
    bool sorted = true, strict = true;
    for (size_t i = 1; i < n; i++) {
        sorted = sorted && idx[i - 1] <= idx[i];
        strict = strict && idx[i - 1] < idx[i];
    }
    if (strict)
        return n;
    if (!sorted) { /* merge sort on (column, place) packed in one number would limit sizes; so: */
        CM_GROW(m->order, m->order_cap, 4 * n);
        uint64_t *a = m->order, *b = m->order + 2 * n;
        for (size_t i = 0; i < n; i++) {
            a[2 * i] = idx[i];
            memcpy(&a[2 * i + 1], &val[i], 8);
        }
        for (size_t width = 1; width < n; width *= 2) {
            for (size_t lo = 0; lo < n; lo += 2 * width) {
                size_t mid = lo + width < n ? lo + width : n;
                size_t hi = lo + 2 * width < n ? lo + 2 * width : n;
                size_t i = lo, j = mid;
                for (size_t k = lo; k < hi; k++) {
                    size_t from = j >= hi || (i < mid && a[2 * i] <= a[2 * j]) ? i++ : j++;
                    b[2 * k] = a[2 * from];
                    b[2 * k + 1] = a[2 * from + 1];
                }
            }
            uint64_t *swap = a;
            a = b;
            b = swap;
        }
        for (size_t i = 0; i < n; i++) {
            idx[i] = (uint32_t)a[2 * i];
            memcpy(&val[i], &a[2 * i + 1], 8);
        }
    }
    size_t kept = 0;
    for (size_t i = 0; i < n; i++) {
        if (kept && idx[kept - 1] == idx[i]) {
            val[kept - 1] += val[i];
            m->summed++;
        } else {
            idx[kept] = idx[i];
            val[kept++] = val[i];
        }
    }
    return kept;
}

static int tidy_rows(struct cm_h5mat *m, uint64_t first, struct cm_h5rows *r)
{
    uint64_t kept = 0, from = 0;
    widen(r, r->ptr[r->rows]);
    r->known = false;
    double *val = r->val;
    for (size_t i = 0; i < r->rows; i++) {
        size_t n = (size_t)(r->ptr[i + 1] - from);
        size_t left = tidy_row(m, r->idx + from, val + from, n);
        for (size_t k = 0; k < left; k++)
            if (!isfinite(val[from + k]))
                return bad_value(m, first + i, r->idx[from + k], val[from + k]);
        if (kept != from) {
            memmove(r->idx + kept, r->idx + from, left * sizeof *r->idx);
            memmove(val + kept, val + from, left * sizeof *val);
        }
        from += n;
        kept += left;
        r->ptr[i + 1] = kept;
    }
    return 0;
}

/* The columns one by one, for the message that the crew cannot give. */
static int bad_columns(struct cm_h5mat *m, uint64_t first, uint64_t at, const struct cm_h5rows *r)
{
    uint64_t items = r->ptr[r->rows];
    CM_GROW(m->whole, m->whole_cap, items);
    int code = cm_h5set_i64(&m->indices, at, items, m->whole);
    for (uint64_t i = 0, row = 0; !code && i < items; i++) {
        while (i >= r->ptr[row + 1])
            row++;
        if (m->whole[i] < 0 || (uint64_t)m->whole[i] >= m->cols)
            code = cm_fail(CM_EINPUT,
                           "%s: %s: row %" PRIu64 ": column %" PRId64 ", but there are %" PRIu64,
                           CM_H5_AT(&m->indices), first + row, m->whole[i], m->cols);
    }
    return code ? code
                : cm_fail(CM_EINPUT, "%s: %s: changed while it was read", CM_H5_AT(&m->indices));
}

/* Do the columns of every row ascend?  `falls` counts all places where they do not, also those
 * where a row begins, which do not matter. */
static bool ascend(const struct cm_h5rows *r, uint64_t falls)
{
    for (size_t i = 1; i < r->rows && falls; i++) {
        uint64_t e = r->ptr[i];
        falls -= e && e < r->ptr[i + 1] && r->idx[e] <= r->idx[e - 1];
    }
    return !falls;
}

/* Puts the entries of rows whose offsets are in m->ptr to work. */
static int begin_csr(struct cm_h5mat *m, uint64_t first, uint64_t n)
{
    uint64_t at = (uint64_t)m->ptr[0], items = (uint64_t)m->ptr[n] - at;
    struct cm_h5rows *r = &m->ahead.rows;
    CM_GROW(r->ptr, r->ptr_cap, n + 1);
    CM_GROW(r->idx, r->idx_cap, items + 1);
    values_capacity(r, cm_h5bulk_type(&m->data), items);
    r->rows = (size_t)n;
    for (uint64_t i = 0; i <= n; i++)
        r->ptr[i] = (uint64_t)m->ptr[i] - at;
    int code = cm_h5job_add(m->job, &m->indices, at, items, r->idx, &m->ahead.idx_facts);
    if (!code)
        code = cm_h5job_add(m->job, &m->data, at, items, r->val, &r->facts);
    cm_h5job_start(m->job); /* also after a failure: what was added counts as unpacked */
    m->ahead.first = first;
    m->ahead.n = n;
    m->ahead.busy = !code;
    if (code) {
        char text[CM_MESSAGE_MAX];
        snprintf(text, sizeof text, "%s", cm_error_message());
        cm_h5job_finish(m->job);
        return cm_fail(code, "%s", text);
    }
    return 0;
}

void cm_h5mat_ahead(struct cm_h5mat *m, uint64_t first, uint64_t n)
{
    if (m->layout == CM_H5_CSR && n && !m->ahead.busy && !read_offsets(m, first, n))
        begin_csr(m, first, n);
}

static int read_csr(struct cm_h5mat *m, uint64_t first, uint64_t n, struct cm_h5rows *out)
{
    int code = 0;
    if (m->ahead.busy && (m->ahead.first != first || m->ahead.n != n)) {
        cm_h5job_finish(m->job); /* begun in vain */
        m->ahead.busy = false;
    }
    if (!m->ahead.busy) {
        code = read_offsets(m, first, n);
        code = code ? code : begin_csr(m, first, n);
    }
    if (code)
        return code;
    m->ahead.busy = false;
    code = cm_h5job_finish(m->job);
    if (code)
        return code;
    struct cm_h5rows was = *out;
    *out = m->ahead.rows;
    m->ahead.rows = was;
    uint64_t items = out->ptr[n], at = 0;
    const struct cm_h5facts *f = &m->ahead.idx_facts;
    if (items && (f->unfit || f->max >= m->cols)) {
        code = read_offsets(m, first, 1);
        at = (uint64_t)m->ptr[0];
        return code ? code : bad_columns(m, first, at, out);
    }
    if (items && out->facts.unfit) {
        code = read_offsets(m, first, 1);
        at = (uint64_t)m->ptr[0];
        values_capacity(out, CM_V_F64, items);
        code = code ? code : read_values(m, at, items, out->val);
        return code ? code : tidy_rows(m, first, out);
    }
    out->known = true;
    return out->facts.infinite || !ascend(out, f->falls) ? tidy_rows(m, first, out) : 0;
}

static int read_dense(struct cm_h5mat *m, uint64_t first, uint64_t n, struct cm_h5rows *out)
{
    uint64_t items = n * m->cols;
    enum cm_value type = cm_h5bulk_type(&m->data);
    out->rows = (size_t)n;
    values_capacity(out, type, items);
    int code = cm_h5bulk_read(m->job, &m->data, first, n, out->val, &out->facts);
    if (!code && out->facts.unfit) {
        values_capacity(out, CM_V_F64, items);
        return read_values(m, first, n, out->val); /* whole numbers are finite */
    }
    if (!code && type == CM_V_U32)
        widen(out, items);
    out->known = !code;
    for (uint64_t i = 0; !code && out->facts.infinite && i < items; i++)
        if (!isfinite(cm_h5rows_at(out, i)))
            code = bad_value(m, first + i / m->cols, i % m->cols, cm_h5rows_at(out, i));
    return code;
}

/* The numbers of one column, exactly. */
static int read_number_column(struct cm_h5mat *m, const struct cm_h5set *s, uint64_t first,
                              uint64_t n, double *out)
{
    if (s->cls == CM_H5_FLOAT)
        return cm_h5set_f64(s, first, n, out);
    CM_GROW(m->whole, m->whole_cap, n);
    int code = cm_h5set_i64(s, first, n, m->whole);
    for (uint64_t i = 0; i < n && !code; i++) {
        if (m->whole[i] > EXACT_WHOLE || m->whole[i] < -EXACT_WHOLE)
            code = cm_fail(CM_EINPUT, "%s: %s: row %" PRIu64 ": a whole number beyond 2^53",
                           CM_H5_AT(s), first + i);
        out[i] = (double)m->whole[i];
    }
    return code;
}

static int read_columns(struct cm_h5mat *m, uint64_t first, uint64_t n, struct cm_h5rows *out)
{
    uint64_t items = n * m->cols;
    unsigned char *p = m->bulk;
    CM_GROW(p, m->bulk_cap, (size_t)(n + 1) * sizeof(double));
    m->bulk = p;
    const double *one = m->bulk;
    out->rows = (size_t)n;
    values_capacity(out, CM_V_F64, items);
    double *val = out->val;
    int code = 0;
    for (uint64_t j = 0; j < m->cols && !code; j++) {
        code = read_number_column(m, m->column[j], first, n, m->bulk);
        for (uint64_t i = 0; i < n && !code; i++) {
            if (!isfinite(one[i]))
                code = bad_value(m, first + i, j, one[i]);
            val[i * m->cols + j] = one[i];
        }
    }
    return code;
}

/* ===== turning CSC ======================================================================== */

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

static void turn_free(struct cm_h5transpose *t)
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

/* Pass 1: entries a row. */
static int turn_count(struct cm_h5mat *m, struct cm_h5transpose *t)
{
    int code = 0;
    t->begin = CM_ZNEW(uint64_t, m->rows + 1);
    uint32_t *row = CM_NEW(uint32_t, PIECE);
    for (uint64_t at = 0; at < m->nnz && !code; at += PIECE) {
        uint64_t n = m->nnz - at < PIECE ? m->nnz - at : PIECE;
        bool fits = true;
        code = bulk_numbers(m, at, n, m->rows, row, &fits);
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

static void turn_cut(struct cm_h5mat *m, struct cm_h5transpose *t)
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
    t->idx = CM_NEW(uint32_t, max);
    t->val = CM_NEW(double, max);
    t->cursor = CM_NEW(uint64_t, longest + 1);
    t->held = t->nbuckets;
}

static void turn_hold(struct cm_h5transpose *t, uint64_t b)
{
    uint64_t r0 = t->bucket[b], base = t->begin[r0];
    for (uint64_t r = r0; r < t->bucket[b + 1]; r++)
        t->cursor[r - r0] = t->begin[r] - base;
    t->held = b;
}

static void turn_place(struct cm_h5transpose *t, const struct entry *e)
{
    uint64_t at = t->cursor[e->row]++;
    t->idx[at] = e->col;
    t->val[at] = e->val;
}

/* Full buffers go to the file at their bucket's place, which is known from the counts. */
struct deal {
    struct entry *e; /* nbuckets x room */
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
            return cm_fail_errno(CM_ESYSTEM, "cannot write a temporary file in %s",
                                 getenv("TMPDIR") ? getenv("TMPDIR") : "/tmp");
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

/* Pass 2: entries in file order, to their place or to their bucket. */
static int turn_deal(struct cm_h5mat *m, struct cm_h5transpose *t, struct deal *d)
{
    int code = 0;
    int64_t *ptr = CM_NEW(int64_t, m->cols + 1);
    uint32_t *rows = CM_NEW(uint32_t, PIECE);
    double *val = CM_NEW(double, PIECE);
    code = read_offsets(m, 0, m->cols);
    if (!code)
        memcpy(ptr, m->ptr, (m->cols + 1) * sizeof *ptr);
    uint64_t col = 0;
    for (uint64_t at = 0; at < m->nnz && !code; at += PIECE) {
        uint64_t n = m->nnz - at < PIECE ? m->nnz - at : PIECE;
        bool fits = true;
        struct cm_h5facts facts;
        code = bulk_numbers(m, at, n, m->rows, rows, &fits);
        if (!code && !fits)
            code = cm_fail(CM_EINPUT, "%s: %s: changed while it was read", CM_H5_AT(&m->indices));
        if (!code)
            code = bulk_values(m, at, n, val, &facts);
        for (uint64_t i = 0; i < n && !code; i++) {
            while ((uint64_t)ptr[col + 1] <= at + i)
                col++;
            uint64_t row = rows[i], b = d ? bucket_of(t, row) : 0;
            struct entry e = {(uint32_t)(row - t->bucket[b]), (uint32_t)col, val[i]};
            if (!d)
                turn_place(t, &e);
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

static int turn_start(struct cm_h5mat *m)
{
    struct cm_h5transpose *t = m->turn = CM_ZNEW(struct cm_h5transpose, 1);
    int code = turn_count(m, t);
    if (code)
        return code;
    turn_cut(m, t);
    if (t->nbuckets <= 1) {
        if (t->nbuckets)
            turn_hold(t, 0);
        return turn_deal(m, t, NULL);
    }
    struct deal d = {.capacity = m->max_memory / 4 / t->nbuckets / sizeof(struct entry)};
    d.capacity = d.capacity < 64 ? 64 : d.capacity > 65536 ? 65536 : d.capacity;
    size_t capacity;
    if (cm_mul(d.capacity, t->nbuckets, &capacity))
        return cm_fail(CM_EINPUT, "%s: %s: too large for --max-memory", m->file, m->path);
    d.e = CM_NEW(struct entry, capacity);
    d.n = CM_ZNEW(uint64_t, t->nbuckets);
    d.done = CM_ZNEW(uint64_t, t->nbuckets);
    code = open_spill(t);
    if (!code)
        code = turn_deal(m, t, &d);
    cm_free(d.e);
    cm_free(d.n);
    cm_free(d.done);
    return code;
}

static int turn_load(struct cm_h5transpose *t, uint64_t b)
{
    uint64_t first = t->begin[t->bucket[b]], left = t->begin[t->bucket[b + 1]] - first;
    struct entry *e = CM_NEW(struct entry, 65536);
    int code = 0;
    turn_hold(t, b);
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
            turn_place(t, &e[i]);
    }
    cm_free(e);
    return code;
}

static int read_csc(struct cm_h5mat *m, uint64_t first, uint64_t n, struct cm_h5rows *out)
{
    int code = m->turn ? 0 : turn_start(m);
    if (code)
        return code;
    struct cm_h5transpose *t = m->turn;
    uint64_t items = t->begin[first + n] - t->begin[first], at = 0;
    CM_GROW(out->ptr, out->ptr_cap, n + 1);
    CM_GROW(out->idx, out->idx_cap, items + 1);
    values_capacity(out, CM_V_F64, items);
    double *val = out->val;
    out->rows = (size_t)n;
    out->ptr[0] = 0;
    for (uint64_t r = first; r < first + n && !code; r++) {
        uint64_t b = bucket_of(t, r);
        if (b != t->held)
            code = turn_load(t, b);
        uint64_t len = t->begin[r + 1] - t->begin[r];
        uint64_t from = t->begin[r] - t->begin[t->bucket[b]];
        memcpy(out->idx + at, t->idx + from, len * sizeof *out->idx);
        memcpy(val + at, t->val + from, len * sizeof *val);
        at += len;
        out->ptr[r - first + 1] = at;
    }
    return code ? code : tidy_rows(m, first, out);
}

/* Cells are columns of the dataset. */
static int read_transposed(struct cm_h5mat *m, uint64_t first, uint64_t n, struct cm_h5rows *out)
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
    values_capacity(out, CM_V_F64, items);
    double *val = out->val;
    out->rows = (size_t)n;
    out->ptr[0] = 0;
    for (uint64_t i = 0; i < n && !code; i++) {
        for (uint64_t j = 0; j < m->cols && !code; j++) {
            int64_t w = whole ? ((const int64_t *)m->bulk)[j * n + i] : 0;
            double v = whole ? (double)w : ((const double *)m->bulk)[j * n + i];
            if (!isfinite(v))
                code = bad_value(m, first + i, j, v);
            else if (w > EXACT_WHOLE || w < -EXACT_WHOLE)
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

int cm_h5mat_read(struct cm_h5mat *m, uint64_t first, uint64_t n, struct cm_h5rows *out)
{
    switch (m->layout) {
    case CM_H5_DENSE:
        return read_dense(m, first, n, out);
    case CM_H5_CSR:
        return read_csr(m, first, n, out);
    case CM_H5_COLUMNS:
        return read_columns(m, first, n, out);
    case CM_H5_TRANSPOSED:
        return read_transposed(m, first, n, out);
    default:
        return read_csc(m, first, n, out);
    }
}

/* ===== survey ============================================================================= */

static void look_at(struct cm_h5survey *out, const double *v, uint64_t n)
{
    for (uint64_t i = 0; i < n; i++) {
        out->whole = out->whole && v[i] == floor(v[i]);
        out->negative = out->negative || v[i] < 0;
        out->large = out->large || v[i] > 1;
        out->wide = out->wide || (double)(float)v[i] != v[i];
    }
}

static int survey_columns(struct cm_h5mat *m, struct cm_h5survey *out)
{
    struct cm_h5rows r = {0};
    int code = 0;
    for (uint64_t at = 0, n; at < m->rows && m->cols && !code; at += n) {
        code = cm_h5mat_step(m, at, PIECE, &n);
        code = code ? code : read_columns(m, at, n, &r);
        if (!code)
            look_at(out, r.val, n * m->cols);
        if (!out->whole && out->wide)
            break;
    }
    cm_h5rows_free(&r);
    return code;
}

int cm_h5mat_survey(struct cm_h5mat *m, struct cm_h5survey *out)
{
    *out = (struct cm_h5survey){.whole = true};
    const struct cm_h5set *s = &m->data;
    if (m->layout == CM_H5_COLUMNS)
        return survey_columns(m, out);
    bool may_be_wide = s->size > (s->cls == CM_H5_FLOAT ? 4 : 2);
    int code = 0;
    if (s->cls == CM_H5_BOOL || (!s->is_signed && s->size <= 2)) {
        out->large = s->cls != CM_H5_BOOL;
        return 0;
    }
    uint64_t across = m->data.cols ? m->data.cols : 1, step = 4 * PIECE / across;
    step = step ? step : 1;
    double *v = CM_NEW(double, step *across);
    for (uint64_t at = 0; at < s->rows && !code; at += step) {
        uint64_t n = s->rows - at < step ? s->rows - at : step;
        struct cm_h5facts f;
        code = cm_h5bulk_read(m->job, &m->data, at, n, v, &f);
        if (!code && (f.unfit || f.max > 1u << 24)) /* what u32 does not tell */
            code = bulk_values(m, at, n, v, &f);
        out->whole = out->whole && !f.fraction;
        out->negative = out->negative || f.negative;
        out->large = out->large || f.unfit || f.max > 1 || f.largest > 1;
        out->wide = out->wide || f.wide;
        if (!out->whole && (out->wide || !may_be_wide))
            break;
    }
    cm_free(v);
    return code;
}
