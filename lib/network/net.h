/* network/net.h - the trained part of a model: both encoders, and the linear start as parameters.
 *
 * The training loop, the model file, the checkpoint and `embed` must agree which numbers
 * there are and where.  There is one table of tensors over one arena (nn/nn.h), laid out from the
 * model's settings and column tables alone, so that the same head gives the same layout; copies of
 * the arena (gradients, moments, averages) then need no description of their own.
 *
 *   e = unit(z P + b + R)   with `residual`, otherwise e = unit(R); R the encoder's output
 *
 * Tensors: SLOT.p [k, q] and SLOT.b [q] (residual), SLOT.r.* (the encoder's), scale [1], the
 * logarithm l of the similarities' factor in the loss, and with the cross-attention module (between
 * token encoders) cross.*, which that scores pairs.
 */
#ifndef CM_NETWORK_NET_H
#define CM_NETWORK_NET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "network/cross.h"
#include "network/encoder.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_NET_TENSORS 256 /* more than any encoder declares */

struct cm_net {
    struct cm_params table;
    cm_real *w; /* table.size */
    struct cm_encoder encoder[2];
    bool residual;
    size_t k,
        q; /* components, 0 without a linear part; width of e: with residual the linear part's,
                    otherwise the encoders' */
    size_t p[2], b[2], scale; /* offsets */
    bool has_cross;
    struct cm_cross cross;
};

/* Lays the net out for a model with these settings, the slots of `head` and that linear part (k =
 * 0: it has none); w is all zero.  0, or CM_EINPUT. */
int cm_net_make(struct cm_net *n, const struct cm_net_config *c, const struct cm_head *head,
                const struct cm_linear *linear);
/* The same with w from the tensors of a file.  They are compared with the layout before memory for
 * the weights is taken: a head may declare any size. */
int cm_net_open(struct cm_net *n, const struct cm_net_config *c, const struct cm_head *head,
                const struct cm_linear *linear, const struct cm_tensors *ts);
/* Have both the same tensors, in name, shape and place? */
bool cm_net_same(const struct cm_net *a, const struct cm_net *b);
/* First values: P as the linear part has it, b = 0, l = log(scale), the encoders from the seed. */
void cm_net_init(struct cm_net *n, const struct cm_linear *linear, double scale, uint64_t seed);
void cm_net_free(struct cm_net *n);

/* raw (B x q) = z P + b + R, before the unit norm.  p: as for the encoder, its cache and scratch of
 * cm_net_cache and cm_net_scratch numbers. */
size_t cm_net_cache(const struct cm_net *n, size_t side, size_t B);
size_t cm_net_scratch(const struct cm_net *n, size_t side, size_t B);
void cm_net_forward(const struct cm_net *n, size_t side, cm_real *raw, const struct cm_pass *p);
/* Adds to dw.  `linear`: also to P and b.  dtokens: gradient of the encoder's tokens, or NULL. */
void cm_net_backward(const struct cm_net *n, size_t side, cm_real *dw, bool linear,
                     const cm_real *draw, const cm_real *dtokens, const struct cm_pass *p);

/* Row `row` of x as a cell, without components. */
struct cm_cell cm_cell_at(const struct cm_csr *x, uint64_t row);
/* The tokens (L x P) of one cell under weights w, in `scratch`: cm_net_tokens_scratch numbers. */
size_t cm_net_tokens_scratch(const struct cm_net *n, size_t side);
const cm_real *cm_net_tokens(const struct cm_net *n, size_t side, const cm_real *w,
                             struct cm_cell cell, cm_real *scratch);

/* out (rows x q, ld ldo) = e of prepared cells x with components z (ld k), under weights w.  One
 * cell at a time, on the pool: BLAS rounds differently for different numbers of rows, and a cell's
 * embedding must not depend on who stands beside it. */
void cm_net_apply(const struct cm_net *n, size_t side, const cm_real *w, const struct cm_csr *x,
                  const float *z, float *out, size_t ldo);

/* Tensors "front" + name of the whole table from an arena to a file, and back; those of the plain
 * front "" are the model's own.  Reading: CM_EINPUT when one is absent, misshapen or not finite. */
int cm_net_put(const struct cm_net *n, const char *front, const cm_real *w, struct cm_writer *to);
int cm_net_take(const struct cm_net *n, const char *front, cm_real *w, const struct cm_tensors *ts);

#ifdef __cplusplus
}
#endif
#endif
