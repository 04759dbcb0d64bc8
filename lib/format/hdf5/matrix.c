/* format/hdf5/matrix.c - a matrix in HDF5, whatever its layout: opening, dense rows, survey. */
#include "format/hdf5/matrix.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "format/hdf5/attr.h"

#define PIECE     ((uint64_t)262144)  /* entries read at once in a pass */
#define BLOCK_MAX ((uint64_t)4 << 20) /* entries of a block beyond which blocks get fewer rows */
#define TILE      ((uint64_t)64)      /* chunks of loom files are 64 x 64 */

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

/* The layout, by the group's attributes or the length of indptr. */
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
    /* what callers ask of `data` without reading it */
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

void cm_h5mat_close(struct cm_h5mat *m)
{
    cm_h5transpose_free(m->transpose);
    cm_h5job_free(m->job); /* before the memory that it writes to */
    for (size_t k = 0; k < CM_H5_BATCHES; k++)
        cm_h5rows_free(&m->ahead[k].rows);
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

/* ===== rows of every layout =============================================================== */

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
        int code = cm_h5mat_offsets(m, first, some);
        if (code)
            return code;
        while (*n > 1 && (uint64_t)(m->ptr[*n] - m->ptr[0]) > BLOCK_MAX)
            --*n;
    }
    return *n > left ? cm_fail(CM_EBUG, "a block beyond the last row") : 0;
}

static int read_dense(struct cm_h5mat *m, uint64_t first, uint64_t n, struct cm_h5rows *out)
{
    uint64_t items = n * m->cols;
    enum cm_value type = cm_h5bulk_type(&m->data);
    out->rows = (size_t)n;
    cm_h5rows_capacity(out, type, items);
    int code = cm_h5bulk_read(m->job, &m->data, first, n, out->val, &out->facts);
    if (!code && out->facts.unfit) {
        cm_h5rows_capacity(out, CM_V_F64, items);
        return cm_h5mat_values(m, first, n, out->val); /* whole numbers are finite */
    }
    if (!code && type == CM_V_U32)
        cm_h5rows_widen(out, items);
    out->known = !code;
    for (uint64_t i = 0; !code && out->facts.infinite && i < items; i++)
        if (!isfinite(cm_h5rows_at(out, i)))
            code = cm_h5mat_bad_value(m, first + i / m->cols, i % m->cols, cm_h5rows_at(out, i));
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
        if (m->whole[i] > CM_H5_EXACT_WHOLE || m->whole[i] < -CM_H5_EXACT_WHOLE)
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
    cm_h5rows_capacity(out, CM_V_F64, items);
    double *val = out->val;
    int code = 0;
    for (uint64_t j = 0; j < m->cols && !code; j++) {
        code = read_number_column(m, m->column[j], first, n, m->bulk);
        for (uint64_t i = 0; i < n && !code; i++) {
            if (!isfinite(one[i]))
                code = cm_h5mat_bad_value(m, first + i, j, one[i]);
            val[i * m->cols + j] = one[i];
        }
    }
    return code;
}

int cm_h5mat_read(struct cm_h5mat *m, uint64_t first, uint64_t n, struct cm_h5rows *out)
{
    switch (m->layout) {
    case CM_H5_DENSE:
        return read_dense(m, first, n, out);
    case CM_H5_CSR:
        return cm_h5mat_read_csr(m, first, n, out);
    case CM_H5_COLUMNS:
        return read_columns(m, first, n, out);
    case CM_H5_TRANSPOSED:
        return cm_h5mat_read_transposed(m, first, n, out);
    default:
        return cm_h5mat_read_csc(m, first, n, out);
    }
}

/* ===== survey ============================================================================= */

static void add_values(struct cm_h5survey *out, const double *v, uint64_t n)
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
            add_values(out, r.val, n * m->cols);
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
    double *v = CM_NEW(step * across, double);
    for (uint64_t at = 0; at < s->rows && !code; at += step) {
        uint64_t n = s->rows - at < step ? s->rows - at : step;
        struct cm_h5facts f;
        code = cm_h5bulk_read(m->job, &m->data, at, n, v, &f);
        if (!code && (f.unfit || f.max > 1u << 24)) /* the facts of u32 do not suffice */
            code = cm_h5mat_bulk_values(m, at, n, v, &f);
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
