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
    struct cm_clue_encoder *c = CM_ZNEW(1, struct cm_clue_encoder);
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

static void class_forward(const struct cm_encoder *e, cm_real *out, const struct cm_pass *pass)
{
    const struct cm_clue_encoder *c = e->self;
    const cm_real *w = pass->params;
    size_t B = pass->B, h = c->layer[0][0].out;
    cm_real *a = pass->scratch, *x = a + B * c->in, *y = x + B * h, *mu = y + B * h;
    CM_ASSERT(!pass->drop);
    for (size_t i = 0; i < B; i++)
        for (size_t k = 0; k < c->in; k++)
            a[i * c->in + k] = (cm_real)pass->cell[i].z[k] * w[c->scale + k];
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
                           const cm_real *dtokens, const struct cm_pass *p)
{
    (void)e, (void)dparams, (void)dout, (void)dtokens, (void)p;
    cm_panic(70, "an encoder clue is not trained by itself");
}

static void class_free(struct cm_encoder *e)
{
    cm_free(e->self);
    e->self = NULL;
}

const struct cm_encoder_class cm_encoder_clue = {.name = "clue",
                                                 .make = class_make,
                                                 .init = class_init,
                                                 .cache = class_cache,
                                                 .scratch = class_scratch,
                                                 .forward = class_forward,
                                                 .backward = class_backward,
                                                 .free = class_free};
