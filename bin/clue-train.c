/* clue-train - a baseline: the cross-linked variational autoencoder of the competition's winner.
 *
 * In: kind pairs (from batch), both slots sparse, with the counts below their values (lognorm and
 * tfidf leave them in the stream).  Out: kind model: LSI of both modalities, the encoders of each
 * into both subspaces of the latent space, and the decision rule tuned on the validation cells.
 * The embedding is the unit code.  Formulas: the man page, lib/baselines/clue.h.  Memory: 12 bytes
 * a stored entry, and what -v prints.
 */
#include "cli/trainer.h"
#include "baselines/clue.h"

static struct cm_trainer t = {
    .columns = "step\tepoch\tloss\tdata\tcross\tkl\tcosine\tmse\tjudge\tvalidation"};

static const struct cm_opt own[] = {
    CM_TRAINER_SHOW(t),
    CM_OPT_END,
};
static const struct cm_opt run[] = {
    CM_TRAINER_LOG(t, "write what every step did"),
    CM_TRAINER_MEMORY(t),
    CM_OPT_END,
};

static struct cm_tool tool = {
    "clue-train", "[PAIRS.cms]", "train a cross-linked autoencoder that matches cells", NULL, 0, 1,
    CM_TOOL_SEED};

static void report(void *unused, const struct cm_fit_report *r, const struct cm_clue_terms *l)
{
    const double value[] = {l->loss,   l->data, l->cross,         l->kl,
                            l->cosine, l->mse,  l->discriminator, r->score};
    (void)unused;
    cm_trainer_report(&t, r, value, sizeof value / sizeof *value);
}

static int train(void *unused, struct cm_model *m, const struct cm_train_data *d,
                 const struct cm_train_sample *v, float *const z[2])
{
    struct cm_train_callbacks common = cm_trainer_callbacks(&t, NULL);
    struct cm_clue_callbacks callbacks = {report, common.warn, common.fit.stop, NULL};
    (void)unused;
    int code = cm_trainer_check(&t, cm_clue_bytes(d, &m->config.net.clue, m->linear.k));
    if (!code)
        code = cm_clue_fit(m, d, v, z, &callbacks);
    if (!code)
        cm_trainer_step(&t, "network");
    return code;
}

int main(int argc, char **argv)
{
    char **in = cm_trainer_start(&t, &tool, own, run, CM_BY_CLUE, argc, argv);
    const char *slot[2] = {"GEX", "ATAC"};
    struct cm_config *c = &t.config;
    struct cm_reader *r = t.show ? NULL : cm_trainer_open(in[0], slot);
    cm_preset_config(CM_PRESET_CLUE, slot, c);
    c->seed = (int64_t)cm_seed();
    cm_trainer_take(&t, c, false);
    if (t.show)
        return cm_trainer_show(c);
    struct cm_train_options how = {.config = c, .step = train, .data_path = cm_reader_path(r)};
    struct cm_train_callbacks callbacks = cm_trainer_callbacks(&t, NULL);
    cm_trainer_read(&t, r, true);
    cm_trainer_plan(&t, &how, "the components");
    cm_signals_polite();
    cm_try(cm_train(&t.model, &t.data, &how, &callbacks));
    cm_trainer_sum(&t, CM_SUM_EPOCH);
    cm_trainer_stopped(&t);
    return cm_trainer_end(&t);
}
