/* train/train.c - the steps that presets share.
 *
 * Every number that the model depends on is in its head afterwards, as used (k and q may have been
 * lowered to what the data allow); what cannot change a result is not.  The decision rule is tuned
 * by match/rules.h on the validation cells, inside batches where `batch --within` was asked for.
 */
#include "train/train.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "links/learn.h"
#include "match/rules.h"
#include "matrix/blas.h"
#include "network/scorer.h"
#include "train/crossfit.h"

static void say_step(const struct cm_train_callbacks *v, const char *name)
{
    if (v && v->step)
        v->step(v->arg, name);
}

static void say_warn(const struct cm_train_callbacks *v, const char *format, ...) CM_PRINTF(2, 3);
static void say_warn(const struct cm_train_callbacks *v, const char *format, ...)
{
    char text[CM_MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (v && v->warn)
        v->warn(v->arg, text);
}

static size_t min(size_t a, size_t b) { return a < b ? a : b; }

/* ===== the shared start =================================================================== */

static int fit_links(struct cm_model *m, const struct cm_train_data *d, float *const z[2],
                     const struct cm_train_callbacks *callbacks)
{
    int gene = cm_head_find_slot(&m->head, "GEX"), peak = cm_head_find_slot(&m->head, "ATAC");
    if (gene < 0 || peak < 0) {
        say_warn(callbacks, "no peak-gene term: it needs the slots GEX and ATAC");
        return 0;
    }
    const struct cm_train_part *p = &d->part[0];
    struct cm_links_data data = {.ldz = m->linear.k,
                                 .group = p->group,
                                 .groups = d->groups,
                                 .seed = (uint64_t)m->config.seed};
    const int side[2] = {gene, peak};
    for (size_t s = 0; s < 2; s++) {
        data.x[s] = &p->x[side[s]];
        data.z[s] = z[side[s]];
        data.mean[s] = m->linear.side[side[s]].mean;
        data.table[s] = &m->head.slot[side[s]].cols;
    }
    int code = cm_links_fit(&m->links, &m->config.links.fit, &data);
    if (code == 0)
        say_warn(callbacks, "no peak-gene term: %s", cm_error_message());
    m->has_links = code > 0;
    return code < 0 ? code : 0;
}

/* What came of it is in links.*; a term that could not be bettered stays as it was. */
static int learn_links(struct cm_model *m, const struct cm_train_data *d, float *const z[2],
                       const struct cm_train_sample *v)
{
    int gene = cm_head_find_slot(&m->head, "GEX"), peak = cm_head_find_slot(&m->head, "ATAC");
    const struct cm_train_part *p = &d->part[0];
    struct cm_links_learn_data data = {
        .x = {&p->x[gene], &p->x[peak]},
        .v = {&v->x[gene], &v->x[peak]},
        .table = {&m->head.slot[gene].cols, &m->head.slot[peak].cols},
        .linear = &m->linear,
        .side = {(size_t)gene, (size_t)peak},
        .z = {z[gene], z[peak]},
        .group = p->group,
        .valid_group = v->group,
        .groups = d->groups,
        .fit = m->config.linear,
        .seed = (uint64_t)m->config.seed};
    struct cm_links_report r;
    int code = cm_links_learn(&m->links, &m->config.links, &data, &r);
    struct cm_kv *kv = &m->head.kv;
    if (code == 0) /* no warning: the term is as good as without the attempt */
        cm_kv_set(kv, "links.note", cm_error_message());
    cm_kv_seti(kv, "links.step", (int64_t)r.step);
    if (v->n) {
        cm_kv_setf(kv, "links.loss.first", r.before);
        cm_kv_setf(kv, "links.loss.best", r.after);
    }
    return code < 0 ? code : 0;
}

/* Lowers k, q and the components of the term to what the cells allow. */
static int lower_sizes(struct cm_config *c, const struct cm_train_data *d,
                       const struct cm_train_callbacks *callbacks)
{
    const struct cm_csr *x = d->part[0].x;
    size_t n = x[0].rows, asked = (size_t)c->linear.k,
           k = min(min(asked, n), min(x[0].cols, x[1].cols)), q = min((size_t)c->linear.q, k);
    if (n < 2 || x[0].cols == 0 || x[1].cols == 0)
        return cm_fail(
            CM_EINPUT,
            "%zu training cell%s, %zu and %zu columns: at least 2 cells and 1 column are "
            "needed",
            n, n == 1 ? "" : "s", x[0].cols, x[1].cols);
    if (k < asked && c->linear.on)
        say_warn(callbacks,
                 "%zu components in place of %zu: there are %zu cells, %zu and %zu columns", k,
                 asked, n, x[0].cols, x[1].cols);
    if (q < (size_t)c->linear.q && c->linear.on)
        say_warn(callbacks, "embedding width %zu in place of %zu: there are %zu components", q,
                 (size_t)c->linear.q, k);
    c->linear.k = (int64_t)k;
    c->linear.q = (int64_t)q;
    if (k)
        c->links.fit.components = (int64_t)min((size_t)c->links.fit.components, k);
    return 0;
}

/* A model without anything, for these slots. */
static void start_head(struct cm_model *m, const struct cm_train_data *d)
{
    memset(m, 0, sizeof *m);
    m->head.kind = CM_MODEL;
    for (size_t s = 0; s < 2; s++) {
        struct cm_slot *slot = cm_head_add_slot(&m->head, d->head.slot[s].name);
        cm_slot_copy(slot, &d->head.slot[s]);
        slot->rows = 0;
    }
}

/* LSI, CCA and the peak-gene term of m->config; z: the training cells' components (n x k). */
static int fit_start(struct cm_model *m, const struct cm_train_data *d, float *const z[2],
                     const struct cm_train_callbacks *callbacks)
{
    const struct cm_config *c = &m->config;
    const struct cm_csr *const x[2] = {&d->part[0].x[0], &d->part[0].x[1]};
    int code = cm_linear_fit(&m->linear, x, &c->linear, (uint64_t)c->seed, z);
    if (code)
        return code;
    for (size_t s = 0; s < 2; s++)
        if (m->linear.side[s].iterations > CM_SVD_ITERATIONS)
            say_warn(callbacks, "slot %s: the singular vectors had not settled after %d iterations",
                     m->head.slot[s].name, CM_SVD_ITERATIONS);
    say_step(callbacks, "lsi and cca");
    if (!c->links.on)
        return 0;
    code = fit_links(m, d, z, callbacks);
    if (!code)
        say_step(callbacks, "cis");
    return code;
}

/* ===== the record ========================================================================= */

/* The names of all cells, in order. */
static uint64_t cells_hash(const struct cm_train_data *d)
{
    struct cm_cols all = {0};
    for (size_t p = 0; p < 2; p++)
        for (size_t i = 0; i < d->part[p].names.n; i++)
            cm_strs_add(&all.names, cm_strs_get(&d->part[p].names, i));
    uint64_t hash = cm_cols_hash(&all);
    cm_strs_free(&all.names);
    return hash;
}

static void set_hash(struct cm_kv *kv, const char *key, uint64_t hash)
{
    char text[20];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    cm_kv_set(kv, key, text);
}

/* Are the mini-batches for the training loop? */
static bool by_loop(const struct cm_train_options *o)
{
    return !o->middle && o->config->net.encoder != CM_ENCODER_NONE;
}

static void record(struct cm_model *m, const struct cm_train_data *d,
                   const struct cm_train_options *o)
{
    struct cm_kv *kv = &m->head.kv;
    const char *const slot[2] = {m->head.slot[0].name, m->head.slot[1].name};
    cm_config_write_fit(&m->config, kv);
    if (by_loop(o))
        cm_config_write_net(&m->config, slot, kv);
    cm_config_write_batches(&d->head.kv, by_loop(o), kv);
    for (size_t s = 0; s < 2; s++) {
        char key[CM_MAX_NAME];
        snprintf(key, sizeof key, "features.%s", slot[s]);
        set_hash(kv, key, cm_cols_hash(&m->head.slot[s].cols));
    }
    cm_kv_seti(kv, "train.cells", (int64_t)d->part[0].names.n);
    if (m->linear.k)
        cm_kv_seti(kv, "linear.cells", (int64_t)m->linear.cells);
    if (by_loop(o))
        set_hash(kv, "train.names", cells_hash(d));
    cm_kv_seti(kv, "cis.candidates", (int64_t)(m->has_links ? m->links.candidates : 0));
    cm_kv_seti(kv, "cis.pairs", (int64_t)(m->has_links ? m->links.n : 0));
    cm_kv_seti(kv, "cis.genes", (int64_t)(m->has_links ? m->links.gene.n : 0));
    cm_kv_seti(kv, "cis.peaks", (int64_t)(m->has_links ? m->links.peak.n : 0));
}

/* ===== beginning from a model ============================================================= */

static const char *named(const char *path, const char *otherwise)
{
    return path ? path : otherwise;
}

/* Are the cells those of the model, column by column and prepared alike? */
static int check_start(const struct cm_train_data *d, const struct cm_train_options *o)
{
    const char *data = named(o->data_path, "the pairs"), *path = named(o->start_path, "the model");
    for (size_t s = 0; s < 2; s++) {
        const struct cm_slot *in = &d->head.slot[s];
        uint32_t *map;
        struct cm_column_gaps gaps;
        if (strcmp(in->name, o->start->head.slot[s].name) != 0)
            return cm_fail(CM_EINPUT, "%s: slot %zu is %s, in %s it is %s", data, s, in->name, path,
                           o->start->head.slot[s].name);
        int code = cm_model_accepts(o->start, s, in, data, path);
        if (!code)
            code = cm_model_columns(o->start, s, &in->cols, false, data, &map, &gaps);
        if (code)
            return code;
    }
    const char *cells = cm_kv_get(&o->start->head.kv, "train.names");
    char text[20];
    snprintf(text, sizeof text, "%016" PRIx64, cells_hash(d));
    if (o->state && (!cells || strcmp(cells, text) != 0))
        return cm_fail(CM_EINPUT,
                       "%s: other cells, or in another order, than those of the training that %s "
                       "stopped",
                       data, path);
    return 0;
}

static int take_start(struct cm_model *m, const struct cm_train_data *d,
                      const struct cm_train_options *o, float *const z[2])
{
    struct cm_model *from = o->start;
    int code = check_start(d, o);
    if (code || !m->config.linear.on)
        return code;
    const struct cm_kv *kv = &from->head.kv;
    if (from->linear.k == 0)
        return cm_fail(CM_EINPUT, "%s: has no linear part, and preset %s begins with one",
                       named(o->start_path, "the model"), cm_preset_name(m->config.preset));
    m->linear = from->linear;
    memset(&from->linear, 0, sizeof from->linear);
    if (m->config.links.on) {
        m->links = from->links;
        m->has_links = from->has_links;
        memset(&from->links, 0, sizeof from->links);
        from->has_links = false;
        for (size_t i = 0; i < kv->key.n; i++) /* how its weights came about */
            if (strncmp(cm_strs_get(&kv->key, i), "links.", 6) == 0)
                cm_kv_set(&m->head.kv, cm_strs_get(&kv->key, i), cm_strs_get(&kv->value, i));
    }
    for (size_t s = 0; s < 2; s++)
        cm_linear_z(&m->linear, s, &d->part[0].x[s], z[s]);
    return 0;
}

/* Tensors of the same name and shape; the factor of the loss begins anew. */
static void copy_tensors(struct cm_net *to, const struct cm_net *from,
                         const struct cm_train_options *o,
                         const struct cm_train_callbacks *callbacks)
{
    for (size_t t = 0; t < from->table.n; t++) {
        const struct cm_param *a = &from->table.p[t], *b = cm_params_find(&to->table, a->name);
        if (b && memcmp(a->shape, b->shape, sizeof a->shape) != 0)
            say_warn(callbacks, "%s: tensor %s has another shape there and begins anew",
                     named(o->start_path, "the model"), a->name);
        else if (b && b->group != CM_GROUP_SCALE)
            memcpy(to->w + b->offset, from->w + a->offset, a->n * sizeof *to->w);
    }
}

/* ===== the shared end ===================================================================== */

void cm_model_similarities(const struct cm_model *m, const struct cm_csr *const x[2], float *s)
{
    size_t w = cm_model_width(m), n[2] = {x[0]->rows, x[1]->rows};
    float *e[2];
    for (size_t side = 0; side < 2; side++) {
        e[side] = CM_NEW(float, n[side] * w);
        cm_model_embed(m, side, x[side], e[side]);
    }
    cm_sgemm_parallel(false, true, n[0], n[1], w, 1, e[0], w, e[1], w, 0, s, n[1]);
    cm_free(e[0]);
    cm_free(e[1]);
}

struct cm_train_sample cm_train_sample(const struct cm_train_data *d, uint64_t seed, size_t from,
                                       size_t max)
{
    const struct cm_train_part *v = &d->part[1];
    size_t all = v->names.n;
    struct cm_train_sample s = {.n = from < all ? min(all - from, max) : 0};
    uint64_t *order = CM_NEW(uint64_t, all + 1), *at = order + min(from, all);
    for (size_t i = 0; i < all; i++)
        order[i] = i;
    if (s.n < all) {
        struct cm_rng rng = cm_rng_make(seed, CM_RNG_SAMPLE, 1, 0);
        cm_rng_shuffle(&rng, order, all);
    }
    for (size_t side = 0; side < 2; side++)
        s.x[side] = cm_csr_rows(&v->x[side], at, s.n);
    s.group = v->group ? CM_NEW(uint32_t, s.n) : NULL;
    for (size_t i = 0; s.group && i < s.n; i++)
        s.group[i] = v->group[at[i]];
    cm_free(order);
    return s;
}

void cm_train_sample_free(struct cm_train_sample *s)
{
    cm_csr_free(&s->x[0]);
    cm_csr_free(&s->x[1]);
    cm_free(s->group);
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

/* The closed form fitted to one fold; the sizes are what its cells allow.  Links keep the weights
 * of their correlations: to learn them in every fold takes four times the training, and moves the
 * temperature by less than its error (tests/bench/calibration.sh). */
struct fold_job {
    const struct cm_model *m;
    const struct cm_train_options *o;
};

static int fit_fold(void *arg, const struct cm_train_data *fold, const struct cm_csr *const held[2],
                    float *s_held, const struct cm_csr *const valid[2], float *s_valid)
{
    const struct fold_job *job = arg;
    struct cm_model m = {0};
    start_head(&m, fold);
    m.config = *job->o->config;
    int code = lower_sizes(&m.config, fold, NULL);
    size_t k = (size_t)m.config.linear.k, n = fold->part[0].x[0].rows;
    float *z[2] = {CM_NEW(float, n *k + 1), CM_NEW(float, n *k + 1)};
    if (!code)
        code = fit_start(&m, fold, z, NULL);
    if (!code && job->o->middle)
        code = job->o->middle(job->o->middle_arg, &m, fold, z);
    if (!code)
        cm_model_similarities(&m, held, s_held);
    if (!code && valid[0]->rows)
        cm_model_similarities(&m, valid, s_valid);
    cm_free(z[0]);
    cm_free(z[1]);
    cm_model_free(&m);
    return code;
}

/* Can training cells tell about calibration too?  The folds are fits of the presets' start. */
static bool crossfits(const struct cm_train_options *o)
{
    const struct cm_config *c = o->config;
    return c->linear.on && (!o->middle || o->closed) && !c->net.cross.on;
}

static void put_calibrated(struct cm_kv *kv, double temperature, size_t cells, const char *on)
{
    if (!(temperature > 0))
        return;
    cm_kv_setf(kv, "rule.calibrated", temperature);
    cm_kv_seti(kv, "rule.calibrated.cells", (int64_t)cells);
    cm_kv_set(kv, "rule.calibrated.on", on);
}

/* The calibrated temperature, from the similarities of the sample v: on validation cells that have
 * chosen nothing where there are enough of them; on v where that is large; else on folds too. */
static int calibrate(struct cm_model *m, const struct cm_train_data *d,
                     const struct cm_train_options *o, enum cm_rule_method method,
                     const struct cm_train_sample *v, const float *s)
{
    struct cm_kv *kv = &m->head.kv;
    struct cm_train_sample fresh = cm_train_sample(d, (uint64_t)o->config->seed, v->n, v->n);
    int code = 0;
    double t = 0;
    if (v->n && fresh.n >= CM_CALIBRATION_ENOUGH) {
        float *other = CM_NEW(float, fresh.n *fresh.n);
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
    if (v->n >= CM_CALIBRATION_ENOUGH || !crossfits(o)) {
        put_calibrated(kv, t, v->n, "validation");
        return 0;
    }
    struct fold_job job = {m, o};
    struct cm_crossfit x = {
        d, method, (uint64_t)o->config->seed, {&v->x[0], &v->x[1]}, v->group, t, fit_fold, &job};
    size_t cells;
    code = cm_crossfit(&x, &t, &cells);
    if (!code)
        put_calibrated(kv, t, cells, cells > v->n ? "folds" : "validation");
    return code;
}

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

static int tune(struct cm_model *m, const struct cm_train_data *d, const struct cm_train_options *o,
                const struct cm_train_sample *v, const struct cm_train_callbacks *callbacks)
{
    struct cm_kv *kv = &m->head.kv;
    size_t n = v->n;
    cm_kv_seti(kv, "valid.cells", (int64_t)n);
    if (n == 0) {
        struct cm_rule rule = {CM_RULE_DUAL, CM_RULE_TEMPERATURE, false};
        cm_rule_write(kv, &rule);
        say_warn(callbacks,
                 "no validation cells: the decision rule is the default, %s at temperature %g",
                 cm_rule_name(rule.method), rule.temperature);
        return calibrate(m, d, o, rule.method, v, NULL);
    }
    float *s = CM_NEW(float, n *n);
    int code = sample_similarities(m, v, s);
    if (!code) {
        struct cm_rule_tuning t;
        cm_rule_tune(s, n, n, v->group, &t);
        cm_rule_write(kv, &t.rule);
        record_valid(kv, &t, s, v);
        code = calibrate(m, d, o, t.rule.method, v, s);
    }
    cm_free(s);
    return code;
}

/* ===== the network ======================================================================== */

int cm_train_network(struct cm_model *m, const struct cm_train_data *d,
                     const struct cm_train_options *o, float *const z[2],
                     const struct cm_train_sample *v, const struct cm_train_callbacks *callbacks)
{
    if (d->blocks)
        return cm_fail(CM_EINPUT,
                       "%s: a mini-batch has cells of its own; this version trains on the cells of "
                       "the data pass only",
                       named(o->data_path, "the pairs"));
    if (d->picks.n == 0 && !(o->state && o->state->w))
        return cm_fail(CM_EINPUT,
                       "%s: there are no mini-batches, and preset %s needs them: batch --epochs N",
                       named(o->data_path, "the pairs"), cm_preset_name(m->config.preset));
    int code = cm_net_make(&m->net, &m->config.net, &m->head, &m->linear);
    if (code)
        return code;
    m->has_net = true;
    if (o->state && o->start && !cm_net_same(&m->net, &o->start->net))
        return cm_fail(CM_EINPUT,
                       "%s: the network of these cells has other tensors than that of %s (other "
                       "coordinates?)",
                       named(o->data_path, "the pairs"), named(o->start_path, "the checkpoint"));
    cm_net_init(&m->net, &m->linear, m->config.loss.scale, (uint64_t)m->config.seed);
    if (o->start && o->start->has_net)
        copy_tensors(&m->net, &o->start->net, o, callbacks);

    struct cm_fit_data data = {.x = {&d->part[0].x[0], &d->part[0].x[1]},
                               .z = {m->linear.k ? z[0] : NULL, m->linear.k ? z[1] : NULL},
                               .picks = &d->picks,
                               .valid = {&v->x[0], &v->x[1]},
                               .group = v->group,
                               .keep = o->keep};
    struct cm_fit_state fresh = {0}, *state = o->state ? o->state : &fresh;
    struct cm_fit_callbacks quiet = {0};
    bool stopped = false;
    if (callbacks && callbacks->memory)
        code = callbacks->memory(callbacks->arg, cm_fit_bytes(m, &data));
    if (!code)
        code = cm_fit(m, &data, state, callbacks ? &callbacks->fit : &quiet, &stopped);
    code = code == CM_EINPUT ? cm_fail_in(code, named(o->data_path, "the pairs")) : code;
    if (!code) {
        struct cm_kv *kv = &m->head.kv;
        cm_kv_seti(kv, "train.steps", (int64_t)state->step);
        cm_kv_setf(kv, "train.loss", state->loss);
        if (state->best_score >= 0)
            cm_kv_seti(kv, "train.best.epoch", state->best_epoch);
        if (stopped)
            cm_kv_seti(kv, "train.stopped", 1);
        say_step(callbacks, "network");
    }
    cm_fit_state_free(&fresh);
    return code;
}

/* ===== public ============================================================================= */

static int fit_all(struct cm_model *m, const struct cm_train_data *d,
                   const struct cm_train_options *o, float *const z[2],
                   const struct cm_train_sample *v, const struct cm_train_callbacks *callbacks)
{
    int code = 0;
    if (o->start)
        code = take_start(m, d, o, z);
    else if (m->config.linear.on)
        code = fit_start(m, d, z, callbacks);
    if (!code && o->start && m->config.linear.on)
        say_step(callbacks, "lsi and cca");
    if (!code && m->has_links && m->config.links.learned && !o->start) {
        code = learn_links(m, d, z, v);
        if (!code)
            say_step(callbacks, "links");
    }
    if (code)
        return code;
    record(m, d, o);
    if (o->middle)
        return o->middle(o->middle_arg, m, d, z);
    return by_loop(o) ? cm_train_network(m, d, o, z, v, callbacks) : 0;
}

int cm_train(struct cm_model *m, const struct cm_train_data *d, const struct cm_train_options *o,
             const struct cm_train_callbacks *callbacks)
{
    start_head(m, d);
    m->config = *o->config;
    struct cm_config *c = &m->config;
    int code = lower_sizes(c, d, o->start ? NULL : callbacks);
    if (code)
        return code;
    if (o->start && c->linear.on) {
        c->linear.k = (int64_t)o->start->linear.k;
        c->linear.q = (int64_t)o->start->linear.q;
    }
    size_t n = d->part[0].x[0].rows, k = c->linear.on ? (size_t)c->linear.k : 0;
    if (k) /* of a start without a linear part, take_start tells */
        c->links.fit.components = (int64_t)min((size_t)c->links.fit.components, k);
    float *z[2] = {CM_NEW(float, n *k), CM_NEW(float, n *k)};
    struct cm_train_sample v =
        cm_train_sample(d, (uint64_t)c->seed, 0, c->net.cross.on ? CM_VALID_CROSS : CM_VALID_CELLS);
    code = fit_all(m, d, o, z, &v, callbacks);
    cm_free(z[0]);
    cm_free(z[1]);
    if (!code) {
        code = tune(m, d, o, &v, callbacks);
        say_step(callbacks, "rule");
    }
    cm_train_sample_free(&v);
    return code;
}

uint64_t cm_train_bytes(const struct cm_train_data *d, const struct cm_train_options *o)
{
    const struct cm_config *c = o->config;
    const struct cm_csr *x = d->part[0].x;
    uint64_t n = x[0].rows, k = (uint64_t)c->linear.k,
             max = x[0].cols > x[1].cols ? x[0].cols : x[1].cols,
             v = min(d->part[1].names.n, CM_VALID_CELLS);
    if (!c->linear.on)
        return 16 * v * v;
    uint64_t components = 4 * k * (2 * n + x[0].cols + x[1].cols);
    uint64_t basis = 4 * k + 512; /* matrix/svd.h */
    uint64_t sketch = 8 * (basis * (n < max ? n : max) + (32 + k) * (n + max) + 2 * basis * basis);
    /* The term: partial sums (bounded in links/fit.c), then both sides of a sample of cells. */
    uint64_t genes = c->links.on ? min(x[0].cols, x[1].cols) : 0, sums = (uint64_t)256 << 20,
             sample = 8 * min(n, CM_LINKS_SAMPLE) * genes,
             correlations = !c->links.on    ? 0
                            : sums > sample ? sums
                                            : sample;
    uint64_t entries = x[0].ptr[n] + x[1].ptr[n],
             links = c->links.on && c->links.learned
                         ? cm_links_learn_bytes(&c->links.learn, n, entries, x[0].cols, x[1].cols)
                         : 0;
    uint64_t folds =
        crossfits(o) && v < CM_CALIBRATION_ENOUGH ? components + cm_crossfit_bytes(d) : 0;
    return components + (sketch > correlations ? sketch : correlations) + links +
           8 * v * (2 * v + genes) + folds;
}
