/* train/rule.c - the decision rule of a model, tuned on the validation cells, and its calibrated
 * temperature. */
#include "train/train.h"

#include "base/error.h"
#include "base/mem.h"
#include "match/rules.h"
#include "matrix/blas.h"
#include "network/scorer.h"
#include "train/crossfit.h"

void cm_model_similarities(const struct cm_model *m, const struct cm_csr *const x[2], float *s)
{
    size_t w = cm_model_width_e(m), n[2] = {x[0]->rows, x[1]->rows};
    float *e[2], *z[2] = {NULL, NULL};
    for (size_t side = 0; side < 2; side++) {
        e[side] = CM_NEW(n[side] * w, float);
        cm_model_embed_e(m, side, x[side], e[side]);
    }
    cm_sgemm_parallel(false, true, n[0], n[1], w, 1, e[0], w, e[1], w, 0, s, n[1]);
    for (size_t side = 0; m->has_links && side < 2; side++) {
        z[side] = CM_NEW(n[side] * m->linear.k, float);
        cm_linear_z(&m->linear, side, x[side], z[side]);
    }
    if (m->has_links) {
        const uint64_t *const first[2] = {NULL, NULL};
        const float *const both[2] = {z[0], z[1]};
        cm_model_add_links(m, x, both, first, n, s);
    }
    for (size_t side = 0; side < 2; side++) {
        cm_free(e[side]);
        cm_free(z[side]);
    }
}

/* s (n x n) = similarities of a sample as a match would have them. */
static int sample_similarities(const struct cm_model *m, const struct cm_train_sample *v, float *s)
{
    const struct cm_csr *const both[2] = {&v->x[0], &v->x[1]};
    cm_model_similarities(m, both, s);
    return m->has_net && m->net.has_cross
               ? cm_scorer_all(&m->net, m->net.w, both, v->group, (size_t)m->net.cross.o.top, s)
               : 0;
}

/* ===== calibration ======================================================================== */

/* The closed form fitted to one fold, with the sizes that its cells allow; from
 * CM_LINEAR_REFIT_CELLS cells on its LSI begins with that of all, as where links are learned
 * (links/folds.c).  Links keep the weights of their correlations: learning them in every fold takes
 * four times the training and moves the temperature by less than its error
 * (tests/bench/calibration.sh). */
struct fold_job {
    const struct cm_model *m;
    const struct cm_train_options *o;
    const struct cm_linear_whole *whole; /* or NULL: each fold has an LSI of its own */
};

static int fit_fold(void *arg, const struct cm_train_data *fold, const uint64_t *rows,
                    const struct cm_csr *const held[2], float *s_held,
                    const struct cm_csr *const valid[2], float *s_valid)
{
    const struct fold_job *job = arg;
    struct cm_model m = {0};
    cm_start_head(&m, fold);
    m.config = *job->o->config;
    int code = cm_start_sizes(&m.config, fold, NULL);
    size_t k = (size_t)m.config.linear.k, n = fold->part[0].x[0].rows;
    float *z[2] = {CM_NEW(n * k + 1, float), CM_NEW(n * k + 1, float)};
    if (!code)
        code = job->whole && k == job->whole->linear->k
                   ? cm_start_refit(&m, fold, rows, job->whole, z)
                   : cm_start_fit(&m, fold, z, NULL);
    if (!code && job->o->step)
        code = job->o->step(job->o->step_arg, &m, fold, NULL, z);
    if (!code)
        cm_model_similarities(&m, held, s_held);
    if (!code && valid[0]->rows)
        cm_model_similarities(&m, valid, s_valid);
    cm_free(z[0]);
    cm_free(z[1]);
    cm_model_free(&m);
    return code;
}

/* True if calibration also uses training cells, by cross-fitting; folds refit only the closed
 * form. */
bool cm_train_crossfits(const struct cm_train_options *o)
{
    const struct cm_config *c = o->config;
    return cm_config_has_cca(c) && (!o->step || o->closed) && !c->net.cross.on;
}

static void put_calibrated(struct cm_kv *kv, double temperature, size_t cells, const char *on)
{
    if (!(temperature > 0))
        return;
    cm_kv_setf(kv, "rule.calibrated", temperature);
    cm_kv_seti(kv, "rule.calibrated.cells", (int64_t)cells);
    cm_kv_set(kv, "rule.calibrated.on", on);
}

/* The calibrated temperature: from validation cells that nothing was chosen on if there are enough;
 * from the sample v (similarities s) if that is large; else from folds, too. */
static int calibrate(struct cm_model *m, const struct cm_train_data *d,
                     const struct cm_train_options *o, float *const z[2],
                     enum cm_rule_method method, const struct cm_train_sample *v, const float *s)
{
    struct cm_kv *kv = &m->head.kv;
    struct cm_train_sample fresh = cm_train_sample(d, (uint64_t)o->config->seed, v->n, v->n);
    int code = 0;
    double t = 0;
    if (v->n && fresh.n >= CM_CALIBRATION_ENOUGH) {
        float *other = CM_NEW(fresh.n * fresh.n, float);
        struct cm_rule_block b = {other, fresh.n, fresh.n, fresh.group};
        if (!(code = sample_similarities(m, &fresh, other)))
            put_calibrated(kv, cm_rule_calibrate(&b, 1, method, NULL), fresh.n, "other");
        cm_free(other);
        cm_train_sample_free(&fresh);
        return code;
    }
    cm_train_sample_free(&fresh);
    if (v->n)
        t = cm_rule_calibrate(&(struct cm_rule_block){s, v->n, v->n, v->group}, 1, method, NULL);
    if (v->n >= CM_CALIBRATION_ENOUGH || !cm_train_crossfits(o)) {
        put_calibrated(kv, t, v->n, "validation");
        return 0;
    }
    const struct cm_csr *const all[2] = {&d->part[0].x[0], &d->part[0].x[1]};
    const float *const components[2] = {z[0], z[1]};
    bool refit = all[0]->rows >= CM_LINEAR_REFIT_CELLS;
    struct cm_linear_whole whole = {0};
    if (refit)
        whole = cm_linear_whole(&m->linear, all, components, &m->config.linear);
    struct fold_job job = {m, o, refit ? &whole : NULL};
    struct cm_crossfit x = {.data = d,
                            .method = method,
                            .seed = (uint64_t)o->config->seed,
                            .valid = {&v->x[0], &v->x[1]},
                            .group = v->group,
                            .on_valid = t,
                            .fit = fit_fold,
                            .arg = &job};
    size_t cells;
    code = cm_crossfit(&x, &t, &cells);
    cm_linear_whole_free(&whole);
    if (!code)
        put_calibrated(kv, t, cells, cells > v->n ? "folds" : "validation");
    return code;
}

/* ===== tuning ============================================================================= */

static void record_valid(struct cm_kv *kv, const struct cm_rule_tuning *t, const float *s,
                         const struct cm_train_sample *v)
{
    double soft = 0, dual = 0, top5, chance;
    for (size_t k = 0; k < CM_RULE_GRID; k++) {
        if (t->soft_at[CM_RULE_SOFTMAX][k] > soft)
            soft = t->soft_at[CM_RULE_SOFTMAX][k];
        if (cm_rule_grid[k] == t->rule.temperature)
            dual = t->dual_at[k];
    }
    cm_fit_ranks(s, v->n, v->group, &top5, &chance);
    cm_kv_setf(kv, "valid.chance", chance);
    cm_kv_setf(kv, "valid.soft", soft);
    cm_kv_setf(kv, "valid.dual", dual);
    cm_kv_setf(kv, "valid.argmax", t->argmax);
    cm_kv_setf(kv, "valid.top5", top5);
}

int cm_train_rule(struct cm_model *m, const struct cm_train_data *d,
                  const struct cm_train_options *o, float *const z[2],
                  const struct cm_train_sample *v, const struct cm_train_callbacks *callbacks)
{
    struct cm_kv *kv = &m->head.kv;
    size_t n = v->n;
    cm_kv_seti(kv, "valid.cells", (int64_t)n);
    if (n == 0) {
        struct cm_rule rule = {CM_RULE_DUAL, CM_RULE_TEMPERATURE, false};
        cm_rule_write(kv, &rule);
        cm_train_warn(callbacks,
                      "no validation cells: the decision rule is the default, %s at temperature %g",
                      cm_rule_name(rule.method), rule.temperature);
        return calibrate(m, d, o, z, rule.method, v, NULL);
    }
    float *s = CM_NEW(n * n, float);
    int code = sample_similarities(m, v, s);
    if (!code) {
        struct cm_rule_tuning t;
        cm_rule_tune(s, n, n, v->group, &t);
        cm_rule_write(kv, &t.rule);
        record_valid(kv, &t, s, v);
        code = calibrate(m, d, o, z, t.rule.method, v, s);
    }
    cm_free(s);
    return code;
}
