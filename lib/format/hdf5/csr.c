/* format/hdf5/csr.c - rows of a CSR matrix; the next ones are unpacked while the last are used. */
#include "format/hdf5/matrix.h"

#include <inttypes.h>

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
    struct cm_h5ahead *a = &m->ahead[(m->oldest + m->nahead) % CM_H5_BATCHES];
    struct cm_h5rows *r = &a->rows;
    CM_GROW(r->ptr, r->ptr_cap, n + 1);
    CM_GROW(r->idx, r->idx_cap, items + 1);
    cm_h5rows_capacity(r, cm_h5bulk_type(&m->data), items);
    r->rows = (size_t)n;
    for (uint64_t i = 0; i <= n; i++)
        r->ptr[i] = (uint64_t)m->ptr[i] - at;
    a->first = first;
    a->n = n;
    int code = cm_h5job_add(m->job, &m->indices, at, items, r->idx, &a->idx_facts);
    if (!code)
        code = cm_h5job_add(m->job, &m->data, at, items, r->val, &r->facts);
    if (code) {
        cm_h5job_drop(m->job);
        return code;
    }
    cm_h5job_start(m->job);
    m->nahead++;
    return 0;
}

bool cm_h5mat_ahead(struct cm_h5mat *m, uint64_t first, uint64_t n)
{
    return m->layout == CM_H5_CSR && n && m->nahead < CM_H5_BATCHES &&
           !cm_h5mat_offsets(m, first, n) && !begin_csr(m, first, n);
}

/* Waits for the oldest rows that were started. */
static int finish_csr(struct cm_h5mat *m, struct cm_h5ahead **a)
{
    *a = &m->ahead[m->oldest];
    m->oldest = (m->oldest + 1) % CM_H5_BATCHES;
    m->nahead--;
    return cm_h5job_finish(m->job);
}

/* Reads the rows whose entries are from `at` on once more, by libhdf5: some value is no u32. */
static int read_again(struct cm_h5mat *m, uint64_t first, uint64_t at, struct cm_h5rows *out)
{
    uint64_t items = out->ptr[out->rows];
    cm_h5rows_capacity(out, CM_V_F64, items);
    int code = cm_h5mat_values(m, at, items, out->val);
    return code ? code : cm_h5mat_tidy(m, first, out);
}

int cm_h5mat_read_csr(struct cm_h5mat *m, uint64_t first, uint64_t n, struct cm_h5rows *out)
{
    int code = 0;
    struct cm_h5ahead *a = &m->ahead[m->oldest];
    if (m->nahead && (a->first != first || a->n != n))
        while (m->nahead)
            finish_csr(m, &a); /* for nothing: other rows are wanted */
    if (!m->nahead) {
        code = cm_h5mat_offsets(m, first, n);
        code = code ? code : begin_csr(m, first, n);
    }
    code = code ? code : finish_csr(m, &a);
    if (code)
        return code;
    struct cm_h5rows was = *out;
    *out = a->rows;
    a->rows = was;
    uint64_t items = out->ptr[n];
    bool bad_column = items && (a->idx_facts.unfit || a->idx_facts.max >= m->cols);
    if (bad_column || (items && out->facts.unfit)) {
        code = cm_h5mat_offsets(m, first, 1);
        return code         ? code
               : bad_column ? bad_columns(m, first, (uint64_t)m->ptr[0], out)
                            : read_again(m, first, (uint64_t)m->ptr[0], out);
    }
    out->known = true;
    return out->facts.infinite || !ascend(out, a->idx_facts.falls) ? cm_h5mat_tidy(m, first, out)
                                                                   : 0;
}
