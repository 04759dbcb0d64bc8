/* match/metrics.c - the metrics of a match.  See metrics.h for their definitions.
 *
 * Curves: with the entries sorted, the areas depend on the true entries' places alone: how many
 * entries are above a true one's value, how many are equal to it.  So the true values are sorted (n
 * of them), and every stored entry finds its interval among them: first in a table of 2^18 equal
 * steps between the smallest and the largest of them, then by bisection in what is left.  The
 * counts are whole numbers, so shards may be added in any order.  NaN cannot occur (streams refuse
 * it).
 */
#include "match/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clones.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "match/topk.h"
#include "matrix/blas.h"

const size_t cm_ranks_top[3] = {1, 5, 10};

/* Position of column j in row i of m, or UINT64_MAX. */
static uint64_t find_entry(const struct cm_csr *m, size_t i, uint32_t j)
{
    uint64_t from = m->ptr[i], to = m->ptr[i + 1];
    while (from < to) {
        uint64_t mid = from + (to - from) / 2;
        if (m->idx[mid] < j)
            from = mid + 1;
        else
            to = mid;
    }
    return from < m->ptr[i + 1] && m->idx[from] == j ? from : UINT64_MAX;
}

/* ===== match probability ================================================================== */

enum { ROW_SHARDS = 64 };

/* Of a row's values.  Sums run in eight lanes, added in lane order: one chain of additions would
 * take four times as long as the memory. */
struct line {
    double sum, positive;
    float max;
    size_t negative;
};

typedef float lanes_f __attribute__((vector_size(32)));
typedef double lanes_d __attribute__((vector_size(64)));
typedef int32_t lanes_i __attribute__((vector_size(32)));

CM_FAST_CLONES static struct line read_line(const float *v, size_t n)
{
    enum { LANES = 8 };
    struct line out = {.max = -INFINITY};
    lanes_d sum = {0}, positive = {0};
    lanes_f max = (lanes_f){0} - INFINITY;
    lanes_i negative = {0};
    for (size_t k = 0; k < n; k += LANES) {
        lanes_f x = {0};
        lanes_i part = (lanes_i){0} - 1; /* all bits: a whole vector */
        if (n - k >= LANES)
            memcpy(&x, v + k, sizeof x);
        else
            for (size_t i = 0; i < LANES; i++)
                if (k + i < n)
                    x[i] = v[k + i];
                else
                    part[i] = 0;
        lanes_i above = x > 0, more = (x > max) & part;
        negative -= x < 0;
        max = (lanes_f)((more & (lanes_i)x) | (~more & (lanes_i)max));
        sum += __builtin_convertvector(x, lanes_d);
        positive += __builtin_convertvector((lanes_f)(above & (lanes_i)x), lanes_d);
    }
    for (size_t i = 0; i < LANES; i++) {
        out.sum += sum[i];
        out.positive += positive[i];
        out.max = max[i] > out.max ? max[i] : out.max;
        out.negative += (size_t)negative[i];
    }
    return out;
}

struct share_job {
    const struct cm_csr *m;
    const struct cm_pairs *truth;
    double *soft, *hard; /* of each row; soft is NAN where there is no mass */
};

static int share_rows(void *arg, size_t shard)
{
    const struct share_job *job = arg;
    const struct cm_csr *m = job->m;
    size_t from = cm_shard_begin(m->rows, ROW_SHARDS, shard);
    size_t to = cm_shard_begin(m->rows, ROW_SHARDS, shard + 1);
    for (size_t i = from; i < to; i++) {
        uint32_t partner = job->truth->col_of_row[i];
        if (partner == CM_UNPAIRED)
            continue;
        uint64_t at = find_entry(m, i, partner);
        double own = at != UINT64_MAX && m->val[at] > 0 ? m->val[at] : 0;
        size_t equals = 0;
        struct line all = read_line(m->val + m->ptr[i], (size_t)(m->ptr[i + 1] - m->ptr[i]));
        double sum = all.positive;
        float max = all.max > 0 ? all.max : 0;
        for (uint64_t k = m->ptr[i]; k < m->ptr[i + 1] && !(own < max); k++)
            equals += !(m->val[k] < max);
        job->soft[i] = sum > 0 ? own / sum : NAN;
        job->hard[i] = sum > 0 && !(own < max) ? 1 / (double)equals : 0;
    }
    return 0;
}

void cm_match_probability(const struct cm_csr *m, const struct cm_pairs *truth,
                          struct cm_probability *out)
{
    double soft = 0, hard = 0;
    struct share_job job = {m, truth, CM_NEW(double, m->rows), CM_NEW(double, m->rows)};
    *out = (struct cm_probability){0};
    cm_parallel(ROW_SHARDS, share_rows, &job);
    for (size_t i = 0; i < m->rows; i++) {
        if (truth->col_of_row[i] == CM_UNPAIRED)
            continue;
        out->empty += isnan(job.soft[i]);
        soft += isnan(job.soft[i]) ? 0 : job.soft[i];
        hard += job.hard[i];
    }
    out->filled = soft / (double)truth->n;
    out->soft = out->empty ? NAN : out->filled;
    out->hard = hard / (double)truth->n;
    cm_free(job.soft);
    cm_free(job.hard);
}

/* ===== ranks ============================================================================== */

static int ascending(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* One direction: n cells, each with `greater` and `equal` (the partner included; 0 = not stored)
 * counts, `stored` candidates of `of`. */
static void rank_summary(size_t n, const uint64_t *greater, const uint64_t *equal,
                         const uint64_t *stored, size_t of, struct cm_ranks *out)
{
    double *place = CM_NEW(double, n);
    *out = (struct cm_ranks){0};
    for (size_t i = 0; i < n; i++) {
        if (!equal[i]) {
            place[i] = (double)stored[i] + ((double)(of - stored[i]) + 1) / 2;
            continue;
        }
        place[i] = (double)greater[i] + ((double)equal[i] + 1) / 2;
        for (int t = 0; t < 3; t++)
            if (greater[i] < cm_ranks_top[t])
                out->top[t] += fmin(1, (double)(cm_ranks_top[t] - greater[i]) / (double)equal[i]);
    }
    for (int t = 0; t < 3; t++)
        out->top[t] /= (double)n;
    qsort(place, n, sizeof *place, ascending);
    out->median = n % 2 ? place[n / 2] : (place[n / 2 - 1] + place[n / 2]) / 2;
    cm_free(place);
}

struct counts {
    uint64_t *greater, *equal, *stored;
    float *value; /* of the true entry, NAN where it is not stored */
};

static struct counts counts_make(size_t n)
{
    struct counts c = {CM_ZNEW(uint64_t, n), CM_ZNEW(uint64_t, n), CM_ZNEW(uint64_t, n),
                       CM_NEW(float, n)};
    for (size_t i = 0; i < n; i++)
        c.value[i] = NAN;
    return c;
}

static void counts_free(struct counts *c)
{
    cm_free(c->greater);
    cm_free(c->equal);
    cm_free(c->stored);
    cm_free(c->value);
}

enum { COUNT_SHARDS = 8 }; /* each with counts of its own for all columns */

struct count_job {
    const struct cm_csr *m;
    const struct counts *row, *col;
    uint32_t *of_col; /* COUNT_SHARDS x cols x 4: greater, equal, stored, nothing */
};

static int count_rows(void *arg, size_t shard)
{
    const struct count_job *job = arg;
    const struct cm_csr *m = job->m;
    uint32_t *of_col = job->of_col + 4 * m->cols * shard;
    size_t from = cm_shard_begin(m->rows, COUNT_SHARDS, shard);
    size_t to = cm_shard_begin(m->rows, COUNT_SHARDS, shard + 1);
    for (size_t i = from; i < to; i++) {
        float own = job->row->value[i]; /* NAN where it is not stored: nothing is equal */
        size_t above = 0, same = 0;
        for (uint64_t k = m->ptr[i]; k < m->ptr[i + 1]; k++) {
            float v = m->val[k], other = job->col->value[m->idx[k]];
            above += v > own;
            same += (v >= own) & (v <= own);
            uint32_t *c = of_col + 4 * (size_t)m->idx[k];
            c[0] += v > other;
            c[1] += (v >= other) & (v <= other);
            c[2]++;
        }
        job->row->greater[i] = above;
        job->row->equal[i] = same;
        job->row->stored[i] = m->ptr[i + 1] - m->ptr[i];
    }
    return 0;
}

/* Moves the paired cells' counts to the front and summarises them. */
static void counts_summary(struct counts *c, size_t cells, const uint32_t *partner, size_t of,
                           struct cm_ranks *out)
{
    size_t n = 0;
    for (size_t i = 0; i < cells; i++)
        if (partner[i] != CM_UNPAIRED) {
            c->greater[n] = c->greater[i];
            c->equal[n] = c->equal[i];
            c->stored[n++] = c->stored[i];
        }
    rank_summary(n, c->greater, c->equal, c->stored, of, out);
}

void cm_match_ranks(const struct cm_csr *m, const struct cm_pairs *truth, struct cm_ranks *forward,
                    struct cm_ranks *reverse)
{
    struct counts row = counts_make(m->rows), col = counts_make(m->cols);
    for (size_t i = 0; i < m->rows; i++) {
        uint32_t j = truth->col_of_row[i];
        uint64_t k = j == CM_UNPAIRED ? UINT64_MAX : find_entry(m, i, j);
        if (k == UINT64_MAX)
            continue;
        row.value[i] = col.value[j] = m->val[k];
    }
    struct count_job job = {m, &row, &col, CM_ZNEW(uint32_t, COUNT_SHARDS * 4 * m->cols)};
    cm_parallel(COUNT_SHARDS, count_rows, &job);
    for (size_t shard = 0; shard < COUNT_SHARDS; shard++)
        for (size_t j = 0; j < m->cols; j++) {
            const uint32_t *c = job.of_col + 4 * (m->cols * shard + j);
            col.greater[j] += c[0];
            col.equal[j] += c[1];
            col.stored[j] += c[2];
        }
    cm_free(job.of_col);
    counts_summary(&row, m->rows, truth->col_of_row, m->cols, forward);
    counts_summary(&col, m->cols, truth->row_of_col, m->rows, reverse);
    counts_free(&row);
    counts_free(&col);
}

/* ===== curves ============================================================================= */

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
    unsigned shift;  /* step of a value: (value - v[n - 1]) >> shift */
    uint32_t *start; /* start[h]: the first v whose step is <= h */
};

enum { STEPS = 1 << 18 };

enum { CURVE_SHARDS = 32 };

struct place_job {
    const struct cm_csr *m;
    const struct cm_pairs *truth;
    const struct offsets *p;
    uint64_t *count; /* CURVE_SHARDS x (2 n + 1): equal, between */
};

static int place_shard(void *arg, size_t shard)
{
    struct place_job *job = arg;
    const struct offsets *p = job->p;
    const struct cm_csr *m = job->m;
    uint64_t *equal = job->count + shard * (2 * p->n + 1), *between = equal + p->n;
    size_t from = cm_shard_begin(m->rows, CURVE_SHARDS, shard);
    size_t to = cm_shard_begin(m->rows, CURVE_SHARDS, shard + 1);
    uint32_t high = p->n ? p->v[0] : 0, low = p->n ? p->v[p->n - 1] : UINT32_MAX;
    for (size_t i = from; i < to; i++) {
        if (job->truth->col_of_row[i] == CM_UNPAIRED)
            continue;
        for (uint64_t k = m->ptr[i]; k < m->ptr[i + 1]; k++) {
            uint32_t v = cm_float_order(m->val[k]);
            if (v > high || v < low) {
                between[v > high ? 0 : p->n]++;
                continue;
            }
            uint32_t h = (v - low) >> p->shift;
            size_t a = p->start[h], b = h ? p->start[h - 1] : p->n; /* first with v[a] <= v */
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
    }
    return 0;
}

static void offsets_make(struct offsets *p, const struct cm_csr *m, const struct cm_pairs *truth)
{
    *p = (struct offsets){0};
    p->v = CM_NEW(uint32_t, truth->n);
    p->truths = CM_ZNEW(uint64_t, truth->n);
    size_t n = 0;
    for (size_t i = 0; i < m->rows; i++) {
        uint32_t j = truth->col_of_row[i];
        if (j == CM_UNPAIRED)
            continue;
        p->stored += m->ptr[i + 1] - m->ptr[i];
        uint64_t k = find_entry(m, i, j);
        if (k != UINT64_MAX)
            p->v[n++] = cm_float_order(m->val[k]);
    }
    qsort(p->v, n, sizeof *p->v, descending_u32);
    for (size_t k = 0; k < n; k++) {
        if (p->n == 0 || p->v[p->n - 1] != p->v[k])
            p->v[p->n++] = p->v[k];
        p->truths[p->n - 1]++;
    }
    p->start = CM_NEW(uint32_t, STEPS);
    size_t at = p->n;
    while (n > 0 && (p->v[0] - p->v[p->n - 1]) >> p->shift >= STEPS)
        p->shift++;
    for (uint32_t h = 0; h < STEPS; h++) {
        while (at > 0 && (p->v[at - 1] - p->v[p->n - 1]) >> p->shift <= h)
            at--;
        p->start[h] = (uint32_t)at;
    }
    struct place_job job = {m, truth, p, CM_ZNEW(uint64_t, CURVE_SHARDS * (2 * p->n + 1))};
    cm_parallel(CURVE_SHARDS, place_shard, &job);
    p->equal = CM_ZNEW(uint64_t, 2 * p->n + 1);
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

/* ===== labels, chance, format ============================================================= */

double cm_match_agreement(const struct cm_csr *m, const uint32_t *row_code,
                          const uint32_t *col_code, size_t *rows)
{
    double same = 0, all = 0;
    size_t used = 0;
    for (size_t i = 0; i < m->rows; i++) {
        double row_same = 0, row_all = 0;
        for (uint64_t k = m->ptr[i]; k < m->ptr[i + 1] && row_code[i] != CM_GROUP_NONE; k++) {
            uint32_t code = col_code[m->idx[k]];
            if (code == CM_GROUP_NONE || !(m->val[k] > 0))
                continue;
            row_all += m->val[k];
            if (code == row_code[i])
                row_same += m->val[k];
        }
        used += row_all > 0;
        same += row_same;
        all += row_all;
    }
    if (rows)
        *rows = used;
    return same / all;
}

double cm_match_chance(const struct cm_pairs *truth, const uint32_t *row_group,
                       const uint32_t *col_group)
{
    if (!row_group || !col_group)
        return 1 / (double)truth->cols;
    size_t groups = 0;
    for (size_t j = 0; j < truth->cols; j++)
        if (col_group[j] != CM_GROUP_NONE && col_group[j] >= groups)
            groups = (size_t)col_group[j] + 1;
    size_t *size = CM_ZNEW(size_t, groups);
    for (size_t j = 0; j < truth->cols; j++)
        if (col_group[j] != CM_GROUP_NONE)
            size[col_group[j]]++;
    double sum = 0;
    for (size_t i = 0; i < truth->rows; i++)
        if (truth->col_of_row[i] != CM_UNPAIRED && row_group[i] < groups && size[row_group[i]])
            sum += 1 / (double)size[row_group[i]];
    cm_free(size);
    return sum / (double)truth->n;
}

struct sum_job {
    const struct cm_csr *m;
    double *sum;
    size_t *negative; /* of each row */
};

static int sum_rows(void *arg, size_t shard)
{
    const struct sum_job *job = arg;
    const struct cm_csr *m = job->m;
    size_t from = cm_shard_begin(m->rows, ROW_SHARDS, shard);
    size_t to = cm_shard_begin(m->rows, ROW_SHARDS, shard + 1);
    for (size_t i = from; i < to; i++) {
        struct line all = read_line(m->val + m->ptr[i], (size_t)(m->ptr[i + 1] - m->ptr[i]));
        job->sum[i] = all.sum;
        job->negative[i] = all.negative;
    }
    return 0;
}

void cm_match_format(const struct cm_csr *m, const struct cm_pairs *truth, struct cm_format *out)
{
    double off = 0;
    size_t differ = 0, negative = 0, long_rows = 0, bad_rows = 0, first_long = 0, first_bad = 0;
    struct sum_job job = {m, CM_NEW(double, m->rows), CM_NEW(size_t, m->rows)};
    cm_parallel(ROW_SHARDS, sum_rows, &job);
    for (size_t i = 0; i < m->rows; i++) {
        double sum = job.sum[i];
        negative += job.negative[i];
        if (sum < 1 || sum > 1) {
            differ++;
            off += fabs(sum - 1);
        }
        if (fabs(sum - 1) > 1e-5 && bad_rows++ == 0)
            first_bad = i;
        if (m->ptr[i + 1] - m->ptr[i] > 1000 && long_rows++ == 0)
            first_long = i;
    }
    cm_free(job.sum);
    cm_free(job.negative);
    uint64_t stored = m->ptr[m->rows];
    *out = (struct cm_format){0};
    char *why = out->official_why;
    if (m->rows != m->cols || truth->n != m->rows)
        snprintf(why, CM_WHY_MAX, "%zu x %zu with %zu pairs, expected a square", m->rows, m->cols,
                 truth->n);
    else if (stored > 1000 * (uint64_t)m->rows)
        snprintf(why, CM_WHY_MAX, "%llu entries, at most 1000 x %zu are allowed",
                 (unsigned long long)stored, m->rows);
    else if (negative)
        snprintf(why, CM_WHY_MAX, "%zu values are negative", negative);
    else if (differ && off / (double)differ > 1e-5)
        snprintf(why, CM_WHY_MAX, "row sums differ from 1 by %.3g on average",
                 off / (double)differ);
    else
        out->official = true;
    why = out->paper_why;
    if (long_rows)
        snprintf(why, CM_WHY_MAX, "%zu rows have more than 1000 entries, the first is row %zu",
                 long_rows, first_long);
    else if (negative)
        snprintf(why, CM_WHY_MAX, "%zu values are negative", negative);
    else if (bad_rows)
        snprintf(why, CM_WHY_MAX, "%zu rows do not sum to 1 within 1e-5, the first is row %zu",
                 bad_rows, first_bad);
    else
        out->paper = true;
}

/* ===== embeddings ========================================================================= */

enum { UNIT_ROWS = 64 };

/* One direction of FOSCTTM: out[i] for each paired row of a. */
struct closer_job {
    const struct cm_dense *a, *b;
    const uint32_t *partner;
    double *out;
};

static int closer_unit(void *arg, size_t shard)
{
    struct closer_job *job = arg;
    const struct cm_dense *a = job->a, *b = job->b;
    size_t from = shard * UNIT_ROWS, rows = a->rows - from < UNIT_ROWS ? a->rows - from : UNIT_ROWS;
    float *s = CM_NEW(float, rows * b->rows);
    cm_sgemm(false, true, rows, b->rows, a->cols, 1, a->v + from * a->ld, a->ld, b->v, b->ld, 0, s,
             b->rows);
    for (size_t i = 0; i < rows; i++) {
        uint32_t partner = job->partner[from + i];
        if (partner == CM_UNPAIRED)
            continue;
        const float *row = s + i * b->rows;
        float own = row[partner];
        size_t above = 0, below = 0;
        for (size_t j = 0; j < b->rows; j++) {
            above += row[j] > own;
            below += row[j] < own;
        }
        size_t equals = b->rows - above - below - 1;
        job->out[from + i] = ((double)above + (double)equals / 2) / (double)b->rows;
    }
    cm_free(s);
    return 0;
}

double cm_foscttm(const struct cm_dense *e, const struct cm_dense *t, const struct cm_pairs *truth,
                  double *stderr_)
{
    double *forward = CM_ZNEW(double, e->rows), *reverse = CM_ZNEW(double, t->rows);
    struct closer_job job = {e, t, truth->col_of_row, forward};
    cm_parallel((e->rows + UNIT_ROWS - 1) / UNIT_ROWS, closer_unit, &job);
    job = (struct closer_job){t, e, truth->row_of_col, reverse};
    cm_parallel((t->rows + UNIT_ROWS - 1) / UNIT_ROWS, closer_unit, &job);
    double sum = 0, squares = 0, n = (double)truth->n;
    for (size_t i = 0; i < e->rows; i++) {
        if (truth->col_of_row[i] == CM_UNPAIRED)
            continue;
        double v = (forward[i] + reverse[truth->col_of_row[i]]) / 2;
        sum += v;
        squares += v * v;
    }
    double mean = sum / n;
    *stderr_ = n > 1 ? sqrt(fmax(0, squares / n - mean * mean) / (n - 1)) : NAN;
    cm_free(forward);
    cm_free(reverse);
    return mean;
}

double cm_chunk_probability(const struct cm_dense *e, const struct cm_dense *t,
                            const struct cm_pairs *truth, size_t chunk, double *chance)
{
    if (chunk > truth->n)
        chunk = truth->n;
    size_t d = e->cols, done = 0, chunks = 0;
    float *a = CM_NEW(float, chunk *d), *b = CM_NEW(float, chunk *d);
    float *s = CM_NEW(float, chunk *chunk);
    double sum = 0;
    for (size_t i = 0, n = 0; i < e->rows; i++) {
        uint32_t j = truth->col_of_row[i];
        if (j == CM_UNPAIRED)
            continue;
        memcpy(a + n * d, e->v + i * e->ld, d * sizeof *a);
        memcpy(b + n * d, t->v + j * t->ld, d * sizeof *b);
        done++;
        if (++n < chunk && done < truth->n)
            continue;
        cm_sgemm(false, true, n, n, d, 1, a, d, b, d, 0, s, n);
        for (size_t k = 0; k < n; k++) {
            double row = 0, col = 0, own = s[k * n + k];
            for (size_t l = 0; l < n; l++) {
                row += exp((double)s[k * n + l] - own);
                col += exp((double)s[l * n + k] - own);
            }
            sum += (1 / row + 1 / col) / 2;
        }
        chunks++;
        n = 0;
    }
    *chance = (double)chunks / (double)truth->n; /* mean of 1/size over the chunks' cells */
    cm_free(a);
    cm_free(b);
    cm_free(s);
    return sum / (double)truth->n;
}
