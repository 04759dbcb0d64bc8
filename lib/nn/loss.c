/* nn/loss.c - losses on a matrix of scores, with their gradients.
 *
 * What the network learns from is a B x B matrix of similarities whose diagonal are the
 * partners; how the scores came about (inner products, or cross-attention on mined pairs) is no
 * concern of the loss.  These are functions of scores alone, with sums in double and gradients
 * added to a matrix of the same shape.  The choice of negatives is a step of its own, so that
 * scores which were mined without keeping activations can be chosen from first and differentiated
 * later. Rejected: a smooth substitute for the hinge.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/pool.h"
#include "nn/vec.h"

/* ===== softmax cross-entropy ================================================================ */

double cm_cross_entropy(cm_real *dlogits, const cm_real *logits, const uint32_t *target, size_t N,
                        size_t C, cm_real *scratch)
{
    double loss = 0;
    for (size_t i = 0; i < N; i++, logits += C) {
        double max = -INFINITY, sum = 0;
        CM_ASSERT(target[i] < C);
        for (size_t j = 0; j < C; j++)
            max = logits[j] > max ? (double)logits[j] : max;
        for (size_t j = 0; j < C; j++) {
            scratch[j] = (cm_real)((double)logits[j] - max);
        }
        cm_exp_all(scratch, C);
        for (size_t j = 0; j < C; j++)
            sum += (double)scratch[j];
        loss += log(sum) + max - (double)logits[target[i]];
        if (!dlogits)
            continue;
        cm_real scale = (cm_real)(1 / (sum * (double)N));
        for (size_t j = 0; j < C; j++)
            dlogits[i * C + j] += scratch[j] * scale;
        dlogits[i * C + target[i]] -= (cm_real)(1 / (double)N);
    }
    return N ? loss / (double)N : 0;
}

/* ===== triplets ============================================================================= */

/* One cell's negatives: scores first, first + step, ... (a row or a column of s). */
static uint32_t negative_of(const cm_real *score, const unsigned char *allowed, size_t step,
                            size_t B, size_t self, double margin, enum cm_negatives kind,
                            const struct cm_rng *g, uint64_t index)
{
    double own = (double)score[self * step];
    uint32_t best = CM_NO_NEGATIVE;
    size_t found = 0;
    for (size_t j = 0; j < B; j++) {
        double s = (double)score[j * step];
        if (j == self || (allowed && !allowed[j * step]))
            continue;
        if (kind != CM_NEG_HARDEST && !(s > own - margin && s < own))
            continue;
        found++;
        if (best == CM_NO_NEGATIVE || s > (double)score[best * step])
            best = (uint32_t)j;
    }
    if (kind != CM_NEG_RANDOM_SEMIHARD || found < 2)
        return best;
    CM_ASSERT(g);
    uint32_t word[4];
    cm_rng_words(g, index, word); /* the high half of a product: uniform to 2^-64 */
    uint64_t draw = (uint64_t)word[1] << 32 | word[0];
    size_t chosen = (size_t)(((unsigned __int128)draw * found) >> 64);
    for (size_t j = 0; j < B; j++) {
        double s = (double)score[j * step];
        if (j == self || (allowed && !allowed[j * step]) || !(s > own - margin && s < own))
            continue;
        if (chosen-- == 0)
            return (uint32_t)j;
    }
    return best;
}

void cm_negatives_choose(uint32_t *row_neg, uint32_t *col_neg, const cm_real *s,
                         const unsigned char *allowed, size_t B, double margin,
                         enum cm_negatives kind, const struct cm_rng *g)
{
    CM_ASSERT(B < CM_NO_NEGATIVE);
    for (size_t i = 0; i < B; i++) {
        row_neg[i] = negative_of(s + i * B, allowed ? allowed + i * B : NULL, 1, B, i, margin, kind,
                                 g, 2 * i);
        col_neg[i] =
            negative_of(s + i, allowed ? allowed + i : NULL, B, B, i, margin, kind, g, 2 * i + 1);
    }
}

double cm_triplet(cm_real *ds, size_t *active, const cm_real *s, const uint32_t *row_neg,
                  const uint32_t *col_neg, size_t B, double margin)
{
    double loss = 0;
    size_t terms = 0;
    cm_real unit = (cm_real)(1 / (double)B);
    for (size_t i = 0; i < B; i++) {
        size_t own = i * B + i;
        for (int side = 0; side < 2; side++) {
            uint32_t j = side == 0 ? row_neg[i] : col_neg[i];
            if (j == CM_NO_NEGATIVE)
                continue;
            CM_ASSERT(j < B && j != i);
            size_t other = side == 0 ? i * B + j : j * B + i;
            double term = margin - (double)s[own] + (double)s[other];
            if (!(term <= 0)) /* so that NaN comes out as NaN */
                loss += term, terms++;
            if (ds && term > 0) {
                ds[own] -= unit;
                ds[other] += unit;
            }
        }
    }
    if (active)
        *active = terms;
    return B ? loss / (double)B : 0;
}

/* ===== InfoNCE ============================================================================== */

enum { NCE_ROWS = 16, NCE_SHARDS = 16, STRANDS = 8 }; /* rows at a time: they stay in a cache */

struct infonce {
    cm_real *ds; /* or NULL */
    const cm_real *s;
    cm_real t, *scratch;
    size_t B, shards;
    bool columns; /* columns of s stand for rows */
    double loss[NCE_SHARDS], dlog[NCE_SHARDS];
};

static size_t infonce_shards(size_t B)
{
    return cm_shards((B + NCE_ROWS - 1) / NCE_ROWS, 1, NCE_SHARDS);
}

static size_t infonce_rows(size_t B) { return B < NCE_ROWS ? B : NCE_ROWS; }

size_t cm_infonce_scratch(size_t B) { return infonce_shards(B) * 2 * infonce_rows(B) * B; }

/* y (rows x cols) = or += a x', both with ld B; tile by tile: whole cache lines on both sides. */
static void infonce_turn(cm_real *y, const cm_real *x, cm_real a, size_t rows, size_t cols,
                         size_t B, bool add)
{
    enum { TILE = 16 };
    for (size_t i0 = 0; i0 < rows; i0 += TILE)
        for (size_t j0 = 0; j0 < cols; j0 += TILE)
            for (size_t i = i0; i < rows && i < i0 + TILE; i++)
                for (size_t j = j0; j < cols && j < j0 + TILE; j++)
                    y[i * B + j] = (add ? y[i * B + j] : 0) + a * x[j * B + i];
}

/* p becomes the gradient of row `own` of z; *dlog += its product with z. */
static double infonce_row(cm_real *restrict p, const cm_real *restrict z, size_t own, size_t B,
                          double *dlog)
{
    double strand[STRANDS] = {0}, sum = 0;
    cm_real top = -(cm_real)INFINITY;
    size_t j = 0;
    for (size_t k = 0; k < B; k++)
        top = z[k] > top ? z[k] : top;
    for (size_t k = 0; k < B; k++)
        p[k] = z[k] - top;
    cm_exp_all(p, B);
    for (; j + STRANDS <= B; j += STRANDS)
        for (size_t k = 0; k < STRANDS; k++)
            strand[k] += (double)p[j + k];
    for (; j < B; j++)
        sum += (double)p[j];
    for (size_t k = 0; k < STRANDS; k++)
        sum += strand[k], strand[k] = 0;
    double loss = log(sum) + (double)top - (double)z[own];
    cm_real scale = (cm_real)(0.5 / (sum * (double)B));
    for (size_t k = 0; k < B; k++)
        p[k] *= scale;
    p[own] -= (cm_real)(0.5 / (double)B);
    for (j = 0; j + STRANDS <= B; j += STRANDS)
        for (size_t k = 0; k < STRANDS; k++)
            strand[k] += (double)p[j + k] * (double)z[j + k];
    for (; j < B; j++)
        *dlog += (double)p[j] * (double)z[j];
    for (size_t k = 0; k < STRANDS; k++)
        *dlog += strand[k];
    return loss;
}

static int infonce_shard(void *arg, size_t shard)
{
    struct infonce *l = arg;
    size_t B = l->B, blocks = (B + NCE_ROWS - 1) / NCE_ROWS;
    cm_real *z = l->scratch + shard * 2 * infonce_rows(B) * B, *p = z + infonce_rows(B) * B;
    for (size_t b = cm_shard_begin(blocks, l->shards, shard);
         b < cm_shard_begin(blocks, l->shards, shard + 1); b++) {
        size_t from = b * NCE_ROWS, n = B - from < NCE_ROWS ? B - from : NCE_ROWS;
        if (l->columns)
            infonce_turn(z, l->s + from, l->t, n, B, B, false);
        for (size_t i = 0; !l->columns && i < n * B; i++)
            z[i] = l->t * l->s[from * B + i];
        for (size_t i = 0; i < n; i++)
            l->loss[shard] += infonce_row(p + i * B, z + i * B, from + i, B, &l->dlog[shard]);
        if (l->ds && l->columns)
            infonce_turn(l->ds + from, p, l->t, B, n, B, true);
        for (size_t i = 0; l->ds && !l->columns && i < n * B; i++)
            l->ds[from * B + i] += l->t * p[i];
    }
    return 0;
}

double cm_infonce(cm_real *ds, cm_real *dlog_t, const cm_real *s, double log_t, size_t B,
                  cm_real *scratch)
{
    struct infonce l = {.ds = ds,
                        .s = s,
                        .t = (cm_real)exp(log_t),
                        .scratch = scratch,
                        .B = B,
                        .shards = infonce_shards(B)};
    double loss = 0, dlog = 0;
    for (int side = 0; B && side < 2; side++) {
        l.columns = side;
        cm_parallel(l.shards, infonce_shard, &l);
    }
    for (size_t k = 0; k < l.shards; k++) {
        loss += l.loss[k];
        dlog += l.dlog[k];
    }
    if (dlog_t)
        *dlog_t += (cm_real)dlog;
    return B ? loss / (2 * (double)B) : 0;
}
