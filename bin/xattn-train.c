/* xattn-train - learn from paired cells how RNA and ATAC correspond.
 *
 * In: kind pairs (from batch), both slots normalised as inputs of the model must be.  Out: kind
 * model: LSI and CCA of both modalities, peak-gene links, the preset's network, and the decision
 * rule tuned on the validation cells.  Formulas: cellmatch-model(7).  The stream is read to its END
 * before anything is fitted.  Memory: 8 bytes a stored entry, 4 a row of the schedule, and what -v
 * prints.
 */
#include <string.h>

#include "cli/trainer.h"

enum { LINKS_AUTO, LINKS_NO, LINKS_YES };

static struct {
    int preset, links;
    bool no_links, cross;
    struct cm_list tokens;
    const char *init;
} o;

static struct cm_trainer t = {.show_best = true};

static const struct cm_opt own[] = {
    CM_OPT_CHOICE("preset", 'p', &o.preset, "best", CM_PRESETS_XATTN, "the model"),
    CM_TRAINER_SHOW(t),
    CM_OPT_INPUT("init", 0, &o.init, "MODEL.cms",
                 "begin from this model: its linear part stays, its weights are the first ones"),
    CM_TRAINER_LOG(t, "write a row for each step (closed forms: how long each part took)"),
    CM_TRAINER_STATE(t),
    CM_TRAINER_MEMORY(t),
    CM_TRAINER_SETTING("patience"),
    CM_TRAINER_SETTING("valid.every"),
    CM_OPT_GROUP("Research options: the linear part"),
    CM_TRAINER_SECTION(CM_SECTION_LINEAR),
    CM_TRAINER_SECTION(CM_SECTION_CCA),
    CM_OPT_GROUP("Research options: peak-gene links"),
    CM_OPT_FLAG("no-cis", 0, &o.no_links, "leave out the peak-gene term"),
    CM_TRAINER_SECTION(CM_SECTION_LINKS),
    CM_OPT_CHOICE(
        "links", 0, &o.links, "auto", "auto|no|yes",
        "learn the weights of peak-gene pairs out of fold; auto: closed, best and attn do"),
    CM_TRAINER_SECTION(CM_SECTION_LINKS_LEARNED),
    CM_OPT_GROUP("Research options: encoders"),
    CM_TRAINER_SECTION(CM_SECTION_MLP),
    CM_OPT_LIST("tokens", 0, &o.tokens, "KEY=VALUE",
                "an option of the attention network, as the manual lists them; or SLOT.KEY=VALUE"),
    CM_OPT_GROUP("Research options: cross-attention"),
    CM_OPT_FLAG("cross", 0, &o.cross,
                "attn: with the cross-attention module; paper and authors have it"),
    CM_TRAINER_SECTION(CM_SECTION_CROSS),
    CM_OPT_GROUP("Research options: training"), /* all other settings */
    CM_OPT_END,
};
static const struct cm_opt run[] = {CM_OPT_END};

static struct cm_tool tool = {
    "xattn-train", "[PAIRS.cms]", "train a model that matches RNA and ATAC cells", NULL, 0, 1,
    CM_TOOL_SEED};

/* ===== settings =========================================================================== */

/* Applies the command line to c; fit: the linear part and the peak-gene term alone. */
static void ask(struct cm_config *c, const char *const slot[2], bool fit)
{
    if (o.no_links && !cm_config_may_link(c))
        cm_usage_error("--no-cis means nothing with this preset");
    c->links.on = c->links.on && !o.no_links;
    if (o.links != LINKS_AUTO)
        c->links.learned = o.links == LINKS_YES;
    if (!fit) {
        if (o.cross && c->net.encoder != CM_ENCODER_TOKENS)
            cm_usage_error("--cross means nothing with this preset");
        c->net.cross.on = c->net.cross.on || o.cross;
        cm_trainer_tokens(&o.tokens, slot, c);
        cm_config_resolve(c);
    }
    cm_trainer_take(&t, c, fit);
}

/* The preset's settings, the command line, and what follows from both. */
static void configure(struct cm_config *c, const char *const slot[2])
{
    cm_preset_config((enum cm_preset)o.preset, slot, c);
    c->seed = (int64_t)cm_seed();
    ask(c, slot, false);
    if (cm_given("lr") && !cm_given("lr-cross"))
        c->loop.lr_cross = c->loop.lr;
    if (c->loss.kind == CM_LOSS_NONE) { /* the only loss is that of S */
        if (cm_given("margin") && !cm_given("cross-margin"))
            c->net.cross.margin = c->loss.margin;
        if (cm_given("negatives") && !cm_given("cross-negatives"))
            c->net.cross.negatives = c->loss.negatives;
    }
    cm_trainer_usage(cm_config_check(c));
}

/* A model to begin from fixes some settings; options that contradict them are refused. */
static void begin_from(struct cm_config *c, const char *const slot[2], const char *path)
{
    cm_trainer_begin(&t, path, t.resume);
    struct cm_config have = t.start_config, want = have;
    ask(&want, slot, !t.resume);
    if (t.resume && cm_given("preset"))
        want.preset = (enum cm_preset)o.preset;
    if (t.resume && cm_given("seed"))
        want.seed = (int64_t)cm_seed();
    cm_trainer_usage(cm_config_settled(&have, &want, slot, !t.resume, path));
    if (t.resume) {
        *c = have;
    } else if (have.linear.on) {
        c->linear = have.linear;
        c->links = have.links;
        cm_config_resolve(c);
    }
}

/* ===== reports ============================================================================ */

static void report(void *unused, const struct cm_fit_report *r)
{
    const double value[] = {r->loss, r->lr, r->factor, r->score, r->cross, r->sd};
    (void)unused;
    cm_trainer_report(&t, r, value, sizeof value / sizeof *value);
}

/* ===== main =============================================================================== */

int main(int argc, char **argv)
{
    char **in = cm_trainer_start(&t, &tool, own, run, CM_BY_XATTN, argc, argv);
    const char *slot[2] = {"GEX", "ATAC"}, *from = t.resume ? t.resume : o.init;
    if (o.init && t.resume)
        cm_usage_error("--init and --resume are two ways to begin");
    struct cm_reader *r = t.show ? NULL : cm_trainer_open(in[0], slot);
    if (!t.resume)
        configure(&t.config, slot);
    if (from)
        begin_from(&t.config, slot, from);
    if (t.show)
        return cm_trainer_show(&t.config);
    struct cm_train_options how = {.config = &t.config,
                                   .keep = cm_trainer_keep(&t),
                                   .start = from ? &t.start : NULL,
                                   .state = t.resume ? &t.state : NULL,
                                   .start_path = from,
                                   .data_path = cm_reader_path(r)};
    bool trains = t.config.net.encoder != CM_ENCODER_NONE;
    if (trains)
        t.columns = "step\tepoch\tloss\tlr\tscale\tvalidation\tcross\tsd";
    cm_trainer_read(&t, r, false);
    cm_trainer_plan(&t, &how, "the linear part");
    if (trains)
        cm_signals_polite();
    struct cm_train_callbacks callbacks = cm_trainer_callbacks(&t, report);
    cm_try(cm_train(&t.model, &t.data, &how, &callbacks));
    cm_trainer_sum(&t, CM_SUM_LINKS);
    cm_trainer_stopped(&t);
    return cm_trainer_end(&t);
}
