/* links/learn.h - learned weights of the peak-gene term: cross-attention that begins as that term.
 *
 * Problem: the term (links/fit.h) trusts a pair of gene and peak by its correlation alone, within a
 * hard window.  How far a correlation can be trusted also depends on the distance, on how often
 * gene and peak are seen, and on how strong it is; and none of this can be learnt on cells from
 * which the correlations were taken, because there every chance agreement helps.  Choice: a small
 * network, shared by all pairs, gives each its weight from such facts; at the beginning its weights
 * are the term's own.  It is trained on similarities OUT OF FOLD: the training cells are cut into
 * folds, components, CCA and correlations are fitted on the others, and the fold's cells are
 * matched among themselves.  What is learnt is a rule, not weights of single pairs, so it is then
 * applied to the correlations of all training cells.  The result is again a peak-gene term: nothing
 * changes where a model is applied.
 *
 * Rejected: weights that also depend on the cells' depths, weights of the canonical axes, and pairs
 * beyond 500 kb (each measured to add nothing beyond its error), and a weight of its own for every
 * gene (as many numbers as there are genes, for a rule that needs a hundred).
 *
 * In the terms of cross-attention: tokens are genes and peaks, v_g = u_g(i) and v_p = w_p(j) are
 * their values, the attention of g to p is phi_gp, its bias by genomic distance is learned:
 *   S(i,j) = e.t + mu sum_gp phi_gp u_g(i) w_p(j)
 *   phi_gp = c'_gp exp(o1) + 0.3 c_gp o2,   (o1, o2) = B tanh(A x_gp + a) + b
 *   x_gp   = (ln(1+|s|), max(|s|-2,0)/3, log10(d+1000)-4.5, ln(f_g+.001)+3, ln(f_p+.001)+3)
 * c correlation, c' the term's (thresholded, within the term's own window, else 0), s = c sqrt(n),
 * d distance in base pairs, f share of training cells that have the feature.  B = b = 0 at first.
 * Loss: symmetric InfoNCE of exp(l) S over each fold's cells, l learned too; Adam.
 */
#ifndef CM_LINKS_LEARN_H
#define CM_LINKS_LEARN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "links/fit.h"
#include "linear/cca.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_LINK_LOOK   10 /* steps between two validations */
#define CM_LINK_FEWEST 32 /* cells in a fold, below which nothing is learned */

/* What is needed of the training: prepared cells x (training) and v (validation, rows may be 0) of
 * genes (side 0) and peaks (side 1), column tables, the full linear fit of those two sides and the
 * training cells' components (ld k), and batch labels or NULL. */
struct cm_links_learn_data {
    const struct cm_csr *x[2], *v[2];
    const struct cm_cols *table[2];
    const struct cm_linear *linear;
    size_t side[2]; /* which side of `linear` genes and peaks are */
    const float *z[2];
    const uint32_t *group, *valid_group;
    size_t groups;
    struct cm_linear_config fit; /* of LSI and CCA; k and q are those of `linear` */
    uint64_t seed;
};

struct cm_link_report {
    double before, after; /* InfoNCE of the validation cells (NaN without any) */
    size_t step;          /* whose weights were kept; 0: the term stayed as it was */
    size_t pairs;
};

/* Replaces *cis, as cm_links_fit left it, by the term with learned weights.  Returns 1; 0 when
 * there is too little to learn from or nothing was gained on validation cells (*cis is unchanged,
 * cm_error_message says why); < 0 on failure.  Memory: a copy of the training cells outside a fold,
 * and folds x CM_LINK_CELLS x (genes + peaks + CM_LINK_CELLS) numbers. */
int cm_links_learn(struct cm_links *links, const struct cm_links_config *c,
                   const struct cm_links_learn_data *d, struct cm_link_report *report);
/* Upper bound of those bytes, for n training cells with `entries` stored values. */
uint64_t cm_link_bytes(const struct cm_learn_config *o, uint64_t n, uint64_t entries,
                       uint64_t genes, uint64_t peaks);

#ifdef __cplusplus
}
#endif
#endif
