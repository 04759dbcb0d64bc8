/* network/scorer.h - S of candidate pairs by a model's cross-attention module.
 *
 * A cell is a candidate of many rows, and what it brings into a pair (tokens, queries,
 * keys, values, attention to itself) costs about as much as a pair; keeping that for all cells of
 * a large matrix does not fit in memory.  A bounded cache holds column cells and drops
 * the least recently used; the cell of the row is made once a row.  Each number is a function of
 * one pair: the cache, its size, the threads and the order of rows change nothing.  The scorer is
 * given two matrices and row numbers; names, labels and truth are not within its reach.
 */
#ifndef CM_NETWORK_SCORER_H
#define CM_NETWORK_SCORER_H

#include <stddef.h>
#include <stdint.h>

#include "matrix/matrix.h"
#include "network/net.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cm_scorer;

/* x[s]: prepared cells of side s of the net, which must have the cross module; w: its weights, an
 * arena as net->w; row_side: 0 or 1, the side of the rows.  bytes: of the cache of column cells,
 * raised to hold `max` of them, the longest row.  Everything is borrowed until cm_scorer_free. */
struct cm_scorer *cm_scorer_make(const struct cm_net *net, const cm_real *w,
                                 const struct cm_csr *const x[2], size_t row_side, size_t max,
                                 uint64_t bytes);
/* Bytes that cm_scorer_make will take for the cache of `cells` cells of that side, and a thread. */
uint64_t cm_scorer_cell_bytes(const struct cm_net *net, size_t side);
uint64_t cm_scorer_thread_bytes(const struct cm_net *net);
/* s[c] += alpha S1(row, col[c]) for n <= max distinct columns.  CM_ENUMERIC when one is not
 * finite. */
int cm_scorer_row(struct cm_scorer *s, uint64_t row, const uint32_t *col, size_t n, float *score);
void cm_scorer_free(struct cm_scorer *s);

/* Keeps the k largest values of each of n CSR rows (ties: the lower column), in place, columns
 * still ascending; ptr follows. */
void cm_scorer_keep(size_t n, uint64_t *ptr, uint32_t *idx, float *val, size_t k);

/* Re-ranking as xattn-score does it, for paired cells: s (n x n, S0, rows side 0) becomes S where
 * the column is among the `top` largest of its row or the row among those of its column, both
 * within equal codes of `group` (NULL: all), and CM_SCORER_OUT elsewhere.  w: weights in place of
 * the net's own.  CM_ENUMERIC when an S is not finite.  Takes cm_scorer_all_bytes. */
#define CM_SCORER_OUT (-1e4f) /* so low that no rule gives it a share */
int cm_scorer_all(const struct cm_net *net, const cm_real *w, const struct cm_csr *const x[2],
                  const uint32_t *group, size_t top, float *s);
uint64_t cm_scorer_all_bytes(const struct cm_net *net, size_t n, size_t top);

#ifdef __cplusplus
}
#endif
#endif
