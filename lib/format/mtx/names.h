/* format/mtx/names.h - the names and tables beside an MTX matrix.
 *
 * features.tsv has one to six columns (or more), peaks.bed three, barcodes one; labels of cells
 * come as TSV or CSV.  Without a header line columns have the meaning that Cell Ranger gives them
 * (id, name, type, chrom, start, end), unless the third holds no type of features at all; with
 * one their names decide; what mtx-write noted about further columns is obeyed.  A header line is
 * recognised by its word and because it is one line too many.  Labels are joined by the cell's
 * name; a label's type is the narrowest that fits all its values.
 */
#ifndef CM_FORMAT_MTX_NAMES_H
#define CM_FORMAT_MTX_NAMES_H

#include "format/mtx/parse.h"
#include "stream/cms.h"

/* The columns after a feature's id in the files of Cell Ranger, in this order. */
enum { CM_MTX_COLUMNS = 5 };
extern const struct cm_mtx_column {
    const char *name;
    enum cm_type type;
} cm_mtx_column[CM_MTX_COLUMNS];

#define CM_MTX_CLASS "feature_class" /* a third column that holds no types */

/* path: of a file, plain or gzipped, between tabs or (.csv) commas; shape: of the matrix, by
 * which header lines are recognised, or NULL.  CM_EINPUT names the line; CM_ESYSTEM. */
int cm_mtx_barcodes(const char *path, const struct cm_mtx_shape *shape, struct cm_strs *names,
                    struct cm_strs *warnings);
/* Further names, one a line; empty ones are allowed. */
int cm_mtx_name_list(const char *path, struct cm_strs *names);
/* note: of cm_mtx_front, or NULL.  *slot: what the file's name suggests, or NULL.  *untyped: the
 * column of types holds something else.  Columns: feature_name, feature_types, chrom, start, end,
 * those noted, and those that a header line names. */
int cm_mtx_features(const char *path, const char *note, const struct cm_mtx_shape *shape,
                    struct cm_cols *cols, const char **slot, bool *untyped,
                    struct cm_strs *warnings);
/* A table with a header line, its first column a cell's name.  Fills head->label and vec[] (as
 * many) for the cells; a cell without a line has missing values.  CM_EINPUT: no cell is in it. */
int cm_mtx_labels(const char *path, const char *note, const struct cm_strs *cells,
                  struct cm_head *head, struct cm_vec **vec, struct cm_strs *warnings);

#endif
