/* network/transformer/forward.c - a group of cells through the encoder, in the order of
 * internal.h. */
#include "network/transformer/internal.h"

#include <string.h>

struct cm_dropout cm_tokens_drop(const struct tokens *k, const struct cm_dropout *drop, double rate,
                                 uint32_t site, size_t b)
{
    struct cm_dropout d = cm_dropout_at(drop, rate, k->site + site);
    d.row += (uint32_t)b;
    return d;
}

const float *cm_tokens_values(const struct tokens *k, const struct cm_pass *p, size_t b,
                              cm_real *work)
{
    const struct cm_cell *c = &p->cell[b];
    struct cm_dropout d = cm_tokens_drop(k, p->drop, k->o.feature_dropout, SITE_FEATURES, b);
    if (d.rate <= 0)
        return c->val;
    float *out = (float *)(void *)work;
    cm_dropout_sparse(out, c->val, c->idx, c->n, &d);
    return out;
}

static void first_layer(const struct tokens *k, cm_real *out, const struct cm_cell *c,
                        const float *val, const cm_real *params, cm_real *work)
{
    const struct cm_windows *w = &k->windows;
    if (!k->base) {
        cm_sparse_conv_forward(out, c->idx, val, c->n, params + k->filter, params + k->bias, false,
                               w, k->F1);
    } else {
        cm_sparse_conv_forward(out, c->idx, val, c->n, k->base, k->base_bias, true, w, k->F1);
        if (k->trained) {
            cm_real slow = (cm_real)k->o.slow;
            cm_sparse_conv_forward(work, c->idx, val, c->n, params + k->filter, params + k->bias,
                                   true, w, k->F1);
            for (size_t i = 0; i < k->L1 * k->F1; i++)
                out[i] += slow * work[i];
        }
    }
    cm_act_forward(out, out, k->L1 * k->F1, k->o.act, k->o.slope);
}

static void pool_forward(const struct step *s, size_t chroms, size_t F, cm_real *out,
                         uint32_t *which, const cm_real *in)
{
    for (size_t c = 0; c < chroms; c++) {
        size_t from = s->in.from[c], to = s->out.from[c];
        if (s->out.from[c + 1] > to)
            cm_maxpool_forward(out + to * F, which + to * F, in + from * F,
                               s->in.from[c + 1] - from, F, s->K, s->S);
    }
}

static void cell_tokens(const struct tokens *k, const struct offsets *at, const struct cm_pass *p,
                        size_t b)
{
    const struct cm_transformer_config *o = &k->o;
    const cm_real *params = p->params;
    cm_real *cache = p->cache, *work = p->scratch + k->widest;
    cm_real *in = cache + at->conv1 + b * k->L1 * k->F1;
    first_layer(k, in, &p->cell[b], cm_tokens_values(k, p, b, p->scratch), params, work);
    if (k->pool.K) {
        cm_real *out = cache + at->pool1 + b * k->L1p * k->F1;
        pool_forward(&k->pool, k->chroms, k->F1, out, choices(cache, at->which1, k->L1p * k->F1, b),
                     in);
        in = out;
    }
    if (k->conv2.K) {
        cm_real *out = cache + at->conv2 + b * k->L2 * k->F2;
        const struct step *s = &k->conv2;
        for (size_t i = 0; i < k->chroms; i++)
            if (s->out.from[i + 1] > s->out.from[i])
                cm_conv_forward(out + s->out.from[i] * k->F2, in + s->in.from[i] * k->F1,
                                params + k->filter2, params + k->bias2,
                                s->in.from[i + 1] - s->in.from[i], k->F1, k->F2, s->K, s->S, s->Z,
                                work);
        cm_act_forward(out, out, k->L2 * k->F2, o->act, o->slope);
        in = out;
    }
    if (k->pool2.K)
        pool_forward(&k->pool2, k->chroms, k->F2, cache + at->pool2 + b * k->L * k->F2,
                     choices(cache, at->which2, k->L * k->F2, b), in);
}

static void only_tokens(const struct tokens *k, const struct offsets *at, const struct cm_pass *p)
{
    const cm_real *params = p->params, *in = p->cache + at->pool2;
    cm_real *tokens = p->cache + at->tokens;
    size_t B = p->B;
    for (size_t b = 0; b < B; b++)
        cell_tokens(k, at, p, b);
    if (k->o.p)
        cm_linear_forward(tokens, in, params + k->fc, params + k->fc_bias, B * k->L, k->F2, k->P);
    else
        memcpy(tokens, in, B * k->L * k->P * sizeof *tokens);
    if (k->o.position > 0)
        cm_position_forward(tokens, tokens, params + k->at, B, k->L, k->P);
}

void cm_tokens_forward_only(const struct cm_encoder *e, const struct cm_pass *p)
{
    const struct tokens *k = self_of(e);
    struct offsets at = cm_tokens_offsets(k, p->B);
    only_tokens(k, &at, p);
}

void cm_tokens_forward(const struct cm_encoder *e, cm_real *out, const struct cm_pass *p)
{
    const struct tokens *k = self_of(e);
    struct offsets at = cm_tokens_offsets(k, p->B);
    const cm_real *params = p->params;
    cm_real *cache = p->cache;
    size_t B = p->B;
    only_tokens(k, &at, p);
    cm_real *u = cache + at.u, *v = cache + at.v, *read = cache + at.read;
    cm_unit_forward(u, cache + at.unit, cache + at.tokens, params, &k->unit, B, p->drop,
                    p->scratch);
    if (k->o.last_norm)
        cm_layernorm_forward(v, cache + at.stat, u, params + k->gain, params + k->norm_bias,
                             B * k->L, k->P);
    if (k->o.readout == CM_READOUT_MEAN)
        cm_pool_forward(read, v, CM_POOL_MEAN, B, k->L, k->P, 0, k->L);
    else
        memcpy(read, v, B * k->readout * sizeof *read);
    struct cm_dropout d = cm_tokens_drop(k, p->drop, k->o.readout_dropout, SITE_READOUT, 0);
    cm_dropout_forward(read, read, B, k->readout, &d);
    if (k->o.out)
        cm_linear_forward(out, read, params + k->w, params + k->b, B, k->readout, k->q);
    else
        memcpy(out, read, B * k->q * sizeof *out);
}
