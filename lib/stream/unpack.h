/* stream/unpack.h - compressed bytes from a descriptor as decompressed pieces (private to stream/).
 *
 * A frame that says its size, as all of ours do, is gathered first and decoded straight to where it
 * is wanted: one makes a piece, with short ones before it.  Any other comes as its bytes arrive.
 */
#ifndef CM_STREAM_UNPACK_H
#define CM_STREAM_UNPACK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <zstd.h>

#include "base/bytes.h"
#include "base/error.h"

struct cm_piece {
    struct cm_buf raw;   /* the piece is appended */
    struct cm_buf frame; /* as it came, if `whole` */
    size_t last;         /* where in `raw` the last frame of the piece begins */
    bool whole;          /* all of that is there, and it is asked for as it came */
    bool end;            /* the input has ended, nothing was appended */
    int code;            /* an error, and nothing was appended */
    char message[CM_MESSAGE_MAX];
};
void cm_piece_free(struct cm_piece *p);

struct cm_unpack {
    int fd;
    off_t start; /* where a regular file began, for the rewind */
    bool regular;
    int spool; /* descriptor of the copy of a pipe, -1 = none */
    bool copying, opening;
    bool bare;            /* nobody asks for frames as they came */
    struct cm_buf prefix; /* compressed bytes read while opening: cm_unpack_keep may want them */
    int wake;             /* readable: wait for the input no longer; -1 = none */

    ZSTD_DStream *z;
    struct cm_buf in; /* compressed, from in_at */
    size_t in_at;
    bool eof;          /* the descriptor has no more */
    uint64_t in_total; /* compressed bytes read */
    bool frame_open;   /* in the middle of a zstd frame */
};

enum { CM_UNPACK_READ = 256 * 1024 }; /* bytes of a read */

void cm_unpack_start(struct cm_unpack *u, int fd); /* takes the descriptor */
void cm_unpack_free(struct cm_unpack *u);
/* The next piece; the error is in it too. */
void cm_unpack_next(struct cm_unpack *u, struct cm_piece *p);
/* What came through a pipe will be read a second time; then that second time.  0 or CM_E.... */
int cm_unpack_keep(struct cm_unpack *u);
int cm_unpack_rewind(struct cm_unpack *u);

#endif
