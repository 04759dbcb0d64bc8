/* network/cross.c - the cross-attention module on pairs: exact, cached over candidates, and mined.
 *
 * Problem: a pair costs as much as a whole self-attention, and a batch has B^2 of them.  Choice:
 * rows of the stack's softmax split in two blocks, a cell's own tokens and the partner's.  The own
 * block depends on the cell alone; kept are its attention, as if there were no partner, and the
 * logarithm of its softmax's divisor, which stands in the pair's softmax as one key more (the merge
 * of pieces of Milakov and Gimelshein 2018).  Backward runs the plain unit on the stack: its pairs
 * are few.  Gradients of tokens, which pairs share, are added in the order of the pairs after each
 * wave of them; those of parameters go to one arena a shard.  Rejected: keeping the own scores
 * (L x L x H a cell, twenty times the memory), and an S1 from e1 and t1 kept per cell: the leak.
 */
#include "network/cross.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"

#define SITE 0x400000u /* dropout; above those of the encoders */

/* ===== the module ========================================================================== */

int cm_cross_make(struct cm_cross *c, const struct cm_cross_config *o, const size_t L[2], size_t P,
                  struct cm_params *t, const char *prefix)
{
    size_t heads = (size_t)o->heads;
    *c = (struct cm_cross){.o = *o, .L = {L[0], L[1]}, .P = P, .begin = t->size};
    if (heads < 1 || P == 0 || P % heads || L[0] == 0 || L[1] == 0)
        return cm_fail(CM_EINPUT, "cross-attention: %zu heads do not divide a width of %zu", heads,
                       P);
    double F = o->ff * (double)P;
    struct cm_unit *u = &c->unit;
    *u = (struct cm_unit){.mha = {.L = L[0] + L[1], .P = P, .H = heads},
                          .F = F < 1 ? 1 : (size_t)(F + .5),
                          .pre_norm = o->norm == CM_NORM_PRE,
                          .act = o->unit_act == CM_UNIT_GELU ? CM_ACT_GELU : CM_ACT_RELU,
                          .rate = o->dropout,
                          .attention = o->dropout,
                          .site = SITE};
    struct cm_params local = {0}; /* the same layout, from 0 */
    struct cm_unit in_arena = *u;
    cm_unit_declare(u, &local, prefix);
    cm_unit_declare(&in_arena, t, prefix);
    c->size = t->size - c->begin;
    CM_ASSERT(c->size == local.size);
    return 0;
}

int cm_cross_open(struct cm_cross *c, const struct cm_cross_config *o,
                  const struct cm_encoder *const e[2], struct cm_params *t, const char *prefix)
{
    size_t L[2] = {cm_tokens_count(e[0]), cm_tokens_count(e[1])};
    size_t P = cm_tokens_width(e[0]);
    if (P != cm_tokens_width(e[1]))
        return cm_fail(CM_EINPUT,
                       "cross-attention needs tokens of one width, the sides have %zu and %zu", P,
                       cm_tokens_width(e[1]));
    return cm_cross_make(c, o, L, P, t, prefix);
}

void cm_cross_init(const struct cm_cross *c, cm_real *params, uint64_t seed)
{
    const struct cm_unit *u = &c->unit;
    size_t P = c->P;
    cm_real *p = params + c->begin;
    const struct {
        size_t at, n;
        double bound;
    } fill[] = {{u->mha.wqkv, 3 * P * P, sqrt(6 / (4 * (double)P))},
                {u->mha.wo, P * P, 1 / sqrt((double)P)},
                {u->w1, P * u->F, 1 / sqrt((double)P)},
                {u->b1, u->F, 1 / sqrt((double)P)},
                {u->w2, u->F * P, 1 / sqrt((double)u->F)},
                {u->b2, P, 1 / sqrt((double)u->F)}};
    for (uint32_t i = 0; i < sizeof fill / sizeof *fill; i++) /* side 2: neither encoder's */
        cm_init_uniform(p + fill[i].at, fill[i].n, fill[i].bound,
                        cm_rng_make(seed, CM_RNG_INIT, 2, i));
    cm_init_constant(p + u->mha.bqkv, 3 * P, 0);
    cm_init_constant(p + u->mha.bo, P, 0);
    cm_init_constant(p + u->gain1, P, 1);
    cm_init_constant(p + u->bias1, P, 0);
    cm_init_constant(p + u->gain2, P, 1);
    cm_init_constant(p + u->bias2, P, 0);
}

static size_t rows_of(const struct cm_cross *c) { return c->L[0] + c->L[1]; }

/* S1 from the unit's output (L x P); e: both embeddings, before and behind the norm (4 P), norm
 * (2). */
static double read_out(const struct cm_cross *c, const cm_real *u, cm_real *e, cm_real *norm)
{
    size_t P = c->P, L = rows_of(c);
    cm_pool_forward(e, u, CM_POOL_MEAN, 1, L, P, 0, c->L[0]);
    cm_pool_forward(e + P, u, CM_POOL_MEAN, 1, L, P, c->L[0], L);
    cm_unitnorm_forward(e + 2 * P, norm, e, 2, P);
    double s = 0;
    for (size_t i = 0; i < P; i++)
        s += (double)e[2 * P + i] * (double)e[3 * P + i];
    return s;
}

/* cache: stack (L x P), unit, its output (L x P), e (4 P), norm (2) */
size_t cm_cross_cache(const struct cm_cross *c)
{
    return 2 * rows_of(c) * c->P + cm_unit_cache(&c->unit, 1) + 4 * c->P + 2;
}

double cm_cross_forward(const struct cm_cross *c, cm_real *cache, const cm_real *x0,
                        const cm_real *x1, const cm_real *params, const struct cm_dropout *drop,
                        cm_real *scratch)
{
    size_t P = c->P, LP = rows_of(c) * P;
    cm_real *y = cache, *u = y + LP, *e = u + LP, *norm = e + 4 * P, *unit = norm + 2;
    memcpy(y, x0, c->L[0] * P * sizeof *y);
    memcpy(y + c->L[0] * P, x1, c->L[1] * P * sizeof *y);
    cm_unit_forward(u, unit, y, params + c->begin, NULL, &c->unit, 1, drop, scratch);
    return read_out(c, u, e, norm);
}

const cm_real *cm_cross_prob(const struct cm_cross *c, const cm_real *cache)
{
    return cm_unit_prob(&c->unit, cache + 2 * rows_of(c) * c->P + 4 * c->P + 2, 1, 0);
}

void cm_cross_backward(const struct cm_cross *c, cm_real *dparams, cm_real *dx0, cm_real *dx1,
                       double ds1, const cm_real *cache, const cm_real *params,
                       const struct cm_dropout *drop, cm_real *scratch)
{
    size_t P = c->P, L = rows_of(c), LP = L * P;
    const cm_real *y = cache, *u = y + LP, *e = u + LP, *norm = e + 4 * P, *unit = norm + 2;
    cm_real *du = scratch, *dy = du + LP, *dn = dy + LP, *de = dn + 2 * P, *rest = de + 2 * P;
    (void)u;
    memset(du, 0, (2 * LP + 4 * P) * sizeof *du);
    for (size_t i = 0; i < P; i++) {
        dn[i] = (cm_real)ds1 * e[3 * P + i];
        dn[P + i] = (cm_real)ds1 * e[2 * P + i];
    }
    cm_unitnorm_backward(de, dn, norm, e + 2 * P, 2, P);
    cm_pool_backward(du, de, CM_POOL_MEAN, 1, L, P, 0, c->L[0]);
    cm_pool_backward(du, de + P, CM_POOL_MEAN, 1, L, P, c->L[0], L);
    cm_unit_backward(dy, dparams + c->begin, NULL, du, unit, y, params + c->begin, &c->unit, 1,
                     drop, rest);
    for (size_t i = 0; i < c->L[0] * P; i++)
        dx0[i] += dy[i];
    for (size_t i = 0; i < c->L[1] * P; i++)
        dx1[i] += dy[c->L[0] * P + i];
}

/* ===== candidates ========================================================================== */

/* A cell: tokens (L x P), Q, K, V (L x 3P), its attention to itself (L x P), and per head and row
 * the logarithm of that softmax's divisor (H x L). */
struct cell_offsets {
    size_t qkv, own, log, size;
};

static struct cell_offsets cell_offsets(const struct cm_cross *c, size_t side)
{
    size_t L = c->L[side], P = c->P, H = c->unit.mha.H;
    struct cell_offsets at = {.qkv = L * P};
    at.own = at.qkv + 3 * L * P;
    at.log = at.own + L * P;
    at.size = at.log + H * L;
    return at;
}

size_t cm_cross_cell(const struct cm_cross *c, size_t side) { return cell_offsets(c, side).size; }

/* The larger of what backward, a cell and a pair take. */
size_t cm_cross_scratch(const struct cm_cross *c)
{
    size_t L = rows_of(c), P = c->P, max = c->L[0] > c->L[1] ? c->L[0] : c->L[1];
    size_t back = 2 * L * P + 4 * P + cm_unit_scratch(&c->unit, 1);
    size_t cell = max * P + 2 * max + max * max;
    size_t pair = 5 * L * P + 2 * L * c->unit.F + 2 * L + 4 * P + 2 + c->L[0] * c->L[1] + max;
    return back > cell ? (back > pair ? back : pair) : cell > pair ? cell : pair;
}

void cm_cross_cell_make(const struct cm_cross *c, size_t side, cm_real *cell, const cm_real *x,
                        const cm_real *params, cm_real *scratch)
{
    const struct cm_unit *u = &c->unit;
    size_t L = c->L[side], P = c->P, H = u->mha.H, D = P / H;
    struct cell_offsets at = cell_offsets(c, side);
    const cm_real *w = params + c->begin, *in = x;
    cm_real *normed = scratch, *stat = normed + L * P, *s = stat + 2 * L;
    cm_real *qkv = cell + at.qkv, scale = (cm_real)(1 / sqrt((double)D));
    memcpy(cell, x, L * P * sizeof *cell);
    if (u->pre_norm) {
        cm_layernorm_forward(normed, stat, x, w + u->gain1, w + u->bias1, L, P);
        in = normed;
    }
    cm_linear_forward(qkv, in, w + u->mha.wqkv, w + u->mha.bqkv, L, P, 3 * P);
    for (size_t h = 0; h < H; h++) {
        cm_real *max = cell + at.log + h * L;
        uint32_t *where = (uint32_t *)(void *)stat; /* the norm is done with it */
        cm_gemm_real(false, true, L, L, D, scale, qkv + h * D, 3 * P, qkv + P + h * D, 3 * P, 0, s,
                     L);
        for (size_t i = 0; i < L; i++) {
            where[i] = 0;
            for (uint32_t j = 1; j < L; j++)
                if (s[i * L + j] > s[i * L + where[i]])
                    where[i] = j;
            max[i] = s[i * L + where[i]];
        }
        cm_softmax_rows(s, L, L);
        for (size_t i = 0; i < L; i++) /* at the largest: exp(s - log) = p >= 1 / L */
            max[i] -= (cm_real)log((double)s[i * L + where[i]]);
        cm_gemm_real(false, false, L, D, L, 1, s, L, qkv + 2 * P + h * D, 3 * P, 0,
                     cell + at.own + h * D, P);
    }
}

/* z (rows of `side` in the stack, ld P): attention of its tokens to both parts of the pair.
 * s: L[side] x (L[1 - side] + 1), the last key being all of its own tokens. */
static void merge(const struct cm_cross *c, size_t side, cm_real *z, const cm_real *own,
                  const cm_real *other, cm_real *s)
{
    size_t L = c->L[side], M = c->L[1 - side], P = c->P, H = c->unit.mha.H, D = P / H;
    struct cell_offsets at = cell_offsets(c, side), to = cell_offsets(c, 1 - side);
    const cm_real *q = own + at.qkv, *k = other + to.qkv + P, *v = other + to.qkv + 2 * P;
    cm_real scale = (cm_real)(1 / sqrt((double)D));
    for (size_t h = 0; h < H; h++) {
        for (size_t i = 0; i < L; i++)
            s[i * (M + 1) + M] = own[at.log + h * L + i];
        cm_gemm_real(false, true, L, M, D, scale, q + h * D, 3 * P, k + h * D, 3 * P, 0, s, M + 1);
        cm_softmax_rows(s, L, M + 1);
        for (size_t i = 0; i < L; i++) {
            cm_real mine = s[i * (M + 1) + M];
            for (size_t d = h * D; d < h * D + D; d++)
                z[i * P + d] = mine * own[at.own + i * P + d];
        }
        cm_gemm_real(false, false, L, D, M, 1, s, M + 1, v + h * D, 3 * P, 1, z + h * D, P);
    }
}

double cm_cross_pair(const struct cm_cross *c, const cm_real *cell0, const cm_real *cell1,
                     const cm_real *params, cm_real *scratch)
{
    const struct cm_unit *u = &c->unit;
    size_t P = c->P, L = rows_of(c), LP = L * P, first = c->L[0] * P, F = u->F;
    const cm_real *w = params + c->begin;
    cm_real *z = scratch, *y = z + LP, *a = y + LP, *b = a + LP, *h = b + 2 * LP, *f = h + L * F,
            *stat = f + L * F, *e = stat + 2 * L, *norm = e + 4 * P, *s = norm + 2;
    merge(c, 0, z, cell0, cell1, s);
    merge(c, 1, z + first, cell1, cell0, s);
    cm_linear_forward(a, z, w + u->mha.wo, w + u->mha.bo, L, P, P);
    for (size_t i = 0; i < first; i++)
        a[i] += cell0[i];
    for (size_t i = first; i < LP; i++)
        a[i] += cell1[i - first];
    const cm_real *in = a;
    if (!u->pre_norm) {
        cm_layernorm_forward(y, stat, a, w + u->gain1, w + u->bias1, L, P);
        in = y;
    } else {
        cm_layernorm_forward(y, stat, a, w + u->gain2, w + u->bias2, L, P);
    }
    cm_linear_forward(h, y, w + u->w1, w + u->b1, L, P, F);
    cm_act_forward(f, h, L * F, u->act, u->slope);
    cm_linear_forward(b, f, w + u->w2, w + u->b2, L, F, P);
    for (size_t i = 0; i < LP; i++)
        b[i] += in[i];
    if (u->pre_norm)
        return read_out(c, b, e, norm);
    cm_layernorm_forward(z, stat, b, w + u->gain2, w + u->bias2, L, P);
    return read_out(c, z, e, norm);
}

/* ===== mining and the loss ================================================================== */

#define WAVE   256 /* pairs whose token gradients are held at a time */
#define ARENAS 16  /* gradient arenas of the parameters */

struct pair {
    uint32_t i, j;
    double s1, ds;
};

struct work {
    const struct cm_cross *c;
    const struct cm_cross_batch *batch;
    const cm_real *params;
    const struct cm_dropout *drop;
    cm_real *cell[2];
    struct pair *pair;
    size_t n, shards;
    cm_real *dx[2], *arena; /* of a wave, and of the shards */
};

static int cell_shard(void *arg, size_t shard)
{
    struct work *w = arg;
    const struct cm_cross *c = w->c;
    size_t B = w->batch->B;
    cm_real *scratch = CM_NEW(cm_real, cm_cross_scratch(c));
    for (size_t i = cm_shard_begin(2 * B, w->shards, shard),
                to = cm_shard_begin(2 * B, w->shards, shard + 1);
         i < to; i++) {
        size_t side = i >= B, b = i - side * B;
        cm_cross_cell_make(c, side, w->cell[side] + b * cm_cross_cell(c, side),
                           w->batch->x[side] + b * c->L[side] * c->P, w->params, scratch);
    }
    cm_free(scratch);
    return 0;
}

static int score_shard(void *arg, size_t shard)
{
    struct work *w = arg;
    const struct cm_cross *c = w->c;
    size_t one[2] = {cm_cross_cell(c, 0), cm_cross_cell(c, 1)};
    cm_real *scratch = CM_NEW(cm_real, cm_cross_scratch(c));
    for (size_t k = cm_shard_begin(w->n, w->shards, shard),
                to = cm_shard_begin(w->n, w->shards, shard + 1);
         k < to; k++) {
        struct pair *p = &w->pair[k];
        p->s1 = cm_cross_pair(c, w->cell[0] + p->i * one[0], w->cell[1] + p->j * one[1], w->params,
                              scratch);
    }
    cm_free(scratch);
    return 0;
}

/* The dropout of a pair: rows are pairs, so each draws its own mask. */
static const struct cm_dropout *pair_drop(struct cm_dropout *d, const struct work *w,
                                          const struct pair *p)
{
    if (!w->drop)
        return NULL;
    *d = *w->drop;
    d->row = (uint32_t)(p->i * w->batch->B + p->j);
    return d;
}

/* Pairs of a wave: forward and, where there is a gradient, backward. */
static int train_shard(void *arg, size_t shard)
{
    struct work *w = arg;
    const struct cm_cross *c = w->c;
    size_t part[2] = {c->L[0] * c->P, c->L[1] * c->P};
    cm_real *scratch = CM_NEW(cm_real, cm_cross_scratch(c) + cm_cross_cache(c));
    cm_real *cache = scratch + cm_cross_scratch(c);
    struct cm_cross local = *c; /* its gradients: an arena of the module alone */
    const cm_real *params = w->params + c->begin;
    local.begin = 0;
    for (size_t k = cm_shard_begin(w->n, w->shards, shard),
                to = cm_shard_begin(w->n, w->shards, shard + 1);
         k < to; k++) {
        struct pair *p = &w->pair[k];
        struct cm_dropout d;
        const struct cm_dropout *drop = pair_drop(&d, w, p);
        double s1 = cm_cross_forward(&local, cache, w->batch->x[0] + p->i * part[0],
                                     w->batch->x[1] + p->j * part[1], params, drop, scratch);
        if (w->arena)
            cm_cross_backward(&local, w->arena + shard * c->size, w->dx[0] + k * part[0],
                              w->dx[1] + k * part[1], c->o.alpha * p->ds, cache, params, drop,
                              scratch);
        else
            p->s1 = s1;
    }
    cm_free(scratch);
    return 0;
}

/* What mining sorts by: S0; for semi-hard negatives, which lie below the partner, the largest below
 * the partner's, then the nearest above. */
static double mining_key(double s0, double own, bool below)
{
    double d = s0 - own;
    return !below ? s0 : d < 0 ? d : -1e6 - d;
}

/* list (h places) = the indices j of the largest keys of v[j step], j != self and allowed; their
 * number */
static size_t largest(uint32_t *list, size_t h, const cm_real *v, const unsigned char *allowed,
                      size_t step, size_t B, size_t self, bool below)
{
    double own = (double)v[self * step];
    size_t n = 0;
    for (size_t j = 0; j < B; j++) {
        if (j == self || (allowed && !allowed[j * step]))
            continue;
        double key = mining_key((double)v[j * step], own, below);
        if (n == h && !(key > mining_key((double)v[list[n - 1] * step], own, below)))
            continue;
        size_t at = n < h ? n++ : n - 1;
        for (; at > 0 && key > mining_key((double)v[list[at - 1] * step], own, below); at--)
            list[at] = list[at - 1];
        list[at] = (uint32_t)j;
    }
    return n;
}

/* mined[0], mined[1] (B x B bytes): 1 where a row mined a column; where a column mined a row. */
static void mine(const struct cm_cross_batch *batch, const struct cm_cross_config *o,
                 unsigned char *const mined[2])
{
    size_t h = o->mined;
    bool below = o->loss == CM_CROSS_TRIPLET && o->negatives != CM_NEG_HARDEST;
    size_t B = batch->B;
    uint32_t *list = CM_NEW(uint32_t, h);
    for (size_t i = 0; i < B; i++) {
        size_t n = largest(list, h, batch->s0 + i * B,
                           batch->allowed ? batch->allowed + i * B : NULL, 1, B, i, below);
        for (size_t k = 0; k < n; k++)
            mined[0][i * B + list[k]] = 1;
        n = largest(list, h, batch->s0 + i, batch->allowed ? batch->allowed + i : NULL, B, B, i,
                    below);
        for (size_t k = 0; k < n; k++)
            mined[1][list[k] * B + i] = 1;
    }
    cm_free(list);
}

/* Cross-entropy of the partner among itself and the mined, rows and columns; adds to ds. */
static double listwise(const struct cm_cross_batch *batch, const cm_real *s,
                       unsigned char *const mined[2], cm_real *ds, double *dlog_t)
{
    size_t B = batch->B;
    double t = exp(batch->log_t), half = .5 / (double)B, loss = 0;
    for (int side = 0; side < 2; side++)
        for (size_t i = 0; i < B; i++) {
            size_t step = side ? B : 1, from = side ? i : i * B;
            double own = t * (double)s[i * B + i], max = own, sum;
            for (size_t j = 0; j < B; j++)
                if (mined[side][from + j * step])
                    max = fmax(max, t * (double)s[from + j * step]);
            sum = exp(own - max);
            for (size_t j = 0; j < B; j++)
                if (mined[side][from + j * step])
                    sum += exp(t * (double)s[from + j * step] - max);
            loss += half * (log(sum) + max - own);
            for (size_t j = 0; j < B; j++) {
                if (j != i && !mined[side][from + j * step])
                    continue;
                double z = t * (double)s[from + j * step];
                double d = half * (exp(z - max) / sum - (j == i));
                ds[from + j * step] += (cm_real)(t * d);
                *dlog_t += d * z;
            }
        }
    return loss;
}

/* s (B x B) = S of the pairs, S0 elsewhere. */
static void fill_scores(const struct work *w, cm_real *s)
{
    size_t B = w->batch->B;
    memcpy(s, w->batch->s0, B * B * sizeof *s);
    for (size_t k = 0; k < w->n; k++)
        s[w->pair[k].i * B + w->pair[k].j] += (cm_real)(w->c->o.alpha * w->pair[k].s1);
}

static double spread(const struct work *w, const cm_real *s)
{
    double sum = 0, square = 0, n = (double)w->n;
    for (size_t k = 0; k < w->n; k++)
        sum += (double)s[w->pair[k].i * w->batch->B + w->pair[k].j];
    for (size_t k = 0; k < w->n; k++) {
        double d = (double)s[w->pair[k].i * w->batch->B + w->pair[k].j] - sum / n;
        square += d * d;
    }
    return w->n ? sqrt(square / n) : 0;
}

/* Keeps the pairs that meet `wanted` (B x B); the order stays. */
static void keep_pairs(struct work *w, const unsigned char *wanted)
{
    size_t n = 0;
    for (size_t k = 0; k < w->n; k++)
        if (wanted[w->pair[k].i * w->batch->B + w->pair[k].j])
            w->pair[n++] = w->pair[k];
    w->n = n;
}

static void backward_pairs(struct work *w, cm_real *const dx[2], cm_real *dparams)
{
    const struct cm_cross *c = w->c;
    size_t part[2] = {c->L[0] * c->P, c->L[1] * c->P}, all = w->n;
    struct pair *pairs = w->pair;
    w->shards = cm_shards(all < WAVE ? all : WAVE, 1, ARENAS);
    w->arena = CM_ZNEW(cm_real, w->shards * c->size);
    size_t arenas = w->shards;
    for (size_t s = 0; s < 2; s++)
        w->dx[s] = CM_NEW(cm_real, (all < WAVE ? all : WAVE) * part[s]);
    for (size_t from = 0; from < all; from += WAVE) {
        w->pair = pairs + from;
        w->n = all - from < WAVE ? all - from : WAVE;
        for (size_t s = 0; s < 2; s++)
            memset(w->dx[s], 0, w->n * part[s] * sizeof *w->dx[s]);
        cm_parallel(w->shards, train_shard, w);
        for (size_t k = 0; k < w->n; k++)
            for (size_t s = 0; s < 2; s++) {
                size_t row = s ? w->pair[k].j : w->pair[k].i;
                for (size_t i = 0; i < part[s]; i++)
                    dx[s][row * part[s] + i] += w->dx[s][k * part[s] + i];
            }
    }
    for (size_t a = 0; a < arenas; a++)
        for (size_t i = 0; i < c->size; i++)
            dparams[c->begin + i] += w->arena[a * c->size + i];
    for (size_t s = 0; s < 2; s++)
        cm_free(w->dx[s]);
    cm_free(w->arena);
    w->arena = NULL;
    w->pair = pairs;
    w->n = all;
}

double cm_cross_loss(const struct cm_cross *c, cm_real *ds0, cm_real *const dx[2], cm_real *dparams,
                     const struct cm_cross_batch *batch, const cm_real *params,
                     const struct cm_dropout *drop, const struct cm_rng *g,
                     struct cm_cross_report *report)
{
    size_t B = batch->B, cells = B * B;
    CM_ASSERT(B >= 1 && B <= 65535);
    struct cm_cross_report r = {0};
    struct work w = {.c = c, .batch = batch, .params = params, .drop = drop};
    unsigned char *mined[2] = {CM_ZNEW(unsigned char, cells), CM_ZNEW(unsigned char, cells)};
    mine(batch, &c->o, mined);
    for (size_t k = 0; k < cells; k++)
        w.n += mined[0][k] || mined[1][k] || k % (B + 1) == 0;
    w.pair = CM_ZNEW(struct pair, w.n);
    for (size_t k = 0, n = 0; k < cells; k++)
        if (mined[0][k] || mined[1][k] || k % (B + 1) == 0)
            w.pair[n++] = (struct pair){.i = (uint32_t)(k / B), .j = (uint32_t)(k % B)};

    for (size_t s = 0; s < 2; s++)
        w.cell[s] = CM_NEW(cm_real, B * cm_cross_cell(c, s));
    w.shards = cm_shards(2 * B, 4, 64);
    cm_parallel(w.shards, cell_shard, &w);
    w.shards = cm_shards(w.n, 4, 64);
    cm_parallel(w.shards, score_shard, &w);
    cm_free(w.cell[0]);
    cm_free(w.cell[1]);

    cm_real *s = CM_NEW(cm_real, cells), *ds = CM_ZNEW(cm_real, cells);
    uint32_t *negative = CM_NEW(uint32_t, 4 * B), *row = negative, *column = row + B;
    fill_scores(&w, s);
    r.mined = w.n;
    r.sd = spread(&w, s);
    bool triplet = c->o.loss == CM_CROSS_TRIPLET;
    if (triplet) { /* each direction among its own mined ones; the other answer is not used */
        cm_negatives_choose(row, column + B, s, mined[0], B, c->o.margin, c->o.negatives, g);
        cm_negatives_choose(column + B, column, s, mined[1], B, c->o.margin, c->o.negatives, g);
        unsigned char *chosen = CM_ZNEW(unsigned char, cells);
        for (size_t i = 0; i < B; i++) {
            chosen[i * B + i] = 1;
            if (row[i] != CM_NO_NEGATIVE)
                chosen[i * B + row[i]] = 1;
            if (column[i] != CM_NO_NEGATIVE)
                chosen[column[i] * B + i] = 1;
        }
        keep_pairs(&w, chosen);
        cm_free(chosen);
    }
    if (drop) { /* the loss is that of the network under dropout */
        w.shards = cm_shards(w.n, 4, 64);
        cm_parallel(w.shards, train_shard, &w);
        fill_scores(&w, s);
    }
    double loss;
    if (triplet) {
        loss = cm_triplet(ds, &r.active, s, row, column, B, c->o.margin);
    } else {
        loss = listwise(batch, s, mined, ds, &r.dlog_t);
        r.active = 2 * B;
    }
    unsigned char *wanted = mined[0];
    for (size_t k = 0; k < cells; k++) {
        ds0[k] += ds[k];
        wanted[k] = ds[k] != 0;
    }
    keep_pairs(&w, wanted);
    for (size_t k = 0; k < w.n; k++)
        w.pair[k].ds = (double)ds[w.pair[k].i * B + w.pair[k].j];
    r.back = w.n;
    if (w.n && c->o.alpha != 0)
        backward_pairs(&w, dx, dparams);

    cm_free(negative);
    cm_free(s);
    cm_free(ds);
    cm_free(w.pair);
    cm_free(mined[0]);
    cm_free(mined[1]);
    if (report)
        *report = r;
    return loss;
}

uint64_t cm_cross_loss_bytes(const struct cm_cross *c, size_t B, size_t threads)
{
    uint64_t b = B, real = sizeof(cm_real), pairs = b * (1 + 2 * (uint64_t)c->o.mined);
    if (pairs > b * b)
        pairs = b * b;
    uint64_t cells = b * (cm_cross_cell(c, 0) + cm_cross_cell(c, 1));
    uint64_t back = (uint64_t)ARENAS * c->size + (uint64_t)WAVE * rows_of(c) * c->P;
    return real * (2 * b * b + (cells > back ? cells : back) +
                   threads * (cm_cross_scratch(c) + cm_cross_cache(c))) +
           3 * b * b + 16 * b + pairs * sizeof(struct pair);
}
