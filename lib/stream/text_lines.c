/* stream/text_lines.c - the lines of a text that is to become a stream. */
#include "stream/text_lines.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/sniff.h"
#include "base/text.h"
#include "base/utf8.h"

int cm_text_fail(const struct cm_text_lines *t, const char *format, ...)
{
    char text[CM_MESSAGE_MAX - 64];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return cm_fail(CM_EINPUT, "%s: line %" PRIu64 ": %s", t->name, t->number, text);
}

/* n bytes of t->line are text; otherwise the message says what the input is. */
static int check_line(const struct cm_text_lines *t, size_t n)
{
    size_t bad = cm_utf8_bad(t->line, n);
    bool zero = memchr(t->line, 0, n) != NULL;
    const char *kind = t->number == 1 ? cm_sniff(t->line, n) : "";
    if (strchr(kind, '('))
        return cm_text_fail(t, "expected text, found %s", kind);
    if (bad == n && !zero)
        return 0;
    if (zero)
        return cm_text_fail(t, "not text: it holds a NUL byte");
    return cm_text_fail(t, "byte %zu (0x%02x) is not UTF-8", bad + 1,
                        (unsigned)(unsigned char)t->line[bad]);
}

int cm_text_line(struct cm_text_lines *t)
{
    if (t->held) {
        t->held = false;
        return 1;
    }
    ssize_t n = getline(&t->line, &t->capacity, t->file);
    if (n < 0) /* also for want of memory, without ferror */
        return feof(t->file) ? 0 : cm_fail_errno(CM_ESYSTEM, "%s: read", t->name);
    t->number++;
    if (t->number == 1 && n >= 3 && !memcmp(t->line, "\xef\xbb\xbf", 3))
        memmove(t->line, t->line + 3, (size_t)(n -= 3) + 1);
    int code = check_line(t, (size_t)n);
    if (code)
        return code;
    if (n && t->line[n - 1] == '\n')
        t->line[--n] = 0;
    if (n && t->line[n - 1] == '\r') /* an editor's line ends; our own are escaped */
        t->line[n - 1] = 0;
    return 1;
}

char *cm_text_behind(char *line, const char *mark)
{
    size_t n = strlen(mark);
    if (strncmp(line, mark, n) || (line[n] && line[n] != '\t'))
        return NULL;
    return line + n + (line[n] == '\t');
}

int cm_text_value(const struct cm_text_lines *t, enum cm_value type, const char *text, double *v)
{
    if (!cm_parse_f64(text, v) || *v - *v != 0)
        return cm_text_fail(t, "expected a finite number, found '%.40s'", text);
    if (type == CM_V_F32) {
        float f = strtof(text, NULL);
        if (!isfinite(f))
            return cm_text_fail(t, "expected a number within the range of f32, found '%.40s'",
                                text);
        *v = (double)f;
    }
    return 0;
}

void cm_text_free(struct cm_text_lines *t)
{
    free(t->line); /* getline's */
    cm_free(t->name);
}
