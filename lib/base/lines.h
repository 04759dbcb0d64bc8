/* base/lines.h - small tables of text: lists of names, pairs, labels.
 *
 * All of them are read the same way: a byte order mark, Windows line ends, a missing last line end
 * and blank lines at the end pass; text that is not UTF-8, a zero byte and files of another kind
 * are refused with file and line; quotes around a whole field are taken off.
 */
#ifndef CM_BASE_LINES_H
#define CM_BASE_LINES_H

#include <stddef.h>

#include "base/bytes.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_MAX_LINE ((size_t)1 << 20)

/* Lines of a file, NUL-terminated in place.  Zero-initialise; cm_lines_free. */
struct cm_lines {
    struct cm_buf text;
    char **line;
    size_t n, cap;
};

/* Reads a plain file or pipe.  CM_EINPUT names file and line; CM_ESYSTEM. */
int cm_lines_read(struct cm_lines *l, const char *path);
/* Cuts l->text, which the caller has filled. */
int cm_lines_cut(struct cm_lines *l, const char *path);
void cm_lines_free(struct cm_lines *l);

/* The next field of a line: ends it in place and moves *rest behind the separator; NULL when *rest
 * is NULL.  A field that is one quoted text ("a ""b""") loses its quotes and may hold separators;
 * other quotes are kept as they are.  Blanks behind a field that is not quoted go. */
char *cm_lines_field(char **rest, char separator);

#ifdef __cplusplus
}
#endif
#endif
