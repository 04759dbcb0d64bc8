/* stream/ahead.h - the next piece of a stream is decompressed while the one before it is worked on
 * (private to stream/).
 *
 * One thread beside the caller's, and one piece: memory stays that of two frames.
 */
#ifndef CM_STREAM_AHEAD_H
#define CM_STREAM_AHEAD_H

#include "stream/unpack.h"

struct cm_ahead;

/* From now on u belongs to the thread.  Pieces begin behind `front` bytes that are left free for
 * the caller.  NULL: there can be no thread. */
struct cm_ahead *cm_ahead_start(struct cm_unpack *u, size_t front);
/* The next piece, the caller's until cm_ahead_next, which has another put in its place.  After an
 * end or an error it stays. */
struct cm_piece *cm_ahead_wait(struct cm_ahead *a);
void cm_ahead_next(struct cm_ahead *a);
void cm_ahead_stop(struct cm_ahead *a); /* u is the caller's again; NULL allowed */

#endif
