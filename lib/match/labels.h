/* match/labels.h - labels of the cells of a match, for scoring it.
 *
 * A batch or cell type may stand in the match, on one side or both, or in a stream of its own, and
 * a competition's second modality has neither names nor labels.  So codes for both sides are made
 * from all that is there: another stream wins, then the match's own labels, and a cell of unknown
 * value takes that of its true partner.
 */
#ifndef CM_MATCH_LABELS_H
#define CM_MATCH_LABELS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "match/pairs.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Names and labels of a stream's rows. */
struct cm_labels {
    struct cm_head head;
    struct cm_strs names;
    struct cm_vec *label; /* head.nlabels */
    struct cm_index at;   /* of names */
};
/* Reads to END, letting the values pass by.  A name that occurs twice is CM_EINPUT. */
int cm_labels_load(struct cm_labels *x, struct cm_reader *r);
size_t cm_labels_found(const struct cm_labels *x, const struct cm_strs *names); /* how many */
void cm_labels_free(struct cm_labels *x);

/* Equal values have equal codes 0..groups-1, CM_GROUP_NONE = unknown.  Both arrays are NULL where
 * nothing is known about the label. */
struct cm_codes {
    uint32_t *row, *col;
    size_t groups; /* different values among the columns */
};
/* extra: NULL = the match alone. */
struct cm_codes cm_match_codes(const struct cm_table *match, const struct cm_pairs *truth,
                               const struct cm_labels *extra, const char *label);
void cm_codes_free(struct cm_codes *c);

/* The rows of a dense table in the order of `names`, found by name unless the order is the same
 * already.  CM_EINPUT when one is missing, or names that are needed are not unique. */
int cm_rows_by_name(const struct cm_table *t, const struct cm_strs *names, struct cm_dense *out);

#ifdef __cplusplus
}
#endif
#endif
