/* stream/deflate.h - records into compressed frames, and out (private to stream/). */
#ifndef CM_STREAM_DEFLATE_H
#define CM_STREAM_DEFLATE_H

#include <stddef.h>
#include <stdint.h>
#include <zstd.h>

#include "base/bytes.h"
#include "base/hash.h"
#include "stream/sticky.h"

struct cm_deflate {
    struct cm_sticky *error;
    int fd, level;
    ZSTD_CCtx *z;
    struct cm_buf raw, packed; /* raw: the frame to be */
    size_t record;             /* where the open record's payload begins in raw */
    uint64_t records;          /* so far, without END and ABORT */
    struct cm_hash *hash;      /* of the payloads of those that may not be ignored */
};

/* Does not take the descriptor; `error` must outlive z. */
void cm_deflate_start(struct cm_deflate *z, int fd, int level, struct cm_sticky *error);
void cm_deflate_free(struct cm_deflate *z);
int cm_deflate_flush(struct cm_deflate *z); /* ends the frame */
/* After a flush: frees the buffers, which column tables can make longer than blocks ever will. */
void cm_deflate_trim(struct cm_deflate *z);
int cm_deflate_send(struct cm_deflate *z, const unsigned char *p, size_t n); /* a whole frame */

/* The payload is appended to z->raw in between. */
void cm_record_begin(struct cm_deflate *z, const char *tag);
int cm_record_end(struct cm_deflate *z);
/* Instead of the end: `rest` bytes of payload follow in a frame of their own, which a stage that
 * leaves them alone can pass on as they came. */
int cm_record_cut(struct cm_deflate *z, size_t rest);

#endif
