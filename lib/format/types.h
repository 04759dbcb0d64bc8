/* format/types.h - the types of a matrix's features: genes, peaks, proteins in one file.
 *
 * Columns are cut into types by a text per column; each type can leave as a stream of its own, all
 * in one pass.
 */
#ifndef CM_FORMAT_TYPES_H
#define CM_FORMAT_TYPES_H

#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "stream/cms.h"

/* name: as the file says it, "" when it does not. */
struct cm_feature_type {
    char *name;
    uint64_t cols;
};

/* Columns belong to at most one type; zero-initialise. */
struct cm_types {
    struct cm_feature_type *type; /* at least one, in order of their first column */
    size_t n;
    uint32_t *of, *place; /* of each column: its type (UINT32_MAX = none), its column there */
};
#define CM_ALL_TYPES SIZE_MAX /* all features together, in place of a type */

/* type: of each column, NULL = all are of one type without a name.  Where `among` is given, only
 * columns whose text in it is `only` belong to a type. */
void cm_types_cut(struct cm_types *t, size_t cols, const struct cm_strs *type,
                  const struct cm_strs *among, const char *only);
void cm_types_free(struct cm_types *t);
/* The type of that very name, else that of the same alias (GEX, ATAC, ADT); CM_ABSENT. */
size_t cm_types_find(const struct cm_types *t, const char *name);
/* Is there one type, without a name? */
bool cm_types_unnamed(const struct cm_types *t);
/* The names, "a, b"; with the numbers of columns "a (3), no type (4)". */
void cm_types_print(const struct cm_types *t, bool numbers, struct cm_buf *out);
/* The columns of a type (CM_ALL_TYPES: all), copied. */
void cm_types_cols(const struct cm_types *t, size_t type, const struct cm_cols *from,
                   struct cm_cols *to);

/* Cuts "TYPE=OUT" at its last sign: *type is the caller's, *out points into text.  CM_EUSAGE. */
int cm_types_split(const char *text, char **type, const char **out);

#endif
