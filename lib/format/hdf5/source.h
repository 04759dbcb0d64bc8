/* format/hdf5/source.h - a matrix of an HDF5 file with its cells and features, as chunks of a
 * stream.
 *
 * h5ad, h5mu, loom and two generations of 10x files keep the same things (cells, features, their
 * tables, a matrix) in different places, and several types of features may share one matrix.  A
 * source is opened once and then delivers, for every block of cells, one chunk for each chosen
 * type, so that one pass splits a file into all its types.
 */
#ifndef CM_FORMAT_HDF5_SOURCE_H
#define CM_FORMAT_HDF5_SOURCE_H

#include "base/bytes.h"
#include "format/hdf5/format.h"
#include "format/hdf5/frame.h"
#include "format/hdf5/matrix.h"
#include "format/types.h"
#include "stream/cms.h"

/* What is in the file as lines of TSV with the header line item, name, detail, rows, columns,
 * stored; "." = does not apply.  Appended to `out`.  modality: NULL = all. */
int cm_h5_list(struct cm_h5 *h, const char *modality, struct cm_buf *out);

struct cm_source_want {
    const char *modality; /* of a MuData file; NULL otherwise */
    const char *layer;    /* NULL or "X"; "raw" (the layer where there is no /raw); a layer's name,
                             also as "layers/NAME" */
    const char *genome;   /* 10x: this genome alone */
    uint64_t max_memory;  /* bytes for transposing a CSC matrix and for HDF5's caches */
    const char *obsm;     /* the matrix obsm/NAME in place of X; NULL = no */
    const char *cell_names,
        *feature_names; /* loom: the attributes; obsm: a list of uns; features of
                                               10x: a column; NULL */
    bool no_matrix;     /* tables alone */
};

struct cm_where; /* a condition on a label */

struct cm_source {
    struct cm_h5 *file; /* borrowed */
    enum cm_h5_format format;
    char *root;     /* the group of this anndata: "" or "/mod/rna" */
    char *slot;     /* name of the slot: from the modality or noted by h5-write; NULL = not known */
    char *fallback; /* its name if nothing else names it; NULL = X */
    struct cm_frame obs;
    struct cm_frame table; /* obsm/NAME, where that is a table */
    struct cm_cols cols;
    struct cm_h5mat mat;
    bool has_matrix;       /* an h5ad may have none: rows without entries */
    struct cm_types types; /* features of other genomes than the chosen one have none */
    enum cm_state state;   /* unknown until given or guessed */
    bool wide, state_known;
    bool plain;                           /* the matrix is X */
    bool noted, note_holds, note_changed; /* h5-write said the state; of these very values */
    bool check_whole;                     /* only a note says counts: a fraction is an error */
    struct cm_kv kv;                      /* h5.dataset_id, h5.organism, h5.method_id of uns */
    size_t *label, nlabels;
    struct cm_where *where;
    size_t nwhere;
    uint64_t next, ahead;  /* rows delivered, and rows whose reading has begun */
    struct cm_h5rows rows; /* scratch */
    uint64_t *keep;
    size_t keep_cap;
};

int cm_source_open(struct cm_source *s, struct cm_h5 *h, const struct cm_source_want *want);
void cm_source_close(struct cm_source *s);

/* The type with this name or the same alias (GEX, ATAC, ADT); CM_ALL_TYPES when the file does not
 * say types; CM_EINPUT (with a list of those that are there) otherwise. */
int cm_source_type(const struct cm_source *s, const char *name, size_t *type);

/* Labels to keep: "all" (the default), "none" or names split by commas. */
int cm_source_labels(struct cm_source *s, const char *names);
/* Only cells whose label has one of the values: "LABEL=VALUE[,VALUE...]".  All conditions hold. */
int cm_source_where(struct cm_source *s, const char *condition);
/* After the last row: appends the values of a condition (in the order of the calls) that no cell
 * has, as "A", "B"; how many.  *label: its label, borrowed. */
size_t cm_source_missing(const struct cm_source *s, size_t condition, const char **label,
                         struct cm_buf *out);

/* Scans the values where they are needed to know: sets wide, and state unless it is known.  A note
 * of h5-write holds as long as X is what it was made for; else, as in 10x files of floats, what the
 * values contradict is not believed (with a warning).  Without: counts if all values are whole and
 * none is negative, else unknown. */
int cm_source_survey(struct cm_source *s);

/* The head of a type (or CM_ALL_TYPES) as a matrix; `name` = the slot's name, NULL = as the file
 * has it ("X"). */
int cm_source_head(const struct cm_source *s, size_t type, const char *name, struct cm_head *head);

/* The next cells: chunk[k] for type[k].  1, 0 at the end, < 0.  Chunks may be empty (conditions).
 * In state counts a negative value is CM_EINPUT. */
int cm_source_next(struct cm_source *s, const size_t *type, size_t n, struct cm_chunk *chunk);

/* The file as a match (rows = modality 1, columns = modality 2): decides state and the longest row.
 * Probability if no value is negative and every row with entries sums to 1 within 1e-5; otherwise
 * similarity, and *why says why (a static text, else NULL). */
int cm_source_match(struct cm_source *s, uint64_t *longest, const char **why);

/* The pairing of a competition's solution: row2[i] = row of modality 2 that belongs to row i of
 * modality 1 (allocated, *n of them).  From uns/pairing_ix (row2 r belongs to row1 pairing_ix[r]),
 * checked against the entries of X where both are there; from X alone otherwise. */
int cm_source_pairs(struct cm_source *s, uint64_t **row2, uint64_t *n);

/* For the files of the formats. */
/* CM_EINPUT: no such layer, and those that there are. */
int cm_source_no_layer(const struct cm_source *s, const char *layer);
/* Cuts the columns into types of features.  genome: only its columns belong to one; NULL = all. */
void cm_source_cut(struct cm_source *s, const char *genome);

#endif
