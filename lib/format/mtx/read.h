/* format/mtx/read.h - a matrix in MTX text with its names, as chunks of a stream.
 *
 * MTX files say neither which dimension the cells are nor what their values mean, list entries in
 * any order, and may hold several types of features.  Names are read first, then all entries into
 * runs (runs.h) in one pass over the text.  Only then is everything known that the head of a stream
 * must say, and rows come out for every chosen type.  Rejected: streaming as the text comes (right
 * for sorted files only, and the state would be a guess).
 */
#ifndef CM_FORMAT_MTX_READ_H
#define CM_FORMAT_MTX_READ_H

#include "base/bytes.h"
#include "format/mtx/find.h"
#include "base/gzin.h"
#include "format/mtx/runs.h"
#include "format/mtx/parse.h"
#include "format/types.h"
#include "stream/cms.h"

enum cm_mtx_cells { CM_MTX_AUTO, CM_MTX_CELLS_ROWS, CM_MTX_CELLS_COLUMNS };

struct cm_mtx_want {
    const char *prefix, *features, *barcodes, *labels; /* NULL = search for them */
    enum cm_mtx_cells cells;
    const char *feature_names; /* column of text that names the features; NULL, name, id */
    bool make_unique;          /* repeated names of features get numbers */
    uint64_t max_memory;       /* bytes of entries held before the temporary file */
};

struct cm_mtx {
    struct cm_mtx_files files;
    struct cm_mtx_front front;
    struct cm_strs cells, warnings;
    struct cm_cols cols;
    struct cm_head labels; /* its labels alone */
    struct cm_vec *label;  /* of all cells */
    struct cm_types types;
    const char *slot;         /* what the file names suggest, or NULL */
    size_t renamed, repeated; /* names of features that got numbers, or that repeat others */
    bool untyped;             /* the third column holds no types */
    enum cm_state state;
    bool state_known, wide, odd; /* odd: a value is negative or not whole */
    struct cm_mtx_runs runs;
    uint64_t next, read; /* cells delivered; entries read */
    struct cm_mtx_loader *load;
    struct cm_gzin *in;
};

/* Finds the files, reads names, labels and sizes.  CM_EUSAGE: a choice is missing (square matrix);
 * CM_EINPUT names file, line, expected, found; CM_ESYSTEM. */
int cm_mtx_open(struct cm_mtx *m, const char *operand, const struct cm_mtx_want *want);
/* The same over bytes in memory: the matrix alone, with generated names (for tests and fuzzing). */
int cm_mtx_open_memory(struct cm_mtx *m, const void *bytes, size_t n,
                       const struct cm_mtx_want *want);
/* load.c: reads the front of the text of m->in, and begins to load. */
int cm_mtx_open_text(struct cm_mtx *m);
void cm_mtx_loader_close(struct cm_mtx_loader *l); /* NULL allowed */

/* Reads on: 1 = more to come, 0 = all entries are read and checked, < 0. */
int cm_mtx_load(struct cm_mtx *m);
/* The type with this name or alias; CM_ALL_TYPES when the file does not say types; CM_EINPUT. */
int cm_mtx_type(const struct cm_mtx *m, const char *name, size_t *type);
/* The head of a type (or CM_ALL_TYPES); `name` = the slot's name, or NULL.  After load. */
void cm_mtx_head(const struct cm_mtx *m, size_t type, const char *name, struct cm_head *head);
/* The next cells, chunk[k] for type[k]: 1, 0 at the end.  CM_EINPUT: negative in state counts. */
int cm_mtx_next(struct cm_mtx *m, const size_t *type, size_t n, struct cm_chunk *chunk);
void cm_mtx_close(struct cm_mtx *m);

#endif
