/* cca-train - the linear baselines: CCA, ridge regression or Procrustes on LSI, a closed form.
 *
 * In: kind pairs (from batch; the data pass is enough), both slots in the state that inputs of
 * the model must have.  Out: kind model, as xattn-train writes it: LSI of both modalities, the
 * projections of the method, on request the peak-gene term, and the decision rule tuned on the
 * validation cells.  Formulas: the man page, lib/linear/cca.c and projections.c.
 * Memory: 8 bytes a stored entry, and what -v prints.
 */
#include "cli/trainer.h"
#include "linear/projections.h"

static struct {
    int method;
    bool links, no_links;
} o;

static struct cm_trainer t;

static const struct cm_opt own[] = {
    CM_OPT_CHOICE("method", 'm', &o.method, "cca", CM_PRESETS_CCA,
                  "how the components of the two modalities are brought together"),
    CM_TRAINER_SHOW(t),
    CM_OPT_FLAG("cis", 0, &o.links, "add the peak-gene term"),
    CM_OPT_FLAG("no-cis", 0, &o.no_links, "do not (the default)"),
    CM_OPT_END,
};
static const struct cm_opt run[] = {
    CM_TRAINER_LOG(t, "write how long every step took"),
    CM_TRAINER_MEMORY(t),
    CM_OPT_END,
};

static struct cm_tool tool = {
    "cca-train", "[PAIRS.cms]", "train a linear model that matches cells", NULL, 0,
    1,           CM_TOOL_SEED};

static int project(void *unused, struct cm_model *m, const struct cm_train_data *d,
                   const struct cm_train_sample *v, float *const z[2])
{
    const float *const both[2] = {z[0], z[1]};
    (void)unused, (void)v;
    int code = cm_linear_project(&m->linear, both, d->part[0].x[0].rows,
                                 (enum cm_projection_method)o.method, m->config.linear.ridge);
    m->config.linear.q = (int64_t)m->linear.q;
    cm_config_write_fit(&m->config, &m->head.kv);
    return code;
}

int main(int argc, char **argv)
{
    char **in = cm_trainer_start(&t, &tool, own, run, CM_BY_CCA, argc, argv);
    const char *slot[2] = {"GEX", "ATAC"};
    struct cm_config *c = &t.config;
    if (o.links && o.no_links)
        cm_usage_error("--cis and --no-cis contradict each other");
    if (cm_given("q") && o.method != CM_PROJECT_CCA)
        cm_usage_error("--q is for cca; the other methods keep all components");
    if (cm_given("ridge") && o.method == CM_PROJECT_PROCRUSTES)
        cm_usage_error("--ridge means nothing with procrustes");
    struct cm_reader *r = t.show ? NULL : cm_trainer_open(in[0], slot);
    cm_preset_config((enum cm_preset)(CM_PRESET_CCA + o.method), slot, c);
    c->seed = (int64_t)cm_seed();
    c->links.on = o.links;
    cm_trainer_take(&t, c, false);
    if (o.method != CM_PROJECT_CCA || (c->linear.q > c->linear.k && !cm_given("q")))
        c->linear.q = c->linear.k; /* what the method keeps; or a default, nothing to warn of */
    if (t.show)
        return cm_trainer_show(c);
    struct cm_train_options how = {
        .config = c, .step = project, .closed = true, .data_path = cm_reader_path(r)};
    struct cm_train_callbacks callbacks = cm_trainer_callbacks(&t, NULL);
    cm_trainer_read(&t, r, false);
    cm_trainer_plan(&t, &how, "");
    cm_try(cm_train(&t.model, &t.data, &how, &callbacks));
    cm_trainer_sum(&t, 0);
    return cm_trainer_end(&t);
}
