/* stream/sticky.c - the first error of a stream, which stays. */
#include "stream/sticky.h"

#include <stdio.h>

#include "base/mem.h"

int cm_sticky_fail(struct cm_sticky *s, int code, const char *format, ...)
{
    char text[CM_MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (!s->code) {
        cm_fail(code, "%s: %s", s->name, text);
        s->code = code;
        s->message = cm_strdup(cm_error_message());
    }
    return cm_sticky_again(s);
}

int cm_sticky_again(const struct cm_sticky *s) { return cm_fail(s->code, "%s", s->message); }

void cm_sticky_free(struct cm_sticky *s)
{
    cm_free(s->name);
    cm_free(s->message);
}
