/* sim/generate.c - drawing parameters, latent states and counts of simulated cells.
 *
 * The formulas are in generate.h.  Three choices matter.  Counts are drawn by walking a unit-rate
 * Poisson process along the features (an exponential gap at a time), which is exact and costs one
 * random number a count instead of one a matrix entry; a negative binomial is the same walk over
 * clusters of logarithmic size.  The scale that gives the wanted number of non-zeros is found by
 * bisection on the rates of a fixed sample of cells.  Peaks stand near genes, and only some of
 * those share the gene's locus state, so that distance is evidence and not proof, as in real
 * tissue.  Rejected: drawing every entry by itself, and a generator that keeps all cells in memory.
 */
#include "sim/generate.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"

/* Purposes of CM_RNG_GENERATE; the index is a feature, a type, a batch or a cell. */
enum { TAG_GENE = 1, TAG_PEAK, TAG_CELL, TAG_LOCI, TAG_ORDER, TAG_NAME };

/* Constants of the simulated tissue: standard deviations on the log scale for genes and peaks.
 * Fixed so that sparsity, type separation and the oracle's score resemble blood (cms-gen(1)). */
static const double BASE_SD[2] = {1.1, .7};
static const double TYPE_SD = 1.0, TYPE_SHARE = .25; /* a feature marks a quarter of the types */
static const double FACTOR_SD = .165, FACTOR_DECAY = .8, PRIVATE_SD = .15; /* shared ones decay */
static const double BATCH_SD = .10;
static const double LIBRARY_SD = .30;
static const double DISPERSION[2] = {.3, 0};
static const double LOCAL = 1.45,
                    LIVE = .3; /* c = LOCAL signal sqrt(local), in a share of the genes */
static const double NEAR = .7, NEAR_SD = 25e3, NEAR_MAX = 80e3, LINKED = .75;

enum { CHROMOSOMES = 10, CELLS_A_SHARD = 16 };

/* ----- parameters ------------------------------------------------------------------------- */

static void draw_feature(struct cm_gen *g, int side, size_t j)
{
    struct cm_gen_side *s = &g->side[side];
    const struct cm_gen_options *o = &g->o;
    struct cm_rng r = cm_rng_make(o->seed, CM_RNG_GENERATE,
                                  side == CM_GEN_GEX ? TAG_GENE : TAG_PEAK, (uint32_t)j);
    double global = o->signal * sqrt(1 - o->local);
    s->base[j] = (float)(BASE_SD[side] * cm_rng_normal(&r));
    for (size_t t = 0; t < o->types; t++) {
        double u = cm_rng_uniform(&r), z = cm_rng_normal(&r);
        s->type[t * s->cols + j] = (float)(u < TYPE_SHARE ? global * TYPE_SD * z : 0);
    }
    for (size_t b = 0; b < o->batches; b++)
        s->batch[b * s->cols + j] = (float)(BATCH_SD * cm_rng_normal(&r));
    for (size_t k = 0; k < CM_GEN_FACTORS; k++) {
        double sd =
            k < CM_GEN_SHARED ? global * FACTOR_SD * pow(FACTOR_DECAY, (double)k) : PRIVATE_SD;
        s->load[j * CM_GEN_FACTORS + k] = (float)(sd * cm_rng_normal(&r));
    }
}

static void draw_genes(struct cm_gen *g, int64_t length)
{
    struct cm_gen_side *s = &g->side[CM_GEN_GEX];
    float local = (float)tanh(LOCAL * g->o.signal * sqrt(g->o.local));
    for (size_t j = 0; j < s->cols; j++) {
        draw_feature(g, CM_GEN_GEX, j);
        struct cm_rng r = cm_rng_make(g->o.seed, CM_RNG_GENERATE, TAG_GENE, (uint32_t)j);
        r.index = (uint64_t)1 << 32; /* behind everything that draw_feature takes */
        s->chrom[j] = (uint32_t)cm_rng_below(&r, CHROMOSOMES);
        s->start[j] = (int64_t)NEAR_MAX + (int64_t)cm_rng_below(&r, (uint64_t)length);
        s->end[j] = s->start[j] + 1000 + (int64_t)cm_rng_below(&r, 50000);
        s->tss[j] = cm_rng_uniform(&r) < .5 ? s->start[j] : s->end[j] - 1;
        s->locus[j] = CM_GEN_NOWHERE; /* until a peak is linked */
        s->local[j] = cm_rng_uniform(&r) < LIVE ? local : 0;
    }
}

struct place {
    uint32_t chrom, gene; /* gene: whose locus, or CM_GEN_NOWHERE */
    int64_t start, length;
};

static int by_place(const void *a, const void *b)
{
    const struct place *x = a, *y = b;
    if (x->chrom != y->chrom)
        return x->chrom < y->chrom ? -1 : 1;
    if (x->start != y->start)
        return x->start < y->start ? -1 : 1;
    if (x->length != y->length)
        return x->length < y->length ? -1 : 1;
    return x->gene < y->gene ? -1 : x->gene > y->gene;
}

static void draw_peaks(struct cm_gen *g, int64_t length)
{
    struct cm_gen_side *s = &g->side[CM_GEN_ATAC], *genes = &g->side[CM_GEN_GEX];
    struct place *p = CM_NEW(s->cols, struct place);
    for (size_t j = 0; j < s->cols; j++) {
        draw_feature(g, CM_GEN_ATAC, j);
        struct cm_rng r = cm_rng_make(g->o.seed, CM_RNG_GENERATE, TAG_PEAK, (uint32_t)j);
        r.index = (uint64_t)1 << 32;
        p[j].gene = CM_GEN_NOWHERE;
        p[j].length = 500 + (int64_t)cm_rng_below(&r, 1000);
        if (cm_rng_uniform(&r) < NEAR) {
            uint32_t d = (uint32_t)cm_rng_below(&r, genes->cols);
            double off = NEAR_SD * cm_rng_normal(&r);
            off = off < -NEAR_MAX ? -NEAR_MAX : off > NEAR_MAX ? NEAR_MAX : off;
            p[j].chrom = genes->chrom[d];
            p[j].start = genes->tss[d] + (int64_t)off - p[j].length / 2;
            p[j].start = p[j].start < 0 ? 0 : p[j].start;
            if (genes->local[d] > 0 && cm_rng_uniform(&r) < LINKED)
                p[j].gene = d;
        } else {
            p[j].chrom = (uint32_t)cm_rng_below(&r, CHROMOSOMES);
            p[j].start = (int64_t)cm_rng_below(&r, (uint64_t)length + 2 * (uint64_t)NEAR_MAX);
        }
    }
    qsort(p, s->cols, sizeof *p, by_place);
    for (size_t j = 0; j < s->cols; j++) {
        if (j && p[j].chrom == p[j - 1].chrom && p[j].start < p[j - 1].start + p[j - 1].length)
            p[j].start = p[j - 1].start + p[j - 1].length; /* peaks never overlap */
        s->chrom[j] = p[j].chrom;
        s->start[j] = p[j].start;
        s->end[j] = p[j].start + p[j].length;
        s->locus[j] = p[j].gene;
        s->local[j] = p[j].gene == CM_GEN_NOWHERE ? 0 : genes->local[p[j].gene];
        if (p[j].gene != CM_GEN_NOWHERE)
            genes->locus[p[j].gene] = p[j].gene;
    }
    for (size_t d = 0; d < genes->cols; d++)
        if (genes->locus[d] == CM_GEN_NOWHERE)
            genes->local[d] = 0;
    cm_free(p);
}

/* ----- cells ------------------------------------------------------------------------------ */

struct cm_gen_cell cm_gen_cell(const struct cm_gen *g, size_t cell)
{
    const struct cm_gen_options *o = &g->o;
    struct cm_rng r = cm_rng_make(o->seed, CM_RNG_GENERATE, TAG_CELL, (uint32_t)cell);
    struct cm_gen_cell c = {0};
    double u = cm_rng_uniform(&r);
    while (c.type + 1 < o->types && u >= g->type_share[c.type])
        u -= g->type_share[c.type++];
    for (size_t k = 0; k < CM_GEN_SHARED; k++)
        c.factor[0][k] = c.factor[1][k] = cm_rng_normal(&r);
    for (int m = 0; m < 2; m++) {
        for (size_t k = CM_GEN_SHARED; k < CM_GEN_FACTORS; k++)
            c.factor[m][k] = cm_rng_normal(&r);
        c.library[m] = exp(LIBRARY_SD * cm_rng_normal(&r));
    }
    while (cell >= g->batch_begin[c.batch + 1])
        c.batch++;
    if (o->unseen) {
        size_t valid = o->batches - o->unseen - 1;
        c.split = c.batch > valid ? CM_GEN_TEST : c.batch == valid ? CM_GEN_VALID : CM_GEN_TRAIN;
    } else {
        u = cm_rng_uniform(&r);
        c.split = u < .15 ? CM_GEN_TEST : u < .3 ? CM_GEN_VALID : CM_GEN_TRAIN;
    }
    return c;
}

/* Locus states of a cell as bits, 128 a draw. */
struct loci {
    struct cm_rng r;
    uint64_t at; /* which draw `word` holds, UINT64_MAX = none */
    uint32_t word[4];
};

static double locus_state(struct loci *l, uint32_t d)
{
    if (l->at != d / 128) {
        l->at = d / 128;
        cm_rng_words(&l->r, l->at, l->word);
    }
    return l->word[d / 32 % 4] >> d % 32 & 1 ? 1 : -1;
}

/* rate[j] of all features of a side for a cell, without the locus states unless `local`. */
static void rates(const struct cm_gen *g, int side, size_t cell, const struct cm_gen_cell *c,
                  bool local, float *rate)
{
    const struct cm_gen_side *s = &g->side[side];
    const float *type = s->type + c->type * s->cols, *batch = s->batch + c->batch * s->cols;
    float f[CM_GEN_FACTORS], size = (float)log(c->library[side]);
    for (size_t k = 0; k < CM_GEN_FACTORS; k++)
        f[k] = (float)c->factor[side][k];
    for (size_t j = 0; j < s->cols; j++) {
        const float *w = s->load + j * CM_GEN_FACTORS;
        float x = size + s->base[j] + type[j] + batch[j];
        for (size_t k = 0; k < CM_GEN_FACTORS; k++)
            x += w[k] * f[k];
        rate[j] = expf(x);
    }
    if (!local)
        return;
    struct loci l = {
        cm_rng_make(g->o.seed, CM_RNG_GENERATE, TAG_LOCI, (uint32_t)cell), UINT64_MAX, {0}};
    for (size_t j = 0; j < s->cols; j++)
        if (s->locus[j] != CM_GEN_NOWHERE)
            rate[j] *= 1 + (float)locus_state(&l, s->locus[j]) * s->local[j];
}

/* The size of a cluster: logarithmic distribution with parameter q, by inversion. */
static uint32_t log_series(struct cm_rng *r, double q)
{
    double u = cm_rng_uniform(r), p = -q / log1p(-q);
    uint32_t k = 1;
    for (; u >= p && k < 1000000; k++) {
        u -= p;
        p *= q * k / (k + 1);
    }
    return k;
}

static size_t draw_counts(const struct cm_gen *g, int side, size_t cell, float *rate,
                          uint32_t **idx, uint32_t **count, size_t *cap)
{
    const struct cm_gen_side *s = &g->side[side];
    struct cm_gen_cell c = cm_gen_cell(g, cell);
    rates(g, side, cell, &c, true, rate);
    struct cm_rng r = cm_rng_make(g->o.seed, CM_RNG_COUNTS, (uint32_t)side, (uint32_t)cell);
    double gap = -log1p(-cm_rng_uniform(&r)), phi = s->dispersion;
    size_t n = 0;
    for (size_t j = 0; j < s->cols; j++) {
        double left = phi > 0 ? log1p(phi * rate[j]) / phi : rate[j];
        uint32_t x = 0;
        for (; gap < left; gap = -log1p(-cm_rng_uniform(&r))) {
            left -= gap;
            x += phi > 0 ? log_series(&r, phi * rate[j] / (1 + phi * rate[j])) : 1;
        }
        gap -= left;
        if (!x)
            continue;
        if (n == *cap) {
            size_t same = *cap;
            CM_GROW(*idx, *cap, n + 1);
            CM_GROW(*count, same, n + 1);
        }
        (*idx)[n] = (uint32_t)j;
        (*count)[n++] = x;
    }
    return n;
}

size_t cm_gen_counts(const struct cm_gen *g, int side, size_t cell, uint32_t **idx,
                     uint32_t **count, size_t *cap)
{
    float *rate = CM_NEW(g->side[side].cols, float);
    size_t n = draw_counts(g, side, cell, rate, idx, count, cap);
    cm_free(rate);
    return n;
}

/* Moves `base` so that the expected number of non-zeros a cell is the one asked for. */
static void set_scale(struct cm_gen *g, int side)
{
    struct cm_gen_side *s = &g->side[side];
    size_t n = ((size_t)1 << 19) / s->cols;
    n = n < 8 ? 8 : n > 128 ? 128 : n;
    n = n > g->o.cells ? g->o.cells : n;
    float *rate = CM_NEW(n * s->cols, float);
    for (size_t i = 0; i < n; i++) {
        size_t cell = i * g->o.cells / n;
        struct cm_gen_cell c = cm_gen_cell(g, cell);
        rates(g, side, cell, &c, true, rate + i * s->cols);
    }
    double want = fmin(g->o.nnz[side], .9 * (double)s->cols), lo = -25, hi = 25,
           phi = s->dispersion;
    for (int step = 0; step < 30; step++) {
        double scale = exp((lo + hi) / 2), sum = 0;
        for (size_t i = 0; i < n * s->cols; i++) {
            double x = scale * rate[i];
            sum -= phi > 0 ? expm1(-log1p(phi * x) / phi) : expm1(-x);
        }
        if (sum / (double)n < want)
            lo = (lo + hi) / 2;
        else
            hi = (lo + hi) / 2;
    }
    for (size_t j = 0; j < s->cols; j++)
        s->base[j] += (float)((lo + hi) / 2);
    cm_free(rate);
}

/* ----- making ----------------------------------------------------------------------------- */

static void set_batches(struct cm_gen *g)
{
    const struct cm_gen_options *o = &g->o;
    /* Training batches have twice the cells of the others; all are equal when splits are drawn. */
    size_t doubled = o->unseen ? o->batches - o->unseen - 1 : 0, total = o->batches + doubled;
    g->batch_begin = CM_NEW(o->batches + 1, size_t);
    for (size_t b = 0; b <= o->batches; b++) {
        size_t parts = b <= doubled ? 2 * b : doubled + b;
        g->batch_begin[b] = o->cells / total * parts + o->cells % total * parts / total;
    }
    if (o->aligned)
        return;
    g->order = CM_NEW(o->cells, uint64_t);
    for (size_t i = 0; i < o->cells; i++)
        g->order[i] = i;
    for (size_t b = 0; b < o->batches; b++) {
        struct cm_rng r = cm_rng_make(o->seed, CM_RNG_GENERATE, TAG_ORDER, (uint32_t)b);
        cm_rng_shuffle(&r, g->order + g->batch_begin[b], g->batch_begin[b + 1] - g->batch_begin[b]);
    }
}

int cm_gen_make(struct cm_gen **out, const struct cm_gen_options *o)
{
    if (o->cells < 1 || o->cells > UINT32_MAX || o->types < 1 || o->batches < 1 || o->cols[0] < 1 ||
        o->cols[1] < 1 || o->cols[0] >= CM_GEN_NOWHERE || o->cols[1] >= CM_GEN_NOWHERE)
        return cm_fail(CM_EUSAGE, "cells, types, batches, genes and peaks must be at least 1 and "
                                  "below 2^32");
    if (!(o->signal >= 0) || !(o->local >= 0 && o->local <= 1) || !(o->nnz[0] > 0) ||
        !(o->nnz[1] > 0))
        return cm_fail(CM_EUSAGE,
                       "the signal must be >= 0, its local share in 0..1, non-zeros > 0");
    if (o->unseen && o->batches < o->unseen + 2)
        return cm_fail(CM_EUSAGE,
                       "%zu unseen batches need %zu batches: one to train and one to validate",
                       o->unseen, o->unseen + 2);
    if (o->cells < 2 * o->batches)
        return cm_fail(CM_EUSAGE, "%zu cells are too few for %zu batches", o->cells, o->batches);
    struct cm_gen *g = CM_ZNEW(1, struct cm_gen);
    *out = g;
    g->o = *o;
    g->type_share = CM_NEW(o->types, double);
    double sum = 0;
    for (size_t t = 0; t < o->types; t++) /* common and rare types */
        sum += g->type_share[t] = 1 / (1 + .25 * (double)t);
    for (size_t t = 0; t < o->types; t++)
        g->type_share[t] /= sum;
    set_batches(g);
    for (int m = 0; m < 2; m++) {
        struct cm_gen_side *s = &g->side[m];
        size_t n = s->cols = o->cols[m], types, batches, loads;
        if (cm_mul(n, o->types, &types) || cm_mul(n, o->batches, &batches) ||
            cm_mul(n, CM_GEN_FACTORS, &loads))
            return cm_fail(CM_EUSAGE, "too many features");
        s->dispersion = DISPERSION[m];
        s->base = CM_NEW(n, float);
        s->type = CM_NEW(types, float);
        s->batch = CM_NEW(batches, float);
        s->load = CM_NEW(loads, float);
        s->locus = CM_NEW(n, uint32_t);
        s->local = CM_NEW(n, float);
        s->chrom = CM_NEW(n, uint32_t);
        s->start = CM_NEW(n, int64_t);
        s->end = CM_NEW(n, int64_t);
        s->tss = m == CM_GEN_GEX ? CM_NEW(n, int64_t) : NULL;
    }
    int64_t length = 200000 * (int64_t)(o->cols[0] / CHROMOSOMES + 1); /* a gene every 200 kb */
    draw_genes(g, length);
    draw_peaks(g, length);
    for (int m = 0; m < 2; m++)
        set_scale(g, m);
    return 0;
}

void cm_gen_free(struct cm_gen *g)
{
    if (!g)
        return;
    for (int m = 0; m < 2; m++) {
        struct cm_gen_side *s = &g->side[m];
        cm_free(s->base);
        cm_free(s->type);
        cm_free(s->batch);
        cm_free(s->load);
        cm_free(s->locus);
        cm_free(s->local);
        cm_free(s->chrom);
        cm_free(s->start);
        cm_free(s->end);
        cm_free(s->tss);
    }
    cm_free(g->type_share);
    cm_free(g->batch_begin);
    cm_free(g->order);
    cm_free(g);
}

size_t cm_gen_at(const struct cm_gen *g, int side, size_t row)
{
    return side == CM_GEN_ATAC && g->order ? (size_t)g->order[row] : row;
}

void cm_gen_name(const struct cm_gen *g, size_t cell, char name[CM_GEN_NAME_MAX])
{
    /* Odd multipliers and xor-shifts are bijections of 32 bits: no two cells share a barcode. */
    uint32_t v = (uint32_t)cell ^ (uint32_t)g->o.seed;
    v *= 0x9E3779B1u;
    v ^= v >> 15;
    v *= 0x85EBCA77u;
    v ^= v >> 13;
    for (int i = 0; i < 16; i++)
        name[i] = "ACGT"[v >> 2 * i & 3];
    size_t b = 0;
    while (cell >= g->batch_begin[b + 1])
        b++;
    snprintf(name + 16, CM_GEN_NAME_MAX - 16, "-%zu", b + 1);
}

/* ----- streams ---------------------------------------------------------------------------- */

void cm_gen_add_labels(const struct cm_gen *g, struct cm_head *h)
{
    char text[48];
    struct cm_label *l = cm_head_add_label(h, "batch", CM_T_CAT, -1);
    for (size_t b = 0; b < g->o.batches; b++) {
        snprintf(text, sizeof text, "batch%zu", b + 1);
        cm_dict_code(&l->dict, text);
    }
    l = cm_head_add_label(h, "cell_type", CM_T_CAT, -1);
    for (size_t t = 0; t < g->o.types; t++) {
        snprintf(text, sizeof text, "type%zu", t + 1);
        cm_dict_code(&l->dict, text);
    }
    l = cm_head_add_label(h, "split", CM_T_CAT, -1);
    cm_dict_code(&l->dict, "train");
    cm_dict_code(&l->dict, "valid");
    cm_dict_code(&l->dict, "test");
}

void cm_gen_reset_labels(struct cm_chunk *c, size_t rows)
{
    static const char *const name[] = {"batch", "cell_type", "split"};
    c->nlabels = 3;
    if (!c->label)
        c->label = CM_ZNEW(3, struct cm_vec);
    for (size_t k = 0; k < 3; k++)
        cm_vec_reset(&c->label[k], name[k], CM_T_CAT, rows);
}

void cm_gen_set_labels(const struct cm_gen *g, size_t cell, struct cm_chunk *c, size_t row)
{
    struct cm_gen_cell x = cm_gen_cell(g, cell);
    c->label[0].cat[row] = (uint32_t)x.batch;
    c->label[1].cat[row] = (uint32_t)x.type;
    c->label[2].cat[row] = (uint32_t)x.split;
}

void cm_gen_head(const struct cm_gen *g, int side, struct cm_head *h)
{
    const struct cm_gen_side *s = &g->side[side];
    h->kind = CM_MATRIX;
    struct cm_slot *slot = cm_head_add_slot(h, side == CM_GEN_GEX ? "GEX" : "ATAC");
    slot->state = CM_S_COUNTS;
    slot->rows = g->o.cells;
    char text[96];
    for (size_t j = 0; j < s->cols; j++) {
        if (side == CM_GEN_GEX)
            snprintf(text, sizeof text, "Gene%05zu", j + 1);
        else
            snprintf(text, sizeof text, "chr%u:%lld-%lld", s->chrom[j] + 1, (long long)s->start[j],
                     (long long)s->end[j]);
        cm_strs_add(&slot->cols.names, text);
    }
    struct cm_vec *v = cm_cols_vec(&slot->cols, "chrom", CM_T_STR);
    cm_strs_clear(&v->s);
    for (size_t j = 0; j < s->cols; j++) {
        snprintf(text, sizeof text, "chr%u", s->chrom[j] + 1);
        cm_strs_add(&v->s, text);
    }
    memcpy(cm_cols_vec(&slot->cols, "start", CM_T_I64)->i, s->start, s->cols * sizeof *s->start);
    memcpy(cm_cols_vec(&slot->cols, "end", CM_T_I64)->i, s->end, s->cols * sizeof *s->end);
    if (s->tss)
        memcpy(cm_cols_vec(&slot->cols, "tss", CM_T_I64)->i, s->tss, s->cols * sizeof *s->tss);
    cm_gen_add_labels(g, h);
}

struct job {
    const struct cm_gen *g;
    int side;
    size_t first, rows;
    struct row {
        uint32_t *idx, *count;
        size_t n, cap;
    } * row;
};

static int fill_shard(void *arg, size_t shard)
{
    struct job *job = arg;
    float *rate = CM_NEW(job->g->side[job->side].cols, float);
    for (size_t i = shard * CELLS_A_SHARD; i < job->rows && i < (shard + 1) * CELLS_A_SHARD; i++) {
        struct row *r = &job->row[i];
        r->n = draw_counts(job->g, job->side, cm_gen_at(job->g, job->side, job->first + i), rate,
                           &r->idx, &r->count, &r->cap);
    }
    cm_free(rate);
    return 0;
}

int cm_gen_chunk(const struct cm_gen *g, int side, size_t first, size_t rows, struct cm_chunk *c)
{
    struct job job = {g, side, first, rows, CM_ZNEW(rows, struct row)};
    int e = cm_parallel((rows + CELLS_A_SHARD - 1) / CELLS_A_SHARD, fill_shard, &job);
    uint64_t nnz = 0;
    uint32_t max = 0;
    for (size_t i = 0; i < rows; i++) {
        nnz += job.row[i].n;
        for (size_t k = 0; k < job.row[i].n; k++)
            max = job.row[i].count[k] > max ? job.row[i].count[k] : max;
    }
    enum cm_value type = max < 256 ? CM_V_U8 : max < 65536 ? CM_V_U16 : CM_V_U32;
    struct cm_block *b = &c->block[0];
    cm_block_shape(b, false, rows, g->side[side].cols, nnz, type);
    uint64_t at = 0;
    cm_strs_clear(&c->names);
    c->first = first;
    c->rows = rows;
    cm_gen_reset_labels(c, rows);
    for (size_t i = 0; i < rows; i++) {
        struct row *r = &job.row[i];
        size_t cell = cm_gen_at(g, side, first + i);
        char name[CM_GEN_NAME_MAX];
        cm_gen_name(g, cell, name);
        cm_strs_add(&c->names, name);
        cm_gen_set_labels(g, cell, c, i);
        for (size_t k = 0; k < r->n; k++, at++) {
            b->idx[at] = r->idx[k];
            if (type == CM_V_U8)
                ((uint8_t *)b->raw)[at] = (uint8_t)r->count[k];
            else if (type == CM_V_U16)
                ((uint16_t *)b->raw)[at] = (uint16_t)r->count[k];
            else
                ((uint32_t *)b->raw)[at] = r->count[k];
        }
        b->ptr[i + 1] = at;
        cm_free(r->idx);
        cm_free(r->count);
    }
    cm_free(job.row);
    return e;
}
