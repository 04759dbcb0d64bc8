/* stream/inflate.h - the bytes behind a descriptor, decompressed (private to stream/). */
#ifndef CM_STREAM_INFLATE_H
#define CM_STREAM_INFLATE_H

#include "stream/ahead.h"
#include "stream/sticky.h"
#include "stream/unpack.h"

struct cm_inflate {
    struct cm_sticky *error;
    struct cm_unpack in;
    struct cm_ahead *ahead; /* of a long stream, where there are threads */

    struct cm_buf out;  /* decompressed, from out_at */
    size_t out_at;      /* what stands before it is used up */
    uint64_t out_total; /* decompressed bytes so far: the position where `out` ends */

    struct cm_buf frame; /* the last frame as it came, if `frame_kept` */
    uint64_t frame_from; /* position where it begins */
    bool frame_kept;
};

/* Takes the descriptor; `error` must outlive z. */
void cm_inflate_start(struct cm_inflate *z, int fd, struct cm_sticky *error);
/* The head has been read: bytes are no longer kept for cm_inflate_keep. */
void cm_inflate_opened(struct cm_inflate *z);
/* Before the first chunk. */
void cm_inflate_forget(struct cm_inflate *z);
/* From the next frame on z->frame is not wanted. */
void cm_inflate_bare(struct cm_inflate *z);
/* Makes at least n bytes available at z->out.p + z->out_at.  1 done, 0 the input ended first, < 0
 * error. */
int cm_inflate_need(struct cm_inflate *z, size_t n);
/* Position of the first byte that is not used up. */
uint64_t cm_inflate_position(const struct cm_inflate *z);
/* Were the bytes from position `from` to what is used up a whole frame, which z->frame holds? */
bool cm_inflate_is_frame(const struct cm_inflate *z, uint64_t from);
/* All has been read: what was decompressed goes.  cm_inflate_rewind may follow. */
void cm_inflate_finish(struct cm_inflate *z);
/* What came through a pipe will be read a second time; then that second time. */
int cm_inflate_keep(struct cm_inflate *z);
int cm_inflate_rewind(struct cm_inflate *z);
void cm_inflate_free(struct cm_inflate *z);

#endif
