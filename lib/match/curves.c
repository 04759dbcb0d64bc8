/* match/curves.c - areas under the precision-recall and the ROC curve.  See match/metrics.h.
 *
 * With the entries sorted, the areas depend on the ranks of the true entries alone: how many
 * entries are above a true one's value, how many are equal to it.  So the true values are sorted (n
 * of them), and every stored entry finds its interval among them: first in a table of 2^18 equal
 * steps between the smallest and the largest of them, then by bisection in what is left.  The
 * counts are whole numbers, so shards may be added in any order.  Hardly any step holds a true
 * value: entries of the others are counted by their step alone.
 */
#include "match/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "base/clones.h"
#include "base/mem.h"
#include "base/pool.h"
#include "match/select.h"

static int descending_u32(const void *a, const void *b)
{
    uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
    return (x < y) - (x > y);
}

/* Distinct true values v[0] > v[1] > ...; `truths` true entries at each, `equal` entries at each,
 * `between[d]` entries below v[d-1] and above v[d] (between[n] = below all). */
struct offsets {
    size_t n;
    uint32_t *v;
    uint64_t *truths, *equal, *between, stored;
    unsigned shift; /* step of a value: 1 + (value - v[n - 1]) >> shift */
    /* start[h]: the first v whose step is <= h.  Step 0 is below all of v, the last above all. */
    uint32_t *start, *mixed; /* mixed: bits of the steps that hold some of v */
};

enum { STEPS = 1 << 18, ABOVE = STEPS + 1 };

enum { CURVE_SHARDS = 8 }; /* each with counts of its own */

struct place_job {
    const struct cm_csr *m;
    const struct cm_pairs *truth;
    const struct offsets *p;
    uint64_t *count; /* CURVE_SHARDS x (2 n + 1): equal, between */
};

/* A value whose step holds true ones too. */
static void place(const struct offsets *p, uint32_t v, uint64_t *equal, uint64_t *between)
{
    uint32_t h = 1 + ((v - p->v[p->n - 1]) >> p->shift);
    size_t a = p->start[h], b = p->start[h - 1]; /* first with v[a] <= v */
    while (a < b) {
        size_t mid = a + (b - a) / 2;
        if (p->v[mid] > v)
            a = mid + 1;
        else
            b = mid;
    }
    if (a < p->n && p->v[a] == v)
        equal[a]++;
    else
        between[a]++;
}

/* Order and step of n values. */
CM_CLONES_O3 static void find_steps(const struct offsets *p, const float *restrict val, size_t n,
                                    uint32_t *restrict v, uint32_t *restrict step)
{
    uint32_t low = p->v[p->n - 1], span = p->v[0] - low;
    unsigned shift = p->shift;
    for (size_t k = 0; k < n; k++) {
        uint32_t x = cm_float_order(val[k]), from = x - low, outside = x < low ? 0 : ABOVE;
        v[k] = x;
        step[k] = from <= span ? 1 + (from >> shift) : outside;
    }
}

/* Counts n <= PIECE values by their steps, without a branch that nothing could foresee; those of
 * mixed steps are placed one by one. */
enum { PIECE = 512 };

static void count_piece(const struct offsets *p, const float *val, size_t n, uint32_t *of_step,
                        uint64_t *equal, uint64_t *between)
{
    uint32_t v[PIECE], step[PIECE], mixed[PIECE];
    size_t m = 0;
    find_steps(p, val, n, v, step);
    for (size_t k = 0; k < n; k++) {
        uint32_t h = step[k];
        of_step[h]++;
        mixed[m] = v[k];
        m += p->mixed[h / 32] >> h % 32 & 1;
    }
    for (size_t k = 0; k < m; k++)
        place(p, mixed[k], equal, between);
}

/* Of steps that are not mixed, whose values all stand between the same two; from 0 again. */
static void add_steps(const struct offsets *p, uint32_t *of_step, uint64_t *between)
{
    for (size_t h = 0; h <= ABOVE; h++) {
        if (!(p->mixed[h / 32] >> h % 32 & 1))
            between[p->start[h]] += of_step[h];
        of_step[h] = 0;
    }
}

static int place_shard(void *arg, size_t shard)
{
    struct place_job *job = arg;
    const struct offsets *p = job->p;
    const struct cm_csr *m = job->m;
    uint64_t *equal = job->count + shard * (2 * p->n + 1), *between = equal + p->n, counted = 0;
    uint32_t *of_step = CM_ZNEW(ABOVE + 1, uint32_t);
    size_t from = cm_shard_begin(m->rows, CURVE_SHARDS, shard);
    size_t to = cm_shard_begin(m->rows, CURVE_SHARDS, shard + 1);
    for (size_t i = from; i < to; i++) {
        uint64_t k = m->ptr[i], end = m->ptr[i + 1];
        if (job->truth->col_of_row[i] == CM_UNPAIRED)
            continue;
        if (!p->n) /* no true value at all: everything is below */
            between[0] += end - k;
        for (size_t n; k < end && p->n; k += n) {
            n = end - k < PIECE ? (size_t)(end - k) : PIECE;
            count_piece(p, m->val + k, n, of_step, equal, between);
            if ((counted += n) > UINT32_MAX - PIECE) {
                add_steps(p, of_step, between);
                counted = 0;
            }
        }
    }
    add_steps(p, of_step, between);
    cm_free(of_step);
    return 0;
}

static void offsets_make(struct offsets *p, const struct cm_csr *m, const struct cm_pairs *truth)
{
    *p = (struct offsets){0};
    p->v = CM_NEW(truth->n, uint32_t);
    p->truths = CM_ZNEW(truth->n, uint64_t);
    size_t n = 0;
    for (size_t i = 0; i < m->rows; i++) {
        uint32_t j = truth->col_of_row[i];
        if (j == CM_UNPAIRED)
            continue;
        p->stored += m->ptr[i + 1] - m->ptr[i];
        uint64_t k = cm_csr_find(m, i, j);
        if (k != UINT64_MAX)
            p->v[n++] = cm_float_order(m->val[k]);
    }
    qsort(p->v, n, sizeof *p->v, descending_u32);
    for (size_t k = 0; k < n; k++) {
        if (p->n == 0 || p->v[p->n - 1] != p->v[k])
            p->v[p->n++] = p->v[k];
        p->truths[p->n - 1]++;
    }
    p->start = CM_NEW(ABOVE + 1, uint32_t);
    size_t at = p->n;
    while (n > 0 && (p->v[0] - p->v[p->n - 1]) >> p->shift >= STEPS)
        p->shift++;
    p->start[0] = (uint32_t)at;
    for (uint32_t h = 1; h <= STEPS; h++) {
        while (at > 0 && (p->v[at - 1] - p->v[p->n - 1]) >> p->shift < h)
            at--;
        p->start[h] = (uint32_t)at;
    }
    p->start[ABOVE] = 0;
    p->mixed = CM_ZNEW(ABOVE / 32 + 1, uint32_t);
    for (uint32_t h = 1; h <= STEPS; h++)
        p->mixed[h / 32] |= (uint32_t)(p->start[h] != p->start[h - 1]) << h % 32;
    struct place_job job = {m, truth, p, CM_ZNEW(CURVE_SHARDS * (2 * p->n + 1), uint64_t)};
    cm_parallel(CURVE_SHARDS, place_shard, &job);
    p->equal = CM_ZNEW(2 * p->n + 1, uint64_t);
    p->between = p->equal + p->n;
    for (size_t s = 0; s < CURVE_SHARDS; s++)
        for (size_t k = 0; k < 2 * p->n + 1; k++)
            p->equal[k] += job.count[s * (2 * p->n + 1) + k];
    cm_free(job.count);
}

static void offsets_free(struct offsets *p)
{
    cm_free(p->v);
    cm_free(p->truths);
    cm_free(p->equal);
    cm_free(p->start);
    cm_free(p->mixed);
}

static double precision(double tp, double ranked) { return ranked > 0 ? tp / ranked : 1; }

enum { TAIL_STEPS = 10000 };

void cm_match_curves(const struct cm_csr *m, const struct cm_pairs *truth, double *aupr,
                     double *auroc)
{
    struct offsets p;
    offsets_make(&p, m, truth);
    double n = (double)truth->n, universe = n * (double)m->cols, wrong = universe - n;
    double tp = 0, ranked = 0, pr = 0, roc = 0; /* areas times n, and times n * wrong */
    for (size_t d = 0; d < p.n; d++) {
        roc += tp * (double)p.between[d];
        ranked += (double)p.between[d];
        double b = (double)p.equal[d], true_ones = (double)p.truths[d];
        for (double t = 1; t <= b; t++) {
            double before = tp + (b > 1 ? (true_ones - 1) * (t - 1) / (b - 1) : 0);
            pr += true_ones / b *
                  (precision(before, ranked + t - 1) + precision(before + 1, ranked + t)) / 2;
        }
        roc += (b - true_ones) * (tp + true_ones / 2);
        tp += true_ones;
        ranked += b;
    }
    roc += tp * (double)p.between[p.n];
    ranked += (double)p.between[p.n];
    if (ranked < universe) {
        double found = n - tp, rest = universe - ranked;
        for (int s = 1; s <= TAIL_STEPS; s++) {
            double a = (s - 1) / (double)TAIL_STEPS, b = s / (double)TAIL_STEPS;
            pr += found / TAIL_STEPS *
                  (precision(tp + a * found, ranked + a * rest) +
                   precision(tp + b * found, ranked + b * rest)) /
                  2;
        }
        roc += (rest - found) * (tp + found / 2);
    }
    *aupr = pr / n;
    *auroc = wrong > 0 ? roc / n / wrong : NAN;
    offsets_free(&p);
}
