/* links/correlate.h - correlations of genes and peaks over paired cells. */
#ifndef CM_LINKS_CORRELATE_H
#define CM_LINKS_CORRELATE_H

#include <stddef.h>
#include <stdint.h>

#include "links/links.h"
#include "matrix/matrix.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Paired cells, the two sides, and the pairs of features, by peak. */
struct cm_links_sums {
    const struct cm_links_side *gene, *peak;
    const struct cm_csr *genes, *peaks;
    const float *zg, *zp;
    size_t ldz, r, pairs, groups, shards;
    double clip;
    const uint32_t *group;
    const uint64_t *near; /* peak.n + 1: the pairs of each peak, */
    const uint32_t *near_gene;
    const uint64_t *near_pair; /* their gene and their number */
    double *part;              /* shards x stride */
    size_t stride;             /* pairs, then gene.n x r, then groups x gene.n */
};

/* value[pair] = mean over cells of u_g w_p, inside groups where there are any; ptr and peak_of: the
 * same pairs by gene. */
void cm_links_correlate(struct cm_links_sums *s, const uint64_t *ptr, const uint32_t *peak_of,
                        double *value);

#ifdef __cplusplus
}
#endif
#endif
