/* stream/text_lines.h - the lines of a text that is to become a stream (private to stream/). */
#ifndef CM_STREAM_TEXT_LINES_H
#define CM_STREAM_TEXT_LINES_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/error.h"
#include "stream/cms.h"

struct cm_text_lines {
    FILE *file; /* the caller's */
    char *name; /* of the input, for messages */
    char *line;
    size_t capacity;
    bool held; /* `line` comes once more */
    uint64_t number;
};
/* Makes t->line the next line, without its end.  1, 0 at the end of the file, < 0 an error. */
int cm_text_line(struct cm_text_lines *t);
/* CM_EINPUT that names the line at hand. */
int cm_text_fail(const struct cm_text_lines *t, const char *format, ...) CM_PRINTF(2, 3);
/* If the line begins with the mark, its rest behind the tab ("" without one); else NULL. */
char *cm_text_behind(char *line, const char *mark);
/* A finite number as the type has it: f32 is read as f32, so that none is rounded twice. */
int cm_text_value(const struct cm_text_lines *t, enum cm_value type, const char *text, double *v);
/* text_tensor.c: the fields name, type, shape, values; *t is {0} at first. */
int cm_text_tensor(struct cm_text_lines *in, char *rest, struct cm_tensor *t);
void cm_text_free(struct cm_text_lines *t);

#endif
