/* format/mtx/gzout.h - gzip out, compressed on the pool.
 *
 * One member, whose pieces are cut by the text alone: the bytes do not depend on the threads.  By
 * zlib, whose bytes do not depend on the processor either.  Rejected: a member a piece (some
 * readers stop at the first).
 */
#ifndef CM_FORMAT_MTX_GZOUT_H
#define CM_FORMAT_MTX_GZOUT_H

#include <stdbool.h>
#include <stddef.h>

#define CM_GZOUT_PIECE ((size_t)256 << 10) /* bytes of text that are compressed at a time */

/* Writes to fd (not closed); packed = gzip, otherwise the bytes as they are.  name: of messages. */
struct cm_gzout;
struct cm_gzout *cm_gzout_make(int fd, const char *name, bool packed);
int cm_gzout_put(struct cm_gzout *g, const void *p, size_t n); /* 0 or the sticky error */
int cm_gzout_end(struct cm_gzout *g);                          /* what is left, and the trailer */
void cm_gzout_free(struct cm_gzout *g);                        /* NULL allowed */

#endif
