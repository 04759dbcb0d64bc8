/* format/mtx/gz.h - the bytes of a text file, plain or gzipped, in and out.
 *
 * Problem: MTX directories come plain, gzipped, in many gzip members (bgzip, cat a.gz b.gz), and
 * often cut; inflating one member cannot be divided, so it is what bounds the reader.  Choice:
 * ISA-L's inflate (2.9 times the speed of zlib's on MTX text) on our own buffers, which takes
 * members one after the other and calls a stream that ends inside one an error; outward, by zlib
 * (the same bytes on every processor), one gzip member whose pieces are compressed on the pool, cut
 * by the text alone, so that the bytes do not depend on the threads.  Rejected: gzread (garbage
 * behind the last member is dropped in silence, small buffers), libdeflate (whole members alone)
 * and a member a piece (some readers stop at the first).
 */
#ifndef CM_FORMAT_MTX_GZ_H
#define CM_FORMAT_MTX_GZ_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct cm_gzin;

/* Opens a file ("-" = standard input; `name` of messages: stdin).  0 or CM_ESYSTEM. */
int cm_gzin_open(struct cm_gzin **g, const char *path);
/* Bytes of memory as if they were a file; they must outlive g. */
void cm_gzin_memory(struct cm_gzin **g, const void *bytes, size_t n, const char *name);
/* Fills p with n bytes or all that are left: *got < n only at the end.  CM_EINPUT: not gzip where
 * it began as gzip, damaged or cut; CM_ESYSTEM. */
int cm_gzin_read(struct cm_gzin *g, void *p, size_t n, size_t *got);
const char *cm_gzin_name(const struct cm_gzin *g);
void cm_gzin_close(struct cm_gzin *g); /* NULL allowed */
/* The whole of it, appended to out; more than `max` bytes are CM_EINPUT. */
int cm_gzin_all(struct cm_gzin *g, size_t max, struct cm_buf *out);

#define CM_GZOUT_PIECE ((size_t)256 << 10) /* bytes of text that are compressed at a time */

/* Writes to fd (not closed); packed = gzip, otherwise the bytes as they are.  name: of messages. */
struct cm_gzout;
struct cm_gzout *cm_gzout_make(int fd, const char *name, bool packed);
int cm_gzout_put(struct cm_gzout *g, const void *p, size_t n); /* 0 or the sticky error */
int cm_gzout_end(struct cm_gzout *g);                          /* what is left, and the trailer */
void cm_gzout_free(struct cm_gzout *g);                        /* NULL allowed */

#endif
