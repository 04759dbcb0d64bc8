/* links/config.h - settings of peak-gene links and of their learned weights. */
#ifndef CM_LINKS_CONFIG_H
#define CM_LINKS_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

struct cm_links_fit_config {
    int64_t window;     /* base pairs: |peak centre - gene start| < window */
    int64_t components; /* leading components taken out before correlating (at most k) */
    double ridge;       /* of that regression */
    double clip;        /* of gene residuals, in standard deviations */
    double threshold;   /* of correlations, in units of 1/sqrt(cells) */
    double sd;          /* standard deviation of mu L over pairs of training cells */
};

struct cm_learn_config {
    int64_t window; /* base pairs: reach of links with learned weights */
    int64_t folds;  /* parts of the training cells */
    int64_t hidden; /* width of the network that gives the weights */
    int64_t steps;
    double lr;
};

struct cm_links_config {
    bool on; /* does the model have links? */
    struct cm_links_fit_config fit;
    bool learned; /* are their weights learned out of fold? */
    struct cm_learn_config learn;
};

#endif
