/* match/exact.c - assignment by shortest augmenting paths.  See match/exact.h.
 *
 * Where all pairs are stored a sparse core of each row's cheapest columns is solved first, and
 * widened by what its prices show to be missing (Volgenant 1996): few columns ever matter.
 */
#include "match/exact.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/clones.h"
#include "base/error.h"
#include "base/mem.h"
#include "match/select.h"
#include "match/solver.h"

/* ===== all pairs, by their core =========================================================== */

/* Columns j where c_ij - v_j < limit, ascending; returns their number. */
CM_FAST_CLONES static size_t below(const float *s, const double *v, size_t m, double top,
                                   double limit, uint32_t *idx)
{
    size_t n = 0, j = 0;
    for (; j + 4 <= m; j += 4) {
        four x =
            top - __builtin_convertvector(*(const four_f *)(s + j), four) - *(const four *)(v + j);
        four_bits less = x < limit;
        if (less[0] | less[1] | less[2] | less[3])
            for (int k = 0; k < 4; k++)
                if (less[k])
                    idx[n++] = (uint32_t)j + (uint32_t)k;
    }
    for (; j < m; j++)
        if (top - (double)s[j] - v[j] < limit)
            idx[n++] = (uint32_t)j;
    return n;
}

enum { CORE = 48, ROUNDS = 16 };

/* Arrays of m items each for one row at a time. */
struct widening {
    uint32_t *found, *scratch, *out;
    float *key;
};

/* w->out = the row's core, united with the (at most CORE) cheapest of the n columns in w->found;
 * returns how many. */
static size_t widen(const struct cm_solver *x, const double *v, uint32_t i, const uint32_t *old,
                    size_t n_old, size_t n, const struct widening *w)
{
    uint32_t *found = w->found;
    for (size_t k = 0; k < n; k++)
        w->key[k] = (float)((double)x->s[i * x->m + found[k]] + v[found[k]]);
    n = cm_top_keep(n, CORE, w->key, found, NULL, w->scratch);
    size_t a = 0, b = 0, all = 0;
    while (a < n_old || b < n) {
        bool left = b == n || (a < n_old && old[a] <= found[b]);
        bool right = a == n_old || (b < n && found[b] <= old[a]);
        w->out[all++] = left ? old[a] : found[b];
        a += left;
        b += right;
    }
    return all;
}

/* Solves on each row's cheapest columns, adds those that its prices prove to be missing, and so on:
 * when none is missing the assignment is the dense one's, too.  False: gave up, nothing is set. */
static bool solve_core(struct cm_solver *x)
{
    struct cm_csr core = cm_csr_make(x->m);
    double *v = CM_ZNEW(x->m, double), *u = CM_NEW(x->n, double);
    struct widening w = {.found = CM_NEW(x->m, uint32_t),
                         .scratch = CM_NEW(x->m, uint32_t),
                         .out = CM_NEW(x->m, uint32_t),
                         .key = CM_NEW(x->m, float)};
    float *val = CM_NEW(x->m, float);
    bool solved = false;
    for (size_t i = 0; i < x->n; i++)
        u[i] = INFINITY;
    for (int round = 0; round < ROUNDS && !solved; round++) {
        struct cm_csr next = cm_csr_make(x->m);
        solved = true;
        for (size_t i = 0; i < x->n; i++) {
            const float *s = x->s + i * x->m;
            size_t n = below(s, v, x->m, x->top, u[i] - 4e-16 * x->alone, w.found);
            size_t n_old = round ? (size_t)(core.ptr[i + 1] - core.ptr[i]) : 0;
            solved = solved && n == 0;
            n = widen(x, v, (uint32_t)i, n_old ? core.idx + core.ptr[i] : NULL, n_old, n, &w);
            for (size_t k = 0; k < n; k++)
                val[k] = s[w.out[k]];
            uint64_t ptr[2] = {0, n};
            cm_csr_append(&next, 1, ptr, w.out, val);
        }
        cm_csr_free(&core);
        core = next;
        if (solved)
            break;
        struct cm_solver y = cm_solver_make(x->n, x->m);
        y.ptr = core.ptr;
        y.idx = core.idx;
        y.s = core.val;
        y.top = x->top;
        y.alone = x->alone;
        cm_solver_run(&y);
        memcpy(v, y.v, x->m * sizeof *v);
        memcpy(x->row_of, y.row_of, x->m * sizeof *x->row_of);
        memcpy(x->col_of, y.col_of, x->n * sizeof *x->col_of);
        for (size_t i = 0; i < x->n; i++)
            u[i] = y.col_of[i] == NOBODY ? x->alone : y.paid[y.col_of[i]] - v[y.col_of[i]];
        cm_solver_free(&y);
    }
    if (!solved) {
        memset(x->row_of, 0xFF, x->m * sizeof *x->row_of);
        memset(x->col_of, 0xFF, x->n * sizeof *x->col_of);
    }
    cm_csr_free(&core);
    cm_free(v);
    cm_free(u);
    cm_free(w.found);
    cm_free(w.scratch);
    cm_free(w.out);
    cm_free(w.key);
    cm_free(val);
    return solved;
}

/* ===== all together ======================================================================= */

/* Sets what costs are measured from. */
static void set_costs(struct cm_solver *x)
{
    float high = -INFINITY, low = INFINITY;
    uint64_t entries = x->idx ? x->ptr[x->n] : (uint64_t)x->n * x->m;
    for (uint64_t k = 0; k < entries; k++) {
        high = x->s[k] > high ? x->s[k] : high;
        low = x->s[k] < low ? x->s[k] : low;
    }
    double range = (double)high - (double)low;
    x->top = high;
    x->alone = ((double)x->n + 2) * (range > 0 ? range : 1);
}

void cm_exact(const struct cm_csr *m, uint32_t *partner)
{
    CM_ASSERT(m->rows < NOBODY && m->cols < NOBODY);
    if (m->ptr[m->rows] == 0) {
        memset(partner, 0xFF, m->rows * sizeof *partner); /* CM_NO_PARTNER */
        return;
    }
    bool turn = m->rows > m->cols;
    bool dense = m->ptr[m->rows] == (uint64_t)m->rows * m->cols;
    struct cm_solver x = cm_solver_make(turn ? m->cols : m->rows, turn ? m->rows : m->cols);
    struct cm_csr t = {0};
    float *s = NULL;
    x.s = m->val;
    if (dense && turn) {
        s = CM_NEW(m->ptr[m->rows], float);
        cm_dense_transpose(m->rows, m->cols, m->val, m->cols, s);
        x.s = s;
    } else if (!dense) {
        if (turn)
            t = cm_csr_transpose(m);
        x.ptr = turn ? t.ptr : m->ptr;
        x.idx = turn ? t.idx : m->idx;
        x.s = turn ? t.val : m->val;
    }
    set_costs(&x);
    if (x.idx || x.m < 4 * CORE || !solve_core(&x))
        cm_solver_run(&x);
    for (size_t i = 0; i < m->rows; i++)
        partner[i] = turn ? x.row_of[i] : x.col_of[i];
    cm_solver_free(&x);
    cm_free(s);
    if (t.ptr)
        cm_csr_free(&t);
}
