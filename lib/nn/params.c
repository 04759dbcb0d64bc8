/* nn/params.c - the table of a model's tensors, and their first values.
 *
 * Parameters, gradients, moments and averages of one model must agree about what stands
 * where, and so must its file.  There is one table of (name, offset, shape) over one arena; each
 * tensor begins on a 64-byte boundary of the float arena, so that whole rows of eight load without
 * crossing cache lines.  The table's places are the caller's; it may be filled twice, first to
 * count.  First values come from the counter-based generator, so they do not depend on the order in
 * which tensors are filled.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "nn/nn.h"

size_t cm_params_add(struct cm_params *t, const char *prefix, const char *name, size_t d0,
                     size_t d1, size_t d2)
{
    struct cm_param p = {.shape = {d0, d1 ? d1 : 1, d1 && d2 ? d2 : 1}, .group = t->group};
    p.dims = d1 ? d2 ? 3 : 2 : 1;
    size_t end;
    if (cm_mul(p.shape[0], p.shape[1], &p.n) || cm_mul(p.n, p.shape[2], &p.n) ||
        cm_add(t->size, p.n, &end) || cm_add(end, CM_PARAM_ALIGN - 1, &end))
        cm_panic(70, "tensor %s.%s is too large", prefix, name);
    p.offset = t->size;
    t->size = end / CM_PARAM_ALIGN * CM_PARAM_ALIGN;
    int length = snprintf(p.name, sizeof p.name, "%s%s%s", prefix, *prefix ? "." : "", name);
    CM_ASSERT(length > 0 && (size_t)length < sizeof p.name);
    if (t->n < t->capacity)
        t->p[t->n] = p;
    t->n++;
    return p.offset;
}

const struct cm_param *cm_params_find(const struct cm_params *t, const char *name)
{
    for (size_t i = 0; i < t->n && i < t->capacity; i++)
        if (strcmp(t->p[i].name, name) == 0)
            return &t->p[i];
    return NULL;
}

void cm_init_normal(cm_real *w, size_t n, double sd, struct cm_rng g)
{
    for (size_t i = 0; i < n; i++)
        w[i] = (cm_real)(sd * cm_rng_normal(&g));
}

void cm_init_uniform(cm_real *w, size_t n, double bound, struct cm_rng g)
{
    for (size_t i = 0; i < n; i++)
        w[i] = (cm_real)(bound * (2 * cm_rng_uniform(&g) - 1));
}

void cm_init_constant(cm_real *w, size_t n, double value)
{
    for (size_t i = 0; i < n; i++)
        w[i] = (cm_real)value;
}

bool cm_all_finite(const cm_real *x, size_t n)
{
    /* x - x is 0 for every finite number and NaN for the others */
    cm_real s = 0;
    for (size_t i = 0; i < n; i++)
        s += x[i] - x[i];
    return s == 0;
}
