/* train/validate.c - the validation cells, and how well they find their partners. */
#include "train/loop.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "match/rules.h"
#include "matrix/blas.h"
#include "network/scorer.h"
#include "train/train.h"

/* ===== the sample ========================================================================= */

struct cm_train_sample cm_train_sample(const struct cm_train_data *d, uint64_t seed, size_t from,
                                       size_t max)
{
    const struct cm_train_part *v = &d->part[1];
    size_t all = v->names.n;
    struct cm_train_sample s = {.n = from < all ? cm_size_min(all - from, max) : 0};
    uint64_t *order = CM_NEW(all + 1, uint64_t), *at = order + cm_size_min(from, all);
    for (size_t i = 0; i < all; i++)
        order[i] = i;
    if (s.n < all) {
        struct cm_rng rng = cm_rng_make(seed, CM_RNG_SAMPLE, 1, 0);
        cm_rng_shuffle(&rng, order, all);
    }
    for (size_t side = 0; side < 2; side++)
        s.x[side] = cm_csr_rows(&v->x[side], at, s.n);
    s.group = v->group ? CM_NEW(s.n, uint32_t) : NULL;
    for (size_t i = 0; s.group && i < s.n; i++)
        s.group[i] = v->group[at[i]];
    cm_free(order);
    return s;
}

void cm_train_sample_free(struct cm_train_sample *s)
{
    cm_csr_free(&s->x[0]);
    cm_csr_free(&s->x[1]);
    cm_free(s->group);
}

/* ===== scores ============================================================================= */

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

/* Score of the weights w. */
static int validate(struct fit *f, const cm_real *w, double *score)
{
    const struct cm_fit_data *d = f->d;
    size_t v = d->valid[0]->rows, q = f->q;
    float *s = CM_NEW(v * v, float), *e[2];
    for (size_t side = 0; side < 2; side++) {
        e[side] = CM_NEW(v * q, float);
        cm_net_apply(&f->m->net, side, w, d->valid[side], f->valid_z[side], e[side], q);
    }
    if (f->valid_term)
        memcpy(s, f->valid_term, v * v * sizeof *s);
    cm_sgemm_parallel(false, true, v, v, q, 1, e[0], q, e[1], q, f->valid_term ? 1 : 0, s, v);
    const struct cm_net *net = &f->m->net;
    int code =
        net->has_cross ? cm_scorer_all(net, w, d->valid, d->group, (size_t)net->cross.o.top, s) : 0;
    if (!code)
        *score = cm_fit_score(s, v, d->group);
    cm_free(s);
    cm_free(e[0]);
    cm_free(e[1]);
    return code;
}

/* Keeps the weights w if they score best so far. */
static int validate_and_keep(struct fit *f, const cm_real *w, uint32_t epoch, double *score)
{
    struct cm_fit_state *s = f->s;
    int code = validate(f, w, score);
    if (code)
        return code;
    if (*score > s->best_score) {
        s->best_score = *score;
        s->best_epoch = epoch;
        s->stale = 0;
        memcpy(s->best, w, f->size * sizeof *s->best);
    } else {
        s->stale++;
    }
    return 0;
}

/* Random weights are no start.  The first correction of a linear one is random and small: without
 * it the model is better, and simpler. */
int cm_validate_start(struct fit *f)
{
    const struct cm_net *net = &f->m->net;
    if (f->s->step > 0 || f->s->best_score >= 0 || !net->residual || f->o->valid_every < 1 ||
        f->d->valid[0]->rows == 0)
        return 0;
    cm_real *w = CM_NEW(f->size, cm_real);
    memcpy(w, f->s->average, f->size * sizeof *w);
    for (size_t t = 0; f->d->fresh && !net->has_cross && t < net->table.n; t++)
        if (net->table.p[t].group == CM_GROUP_ENCODER)
            memset(w + net->table.p[t].offset, 0, net->table.p[t].n * sizeof *w);
    int code = validate_and_keep(f, w, 0, &f->s->start_score);
    cm_free(w);
    return code;
}

/* *score after the last mini-batch of an epoch that is due, or NaN. */
int cm_validate_when_due(struct fit *f, size_t at, double *score)
{
    const struct cm_picks *p = f->d->picks;
    bool last = at + 1 == p->n;
    *score = NAN;
    if (f->d->valid[0]->rows == 0 || f->o->valid_every < 1 ||
        (!last && p->epoch[at + 1] == p->epoch[at]) ||
        (!last && p->epoch[at] % (uint64_t)f->o->valid_every))
        return 0;
    return validate_and_keep(f, f->s->average, p->epoch[at], score);
}
