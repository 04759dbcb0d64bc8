/* base/values.h - lists of values as options take them: A,B,C.
 *
 * Values may hold commas themselves ("CD8-positive, alpha-beta T cell").  A value is in a list when
 * it stands in it between commas or ends, so such a value needs no quoting, alone or among others;
 * "\," is a comma that never parts, "\\" a backslash.  What no value was found for can be named
 * afterwards.  One rule for every tool and option; cellmatch(7) has it for users.
 */
#ifndef CM_BASE_VALUES_H
#define CM_BASE_VALUES_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"
#include "base/strs.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise; cm_values_free.  Must not be moved once made (the index borrows `whole`). */
struct cm_values {
    struct cm_strs part;  /* between commas, escapes resolved */
    struct cm_strs whole; /* all runs of neighbouring parts, and the text as it was typed */
    size_t *first, *last; /* parts of each run */
    struct cm_index at;   /* of whole */
    bool *seen;           /* by part */
};

void cm_values_make(struct cm_values *v, const char *text);
/* Position of the value's first part, or CM_ABSENT; its parts count as seen. */
size_t cm_values_find(struct cm_values *v, const char *value);
/* Appends the parts that were never seen, neighbours together, as "A", "B"; how many parts. */
size_t cm_values_missing(const struct cm_values *v, struct cm_buf *out);
/* 1 for true, True, yes, 1; 0 for false, False, no, 0; else -1: booleans in options. */
int cm_values_truth(const char *word);
void cm_values_free(struct cm_values *v);

#ifdef __cplusplus
}
#endif
#endif
