/* links/learn.c - the network that weighs pairs, its loss, and learning out of fold.
 *
 * Forward: phi of all pairs; a_g = sum_p phi_gp w_p, a row over the cells of the peaks' side; L =
 * mu u'a.  Backward goes the same way: dS to da = mu u dS, to dphi_gp = da_g . w_p.  Features are
 * rows, so that the sparse part runs along cells, and every gene is one thread's.
 *
 * A fold with at most `cells` cells is matched whole and its residuals are worked out once; of a
 * larger one every step draws other cells.  The number of pairs differs between folds by those
 * whose correlation is exactly 0; the network does not care.
 */
#include "links/learn.h"

#include <math.h>
#include <string.h>

#include "base/clones.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "matrix/vexp.h"

#define SHARDS   8
#define OUTSIDE  ((cm_real)-1e30) /* similarity of cells that are no candidates: its exp is 0 */
#define SHARE    .3               /* of c in a weight, for o2 = 1 */
#define VALID    1024             /* validation cells looked at */
#define FOLDS_AT 0                /* purposes of the random numbers: `a` of cm_rng_make */
#define DRAW_AT  1

/* ===== the network ========================================================================== */

enum { F = CM_LINK_FACTS };

size_t cm_link_size(size_t H) { return H * F + H + 2 * H + 2 + 1; }

void cm_link_init(cm_real *w, size_t H, double log_t, uint64_t seed)
{
    struct cm_rng g = cm_rng_make(seed, CM_RNG_INIT, 77, 0);
    double max = 1 / sqrt((double)F);
    size_t first = H * F + H;
    for (size_t i = 0; i < first; i++)
        w[i] = (cm_real)(max * (2 * cm_rng_uniform(&g) - 1));
    for (size_t i = first; i < cm_link_size(H) - 1; i++)
        w[i] = 0;
    w[cm_link_size(H) - 1] = (cm_real)log_t;
}

/* Pairs go through the network CHUNK at a time, the pair as the inner index: loops of a constant
 * length are what the compiler makes vectors of. */
enum { CHUNK = 32 };

/* out (CHUNK) = bias + w (n) in (n x CHUNK) */
static inline void affine(double *out, cm_real bias, const cm_real *w, const double *in, size_t n)
{
    for (size_t i = 0; i < CHUNK; i++)
        out[i] = (double)bias;
    for (size_t f = 0; f < n; f++) {
        double weight = (double)w[f];
        for (size_t i = 0; i < CHUNK; i++)
            out[i] += weight * in[f * CHUNK + i];
    }
}

/* Of n <= CHUNK pairs x (n x F): xt (F x CHUNK) = x', h (H x CHUNK) = tanh(A x + a), o (2 x CHUNK)
 * = B h + b. */
CM_CLONES static void network(const cm_real *x, size_t n, const cm_real *w, size_t H, double *xt,
                              double *h, double *o)
{
    const cm_real *A = w, *a = A + H * F, *B = a + H, *b = B + 2 * H;
    for (size_t f = 0; f < F; f++)
        for (size_t i = 0; i < CHUNK; i++)
            xt[f * CHUNK + i] = i < n ? (double)x[i * F + f] : 0;
    for (size_t k = 0; k < H; k++)
        affine(h + k * CHUNK, a[k], A + k * F, xt, F);
    cm_tanh(h, H * CHUNK);
    for (size_t side = 0; side < 2; side++)
        affine(o + side * CHUNK, b[side], B + side * H, h, H);
}

/* Sum of a product, in eight strands. */
static inline double strands(const double *x, const double *y)
{
    double strand[8] = {0}, sum = 0;
    for (size_t i = 0; i < CHUNK; i += 8)
        for (size_t k = 0; k < 8; k++)
            strand[k] += x[i + k] * y[i + k];
    for (size_t k = 0; k < 8; k++)
        sum += strand[k];
    return sum;
}

/* dw += the gradients of the network's weights; d (2 x CHUNK): those of o, 0 beyond the pairs. */
CM_CLONES static void network_back(double *dw, const double *d, const double *xt, const double *h,
                                   const cm_real *w, size_t H)
{
    const cm_real *B = w + H * F + H;
    double *dA = dw, *da = dA + H * F, *dB = da + H, *db = dB + 2 * H, dh[CHUNK];
    const double *d0 = d, *d1 = d + CHUNK;
    for (size_t i = 0; i < CHUNK; i++) {
        db[0] += d0[i];
        db[1] += d1[i];
    }
    for (size_t k = 0; k < H; k++) {
        const double *hk = h + k * CHUNK;
        double b0 = (double)B[k], b1 = (double)B[H + k];
        for (size_t i = 0; i < CHUNK; i++)
            dh[i] = (d0[i] * b0 + d1[i] * b1) * (1 - hk[i] * hk[i]);
        for (size_t i = 0; i < CHUNK; i++)
            da[k] += dh[i];
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
    const struct cm_link_pairs *p;
    size_t H, shards;
};

static int net_shard(void *arg, size_t shard)
{
    const struct net_job *j = arg;
    const struct cm_link_pairs *p = j->p;
    size_t H = j->H, end = cm_shard_begin(p->n, j->shards, shard + 1);
    double *h = CM_NEW(double, H *CHUNK), xt[F * CHUNK], o[2 * CHUNK], d[2 * CHUNK];
    for (size_t e = cm_shard_begin(p->n, j->shards, shard); e < end; e += CHUNK) {
        size_t n = end - e < CHUNK ? end - e : CHUNK;
        network(p->x + e * F, n, j->w, H, xt, h, o);
        memset(d, 0, sizeof d);
        for (size_t i = 0; i < n; i++) {
            double grown = (double)p->first[e + i] * exp(o[i]);
            double share = SHARE * (double)p->c[e + i];
            if (!j->dw) {
                j->phi[e + i] = (cm_real)(grown + share * o[CHUNK + i]);
                continue;
            }
            d[i] = (double)j->dphi[e + i] * grown;
            d[CHUNK + i] = (double)j->dphi[e + i] * share;
        }
        if (j->dw)
            network_back(j->dw + shard * cm_link_size(H), d, xt, h, j->w, H);
    }
    cm_free(h);
    return 0;
}

void cm_link_weights(cm_real *phi, const struct cm_link_pairs *p, const cm_real *w, size_t H)
{
    struct net_job j = {phi, NULL, NULL, w, p, H, cm_shards(p->n, 1024, SHARDS)};
    cm_parallel(j.shards, net_shard, &j);
}

void cm_link_backward(cm_real *dw, const cm_real *dphi, const struct cm_link_pairs *p,
                      const cm_real *w, size_t H)
{
    struct net_job j = {NULL, NULL, dphi, w, p, H, cm_shards(p->n, 1024, SHARDS)};
    size_t size = cm_link_size(H);
    j.dw = CM_ZNEW(double, j.shards *size);
    cm_parallel(j.shards, net_shard, &j);
    for (size_t i = 0; i < size; i++) {
        double sum = 0;
        for (size_t s = 0; s < j.shards; s++)
            sum += j.dw[s * size + i];
        dw[i] += (cm_real)sum;
    }
    cm_free(j.dw);
}

/* ===== the loss ============================================================================= */

struct cells_job {
    const struct cm_link_cells *s;
    const struct cm_link_pairs *p;
    const cm_real *phi;
    cm_real *a; /* genes x n: a, or da */
    cm_real *dphi;
    size_t shards;
};

CM_CLONES static void gather_one(cm_real *restrict a, cm_real phi, const cm_real *restrict w,
                                 size_t n)
{
    enum { STEP = 16 };
    size_t i = 0;
    for (; i + STEP <= n; i += STEP)
        for (size_t k = 0; k < STEP; k++)
            a[i + k] += phi * w[i + k];
    for (; i < n; i++)
        a[i] += phi * w[i];
}

static int gather_shard(void *arg, size_t shard)
{
    const struct cells_job *j = arg;
    size_t n = j->s->n;
    for (size_t g = cm_shard_begin(j->s->genes, j->shards, shard);
         g < cm_shard_begin(j->s->genes, j->shards, shard + 1); g++) {
        cm_real *a = j->a + g * n;
        memset(a, 0, n * sizeof *a);
        for (uint64_t e = j->p->ptr[g]; e < j->p->ptr[g + 1]; e++)
            gather_one(a, j->phi[e], j->s->w + j->p->peak[e] * n, n);
    }
    return 0;
}

/* In eight strands, which the compiler may put into one register. */
CM_CLONES static cm_real dot(const cm_real *x, const cm_real *y, size_t n)
{
    cm_real strand[8] = {0}, sum = 0;
    size_t i = 0;
    for (; i + 8 <= n; i += 8)
        for (size_t k = 0; k < 8; k++)
            strand[k] += x[i + k] * y[i + k];
    for (; i < n; i++)
        sum += x[i] * y[i];
    for (size_t k = 0; k < 8; k++)
        sum += strand[k];
    return sum;
}

static int scatter_shard(void *arg, size_t shard)
{
    const struct cells_job *j = arg;
    size_t n = j->s->n;
    for (size_t g = cm_shard_begin(j->s->genes, j->shards, shard);
         g < cm_shard_begin(j->s->genes, j->shards, shard + 1); g++)
        for (uint64_t e = j->p->ptr[g]; e < j->p->ptr[g + 1]; e++)
            j->dphi[e] = dot(j->a + g * n, j->s->w + j->p->peak[e] * n, n);
    return 0;
}

/* c (m x n) = alpha op(a) b + beta c, b k x n; row panels of c, as many as m alone decides. */
struct product {
    bool turn; /* a is k x m */
    size_t m, n, k;
    double alpha;
    const cm_real *a, *b;
    cm_real beta, *c;
    size_t shards;
};

static int product_shard(void *arg, size_t shard)
{
    const struct product *p = arg;
    size_t from = cm_shard_begin(p->m, p->shards, shard),
           rows = cm_shard_begin(p->m, p->shards, shard + 1) - from;
    cm_gemm_real(p->turn, false, rows, p->n, p->k, (cm_real)p->alpha,
                 p->turn ? p->a + from : p->a + from * p->k, p->turn ? p->m : p->k, p->b, p->n,
                 p->beta, p->c + from * p->n, p->n);
    return 0;
}

double cm_link_loss(cm_real *dphi, cm_real *dlog_t, const struct cm_link_cells *s,
                    const struct cm_link_pairs *p, const cm_real *phi, double log_t)
{
    size_t n = s->n, G = s->genes;
    cm_real *S = CM_NEW(cm_real, n * n), *dS = CM_ZNEW(cm_real, n * n), *a = CM_NEW(cm_real, G * n),
            *scratch = CM_NEW(cm_real, cm_infonce_scratch(n));
    struct cells_job j = {s, p, phi, a, dphi, cm_shards(G, 16, SHARDS)};
    cm_parallel(j.shards, gather_shard, &j);
    memcpy(S, s->s0, n * n * sizeof *S);
    struct product up = {true, n, n, G, s->mu, s->u, a, 1, S, cm_shards(n, 16, SHARDS)};
    cm_parallel(up.shards, product_shard, &up);
    for (size_t i = 0; s->group && i < n; i++)
        for (size_t k = 0; k < n; k++)
            if (s->group[i] != s->group[k])
                S[i * n + k] = OUTSIDE;
    *dlog_t = 0;
    double loss = cm_infonce(dS, dlog_t, S, log_t, n, scratch);
    if (dphi) {
        struct product down = {false, G, n, n, s->mu, s->u, dS, 0, a, j.shards};
        cm_parallel(down.shards, product_shard, &down);
        cm_parallel(j.shards, scatter_shard, &j);
    }
    cm_free(S);
    cm_free(dS);
    cm_free(a);
    cm_free(scratch);
    return loss;
}

#ifndef CM_REAL_DOUBLE /* what is below works on models, which are float */

/* ===== what is fitted on a part of the cells ================================================ */

/* Pairs with their facts, of a term whose c are plain correlations. */
struct table {
    struct cm_link_pairs p;
    float *x, *first, *c;
    double mu;
};

static void table_free(struct table *t)
{
    cm_free(t->x);
    cm_free(t->first);
    cm_free(t->c);
}

/* seen[side][feature]: share of training cells.  cis->c is set to the first weights, and mu to
 * their scale; cells: those cis was fitted on. */
static int make_table(struct table *t, struct cm_links *links, const struct cm_links_fit_config *c,
                      const struct cm_links_data *d, double *const seen[2])
{
    double *distance = CM_NEW(double, links->pairs), n = (double)d->x[0]->rows, root = sqrt(n);
    memset(t, 0, sizeof *t);
    t->x = CM_NEW(float, links->pairs *F);
    t->first = CM_NEW(float, links->pairs);
    t->c = CM_NEW(float, links->pairs);
    cm_links_distances(links, d->table[0], d->table[1], distance);
    for (size_t g = 0; g < links->gene.n; g++)
        for (uint64_t e = links->ptr[g]; e < links->ptr[g + 1]; e++) {
            double r = (double)links->c[e], size = fabs(r), limit = c->threshold / root,
                   s = size * root;
            bool near = distance[e] < (double)c->window && size > limit;
            t->c[e] = links->c[e];
            t->first[e] = near ? (float)(r > 0 ? r - limit : r + limit) : 0;
            float *fact = t->x + e * F;
            fact[0] = (float)log1p(s);
            fact[1] = (float)(s > 2 ? (s - 2) / 3 : 0);
            fact[2] = (float)(log10(distance[e] + 1000) - 4.5);
            fact[3] = (float)(log(seen[0][links->gene.feature[g]] + .001) + 3);
            fact[4] = (float)(log(seen[1][links->peak.feature[links->peak_of[e]]] + .001) + 3);
        }
    memcpy(links->c, t->first, links->pairs * sizeof *links->c);
    cm_free(distance);
    t->p = (struct cm_link_pairs){links->pairs, t->x, t->first, t->c, links->ptr, links->peak_of};
    int code = cm_links_scale(links, c->sd, d);
    t->mu = links->mu;
    return code;
}

/* The cells of x as the fit of the term wants them, under a linear fit of the same cells. */
static struct cm_links_data links_data(const struct cm_links_learn_data *d,
                                       const struct cm_linear *linear,
                                       const struct cm_csr *const x[2], const float *const z[2],
                                       const uint32_t *group)
{
    struct cm_links_data to = {
        .ldz = linear->k, .group = group, .groups = d->groups, .seed = d->seed};
    for (size_t m = 0; m < 2; m++) {
        to.x[m] = x[m];
        to.z[m] = z[m];
        to.mean[m] = linear->side[d->side[m]].mean;
        to.table[m] = d->table[m];
    }
    return to;
}

/* The term with all pairs in the wide window and plain correlations, and its table: 1, 0 or < 0. */
static int fit_all(struct cm_links *links, struct table *t, const struct cm_links_config *c,
                   const struct cm_links_data *d, double *const seen[2])
{
    struct cm_links_fit_config all = c->fit;
    all.window = c->learn.window > all.window ? c->learn.window : all.window;
    all.threshold = 0;
    int code = cm_links_fit(links, &all, d);
    if (code == 1)
        code = make_table(t, links, &c->fit, d, seen) < 0 ? CM_ENUMERIC : 1;
    return code;
}

static float *transposed(float *x, size_t n, size_t features)
{
    float *to = CM_NEW(float, n *features);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < features; j++)
            to[j * n + i] = x[i * features + j];
    cm_free(x);
    return to;
}

/* Cells at[0..n-1] of x under a fit. */
static void make_cells(struct cm_link_cells *s, const struct cm_links *links,
                       const struct cm_linear *linear, const size_t side[2],
                       const struct cm_csr *const x[2], const uint64_t *at, size_t n,
                       const uint32_t *group, double mu)
{
    size_t k = linear->k, q = linear->q;
    memset(s, 0, sizeof *s);
    s->n = n;
    s->mu = mu;
    s->genes = links->gene.n;
    s->peaks = links->peak.n;
    s->u = CM_NEW(float, n * s->genes);
    s->w = CM_NEW(float, n * s->peaks);
    s->s0 = CM_NEW(float, n *n);
    float *e[2], *z = CM_NEW(float, n *k);
    for (size_t m = 0; m < 2; m++) {
        struct cm_csr rows = cm_csr_rows(x[m], at, n);
        cm_linear_z(linear, side[m], &rows, z);
        e[m] = CM_NEW(float, n *q);
        cm_linear_e(linear, side[m], z, n, e[m], q);
        if (m == 0)
            cm_links_gene_columns(links, &rows, z, k, s->u, s->genes);
        else
            cm_links_peak_residuals(links, &rows, z, k, s->w, s->peaks);
        cm_csr_free(&rows);
    }
    s->u = transposed(s->u, n, s->genes);
    s->w = transposed(s->w, n, s->peaks);
    cm_sgemm_parallel(false, true, n, n, q, 1, e[0], q, e[1], q, 0, s->s0, n);
    if (group) {
        uint32_t *own = CM_NEW(uint32_t, n);
        for (size_t i = 0; i < n; i++)
            own[i] = group[at[i]];
        s->group = own;
    }
    cm_free(e[0]);
    cm_free(e[1]);
    cm_free(z);
}

static void free_cells(struct cm_link_cells *s)
{
    cm_free(s->u);
    cm_free(s->w);
    cm_free(s->s0);
    cm_free((void *)(uintptr_t)s->group);
    memset(s, 0, sizeof *s);
}

/* A fold: what was fitted on the other cells, and the cells of its own. */
struct fold {
    struct cm_linear linear;
    struct cm_links links;
    struct table table;
    uint64_t *at; /* its cells */
    size_t n;
    struct cm_link_cells cells; /* when all of them are matched in every step */
};

static void free_fold(struct fold *f)
{
    cm_linear_free(&f->linear);
    cm_links_free(&f->links);
    table_free(&f->table);
    free_cells(&f->cells);
    cm_free(f->at);
}

/* Fits the cells `rest` of a fold's complement: linear part, term and table. */
static int fit_rest(struct fold *f, const struct cm_links_config *c,
                    const struct cm_links_learn_data *d, double *const seen[2],
                    const uint64_t *rest, size_t n)
{
    struct cm_csr part[2];
    for (size_t m = 0; m < 2; m++)
        part[m] = cm_csr_rows(d->x[m], rest, n);
    uint32_t *group = d->group ? CM_NEW(uint32_t, n) : NULL;
    for (size_t i = 0; group && i < n; i++)
        group[i] = d->group[rest[i]];
    const struct cm_csr *x[2] = {&part[0], &part[1]}, *by_side[2];
    float *z[2] = {NULL, NULL}, *z_side[2];
    size_t k = d->linear->k < n ? d->linear->k : n, q = d->linear->q < k ? d->linear->q : k;
    for (size_t m = 0; m < 2; m++) {
        z[m] = CM_NEW(float, n *k);
        by_side[d->side[m]] = x[m];
        z_side[d->side[m]] = z[m];
    }
    struct cm_linear_config how = d->fit;
    how.k = (int64_t)k;
    how.q = (int64_t)q;
    int code = cm_linear_fit(&f->linear, by_side, &how, d->seed, z_side);
    if (code == 0) {
        const float *const zc[2] = {z[0], z[1]};
        struct cm_links_data data = links_data(d, &f->linear, x, zc, group);
        code = fit_all(&f->links, &f->table, c, &data, seen);
    }
    for (size_t m = 0; m < 2; m++) {
        cm_csr_free(&part[m]);
        cm_free(z[m]);
    }
    cm_free(group);
    return code;
}

/* order: all cells, shuffled; the fold is order[from..to-1]. */
static int make_fold(struct fold *f, const struct cm_links_config *c,
                     const struct cm_links_learn_data *d, double *const seen[2],
                     const uint64_t *order, size_t from, size_t to)
{
    size_t all = d->x[0]->rows, n = all - (to - from);
    uint64_t *rest = CM_NEW(uint64_t, n);
    memset(f, 0, sizeof *f);
    memcpy(rest, order, from * sizeof *rest);
    memcpy(rest + from, order + to, (all - to) * sizeof *rest);
    f->n = to - from;
    f->at = CM_NEW(uint64_t, f->n);
    memcpy(f->at, order + from, f->n * sizeof *f->at);
    int code = fit_rest(f, c, d, seen, rest, n);
    if (code == 1 && f->n <= CM_LINK_CELLS)
        make_cells(&f->cells, &f->links, &f->linear, d->side, d->x, f->at, f->n, d->group,
                   f->table.mu);
    cm_free(rest);
    return code;
}

/* ===== learning ============================================================================= */

struct learning {
    const struct cm_learn_config *o;
    const struct cm_links_learn_data *d;
    struct fold *fold;
    size_t folds;
    struct cm_link_cells valid; /* n 0: none */
    const struct table *full;
    float *w, *grad, *phi, *dphi;
};

/* Sum over folds of their loss; with grad also the gradient. */
static double all_folds(struct learning *l, size_t step, bool grad)
{
    size_t hidden = (size_t)l->o->hidden, size = cm_link_size(hidden);
    double total = 0;
    memset(l->grad, 0, size * sizeof *l->grad);
    for (size_t k = 0; k < l->folds; k++) {
        struct fold *f = &l->fold[k];
        struct cm_link_cells drawn = {0}, *s = &f->cells;
        if (f->n > CM_LINK_CELLS) {
            struct cm_rng g =
                cm_rng_make(l->d->seed, CM_RNG_FOLDS, DRAW_AT + (uint32_t)k, (uint32_t)step);
            cm_rng_shuffle(&g, f->at, f->n);
            make_cells(&drawn, &f->links, &f->linear, l->d->side, l->d->x, f->at, CM_LINK_CELLS,
                       l->d->group, f->table.mu);
            s = &drawn;
        }
        float dlog_t = 0;
        cm_link_weights(l->phi, &f->table.p, l->w, hidden);
        total += cm_link_loss(grad ? l->dphi : NULL, &dlog_t, s, &f->table.p, l->phi,
                              (double)l->w[size - 1]);
        if (grad)
            cm_link_backward(l->grad, l->dphi, &f->table.p, l->w, hidden);
        l->grad[size - 1] += dlog_t;
        free_cells(&drawn);
    }
    return total;
}

static double look(struct learning *l)
{
    float unused;
    if (l->valid.n == 0)
        return NAN;
    size_t hidden = (size_t)l->o->hidden;
    cm_link_weights(l->phi, &l->full->p, l->w, hidden);
    return cm_link_loss(NULL, &unused, &l->valid, &l->full->p, l->phi,
                        (double)l->w[cm_link_size(hidden) - 1]);
}

/* The factor of the similarities under which the first weights do best, of a few. */
static void first_factor(struct learning *l)
{
    static const double factor[] = {5, 8, 12, 20, 40, 80};
    size_t last = cm_link_size((size_t)l->o->hidden) - 1;
    double min = INFINITY, best = factor[0];
    for (size_t i = 0; i < sizeof factor / sizeof *factor; i++) {
        l->w[last] = (float)log(factor[i]);
        double loss = all_folds(l, 0, false);
        if (loss < min) {
            min = loss;
            best = factor[i];
        }
    }
    l->w[last] = (float)log(best);
}

static int descend(struct learning *l, struct cm_link_report *r)
{
    const struct cm_learn_config *o = l->o;
    size_t size = cm_link_size((size_t)o->hidden), steps = (size_t)o->steps;
    float *m = CM_ZNEW(float, size), *v = CM_ZNEW(float, size), *best = CM_NEW(float, size);
    struct cm_adam adam = CM_ADAM_DEFAULT;
    adam.lr = o->lr;
    int code = 0;
    memcpy(best, l->w, size * sizeof *best);
    r->before = r->after = look(l);
    for (size_t step = 0; !code && step < steps; step++) {
        double loss = all_folds(l, step, true);
        cm_adam_step(l->w, m, v, l->grad, size, step + 1, &adam);
        if (!isfinite(loss) || !cm_all_finite(l->w, size))
            code = cm_fail(CM_ENUMERIC, "step %zu of the weights of peak-gene pairs is not finite",
                           step);
        if (code || ((step + 1) % CM_LINK_LOOK && step + 1 < steps))
            continue;
        double now = look(l);
        if (l->valid.n == 0 || now < r->after) {
            r->after = now;
            r->step = step + 1;
            memcpy(best, l->w, size * sizeof *best);
        }
    }
    memcpy(l->w, best, size * sizeof *best);
    cm_free(m);
    cm_free(v);
    cm_free(best);
    return code;
}

/* Share of cells that have each feature. */
static double *shares(const struct cm_csr *x)
{
    double *count = CM_ZNEW(double, x->cols);
    cm_csr_column_sums(x, NULL, count);
    for (size_t j = 0; j < x->cols; j++)
        count[j] /= (double)x->rows;
    return count;
}

static uint64_t *counting(size_t n)
{
    uint64_t *at = CM_NEW(uint64_t, n);
    for (size_t i = 0; i < n; i++)
        at[i] = i;
    return at;
}

/* Trains the network on the folds; 1: the weights of `full` are the learned ones. */
static int learn_weights(struct learning *l, struct cm_links *full, size_t max,
                         struct cm_link_report *r)
{
    const struct cm_links_learn_data *d = l->d;
    size_t hidden = (size_t)l->o->hidden, size = cm_link_size(hidden);
    size_t v = d->v[0]->rows < VALID ? d->v[0]->rows : VALID;
    uint64_t *at = counting(v);
    if (v)
        make_cells(&l->valid, full, d->linear, d->side, d->v, at, v, d->valid_group, l->full->mu);
    l->w = CM_NEW(float, size);
    l->grad = CM_NEW(float, size);
    l->phi = CM_NEW(float, max);
    l->dphi = CM_NEW(float, max);
    cm_link_init(l->w, hidden, 0, d->seed);
    first_factor(l);
    int code = descend(l, r);
    if (code == 0 && r->step == 0) {
        code = cm_fail(0, "no weights of pairs were better on the validation cells");
    } else if (code == 0) {
        cm_link_weights(full->c, &l->full->p, l->w, hidden);
        cm_links_finish(full);
        r->pairs = full->pairs;
        code = 1;
    }
    free_cells(&l->valid);
    cm_free(at);
    cm_free(l->w);
    cm_free(l->grad);
    cm_free(l->phi);
    cm_free(l->dphi);
    return code;
}

int cm_links_learn(struct cm_links *links, const struct cm_links_config *c,
                   const struct cm_links_learn_data *d, struct cm_link_report *report)
{
    size_t n = d->x[0]->rows, all = (size_t)c->learn.folds, max, folds = 0;
    struct cm_link_report none = {0}, *r = report ? report : &none;
    memset(r, 0, sizeof *r);
    r->before = r->after = NAN;
    if (n / all < CM_LINK_FEWEST || n - n / all <= d->linear->k)
        return cm_fail(0,
                       "%zu training cells are too few to hold out %zu parts of at least %d and to "
                       "fit %zu components on the others",
                       n, all, CM_LINK_FEWEST, d->linear->k);
    double *seen[2] = {shares(d->x[0]), shares(d->x[1])};
    uint64_t *order = counting(n);
    struct cm_rng g = cm_rng_make(d->seed, CM_RNG_FOLDS, FOLDS_AT, 0);
    cm_rng_shuffle(&g, order, n);

    struct cm_links full = {0};
    struct table table = {{0}, NULL, NULL, NULL, 0};
    struct fold *fold = CM_ZNEW(struct fold, all);
    struct cm_links_data data = links_data(d, d->linear, d->x, d->z, d->group);
    int code = fit_all(&full, &table, c, &data, seen);
    max = full.pairs;
    for (; code == 1 && folds < all; folds++) {
        code = make_fold(&fold[folds], c, d, seen, order, cm_shard_begin(n, all, folds),
                         cm_shard_begin(n, all, folds + 1));
        max = fold[folds].links.pairs > max ? fold[folds].links.pairs : max;
    }
    if (code == 1) {
        struct learning l = {.o = &c->learn, .d = d, .fold = fold, .folds = folds, .full = &table};
        code = learn_weights(&l, &full, max, r);
    }
    if (code == 1) {
        cm_links_free(links);
        *links = full;
        memset(&full, 0, sizeof full);
    }
    for (size_t k = 0; k < all; k++)
        free_fold(&fold[k]);
    cm_free(fold);
    table_free(&table);
    cm_links_free(&full);
    cm_free(order);
    cm_free(seen[0]);
    cm_free(seen[1]);
    return code;
}

uint64_t cm_link_bytes(const struct cm_learn_config *o, uint64_t n, uint64_t entries,
                       uint64_t genes, uint64_t peaks)
{
    uint64_t folds = (uint64_t)o->folds, fold = n / folds + 1;
    uint64_t cells = fold < CM_LINK_CELLS ? fold : CM_LINK_CELLS,
             held = fold <= CM_LINK_CELLS ? folds : 1;
    uint64_t copy = 8 * (entries - entries / folds);
    uint64_t sets = 4 * (held * cells + VALID) * (genes + peaks + cells);
    uint64_t work = 4 * VALID * (2 * (uint64_t)VALID + genes);
    return copy + sets + work;
}

#endif
