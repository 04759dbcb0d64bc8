/* links/weights.c - the network that gives each link its weight.  See links/weights.h. */
#include "links/weights.h"

#include <math.h>
#include <string.h>

#include "base/clones.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "matrix/vexp.h"

#define SHARDS 8
#define SHARE  .3 /* of c in a weight, for o2 = 1 */

enum { F = CM_LINKS_FACTS };

size_t cm_links_weights_size(size_t H) { return H * F + H + 2 * H + 2 + 1; }

void cm_links_weights_init(cm_real *w, size_t H, double log_t, uint64_t seed)
{
    struct cm_rng g = cm_rng_make(seed, CM_RNG_INIT, 77, 0);
    double max = 1 / sqrt((double)F);
    size_t first = H * F + H;
    for (size_t i = 0; i < first; i++)
        w[i] = (cm_real)(max * (2 * cm_rng_uniform(&g) - 1));
    for (size_t i = first; i < cm_links_weights_size(H) - 1; i++)
        w[i] = 0;
    w[cm_links_weights_size(H) - 1] = (cm_real)log_t;
}

/* Pairs go through the network CHUNK at a time, the pair as the inner index: loops of a constant
 * length are what the compiler makes vectors of. */
enum { CHUNK = 32 };

/* To the precision of the numbers. */
#define TANH(x, n) _Generic((x), float * : cm_tanh_float, double * : cm_tanh)((x), (n))

/* out (CHUNK) = bias + w (n) in (n x CHUNK) */
static inline void affine(cm_real *restrict out, cm_real bias, const cm_real *w, const cm_real *in,
                          size_t n)
{
    for (size_t i = 0; i < CHUNK; i++)
        out[i] = bias;
    for (size_t f = 0; f < n; f++)
        for (size_t i = 0; i < CHUNK; i++)
            out[i] += w[f] * in[f * CHUNK + i];
}

/* Of n <= CHUNK pairs x (n x F): xt (F x CHUNK) = x', h (H x CHUNK) = tanh(A x + a), o (2 x CHUNK)
 * = B h + b. */
CM_CLONES_O3 static void network(const cm_real *x, size_t n, const cm_real *w, size_t H,
                                 cm_real *xt, cm_real *h, cm_real *o)
{
    const cm_real *A = w, *a = A + H * F, *B = a + H, *b = B + 2 * H;
    for (size_t f = 0; f < F; f++)
        for (size_t i = 0; i < CHUNK; i++)
            xt[f * CHUNK + i] = i < n ? x[i * F + f] : 0;
    for (size_t k = 0; k < H; k++)
        affine(h + k * CHUNK, a[k], A + k * F, xt, F);
    TANH(h, H * CHUNK);
    for (size_t side = 0; side < 2; side++)
        affine(o + side * CHUNK, b[side], B + side * H, h, H);
}

/* Sum of a product, in eight strands. */
static inline double strands(const cm_real *x, const cm_real *y)
{
    cm_real strand[8] = {0};
    double sum = 0;
    for (size_t i = 0; i < CHUNK; i += 8)
        for (size_t k = 0; k < 8; k++)
            strand[k] += x[i + k] * y[i + k];
    for (size_t k = 0; k < 8; k++)
        sum += (double)strand[k];
    return sum;
}

/* dw += the gradients of the network's weights; d (2 x CHUNK): those of o, 0 beyond the pairs. */
CM_CLONES_O3 static void network_back(double *dw, const cm_real *d, const cm_real *xt,
                                      const cm_real *h, const cm_real *w, size_t H)
{
    const cm_real *B = w + H * F + H;
    double *dA = dw, *da = dA + H * F, *dB = da + H, *db = dB + 2 * H;
    cm_real dh[CHUNK];
    const cm_real *d0 = d, *d1 = d + CHUNK;
    for (size_t i = 0; i < CHUNK; i++) {
        db[0] += (double)d0[i];
        db[1] += (double)d1[i];
    }
    for (size_t k = 0; k < H; k++) {
        const cm_real *hk = h + k * CHUNK;
        cm_real b0 = B[k], b1 = B[H + k];
        for (size_t i = 0; i < CHUNK; i++)
            dh[i] = (d0[i] * b0 + d1[i] * b1) * (1 - hk[i] * hk[i]);
        for (size_t i = 0; i < CHUNK; i++)
            da[k] += (double)dh[i];
        dB[k] += strands(d0, hk);
        dB[H + k] += strands(d1, hk);
        for (size_t f = 0; f < F; f++)
            dA[k * F + f] += strands(dh, xt + f * CHUNK);
    }
}

struct net_job {
    cm_real *phi;
    double *dw; /* shards x size, or NULL: forward */
    const cm_real *dphi, *w;
    const struct cm_links_facts *p;
    size_t H, shards;
};

static int net_shard(void *arg, size_t shard)
{
    const struct net_job *j = arg;
    const struct cm_links_facts *p = j->p;
    size_t H = j->H, end = cm_shard_begin(p->n, j->shards, shard + 1);
    cm_real *h = CM_NEW(H * CHUNK, cm_real), xt[F * CHUNK], o[2 * CHUNK], d[2 * CHUNK];
    for (size_t e = cm_shard_begin(p->n, j->shards, shard); e < end; e += CHUNK) {
        size_t n = end - e < CHUNK ? end - e : CHUNK;
        network(p->x + e * F, n, j->w, H, xt, h, o);
        cm_exp_all(o, CHUNK);
        memset(d, 0, sizeof d);
        for (size_t i = 0; i < n; i++) {
            cm_real grown = p->first[e + i] * o[i], share = (cm_real)SHARE * p->c[e + i];
            if (!j->dw) {
                j->phi[e + i] = grown + share * o[CHUNK + i];
                continue;
            }
            d[i] = j->dphi[e + i] * grown;
            d[CHUNK + i] = j->dphi[e + i] * share;
        }
        if (j->dw)
            network_back(j->dw + shard * cm_links_weights_size(H), d, xt, h, j->w, H);
    }
    cm_free(h);
    return 0;
}

void cm_links_weights(cm_real *phi, const struct cm_links_facts *p, const cm_real *w, size_t H)
{
    struct net_job j = {phi, NULL, NULL, w, p, H, cm_shards(p->n, 1024, SHARDS)};
    cm_parallel(j.shards, net_shard, &j);
}

void cm_links_weights_backward(cm_real *dw, const cm_real *dphi, const struct cm_links_facts *p,
                               const cm_real *w, size_t H)
{
    struct net_job j = {NULL, NULL, dphi, w, p, H, cm_shards(p->n, 1024, SHARDS)};
    size_t size = cm_links_weights_size(H);
    j.dw = CM_ZNEW(j.shards * size, double);
    cm_parallel(j.shards, net_shard, &j);
    for (size_t i = 0; i < size; i++) {
        double sum = 0;
        for (size_t s = 0; s < j.shards; s++)
            sum += j.dw[s * size + i];
        dw[i] += (cm_real)sum;
    }
    cm_free(j.dw);
}
