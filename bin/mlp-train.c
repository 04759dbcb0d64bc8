/* mlp-train - baselines: perceptrons on LSI, trained by the symmetric cross-entropy of cosines.
 *
 * In: kind pairs (from batch), with mini-batches.  Out: kind model: LSI of both modalities, a
 * perceptron on the components of each, and the decision rule tuned on the validation cells.
 * Presets are the second of the competition, MatchCLOT, and a small form for few cells.  Formulas:
 * the man page, lib/baselines/deep.c, lib/train/loop.h.  Memory: 8 bytes a stored entry, and what
 * -v prints.
 */
#include "cli/trainer.h"

static struct {
    int preset;
    struct cm_list layers;
} o;

static struct cm_trainer t = {.columns = "step\tepoch\tloss\tlr\tscale\tvalidation"};

static const struct cm_opt own[] = {
    CM_OPT_CHOICE("preset", 'p', &o.preset, "small", CM_PRESETS_MLP, "the model"),
    CM_TRAINER_SHOW(t),
    CM_OPT_LIST("layers", 0, &o.layers, "SLOT=IN:N,N...:RATE,RATE...",
                "components, hidden widths and their dropout of one modality"),
    CM_OPT_END,
};
static const struct cm_opt run[] = {
    CM_TRAINER_LOG(t, "write what every step did"),
    CM_TRAINER_STATE(t),
    CM_TRAINER_MEMORY(t),
    CM_OPT_END,
};

static struct cm_tool tool = {
    "mlp-train", "[PAIRS.cms]", "train perceptrons that match cells", NULL, 0, 1, CM_TOOL_SEED};

/* ===== settings =========================================================================== */

static void ask(struct cm_config *c, const char *const slot[2])
{
    cm_trainer_layers(&o.layers, slot, c);
    cm_trainer_take(&t, c, false);
}

/* The settings of the checkpoint, and no others. */
static void resume(struct cm_config *c, const char *const slot[2])
{
    cm_trainer_begin(&t, t.resume, true);
    struct cm_config have = t.start_config, want = have;
    if (have.net.encoder != CM_ENCODER_DEEP)
        cm_die(3, "%s: a checkpoint of another trainer", t.resume);
    ask(&want, slot);
    if (cm_given("preset"))
        want.preset = (enum cm_preset)(CM_PRESET_SMALL + o.preset);
    if (cm_given("seed"))
        want.seed = (int64_t)cm_seed();
    cm_trainer_usage(cm_config_settled(&have, &want, slot, false, t.resume));
    *c = have;
}

/* ===== main =============================================================================== */

static void report(void *unused, const struct cm_fit_report *r)
{
    const double value[] = {r->loss, r->lr, r->factor, r->score};
    (void)unused;
    cm_trainer_report(&t, r, value, sizeof value / sizeof *value);
}

int main(int argc, char **argv)
{
    char **in = cm_trainer_start(&t, &tool, own, run, CM_BY_MLP, argc, argv);
    const char *slot[2] = {"GEX", "ATAC"};
    struct cm_config *c = &t.config;
    struct cm_reader *r = t.show ? NULL : cm_trainer_open(in[0], slot);
    if (t.resume) {
        resume(c, slot);
    } else {
        cm_preset_config((enum cm_preset)(CM_PRESET_SMALL + o.preset), slot, c);
        c->seed = (int64_t)cm_seed();
        ask(c, slot);
    }
    if (t.show)
        return cm_trainer_show(c);
    struct cm_train_options how = {.config = c,
                                   .keep = cm_trainer_keep(&t),
                                   .start = t.resume ? &t.start : NULL,
                                   .state = t.resume ? &t.state : NULL,
                                   .start_path = t.resume,
                                   .data_path = cm_reader_path(r)};
    struct cm_train_callbacks callbacks = cm_trainer_callbacks(&t, report);
    cm_trainer_read(&t, r, false);
    cm_trainer_plan(&t, &how, "the components");
    /* Fewer cells or columns than a preset's components are no mistake. */
    const struct cm_csr *x = t.data.part[0].x;
    const int64_t max[] = {(int64_t)x[0].rows, (int64_t)x[0].cols, (int64_t)x[1].cols};
    for (size_t i = 0; !cm_given("k") && i < 3; i++)
        c->linear.k = c->linear.k < max[i] ? c->linear.k : max[i];
    cm_signals_polite();
    cm_try(cm_train(&t.model, &t.data, &how, &callbacks));
    cm_trainer_sum(&t, CM_SUM_EPOCH);
    cm_trainer_stopped(&t);
    return cm_trainer_end(&t);
}
