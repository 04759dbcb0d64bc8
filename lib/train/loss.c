/* train/loss.c - the losses of a mini-batch: of S0, and of S on mined pairs.
 *
 * A gradient that the setting `gradient` of the cross module holds back is computed and dropped,
 * which costs little.
 */
#include "train/loop.h"

#include <math.h>
#include <stdio.h>

#include "base/mem.h"
#include "network/mining.h"

#define COLLAPSED  1e-3        /* standard deviation of S below which nothing is learnt */
#define CROSS_DRAW 0x80000000u /* negatives of the module: numbers of their own */

double cm_loss_spread(const struct batch *b)
{
    double sum = 0, square = 0, n = (double)b->B * (double)b->B;
    for (size_t i = 0; i < b->B * b->B; i++) {
        sum += (double)b->s[i];
        square += (double)b->s[i] * (double)b->s[i];
    }
    double var = square / n - sum / n * (sum / n);
    return var > 0 ? sqrt(var) : 0;
}

void cm_loss_warn_collapse(struct fit *f, size_t B, uint64_t step)
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
double cm_loss_s0(struct batch *b, uint64_t step, cm_real *dscale)
{
    const struct cm_loss_config *o = b->f->loss;
    size_t B = b->B;
    double loss = 0;
    if (o->kind == CM_LOSS_NCE) {
        cm_real *scratch = CM_NEW(cm_infonce_scratch(B), cm_real);
        loss += cm_infonce(b->ds, dscale, b->s, (double)b->f->s->w[b->f->m->net.scale], B, scratch);
        cm_free(scratch);
    }
    if (o->kind == CM_LOSS_TRIPLET) {
        uint32_t *row = CM_NEW(B, uint32_t), *col = CM_NEW(B, uint32_t);
        struct cm_rng g = negatives_rng(b->f, step, 0);
        cm_negatives_choose(row, col, b->s, NULL, B, o->margin, o->negatives, &g);
        loss += cm_triplet(b->ds, NULL, b->s, row, col, B, o->margin);
        cm_free(row);
        cm_free(col);
    }
    return loss;
}

/* Loss of S: gradients to the module's segment of the first arena, to b->dtokens, b->ds and
 * *dscale, as the setting `gradient` allows. */
double cm_loss_cross(struct batch *b, uint64_t step, cm_real *dscale)
{
    struct fit *f = b->f;
    const struct cm_net *net = &f->m->net;
    const struct cm_cross *c = &net->cross;
    size_t B = b->B;
    float *kept = CM_ZNEW(B * B, float), *ds = c->o.gradient == CM_CROSS_ALL ? b->ds : kept;
    cm_real *dx[2];
    for (size_t side = 0; side < 2; side++)
        dx[side] =
            b->dtokens[side] ? b->dtokens[side] : CM_ZNEW(B * cm_token_size(net, side), cm_real);
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
