/* base/lines.c - reading small tables of text; see lines.h. */
#include "base/lines.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/sniff.h"
#include "base/utf8.h"

void cm_lines_free(struct cm_lines *l)
{
    cm_buf_free(&l->text);
    cm_free(l->line);
    *l = (struct cm_lines){0};
}

static int check_line(const char *path, size_t number, const char *line, size_t n)
{
    if (memchr(line, 0, n))
        return cm_fail(CM_EINPUT, "%s: line %zu: holds a zero byte: no text", path, number);
    if (n > CM_MAX_LINE)
        return cm_fail(CM_EINPUT, "%s: line %zu: longer than 1 MiB", path, number);
    const char *cr = memchr(line, '\r', n);
    if (cr)
        return cm_fail(CM_EINPUT, "%s: line %zu: holds a carriage return inside the line", path,
                       number);
    size_t bad = cm_utf8_bad(line, n);
    if (bad < n)
        return cm_fail(CM_EINPUT,
                       "%s: line %zu: byte %zu (0x%02x) is not UTF-8; if the file is Latin-1, "
                       "iconv -f LATIN1 -t UTF-8 converts it",
                       path, number, bad + 1, (unsigned char)line[bad]);
    return 0;
}

int cm_lines_cut(struct cm_lines *l, const char *path)
{
    size_t bytes = l->text.n;
    cm_buf_put(&l->text, "", 1);
    char *at = (char *)l->text.p, *end = at + bytes;
    l->n = 0;
    const char *kind = cm_sniff(at, bytes);
    if (bytes && strchr(kind, '('))
        return cm_fail(CM_EINPUT, "%s: expected lines of text, found %s", path, kind);
    if (bytes >= 3 && !memcmp(at, "\xef\xbb\xbf", 3))
        at += 3;
    while (at < end) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        CM_GROW(l->line, l->cap, l->n + 1);
        l->line[l->n++] = at;
        size_t n = (size_t)(stop - at);
        n -= n && at[n - 1] == '\r';
        int code = check_line(path, l->n, at, n);
        if (code)
            return code;
        at[n] = 0;
        at = stop + 1;
    }
    while (l->n && !l->line[l->n - 1][strspn(l->line[l->n - 1], " ")])
        l->n--;
    return 0;
}

int cm_lines_read(struct cm_lines *l, const char *path)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        return cm_fail_errno(CM_ESYSTEM, "%s", path);
    size_t got;
    do {
        void *p = cm_buf_extend(&l->text, 65536);
        got = fread(p, 1, 65536, f);
        l->text.n -= 65536 - got;
    } while (got == 65536);
    int code = ferror(f) ? cm_fail_errno(CM_ESYSTEM, "%s", path) : 0;
    fclose(f);
    return code ? code : cm_lines_cut(l, path);
}

/* The end of a quoted text that begins at `from`: its closing quote, or NULL where the field is not
 * one quoted text. */
static char *closing_quote(char *from, char separator)
{
    for (char *at = from + 1; *at; at++) {
        if (*at != '"')
            continue;
        if (at[1] == '"')
            at++;
        else
            return at[1] == separator || !at[1] ? at : NULL;
    }
    return NULL;
}

char *cm_lines_field(char **rest, char separator)
{
    char *field = *rest;
    if (!field)
        return NULL;
    char *close = *field == '"' ? closing_quote(field, separator) : NULL;
    if (!close) {
        char *stop = strchr(field, separator), *end = stop ? stop : field + strlen(field);
        *rest = stop ? stop + 1 : NULL;
        while (end > field && end[-1] == ' ')
            end--;
        *end = 0;
        return field;
    }
    *rest = close[1] ? close + 2 : NULL;
    char *to = field;
    for (char *at = field + 1; at < close; at++) {
        at += *at == '"'; /* of a doubled quote the second */
        *to++ = *at;
    }
    *to = 0;
    return field;
}
