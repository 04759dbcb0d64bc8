/* baselines/clue_encoder.c - the encoders of the autoencoder as a class, to apply.
 *
 * Encoders read the components of the linear part and use running statistics: a cell's vector
 * depends on the cell alone.  The class is never trained by train/loop.c.
 */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "baselines/clue.h"

static int class_make(struct cm_encoder *e, const struct cm_net_config *config,
                      const struct cm_slot *slot, const struct cm_linear *linear, size_t side,
                      struct cm_params *t, const char *prefix)
{
    (void)slot, (void)side;
    const struct cm_clue_config *o = &config->clue;
    if (linear->k == 0)
        return cm_fail(CM_EINPUT, "an encoder clue needs the linear part");
    struct cm_clue_encoder *c = CM_ZNEW(struct cm_clue_encoder, 1);
    cm_clue_declare_encoder(c, t, prefix, o, linear->k);
    e->of = &cm_encoder_clue;
    e->q = 2 * (size_t)o->latent;
    e->group = 1;
    e->self = c;
    return 0;
}

static void class_init(const struct cm_encoder *e, cm_real *params,
                       const struct cm_linear_side *linear, uint64_t seed, uint32_t side)
{
    (void)e, (void)params, (void)linear, (void)seed, (void)side; /* cm_clue_init's part */
}

static size_t class_cache(const struct cm_encoder *e, size_t B) { return (void)e, B; }

static size_t class_scratch(const struct cm_encoder *e, size_t B)
{
    const struct cm_clue_encoder *c = e->self;
    return B * (c->in + 2 * c->layer[0][0].out + e->q);
}

static void class_forward(const struct cm_encoder *e, cm_real *out, cm_real *cache,
                          const struct cm_cell *cell, size_t B, const cm_real *w,
                          const struct cm_dropout *drop, cm_real *scratch)
{
    (void)cache;
    const struct cm_clue_encoder *c = e->self;
    size_t h = c->layer[0][0].out;
    cm_real *a = scratch, *x = a + B * c->in, *y = x + B * h, *mu = y + B * h;
    CM_ASSERT(!drop);
    for (size_t i = 0; i < B; i++)
        for (size_t k = 0; k < c->in; k++)
            a[i * c->in + k] = (cm_real)cell[i].z[k] * w[c->scale + k];
    for (size_t s = 0; s < 2; s++) {
        const cm_real *in = a;
        for (size_t l = 0; l < c->depth; l++) {
            const struct cm_clue_layer *p = &c->layer[s][l];
            cm_linear_forward(x, in, w + p->w, w + p->b, B, p->in, h);
            cm_act_forward(x, x, B * h, CM_ACT_LEAKY, CM_CLUE_SLOPE);
            cm_batchnorm_apply(y, x, w + p->gain, w + p->bias, w + p->mean, w + p->var, B, h);
            in = y;
        }
        cm_linear_forward(mu, in, w + c->mu_w[s], w + c->mu_b[s], B, h, c->latent[s]);
        cm_clue_put_columns(out, e->q, s ? c->latent[0] : 0, mu, B, c->latent[s]);
    }
}

static void class_backward(const struct cm_encoder *e, cm_real *dparams, const cm_real *dout,
                           const cm_real *cache, const struct cm_cell *cell, size_t B,
                           const cm_real *params, const struct cm_dropout *drop, cm_real *scratch)
{
    (void)e, (void)dparams, (void)dout, (void)cache, (void)cell, (void)B, (void)params, (void)drop;
    (void)scratch;
    cm_panic(70, "an encoder clue is not trained by itself");
}

static void class_free(struct cm_encoder *e)
{
    cm_free(e->self);
    e->self = NULL;
}

const struct cm_encoder_class cm_encoder_clue = {
    "clue",        class_make,    class_init,     class_cache,
    class_scratch, class_forward, class_backward, class_free,
};
