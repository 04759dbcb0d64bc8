/* format/hdf5/encoding.h - text of every storage as UTF-8. */
#ifndef CM_FORMAT_HDF5_ENCODING_H
#define CM_FORMAT_HDF5_ENCODING_H

#include <hdf5.h>
#include <stdbool.h>

#include "base/strs.h"

/* Length of a text of fixed length; SIZE_MAX if a NUL byte is inside. */
size_t cm_h5_text_length(const char *p, size_t size, H5T_str_t pad);
/* Adds a text as UTF-8; n = SIZE_MAX (see above) is an error.  where: what it is, for messages. */
int cm_h5_text_add(bool latin1, const char *p, size_t n, struct cm_strs *out, const char *where);

#endif
