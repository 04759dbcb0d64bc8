/* format/hdf5/text.h - texts of datasets, and the rules for text of every storage. */
#ifndef CM_FORMAT_HDF5_TEXT_H
#define CM_FORMAT_HDF5_TEXT_H

#include "format/hdf5/dataset.h"

/* Rows first .. first + n - 1 of a dataset as text, appended to `out`: strings of every kind, and numbers and booleans in decimal
 * ("True", "False").  Always UTF-8 (see latin1 above); longer than CM_MAX_NAME, or with a NUL byte
 * inside, is CM_EINPUT. */
int cm_h5set_texts(const struct cm_h5set *s, uint64_t first, uint64_t n, struct cm_strs *out);

/* Length of a text of fixed length; SIZE_MAX if something stands behind its end, which is no text. */
size_t cm_h5_text_length(const char *p, size_t size, H5T_str_t pad);
/* Adds a text as UTF-8; n = SIZE_MAX (see above) is an error.  where: what it is, for messages. */
int cm_h5_text_add(bool latin1, const char *p, size_t n, struct cm_strs *out, const char *where);

#endif
