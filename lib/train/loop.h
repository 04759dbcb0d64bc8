/* train/loop.h - what the chapters of the training loop share; others include train/fit.h. */
#ifndef CM_TRAIN_LOOP_H
#define CM_TRAIN_LOOP_H

#include "train/fit.h"

#define CM_TERM_TABLE ((uint64_t)64 << 20) /* numbers of the tables of the term: 256 MiB */

/* mu L of all pairs of training cells of a group, for each group. */
struct term {
    float *all, **table; /* all NULL: computed for each mini-batch; table[g]: size[g] x size[g] */
    size_t *size;
    uint32_t *place; /* of each cell in its group */
};

struct fit {
    struct cm_model *m;
    const struct cm_loss_config *loss;
    const struct cm_loop_config *o;
    const struct cm_fit_data *d;
    struct cm_fit_state *s;
    const struct cm_fit_callbacks *callbacks;
    uint64_t seed;
    size_t n, q, size, max; /* training cells, width, numbers in an arena, shards at most */
    struct term term;
    float *valid_term; /* mu L of the validation cells, or NULL */
    float *valid_z[2];
    double cross, sd; /* of the last step: loss of the module, sd of the similarities */
    bool warned;
    struct batch *batch; /* arrays of the step at hand, kept for the next */
};

/* One mini-batch. */
struct batch {
    struct fit *f;
    const uint32_t *row;
    size_t B, groups[2], shards;
    struct cm_cell *cell[2];
    cm_real *raw[2], *e[2], *norm[2], *de[2], *draw[2];
    cm_real *tokens[2], *dtokens[2]; /* B x L x P, or NULL: no module; dtokens NULL: not used */
    cm_real *cache;                  /* of all groups, or NULL: not kept */
    cm_real *grad;                   /* shards x size */
    float *s, *ds, *term;
    struct cm_dropout drop;
};

/* The peak-gene term of the validation cells, and of all pairs of a group where they fit. */
void cm_term_prepare(struct fit *f);
void cm_term_free(struct fit *f);
uint64_t cm_term_numbers(const struct cm_fit_data *d); /* kept of all groups */
/* b->term (B x B) */
void cm_term_batch(struct batch *b);

/* Loss of S0: gradient to b->ds and *dscale. */
double cm_loss_s0(struct batch *b, uint64_t step, cm_real *dscale);
/* Loss of S: gradients to the module's segment of the first arena, to b->dtokens, b->ds and
 * *dscale, as the setting `gradient` allows. */
double cm_loss_cross(struct batch *b, uint64_t step, cm_real *dscale);
/* Standard deviation of the similarities of a mini-batch, and a warning where it vanishes. */
double cm_loss_spread(const struct batch *b);
void cm_loss_warn_collapse(struct fit *f, size_t B, uint64_t step);

/* Weights and averages after a step with this gradient; factor: of the learning rates. */
void cm_optimiser_step(struct fit *f, const cm_real *grad, uint64_t step, double factor);

/* One step on B training cells.  CM_ENUMERIC when something is not finite. */
int cm_step(struct fit *f, const uint32_t *row, size_t B, uint64_t step, uint32_t epoch,
            double factor);
void cm_step_free(struct fit *f);

/* Validates a linear start before the first step: a model that training must improve. */
int cm_validate_start(struct fit *f);
/* *score after the last mini-batch of an epoch that is due, or NaN. */
int cm_validate_when_due(struct fit *f, size_t at, double *score);

size_t cm_token_size(const struct cm_net *net, size_t side); /* L x P */
size_t cm_fit_shards(size_t size); /* gradient arenas of `size` numbers, at most */
/* The larger of both sides' numbers for a whole group. */
size_t cm_fit_largest(const struct cm_net *net,
                      size_t (*of)(const struct cm_net *, size_t side, size_t B));

#endif
