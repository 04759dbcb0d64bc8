/* train/step.c - one training step: forward, loss, backward, update.
 *
 * A step has two parallel passes over the same shards, with the serial part on B x B similarities
 * between them.  If the activations of a mini-batch exceed the bound, the first pass keeps none and
 * the second computes them again, group by group: the same bits, because dropout is a pure function
 * of (seed, step, row).  Both modalities run in one pass; the second has its own dropout seed, so
 * that the same units do not vanish on both sides of a cell.
 *
 * The cross module needs the tokens of all cells of a batch side by side: the first pass copies
 * them out of the groups' caches, and the second receives their gradients.
 */
#include "train/loop.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "matrix/blas.h"

#define OTHER_SIDE ((uint64_t)1 << 63)

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

static struct cm_dropout dropout_at(const struct batch *b, const struct group *g)
{
    struct cm_dropout drop = b->drop;
    drop.row = (uint32_t)g->from;
    if (g->side)
        drop.seed ^= OTHER_SIDE;
    return drop;
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
    if (p->backward && shard)
        memset(b->grad + shard * f->size, 0, f->size * sizeof *b->grad);
    cm_real *cache = b->cache ? NULL : CM_NEW_HOT(cm_fit_largest(net, cm_net_cache), cm_real),
            *again =
                p->backward && !b->cache
                    ? CM_NEW(cm_size_max(net->encoder[0].group, net->encoder[1].group) * q, cm_real)
                    : NULL,
            *scratch = CM_NEW_HOT(cm_fit_largest(net, cm_net_scratch), cm_real);
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
        size_t part = net->has_cross ? cm_token_size(net, g.side) : 0;
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
        if (!cm_all_finite(b->tokens[side], b->B * cm_token_size(net, side))) {
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

/* ===== a step ============================================================================= */

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

/* Arrays for mini-batches of B cells.  They outlive a step: activations are tens of megabytes,
 * whose pages would be new, and zeroed by the system, in every step. */
static void size_batch(struct batch *b, struct fit *f, size_t B)
{
    const struct cm_net *net = &f->m->net;
    free_batch(b);
    *b = (struct batch){.f = f, .B = B};
    uint64_t kept = 0;
    for (size_t side = 0; side < 2; side++) {
        size_t group = net->encoder[side].group;
        b->groups[side] = (B + group - 1) / group;
        kept += b->groups[side] * cm_net_cache(net, side, group);
        b->cell[side] = CM_NEW(B, struct cm_cell);
        b->raw[side] = CM_NEW(B * f->q, cm_real);
        b->e[side] = CM_NEW(B * f->q, cm_real);
        b->norm[side] = CM_NEW(B, cm_real);
        b->de[side] = CM_NEW(B * f->q, cm_real);
        b->draw[side] = CM_NEW(B * f->q, cm_real);
        if (net->has_cross)
            b->tokens[side] = CM_NEW(B * cm_token_size(net, side), cm_real);
        if (net->has_cross && net->cross.o.gradient != CM_CROSS_MODULE)
            b->dtokens[side] = CM_NEW(B * cm_token_size(net, side), cm_real);
    }
    if (kept * sizeof(cm_real) <= f->d->keep)
        b->cache = CM_NEW_HOT(kept, cm_real);
    b->shards = cm_shards(b->groups[0] + b->groups[1], 1, f->max);
    b->grad = CM_NEW_HOT(b->shards * f->size, cm_real);
    b->s = CM_NEW(B * B, float);
    b->ds = CM_NEW(B * B, float);
    b->term = f->m->has_links ? CM_NEW(B * B, float) : NULL;
}

/* Fills b for the cells `row`; all gradients are 0. */
static void make_batch(struct batch *b, struct fit *f, const uint32_t *row, size_t B, uint64_t step)
{
    const struct cm_net *net = &f->m->net;
    if (b->B != B)
        size_batch(b, f, B);
    b->row = row;
    b->drop = (struct cm_dropout){.seed = f->seed, .step = (uint32_t)step};
    for (size_t side = 0; side < 2; side++) {
        const struct cm_csr *x = f->d->x[side];
        for (size_t i = 0; i < B; i++) {
            b->cell[side][i] = cm_cell_at(x, row[i]);
            b->cell[side][i].z = net->k ? f->d->z[side] + row[i] * net->k : NULL;
        }
        memset(b->draw[side], 0, B * f->q * sizeof *b->draw[side]);
        if (b->dtokens[side])
            memset(b->dtokens[side], 0, B * cm_token_size(net, side) * sizeof *b->dtokens[side]);
    }
    memset(b->grad, 0, f->size * sizeof *b->grad); /* the other shards' are theirs to clear */
    memset(b->ds, 0, B * B * sizeof *b->ds);
}

enum { SLICES = 16 };

/* The first arena's slice += those of the other shards, in their order. */
static int sum_slice(void *arg, size_t slice)
{
    struct batch *b = arg;
    size_t size = b->f->size, from = cm_shard_begin(size, SLICES, slice);
    size_t to = cm_shard_begin(size, SLICES, slice + 1);
    for (size_t k = 1; k < b->shards; k++)
        for (size_t i = from; i < to; i++)
            b->grad[i] += b->grad[k * size + i];
    return 0;
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
    cm_parallel(SLICES, sum_slice, b);
}

static int train_step(struct batch *b, uint64_t step, uint32_t epoch, double factor)
{
    struct fit *f = b->f;
    size_t B = b->B, q = f->q;
    struct pass pass = {b, false};
    cm_parallel(b->shards, pass_shard, &pass);
    for (size_t side = 0; side < 2; side++)
        cm_unitnorm_forward(b->e[side], b->norm[side], b->raw[side], B, q);
    if (b->term) {
        cm_term_batch(b);
        memcpy(b->s, b->term, B * B * sizeof *b->s);
    }
    cm_sgemm_parallel(false, true, B, B, q, 1, b->e[0], q, b->e[1], q, b->term ? 1 : 0, b->s, B);
    cm_real dscale = 0;
    f->sd = cm_loss_spread(b);
    f->s->loss = cm_loss_s0(b, step, &dscale);
    f->cross = f->m->net.has_cross ? cm_loss_cross(b, step, &dscale) : 0;
    f->s->loss += f->cross;
    if (!isfinite(f->s->loss) || !cm_all_finite(b->ds, B * B))
        return not_finite(b, step, epoch, NULL);
    cm_loss_warn_collapse(f, B, step);
    if (f->o->lr > 0 || (f->m->net.residual && f->o->lr_linear > 0))
        encoders_backward(b);
    b->grad[f->m->net.scale] += dscale;
    if (!cm_all_finite(b->grad, f->size))
        return not_finite(b, step, epoch, b->grad);
    cm_optimiser_step(f, b->grad, step, factor);
    if (!cm_all_finite(f->s->w, f->size))
        return not_finite(b, step, epoch, b->grad);
    return 0;
}

int cm_step(struct fit *f, const uint32_t *row, size_t B, uint64_t step, uint32_t epoch,
            double factor)
{
    if (!f->batch)
        f->batch = CM_ZNEW(1, struct batch);
    make_batch(f->batch, f, row, B, step);
    return train_step(f->batch, step, epoch, factor);
}

void cm_step_free(struct fit *f)
{
    if (f->batch)
        free_batch(f->batch);
    cm_free(f->batch);
    f->batch = NULL;
}
