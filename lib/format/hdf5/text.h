/* format/hdf5/text.h - datasets as text. */
#ifndef CM_FORMAT_HDF5_TEXT_H
#define CM_FORMAT_HDF5_TEXT_H

#include "format/hdf5/read.h"

/* Rows first .. first + n - 1 of a dataset as text, appended to `out`: strings of every kind,
 * and numbers and booleans in decimal ("True", "False").  Always UTF-8 (see latin1 above); longer
 * than CM_MAX_NAME, or with a NUL byte inside, is CM_EINPUT. */
int cm_h5set_texts(const struct cm_h5set *s, uint64_t first, uint64_t n, struct cm_strs *out);

#endif
