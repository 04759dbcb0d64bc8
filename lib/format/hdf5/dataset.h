/* format/hdf5/dataset.h - datasets of HDF5 files.
 *
 * A dataset is opened once; its class, extent and filters are checked then, and it is read in
 * ranges of items (rows), converted by HDF5 to one memory type.
 */
#ifndef CM_FORMAT_HDF5_DATASET_H
#define CM_FORMAT_HDF5_DATASET_H

#include "format/hdf5/file.h"

enum cm_h5_class { CM_H5_INT, CM_H5_FLOAT, CM_H5_BOOL, CM_H5_STRING, CM_H5_COMPOUND, CM_H5_NONE };

/* An open dataset (or one member of a compound dataset) of rank 0, 1 or 2.  Zero = closed. */
struct cm_h5set {
    bool open, latin1, entities;
    hid_t id, type; /* type: of the items, or of the member */
    char *member;   /* NULL = the whole item */
    char *path;     /* for messages */
    char *file;
    unsigned rank;
    uint64_t rows, cols; /* rank 0: 1 x 1, rank 1: rows x 1; a null dataspace: 0 rows */
    enum cm_h5_class cls;
    size_t size; /* bytes of an item in the file */
    bool is_signed;
    bool fixed;           /* string of fixed length */
    uint64_t chunk_bytes; /* of a chunk, unpacked; 0 = not chunked, or not known */
    uint64_t *verified;   /* gzip: first row and end of the chunks that were checked; else NULL */
};

/* Opens `path`; member = NULL or the name of a compound's member.  cache: bytes that may be spent
 * on keeping decoded chunks (0 = a default of some MB).  0 or CM_EINPUT: absent, no dataset, rank
 * above 2, a filter that is not available. */
int cm_h5set_open(struct cm_h5set *s, const struct cm_h5 *h, const char *path, const char *member,
                  uint64_t cache);
/* The dataset that an object-reference attribute points at.  1, 0 (no such one), CM_EINPUT. */
int cm_h5set_open_ref(struct cm_h5set *s, const struct cm_h5 *h, const char *path,
                      const char *attribute, bool *ordered);
void cm_h5set_close(struct cm_h5set *s);

/* Prefix of a failure in this dataset: cm_fail(CM_EINPUT, "%s: %s: ...", s->file, s->path, ...). */
#define CM_H5_AT(s) (s)->file, (s)->path

#endif
