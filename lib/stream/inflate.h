/* stream/inflate.h - the bytes behind a descriptor, decompressed (private to stream/). */
#ifndef CM_STREAM_INFLATE_H
#define CM_STREAM_INFLATE_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <zstd.h>

#include "base/bytes.h"
#include "stream/sticky.h"

struct cm_inflate {
    struct cm_sticky *error;
    int fd;
    off_t start; /* where a regular file began, for the rewind */
    bool regular;
    int spool; /* descriptor of the copy of a pipe, -1 = none */
    bool copying, opening;
    struct cm_buf prefix; /* what a pipe gave while opening: cm_inflate_keep may want it */

    ZSTD_DStream *z;
    unsigned char *in; /* compressed */
    size_t in_at, in_n;
    bool eof;           /* the descriptor has no more */
    uint64_t in_total;  /* compressed bytes read */
    struct cm_buf out;  /* decompressed, from out_at */
    size_t out_at;      /* what stands before it is used up */
    uint64_t out_total; /* decompressed bytes so far: the position where `out` ends */

    bool frame_open;     /* in the middle of a zstd frame */
    bool keep_frames;    /* those that begin now are wanted as they come */
    struct cm_buf frame; /* the frame at hand as it came, if it is wanted and not too large */
    uint64_t frame_from; /* position where it begins */
    bool frame_kept;     /* all of it is in `frame` */
};

/* Takes the descriptor; `error` must outlive z. */
void cm_inflate_start(struct cm_inflate *z, int fd, struct cm_sticky *error);
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
