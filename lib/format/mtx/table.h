/* format/mtx/table.h - tables of text beside an MTX matrix; for names.c, features.c and
 * labels.c. */
#ifndef CM_FORMAT_MTX_TABLE_H
#define CM_FORMAT_MTX_TABLE_H

#include "base/error.h"
#include "base/lines.h"
#include "format/mtx/parse.h"
#include "stream/cms.h"

/* Lines of a file, plain or gzipped.  CM_EINPUT, CM_ESYSTEM. */
int cm_mtx_lines(const char *path, struct cm_lines *l);
char cm_mtx_separator(const char *path); /* of its fields: a comma in a .csv, else a tab */
/* Does the file's name without .gz end so? */
bool cm_mtx_stem_ends(const char *path, const char *tail);
void cm_mtx_warn(struct cm_strs *warnings, const char *format, ...) CM_PRINTF(2, 3);

/* Is it one of the words (the last is NULL), in any case? */
bool cm_mtx_is_word(const char *s, const char *const *words);
/* Is the first line one of names of columns?  shape: of the matrix, or NULL. */
bool cm_mtx_has_header(const struct cm_lines *l, const char *path,
                       const struct cm_mtx_shape *shape);
void cm_mtx_warn_header(const char *path, const char *line, struct cm_strs *warnings);

/* Names and types of columns, as mtx-write notes them: "TYPE NAME" between tabs. */
struct cm_mtx_noted {
    struct cm_strs name;
    enum cm_type *type;
    size_t cap;
};
void cm_mtx_noted_read(struct cm_mtx_noted *n, const char *note);
void cm_mtx_noted_free(struct cm_mtx_noted *n);

bool cm_mtx_is_missing(const char *s);
/* Text v as values of a type; false (and *at the item) where one does not fit. */
bool cm_mtx_convert(const struct cm_vec *v, const char *name, enum cm_type type, struct cm_vec *to,
                    size_t *at);

#endif
