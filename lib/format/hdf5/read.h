/* format/hdf5/read.h - ranges of a dataset as numbers, read by libhdf5. */
#ifndef CM_FORMAT_HDF5_READ_H
#define CM_FORMAT_HDF5_READ_H

#include "format/hdf5/dataset.h"

/* Rows first .. first + n - 1 (n * cols items) as a native type.  The range must lie inside. */
int cm_h5set_read(const struct cm_h5set *s, uint64_t first, uint64_t n, hid_t native, void *out);
/* The same of columns first .. first + n - 1 of a dataset of rank 2: rows x n items. */
int cm_h5set_read_cols(const struct cm_h5set *s, uint64_t first, uint64_t n, hid_t native,
                       void *out);
int cm_h5set_i64(const struct cm_h5set *s, uint64_t first, uint64_t n, int64_t *out);
int cm_h5set_f64(const struct cm_h5set *s, uint64_t first, uint64_t n, double *out);
/* Steps of a read, also of text.h.  CM_EINPUT for a range that is not inside; *file and *mem are
 * dataspaces that the caller closes. */
int cm_h5set_select(const struct cm_h5set *s, uint64_t first, uint64_t n, hid_t *file, hid_t *mem);
/* The native type itself, or a compound that picks the member; the caller closes it. */
hid_t cm_h5set_memory_type(const struct cm_h5set *s, hid_t native);
int cm_h5set_read_failed(const struct cm_h5set *s, uint64_t first, uint64_t n);
int cm_h5set_need_number(const struct cm_h5set *s); /* 0, or CM_EINPUT naming what is there */

#endif
