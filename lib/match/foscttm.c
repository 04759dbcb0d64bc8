/* match/foscttm.c - metrics of two embeddings, whose similarity is the inner product.  See
 * match/metrics.h. */
#include "match/metrics.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "matrix/blas.h"

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
    float *s = CM_NEW(rows * b->rows, float);
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
    double *forward = CM_ZNEW(e->rows, double), *reverse = CM_ZNEW(t->rows, double);
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
    float *a = CM_NEW(chunk * d, float), *b = CM_NEW(chunk * d, float);
    float *s = CM_NEW(chunk * chunk, float);
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
