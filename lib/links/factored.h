/* links/factored.h - residuals of cells as sparse entries plus low rank.
 *
 * The residual of a feature is x/sd - [z, 1] h: stored non-zeros of a few per cent, and as many
 * columns as there are components.  Clipping breaks the form in few places, which become entries.
 * For cell i and feature j
 *
 *   R_ij = S_ij + sum_k left_ik right_jk,   S_ij the entry of cell i among those of feature j or 0
 */
#ifndef CM_LINKS_FACTORED_H
#define CM_LINKS_FACTORED_H

#include <stddef.h>
#include <stdint.h>

#include "nn/nn.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Rows of left and right are `rank` rounded up to a multiple of this, the rest zero. */
#define CM_FACTORED_PAD 8

struct cm_factored {
    size_t n, d; /* cells, features */
    size_t rank; /* padded */
    uint64_t *ptr;
    uint32_t *cell; /* those of feature j: ptr[j] .. ptr[j+1]-1, ascending */
    cm_real *val;
    cm_real *left;        /* n x rank */
    const cm_real *right; /* d x rank, not owned */
};

static inline size_t cm_factored_rank(size_t rank)
{
    return (rank + CM_FACTORED_PAD - 1) / CM_FACTORED_PAD * CM_FACTORED_PAD;
}
void cm_factored_free(struct cm_factored *f);

/* ===== links between two of them ============================================================ */

/* Links of gene g (a feature of u): ptr[g] .. ptr[g+1]-1, each with a peak (a feature of w). */
struct cm_links_index {
    size_t genes;
    const uint64_t *ptr;
    const uint32_t *peak;
};

/* out (u->n x w->n, ld ldo) += mu sum over links phi u_g(i) w_p(j).  Costs the entries of u times
 * the cells of w, and the entries of w times the links.  The same bits for any number of threads.
 */
void cm_links_product(cm_real *out, size_t ldo, const struct cm_factored *u,
                      const struct cm_factored *w, const struct cm_links_index *links,
                      const cm_real *phi, double mu);
/* Upper bound of its scratch: u of `rows` cells, genes and `entries`, w of cols cells and peaks. */
uint64_t cm_links_product_bytes(uint64_t rows, uint64_t cols, uint64_t entries, uint64_t genes,
                                uint64_t peaks);
/* dphi (one for each link) = its gradient, from dout (u->n x w->n, ld ldo), that of out. */
void cm_links_product_backward(cm_real *dphi, const cm_real *dout, size_t ldo,
                               const struct cm_factored *u, const struct cm_factored *w,
                               const struct cm_links_index *links, double mu);

#ifdef __cplusplus
}
#endif
#endif
