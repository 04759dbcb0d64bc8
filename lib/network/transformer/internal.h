/* network/transformer/internal.h - encoder class `tokens`: windows of the genome as tokens, under
 * self-attention.
 *
 * The paper's network as published, its authors' code, and the same idea made to work differ in
 * windows, filters, norms and read-out, not in kind: one encoder whose every such choice is a
 * setting (network/config.h), instead of three backward passes to keep right.  The token matrices
 * before self-attention are handed out: the cross-attention module (network/cross.h) stacks those
 * of two cells.
 *
 * A cell goes through, with steps whose key is 0 or none left out:
 *   feature dropout -> sparse convolution over windows -> act -> max-pool     (L1 tokens, then L1')
 *   -> second convolution -> act -> max-pool                                   (L tokens x C)
 *   -> FC to p -> + learned position                                           = the TOKENS, L x P
 *   -> one Transformer unit -> layer norm -> read-out (mean, or the flattened tokens) -> dropout
 *   -> linear map to `out` numbers                                             = the output, q
 * Windows, pools and the second convolution run over each chromosome by itself (column `chrom` of
 * the slot's table; features of one chromosome keep the order of their columns; those without a
 * chromosome make a segment of their own; without that column all features are one segment).
 *
 * Settings, of a slot or of any; where a model's head does not tell, those of `attn` hold:
 *   key             attn      paper  authors GEX / ATAC   meaning
 *   windows         20        0      0        windows aimed at when kernel is 0; 0: 100, or 25
 *                                             below 10,000 features; one a chromosome at least
 *   kernel          0         0      100 / 30 features a window sees; 0: as `windows` says
 *   stride          0         0      50 / 10  features from window to window; 0: kernel
 *   padding         0         0      0        empty places before and behind each chromosome
 *   partial         1         1      0        also a last, cut window
 *   filters         loadings  tied   tied     loadings: the window's rows of the linear start's V,
 *                                             each column / its sd over training cells x sqrt(L),
 *                                             the bias -mean' W; tied, untied: trained, random
 *   width           48        64     64 / 32  filters F (loadings: at most k, a multiple of heads)
 *   slow            0         0      0        of loadings: filters = V + slow x trained; 0: frozen
 *   act             none      relu   leaky    none, relu, leaky: behind both convolutions
 *   slope           .01       .01    .01      of leaky
 *   pool            0         0      2 / 5    max-pool over tokens; 0: none
 *   pool-stride     0         0      0 / 2    0: pool
 *   kernel2         0         0      0 / 5    second convolution; 0: none
 *   stride2         0         0      0 / 5    0: kernel2
 *   padding2        0         0      0
 *   width2          0         0      0 / 64
 *   pool2           0         0      0 / 2
 *   pool2-stride    0         0      0
 *   p               0         64     0        width of the shared FC; 0: none, P = filters
 *   position        .3        0      0        sd of the first learned positions; 0: none
 *   heads           4         4      1 / 4
 *   ff              1         4      4        width of the feed-forward, in units of P
 *   norm            pre       post   post
 *   unit-act        gelu      relu   relu
 *   dropout         .1        0      0        of the unit, also of its probabilities
 *   last-norm       1         0      0        layer norm behind the unit
 *   readout         mean      mean   linear   linear: of the flattened tokens, needs `out`
 *   readout-dropout .3        0      0
 *   out             -1        0      300      width of the linear map; 0: none, q = P; -1: linear q
 *   out-sd          .1        0      0        first weights N(0, (out-sd / sqrt inputs)^2), bias 0;
 *                                             0: U(+-1 / sqrt inputs), as PyTorch
 *   feature-dropout .3        0      0
 * The sd of a component is s / sqrt(cells of the linear fit).
 * Other first values are PyTorch's defaults.
 */
#ifndef CM_NETWORK_TRANSFORMER_INTERNAL_H
#define CM_NETWORK_TRANSFORMER_INTERNAL_H

#include "network/encoder.h"

/* ===== the plan ============================================================================ */

/* Tokens of each chromosome behind a step: chromosome c has from[c]..from[c+1]-1. */
struct segment {
    size_t *from; /* chroms + 1 */
};

/* One step over tokens, by chromosome: kernel 0 = absent. */
struct step {
    size_t K, S, Z;
    struct segment in, out; /* equal when absent */
};

struct tokens {
    struct cm_transformer_config o;
    size_t chroms;
    struct cm_windows windows;
    struct cm_window *window;
    uint32_t *first, *position; /* position NULL: columns are in order */
    struct step pool, conv2, pool2;
    struct segment conv1;
    size_t L1, L1p, L2, L;     /* tokens after conv, pool, conv2, pool2 */
    size_t F1, F2, P;          /* F2 = F1 without a second convolution */
    size_t readout, q;         /* inputs and outputs of the last map */
    cm_real *base, *base_bias; /* loadings: rows x F1 and L1 x F1, else NULL */
    bool trained;              /* conv1 has parameters */
    bool below;                /* anything below the tokens is trained */
    struct cm_unit unit;
    uint32_t site;
    size_t filter, bias, filter2, bias2, fc, fc_bias, at, gain, norm_bias, w, b; /* offsets */
    size_t widest; /* features a cell can have */
};

enum { SITE_FEATURES, SITE_READOUT, SITE_UNIT, SITES = 16 };

static inline const struct tokens *self_of(const struct cm_encoder *e) { return e->self; }

static inline size_t last(const struct segment *s, size_t chroms) { return s->from[chroms]; }

/* Numbers kept, B cells each: behind conv1, pool, conv2 and pool2 (an absent step is the place of
 * the one before), the pools' choices, tokens, unit and its output, last norm, read-out. */
struct offsets {
    size_t conv1, which1, pool1, conv2, which2, pool2, tokens, unit, u, stat, v, read, size;
};

struct offsets cm_tokens_offsets(const struct tokens *k, size_t B);

/* Fills k, whose options are set, for a slot and the linear start of its side.  0 or CM_EINPUT. */
int cm_tokens_plan(struct tokens *k, const struct cm_slot *slot, const struct cm_linear *linear,
                   size_t side);
void cm_tokens_plan_free(struct tokens *k);
/* Declares the tensors as "prefix.*". */
void cm_tokens_declare(struct tokens *k, struct cm_params *t, const char *prefix);
/* Numbers of scratch for B cells, both directions. */
size_t cm_tokens_scratch(const struct tokens *k, size_t B);

/* Windows of the slot's columns.  0, or CM_EINPUT when they do not fit. */
int cm_tokens_lay_windows(struct tokens *k, const struct cm_cols *cols);
/* Kernel K (0 = absent) at stride S (0 = K) over the chromosomes' tokens; returns all tokens. */
size_t cm_tokens_lay_step(struct step *s, const struct segment *in, size_t chroms, int64_t K,
                          int64_t S, int64_t Z);

/* Functions of the class. */
void cm_tokens_forward(const struct cm_encoder *e, cm_real *out, const struct cm_pass *p);
void cm_tokens_forward_only(const struct cm_encoder *e, const struct cm_pass *p);
void cm_tokens_backward(const struct cm_encoder *e, cm_real *dparams, const cm_real *dout,
                        const cm_real *dtokens, const struct cm_pass *p);
void cm_tokens_region(const struct cm_encoder *e, const struct cm_cols *cols, size_t t,
                      struct cm_buf *text);

/* One of the encoder's dropouts for cell b of the group. */
struct cm_dropout cm_tokens_drop(const struct tokens *k, const struct cm_dropout *drop, double rate,
                                 uint32_t site, size_t b);
/* The values of cell b under feature dropout; `work` holds them when any is dropped. */
const float *cm_tokens_values(const struct tokens *k, const struct cm_pass *p, size_t b,
                              cm_real *work);

/* The choices (n) that a pool made in cell b, in the place `at` of a cache. */
static inline uint32_t *choices(const cm_real *cache, size_t at, size_t n, size_t b)
{
    return (uint32_t *)(uintptr_t)(const void *)(cache + at) + n * b;
}

#endif
