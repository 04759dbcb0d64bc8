/* format/hdf5/csr.c - rows of a CSR matrix; the next ones are unpacked while the last are used. */
#include "format/hdf5/matrix.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/error.h"
#include "base/mem.h"

/* Reads the columns again, one by one, to report which is wrong. */
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

/* Do the columns of every row ascend?  `falls` counts all places where they do not, including the
 * starts of rows, which do not matter. */
static bool ascend(const struct cm_h5rows *r, uint64_t falls)
{
    for (size_t i = 1; i < r->rows && falls; i++) {
        uint64_t e = r->ptr[i];
        falls -= e && e < r->ptr[i + 1] && r->idx[e] <= r->idx[e - 1];
    }
    return !falls;
}

/* Starts unpacking the rows whose offsets are in m->ptr. */
static int begin_csr(struct cm_h5mat *m, uint64_t first, uint64_t n)
{
    uint64_t at = (uint64_t)m->ptr[0], items = (uint64_t)m->ptr[n] - at;
    struct cm_h5rows *r = &m->ahead.rows;
    CM_GROW(r->ptr, r->ptr_cap, n + 1);
    CM_GROW(r->idx, r->idx_cap, items + 1);
    cm_h5rows_capacity(r, cm_h5bulk_type(&m->data), items);
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
    if (m->layout == CM_H5_CSR && n && !m->ahead.busy && !cm_h5mat_offsets(m, first, n))
        begin_csr(m, first, n);
}

int cm_h5mat_read_csr(struct cm_h5mat *m, uint64_t first, uint64_t n, struct cm_h5rows *out)
{
    int code = 0;
    if (m->ahead.busy && (m->ahead.first != first || m->ahead.n != n)) {
        cm_h5job_finish(m->job); /* for nothing: other rows are wanted */
        m->ahead.busy = false;
    }
    if (!m->ahead.busy) {
        code = cm_h5mat_offsets(m, first, n);
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
        code = cm_h5mat_offsets(m, first, 1);
        at = (uint64_t)m->ptr[0];
        return code ? code : bad_columns(m, first, at, out);
    }
    if (items && out->facts.unfit) {
        code = cm_h5mat_offsets(m, first, 1);
        at = (uint64_t)m->ptr[0];
        cm_h5rows_capacity(out, CM_V_F64, items);
        code = code ? code : cm_h5mat_values(m, at, items, out->val);
        return code ? code : cm_h5mat_tidy(m, first, out);
    }
    out->known = true;
    return out->facts.infinite || !ascend(out, f->falls) ? cm_h5mat_tidy(m, first, out) : 0;
}
