/* format/hdf5/matrix.h - a matrix in an HDF5 file, read in ranges of cells.
 *
 * X may be dense, CSR, CSC, or CSC of features x cells (10x), with indices of any width, unsorted,
 * with duplicates, and larger than memory.  Rows (cells) come out as CSR and are checked on the
 * way: offsets never fall, columns lie inside, values are finite; rows are sorted, duplicates
 * summed; explicit zeros stay, because they are stored entries.  CSC is transposed by a counting
 * sort within max_memory, through a temporary file of buckets of rows when it does not fit.
 * Rejected: reading CSC once for every block of rows, which takes hours on real files.
 *
 * Memory: CSR and dense O(block); CSC: 12 bytes an entry of the rows held at once (all of them if
 * that is at most max_memory) and 16 bytes a row.
 */
#ifndef CM_FORMAT_HDF5_MATRIX_H
#define CM_FORMAT_HDF5_MATRIX_H

#include "format/hdf5/values.h"

/* Opens the matrix at `path`: a dense dataset (features x cells with layout CM_H5_TRANSPOSED) or
 * a group of data, indices, indptr.  rows and cols: what obs and var say; the matrix must
 * agree.  layout: of a group that does not state its own (10x: CM_H5_CSR although it calls itself
 * CSC, because its columns are the cells), -1 = find out. */
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

/* Lets other threads start on the rows that cm_h5mat_read will be asked for after those that were
 * started before; true if they did.  A hint; errors are reported by that call. */
bool cm_h5mat_ahead(struct cm_h5mat *m, uint64_t first, uint64_t n);

/* What the values are: one pass over them, which ends as soon as a fraction was seen and `wide` is
 * known; `negative` and `large` then hold for the values seen so far. */
struct cm_h5survey {
    bool whole;    /* all values are whole numbers */
    bool negative; /* some value is below zero */
    bool large;    /* some value is above one */
    bool wide;     /* some value is not exactly a float */
};
int cm_h5mat_survey(struct cm_h5mat *m, struct cm_h5survey *out);

#endif
