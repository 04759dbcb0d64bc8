/* format/mtx/write.h - a stream as the files of an MTX matrix.
 *
 * Other programs want Cell Ranger's three files, whose first line states how many entries follow
 * and whether all are whole; so the stream is read twice, first to count.  Comments in front of the
 * matrix keep slot, state and the types of columns and labels for mtx-read; other readers skip
 * them. Decimals are the shortest that read back to the same double.
 */
#ifndef CM_FORMAT_MTX_WRITE_H
#define CM_FORMAT_MTX_WRITE_H

#include "stream/cms.h"

/* Cell Ranger 3: gzipped, features.tsv.gz; STARsolo: the same names, plain; Cell Ranger 2: plain,
 * genes.tsv of two columns, no labels. */
enum cm_mtx_layout { CM_MTX_CELLRANGER3, CM_MTX_STARSOLO, CM_MTX_CELLRANGER2 };

enum { CM_MTX_MATRIX, CM_MTX_FEATURES, CM_MTX_BARCODES, CM_MTX_LABELS, CM_MTX_FILES };
/* The name of a file in a layout; NULL where the layout has none. */
const char *cm_mtx_file_name(enum cm_mtx_layout layout, int file);

struct cm_mtxwrite;

/* h: kind matrix, one slot. */
struct cm_mtxwrite *cm_mtxwrite_make(const struct cm_head *h, enum cm_mtx_layout layout);
/* First pass: every chunk. */
void cm_mtxwrite_count(struct cm_mtxwrite *mtx, struct cm_chunk *c);
/* Between the passes: features, and the front of the matrix.  fd: of the four files (not closed;
 * labels -1 where h has none or the layout).  CM_EINPUT: a name that does not fit on a line. */
int cm_mtxwrite_begin(struct cm_mtxwrite *mtx, const int fd[CM_MTX_FILES]);
/* Second pass: every chunk again.  h: the reader's head, whose dictionaries grow. */
int cm_mtxwrite_chunk(struct cm_mtxwrite *mtx, struct cm_chunk *c, const struct cm_head *h);
int cm_mtxwrite_finish(struct cm_mtxwrite *mtx);
void cm_mtxwrite_free(struct cm_mtxwrite *mtx); /* NULL allowed */

#endif
