/* matrix/centred.c - products with a sparse matrix, its means and weights.  See centred.h. */
#include "matrix/centred.h"

#include <string.h>

#include "base/mem.h"
#include "base/pool.h"
#include "base/spool.h"

struct cm_centred cm_centred_make(const struct cm_csr *x, const float *mean, const float *weight,
                                  size_t block, bool single)
{
    struct cm_centred a = {.x = x, .mean = mean, .weight = weight, .single = single};
    a.tiles = cm_tiles_make(x, block * (single ? sizeof(float) : sizeof(double)), 8);
    return a;
}

void cm_centred_free(struct cm_centred *a) { cm_tiles_free(&a->tiles); }

struct job {
    const struct cm_centred *a;
    const double *in;
    double *out;
    float *in_single, *out_single; /* where products run in float: in, rounded, and sums */
    size_t b, shards;
    size_t step, r0, r1; /* rows of x to take at a time, and taken now */
    double *shift;       /* one value a column */
};

static void job_make(struct job *j, size_t in, size_t out)
{
    j->shift = CM_ZNEW(j->b, double);
    if (!j->a->single)
        return;
    j->in_single = CM_NEW(in * j->b, float);
    j->out_single = CM_NEW(out * j->b, float);
    for (size_t i = 0; i < in * j->b; i++)
        j->in_single[i] = (float)j->in[i];
}

static void job_free(struct job *j)
{
    cm_free(j->shift);
    cm_free(j->in_single);
    cm_free(j->out_single);
}

/* Rows from .. to - 1 of the output: shifted by `shift`, each row's part `times` it, or 1. */
static void shift_rows(const struct job *j, size_t from, size_t to, const float *times)
{
    for (size_t i = from; i < to; i++)
        for (size_t c = 0; c < j->b; c++)
            j->out[i * j->b + c] -= times ? (double)times[i] * j->shift[c] : j->shift[c];
}

static void widen_rows(const struct job *j, size_t from, size_t to)
{
    for (size_t i = from * j->b; i < to * j->b; i++)
        j->out[i] = (double)j->out_single[i];
}

static int rows_job(void *arg, size_t shard)
{
    const struct job *j = arg;
    const struct cm_centred *a = j->a;
    const struct cm_csr *x = a->x;
    size_t from = cm_shard_begin(x->rows, j->shards, shard), b = j->b;
    size_t to = cm_shard_begin(x->rows, j->shards, shard + 1), n = (to - from) * b;
    if (a->single) {
        memset(j->out_single + from * b, 0, n * sizeof(float));
    } else {
        memset(j->out + from * b, 0, n * sizeof(double));
    }
    for (size_t r0 = from, r1; r0 < to; r0 = r1) {
        r1 = to - r0 < j->step ? to : r0 + j->step;
        if (a->single)
            cm_kernel_times_f(x, &a->tiles, r0, r1, j->in_single, b, j->out_single, b);
        else
            cm_kernel_times_d(x, &a->tiles, r0, r1, j->in, b, j->out, b);
        cm_spool_check();
    }
    if (a->single)
        widen_rows(j, from, to);
    if (a->mean)
        shift_rows(j, from, to, NULL);
    return 0;
}

/* Columns of a shard, rows j->r0 .. r1 - 1: sums begin with the first rows, end with the last. */
static int cols_job(void *arg, size_t shard)
{
    const struct job *j = arg;
    const struct cm_centred *a = j->a;
    const struct cm_csr *x = a->x;
    bool first = j->r0 == 0, last = j->r1 == x->rows;
    size_t from = cm_shard_begin(x->cols, j->shards, shard), b = j->b;
    size_t to = cm_shard_begin(x->cols, j->shards, shard + 1), n = (to - from) * b;
    if (first && a->single)
        memset(j->out_single + from * b, 0, n * sizeof(float));
    else if (first)
        memset(j->out + from * b, 0, n * sizeof(double));
    if (a->single)
        cm_kernel_transposed_f(x, &a->tiles, shard, j->r0, j->r1, j->in_single, b, b,
                               j->out_single);
    else
        cm_kernel_transposed_d(x, &a->tiles, shard, j->r0, j->r1, j->in, b, b, j->out);
    if (last && a->single)
        widen_rows(j, from, to);
    if (last && a->mean)
        shift_rows(j, from, to, a->mean);
    if (last && a->weight)
        for (size_t i = from; i < to; i++)
            for (size_t c = 0; c < b; c++)
                j->out[i * b + c] *= (double)a->weight[i];
    return 0;
}

void cm_centred_times(const struct cm_centred *a, const double *in, size_t b, double *out)
{
    size_t rows = a->x->rows, cols = a->x->cols;
    double *weighted = NULL;
    if (a->weight) {
        weighted = CM_NEW(cols * b, double);
        for (size_t i = 0; i < cols; i++)
            for (size_t c = 0; c < b; c++)
                weighted[i * b + c] = (double)a->weight[i] * in[i * b + c];
        in = weighted;
    }
    struct job j = {.a = a, .in = in, .out = out, .b = b, .shards = cm_shards(rows, 512, 16)};
    j.step = cm_kernel_rows(a->x, 2 * cm_pool_threads());
    job_make(&j, cols, rows);
    if (a->mean)
        for (size_t i = 0; i < cols; i++)
            for (size_t c = 0; c < b; c++)
                j.shift[c] += (double)a->mean[i] * in[i * b + c];
    cm_parallel(j.shards, rows_job, &j);
    job_free(&j);
    cm_free(weighted);
}

void cm_centred_transposed(const struct cm_centred *a, const double *in, size_t b, double *out)
{
    size_t rows = a->x->rows, cols = a->x->cols;
    struct job j = {.a = a, .in = in, .out = out, .b = b, .shards = a->tiles.n};
    j.step = cm_kernel_rows(a->x, 2);
    job_make(&j, rows, cols);
    if (a->mean)
        for (size_t i = 0; i < rows; i++)
            for (size_t c = 0; c < b; c++)
                j.shift[c] += in[i * b + c];
    do {
        j.r1 = rows - j.r0 < j.step ? rows : j.r0 + j.step;
        cm_parallel(j.shards, cols_job, &j);
        j.r0 = j.r1;
    } while (j.r0 < rows);
    job_free(&j);
}
