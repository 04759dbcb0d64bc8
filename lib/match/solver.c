/* match/solver.c - bidding for columns, and the paths that correct it.  See match/exact.h. */
#include "match/solver.h"

#include <math.h>
#include <string.h>

#include "base/clones.h"
#include "base/error.h"
#include "base/mem.h"

/* ===== the cheapest and second cheapest columns of a row ================================== */

struct two {
    double first, second;
    uint32_t j1, j2;
};

static inline void offer(struct two *t, double x, uint32_t j)
{
    if (x < t->first) {
        t->second = t->first;
        t->j2 = t->j1;
        t->first = x;
        t->j1 = j;
    } else if (x < t->second) {
        t->second = x;
        t->j2 = j;
    }
}

/* In lanes: whatever cannot be among the two smallest so far is skipped four at a time. */
CM_FAST_CLONES static void two_dense(const float *s, const double *v, size_t m, double top,
                                     struct two *t)
{
    size_t j = 0;
    for (; j + 4 <= m; j += 4) {
        four x =
            top - __builtin_convertvector(*(const four_f *)(s + j), four) - *(const four *)(v + j);
        four_bits less = x < t->second;
        if (less[0] | less[1] | less[2] | less[3])
            for (int k = 0; k < 4; k++)
                offer(t, x[k], (uint32_t)j + (uint32_t)k);
    }
    for (; j < m; j++)
        offer(t, top - (double)s[j] - v[j], (uint32_t)j);
}

static struct two cheapest(const struct cm_solver *x, uint32_t i)
{
    struct two t = {INFINITY, INFINITY, NOBODY, NOBODY};
    if (!x->idx) {
        two_dense(x->s + i * x->m, x->v, x->m, x->top, &t);
        return t;
    }
    for (uint64_t k = x->ptr[i]; k < x->ptr[i + 1]; k++)
        offer(&t, x->top - (double)x->s[k] - x->v[x->idx[k]], x->idx[k]);
    return t;
}

/* ===== bidding ============================================================================ */

/* free_rows: n rows to assign; afterwards those still free; returns their number. */
static size_t bid(struct cm_solver *x, uint32_t *free_rows, size_t n)
{
    uint64_t steps = 0, max = 16 * (uint64_t)x->n + 64;
    size_t left = 0;
    for (size_t k = 0; k < n;) {
        uint32_t i = free_rows[k];
        struct two t = cheapest(x, i);
        if (!(t.first < x->alone)) {
            k++; /* no candidate, or all too dear: alone for good */
            continue;
        }
        double second = t.second < x->alone ? t.second : x->alone;
        uint32_t j = t.j1;
        double before = x->v[j];
        x->v[j] -= second - t.first;
        bool raised = x->v[j] < before;
        if (!raised) {
            x->v[j] = before;
            if (x->row_of[j] != NOBODY && t.j2 != NOBODY && !(t.second > t.first))
                j = t.j2;
        }
        uint32_t out = x->row_of[j];
        x->row_of[j] = i;
        x->col_of[i] = j;
        x->paid[j] = NAN; /* set below, when all is settled */
        if (out == NOBODY) {
            k++;
            continue;
        }
        x->col_of[out] = NOBODY;
        if (raised && ++steps < max)
            free_rows[k] = out; /* bids again at once */
        else {
            k++;
            free_rows[left++] = out;
        }
    }
    return left;
}

/* ===== paths ============================================================================== */

static double cost_of(const struct cm_solver *x, uint32_t i, uint32_t j)
{
    if (!x->idx)
        return x->top - (double)x->s[i * x->m + j];
    uint64_t a = x->ptr[i], b = x->ptr[i + 1];
    while (b - a > 1) {
        uint64_t mid = a + (b - a) / 2;
        if (x->idx[mid] <= j)
            a = mid;
        else
            b = mid;
    }
    CM_ASSERT(x->idx[a] == j);
    return x->top - (double)x->s[a];
}

static void augment(struct cm_solver *x, uint32_t start)
{
    struct cm_path_end e = x->idx ? cm_path_sparse(x, start) : cm_path_dense(x, start);
    for (size_t k = 0; k < e.settled; k++)
        if (x->settled_d[k] < e.length)
            x->v[x->settled[k]] += x->settled_d[k] - e.length;
    uint32_t j = e.j;
    if (j == NOBODY) {
        if (e.alone == start)
            return;
        j = x->col_of[e.alone]; /* given up */
        x->col_of[e.alone] = NOBODY;
    }
    for (;;) { /* each row of the path takes the column, and leaves its own to the row before */
        uint32_t i = x->from[j], own = x->col_of[i];
        x->row_of[j] = i;
        x->col_of[i] = j;
        x->paid[j] = cost_of(x, i, j);
        if (i == start)
            break;
        j = own;
    }
}

void cm_solver_run(struct cm_solver *x)
{
    uint32_t *free_rows = CM_NEW(x->n, uint32_t);
    for (size_t i = 0; i < x->n; i++)
        free_rows[i] = (uint32_t)i;
    size_t left = x->n;
    for (int pass = 0; pass < 2; pass++)
        left = bid(x, free_rows, left);
    for (size_t i = 0; i < x->n; i++)
        if (x->col_of[i] != NOBODY)
            x->paid[x->col_of[i]] = cost_of(x, (uint32_t)i, x->col_of[i]);
    for (size_t k = 0; k < left; k++)
        augment(x, free_rows[k]);
    cm_free(free_rows);
}

struct cm_solver cm_solver_make(size_t n, size_t m)
{
    struct cm_solver x = {.n = n, .m = m};
    x.v = CM_ZNEW(m, double);
    x.paid = CM_NEW(m, double);
    x.row_of = CM_NEW(m, uint32_t);
    x.col_of = CM_NEW(n, uint32_t);
    memset(x.row_of, 0xFF, m * sizeof *x.row_of);
    memset(x.col_of, 0xFF, n * sizeof *x.col_of);
    x.d = CM_NEW(m, double);
    for (size_t j = 0; j < m; j++)
        x.d[j] = INFINITY;
    x.from = CM_NEW(m, uint32_t);
    x.settled = CM_NEW(m, uint32_t);
    x.settled_d = CM_NEW(m, double);
    x.done = CM_ZNEW(m, bool);
    x.touched = CM_NEW(m, uint32_t);
    x.open_v = CM_NEW(m, double);
    return x;
}

void cm_solver_free(struct cm_solver *x)
{
    cm_free(x->v);
    cm_free(x->paid);
    cm_free(x->row_of);
    cm_free(x->col_of);
    cm_free(x->d);
    cm_free(x->from);
    cm_free(x->settled);
    cm_free(x->settled_d);
    cm_free(x->heap);
    cm_free(x->done);
    cm_free(x->touched);
    cm_free(x->open_v);
}
