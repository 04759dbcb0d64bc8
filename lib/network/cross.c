/* network/cross.c - the cross-attention module on pairs: exact, and cached over candidates.
 *
 * A pair costs as much as a whole self-attention, and a batch has B^2 of them.  The
 * rows of the stack's softmax are split in two blocks, a cell's own tokens and the partner's.  The
 * own block depends on the cell alone; kept are its attention, as if there were no partner, and the
 * logarithm of its softmax's divisor, which stands in the pair's softmax as one key more (the merge
 * of pieces of Milakov and Gimelshein 2018).  Backward runs the plain unit on the stack: its pairs
 * are few.  Gradients of tokens, which pairs share, are added in the order of the pairs after each
 * wave of them; those of parameters go to one arena a shard.  Rejected: keeping the own scores (L x
 * L x H a cell, twenty times the memory), and an S1 from e1 and t1 kept per cell: the leak.
 */
#include "network/cross.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "nn/gemm.h"

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
    size_t L[2] = {e[0]->L, e[1]->L};
    size_t P = e[0]->P;
    if (P != e[1]->P)
        return cm_fail(CM_EINPUT,
                       "cross-attention needs tokens of one width, the sides have %zu and %zu", P,
                       e[1]->P);
    return cm_cross_make(c, o, L, P, t, prefix);
}

void cm_cross_init(const struct cm_cross *c, cm_real *params, uint64_t seed)
{
    const struct cm_unit *u = &c->unit;
    size_t P = c->P;
    cm_real *p = params;
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

double cm_cross_forward(const struct cm_cross *c, cm_real *cache, const cm_real *const x[2],
                        const cm_real *params, const struct cm_dropout *drop, cm_real *scratch)
{
    size_t P = c->P, LP = rows_of(c) * P;
    cm_real *y = cache, *u = y + LP, *e = u + LP, *norm = e + 4 * P, *unit = norm + 2;
    memcpy(y, x[0], c->L[0] * P * sizeof *y);
    memcpy(y + c->L[0] * P, x[1], c->L[1] * P * sizeof *y);
    cm_unit_forward(u, unit, y, params, &c->unit, 1, drop, scratch);
    return read_out(c, u, e, norm);
}

const cm_real *cm_cross_prob(const struct cm_cross *c, const cm_real *cache)
{
    return cache + 2 * rows_of(c) * c->P + 4 * c->P + 2 + cm_unit_prob_at(&c->unit, 1, 0);
}

void cm_cross_backward(const struct cm_cross *c, cm_real *dparams, cm_real *const dx[2], double ds1,
                       const cm_real *cache, const cm_real *params, const struct cm_dropout *drop,
                       cm_real *scratch)
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
    cm_unit_backward(dy, dparams, du, unit, y, params, &c->unit, 1, drop, rest);
    for (size_t i = 0; i < c->L[0] * P; i++)
        dx[0][i] += dy[i];
    for (size_t i = 0; i < c->L[1] * P; i++)
        dx[1][i] += dy[c->L[0] * P + i];
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
    const cm_real *w = params, *in = x;
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
        cm_product(false, true, L, L, D, scale, qkv + h * D, 3 * P, qkv + P + h * D, 3 * P, 0, s,
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
        cm_product(false, false, L, D, L, 1, s, L, qkv + 2 * P + h * D, 3 * P, 0,
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
        cm_product(false, true, L, M, D, scale, q + h * D, 3 * P, k + h * D, 3 * P, 0, s, M + 1);
        cm_softmax_rows(s, L, M + 1);
        for (size_t i = 0; i < L; i++) {
            cm_real mine = s[i * (M + 1) + M];
            for (size_t d = h * D; d < h * D + D; d++)
                z[i * P + d] = mine * own[at.own + i * P + d];
        }
        cm_product(false, false, L, D, M, 1, s, M + 1, v + h * D, 3 * P, 1, z + h * D, P);
    }
}

double cm_cross_pair(const struct cm_cross *c, const cm_real *cell0, const cm_real *cell1,
                     const cm_real *params, cm_real *scratch)
{
    const struct cm_unit *u = &c->unit;
    size_t P = c->P, L = rows_of(c), LP = L * P, first = c->L[0] * P, F = u->F;
    const cm_real *w = params;
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
