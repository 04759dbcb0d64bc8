/* xattn-train - learn from paired cells how RNA and ATAC correspond.
 *
 * In: kind pairs (from batch), both slots in the state that the model is to expect ever after.
 * Out: kind model: LSI and CCA of both modalities, the peak-gene term, what the preset trained on
 * top of them, and the decision rule tuned on the validation cells.  Formulas: the man page, and
 * lib/linear/cca.c, cis.c, fit.c.  The stream is read to its END before anything is fitted.
 * Memory: 8 bytes a stored entry, 4 a row of the schedule, and what -v prints.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "cli/trainer.h"

static struct {
    int preset;
    int64_t k, q;
    double lsi_scale, ridge;
    struct cm_trainer_cis cis;
    bool no_cis;
    int links;
    int64_t links_window, links_folds, links_hidden, links_steps;
    double links_lr;
    int loss, negatives, schedule;
    int64_t hidden, warmup, valid_every, patience;
    double dropout_in, dropout, first, margin, scale, scale_max, lr, lr_linear, lr_scale, lr_cross,
        decay, b1, b2, average;
    struct cm_list tokens;
    bool cross;
    int64_t cross_heads, mined, top;
    double cross_ff, cross_dropout, alpha, cross_margin;
    int cross_loss, cross_negatives, gradient;
    const char *init;
} o;

static struct cm_trainer t = {.show_best = true};

enum { LINKS_AUTO, LINKS_NO, LINKS_YES };

/* Numbers and words without a default here take the preset's; their key in the model is hp.NAME
 * with dots for dashes. */
static const struct cm_opt options[] = {
    {"preset", 'p', CM_O_CHOICE, &o.preset, "best", 0, 0, CM_PRESETS, "the model"},
    {"k", 'k', CM_O_INT, &o.k, "50", 1, 10000, "N", "singular vectors a modality"},
    {"q", 0, CM_O_INT, &o.q, "48", 1, 10000, "N", "width of the embedding, at most k"},
    {"lsi-scale", 0, CM_O_REAL, &o.lsi_scale, NULL, 0, 2, "X",
     "features are divided by their standard deviation to this power before the SVD"},
    {"ridge", 0, CM_O_REAL, &o.ridge, "0.03", 0, 1e6, "X",
     "ridge of the CCA, relative to the mean variance of the components"},
    {"no-cis", 0, CM_O_FLAG, &o.no_cis, NULL, 0, 0, NULL, "leave out the peak-gene term"},
    CM_TRAINER_CIS(o.cis),

    {"links", 0, CM_O_CHOICE, &o.links, "auto", 0, 0, "auto|no|yes",
     "learn the weights of peak-gene pairs out of fold; auto: best and attn do"},
    {"links-window", 0, CM_O_INT, &o.links_window, "500000", 1, 1e9, "BASES",
     "largest distance of pairs that may get a weight"},
    {"links-folds", 0, CM_O_INT, &o.links_folds, "4", 2, 64, "N",
     "parts into which the training cells are cut for that"},
    {"links-hidden", 0, CM_O_INT, &o.links_hidden, "16", 1, 1024, "N",
     "width of the network that gives the weights"},
    {"links-steps", 0, CM_O_INT, &o.links_steps, "100", 0, 1e6, "N", "steps of its training"},
    {"links-lr", 0, CM_O_REAL, &o.links_lr, "0.01", 0, 100, "X", "its learning rate"},

    {"mlp-hidden", 0, CM_O_INT, &o.hidden, NULL, 1, 100000, "N", "width of the hidden layer"},
    {"mlp-dropout-in", 0, CM_O_REAL, &o.dropout_in, NULL, 0, 0.99, "RATE",
     "dropout of the components"},
    {"mlp-dropout", 0, CM_O_REAL, &o.dropout, NULL, 0, 0.99, "RATE", "dropout of the hidden layer"},
    {"mlp-init", 0, CM_O_REAL, &o.first, NULL, 0, 100, "X",
     "size of the first correction: second layer N(0, (X/sqrt(hidden))^2)"},
    {"tokens", 0, CM_O_LIST, &o.tokens, NULL, 0, 0, "KEY=VALUE",
     "an option of the attention network, as the manual lists them; or SLOT.KEY=VALUE"},
    {"cross", 0, CM_O_FLAG, &o.cross, NULL, 0, 0, NULL,
     "attn: with the cross-attention module; paper and authors have it"},
    {"cross-heads", 0, CM_O_INT, &o.cross_heads, NULL, 1, 256, "N", "its attention heads"},
    {"cross-ff", 0, CM_O_REAL, &o.cross_ff, NULL, 0.01, 64, "X",
     "width of its feed-forward, in units of a token's"},
    {"cross-dropout", 0, CM_O_REAL, &o.cross_dropout, NULL, 0, 0.99, "RATE", "its dropout"},
    {"cross-alpha", 0, CM_O_REAL, &o.alpha, NULL, 0, 1e6, "X", "S = S0 + X S1"},
    {"cross-mined", 0, CM_O_INT, &o.mined, NULL, 1, 65535, "N",
     "candidates of a cell and direction in training, the best by S0"},
    {"cross-loss", 0, CM_O_CHOICE, &o.cross_loss, NULL, 0, 0, "triplet|listwise", "the loss of S"},
    {"cross-negatives", 0, CM_O_CHOICE, &o.cross_negatives, NULL, 0, 0,
     "hardest|semihard|random-semihard", "which of the mined a triplet takes"},
    {"cross-margin", 0, CM_O_REAL, &o.cross_margin, NULL, 0, 1e6, "X", "margin of these triplets"},
    {"cross-gradient", 0, CM_O_CHOICE, &o.gradient, NULL, 0, 0, "all|tokens|module",
     "what the loss of S trains besides the module: tokens and S0, tokens, nothing"},
    {"cross-top", 0, CM_O_INT, &o.top, NULL, 1, 1e9, "K",
     "candidates that are scored in validation and by xattn-score"},
    {"loss", 0, CM_O_CHOICE, &o.loss, NULL, 0, 0, "nce|triplet|none",
     "symmetric InfoNCE, the paper's triplet loss, or none but that of S"},
    {"negatives", 0, CM_O_CHOICE, &o.negatives, NULL, 0, 0, "hardest|semihard|random-semihard",
     "which negative of the mini-batch a triplet takes"},
    {"margin", 0, CM_O_REAL, &o.margin, NULL, 0, 100, "X", "margin of a triplet"},
    {"scale", 0, CM_O_REAL, &o.scale, NULL, 1e-3, 1e4, "X",
     "first factor of the similarities in InfoNCE"},
    {"scale-max", 0, CM_O_REAL, &o.scale_max, NULL, 1e-3, 1e4, "X", "its largest value"},
    {"lr", 0, CM_O_REAL, &o.lr, NULL, 0, 1e30, "X", "learning rate of the encoders"},
    {"lr-linear", 0, CM_O_REAL, &o.lr_linear, NULL, 0, 1e30, "X",
     "learning rate of the linear start; 0: frozen"},
    {"lr-scale", 0, CM_O_REAL, &o.lr_scale, NULL, 0, 1e30, "X",
     "learning rate of the factor's logarithm"},
    {"lr-cross", 0, CM_O_REAL, &o.lr_cross, NULL, 0, 1e30, "X",
     "learning rate of the cross-attention module; 0: frozen (default: as --lr)"},
    {"weight-decay", 0, CM_O_REAL, &o.decay, NULL, 0, 100, "X", "of the encoders, decoupled"},
    {"beta1", 0, CM_O_REAL, &o.b1, NULL, 0, 0.9999999, "X", "of AdamW"},
    {"beta2", 0, CM_O_REAL, &o.b2, NULL, 0, 0.9999999, "X", "of AdamW"},
    CM_TRAINER_WARMUP(o.warmup),
    {"schedule", 0, CM_O_CHOICE, &o.schedule, NULL, 0, 0, "constant|cosine",
     "the learning rate afterwards; cosine falls to 0"},
    CM_TRAINER_AVERAGE(o.average),
    CM_TRAINER_VALID(o.valid_every, NULL, o.patience, NULL),

    {"init", 0, CM_O_INPUT, &o.init, NULL, 0, 0, "MODEL.cms",
     "begin from this model: its linear part stays, its weights are the first ones"},
    CM_TRAINER_LOG(t, "write what every step did (linear: how long it took)"),
    CM_TRAINER_STATE(t),
    CM_TRAINER_MEMORY(t),
    {0}};

static const struct cm_tool tool = {
    "xattn-train", "[PAIRS.cms]", "train a model that matches RNA and ATAC cells", options, 0, 1,
    CM_TOOL_SEED};

/* ===== options to hp.*, and back ========================================================== */

static bool same(const char *a, const char *b)
{
    char *end_a, *end_b;
    double x = strtod(a, &end_a), y = strtod(b, &end_b);
    bool numbers = *a && *b && !*end_a && !*end_b;
    return numbers ? fabs(x - y) <= 1e-12 * fabs(x) : strcmp(a, b) == 0;
}

/* --tokens [SLOT.]KEY=VALUE under hp.tokens.[SLOT.]KEY; KEY alone goes over what the preset says of
 * single slots (in `hp`), too. */
static void put_tokens(struct cm_kv *kv, const struct cm_kv *hp)
{
    char key[64];
    for (size_t i = 0; i < o.tokens.n; i++) {
        const char *text = o.tokens.v[i], *value = strchr(text, '='), *dot = strchr(text, '.');
        if (!value || value == text || value - text > 40)
            cm_usage_error("--tokens %s: expected KEY=VALUE", text);
        const char *name = dot && dot < value ? dot + 1 : text;
        snprintf(key, sizeof key, "hp.tokens.%.*s", (int)(value - name), name);
        if (!cm_kv_get(hp, key))
            cm_usage_error("--tokens %.*s means nothing with this preset", (int)(value - text),
                           text);
        snprintf(key, sizeof key, "hp.tokens.%.*s", (int)(value - text), text);
        cm_kv_set(kv, key, value + 1);
        for (size_t k = 0; name == text && k < hp->key.n; k++) {
            const char *other = cm_strs_get(&hp->key, k), *tail = strrchr(other, '.');
            if (strncmp(other, "hp.tokens.", 10) == 0 && tail > other + 9 &&
                strlen(tail + 1) == (size_t)(value - text) &&
                strncmp(tail + 1, text, (size_t)(value - text)) == 0)
                cm_kv_set(kv, other, value + 1);
        }
    }
}

/* Slots that --tokens names must be there. */
static void check_slots(const struct cm_head *head)
{
    char name[64];
    for (size_t i = 0; i < o.tokens.n; i++) {
        const char *text = o.tokens.v[i], *dot = strchr(text, '.');
        if (!dot || dot > strchr(text, '='))
            continue;
        snprintf(name, sizeof name, "%.*s", (int)(dot - text), text);
        if (cm_head_find_slot(head, name) < 0)
            cm_usage_error("--tokens %s: the pairs have the slots %s and %s", text,
                           head->slot[0].name, head->slot[1].name);
    }
}

static bool is_key(const struct cm_kv *hp, const char *key, const char *value)
{
    const char *v = cm_kv_get(hp, key);
    return v && strcmp(v, value) == 0;
}

static bool learns(const struct cm_kv *hp)
{
    static const char *const rates[] = {"hp.lr", "hp.lr.linear", "hp.lr.cross"};
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++)
        if (cm_kv_get(hp, rates[i]) && !is_key(hp, rates[i], "0"))
            return true;
    return false;
}

/* Is it an option of LSI and CCA? */
static bool of_linear(const struct cm_opt *opt)
{
    static const char *const names[] = {"k", "q", "lsi-scale", "ridge"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(opt->name, names[i]) == 0)
            return true;
    return false;
}

/* Options on the command line go over the preset's. */
static void take_given(struct cm_kv *hp)
{
    char key[64];
    struct cm_kv scratch = {0};
    for (const struct cm_opt *opt = options; opt->name; opt++) {
        if (opt->def || of_linear(opt) || !cm_given(opt->name) ||
            !cm_trainer_put(&scratch, opt, cm_trainer_key(opt, key, sizeof key)))
            continue;
        if (!cm_kv_get(hp, key))
            cm_usage_error("--%s means nothing with this preset", opt->name);
        cm_kv_set(hp, key, cm_kv_get(&scratch, key));
    }
    cm_kv_free(&scratch);
    put_tokens(&scratch, hp);
    for (size_t i = 0; i < scratch.key.n; i++)
        cm_kv_set(hp, cm_strs_get(&scratch.key, i), cm_strs_get(&scratch.value, i));
    cm_kv_free(&scratch);
    if (o.preset == CM_PRESET_LINEAR)
        return;

    /* What follows from another option. */
    if (cm_kv_get(hp, "hp.lr.cross") && cm_given("lr") && !cm_given("lr-cross"))
        cm_kv_set(hp, "hp.lr.cross", cm_kv_get(hp, "hp.lr"));
    if (is_key(hp, "hp.loss", "none")) { /* the one loss there is is that of S */
        if (!cm_kv_get(hp, "hp.cross"))
            cm_usage_error("--loss none needs --cross");
        if (cm_given("margin") && !cm_given("cross-margin"))
            cm_kv_set(hp, "hp.cross.margin", cm_kv_get(hp, "hp.margin"));
        if (cm_given("negatives") && !cm_given("cross-negatives"))
            cm_kv_set(hp, "hp.cross.negatives", cm_kv_get(hp, "hp.negatives"));
    }
    if (!learns(hp))
        cm_usage_error("--lr 0: nothing would be learnt");
}

/* Without a linear part its options mean nothing. */
static void check_linear(const struct cm_kv *hp)
{
    const char *residual = cm_kv_get(hp, "hp.residual");
    bool linear = cm_hp_linear(hp), cis = !residual || strcmp(residual, "0") != 0;
    for (const struct cm_opt *opt = options; opt->name; opt++) {
        bool of_cis = strncmp(opt->name, "cis-", 4) == 0 || strcmp(opt->name, "no-cis") == 0;
        if (((of_cis && !cis) || (of_linear(opt) && !linear)) && cm_given(opt->name))
            cm_usage_error("--%s means nothing with this preset", opt->name);
    }
}

/* A model that we begin from has decided some options; one that says otherwise is a mistake. */
static void check_given(const struct cm_kv *kv, const char *path, bool linear_only)
{
    char key[64], seed[24];
    struct cm_kv given = {0};
    for (const struct cm_opt *opt = options; opt->name; opt++)
        if (cm_given(opt->name) && (opt->def || of_linear(opt) || !linear_only) &&
            strcmp(opt->name, "links") != 0 && !(linear_only && strcmp(opt->name, "preset") == 0))
            cm_trainer_put(&given, opt, cm_trainer_key(opt, key, sizeof key));
    if (!linear_only)
        put_tokens(&given, kv);
    if (o.cross && !linear_only)
        cm_kv_set(&given, "hp.cross", "1");
    if (o.no_cis)
        cm_kv_set(&given, "hp.cis", "0");
    if (o.links != LINKS_AUTO)
        cm_kv_seti(&given, "hp.links", o.links == LINKS_YES);
    if (cm_given("seed") && !linear_only) {
        snprintf(seed, sizeof seed, "%lld", (long long)cm_seed());
        cm_kv_set(&given, "hp.seed", seed);
    }
    for (size_t i = 0; i < given.key.n; i++) {
        const char *name = cm_strs_get(&given.key, i), *want = cm_strs_get(&given.value, i);
        const char *have = cm_kv_get(kv, name);
        if (!have || !same(have, want))
            cm_usage_error("%s is %s in %s, not %s as asked for", name, have ? have : "absent",
                           path, want);
    }
    cm_kv_free(&given);
}

/* ===== what we begin from ================================================================= */

static void begin_from(struct cm_train_options *how)
{
    const char *path = t.resume ? t.resume : o.init;
    cm_trainer_begin(&t, path, t.resume);
    const struct cm_kv *kv = &t.start.head.kv;
    how->start = &t.start;
    how->start_path = path;
    cm_try(cm_fail_in(cm_train_options_read(how, kv), path));
    check_given(kv, path, !t.resume);
    if (!t.resume) {
        how->seed = cm_seed();
        return;
    }
    how->state = &t.state;
    const char *preset = cm_kv_get(kv, "hp.preset");
    int at = preset ? cm_trainer_word(CM_PRESETS, preset) : -1;
    how->preset = at < 0 ? CM_PRESET_AUTHORS : (enum cm_preset)at;
}

/* ===== what is said ======================================================================= */

static void report(void *unused, const struct cm_fit_report *r)
{
    const double value[] = {r->loss, r->lr, r->factor, r->score, r->cross, r->sd};
    (void)unused;
    cm_trainer_told(&t, r, value, sizeof value / sizeof *value);
}

static void say_links(void)
{
    if (cm_kv_get(&t.model.head.kv, "links.note"))
        cm_info("the weights of peak-gene pairs stay as they were: %s",
                cm_trainer_result(&t, "links.note"));
    else if (cm_kv_get(&t.model.head.kv, "links.step"))
        cm_info("weights of peak-gene pairs: step %s is kept; loss of the validation cells %s, at "
                "first %s",
                cm_trainer_result(&t, "links.step"), cm_trainer_result(&t, "links.loss.best"),
                cm_trainer_result(&t, "links.loss.first"));
}

/* ===== main =============================================================================== */

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    if (o.init && t.resume)
        cm_usage_error("--init and --resume are two ways to begin");
    struct cm_train_options how = {.preset = (enum cm_preset)o.preset,
                                   .k = (size_t)o.k,
                                   .q = (size_t)o.q,
                                   .ridge = o.ridge,
                                   .cis = !o.no_cis,
                                   .cis_options = cm_trainer_cis(&o.cis),
                                   .link_options = CM_LINK_DEFAULT,
                                   .seed = cm_seed(),
                                   .hp = &t.hp,
                                   .keep = cm_trainer_keep(&t),
                                   .data_path = in[0]};
    how.links = o.links == LINKS_AUTO ? cm_preset_links(how.preset) : o.links == LINKS_YES;
    how.link_options.window = (double)o.links_window;
    how.link_options.folds = (size_t)o.links_folds;
    how.link_options.hidden = (size_t)o.links_hidden;
    how.link_options.steps = (size_t)o.links_steps;
    how.link_options.lr = o.links_lr;
    struct cm_train_voice voice = cm_trainer_voice(&t, report);
    cm_preset_hp(how.preset, o.cross, &t.hp);
    if (o.cross && !t.resume && !cm_kv_get(&t.hp, "hp.cross"))
        cm_usage_error("--cross means nothing with this preset");
    if (!t.resume) {
        take_given(&t.hp);
        check_linear(&t.hp);
    }
    if (t.resume || o.init)
        begin_from(&how);
    bool linear = how.preset == CM_PRESET_LINEAR;
    if (!linear)
        t.columns = "step\tepoch\tloss\tlr\tscale\tvalidation\tcross\tsd";
    struct cm_reader *r = cm_in_open(in[0]);
    cm_require_kind(r, CM_PAIRS);
    how.data_path = cm_reader_path(r);
    if (!how.start)
        how.scale =
            cm_given("lsi-scale") ? o.lsi_scale : cm_preset_scale(how.preset, cm_reader_head(r));
    check_slots(cm_reader_head(r));
    cm_trainer_read(&t, r, false);
    cm_trainer_plan(&t, &how, "the linear part");
    if (!linear)
        cm_signals_polite();
    cm_try(cm_train(&t.model, &t.data, &how, &voice));
    cm_trainer_sum(&t, CM_SUM_CIS);
    say_links();
    cm_trainer_stopped(&t);
    return cm_trainer_end(&t);
}
