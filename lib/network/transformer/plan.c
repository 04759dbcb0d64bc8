/* network/transformer/plan.c - sizes and offsets of a token encoder, from its settings.
 *
 * Frozen loadings are no parameters: they are rebuilt from the linear start whenever a model is
 * opened, so a file does not hold them twice and weight decay cannot touch them; slow ones are a
 * trained difference, times a small factor, which is what a smaller learning rate would be.
 */
#include "network/transformer/internal.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/mem.h"

#define TOKENS_MAX 4096              /* L: the probabilities of a cell are H x L x L */
#define SCORES_MAX ((size_t)1 << 26) /* H x L x L */

void cm_tokens_plan_free(struct tokens *k)
{
    if (!k)
        return;
    struct step *steps[] = {&k->pool, &k->conv2, &k->pool2};
    for (size_t s = 0; s < 3; s++)
        if (steps[s]->K)
            cm_free(steps[s]->out.from);
    cm_free(k->conv1.from);
    cm_free(k->window);
    cm_free(k->first);
    cm_free(k->position);
    cm_free(k->base);
    cm_free(k->base_bias);
    cm_free(k);
}

/* base and base_bias from the linear start: V's first F columns, each / sd x sqrt(L). */
static int take_loadings(struct tokens *k, const struct cm_linear *start, size_t side, size_t d)
{
    const struct cm_linear_side *linear = &start->side[side];
    if (start->k == 0 || linear->d != d || start->cells == 0)
        return cm_fail(CM_EINPUT, "filters 'loadings' need a linear start of %zu features", d);
    size_t K = start->k, heads = (size_t)k->o.heads;
    if (k->F1 > K)
        k->F1 = K;
    if (!k->o.p) /* the filters are the token's width, which the heads divide */
        k->F1 = k->F1 / heads * heads;
    if (k->F1 == 0)
        return cm_fail(CM_EINPUT, "%zu components are too few for %zu heads", K, heads);
    size_t F = k->F1;
    k->base = CM_ZNEW(k->windows.rows * F, cm_real);
    k->base_bias = CM_ZNEW(k->L1 * F, cm_real);
    double root = sqrt((double)k->L1), *bias = CM_ZNEW(k->L1 * F, double);
    for (size_t j = 0; j < d; j++) {
        size_t x = k->position ? k->position[j] : j;
        for (size_t t = k->first[x]; t < k->L1 && k->window[t].begin <= x; t++) {
            size_t row = k->window[t].row + (x - k->window[t].begin);
            for (size_t f = 0; f < F; f++) {
                double scale = linear->s[f] > 1e-6 * linear->s[0]
                                   ? sqrt((double)start->cells) / linear->s[f] * root
                                   : 0;
                cm_real v = (cm_real)((double)linear->v[j * K + f] * scale);
                k->base[row * F + f] = v;
                bias[t * F + f] -= (double)linear->mean[j] * (double)v;
            }
        }
    }
    for (size_t i = 0; i < k->L1 * F; i++)
        k->base_bias[i] = (cm_real)bias[i];
    cm_free(bias);
    return 0;
}

void cm_tokens_declare(struct tokens *k, struct cm_params *t, const char *prefix)
{
    const struct cm_transformer_config *o = &k->o;
    char unit[CM_PARAM_NAME];
    k->trained = !k->base || o->slow > 0;
    k->below = k->trained || o->kernel2 || o->p;
    if (k->trained) {
        k->filter = cm_params_add(t, prefix, "conv.filter", k->windows.rows, k->F1, 0);
        k->bias = k->base ? cm_params_add(t, prefix, "conv.bias", k->L1, k->F1, 0)
                          : cm_params_add(t, prefix, "conv.bias", k->F1, 0, 0);
    }
    if (o->kernel2) {
        k->filter2 = cm_params_add(t, prefix, "conv2.filter", k->conv2.K, k->F1, k->F2);
        k->bias2 = cm_params_add(t, prefix, "conv2.bias", k->F2, 0, 0);
    }
    if (o->p) {
        k->fc = cm_params_add(t, prefix, "fc.w", k->F2, k->P, 0);
        k->fc_bias = cm_params_add(t, prefix, "fc.bias", k->P, 0, 0);
    }
    if (o->position > 0)
        k->at = cm_params_add(t, prefix, "position", k->L, k->P, 0);
    snprintf(unit, sizeof unit, "%s%sunit", prefix, *prefix ? "." : "");
    cm_unit_declare(&k->unit, t, unit);
    if (o->last_norm) {
        k->gain = cm_params_add(t, prefix, "norm.gain", k->P, 0, 0);
        k->norm_bias = cm_params_add(t, prefix, "norm.bias", k->P, 0, 0);
    }
    if (o->out) {
        k->w = cm_params_add(t, prefix, "out.w", k->readout, k->q, 0);
        k->b = cm_params_add(t, prefix, "out.bias", k->q, 0, 0);
    }
}

int cm_tokens_plan(struct tokens *k, const struct cm_slot *slot, const struct cm_linear *linear,
                   size_t side)
{
    const struct cm_transformer_config *o = &k->o;
    size_t d = slot->cols.names.n;
    int code;
    if (d == 0 || d >= UINT32_MAX)
        return cm_fail(CM_EINPUT, "slot %s has %zu columns", slot->name, d);
    if (o->out < 0 && linear->q == 0)
        return cm_fail(CM_EINPUT, "tokens: out %" PRId64 " needs a linear part", o->out);
    if (o->out < 0)
        k->o.out = (int64_t)linear->q;
    if (o->kernel2 && (!o->width2 || o->padding2 >= o->kernel2))
        return cm_fail(CM_EINPUT, "tokens: kernel2 needs width2 and a padding2 below it");
    if (o->readout == CM_READOUT_LINEAR && !o->out)
        return cm_fail(CM_EINPUT, "tokens: readout linear needs out");
    k->F1 = (size_t)o->width;
    k->widest = d;
    if ((code = cm_tokens_lay_windows(k, &slot->cols)))
        return code;
    k->L1p = cm_tokens_lay_step(&k->pool, &k->conv1, k->chroms, o->pool, o->pool_stride, 0);
    k->L2 =
        cm_tokens_lay_step(&k->conv2, &k->pool.out, k->chroms, o->kernel2, o->stride2, o->padding2);
    k->L = cm_tokens_lay_step(&k->pool2, &k->conv2.out, k->chroms, o->pool2, o->pool2_stride, 0);
    if (k->L == 0 || k->L > TOKENS_MAX)
        return cm_fail(CM_EINPUT,
                       "slot %s: %zu features on %zu chromosomes give %zu tokens, expected 1 to %d "
                       "(kernel %" PRId64 ", stride %" PRId64 ")",
                       slot->name, d, k->chroms, k->L, TOKENS_MAX, o->kernel, o->stride);
    if (o->filters == CM_FILTERS_LOADINGS && (code = take_loadings(k, linear, side, d)))
        return code;
    k->F2 = o->kernel2 ? (size_t)o->width2 : k->F1;
    k->P = o->p ? (size_t)o->p : k->F2;
    if (k->P % (size_t)o->heads)
        return cm_fail(CM_EINPUT, "tokens: %" PRId64 " heads do not divide a width of %zu",
                       o->heads, k->P);
    if ((size_t)o->heads > SCORES_MAX / (k->L * k->L))
        return cm_fail(CM_EINPUT, "tokens: %" PRId64 " heads are too many for %zu tokens", o->heads,
                       k->L);
    k->readout = o->readout == CM_READOUT_LINEAR ? k->L * k->P : k->P;
    k->q = o->out ? (size_t)o->out : k->readout;
    /* the two sides drop different numbers of one step and row */
    k->site = (uint32_t)(cm_hash64(slot->name, strlen(slot->name), 0) & 0x3FFFF) * SITES;
    double F = o->ff * (double)k->P;
    k->unit = (struct cm_unit){.mha = {.L = k->L, .P = k->P, .H = (size_t)o->heads},
                               .F = F < 1 ? 1 : (size_t)(F + .5),
                               .pre_norm = o->norm == CM_NORM_PRE,
                               .act = o->unit_act == CM_UNIT_GELU ? CM_ACT_GELU : CM_ACT_RELU,
                               .rate = o->dropout,
                               .attention = o->dropout,
                               .site = k->site + SITE_UNIT};
    return 0;
}

/* ===== cache and scratch ==================================================================== */

struct offsets cm_tokens_offsets(const struct tokens *k, size_t B)
{
    struct offsets at = {.conv1 = 0};
    size_t end = B * k->L1 * k->F1, LP = B * k->L * k->P;
    at.pool1 = at.conv1;
    if (k->pool.K) { /* a choice is 4 bytes, a number at least that */
        at.which1 = end;
        at.pool1 = at.which1 + B * k->L1p * k->F1;
        end = at.pool1 + B * k->L1p * k->F1;
    }
    at.conv2 = at.pool1;
    if (k->conv2.K) {
        at.conv2 = end;
        end = at.conv2 + B * k->L2 * k->F2;
    }
    at.pool2 = at.conv2;
    if (k->pool2.K) {
        at.which2 = end;
        at.pool2 = at.which2 + B * k->L * k->F2;
        end = at.pool2 + B * k->L * k->F2;
    }
    at.tokens = end;
    at.unit = at.tokens + LP;
    at.u = at.unit + cm_unit_cache(&k->unit, B);
    at.v = at.u;
    at.stat = at.u + LP;
    if (k->o.last_norm)
        at.v = at.stat + 2 * B * k->L;
    at.read = at.v + LP;
    at.size = at.read + B * k->readout;
    return at;
}

/* Forward: values under dropout, the slow filters' tokens, a convolution.  Backward: three B x L x
 * P, the read-out, what comes into the unit's tokens, one cell's chain upwards, and the same. */
static size_t chain_scratch(const struct tokens *k)
{
    size_t conv = 0;
    if (k->conv2.K)
        conv = cm_conv_scratch(k->L1p + 2 * k->conv2.Z * k->chroms, k->F1, k->conv2.K, k->conv2.S,
                               k->conv2.Z);
    return k->widest + 2 * k->L1 * k->F1 + k->L1p * k->F1 + 2 * k->L2 * k->F2 + conv;
}

size_t cm_tokens_scratch(const struct tokens *k, size_t B)
{
    size_t LP = B * k->L * k->P;
    return 3 * LP + B * k->readout + B * k->L * k->F2 + chain_scratch(k) +
           cm_unit_scratch(&k->unit, B);
}
