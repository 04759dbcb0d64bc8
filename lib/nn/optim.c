/* nn/optim.c - Adam, AdamW, RMSprop, learning-rate schedules, averaged weights.
 *
 * A training run must be comparable, number for number, with the published one, which was
 * made by PyTorch 1.13.  The order of operations is PyTorch's, with constants worked out in double
 * and rounded once, as there; the step count is an argument, so the state is w, m and v alone and a
 * checkpoint has nothing to forget.  Rejected: folding the two bias corrections into one factor
 * (eps would then mean something else).
 */
#include <math.h>

#include "nn/vec.h"

CM_CLONES
void cm_adam_step(cm_real *w, cm_real *m, cm_real *v, const cm_real *g, size_t n, uint64_t t,
                  const struct cm_adam *o)
{
    double c1 = 1 - pow(o->b1, (double)t), c2 = 1 - pow(o->b2, (double)t);
    cm_real shrink = o->decoupled ? (cm_real)(1 - o->lr * o->decay) : 1;
    cm_real pull = o->decoupled ? 0 : (cm_real)o->decay;
    cm_real b1 = (cm_real)o->b1, b2 = (cm_real)o->b2, a1 = (cm_real)(1 - o->b1);
    cm_real a2 = (cm_real)(1 - o->b2), eps = (cm_real)o->eps;
    cm_real root = (cm_real)sqrt(c2), step = (cm_real)(o->lr / c1);
    for (size_t i = 0; i < n; i++) {
        cm_real x = w[i] * shrink, d = g[i] + pull * x;
        m[i] = m[i] * b1 + d * a1;
        v[i] = v[i] * b2 + d * d * a2;
#ifdef CM_REAL_DOUBLE
        cm_real size = sqrt(v[i]);
#else
        cm_real size = sqrtf(v[i]);
#endif
        w[i] = x - step * (m[i] / (size / root + eps));
    }
}

CM_CLONES
void cm_rmsprop_step(cm_real *w, cm_real *v, const cm_real *g, size_t n, double lr, double alpha,
                     double eps)
{
    cm_real a = (cm_real)alpha, b = (cm_real)(1 - alpha), e = (cm_real)eps, step = (cm_real)lr;
    for (size_t i = 0; i < n; i++) {
        v[i] = v[i] * a + g[i] * g[i] * b;
#ifdef CM_REAL_DOUBLE
        cm_real size = sqrt(v[i]);
#else
        cm_real size = sqrtf(v[i]);
#endif
        w[i] -= step * (g[i] / (size + e));
    }
}

double cm_schedule_factor(enum cm_schedule kind, uint64_t t, uint64_t warmup, uint64_t total)
{
    if (t < warmup)
        return (double)(t + 1) / (double)warmup;
    if (kind == CM_LR_CONSTANT)
        return 1;
    if (t >= total)
        return 0;
    return 0.5 * (1 + cos(M_PI * (double)(t - warmup) / (double)(total - warmup)));
}

double cm_average_decay(double decay, uint64_t t)
{
    double early = (1 + (double)t) / (10 + (double)t);
    return early < decay ? early : decay;
}

void cm_average_step(cm_real *average, const cm_real *w, size_t n, double decay, uint64_t t)
{
    cm_real d = (cm_real)cm_average_decay(decay, t), e = 1 - d;
    for (size_t i = 0; i < n; i++)
        average[i] = d * average[i] + e * w[i];
}
