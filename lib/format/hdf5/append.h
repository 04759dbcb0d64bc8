/* format/hdf5/append.h - adding an embedding or a match to a copy of an .h5ad file.
 *
 * BASE is copied byte for byte, so that a failure cannot damage it, and the copy gets new elements:
 * obsm/KEY of an embedding; of a match the obs columns KEY_partner, KEY_probability (missing where
 * the match holds no probabilities; similarities and weights have a column of that name) and
 * KEY_rank.  Rows are joined by cell name, whatever their order.  An element of the same name is
 * replaced.
 *
 * Memory: the names of BASE, and the new values of every cell.
 */
#ifndef CM_FORMAT_HDF5_APPEND_H
#define CM_FORMAT_HDF5_APPEND_H

#include "format/hdf5/write.h"

struct cm_h5_append;

/* base: an .h5ad of anndata 0.7 or later; path: the copy (whatever is there is replaced); name,
 * key: for messages and elements.  h: kind embedding (dense) or match.  from, width: the columns
 * of the embedding that are written (its part e, or all). */
int cm_h5_append_create(struct cm_h5_append **copy, const char *base, const char *path,
                        const char *name, const char *key, const struct cm_head *h, size_t from,
                        size_t width);
/* Takes rows.  CM_EINPUT for a cell that BASE does not have or that came before. */
int cm_h5_append_chunk(struct cm_h5_append *result, struct cm_chunk *c, const struct cm_head *h);
/* Writes.  An embedding must have had a row for every cell of BASE (CM_EINPUT, naming the first
 * without); cells without a match have an empty partner and missing numbers. */
int cm_h5_append_finish(struct cm_h5_append *result);
void cm_h5_append_free(struct cm_h5_append *result);

#endif
