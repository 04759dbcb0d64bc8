/* linear/refit.c - the linear start of a part of the training cells.  See linear/refit.h. */
#include "linear/refit.h"

#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "matrix/blas.h"

struct cm_linear_whole cm_linear_whole(const struct cm_linear *linear,
                                       const struct cm_csr *const x[2], const float *const z[2],
                                       const struct cm_linear_config *c)
{
    struct cm_linear_whole w = {linear, {x[0], x[1]}, {z[0], z[1]}, c->ridge, {NULL, NULL}};
    for (size_t s = 0; s < 2; s++)
        w.weight[s] = cm_lsi_weights(x[s], c->scale);
    return w;
}

void cm_linear_whole_free(struct cm_linear_whole *w)
{
    cm_free(w->weight[0]);
    cm_free(w->weight[1]);
}

/* ===== tall matrices, k columns wide ======================================================== */

/* out (n x k) = rows of in (ld ld), each less `mean`, times factor[row], times map' (k x k). */
struct tall {
    const float *in;
    size_t n, k, ld, shards;
    const double *mean, *map; /* mean: or NULL */
    const float *factor;      /* or NULL */
    double *part;             /* shards x k x k */
    float *out;
};

static int gram_shard(void *arg, size_t shard)
{
    const struct tall *t = arg;
    size_t k = t->k;
    double *part = t->part + shard * k * k;
    for (size_t i = cm_shard_begin(t->n, t->shards, shard);
         i < cm_shard_begin(t->n, t->shards, shard + 1); i++)
        for (size_t r = 0; r < k; r++) {
            double v = (double)t->in[i * t->ld + r];
            for (size_t c = 0; c < k; c++)
                part[r * k + c] += v * (double)t->in[i * t->ld + c];
        }
    return 0;
}

/* gram (k x k) = in' in */
static void gram_of(struct tall *t, double *gram)
{
    size_t kk = t->k * t->k;
    t->shards = cm_shards(t->n, 512, 16);
    t->part = CM_ZNEW(t->shards * kk, double);
    cm_parallel(t->shards, gram_shard, t);
    memset(gram, 0, kk * sizeof *gram);
    for (size_t s = 0; s < t->shards; s++)
        for (size_t i = 0; i < kk; i++)
            gram[i] += t->part[s * kk + i];
    cm_free(t->part);
}

static int map_shard(void *arg, size_t shard)
{
    const struct tall *t = arg;
    size_t k = t->k;
    double *row = CM_NEW(2 * k, double), *to = row + k;
    for (size_t i = cm_shard_begin(t->n, t->shards, shard);
         i < cm_shard_begin(t->n, t->shards, shard + 1); i++) {
        double factor = t->factor ? (double)t->factor[i] : 1;
        for (size_t c = 0; c < k; c++) {
            row[c] = factor * ((double)t->in[i * t->ld + c] - (t->mean ? t->mean[c] : 0));
            to[c] = 0;
        }
        for (size_t c = 0; c < k; c++)
            for (size_t r = 0; r < k; r++)
                to[r] += t->map[c * k + r] * row[c];
        for (size_t c = 0; c < k; c++)
            t->out[i * k + c] = (float)to[c];
    }
    cm_free(row);
    return 0;
}

/* map (k x k, column r for the r-th largest eigenvalue) = gram^-1/2 without the turn back: in map
 * has orthonormal columns.  root: the roots of the eigenvalues, descending.  gram is destroyed. */
static int whitening(double *gram, size_t k, double *map, double *root)
{
    double *value = CM_NEW(k, double);
    int code = cm_eigh(k, gram, value);
    for (size_t r = 0; !code && r < k; r++) {
        double v = value[k - 1 - r], scale = v > 1e-12 * value[k - 1] ? 1 / sqrt(v) : 0;
        root[r] = v > 0 ? sqrt(v) : 0;
        for (size_t c = 0; c < k; c++)
            map[c * k + r] = scale * gram[(k - 1 - r) * k + c];
    }
    cm_free(value);
    return code;
}

/* ===== one side ============================================================================= */

/* The part's components, each column less its mean there. */
static float *centred(const float *z, size_t k, const uint64_t *part, size_t n)
{
    float *to = CM_NEW(n * k, float);
    double *mean = CM_ZNEW(k, double);
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < k; c++)
            mean[c] += (double)z[part[i] * k + c] / (double)n;
    for (size_t i = 0; i < n; i++)
        for (size_t c = 0; c < k; c++)
            to[i * k + c] = (float)((double)z[part[i] * k + c] - mean[c]);
    cm_free(mean);
    return to;
}

/* y (d x (k + 1)) = X' [Q, 1]: rows of cells outside of the part are 0. */
static int project(float *y, const struct cm_linear_whole *w, size_t side, const uint64_t *part,
                   size_t n)
{
    size_t k = w->linear->k, all = w->x[side]->rows;
    double *gram = CM_NEW(2 * k * k + k, double), *map = gram + k * k, *root = map + k * k;
    float *in = centred(w->z[side], k, part, n), *q = CM_NEW(n * k, float),
          *wide = CM_ZNEW(all * (k + 1), float);
    struct tall t = {.in = in, .n = n, .k = k, .ld = k, .map = map, .out = q};
    gram_of(&t, gram);
    int code = whitening(gram, k, map, root);
    t.shards = cm_shards(n, 64, 64);
    if (!code)
        cm_parallel(t.shards, map_shard, &t);
    for (size_t i = 0; !code && i < n; i++) {
        memcpy(wide + part[i] * (k + 1), q + i * k, k * sizeof *wide);
        wide[part[i] * (k + 1) + k] = 1;
    }
    if (!code)
        cm_csr_transposed_times(w->x[side], wide, k + 1, k + 1, NULL, y);
    cm_free(gram);
    cm_free(in);
    cm_free(q);
    cm_free(wide);
    return code;
}

static int refit_side(struct cm_linear_side *s, const struct cm_linear_whole *w, size_t side,
                      const uint64_t *part, size_t n)
{
    size_t k = w->linear->k, d = s->d = w->x[side]->cols;
    const float *weight = w->weight[side];
    double *gram = CM_NEW(2 * k * k, double), *map = gram + k * k;
    float *y = CM_NEW(d * (k + 1), float), *b = CM_NEW(d * k, float);
    s->mean = CM_NEW(d, float);
    s->v = CM_NEW(d * k, float);
    s->s = CM_NEW(k, double);
    s->bias = CM_NEW(k, float);
    s->p = CM_NEW(k * w->linear->q, float);
    int code = project(y, w, side, part, n);
    for (size_t j = 0; !code && j < d; j++) {
        s->mean[j] = y[j * (k + 1) + k] / (float)n;
        for (size_t c = 0; c < k; c++)
            b[j * k + c] = (weight ? weight[j] : 1) * y[j * (k + 1) + c];
    }
    struct tall t = {.in = b, .n = d, .k = k, .ld = k, .map = map, .factor = weight, .out = s->v};
    if (!code) {
        gram_of(&t, gram);
        code = whitening(gram, k, map, s->s);
        t.shards = cm_shards(d, 64, 64);
    }
    if (!code) {
        cm_parallel(t.shards, map_shard, &t);
        cm_csr_bias(s->mean, s->v, d, k, s->bias);
    }
    cm_free(gram);
    cm_free(y);
    cm_free(b);
    return code;
}

int cm_linear_refit(struct cm_linear *to, const struct cm_linear_whole *w, const uint64_t *part,
                    size_t n, float *const z_to[2])
{
    size_t k = w->linear->k;
    float *z[2] = {NULL, NULL};
    int code = 0;
    *to = (struct cm_linear){.k = k, .q = w->linear->q, .cells = n};
    to->corr = CM_NEW(to->q, double);
    for (size_t side = 0; !code && side < 2; side++) {
        code = refit_side(&to->side[side], w, side, part, n);
        if (code)
            break;
        cm_linear_z(to, side, w->x[side], z_to[side]);
        z[side] = CM_NEW(n * k, float);
        for (size_t i = 0; i < n; i++)
            memcpy(z[side] + i * k, z_to[side] + part[i] * k, k * sizeof *z[side]);
    }
    if (!code) {
        const float *const both[2] = {z[0], z[1]};
        code = cm_linear_cca(to, both, n, w->ridge);
    }
    cm_free(z[0]);
    cm_free(z[1]);
    return code;
}
