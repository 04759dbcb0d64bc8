/* nn/unit.c - one Transformer unit, post-norm (the paper) or pre-norm.
 *
 * The unit is where training spends its time, and its two orders of norm and residual
 * differ by little enough to be confused.  Both are written out, one after the other, in
 * the order of the formula of nn.h; what backward needs lies in a cache laid out by one function.
 * ReLU and LeakyReLU work in place: their backward needs only the signs, which the output has too;
 * a dropped number has no gradient, so its lost sign does no harm.  Rejected: one code path with
 * four conditional norms.
 */
#include <string.h>

#include "base/error.h"
#include "nn/gemm.h"
#include "nn/vec.h"

void cm_unit_declare(struct cm_unit *u, struct cm_params *t, const char *prefix)
{
    size_t P = u->mha.P;
    CM_ASSERT(u->act != CM_ACT_LEAKY || u->slope > 0);
    cm_mha_declare(&u->mha, t, prefix);
    u->gain1 = cm_params_add(t, prefix, "gain1", P, 0, 0);
    u->bias1 = cm_params_add(t, prefix, "bias1", P, 0, 0);
    u->w1 = cm_params_add(t, prefix, "w1", P, u->F, 0);
    u->b1 = cm_params_add(t, prefix, "b1", u->F, 0, 0);
    u->w2 = cm_params_add(t, prefix, "w2", u->F, P, 0);
    u->b2 = cm_params_add(t, prefix, "b2", P, 0, 0);
    u->gain2 = cm_params_add(t, prefix, "gain2", P, 0, 0);
    u->bias2 = cm_params_add(t, prefix, "bias2", P, 0, 0);
}

/* Where a cache of B cells keeps what (N = B L rows): mha; stat1, stat2 (N x 2); y (N x P); s1, s2
 * (N x P): post-norm the inputs of both norms, pre-norm their outputs; f (N x F) what w2 reads; h
 * (N x F) what f was made from, the same place unless GELU needs its input. */
struct unit_offsets {
    size_t mha, stat1, stat2, y, s1, s2, h, f, size;
};

static struct unit_offsets unit_offsets(const struct cm_unit *u, size_t B)
{
    size_t N = B * u->mha.L, P = u->mha.P;
    struct unit_offsets at = {.mha = 0};
    at.stat1 = cm_mha_cache(&u->mha, B);
    at.stat2 = at.stat1 + 2 * N;
    at.y = at.stat2 + 2 * N;
    at.s1 = at.y + N * P;
    at.s2 = at.s1 + N * P;
    at.h = at.s2 + N * P;
    at.f = u->act == CM_ACT_GELU ? at.h + N * u->F : at.h;
    at.size = at.f + N * u->F;
    return at;
}

size_t cm_unit_cache(const struct cm_unit *u, size_t B) { return unit_offsets(u, B).size; }

/* backward: two gradients N x P, one N x F, and what attention takes */
size_t cm_unit_scratch(const struct cm_unit *u, size_t B)
{
    size_t N = B * u->mha.L;
    return 3 * N * u->mha.P + N * u->F + cm_mha_scratch(&u->mha, B);
}

size_t cm_unit_prob_at(const struct cm_unit *u, size_t B, size_t b)
{
    return unit_offsets(u, B).mha + cm_mha_prob_at(&u->mha, B, b);
}

/* The unit's four dropouts: of the probabilities, then d1, d2, d3 of nn.h. */
struct unit_drops {
    struct cm_dropout d[CM_UNIT_SITES];
};

static struct unit_drops unit_drops(const struct cm_unit *u, const struct cm_dropout *drop)
{
    struct unit_drops all = {0};
    for (uint32_t i = 0; drop && i < CM_UNIT_SITES; i++) {
        all.d[i] = *drop;
        all.d[i].site = u->site + i;
        all.d[i].rate = i == 0 ? u->attention : u->rate;
    }
    return all; /* rates of 0 without drop */
}

/* f = d2(act(x w1 + b1)), out = d3(f w2 + b2), x: N x P */
static void unit_feed(cm_real *out, cm_real *cache, const struct unit_offsets *at, const cm_real *x,
                      const cm_real *params, const struct cm_unit *u, size_t B,
                      const struct unit_drops *drop)
{
    size_t L = u->mha.L, P = u->mha.P, F = u->F, N = B * L;
    cm_real *h = cache + at->h, *f = cache + at->f;
    cm_gemm(&(struct cm_gemm){.m = N,
                              .n = F,
                              .k = P,
                              .a = x,
                              .lda = P,
                              .b = params + u->w1,
                              .ldb = F,
                              .c = h,
                              .ldc = F,
                              .alpha = 1,
                              .relu = u->act == CM_ACT_RELU,
                              .bias = params + u->b1});
    if (u->act != CM_ACT_RELU)
        cm_act_forward(f, h, N * F, u->act, u->slope);
    cm_dropout_forward(f, f, B, L * F, &drop->d[2]);
    cm_linear_forward(out, f, params + u->w2, params + u->b2, N, F, P);
    cm_dropout_forward(out, out, B, L * P, &drop->d[3]);
}

/* dx += the gradient through unit_feed; `dout` (N x P) is changed; df: N x F scratch. */
static void unit_feed_back(cm_real *dx, cm_real *dparams, cm_real *dout, const cm_real *cache,
                           const struct unit_offsets *at, const cm_real *x, const cm_real *params,
                           const struct cm_unit *u, size_t B, const struct unit_drops *drop,
                           cm_real *df)
{
    size_t L = u->mha.L, P = u->mha.P, F = u->F, N = B * L;
    const cm_real *h = cache + at->h, *f = cache + at->f;
    cm_dropout_forward(dout, dout, B, L * P, &drop->d[3]); /* its own transpose */
    cm_linear_backward(NULL, dparams + u->w2, dparams + u->b2, dout, f, params + u->w2, N, F, P);
    cm_linear_din(df, 0, dout, params + u->w2, N, F, P);
    cm_dropout_forward(df, df, B, L * F, &drop->d[2]);
    cm_act_gradient(df, h, N * F, u->act, u->slope);
    cm_linear_backward(dx, dparams + u->w1, dparams + u->b1, df, x, params + u->w1, N, P, F);
}

void cm_unit_forward(cm_real *out, cm_real *cache, const cm_real *in, const cm_real *params,
                     const struct cm_unit *u, size_t B, const struct cm_dropout *drop,
                     cm_real *scratch)
{
    size_t L = u->mha.L, P = u->mha.P, N = B * L;
    struct unit_offsets at = unit_offsets(u, B);
    struct unit_drops drops = unit_drops(u, drop);
    cm_real *y = cache + at.y, *s1 = cache + at.s1, *s2 = cache + at.s2;
    if (!u->pre_norm) {
        cm_mha_forward(s1, cache + at.mha, in, params, &u->mha, B, &drops.d[0], scratch);
        cm_dropout_forward(s1, s1, B, L * P, &drops.d[1]);
        cm_accumulate(s1, in, N * P);
        cm_layernorm_forward(y, cache + at.stat1, s1, params + u->gain1, params + u->bias1, N, P);
        unit_feed(s2, cache, &at, y, params, u, B, &drops);
        cm_accumulate(s2, y, N * P);
        cm_layernorm_forward(out, cache + at.stat2, s2, params + u->gain2, params + u->bias2, N, P);
    } else {
        cm_layernorm_forward(s1, cache + at.stat1, in, params + u->gain1, params + u->bias1, N, P);
        cm_mha_forward(y, cache + at.mha, s1, params, &u->mha, B, &drops.d[0], scratch);
        cm_dropout_forward(y, y, B, L * P, &drops.d[1]);
        cm_accumulate(y, in, N * P);
        cm_layernorm_forward(s2, cache + at.stat2, y, params + u->gain2, params + u->bias2, N, P);
        unit_feed(out, cache, &at, s2, params, u, B, &drops);
        cm_accumulate(out, y, N * P);
    }
}

void cm_unit_backward(cm_real *din, cm_real *dparams, const cm_real *dout, const cm_real *cache,
                      const cm_real *in, const cm_real *params, const struct cm_unit *u, size_t B,
                      const struct cm_dropout *drop, cm_real *scratch)
{
    size_t L = u->mha.L, P = u->mha.P, N = B * L, bytes = N * P * sizeof *din;
    struct unit_offsets at = unit_offsets(u, B);
    struct unit_drops drops = unit_drops(u, drop);
    const cm_real *y = cache + at.y, *s1 = cache + at.s1, *s2 = cache + at.s2;
    cm_real *a = scratch, *b = a + N * P, *c = b + N * P, *df = c + N * P;
    cm_real *rest = df + N * u->F;
    if (!u->pre_norm) {
        memset(a, 0, bytes); /* a = ds2 */
        cm_layernorm_backward(a, dparams + u->gain2, dparams + u->bias2, dout, cache + at.stat2, s2,
                              params + u->gain2, N, P);
        memcpy(b, a, bytes); /* b = dy: the residual, and the way through the feed-forward */
        unit_feed_back(b, dparams, a, cache, &at, y, params, u, B, &drops, df);
        memset(a, 0, bytes); /* a = ds1 */
        cm_layernorm_backward(a, dparams + u->gain1, dparams + u->bias1, b, cache + at.stat1, s1,
                              params + u->gain1, N, P);
        if (din)
            cm_accumulate(din, a, N * P);
        cm_dropout_forward(a, a, B, L * P, &drops.d[1]);
        cm_mha_backward(din, dparams, a, cache + at.mha, in, params, &u->mha, B, &drops.d[0], rest);
    } else {
        memcpy(c, dout, bytes);
        memset(a, 0, bytes); /* a = gradient of norm2's output */
        unit_feed_back(a, dparams, c, cache, &at, s2, params, u, B, &drops, df);
        memcpy(b, dout, bytes); /* b = dy */
        cm_layernorm_backward(b, dparams + u->gain2, dparams + u->bias2, a, cache + at.stat2, y,
                              params + u->gain2, N, P);
        if (din)
            cm_accumulate(din, b, N * P);
        cm_dropout_forward(b, b, B, L * P, &drops.d[1]);
        memset(a, 0, bytes); /* a = gradient of norm1's output */
        cm_mha_backward(a, dparams, b, cache + at.mha, s1, params, &u->mha, B, &drops.d[0], rest);
        cm_layernorm_backward(din, dparams + u->gain1, dparams + u->bias1, a, cache + at.stat1, in,
                              params + u->gain1, N, P);
    }
}
