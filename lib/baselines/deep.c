/* baselines/deep.c - the encoder class deep: perceptrons of any depth on a cell's LSI components,
 * from random weights; the competition's second and third matched cells so.
 *
 *   a = components, scaled; h_0 = drop(a); h_l = drop(f(h_l-1 w_l + b_l)); R = h w + b
 *
 * Layers are few and wide: a group of 64 cells goes through all of them, matrix product by matrix
 * product.  Kept for the backward pass: inputs after dropout, and what goes into each activation.
 * Weights start as PyTorch's Linear has them, U(+-1/sqrt(inputs)).
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "network/encoder.h"

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

static size_t inputs_of(const struct deep *m, size_t l) { return l ? m->hidden[l - 1] : m->in; }
static size_t outputs_of(const struct deep *m, size_t l)
{
    return l < m->layers ? m->hidden[l] : m->q;
}

static int deep_make(struct cm_encoder *e, const struct cm_net_config *c,
                     const struct cm_slot *slot, const struct cm_linear *linear, size_t side,
                     struct cm_params *t, const char *prefix)
{
    const struct cm_deep_side *o = &c->deep.side[side];
    if (linear->k == 0 || linear->cells == 0)
        return cm_fail(CM_EINPUT, "an encoder deep needs the linear part");
    if (o->dropout.n != o->hidden.n)
        return cm_fail(CM_EINPUT, "slot %s: %zu hidden layers, %zu rates of dropout", slot->name,
                       o->hidden.n, o->dropout.n);
    struct deep *m = CM_ZNEW(1, struct deep);
    m->k = linear->k;
    m->in = (size_t)o->in < m->k ? (size_t)o->in : m->k;
    m->layers = o->hidden.n;
    m->q = (size_t)c->deep.q;
    m->drop_in = c->deep.dropout_in;
    m->act = c->deep.act == CM_DEEP_GELU ? CM_ACT_GELU : CM_ACT_ELU;
    m->zscore = c->deep.input == CM_DEEP_ZSCORE;
    for (size_t l = 0; l < m->layers; l++) {
        m->hidden[l] = (size_t)o->hidden.v[l];
        m->drop[l] = o->dropout.v[l];
    }
    const double *sd = linear->side[side].s;
    m->scale = CM_ZNEW(m->in, cm_real);
    for (size_t i = 0; i < m->in; i++)
        if (sd[i] > 1e-6 * sd[0])
            m->scale[i] = (cm_real)(sqrt((double)linear->cells) / sd[i]);
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
    size_t max = m->in;
    for (size_t l = 0; l < m->layers; l++)
        max = m->hidden[l] > max ? m->hidden[l] : max;
    return max;
}

static size_t deep_scratch(const struct cm_encoder *e, size_t B) { return 3 * B * widest(e->self); }

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

static void deep_forward(const struct cm_encoder *e, cm_real *out, const struct cm_pass *p)
{
    const struct deep *m = e->self;
    const cm_real *params = p->params;
    size_t B = p->B;
    cm_real *in = p->cache, *next = in + B * m->in;
    struct cm_dropout d = cm_dropout_at(p->drop, m->drop_in, SITE_IN);
    for (size_t i = 0; i < B; i++)
        scaled(m, p->cell[i].z, in + i * m->in);
    cm_dropout_forward(in, in, B, m->in, &d);
    for (size_t l = 0; l < m->layers; l++) {
        size_t n = m->hidden[l];
        cm_real *pre = next, *act = pre + B * n;
        cm_linear_forward(pre, in, params + m->w[l], params + m->b[l], B, inputs_of(m, l), n);
        cm_act_forward(act, pre, B * n, m->act, 0);
        d = cm_dropout_at(p->drop, m->drop[l], SITE_IN + 1 + l);
        cm_dropout_forward(act, act, B, n, &d);
        in = act;
        next = act + B * n;
    }
    cm_linear_forward(out, in, params + m->w[m->layers], params + m->b[m->layers], B,
                      inputs_of(m, m->layers), m->q);
}

static void deep_backward(const struct cm_encoder *e, cm_real *dparams, const cm_real *dout,
                          const cm_real *dtokens, const struct cm_pass *p)
{
    (void)dtokens;
    const struct deep *m = e->self;
    const cm_real *params = p->params, *next = p->cache;
    const cm_real *pre[CM_DEEP_LAYERS], *in[CM_DEEP_LAYERS + 1];
    size_t B = p->B;
    in[0] = next;
    next += B * m->in;
    for (size_t l = 0; l < m->layers; l++) {
        pre[l] = next;
        in[l + 1] = next + B * m->hidden[l];
        next = in[l + 1] + B * m->hidden[l];
    }
    size_t max = B * widest(m);
    cm_real *dact = p->scratch, *dmask = dact + max, *dpre = dmask + max;
    const cm_real *d = dout;
    for (size_t l = m->layers + 1; l-- > 0;) {
        size_t n = l ? B * m->hidden[l - 1] : 0;
        memset(dact, 0, n * sizeof *dact);
        cm_linear_backward(l ? dact : NULL, dparams + m->w[l], dparams + m->b[l], d, in[l],
                           params + m->w[l], B, inputs_of(m, l), outputs_of(m, l));
        if (!l)
            break;
        struct cm_dropout mask = cm_dropout_at(p->drop, m->drop[l - 1], SITE_IN + l);
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

const struct cm_encoder_class cm_encoder_deep = {.name = "deep",
                                                 .make = deep_make,
                                                 .init = deep_init,
                                                 .cache = deep_cache,
                                                 .scratch = deep_scratch,
                                                 .forward = deep_forward,
                                                 .backward = deep_backward,
                                                 .free = deep_free};
