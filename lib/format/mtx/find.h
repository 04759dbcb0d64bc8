/* format/mtx/find.h - which files make up an MTX matrix.
 *
 * A matrix in text is three files, and every program names them differently: Cell Ranger 2 and 3,
 * ATAC, STARsolo, Seurat, kallisto, alevin, and GEO, which puts a sample's name in front.  The
 * operand is a directory or the matrix itself; the files of names are searched for beside it under
 * a fixed list of names derived from its own (prefix or stem).  If none or several fit, an error
 * lists what was tried or found.  Rejected: guessing by the number of lines.
 */
#ifndef CM_FORMAT_MTX_FIND_H
#define CM_FORMAT_MTX_FIND_H

#include <stdbool.h>

/* Paths, the caller's; free with cm_mtx_files_free.  labels and symbols (names of genes
 * in a file of their own, as kb writes them) may be NULL. */
struct cm_mtx_files {
    char *matrix, *features, *barcodes, *labels, *symbols;
};

/* operand: a directory, a matrix file, or "-" (then features and barcodes must be given).
 * features, barcodes, labels: given by the user, or NULL.  prefix: of the file names in a
 * directory that holds several samples, or NULL.  CM_EINPUT, CM_EUSAGE, CM_ESYSTEM. */
int cm_mtx_find(struct cm_mtx_files *f, const char *operand, const char *prefix,
                const char *features, const char *barcodes, const char *labels);
/* PREFIXlabels.tsv[.gz] beside the matrix: the caller's, or NULL. */
char *cm_mtx_find_labels(const char *matrix);
/* STEM.genes.names.txt of kb beside the matrix: the caller's, or NULL. */
char *cm_mtx_find_symbols(const char *matrix);
void cm_mtx_files_free(struct cm_mtx_files *f);

#endif
