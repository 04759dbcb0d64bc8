/* clue-train - a rival: the cross-linked variational autoencoder of the competition's winner.
 *
 * In: kind pairs (from batch), both slots sparse, with the counts below their values (lognorm and
 * tfidf leave them in the stream).  Out: kind model: LSI of both modalities, the encoders of each
 * into both subspaces of the latent space, and the decision rule tuned on the validation cells.
 * The embedding is the unit code.  Formulas: the man page, lib/model/clue.h.  Memory: 12 bytes a
 * stored entry, and what -v prints.
 */
#include <math.h>
#include <stdio.h>
#include <time.h>

#include "cli/cli.h"
#include "model/clue.h"
#include "model/train.h"

static struct {
    int64_t k, latent, hidden, depth, decoder, judge, valid_every, patience;
    double dropout, data, cross, kl, cosine, mse, adversary, lr, alpha;
    const char *log;
    uint64_t memory;
} o;

static const struct cm_opt options[] = {
    {"k", 'k', CM_O_INT, &o.k, "100", 1, 10000, "N", "singular vectors a modality"},
    {"latent", 0, CM_O_INT, &o.latent, "50", 1, 10000, "N", "width of each of the two subspaces"},
    {"hidden", 0, CM_O_INT, &o.hidden, "512", 1, 100000, "N", "width of the encoders' layers"},
    {"depth", 0, CM_O_INT, &o.depth, "2", 1, CM_CLUE_DEPTH, "N", "hidden layers of an encoder"},
    {"decoder", 0, CM_O_INT, &o.decoder, "256", 1, 100000, "N", "hidden width of the decoders"},
    {"judge", 0, CM_O_INT, &o.judge, "256", 1, 100000, "N", "hidden width of the discriminator"},
    {"dropout", 0, CM_O_REAL, &o.dropout, "0.2", 0, 0.99, "RATE", "dropout of all hidden layers"},
    {"data", 0, CM_O_REAL, &o.data, "1", 0, 1e6, "X", "weight of the likelihood by the own code"},
    {"cross", 0, CM_O_REAL, &o.cross, "1", 0, 1e6, "X",
     "weight of the likelihood by the other modality's code"},
    {"kl", 0, CM_O_REAL, &o.kl, "0.3", 0, 1e6, "X", "weight of the divergence from the prior"},
    {"cosine", 0, CM_O_REAL, &o.cosine, "0.02", 0, 1e6, "X",
     "weight of 1 - cosine of the two codes of a cell"},
    {"mse", 0, CM_O_REAL, &o.mse, "0.02", 0, 1e6, "X", "weight of their mean squared difference"},
    {"adversary", 0, CM_O_REAL, &o.adversary, "0.02", 0, 1e6, "X",
     "weight of the discriminator; 0: none"},
    {"lr", 0, CM_O_REAL, &o.lr, "2e-3", 0, 1e30, "X", "learning rate of RMSprop"},
    {"alpha", 0, CM_O_REAL, &o.alpha, "0.99", 0, 0.9999999, "X", "its decay"},
    {"valid-every", 0, CM_O_INT, &o.valid_every, "1", 0, 1e9, "EPOCHS",
     "epochs between validations; 0: none, the last weights are kept"},
    {"patience", 0, CM_O_INT, &o.patience, "16", 0, 1e9, "N",
     "end after so many validations without a better score; 0: never"},
    {"log", 0, CM_O_STR, &o.log, NULL, 0, 0, "FILE.tsv", "write what every step did"},
    {"max-memory", 0, CM_O_SIZE, &o.memory, NULL, 1, 1e18, "SIZE",
     "refuse to train beyond this (K, M, G)"},
    {0}};

static const struct cm_tool tool = {"clue-train",
                                    "[PAIRS.cms]",
                                    "train a cross-linked autoencoder that matches cells",
                                    options,
                                    0,
                                    1,
                                    CM_TOOL_SEED};

static FILE *log_file;
static struct timespec last;

static void progress(uint64_t done, uint64_t total) { cm_progress(done, total, "cells"); }
static void warn(void *unused, const char *text) { (void)unused, cm_warn("%s", text); }
static bool stop(void *unused) { return (void)unused, cm_signal_seen() != 0; }

static void step(void *unused, const char *name)
{
    struct timespec now;
    (void)unused;
    clock_gettime(CLOCK_MONOTONIC, &now);
    cm_progress_end();
    cm_info("%s: %.2f seconds", name,
            (double)(now.tv_sec - last.tv_sec) + 1e-9 * (double)(now.tv_nsec - last.tv_nsec));
    last = now;
}

static void report(void *unused, const struct cm_clue_report *r)
{
    char unit[64];
    const struct cm_clue_terms *t = &r->terms;
    (void)unused;
    snprintf(unit, sizeof unit, "cells, loss %.3f", t->loss);
    cm_progress(r->cells, r->cells_total, unit);
    if (!isnan(r->score))
        cm_info("epoch %u of %u: loss %.4f, validation score %.4f (best %.4f)", r->epoch, r->epochs,
                t->loss, r->score, r->best);
    if (!log_file)
        return;
    fprintf(log_file, "%llu\t%u\t%.9g\t%.9g\t%.9g\t%.9g\t%.9g\t%.9g\t%.9g\t",
            (unsigned long long)r->step, r->epoch, t->loss, t->data, t->cross, t->kl, t->cosine,
            t->mse, t->judge);
    fprintf(log_file, isnan(r->score) ? "\n" : "%.9g\n", r->score);
}

static int train(void *unused, struct cm_model *m, const struct cm_train_data *d, float *const z[2])
{
    struct cm_clue_options how = {.latent = {(size_t)o.latent, (size_t)o.latent},
                                  .hidden = (size_t)o.hidden,
                                  .depth = (size_t)o.depth,
                                  .decoder = (size_t)o.decoder,
                                  .judge = (size_t)o.judge,
                                  .rate = o.dropout,
                                  .data = o.data,
                                  .cross = o.cross,
                                  .kl = o.kl,
                                  .cosine = o.cosine,
                                  .mse = o.mse,
                                  .adversary = o.adversary,
                                  .lr = o.lr,
                                  .alpha = o.alpha,
                                  .valid_every = o.valid_every,
                                  .patience = o.patience};
    struct cm_clue_voice voice = {report, warn, stop, NULL};
    (void)unused;
    uint64_t most = 0;
    for (size_t i = 0; i < d->picks.n; i++)
        if (d->picks.begin[i + 1] - d->picks.begin[i] > most)
            most = d->picks.begin[i + 1] - d->picks.begin[i];
    uint64_t all = cm_train_data_bytes(d) + cm_clue_bytes(d, &how, m->linear.k, most);
    cm_info("memory: at most %.1f MiB with the cells while training", (double)all / 1048576);
    if (o.memory && all > o.memory)
        return cm_fail(CM_ESYSTEM,
                       "training would take %.1f MiB, --max-memory allows %.1f; smaller "
                       "mini-batches (batch --size) take less",
                       (double)all / 1048576, (double)o.memory / 1048576);
    int code = cm_clue_fit(m, d, z, &how, cm_seed(), &voice);
    step(NULL, "network");
    return code;
}

static const char *key(const struct cm_model *m, const char *name)
{
    const char *v = cm_kv_get(&m->head.kv, name);
    return v ? v : "-";
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_train_options how = {.preset = CM_PRESET_LINEAR,
                                   .k = (size_t)o.k,
                                   .q = (size_t)o.k, /* the CCA is not used */
                                   .ridge = .03,
                                   .seed = cm_seed(),
                                   .middle = train};
    struct cm_train_voice voice = {.step = step, .warn = warn};
    struct cm_reader *r = cm_in_open(in[0]);
    cm_require_kind(r, CM_PAIRS);
    how.data_path = cm_reader_path(r);
    clock_gettime(CLOCK_MONOTONIC, &last);
    if (o.log && !(log_file = fopen(cm_out_path(o.log), "w")))
        cm_die(4, "cannot create '%s'", o.log);
    if (log_file)
        fputs("step\tepoch\tloss\tdata\tcross\tkl\tcosine\tmse\tjudge\tvalidation\n", log_file);

    struct cm_train_data data;
    cm_try(cm_train_data_load_counts(r, &data, progress));
    step(NULL, "reading");
    cm_signals_polite();
    struct cm_model model;
    cm_try(cm_train(&model, &data, &how, &voice));
    cm_info("%s training cells; validation (%s cells): soft %s, dual %s, top5 %s, chance %s; best "
            "epoch %s; rule %s, temperature %s",
            key(&model, "train.cells"), key(&model, "valid.cells"), key(&model, "valid.soft"),
            key(&model, "valid.dual"), key(&model, "valid.top5"), key(&model, "valid.chance"),
            key(&model, "train.best.epoch"), key(&model, "rule.method"),
            key(&model, "rule.temperature"));
    if (cm_kv_get(&model.head.kv, "train.stopped"))
        cm_warn("stopped by a signal after %s steps; the model is what was best so far",
                key(&model, "train.steps"));
    struct cm_writer *w = cm_out_open(&model.head);
    cm_try(cm_model_write(&model, w));
    if (log_file && fclose(log_file))
        cm_die(4, "cannot write '%s'", o.log);
    cm_model_free(&model);
    cm_train_data_free(&data);
    return cm_finish();
}
