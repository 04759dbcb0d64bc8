/* format/hdf5/attr.h - attributes of HDF5 objects. */
#ifndef CM_FORMAT_HDF5_ATTR_H
#define CM_FORMAT_HDF5_ATTR_H

#include "format/hdf5/file.h"

/* Attributes of the object at `path`.  1: found, 0: absent (or a null dataspace), < 0: CM_EINPUT or
 * CM_ESYSTEM.
 * text: the first string of the attribute, freed by the caller.  strs: all of them, replacing what
 * `out` holds; an attribute of another class counts as an empty list when it has no items.
 * i64s: exactly n numbers, else CM_EINPUT.  flag: a boolean of any spelling. */
int cm_h5_attr_text(const struct cm_h5 *h, const char *path, const char *name, char **out);
int cm_h5_attr_strs(const struct cm_h5 *h, const char *path, const char *name, struct cm_strs *out);
int cm_h5_attr_i64s(const struct cm_h5 *h, const char *path, const char *name, int64_t *v,
                    size_t n);
int cm_h5_attr_flag(const struct cm_h5 *h, const char *path, const char *name, bool *v);

/* Opens an attribute: 1 (and the caller closes *a and *type), 0 absent or of a null dataspace, < 0.
 * *items: how many it holds. */
int cm_h5_attr_open(const struct cm_h5 *h, const char *path, const char *name, hid_t *a,
                    hid_t *type, uint64_t *items);

#endif
