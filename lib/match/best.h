/* match/best.h - a match as people read it: each cell, its partner, how sure that is.
 *
 * One line a cell, also for cells without a candidate, because tables are joined by line.  The
 * partner is the row's largest value, the lowest column among equals, with its lead over the
 * second; in state probability what is not stored counts as 0, so that a one-hot row has the margin
 * 1.
 */
#ifndef CM_MATCH_BEST_H
#define CM_MATCH_BEST_H

#include "base/bytes.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

/* "cell partner probability margin", or what else cm_match_numbers calls the numbers. */
void cm_best_head(const struct cm_head *h, struct cm_buf *to);
/* A line for each row of a chunk of kind match, names %-escaped.  A row without entries has empty
 * fields, a similarity without a second an empty margin. */
void cm_best_rows(const struct cm_head *h, struct cm_chunk *c, struct cm_buf *to);

#ifdef __cplusplus
}
#endif
#endif
