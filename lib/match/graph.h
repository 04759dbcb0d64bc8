/* match/graph.h - rules that need all candidates at once.
 *
 * Entropic transport walks over all entries again and again; thinning (as the two best teams of the
 * NeurIPS 2021 competition do it) compares each entry with its row and its column.  The stored
 * candidates are one sparse matrix, with its transpose for what runs over columns, so that either
 * direction is a loop over rows that each write their own result: the same bits for any number of
 * threads.
 *
 * Groups: codes of rows and columns, or NULL = one group.  Candidates across groups are absent from
 * the graph already; codes say how large a group is.
 */
#ifndef CM_MATCH_GRAPH_H
#define CM_MATCH_GRAPH_H

#include <stddef.h>
#include <stdint.h>

#include "matrix/matrix.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Entropic transport between rows and columns of equal weight each, in the logarithm: `iterations`
 * (>= 1) times v_j = -log sum_i exp(T s_ij + u_i), then u_i = -log sum_j exp(T s_ij + v_j), u = 0
 * at first.  offset (cols) = -v; 0 for columns without candidates.  Row sums are exact after that,
 * column sums are as near as the iterations brought them.  Unequal numbers of rows and columns only
 * scale the sums.  Takes 8 bytes an entry and 16 a row and column besides. */
void cm_graph_sinkhorn(const struct cm_csr *m, double temperature, size_t iterations,
                       double *offset);

/* Costs 1 - s are divided by their largest in each group: s becomes s / max (1 - s), which differs
 * from -cost by a constant.  Groups whose costs are all <= 0 stay. */
void cm_graph_scale(struct cm_csr *m, const uint32_t *row_code);

/* Drops the candidates that are below the q quantile of their row and below that of their column.
 * The quantile is that of all the columns (rows) of the group, by linear interpolation; what is not
 * stored counts as -inf, so a row cut to its largest gives the same as the full one as long as it
 * holds a share of 1 - q.  0 < q < 1. */
void cm_graph_quantile(struct cm_csr *m, const uint32_t *row_code, const uint32_t *col_code,
                       double q);

#ifdef __cplusplus
}
#endif
#endif
