/* match/ranks.c - how far down a cell's candidates its partner stands.  See match/metrics.h. */
#include "match/metrics.h"

#include <math.h>
#include <stdlib.h>

#include "base/mem.h"
#include "base/pool.h"

const size_t cm_ranks_top[3] = {1, 5, 10};

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
    double *rank = CM_NEW(n, double);
    *out = (struct cm_ranks){0};
    for (size_t i = 0; i < n; i++) {
        if (!equal[i]) {
            rank[i] = (double)stored[i] + ((double)(of - stored[i]) + 1) / 2;
            continue;
        }
        rank[i] = (double)greater[i] + ((double)equal[i] + 1) / 2;
        for (int t = 0; t < 3; t++)
            if (greater[i] < cm_ranks_top[t])
                out->top[t] += fmin(1, (double)(cm_ranks_top[t] - greater[i]) / (double)equal[i]);
    }
    for (int t = 0; t < 3; t++)
        out->top[t] /= (double)n;
    qsort(rank, n, sizeof *rank, ascending);
    out->median = n % 2 ? rank[n / 2] : (rank[n / 2 - 1] + rank[n / 2]) / 2;
    cm_free(rank);
}

struct counts {
    uint64_t *greater, *equal, *stored;
    float *value; /* of the true entry, NAN where it is not stored */
};

static struct counts counts_make(size_t n)
{
    struct counts c = {CM_ZNEW(n, uint64_t), CM_ZNEW(n, uint64_t), CM_ZNEW(n, uint64_t),
                       CM_NEW(n, float)};
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

/* Each shard has counts of its own for all columns: greater, equal and stored in one word, which
 * is one access for each entry.  They are below the rows of a shard. */
enum { COUNT_SHARDS = 8, COUNT_BITS = 21 };

struct count_job {
    const struct cm_csr *m;
    const struct counts *row, *col;
    size_t shards;
    uint64_t *of_col; /* shards x cols */
};

static size_t count_shards(size_t rows)
{
    size_t enough = (rows >> (COUNT_BITS - 1)) + 1;
    return enough < COUNT_SHARDS ? COUNT_SHARDS : enough;
}

static int count_rows(void *arg, size_t shard)
{
    const struct count_job *job = arg;
    const struct cm_csr *m = job->m;
    uint64_t *of_col = job->of_col + m->cols * shard;
    size_t from = cm_shard_begin(m->rows, job->shards, shard);
    size_t to = cm_shard_begin(m->rows, job->shards, shard + 1);
    for (size_t i = from; i < to; i++) {
        float own = job->row->value[i]; /* NAN where it is not stored: nothing is equal */
        size_t above = 0, same = 0;
        for (uint64_t k = m->ptr[i]; k < m->ptr[i + 1]; k++) {
            float v = m->val[k], other = job->col->value[m->idx[k]];
            above += v > own;
            same += (v >= own) & (v <= own);
            of_col[m->idx[k]] += (uint64_t)1 << 2 * COUNT_BITS |
                                 (uint64_t)((v >= other) & (v <= other)) << COUNT_BITS |
                                 (uint64_t)(v > other);
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
        uint64_t k = j == CM_UNPAIRED ? UINT64_MAX : cm_csr_find(m, i, j);
        if (k == UINT64_MAX)
            continue;
        row.value[i] = col.value[j] = m->val[k];
    }
    struct count_job job = {m, &row, &col, count_shards(m->rows), NULL};
    job.of_col = CM_ZNEW(job.shards * m->cols, uint64_t);
    cm_parallel(job.shards, count_rows, &job);
    for (size_t shard = 0; shard < job.shards; shard++)
        for (size_t j = 0; j < m->cols; j++) {
            uint64_t c = job.of_col[m->cols * shard + j], mask = (1u << COUNT_BITS) - 1;
            col.greater[j] += c & mask;
            col.equal[j] += c >> COUNT_BITS & mask;
            col.stored[j] += c >> 2 * COUNT_BITS;
        }
    cm_free(job.of_col);
    counts_summary(&row, m->rows, truth->col_of_row, m->cols, forward);
    counts_summary(&col, m->cols, truth->row_of_col, m->rows, reverse);
    counts_free(&row);
    counts_free(&col);
}
