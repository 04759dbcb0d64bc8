/* nn/attention.c - multi-head attention of one cell, and the self-attention layer around it.
 *
 * About a hundred tokens attend to each other in every cell; the scores of one head (105 x
 * 105, 44 KB) should stay in cache from the first product to the last.  Heads run one after the
 * other, for each Q K', softmax, p V before the next begins; heads are columns of Q, K, V, reached
 * by leading dimensions, never copied apart.  Probabilities are kept for the backward pass: drawing
 * them again would cost a third of the forward one.  Projections go over all cells of the group at
 * once.  Dropout of probabilities is drawn again in backward, so the kept ones are those of the
 * softmax, which is also what maps of attention want.  Rejected: one batched product over heads and
 * cells (scores leave the cache).
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "nn/gemm.h"
#include "nn/vec.h"

static bool drops(const struct cm_dropout *d) { return d && d->rate > 0; }

size_t cm_attend_scratch(size_t L, size_t M) { return L * M; }

void cm_attend_forward(cm_real *out, cm_real *prob, const cm_real *q, size_t ldq, const cm_real *k,
                       size_t ldk, const cm_real *v, size_t ldv, size_t L, size_t M, size_t P,
                       size_t H, const struct cm_dropout *drop, cm_real *scratch)
{
    CM_ASSERT(H >= 1 && P % H == 0);
    size_t D = P / H;
    cm_real scale = (cm_real)(1 / sqrt((double)D));
    for (size_t h = 0; h < H; h++) {
        cm_real *p = prob + h * L * M;
        cm_product(false, true, L, M, D, scale, q + h * D, ldq, k + h * D, ldk, 0, p, M);
        cm_softmax_rows(p, L, M);
        const cm_real *weight = p;
        if (drops(drop)) {
            cm_dropout_range(scratch, p, h * L * M, L * M, drop, drop->row, false);
            weight = scratch;
        }
        cm_product(false, false, L, D, M, 1, weight, M, v + h * D, ldv, 0, out + h * D, P);
    }
}

/* With s the logits:  dp = drop(dout V');  ds = p (dp - sum p dp);  dQ = ds K scale;  dK = ds' Q
 * scale;  dV = drop(p)' dout. */
void cm_attend_back(cm_real *dq, cm_real *dk, cm_real *dv, const cm_real *dout, const cm_real *prob,
                    const cm_real *q, size_t ldq, const cm_real *k, size_t ldk, const cm_real *v,
                    size_t ldv, size_t L, size_t M, size_t P, size_t H,
                    const struct cm_dropout *drop, int beta, cm_real *scratch)
{
    CM_ASSERT(H >= 1 && P % H == 0);
    size_t D = P / H;
    cm_real scale = (cm_real)(1 / sqrt((double)D));
    for (size_t h = 0; h < H; h++) {
        const cm_real *p = prob + h * L * M, *weight = p;
        if (drops(drop)) {
            cm_dropout_range(scratch, p, h * L * M, L * M, drop, drop->row, false);
            weight = scratch;
        }
        cm_product(true, false, M, D, L, 1, weight, M, dout + h * D, P, beta, dv + h * D, ldv);
        cm_real *ds = scratch;
        cm_product(false, true, L, M, D, 1, dout + h * D, P, v + h * D, ldv, 0, ds, M);
        if (drops(drop))
            cm_dropout_range(ds, ds, h * L * M, L * M, drop, drop->row, false);
        cm_softmax_rows_backward(ds, p, L, M);
        cm_product(false, false, L, D, M, scale, ds, M, k + h * D, ldk, beta, dq + h * D, ldq);
        cm_product(true, false, M, D, L, scale, ds, M, q + h * D, ldq, beta, dk + h * D, ldk);
    }
}

void cm_attend_backward(cm_real *dq, cm_real *dk, cm_real *dv, const cm_real *dout,
                        const cm_real *prob, const cm_real *q, size_t ldq, const cm_real *k,
                        size_t ldk, const cm_real *v, size_t ldv, size_t L, size_t M, size_t P,
                        size_t H, const struct cm_dropout *drop, cm_real *scratch)
{
    cm_attend_back(dq, dk, dv, dout, prob, q, ldq, k, ldk, v, ldv, L, M, P, H, drop, 1, scratch);
}

/* ===== the layer ============================================================================ */

void cm_mha_declare(struct cm_mha *a, struct cm_params *t, const char *prefix)
{
    CM_ASSERT(a->H >= 1 && a->P % a->H == 0);
    a->wqkv = cm_params_add(t, prefix, "wqkv", a->P, 3 * a->P, 0);
    a->bqkv = cm_params_add(t, prefix, "bqkv", 3 * a->P, 0, 0);
    a->wo = cm_params_add(t, prefix, "wo", a->P, a->P, 0);
    a->bo = cm_params_add(t, prefix, "bo", a->P, 0, 0);
}

/* Where a cache of B cells keeps what: qkv (B L x 3P), z (B L x P), prob (B x H x L x L). */
struct mha_offsets {
    size_t qkv, z, prob, size;
};

static struct mha_offsets mha_offsets(const struct cm_mha *a, size_t B)
{
    struct mha_offsets at = {.qkv = 0};
    at.z = B * a->L * 3 * a->P;
    at.prob = at.z + B * a->L * a->P;
    at.size = at.prob + B * a->H * a->L * a->L;
    return at;
}

size_t cm_mha_cache(const struct cm_mha *a, size_t B) { return mha_offsets(a, B).size; }

/* backward: dz (B L x P) and dqkv (B L x 3P), and a head's scores */
size_t cm_mha_scratch(const struct cm_mha *a, size_t B)
{
    return B * a->L * 4 * a->P + cm_attend_scratch(a->L, a->L);
}

size_t cm_mha_prob_at(const struct cm_mha *a, size_t B, size_t b)
{
    return mha_offsets(a, B).prob + b * a->H * a->L * a->L;
}

/* The dropout of cell b of the group. */
static const struct cm_dropout *mha_drop(struct cm_dropout *cell, const struct cm_dropout *drop,
                                         size_t b)
{
    if (!drops(drop))
        return NULL;
    *cell = *drop;
    cell->row += (uint32_t)b;
    return cell;
}

void cm_mha_forward(cm_real *out, cm_real *cache, const cm_real *in, const cm_real *params,
                    const struct cm_mha *a, size_t B, const struct cm_dropout *drop,
                    cm_real *scratch)
{
    size_t L = a->L, P = a->P, N = B * L;
    struct mha_offsets at = mha_offsets(a, B);
    cm_linear_forward(cache + at.qkv, in, params + a->wqkv, params + a->bqkv, N, P, 3 * P);
    for (size_t b = 0; b < B; b++) {
        const cm_real *q = cache + at.qkv + b * L * 3 * P;
        struct cm_dropout cell;
        cm_attend_forward(cache + at.z + b * L * P, cache + at.prob + b * a->H * L * L, q, 3 * P,
                          q + P, 3 * P, q + 2 * P, 3 * P, L, L, P, a->H, mha_drop(&cell, drop, b),
                          scratch);
    }
    cm_linear_forward(out, cache + at.z, params + a->wo, params + a->bo, N, P, P);
}

void cm_mha_backward(cm_real *din, cm_real *dparams, const cm_real *dout, const cm_real *cache,
                     const cm_real *in, const cm_real *params, const struct cm_mha *a, size_t B,
                     const struct cm_dropout *drop, cm_real *scratch)
{
    size_t L = a->L, P = a->P, N = B * L;
    struct mha_offsets at = mha_offsets(a, B);
    cm_real *dz = scratch, *dqkv = dz + N * P, *scores = dqkv + N * 3 * P;
    cm_linear_backward(NULL, dparams + a->wo, dparams + a->bo, dout, cache + at.z, params + a->wo,
                       N, P, P);
    cm_linear_din(dz, 0, dout, params + a->wo, N, P, P);
    for (size_t b = 0; b < B; b++) {
        const cm_real *q = cache + at.qkv + b * L * 3 * P;
        cm_real *dq = dqkv + b * L * 3 * P;
        struct cm_dropout cell;
        cm_attend_back(dq, dq + P, dq + 2 * P, dz + b * L * P, cache + at.prob + b * a->H * L * L,
                       q, 3 * P, q + P, 3 * P, q + 2 * P, 3 * P, L, L, P, a->H,
                       mha_drop(&cell, drop, b), 0, scores);
    }
    cm_linear_backward(din, dparams + a->wqkv, dparams + a->bqkv, dqkv, in, params + a->wqkv, N, P,
                       3 * P);
}
