/* match/groups.h - cells that may be partners: equal values of a label on both sides.
 *
 * A label is a category here, a string or a number there, and two streams number their categories
 * differently: so a value is its text.  The values of the column side get codes, the row side looks
 * its own up.  Column cells' labels travel in the column table of a match as typed columns of the
 * label's name, row cells' as row labels, so that a match alone is enough for `assign --within` and
 * `score`.
 */
#ifndef CM_MATCH_GROUPS_H
#define CM_MATCH_GROUPS_H

#include <stddef.h>
#include <stdint.h>

#include "base/strs.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_GROUP_NONE UINT32_MAX /* the code of a cell that has no candidates */

/* Appends the n values of a label as text to `out`, "" where a value is missing: categories by name
 * (dict may be NULL for other types), booleans true and false, numbers in their shortest form. */
void cm_vec_text(const struct cm_vec *v, const struct cm_dict *dict, struct cm_strs *out);

/* Distinct texts and their codes 0..n-1 in order of first appearance; "" has no code. */
struct cm_groups {
    struct cm_strs text; /* all values, as given */
    struct cm_index at;
    uint32_t *code; /* of each item of `text` */
    size_t n;
};
void cm_groups_make(struct cm_groups *g, const struct cm_strs *text);
/* The code of each of the texts, CM_GROUP_NONE where it is "" or unknown.  out: text->n items. */
void cm_groups_codes(const struct cm_groups *g, const struct cm_strs *text, uint32_t *out);
void cm_groups_free(struct cm_groups *g);

/* Copies every row label of a table into the column table `cols` (names.n == t->names.n),
 * categories and all as described above; a typed column of that name is replaced. */
void cm_labels_to_columns(const struct cm_table *t, struct cm_cols *cols);

#ifdef __cplusplus
}
#endif
#endif
