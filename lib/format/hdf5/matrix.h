/* format/hdf5/matrix.h - a matrix inside an HDF5 file, read in ranges of cells.
 *
 * Problem: X may be dense, CSR, CSC, or CSC of features x cells (10x); indices of any width, not
 * sorted, with duplicates; files larger than memory.  Choice: one reader that hands out rows
 * (cells) as CSR, checked as it goes: offsets never fall, columns lie inside, values are finite;
 * rows are sorted and duplicates summed; explicit zeros stay, because they are
 * stored entries of the file.  CSC is transposed by a counting sort within `max_memory`, through a
 * temporary file of buckets of rows when it does not fit.  Rejected: reading CSC once for every
 * block of rows, which takes hours on real files.
 *
 * Memory: CSR and dense O(block); CSC: 12 bytes an entry of the rows held at once (all of them if
 * that is at most max_memory) and 16 bytes a row.
 */
#ifndef CM_FORMAT_HDF5_MATRIX_H
#define CM_FORMAT_HDF5_MATRIX_H

#include "format/hdf5/bulk.h"
#include "format/hdf5/dataset.h"

/* TRANSPOSED: dense, but features x cells; its rows come out as CSR without zeros. */
enum cm_h5layout { CM_H5_DENSE, CM_H5_CSR, CM_H5_CSC, CM_H5_TRANSPOSED, CM_H5_COLUMNS };

struct cm_h5transpose; /* the state of a CSC being transposed */

/* Some rows.  Dense: val = rows x cols, ptr and idx unused.  The values are of one type: u32, f32
 * or f64, the narrowest that the dataset's own type asks for; f64 where that was not enough. */
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
    const struct cm_h5set **column; /* CM_H5_COLUMNS: cols of them, borrowed; then `data` is none */
    uint64_t max_memory;
    struct cm_h5transpose *transpose;
    struct cm_h5job *job;
    struct {
        bool busy;
        uint64_t first, n;
        struct cm_h5rows rows; /* idx and val in the making */
        struct cm_h5facts idx_facts;
    } ahead;
    /* scratch of one read */
    int64_t *ptr, *whole;
    float *single;
    uint64_t *order;
    void *bulk;
    size_t ptr_cap, whole_cap, single_cap, order_cap, bulk_cap;
    uint64_t summed; /* duplicates summed so far */
};

/* Opens the matrix at `path`: a dense dataset (features x cells with layout CM_H5_TRANSPOSED) or a
 * group of data, indices, indptr.  rows and cols:
 * what obs and var say; the matrix must agree.  layout: of a group that does not say itself (10x:
 * CM_H5_CSR although it calls itself CSC, because its columns are the cells), -1 = find out. */
int cm_h5mat_open(struct cm_h5mat *m, struct cm_h5 *h, const char *path, uint64_t rows,
                  uint64_t cols, int layout, uint64_t max_memory);
/* A dense matrix whose columns are datasets of their own (the columns of a table at `path`): cols
 * borrowed ones of `rows` numbers.  The array of pointers is taken over. */
int cm_h5mat_open_columns(struct cm_h5mat *m, const struct cm_h5 *h, const char *path,
                          uint64_t rows, const struct cm_h5set **column, uint64_t cols);
void cm_h5mat_close(struct cm_h5mat *m);
static inline bool cm_h5mat_is_dense(const struct cm_h5mat *m)
{
    return m->layout == CM_H5_DENSE || m->layout == CM_H5_COLUMNS;
}

/* How many rows to read at once: at most `max`, fewer where rows are long.  Depends on the file
 * alone.  0 or CM_EINPUT. */
int cm_h5mat_step(struct cm_h5mat *m, uint64_t first, uint64_t max, uint64_t *n);

/* Rows first .. first + n - 1.  For CSC the calls must go through the rows in order. */
int cm_h5mat_read(struct cm_h5mat *m, uint64_t first, uint64_t n, struct cm_h5rows *out);

/* Lets other threads begin with rows that cm_h5mat_read will be asked for next.  A hint: what is
 * wrong with them is said then. */
void cm_h5mat_ahead(struct cm_h5mat *m, uint64_t first, uint64_t n);

/* What the values are: one pass over them, which ends as soon as a fraction was seen and `wide` is
 * known; `negative` and `large` then tell of those that were looked at. */
struct cm_h5survey {
    bool whole;    /* all values are whole numbers */
    bool negative; /* some value is below zero */
    bool large;    /* some value is above one */
    bool wide;     /* some value is not exactly a float */
};
int cm_h5mat_survey(struct cm_h5mat *m, struct cm_h5survey *out);

#endif
