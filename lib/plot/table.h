/* plot/table.h - a table of text with a header line, as the tools print them. */
#ifndef CM_PLOT_TABLE_H
#define CM_PLOT_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#include "base/strs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise; cm_text_table_free.  Field (row, column) is field[row * columns + column]. */
struct cm_text_table {
    struct cm_strs name; /* of the columns */
    struct cm_strs field;
    size_t rows, columns;
    char *path;
};
/* Tabs between fields.  CM_EINPUT names the file and the line where a line has another number of
 * fields than the header; CM_ESYSTEM. */
int cm_text_table_read(struct cm_text_table *t, const char *path);
void cm_text_table_free(struct cm_text_table *t);

size_t cm_text_table_find(const struct cm_text_table *t, const char *column); /* or CM_ABSENT */
bool cm_text_table_filled(const struct cm_text_table *t, const char *column); /* in any row */
/* The position, or CM_EINPUT with the names that there are. */
int cm_text_table_need(const struct cm_text_table *t, const char *column, size_t *at);
const char *cm_text_table_get(const struct cm_text_table *t, size_t row, size_t column);
/* A number, NaN where the field is empty or "-"; CM_EINPUT names file, line and column. */
int cm_text_table_number(const struct cm_text_table *t, size_t row, size_t column, double *out);

#ifdef __cplusplus
}
#endif
#endif
