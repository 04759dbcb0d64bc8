/* match/search.c - columns and rows in the order of their groups. */
#include "match/search.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "matrix/blas.h"

/* ===== columns ============================================================================ */

static double longest(const float *v, size_t ld, size_t n, size_t d)
{
    double max = 0;
    for (size_t i = 0; i < n; i++) {
        double sum = 0;
        for (size_t c = 0; c < d; c++)
            sum += (double)v[i * ld + c] * (double)v[i * ld + c];
        max = sum > max ? sum : max;
    }
    return sqrt(max);
}

static void take_samples(struct cm_search *x)
{
    size_t n = 0;
    x->sample_group = CM_NEW(x->groups, size_t);
    for (size_t g = 0; g < x->groups; g++)
        x->sample_group[g] = x->begin[g + 1] - x->begin[g] >= 4 * SAMPLE ? n++ : SIZE_MAX;
    x->sample = CM_NEW(n * SAMPLE * x->d, float);
    for (size_t g = 0; g < x->groups; g++)
        for (size_t k = 0; x->sample_group[g] != SIZE_MAX && k < SAMPLE; k++) {
            size_t from = x->begin[g] + cm_search_sampled(x->begin[g + 1] - x->begin[g], k);
            memcpy(x->sample + (x->sample_group[g] * SAMPLE + k) * x->d, x->t + from * x->ld,
                   x->d * sizeof *x->t);
        }
}

/* Stable counting sort of n items by code; codes >= groups are left out.  begin: groups + 1. */
static uint32_t *by_group(const uint32_t *group, size_t n, size_t groups, size_t *begin)
{
    memset(begin, 0, (groups + 1) * sizeof *begin);
    for (size_t i = 0; i < n; i++)
        if (group[i] < groups)
            begin[group[i] + 1]++;
    for (size_t g = 0; g < groups; g++)
        begin[g + 1] += begin[g];
    uint32_t *order = CM_NEW(n, uint32_t);
    size_t *next = CM_NEW(groups + 1, size_t);
    memcpy(next, begin, (groups + 1) * sizeof *next);
    for (size_t i = 0; i < n; i++)
        if (group[i] < groups)
            order[next[group[i]]++] = (uint32_t)i;
    cm_free(next);
    return order;
}

static float *gather(const float *v, size_t ld, size_t d, const uint32_t *order, size_t n)
{
    size_t size;
    CM_ASSERT(cm_mul(n, d, &size) == 0);
    float *out = CM_NEW(size, float);
    for (size_t i = 0; i < n; i++)
        memcpy(out + i * d, v + order[i] * ld, d * sizeof *v);
    return out;
}

struct cm_search *cm_search_make(const struct cm_dense *t, const uint32_t *group)
{
    CM_ASSERT(t->rows < UINT32_MAX);
    struct cm_search *x = CM_ZNEW(1, struct cm_search);
    x->m = t->rows;
    x->d = t->cols;
    if (!group) {
        x->t = t->v;
        x->ld = t->ld;
        x->groups = 1;
        x->begin = CM_ZNEW(2, size_t);
        x->begin[1] = x->m;
        x->norm = longest(x->t, x->ld, x->m, x->d);
        take_samples(x);
        return x;
    }
    for (size_t j = 0; j < x->m; j++)
        if (group[j] != CM_GROUP_NONE && group[j] >= x->groups)
            x->groups = (size_t)group[j] + 1;
    x->begin = CM_NEW(x->groups + 1, size_t);
    x->order = by_group(group, x->m, x->groups, x->begin);
    x->own = gather(t->v, t->ld, x->d, x->order, x->begin[x->groups]);
    x->t = x->own;
    x->ld = x->d;
    x->norm = longest(x->t, x->ld, x->begin[x->groups], x->d);
    take_samples(x);
    return x;
}

void cm_search_free(struct cm_search *x)
{
    if (!x)
        return;
    cm_free(x->own);
    cm_free(x->order);
    cm_free(x->begin);
    cm_free(x->sample);
    cm_free(x->sample_group);
    cm_free(x);
}

/* ===== portions of rows =================================================================== */

void cm_portion_make(struct cm_portion *p, const struct cm_search *x, const float *e, size_t lde,
                     size_t rows, const uint32_t *group)
{
    CM_ASSERT(!group == !x->order);
    *p = (struct cm_portion){.x = x, .e = e, .lde = lde, .rows = rows};
    p->begin = CM_ZNEW(x->groups + 1, size_t);
    if (!group) {
        p->begin[1] = rows;
        return;
    }
    p->order = by_group(group, rows, x->groups, p->begin);
    p->e = p->own = gather(e, lde, x->d, p->order, p->begin[x->groups]);
    p->lde = x->d;
}

void cm_portion_free(struct cm_portion *p)
{
    cm_free(p->own);
    cm_free(p->order);
    cm_free(p->begin);
}

bool cm_search_finite(const struct cm_search *x, const float *e, size_t lde, size_t rows,
                      const uint32_t *group, const float *shift, size_t *row, uint32_t *col)
{
    double shifted = 0;
    for (size_t j = 0; shift && j < x->m; j++)
        shifted = fmax(shifted, isfinite(shift[j]) ? fabs((double)shift[j]) : (double)INFINITY);
    if (longest(e, lde, rows, x->d) * x->norm + shifted < (double)FLT_MAX)
        return true;
    for (size_t i = 0; i < rows; i++)
        for (size_t g = 0; g < x->groups; g++)
            for (size_t at = x->begin[g]; at < x->begin[g + 1] && (!group || group[i] == g); at++) {
                double sum = shift ? fabs((double)shift[cm_search_column(x, at)]) : 0;
                for (size_t c = 0; c < x->d; c++)
                    sum += fabs((double)e[i * lde + c] * (double)x->t[at * x->ld + c]);
                *row = i;
                *col = cm_search_column(x, at);
                if (!(sum < (double)FLT_MAX))
                    return false;
            }
    return true;
}

struct cm_unit *cm_units_cut(const size_t *begin, size_t groups, size_t size, size_t *n)
{
    struct cm_unit *u = NULL;
    size_t cap = 0;
    *n = 0;
    for (size_t g = 0; g < groups; g++)
        for (size_t at = begin[g]; at < begin[g + 1]; at += size) {
            CM_GROW(u, cap, *n + 1);
            size_t to = at + size < begin[g + 1] ? at + size : begin[g + 1];
            u[(*n)++] = (struct cm_unit){g, at, to};
        }
    return u;
}

void cm_search_product(const struct cm_portion *p, size_t row, size_t rows, size_t col, size_t cols,
                       float *tile)
{
    const struct cm_search *x = p->x;
    cm_sgemm(false, true, rows, cols, x->d, 1, p->e + row * p->lde, p->lde, x->t + col * x->ld,
             x->ld, 0, tile, cols);
}
