/* baselines/config.h - the settings of the encoders `deep` and `clue`. */
#ifndef CM_BASELINES_CONFIG_H
#define CM_BASELINES_CONFIG_H

#include <stddef.h>
#include <stdint.h>

#define CM_DEEP_LAYERS 4 /* hidden layers of a perceptron at most */
#define CM_CLUE_DEPTH  4 /* hidden layers of a variational encoder at most */

/* One number for each hidden layer. */
struct cm_layers {
    size_t n;
    double v[CM_DEEP_LAYERS];
};

enum cm_deep_act { CM_DEEP_ELU, CM_DEEP_GELU };
enum cm_deep_input { CM_DEEP_STANDARD, CM_DEEP_ZSCORE };

struct cm_deep_side {
    int64_t in; /* leading components used, at most k */
    struct cm_layers hidden, dropout;
};

struct cm_deep_config {
    int64_t q; /* width of the embedding */
    enum cm_deep_act act;
    enum cm_deep_input input; /* components by their deviations, or each cell standardised */
    double dropout_in;
    struct cm_deep_side side[2]; /* of the model's slots */
};

struct cm_clue_config {
    int64_t latent;        /* width of each of the two subspaces */
    int64_t hidden, depth; /* of the encoders */
    int64_t decoder;       /* hidden width of the decoders */
    int64_t discriminator; /* of the discriminator */
    double dropout;
    double data, cross, kl, cosine, mse, adversary; /* weights of the terms of the loss */
    double alpha;                                   /* of RMSprop */
};

#endif
