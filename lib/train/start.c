/* train/start.c - what training begins from: the linear start, or a model. */
#include "train/train.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "links/learn.h"
#include "model/presets.h"

/* ===== the linear start =================================================================== */

static int fit_links(struct cm_model *m, const struct cm_train_data *d, float *const z[2],
                     const struct cm_train_callbacks *callbacks)
{
    int gene = cm_head_find_slot(&m->head, "GEX"), peak = cm_head_find_slot(&m->head, "ATAC");
    if (gene < 0 || peak < 0) {
        cm_train_warn(callbacks, "no peak-gene term: it needs the slots GEX and ATAC");
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
    if (!code)
        cm_train_warn(callbacks, "no peak-gene term: %s", cm_error_message());
    m->has_links = code > 0;
    return code < 0 ? code : 0;
}

/* The outcome is in links.*; a term that training does not improve stays as it was. */
int cm_start_links(struct cm_model *m, const struct cm_train_data *d, float *const z[2],
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
    if (!code) /* no warning: the term is no worse for the attempt */
        cm_kv_set(kv, "links.note", cm_error_message());
    cm_kv_seti(kv, "links.step", (int64_t)r.step);
    if (v->n) {
        cm_kv_setf(kv, "links.loss.first", r.before);
        cm_kv_setf(kv, "links.loss.best", r.after);
    }
    return code < 0 ? code : 0;
}

/* Lowers k, q and the components of the term to what the cells allow. */
int cm_start_sizes(struct cm_config *c, const struct cm_train_data *d,
                   const struct cm_train_callbacks *callbacks)
{
    const struct cm_csr *x = d->part[0].x;
    size_t n = x[0].rows, asked = (size_t)c->linear.k,
           k = cm_size_min(cm_size_min(asked, n), cm_size_min(x[0].cols, x[1].cols)),
           q = cm_size_min((size_t)c->linear.q, k);
    if (n < 2 || x[0].cols == 0 || x[1].cols == 0)
        return cm_fail(
            CM_EINPUT,
            "%zu training cell%s, %zu and %zu columns: at least 2 cells and 1 column are "
            "needed",
            n, n == 1 ? "" : "s", x[0].cols, x[1].cols);
    if (k < asked && c->linear.on)
        cm_train_warn(callbacks,
                      "%zu components in place of %zu: there are %zu cells, %zu and %zu columns", k,
                      asked, n, x[0].cols, x[1].cols);
    if (q < (size_t)c->linear.q && c->linear.on)
        cm_train_warn(callbacks, "embedding width %zu in place of %zu: there are %zu components", q,
                      (size_t)c->linear.q, k);
    c->linear.k = (int64_t)k;
    c->linear.q = (int64_t)q;
    if (k)
        c->links.fit.components = (int64_t)cm_size_min((size_t)c->links.fit.components, k);
    return 0;
}

/* An empty model for these slots. */
void cm_start_head(struct cm_model *m, const struct cm_train_data *d)
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
int cm_start_fit(struct cm_model *m, const struct cm_train_data *d, float *const z[2],
                 const struct cm_train_callbacks *callbacks)
{
    const struct cm_config *c = &m->config;
    const struct cm_csr *const x[2] = {&d->part[0].x[0], &d->part[0].x[1]};
    int code = cm_linear_fit(&m->linear, x, &c->linear, (uint64_t)c->seed, z);
    if (code)
        return code;
    for (size_t s = 0; s < 2; s++)
        if (m->linear.side[s].iterations > CM_SVD_ITERATIONS)
            cm_train_warn(callbacks,
                          "slot %s: the singular vectors had not settled after %d iterations",
                          m->head.slot[s].name, CM_SVD_ITERATIONS);
    cm_train_step_done(callbacks, cm_config_has_cca(c) ? "lsi and cca" : "lsi");
    if (!c->links.on)
        return 0;
    code = fit_links(m, d, z, callbacks);
    if (!code)
        cm_train_step_done(callbacks, "links fit");
    return code;
}

int cm_start_refit(struct cm_model *m, const struct cm_train_data *part, const uint64_t *rows,
                   const struct cm_linear_whole *whole, float *const z[2])
{
    size_t n = part->part[0].x[0].rows, all = whole->x[0]->rows, k = whole->linear->k;
    float *every[2] = {CM_NEW(all * k, float), CM_NEW(all * k, float)};
    int code = cm_linear_refit(&m->linear, whole, rows, n, every);
    for (size_t s = 0; !code && s < 2; s++)
        for (size_t i = 0; i < n; i++)
            memcpy(z[s] + i * k, every[s] + rows[i] * k, k * sizeof *z[s]);
    cm_free(every[0]);
    cm_free(every[1]);
    return code || !m->config.links.on ? code : fit_links(m, part, z, NULL);
}

/* ===== from a model ======================================================================= */

/* The names of all cells, in order. */
uint64_t cm_train_cells_hash(const struct cm_train_data *d)
{
    struct cm_cols all = {0};
    for (size_t p = 0; p < 2; p++)
        for (size_t i = 0; i < d->part[p].names.n; i++)
            cm_strs_add(&all.names, cm_strs_get(&d->part[p].names, i));
    uint64_t hash = cm_cols_hash(&all);
    cm_strs_free(&all.names);
    return hash;
}

const char *cm_train_named(const char *path, const char *otherwise)
{
    return path ? path : otherwise;
}

/* Do the cells fit the model, column by column, and are they prepared alike? */
static int check_start(const struct cm_train_data *d, const struct cm_train_options *o)
{
    const char *data = cm_train_named(o->data_path, "the pairs"),
               *path = cm_train_named(o->start_path, "the model");
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
    snprintf(text, sizeof text, "%016" PRIx64, cm_train_cells_hash(d));
    if (o->state && (!cells || strcmp(cells, text) != 0))
        return cm_fail(CM_EINPUT,
                       "%s: other cells, or in another order, than in the training that %s "
                       "saved",
                       data, path);
    return 0;
}

int cm_start_take(struct cm_model *m, const struct cm_train_data *d,
                  const struct cm_train_options *o, float *const z[2])
{
    struct cm_model *from = o->start;
    int code = check_start(d, o);
    if (code || !m->config.linear.on)
        return code;
    const struct cm_kv *kv = &from->head.kv;
    if (from->linear.k == 0)
        return cm_fail(CM_EINPUT, "%s: has no linear part, and preset %s begins with one",
                       cm_train_named(o->start_path, "the model"),
                       cm_preset_name(m->config.preset));
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
void cm_start_tensors(struct cm_net *to, const struct cm_net *from,
                      const struct cm_train_options *o, const struct cm_train_callbacks *callbacks)
{
    for (size_t t = 0; t < from->table.n; t++) {
        const struct cm_param *a = &from->table.p[t], *b = cm_params_find(&to->table, a->name);
        if (b && memcmp(a->shape, b->shape, sizeof a->shape) != 0)
            cm_train_warn(callbacks, "%s: tensor %s has another shape there and begins anew",
                          cm_train_named(o->start_path, "the model"), a->name);
        else if (b && b->group != CM_GROUP_SCALE)
            memcpy(to->w + b->offset, from->w + a->offset, a->n * sizeof *to->w);
    }
}
