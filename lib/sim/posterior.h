/* sim/posterior.h - what the counts of a simulated cell say about its latent state. */
#ifndef CM_SIM_POSTERIOR_H
#define CM_SIM_POSTERIOR_H

#include "sim/generate.h"

/* What a cell's counts say about its shared state given a type. */
struct cm_view {
    double share;              /* log p(t | counts); -inf when dropped */
    double eta[CM_GEN_SHARED]; /* precision x mean of the shared factors */
    double prec[CM_GEN_SHARED * CM_GEN_SHARED];
    double norm; /* eta' prec^-1 eta - log det prec */
};

struct cm_cell_view {
    struct cm_view *type; /* types */
    float *locus;         /* genes: posterior mean of the locus state (0 without linked peaks) */
};

/* Views of a cell by every type (shares -inf at first) and its locus states (all 0). */
void cm_posterior_view(const struct cm_gen *g, int side, size_t cell, struct cm_cell_view *v);

/* log of the sum over types of p(t|x) p(t|y) / p(t) O_t. */
double cm_posterior_ratio(const struct cm_gen *g, const struct cm_view *x, const struct cm_view *y);

#endif
