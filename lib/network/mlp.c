/* network/mlp.c - the encoder of preset `best`: a small perceptron on a cell's LSI components.
 *
 *   a = drop_in(z / sd)   h = GELU(a w1 + b1)   R = drop(h) w2 + b2
 *
 * With a thousand training cells a network from random weights stays far below the linear
 * model, but a small correction of that model can be learnt.  Hence one hidden layer on the
 * standardised components, whose output starts near zero: w1 is U(+-1/sqrt k), w2 is
 * N(0, (init / sqrt hidden)^2), so that R is about a tenth of a unit vector, not 0 (from 0 nothing
 * is learnt), and both dropouts are strong.  sd_c = s_c / sqrt(cells), from the singular values and
 * the number of cells that the linear part was fitted on, both in the model; the components have
 * mean 0 by construction.  Rejected: batch norm (a cell's vector would depend on its batch).
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "network/encoder.h"

#define GROUP 64 /* cells that share a matrix product: 64 x 256 floats stay in cache */

enum { SITE_IN = 1, SITE_HIDDEN };

struct mlp {
    struct cm_mlp_config o;
    size_t k, hidden, q;
    size_t w1, b1, w2, b2; /* offsets in the arena */
    cm_real *scale;        /* k: 1 / sd, 0 for a component that does not vary */
};

static int mlp_make(struct cm_encoder *e, const struct cm_net_config *c, const struct cm_slot *slot,
                    const struct cm_linear *linear, size_t side, struct cm_params *t,
                    const char *prefix)
{
    (void)slot;
    if (linear->k == 0 || linear->cells == 0)
        return cm_fail(CM_EINPUT, "an mlp encoder needs the linear start");
    struct mlp *m = CM_NEW(1, struct mlp);
    const double *sd = linear->side[side].s;
    *m = (struct mlp){.o = c->mlp, .k = linear->k, .hidden = (size_t)c->mlp.hidden, .q = linear->q};
    m->scale = CM_ZNEW(m->k, cm_real);
    for (size_t i = 0; i < m->k; i++)
        if (sd[i] > 1e-6 * sd[0])
            m->scale[i] = (cm_real)(sqrt((double)linear->cells) / sd[i]);
    m->w1 = cm_params_add(t, prefix, "w1", m->k, m->hidden, 0);
    m->b1 = cm_params_add(t, prefix, "b1", m->hidden, 0, 0);
    m->w2 = cm_params_add(t, prefix, "w2", m->hidden, m->q, 0);
    m->b2 = cm_params_add(t, prefix, "b2", m->q, 0, 0);
    e->of = &cm_encoder_mlp;
    e->q = m->q;
    e->group = GROUP;
    e->self = m;
    return 0;
}

static void mlp_init(const struct cm_encoder *e, cm_real *params,
                     const struct cm_linear_side *linear, uint64_t seed, uint32_t side)
{
    (void)linear;
    const struct mlp *m = e->self;
    cm_init_uniform(params + m->w1, m->k * m->hidden, 1 / sqrt((double)m->k),
                    cm_rng_make(seed, CM_RNG_INIT, side, 1));
    cm_init_constant(params + m->b1, m->hidden, 0);
    cm_init_normal(params + m->w2, m->hidden * m->q, m->o.init / sqrt((double)m->hidden),
                   cm_rng_make(seed, CM_RNG_INIT, side, 2));
    cm_init_constant(params + m->b2, m->q, 0);
}

/* Kept: the input after its dropout (B x k), a w1 + b1 (B x hidden), drop(GELU) (B x hidden). */
static size_t mlp_cache(const struct cm_encoder *e, size_t B)
{
    const struct mlp *m = e->self;
    return B * (m->k + 2 * m->hidden);
}

static size_t mlp_scratch(const struct cm_encoder *e, size_t B)
{
    const struct mlp *m = e->self;
    return 2 * B * m->hidden;
}

static void mlp_forward(const struct cm_encoder *e, cm_real *out, const struct cm_pass *p)
{
    const struct mlp *m = e->self;
    size_t B = p->B, k = m->k, hidden = m->hidden;
    const cm_real *params = p->params;
    cm_real *a = p->cache, *pre = a + B * k, *act = pre + B * hidden;
    for (size_t i = 0; i < B; i++)
        for (size_t c = 0; c < k; c++)
            a[i * k + c] = (cm_real)p->cell[i].z[c] * m->scale[c];
    struct cm_dropout d = cm_dropout_at(p->drop, m->o.dropout_in, SITE_IN);
    cm_dropout_forward(a, a, B, k, &d);
    cm_linear_forward(pre, a, params + m->w1, params + m->b1, B, k, hidden);
    cm_act_forward(act, pre, B * hidden, CM_ACT_GELU, 0);
    d = cm_dropout_at(p->drop, m->o.dropout, SITE_HIDDEN);
    cm_dropout_forward(act, act, B, hidden, &d);
    cm_linear_forward(out, act, params + m->w2, params + m->b2, B, hidden, m->q);
}

static void mlp_backward(const struct cm_encoder *e, cm_real *dparams, const cm_real *dout,
                         const cm_real *dtokens, const struct cm_pass *p)
{
    (void)dtokens;
    const struct mlp *m = e->self;
    size_t B = p->B, k = m->k, n = B * m->hidden;
    const cm_real *params = p->params, *a = p->cache, *pre = a + B * k, *act = pre + n;
    cm_real *dact = p->scratch, *dpre = dact + n;
    memset(dact, 0, 2 * n * sizeof *dact);
    cm_linear_backward(dact, dparams + m->w2, dparams + m->b2, dout, act, params + m->w2, B,
                       m->hidden, m->q);
    struct cm_dropout d = cm_dropout_at(p->drop, m->o.dropout, SITE_HIDDEN);
    cm_dropout_forward(dact, dact, B, m->hidden, &d); /* its own transpose */
    cm_act_backward(dpre, dact, pre, n, CM_ACT_GELU, 0);
    cm_linear_backward(NULL, dparams + m->w1, dparams + m->b1, dpre, a, params + m->w1, B, k,
                       m->hidden);
}

static void mlp_free(struct cm_encoder *e)
{
    struct mlp *m = e->self;
    if (m)
        cm_free(m->scale);
    cm_free(m);
    e->self = NULL;
}

const struct cm_encoder_class cm_encoder_mlp = {.name = "mlp",
                                                .make = mlp_make,
                                                .init = mlp_init,
                                                .cache = mlp_cache,
                                                .scratch = mlp_scratch,
                                                .forward = mlp_forward,
                                                .backward = mlp_backward,
                                                .free = mlp_free};
