/* model/train.h - from paired cells to a model, by preset.
 *
 * Problem: the presets share their start (LSI, CCA, peak-gene term), their end (decision rule tuned
 * on validation cells) and the record of what was done; they differ in the middle.  Choice: one
 * entry that runs the shared steps around the preset's own; `linear` has no middle, the others run
 * the loop of fit.h on an encoder.  Progress and warnings go through callbacks, nothing is printed.
 */
#ifndef CM_MODEL_TRAIN_H
#define CM_MODEL_TRAIN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/data.h"
#include "model/fit.h"
#include "model/links.h"
#include "model/model.h"

#ifdef __cplusplus
extern "C" {
#endif

enum cm_preset {
    CM_PRESET_LINEAR,
    CM_PRESET_BEST,
    CM_PRESET_ATTN,
    CM_PRESET_PAPER,
    CM_PRESET_AUTHORS
};
#define CM_PRESETS "linear|best|attn|paper|authors" /* in the order of the enum */

/* The hyper-parameters of a preset's middle as hp.*: every one of them, none for `linear`.  cross:
 * with the cross-attention module, which `paper` and `authors` always have, and of the others only
 * `attn` can have. */
void cm_preset_hp(enum cm_preset preset, bool cross, struct cm_kv *hp);
/* The power of standard deviations by which the preset divides features before LSI, for these
 * slots: what lifts the weak genes and peaks among thousands lifts noise where the other side is a
 * hundred proteins. */
double cm_preset_scale(enum cm_preset preset, const struct cm_head *pairs);
/* Does the preset learn the weights of peak-gene pairs, if nothing else is asked for? */
bool cm_preset_links(enum cm_preset preset);
/* Does a model with these hyper-parameters begin with LSI and CCA?  Those of `linear` (none) do;
 * others where they have the residual or filters from loadings. */
bool cm_hp_linear(const struct cm_kv *hp);

struct cm_train_options {
    enum cm_preset preset;
    size_t k,
        q; /* components a modality; embedding width; of the linear part, where there is one */
    double scale; /* of features before LSI (model/linear.h) */
    double ridge; /* of the CCA, relative to the mean variance */
    bool cis;     /* the peak-gene term; only beside the residual start */
    struct cm_cis_options cis_options;
    bool links; /* its pairs get learned weights (model/links.h); their seed is `seed` */
    struct cm_link_options link_options;
    uint64_t seed;
    const struct cm_kv *hp; /* cm_preset_hp, with what the user asked for; unused by `linear` */
    uint64_t keep;          /* bytes of activations kept, CM_FIT_KEEP; no result depends on it */
    /* A model to begin from: its linear part and peak-gene term are taken over (and gone from it)
     * where the preset has one, the trained tensors that have the same name and shape copied.  With
     * `state` too it is a checkpoint, and the training goes on where it stopped. */
    struct cm_model *start;
    struct cm_fit_state *state;
    const char *start_path, *data_path; /* for messages */
    /* A middle other than the preset's, for the rivals; NULL = none.  It gets the model with its
     * linear part, its head filled, and the training components (n x k) of both sides; it may
     * change projections and lay out and train a net.  The rule is tuned on what it leaves. */
    int (*middle)(void *arg, struct cm_model *m, const struct cm_train_data *d, float *const z[2]);
    void *middle_arg;
    bool closed; /* that step is a closed form, which folds can afford (model/crossfit.h) */
};

/* The linear part of the options (k, q, lsi.scale, ridge, cis.*), if the model has it, and the
 * seed, from a model's hp.*. */
int cm_train_options_read(struct cm_train_options *o, const struct cm_kv *kv);

/* How the trainer speaks.  Each may be NULL. */
struct cm_train_voice {
    void (*step)(void *arg, const char *name); /* a step has ended */
    void (*warn)(void *arg, const char *text);
    /* Before the first step, with the bytes that it takes: < 0 (a message left) refuses. */
    int (*memory)(void *arg, uint64_t bytes);
    struct cm_fit_voice fit; /* its warn may be NULL */
    void *arg;
};

/* The rule is tuned on at most so many validation cells (a sample); with the cross module, whose
 * pairs cost thousands of times more, on fewer. */
#define CM_VALID_CELLS 4096
#define CM_VALID_CROSS 1024

/* Trains m on d.  The head of m gets the slots of d, hp.* (options as used), and results:
 * train.*, cis.*, valid.* (cells, chance, soft, dual, argmax, top5; means of both directions),
 * rule.*.  0 or CM_E.... */
int cm_train(struct cm_model *m, const struct cm_train_data *d, const struct cm_train_options *o,
             const struct cm_train_voice *voice);

/* Upper bound of the bytes taken beside the data pass by the linear part and the rule. */
uint64_t cm_train_bytes(const struct cm_train_data *d, const struct cm_train_options *o);

/* s (n x n, row-major) = similarities S0 of cells x[0] (rows) and x[1] (columns). */
void cm_model_similarities(const struct cm_model *m, const struct cm_csr *const x[2], float *s);

#ifdef __cplusplus
}
#endif
#endif
