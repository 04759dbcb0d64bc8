/* format/hdf5/values.c - values, column numbers and offsets of a matrix in HDF5.
 *
 * Offsets are read for the rows of a block alone and checked there.  Values pass as u32, f32 or
 * f64: every float and every whole number below 2^53 survives; a larger whole number is an error,
 * never a rounding.
 */
#include "format/hdf5/values.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

void cm_h5rows_free(struct cm_h5rows *r)
{
    cm_free(r->ptr);
    cm_free(r->idx);
    cm_free(r->val);
    *r = (struct cm_h5rows){0};
}

/* Rows first .. first + n - 1 of the dataset of values as doubles; exact or an error. */
int cm_h5mat_values(struct cm_h5mat *m, uint64_t first, uint64_t n, double *out)
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
        if (v > CM_H5_EXACT_WHOLE || v < -CM_H5_EXACT_WHOLE)
            code = cm_fail(CM_EINPUT, "%s: %s: item %" PRIu64 ": a whole number beyond 2^53",
                           CM_H5_AT(&m->data), first * m->data.cols + i);
        out[i] = (double)v;
    }
    return code;
}

int cm_h5mat_bad_value(const struct cm_h5mat *m, uint64_t row, uint64_t col, double v)
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
void cm_h5rows_capacity(struct cm_h5rows *r, enum cm_value type, uint64_t items)
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
void cm_h5rows_widen(struct cm_h5rows *r, uint64_t items)
{
    struct cm_h5rows w = {0};
    if (r->type == CM_V_F64)
        return;
    cm_h5rows_capacity(&w, CM_V_F64, items);
    for (uint64_t e = 0; e < items; e++)
        ((double *)w.val)[e] = cm_h5rows_at(r, e);
    cm_free(r->val);
    r->val = w.val;
    r->val_cap = w.val_cap;
    r->type = CM_V_F64;
}

/* Rows of the dataset of values as doubles, unpacked by several threads where the values allow
 * it. */
int cm_h5mat_bulk_values(struct cm_h5mat *m, uint64_t first, uint64_t n, double *out,
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
        code = cm_h5mat_values(m, first, n, out);
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
int cm_h5mat_bulk_numbers(struct cm_h5mat *m, uint64_t first, uint64_t n, uint64_t limit,
                          uint32_t *out, bool *fits)
{
    struct cm_h5facts f;
    int code = cm_h5bulk_read(m->job, &m->indices, first, n, out, &f);
    *fits = !f.unfit && (!n || f.max < limit);
    return code;
}

/* Offsets of major positions first .. first + n (n + 1 items) into m->ptr, checked. */
int cm_h5mat_offsets(struct cm_h5mat *m, uint64_t first, uint64_t n)
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

/* Sorts the entries of one row by column where they are not, and sums duplicates.  Returns how
 * many remain.  The sort is stable in file order, so that sums do not depend on it. */
static size_t tidy_row(struct cm_h5mat *m, uint32_t *idx, double *val, size_t n)
{
    bool sorted = true, strict = true;
    for (size_t i = 1; i < n; i++) {
        sorted = sorted && idx[i - 1] <= idx[i];
        strict = strict && idx[i - 1] < idx[i];
    }
    if (strict)
        return n;
    if (!sorted) { /* merge sort of pairs (column, bits of the value) */
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

int cm_h5mat_tidy(struct cm_h5mat *m, uint64_t first, struct cm_h5rows *r)
{
    uint64_t kept = 0, from = 0;
    cm_h5rows_widen(r, r->ptr[r->rows]);
    r->known = false;
    double *val = r->val;
    for (size_t i = 0; i < r->rows; i++) {
        size_t n = (size_t)(r->ptr[i + 1] - from);
        size_t left = tidy_row(m, r->idx + from, val + from, n);
        for (size_t k = 0; k < left; k++)
            if (!isfinite(val[from + k]))
                return cm_h5mat_bad_value(m, first + i, r->idx[from + k], val[from + k]);
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
