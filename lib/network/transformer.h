/* network/transformer.h - encoder class `tokens`: windows of the genome as tokens, under
 * self-attention.
 *
 * Problem: three networks are asked for, the paper's as published, its authors' code, and the same
 * idea made to work, and they differ in windows, filters, norms and read-out, not in kind.
 * Choice: one encoder whose every such choice is a setting (network/config.h).  The token matrices
 * before self-attention are handed out: the cross-attention module (network/cross.h) stacks those
 * of two cells.  Rejected: one class a preset (three backward passes to keep right).
 *
 * A cell goes through, with steps whose key is 0 or none left out:
 *   feature dropout -> sparse convolution over windows -> act -> max-pool     (L1 tokens, then L1')
 *   -> second convolution -> act -> max-pool                                   (L tokens x C)
 *   -> FC to p -> + learned position                                           = the TOKENS, L x P
 *   -> one Transformer unit -> layer norm -> read-out (mean, or the flattened tokens) -> dropout
 *   -> linear map to `out` numbers                                             = the output, q
 * Windows, pools and the second convolution run over each chromosome by itself (column `chrom` of
 * the slot's table; features of one chromosome keep the order of their columns; those without a
 * chromosome make a stretch of their own; without that column all features are one stretch).
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
#ifndef CM_NETWORK_TRANSFORMER_H
#define CM_NETWORK_TRANSFORMER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "network/encoder.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ===== what the cross-attention module and the maps need ==================================== */

size_t cm_tokens_count(const struct cm_encoder *e); /* L */
size_t cm_tokens_width(const struct cm_encoder *e); /* P */
size_t cm_tokens_heads(const struct cm_encoder *e); /* H of the self-attention */

/* The token matrices before self-attention, B x L x P, in the cache of a forward pass. */
const cm_real *cm_tokens_in_cache(const struct cm_encoder *e, const cm_real *cache, size_t B);
/* Probabilities H x L x L of the self-attention of cell b. */
const cm_real *cm_tokens_prob(const struct cm_encoder *e, const cm_real *cache, size_t B, size_t b);
/* Tokens alone, out (B x L x P), without the unit; drop as in forward.  The same numbers as in the
 * cache of a forward pass.  cache and scratch as there. */
void cm_tokens_of(const struct cm_encoder *e, cm_real *out, cm_real *cache,
                  const struct cm_cell *cell, size_t B, const cm_real *params,
                  const struct cm_dropout *drop, cm_real *scratch);
/* backward of the class with the gradient of the tokens beside that of the output: dout (B x q) and
 * dtokens (B x L x P), either may be NULL. */
void cm_tokens_backward(const struct cm_encoder *e, cm_real *dparams, const cm_real *dout,
                        const cm_real *dtokens, const cm_real *cache, const struct cm_cell *cell,
                        size_t B, const cm_real *params, const struct cm_dropout *drop,
                        cm_real *scratch);

/* Appends the region that token t sees: "chrom:start-end" from the least start to the largest end
 * of its features in the slot's table, or "first..last" (names of columns) without coordinates. */
void cm_tokens_region(const struct cm_encoder *e, const struct cm_cols *cols, size_t t,
                      struct cm_buf *text);

#ifdef __cplusplus
}
#endif
#endif
