/* train/optimiser.c - AdamW by groups of parameters, and the averaged weights. */
#include "train/loop.h"

#include <math.h>
#include <string.h>

/* Rate and decay of a group.  The linear start and l have no decay, which would pull them to 0. */
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

void cm_optimiser_step(struct fit *f, const cm_real *grad, uint64_t step, double factor)
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
        /* weights that never moved equal their average, which rounding must not change */
        if (memcmp(s->average + at, s->w + at, p->n * sizeof *s->w) != 0)
            cm_average_step(s->average + at, s->w + at, p->n, f->o->average, step);
    }
}
