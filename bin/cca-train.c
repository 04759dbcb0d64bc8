/* cca-train - the linear rivals: CCA, ridge regression or Procrustes on LSI, a closed form.
 *
 * In: kind pairs (from batch; the data pass is enough), both slots in the state that the model is
 * to expect ever after.  Out: kind model, as xattn-train writes it: LSI of both modalities, the
 * projections of the method, on request the peak-gene term, and the decision rule tuned on the
 * validation cells.  Formulas: the man page, lib/model/linear.c and rivals.c.
 * Memory: 8 bytes a stored entry, and what -v prints.
 */
#include <stdio.h>
#include <time.h>

#include "cli/cli.h"
#include "model/rivals.h"
#include "model/train.h"

static struct {
    int method;
    int64_t k, q, window, components;
    double ridge, cis_ridge, clip, threshold, sd;
    bool cis, no_cis;
    const char *log;
    uint64_t memory;
} o;

static const struct cm_opt options[] = {
    {"method", 'm', CM_O_CHOICE, &o.method, "cca", 0, 0, CM_PROJECT_METHODS,
     "how the components of the two modalities are brought together"},
    {"k", 'k', CM_O_INT, &o.k, "50", 1, 10000, "N", "singular vectors a modality"},
    {"q", 0, CM_O_INT, &o.q, "48", 1, 10000, "N", "cca: width of the embedding, at most k"},
    {"ridge", 0, CM_O_REAL, &o.ridge, "0.03", 0, 1e6, "X",
     "cca, ridge: relative to the mean variance of the components"},
    {"cis", 0, CM_O_FLAG, &o.cis, NULL, 0, 0, NULL, "add the peak-gene term"},
    {"no-cis", 0, CM_O_FLAG, &o.no_cis, NULL, 0, 0, NULL, "do not (the default)"},
    {"cis-window", 0, CM_O_INT, &o.window, "100000", 1, 1e9, "BASES",
     "largest distance of a peak from a gene's start"},
    {"cis-components", 0, CM_O_INT, &o.components, "10", 1, 10000, "N",
     "components taken out before peaks and genes are correlated"},
    {"cis-ridge", 0, CM_O_REAL, &o.cis_ridge, "1e-4", 0, 1e6, "X", "ridge of that regression"},
    {"cis-clip", 0, CM_O_REAL, &o.clip, "3", 0.1, 1e6, "X",
     "largest residual of a gene, in standard deviations"},
    {"cis-threshold", 0, CM_O_REAL, &o.threshold, "2", 0, 1e6, "X",
     "soft threshold of correlations, in units of 1/sqrt(cells)"},
    {"cis-sd", 0, CM_O_REAL, &o.sd, "0.03", 1e-6, 1e6, "X",
     "standard deviation of the term over training pairs"},
    {"log", 0, CM_O_STR, &o.log, NULL, 0, 0, "FILE.tsv", "write how long every step took"},
    {"max-memory", 0, CM_O_SIZE, &o.memory, NULL, 1, 1e18, "SIZE",
     "refuse to train beyond this (K, M, G)"},
    {0}};

static const struct cm_tool tool = {
    "cca-train", "[PAIRS.cms]", "train a linear model that matches cells", options, 0,
    1,           CM_TOOL_SEED};

static FILE *log_file;
static struct timespec last;

static void progress(uint64_t done, uint64_t total) { cm_progress(done, total, "cells"); }
static void warn(void *unused, const char *text) { (void)unused, cm_warn("%s", text); }

static void step(void *unused, const char *name)
{
    struct timespec now;
    (void)unused;
    clock_gettime(CLOCK_MONOTONIC, &now);
    double seconds =
        (double)(now.tv_sec - last.tv_sec) + 1e-9 * (double)(now.tv_nsec - last.tv_nsec);
    last = now;
    cm_progress_end();
    cm_info("%s: %.2f seconds", name, seconds);
    if (log_file)
        fprintf(log_file, "%s\t%.3f\n", name, seconds);
}

static int project(void *unused, struct cm_model *m, const struct cm_train_data *d,
                   float *const z[2])
{
    static const char *const names[] = {"cca", "ridge", "procrustes"};
    const float *const both[2] = {z[0], z[1]};
    struct cm_kv *kv = &m->head.kv;
    (void)unused;
    int code = cm_linear_project(&m->linear, both, d->part[0].x[0].rows,
                                 (enum cm_projection_method)o.method, o.ridge);
    cm_kv_set(kv, "hp.preset", names[o.method]);
    cm_kv_seti(kv, "hp.q", (int64_t)m->linear.q);
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
    if (o.cis && o.no_cis)
        cm_usage_error("--cis and --no-cis contradict each other");
    if (cm_given("q") && o.method != CM_PROJECT_CCA)
        cm_usage_error("--q is for cca; the other methods keep all components");
    if (cm_given("ridge") && o.method == CM_PROJECT_PROCRUSTES)
        cm_usage_error("--ridge means nothing with procrustes");
    struct cm_train_options how = {.preset = CM_PRESET_LINEAR,
                                   .k = (size_t)o.k,
                                   .q = (size_t)o.q,
                                   .ridge = o.ridge,
                                   .cis = o.cis,
                                   .cis_options = {.window = (double)o.window,
                                                   .components = (size_t)o.components,
                                                   .ridge = o.cis_ridge,
                                                   .clip = o.clip,
                                                   .threshold = o.threshold,
                                                   .sd = o.sd},
                                   .seed = cm_seed(),
                                   .middle = project};
    if (how.q > how.k && !cm_given("q")) /* a default, so nothing to warn of */
        how.q = how.k;
    struct cm_train_voice voice = {.step = step, .warn = warn};
    struct cm_reader *r = cm_in_open(in[0]);
    cm_require_kind(r, CM_PAIRS);
    how.data_path = cm_reader_path(r);
    clock_gettime(CLOCK_MONOTONIC, &last);
    if (o.log && !(log_file = fopen(cm_out_path(o.log), "w")))
        cm_die(4, "cannot create '%s'", o.log);
    if (log_file)
        fputs("step\tseconds\n", log_file);

    struct cm_train_data data;
    cm_try(cm_train_data_load(r, &data, progress));
    step(NULL, "reading");
    uint64_t cells = cm_train_data_bytes(&data), fit = cm_train_bytes(&data, &how);
    cm_info("memory: %.1f MiB of cells, and at most %.1f MiB to fit", (double)cells / 1048576,
            (double)fit / 1048576);
    if (o.memory && cells + fit > o.memory)
        cm_die(4, "training would take %.1f MiB, --max-memory allows %.1f",
               (double)(cells + fit) / 1048576, (double)o.memory / 1048576);
    struct cm_model model;
    cm_try(cm_train(&model, &data, &how, &voice));
    cm_info("%s training cells; validation (%s cells): soft %s, dual %s, top5 %s, chance %s; rule "
            "%s, temperature %s",
            key(&model, "train.cells"), key(&model, "valid.cells"), key(&model, "valid.soft"),
            key(&model, "valid.dual"), key(&model, "valid.top5"), key(&model, "valid.chance"),
            key(&model, "rule.method"), key(&model, "rule.temperature"));
    struct cm_writer *w = cm_out_open(&model.head);
    cm_try(cm_model_write(&model, w));
    if (log_file && fclose(log_file))
        cm_die(4, "cannot write '%s'", o.log);
    cm_model_free(&model);
    cm_train_data_free(&data);
    return cm_finish();
}
