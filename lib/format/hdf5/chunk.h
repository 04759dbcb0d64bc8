/* format/hdf5/chunk.h - chunks of a dataset as they stand in the file. */
#ifndef CM_FORMAT_HDF5_CHUNK_H
#define CM_FORMAT_HDF5_CHUNK_H

#include "format/hdf5/dataset.h"

/* CM_EINPUT: the chunk with this first item is damaged. */
int cm_h5chunk_damaged(const struct cm_h5set *s, const uint64_t *where);
/* Fails if a gzip chunk of these rows unpacks to less than a chunk: libhdf5 1.10 would read beyond
 * its end.  For what libhdf5 is to read; each chunk is checked once. */
int cm_h5chunk_check(const struct cm_h5set *s, uint64_t first, uint64_t n);

#endif
