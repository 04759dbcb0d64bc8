/* plot/pca.c - the plane of the first two principal axes.  See plots.h. */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "matrix/blas.h"
#include "plot/plots.h"

enum { BLOCK = 1024, COLUMNS_MAX = 4096 };

/* Rows from .. of x minus the mean, in double; how many. */
static size_t take_block(const struct cm_dense *x, size_t from, const double *mean, double *out)
{
    size_t n = x->rows - from < BLOCK ? x->rows - from : BLOCK;
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < x->cols; j++)
            out[i * x->cols + j] = (double)x->v[(from + i) * x->ld + j] - mean[j];
    return n;
}

static void find_mean(const struct cm_dense *x, double *mean)
{
    memset(mean, 0, x->cols * sizeof *mean);
    for (size_t i = 0; i < x->rows; i++)
        for (size_t j = 0; j < x->cols; j++)
            mean[j] += (double)x->v[i * x->ld + j];
    for (size_t j = 0; j < x->cols; j++)
        mean[j] /= (double)x->rows;
}

/* The two axes with the largest eigenvalues, each of length 1, as rows; 0 where there is one
 * column. */
static void choose_axes(const double *vectors, size_t d, double *axis)
{
    memset(axis, 0, 2 * d * sizeof *axis);
    for (size_t k = 0; k < 2 && k < d; k++) {
        const double *from = vectors + (d - 1 - k) * d;
        size_t top = 0;
        for (size_t j = 1; j < d; j++)
            if (fabs(from[j]) > fabs(from[top]))
                top = j;
        for (size_t j = 0; j < d; j++)
            axis[k * d + j] = from[top] < 0 ? -from[j] : from[j];
    }
}

int cm_pca_plane(const struct cm_dense *x, double *out, double share[2])
{
    size_t d = x->cols;
    if (x->rows == 0 || d == 0)
        return cm_fail(CM_EINPUT, "there are no points");
    if (d > COLUMNS_MAX)
        return cm_fail(CM_EINPUT, "%zu columns are too many for a plane (at most %d); svd(1) first",
                       d, COLUMNS_MAX);
    double *mean = CM_NEW(d, double), *block = CM_NEW(BLOCK * d, double);
    double *square = CM_ZNEW(d * d, double), *value = CM_NEW(d, double),
           *axis = CM_NEW(2 * d, double);
    find_mean(x, mean);
    for (size_t i = 0; i < x->rows; i += BLOCK) {
        size_t n = take_block(x, i, mean, block);
        cm_dgemm(true, false, d, d, n, 1, block, d, block, d, 1, square, d);
    }
    int code = cm_eigh(d, square, value);
    if (!code) {
        double all = 0;
        for (size_t k = 0; k < d; k++)
            all += fmax(0, value[k]);
        for (size_t k = 0; k < 2; k++)
            share[k] = k < d && all > 0 ? fmax(0, value[d - 1 - k]) / all : 0;
        choose_axes(square, d, axis);
        for (size_t i = 0; i < x->rows; i += BLOCK) {
            size_t n = take_block(x, i, mean, block);
            cm_dgemm(false, true, n, 2, d, 1, block, d, axis, d, 0, out + 2 * i, 2);
        }
    }
    cm_free(mean);
    cm_free(block);
    cm_free(square);
    cm_free(value);
    cm_free(axis);
    return code;
}
