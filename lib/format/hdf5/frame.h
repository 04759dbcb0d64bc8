/* format/hdf5/frame.h - obs and var: the names and typed columns of an axis, of every anndata
 * version.
 *
 * anndata has stored tables in four ways: one compound dataset (before 0.7), a group whose
 * categoricals point at their categories by object reference (0.7), a group of encoded elements
 * (0.8), and with the index itself as a nullable group (0.13).  Columns are typed when a frame is
 * opened and read in ranges of rows, so that the labels of a million cells need not be in memory.
 */
#ifndef CM_FORMAT_HDF5_FRAME_H
#define CM_FORMAT_HDF5_FRAME_H

#include "format/hdf5/read.h"
#include "stream/cms.h"

struct cm_h5col {
    char *name;
    enum cm_type type;
    struct cm_h5set values, mask; /* mask open: TRUE = missing */
    struct cm_dict dict;          /* CM_T_CAT: the categories as text, in the file's order */
    uint32_t *code;               /* the file's code -> position in dict */
    uint64_t ncodes;
    bool joined;       /* of another table: row i is its row frame->joined[i] */
    struct cm_vec all; /* joined: all its rows, once they were needed */
};

struct cm_frame {
    char *path;
    uint64_t rows;
    struct cm_h5set index, index_mask;
    size_t ncols, cap;
    struct cm_h5col *col; /* in the file's column order */
    uint64_t *joined;     /* rows items, UINT64_MAX = none; NULL = nothing was joined */
};

/* Opens the table at `path` ("/obs").  uns: the group with the categories of files before 0.7
 * ("/uns"; may be absent).  Columns that have no counterpart (complex numbers, nested tables) are
 * left out with a warning in h.  0 or CM_EINPUT. */
int cm_frame_open(struct cm_frame *f, struct cm_h5 *h, const char *path, const char *uns);
/* A table that has only names, from a dataset (10x barcodes); columns are added below. */
int cm_frame_open_names(struct cm_frame *f, struct cm_h5 *h, const char *path);
/* Adds the dataset or group at `path` as a column called `name`; 1 added, 0 left out, CM_EINPUT. */
int cm_frame_add(struct cm_frame *f, struct cm_h5 *h, const char *path, const char *name,
                 const char *member, const char *categories);
/* Moves column k of `from` to the end of f, whose row i is row at[i] of `from` (UINT64_MAX: none,
 * so that the value is missing).  at: f->rows items, which f owns from the first call on and which
 * must be the same in all.  All values of such a column stay in memory once one was read. */
void cm_frame_join(struct cm_frame *f, struct cm_frame *from, size_t k, uint64_t *at);
void cm_frame_close(struct cm_frame *f);

size_t cm_frame_find(const struct cm_frame *f, const char *name); /* CM_ABSENT if there is none */
/* Names of rows first .. first + n - 1, appended. */
int cm_frame_names(const struct cm_frame *f, uint64_t first, uint64_t n, struct cm_strs *out);
/* Values of a column; out becomes a vector of n values, codes as in its dict. */
int cm_frame_read(const struct cm_frame *f, size_t col, uint64_t first, uint64_t n,
                  struct cm_vec *out);

/* The whole table of features as a column table: categories become text.  Coordinates get their
 * reserved names: chrom, start, end from synonyms or from `interval` ("chr1:100-200"; "NA" =
 * missing), tss.  Numbers in text are read as numbers there. */
int cm_frame_cols(const struct cm_frame *f, struct cm_h5 *h, struct cm_cols *out);

#endif
