/* linear/lsi.c - leading singular directions of the features of one modality. */
#include "linear/lsi.h"

#include <math.h>

#include "base/error.h"
#include "base/mem.h"
#include "matrix/svd.h"

#define NO_VARIATION 1e-12 /* of the sum of squares: what rounding the means to float leaves */

float *cm_lsi_weights(const struct cm_csr *x, double power)
{
    if (power == 0)
        return NULL;
    float *weight = CM_NEW(x->cols, float);
    double *sum = CM_ZNEW(x->cols, double), *square = CM_ZNEW(x->cols, double);
    double n = (double)x->rows;
    cm_csr_column_sums(x, sum, NULL);
    for (uint64_t e = 0; e < x->ptr[x->rows]; e++)
        square[x->idx[e]] += (double)x->val[e] * (double)x->val[e];
    for (size_t j = 0; j < x->cols; j++) {
        double mean = sum[j] / n, all = square[j] / n, variance = all - mean * mean;
        weight[j] = variance > NO_VARIATION * all ? (float)pow(variance, -power / 2) : 0;
    }
    cm_free(sum);
    cm_free(square);
    return weight;
}

static double square_sum(const struct cm_csr *x, const float *weight)
{
    double sum = 0;
    for (uint64_t e = 0; e < x->ptr[x->rows]; e++) {
        double v = (double)x->val[e] * (weight ? (double)weight[x->idx[e]] : 1);
        sum += v * v;
    }
    return sum;
}

int cm_lsi_fit(struct cm_linear_side *s, const struct cm_csr *x, const struct cm_linear_config *c,
               uint64_t seed, size_t slot)
{
    size_t k = (size_t)c->k;
    s->d = x->cols;
    s->mean = CM_NEW(s->d, float);
    s->v = CM_NEW(s->d * k, float);
    s->s = CM_NEW(k, double);
    s->bias = CM_NEW(k, float);
    cm_csr_column_means(x, s->mean);
    float *weight = cm_lsi_weights(x, c->scale);
    int code = cm_svd_truncated(x, s->mean, weight, k, seed, c->tolerance, CM_SVD_ITERATIONS, s->v,
                                s->s, &s->iterations);
    if (code == 0 && !(s->s[0] * s->s[0] > NO_VARIATION * square_sum(x, weight)))
        code = cm_fail(CM_ENUMERIC, "slot %zu does not vary among the training cells", slot);
    for (size_t j = 0; weight && j < s->d; j++)
        for (size_t i = 0; i < k; i++)
            s->v[j * k + i] *= weight[j];
    cm_free(weight);
    if (code == 0)
        cm_csr_bias(s->mean, s->v, s->d, k, s->bias);
    return code;
}

void cm_lsi_components(const struct cm_linear_side *s, size_t k, const struct cm_csr *x, float *z)
{
    cm_csr_times(x, s->v, k, s->bias, z, k);
}
