/* links/weights.h - the network that gives each link its weight. */
#ifndef CM_LINKS_WEIGHTS_H
#define CM_LINKS_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

#include "nn/nn.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_LINK_FACTS 5

/* Pairs of one fit, gene by gene: facts x (n x CM_LINK_FACTS), first weights c' and correlations c;
 * those of gene g (row of u) are ptr[g] .. ptr[g+1]-1, peak: row of w. */
struct cm_link_pairs {
    size_t n;
    const cm_real *x, *first, *c;
    const uint64_t *ptr;
    const uint32_t *peak;
};

/* Numbers of the network with H hidden units, in this order: A (H x CM_LINK_FACTS), a (H), B (2 x
 * H), b (2), l. */
size_t cm_link_size(size_t H);
/* A and a uniform in +-1/sqrt(CM_LINK_FACTS), B and b zero, l = log_t. */
void cm_link_init(cm_real *w, size_t H, double log_t, uint64_t seed);
/* phi (n) */
void cm_link_weights(cm_real *phi, const struct cm_link_pairs *p, const cm_real *w, size_t H);
/* Adds to dw (all but l). */
void cm_link_backward(cm_real *dw, const cm_real *dphi, const struct cm_link_pairs *p,
                      const cm_real *w, size_t H);

#ifdef __cplusplus
}
#endif
#endif
