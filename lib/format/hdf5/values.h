/* format/hdf5/values.h - what the files of matrix.h share; for no one else. */
#ifndef CM_FORMAT_HDF5_VALUES_H
#define CM_FORMAT_HDF5_VALUES_H

#include "format/hdf5/matrix.h"

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
