/* train/fit.h - the training loop: mini-batches, loss, optimiser, validation, state.
 *
 * Training gives the same bits for any number of threads and after a stop and a resume.  All that
 * changes from step to step is in struct cm_fit_state, so a checkpoint is that struct and a model;
 * everything random is a function of (seed, step, row).  Cells go through the encoders in groups;
 * groups are dealt to a fixed number of shards, each with its own gradient arena, which are added
 * in shard order.
 *
 * A step, for the rows of one mini-batch (B cells):
 *   e, t = both encoders;  S0 = e t' + mu L (L: the peak-gene term, constant);
 *   loss of S0 (nn/nn.h): InfoNCE on exp(l) S0, the paper's triplet, or none;
 *   with the cross module, + loss of S = S0 + alpha S1 on mined pairs (network/cross.h), whose
 *   gradient goes to the module and, as its setting `gradient` says, to the tokens and to S0;
 *   backward; AdamW.
 * The weights that are validated and kept are averages over the steps.  A linear start is validated
 * first and kept if training does not improve it.  With the cross module, validation is on S of the
 * `top` best candidates (network/scorer.h).
 */
#ifndef CM_TRAIN_FIT_H
#define CM_TRAIN_FIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"
#include "pairs/dataset.h"
#include "model/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Arenas of net.table.size numbers each, laid out as the net's. */
struct cm_fit_state {
    cm_real *w, *m, *v;      /* weights and moments */
    cm_real *average, *best; /* averaged weights: now, and at the best validation so far */
    uint64_t step, total;    /* next step, and steps of the whole schedule */
    uint64_t cells;          /* drawn so far */
    double best_score;       /* below 0: not validated yet */
    uint32_t best_epoch;     /* 0: the start */
    double start_score;      /* of the start; below 0: not validated */
    uint64_t stale;          /* validations since the best one */
    double loss;             /* of the last step */
};

/* What the loop reports after each step. */
struct cm_fit_report {
    uint64_t step, steps;        /* the step just done, from 0; and how many there are */
    uint32_t epoch, epochs;      /* from 1 */
    uint64_t cells, cells_total; /* drawn so far */
    double loss, lr, factor;     /* factor = exp(l) */
    double cross, sd;            /* loss of the module, 0 without one; sd of the scored S */
    double score;                /* of a validation after this step, NaN without one */
    double best;                 /* NaN: none yet */
};

/* Progress callbacks; any may be NULL. */
struct cm_fit_callbacks {
    void (*report)(void *arg, const struct cm_fit_report *r);
    void (*warn)(void *arg, const char *text);
    bool (*stop)(void *arg); /* asked between steps; true ends the loop */
    /* Saves model and state; m->net.w is what the model would be now, which s->w is not. */
    int (*save)(void *arg, const struct cm_model *m, const struct cm_fit_state *s);
    uint64_t every; /* steps between two saves, 0 = only when stopped */
    void *arg;
};

struct cm_fit_data {
    const struct cm_csr *x[2]; /* training cells */
    const float *z[2];         /* their components, NULL without a linear part */
    const struct cm_picks *picks;
    const struct cm_csr *valid[2]; /* validation cells; rows may be 0 */
    const uint32_t *group;         /* of the validation cells, or NULL */
    const uint32_t *train_group;   /* of the training cells, below `groups`, or NULL: one group */
    size_t groups;
    bool fresh;    /* encoders with first weights: the start is the linear model, without them */
    uint64_t keep; /* bytes of activations kept of a mini-batch, at most */
};

#define CM_FIT_KEEP ((uint64_t)1 << 30)

/* Trains m->net, which holds the initial weights.  s: zeroed for a new training, or from a
 * checkpoint; afterwards the state, freed by the caller.  m->config has the loss, the loop and the
 * seed.  A linear start that training does not improve is kept with encoders of zeros, which add
 * nothing to it.  Parameters with learning rate 0 do not change, to the bit.  At the end m->net.w
 * (and the linear part's P) are the best averaged weights; *stopped: did `stop` end it?
 * CM_ENUMERIC names step and tensor when something is not finite; CM_EINPUT: a schedule that does
 * not fit the state. */
int cm_fit(struct cm_model *m, const struct cm_fit_data *d, struct cm_fit_state *s,
           const struct cm_fit_callbacks *callbacks, bool *stopped);

/* The validation score of similarities s (n x n): soft match probability at the best temperature,
 * mean of both directions, + 0.3 top-5. */
double cm_fit_score(const float *s, size_t n, const uint32_t *group);

/* Upper bound of the bytes taken beside the data pass while cm_fit runs: the program, the model,
 * and what cm_fit allocates; the net must be laid out. */
uint64_t cm_fit_bytes(const struct cm_model *m, const struct cm_fit_data *d);

/* Share of cells whose partner is among the five most similar of its group, mean of both
 * directions, and the probability that a guess is right. */
void cm_fit_ranks(const float *s, size_t n, const uint32_t *group, double *top5, double *chance);

void cm_fit_state_free(struct cm_fit_state *s);

/* A checkpoint: the model as it would be now, and the state: tensors weights.*, adam.m.*, adam.v.*,
 * average.*, best.*, and keys checkpoint.*.  `head` receives the head of the stream. */
void cm_checkpoint_head(const struct cm_model *m, const struct cm_fit_state *s,
                        struct cm_head *head);
int cm_checkpoint_write(const struct cm_model *m, const struct cm_fit_state *s,
                        struct cm_writer *w);
/* Reads r to END.  CM_EINPUT also for a model without a state. */
int cm_checkpoint_read(struct cm_model *m, struct cm_fit_state *s, struct cm_reader *r);

#ifdef __cplusplus
}
#endif
#endif
