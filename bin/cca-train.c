/* cca-train - the linear rivals: CCA, ridge regression or Procrustes on LSI, a closed form.
 *
 * In: kind pairs (from batch; the data pass is enough), both slots in the state that the model is
 * to expect ever after.  Out: kind model, as xattn-train writes it: LSI of both modalities, the
 * projections of the method, on request the peak-gene term, and the decision rule tuned on the
 * validation cells.  Formulas: the man page, lib/model/linear.c and rivals.c.
 * Memory: 8 bytes a stored entry, and what -v prints.
 */
#include "cli/trainer.h"
#include "model/rivals.h"

static struct {
    int method;
    int64_t k, q;
    double lsi_scale, ridge;
    struct cm_trainer_cis cis_options;
    bool cis, no_cis;
} o;

static struct cm_trainer t;

static const struct cm_opt options[] = {
    {"method", 'm', CM_O_CHOICE, &o.method, "cca", 0, 0, CM_PROJECT_METHODS,
     "how the components of the two modalities are brought together"},
    {"k", 'k', CM_O_INT, &o.k, "50", 1, 10000, "N", "singular vectors a modality"},
    {"q", 0, CM_O_INT, &o.q, "48", 1, 10000, "N", "cca: width of the embedding, at most k"},
    {"lsi-scale", 0, CM_O_REAL, &o.lsi_scale, "0", 0, 2, "X",
     "features are divided by their standard deviation to this power before the SVD"},
    {"ridge", 0, CM_O_REAL, &o.ridge, "0.03", 0, 1e6, "X",
     "cca, ridge: relative to the mean variance of the components"},
    {"cis", 0, CM_O_FLAG, &o.cis, NULL, 0, 0, NULL, "add the peak-gene term"},
    {"no-cis", 0, CM_O_FLAG, &o.no_cis, NULL, 0, 0, NULL, "do not (the default)"},
    CM_TRAINER_CIS(o.cis_options),
    CM_TRAINER_LOG(t, "write how long every step took"),
    CM_TRAINER_MEMORY(t),
    {0}};

static const struct cm_tool tool = {
    "cca-train", "[PAIRS.cms]", "train a linear model that matches cells", options, 0,
    1,           CM_TOOL_SEED};

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
                                   .scale = o.lsi_scale,
                                   .ridge = o.ridge,
                                   .cis = o.cis,
                                   .cis_options = cm_trainer_cis(&o.cis_options),
                                   .seed = cm_seed(),
                                   .middle = project,
                                   .closed = true};
    if (how.q > how.k && !cm_given("q")) /* a default, so nothing to warn of */
        how.q = how.k;
    struct cm_train_voice voice = cm_trainer_voice(&t, NULL);
    struct cm_reader *r = cm_in_open(in[0]);
    cm_require_kind(r, CM_PAIRS);
    how.data_path = cm_reader_path(r);
    cm_trainer_read(&t, r, false);
    uint64_t all = cm_trainer_plan(&t, &how, "");
    if (t.memory && all > t.memory)
        cm_die(4, "training would take %.1f MiB, --max-memory allows %.1f", (double)all / 1048576,
               (double)t.memory / 1048576);
    cm_try(cm_train(&t.model, &t.data, &how, &voice));
    cm_trainer_sum(&t, 0);
    return cm_trainer_end(&t);
}
