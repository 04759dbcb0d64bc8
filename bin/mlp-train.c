/* mlp-train - rivals: perceptrons on LSI, trained by the symmetric cross-entropy of cosines.
 *
 * In: kind pairs (from batch), with mini-batches.  Out: kind model: LSI of both modalities, a
 * perceptron on the components of each, and the decision rule tuned on the validation cells.
 * Presets are the second of the competition, MatchCLOT, and a small form for few cells.  Formulas:
 * the man page, lib/baselines/deep.c, fit.c.  Memory: 8 bytes a stored entry, and what -v prints.
 */
#include <string.h>

#include "cli/trainer.h"
#include "baselines/deep.h"

static struct {
    int preset, act, input;
    int64_t k, q, warmup, valid_every, patience;
    double dropout_in, scale, scale_max, lr, lr_scale, decay, average;
    struct cm_list layers;
} o;

static struct cm_trainer t = {.columns = "step\tepoch\tloss\tlr\tscale\tvalidation"};

/* Options without a default take the preset's. */
static const struct cm_opt options[] = {
    {"preset", 'p', CM_O_CHOICE, &o.preset, "small", 0, 0, CM_DEEP_PRESETS, "the model"},
    {"k", 'k', CM_O_INT, &o.k, NULL, 1, 10000, "N", "singular vectors a modality"},
    {"q", 0, CM_O_INT, &o.q, NULL, 1, 10000, "N", "width of the embedding"},
    {"layers", 0, CM_O_LIST, &o.layers, NULL, 0, 0, "SLOT=IN:N,N...:RATE,RATE...",
     "components, hidden widths and their dropout of one modality"},
    {"activation", 0, CM_O_CHOICE, &o.act, NULL, 0, 0, "elu|gelu", "of the hidden layers"},
    {"input", 0, CM_O_CHOICE, &o.input, NULL, 0, 0, "standard|zscore",
     "components by their deviations, or standardised cell by cell"},
    {"dropout-in", 0, CM_O_REAL, &o.dropout_in, NULL, 0, 0.99, "RATE", "dropout of the components"},
    {"scale", 0, CM_O_REAL, &o.scale, NULL, 1e-3, 1e4, "X", "first factor of the cosines"},
    {"scale-max", 0, CM_O_REAL, &o.scale_max, NULL, 1e-3, 1e4, "X", "its largest value"},
    {"lr", 0, CM_O_REAL, &o.lr, NULL, 0, 1e30, "X", "learning rate"},
    {"lr-scale", 0, CM_O_REAL, &o.lr_scale, NULL, 0, 1e30, "X",
     "learning rate of the factor's logarithm"},
    {"weight-decay", 0, CM_O_REAL, &o.decay, NULL, 0, 100, "X", "decoupled"},
    CM_TRAINER_WARMUP(o.warmup),
    CM_TRAINER_AVERAGE(o.average),
    CM_TRAINER_VALID(o.valid_every, NULL, o.patience, NULL),
    CM_TRAINER_LOG(t, "write what every step did"),
    CM_TRAINER_STATE(t),
    CM_TRAINER_MEMORY(t),
    {0}};

static const struct cm_tool tool = {
    "mlp-train", "[PAIRS.cms]", "train perceptrons that match cells", options, 0, 1, CM_TOOL_SEED};

/* ===== options to hp.* ==================================================================== */

static void put_layers(const struct cm_head *head)
{
    static const char *const part[] = {"in", "hidden", "dropout"};
    for (size_t i = 0; i < o.layers.n; i++) {
        char slot[41], key[80], value[200];
        const char *text = o.layers.v[i], *at = strchr(text, '=');
        if (!at || at == text || at - text > 40)
            cm_usage_error("--layers %s: expected SLOT=IN:WIDTHS:RATES", text);
        snprintf(slot, sizeof slot, "%.*s", (int)(at - text), text);
        int side = cm_head_find_slot(head, slot);
        if (side < 0)
            cm_usage_error("--layers %s: the pairs have the slots %s and %s", text,
                           head->slot[0].name, head->slot[1].name);
        for (size_t k = 0; k < 3; k++) {
            size_t length = strcspn(at + 1, ":");
            if (length == 0 || length >= sizeof value || (at[1 + length] == ':') != (k < 2))
                cm_usage_error("--layers %s: expected SLOT=IN:WIDTHS:RATES", text);
            snprintf(value, sizeof value, "%.*s", (int)length, at + 1);
            snprintf(key, sizeof key, "hp.deep.%.40s.%s", head->slot[side].name, part[k]);
            cm_kv_set(&t.hp, key, value);
            at += 1 + length;
        }
    }
}

/* Options on the command line go over the preset's. */
static void take_given(const struct cm_head *head)
{
    static const char *const own[][2] = {{"q", "hp.deep.q"},
                                         {"dropout-in", "hp.deep.dropout.in"},
                                         {"activation", "hp.deep.act"},
                                         {"input", "hp.deep.input"}};
    for (const struct cm_opt *opt = options; opt->name; opt++) {
        char text[64];
        if (!cm_given(opt->name) || cm_trainer_word("preset|k", opt->name) >= 0)
            continue; /* they are no keys of hp */
        const char *key = cm_trainer_key(opt, text, sizeof text);
        for (size_t i = 0; i < sizeof own / sizeof *own; i++)
            if (strcmp(opt->name, own[i][0]) == 0)
                key = own[i][1];
        cm_trainer_put(&t.hp, opt, key);
    }
    put_layers(head);
}

/* The options of the checkpoint, and no others. */
static void take_resumed(size_t *k, uint64_t *seed)
{
    for (const struct cm_opt *opt = options; opt->name; opt++)
        if (!cm_trainer_of_run(opt->name) && cm_given(opt->name))
            cm_usage_error("--%s is settled by the checkpoint %s", opt->name, t.resume);
    cm_trainer_begin(&t, t.resume, true);
    const struct cm_kv *kv = &t.start.head.kv;
    const char *encoder = cm_kv_get(kv, "hp.encoder");
    int64_t number;
    if (!encoder || strcmp(encoder, "deep") != 0)
        cm_die(3, "%s: a checkpoint of another trainer", t.resume);
    cm_try(cm_fail_in(cm_kv_i64(kv, "hp.seed", &number), t.resume));
    if (cm_given("seed") && cm_seed() != (uint64_t)number)
        cm_usage_error("--seed is settled by the checkpoint %s", t.resume);
    *seed = (uint64_t)number;
    *k = t.start.linear.k;
}

/* ===== what the library tells us ========================================================== */

static int check(uint64_t bytes) { return cm_trainer_check(&t, bytes); }

static void report(void *unused, const struct cm_fit_report *r)
{
    const double value[] = {r->loss, r->lr, r->factor, r->score};
    (void)unused;
    cm_trainer_told(&t, r, value, sizeof value / sizeof *value);
}

/* The linear part is fitted anew; the same cells give the same bits. */
static int check_cells(const struct cm_model *m)
{
    for (size_t s = 0; s < 2; s++) {
        const struct cm_linear_side *a = &m->linear.side[s], *b = &t.start.linear.side[s];
        if (m->linear.k != t.start.linear.k || a->d != b->d ||
            memcmp(a->mean, b->mean, a->d * sizeof *a->mean) != 0 ||
            memcmp(a->v, b->v, a->d * m->linear.k * sizeof *a->v) != 0)
            return cm_fail(CM_EINPUT, "other cells than those of the training that %s stopped",
                           t.resume);
    }
    return 0;
}

static int train(void *unused, struct cm_model *m, const struct cm_train_data *d, float *const z[2])
{
    struct cm_train_voice voice = cm_trainer_voice(&t, report);
    (void)unused;
    int code = t.resume ? check_cells(m) : 0;
    if (!code)
        code = cm_deep_fit(m, d, z, &t.hp, &t.state, cm_trainer_keep(&t), check, &voice.fit);
    cm_trainer_step(&t, "network");
    return code;
}

/* ===== main =============================================================================== */

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    uint64_t seed = cm_seed();
    size_t k = 0;
    if (t.resume)
        take_resumed(&k, &seed);
    struct cm_reader *r = cm_in_open(in[0]);
    cm_require_kind(r, CM_PAIRS);
    const struct cm_head *head = cm_reader_head(r);
    if (head->nslots != 2)
        cm_die(3, "%s: expected two slots, found %zu", cm_reader_path(r), head->nslots);
    const char *slot[2] = {head->slot[0].name, head->slot[1].name};
    if (!t.resume) {
        cm_deep_preset_hp((enum cm_deep_preset)o.preset, slot, &t.hp, &k);
        take_given(head);
        if (cm_given("k"))
            k = (size_t)o.k;
    }
    struct cm_train_options how = {.preset = CM_PRESET_LINEAR,
                                   .k = k,
                                   .q = k, /* the CCA is not used */
                                   .ridge = .03,
                                   .seed = seed,
                                   .middle = train,
                                   .data_path = cm_reader_path(r)};
    struct cm_train_voice voice = cm_trainer_voice(&t, NULL);
    cm_trainer_read(&t, r, false);
    cm_trainer_plan(&t, &how, "the components");
    /* Fewer cells or columns than a preset's components are no mistake. */
    size_t rows = t.data.part[0].x[0].rows;
    for (size_t s = 0; s < 2; s++)
        if (!cm_given("k") && how.k > t.data.part[0].x[s].cols)
            how.q = how.k = t.data.part[0].x[s].cols;
    if (!cm_given("k") && how.k > rows)
        how.q = how.k = rows;
    cm_signals_polite();
    cm_try(cm_train(&t.model, &t.data, &how, &voice));
    cm_trainer_sum(&t, CM_SUM_EPOCH);
    cm_trainer_stopped(&t);
    return cm_trainer_end(&t);
}
