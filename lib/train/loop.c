/* train/loop.c - one training step after the other.
 *
 * A step has two parallel passes over the same shards, and between them the serial part on B x B
 * similarities.  When the activations of a mini-batch are more than the bound, the first pass keeps
 * none and the second computes them again, group by group: the same bits, because dropout is a pure
 * function of (seed, step, row).  Both modalities run in one pass; the second has a dropout seed of
 * its own, or the same units would vanish on both sides of a cell.
 *
 * The peak-gene term does not change while training, so its values for all training pairs are
 * worked out once where they fit (TABLE_ROWS), else for each mini-batch.  Which of the two depends
 * on the number of cells alone, never on memory or threads: they round differently.
 *
 * The cross module needs the tokens of all cells of a batch side by side, so the first pass copies
 * them out of the groups' caches, and the second is given their gradients.  A gradient that
 * the module's setting keeps back is worked out and dropped: it is a small part of the cost.
 */
#include "train/loop.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "links/apply.h"
#include "match/rules.h"
#include "matrix/blas.h"
#include "network/mining.h"
#include "network/scorer.h"

#define TABLE_ROWS  8192 /* training cells up to which the term is a table: 256 MiB */
#define TABLE_BLOCK 1024
#define SHARDS      16
#define SHARD_BYTES ((uint64_t)256 << 20) /* gradient arenas of all shards */
#define COLLAPSED   1e-3 /* standard deviation of S below which nothing is learnt (MODEL 1) */
#define PROGRAM     ((uint64_t)32 << 20) /* code, libraries, their buffers */
#define OTHER_SIDE  ((uint64_t)1 << 63)
#define CROSS_DRAW  0x80000000u /* negatives of the module: numbers of their own */
#define CROSS_BATCH 65535       /* cells of a mini-batch, with the module */

struct fit {
    struct cm_model *m;
    const struct cm_loss_config *loss;
    const struct cm_loop_config *o;
    const struct cm_fit_data *d;
    struct cm_fit_state *s;
    const struct cm_fit_callbacks *callbacks;
    uint64_t seed;
    size_t n, q, size, max; /* training cells, width, numbers in an arena, shards at most */
    float *table;           /* n x n: mu L of all training pairs, or NULL */
    float *valid_term;      /* mu L of the validation cells, or NULL */
    float *valid_z[2];
    double cross, sd; /* of the last step: loss of the module, sd of the similarities */
    bool warned;
};

/* One mini-batch. */
struct batch {
    struct fit *f;
    const uint32_t *row;
    size_t B, groups[2], shards;
    struct cm_cell *cell[2];
    cm_real *raw[2], *e[2], *norm[2], *de[2], *draw[2];
    cm_real *tokens[2], *dtokens[2]; /* B x L x P, or NULL: no module; dtokens NULL: not used */
    cm_real *cache;                  /* of all groups, or NULL: not kept */
    cm_real *grad;                   /* shards x size */
    float *s, *ds, *term;
    struct cm_dropout drop;
};

/* ===== the peak-gene term ================================================================= */

static void term_columns(const struct cm_model *m, size_t side, const struct cm_csr *x,
                         const float *z, const uint64_t *at, size_t n, float *out)
{
    size_t k = m->linear.k, width = m->links.gene.n;
    struct cm_csr rows = cm_csr_rows(x, at, n);
    float *zz = CM_NEW(float, n *k);
    for (size_t i = 0; i < n; i++)
        memcpy(zz + i * k, z + at[i] * k, k * sizeof *zz);
    if ((int)side == cm_head_find_slot(&m->head, "GEX"))
        cm_links_gene_columns(&m->links, &rows, zz, k, out, width);
    else
        cm_links_peak_columns(&m->links, &rows, zz, k, out, width);
    cm_csr_free(&rows);
    cm_free(zz);
}

/* out (n x n, ld n) = mu L of cells at[0..n-1] of both sides, block by block. */
static void term_of(const struct cm_model *m, const struct cm_csr *const x[2],
                    const float *const z[2], const uint64_t *at, size_t n, float *out)
{
    size_t width = m->links.gene.n, block = n < TABLE_BLOCK ? n : TABLE_BLOCK;
    float *c[2] = {CM_NEW(float, block *width), CM_NEW(float, block *width)};
    for (size_t i = 0; i < n; i += block) {
        size_t rows = n - i < block ? n - i : block;
        term_columns(m, 0, x[0], z[0], at + i, rows, c[0]);
        for (size_t j = 0; j < n; j += block) {
            size_t cols = n - j < block ? n - j : block;
            term_columns(m, 1, x[1], z[1], at + j, cols, c[1]);
            cm_sgemm_parallel(false, true, rows, cols, width, 1, c[0], width, c[1], width, 0,
                              out + i * n + j, n);
        }
    }
    cm_free(c[0]);
    cm_free(c[1]);
}

static uint64_t *counting(size_t n)
{
    uint64_t *at = CM_NEW(uint64_t, n);
    for (size_t i = 0; i < n; i++)
        at[i] = i;
    return at;
}

static void prepare_terms(struct fit *f)
{
    const struct cm_fit_data *d = f->d;
    size_t k = f->m->linear.k, v = d->valid[0]->rows;
    for (size_t side = 0; k > 0 && side < 2; side++) {
        f->valid_z[side] = CM_NEW(float, v *k);
        cm_linear_z(&f->m->linear, side, d->valid[side], f->valid_z[side]);
    }
    if (!f->m->has_links)
        return;
    const float *const vz[2] = {f->valid_z[0], f->valid_z[1]};
    uint64_t *at = counting(f->n > v ? f->n : v);
    if (v) {
        f->valid_term = CM_NEW(float, v *v);
        term_of(f->m, d->valid, vz, at, v, f->valid_term);
    }
    if (f->n <= TABLE_ROWS) {
        f->table = CM_NEW(float, f->n * f->n);
        term_of(f->m, d->x, d->z, at, f->n, f->table);
    }
    cm_free(at);
}

/* b->term (B x B) */
static void batch_term(struct batch *b)
{
    struct fit *f = b->f;
    if (f->table) {
        for (size_t i = 0; i < b->B; i++)
            for (size_t j = 0; j < b->B; j++)
                b->term[i * b->B + j] = f->table[b->row[i] * f->n + b->row[j]];
        return;
    }
    uint64_t *at = CM_NEW(uint64_t, b->B);
    for (size_t i = 0; i < b->B; i++)
        at[i] = b->row[i];
    term_of(f->m, f->d->x, f->d->z, at, b->B, b->term);
    cm_free(at);
}

/* ===== groups of cells ==================================================================== */

struct group {
    size_t side, from, n;
    cm_real *cache; /* NULL: not kept */
};

static struct group group_at(const struct batch *b, size_t item)
{
    const struct cm_net *net = &b->f->m->net;
    struct group g = {.side = item >= b->groups[0]};
    size_t size = net->encoder[g.side].group, k = g.side ? item - b->groups[0] : item;
    g.from = k * size;
    g.n = b->B - g.from < size ? b->B - g.from : size;
    if (b->cache)
        g.cache = b->cache + k * cm_net_cache(net, g.side, size) +
                  (g.side ? b->groups[0] * cm_net_cache(net, 0, net->encoder[0].group) : 0);
    return g;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

static size_t largest(const struct cm_net *net,
                      size_t (*of)(const struct cm_net *, size_t side, size_t B))
{
    return larger(of(net, 0, net->encoder[0].group), of(net, 1, net->encoder[1].group));
}

static struct cm_dropout dropout_at(const struct batch *b, const struct group *g)
{
    struct cm_dropout drop = b->drop;
    drop.row = (uint32_t)g->from;
    if (g->side)
        drop.seed ^= OTHER_SIDE;
    return drop;
}

static size_t token_size(const struct cm_net *net, size_t side)
{
    return net->cross.L[side] * net->cross.P;
}

struct pass {
    struct batch *b;
    bool backward;
};

/* Forward (out to raw), or backward (draw to the shard's arena), of this shard's groups. */
static int pass_shard(void *arg, size_t shard)
{
    const struct pass *p = arg;
    struct batch *b = p->b;
    struct fit *f = b->f;
    const struct cm_net *net = &f->m->net;
    size_t items = b->groups[0] + b->groups[1], q = f->q;
    cm_real *cache = b->cache ? NULL : CM_NEW(cm_real, largest(net, cm_net_cache)),
            *again = p->backward && !b->cache
                         ? CM_NEW(cm_real, larger(net->encoder[0].group, net->encoder[1].group) * q)
                         : NULL,
            *scratch = CM_NEW(cm_real, largest(net, cm_net_scratch));
    for (size_t i = cm_shard_begin(items, b->shards, shard);
         i < cm_shard_begin(items, b->shards, shard + 1); i++) {
        struct group g = group_at(b, i);
        struct cm_dropout drop = dropout_at(b, &g);
        const struct cm_encoder *e = &net->encoder[g.side];
        struct cm_pass pass = {.cell = b->cell[g.side] + g.from,
                               .B = g.n,
                               .params = f->s->w,
                               .drop = &drop,
                               .cache = g.cache ? g.cache : cache,
                               .scratch = scratch};
        if (!p->backward || !g.cache)
            cm_net_forward(net, g.side, p->backward ? again : b->raw[g.side] + g.from * q, &pass);
        size_t part = net->has_cross ? token_size(net, g.side) : 0;
        if (!p->backward && b->tokens[g.side])
            memcpy(b->tokens[g.side] + g.from * part, pass.cache + e->of->tokens_at(e, g.n),
                   g.n * part * sizeof *b->tokens[g.side]);
        if (p->backward)
            cm_net_backward(net, g.side, b->grad + shard * f->size, f->o->lr_linear > 0,
                            b->draw[g.side] + g.from * q,
                            b->dtokens[g.side] ? b->dtokens[g.side] + g.from * part : NULL, &pass);
    }
    cm_free(cache);
    cm_free(again);
    cm_free(scratch);
    return 0;
}

/* ===== not finite ========================================================================= */

static int not_finite(const struct batch *b, uint64_t step, uint32_t epoch, const cm_real *grad)
{
    const struct fit *f = b->f;
    const struct cm_net *net = &f->m->net;
    char where[2 * CM_PARAM_NAME] = "the loss";
    bool found = false;
    for (size_t t = 0; !found && t < net->table.n; t++) {
        const struct cm_param *p = &net->table.p[t];
        if (!cm_all_finite(f->s->w + p->offset, p->n)) {
            found = true;
            snprintf(where, sizeof where, "the weights %s", p->name);
        }
    }
    for (size_t side = 0; !found && b->tokens[0] && side < 2; side++)
        if (!cm_all_finite(b->tokens[side], b->B * token_size(net, side))) {
            found = true;
            snprintf(where, sizeof where, "the tokens of encoder %s of slot %s",
                     net->encoder[side].of->name, f->m->head.slot[side].name);
        }
    for (size_t side = 0; !found && side < 2; side++)
        if (!cm_all_finite(b->raw[side], b->B * f->q)) {
            found = true;
            snprintf(where, sizeof where, "the output of encoder %s of slot %s",
                     net->encoder[side].of->name, f->m->head.slot[side].name);
        }
    for (size_t t = 0; grad && !found && t < net->table.n; t++) {
        const struct cm_param *p = &net->table.p[t];
        if (!cm_all_finite(grad + p->offset, p->n)) {
            found = true;
            snprintf(where, sizeof where, "the gradient of %s", p->name);
        }
    }
    return cm_fail(CM_ENUMERIC,
                   "step %llu (epoch %u): %s is not finite; a smaller --lr may help, and a "
                   "checkpoint written before is good",
                   (unsigned long long)step, epoch, where);
}

/* ===== loss =============================================================================== */

static double spread(const struct batch *b)
{
    double sum = 0, square = 0, n = (double)b->B * (double)b->B;
    for (size_t i = 0; i < b->B * b->B; i++) {
        sum += (double)b->s[i];
        square += (double)b->s[i] * (double)b->s[i];
    }
    double var = square / n - sum / n * (sum / n);
    return var > 0 ? sqrt(var) : 0;
}

static void warn_collapse(struct fit *f, size_t B, uint64_t step)
{
    if (f->warned || B < 2 || !(f->sd < COLLAPSED))
        return;
    f->warned = true;
    char text[160];
    snprintf(text, sizeof text,
             "collapse: at step %llu the similarities of a mini-batch differ by %.1e only; "
             "--negatives semihard or --loss nce avoid it",
             (unsigned long long)step, f->sd);
    if (f->callbacks && f->callbacks->warn)
        f->callbacks->warn(f->callbacks->arg, text);
}

static struct cm_rng negatives_rng(const struct fit *f, uint64_t step, uint32_t purpose)
{
    return cm_rng_make(f->seed, CM_RNG_NEGATIVES, (uint32_t)step, (uint32_t)(step >> 32) ^ purpose);
}

/* Loss of S0: gradient to b->ds and *dscale. */
static double loss_of(struct batch *b, uint64_t step, cm_real *dscale)
{
    const struct cm_loss_config *o = b->f->loss;
    size_t B = b->B;
    double loss = 0;
    if (o->kind == CM_LOSS_NCE) {
        cm_real *scratch = CM_NEW(cm_real, cm_infonce_scratch(B));
        loss += cm_infonce(b->ds, dscale, b->s, (double)b->f->s->w[b->f->m->net.scale], B, scratch);
        cm_free(scratch);
    }
    if (o->kind == CM_LOSS_TRIPLET) {
        uint32_t *row = CM_NEW(uint32_t, B), *col = CM_NEW(uint32_t, B);
        struct cm_rng g = negatives_rng(b->f, step, 0);
        cm_negatives_choose(row, col, b->s, NULL, B, o->margin, o->negatives, &g);
        loss += cm_triplet(b->ds, NULL, b->s, row, col, B, o->margin);
        cm_free(row);
        cm_free(col);
    }
    return loss;
}

/* Loss of S: gradients to the module's stretch of the first arena, to b->dtokens, b->ds and
 * *dscale, as the setting `gradient` lets them. */
static double cross_loss(struct batch *b, uint64_t step, cm_real *dscale)
{
    struct fit *f = b->f;
    const struct cm_net *net = &f->m->net;
    const struct cm_cross *c = &net->cross;
    size_t B = b->B;
    float *kept = CM_ZNEW(float, B *B), *ds = c->o.gradient == CM_CROSS_ALL ? b->ds : kept;
    cm_real *dx[2];
    for (size_t side = 0; side < 2; side++)
        dx[side] =
            b->dtokens[side] ? b->dtokens[side] : CM_ZNEW(cm_real, B * token_size(net, side));
    struct cm_rng g = negatives_rng(f, step, CROSS_DRAW);
    struct cm_cross_batch batch = {.B = B,
                                   .x = {b->tokens[0], b->tokens[1]},
                                   .s0 = b->s,
                                   .log_t = (double)f->s->w[net->scale],
                                   .drop = c->o.dropout > 0 ? &b->drop : NULL,
                                   .g = &g};
    struct cm_cross_report r;
    double loss = cm_cross_loss(c, ds, dx, b->grad + c->begin, &batch, f->s->w + c->begin, &r);
    *dscale += (cm_real)r.dlog_t;
    f->sd = r.sd;
    for (size_t side = 0; side < 2; side++)
        if (!b->dtokens[side])
            cm_free(dx[side]);
    cm_free(kept);
    return loss;
}

/* ===== optimiser ========================================================================== */

/* The rate and decay of a group; decay would pull the linear start, or l, to nothing. */
static struct cm_adam rule_of(const struct cm_loop_config *o, enum cm_group group, double factor)
{
    const double rate[] = {[CM_GROUP_ENCODER] = o->lr,
                           [CM_GROUP_LINEAR] = o->lr_linear,
                           [CM_GROUP_SCALE] = o->lr_scale,
                           [CM_GROUP_CROSS] = o->lr_cross};
    bool decays = group == CM_GROUP_ENCODER || group == CM_GROUP_CROSS;
    return (struct cm_adam){rate[group] * factor,  o->beta1, o->beta2, 1e-8,
                            decays ? o->decay : 0, true};
}

static void update(struct fit *f, const cm_real *grad, uint64_t step, double factor)
{
    const struct cm_net *net = &f->m->net;
    struct cm_fit_state *s = f->s;
    cm_real cap = (cm_real)log(f->loss->scale_max);
    for (size_t t = 0; t < net->table.n; t++) {
        const struct cm_param *p = &net->table.p[t];
        size_t at = p->offset;
        struct cm_adam rule = rule_of(f->o, p->group, factor);
        if (rule.lr > 0)
            cm_adam_step(s->w + at, s->m + at, s->v + at, grad + at, p->n, step + 1, &rule);
        if (p->group == CM_GROUP_SCALE && s->w[at] > cap)
            s->w[at] = cap;
        /* what has not moved is its own average already, but for rounding */
        if (memcmp(s->average + at, s->w + at, p->n * sizeof *s->w) != 0)
            cm_average_step(s->average + at, s->w + at, p->n, f->o->average, step);
    }
}

/* ===== a step ============================================================================= */

static void make_batch(struct batch *b, struct fit *f, const uint32_t *row, size_t B, uint64_t step)
{
    const struct cm_net *net = &f->m->net;
    *b = (struct batch){.f = f, .row = row, .B = B};
    uint64_t kept = 0;
    for (size_t side = 0; side < 2; side++) {
        size_t group = net->encoder[side].group;
        b->groups[side] = (B + group - 1) / group;
        kept += b->groups[side] * cm_net_cache(net, side, group);
        b->cell[side] = CM_NEW(struct cm_cell, B);
        const struct cm_csr *x = f->d->x[side];
        for (size_t i = 0; i < B; i++) {
            uint64_t from = x->ptr[row[i]];
            b->cell[side][i] =
                (struct cm_cell){x->idx + from, x->val + from, x->ptr[row[i] + 1] - from,
                                 net->k ? f->d->z[side] + row[i] * net->k : NULL};
        }
        b->raw[side] = CM_NEW(cm_real, B * f->q);
        b->e[side] = CM_NEW(cm_real, B * f->q);
        b->norm[side] = CM_NEW(cm_real, B);
        b->de[side] = CM_ZNEW(cm_real, B * f->q);
        b->draw[side] = CM_ZNEW(cm_real, B * f->q);
        if (net->has_cross)
            b->tokens[side] = CM_NEW(cm_real, B * token_size(net, side));
        if (net->has_cross && net->cross.o.gradient != CM_CROSS_MODULE)
            b->dtokens[side] = CM_ZNEW(cm_real, B * token_size(net, side));
    }
    if (kept * sizeof(cm_real) <= f->d->keep)
        b->cache = CM_NEW(cm_real, kept);
    b->shards = cm_shards(b->groups[0] + b->groups[1], 1, f->max);
    b->grad = CM_ZNEW(cm_real, b->shards * f->size);
    b->s = CM_NEW(float, B *B);
    b->ds = CM_ZNEW(float, B *B);
    b->term = f->m->has_links ? CM_NEW(float, B *B) : NULL;
    b->drop = (struct cm_dropout){.seed = f->seed, .step = (uint32_t)step};
}

static void free_batch(struct batch *b)
{
    for (size_t side = 0; side < 2; side++) {
        cm_free(b->cell[side]);
        cm_free(b->raw[side]);
        cm_free(b->e[side]);
        cm_free(b->norm[side]);
        cm_free(b->de[side]);
        cm_free(b->draw[side]);
        cm_free(b->tokens[side]);
        cm_free(b->dtokens[side]);
    }
    cm_free(b->cache);
    cm_free(b->grad);
    cm_free(b->s);
    cm_free(b->ds);
    cm_free(b->term);
}

/* From b->ds and b->dtokens to the sum of the gradients in b->grad. */
static void encoders_backward(struct batch *b)
{
    struct fit *f = b->f;
    size_t B = b->B, q = f->q;
    cm_sgemm_parallel(false, false, B, q, B, 1, b->ds, B, b->e[1], q, 0, b->de[0], q);
    cm_sgemm_parallel(true, false, B, q, B, 1, b->ds, B, b->e[0], q, 0, b->de[1], q);
    for (size_t side = 0; side < 2; side++)
        cm_unitnorm_backward(b->draw[side], b->de[side], b->norm[side], b->e[side], B, q);
    struct pass pass = {b, true};
    cm_parallel(b->shards, pass_shard, &pass);
    for (size_t k = 1; k < b->shards; k++)
        for (size_t i = 0; i < f->size; i++)
            b->grad[i] += b->grad[k * f->size + i];
}

static int step_of(struct batch *b, uint64_t step, uint32_t epoch, double factor)
{
    struct fit *f = b->f;
    size_t B = b->B, q = f->q;
    struct pass pass = {b, false};
    cm_parallel(b->shards, pass_shard, &pass);
    for (size_t side = 0; side < 2; side++)
        cm_unitnorm_forward(b->e[side], b->norm[side], b->raw[side], B, q);
    if (b->term) {
        batch_term(b);
        memcpy(b->s, b->term, B * B * sizeof *b->s);
    }
    cm_sgemm_parallel(false, true, B, B, q, 1, b->e[0], q, b->e[1], q, b->term ? 1 : 0, b->s, B);
    cm_real dscale = 0;
    f->sd = spread(b);
    f->s->loss = loss_of(b, step, &dscale);
    f->cross = f->m->net.has_cross ? cross_loss(b, step, &dscale) : 0;
    f->s->loss += f->cross;
    if (!isfinite(f->s->loss) || !cm_all_finite(b->ds, B * B))
        return not_finite(b, step, epoch, NULL);
    warn_collapse(f, B, step);
    if (f->o->lr > 0 || (f->m->net.residual && f->o->lr_linear > 0))
        encoders_backward(b);
    b->grad[f->m->net.scale] += dscale;
    if (!cm_all_finite(b->grad, f->size))
        return not_finite(b, step, epoch, b->grad);
    update(f, b->grad, step, factor);
    if (!cm_all_finite(f->s->w, f->size))
        return not_finite(b, step, epoch, b->grad);
    return 0;
}

/* ===== validation ========================================================================= */

void cm_fit_ranks(const float *s, size_t n, const uint32_t *group, double *top5, double *chance)
{
    size_t hits = 0;
    *chance = 0;
    for (size_t i = 0; i < n; i++) {
        size_t row = 0, column = 0, members = 0;
        float own = s[i * n + i];
        if (own <= CM_SCORER_OUT) /* the partner is no candidate */
            row = column = n;
        for (size_t j = 0; j < n; j++) {
            if (group && group[i] != group[j])
                continue;
            members++;
            row += s[i * n + j] > own;
            column += s[j * n + i] > own;
        }
        hits += (row < 5) + (column < 5);
        *chance += 1 / (double)members;
    }
    *top5 = (double)hits / (2 * (double)n);
    *chance /= (double)n;
}

double cm_fit_score(const float *s, size_t n, const uint32_t *group)
{
    struct cm_rule_tuning t;
    double soft = 0, top5, chance;
    cm_rule_tune(s, n, n, group, &t);
    for (size_t k = 0; k < CM_RULE_GRID; k++)
        if (t.soft_at[CM_RULE_SOFTMAX][k] > soft)
            soft = t.soft_at[CM_RULE_SOFTMAX][k];
    cm_fit_ranks(s, n, group, &top5, &chance);
    return soft + .3 * top5;
}

static int validate(struct fit *f, double *score)
{
    const struct cm_fit_data *d = f->d;
    size_t v = d->valid[0]->rows, q = f->q;
    float *s = CM_NEW(float, v *v), *e[2];
    for (size_t side = 0; side < 2; side++) {
        e[side] = CM_NEW(float, v *q);
        cm_net_apply(&f->m->net, side, f->s->average, d->valid[side], f->valid_z[side], e[side], q);
    }
    if (f->valid_term)
        memcpy(s, f->valid_term, v * v * sizeof *s);
    cm_sgemm_parallel(false, true, v, v, q, 1, e[0], q, e[1], q, f->valid_term ? 1 : 0, s, v);
    const struct cm_net *net = &f->m->net;
    int code = net->has_cross ? cm_scorer_all(net, f->s->average, d->valid, d->group,
                                              (size_t)net->cross.o.top, s)
                              : 0;
    if (!code)
        *score = cm_fit_score(s, v, d->group);
    cm_free(s);
    cm_free(e[0]);
    cm_free(e[1]);
    return code;
}

/* Takes the averaged weights as the best so far if they are. */
static int discriminator(struct fit *f, uint32_t epoch, double *score)
{
    struct cm_fit_state *s = f->s;
    int code = validate(f, score);
    if (code)
        return code;
    if (*score > s->best_score) {
        s->best_score = *score;
        s->best_epoch = epoch;
        s->stale = 0;
        memcpy(s->best, s->average, f->size * sizeof *s->best);
    } else {
        s->stale++;
    }
    return 0;
}

/* A linear start is a model, which training must better; random weights are none. */
static int discriminator_start(struct fit *f)
{
    double score;
    if (f->s->step > 0 || f->s->best_score >= 0 || !f->m->net.residual || f->o->valid_every < 1 ||
        f->d->valid[0]->rows == 0)
        return 0;
    return discriminator(f, 0, &score);
}

/* *score after the last mini-batch of an epoch that is due, or NaN. */
static int validate_when_due(struct fit *f, size_t at, double *score)
{
    const struct cm_picks *p = f->d->picks;
    bool last = at + 1 == p->n;
    *score = NAN;
    if (f->d->valid[0]->rows == 0 || f->o->valid_every < 1 ||
        (!last && p->epoch[at + 1] == p->epoch[at]) ||
        (!last && p->epoch[at] % (uint64_t)f->o->valid_every))
        return 0;
    return discriminator(f, p->epoch[at], score);
}

/* ===== the loop =========================================================================== */

/* The model as it would be if training ended here. */
static void show(struct fit *f)
{
    struct cm_net *net = &f->m->net;
    memcpy(net->w, f->s->best_score >= 0 ? f->s->best : f->s->average, f->size * sizeof *net->w);
    for (size_t side = 0; net->residual && side < 2; side++)
        for (size_t i = 0; i < net->k * net->q; i++)
            f->m->linear.side[side].p[i] = (float)net->w[net->p[side] + i];
}

static int save(struct fit *f)
{
    if (!f->callbacks || !f->callbacks->save)
        return 0;
    show(f);
    return f->callbacks->save(f->callbacks->arg, f->m, f->s);
}

static void report(const struct fit *f, size_t at, double factor, double score)
{
    const struct cm_picks *p = f->d->picks;
    const struct cm_fit_state *s = f->s;
    if (!f->callbacks || !f->callbacks->report)
        return;
    struct cm_fit_report r = {.step = p->step[at],
                              .steps = s->total,
                              .epoch = p->epoch[at],
                              .epochs = p->epoch[p->n - 1],
                              .cells = s->cells,
                              .cells_total = s->cells + (p->begin[p->n] - p->begin[at + 1]),
                              .loss = s->loss,
                              .lr = f->o->lr * factor,
                              .factor = exp((double)s->w[f->m->net.scale]),
                              .cross = f->cross,
                              .sd = f->sd,
                              .score = score,
                              .best = s->best_score >= 0 ? s->best_score : NAN};
    f->callbacks->report(f->callbacks->arg, &r);
}

static int run(struct fit *f, bool *stopped)
{
    const struct cm_picks *p = f->d->picks;
    struct cm_fit_state *s = f->s;
    size_t at = 0;
    while (at < p->n && p->step[at] < s->step)
        at++;
    if (at < p->n && p->step[at] != s->step)
        return cm_fail(CM_EINPUT, "the schedule begins at step %llu, the training is at step %llu",
                       (unsigned long long)p->step[at], (unsigned long long)s->step);
    int code = discriminator_start(f);
    if (code)
        return code;
    for (; at < p->n; at++) {
        if (f->o->patience > 0 && s->stale >= (uint64_t)f->o->patience)
            return 0;
        if (f->callbacks && f->callbacks->stop && f->callbacks->stop(f->callbacks->arg)) {
            *stopped = true;
            return save(f);
        }
        uint64_t step = p->step[at];
        double factor = cm_schedule_factor(f->o->schedule, step, (uint64_t)f->o->warmup, s->total);
        struct batch b;
        make_batch(&b, f, p->row + p->begin[at], p->begin[at + 1] - p->begin[at], step);
        code = step_of(&b, step, p->epoch[at], factor);
        free_batch(&b);
        if (code)
            return code;
        s->cells += p->begin[at + 1] - p->begin[at];
        s->step = at + 1 < p->n ? p->step[at + 1] : s->total;
        double score;
        if ((code = validate_when_due(f, at, &score)))
            return code;
        report(f, at, factor, score);
        if (f->callbacks && f->callbacks->every && (step + 1) % f->callbacks->every == 0)
            if ((code = save(f)))
                return code;
    }
    return 0;
}

static cm_real *copy_of(const cm_real *from, size_t n)
{
    cm_real *to = CM_NEW(cm_real, n);
    memcpy(to, from, n * sizeof *to);
    return to;
}

static size_t shards_max(size_t size)
{
    uint64_t max = SHARD_BYTES / (size * sizeof(cm_real) + 1);
    return max < 2 ? 2 : max > SHARDS ? SHARDS : (size_t)max;
}

int cm_fit(struct cm_model *m, const struct cm_fit_data *d, struct cm_fit_state *s,
           const struct cm_fit_callbacks *callbacks, bool *stopped)
{
    const struct cm_picks *p = d->picks;
    struct fit f = {.m = m,
                    .loss = &m->config.loss,
                    .o = &m->config.loop,
                    .d = d,
                    .s = s,
                    .callbacks = callbacks,
                    .seed = (uint64_t)m->config.seed,
                    .n = d->x[0]->rows,
                    .q = m->net.q};
    f.size = m->net.table.size;
    f.max = shards_max(f.size);
    *stopped = false;
    int code = 0;
    if (f.loss->kind == CM_LOSS_NONE && !m->net.has_cross)
        code = cm_fail(CM_EINPUT, "without the cross-attention module there must be a loss");
    for (size_t i = 0; !code && m->net.has_cross && i < p->n; i++)
        if (p->begin[i + 1] - p->begin[i] > CROSS_BATCH)
            code = cm_fail(CM_EINPUT, "mini-batches of more than %d cells are too many for pairs",
                           CROSS_BATCH);
    if (code)
        return code;
    uint64_t total = p->n ? p->step[p->n - 1] + 1 : s->total;
    if (total == 0)
        return cm_fail(CM_EINPUT, "there are no mini-batches: the schedule is empty");
    if (s->w && s->total != total)
        return cm_fail(CM_EINPUT, "the schedule has %llu steps, that of the checkpoint had %llu",
                       (unsigned long long)total, (unsigned long long)s->total);
    if (!s->w) {
        s->w = copy_of(m->net.w, f.size);
        s->m = CM_ZNEW(cm_real, f.size);
        s->v = CM_ZNEW(cm_real, f.size);
        s->average = copy_of(m->net.w, f.size);
        s->best = copy_of(m->net.w, f.size);
        s->total = total;
        s->best_score = -1;
    }
    prepare_terms(&f);
    code = run(&f, stopped);
    if (!code)
        show(&f);
    cm_free(f.table);
    cm_free(f.valid_term);
    cm_free(f.valid_z[0]);
    cm_free(f.valid_z[1]);
    return code;
}

/* The module: tokens, their gradients, and the larger of a loss and a validation. */
static uint64_t cross_bytes(const struct cm_net *net, uint64_t B, uint64_t v)
{
    if (!net->has_cross)
        return 0;
    uint64_t loss = 4 * B * B + cm_cross_loss_bytes(&net->cross, B, cm_pool_threads()),
             valid = v ? cm_scorer_all_bytes(net, v, (size_t)net->cross.o.top) : 0;
    return 8 * B * (token_size(net, 0) + token_size(net, 1)) + (loss > valid ? loss : valid);
}

uint64_t cm_fit_bytes(const struct cm_model *m, const struct cm_fit_data *d)
{
    const struct cm_net *net = &m->net;
    const struct cm_picks *p = d->picks;
    uint64_t B = 0, n = d->x[0]->rows, v = d->valid[0]->rows, size = net->table.size;
    for (size_t i = 0; i < p->n; i++)
        if (p->begin[i + 1] - p->begin[i] > B)
            B = p->begin[i + 1] - p->begin[i];
    uint64_t shards = shards_max(size), kept = 0;
    for (size_t side = 0; side < 2; side++) {
        uint64_t group = net->encoder[side].group;
        kept += 4 * ((B + group - 1) / group) * cm_net_cache(net, side, group);
    }
    if (kept > d->keep)
        kept = 4 * shards * largest(net, cm_net_cache);
    uint64_t term = 0;
    if (m->has_links) {
        uint64_t block = n < TABLE_BLOCK ? n : TABLE_BLOCK;
        term =
            8 * block * m->links.gene.n + 4 * B * B + 4 * v * v + (n <= TABLE_ROWS ? 4 * n * n : 0);
    }
    uint64_t model = 8 * n * net->k; /* components, tables of the linear part */
    for (size_t side = 0; side < 2; side++)
        model += 4 * m->linear.side[side].d * (net->k + 2);
    return PROGRAM + model + 4 * size * (6 + shards) + kept +
           4 * shards * largest(net, cm_net_scratch) + term + 4 * (4 * B * B + B) +
           2 * B * (20 * net->q + sizeof(struct cm_cell)) + 8 * v * (net->k + net->q) + 12 * v * v +
           cross_bytes(net, B, v);
}

void cm_fit_state_free(struct cm_fit_state *s)
{
    cm_free(s->w);
    cm_free(s->m);
    cm_free(s->v);
    cm_free(s->average);
    cm_free(s->best);
    memset(s, 0, sizeof *s);
}

/* ===== checkpoints ======================================================================== */

void cm_checkpoint_head(const struct cm_model *m, const struct cm_fit_state *s,
                        struct cm_head *head)
{
    cm_head_copy(head, &m->head);
    struct cm_kv *kv = &head->kv;
    cm_kv_seti(kv, "checkpoint.step", (int64_t)s->step);
    cm_kv_seti(kv, "checkpoint.steps", (int64_t)s->total);
    cm_kv_seti(kv, "checkpoint.cells", (int64_t)s->cells);
    cm_kv_setf(kv, "checkpoint.best", s->best_score);
    cm_kv_seti(kv, "checkpoint.best.epoch", s->best_epoch);
    cm_kv_seti(kv, "checkpoint.stale", (int64_t)s->stale);
    cm_kv_setf(kv, "checkpoint.loss", s->loss);
    struct cm_rule rule = {CM_RULE_DUAL, CM_RULE_TEMPERATURE, false};
    cm_rule_write(kv, &rule); /* a checkpoint can be used as a model, with the rule not yet tuned */
}

int cm_checkpoint_write(const struct cm_model *m, const struct cm_fit_state *s, struct cm_writer *w)
{
    int code = cm_model_write(m, w);
    const struct {
        const char *front;
        const cm_real *from;
    } part[] = {{"weights.", s->w},
                {"adam.m.", s->m},
                {"adam.v.", s->v},
                {"average.", s->average},
                {"best.", s->best}};
    for (size_t i = 0; !code && i < sizeof part / sizeof *part; i++)
        code = cm_net_put(&m->net, part[i].front, part[i].from, w);
    return code;
}

static int take_state(const struct cm_model *m, struct cm_fit_state *s, const struct cm_tensors *ts)
{
    const struct cm_kv *kv = &m->head.kv;
    if (!m->has_net || !cm_kv_get(kv, "checkpoint.step"))
        return cm_fail(CM_EINPUT, "this is a model, not a checkpoint of a training");
    int64_t v[5];
    const char *const keys[] = {"checkpoint.step", "checkpoint.steps", "checkpoint.cells",
                                "checkpoint.best.epoch", "checkpoint.stale"};
    int code = cm_kv_f64(kv, "checkpoint.best", &s->best_score);
    if (!code)
        code = cm_kv_f64(kv, "checkpoint.loss", &s->loss);
    for (size_t i = 0; !code && i < 5; i++) {
        code = cm_kv_i64(kv, keys[i], &v[i]);
        if (!code && v[i] < 0)
            code = cm_fail(CM_EINPUT, "%s is negative", keys[i]);
    }
    if (!code && !(isfinite(s->best_score) && isfinite(s->loss)))
        code = cm_fail(CM_EINPUT, "checkpoint.best or checkpoint.loss is not finite");
    if (code)
        return code;
    s->step = (uint64_t)v[0];
    s->total = (uint64_t)v[1];
    s->cells = (uint64_t)v[2];
    s->best_epoch = (uint32_t)v[3];
    s->stale = (uint64_t)v[4];
    const struct {
        const char *front;
        cm_real **to;
    } part[] = {{"weights.", &s->w},
                {"adam.m.", &s->m},
                {"adam.v.", &s->v},
                {"average.", &s->average},
                {"best.", &s->best}};
    for (size_t i = 0; !code && i < sizeof part / sizeof *part; i++) {
        *part[i].to = CM_ZNEW(cm_real, m->net.table.size);
        code = cm_net_take(&m->net, part[i].front, *part[i].to, ts);
    }
    return code;
}

int cm_checkpoint_read(struct cm_model *m, struct cm_fit_state *s, struct cm_reader *r)
{
    struct cm_tensors ts = {0};
    memset(s, 0, sizeof *s);
    memset(m, 0, sizeof *m);
    int code = cm_tensors_load(r, &ts);
    if (!code)
        code = cm_fail_in(cm_model_from(m, cm_reader_head(r), &ts), cm_reader_path(r));
    if (!code)
        code = cm_fail_in(take_state(m, s, &ts), cm_reader_path(r));
    cm_tensors_free(&ts);
    return code;
}
