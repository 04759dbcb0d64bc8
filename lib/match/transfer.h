/* match/transfer.h - labels and values carried over a match, from its column cells to its rows.
 *
 * p_ij is the probability of row cell i for column cell j.  A label is a vote: the share of value c
 * is the sum of p_ij over the column cells that have it.  A profile is an expectation: the sum of
 * p_ij x_j over the candidates, divided by nothing, because a row's probabilities sum to 1.
 */
#ifndef CM_MATCH_TRANSFER_H
#define CM_MATCH_TRANSFER_H

#include <stddef.h>
#include <stdint.h>

#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The values of a label: distinct texts, ascending by byte, and each cell's position among them.
 * CM_CAT_MISSING where a text is empty.  Release with cm_label_values_free. */
struct cm_label_values {
    struct cm_strs text;
    uint32_t *code;
};
void cm_label_values_make(struct cm_label_values *x, const struct cm_strs *text);
void cm_label_values_free(struct cm_label_values *x);

/* Some rows of a match: row i has the candidates idx[ptr[i] .. ptr[i+1]-1] with probabilities p. */
struct cm_candidates {
    size_t rows;
    const uint64_t *ptr;
    const uint32_t *idx;
    const float *p;
};

/* The two values with the largest shares, the lower code among equals (the first by name);
 * CM_CAT_MISSING and 0 where there is none. */
struct cm_vote {
    uint32_t first, second;
    double first_share, second_share; /* of the row's probability, 0 to 1 */
};

/* The votes of m->rows rows.  code: the value of each column cell, 0 .. values-1, or CM_CAT_MISSING
 * for a cell without one, whose probability nobody gets.  Runs on the pool; memory 8 * values a
 * thread. */
void cm_transfer_votes(const struct cm_candidates *m, const uint32_t *code, size_t values,
                       struct cm_vote *out);

/* Expected profiles of m->rows rows into b (rows x cols, f32).  at[j]: the row of `from` that is
 * column cell j.  Sparse from: an entry wherever a candidate of positive probability has one; dense
 * from: dense.  Sums in double, in the order of the candidates: the same bits for any number of
 * threads.  Memory: 8.2 bytes a column for each of at most 16 shards, and the result twice. */
void cm_transfer_values(const struct cm_candidates *m, const uint32_t *at,
                        const struct cm_table *from, struct cm_block *b);

#ifdef __cplusplus
}
#endif
#endif
