/* train/train.c - the steps that all presets share.
 *
 * Every number that the model depends on is in its head afterwards, as used (k and q may have been
 * lowered to what the data allow); settings that cannot change a result are not.
 */
#include "train/train.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "model/presets.h"

/* ===== the record ========================================================================= */

static void set_hash(struct cm_kv *kv, const char *key, uint64_t hash)
{
    char text[20];
    snprintf(text, sizeof text, "%016" PRIx64, hash);
    cm_kv_set(kv, key, text);
}

/* Does the training loop use the mini-batches? */
static bool by_loop(const struct cm_train_options *o)
{
    return !o->step && o->config->net.encoder != CM_ENCODER_NONE;
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
        set_hash(kv, "train.names", cm_train_cells_hash(d));
    cm_kv_seti(kv, "cis.candidates", (int64_t)(m->has_links ? m->links.candidates : 0));
    cm_kv_seti(kv, "cis.pairs", (int64_t)(m->has_links ? m->links.n : 0));
    cm_kv_seti(kv, "cis.genes", (int64_t)(m->has_links ? m->links.gene.n : 0));
    cm_kv_seti(kv, "cis.peaks", (int64_t)(m->has_links ? m->links.peak.n : 0));
}

/* ===== the network ======================================================================== */

/* Do the encoders add nothing? */
static bool adds_nothing(const struct cm_net *net)
{
    if (!net->residual || net->has_cross)
        return false;
    for (size_t t = 0; t < net->table.n; t++) {
        const struct cm_param *p = &net->table.p[t];
        for (size_t i = 0; p->group == CM_GROUP_ENCODER && i < p->n; i++)
            if (net->w[p->offset + i] != 0)
                return false;
    }
    return true;
}

static void record_training(struct cm_model *m, const struct cm_fit_state *s, bool stopped)
{
    struct cm_kv *kv = &m->head.kv;
    cm_kv_seti(kv, "train.steps", (int64_t)s->step);
    cm_kv_setf(kv, "train.loss", s->loss);
    if (s->best_score >= 0) {
        cm_kv_seti(kv, "train.best.epoch", s->best_epoch);
        cm_kv_setf(kv, "train.score.best", s->best_score);
    }
    if (s->start_score >= 0)
        cm_kv_setf(kv, "train.score.start", s->start_score);
    if (stopped)
        cm_kv_seti(kv, "train.stopped", 1);
}

/* A network that does not improve the linear start is left out of the model. */
static void drop_network(struct cm_model *m)
{
    cm_kv_seti(&m->head.kv, "train.network", 0);
    cm_config_drop_net(&m->config, &m->head.kv);
    cm_net_free(&m->net);
    m->has_net = false;
}

static int train_network(struct cm_model *m, const struct cm_train_data *d,
                         const struct cm_train_options *o, float *const z[2],
                         const struct cm_train_sample *v,
                         const struct cm_train_callbacks *callbacks)
{
    if (d->blocks)
        return cm_fail(CM_EINPUT,
                       "%s: a mini-batch has cells of its own; this version trains on the cells of "
                       "the data pass only",
                       cm_train_named(o->data_path, "the pairs"));
    if (d->picks.n == 0 && !(o->state && o->state->w))
        return cm_fail(CM_EINPUT,
                       "%s: there are no mini-batches, and preset %s needs them: batch --epochs N",
                       cm_train_named(o->data_path, "the pairs"), cm_preset_name(m->config.preset));
    int code = cm_net_make(&m->net, &m->config.net, &m->head, &m->linear);
    if (code)
        return code;
    m->has_net = true;
    if (o->state && o->start && !cm_net_same(&m->net, &o->start->net))
        return cm_fail(CM_EINPUT,
                       "%s: the network of these cells has other tensors than that of %s (other "
                       "coordinates?)",
                       cm_train_named(o->data_path, "the pairs"),
                       cm_train_named(o->start_path, "the checkpoint"));
    cm_net_init(&m->net, &m->linear, m->config.loss.scale, (uint64_t)m->config.seed);
    if (o->start && o->start->has_net)
        cm_start_tensors(&m->net, &o->start->net, o, callbacks);

    struct cm_fit_data data = {.x = {&d->part[0].x[0], &d->part[0].x[1]},
                               .z = {m->linear.k ? z[0] : NULL, m->linear.k ? z[1] : NULL},
                               .picks = &d->picks,
                               .valid = {&v->x[0], &v->x[1]},
                               .group = v->group,
                               .train_group = d->part[0].group,
                               .groups = d->groups,
                               .fresh = !(o->start && o->start->has_net),
                               .keep = o->keep};
    struct cm_fit_state fresh = {0}, *state = o->state ? o->state : &fresh;
    struct cm_fit_callbacks quiet = {0};
    bool stopped = false;
    if (callbacks && callbacks->memory)
        code = callbacks->memory(callbacks->arg, cm_fit_bytes(m, &data));
    if (!code)
        code = cm_fit(m, &data, state, callbacks ? &callbacks->fit : &quiet, &stopped);
    code = code == CM_EINPUT ? cm_fail_in(code, cm_train_named(o->data_path, "the pairs")) : code;
    if (!code) {
        record_training(m, state, stopped);
        if (adds_nothing(&m->net))
            drop_network(m);
        cm_train_step_done(callbacks, "network");
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
        code = cm_start_take(m, d, o, z);
    else if (m->config.linear.on)
        code = cm_start_fit(m, d, z, callbacks);
    if (code)
        return code;
    if (o->start && m->config.linear.on)
        cm_train_step_done(callbacks, "lsi and cca");
    if (m->has_links && m->config.links.learned && !o->start) {
        code = cm_start_links(m, d, z, v);
        if (code)
            return code;
        cm_train_step_done(callbacks, "links");
    }
    record(m, d, o);
    if (o->step)
        return o->step(o->step_arg, m, d, v, z);
    return by_loop(o) ? train_network(m, d, o, z, v, callbacks) : 0;
}

int cm_train(struct cm_model *m, const struct cm_train_data *d, const struct cm_train_options *o,
             const struct cm_train_callbacks *callbacks)
{
    cm_start_head(m, d);
    m->config = *o->config;
    struct cm_config *c = &m->config;
    int code = cm_start_sizes(c, d, o->start ? NULL : callbacks);
    if (code)
        return code;
    if (o->start && c->linear.on) {
        c->linear.k = (int64_t)o->start->linear.k;
        c->linear.q = (int64_t)o->start->linear.q;
    }
    size_t n = d->part[0].x[0].rows, k = c->linear.on ? (size_t)c->linear.k : 0;
    if (k) /* of a start without a linear part, take_start tells */
        c->links.fit.components = (int64_t)cm_size_min((size_t)c->links.fit.components, k);
    float *z[2] = {CM_NEW(n * k, float), CM_NEW(n * k, float)};
    struct cm_train_sample v =
        cm_train_sample(d, (uint64_t)c->seed, 0, c->net.cross.on ? CM_VALID_CROSS : CM_VALID_CELLS);
    code = fit_all(m, d, o, z, &v, callbacks);
    if (!code)
        code = cm_train_rule(m, d, o, z, &v, callbacks);
    cm_free(z[0]);
    cm_free(z[1]);
    if (!code)
        cm_train_step_done(callbacks, "rule");
    cm_train_sample_free(&v);
    return code;
}
