/* linear/config.h - the settings of LSI and CCA. */
#ifndef CM_LINEAR_CONFIG_H
#define CM_LINEAR_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

struct cm_linear_config {
    bool on;      /* does the model have a linear part? */
    int64_t k, q; /* components of a modality; width of the embedding, at most k */
    double scale; /* features are divided by their standard deviation to this power before LSI */
    double tolerance; /* of the SVD (matrix/svd.h) */
    double ridge;     /* of the CCA, relative to the mean variance of the components */
};

#endif
