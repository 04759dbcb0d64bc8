/* match/topk.h - the k most similar columns of each row, exactly, without the matrix.
 *
 * 20,000 x 20,000 similarities are 1.6 GB, 70,000 squared 20 GB; a match needs the best thousand of
 * each row, and the rule dual one number a column.  Tiles of sgemm that stay in the cache are
 * consumed at once: a row keeps a buffer of candidates above its running threshold and is cut back
 * to k by selection, not by a heap: the buffer stays in column order, which CSR wants anyway, and
 * selection is linear.  Candidates may be restricted to groups (batches): columns are then stored
 * group by group and no product across groups is computed.  Approximate search was rejected: scores
 * are compared in the third digit.
 *
 * Work units are fixed by the data and by constants, so results do not depend on the thread count.
 */
#ifndef CM_MATCH_TOPK_H
#define CM_MATCH_TOPK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "match/groups.h"
#include "match/nearest.h"
#include "match/rules.h"
#include "matrix/matrix.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cm_search;

/* Prepares the columns: t (m x d).  group: m codes or CM_GROUP_NONE, or NULL = no restriction.
 * t is borrowed while no groups are given (it must outlive the search), else copied. */
struct cm_search *cm_search_make(const struct cm_dense *t, const uint32_t *group);
void cm_search_free(struct cm_search *x);

/* Could a similarity of these rows (or, with `shift`, its difference to the column's) leave the
 * range of a float, in whatever order it is summed?  Then false, and the first such row of the
 * portion and column.  Nearly always decided by norms alone. */
bool cm_search_finite(const struct cm_search *x, const float *e, size_t lde, size_t rows,
                      const uint32_t *group, const float *shift, size_t *row, uint32_t *col);

/* The searches below expect that it returned true.
 *
 * Adds rows of e (rows x d, ld lde) to the normalisers of the columns: c->cols == m.  group: codes
 * of the rows (NULL exactly when the search has none).  For the same bits, call with the same rows
 * in the same portions. */
void cm_search_normalise(struct cm_search *x, const float *e, size_t lde, size_t rows,
                         const uint32_t *group, struct cm_normalisers *c);

/* The same for the columns' nearest rows: n->cols == m, the rows are first .. first + rows - 1. */
void cm_search_nearest(struct cm_search *x, const float *e, size_t lde, uint64_t first, size_t rows,
                       const uint32_t *group, struct cm_nearest *n);

/* How many rows to give at a time: enough for many threads, few enough that k results of each, 8
 * bytes an entry, stay in 32 MB (128 rows at least).  Depends on k alone. */
size_t cm_search_portion(size_t k);

/* For each row the k columns with the largest s_ij - shift_j (shift NULL = 0), in column order: row
 * i gets count[i] entries at idx + i*k and s + i*k (the similarities, without the shift). */
void cm_search_rows(struct cm_search *x, const float *e, size_t lde, size_t rows,
                    const uint32_t *group, size_t k, const float *shift, uint32_t *idx, float *s,
                    size_t *count);

#ifdef __cplusplus
}
#endif
#endif
