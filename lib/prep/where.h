/* prep/where.h - a condition on a row label: LABEL=VALUE[,VALUE...].
 *
 * The words are compared as text for categories and strings, as numbers for numeric labels, and as
 * yes/no for booleans; a value may hold commas (base/values.h).  A label that is not there is an
 * error that names those that are; a value that no row has can be asked for afterwards; a missing
 * value meets no condition.  There is no expression language: `cms-cat` stages can be chained.
 */
#ifndef CM_PREP_WHERE_H
#define CM_PREP_WHERE_H

#include <stdbool.h>

#include "base/values.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise ({0}); cm_where_free. */
struct cm_where {
    char *text, *label;
    struct cm_values *values; /* remembers which of them were met */
    int at;                   /* position in head->label once bound */
};

/* Takes "LABEL=A,B".  CM_EUSAGE if it has no '=' or no label.  The label ends at the first '='; if
 * no label is called so, binding tries the later ones. */
int cm_where_parse(struct cm_where *w, const char *text);
/* Finds the label in a head.  CM_EINPUT naming the labels that are there; CM_EINPUT too when a
 * numeric label is compared with a word that is no number. */
int cm_where_bind(struct cm_where *w, const struct cm_head *h);
/* Does row `row` of a chunk (labels in the order of head h) meet the condition? */
bool cm_where_row(const struct cm_where *w, const struct cm_head *h, const struct cm_chunk *c,
                  size_t row);
/* After the rows: appends what no row had, as "A", "B"; how many values that are. */
size_t cm_where_missing(const struct cm_where *w, struct cm_buf *out);
void cm_where_free(struct cm_where *w);

#ifdef __cplusplus
}
#endif
#endif
