/* match/exact.c - assignment by shortest augmenting paths.  See match/exact.h.
 *
 * Costs are c_ij = top - s_ij >= 0.  Prices v_j <= 0 of the columns are kept, a free column's is
 * 0; a row's price is the smallest c_ij - v_j.  Staying alone is a private column of cost `alone`
 * at price 0, which nobody else can want: so it is an end of any path that reaches its row, and a
 * row that took it is done with.  Since alone > pairs * range, one more pair always pays.  Where
 * all pairs are stored a sparse core of each row's cheapest columns is solved first, and widened
 * by what its prices show to be missing (Volgenant 1996): few columns ever matter.
 */
#include "match/exact.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

#include "base/clones.h"
#include "base/error.h"
#include "base/mem.h"
#include "match/topk.h"

#define NOBODY UINT32_MAX

struct place {
    double d;
    uint32_t j;
};

struct solver {
    size_t n, m; /* n <= m */
    const uint64_t *ptr;
    const uint32_t *idx; /* NULL: all pairs, row i at s + i * m */
    const float *s;
    double top, alone;
    double *v;        /* m */
    uint32_t *row_of; /* m, or NOBODY */
    double *paid;     /* m: cost of the column's pair */
    uint32_t *col_of; /* n, or NOBODY */
    /* of one path */
    double *d;      /* m: length of the shortest path so far; INFINITY when unknown or settled */
    uint32_t *from; /* m: the row before */
    uint32_t *settled;
    double *settled_d;
    struct place *heap;
    size_t heap_n, heap_cap;
    bool *done; /* m: settled (sparse) */
    uint32_t *touched;
    double *open_v; /* m: v, -INFINITY where settled (dense) */
};

/* ===== the cheapest and second cheapest columns of a row ================================== */

struct two {
    double first, second;
    uint32_t j1, j2;
};

typedef float four_f __attribute__((vector_size(16), aligned(4), may_alias));
typedef double four __attribute__((vector_size(32), aligned(8), may_alias));
typedef int64_t four_bits __attribute__((vector_size(32)));
#define PICK(mask, a, b) ((four)(((mask) & (four_bits)(a)) | (~(mask) & (four_bits)(b))))

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

static struct two cheapest(const struct solver *x, uint32_t i)
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

/* free_rows: n rows to place; afterwards those still free; returns their number. */
static size_t bid(struct solver *x, uint32_t *free_rows, size_t n)
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

static double cost_of(const struct solver *x, uint32_t i, uint32_t j)
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

/* ===== shortest paths, sparse ============================================================= */

static bool before(struct place a, struct place b)
{
    return a.d < b.d || (!(b.d < a.d) && a.j < b.j);
}

static void push(struct solver *x, double d, uint32_t j)
{
    CM_GROW(x->heap, x->heap_cap, x->heap_n + 1);
    size_t at = x->heap_n++;
    struct place p = {d, j};
    for (; at > 0 && before(p, x->heap[(at - 1) / 2]); at = (at - 1) / 2)
        x->heap[at] = x->heap[(at - 1) / 2];
    x->heap[at] = p;
}

static struct place pop(struct solver *x)
{
    struct place top = x->heap[0], p = x->heap[--x->heap_n];
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

/* Where a path ends: a free column, or a row that stays alone instead. */
struct end {
    double length;
    uint32_t j, alone; /* one of them is NOBODY */
    size_t settled;
};

static struct end path_sparse(struct solver *x, uint32_t start)
{
    struct end e = {x->alone, NOBODY, start, 0};
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
            struct place p = pop(x);
            if (!x->done[p.j] && !(p.d > x->d[p.j]) && !(p.d > e.length))
                j = p.j;
        }
        if (j == NOBODY)
            break;
        if (x->row_of[j] == NOBODY) {
            e = (struct end){x->d[j], j, NOBODY, e.settled};
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

static struct end path_dense(struct solver *x, uint32_t start)
{
    struct end e = {x->alone, NOBODY, start, 0};
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
            e = (struct end){min, j, NOBODY, e.settled};
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

/* ===== all together ======================================================================= */

static void augment(struct solver *x, uint32_t start)
{
    struct end e = x->idx ? path_sparse(x, start) : path_dense(x, start);
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

/* Sets what costs are measured from. */
static void set_costs(struct solver *x)
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

static void solve(struct solver *x)
{
    uint32_t *free_rows = CM_NEW(uint32_t, x->n);
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

static struct solver solver_make(size_t n, size_t m)
{
    struct solver x = {.n = n, .m = m};
    x.v = CM_ZNEW(double, m);
    x.paid = CM_NEW(double, m);
    x.row_of = CM_NEW(uint32_t, m);
    x.col_of = CM_NEW(uint32_t, n);
    memset(x.row_of, 0xFF, m * sizeof *x.row_of);
    memset(x.col_of, 0xFF, n * sizeof *x.col_of);
    x.d = CM_NEW(double, m);
    for (size_t j = 0; j < m; j++)
        x.d[j] = INFINITY;
    x.from = CM_NEW(uint32_t, m);
    x.settled = CM_NEW(uint32_t, m);
    x.settled_d = CM_NEW(double, m);
    x.done = CM_ZNEW(bool, m);
    x.touched = CM_NEW(uint32_t, m);
    x.open_v = CM_NEW(double, m);
    return x;
}

static void solver_free(struct solver *x)
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

/* ===== dense, by its core ================================================================= */

/* Places j where c_ij - v_j < limit, ascending; returns their number. */
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

/* The row's core, united with the (at most CORE) cheapest of the n places found. */
static size_t widen(const struct solver *x, const double *v, uint32_t i, const uint32_t *old,
                    size_t n_old, uint32_t *found, size_t n, float *key, uint32_t *scratch,
                    uint32_t *out)
{
    for (size_t k = 0; k < n; k++)
        key[k] = (float)((double)x->s[i * x->m + found[k]] + v[found[k]]);
    n = cm_top_keep(n, CORE, key, found, NULL, scratch);
    size_t a = 0, b = 0, all = 0;
    while (a < n_old || b < n) {
        bool left = b == n || (a < n_old && old[a] <= found[b]);
        bool right = a == n_old || (b < n && found[b] <= old[a]);
        out[all++] = left ? old[a] : found[b];
        a += left;
        b += right;
    }
    return all;
}

/* Solves on each row's cheapest columns, adds those that its prices prove to be missing, and so on:
 * when none is missing the assignment is the dense one's, too.  False: gave up, nothing is set. */
static bool solve_core(struct solver *x)
{
    struct cm_csr core = cm_csr_make(x->m);
    double *v = CM_ZNEW(double, x->m), *u = CM_NEW(double, x->n);
    uint32_t *found = CM_NEW(uint32_t, x->m), *scratch = CM_NEW(uint32_t, x->m);
    uint32_t *out = CM_NEW(uint32_t, x->m);
    float *key = CM_NEW(float, x->m), *val = CM_NEW(float, x->m);
    bool solved = false;
    for (size_t i = 0; i < x->n; i++)
        u[i] = INFINITY;
    for (int round = 0; round < ROUNDS && !solved; round++) {
        struct cm_csr next = cm_csr_make(x->m);
        solved = true;
        for (size_t i = 0; i < x->n; i++) {
            const float *s = x->s + i * x->m;
            size_t n = below(s, v, x->m, x->top, u[i] - 4e-16 * x->alone, found);
            size_t n_old = round ? (size_t)(core.ptr[i + 1] - core.ptr[i]) : 0;
            solved = solved && n == 0;
            n = widen(x, v, (uint32_t)i, n_old ? core.idx + core.ptr[i] : NULL, n_old, found, n,
                      key, scratch, out);
            for (size_t k = 0; k < n; k++)
                val[k] = s[out[k]];
            uint64_t ptr[2] = {0, n};
            cm_csr_append(&next, 1, ptr, out, val);
        }
        cm_csr_free(&core);
        core = next;
        if (solved)
            break;
        struct solver y = solver_make(x->n, x->m);
        y.ptr = core.ptr;
        y.idx = core.idx;
        y.s = core.val;
        y.top = x->top;
        y.alone = x->alone;
        solve(&y);
        memcpy(v, y.v, x->m * sizeof *v);
        memcpy(x->row_of, y.row_of, x->m * sizeof *x->row_of);
        memcpy(x->col_of, y.col_of, x->n * sizeof *x->col_of);
        for (size_t i = 0; i < x->n; i++)
            u[i] = y.col_of[i] == NOBODY ? x->alone : y.paid[y.col_of[i]] - v[y.col_of[i]];
        solver_free(&y);
    }
    if (!solved) {
        memset(x->row_of, 0xFF, x->m * sizeof *x->row_of);
        memset(x->col_of, 0xFF, x->n * sizeof *x->col_of);
    }
    cm_csr_free(&core);
    cm_free(v);
    cm_free(u);
    cm_free(found);
    cm_free(scratch);
    cm_free(out);
    cm_free(key);
    cm_free(val);
    return solved;
}

static float *transposed(const float *s, size_t rows, size_t cols)
{
    size_t size;
    CM_ASSERT(cm_mul(rows, cols, &size) == 0);
    float *t = CM_NEW(float, size);
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < cols; j++)
            t[j * rows + i] = s[i * cols + j];
    return t;
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
    struct solver x = solver_make(turn ? m->cols : m->rows, turn ? m->rows : m->cols);
    struct cm_csr t = {0};
    float *s = NULL;
    x.s = m->val;
    if (dense && turn) {
        x.s = s = transposed(m->val, m->rows, m->cols);
    } else if (!dense) {
        if (turn)
            t = cm_csr_transpose(m);
        x.ptr = turn ? t.ptr : m->ptr;
        x.idx = turn ? t.idx : m->idx;
        x.s = turn ? t.val : m->val;
    }
    set_costs(&x);
    if (x.idx || x.m < 4 * CORE || !solve_core(&x))
        solve(&x);
    for (size_t i = 0; i < m->rows; i++)
        partner[i] = turn ? x.row_of[i] : x.col_of[i];
    solver_free(&x);
    cm_free(s);
    if (t.ptr)
        cm_csr_free(&t);
}
