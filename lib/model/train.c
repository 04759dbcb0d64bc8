/* model/train.c - the steps that presets share.
 *
 * Every number that the model depends on is in its head afterwards, as used (k and q may have been
 * lowered to what the data allow); what cannot change a result is not.  The decision rule is tuned
 * by match/rules.h on the validation cells, inside batches where `batch --within` was asked for.
 */
#include "model/train.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/rng.h"
#include "match/rules.h"
#include "matrix/blas.h"
#include "model/scorer.h"
#include "model/tokens.h"

static void say_step(const struct cm_train_voice *v, const char *name)
{
    if (v && v->step)
        v->step(v->arg, name);
}

static void say_warn(const struct cm_train_voice *v, const char *format, ...) CM_PRINTF(2, 3);
static void say_warn(const struct cm_train_voice *v, const char *format, ...)
{
    char text[CM_MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (v && v->warn)
        v->warn(v->arg, text);
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* The cells on which the rule is tuned and trained weights are judged. */
struct sample {
    struct cm_csr x[2];
    uint32_t *group;
    size_t n;
};

/* ===== the shared start =================================================================== */

/* k and q as the data allow. */
static void sizes(const struct cm_train_data *d, const struct cm_train_options *o, size_t *k,
                  size_t *q)
{
    const struct cm_csr *x = d->part[0].x;
    *k = least(least(o->k, x[0].rows), least(x[0].cols, x[1].cols));
    *q = least(o->q, *k);
}

static int fit_cis(struct cm_model *m, const struct cm_train_data *d,
                   const struct cm_train_options *o, float *const z[2],
                   const struct cm_train_voice *voice)
{
    int gene = cm_head_find_slot(&m->head, "GEX"), peak = cm_head_find_slot(&m->head, "ATAC");
    if (gene < 0 || peak < 0) {
        say_warn(voice, "no peak-gene term: it needs the slots GEX and ATAC");
        return 0;
    }
    const struct cm_train_part *p = &d->part[0];
    struct cm_cis_options c = o->cis_options;
    c.components = least(c.components, m->linear.k);
    c.seed = o->seed;
    int code = cm_cis_fit(&m->cis, &c, &p->x[gene], &p->x[peak], z[gene], z[peak], m->linear.k,
                          m->linear.side[gene].mean, m->linear.side[peak].mean,
                          &m->head.slot[gene].cols, &m->head.slot[peak].cols, p->group, d->groups);
    if (code == 0)
        say_warn(voice, "no peak-gene term: %s", cm_error_message());
    m->has_cis = code > 0;
    return code < 0 ? code : 0;
}

/* What came of it is in links.*; a term that could not be bettered stays as it was. */
static int learn_links(struct cm_model *m, const struct cm_train_data *d,
                       const struct cm_train_options *o, float *const z[2], const struct sample *v)
{
    int gene = cm_head_find_slot(&m->head, "GEX"), peak = cm_head_find_slot(&m->head, "ATAC");
    const struct cm_train_part *p = &d->part[0];
    struct cm_cis_options c = o->cis_options;
    struct cm_link_options how = o->link_options;
    c.components = m->cis.r;
    c.seed = how.seed = o->seed;
    struct cm_link_data data = {.x = {&p->x[gene], &p->x[peak]},
                                .v = {&v->x[gene], &v->x[peak]},
                                .table = {&m->head.slot[gene].cols, &m->head.slot[peak].cols},
                                .linear = &m->linear,
                                .side = {(size_t)gene, (size_t)peak},
                                .z = {z[gene], z[peak]},
                                .group = p->group,
                                .valid_group = v->group,
                                .groups = d->groups,
                                .scale = o->scale,
                                .ridge = o->ridge};
    struct cm_link_report r;
    int code = cm_link_learn(&m->cis, &c, &how, &data, &r);
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

/* ===== hyper-parameters =================================================================== */

/* What a preset's middle depends on.  Numbers in `value`, words in `word`. */
struct hyper {
    const char *key, *word;
    double value;
};

/* The loop, as `best` has it. */
static const struct hyper loop[] = {
    {"hp.residual", NULL, 1},       {"hp.loss", "nce", 0},        {"hp.negatives", "hardest", 0},
    {"hp.margin", NULL, .2},        {"hp.scale", NULL, 20},       {"hp.scale.max", NULL, 200},
    {"hp.lr", NULL, 1e-3},          {"hp.lr.linear", NULL, 0},    {"hp.lr.scale", NULL, 1e-2},
    {"hp.weight.decay", NULL, .01}, {"hp.beta1", NULL, .9},       {"hp.beta2", NULL, .98},
    {"hp.warmup", NULL, 5},         {"hp.schedule", "cosine", 0}, {"hp.average", NULL, .98},
    {"hp.valid.every", NULL, 3},    {"hp.patience", NULL, 0},     {NULL, NULL, 0}};
static const struct hyper best[] = {{"hp.encoder", "mlp", 0},        {"hp.mlp.hidden", NULL, 256},
                                    {"hp.mlp.dropout.in", NULL, .3}, {"hp.mlp.dropout", NULL, .5},
                                    {"hp.mlp.init", NULL, .1},       {NULL, NULL, 0}};
static const struct hyper attn[] = {
    {"hp.encoder", "tokens", 0}, {"hp.lr", NULL, 2e-3}, {NULL, NULL, 0}};

/* From random weights, by plain Adam at a constant rate.  The loss is that of S; hp.margin and
 * hp.negatives of a loss on S0 alone are there for those who add one. */
static const struct hyper paper[] = {{"hp.residual", NULL, 0},
                                     {"hp.encoder", "tokens", 0},
                                     {"hp.loss", "none", 0},
                                     {"hp.lr", NULL, 1e-3},
                                     {"hp.weight.decay", NULL, 0},
                                     {"hp.beta2", NULL, .999},
                                     {"hp.warmup", NULL, 0},
                                     {"hp.average", NULL, 0},
                                     {"hp.schedule", "constant", 0},
                                     {"hp.valid.every", NULL, 1},
                                     {NULL, NULL, 0}};
static const struct hyper authors[] = {{"hp.lr", NULL, 2e-5},
                                       {"hp.margin", NULL, .5},
                                       {"hp.negatives", "random-semihard", 0},
                                       {NULL, NULL, 0}};

static const struct {
    const char *name;
    const struct hyper *hyper, *more;
    enum cm_tokens_preset tokens;
    bool has_tokens, has_cross;
} presets[] = {{.name = "linear"},
               {.name = "best", .hyper = best},
               {.name = "attn", .hyper = attn, .tokens = CM_TOKENS_ATTN, .has_tokens = true},
               {"paper", paper, NULL, CM_TOKENS_PAPER, true, true},
               {"authors", paper, authors, CM_TOKENS_AUTHORS, true, true}};

static void set_all(struct cm_kv *hp, const struct hyper *h)
{
    for (; h->key; h++)
        if (h->word)
            cm_kv_set(hp, h->key, h->word);
        else
            cm_kv_setf(hp, h->key, h->value);
}

/* Keys without a slot's name are for any slot; those of GEX follow where they differ. */
static void put_tokens(struct cm_kv *hp, enum cm_tokens_preset preset)
{
    struct cm_tokens_options o;
    cm_tokens_preset(&o, preset, "ATAC", 0);
    cm_tokens_write(hp, NULL, &o);
    if (preset == CM_TOKENS_AUTHORS) {
        cm_tokens_preset(&o, preset, "GEX", 0);
        cm_tokens_write(hp, "GEX", &o);
    }
}

void cm_preset_hp(enum cm_preset preset, bool cross, struct cm_kv *hp)
{
    if (!presets[preset].hyper)
        return;
    set_all(hp, loop);
    set_all(hp, presets[preset].hyper);
    if (presets[preset].more)
        set_all(hp, presets[preset].more);
    if (presets[preset].has_tokens)
        put_tokens(hp, presets[preset].tokens);
    if (presets[preset].has_cross || (cross && presets[preset].has_tokens)) {
        struct cm_cross_options o;
        double lr = 0;
        cm_cross_preset(&o, presets[preset].tokens);
        cm_cross_write(hp, &o);
        if (cm_kv_f64(hp, "hp.lr", &lr) == 0)
            cm_kv_setf(hp, "hp.lr.cross", lr);
    }
}

double cm_preset_scale(enum cm_preset preset, const struct cm_head *pairs)
{
    bool ours = preset == CM_PRESET_BEST || preset == CM_PRESET_ATTN;
    return ours && cm_head_find_slot(pairs, "ADT") < 0 ? .6 : 0;
}

bool cm_preset_links(enum cm_preset preset)
{
    return preset == CM_PRESET_BEST || preset == CM_PRESET_ATTN;
}

bool cm_hp_linear(const struct cm_kv *hp)
{
    const char *residual = cm_kv_get(hp, "hp.residual");
    if (!residual || strcmp(residual, "0") != 0)
        return true;
    for (size_t i = 0; i < hp->key.n; i++) {
        const char *key = cm_strs_get(&hp->key, i), *last = strrchr(key, '.');
        if (strncmp(key, "hp.tokens.", 10) == 0 && strcmp(last, ".filters") == 0 &&
            strcmp(cm_strs_get(&hp->value, i), "loadings") == 0)
            return true;
    }
    return false;
}

static bool has_linear(const struct cm_train_options *o) { return !o->hp || cm_hp_linear(o->hp); }

static bool has_cis(const struct cm_train_options *o)
{
    const char *residual = o->hp ? cm_kv_get(o->hp, "hp.residual") : NULL;
    return o->cis && (!residual || strcmp(residual, "0") != 0);
}

int cm_train_options_read(struct cm_train_options *o, const struct cm_kv *kv)
{
    struct cm_cis_options *c = &o->cis_options;
    int64_t k = 0, q = 0, cis = 0, seed = 0, components = 1, linear = 1;
    int code = cm_kv_i64(kv, "hp.seed", &seed);
    if (!code && cm_kv_get(kv, "hp.linear"))
        code = cm_kv_i64(kv, "hp.linear", &linear);
    if (!code)
        o->seed = (uint64_t)seed;
    if (code || !linear)
        return code;
    code = cm_kv_i64(kv, "hp.k", &k);
    if (!code)
        code = cm_kv_i64(kv, "hp.q", &q);
    o->scale = 0; /* models from before there was such a thing */
    if (!code && cm_kv_get(kv, "hp.lsi.scale"))
        code = cm_kv_f64(kv, "hp.lsi.scale", &o->scale);
    if (!code)
        code = cm_kv_f64(kv, "hp.ridge", &o->ridge);
    if (!code)
        code = cm_kv_i64(kv, "hp.cis", &cis);
    if (!code && cis) {
        code = cm_kv_i64(kv, "hp.cis.components", &components);
        struct {
            const char *key;
            double *to;
        } real[] = {{"hp.cis.window", &c->window},
                    {"hp.cis.ridge", &c->ridge},
                    {"hp.cis.clip", &c->clip},
                    {"hp.cis.threshold", &c->threshold},
                    {"hp.cis.sd", &c->sd}};
        for (size_t i = 0; !code && i < sizeof real / sizeof *real; i++)
            code = cm_kv_f64(kv, real[i].key, real[i].to);
    }
    if (code)
        return code;
    if (k < 1 || q < 1 || q > k || components < 1)
        return cm_fail(CM_EINPUT, "hp.k, hp.q or hp.cis.components is out of range");
    o->k = (size_t)k;
    o->q = (size_t)q;
    o->cis = cis != 0;
    struct cm_link_options *l = &o->link_options;
    int64_t links = 0, folds = 2, hidden = 1, steps = 0;
    if (cm_kv_get(kv, "hp.links") && (code = cm_kv_i64(kv, "hp.links", &links)))
        return code;
    if (links) {
        code = cm_kv_f64(kv, "hp.links.window", &l->window);
        if (!code)
            code = cm_kv_i64(kv, "hp.links.folds", &folds);
        if (!code)
            code = cm_kv_i64(kv, "hp.links.hidden", &hidden);
        if (!code)
            code = cm_kv_i64(kv, "hp.links.steps", &steps);
        if (!code)
            code = cm_kv_f64(kv, "hp.links.lr", &l->lr);
        if (code)
            return code;
        if (folds < 2 || hidden < 1 || steps < 0)
            return cm_fail(CM_EINPUT, "hp.links.folds, .hidden or .steps is out of range");
        l->folds = (size_t)folds;
        l->hidden = (size_t)hidden;
        l->steps = (size_t)steps;
    }
    o->links = links != 0;
    c->components = (size_t)components;
    return 0;
}

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

/* `cells`: on how many the linear part was fitted. */
static void record(struct cm_model *m, const struct cm_train_data *d,
                   const struct cm_train_options *o, int64_t cells)
{
    struct cm_kv *kv = &m->head.kv;
    const struct cm_cis_options *c = &o->cis_options;
    bool linear = m->linear.k > 0, cis = has_cis(o);
    cm_kv_set(kv, "hp.preset", presets[o->preset].name);
    cm_kv_seti(kv, "hp.linear", linear);
    if (linear) {
        cm_kv_seti(kv, "hp.k", (int64_t)m->linear.k);
        cm_kv_seti(kv, "hp.q", (int64_t)m->linear.q);
        cm_kv_setf(kv, "hp.lsi.scale", o->scale);
        cm_kv_setf(kv, "hp.ridge", o->ridge);
    }
    cm_kv_seti(kv, "hp.cis", cis);
    if (cis) {
        cm_kv_setf(kv, "hp.cis.window", c->window);
        cm_kv_seti(kv, "hp.cis.components", (int64_t)least(c->components, m->linear.k));
        cm_kv_setf(kv, "hp.cis.ridge", c->ridge);
        cm_kv_setf(kv, "hp.cis.clip", c->clip);
        cm_kv_setf(kv, "hp.cis.threshold", c->threshold);
        cm_kv_setf(kv, "hp.cis.sd", c->sd);
    }
    if (cis) {
        const struct cm_link_options *l = &o->link_options;
        cm_kv_seti(kv, "hp.links", o->links);
        if (o->links) {
            cm_kv_setf(kv, "hp.links.window", l->window);
            cm_kv_seti(kv, "hp.links.folds", (int64_t)l->folds);
            cm_kv_seti(kv, "hp.links.hidden", (int64_t)l->hidden);
            cm_kv_seti(kv, "hp.links.steps", (int64_t)l->steps);
            cm_kv_setf(kv, "hp.links.lr", l->lr);
        }
    }
    cm_kv_seti(kv, "hp.seed", (int64_t)o->seed);
    for (size_t i = 0; presets[o->preset].hyper && o->hp && i < o->hp->key.n; i++)
        cm_kv_set(kv, cm_strs_get(&o->hp->key, i), cm_strs_get(&o->hp->value, i));
    if (presets[o->preset].hyper && cm_kv_get(&d->head.kv, "batch.size"))
        cm_kv_set(kv, "hp.batch", cm_kv_get(&d->head.kv, "batch.size"));
    if (cm_kv_get(&d->head.kv, "batch.within"))
        cm_kv_set(kv, "hp.within", cm_kv_get(&d->head.kv, "batch.within"));
    for (size_t s = 0; s < 2; s++) {
        char key[CM_MAX_NAME];
        snprintf(key, sizeof key, "features.%s", m->head.slot[s].name);
        set_hash(kv, key, cm_cols_hash(&m->head.slot[s].cols));
    }
    cm_kv_seti(kv, "train.cells", (int64_t)d->part[0].names.n);
    if (linear)
        cm_kv_seti(kv, "linear.cells", cells);
    if (presets[o->preset].hyper)
        set_hash(kv, "train.names", cells_hash(d));
    cm_kv_seti(kv, "cis.candidates", (int64_t)(m->has_cis ? m->cis.candidates : 0));
    cm_kv_seti(kv, "cis.pairs", (int64_t)(m->has_cis ? m->cis.pairs : 0));
    cm_kv_seti(kv, "cis.genes", (int64_t)(m->has_cis ? m->cis.gene.n : 0));
    cm_kv_seti(kv, "cis.peaks", (int64_t)(m->has_cis ? m->cis.peak.n : 0));
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
                      const struct cm_train_options *o, int64_t *cells, float *const z[2])
{
    struct cm_model *from = o->start;
    int code = check_start(d, o);
    if (code)
        return code;
    const struct cm_kv *kv = &from->head.kv;
    if (!has_linear(o))
        return 0;
    if (from->linear.k == 0)
        return cm_fail(CM_EINPUT, "%s: has no linear part, and preset %s begins with one",
                       named(o->start_path, "the model"), presets[o->preset].name);
    if ((code =
             cm_kv_i64(kv, cm_kv_get(kv, "linear.cells") ? "linear.cells" : "train.cells", cells)))
        return code;
    m->linear = from->linear;
    memset(&from->linear, 0, sizeof from->linear);
    if (has_cis(o)) {
        m->cis = from->cis;
        m->has_cis = from->has_cis;
        memset(&from->cis, 0, sizeof from->cis);
        from->has_cis = false;
        for (size_t i = 0; i < kv->key.n; i++) /* how its weights came about */
            if (strncmp(cm_strs_get(&kv->key, i), "links.", 6) == 0)
                cm_kv_set(&m->head.kv, cm_strs_get(&kv->key, i), cm_strs_get(&kv->value, i));
    }
    for (size_t s = 0; s < 2; s++)
        cm_linear_z(&m->linear, s, &d->part[0].x[s], z[s]);
    return 0;
}

/* Tensors of the same name and shape; the factor of the loss begins anew, as hp.scale says. */
static void copy_tensors(struct cm_net *to, const struct cm_net *from,
                         const struct cm_train_options *o, const struct cm_train_voice *voice)
{
    for (size_t t = 0; t < from->table.n; t++) {
        const struct cm_param *a = &from->table.p[t], *b = cm_params_find(&to->table, a->name);
        if (b && memcmp(a->shape, b->shape, sizeof a->shape) != 0)
            say_warn(voice, "%s: tensor %s has another shape there and begins anew",
                     named(o->start_path, "the model"), a->name);
        else if (b && b->offset != to->scale)
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

static struct sample valid_sample(const struct cm_train_data *d, uint64_t seed, size_t most)
{
    const struct cm_train_part *v = &d->part[1];
    size_t all = v->names.n;
    struct sample s = {.n = least(all, most)};
    uint64_t *at = CM_NEW(uint64_t, all);
    for (size_t i = 0; i < all; i++)
        at[i] = i;
    if (s.n < all) {
        struct cm_rng rng = cm_rng_make(seed, CM_RNG_SAMPLE, 1, 0);
        cm_rng_shuffle(&rng, at, all);
    }
    for (size_t side = 0; side < 2; side++)
        s.x[side] = cm_csr_rows(&v->x[side], at, s.n);
    s.group = v->group ? CM_NEW(uint32_t, s.n) : NULL;
    for (size_t i = 0; s.group && i < s.n; i++)
        s.group[i] = v->group[at[i]];
    cm_free(at);
    return s;
}

static void sample_free(struct sample *s)
{
    cm_csr_free(&s->x[0]);
    cm_csr_free(&s->x[1]);
    cm_free(s->group);
}

static int tune(struct cm_model *m, const struct sample *v, const struct cm_train_voice *voice)
{
    struct cm_kv *kv = &m->head.kv;
    size_t n = v->n;
    cm_kv_seti(kv, "valid.cells", (int64_t)n);
    if (n == 0) {
        struct cm_rule rule = {CM_RULE_DUAL, CM_RULE_TEMPERATURE, false};
        cm_rule_write(kv, &rule);
        say_warn(voice,
                 "no validation cells: the decision rule is the default, %s at temperature %g",
                 cm_rule_name(rule.method), rule.temperature);
        return 0;
    }
    float *s = CM_NEW(float, n *n);
    const struct cm_csr *const both[2] = {&v->x[0], &v->x[1]};
    cm_model_similarities(m, both, s);
    int code = m->has_net && m->net.has_cross
                   ? cm_scorer_all(&m->net, m->net.w, both, v->group, m->net.cross.o.top, s)
                   : 0;
    if (code) {
        cm_free(s);
        return code;
    }

    struct cm_rule_tuning t;
    cm_rule_tune(s, n, n, v->group, &t);
    cm_rule_write(kv, &t.rule);
    cm_kv_setf(kv, "rule.calibrated", t.calibrated);
    double soft = 0, dual = 0, top5, chance;
    for (size_t k = 0; k < CM_RULE_GRID; k++) {
        if (t.soft_at[CM_RULE_SOFTMAX][k] > soft)
            soft = t.soft_at[CM_RULE_SOFTMAX][k];
        if (cm_rule_grid[k] == t.rule.temperature)
            dual = t.dual_at[k];
    }
    cm_fit_ranks(s, n, v->group, &top5, &chance);
    cm_kv_setf(kv, "valid.chance", chance);
    cm_kv_setf(kv, "valid.soft", soft);
    cm_kv_setf(kv, "valid.dual", dual);
    cm_kv_setf(kv, "valid.argmax", t.argmax);
    cm_kv_setf(kv, "valid.top5", top5);
    cm_free(s);
    return 0;
}

/* ===== the middle ========================================================================= */

static int train_net(struct cm_model *m, const struct cm_train_data *d,
                     const struct cm_train_options *o, float *const z[2], const struct sample *v,
                     const struct cm_train_voice *voice)
{
    if (d->blocks)
        return cm_fail(CM_EINPUT,
                       "%s: a mini-batch has cells of its own; this version trains on the cells of "
                       "the data pass only",
                       named(o->data_path, "the pairs"));
    if (d->picks.n == 0 && !o->state)
        return cm_fail(CM_EINPUT,
                       "%s: there are no mini-batches, and preset %s needs them: batch --epochs N",
                       named(o->data_path, "the pairs"), presets[o->preset].name);
    int code = cm_net_make(&m->net, &m->head, &m->linear);
    if (code)
        return code;
    m->has_net = true;
    if (o->state && !cm_net_same(&m->net, &o->start->net))
        return cm_fail(CM_EINPUT,
                       "%s: the network of these cells has other tensors than that of %s (other "
                       "coordinates?)",
                       named(o->data_path, "the pairs"), named(o->start_path, "the checkpoint"));
    double scale;
    if ((code = cm_kv_f64(&m->head.kv, "hp.scale", &scale)))
        return code;
    cm_net_init(&m->net, &m->linear, scale, o->seed);
    if (o->start && o->start->has_net)
        copy_tensors(&m->net, &o->start->net, o, voice);

    struct cm_fit_data data = {.x = {&d->part[0].x[0], &d->part[0].x[1]},
                               .z = {m->linear.k ? z[0] : NULL, m->linear.k ? z[1] : NULL},
                               .picks = &d->picks,
                               .valid = {&v->x[0], &v->x[1]},
                               .group = v->group,
                               .keep = o->keep};
    struct cm_fit_state fresh = {0}, *state = o->state ? o->state : &fresh;
    struct cm_fit_voice quiet = {0};
    bool stopped;
    if (voice && voice->memory)
        code = voice->memory(voice->arg, cm_fit_bytes(m, &data));
    if (!code)
        code = cm_fit(m, &data, state, voice ? &voice->fit : &quiet, &stopped);
    code = code == CM_EINPUT ? cm_fail_in(code, named(o->data_path, "the pairs")) : code;
    if (!code) {
        struct cm_kv *kv = &m->head.kv;
        cm_kv_seti(kv, "train.steps", (int64_t)state->step);
        cm_kv_setf(kv, "train.loss", state->loss);
        if (state->best_score >= 0)
            cm_kv_seti(kv, "train.best.epoch", state->best_epoch);
        if (stopped)
            cm_kv_seti(kv, "train.stopped", 1);
        say_step(voice, "network");
    }
    cm_fit_state_free(&fresh);
    return code;
}

/* ===== public ============================================================================= */

int cm_train(struct cm_model *m, const struct cm_train_data *d, const struct cm_train_options *o,
             const struct cm_train_voice *voice)
{
    memset(m, 0, sizeof *m);
    m->head.kind = CM_MODEL;
    for (size_t s = 0; s < 2; s++) {
        struct cm_slot *slot = cm_head_add_slot(&m->head, d->head.slot[s].name);
        cm_slot_copy(slot, &d->head.slot[s]);
        slot->rows = 0;
    }
    const struct cm_csr *const x[2] = {&d->part[0].x[0], &d->part[0].x[1]};
    size_t k, q, n = x[0]->rows;
    bool linear = has_linear(o);
    sizes(d, o, &k, &q);
    if (n < 2 || k == 0)
        return cm_fail(
            CM_EINPUT,
            "%zu training cell%s, %zu and %zu columns: at least 2 cells and 1 column are "
            "needed",
            n, n == 1 ? "" : "s", x[0]->cols, x[1]->cols);
    if (k < o->k && linear && !o->start)
        say_warn(voice, "%zu components in place of %zu: there are %zu cells, %zu and %zu columns",
                 k, o->k, n, x[0]->cols, x[1]->cols);
    if (q < o->q && linear && !o->start)
        say_warn(voice, "embedding width %zu in place of %zu: there are %zu components", q, o->q,
                 k);

    int64_t cells = (int64_t)n;
    if (o->start) {
        k = o->start->linear.k;
        q = o->start->linear.q;
    }
    k = linear ? k : 0;
    int code = 0;
    float *z[2] = {CM_NEW(float, n *k), CM_NEW(float, n *k)};
    if (o->start)
        code = take_start(m, d, o, &cells, z);
    else if (linear)
        code = cm_linear_fit(&m->linear, x, k, q,
                             &(struct cm_linear_how){o->scale, o->ridge, o->seed}, z);
    for (size_t s = 0; code == 0 && linear && !o->start && s < 2; s++)
        if (m->linear.side[s].iterations > CM_SVD_ITERATIONS)
            say_warn(voice, "slot %s: the singular vectors had not settled after %d iterations",
                     m->head.slot[s].name, CM_SVD_ITERATIONS);
    if (linear)
        say_step(voice, "lsi and cca");
    if (code == 0 && has_cis(o) && !o->start) {
        code = fit_cis(m, d, o, z, voice);
        say_step(voice, "cis");
    }
    bool cross = o->hp && cm_cross_present(o->hp);
    struct sample v = valid_sample(d, o->seed, cross ? CM_VALID_CROSS : CM_VALID_CELLS);
    if (code == 0 && m->has_cis && o->links && !o->start) {
        code = learn_links(m, d, o, z, &v);
        say_step(voice, "links");
    }
    if (code == 0)
        record(m, d, o, cells);
    if (code == 0 && presets[o->preset].hyper)
        code = train_net(m, d, o, z, &v, voice);
    if (code == 0 && o->middle)
        code = o->middle(o->middle_arg, m, d, z);
    cm_free(z[0]);
    cm_free(z[1]);
    if (code == 0) {
        code = tune(m, &v, voice);
        say_step(voice, "rule");
    }
    sample_free(&v);
    return code;
}

uint64_t cm_train_bytes(const struct cm_train_data *d, const struct cm_train_options *o)
{
    const struct cm_csr *x = d->part[0].x;
    uint64_t n = x[0].rows, k = o->k, most = x[0].cols > x[1].cols ? x[0].cols : x[1].cols,
             v = least(d->part[1].names.n, CM_VALID_CELLS);
    if (!has_linear(o))
        return 8 * v * v;
    uint64_t components = 4 * k * (2 * n + x[0].cols + x[1].cols);
    uint64_t basis = 4 * k + 512; /* matrix/svd.h */
    uint64_t sketch =
        8 * (basis * (n < most ? n : most) + (32 + k) * (n + most) + 2 * basis * basis);
    /* The cis term: partial sums (bounded in cis.c), then both sides of a sample of cells. */
    bool with_cis = has_cis(o);
    uint64_t genes = with_cis ? (x[0].cols < x[1].cols ? x[0].cols : x[1].cols) : 0,
             sums = (uint64_t)256 << 20, sample = 8 * least(n, CM_CIS_SAMPLE) * genes,
             cis = with_cis ? (sums > sample ? sums : sample) : 0;
    uint64_t entries = x[0].ptr[n] + x[1].ptr[n],
             links = with_cis && o->links
                         ? cm_link_bytes(&o->link_options, n, entries, x[0].cols, x[1].cols)
                         : 0;
    return components + (sketch > cis ? sketch : cis) + links + 8 * v * (v + genes);
}
