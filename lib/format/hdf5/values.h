/* format/hdf5/values.h - a matrix in HDF5: its parts, and reading values, numbers and offsets. */
#ifndef CM_FORMAT_HDF5_VALUES_H
#define CM_FORMAT_HDF5_VALUES_H

#include "format/hdf5/bulk.h"

/* TRANSPOSED: dense, but features x cells; its rows come out as CSR without zeros. */
enum cm_h5layout { CM_H5_DENSE, CM_H5_CSR, CM_H5_CSC, CM_H5_TRANSPOSED, CM_H5_COLUMNS };

struct cm_h5transpose; /* the state of a CSC being transposed */

/* Some rows.  Dense: val = rows x cols, ptr and idx unused.  The values are of one type: u32, f32
 * or f64, the narrowest that the dataset's own type asks for; f64 if that does not suffice. */
struct cm_h5rows {
    size_t rows;
    uint64_t *ptr; /* rows + 1, ptr[0] = 0 */
    uint32_t *idx;
    enum cm_value type;
    void *val;
    bool known; /* facts holds for the values */
    struct cm_h5facts facts;
    size_t ptr_cap, idx_cap, val_cap; /* val_cap in bytes */
};
void cm_h5rows_free(struct cm_h5rows *r);
static inline double cm_h5rows_at(const struct cm_h5rows *r, uint64_t e)
{
    return r->type == CM_V_U32   ? (double)((const uint32_t *)r->val)[e]
           : r->type == CM_V_F32 ? (double)((const float *)r->val)[e]
                                 : ((const double *)r->val)[e];
}

struct cm_h5mat {
    char *path, *file;
    enum cm_h5layout layout;
    uint64_t rows, cols; /* cells, features */
    uint64_t nnz;        /* stored entries; dense: rows * cols */
    struct cm_h5set data, indices, indptr;
    const struct cm_h5set **column; /* CM_H5_COLUMNS: cols borrowed ones; `data` is unused then */
    uint64_t max_memory;
    struct cm_h5transpose *transpose;
    struct cm_h5job *job;
    struct cm_h5ahead {
        uint64_t first, n;
        struct cm_h5rows rows; /* idx and val in the making */
        struct cm_h5facts idx_facts;
    } ahead[CM_H5_BATCHES]; /* a ring, as the batches of the job: nahead of them from `oldest` on */
    size_t oldest, nahead;
    /* scratch of one read */
    int64_t *ptr, *whole;
    float *single;
    uint64_t *order;
    void *bulk;
    size_t ptr_cap, whole_cap, single_cap, order_cap, bulk_cap;
    uint64_t summed; /* duplicates summed so far */
};

#define CM_H5_EXACT_WHOLE ((int64_t)1 << 53) /* beyond it doubles skip whole numbers */

/* Rows first .. first + n - 1 of the dataset of values as doubles; exact, or CM_EINPUT. */
int cm_h5mat_values(struct cm_h5mat *m, uint64_t first, uint64_t n, double *out);
/* The same, unpacked by the threads of bulk.h where the values allow it. */
int cm_h5mat_bulk_values(struct cm_h5mat *m, uint64_t first, uint64_t n, double *out,
                         struct cm_h5facts *facts);
/* Column or row numbers of entries.  One that is not below `limit` is reported by the caller, who
 * knows what it means: *fits is false and `out` undefined. */
int cm_h5mat_bulk_numbers(struct cm_h5mat *m, uint64_t first, uint64_t n, uint64_t limit,
                          uint32_t *out, bool *fits);
/* Offsets of major positions first .. first + n (n + 1 items) into m->ptr, checked. */
int cm_h5mat_offsets(struct cm_h5mat *m, uint64_t first, uint64_t n);
int cm_h5mat_bad_value(const struct cm_h5mat *m, uint64_t row, uint64_t col, double v);

/* Makes room for the values of `items` entries of a type. */
void cm_h5rows_capacity(struct cm_h5rows *r, enum cm_value type, uint64_t items);
/* The values as doubles, whatever they were. */
void cm_h5rows_widen(struct cm_h5rows *r, uint64_t items);
/* Sorts every row by column, sums duplicates, refuses values that are not finite. */
int cm_h5mat_tidy(struct cm_h5mat *m, uint64_t first, struct cm_h5rows *r);

/* Rows of a layout; see cm_h5mat_read. */
int cm_h5mat_read_csr(struct cm_h5mat *m, uint64_t first, uint64_t n, struct cm_h5rows *out);
int cm_h5mat_read_csc(struct cm_h5mat *m, uint64_t first, uint64_t n, struct cm_h5rows *out);
int cm_h5mat_read_transposed(struct cm_h5mat *m, uint64_t first, uint64_t n, struct cm_h5rows *out);
void cm_h5transpose_free(struct cm_h5transpose *t); /* NULL allowed */

#endif
