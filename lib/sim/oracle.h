/* sim/oracle.h - the best possible matcher of simulated cells.
 *
 * The posterior p(partner of i = j | counts of all test cells of the batch, parameters) of a
 * matcher that knows how the cells were made (rates, shares, loadings, loci, library sizes) and
 * sees what any method sees: counts.  It does not see latent states: no method could come near an
 * oracle that does.
 *
 * How.  For cells i (RNA) and j (ATAC) the likelihood ratio "one cell" against "two cells" is
 *     R_ij = p(x_i, y_j) / (p(x_i) p(y_j)) = sum_t p(t|x_i) p(t|y_j) / p(t) O_t(i, j)
 *            prod_d (1 + a_id b_jd),
 * with O_t the overlap of the two Gaussian (Laplace) posteriors of the shared factors given type t,
 * and a_id, b_jd the posterior means of the locus state: the product over loci is exact.  Partners
 * are one to one, so p is the marginal of a perfect matching with weight prod R; it is found by
 * belief propagation (exact on trees; Vontobel, IEEE Trans. Inf. Theory 59, 2013).
 */
#ifndef CM_SIM_ORACLE_H
#define CM_SIM_ORACLE_H

#include "sim/generate.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cm_oracle {
    const struct cm_gen *g; /* borrowed */
    size_t n;               /* test cells */
    uint64_t *row, *col; /* the cell of row i, and of column j; in the rows' order of each side */
    uint64_t *ptr;       /* n + 1 */
    uint32_t *idx;       /* columns ascend within a row */
    float *val;          /* rows sum to 1 */
    /* Over the rows: mean posterior of the true partner, share of rows whose largest entry it is,
     * mean of sum_j p_ij^2 (what the first must be on average if p is calibrated), and 1 / cells in
     * the batch. */
    double soft, hard, expected, chance;
};

/* The posterior for all test cells, at most `max` entries a row (1000), the largest ones.  Memory:
 * 24 n_b^2 bytes for the largest number n_b of test cells in a batch, 8 bytes a locus and cell,
 * 672 a type and cell of it.
 * 0, or CM_EINPUT when no cell is a test cell. */
int cm_oracle_make(struct cm_oracle **o, const struct cm_gen *g, size_t max);
void cm_oracle_free(struct cm_oracle *o);

/* A stream of kind match, state probability: rows named as in GEX, columns as in ATAC. */
void cm_oracle_head(const struct cm_oracle *o, struct cm_head *h);
void cm_oracle_chunk(const struct cm_oracle *o, size_t first, size_t rows, struct cm_chunk *c);

/* Marginals of a perfect matching of n + n nodes with weights exp(w[i * n + j]); overwrites w with
 * them.  Exact up to n = 12, by belief propagation beyond.  Rows sum to 1. */
void cm_matching_marginals(size_t n, double *w);

#ifdef __cplusplus
}
#endif
#endif
