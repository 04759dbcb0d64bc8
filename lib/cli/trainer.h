/* cli/trainer.h - the frame of xattn-train, mlp-train, clue-train and cca-train.
 *
 * The four tools share their options (a row for each setting that a tool offers, from the table of
 * model/config.h, and those of a run) and the reports of steps, epochs and the result.  A tool
 * calls in the order in which things happen:
 *
 *     char **in = cm_trainer_start(&t, &tool, own, run, CM_BY_CLUE, argc, argv);
 *     ... the preset's settings; cm_trainer_take(&t, &t.config, false) ...
 *     cm_trainer_read(&t, r, false);
 *     cm_try(cm_train(&t.model, &t.data, &how, &callbacks));
 *     cm_trainer_sum(&t, 0);
 *     return cm_trainer_end(&t);
 *
 * Rejected: one `run` with hooks for every difference, which hides that order.
 */
#ifndef CM_CLI_TRAINER_H
#define CM_CLI_TRAINER_H

#include <time.h>

#include "cli/cli.h"
#include "model/presets.h"
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
    bool show;
    struct cm_config given; /* valid where cm_given says so */
    /* by the tool, before cm_trainer_read */
    const char *columns;     /* of --log, tabs between; NULL: how long every step of the fit took */
    bool show_best;          /* the progress line has the best score, too */
    struct cm_config config; /* what the model is to be */
    /* by the frame */
    unsigned by;                   /* which trainer it is: CM_BY_... */
    struct cm_model start;         /* what was begun from */
    struct cm_config start_config; /* all of its settings */
    struct cm_fit_state state;
    struct cm_train_data data;
    struct cm_model model; /* the result */
    uint64_t cells;        /* bytes of the data pass */
    FILE *file;            /* of --log */
    struct timespec last;  /* when a step ended */
};

/* Rows of an option table.  t: a struct cm_trainer. */
/* clang-format off */
#define CM_TRAINER_SHOW(t)                                                                         \
    CM_OPT_FLAG("show", 0, &(t).show,                                                              \
                "print all settings, preparation and schedule as TSV, and train nothing")
#define CM_TRAINER_LOG(t, help) CM_OPT_OUTPUT("log", 0, &(t).log, "FILE.tsv", help)
#define CM_TRAINER_STATE(t)                                                                        \
    CM_OPT_SAVE("checkpoint", 0, &(t).checkpoint, "FILE.cms",                                      \
                "save the state of the training there, now and then and when stopped"),            \
    CM_OPT_INT("every", 0, &(t).every, "1000", 1, 1e15, "STEPS",                                   \
               "steps between two checkpoints"),                                                   \
    CM_OPT_STATE("resume", 0, &(t).resume, "FILE.cms",                                             \
                 "go on where this checkpoint was written, with its options")
#define CM_TRAINER_MEMORY(t)                                                                       \
    CM_OPT_SIZE("max-memory", 0, &(t).memory, NULL, 1, 1e18, "SIZE",                               \
                "keep cells in temporary files where training takes more than this, or refuse")
/* In a table for cm_trainer_start: here stand the settings of a section, or the one of that key. */
#define CM_TRAINER_SECTION(section) {"", section, CM_O_GROUP, NULL, NULL, 0, 0, NULL, NULL}
#define CM_TRAINER_SETTING(key)     {"", 0, CM_O_GROUP, NULL, key, 0, 0, NULL, NULL}
/* clang-format on */

/* ===== settings =========================================================================== */

/* Fills tool->options with the rows `before`, those of the settings that the trainer offers and
 * that `before` does not place, and `after`, and starts the tool (cm_start). */
char **cm_trainer_start(struct cm_trainer *t, struct cm_tool *tool, const struct cm_opt *before,
                        const struct cm_opt *after, unsigned by, int argc, char **argv);
/* Applies the settings on the command line to c; one that c does not have is a usage error.  fit:
 * only those of the linear part and the peak-gene term. */
void cm_trainer_take(const struct cm_trainer *t, struct cm_config *c, bool fit);
/* The lists of --tokens and --layers: settings of the encoders, also of one slot. */
void cm_trainer_tokens(const struct cm_list *list, const char *const slot[2], struct cm_config *c);
void cm_trainer_layers(const struct cm_list *list, const char *const slot[2], struct cm_config *c);
/* Ends the program as a usage error with the library's message, if code is one. */
void cm_trainer_usage(int code);
/* Prints every setting, and the preparation and schedule of the preset; the end of main. */
int cm_trainer_show(const struct cm_config *c);
/* Opens the pairs; slot: their names.  Warns of counts that are not normalised. */
struct cm_reader *cm_trainer_open(const char *path, const char *slot[2]);
/* Reads t->start and t->start_config from a model; `checkpoint`: t->state, too.  It is no parent of
 * the output, and --checkpoint may write over it. */
void cm_trainer_begin(struct cm_trainer *t, const char *path, bool checkpoint);

/* ===== the training ======================================================================= */

/* Opens --log and reads t->data from the pairs to their END; `counts`: with the counts below.
 * Cells of more than a quarter of --max-memory are spooled. */
void cm_trainer_read(struct cm_trainer *t, struct cm_reader *r, bool counts);
/* Reports the bytes that the cells and the fit of the linear part will take.  Where --max-memory
 * does not allow them, it spools the cells; ends the program if that is not enough. */
void cm_trainer_plan(struct cm_trainer *t, const struct cm_train_options *how, const char *what);
/* Bytes of activations to keep: a quarter of --max-memory at most. */
uint64_t cm_trainer_keep(const struct cm_trainer *t);

/* Callbacks for the library with t as argument; `report` is the tool's, or NULL. */
struct cm_train_callbacks
cm_trainer_callbacks(struct cm_trainer *t, void (*report)(void *t, const struct cm_fit_report *r));
void cm_trainer_step(void *t, const char *name); /* a step has ended: how long it took */
int cm_trainer_check(void *t, uint64_t bytes);   /* against --max-memory, as cm_trainer_plan does */
/* For a tool's report: the progress, a line after a validation, and a row of the log: step, epoch,
 * and these n values, an empty field for NaN. */
void cm_trainer_report(const struct cm_trainer *t, const struct cm_fit_report *r,
                       const double *value, size_t n);

/* ===== the result ========================================================================= */

const char *cm_trainer_result(const struct cm_trainer *t, const char *key); /* "-": none */
enum { CM_SUM_LINKS = 1, CM_SUM_EPOCH = 2 };
/* A line on t->model; `also`: with the best epoch, with the peak-gene links and a line on their
 * weights.  Warns where 30 or
 * more validation cells find their partners no better than 1.5 times chance. */
void cm_trainer_sum(const struct cm_trainer *t, unsigned also);
/* A warning if a signal ended it, with how to go on. */
void cm_trainer_stopped(const struct cm_trainer *t);
/* Writes t->model to the output, closes the log, frees everything: `return cm_trainer_end(&t);`. */
int cm_trainer_end(struct cm_trainer *t);

#ifdef __cplusplus
}
#endif
#endif
