/* network/transformer/encoder.c - the encoder class tokens, and the first values of its tensors. */
#include "network/transformer/internal.h"

#include <math.h>

#include "base/mem.h"

static void tokens_free(struct cm_encoder *e)
{
    cm_tokens_plan_free(e->self);
    e->self = NULL;
}

static size_t tokens_cache(const struct cm_encoder *e, size_t B)
{
    return cm_tokens_offsets(self_of(e), B).size;
}

static size_t tokens_scratch(const struct cm_encoder *e, size_t B)
{
    return cm_tokens_scratch(self_of(e), B);
}

static int tokens_make(struct cm_encoder *e, const struct cm_net_config *c,
                       const struct cm_slot *slot, const struct cm_linear *linear, size_t side,
                       struct cm_params *t, const char *prefix)
{
    struct tokens *k = CM_ZNEW(1, struct tokens);
    *e = (struct cm_encoder){.of = &cm_encoder_tokens, .self = k};
    k->o = c->tokens_of[side];
    int code = cm_tokens_plan(k, slot, linear, side);
    if (code) {
        tokens_free(e);
        return code;
    }
    cm_tokens_declare(k, t, prefix);
    e->q = k->q;
    e->L = k->L;
    e->P = k->P;
    e->H = k->unit.mha.H;
    size_t one = tokens_cache(e, 1), group = ((size_t)1 << 17) / one;
    e->group = group < 1 ? 1 : group > 16 ? 16 : group;
    return 0;
}

/* ===== first values ========================================================================= */

struct first {
    cm_real *params;
    uint64_t seed;
    uint32_t side, tensor;
};

/* N(0, sd^2), or with sd 0 U(+-1 / sqrt inputs).  Each tensor has numbers of its own. */
static void fill(struct first *f, size_t at, size_t n, double inputs, double sd)
{
    struct cm_rng g = cm_rng_make(f->seed, CM_RNG_INIT, f->side, f->tensor++);
    if (sd > 0)
        cm_init_normal(f->params + at, n, sd, g);
    else
        cm_init_uniform(f->params + at, n, 1 / sqrt(inputs), g);
}

static void fill_unit(struct first *f, const struct cm_unit *u)
{
    size_t P = u->mha.P;
    cm_real *p = f->params;
    fill(f, u->mha.wqkv, 3 * P * P, (double)(4 * P) / 6, 0); /* Xavier: sqrt(6 / (P + 3 P)) */
    cm_init_constant(p + u->mha.bqkv, 3 * P, 0);
    fill(f, u->mha.wo, P * P, (double)P, 0);
    cm_init_constant(p + u->mha.bo, P, 0);
    fill(f, u->w1, P * u->F, (double)P, 0);
    fill(f, u->b1, u->F, (double)P, 0);
    fill(f, u->w2, u->F * P, (double)u->F, 0);
    fill(f, u->b2, P, (double)u->F, 0);
    cm_init_constant(p + u->gain1, P, 1);
    cm_init_constant(p + u->bias1, P, 0);
    cm_init_constant(p + u->gain2, P, 1);
    cm_init_constant(p + u->bias2, P, 0);
}

static void tokens_init(const struct cm_encoder *e, cm_real *params,
                        const struct cm_linear_side *linear, uint64_t seed, uint32_t side)
{
    (void)linear; /* its loadings are in `base` already */
    const struct tokens *k = self_of(e);
    struct first f = {params, seed, side, 0};
    if (k->base && k->trained) {
        cm_init_constant(params + k->filter, k->windows.rows * k->F1, 0);
        cm_init_constant(params + k->bias, k->L1 * k->F1, 0);
    } else if (k->trained) {
        size_t kernel = 1;
        for (size_t t = 0; t < k->L1; t++)
            if (k->window[t].end - k->window[t].begin > kernel)
                kernel = k->window[t].end - k->window[t].begin;
        fill(&f, k->filter, k->windows.rows * k->F1, (double)kernel, 0);
        fill(&f, k->bias, k->F1, (double)kernel, 0);
    }
    if (k->conv2.K) {
        fill(&f, k->filter2, k->conv2.K * k->F1 * k->F2, (double)(k->conv2.K * k->F1), 0);
        fill(&f, k->bias2, k->F2, (double)(k->conv2.K * k->F1), 0);
    }
    if (k->o.p) {
        fill(&f, k->fc, k->F2 * k->P, (double)k->F2, 0);
        fill(&f, k->fc_bias, k->P, (double)k->F2, 0);
    }
    if (k->o.position > 0)
        fill(&f, k->at, k->L * k->P, 1, k->o.position);
    fill_unit(&f, &k->unit);
    if (k->o.last_norm) {
        cm_init_constant(params + k->gain, k->P, 1);
        cm_init_constant(params + k->norm_bias, k->P, 0);
    }
    if (k->o.out) {
        double inputs = (double)k->readout;
        fill(&f, k->w, k->readout * k->q, inputs, k->o.out_sd / sqrt(inputs));
        if (k->o.out_sd > 0)
            cm_init_constant(params + k->b, k->q, 0);
        else
            fill(&f, k->b, k->q, inputs, 0);
    }
}

/* ===== the class ============================================================================= */

static size_t tokens_at(const struct cm_encoder *e, size_t B)
{
    return cm_tokens_offsets(self_of(e), B).tokens;
}

static size_t prob_at(const struct cm_encoder *e, size_t B, size_t b)
{
    const struct tokens *k = self_of(e);
    return cm_tokens_offsets(k, B).unit + cm_unit_prob_at(&k->unit, B, b);
}

const struct cm_encoder_class cm_encoder_tokens = {.name = "tokens",
                                                   .make = tokens_make,
                                                   .init = tokens_init,
                                                   .cache = tokens_cache,
                                                   .scratch = tokens_scratch,
                                                   .forward = cm_tokens_forward,
                                                   .backward = cm_tokens_backward,
                                                   .free = tokens_free,
                                                   .forward_tokens = cm_tokens_forward_only,
                                                   .tokens_at = tokens_at,
                                                   .prob_at = prob_at,
                                                   .region = cm_tokens_region};
