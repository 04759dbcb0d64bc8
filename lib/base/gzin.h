/* base/gzin.h - the bytes of a text file, plain or gzipped; and single zlib streams.
 *
 * MTX directories and annotations come plain, gzipped, in many gzip members (bgzip, cat a.gz b.gz),
 * and often cut.  ISA-L inflates on our own buffers, takes members one after the other and calls a
 * stream that ends inside one an error.  Rejected: zlib's gzread (garbage behind the last member is
 * dropped in silence; a third of the speed) and libdeflate (whole members alone).
 */
#ifndef CM_BASE_GZIN_H
#define CM_BASE_GZIN_H

#include <stdbool.h>
#include <stdint.h>

#include "base/bytes.h"

struct cm_gzin;

/* Opens a file ("-" = standard input; `name` of messages: stdin).  0 or CM_ESYSTEM. */
int cm_gzin_open(struct cm_gzin **g, const char *path);
/* Bytes of memory as if they were a file; they must outlive g. */
void cm_gzin_memory(struct cm_gzin **g, const void *bytes, size_t n, const char *name);
/* Fills p with n bytes or all that are left: *got < n only at the end.  CM_EINPUT: not gzip where
 * it began as gzip, damaged or cut (*got bytes are good); CM_ESYSTEM. */
int cm_gzin_read(struct cm_gzin *g, void *p, size_t n, size_t *got);
/* The next line without its end, n bytes and a NUL, valid until the next call.  1, 0 at the end,
 * < 0 as cm_gzin_read, with which it does not mix. */
int cm_gzin_line(struct cm_gzin *g, char **line, size_t *n);
const char *cm_gzin_name(const struct cm_gzin *g);
void cm_gzin_close(struct cm_gzin *g); /* NULL allowed */
/* The whole of it, appended to out; more than `max` bytes are CM_EINPUT. */
int cm_gzin_all(struct cm_gzin *g, size_t max, struct cm_buf *out);

/* One zlib stream (RFC 1950) in memory, checked by its checksum. */
struct cm_inflater;
struct cm_inflater *cm_inflater_new(void);    /* of one thread; used again and again */
void cm_inflater_free(struct cm_inflater *z); /* NULL allowed */
enum cm_inflated { CM_INFLATED, CM_INFLATE_LONGER, CM_INFLATE_DAMAGED };
/* LONGER: more than `capacity` bytes would come out.  *got: bytes written to out. */
enum cm_inflated cm_inflate(struct cm_inflater *z, const void *in, size_t n, void *out,
                            size_t capacity, size_t *got);

#endif
