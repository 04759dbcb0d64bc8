/* network/transformer.c - the encoder `tokens`: see transformer.h for the network.
 *
 * Problem: forward and backward of a chain whose every link may be absent.  Choice: make() turns
 * the options into a plan (sizes and stretches of every step), one function lays out the cache,
 * and the two passes are written step by step in the order of the header, backward being forward
 * read upwards.  Frozen loadings are no parameters: they are rebuilt from the linear start
 * whenever a model is opened, so a file does not hold them twice and weight decay cannot touch
 * them; slow ones are a trained difference, times a small factor, which is what a smaller learning
 * rate would be. Rejected: a list of layer objects with virtual calls; and a separate layout for
 * each preset.
 */
#include "network/transformer.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/mem.h"

#define TOKENS_MAX  4096              /* L: the probabilities of a cell are H x L x L */
#define WINDOWS_MAX ((size_t)1 << 22) /* before pooling */
#define OVERLAP_MAX 256               /* windows that one feature may lie in, on the mean */
#define SCORES_MAX  ((size_t)1 << 26) /* H x L x L */

/* ===== the plan ============================================================================ */

/* Tokens of each chromosome behind a step: chromosome c has from[c]..from[c+1]-1. */
struct segment {
    size_t *from; /* chroms + 1 */
};

/* One step over tokens, by chromosome: kernel 0 = absent. */
struct step {
    size_t K, S, Z;
    struct segment in, out; /* equal when absent */
};

struct tokens {
    struct cm_transformer_config o;
    size_t chroms;
    struct cm_windows windows;
    struct cm_window *window;
    uint32_t *first, *position; /* position NULL: columns are in order */
    struct step pool, conv2, pool2;
    struct segment conv1;
    size_t L1, L1p, L2, L;     /* tokens after conv, pool, conv2, pool2 */
    size_t F1, F2, P;          /* F2 = F1 without a second convolution */
    size_t readout, q;         /* inputs and outputs of the last map */
    cm_real *base, *base_bias; /* loadings: rows x F1 and L1 x F1, else NULL */
    bool trained;              /* conv1 has parameters */
    bool below;                /* anything below the tokens is trained */
    struct cm_unit unit;
    uint32_t site;
    size_t filter, bias, filter2, bias2, fc, fc_bias, at, gain, norm_bias, w, b; /* offsets */
    size_t widest; /* features a cell can have */
};

enum { SITE_FEATURES, SITE_READOUT, SITE_UNIT, SITES = 16 };

static const struct tokens *self_of(const struct cm_encoder *e) { return e->self; }

static size_t last(const struct segment *s, size_t chroms) { return s->from[chroms]; }

static void tokens_free(struct cm_encoder *e)
{
    struct tokens *k = e->self;
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
    e->self = NULL;
}

/* Chromosomes of the slot's columns: bounds (chroms + 1, owned), and the place of each column when
 * the columns of a chromosome do not stand together. */
static size_t *lay_chromosomes(const struct cm_cols *cols, size_t *chroms, uint32_t **position)
{
    size_t d = cols->names.n;
    const struct cm_vec *v = cm_cols_find(cols, "chrom");
    *position = NULL;
    if (!v || v->type != CM_T_STR) {
        size_t *from = CM_NEW(size_t, 2);
        from[0] = 0;
        from[1] = d;
        *chroms = 1;
        return from;
    }
    struct cm_dict dict = {0};
    uint32_t *code = CM_NEW(uint32_t, d);
    bool sorted = true;
    for (size_t j = 0; j < d; j++) {
        code[j] = cm_dict_code(&dict, cm_strs_get(&v->s, j));
        sorted =
            sorted && (j == 0 || code[j] >= code[j - 1]); /* codes come in order of first use */
    }
    size_t n = dict.names.n, *from = CM_ZNEW(size_t, n + 1);
    for (size_t j = 0; j < d; j++)
        from[code[j] + 1]++;
    for (size_t c = 0; c < n; c++)
        from[c + 1] += from[c];
    if (!sorted) {
        size_t *next = CM_NEW(size_t, n);
        *position = CM_NEW(uint32_t, d);
        memcpy(next, from, n * sizeof *next);
        for (size_t j = 0; j < d; j++)
            (*position)[j] = (uint32_t)next[code[j]]++;
        cm_free(next);
    }
    cm_dict_free(&dict);
    cm_free(code);
    *chroms = n;
    return from;
}

static int lay_windows(struct tokens *k, const struct cm_cols *cols)
{
    struct cm_transformer_config *o = &k->o;
    size_t d = cols->names.n, *chrom = lay_chromosomes(cols, &k->chroms, &k->position);
    size_t aim = o->windows ? (size_t)o->windows : d < 10000 ? 25 : 100;
    size_t kernel = o->kernel ? (size_t)o->kernel : cm_windows_kernel(chrom, k->chroms, aim);
    struct cm_window_rule rule = {.kernel = kernel,
                                  .stride = o->stride ? (size_t)o->stride : kernel,
                                  .padding =
                                      (size_t)o->padding < kernel ? (size_t)o->padding : kernel - 1,
                                  .partial = o->partial,
                                  .untied = o->filters != CM_FILTERS_TIED};
    size_t L = 0, taps = 0; /* counted before they are laid: a kernel may be 2^24, padded */
    for (size_t c = 0; c < k->chroms && L <= WINDOWS_MAX; c++) {
        size_t n = chrom[c + 1] - chrom[c], here = cm_windows_of(n, &rule);
        L += here;
        taps += here * (n < kernel ? n : kernel);
    }
    if (L > WINDOWS_MAX || (rule.untied && taps / OVERLAP_MAX > d)) {
        cm_free(chrom);
        return cm_fail(CM_EINPUT,
                       "%zu features on %zu chromosomes are too few for windows of %zu every %zu "
                       "(hp.tokens)",
                       d, k->chroms, kernel, rule.stride);
    }
    k->conv1.from = CM_NEW(size_t, k->chroms + 1);
    cm_windows_lay(&k->windows, NULL, NULL, NULL, &rule, chrom, k->chroms, d, k->position);
    k->window = CM_NEW(struct cm_window, k->windows.L);
    k->first = CM_NEW(uint32_t, d);
    cm_windows_lay(&k->windows, k->window, k->first, k->conv1.from, &rule, chrom, k->chroms, d,
                   k->position);
    k->L1 = k->windows.L;
    cm_free(chrom);
    return 0;
}

/* Kernel K (0 = absent) at stride S (0 = K) over the chromosomes' tokens; returns all tokens. */
static size_t lay_step(struct step *s, const struct segment *in, size_t chroms, int64_t K,
                       int64_t S, int64_t Z)
{
    *s = (struct step){(size_t)K, S ? (size_t)S : (size_t)K, (size_t)Z, *in, *in};
    if (!K)
        return last(in, chroms);
    struct cm_window_rule rule = {.kernel = s->K, .stride = s->S, .padding = s->Z};
    s->out.from = CM_ZNEW(size_t, chroms + 1);
    for (size_t c = 0; c < chroms; c++)
        s->out.from[c + 1] = s->out.from[c] + cm_windows_of(in->from[c + 1] - in->from[c], &rule);
    return last(&s->out, chroms);
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
    k->base = CM_ZNEW(cm_real, k->windows.rows * F);
    k->base_bias = CM_ZNEW(cm_real, k->L1 * F);
    double root = sqrt((double)k->L1), *bias = CM_ZNEW(double, k->L1 *F);
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

static void declare(struct tokens *k, struct cm_params *t, const char *prefix)
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

static size_t tokens_cache(const struct cm_encoder *e, size_t B);

static int plan(struct tokens *k, const struct cm_slot *slot, const struct cm_linear *linear,
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
    if ((code = lay_windows(k, &slot->cols)))
        return code;
    k->L1p = lay_step(&k->pool, &k->conv1, k->chroms, o->pool, o->pool_stride, 0);
    k->L2 = lay_step(&k->conv2, &k->pool.out, k->chroms, o->kernel2, o->stride2, o->padding2);
    k->L = lay_step(&k->pool2, &k->conv2.out, k->chroms, o->pool2, o->pool2_stride, 0);
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

static int tokens_make(struct cm_encoder *e, const struct cm_net_config *c,
                       const struct cm_slot *slot, const struct cm_linear *linear, size_t side,
                       struct cm_params *t, const char *prefix)
{
    struct tokens *k = CM_ZNEW(struct tokens, 1);
    *e = (struct cm_encoder){.of = &cm_encoder_tokens, .self = k};
    k->o = c->tokens_of[side];
    int code = plan(k, slot, linear, side);
    if (code) {
        tokens_free(e);
        return code;
    }
    declare(k, t, prefix);
    e->q = k->q;
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

/* ===== cache and scratch ==================================================================== */

/* Numbers kept, B cells each: behind conv1, pool, conv2 and pool2 (an absent step is the place of
 * the one before), the pools' choices, tokens, unit and its output, last norm, read-out. */
struct offsets {
    size_t conv1, which1, pool1, conv2, which2, pool2, tokens, unit, u, stat, v, read, size;
};

static struct offsets offsets(const struct tokens *k, size_t B)
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

static size_t tokens_cache(const struct cm_encoder *e, size_t B)
{
    return offsets(self_of(e), B).size;
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

static size_t tokens_scratch(const struct cm_encoder *e, size_t B)
{
    const struct tokens *k = self_of(e);
    size_t LP = B * k->L * k->P;
    return 3 * LP + B * k->readout + B * k->L * k->F2 + chain_scratch(k) +
           cm_unit_scratch(&k->unit, B);
}

/* ===== forward ============================================================================= */

static struct cm_dropout drop_at(const struct tokens *k, const struct cm_dropout *drop, double rate,
                                 uint32_t site, size_t b)
{
    struct cm_dropout d = cm_dropout_at(drop, rate, k->site + site);
    d.row += (uint32_t)b;
    return d;
}

/* A cell's values under feature dropout; `work` holds them when any is dropped. */
static const float *values(const struct tokens *k, const struct cm_cell *c,
                           const struct cm_dropout *drop, size_t b, cm_real *work)
{
    struct cm_dropout d = drop_at(k, drop, k->o.feature_dropout, SITE_FEATURES, b);
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

static uint32_t *choices(const cm_real *cache, size_t at, size_t n, size_t b)
{
    return (uint32_t *)(uintptr_t)(const void *)(cache + at) + n * b;
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

static void pool_backward(const struct step *s, size_t chroms, size_t F, cm_real *din,
                          const cm_real *dout, const uint32_t *which)
{
    for (size_t c = 0; c < chroms; c++) {
        size_t from = s->in.from[c], to = s->out.from[c], n = s->out.from[c + 1] - to;
        if (n)
            cm_maxpool_backward(din + from * F, dout + to * F, which + to * F, n, F);
    }
}

static void cell_tokens(const struct tokens *k, const struct offsets *at, cm_real *cache, size_t b,
                        const struct cm_cell *c, const cm_real *params,
                        const struct cm_dropout *drop, cm_real *scratch)
{
    const struct cm_transformer_config *o = &k->o;
    cm_real *work = scratch + k->widest, *in = cache + at->conv1 + b * k->L1 * k->F1;
    first_layer(k, in, c, values(k, c, drop, b, scratch), params, work);
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

static void tokens_only(const struct tokens *k, const struct offsets *at, cm_real *cache,
                        const struct cm_cell *cell, size_t B, const cm_real *params,
                        const struct cm_dropout *drop, cm_real *scratch)
{
    for (size_t b = 0; b < B; b++)
        cell_tokens(k, at, cache, b, &cell[b], params, drop, scratch);
    cm_real *tokens = cache + at->tokens;
    const cm_real *in = cache + at->pool2;
    if (k->o.p)
        cm_linear_forward(tokens, in, params + k->fc, params + k->fc_bias, B * k->L, k->F2, k->P);
    else
        memcpy(tokens, in, B * k->L * k->P * sizeof *tokens);
    if (k->o.position > 0)
        cm_position_forward(tokens, tokens, params + k->at, B, k->L, k->P);
}

static void tokens_forward(const struct cm_encoder *e, cm_real *out, cm_real *cache,
                           const struct cm_cell *cell, size_t B, const cm_real *params,
                           const struct cm_dropout *drop, cm_real *scratch)
{
    const struct tokens *k = self_of(e);
    struct offsets at = offsets(k, B);
    tokens_only(k, &at, cache, cell, B, params, drop, scratch);
    cm_real *u = cache + at.u, *v = cache + at.v, *read = cache + at.read;
    cm_unit_forward(u, cache + at.unit, cache + at.tokens, params, NULL, &k->unit, B, drop,
                    scratch);
    if (k->o.last_norm)
        cm_layernorm_forward(v, cache + at.stat, u, params + k->gain, params + k->norm_bias,
                             B * k->L, k->P);
    if (k->o.readout == CM_READOUT_MEAN)
        cm_pool_forward(read, v, CM_POOL_MEAN, B, k->L, k->P, 0, k->L);
    else
        memcpy(read, v, B * k->readout * sizeof *read);
    struct cm_dropout d = drop_at(k, drop, k->o.readout_dropout, SITE_READOUT, 0);
    cm_dropout_forward(read, read, B, k->readout, &d);
    if (k->o.out)
        cm_linear_forward(out, read, params + k->w, params + k->b, B, k->readout, k->q);
    else
        memcpy(out, read, B * k->q * sizeof *out);
}

/* ===== backward ============================================================================ */

/* dx (L x F2): the gradient of what came out of the last pool of cell b. */
static void cell_backward(const struct tokens *k, const struct offsets *at, cm_real *dparams,
                          const cm_real *dx, const cm_real *cache, size_t b,
                          const struct cm_cell *c, const cm_real *params,
                          const struct cm_dropout *drop, cm_real *scratch)
{
    const struct cm_transformer_config *o = &k->o;
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
                            values(k, c, drop, b, val), c->n, k->base != NULL, &k->windows, k->F1);
}

void cm_tokens_backward(const struct cm_encoder *e, cm_real *dparams, const cm_real *dout,
                        const cm_real *dtokens, const cm_real *cache, const struct cm_cell *cell,
                        size_t B, const cm_real *params, const struct cm_dropout *drop,
                        cm_real *scratch)
{
    const struct tokens *k = self_of(e);
    struct offsets at = offsets(k, B);
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
        struct cm_dropout d = drop_at(k, drop, k->o.readout_dropout, SITE_READOUT, 0);
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
        cm_unit_backward(dtok, dparams, NULL, top, cache + at.unit, cache + at.tokens, params,
                         &k->unit, B, drop, rest);
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
            cell_backward(k, &at, dparams, down + b * k->L * k->F2, cache, b, &cell[b], params,
                          drop, rest);
}

static void tokens_backward(const struct cm_encoder *e, cm_real *dparams, const cm_real *dout,
                            const cm_real *cache, const struct cm_cell *cell, size_t B,
                            const cm_real *params, const struct cm_dropout *drop, cm_real *scratch)
{
    cm_tokens_backward(e, dparams, dout, NULL, cache, cell, B, params, drop, scratch);
}

const struct cm_encoder_class cm_encoder_tokens = {.name = "tokens",
                                                   .make = tokens_make,
                                                   .init = tokens_init,
                                                   .cache = tokens_cache,
                                                   .scratch = tokens_scratch,
                                                   .forward = tokens_forward,
                                                   .backward = tokens_backward,
                                                   .free = tokens_free};

/* ===== for the cross module and the maps ===================================================== */

size_t cm_tokens_count(const struct cm_encoder *e) { return self_of(e)->L; }
size_t cm_tokens_width(const struct cm_encoder *e) { return self_of(e)->P; }
size_t cm_tokens_heads(const struct cm_encoder *e) { return self_of(e)->unit.mha.H; }

const cm_real *cm_tokens_in_cache(const struct cm_encoder *e, const cm_real *cache, size_t B)
{
    return cache + offsets(self_of(e), B).tokens;
}

const cm_real *cm_tokens_prob(const struct cm_encoder *e, const cm_real *cache, size_t B, size_t b)
{
    const struct tokens *k = self_of(e);
    return cm_unit_prob(&k->unit, cache + offsets(k, B).unit, B, b);
}

void cm_tokens_of(const struct cm_encoder *e, cm_real *out, cm_real *cache,
                  const struct cm_cell *cell, size_t B, const cm_real *params,
                  const struct cm_dropout *drop, cm_real *scratch)
{
    const struct tokens *k = self_of(e);
    struct offsets at = offsets(k, B);
    tokens_only(k, &at, cache, cell, B, params, drop, scratch);
    memcpy(out, cache + at.tokens, B * k->L * k->P * sizeof *out);
}

/* Tokens from..to-1 of a step's output see tokens *from..*to-1 of its input. */
static void look_down(const struct step *s, size_t chroms, size_t *from, size_t *to)
{
    if (!s->K)
        return;
    size_t c = 0;
    while (c + 1 < chroms && s->out.from[c + 1] <= *from)
        c++;
    size_t low = s->in.from[c], high = s->in.from[c + 1], base = s->out.from[c];
    size_t a = (*from - base) * s->S, b = (*to - 1 - base) * s->S + s->K;
    *from = low + (a > s->Z ? a - s->Z : 0);
    *to = low + (b > s->Z ? b - s->Z : 0);
    if (*to > high)
        *to = high;
}

void cm_tokens_region(const struct cm_encoder *e, const struct cm_cols *cols, size_t t,
                      struct cm_buf *text)
{
    const struct tokens *k = self_of(e);
    size_t from = t, to = t + 1;
    look_down(&k->pool2, k->chroms, &from, &to);
    look_down(&k->conv2, k->chroms, &from, &to);
    look_down(&k->pool, k->chroms, &from, &to);
    size_t begin = k->window[from].begin, end = k->window[to - 1].end;
    const struct cm_vec *chrom = cm_cols_find(cols, "chrom"), *start = cm_cols_find(cols, "start"),
                        *stop = cm_cols_find(cols, "end");
    double low = INFINITY, high = -INFINITY;
    size_t first = SIZE_MAX, final = 0, at_first = SIZE_MAX, at_final = 0;
    for (size_t j = 0; j < cols->names.n; j++) {
        size_t x = k->position ? k->position[j] : j;
        double v;
        if (x < begin || x >= end)
            continue;
        if (first == SIZE_MAX || x < at_first)
            first = j, at_first = x;
        if (x >= at_final)
            final = j, at_final = x;
        v = cm_vec_number(start, j);
        if (isfinite(v)) {
            low = v < low ? v : low;
            high = v > high ? v : high;
        }
        v = cm_vec_number(stop, j);
        if (isfinite(v))
            high = v > high ? v : high;
    }
    const char *name = chrom && chrom->type == CM_T_STR ? cm_strs_get(&chrom->s, first) : "";
    if (*name && low <= high)
        cm_buf_printf(text, "%s:%.0f-%.0f", name, low, high);
    else
        cm_buf_printf(text, "%s..%s", cm_strs_get(&cols->names, first),
                      cm_strs_get(&cols->names, final));
}
