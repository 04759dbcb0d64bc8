/* match/metrics.c - match probability, agreement of labels, chance and format of a match.
 *
 * NaN cannot occur: streams refuse it.
 */
#include "match/metrics.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clones.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "match/groups.h"

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
        uint64_t at = cm_csr_find(m, i, partner);
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
    struct share_job job = {m, truth, CM_NEW(m->rows, double), CM_NEW(m->rows, double)};
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
    size_t *size = CM_ZNEW(groups, size_t);
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
    struct sum_job job = {m, CM_NEW(m->rows, double), CM_NEW(m->rows, size_t)};
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
