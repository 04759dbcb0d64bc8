/* network/mining.h - training of the cross-attention module: the loss of a mini-batch on mined
 * pairs. */
#ifndef CM_NETWORK_MINING_H
#define CM_NETWORK_MINING_H

#include "network/cross.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cm_cross_batch {
    size_t B;                      /* at most 65,535; row b of both sides is one cell */
    const cm_real *x[2];           /* tokens, B x L[s] x P */
    const cm_real *s0;             /* B x B: rows side 0, columns side 1 */
    const unsigned char *allowed;  /* B x B, 0 = no candidate (another batch label), or NULL */
    double log_t;                  /* listwise: scores are multiplied by exp(log_t) */
    const struct cm_dropout *drop; /* seed, step; NULL = no dropout */
    const struct cm_rng *g;        /* for random negatives, else NULL */
};

struct cm_cross_report {
    size_t mined;  /* pairs scored, partners included */
    size_t active; /* triplet terms above 0, of 2 B; listwise: 2 B */
    size_t back;   /* pairs of the backward pass */
    double sd;     /* standard deviation of S over the scored pairs: below 1e-3 is a collapse */
    double dlog_t; /* listwise: gradient of log_t */
};

/* The loss of a batch on S = S0 + alpha S1.  1. Of each row and column, partners left out, h are
 * mined: the largest S0; for semi-hard triplets the largest below the partner's, then the nearest
 * above (the largest of all would leave a cell whose partner ranks low without any negative); ties:
 * lower index.  2. S of these and of the partners, without keeping anything. 3. TRIPLET: the
 * negatives of each cell and direction among its mined ones by o.negatives, loss as cm_triplet;
 * LISTWISE: mean over rows and columns of the cross-entropy of the partner among itself and the
 * mined, halves summed as cm_infonce.  4. Forward with dropout and backward on the pairs that have
 * a gradient.  Adds to ds0 (B x B), dx[s] (B x L[s] x P) and dparams (the module's).  report may be
 * NULL.  On the pool, fixed shards: same bits for any number of threads.  Allocates
 * cm_cross_loss_bytes. */
double cm_cross_loss(const struct cm_cross *c, cm_real *ds0, cm_real *const dx[2], cm_real *dparams,
                     const struct cm_cross_batch *batch, const cm_real *params,
                     struct cm_cross_report *report);
uint64_t cm_cross_loss_bytes(const struct cm_cross *c, size_t B, size_t threads);

#ifdef __cplusplus
}
#endif
#endif
