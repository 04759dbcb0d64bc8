/* network/map.h - which token attends to which, on average. */
#ifndef CM_NETWORK_MAP_H
#define CM_NETWORK_MAP_H

#include "matrix/matrix.h"
#include "network/net.h"

#ifdef __cplusplus
extern "C" {
#endif

enum cm_map_module { CM_MAP_SELF_0, CM_MAP_SELF_1, CM_MAP_CROSS };

/* Regions of a module's map: tokens of one side, or of side 0 and then side 1. */
size_t cm_map_size(const struct cm_net *net, enum cm_map_module module);
/* The cells that are averaged. */
struct cm_map_cells {
    const struct cm_csr *const *x; /* [2]; only the sides that the module needs are read */
    const uint64_t *const *at;     /* [2]: cell c is row at[s][c] of x[s] */
    size_t n;
    const uint32_t *group; /* of each cell; one >= groups leaves it out.  NULL: all in group 0 */
    size_t groups;
};

/* out (groups x L x L) = mean over the cells of a group, and over heads, of the attention that
 * region i pays to region j (softmax, without dropout): rows sum to 1.  count (groups): cells of
 * each; a group without any is all 0.  Sums in double over fixed shards of the cells: same bits for
 * any number of threads. */
void cm_attention_map(const struct cm_net *net, enum cm_map_module module,
                      const struct cm_map_cells *cells, double *out, uint64_t *count);

#ifdef __cplusplus
}
#endif
#endif
