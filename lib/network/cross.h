/* network/cross.h - cross-attention of a PAIR of cells: the paper's second similarity, S1.
 *
 * e1 and t1 of the paper come from the stacked tokens of a pair.  Computed once from true
 * pairs and compared across cells they carry the answer (the leak of cellmatch-model(7)); so S of
 * any pair needs the module run on that very pair, B^2 runs in a batch.  A pair is the only thing
 * that can be scored here, no function returns an e1 or t1; what depends on one cell alone (its
 * queries, keys, values, and its attention to itself) is made once a cell and shared by its
 * candidates; training mines candidates by S0 and runs backward on few pairs.
 *
 *   Y = [X_0; X_1], the tokens before self-attention (network/encoder.h), side 0 over side 1
 *   U = one Transformer unit over Y;  e1, t1 = unit(mean of U over each part);  S1 = e1.t1
 *   S = S0 + alpha S1              (cellmatch-model(7))
 *
 * Letters: B cells of a batch, L[s] tokens of side s, L = L[0] + L[1], P width, H heads.
 */
#ifndef CM_NETWORK_CROSS_H
#define CM_NETWORK_CROSS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "network/encoder.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cm_cross {
    struct cm_cross_config o;
    size_t L[2], P;
    size_t begin, size; /* where the arena that it was declared in holds its numbers */
    struct cm_unit unit;
};

/* Parameters and gradients below are those of the module alone (`size` numbers): its offsets are
 * local, a caller with a larger arena passes arena + begin. */

/* Declares the unit's tensors as "prefix.*".  CM_EINPUT when heads do not divide P. */
int cm_cross_make(struct cm_cross *c, const struct cm_cross_config *o, const size_t L[2], size_t P,
                  struct cm_params *t, const char *prefix);
/* The same for two token encoders; CM_EINPUT when their widths differ. */
int cm_cross_open(struct cm_cross *c, const struct cm_cross_config *o,
                  const struct cm_encoder *const e[2], struct cm_params *t, const char *prefix);
/* First values (PyTorch's defaults), a function of seed. */
void cm_cross_init(const struct cm_cross *c, cm_real *params, uint64_t seed);

/* ===== one pair, kept for backward ========================================================== */

size_t cm_cross_cache(const struct cm_cross *c);
size_t cm_cross_scratch(const struct cm_cross *c);
/* S1 of the pair with tokens x[s] (L[s] x P).  drop: seed, step, row; NULL = apply. */
double cm_cross_forward(const struct cm_cross *c, cm_real *cache, const cm_real *const x[2],
                        const cm_real *params, const struct cm_dropout *drop, cm_real *scratch);
/* Adds dS1 times the gradients to dparams and dx[s]. */
void cm_cross_backward(const struct cm_cross *c, cm_real *dparams, cm_real *const dx[2], double ds1,
                       const cm_real *cache, const cm_real *params, const struct cm_dropout *drop,
                       cm_real *scratch);
/* Probabilities H x L x L in the cache of a forward pass. */
const cm_real *cm_cross_prob(const struct cm_cross *c, const cm_real *cache);

/* ===== many candidates ====================================================================== */

/* What a cell of side s brings into any pair: tokens, Q, K, V, and its attention to itself with the
 * logarithm of that softmax's divisor.  cm_cross_cell(c, s) numbers. */
size_t cm_cross_cell(const struct cm_cross *c, size_t side);
void cm_cross_cell_make(const struct cm_cross *c, size_t side, cm_real *cell, const cm_real *x,
                        const cm_real *params, cm_real *scratch);
/* S1 of a pair of them: the value of cm_cross_forward without dropout, up to rounding. */
double cm_cross_pair(const struct cm_cross *c, const cm_real *cell0, const cm_real *cell1,
                     const cm_real *params, cm_real *scratch);

#ifdef __cplusplus
}
#endif
#endif
