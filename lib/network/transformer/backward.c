/* network/transformer/backward.c - forward.c read upwards. */
#include "network/transformer/internal.h"

#include <string.h>

static void pool_backward(const struct step *s, size_t chroms, size_t F, cm_real *din,
                          const cm_real *dout, const uint32_t *which)
{
    for (size_t c = 0; c < chroms; c++) {
        size_t from = s->in.from[c], to = s->out.from[c], n = s->out.from[c + 1] - to;
        if (n)
            cm_maxpool_backward(din + from * F, dout + to * F, which + to * F, n, F);
    }
}

/* dx (L x F2): the gradient of what came out of the last pool of cell b. */
static void cell_backward(const struct tokens *k, const struct offsets *at, cm_real *dparams,
                          const cm_real *dx, const struct cm_pass *p, size_t b, cm_real *scratch)
{
    const struct cm_transformer_config *o = &k->o;
    const struct cm_cell *c = &p->cell[b];
    const cm_real *cache = p->cache, *params = p->params;
    size_t n1 = k->L1 * k->F1, n1p = k->L1p * k->F1, n2 = k->L2 * k->F2;
    enum cm_activation act = o->act;
    cm_real *val = scratch, *d1 = val + k->widest, *d1a = d1 + n1, *d1p = d1a + n1;
    cm_real *d2 = d1p + n1p, *d2a = d2 + n2, *work = d2a + n2;
    const cm_real *dout = dx;
    memset(d1, 0, (size_t)((char *)work - (char *)d1));
    if (k->pool2.K) {
        pool_backward(&k->pool2, k->chroms, k->F2, k->conv2.K ? d2 : d1p, dout,
                      choices(cache, at->which2, k->L * k->F2, b));
        dout = k->conv2.K ? d2 : d1p;
    }
    if (k->conv2.K) {
        const struct step *s = &k->conv2;
        const cm_real *in = cache + at->pool1 + b * n1p;
        cm_act_backward(d2a, dout, cache + at->conv2 + b * n2, n2, act, o->slope);
        for (size_t i = 0; i < k->chroms; i++)
            if (s->out.from[i + 1] > s->out.from[i])
                cm_conv_backward(k->trained ? d1p + s->in.from[i] * k->F1 : NULL,
                                 dparams + k->filter2, dparams + k->bias2,
                                 d2a + s->out.from[i] * k->F2, in + s->in.from[i] * k->F1,
                                 params + k->filter2, s->in.from[i + 1] - s->in.from[i], k->F1,
                                 k->F2, s->K, s->S, s->Z, work);
        dout = d1p;
    }
    if (!k->trained)
        return;
    if (k->pool.K) {
        pool_backward(&k->pool, k->chroms, k->F1, d1, dout, choices(cache, at->which1, n1p, b));
        dout = d1;
    }
    cm_act_backward(d1a, dout, cache + at->conv1 + b * n1, n1, act, o->slope);
    if (k->base)
        for (size_t i = 0; i < n1; i++)
            d1a[i] *= (cm_real)o->slow;
    cm_sparse_conv_backward(dparams + k->filter, dparams + k->bias, d1a, c->idx,
                            cm_tokens_values(k, p, b, val), c->n, k->base != NULL, &k->windows,
                            k->F1);
}

void cm_tokens_backward(const struct cm_encoder *e, cm_real *dparams, const cm_real *dout,
                        const cm_real *dtokens, const struct cm_pass *p)
{
    const struct tokens *k = self_of(e);
    const cm_real *cache = p->cache, *params = p->params;
    cm_real *scratch = p->scratch;
    size_t B = p->B;
    struct offsets at = cm_tokens_offsets(k, B);
    size_t N = B * k->L, LP = N * k->P, bytes = LP * sizeof *scratch;
    cm_real *dtok = scratch, *dv = dtok + LP, *du = dv + LP, *dread = du + LP;
    cm_real *dx = dread + B * k->readout, *rest = dx + N * k->F2;
    if (dtokens)
        memcpy(dtok, dtokens, bytes);
    else
        memset(dtok, 0, bytes);
    if (dout) {
        const cm_real *read = cache + at.read;
        if (k->o.out) {
            memset(dread, 0, B * k->readout * sizeof *dread);
            cm_linear_backward(dread, dparams + k->w, dparams + k->b, dout, read, params + k->w, B,
                               k->readout, k->q);
        } else {
            memcpy(dread, dout, B * k->q * sizeof *dread);
        }
        struct cm_dropout d = cm_tokens_drop(k, p->drop, k->o.readout_dropout, SITE_READOUT, 0);
        cm_dropout_forward(dread, dread, B, k->readout, &d); /* its own transpose */
        const cm_real *top = dread;
        if (k->o.readout == CM_READOUT_MEAN) {
            memset(dv, 0, bytes);
            cm_pool_backward(dv, dread, CM_POOL_MEAN, B, k->L, k->P, 0, k->L);
            top = dv;
        }
        if (k->o.last_norm) {
            memset(du, 0, bytes);
            cm_layernorm_backward(du, dparams + k->gain, dparams + k->norm_bias, top,
                                  cache + at.stat, cache + at.u, params + k->gain, N, k->P);
            top = du;
        }
        cm_unit_backward(dtok, dparams, top, cache + at.unit, cache + at.tokens, params, &k->unit,
                         B, p->drop, rest);
    }
    if (k->o.position > 0)
        cm_position_backward(NULL, dparams + k->at, dtok, B, k->L, k->P);
    if (!k->below)
        return;
    const cm_real *down = dtok;
    if (k->o.p) {
        memset(dx, 0, N * k->F2 * sizeof *dx);
        cm_linear_backward(dx, dparams + k->fc, dparams + k->fc_bias, dtok, cache + at.pool2,
                           params + k->fc, N, k->F2, k->P);
        down = dx;
    }
    if (k->trained || k->conv2.K)
        for (size_t b = 0; b < B; b++)
            cell_backward(k, &at, dparams, down + b * k->L * k->F2, p, b, rest);
}
