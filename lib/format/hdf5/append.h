/* format/hdf5/append.h - adding an embedding or a match to a copy of an .h5ad file.
 *
 * Problem: results belong beside the cells they were made from.  Choice: BASE is copied byte for
 * byte and the copy gets new elements: obsm/KEY of an embedding, the obs columns KEY_partner,
 * KEY_probability (missing where the match holds no probabilities; similarities and weights have a
 * column of that name) and KEY_rank of a match; rows are joined by cell name, whatever their order.
 * An element of the same name is replaced.  Rejected: changing BASE itself (a failure would damage
 * it).
 *
 * Memory: the names of BASE, and of every cell of it the new values.
 */
#ifndef CM_FORMAT_HDF5_APPEND_H
#define CM_FORMAT_HDF5_APPEND_H

#include "format/hdf5/write.h"

struct cm_h5append;

/* base: an .h5ad of anndata 0.7 or later; path: the copy (whatever is there is replaced); name,
 * key: for messages and elements.  h: kind embedding (dense) or match.  from, width: the columns
 * of the embedding that are written (its part e, or all). */
int cm_h5append_create(struct cm_h5append **x, const char *base, const char *path, const char *name,
                       const char *key, const struct cm_head *h, size_t from, size_t width);
/* Takes rows.  CM_EINPUT for a cell that BASE does not have or that came before. */
int cm_h5append_chunk(struct cm_h5append *x, struct cm_chunk *c, const struct cm_head *h);
/* Writes.  An embedding must have had a row for every cell of BASE (CM_EINPUT, naming the first
 * without); cells without a match have an empty partner and missing numbers. */
int cm_h5append_finish(struct cm_h5append *x);
void cm_h5append_free(struct cm_h5append *x);

#endif
