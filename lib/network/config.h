/* network/config.h - the settings of a model's trained part.
 *
 * What a setting does stands beside the network that obeys it (mlp.c, transformer.h, cross.h);
 * keys, ranges and help in the table of model/fields.c, the values of the presets in
 * model/presets.c.
 */
#ifndef CM_NETWORK_CONFIG_H
#define CM_NETWORK_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "baselines/config.h"
#include "nn/nn.h"

enum cm_encoder_kind {
    CM_ENCODER_NONE, /* nothing is trained */
    CM_ENCODER_MLP,
    CM_ENCODER_TOKENS,
    CM_ENCODER_CLUE,
    CM_ENCODER_DEEP
};

struct cm_mlp_config {
    int64_t hidden;
    double dropout_in, dropout;
    double init; /* second layer N(0, (init / sqrt hidden)^2) */
};

enum cm_tokens_filters { CM_FILTERS_LOADINGS, CM_FILTERS_TIED, CM_FILTERS_UNTIED };
enum cm_tokens_readout { CM_READOUT_MEAN, CM_READOUT_LINEAR };
enum cm_unit_norm { CM_NORM_POST, CM_NORM_PRE };
enum cm_unit_act { CM_UNIT_RELU, CM_UNIT_GELU };

/* In the order in which a cell meets them (network/transformer/internal.h). */
struct cm_transformer_config {
    int64_t windows, kernel, stride, padding, partial;
    enum cm_tokens_filters filters;
    int64_t width;
    double slow;
    enum cm_activation act; /* NONE, RELU or LEAKY */
    double slope;
    int64_t pool, pool_stride, kernel2, stride2, padding2, width2, pool2, pool2_stride, p;
    double position;
    int64_t heads;
    double ff;
    enum cm_unit_norm norm;
    enum cm_unit_act unit_act;
    double dropout;
    int64_t last_norm;
    enum cm_tokens_readout readout;
    double readout_dropout;
    int64_t out;
    double out_sd, feature_dropout;
};

enum cm_cross_kind { CM_CROSS_TRIPLET, CM_CROSS_LISTWISE };
enum cm_cross_gradient { CM_CROSS_ALL, CM_CROSS_TOKENS, CM_CROSS_MODULE };

struct cm_cross_config {
    bool on;
    int64_t heads;
    double ff; /* in units of a token's width */
    enum cm_unit_norm norm;
    enum cm_unit_act unit_act;
    double dropout;
    double alpha; /* S = S0 + alpha S1 */
    /* training */
    int64_t mined; /* candidates of a cell and direction, by S0 */
    double margin;
    enum cm_cross_kind loss;
    enum cm_negatives negatives;     /* of the triplets, among the mined */
    int64_t top;                     /* candidates of a row that are scored */
    enum cm_cross_gradient gradient; /* what the loss of S trains besides the module */
};

struct cm_net_config {
    enum cm_encoder_kind encoder;
    bool residual; /* e = unit(z P + b + R), otherwise unit(R) */
    struct cm_mlp_config mlp;
    struct cm_transformer_config tokens; /* of any slot, and of each: */
    struct cm_transformer_config tokens_of[2];
    uint64_t own[2]; /* which settings slot s has of its own: bit n for row n of the table */
    struct cm_cross_config cross;
    struct cm_deep_config deep;
    struct cm_clue_config clue;
};

#endif
