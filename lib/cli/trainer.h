/* cli/trainer.h - the frame of xattn-train, mlp-train, clue-train and cca-train.
 *
 * Problem: the four tools differ in what they train, and were alike in all else: the rows of their
 * option tables for the loop and the peak-gene term, --log, --checkpoint, --resume and
 * --max-memory, what is said of steps, epochs and the result, and the road from options to the
 * keys hp.* of a model.  Choice: that is here, in one struct which option rows and callbacks fill;
 * a tool keeps its own options, says what its preset means, and calls in the order in which things
 * happen:
 *
 *     cm_trainer_read(&t, r, false);
 *     cm_try(cm_train(&t.model, &t.data, &how, &voice));
 *     cm_trainer_sum(&t, 0);
 *     return cm_trainer_end(&t);
 *
 * Rejected: one `run` with hooks for every difference, which hides that order; one table for all
 * four tools, since the same option has other defaults and other words in each.
 */
#ifndef CM_CLI_TRAINER_H
#define CM_CLI_TRAINER_H

#include <time.h>

#include "cli/cli.h"
#include "train/train.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise. */
struct cm_trainer {
    /* by the option rows below */
    const char *log, *checkpoint, *resume;
    int64_t every;
    uint64_t memory;
    /* by the tool, before cm_trainer_read */
    const char *columns; /* of --log, tabs between; NULL: how long every step of the fit took */
    bool show_best;      /* the progress line has the best score, too */
    /* by the frame; hp by the tool as well */
    struct cm_kv hp;
    struct cm_model start; /* what was begun from */
    struct cm_fit_state state;
    struct cm_train_data data;
    struct cm_model model; /* the result */
    uint64_t cells;        /* bytes of the data pass */
    FILE *file;            /* of --log */
    struct timespec last;  /* when a step ended */
};

/* The peak-gene term, as options give it. */
struct cm_trainer_cis {
    int64_t window, components;
    double ridge, clip, threshold, sd;
};

/* Rows of an option table.  t: a struct cm_trainer, c: a struct cm_trainer_cis; every, patience:
 * int64_t. */
/* clang-format off */
#define CM_TRAINER_CIS(c)                                                                          \
    {"cis-window", 0, CM_O_INT, &(c).window, "100000", 1, 1e9, "BASES",                            \
     "largest distance of a peak from a gene's start"},                                            \
    {"cis-components", 0, CM_O_INT, &(c).components, "10", 1, 10000, "N",                          \
     "components taken out before peaks and genes are correlated"},                                \
    {"cis-ridge", 0, CM_O_REAL, &(c).ridge, "1e-4", 0, 1e6, "X", "ridge of that regression"},      \
    {"cis-clip", 0, CM_O_REAL, &(c).clip, "3", 0.1, 1e6, "X",                                      \
     "largest residual of a gene, in standard deviations"},                                        \
    {"cis-threshold", 0, CM_O_REAL, &(c).threshold, "2", 0, 1e6, "X",                              \
     "soft threshold of correlations, in units of 1/sqrt(cells)"},                                 \
    {"cis-sd", 0, CM_O_REAL, &(c).sd, "0.03", 1e-6, 1e6, "X",                                      \
     "standard deviation of the term over training pairs"}
#define CM_TRAINER_WARMUP(steps)                                                                   \
    {"warmup", 0, CM_O_INT, &(steps), NULL, 0, 1e9, "STEPS",                                       \
     "steps over which the learning rate rises"}
#define CM_TRAINER_AVERAGE(decay)                                                                  \
    {"average", 0, CM_O_REAL, &(decay), NULL, 0, 0.9999999, "X",                                   \
     "decay of the averaged weights; 0: the last ones"}
#define CM_TRAINER_VALID(every, every_def, patience, patience_def)                                 \
    {"valid-every", 0, CM_O_INT, &(every), every_def, 0, 1e9, "EPOCHS",                            \
     "epochs between validations; 0: none, the last weights are kept"},                            \
    {"patience", 0, CM_O_INT, &(patience), patience_def, 0, 1e9, "N",                              \
     "end after so many validations without a better score; 0: never"}
#define CM_TRAINER_LOG(t, help) {"log", 0, CM_O_OUTPUT, &(t).log, NULL, 0, 0, "FILE.tsv", help}
#define CM_TRAINER_STATE(t)                                                                        \
    {"checkpoint", 0, CM_O_SAVE, &(t).checkpoint, NULL, 0, 0, "FILE.cms",                          \
     "save the state of the training there, now and then and when stopped"},                       \
    {"every", 0, CM_O_INT, &(t).every, "1000", 1, 1e15, "STEPS",                                   \
     "steps between two checkpoints"},                                                             \
    {"resume", 0, CM_O_STATE, &(t).resume, NULL, 0, 0, "FILE.cms",                                 \
     "go on where this checkpoint was written, with its options"}
#define CM_TRAINER_MEMORY(t)                                                                       \
    {"max-memory", 0, CM_O_SIZE, &(t).memory, NULL, 1, 1e18, "SIZE",                               \
     "refuse to train beyond this (K, M, G)"}
/* clang-format on */

struct cm_cis_options cm_trainer_cis(const struct cm_trainer_cis *c);

/* ===== options and hp.* =================================================================== */

/* Does the option belong to one run (--log, --checkpoint, ...), not to the model? */
bool cm_trainer_of_run(const char *option);
/* The key of an option: --weight-decay is hp.weight.decay.  Returns `key`. */
const char *cm_trainer_key(const struct cm_opt *opt, char *key, size_t room);
/* Sets `key` to the option's number or word; false, and nothing set, where it has neither or
 * belongs to the run. */
bool cm_trainer_put(struct cm_kv *kv, const struct cm_opt *opt, const char *key);
/* The number of a word in "a|b|c", -1 if it is not there. */
int cm_trainer_word(const char *words, const char *word);
/* Reads t->start from a model; `checkpoint`: t->state, too, and t->hp becomes what it was then.  It
 * is no parent of the output, and --checkpoint may write over it. */
void cm_trainer_begin(struct cm_trainer *t, const char *path, bool checkpoint);

/* ===== the training ======================================================================= */

/* Opens --log and reads t->data from the pairs to their END; `counts`: with the counts below. */
void cm_trainer_read(struct cm_trainer *t, struct cm_reader *r, bool counts);
/* Says what the cells and the fit of the linear part will take; returns it, in bytes. */
uint64_t cm_trainer_plan(const struct cm_trainer *t, const struct cm_train_options *how,
                         const char *what);
/* Bytes of activations to keep: a quarter of --max-memory at most. */
uint64_t cm_trainer_keep(const struct cm_trainer *t);

/* Callbacks for the library with t as argument; `report` is the tool's, or NULL. */
struct cm_train_voice cm_trainer_voice(struct cm_trainer *t,
                                       void (*report)(void *t, const struct cm_fit_report *r));
void cm_trainer_step(void *t, const char *name); /* a step has ended: how long it took */
int cm_trainer_check(void *t, uint64_t bytes);   /* against --max-memory, beside the cells */
/* For a tool's report: the progress, a line after a validation, and a row of the log: step, epoch,
 * and these n values, an empty field for NaN. */
void cm_trainer_told(const struct cm_trainer *t, const struct cm_fit_report *r, const double *value,
                     size_t n);

/* ===== the result ========================================================================= */

const char *cm_trainer_result(const struct cm_trainer *t, const char *key); /* "-": none */
enum { CM_SUM_CIS = 1, CM_SUM_EPOCH = 2 };
/* One line on t->model; `also`: with the peak-gene pairs, with the best epoch. */
void cm_trainer_sum(const struct cm_trainer *t, unsigned also);
/* A warning if a signal ended it, with how to go on. */
void cm_trainer_stopped(const struct cm_trainer *t);
/* Writes t->model to the output, closes the log, frees everything: `return cm_trainer_end(&t);`. */
int cm_trainer_end(struct cm_trainer *t);

#ifdef __cplusplus
}
#endif
#endif
