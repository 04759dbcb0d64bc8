/* match/rows.c - steps over a portion of rows.  See rows.h.
 *
 * Each step works row by row and leaves a new length; close_gaps then moves the rows together.
 * Only the rule runs on the pool (its exponentials are the cost): a shard touches its own rows
 * alone.
 */
#include "match/rows.h"

#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "match/groups.h"

/* Row i now begins at `begin` and has n entries: moved behind the rows before it. */
static void close_gap(struct cm_rows *r, size_t i, uint64_t begin, size_t n)
{
    if (n && begin != r->ptr[i]) {
        memmove(r->idx + r->ptr[i], r->idx + begin, n * sizeof *r->idx);
        memmove(r->val + r->ptr[i], r->val + begin, n * sizeof *r->val);
    }
    r->ptr[i + 1] = r->ptr[i] + n;
}

void cm_rows_pack(struct cm_rows *r, size_t k, const size_t *count)
{
    r->ptr[0] = 0;
    for (size_t i = 0; i < r->n; i++)
        close_gap(r, i, (uint64_t)i * k, count[i]);
}

void cm_rows_within(struct cm_rows *r, const uint32_t *row_code, const uint32_t *col_code)
{
    uint64_t kept = 0, k = 0;
    for (size_t i = 0; i < r->n; i++) {
        for (uint64_t end = r->ptr[i + 1]; k < end; k++)
            if (row_code[i] != CM_GROUP_NONE && col_code[r->idx[k]] == row_code[i]) {
                r->idx[kept] = r->idx[k];
                r->val[kept++] = r->val[k];
            }
        r->ptr[i + 1] = kept;
    }
}

void cm_rows_add(struct cm_rows *r, const struct cm_rows *other)
{
    uint64_t kept = 0, a = 0;
    for (size_t i = 0; i < r->n; i++) {
        uint64_t end = r->ptr[i + 1], b = other->ptr[i], end2 = other->ptr[i + 1];
        for (; a < end && b < end2; a++) {
            while (b < end2 && other->idx[b] < r->idx[a])
                b++;
            if (b < end2 && other->idx[b] == r->idx[a]) {
                r->idx[kept] = r->idx[a];
                r->val[kept++] = r->val[a] + other->val[b++];
            }
        }
        a = end;
        r->ptr[i + 1] = kept;
    }
}

void cm_rows_normalise(const struct cm_rows *r, struct cm_normalisers *c)
{
    cm_normalisers_add(c, (size_t)r->ptr[r->n], r->idx, r->val);
}

enum { SHARD_ROWS = 64 };

struct rule_job {
    const struct cm_rows *r;
    const struct cm_rule *rule;
    const double *column_log;
    size_t max, *count;
};

static int rule_shard(void *arg, size_t shard)
{
    struct rule_job *job = arg;
    const struct cm_rows *r = job->r;
    struct cm_rule_scratch scratch = {0};
    size_t from = shard * SHARD_ROWS, to = r->n - from < SHARD_ROWS ? r->n : from + SHARD_ROWS;
    for (size_t i = from; i < to; i++)
        job->count[i] =
            cm_rule_row(job->rule, (size_t)(r->ptr[i + 1] - r->ptr[i]), r->idx + r->ptr[i],
                        r->val + r->ptr[i], job->column_log, job->max, &scratch);
    cm_rule_scratch_free(&scratch);
    return 0;
}

void cm_rows_rule(struct cm_rows *r, const struct cm_rule *rule, const double *column_log,
                  size_t max)
{
    struct rule_job job = {r, rule, column_log, max, CM_NEW(r->n, size_t)};
    cm_parallel((r->n + SHARD_ROWS - 1) / SHARD_ROWS, rule_shard, &job);
    uint64_t begin = 0;
    for (size_t i = 0; i < r->n; i++) {
        uint64_t end = r->ptr[i + 1];
        close_gap(r, i, begin, job.count[i]);
        begin = end;
    }
    cm_free(job.count);
}

void cm_rows_harden(struct cm_rows *r)
{
    uint64_t begin = 0;
    for (size_t i = 0; i < r->n; i++) {
        uint64_t end = r->ptr[i + 1], best = begin;
        for (uint64_t k = begin; k < end; k++)
            if (r->val[k] > r->val[best])
                best = k;
        bool any = begin < end && r->val[best] > 0;
        close_gap(r, i, best, any);
        if (any)
            r->val[r->ptr[i]] = 1;
        begin = end;
    }
}

size_t cm_rows_empty(const struct cm_rows *r)
{
    size_t n = 0;
    for (size_t i = 0; i < r->n; i++)
        n += r->ptr[i + 1] == r->ptr[i];
    return n;
}
