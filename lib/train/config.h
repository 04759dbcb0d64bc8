/* train/config.h - the settings of the loss and of the training loop. */
#ifndef CM_TRAIN_CONFIG_H
#define CM_TRAIN_CONFIG_H

#include <stdint.h>

#include "nn/nn.h"

enum cm_loss { CM_LOSS_NCE, CM_LOSS_TRIPLET, CM_LOSS_NONE };

/* Of the similarities of all pairs of a mini-batch. */
struct cm_loss_config {
    enum cm_loss kind;
    enum cm_negatives negatives; /* which negative a triplet takes */
    double margin;               /* of a triplet */
    double scale, scale_max;     /* first and largest factor of the similarities in InfoNCE */
};

struct cm_loop_config {
    double lr;                            /* of the encoders; 0: frozen, as for the others */
    double lr_linear, lr_scale, lr_cross; /* of the linear part, the factor's log, the module */
    double decay;                         /* decoupled, of encoders and module */
    double beta1, beta2;                  /* of AdamW */
    int64_t warmup;                       /* steps over which the rates rise */
    enum cm_schedule schedule;            /* of the rates afterwards */
    double average;                       /* decay of the averaged weights; 0: the last weights */
    int64_t valid_every;                  /* epochs between validations; 0: none */
    int64_t patience; /* validations without a better score that end it; 0: never */
};

#endif
