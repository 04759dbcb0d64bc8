/* clue-train - a rival: the cross-linked variational autoencoder of the competition's winner.
 *
 * In: kind pairs (from batch), both slots sparse, with the counts below their values (lognorm and
 * tfidf leave them in the stream).  Out: kind model: LSI of both modalities, the encoders of each
 * into both subspaces of the latent space, and the decision rule tuned on the validation cells.
 * The embedding is the unit code.  Formulas: the man page, lib/baselines/clue.h.  Memory: 12 bytes a
 * stored entry, and what -v prints.
 */
#include "cli/trainer.h"
#include "baselines/clue.h"

static struct {
    int64_t k, latent, hidden, depth, decoder, judge, valid_every, patience;
    double dropout, data, cross, kl, cosine, mse, adversary, lr, alpha;
} o;

static struct cm_trainer t = {
    .columns = "step\tepoch\tloss\tdata\tcross\tkl\tcosine\tmse\tjudge\tvalidation"};

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
    CM_TRAINER_VALID(o.valid_every, "1", o.patience, "16"),
    CM_TRAINER_LOG(t, "write what every step did"),
    CM_TRAINER_MEMORY(t),
    {0}};

static const struct cm_tool tool = {"clue-train",
                                    "[PAIRS.cms]",
                                    "train a cross-linked autoencoder that matches cells",
                                    options,
                                    0,
                                    1,
                                    CM_TOOL_SEED};

static void report(void *unused, const struct cm_clue_report *r)
{
    const struct cm_clue_terms *l = &r->terms;
    const double value[] = {l->loss,   l->data, l->cross, l->kl,
                            l->cosine, l->mse,  l->judge, r->score};
    struct cm_fit_report all = {.step = r->step,
                                .epoch = r->epoch,
                                .epochs = r->epochs,
                                .cells = r->cells,
                                .cells_total = r->cells_total,
                                .loss = l->loss,
                                .score = r->score,
                                .best = r->best};
    (void)unused;
    cm_trainer_told(&t, &all, value, sizeof value / sizeof *value);
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
    struct cm_train_voice said = cm_trainer_voice(&t, NULL);
    struct cm_clue_voice voice = {report, said.warn, said.fit.stop, NULL};
    (void)unused;
    uint64_t most = 0;
    for (size_t i = 0; i < d->picks.n; i++)
        if (d->picks.begin[i + 1] - d->picks.begin[i] > most)
            most = d->picks.begin[i + 1] - d->picks.begin[i];
    int code = cm_trainer_check(&t, cm_clue_bytes(d, &how, m->linear.k, most));
    if (code)
        return code;
    code = cm_clue_fit(m, d, z, &how, cm_seed(), &voice);
    cm_trainer_step(&t, "network");
    return code;
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
    struct cm_train_voice voice = cm_trainer_voice(&t, NULL);
    struct cm_reader *r = cm_in_open(in[0]);
    cm_require_kind(r, CM_PAIRS);
    how.data_path = cm_reader_path(r);
    cm_trainer_read(&t, r, true);
    cm_signals_polite();
    cm_try(cm_train(&t.model, &t.data, &how, &voice));
    cm_trainer_sum(&t, CM_SUM_EPOCH);
    if (cm_kv_get(&t.model.head.kv, "train.stopped"))
        cm_warn("stopped by a signal after %s steps; the model is what was best so far",
                cm_trainer_result(&t, "train.steps"));
    return cm_trainer_end(&t);
}
