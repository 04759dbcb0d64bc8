/* format/mtx/names.h - the names and tables that stand beside an MTX matrix.
 *
 * Problem: features.tsv has one to six columns (or more), peaks.bed three, barcodes one; labels of
 * cells come as somebody's TSV or CSV.  Choice: columns have the meaning that Cell Ranger gives
 * them (id, name, type, chrom, start, end); what mtx-write noted about further ones is obeyed;
 * labels are joined by the cell's name, and their types are what all their values fit.  Rejected:
 * header lines in name files (no writer of matrices has them; they are told as what they are).
 */
#ifndef CM_FORMAT_MTX_NAMES_H
#define CM_FORMAT_MTX_NAMES_H

#include "stream/cms.h"

/* path: of a file, plain or gzipped.  CM_EINPUT names the line; CM_ESYSTEM. */
int cm_mtx_barcodes(const char *path, struct cm_strs *names);
/* note: of cm_mtx_front, or NULL.  *slot: what the file's name suggests, or NULL.  Columns:
 * feature_name, feature_types, chrom, start, end, and those noted. */
int cm_mtx_features(const char *path, const char *note, struct cm_cols *cols, const char **slot,
                    struct cm_strs *warnings);
/* A table with a header line, its first column a cell's name.  Fills head->label and vec[] (as
 * many) for the cells; a cell without a line has missing values.  CM_EINPUT: no cell is in it. */
int cm_mtx_labels(const char *path, const char *note, const struct cm_strs *cells,
                  struct cm_head *head, struct cm_vec **vec, struct cm_strs *warnings);

#endif
