/* match/paths.c - shortest paths of an assignment (Dijkstra): over stored pairs with a heap, over
 * all pairs with arrays.  See match/exact.h. */
#include <math.h>
#include <string.h>

#include "base/clones.h"
#include "base/mem.h"
#include "match/solver.h"

/* ===== shortest paths, sparse ============================================================= */

static bool before(struct cm_step a, struct cm_step b)
{
    return a.d < b.d || (!(b.d < a.d) && a.j < b.j);
}

static void push(struct cm_solver *x, double d, uint32_t j)
{
    CM_GROW(x->heap, x->heap_cap, x->heap_n + 1);
    size_t at = x->heap_n++;
    struct cm_step p = {d, j};
    for (; at > 0 && before(p, x->heap[(at - 1) / 2]); at = (at - 1) / 2)
        x->heap[at] = x->heap[(at - 1) / 2];
    x->heap[at] = p;
}

static struct cm_step pop(struct cm_solver *x)
{
    struct cm_step top = x->heap[0], p = x->heap[--x->heap_n];
    size_t at = 0;
    for (;;) {
        size_t child = 2 * at + 1;
        if (child >= x->heap_n)
            break;
        if (child + 1 < x->heap_n && before(x->heap[child + 1], x->heap[child]))
            child++;
        if (!before(x->heap[child], p))
            break;
        x->heap[at] = x->heap[child];
        at = child;
    }
    x->heap[at] = p;
    return top;
}

struct cm_path_end cm_path_sparse(struct cm_solver *x, uint32_t start)
{
    struct cm_path_end e = {x->alone, NOBODY, start, 0};
    size_t touched = 0;
    uint32_t i = start;
    double h = 0;
    x->heap_n = 0;
    for (;;) {
        for (uint64_t k = x->ptr[i]; k < x->ptr[i + 1]; k++) {
            uint32_t j = x->idx[k];
            double d = x->top - (double)x->s[k] - x->v[j] - h;
            if (d < x->d[j] && d < e.length && !x->done[j]) {
                if (x->d[j] == INFINITY)
                    x->touched[touched++] = j;
                x->d[j] = d;
                x->from[j] = i;
                push(x, d, j);
            }
        }
        uint32_t j = NOBODY;
        while (x->heap_n > 0 && j == NOBODY) {
            struct cm_step p = pop(x);
            if (!x->done[p.j] && !(p.d > x->d[p.j]) && !(p.d > e.length))
                j = p.j;
        }
        if (j == NOBODY)
            break;
        if (x->row_of[j] == NOBODY) {
            e = (struct cm_path_end){x->d[j], j, NOBODY, e.settled};
            break;
        }
        x->done[j] = true;
        x->settled[e.settled] = j;
        x->settled_d[e.settled++] = x->d[j];
        i = x->row_of[j];
        h = x->paid[j] - x->v[j] - x->d[j];
        if (x->alone - h < e.length) {
            e.length = x->alone - h;
            e.alone = i;
        }
    }
    for (size_t k = 0; k < touched; k++) {
        x->d[x->touched[k]] = INFINITY;
        x->done[x->touched[k]] = false;
    }
    return e;
}

/* ===== shortest paths, dense ============================================================== */

/* Paths over row i at h: shortens d, and returns the smallest of d. */
CM_FAST_CLONES static double relax(const float *s, const double *v, size_t m, double top, double h,
                                   uint32_t i, double *d, uint32_t *from)
{
    four min = (four){0} + INFINITY;
    size_t j = 0;
    double max = INFINITY, base = top - h;
    for (; j + 4 <= m; j += 4) {
        four x =
            base - __builtin_convertvector(*(const four_f *)(s + j), four) - *(const four *)(v + j);
        four old = *(const four *)(d + j);
        four_bits less = x < old;
        if (less[0] | less[1] | less[2] | less[3]) {
            old = PICK(less, x, old);
            *(four *)(d + j) = old;
            for (int k = 0; k < 4; k++)
                if (less[k])
                    from[j + (size_t)k] = i;
        }
        four_bits small = old < min;
        min = PICK(small, old, min);
    }
    for (; j < m; j++) {
        double x = base - (double)s[j] - v[j];
        if (x < d[j]) {
            d[j] = x;
            from[j] = i;
        }
        max = d[j] < max ? d[j] : max;
    }
    for (int k = 0; k < 4; k++)
        max = min[k] < max ? min[k] : max;
    return max;
}

struct cm_path_end cm_path_dense(struct cm_solver *x, uint32_t start)
{
    struct cm_path_end e = {x->alone, NOBODY, start, 0};
    uint32_t i = start;
    double h = 0;
    for (size_t j = 0; j < x->m; j++)
        x->d[j] = INFINITY;
    memcpy(x->open_v, x->v, x->m * sizeof *x->v);
    double min = relax(x->s + i * x->m, x->open_v, x->m, x->top, h, i, x->d, x->from);
    for (;;) {
        if (!(min <= e.length) || min == INFINITY)
            break;
        /* all columns at this distance, a free one first */
        uint32_t j = NOBODY;
        for (size_t k = 0; k < x->m; k++)
            if (!(x->d[k] > min)) {
                if (j == NOBODY)
                    j = (uint32_t)k;
                if (x->row_of[k] == NOBODY) {
                    j = (uint32_t)k;
                    break;
                }
            }
        if (x->row_of[j] == NOBODY) {
            e = (struct cm_path_end){min, j, NOBODY, e.settled};
            break;
        }
        x->settled[e.settled] = j;
        x->settled_d[e.settled++] = min;
        x->d[j] = INFINITY;
        x->open_v[j] = -INFINITY;
        i = x->row_of[j];
        h = x->paid[j] - x->v[j] - min;
        if (x->alone - h < e.length) {
            e.length = x->alone - h;
            e.alone = i;
        }
        min = relax(x->s + i * x->m, x->open_v, x->m, x->top, h, i, x->d, x->from);
    }
    return e;
}
