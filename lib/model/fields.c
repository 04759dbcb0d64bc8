/* model/fields.c - the table of all settings: places, keys, ranges, words, options.
 *
 * A new setting is a member of its struct, a row here, and its use.  A row that is not NEVER must
 * be in the head of every model that has its section: give NEVER to a setting that older models
 * lack; its value is then that of cm_config_read's base, or 0.
 */
#include "model/config.h"

/* ===== the table ============================================================================ */

#define AT(member) .at = offsetof(struct cm_config, member)
#define BOOL(name, part, member)                                                                   \
    .key = name, .type = CM_F_BOOL, .section = CM_SECTION_##part, AT(member)
#define INT(name, part, member, low, high)                                                         \
    .key = name, .type = CM_F_INT, .section = CM_SECTION_##part, AT(member), .min = low, .max = high
#define REAL(name, part, member, low, high)                                                        \
    .key = name, .type = CM_F_REAL, .section = CM_SECTION_##part, AT(member), .min = low,          \
    .max = high
#define WORD(name, part, member, list)                                                             \
    .key = name, .type = CM_F_WORD, .section = CM_SECTION_##part, AT(member), .words = list
#define LAYERS(name, kind, part, member, low, high)                                                \
    .key = name, .type = kind, .section = CM_SECTION_##part, AT(member), .min = low, .max = high
#define OPTION(tools, value, text) .by = tools, .metavar = value, .help = text
#define TOKENS(member)             net.tokens.member
#define ALWAYS                     .need = CM_NEED_ALWAYS
#define NEVER                      .need = CM_NEED_NEVER

#define XATTN CM_BY_XATTN
#define MLP   CM_BY_MLP
#define CCA   CM_BY_CCA
#define CLUE  CM_BY_CLUE

#define TOKENS_MAX 4096 /* L: the probabilities of a cell are H x L x L */
#define NEGATIVES  "hardest|semihard|random-semihard"
#define UNIT_NORM  "post|pre"
#define UNIT_ACT   "relu|gelu"

/* clang-format off */
const struct cm_field cm_fields[] = {
    {WORD("preset", MODEL, preset, CM_PRESETS), NEVER},
    {BOOL("linear", MODEL, linear.on), NEVER},
    {INT("k", LINEAR, linear.k, 1, 10000), .letter = 'k',
     OPTION(XATTN | MLP | CCA | CLUE, "N", "singular vectors per modality")},
    {INT("q", CCA, linear.q, 1, 10000),
     OPTION(XATTN | CCA, "N", "width of the embedding, at most k")},
    {REAL("lsi.scale", LINEAR, linear.scale, 0, 2), NEVER,
     OPTION(XATTN | CCA, "X",
            "features are divided by their standard deviation to this power before the SVD")},
    {REAL("lsi.tolerance", LINEAR, linear.tolerance, 1e-12, 0.1), NEVER,
     OPTION(XATTN | MLP | CCA | CLUE, "X",
            "relative residual at which a singular vector is settled")},
    {REAL("ridge", CCA, linear.ridge, 0, 1e6),
     OPTION(XATTN | CCA, "X", "ridge of the CCA, relative to the mean variance of the components")},

    {BOOL("cis", LINKS_ON, links.on), NEVER},
    {INT("cis.window", LINKS, links.fit.window, 1, 1e9),
     OPTION(XATTN | CCA, "BASES", "largest distance of a peak from a gene's start")},
    {INT("cis.components", LINKS, links.fit.components, 1, 10000),
     OPTION(XATTN | CCA, "N", "components taken out before peaks and genes are correlated")},
    {REAL("cis.ridge", LINKS, links.fit.ridge, 0, 1e6),
     OPTION(XATTN | CCA, "X", "ridge of that regression")},
    {REAL("cis.clip", LINKS, links.fit.clip, 0.1, 1e6), ALWAYS,
     OPTION(XATTN | CCA, "X", "largest residual of a gene, in standard deviations")},
    {REAL("cis.threshold", LINKS, links.fit.threshold, 0, 1e6),
     OPTION(XATTN | CCA, "X", "soft threshold of correlations, in units of 1/sqrt(cells)")},
    {REAL("cis.sd", LINKS, links.fit.sd, 1e-6, 1e6),
     OPTION(XATTN | CCA, "X", "standard deviation of the term over training pairs")},
    {BOOL("links", LINKS, links.learned), NEVER},
    {INT("links.window", LINKS_LEARNED, links.learn.window, 1, 1e9),
     OPTION(XATTN, "BASES", "largest distance of pairs that may get a weight")},
    {INT("links.folds", LINKS_LEARNED, links.learn.folds, 2, 64),
     OPTION(XATTN, "N", "parts into which the training cells are cut for that")},
    {INT("links.hidden", LINKS_LEARNED, links.learn.hidden, 1, 1024),
     OPTION(XATTN, "N", "width of the network that gives the weights")},
    {INT("links.steps", LINKS_LEARNED, links.learn.steps, 0, 1e6),
     OPTION(XATTN, "N", "steps of its training")},
    {REAL("links.lr", LINKS_LEARNED, links.learn.lr, 0, 100),
     OPTION(XATTN, "X", "its learning rate")},
    {INT("seed", SEED, seed, -9.2e18, 9.2e18)},

    {BOOL("residual", RESIDUAL, net.residual), ALWAYS},
    {WORD("loss", TRAINING, loss.kind, "nce|triplet|none"),
     OPTION(XATTN, NULL, "symmetric InfoNCE, the paper's triplet loss, or none but that of S")},
    {WORD("negatives", TRAINING, loss.negatives, NEGATIVES),
     OPTION(XATTN, NULL, "which negative of the mini-batch a triplet takes")},
    {REAL("margin", TRAINING, loss.margin, 0, 100), OPTION(XATTN, "X", "margin of a triplet")},
    {REAL("scale", TRAINING, loss.scale, 1e-3, 1e4),
     OPTION(XATTN | MLP, "X", "first factor of the similarities in InfoNCE")},
    {REAL("scale.max", TRAINING, loss.scale_max, 1e-3, 1e4),
     OPTION(XATTN | MLP, "X", "its largest value")},
    {REAL("lr", TRAINING, loop.lr, 0, 1e30), .also = CM_SECTION_CLUE_RATE,
     OPTION(XATTN | MLP | CLUE, "X", "learning rate of the encoders")},
    {REAL("lr.linear", TRAINING, loop.lr_linear, 0, 1e30),
     OPTION(XATTN, "X", "learning rate of the linear start; 0: frozen")},
    {REAL("lr.scale", TRAINING, loop.lr_scale, 0, 1e30),
     OPTION(XATTN | MLP, "X", "learning rate of the factor's logarithm")},
    {REAL("weight.decay", TRAINING, loop.decay, 0, 100),
     OPTION(XATTN | MLP, "X", "of the encoders, decoupled")},
    {REAL("alpha", CLUE_RATE, net.clue.alpha, 0, 0.9999999),
     OPTION(CLUE, "X", "decay of RMSprop")},
    {REAL("beta1", TRAINING, loop.beta1, 0, 0.9999999), OPTION(XATTN, "X", "of AdamW")},
    {REAL("beta2", TRAINING, loop.beta2, 0, 0.9999999), OPTION(XATTN, "X", "of AdamW")},
    {INT("warmup", TRAINING, loop.warmup, 0, 1e9),
     OPTION(XATTN | MLP, "STEPS", "steps over which the learning rate rises")},
    {WORD("schedule", TRAINING, loop.schedule, "constant|cosine"),
     OPTION(XATTN, NULL, "the learning rate afterwards; cosine falls to 0")},
    {REAL("average", TRAINING, loop.average, 0, 0.9999999),
     OPTION(XATTN | MLP, "X", "decay of the averaged weights; 0: the last ones")},
    {INT("valid.every", TRAINING, loop.valid_every, 0, 1e9), .also = CM_SECTION_CLUE_RATE,
     OPTION(XATTN | MLP | CLUE, "EPOCHS",
            "epochs between validations; 0: none, the last weights are kept")},
    {INT("patience", TRAINING, loop.patience, 0, 1e9), .also = CM_SECTION_CLUE_RATE,
     OPTION(XATTN | MLP | CLUE, "N",
            "end after so many validations without a better score; 0: never")},

    {WORD("encoder", ENCODER, net.encoder, "none|mlp|tokens|clue|deep"), NEVER},
    {INT("mlp.hidden", MLP, net.mlp.hidden, 1, 1e5), ALWAYS,
     OPTION(XATTN, "N", "width of the hidden layer")},
    {REAL("mlp.dropout.in", MLP, net.mlp.dropout_in, 0, 0.99),
     OPTION(XATTN, "RATE", "dropout of the components")},
    {REAL("mlp.dropout", MLP, net.mlp.dropout, 0, 0.99),
     OPTION(XATTN, "RATE", "dropout of the hidden layer")},
    {REAL("mlp.init", MLP, net.mlp.init, 0, 100),
     OPTION(XATTN, "X", "size of the first correction: second layer N(0, (X/sqrt(hidden))^2)")},

    {INT("tokens.windows", TOKENS, TOKENS(windows), 0, TOKENS_MAX), NEVER},
    {INT("tokens.kernel", TOKENS, TOKENS(kernel), 0, 1 << 24), NEVER},
    {INT("tokens.stride", TOKENS, TOKENS(stride), 0, 1 << 24), NEVER},
    {INT("tokens.padding", TOKENS, TOKENS(padding), 0, 1 << 24), NEVER},
    {INT("tokens.partial", TOKENS, TOKENS(partial), 0, 1), NEVER},
    {WORD("tokens.filters", TOKENS, TOKENS(filters), "loadings|tied|untied"), NEVER},
    {INT("tokens.width", TOKENS, TOKENS(width), 1, 4096), NEVER},
    {REAL("tokens.slow", TOKENS, TOKENS(slow), 0, 1), NEVER},
    {WORD("tokens.act", TOKENS, TOKENS(act), "none|relu|leaky"), NEVER},
    {REAL("tokens.slope", TOKENS, TOKENS(slope), 1e-6, 1), NEVER},
    {INT("tokens.pool", TOKENS, TOKENS(pool), 0, TOKENS_MAX), NEVER},
    {INT("tokens.pool-stride", TOKENS, TOKENS(pool_stride), 0, TOKENS_MAX), NEVER},
    {INT("tokens.kernel2", TOKENS, TOKENS(kernel2), 0, TOKENS_MAX), NEVER},
    {INT("tokens.stride2", TOKENS, TOKENS(stride2), 0, TOKENS_MAX), NEVER},
    {INT("tokens.padding2", TOKENS, TOKENS(padding2), 0, TOKENS_MAX), NEVER},
    {INT("tokens.width2", TOKENS, TOKENS(width2), 0, 4096), NEVER},
    {INT("tokens.pool2", TOKENS, TOKENS(pool2), 0, TOKENS_MAX), NEVER},
    {INT("tokens.pool2-stride", TOKENS, TOKENS(pool2_stride), 0, TOKENS_MAX), NEVER},
    {INT("tokens.p", TOKENS, TOKENS(p), 0, 4096), NEVER},
    {REAL("tokens.position", TOKENS, TOKENS(position), 0, 100), NEVER},
    {INT("tokens.heads", TOKENS, TOKENS(heads), 1, 256), NEVER},
    {REAL("tokens.ff", TOKENS, TOKENS(ff), 0.01, 64), NEVER},
    {WORD("tokens.norm", TOKENS, TOKENS(norm), UNIT_NORM), NEVER},
    {WORD("tokens.unit-act", TOKENS, TOKENS(unit_act), UNIT_ACT), NEVER},
    {REAL("tokens.dropout", TOKENS, TOKENS(dropout), 0, 0.99), NEVER},
    {INT("tokens.last-norm", TOKENS, TOKENS(last_norm), 0, 1), NEVER},
    {WORD("tokens.readout", TOKENS, TOKENS(readout), "mean|linear"), NEVER},
    {REAL("tokens.readout-dropout", TOKENS, TOKENS(readout_dropout), 0, 0.99), NEVER},
    {INT("tokens.out", TOKENS, TOKENS(out), -1, 65536), NEVER},
    {REAL("tokens.out-sd", TOKENS, TOKENS(out_sd), 0, 100), NEVER},
    {REAL("tokens.feature-dropout", TOKENS, TOKENS(feature_dropout), 0, 0.99), NEVER},

    {BOOL("cross", CROSS, net.cross.on), NEVER},
    {INT("cross.heads", CROSS, net.cross.heads, 1, 256), NEVER,
     OPTION(XATTN, "N", "attention heads of the cross-attention module")},
    {REAL("cross.ff", CROSS, net.cross.ff, 0.01, 64), NEVER,
     OPTION(XATTN, "X", "width of its feed-forward, in units of a token's")},
    {WORD("cross.norm", CROSS, net.cross.norm, UNIT_NORM), NEVER},
    {WORD("cross.unit-act", CROSS, net.cross.unit_act, UNIT_ACT), NEVER},
    {REAL("cross.dropout", CROSS, net.cross.dropout, 0, 0.99), NEVER,
     OPTION(XATTN, "RATE", "its dropout")},
    {REAL("cross.alpha", CROSS, net.cross.alpha, 0, 1e6), NEVER,
     OPTION(XATTN, "X", "S = S0 + X S1")},
    {INT("cross.mined", CROSS, net.cross.mined, 1, 65535), NEVER,
     OPTION(XATTN, "N", "candidates of a cell and direction in training, the best by S0")},
    {REAL("cross.margin", CROSS, net.cross.margin, 0, 1e6), NEVER,
     OPTION(XATTN, "X", "margin of the triplets of S")},
    {WORD("cross.loss", CROSS, net.cross.loss, "triplet|listwise"), NEVER,
     OPTION(XATTN, NULL, "the loss of S")},
    {WORD("cross.negatives", CROSS, net.cross.negatives, NEGATIVES), NEVER,
     OPTION(XATTN, NULL, "which of the mined a triplet takes")},
    {INT("cross.top", CROSS, net.cross.top, 1, 1e9), NEVER,
     OPTION(XATTN, "K", "candidates that are scored in validation and by xattn-score")},
    {WORD("cross.gradient", CROSS, net.cross.gradient, "all|tokens|module"), NEVER,
     OPTION(XATTN, NULL,
            "what the loss of S trains besides the module: tokens and S0, tokens, nothing")},
    {REAL("lr.cross", CROSS_RATE, loop.lr_cross, 0, 1e30),
     OPTION(XATTN, "X", "learning rate of the module; 0: frozen (default: as --lr)")},

    {INT("deep.q", DEEP, net.deep.q, 1, 1e6), ALWAYS, .option = "q",
     OPTION(MLP, "N", "width of the embedding")},
    {WORD("deep.act", DEEP, net.deep.act, "elu|gelu"), ALWAYS, .option = "activation",
     OPTION(MLP, NULL, "of the hidden layers")},
    {WORD("deep.input", DEEP, net.deep.input, "standard|zscore"), ALWAYS, .option = "input",
     OPTION(MLP, NULL, "components by their deviations, or standardised cell by cell")},
    {REAL("deep.dropout.in", DEEP, net.deep.dropout_in, 0, 0.99), .option = "dropout-in",
     OPTION(MLP, "RATE", "dropout of the components")},
    {INT("deep.in", DEEP_SIDE, net.deep.side[0].in, 1, 1e6), ALWAYS},
    {LAYERS("deep.hidden", CM_F_LAYERS, DEEP_SIDE, net.deep.side[0].hidden, 1, 1e6), ALWAYS},
    {LAYERS("deep.dropout", CM_F_RATES, DEEP_SIDE, net.deep.side[0].dropout, 0, 0.999), ALWAYS},

    {INT("clue.latent", CLUE, net.clue.latent, 1, 100000), ALWAYS, .option = "latent",
     OPTION(CLUE, "N", "width of each of the two subspaces")},
    {INT("clue.hidden", CLUE, net.clue.hidden, 1, 100000), ALWAYS, .option = "hidden",
     OPTION(CLUE, "N", "width of the encoders' layers")},
    {INT("clue.depth", CLUE, net.clue.depth, 1, CM_CLUE_DEPTH), ALWAYS, .option = "depth",
     OPTION(CLUE, "N", "hidden layers of an encoder")},
    {INT("clue.decoder", CLUE, net.clue.decoder, 1, 100000), .option = "decoder",
     OPTION(CLUE, "N", "hidden width of the decoders")},
    {INT("clue.judge", CLUE, net.clue.discriminator, 1, 100000), .option = "judge",
     OPTION(CLUE, "N", "hidden width of the discriminator")},
    {REAL("clue.dropout", CLUE, net.clue.dropout, 0, 0.99), .option = "dropout",
     OPTION(CLUE, "RATE", "dropout of all hidden layers")},
    {REAL("clue.weight.data", CLUE, net.clue.data, 0, 1e6), .option = "data",
     OPTION(CLUE, "X", "weight of the likelihood by the own code")},
    {REAL("clue.weight.cross", CLUE, net.clue.cross, 0, 1e6), .option = "cross",
     OPTION(CLUE, "X", "weight of the likelihood by the other modality's code")},
    {REAL("clue.weight.kl", CLUE, net.clue.kl, 0, 1e6), .option = "kl",
     OPTION(CLUE, "X", "weight of the divergence from the prior")},
    {REAL("clue.weight.cosine", CLUE, net.clue.cosine, 0, 1e6), .option = "cosine",
     OPTION(CLUE, "X", "weight of 1 - cosine of the two codes of a cell")},
    {REAL("clue.weight.mse", CLUE, net.clue.mse, 0, 1e6), .option = "mse",
     OPTION(CLUE, "X", "weight of their mean squared difference")},
    {REAL("clue.weight.adversary", CLUE, net.clue.adversary, 0, 1e6), .option = "adversary",
     OPTION(CLUE, "X", "weight of the discriminator; 0: none")},
    {.key = NULL}};
/* clang-format on */
