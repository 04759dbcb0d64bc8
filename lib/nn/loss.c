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

size_t cm_infonce_scratch(size_t B) { return 2 * B * B + B; }

/* y (B x B) = or += a x', tile by tile: whole cache lines on both sides. */
static void infonce_turn(cm_real *y, const cm_real *x, cm_real a, size_t B, bool add)
{
    enum { TILE = 16 };
    for (size_t i0 = 0; i0 < B; i0 += TILE)
        for (size_t j0 = 0; j0 < B; j0 += TILE)
            for (size_t i = i0; i < B && i < i0 + TILE; i++)
                for (size_t j = j0; j < B && j < j0 + TILE; j++)
                    y[i * B + j] = (add ? y[i * B + j] : 0) + a * x[j * B + i];
}

double cm_infonce(cm_real *ds, cm_real *dlog_t, const cm_real *s, double log_t, size_t B,
                  cm_real *scratch)
{
    cm_real *z = scratch, *p = z + B * B, *max = p + B * B, t = (cm_real)exp(log_t);
    double loss = 0, dlog = 0;
    for (int side = 0; side < 2; side++) { /* rows of t s, then its columns as rows */
        if (side == 0)
            for (size_t i = 0; i < B * B; i++)
                z[i] = t * s[i];
        else
            infonce_turn(z, s, t, B, false);
        for (size_t i = 0; i < B; i++) {
            const cm_real *row = z + i * B;
            cm_real top = -(cm_real)INFINITY;
            for (size_t j = 0; j < B; j++)
                top = row[j] > top ? row[j] : top;
            for (size_t j = 0; j < B; j++)
                p[i * B + j] = row[j] - top;
            max[i] = top;
        }
        cm_exp_all(p, B * B);
        for (size_t i = 0; i < B; i++) { /* p becomes the gradient of z */
            const cm_real *row = z + i * B;
            cm_real *d = p + i * B;
            double sum = (double)d[0];
            for (size_t j = 1; j < B; j++)
                sum += (double)d[j];
            loss += log(sum) + (double)max[i] - (double)row[i];
            cm_real scale = (cm_real)(0.5 / (sum * (double)B));
            for (size_t j = 0; j < B; j++)
                d[j] *= scale;
            d[i] -= (cm_real)(0.5 / (double)B);
            for (size_t j = 0; j < B; j++)
                dlog += (double)d[j] * (double)row[j];
        }
        if (ds && side == 0)
            for (size_t i = 0; i < B * B; i++)
                ds[i] += t * p[i];
        else if (ds)
            infonce_turn(ds, p, t, B, true);
    }
    if (dlog_t)
        *dlog_t += (cm_real)dlog;
    return B ? loss / (2 * (double)B) : 0;
}
