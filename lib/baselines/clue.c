/* baselines/clue.c - layout, forward and backward of the cross-linked autoencoder.
 *
 * Four encoders (modality x subspace) and four decodings (modality x code) are independent, and
 * each is one shard of the pool: whole mini-batches go through a shard, because batch norm needs
 * all their cells, and parallelism inside a matrix product of 128 rows would not pay.  The two
 * decodings of a modality share parameters, so the crossed one adds its gradients to an arena of
 * its own.  Decoder activations live inside the shard that makes and uses them.
 */
#include "baselines/clue.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"

#define SD_FLOOR 1e-7

/* Dropout sites: of encoder layers, decodings, modalities of the discriminator. */
enum { SITE_ENCODER = 1, SITE_DECODER = 64, SITE_DISCRIMINATOR = 72 };

/* ===== layout ============================================================================= */

static void declare_layer(struct cm_clue_layer *l, struct cm_params *t, const char *prefix,
                          const char *tag, size_t in, size_t out)
{
    const struct {
        const char *name;
        size_t *at, d0, d1;
    } part[] = {{"w", &l->w, in, out},      {"b", &l->b, out, 0},       {"gain", &l->gain, out, 0},
                {"bias", &l->bias, out, 0}, {"mean", &l->mean, out, 0}, {"var", &l->var, out, 0}};
    char name[24];
    l->in = in;
    l->out = out;
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        snprintf(name, sizeof name, "%s.%s", tag, part[i].name);
        *part[i].at = cm_params_add(t, prefix, name, part[i].d0, part[i].d1, 0);
    }
}

void cm_clue_declare_encoder(struct cm_clue_encoder *e, struct cm_params *t, const char *prefix,
                             const struct cm_clue_config *o, size_t in)
{
    char name[24];
    size_t hidden = (size_t)o->hidden, latent = (size_t)o->latent;
    *e = (struct cm_clue_encoder){.in = in, .depth = (size_t)o->depth, .rate = o->dropout};
    e->scale = cm_params_add(t, prefix, "scale", in, 0, 0);
    for (size_t s = 0; s < 2; s++) {
        e->latent[s] = latent;
        for (size_t l = 0; l < e->depth; l++) {
            snprintf(name, sizeof name, "%zu.%zu", s, l);
            declare_layer(&e->layer[s][l], t, prefix, name, l ? hidden : in, hidden);
        }
        snprintf(name, sizeof name, "%zu.mu.w", s);
        e->mu_w[s] = cm_params_add(t, prefix, name, hidden, latent, 0);
        snprintf(name, sizeof name, "%zu.mu.b", s);
        e->mu_b[s] = cm_params_add(t, prefix, name, latent, 0, 0);
        snprintf(name, sizeof name, "%zu.sd.w", s);
        e->sd_w[s] = cm_params_add(t, prefix, name, hidden, latent, 0);
        snprintf(name, sizeof name, "%zu.sd.b", s);
        e->sd_b[s] = cm_params_add(t, prefix, name, latent, 0, 0);
    }
}

void cm_clue_make(struct cm_clue *c, const struct cm_clue_config *o, const char *const slot[2],
                  size_t in, const size_t d[2], size_t batches)
{
    char prefix[CM_PARAM_NAME];
    size_t discriminator = (size_t)o->discriminator;
    CM_ASSERT(o->depth >= 1 && o->depth <= CM_CLUE_DEPTH);
    *c = (struct cm_clue){.o = *o, .in = in, .q = 2 * (size_t)o->latent, .batches = batches};
    c->table.p = CM_ZNEW(CM_NET_TENSORS, struct cm_param);
    c->table.capacity = CM_NET_TENSORS;
    for (size_t m = 0; m < 2; m++) {
        snprintf(prefix, sizeof prefix, "%s.r", slot[m]);
        cm_clue_declare_encoder(&c->encoder[m], &c->table, prefix, o, in);
    }
    for (size_t m = 0; m < 2; m++) {
        struct cm_clue_decoder *e = &c->decoder[m];
        snprintf(prefix, sizeof prefix, "%s.d", slot[m]);
        e->d = d[m];
        declare_layer(&e->layer, &c->table, prefix, "0", c->q + batches, (size_t)o->decoder);
        e->w = cm_params_add(&c->table, prefix, "w", (size_t)o->decoder, d[m], 0);
        e->b = cm_params_add(&c->table, prefix, "b", d[m], 0, 0);
        e->log_theta = cm_params_add(&c->table, prefix, "theta", d[m], 0, 0);
    }
    c->first_discriminator = c->table.n;
    c->disc_w1 = cm_params_add(&c->table, "judge", "w1", c->q + batches, discriminator, 0);
    c->disc_b1 = cm_params_add(&c->table, "judge", "b1", discriminator, 0, 0);
    c->disc_w2 = cm_params_add(&c->table, "judge", "w2", discriminator, 2, 0);
    c->disc_b2 = cm_params_add(&c->table, "judge", "b2", 2, 0, 0);
    CM_ASSERT(c->table.n <= c->table.capacity);
}

void cm_clue_free(struct cm_clue *c)
{
    cm_free(c->table.p);
    memset(c, 0, sizeof *c);
}

/* ===== first values ======================================================================= */

static void init_linear(cm_real *w, size_t at_w, size_t at_b, size_t in, size_t out, uint64_t seed,
                        uint32_t a, uint32_t b)
{
    double bound = 1 / sqrt((double)in);
    cm_init_uniform(w + at_w, in * out, bound, cm_rng_make(seed, CM_RNG_INIT, a, 2 * b));
    cm_init_uniform(w + at_b, out, bound, cm_rng_make(seed, CM_RNG_INIT, a, 2 * b + 1));
}

static void init_layer(cm_real *w, const struct cm_clue_layer *l, uint64_t seed, uint32_t a,
                       uint32_t b)
{
    init_linear(w, l->w, l->b, l->in, l->out, seed, a, b);
    cm_init_constant(w + l->gain, l->out, 1);
    cm_init_constant(w + l->var, l->out, 1);
}

void cm_clue_init(const struct cm_clue *c, cm_real *w, const cm_real *const scale[2], uint64_t seed)
{
    size_t hidden = (size_t)c->o.hidden;
    memset(w, 0, c->table.size * sizeof *w);
    for (uint32_t m = 0; m < 2; m++) {
        const struct cm_clue_encoder *e = &c->encoder[m];
        memcpy(w + e->scale, scale[m], c->in * sizeof *w);
        for (uint32_t s = 0; s < 2; s++) {
            for (uint32_t l = 0; l < e->depth; l++)
                init_layer(w, &e->layer[s][l], seed, m, 16 * s + l);
            init_linear(w, e->mu_w[s], e->mu_b[s], hidden, e->latent[s], seed, m, 16 * s + 8);
            init_linear(w, e->sd_w[s], e->sd_b[s], hidden, e->latent[s], seed, m, 16 * s + 9);
        }
        const struct cm_clue_decoder *d = &c->decoder[m];
        init_layer(w, &d->layer, seed, 2 + m, 0);
        init_linear(w, d->w, d->b, d->layer.out, d->d, seed, 2 + m, 1);
    }
    init_linear(w, c->disc_w1, c->disc_b1, c->q + c->batches, (size_t)c->o.discriminator, seed, 4,
                0);
    init_linear(w, c->disc_w2, c->disc_b2, (size_t)c->o.discriminator, 2, seed, 4, 1);
}

/* ===== activations ======================================================================== */

void cm_clue_work_make(const struct cm_clue *c, struct cm_clue_work *x, size_t B)
{
    size_t h = (size_t)c->o.hidden;
    *x = (struct cm_clue_work){0};
    for (size_t m = 0; m < 2; m++) {
        x->a[m] = CM_NEW(B * c->in, cm_real);
        cm_real **const wide[] = {&x->mu[m], &x->sd[m],       &x->u[m],       &x->dmu[m],
                                  &x->du[m], &x->dcode[m][0], &x->dcode[m][1]};
        for (size_t i = 0; i < sizeof wide / sizeof *wide; i++)
            *wide[i] = CM_ZNEW(B * c->q, cm_real);
        for (size_t s = 0; s < 2; s++) {
            x->raw[m][s] = CM_NEW(B * (size_t)c->o.latent, cm_real);
            for (size_t l = 0; l < (size_t)c->o.depth; l++) {
                x->pre[m][s][l] = CM_NEW(B * h, cm_real);
                x->act[m][s][l] = CM_NEW(B * h, cm_real);
                x->hidden[m][s][l] = CM_NEW(B * h, cm_real);
                x->stat[m][s][l] = CM_NEW(3 * h, cm_real);
            }
        }
    }
}

void cm_clue_work_free(const struct cm_clue *c, struct cm_clue_work *x)
{
    for (size_t m = 0; m < 2; m++) {
        cm_free(x->a[m]);
        cm_free(x->mu[m]);
        cm_free(x->sd[m]);
        cm_free(x->u[m]);
        cm_free(x->dmu[m]);
        cm_free(x->du[m]);
        for (size_t s = 0; s < 2; s++) {
            cm_free(x->dcode[m][s]);
            cm_free(x->raw[m][s]);
            for (size_t l = 0; l < (size_t)c->o.depth; l++) {
                cm_free(x->pre[m][s][l]);
                cm_free(x->act[m][s][l]);
                cm_free(x->hidden[m][s][l]);
                cm_free(x->stat[m][s][l]);
            }
        }
    }
    *x = (struct cm_clue_work){0};
}

/* to (B rows, columns from..from+n-1 of q) = or += in (B x n), and the way back. */
void cm_clue_put_columns(cm_real *to, size_t q, size_t from, const cm_real *in, size_t B, size_t n)
{
    for (size_t i = 0; i < B; i++)
        memcpy(to + i * q + from, in + i * n, n * sizeof *to);
}

/* ===== one layer ========================================================================== */

/* B cells in a layer: before and after LeakyReLU, after batch norm and dropout. */
struct pass {
    size_t B;
    const cm_real *in;
    cm_real *pre, *act, *out, *stat;
    struct cm_dropout drop;
};

static void layer_forward(const struct cm_clue_layer *l, const cm_real *w, const struct pass *x)
{
    size_t B = x->B;
    cm_linear_forward(x->pre, x->in, w + l->w, w + l->b, B, l->in, l->out);
    cm_act_forward(x->act, x->pre, B * l->out, CM_ACT_LEAKY, CM_CLUE_SLOPE);
    cm_batchnorm_forward(x->out, x->stat, x->act, w + l->gain, w + l->bias, B, l->out);
    cm_dropout_forward(x->out, x->out, B, l->out, &x->drop);
}

/* din (B x in) may be NULL; spare: 3 B out numbers. */
static void layer_backward(const struct cm_clue_layer *l, const cm_real *w, cm_real *dw,
                           cm_real *din, const cm_real *dout, const struct pass *x, cm_real *spare)
{
    size_t B = x->B, n = B * l->out;
    cm_real *dnorm = spare, *dact = dnorm + n, *dpre = dact + n;
    memset(spare, 0, 3 * n * sizeof *spare);
    cm_dropout_backward(dnorm, dout, B, l->out, &x->drop);
    cm_batchnorm_backward(dact, dw + l->gain, dw + l->bias, dnorm, x->stat, x->act, w + l->gain, B,
                          l->out);
    cm_act_backward(dpre, dact, x->pre, n, CM_ACT_LEAKY, CM_CLUE_SLOPE);
    cm_linear_backward(din, dw + l->w, dw + l->b, dpre, x->in, w + l->w, B, l->in, l->out);
}

/* ===== encoders =========================================================================== */

struct job {
    const struct cm_clue *c;
    const cm_real *w;
    cm_real *dw, *other;
    const struct cm_clue_batch *b;
    struct cm_clue_work *x;
    double rebuilt[4]; /* R of decoding 2 m + c */
};

static size_t encoder_site(size_t m, size_t s, size_t l)
{
    return SITE_ENCODER + (2 * m + s) * CM_CLUE_DEPTH + l;
}

static struct pass encoder_pass(const struct job *j, size_t m, size_t s, size_t l)
{
    const struct cm_clue_work *x = j->x;
    return (struct pass){
        .B = j->b->B,
        .in = l ? x->hidden[m][s][l - 1] : x->a[m],
        .pre = x->pre[m][s][l],
        .act = x->act[m][s][l],
        .out = x->hidden[m][s][l],
        .stat = x->stat[m][s][l],
        .drop = cm_dropout_at(j->b->drop, j->c->encoder[m].rate, encoder_site(m, s, l))};
}

static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

static int encode_shard(void *arg, size_t item)
{
    const struct job *j = arg;
    size_t m = item / 2, s = item % 2, B = j->b->B, q = j->c->q;
    const struct cm_clue_encoder *e = &j->c->encoder[m];
    struct cm_clue_work *x = j->x;
    const cm_real *in, *w = j->w;
    for (size_t l = 0; l < e->depth; l++) {
        struct pass pass = encoder_pass(j, m, s, l);
        layer_forward(&e->layer[s][l], w, &pass);
    }
    in = x->hidden[m][s][e->depth - 1];
    size_t n = e->latent[s], from = s ? e->latent[0] : 0, h = (size_t)j->c->o.hidden;
    cm_real *mu = CM_NEW(B * n, cm_real), *raw = x->raw[m][s];
    cm_linear_forward(mu, in, w + e->mu_w[s], w + e->mu_b[s], B, h, n);
    cm_clue_put_columns(x->mu[m], q, from, mu, B, n);
    cm_linear_forward(raw, in, w + e->sd_w[s], w + e->sd_b[s], B, h, n);
    for (size_t i = 0; i < B; i++)
        for (size_t k = 0; k < n; k++) {
            size_t at = i * q + from + k;
            x->sd[m][at] = (cm_real)(softplus((double)raw[i * n + k]) + SD_FLOOR);
            x->u[m][at] = x->mu[m][at] + x->sd[m][at] * j->b->eps[m][at];
        }
    cm_free(mu);
    return 0;
}

void cm_clue_encode(const struct cm_clue *c, const cm_real *w, const struct cm_clue_batch *b,
                    struct cm_clue_work *x)
{
    CM_ASSERT(b->B >= 2);
    for (size_t m = 0; m < 2; m++) {
        const cm_real *scale = w + c->encoder[m].scale;
        for (size_t i = 0; i < b->B; i++)
            for (size_t k = 0; k < c->in; k++)
                x->a[m][i * c->in + k] = (cm_real)b->z[m][i * c->in + k] * scale[k];
    }
    struct job j = {.c = c, .w = w, .b = b, .x = x};
    cm_parallel(4, encode_shard, &j);
}

/* du and dmu are complete: through the posterior and the layers. */
static int encode_back_shard(void *arg, size_t item)
{
    const struct job *j = arg;
    size_t m = item / 2, s = item % 2, B = j->b->B, q = j->c->q, h = (size_t)j->c->o.hidden;
    const struct cm_clue_encoder *e = &j->c->encoder[m];
    const struct cm_clue_work *x = j->x;
    size_t n = e->latent[s], from = s ? e->latent[0] : 0, last = e->depth - 1;
    cm_real *dmu = CM_NEW(2 * B * n, cm_real), *draw = dmu + B * n;
    double kl = j->c->o.kl / ((double)B * (double)j->c->decoder[m].d);
    for (size_t i = 0; i < B; i++)
        for (size_t k = 0; k < n; k++) {
            size_t at = i * q + from + k;
            double mu = (double)x->mu[m][at], sd = (double)x->sd[m][at], du = (double)x->du[m][at],
                   raw = (double)x->raw[m][s][i * n + k];
            double dsd = du * (double)j->b->eps[m][at] + kl * (sd - 1 / sd);
            dmu[i * n + k] = (cm_real)((double)x->dmu[m][at] + du + kl * mu);
            draw[i * n + k] = (cm_real)(dsd / (1 + exp(-raw)));
        }
    cm_real *mem = CM_ZNEW(5 * B * h, cm_real), *dh = mem, *next = dh + B * h,
            *spare = next + B * h;
    cm_linear_backward(dh, j->dw + e->mu_w[s], j->dw + e->mu_b[s], dmu, x->hidden[m][s][last],
                       j->w + e->mu_w[s], B, h, n);
    cm_linear_backward(dh, j->dw + e->sd_w[s], j->dw + e->sd_b[s], draw, x->hidden[m][s][last],
                       j->w + e->sd_w[s], B, h, n);
    for (size_t l = e->depth; l-- > 0;) {
        struct pass pass = encoder_pass(j, m, s, l);
        memset(next, 0, B * h * sizeof *next);
        layer_backward(&e->layer[s][l], j->w, j->dw, l ? next : NULL, dh, &pass, spare);
        cm_real *swap = dh;
        dh = next;
        next = swap;
    }
    cm_free(mem);
    cm_free(dmu);
    return 0;
}

void cm_clue_running(const struct cm_clue *c, cm_real *w, const struct cm_clue_work *x, size_t B)
{
    for (size_t m = 0; m < 2; m++)
        for (size_t s = 0; s < 2; s++)
            for (size_t l = 0; l < (size_t)c->o.depth; l++) {
                const struct cm_clue_layer *y = &c->encoder[m].layer[s][l];
                cm_batchnorm_running(w + y->mean, w + y->var, x->stat[m][s][l], B, y->out, .1);
            }
}

/* ===== decoders =========================================================================== */

/* [u, one-hot label] of B cells, B x (q + batches). */
static void with_label(const struct cm_clue *c, const struct cm_clue_batch *b, const cm_real *u,
                       cm_real *to)
{
    size_t wide = c->q + c->batches;
    memset(to, 0, b->B * wide * sizeof *to);
    for (size_t i = 0; i < b->B; i++) {
        memcpy(to + i * wide, u + i * c->q, c->q * sizeof *to);
        if (b->label && b->label[i] < c->batches)
            to[i * wide + c->q + b->label[i]] = 1;
    }
}

static double likelihood(const struct job *j, size_t m, const cm_real *logits, cm_real *dlogits,
                         cm_real *dlog_theta, double weight)
{
    const struct cm_clue_decoder *e = &j->c->decoder[m];
    const struct cm_clue_batch *b = j->b;
    size_t d = e->d;
    cm_real *theta = CM_NEW(d, cm_real), *scratch = CM_NEW(cm_negbin_scratch(d), cm_real);
    double sum = 0;
    for (size_t k = 0; k < d; k++)
        theta[k] = (cm_real)exp((double)j->w[e->log_theta + k]);
    for (size_t i = 0; i < b->B; i++)
        sum += cm_negbin(dlogits + i * d, dlog_theta, logits + i * d, theta, b->idx[m][i],
                         b->count[m][i], b->n[m][i], d, weight, scratch);
    cm_free(theta);
    cm_free(scratch);
    return sum;
}

static int decode_shard(void *arg, size_t item)
{
    struct job *j = arg;
    size_t m = item / 2, from = item % 2, B = j->b->B, wide = j->c->q + j->c->batches;
    const struct cm_clue_decoder *e = &j->c->decoder[m];
    const struct cm_clue_config *o = &j->c->o;
    size_t h = e->layer.out, d = e->d;
    double weight = from == m ? o->data : o->cross;
    if (weight == 0)
        return 0;
    cm_real *dw = from == m ? j->dw : j->other;
    cm_real *small = CM_ZNEW(2 * B * wide + 7 * B * h + 3 * h, cm_real), *in = small,
            *din = in + B * wide, *pre = din + B * wide, *act = pre + B * h, *out = act + B * h,
            *dout = out + B * h, *spare = dout + B * h, *stat = spare + 3 * B * h;
    cm_real *logits = CM_NEW(B * d, cm_real), *dlogits = CM_ZNEW(B * d, cm_real);
    struct pass pass = {
        B, in, pre, act, out, stat, cm_dropout_at(j->b->drop, o->dropout, SITE_DECODER + item)};
    with_label(j->c, j->b, j->x->u[from], in);
    layer_forward(&e->layer, j->w, &pass);
    cm_linear_forward(logits, out, j->w + e->w, j->w + e->b, B, h, d);
    j->rebuilt[item] =
        likelihood(j, m, logits, dlogits, dw + e->log_theta, weight / ((double)B * (double)d)) /
        weight;
    cm_linear_backward(dout, dw + e->w, dw + e->b, dlogits, out, j->w + e->w, B, h, d);
    layer_backward(&e->layer, j->w, dw, din, dout, &pass, spare);
    for (size_t i = 0; i < B; i++)
        memcpy(j->x->dcode[m][from] + i * j->c->q, din + i * wide, j->c->q * sizeof *din);
    cm_free(small);
    cm_free(logits);
    cm_free(dlogits);
    return 0;
}

/* ===== discriminator ====================================================================== */

/* D; dw: adds the discriminator's gradient, du: adds -weight dD/du to both codes; either NULL. */
static double discriminator(const struct cm_clue *c, const cm_real *w, cm_real *dw,
                            cm_real *const *du, double weight, const struct cm_clue_batch *b,
                            const struct cm_clue_work *x)
{
    size_t B = b->B, wide = c->q + c->batches, h = (size_t)c->o.discriminator;
    cm_real *in = CM_ZNEW(2 * B * (2 * wide + 5 * h + 4) + 2, cm_real), *din = in + 2 * B * wide,
            *pre = din + 2 * B * wide, *act = pre + 2 * B * h, *dact = act + 2 * B * h,
            *dmask = dact + 2 * B * h, *dpre = dmask + 2 * B * h, *logits = dpre + 2 * B * h,
            *dlogits = logits + 4 * B, *scratch = dlogits + 4 * B;
    uint32_t *target = CM_NEW(2 * B, uint32_t);
    struct cm_dropout drop[2];
    for (size_t m = 0; m < 2; m++) {
        drop[m] = cm_dropout_at(b->drop, c->o.dropout, SITE_DISCRIMINATOR + m);
        with_label(c, b, x->u[m], in + m * B * wide);
        for (size_t i = 0; i < B; i++)
            target[m * B + i] = (uint32_t)m;
    }
    cm_linear_forward(pre, in, w + c->disc_w1, w + c->disc_b1, 2 * B, wide, h);
    cm_act_forward(act, pre, 2 * B * h, CM_ACT_LEAKY, CM_CLUE_SLOPE);
    for (size_t m = 0; m < 2; m++)
        cm_dropout_forward(act + m * B * h, act + m * B * h, B, h, &drop[m]);
    cm_linear_forward(logits, act, w + c->disc_w2, w + c->disc_b2, 2 * B, h, 2);
    double loss = cm_cross_entropy(dlogits, logits, target, 2 * B, 2, scratch);
    cm_linear_backward(dact, dw ? dw + c->disc_w2 : NULL, dw ? dw + c->disc_b2 : NULL, dlogits, act,
                       w + c->disc_w2, 2 * B, h, 2);
    for (size_t m = 0; m < 2; m++)
        cm_dropout_backward(dmask + m * B * h, dact + m * B * h, B, h, &drop[m]);
    cm_act_backward(dpre, dmask, pre, 2 * B * h, CM_ACT_LEAKY, CM_CLUE_SLOPE);
    cm_linear_backward(du ? din : NULL, dw ? dw + c->disc_w1 : NULL, dw ? dw + c->disc_b1 : NULL,
                       dpre, in, w + c->disc_w1, 2 * B, wide, h);
    for (size_t m = 0; du && m < 2; m++)
        for (size_t i = 0; i < B; i++)
            for (size_t k = 0; k < c->q; k++)
                du[m][i * c->q + k] -= (cm_real)weight * din[(m * B + i) * wide + k];
    cm_free(in);
    cm_free(target);
    return loss;
}

double cm_clue_discriminator(const struct cm_clue *c, const cm_real *w, cm_real *dw,
                             const struct cm_clue_batch *b, const struct cm_clue_work *x)
{
    return discriminator(c, w, dw, NULL, 0, b, x);
}

/* ===== the loss =========================================================================== */

/* Cosine and squared distance of the two means of a cell; gradients to dmu. */
static void agreement(const struct cm_clue *c, size_t B, struct cm_clue_work *x,
                      struct cm_clue_terms *t)
{
    size_t q = c->q;
    for (size_t i = 0; i < B; i++) {
        const cm_real *a = x->mu[0] + i * q, *b = x->mu[1] + i * q;
        double aa = 0, bb = 0, ab = 0, square = 0;
        for (size_t k = 0; k < q; k++) {
            aa += (double)a[k] * (double)a[k];
            bb += (double)b[k] * (double)b[k];
            ab += (double)a[k] * (double)b[k];
            square += (double)(a[k] - b[k]) * (double)(a[k] - b[k]);
        }
        double norm = sqrt(aa * bb), cosine = norm > 1e-16 ? ab / norm : 0;
        t->cosine += (1 - cosine) / (double)B;
        t->mse += square / ((double)B * (double)q);
        double wc = norm > 1e-16 ? c->o.cosine / (double)B : 0,
               wm = 2 * c->o.mse / ((double)B * (double)q);
        for (size_t k = 0; k < q; k++) {
            double av = (double)a[k], bv = (double)b[k];
            x->dmu[0][i * q + k] = (cm_real)(wc * (cosine * av / aa - bv / norm) + wm * (av - bv));
            x->dmu[1][i * q + k] = (cm_real)(wc * (cosine * bv / bb - av / norm) + wm * (bv - av));
            if (wc == 0) { /* 0 / 0 above */
                x->dmu[0][i * q + k] = (cm_real)(wm * (av - bv));
                x->dmu[1][i * q + k] = (cm_real)(wm * (bv - av));
            }
        }
    }
}

static double divergence(const struct cm_clue_work *x, size_t m, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) {
        double mu = (double)x->mu[m][i], sd = (double)x->sd[m][i];
        sum += .5 * (mu * mu + sd * sd - 1) - log(sd);
    }
    return sum;
}

void cm_clue_generate(const struct cm_clue *c, const cm_real *w, cm_real *dw, cm_real *other,
                      const struct cm_clue_batch *b, struct cm_clue_work *x,
                      struct cm_clue_terms *t)
{
    const struct cm_clue_config *o = &c->o;
    struct job j = {.c = c, .w = w, .dw = dw, .other = other, .b = b, .x = x};
    *t = (struct cm_clue_terms){0};
    cm_parallel(4, decode_shard, &j);
    for (size_t m = 0; m < 2; m++) {
        t->data += j.rebuilt[3 * m];
        t->cross += j.rebuilt[m ? 2 : 1];
        t->kl += divergence(x, m, b->B * c->q) / ((double)b->B * (double)c->decoder[m].d);
        for (size_t i = 0; i < b->B * c->q; i++)
            x->du[m][i] = x->dcode[0][m][i] + x->dcode[1][m][i];
    }
    agreement(c, b->B, x, t);
    t->discriminator = discriminator(c, w, NULL, x->du, o->adversary, b, x);
    t->loss = o->data * t->data + o->cross * t->cross + o->kl * t->kl + o->cosine * t->cosine +
              o->mse * t->mse - o->adversary * t->discriminator;
    cm_parallel(4, encode_back_shard, &j);
}
