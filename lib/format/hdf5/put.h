/* format/hdf5/put.h - writing single elements of AnnData into an open HDF5 file.
 *
 * One function an element, with its encoding attributes, for a new file (write.h) and for additions
 * to a copy (append.h).  All return 0 or a CM_E... code with a message that begins with the file's
 * name, unless said otherwise.
 */
#ifndef CM_FORMAT_HDF5_PUT_H
#define CM_FORMAT_HDF5_PUT_H

#include "format/hdf5/file.h"
#include "stream/cms.h"

enum cm_h5_pack { CM_PACK_GZIP, CM_PACK_LZF, CM_PACK_ZSTD, CM_PACK_NONE };

struct cm_h5_put {
    hid_t file;
    char *name; /* for messages */
    enum cm_h5_pack pack;
    bool copy; /* of a foreign file, which may be damaged */
};

/* CM_ESYSTEM "cannot write WHAT: HDF5's reason"; of a copy CM_EINPUT, unless the system failed. */
int cm_h5_put_broken(const struct cm_h5_put *put, const char *what);
/* Closes an object or attribute (< 0: nothing), which may write: code, or its own failure. */
int cm_h5_put_close(const struct cm_h5_put *put, hid_t id, const char *what, int code);
hid_t cm_h5_put_text_type(void); /* variable-length UTF-8; the caller closes it */

int cm_h5_put_attr_text(const struct cm_h5_put *put, hid_t at, const char *name, const char *v);
int cm_h5_put_encoding(const struct cm_h5_put *put, hid_t at, const char *type,
                       const char *version);
int cm_h5_put_shape(const struct cm_h5_put *put, hid_t at, uint64_t rows, uint64_t cols);
int cm_h5_put_order(const struct cm_h5_put *put, hid_t at, const struct cm_strs *names);

/* New objects, open; a code below 0 with a message.  rank 0, 1 or 2; grows: extendible along
 * rows. */
hid_t cm_h5_put_group(const struct cm_h5_put *put, hid_t at, const char *name);
hid_t cm_h5_put_dataset(const struct cm_h5_put *put, hid_t at, const char *name, hid_t type,
                        unsigned rank, uint64_t rows, uint64_t cols, bool grows);

/* n items of memory type `mem`; encoding: its type, of version 0.2.0, or NULL for no such
 * attributes. */
int cm_h5_put_array(const struct cm_h5_put *put, hid_t at, const char *name, hid_t type, hid_t mem,
                    uint64_t n, const void *v, const char *encoding);
int cm_h5_put_strs(const struct cm_h5_put *put, hid_t at, const char *name,
                   const struct cm_strs *s);
int cm_h5_put_text(const struct cm_h5_put *put, hid_t at, const char *name, const char *v);
/* A column of a dataframe under its own name; d: categories of a cat.  CM_EINPUT for a name that
 * AnnData cannot hold. */
int cm_h5_put_column(const struct cm_h5_put *put, hid_t at, const struct cm_vec *v,
                     const struct cm_dict *d);

#endif
