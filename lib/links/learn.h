/* links/learn.h - learned weights of peak-gene links: cross-attention that begins as the links.
 *
 * A fit (links/fit.h) trusts a pair of gene and peak by its correlation alone, within a hard
 * window. How far a correlation can be trusted also depends on the distance, on how often gene and
 * peak are seen, and on how strong it is; none of this can be learned on the cells that gave the
 * correlations, where every chance agreement helps.  So a small network, shared by all links,
 * gives each its weight from such facts (links/weights.h), and is trained on similarities OUT OF
 * FOLD: CCA and correlations are fitted on the other folds, and the fold's cells are matched among
 * themselves (links/contrast.h). The rule is then applied to the correlations of all training
 * cells; the result are links again.
 *
 * Rejected, each measured to add nothing beyond its error: weights that depend on the cells'
 * depths, weights of the canonical axes, links beyond 500 kb; and a weight for every gene (as many
 * numbers as genes, for a rule that needs a hundred).
 */
#ifndef CM_LINKS_LEARN_H
#define CM_LINKS_LEARN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "links/folds.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_LINKS_VALID_EVERY 10 /* steps between two validations */
#define CM_LINKS_FEWEST      32 /* cells in a fold, below which nothing is learned */

struct cm_links_report {
    double before, after; /* InfoNCE of the validation cells (NaN without any) */
    size_t step;          /* whose weights were kept; 0: the links stayed as they were */
    size_t pairs;
};

/* Replaces *links, as cm_links_fit left them, by links with learned weights.  Returns 1; 0 when
 * there is too little to learn from or nothing was gained on validation cells (*links is unchanged,
 * cm_error_message says why); < 0 on failure.  Memory: see
 * cm_links_learn_bytes; no copy of cells. */
int cm_links_learn(struct cm_links *links, const struct cm_links_config *c,
                   const struct cm_links_learn_data *d, struct cm_links_report *report);
/* Upper bound of those bytes, for n training cells with `entries` stored values. */
uint64_t cm_links_learn_bytes(const struct cm_learn_config *o, uint64_t n, uint64_t entries,
                              uint64_t genes, uint64_t peaks, uint64_t k);

#ifdef __cplusplus
}
#endif
#endif
