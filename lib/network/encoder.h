/* network/encoder.h - the trained part of one modality: from a cell to a vector of the shared
 * space.
 *
 * The presets share the training loop (batches, loss, optimiser, validation, checkpoints)
 * and differ in what maps a cell to its vector: a small MLP on its LSI components, tokens under
 * self-attention, or the paper's network from random weights.  An encoder is a class of functions
 * over caller-owned arenas, in the manner of nn/: declare tensors, forward with a cache, backward
 * that adds to gradients.  The loop knows no layer and a layer knows no loop.
 *
 * With `residual`, e = unit(z P + b + R), where R is the encoder's output and z P the linear start;
 * otherwise e = unit(R).
 */
#ifndef CM_NETWORK_ENCODER_H
#define CM_NETWORK_ENCODER_H

#include "base/bytes.h"
#include "linear/cca.h"
#include "network/config.h"
#include "nn/nn.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

/* One cell: prepared values, columns ascending, and its k LSI components (NULL without a linear
 * start; not standardised). */
struct cm_cell {
    const uint32_t *idx;
    const float *val;
    size_t n;
    const float *z;
};

/* A group of cells on its way through an encoder, forward or backward. */
struct cm_pass {
    const struct cm_cell *cell;
    size_t B;                      /* cells, at most the encoder's group */
    const cm_real *params;         /* the arena that the encoder was declared in */
    const struct cm_dropout *drop; /* seed, step, row of the first cell (cell b has row + b);
                                      NULL: the encoder is applied, not trained */
    cm_real *cache;                /* kept from forward to backward: of->cache numbers */
    cm_real *scratch;              /* of->scratch numbers, which hold nothing between calls */
};

struct cm_encoder;

/* The functions of an encoder.  Only its make() knows which encoder it is; what one can do more
 * than another is a field of struct cm_encoder or a function that may be NULL. */
struct cm_encoder_class {
    const char *name; /* "mlp", "tokens" */
    /* Lays the encoder of side `side` out for its settings, which are checked: windows from the
     * slot's column table; allocates `self`, declares its tensors as "prefix.*".  linear: the
     * linear start, k = 0: none.  0 or CM_E....  The same settings and tables give the same layout,
     * so this also opens a trained model. */
    int (*make)(struct cm_encoder *e, const struct cm_net_config *c, const struct cm_slot *slot,
                const struct cm_linear *linear, size_t side, struct cm_params *t,
                const char *prefix);
    /* Fills the tensors: a function of (seed, side) and, with a linear start, of its loadings. */
    void (*init)(const struct cm_encoder *e, cm_real *params, const struct cm_linear_side *linear,
                 uint64_t seed, uint32_t side);
    size_t (*cache)(const struct cm_encoder *e, size_t B);
    size_t (*scratch)(const struct cm_encoder *e, size_t B);
    /* out (B x q) */
    void (*forward)(const struct cm_encoder *e, cm_real *out, const struct cm_pass *p);
    /* Adds to dparams, an arena as params, the gradients of dout (B x q).  With tokens, dtokens
     * (B x L x P) is the gradient of these beside it; either may be NULL. */
    void (*backward)(const struct cm_encoder *e, cm_real *dparams, const cm_real *dout,
                     const cm_real *dtokens, const struct cm_pass *p);
    void (*free)(struct cm_encoder *e);

    /* Encoders with tokens only (L > 0), otherwise NULL. */

    /* forward as far as the tokens; what backward needs is not complete then. */
    void (*forward_tokens)(const struct cm_encoder *e, const struct cm_pass *p);
    /* Where the cache of a pass of B cells has the tokens (B x L x P) before self-attention, of
     * either forward pass, and the probabilities (H x L x L) of cell b's self-attention. */
    size_t (*tokens_at)(const struct cm_encoder *e, size_t B);
    size_t (*prob_at)(const struct cm_encoder *e, size_t B, size_t b);
    /* Appends the region that token t sees: "chrom:start-end" from the least start to the largest
     * end of its features in the slot's table, or "first..last" (names of columns) without
     * coordinates. */
    void (*region)(const struct cm_encoder *e, const struct cm_cols *cols, size_t t,
                   struct cm_buf *text);
};

struct cm_encoder {
    const struct cm_encoder_class *of;
    size_t q;       /* width of the output */
    size_t group;   /* cells that go through all layers together (cache-sized) */
    size_t L, P, H; /* tokens, their width, heads of their self-attention; L = 0: it has none */
    void *self;     /* sizes and offsets of the class */
};

extern const struct cm_encoder_class cm_encoder_mlp;    /* network/mlp.c */
extern const struct cm_encoder_class cm_encoder_tokens; /* network/transformer/ */
extern const struct cm_encoder_class cm_encoder_clue;   /* baselines/clue.c */
extern const struct cm_encoder_class cm_encoder_deep;   /* baselines/deep.c */

#ifdef __cplusplus
}
#endif
#endif
