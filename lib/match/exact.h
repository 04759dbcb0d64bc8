/* match/exact.h - the best one-to-one assignment of rows to columns.
 *
 * Of all assignments that use stored pairs only: one with the most pairs, and among these the
 * largest sum of similarities.  Shortest augmenting paths with row and column prices (Jonker and
 * Volgenant 1987): first each free row takes its best column and raises its price to what the
 * second best would cost (a row that is pushed out bids again), then each row that is still free
 * gets a shortest path (Dijkstra) to a free column.  Candidates are sparse (a heap, work in
 * proportion to the entries) or dense (arrays, in vectors).  A row may also stay without a partner,
 * at a price above anything that pairs could cost: no pair is ever forbidden by a large number in a
 * matrix.  The auction with shrinking bids was rejected: its result is only as good as its last
 * epsilon.
 */
#ifndef CM_MATCH_EXACT_H
#define CM_MATCH_EXACT_H

#include <stddef.h>
#include <stdint.h>

#include "matrix/matrix.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_NO_PARTNER UINT32_MAX

/* m: similarities, absent = not allowed; rows and cols < 2^32 - 1.  partner: m->rows items, the
 * column of each row or CM_NO_PARTNER.  The sum is the largest one up to 1e-15 rows^2 of the range
 * of the values; which of several equal assignments is found depends on m alone.  Serial. Takes 60
 * bytes a row and column; 8 bytes an entry more where there are more rows than columns (4 where
 * all pairs are stored), and 500 bytes a row where all pairs are stored. */
void cm_exact(const struct cm_csr *m, uint32_t *partner);

#ifdef __cplusplus
}
#endif
#endif
