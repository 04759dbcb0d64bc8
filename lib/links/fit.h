/* links/fit.h - the peak-gene term: cells agree where open chromatin lies beside expressed genes.
 *
 * Problem: what a low-rank embedding keeps is the cell type; WHICH cell of the type it is shows in
 * small deviations, and those of a gene go with those of the peaks near it.  Choice: residuals of
 * both modalities on their leading components, the correlation of each gene with each peak within a
 * window, soft-thresholded at its noise level; the term L(i,j) = sum c_gp u_g(i) w_p(j) is an inner
 * product of u(i) and C'w(j), so it travels as further embedding columns.  Everything is linear in
 * the peaks, so no cells x peaks residual is ever formed: c is accumulated from the stored
 * non-zeros of ATAC alone and corrected by rank-(r+1) terms.  Rejected: dense residual tiles a
 * chromosome (the same numbers at ten times the work).
 *
 * Letters: n cells, r components, g gene, p peak; u = clip(residual/sd), w = residual/sd.
 */
#ifndef CM_LINKS_FIT_H
#define CM_LINKS_FIT_H

#include <stddef.h>
#include <stdint.h>

#include "links/config.h"
#include "matrix/matrix.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_LINKS_SAMPLE 4096 /* mu is exact up to so many training cells */

/* The features of one side that the term uses.  residual_j = x_j - off_j - z_1..r . h_j */
struct cm_links_side {
    size_t n;
    uint32_t *feature; /* n, ascending: column in the modality's matrix */
    float *h;          /* n x r */
    float *off;        /* n */
    float *sd;         /* n, > 0 */
    size_t features;   /* columns of the modality */
    uint32_t *at;      /* features places: place in `feature`, or UINT32_MAX (derived) */
    float *ht;         /* r x n: h turned (derived) */
};

struct cm_links {
    size_t r, pairs;
    double clip, mu;
    uint64_t candidates; /* pairs within the window, before the threshold */
    struct cm_links_side gene, peak;
    uint64_t *ptr;     /* gene.n + 1: the pairs of each gene */
    uint32_t *peak_of; /* pairs: place in peak.feature, ascending within a gene */
    float *c;          /* pairs: thresholded correlations, never 0 */
    /* derived, peak-major: entry x_p of a cell adds x_p mval to the columns mgene */
    uint64_t *mptr;
    uint32_t *mgene;
    float *mval;
    float *slope; /* r x gene.n */
    float *base;  /* gene.n */
};

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
 * between batches is no correlation.  Returns 1 and a term, 0 when there is none (no coordinates,
 * no pair in the window or above the threshold: cm_error_message says which), < 0 on failure. */
int cm_links_fit(struct cm_links *links, const struct cm_links_fit_config *c,
                 const struct cm_links_data *d);

/* Sets mu so that the standard deviation of mu L over pairs of these (training) cells is `sd`, and
 * fills what is derived: after cm_links.c was changed.  CM_ENUMERIC when it is not finite. */
int cm_links_scale(struct cm_links *links, double sd, const struct cm_links_data *d);
/* out (pairs): base pairs between the gene's start and the peak's centre, in the order of c. */
void cm_links_distances(const struct cm_links *links, const struct cm_cols *gene_table,
                        const struct cm_cols *peak_table, double *out);
/* out (rows x peak.n, ld ldo) = w, the peaks' residuals. */
void cm_links_peak_residuals(const struct cm_links *links, const struct cm_csr *x, const float *z,
                             size_t ldz, float *out, size_t ldo);

/* Columns of the gene side, out (rows x gene.n, ld ldo) = u; of the peak side, mu C'w (the same
 * shape): their inner product is mu L. */
void cm_links_gene_columns(const struct cm_links *links, const struct cm_csr *x, const float *z,
                           size_t ldz, float *out, size_t ldo);
void cm_links_peak_columns(const struct cm_links *links, const struct cm_csr *x, const float *z,
                           size_t ldz, float *out, size_t ldo);

/* Fills what is derived, after the tensors of a model were read. */
void cm_links_finish(struct cm_links *links);
void cm_links_free(struct cm_links *links);

#ifdef __cplusplus
}
#endif
#endif
