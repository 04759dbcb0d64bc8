/* train/loop.c - the training loop: one step after the other. */
#include "train/loop.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

#define CROSS_BATCH 65535 /* cells of a mini-batch, with the module */

/* The model as it would be if training ended here. */
static void publish(struct fit *f)
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
    publish(f);
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
    int code = cm_validate_start(f);
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
        size_t B = p->begin[at + 1] - p->begin[at];
        code = cm_step(f, p->row + p->begin[at], B, step, p->epoch[at], factor);
        if (code)
            return code;
        s->cells += B;
        s->step = at + 1 < p->n ? p->step[at + 1] : s->total;
        double score;
        if ((code = cm_validate_when_due(f, at, &score)))
            return code;
        report(f, at, factor, score);
        if (f->callbacks && f->callbacks->every && (step + 1) % f->callbacks->every == 0)
            if ((code = save(f)))
                return code;
    }
    return 0;
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
    f.max = cm_fit_shards(f.size);
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
        size_t bytes = f.size * sizeof *s->w;
        s->w = memcpy(CM_NEW_HOT(f.size, cm_real), m->net.w, bytes);
        s->m = CM_ZNEW(f.size, cm_real);
        s->v = CM_ZNEW(f.size, cm_real);
        s->average = memcpy(CM_NEW(f.size, cm_real), m->net.w, bytes);
        s->best = memcpy(CM_NEW(f.size, cm_real), m->net.w, bytes);
        s->total = total;
        s->best_score = s->start_score = -1;
    }
    cm_term_prepare(&f);
    code = run(&f, stopped);
    cm_step_free(&f);
    if (!code)
        publish(&f);
    cm_term_free(&f);
    return code;
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
