/* network/mining.c - candidates of a mini-batch, and the loss of their scores.
 *
 * Gradients of tokens, which pairs share, are added in the order of the pairs after each wave of
 * them; those of parameters go to one arena a shard.
 */
#include "network/mining.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"

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
    cm_real *scratch = CM_NEW_HOT(cm_cross_scratch(c), cm_real);
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
    cm_real *scratch = CM_NEW_HOT(cm_cross_scratch(c), cm_real);
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
    if (!w->batch->drop)
        return NULL;
    *d = *w->batch->drop;
    d->row = (uint32_t)(p->i * w->batch->B + p->j);
    return d;
}

/* Pairs of a wave: forward and, where there is a gradient, backward. */
static int train_shard(void *arg, size_t shard)
{
    struct work *w = arg;
    const struct cm_cross *c = w->c;
    size_t part[2] = {c->L[0] * c->P, c->L[1] * c->P};
    cm_real *scratch = CM_NEW_HOT(cm_cross_scratch(c) + cm_cross_cache(c), cm_real);
    cm_real *cache = scratch + cm_cross_scratch(c);
    for (size_t k = cm_shard_begin(w->n, w->shards, shard),
                to = cm_shard_begin(w->n, w->shards, shard + 1);
         k < to; k++) {
        struct pair *p = &w->pair[k];
        struct cm_dropout d;
        const struct cm_dropout *drop = pair_drop(&d, w, p);
        const cm_real *const x[2] = {w->batch->x[0] + p->i * part[0],
                                     w->batch->x[1] + p->j * part[1]};
        double s1 = cm_cross_forward(c, cache, x, w->params, drop, scratch);
        if (w->arena) {
            cm_real *const dx[2] = {w->dx[0] + k * part[0], w->dx[1] + k * part[1]};
            cm_cross_backward(c, w->arena + shard * c->size, dx, c->o.alpha * p->ds, cache,
                              w->params, drop, scratch);
        } else {
            p->s1 = s1;
        }
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
    uint32_t *list = CM_NEW(h, uint32_t);
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
    w->arena = CM_ZNEW(w->shards * c->size, cm_real);
    size_t arenas = w->shards;
    for (size_t s = 0; s < 2; s++)
        w->dx[s] = CM_NEW((all < WAVE ? all : WAVE) * part[s], cm_real);
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
            dparams[i] += w->arena[a * c->size + i];
    for (size_t s = 0; s < 2; s++)
        cm_free(w->dx[s]);
    cm_free(w->arena);
    w->arena = NULL;
    w->pair = pairs;
    w->n = all;
}

/* The pairs that are scored: the mined ones and the partners. */
static void list_pairs(struct work *w, unsigned char *const mined[2])
{
    size_t B = w->batch->B, cells = B * B, n = 0;
    for (size_t k = 0; k < cells; k++)
        n += mined[0][k] || mined[1][k] || k % (B + 1) == 0;
    w->pair = CM_ZNEW(n, struct pair);
    for (size_t k = 0; k < cells; k++)
        if (mined[0][k] || mined[1][k] || k % (B + 1) == 0)
            w->pair[w->n++] = (struct pair){.i = (uint32_t)(k / B), .j = (uint32_t)(k % B)};
}

/* s1 of the pairs, without dropout, by what their cells share. */
static void score_pairs(struct work *w)
{
    size_t B = w->batch->B;
    for (size_t s = 0; s < 2; s++)
        w->cell[s] = CM_NEW(B * cm_cross_cell(w->c, s), cm_real);
    w->shards = cm_shards(2 * B, 4, 64);
    cm_parallel(w->shards, cell_shard, w);
    w->shards = cm_shards(w->n, 4, 64);
    cm_parallel(w->shards, score_shard, w);
    cm_free(w->cell[0]);
    cm_free(w->cell[1]);
}

/* The negatives (B each) of rows and columns, each direction among its own mined ones; pairs that
 * are in no triplet go. */
static void choose_triplets(struct work *w, const cm_real *s, unsigned char *const mined[2],
                            uint32_t *row, uint32_t *column)
{
    const struct cm_cross_config *o = &w->c->o;
    const struct cm_cross_batch *b = w->batch;
    size_t B = b->B;
    uint32_t *other = CM_NEW(B, uint32_t); /* the other direction's answer, not used */
    unsigned char *chosen = CM_ZNEW(B * B, unsigned char);
    cm_negatives_choose(row, other, s, mined[0], B, o->margin, o->negatives, b->g);
    cm_negatives_choose(other, column, s, mined[1], B, o->margin, o->negatives, b->g);
    for (size_t i = 0; i < B; i++) {
        chosen[i * B + i] = 1;
        if (row[i] != CM_NO_NEGATIVE)
            chosen[i * B + row[i]] = 1;
        if (column[i] != CM_NO_NEGATIVE)
            chosen[column[i] * B + i] = 1;
    }
    keep_pairs(w, chosen);
    cm_free(chosen);
    cm_free(other);
}

double cm_cross_loss(const struct cm_cross *c, cm_real *ds0, cm_real *const dx[2], cm_real *dparams,
                     const struct cm_cross_batch *batch, const cm_real *params,
                     struct cm_cross_report *report)
{
    size_t B = batch->B, cells = B * B;
    CM_ASSERT(B >= 1 && B <= 65535);
    struct cm_cross_report r = {0};
    struct work w = {.c = c, .batch = batch, .params = params};
    unsigned char *mined[2] = {CM_ZNEW(cells, unsigned char), CM_ZNEW(cells, unsigned char)};
    cm_real *s = CM_NEW(cells, cm_real), *ds = CM_ZNEW(cells, cm_real);
    uint32_t *row = CM_NEW(2 * B, uint32_t), *column = row + B;
    mine(batch, &c->o, mined);
    list_pairs(&w, mined);
    score_pairs(&w);
    fill_scores(&w, s);
    r.mined = w.n;
    r.sd = spread(&w, s);
    bool triplet = c->o.loss == CM_CROSS_TRIPLET;
    if (triplet)
        choose_triplets(&w, s, mined, row, column);
    if (batch->drop) { /* the loss is that of the network under dropout */
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
    cm_free(row);
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
    uint64_t back = (uint64_t)ARENAS * c->size + (uint64_t)WAVE * (c->L[0] + c->L[1]) * c->P;
    return real * (2 * b * b + (cells > back ? cells : back) +
                   threads * (cm_cross_scratch(c) + cm_cross_cache(c))) +
           3 * b * b + 16 * b + pairs * sizeof(struct pair);
}
