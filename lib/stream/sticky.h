/* stream/sticky.h - the first error of a stream, which stays (private to stream/). */
#ifndef CM_STREAM_STICKY_H
#define CM_STREAM_STICKY_H

#include "base/error.h"

struct cm_sticky {
    char *name; /* of the stream, in front of the message */
    int code;   /* 0 = none so far */
    char *message;
};
/* Keeps the error unless there is one; fails with the one that is kept. */
int cm_sticky_fail(struct cm_sticky *s, int code, const char *format, ...) CM_PRINTF(3, 4);
int cm_sticky_again(const struct cm_sticky *s);
void cm_sticky_free(struct cm_sticky *s);

#endif
