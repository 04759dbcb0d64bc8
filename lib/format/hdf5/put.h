/* format/hdf5/put.h - writing single elements of AnnData into an open HDF5 file.
 *
 * Problem: a new file (h5out) and additions to an old one (h5into) write the same elements.
 * Choice: one function an element, with its encoding attributes, and one way to fail.  All return
 * 0 or a CM_E... code with a message that begins with the file's name, unless said otherwise.
 */
#ifndef CM_FORMAT_HDF5_PUT_H
#define CM_FORMAT_HDF5_PUT_H

#include "format/hdf5/write.h"

struct cm_h5put {
    hid_t file;
    char *name; /* for messages */
    enum cm_h5_pack pack;
    bool copy; /* of a file that is not ours, which may be damaged */
};

/* CM_ESYSTEM "cannot write WHAT: HDF5's reason"; of a copy CM_EINPUT, unless the system failed. */
int cm_h5put_broken(const struct cm_h5put *o, const char *what);
/* Closes an object or attribute (< 0: nothing), which may write: code, or its own failure. */
int cm_h5put_close(const struct cm_h5put *o, hid_t id, const char *what, int code);
hid_t cm_h5put_text_type(void); /* variable-length UTF-8; the caller closes it */

int cm_h5put_attr_text(const struct cm_h5put *o, hid_t at, const char *name, const char *v);
int cm_h5put_encoding(const struct cm_h5put *o, hid_t at, const char *type, const char *version);
int cm_h5put_shape(const struct cm_h5put *o, hid_t at, uint64_t rows, uint64_t cols);
int cm_h5put_order(const struct cm_h5put *o, hid_t at, const struct cm_strs *names);

/* New objects, open; a code below 0 with a message.  rank 0, 1 or 2; grows: extendible along rows.
 * */
hid_t cm_h5put_group(const struct cm_h5put *o, hid_t at, const char *name);
hid_t cm_h5put_dataset(const struct cm_h5put *o, hid_t at, const char *name, hid_t type,
                       unsigned rank, uint64_t rows, uint64_t cols, bool grows);

/* n items of memory type `mem`; without encoding attributes when encoding is NULL. */
int cm_h5put_array(const struct cm_h5put *o, hid_t at, const char *name, hid_t type, hid_t mem,
                   uint64_t n, const void *v, const char *encoding, const char *version);
int cm_h5put_strs(const struct cm_h5put *o, hid_t at, const char *name, const struct cm_strs *s);
int cm_h5put_text(const struct cm_h5put *o, hid_t at, const char *name, const char *v);
/* A column of a dataframe under its own name; d: categories of a cat.  CM_EINPUT for a name that
 * AnnData cannot hold. */
int cm_h5put_column(const struct cm_h5put *o, hid_t at, const struct cm_vec *v,
                    const struct cm_dict *d);

#endif
