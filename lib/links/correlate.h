/* links/correlate.h - correlations of genes and peaks over paired cells. */
#ifndef CM_LINKS_CORRELATE_H
#define CM_LINKS_CORRELATE_H

#include <stddef.h>
#include <stdint.h>

#include "links/residuals.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The pairs of features whose correlations are asked for, and the paired cells. */
struct cm_links_pairing {
    const struct cm_links_side *gene, *peak;
    struct cm_links_index pairs; /* positions in gene and peak */
    size_t r;
    double clip;                   /* of genes */
    struct cm_links_cells cell[2]; /* genes, peaks */
    const uint32_t *group;         /* of each cell, below `groups`, or NULL */
    size_t groups;                 /* at least 1 */
};

/* Sums over cells of one or several parts. */
struct cm_links_sums {
    double cells;
    double *products; /* pairs: u_g times the entries of w_p */
    double *gene;     /* gene.n x rank: u_g times [z, 1] of the peaks' side */
    /* with groups, for each of them, else NULL: */
    double *size, *gene_group; /* cells; groups x gene.n: u_g */
    double *peak_group, *left; /* groups x peak.n: entries of w_p; groups x rank: [z, 1] */
};

/* Zeros, to be added to. */
struct cm_links_sums cm_links_sums_make(const struct cm_links_pairing *p);
/* Adds cells at[0..n-1] (NULL: the first n).  The same bits for any number of threads. */
void cm_links_sums_take(struct cm_links_sums *s, const struct cm_links_pairing *p,
                        const uint64_t *at, size_t n);
/* s += factor other */
void cm_links_sums_add(struct cm_links_sums *s, const struct cm_links_pairing *p, double factor,
                       const struct cm_links_sums *other);
void cm_links_sums_free(struct cm_links_sums *s);

/* value[pair] = mean over the cells of u_g w_p, each less its mean in the group where there are
 * groups. */
void cm_links_correlations(double *value, const struct cm_links_sums *s,
                           const struct cm_links_pairing *p);

#ifdef __cplusplus
}
#endif
#endif
