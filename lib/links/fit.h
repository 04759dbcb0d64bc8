/* links/fit.h - links from paired training cells, in closed form. */
#ifndef CM_LINKS_FIT_H
#define CM_LINKS_FIT_H

#include "links/config.h"
#include "links/links.h"
#include "links/residuals.h"
#include "matrix/matrix.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_LINKS_SAMPLE 2048 /* mu is exact up to so many training cells */

/* Paired training cells: side 0 genes, side 1 peaks. */
struct cm_links_data {
    const struct cm_csr *x[2];
    const float *z[2]; /* components, ld ldz */
    size_t ldz;
    const float *mean[2];           /* of the features */
    const struct cm_cols *table[2]; /* columns chrom, start, end, tss */
    const uint32_t *group;          /* batch of each cell, below `groups`, or NULL */
    size_t groups;
    uint64_t seed; /* of the sample of cells when there are more than CM_LINKS_SAMPLE */
};

/* With groups the correlations are taken inside them (u and w centred a group), so that a shift
 * between batches is no correlation.  Returns 1; 0 when there are no links (no coordinates,
 * no pair in the window or above the threshold: cm_error_message says which), < 0 on failure. */
int cm_links_fit(struct cm_links *links, const struct cm_links_fit_config *c,
                 const struct cm_links_data *d);

/* Sets mu so that the standard deviation of mu L over pairs of these (training) cells is `sd`, and
 * fills what is derived: after links->c was changed.  CM_ENUMERIC when it is not finite. */
int cm_links_scale(struct cm_links *links, double sd, const struct cm_links_data *d);

/* That mu for weights c of the links, over cells at[0..n-1] (NULL: the first n) or a sample of
 * them; NaN when it is not finite.  links->mu does not matter. */
double cm_links_mu(const struct cm_links *links, const float *c, double sd,
                   const struct cm_links_cells cells[2], const uint64_t *at, size_t n,
                   uint64_t seed);

#ifdef __cplusplus
}
#endif
#endif
