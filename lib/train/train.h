/* train/train.h - from paired cells to a model, by preset.
 *
 * All presets share the start (LSI, CCA, peak-gene term), the end (the decision rule tuned on
 * validation cells) and the record of what was done; one entry runs these around the preset's own
 * training: none for `linear`, the loop of train/fit.h for the others.  Progress and warnings go
 * through callbacks; nothing is printed.
 */
#ifndef CM_TRAIN_TRAIN_H
#define CM_TRAIN_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "linear/refit.h"
#include "pairs/dataset.h"
#include "train/fit.h"
#include "model/model.h"

#ifdef __cplusplus
extern "C" {
#endif

/* At most `max` validation cells, those after the first `from` in the order of the seed. */
struct cm_train_sample {
    struct cm_csr x[2];
    uint32_t *group; /* batch codes, or NULL */
    size_t n;
};
struct cm_train_sample cm_train_sample(const struct cm_train_data *d, uint64_t seed, size_t from,
                                       size_t max);
void cm_train_sample_free(struct cm_train_sample *s);

typedef int cm_train_step(void *arg, struct cm_model *m, const struct cm_train_data *d,
                          const struct cm_train_sample *v, float *const z[2]);

struct cm_train_options {
    const struct cm_config *config; /* as requested; k and q may be lowered to the data */
    uint64_t keep; /* bytes of activations to keep, CM_FIT_KEEP; no result depends on it */
    /* Optional model to begin from: its linear part and peak-gene term are moved out of it where
     * the settings have one, and trained tensors of the same name and shape are copied.  With
     * `state` it is a checkpoint, and training continues where it stopped. */
    struct cm_model *start;
    struct cm_fit_state *state;
    const char *start_path, *data_path; /* for messages */
    /* Optional training step that replaces the loop (used by the baselines).  It gets the model
     * with its linear part, its head filled, the training components (n x k) of both sides, and the
     * validation cells (NULL in a fold); it may change projections and lay out and train a net.
     * The rule is tuned on what it leaves. */
    cm_train_step *step;
    void *step_arg;
    bool closed; /* that step is a closed form, which folds can afford (train/crossfit.h) */
};

/* Progress callbacks; any may be NULL. */
struct cm_train_callbacks {
    void (*step)(void *arg, const char *name); /* a step is done */
    void (*warn)(void *arg, const char *text);
    /* Before the first step, with the bytes that training takes; < 0 (and a message) refuses. */
    int (*memory)(void *arg, uint64_t bytes);
    struct cm_fit_callbacks fit; /* its warn may be NULL */
    void *arg;
};

/* The largest sample of validation cells; smaller with the cross module, whose pairs cost thousands
 * of times more. */
#define CM_VALID_CELLS 4096
#define CM_VALID_CROSS 1024

/* Trains m on d.  The head of m gets the slots of d, m->config (settings as used), and results:
 * train.*, cis.*, valid.* (cells, chance, soft, dual, argmax, top5; means of both directions),
 * rule.*.  0 or CM_E.... */
int cm_train(struct cm_model *m, const struct cm_train_data *d, const struct cm_train_options *o,
             const struct cm_train_callbacks *callbacks);

/* Upper bound of the bytes taken beside the data pass by the linear part and the rule. */
uint64_t cm_train_bytes(const struct cm_train_data *d, const struct cm_train_options *o);

/* s (n x n, row-major) = similarities S0 of cells x[0] (rows) and x[1] (columns). */
void cm_model_similarities(const struct cm_model *m, const struct cm_csr *const x[2], float *s);

/* ===== parts of cm_train: report, start, rule =============================================== */

/* Callbacks, where there are any. */
void cm_train_step_done(const struct cm_train_callbacks *v, const char *name);
void cm_train_warn(const struct cm_train_callbacks *v, const char *format, ...) CM_PRINTF(2, 3);
const char *cm_train_named(const char *path, const char *otherwise);
/* Of the names of all cells, in order. */
uint64_t cm_train_cells_hash(const struct cm_train_data *d);

/* An empty model for the slots of d. */
void cm_start_head(struct cm_model *m, const struct cm_train_data *d);
/* Lowers k, q and the components of the term to what the cells allow. */
int cm_start_sizes(struct cm_config *c, const struct cm_train_data *d,
                   const struct cm_train_callbacks *callbacks);
/* LSI, CCA and the peak-gene term of m->config; z: the training cells' components (n x k). */
int cm_start_fit(struct cm_model *m, const struct cm_train_data *d, float *const z[2],
                 const struct cm_train_callbacks *callbacks);
/* The same for `part`, copies of the cells rows[0], rows[1], ... of `whole`, from the linear fit of
 * all of them (linear/refit.h). */
int cm_start_refit(struct cm_model *m, const struct cm_train_data *part, const uint64_t *rows,
                   const struct cm_linear_whole *whole, float *const z[2]);
/* Learns the weights of the links; the outcome is in links.*. */
int cm_start_links(struct cm_model *m, const struct cm_train_data *d, float *const z[2],
                   const struct cm_train_sample *v);
/* Takes the linear part and the term of o->start, once the cells fit it. */
int cm_start_take(struct cm_model *m, const struct cm_train_data *d,
                  const struct cm_train_options *o, float *const z[2]);
/* Tensors of the same name and shape; the factor of the loss begins anew. */
void cm_start_tensors(struct cm_net *to, const struct cm_net *from,
                      const struct cm_train_options *o, const struct cm_train_callbacks *callbacks);

/* Do training cells contribute to calibration?  Folds fit the closed form alone. */
bool cm_train_crossfits(const struct cm_train_options *o);
/* Tunes the rule on v, and records it with the scores of validation.  z: as of cm_start_fit. */
int cm_train_rule(struct cm_model *m, const struct cm_train_data *d,
                  const struct cm_train_options *o, float *const z[2],
                  const struct cm_train_sample *v, const struct cm_train_callbacks *callbacks);

#ifdef __cplusplus
}
#endif
#endif
