/* prep/where.h - a condition on a row label: LABEL=VALUE[,VALUE...].
 *
 * Problem: "the training cells", "library s4d8" must be said the same way in every tool, whatever
 * the label's type.  Choice: the words are compared as text for categories and strings, as
 * numbers for numeric labels, and as yes/no for booleans; a label that is not there is an error
 * that names those that are; a missing value meets no condition.  Rejected: a small expression
 * language; `cms-cat` stages can be chained for "and".
 */
#ifndef CM_PREP_WHERE_H
#define CM_PREP_WHERE_H

#include <stdbool.h>

#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise ({0}); cm_where_free. */
struct cm_where {
    char *label;
    struct cm_strs values;
    int at; /* position in head->label once bound */
};

/* Takes "LABEL=A,B"; the label ends at the first '='.  CM_EUSAGE if it has no '=' or no label. */
int cm_where_parse(struct cm_where *w, const char *text);
/* Finds the label in a head.  CM_EINPUT naming the labels that are there; CM_EINPUT too when a
 * numeric label is compared with a word that is no number. */
int cm_where_bind(struct cm_where *w, const struct cm_head *h);
/* Does row `row` of a chunk (labels in the order of head h) meet the condition? */
bool cm_where_row(const struct cm_where *w, const struct cm_head *h, const struct cm_chunk *c,
                  size_t row);
void cm_where_free(struct cm_where *w);

#ifdef __cplusplus
}
#endif
#endif
