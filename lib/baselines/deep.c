/* baselines/deep.c - the encoder class deep, its presets, and the way into the training loop.
 *
 *   a = components, scaled; h_0 = drop(a); h_l = drop(f(h_l-1 w_l + b_l)); R = h w + b
 *
 * Layers are few and wide: a group of 64 cells goes through all of them, matrix product by matrix
 * product.  Kept for the backward pass: inputs after dropout, and what goes into each activation.
 * Weights start as PyTorch's Linear has them, U(+-1/sqrt(inputs)).  A preset's numbers are those of
 * the published programs; what they leave open (the schedule of `small`) is as in preset best.
 */
#include "baselines/deep.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "train/train.h"

#define GROUP 64

enum { SITE_IN = 1 }; /* and SITE_IN + l behind hidden layer l = 1.. */

struct deep {
    size_t k, in, hidden[CM_DEEP_LAYERS], layers, q;
    double drop_in, drop[CM_DEEP_LAYERS];
    enum cm_activation act;
    bool zscore;
    size_t w[CM_DEEP_LAYERS + 1], b[CM_DEEP_LAYERS + 1]; /* the last: output */
    cm_real *scale; /* in: 1 / sd of a component, 0 where it does not vary */
};

/* ===== keys =============================================================================== */

/* Numbers "a,b,c" of hp.deep.SLOT.NAME; *n how many. */
static int read_list(const struct cm_kv *hp, const char *slot, const char *name, double low,
                     double high, double *to, size_t *n)
{
    char key[CM_MAX_NAME < 256 ? CM_MAX_NAME : 256], one[32];
    snprintf(key, sizeof key, "hp.deep.%.40s.%s", slot, name);
    const char *text = cm_kv_get(hp, key);
    if (!text)
        return cm_fail(CM_EINPUT, "%s is absent", key);
    for (*n = 0;; text++) {
        size_t length = strcspn(text, ",");
        if (*n == CM_DEEP_LAYERS)
            return cm_fail(CM_EINPUT, "%s: more than %d layers", key, CM_DEEP_LAYERS);
        snprintf(one, sizeof one, "%.*s", (int)(length < 31 ? length : 31), text);
        if (!cm_parse_f64(one, &to[*n]) || !(to[*n] >= low && to[*n] <= high))
            return cm_fail(CM_EINPUT, "%s: '%s' is not in %g..%g", key, one, low, high);
        ++*n;
        text += length;
        if (!*text)
            return 0;
    }
}

static int read_word(const struct cm_kv *hp, const char *key, const char *a, const char *b,
                     bool *second)
{
    const char *v = cm_kv_get(hp, key);
    *second = v && strcmp(v, b) == 0;
    if (v && (*second || strcmp(v, a) == 0))
        return 0;
    return cm_fail(CM_EINPUT, "%s '%s' is unknown to this version", key, v ? v : "");
}

static int read_keys(struct deep *m, const struct cm_kv *hp, const char *slot)
{
    double width[CM_DEEP_LAYERS], in[CM_DEEP_LAYERS];
    size_t rates = 0, inputs = 0;
    int64_t k = 0, q = 0;
    bool gelu = false;
    int code = cm_kv_i64(hp, "hp.k", &k);
    if (!code)
        code = cm_kv_i64(hp, "hp.deep.q", &q);
    if (!code)
        code = cm_kv_f64(hp, "hp.deep.dropout.in", &m->drop_in);
    if (!code)
        code = read_word(hp, "hp.deep.act", "elu", "gelu", &gelu);
    if (!code)
        code = read_word(hp, "hp.deep.input", "standard", "zscore", &m->zscore);
    if (!code)
        code = read_list(hp, slot, "in", 1, 1e6, in, &inputs);
    if (!code)
        code = read_list(hp, slot, "hidden", 1, 1e6, width, &m->layers);
    if (!code)
        code = read_list(hp, slot, "dropout", 0, .999, m->drop, &rates);
    if (code)
        return code;
    if (k < 1 || k > 1000000 || q < 1 || q > 1000000 || !(m->drop_in >= 0 && m->drop_in < 1))
        return cm_fail(CM_EINPUT, "hp.k, hp.deep.q or hp.deep.dropout.in is out of range");
    if (rates != m->layers || inputs != 1)
        return cm_fail(CM_EINPUT, "slot %s: %zu hidden layers, %zu rates of dropout", slot,
                       m->layers, rates);
    m->k = (size_t)k;
    m->q = (size_t)q;
    m->in = (size_t)in[0] < m->k ? (size_t)in[0] : m->k;
    m->act = gelu ? CM_ACT_GELU : CM_ACT_ELU;
    for (size_t l = 0; l < m->layers; l++)
        m->hidden[l] = (size_t)width[l];
    return 0;
}

/* ===== the class ========================================================================== */

static size_t inputs_of(const struct deep *m, size_t l) { return l ? m->hidden[l - 1] : m->in; }
static size_t outputs_of(const struct deep *m, size_t l)
{
    return l < m->layers ? m->hidden[l] : m->q;
}

static int deep_make(struct cm_encoder *e, const struct cm_kv *hp, const struct cm_slot *slot,
                     const struct cm_linear_side *linear, struct cm_params *t, const char *prefix)
{
    struct deep *m = CM_ZNEW(struct deep, 1);
    int64_t cells = 0;
    int code = linear ? read_keys(m, hp, slot->name)
                      : cm_fail(CM_EINPUT, "an encoder deep needs the linear part");
    if (!code)
        code = cm_kv_i64(hp, "linear.cells", &cells);
    if (!code && cells < 1)
        code = cm_fail(CM_EINPUT, "linear.cells is out of range");
    if (code) {
        cm_free(m);
        return code;
    }
    m->scale = CM_ZNEW(cm_real, m->in);
    for (size_t c = 0; c < m->in; c++)
        if (linear->s[c] > 1e-6 * linear->s[0])
            m->scale[c] = (cm_real)(sqrt((double)cells) / linear->s[c]);
    for (size_t l = 0; l <= m->layers; l++) {
        char name[16];
        snprintf(name, sizeof name, "w%zu", l + 1);
        m->w[l] = cm_params_add(t, prefix, name, inputs_of(m, l), outputs_of(m, l), 0);
        snprintf(name, sizeof name, "b%zu", l + 1);
        m->b[l] = cm_params_add(t, prefix, name, outputs_of(m, l), 0, 0);
    }
    e->of = &cm_encoder_deep;
    e->q = m->q;
    e->group = GROUP;
    e->self = m;
    return 0;
}

static void deep_init(const struct cm_encoder *e, cm_real *params,
                      const struct cm_linear_side *linear, uint64_t seed, uint32_t side)
{
    (void)linear;
    const struct deep *m = e->self;
    for (uint32_t l = 0; l <= m->layers; l++) {
        double bound = 1 / sqrt((double)inputs_of(m, l));
        cm_init_uniform(params + m->w[l], inputs_of(m, l) * outputs_of(m, l), bound,
                        cm_rng_make(seed, CM_RNG_INIT, side, 32 + 2 * l));
        cm_init_uniform(params + m->b[l], outputs_of(m, l), bound,
                        cm_rng_make(seed, CM_RNG_INIT, side, 33 + 2 * l));
    }
}

/* Input after its dropout (B x in); of each hidden layer: before and after f and dropout. */
static size_t deep_cache(const struct cm_encoder *e, size_t B)
{
    const struct deep *m = e->self;
    size_t n = m->in;
    for (size_t l = 0; l < m->layers; l++)
        n += 2 * m->hidden[l];
    return B * n;
}

static size_t widest(const struct deep *m)
{
    size_t most = m->in;
    for (size_t l = 0; l < m->layers; l++)
        most = m->hidden[l] > most ? m->hidden[l] : most;
    return most;
}

static size_t deep_scratch(const struct cm_encoder *e, size_t B) { return 3 * B * widest(e->self); }

static struct cm_dropout at_site(const struct cm_dropout *drop, double rate, size_t site)
{
    struct cm_dropout d = {0};
    if (drop)
        d = *drop;
    d.rate = drop ? rate : 0;
    d.site = (uint32_t)site;
    return d;
}

/* a (in) of one cell: its components by their sd, or standardised over themselves (ddof 1). */
static void scaled(const struct deep *m, const float *z, cm_real *a)
{
    double mean = 0, var = 0;
    for (size_t c = 0; m->zscore && c < m->in; c++)
        mean += (double)z[c] / (double)m->in;
    for (size_t c = 0; m->zscore && c < m->in; c++)
        var += ((double)z[c] - mean) * ((double)z[c] - mean);
    double sd = m->in > 1 ? sqrt(var / (double)(m->in - 1)) : 0;
    for (size_t c = 0; c < m->in; c++)
        a[c] = !m->zscore   ? (cm_real)z[c] * m->scale[c]
               : sd > 1e-12 ? (cm_real)(((double)z[c] - mean) / sd)
                            : 0;
}

static void deep_forward(const struct cm_encoder *e, cm_real *out, cm_real *cache,
                         const struct cm_cell *cell, size_t B, const cm_real *params,
                         const struct cm_dropout *drop, cm_real *scratch)
{
    (void)scratch;
    const struct deep *m = e->self;
    cm_real *in = cache, *next = cache + B * m->in;
    struct cm_dropout d = at_site(drop, m->drop_in, SITE_IN);
    for (size_t i = 0; i < B; i++)
        scaled(m, cell[i].z, in + i * m->in);
    cm_dropout_forward(in, in, B, m->in, &d);
    for (size_t l = 0; l < m->layers; l++) {
        size_t n = m->hidden[l];
        cm_real *pre = next, *act = pre + B * n;
        cm_linear_forward(pre, in, params + m->w[l], params + m->b[l], B, inputs_of(m, l), n);
        cm_act_forward(act, pre, B * n, m->act, 0);
        d = at_site(drop, m->drop[l], SITE_IN + 1 + l);
        cm_dropout_forward(act, act, B, n, &d);
        in = act;
        next = act + B * n;
    }
    cm_linear_forward(out, in, params + m->w[m->layers], params + m->b[m->layers], B,
                      inputs_of(m, m->layers), m->q);
}

static void deep_backward(const struct cm_encoder *e, cm_real *dparams, const cm_real *dout,
                          const cm_real *cache, const struct cm_cell *cell, size_t B,
                          const cm_real *params, const struct cm_dropout *drop, cm_real *scratch)
{
    (void)cell;
    const struct deep *m = e->self;
    const cm_real *pre[CM_DEEP_LAYERS], *in[CM_DEEP_LAYERS + 1], *next = cache + B * m->in;
    in[0] = cache;
    for (size_t l = 0; l < m->layers; l++) {
        pre[l] = next;
        in[l + 1] = next + B * m->hidden[l];
        next = in[l + 1] + B * m->hidden[l];
    }
    size_t most = B * widest(m);
    cm_real *dact = scratch, *dmask = dact + most, *dpre = dmask + most;
    const cm_real *d = dout;
    for (size_t l = m->layers + 1; l-- > 0;) {
        size_t n = l ? B * m->hidden[l - 1] : 0;
        memset(dact, 0, n * sizeof *dact);
        cm_linear_backward(l ? dact : NULL, dparams + m->w[l], dparams + m->b[l], d, in[l],
                           params + m->w[l], B, inputs_of(m, l), outputs_of(m, l));
        if (!l)
            break;
        struct cm_dropout mask = at_site(drop, m->drop[l - 1], SITE_IN + l);
        memset(dmask, 0, n * sizeof *dmask);
        cm_dropout_backward(dmask, dact, B, m->hidden[l - 1], &mask);
        memset(dpre, 0, n * sizeof *dpre);
        cm_act_backward(dpre, dmask, pre[l - 1], n, m->act, 0);
        d = dpre;
    }
}

static void deep_free(struct cm_encoder *e)
{
    struct deep *m = e->self;
    if (m)
        cm_free(m->scale);
    cm_free(m);
    e->self = NULL;
}

const struct cm_encoder_class cm_encoder_deep = {
    "deep", deep_make, deep_init, deep_cache, deep_scratch, deep_forward, deep_backward, deep_free,
};

/* ===== presets ============================================================================ */

struct numbers {
    const char *in, *hidden, *dropout;
};

static const struct {
    size_t k;
    const char *q, *act, *input, *dropout_in, *schedule;
    struct numbers gex, other;
    double lr, decay, scale, scale_max, warmup, average, patience, valid_every, b2;
} presets[] = {{40,
                "64",
                "gelu",
                "standard",
                "0.3",
                "cosine",
                {"40", "512", "0.1"},
                {"40", "512", "0.1"},
                1e-3,
                .1,
                20,
                200,
                5,
                .98,
                0,
                3,
                .98},
               {512,
                "256",
                "elu",
                "zscore",
                "0",
                "constant",
                {"64", "1024,1024", "0.542,0.397"},
                {"512", "2048", "0.661"},
                5.85e-4,
                0,
                21.4344,
                1e4,
                0,
                0,
                150,
                1,
                .999},
               {256,
                "128",
                "elu",
                "zscore",
                "0",
                "constant",
                {"192", "2048,1024", "0.34,0.47"},
                {"256", "2048", "0.67"},
                6e-4,
                1.25e-4,
                15.487,
                1e4,
                0,
                0,
                150,
                1,
                .999}};

void cm_deep_preset_hp(enum cm_deep_preset preset, const char *const slot[2], struct cm_kv *hp,
                       size_t *k)
{
    static const char *const names[] = {"small", "novel", "matchclot"};
    char key[80];
    *k = presets[preset].k;
    const struct {
        const char *key, *word;
        double value;
    } all[] = {{"hp.preset", names[preset], 0},
               {"hp.encoder", "deep", 0},
               {"hp.residual", "0", 0},
               {"hp.deep.q", presets[preset].q, 0},
               {"hp.deep.act", presets[preset].act, 0},
               {"hp.deep.input", presets[preset].input, 0},
               {"hp.deep.dropout.in", presets[preset].dropout_in, 0},
               {"hp.loss", "nce", 0},
               {"hp.negatives", "hardest", 0},
               {"hp.margin", NULL, .2},
               {"hp.scale", NULL, presets[preset].scale},
               {"hp.scale.max", NULL, presets[preset].scale_max},
               {"hp.lr", NULL, presets[preset].lr},
               {"hp.lr.linear", "0", 0},
               {"hp.lr.scale", NULL, preset == CM_DEEP_SMALL ? 1e-2 : presets[preset].lr},
               {"hp.weight.decay", NULL, presets[preset].decay},
               {"hp.beta1", NULL, .9},
               {"hp.beta2", NULL, presets[preset].b2},
               {"hp.warmup", NULL, presets[preset].warmup},
               {"hp.schedule", presets[preset].schedule, 0},
               {"hp.average", NULL, presets[preset].average},
               {"hp.valid.every", NULL, presets[preset].valid_every},
               {"hp.patience", NULL, presets[preset].patience}};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++)
        if (all[i].word)
            cm_kv_set(hp, all[i].key, all[i].word);
        else
            cm_kv_setf(hp, all[i].key, all[i].value);
    for (size_t s = 0; s < 2; s++) {
        bool gex = strcmp(cm_slot_alias(slot[s]), "GEX") == 0;
        const struct numbers *n = gex ? &presets[preset].gex : &presets[preset].other;
        const char *const part[3][2] = {
            {"in", n->in}, {"hidden", n->hidden}, {"dropout", n->dropout}};
        for (size_t i = 0; i < 3; i++) {
            snprintf(key, sizeof key, "hp.deep.%.40s.%s", slot[s], part[i][0]);
            cm_kv_set(hp, key, part[i][1]);
        }
    }
}

/* ===== training =========================================================================== */

static void write_keys(struct cm_model *m, const struct cm_train_data *d, const struct cm_kv *hp)
{
    struct cm_kv *kv = &m->head.kv;
    for (size_t i = 0; i < hp->key.n; i++)
        cm_kv_set(kv, cm_strs_get(&hp->key, i), cm_strs_get(&hp->value, i));
    if (cm_kv_get(&d->head.kv, "batch.size"))
        cm_kv_set(kv, "hp.batch", cm_kv_get(&d->head.kv, "batch.size"));
}

/* Validation cells, at most CM_VALID_CELLS of them. */
static void take_valid(const struct cm_train_data *d, uint64_t seed, struct cm_csr x[2],
                       uint32_t **group)
{
    const struct cm_train_part *v = &d->part[1];
    size_t all = v->names.n, n = all < CM_VALID_CELLS ? all : CM_VALID_CELLS;
    uint64_t *at = CM_NEW(uint64_t, all);
    for (size_t i = 0; i < all; i++)
        at[i] = i;
    if (n < all) {
        struct cm_rng rng = cm_rng_make(seed, CM_RNG_SAMPLE, 1, 0);
        cm_rng_shuffle(&rng, at, all);
    }
    for (size_t s = 0; s < 2; s++)
        x[s] = cm_csr_rows(&v->x[s], at, n);
    *group = v->group ? CM_NEW(uint32_t, n) : NULL;
    for (size_t i = 0; *group && i < n; i++)
        (*group)[i] = v->group[at[i]];
    cm_free(at);
}

int cm_deep_fit(struct cm_model *m, const struct cm_train_data *d, float *const z[2],
                const struct cm_kv *hp, struct cm_fit_state *s, uint64_t keep,
                int (*memory)(uint64_t bytes), const struct cm_fit_voice *voice)
{
    if (d->blocks)
        return cm_fail(CM_EINPUT, "a mini-batch has cells of its own; this trainer knows the cells "
                                  "of the data pass only");
    if (d->picks.n == 0 && !s->w)
        return cm_fail(CM_EINPUT, "there are no mini-batches: batch --epochs N");
    write_keys(m, d, hp);
    struct cm_kv *kv = &m->head.kv;
    double scale;
    int64_t seed;
    int code = cm_net_make(&m->net, &m->head, &m->linear);
    if (code)
        return code;
    m->has_net = true;
    if ((code = cm_kv_f64(kv, "hp.scale", &scale)) || (code = cm_kv_i64(kv, "hp.seed", &seed)))
        return code;
    cm_net_init(&m->net, &m->linear, scale, (uint64_t)seed);
    struct cm_csr valid[2];
    uint32_t *group;
    take_valid(d, (uint64_t)seed, valid, &group);
    struct cm_fit_data data = {.x = {&d->part[0].x[0], &d->part[0].x[1]},
                               .z = {z[0], z[1]},
                               .picks = &d->picks,
                               .valid = {&valid[0], &valid[1]},
                               .group = group,
                               .keep = keep};
    bool stopped = false;
    code = memory ? memory(cm_fit_bytes(m, &data)) : 0;
    if (!code)
        code = cm_fit(m, &data, s, voice, &stopped);
    if (!code) {
        cm_kv_seti(kv, "train.steps", (int64_t)s->step);
        cm_kv_setf(kv, "train.loss", s->loss);
        if (s->best_score >= 0)
            cm_kv_seti(kv, "train.best.epoch", s->best_epoch);
        if (stopped)
            cm_kv_seti(kv, "train.stopped", 1);
    }
    cm_csr_free(&valid[0]);
    cm_csr_free(&valid[1]);
    cm_free(group);
    return code;
}
