/* format/hdf5/filters.h - the HDF5 filters that are built in: LZF (32000) and Zstandard (32015).
 *
 * Debian's LZF plugin does not load, and it has none for zstd.  Blosc and bitshuffle are rare in
 * single-cell files; --plugins lets HDF5 look for them.
 */
#ifndef CM_FORMAT_HDF5_FILTERS_H
#define CM_FORMAT_HDF5_FILTERS_H

#include <hdf5.h>

#define CM_H5_LZF  ((H5Z_filter_t)32000)
#define CM_H5_ZSTD ((H5Z_filter_t)32015)

void cm_h5_filters_register(void); /* may be called again */
/* What a chunk of the dataset that is read next unpacks to at least; 0 = not known.  libhdf5 1.10
 * takes what a filter returns for a whole chunk, however short it is. */
void cm_h5_filters_expect(uint64_t bytes);
const char *cm_h5_filter_name(H5Z_filter_t id);

#endif
