/* mlp-train - rivals: perceptrons on LSI, trained by the symmetric cross-entropy of cosines.
 *
 * In: kind pairs (from batch), with mini-batches.  Out: kind model: LSI of both modalities, a
 * perceptron on the components of each, and the decision rule tuned on the validation cells.
 * Presets are the second of the competition, MatchCLOT, and a small form for few cells.  Formulas:
 * the man page, lib/model/deep.c, fit.c.  Memory: 8 bytes a stored entry, and what -v prints.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cli/cli.h"
#include "model/deep.h"
#include "model/train.h"

static struct {
    int preset, act, input;
    int64_t k, q, warmup, valid_every, patience, every;
    double dropout_in, scale, scale_max, lr, lr_scale, decay, average;
    struct cm_list layers;
    const char *log, *checkpoint, *resume;
    uint64_t memory;
} o;

/* Options without a default take the preset's; `key` is where they stand in the model. */
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
    {"warmup", 0, CM_O_INT, &o.warmup, NULL, 0, 1e9, "STEPS",
     "steps over which the learning rate rises"},
    {"average", 0, CM_O_REAL, &o.average, NULL, 0, 0.9999999, "X",
     "decay of the averaged weights; 0: the last ones"},
    {"valid-every", 0, CM_O_INT, &o.valid_every, NULL, 0, 1e9, "EPOCHS",
     "epochs between validations; 0: none, the last weights are kept"},
    {"patience", 0, CM_O_INT, &o.patience, NULL, 0, 1e9, "N",
     "end after so many validations without a better score; 0: never"},
    {"log", 0, CM_O_STR, &o.log, NULL, 0, 0, "FILE.tsv", "write what every step did"},
    {"checkpoint", 0, CM_O_STR, &o.checkpoint, NULL, 0, 0, "FILE.cms",
     "save the state of the training there, now and then and when stopped"},
    {"every", 0, CM_O_INT, &o.every, "1000", 1, 1e15, "STEPS", "steps between two checkpoints"},
    {"resume", 0, CM_O_STR, &o.resume, NULL, 0, 0, "FILE.cms",
     "go on where this checkpoint was written, with its options"},
    {"max-memory", 0, CM_O_SIZE, &o.memory, NULL, 1, 1e18, "SIZE",
     "refuse to train beyond this (K, M, G)"},
    {0}};

static const struct cm_tool tool = {
    "mlp-train", "[PAIRS.cms]", "train perceptrons that match cells", options, 0, 1, CM_TOOL_SEED};

static FILE *log_file;
static struct timespec last;
static uint64_t cells_bytes;
static struct cm_kv hp;
static struct cm_model start; /* what is resumed */
static struct cm_fit_state state;

/* ===== options to hp.* ==================================================================== */

static bool is_free(const char *name)
{
    static const char *const names[] = {"log", "checkpoint", "every", "resume", "max-memory"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strcmp(name, names[i]) == 0)
            return true;
    return false;
}

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
            cm_kv_set(&hp, key, value);
            at += 1 + length;
        }
    }
}

static void take_given(const struct cm_head *head)
{
    static const char *const acts[] = {"elu", "gelu"}, *const inputs[] = {"standard", "zscore"};
    const struct {
        const char *option, *key;
        const double *real;
        const int64_t *whole;
    } all[] = {{"q", "hp.deep.q", NULL, &o.q},
               {"dropout-in", "hp.deep.dropout.in", &o.dropout_in, NULL},
               {"scale", "hp.scale", &o.scale, NULL},
               {"scale-max", "hp.scale.max", &o.scale_max, NULL},
               {"lr", "hp.lr", &o.lr, NULL},
               {"lr-scale", "hp.lr.scale", &o.lr_scale, NULL},
               {"weight-decay", "hp.weight.decay", &o.decay, NULL},
               {"warmup", "hp.warmup", NULL, &o.warmup},
               {"average", "hp.average", &o.average, NULL},
               {"valid-every", "hp.valid.every", NULL, &o.valid_every},
               {"patience", "hp.patience", NULL, &o.patience}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (cm_given(all[i].option) && all[i].real)
            cm_kv_setf(&hp, all[i].key, *all[i].real);
        else if (cm_given(all[i].option))
            cm_kv_seti(&hp, all[i].key, *all[i].whole);
    if (cm_given("activation"))
        cm_kv_set(&hp, "hp.deep.act", acts[o.act]);
    if (cm_given("input"))
        cm_kv_set(&hp, "hp.deep.input", inputs[o.input]);
    put_layers(head);
}

/* The options of the checkpoint, and no others. */
static void take_resumed(size_t *k, uint64_t *seed)
{
    for (const struct cm_opt *opt = options; opt->name; opt++)
        if (!is_free(opt->name) && cm_given(opt->name))
            cm_usage_error("--%s is settled by the checkpoint %s", opt->name, o.resume);
    struct cm_reader *r;
    cm_try(cm_reader_open(&r, o.resume)); /* not cm_in_open: it may be written over */
    cm_require_kind(r, CM_MODEL);
    cm_try(cm_checkpoint_read(&start, &state, r));
    cm_reader_close(r);
    const struct cm_kv *kv = &start.head.kv;
    const char *encoder = cm_kv_get(kv, "hp.encoder");
    int64_t number;
    if (!encoder || strcmp(encoder, "deep") != 0)
        cm_die(3, "%s: a checkpoint of another trainer", o.resume);
    cm_try(cm_fail_in(cm_kv_i64(kv, "hp.seed", &number), o.resume));
    if (cm_given("seed") && cm_seed() != (uint64_t)number)
        cm_usage_error("--seed is settled by the checkpoint %s", o.resume);
    *seed = (uint64_t)number;
    *k = start.linear.k;
    for (size_t i = 0; i < kv->key.n; i++)
        if (strncmp(cm_strs_get(&kv->key, i), "hp.", 3) == 0)
            cm_kv_set(&hp, cm_strs_get(&kv->key, i), cm_strs_get(&kv->value, i));
}

/* ===== what the library tells us ========================================================== */

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

static void report(void *unused, const struct cm_fit_report *r)
{
    char unit[40];
    (void)unused;
    snprintf(unit, sizeof unit, "cells, loss %.3f", r->loss);
    cm_progress(r->cells, r->cells_total, unit);
    if (!isnan(r->score))
        cm_info("epoch %u of %u: loss %.4f, validation score %.4f (best %.4f)", r->epoch, r->epochs,
                r->loss, r->score, r->best);
    if (!log_file)
        return;
    fprintf(log_file, "%llu\t%u\t%.9g\t%.9g\t%.9g\t", (unsigned long long)r->step, r->epoch,
            r->loss, r->lr, r->factor);
    fprintf(log_file, isnan(r->score) ? "\n" : "%.9g\n", r->score);
}

static int save(void *unused, const struct cm_model *m, const struct cm_fit_state *s)
{
    struct cm_head head = {0};
    (void)unused;
    if (!o.checkpoint)
        return 0;
    cm_checkpoint_head(m, s, &head);
    struct cm_writer *w = cm_out_open_file(o.checkpoint, &head);
    int code = cm_checkpoint_write(m, s, w);
    if (!code)
        cm_out_now(w);
    cm_head_free(&head);
    cm_info("step %llu: state saved in %s", (unsigned long long)s->step, o.checkpoint);
    return code;
}

static int check_memory(uint64_t bytes)
{
    double all = (double)(bytes + cells_bytes) / 1048576;
    cm_info("memory: at most %.1f MiB with the cells while training", all);
    if (o.memory && bytes + cells_bytes > o.memory)
        return cm_fail(CM_ESYSTEM,
                       "training would take %.1f MiB, --max-memory allows %.1f; smaller "
                       "mini-batches (batch --size) take less",
                       all, (double)o.memory / 1048576);
    return 0;
}

/* The linear part is fitted anew; the same cells give the same bits. */
static int check_cells(const struct cm_model *m)
{
    for (size_t s = 0; s < 2; s++) {
        const struct cm_linear_side *a = &m->linear.side[s], *b = &start.linear.side[s];
        if (m->linear.k != start.linear.k || a->d != b->d ||
            memcmp(a->mean, b->mean, a->d * sizeof *a->mean) != 0 ||
            memcmp(a->v, b->v, a->d * m->linear.k * sizeof *a->v) != 0)
            return cm_fail(CM_EINPUT, "other cells than those of the training that %s stopped",
                           o.resume);
    }
    return 0;
}

static int train(void *unused, struct cm_model *m, const struct cm_train_data *d, float *const z[2])
{
    struct cm_fit_voice voice = {report, warn, stop, save, o.checkpoint ? (uint64_t)o.every : 0,
                                 NULL};
    uint64_t keep = o.memory && o.memory / 4 < CM_FIT_KEEP ? o.memory / 4 : CM_FIT_KEEP;
    (void)unused;
    int code = o.resume ? check_cells(m) : 0;
    if (!code)
        code = cm_deep_fit(m, d, z, &hp, &state, keep, check_memory, &voice);
    step(NULL, "network");
    return code;
}

/* ===== main =============================================================================== */

static const char *key(const struct cm_model *m, const char *name)
{
    const char *v = cm_kv_get(&m->head.kv, name);
    return v ? v : "-";
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    uint64_t seed = cm_seed();
    size_t k = 0;
    if (o.resume)
        take_resumed(&k, &seed);
    struct cm_reader *r = cm_in_open(in[0]);
    cm_require_kind(r, CM_PAIRS);
    const struct cm_head *head = cm_reader_head(r);
    if (head->nslots != 2)
        cm_die(3, "%s: expected two slots, found %zu", cm_reader_path(r), head->nslots);
    const char *slot[2] = {head->slot[0].name, head->slot[1].name};
    if (!o.resume) {
        cm_deep_preset_hp((enum cm_deep_preset)o.preset, slot, &hp, &k);
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
    struct cm_train_voice voice = {.step = step, .warn = warn};
    clock_gettime(CLOCK_MONOTONIC, &last);
    if (o.log && !(log_file = fopen(cm_out_path(o.log), "w")))
        cm_die(4, "cannot create '%s'", o.log);
    if (log_file)
        fputs("step\tepoch\tloss\tlr\tscale\tvalidation\n", log_file);

    struct cm_train_data data;
    cm_try(cm_train_data_load(r, &data, progress));
    step(NULL, "reading");
    cells_bytes = cm_train_data_bytes(&data);
    cm_info("memory: %.1f MiB of cells, and at most %.1f MiB to fit the components",
            (double)cells_bytes / 1048576, (double)cm_train_bytes(&data, &how) / 1048576);
    /* Fewer cells or columns than a preset's components are no mistake. */
    size_t rows = data.part[0].x[0].rows;
    for (size_t s = 0; s < 2; s++)
        if (!cm_given("k") && how.k > data.part[0].x[s].cols)
            how.q = how.k = data.part[0].x[s].cols;
    if (!cm_given("k") && how.k > rows)
        how.q = how.k = rows;
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
        cm_warn("stopped by a signal after step %s; the model is what was best so far%s%s",
                key(&model, "train.steps"), o.checkpoint ? "; go on with --resume " : "",
                o.checkpoint ? o.checkpoint : "");
    struct cm_writer *w = cm_out_open(&model.head);
    cm_try(cm_model_write(&model, w));
    if (log_file && fclose(log_file))
        cm_die(4, "cannot write '%s'", o.log);
    cm_fit_state_free(&state);
    cm_model_free(&start);
    cm_model_free(&model);
    cm_kv_free(&hp);
    cm_train_data_free(&data);
    return cm_finish();
}
