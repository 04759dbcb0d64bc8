/* links/weights.h - the network that gives each link its weight.
 *
 * In the terms of cross-attention: tokens are genes and peaks, v_g = u_g(i) and v_p = w_p(j) are
 * their values, the attention of g to p is phi_gp, its bias by genomic distance is learned:
 *   S(i,j) = e.t + mu sum_gp phi_gp u_g(i) w_p(j)
 *   phi_gp = c'_gp exp(o1) + 0.3 c_gp o2,   (o1, o2) = B tanh(A x_gp + a) + b
 *   x_gp   = (ln(1+|s|), max(|s|-2,0)/3, log10(d+1000)-4.5, ln(f_g+.001)+3, ln(f_p+.001)+3)
 * c correlation, c' as cm_links_fit has it (thresholded, within its own window, else 0), s =
 * c sqrt(n), d distance in base pairs, f share of training cells that have the feature.  B = b = 0
 * at first.
 */
#ifndef CM_LINKS_WEIGHTS_H
#define CM_LINKS_WEIGHTS_H

#include <stddef.h>
#include <stdint.h>

#include "nn/nn.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_LINKS_FACTS 5

/* Links of one fit: facts x (n x CM_LINKS_FACTS), first weights c' and correlations
 * c. */
struct cm_links_facts {
    size_t n;
    const cm_real *x, *first, *c;
};

/* Numbers of the network with H hidden units, in this order: A (H x CM_LINKS_FACTS), a (H), B (2 x
 * H), b (2), l. */
size_t cm_links_weights_size(size_t H);
/* A and a uniform in +-1/sqrt(CM_LINKS_FACTS), B and b zero, l = log_t. */
void cm_links_weights_init(cm_real *w, size_t H, double log_t, uint64_t seed);
/* phi (n) */
void cm_links_weights(cm_real *phi, const struct cm_links_facts *p, const cm_real *w, size_t H);
/* Adds to dw (all but l). */
void cm_links_weights_backward(cm_real *dw, const cm_real *dphi, const struct cm_links_facts *p,
                               const cm_real *w, size_t H);

#ifdef __cplusplus
}
#endif
#endif
