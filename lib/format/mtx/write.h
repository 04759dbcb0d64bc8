/* format/mtx/write.h - a stream as the files of an MTX matrix.
 *
 * Problem: other programs want Cell Ranger's three files, whose first line states how many entries
 * follow and whether all are whole; and our own reader should get back what was written.  Choice:
 * the stream is read twice, first to count; text is made and compressed on the pool; comments in
 * front carry slot, state and the types of columns and labels, which other readers skip.  Decimals
 * are the shortest that read back to the same double.  Rejected: rounding to a few digits.
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
void cm_mtxwrite_count(struct cm_mtxwrite *o, struct cm_chunk *c);
/* Between the passes: features, and the front of the matrix.  fd: of the four files (not closed;
 * labels -1 where h has none or the layout).  CM_EINPUT: a name that no line can hold. */
int cm_mtxwrite_begin(struct cm_mtxwrite *o, const int fd[CM_MTX_FILES]);
/* Second pass: every chunk again.  h: the reader's head, whose dictionaries grow. */
int cm_mtxwrite_chunk(struct cm_mtxwrite *o, struct cm_chunk *c, const struct cm_head *h);
int cm_mtxwrite_finish(struct cm_mtxwrite *o);
void cm_mtxwrite_free(struct cm_mtxwrite *o); /* NULL allowed */

#endif
