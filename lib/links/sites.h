/* links/sites.h - places of genes and peaks on the genome, and which lie near each other. */
#ifndef CM_LINKS_SITES_H
#define CM_LINKS_SITES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "links/links.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

/* All pairs inside the window, gene-major: peaks (feature numbers, ascending) of each gene
 * feature. */
struct cm_links_candidates {
    uint64_t *ptr; /* gene features + 1 */
    uint32_t *peak;
    size_t n;
};

/* window: base pairs, open at both ends; placed: genes and peaks that have coordinates.  Of more
 * pairs than `max` it finds max + 1. */
struct cm_links_candidates cm_links_candidates_find(const struct cm_cols *gene_table,
                                                    const struct cm_cols *peak_table, double window,
                                                    size_t max, size_t placed[2]);
void cm_links_candidates_free(struct cm_links_candidates *c);

/* Where the features of a table are, in bases: genes at tss (or start), peaks at the middle of
 * start and end; NaN where that is not known.  cm_free. */
double *cm_links_positions(const struct cm_cols *table, bool genes);

/* out (pairs): base pairs between the gene's start and the peak's centre, in the order of c. */
void cm_links_distances(const struct cm_links *links, const struct cm_cols *gene_table,
                        const struct cm_cols *peak_table, double *out);

#ifdef __cplusplus
}
#endif
#endif
