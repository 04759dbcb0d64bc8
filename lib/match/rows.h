/* match/rows.h - a portion of a match's rows, changed in place.
 *
 * Every step of `assign` (add an ensemble, restrict to a batch, apply a rule) shortens rows.  One
 * open struct over arrays that somebody else owns, and steps that only move entries towards the
 * front: nothing is allocated or copied between them.
 */
#ifndef CM_MATCH_ROWS_H
#define CM_MATCH_ROWS_H

#include <stddef.h>
#include <stdint.h>

#include "match/rules.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Row i is idx, val [ptr[i] .. ptr[i+1]-1], columns ascending, ptr[0] = 0. */
struct cm_rows {
    size_t n;
    uint64_t *ptr;
    uint32_t *idx;
    float *val;
};

/* From n rows of count[i] entries that begin at i * k: sets ptr (n + 1 items), closes the gaps. */
void cm_rows_pack(struct cm_rows *r, size_t k, const size_t *count);

/* Keeps the entries whose column has the row's code; CM_GROUP_NONE equals nothing. */
void cm_rows_within(struct cm_rows *r, const uint32_t *row_code, const uint32_t *col_code);

/* Adds the values of `other` (as many rows), keeping the columns that both store: a missing
 * similarity is -inf, and so is a sum with it. */
void cm_rows_add(struct cm_rows *r, const struct cm_rows *other);

/* cm_normalisers_add of every row. */
void cm_rows_normalise(const struct cm_rows *r, struct cm_normalisers *c);

/* cm_rule_row of every row, on the pool. */
void cm_rows_rule(struct cm_rows *r, const struct cm_rule *rule, const double *column_log,
                  size_t max);

/* One entry of 1 at each row's largest value, the lowest column among equals; rows without a
 * positive value become empty. */
void cm_rows_harden(struct cm_rows *r);

size_t cm_rows_empty(const struct cm_rows *r); /* how many rows have no entry */

#ifdef __cplusplus
}
#endif
#endif
