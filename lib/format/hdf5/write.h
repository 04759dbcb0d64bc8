/* format/hdf5/write.h - writing .h5ad files for anndata 0.8 and later.
 *
 * A stream of unknown length becomes one file that anndata reads in memory and backed, the same,
 * byte for byte, for the same stream: today's plain encodings (csr_matrix, dataframe 0.2.0,
 * string-array; nullable groups only where values are missing), extendible datasets for X filled
 * block by block, names and labels at the end, no time stamps.
 *
 * Memory: a block, and of every row its name, its labels and 8 bytes.
 */
#ifndef CM_FORMAT_HDF5_WRITE_H
#define CM_FORMAT_HDF5_WRITE_H

#include "format/hdf5/put.h"
#include "stream/cms.h"

struct cm_h5_write_want {
    enum cm_h5_pack pack;
    const char *dataset_id, *method_id; /* NULL = from the head's h5.dataset_id, or none */
    uint64_t index_max; /* largest number that 32-bit offsets hold; 0 = 2^31 - 1 (for tests) */
};

struct cm_h5_write;

/* Creates `path` (whatever is there is replaced); `name` stands in messages.  h: kind matrix,
 * embedding or match with one slot.  0, CM_EINPUT (names that AnnData cannot hold), CM_ESYSTEM. */
int cm_h5_write_create(struct cm_h5_write **h5ad, const char *path, const char *name,
                       const struct cm_head *h, const struct cm_h5_write_want *want);
/* Appends rows: CSR or dense as the head says.  h: the reader's head, whose dictionaries grow. */
int cm_h5_write_chunk(struct cm_h5_write *h5ad, struct cm_chunk *c, const struct cm_head *h);
/* Offsets, obs, var, uns; flushes and closes.  The file is complete when this returns 0. */
int cm_h5_write_finish(struct cm_h5_write *h5ad, const struct cm_head *h);
void cm_h5_write_free(struct cm_h5_write *h5ad); /* NULL allowed; closes what is open */

#endif
