/* format/hdf5/chunk.h - chunks of a dataset as they stand in the file, and unpacking them. */
#ifndef CM_FORMAT_HDF5_CHUNK_H
#define CM_FORMAT_HDF5_CHUNK_H

#include "base/gzin.h"
#include "format/hdf5/dataset.h"

#define CM_H5_CHUNK_MAX ((uint64_t)4 << 20) /* bytes; a larger one is left to libhdf5 */

/* How a dataset is cut into chunks, and what was done to their bytes. */
struct cm_h5chunks {
    uint64_t rows, cols; /* items of a chunk; rows = 0: not chunked */
    bool plain;          /* no filter but shuffle and gzip, each at most once, in this order */
    bool shuffle, gzip;
    unsigned shuffle_bit, gzip_bit; /* their places in the pipeline, for filter masks */
};
void cm_h5chunks_of(struct cm_h5chunks *c, const struct cm_h5set *s);

/* Memory of a thread that unpacks.  Zero-initialise. */
struct cm_h5unpacker {
    struct cm_inflater *z;
    unsigned char *a, *b;
    size_t a_cap, b_cap;
};
void cm_h5unpacker_free(struct cm_h5unpacker *u);

/* A stored chunk: n bytes at p.  Its unpacked bytes (`bytes` of them, items of `item` bytes), in
 * `to` or, where that is NULL, in p or u until the next call; NULL if there are not exactly so
 * many.  mask: the filters that were left out. */
const unsigned char *cm_h5chunk_unpack(const struct cm_h5chunks *c, struct cm_h5unpacker *u,
                                       const unsigned char *p, size_t n, unsigned mask, size_t item,
                                       size_t bytes, unsigned char *to);

/* CM_EINPUT: the chunk with this first item is damaged, or cannot be read. */
int cm_h5chunk_damaged(const struct cm_h5set *s, uint64_t first);
int cm_h5chunk_unread(const struct cm_h5set *s, uint64_t first);
/* Fails if a gzip chunk of these rows unpacks to less than a chunk: libhdf5 1.10 would read beyond
 * its end.  For what libhdf5 is to read; each chunk is checked once. */
int cm_h5chunk_check(const struct cm_h5set *s, uint64_t first, uint64_t n);

#endif
