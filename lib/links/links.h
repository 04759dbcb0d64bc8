/* links/links.h - peak-gene links: cells agree where open chromatin lies beside expressed genes.
 *
 * A low-rank embedding keeps the cell type; which cell of the type it is shows in small
 * deviations, and those of a gene go with those of the peaks near it.  Links are correlations of
 * residuals: what the leading components leave of each gene and of each peak within a window of
 * it, soft-thresholded at the noise level.  L(i,j) = sum over links c_gp u_g(i) w_p(j) is an inner
 * product of u(i) and C'w(j), so it travels as further embedding columns.
 *
 * Letters: n cells, r components, g gene, p peak; u = clip(residual/sd), w = residual/sd.
 */
#ifndef CM_LINKS_LINKS_H
#define CM_LINKS_LINKS_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CM_LINKS_NOWHERE UINT32_MAX /* of a feature without links */

/* The features of one side that have links.  residual_j = x_j - off_j - z_1..r . h_j */
struct cm_links_side {
    size_t n;
    uint32_t *feature; /* n, ascending: column in the modality's matrix */
    float *h;          /* n x r */
    float *off;        /* n */
    float *sd;         /* n, > 0 */
    size_t features;   /* columns of the modality */
    uint32_t *at;      /* features: position in `feature`, or NOWHERE (derived) */
    float *ht;         /* r x n: h transposed (derived) */
    float *right;      /* n x rank: -[h, off]/sd (derived; links/factored.h) */
};

struct cm_links {
    size_t r, n; /* components, links */
    double clip, mu;
    uint64_t candidates; /* pairs within the window */
    /* What the fit found of all of them; absent from models of earlier versions. */
    float *correlation;   /* candidates, in the order of cm_links_candidates_find; or NULL */
    double cells, window; /* that it is of; base pairs */
    struct cm_links_side gene, peak;
    uint64_t *ptr;     /* gene.n + 1: the links of each gene */
    uint32_t *peak_of; /* n: position in peak.feature, ascending within a gene */
    float *c;          /* n: thresholded correlations, or learned weights */
    /* derived, peak-major: entry x_p of a cell adds x_p mval to the columns mgene */
    uint64_t *mptr;
    uint32_t *mgene;
    float *mval;
    float *slope; /* r x gene.n */
    float *base;  /* gene.n */
};

/* Gene-major pairs by peak: those of peak p are near[p] .. near[p+1]-1; `gene` of each, and `pair`,
 * its number among the gene-major ones. */
void cm_links_by_peak(size_t genes, size_t peaks, const uint64_t *ptr, const uint32_t *peak_of,
                      uint64_t *near, uint32_t *gene, uint64_t *pair);

/* Fills what is derived of a side. */
void cm_links_side_index(struct cm_links_side *s, size_t r);
void cm_links_side_free(struct cm_links_side *s);

/* Fills what is derived, after the tensors of a model were read. */
void cm_links_finish(struct cm_links *links);
void cm_links_free(struct cm_links *links);

#ifdef __cplusplus
}
#endif
#endif
