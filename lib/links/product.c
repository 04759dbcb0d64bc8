/* links/product.c - similarities through links, from factored residuals.
 *
 * With the columns of left as further cells, u = [1 left_u] E_u where row g of E_u' holds the
 * entries of gene g and then its row of right; w likewise.  So forward is [1 left_u] X [1 left_w]'
 * with X = E_u phi E_w', and backward is dphi_gp = e_g' D e_p with D = [1 left_u]' dL [1 left_w]:
 * two sparse products with links between them, and everything dense is rank columns wide.
 *
 * X is made panel by panel of genes: a_g = sum_p phi_gp e_p, a dense row over cells, goes to the
 * few cells that have an entry of g.  Once made, dense rows are cut into strips of WIDE numbers
 * (those of left: NARROW), stored strip by strip, so that a panel's strip stays in the cache
 * nearest to the core and a row's strip in registers.  Forward deals ranges of the cells of w to
 * shards, backward panels; both cuts are fixed.
 */
#include <string.h>

#include "base/clones.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "links/factored.h"

#ifdef __clang__ /* fuses by default, gcc -std=c11 does not */
#pragma STDC FP_CONTRACT OFF
#endif

typedef cm_real vec __attribute__((vector_size(64), aligned(__alignof__(cm_real)), may_alias));
typedef cm_real half __attribute__((vector_size(32), aligned(__alignof__(cm_real)), may_alias));

/* 4 vectors are a strip: as accumulators they leave registers free with AVX2, too. */
enum {
    NARROW = sizeof(vec) / sizeof(cm_real),
    WIDE = 4 * NARROW,
    HALF = sizeof(half) / sizeof(cm_real), /* a row of left is some of these */
    PANEL = 96,                            /* genes */
    RANGE = 8 * WIDE,                      /* cells of w, forward */
    AHEAD = 8,                             /* links whose entries are fetched */
    PANEL_SHARDS = 8,
    ROW_SHARDS = 64
};

#define EACH_1(DO) DO(0)
#define EACH_4(DO) DO(0) DO(1) DO(2) DO(3)

/* ===== dense rows in strips ================================================================= */

/* Rows of `n` cells and `rank` columns of left: `wide` strips, then `narrow` ones. */
struct strips {
    size_t wide, narrow;
    size_t row; /* numbers of a row in one piece: cells, padded to strips, then left */
};

static struct strips strips_of(size_t n, size_t rank)
{
    struct strips s = {.wide = (n + WIDE - 1) / WIDE, .narrow = (rank + NARROW - 1) / NARROW};
    s.row = s.wide * WIDE + s.narrow * NARROW;
    return s;
}

/* Where strip k of a matrix with `rows` rows begins, and how wide it is. */
static size_t strip_at(const struct strips *s, size_t k, size_t rows)
{
    return k < s->wide ? k * rows * WIDE : (s->wide * WIDE + (k - s->wide) * NARROW) * rows;
}

static size_t strip_width(const struct strips *s, size_t k) { return k < s->wide ? WIDE : NARROW; }

/* Row i in one piece, from the strips of a (rows) or to them. */
static void take_row(cm_real *row, const cm_real *a, const struct strips *s, size_t rows, size_t i)
{
    for (size_t k = 0; k < s->wide + s->narrow; k++) {
        size_t width = strip_width(s, k);
        memcpy(row, a + strip_at(s, k, rows) + i * width, width * sizeof *row);
        row += width;
    }
}

static void put_row(const cm_real *row, cm_real *a, const struct strips *s, size_t rows, size_t i)
{
    for (size_t k = 0; k < s->wide + s->narrow; k++) {
        size_t width = strip_width(s, k);
        memcpy(a + strip_at(s, k, rows) + i * width, row, width * sizeof *row);
        row += width;
    }
}

/* y (rows x W vectors) += sparse x: row i takes val[e] x[at[e]], e in start[i] .. start[i+1]-1. */
#define GATHER(NAME, W)                                                                            \
    CM_FAST_CLONES static void NAME(cm_real *y, size_t rows, const uint32_t *start,                \
                                    const uint32_t *at, const cm_real *val, const cm_real *x)      \
    {                                                                                              \
        for (size_t i = 0; i < rows; i++, y += (W)*NARROW) {                                       \
            uint32_t begin = start[i], end = start[i + 1];                                         \
            if (begin == end)                                                                      \
                continue;                                                                          \
            vec *out = (vec *)y;                                                                   \
            EACH_##W(LOAD);                                                                        \
            for (uint32_t e = begin; e < end; e++) {                                               \
                const vec *row = (const vec *)(x + (size_t)at[e] * (W)*NARROW);                    \
                cm_real a = val[e];                                                                \
                EACH_##W(ADD);                                                                     \
            }                                                                                      \
            EACH_##W(STORE);                                                                       \
        }                                                                                          \
    }
#define LOAD(k)  vec s##k = out[k];
#define ADD(k)   s##k += a * row[k];
#define STORE(k) out[k] = s##k;

GATHER(gather_wide, 4)
GATHER(gather_narrow, 1)

/* The same for all strips of the first n rows of y; y has `rows` of them, x `sources`. */
static void gather(cm_real *y, size_t rows, size_t n, const uint32_t *start, const uint32_t *at,
                   const cm_real *val, const cm_real *x, size_t sources, const struct strips *s)
{
    for (size_t k = 0; k < s->wide; k++)
        gather_wide(y + strip_at(s, k, rows), n, start, at, val, x + strip_at(s, k, sources));
    for (size_t k = s->wide; k < s->wide + s->narrow; k++)
        gather_narrow(y + strip_at(s, k, rows), n, start, at, val, x + strip_at(s, k, sources));
}

/* y (n) += factor x */
CM_CLONES_O3 static void add_row(cm_real *restrict y, cm_real factor, const cm_real *restrict x,
                                 size_t n)
{
    for (size_t j = 0; j < n; j++)
        y[j] += factor * x[j];
}

/* ===== both directions ====================================================================== */

struct product {
    const struct cm_factored *u, *w;
    const struct cm_links_index *links;
    cm_real mu, *left_w; /* left of w, transposed: rank x cells */
    size_t rows, panels; /* rows: cells and columns of left of u */

    const cm_real *phi; /* forward */
    struct panel *panel;
    size_t ranges;
    uint32_t *start; /* (ranges + 1) x peaks: where entries of a range begin */
    cm_real *out;
    size_t ldo;

    cm_real *dphi; /* backward */
    const cm_real *dout;
    struct strips strips;
    cm_real *d;
};

static struct product product_make(const struct cm_factored *u, const struct cm_factored *w,
                                   const struct cm_links_index *links, double mu)
{
    struct product p = {.u = u, .w = w, .links = links, .mu = (cm_real)mu, .rows = u->n + u->rank};
    p.panels = (links->genes + PANEL - 1) / PANEL;
    p.left_w = CM_NEW(w->rank * w->n, cm_real);
    for (size_t j = 0; j < w->n; j++)
        for (size_t k = 0; k < w->rank; k++)
            p.left_w[k * w->n + j] = w->left[j * w->rank + k];
    return p;
}

static size_t panel_genes(const struct product *p, size_t panel)
{
    size_t from = panel * PANEL;
    return p->links->genes - from < PANEL ? p->links->genes - from : PANEL;
}

/* ===== forward ============================================================================== */

/* The entries of a panel's genes in u, right included, cell by cell. */
struct panel {
    uint32_t *start, *gene; /* start: rows + 2 */
    cm_real *val;
};

static int panel_shard(void *arg, size_t shard)
{
    const struct product *p = arg;
    const struct cm_factored *u = p->u;
    struct panel *to = &p->panel[shard];
    size_t from = shard * PANEL, genes = panel_genes(p, shard), cells = u->n,
           n = (size_t)(u->ptr[from + genes] - u->ptr[from]) + genes * u->rank;
    CM_ASSERT(n <= UINT32_MAX);
    to->start = CM_ZNEW(p->rows + 2, uint32_t);
    to->gene = CM_NEW(n, uint32_t);
    to->val = CM_NEW(n, cm_real);
    uint32_t *next = to->start + 1; /* becomes the ends, which are the starts of the next */
    for (uint64_t e = u->ptr[from]; e < u->ptr[from + genes]; e++)
        next[u->cell[e] + 1]++;
    for (size_t k = 0; k < u->rank; k++)
        next[cells + k + 1] = (uint32_t)genes;
    for (size_t i = 0; i < p->rows; i++)
        next[i + 1] += next[i];
    for (size_t g = 0; g < genes; g++) {
        for (uint64_t e = u->ptr[from + g]; e < u->ptr[from + g + 1]; e++) {
            uint32_t put = next[u->cell[e]]++;
            to->gene[put] = (uint32_t)g;
            to->val[put] = u->val[e];
        }
        for (size_t k = 0; k < u->rank; k++) {
            uint32_t put = next[cells + k]++;
            to->gene[put] = (uint32_t)g;
            to->val[put] = u->right[(from + g) * u->rank + k];
        }
    }
    return 0;
}

static size_t range_begin(const struct product *p, size_t range)
{
    return cm_shard_begin(p->w->n, p->ranges, range);
}

/* Entries of w in each range of cells, for some of its features. */
static int start_shard(void *arg, size_t shard)
{
    const struct product *p = arg;
    const struct cm_factored *w = p->w;
    size_t shards = cm_shards(w->d, 1024, ROW_SHARDS);
    for (size_t j = cm_shard_begin(w->d, shards, shard);
         j < cm_shard_begin(w->d, shards, shard + 1); j++) {
        uint64_t e = w->ptr[j], end = w->ptr[j + 1];
        for (size_t range = 0; range <= p->ranges; range++) {
            size_t limit = range_begin(p, range);
            while (e < end && w->cell[e] < limit)
                e++;
            p->start[range * w->d + j] = (uint32_t)e;
        }
    }
    return 0;
}

/* Entries from e on: pieces of some ten of them, here and there, are no stream to the processor. */
static inline void fetch(const struct cm_factored *w, uint32_t e)
{
    enum { LINE = 64 / sizeof(uint32_t) };
    __builtin_prefetch(w->cell + e);
    __builtin_prefetch(w->cell + e + LINE);
    __builtin_prefetch(w->val + e);
    __builtin_prefetch(w->val + e + LINE);
}

/* a (PANEL rows in strips) = rows a_g of a panel over the cells of a range; row: scratch. */
CM_CLONES static void fill_panel(cm_real *a, cm_real *row, const struct strips *s,
                                 const struct product *p, size_t range, size_t panel)
{
    const struct cm_factored *w = p->w;
    const uint32_t *start = p->start + range * w->d, *stop = start + w->d;
    cm_real *low = row + s->wide * WIDE;
    size_t from = panel * PANEL, genes = panel_genes(p, panel);
    uint32_t first = (uint32_t)range_begin(p, range);
    uint64_t last = p->links->ptr[from + genes];
    for (size_t g = 0; g < genes; g++) {
        memset(row, 0, s->row * sizeof *row);
        for (uint64_t e = p->links->ptr[from + g]; e < p->links->ptr[from + g + 1]; e++) {
            size_t peak = p->links->peak[e];
            if (e + AHEAD < last)
                fetch(w, start[p->links->peak[e + AHEAD]]);
            cm_real phi = p->phi[e];
            for (uint32_t t = start[peak]; t < stop[peak]; t++)
                row[w->cell[t] - first] += phi * w->val[t];
            const cm_real *right = w->right + peak * w->rank;
            for (size_t k = 0; k < w->rank; k += HALF)
                *(half *)(low + k) += phi * *(const half *)(right + k);
        }
        put_row(row, a, s, PANEL, g);
    }
}

/* out += mu [1 left_u] X [1 left_w]', the columns of a range. */
static void finish(const struct product *p, const cm_real *x, const struct strips *s, size_t from,
                   size_t n)
{
    size_t rank = p->u->rank;
    cm_real *row = CM_NEW(s->row, cm_real), *left = CM_NEW(rank * n, cm_real);
    for (size_t i = p->rows; i-- > 0;) { /* columns of left first */
        take_row(row, x, s, p->rows, i);
        for (size_t k = 0; k < p->w->rank; k++)
            add_row(row, row[s->wide * WIDE + k], p->left_w + k * p->w->n + from, n);
        if (i >= p->u->n) {
            memcpy(left + (i - p->u->n) * n, row, n * sizeof *row);
            continue;
        }
        for (size_t k = 0; k < rank; k++)
            add_row(row, p->u->left[i * rank + k], left + k * n, n);
        add_row(p->out + i * p->ldo + from, p->mu, row, n);
    }
    cm_free(row);
    cm_free(left);
}

static int range_shard(void *arg, size_t range)
{
    const struct product *p = arg;
    size_t from = range_begin(p, range), n = range_begin(p, range + 1) - from;
    struct strips s = strips_of(n, p->w->rank);
    cm_real *x = CM_NEW(s.row * p->rows, cm_real), *a = CM_NEW(s.row * PANEL, cm_real),
            *row = CM_NEW(s.row, cm_real);
    memset(x, 0, s.row * p->rows * sizeof *x);
    for (size_t k = 0; k < p->panels; k++) {
        const struct panel *panel = &p->panel[k];
        fill_panel(a, row, &s, p, range, k);
        gather(x, p->rows, p->rows, panel->start, panel->gene, panel->val, a, PANEL, &s);
    }
    finish(p, x, &s, from, n);
    cm_free(x);
    cm_free(a);
    cm_free(row);
    return 0;
}

void cm_links_product(cm_real *out, size_t ldo, const struct cm_factored *u,
                      const struct cm_factored *w, const struct cm_links_index *links,
                      const cm_real *phi, double mu)
{
    CM_ASSERT(w->ptr[w->d] <= UINT32_MAX);
    struct product p = product_make(u, w, links, mu);
    p.phi = phi;
    p.out = out;
    p.ldo = ldo;
    p.panel = CM_NEW(p.panels, struct panel);
    p.ranges = (w->n + RANGE - 1) / RANGE;
    p.start = CM_NEW((p.ranges + 1) * w->d, uint32_t);
    cm_parallel(p.panels, panel_shard, &p);
    cm_parallel(cm_shards(w->d, 1024, ROW_SHARDS), start_shard, &p);
    cm_parallel(p.ranges, range_shard, &p);
    for (size_t k = 0; k < p.panels; k++) {
        cm_free(p.panel[k].start);
        cm_free(p.panel[k].gene);
        cm_free(p.panel[k].val);
    }
    cm_free(p.panel);
    cm_free(p.start);
    cm_free(p.left_w);
}

uint64_t cm_links_product_bytes(uint64_t rows, uint64_t cols, uint64_t entries, uint64_t genes,
                                uint64_t peaks)
{
    uint64_t range = cols < RANGE ? cols : RANGE, row = range + 256, real = sizeof(cm_real);
    return (4 + real) * entries + 4 * (genes / PANEL + 1) * (rows + 64) +
           4 * peaks * (cols / RANGE + 2) +
           real * (cols + row * (rows + PANEL + 320)) * cm_pool_threads() + real * 64 * cols;
}

/* ===== backward ============================================================================= */

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

/* Row i of dL [1 left_w], into D. */
static int spread_shard(void *arg, size_t shard)
{
    const struct product *p = arg;
    size_t n = p->w->n, shards = cm_shards(p->u->n, 16, ROW_SHARDS);
    cm_real *row = CM_ZNEW(p->strips.row, cm_real), *low = row + p->strips.wide * WIDE;
    for (size_t i = cm_shard_begin(p->u->n, shards, shard);
         i < cm_shard_begin(p->u->n, shards, shard + 1); i++) {
        const cm_real *in = p->dout + i * p->ldo;
        memset(row, 0, n * sizeof *row);
        add_row(row, p->mu, in, n);
        for (size_t k = 0; k < p->w->rank; k++)
            low[k] = p->mu * dot(in, p->left_w + k * n, n);
        put_row(row, p->d, &p->strips, p->rows, i);
    }
    cm_free(row);
    return 0;
}

/* One strip of left_u' times the rows above. */
static int left_shard(void *arg, size_t k)
{
    const struct product *p = arg;
    size_t rank = p->u->rank, width = strip_width(&p->strips, k);
    cm_real *strip = p->d + strip_at(&p->strips, k, p->rows);
    memset(strip + p->u->n * width, 0, rank * width * sizeof *strip);
    for (size_t i = 0; i < p->u->n; i++)
        for (size_t c = 0; c < rank; c++)
            add_row(strip + (p->u->n + c) * width, p->u->left[i * rank + c], strip + i * width,
                    width);
    return 0;
}

/* The entries of a panel's genes in u, right included, gene by gene. */
struct genes {
    uint32_t start[PANEL + 1], *cell;
    cm_real *val;
    size_t cell_capacity, val_capacity;
};

static void genes_load(struct genes *to, const struct cm_factored *u, size_t from, size_t genes)
{
    size_t need = (size_t)(u->ptr[from + genes] - u->ptr[from]) + genes * u->rank, n = 0;
    CM_GROW(to->cell, to->cell_capacity, need);
    CM_GROW(to->val, to->val_capacity, need);
    for (size_t g = 0; g < genes; g++) {
        uint64_t begin = u->ptr[from + g], own = u->ptr[from + g + 1] - begin;
        to->start[g] = (uint32_t)n;
        if (own) {
            memcpy(to->cell + n, u->cell + begin, own * sizeof *to->cell);
            memcpy(to->val + n, u->val + begin, own * sizeof *to->val);
            n += own;
        }
        for (size_t k = 0; k < u->rank; k++, n++) {
            to->cell[n] = (uint32_t)(u->n + k);
            to->val[n] = u->right[(from + g) * u->rank + k];
        }
    }
    to->start[genes] = (uint32_t)n;
}

/* dphi of a panel's links from its rows e_g' D; row: scratch. */
CM_CLONES static void take_links(const cm_real *a, cm_real *row, const struct product *p,
                                 size_t panel)
{
    const struct cm_factored *w = p->w;
    const cm_real *low = row + p->strips.wide * WIDE;
    size_t from = panel * PANEL, genes = panel_genes(p, panel);
    for (size_t g = 0; g < genes; g++) {
        take_row(row, a, &p->strips, PANEL, g);
        for (uint64_t e = p->links->ptr[from + g]; e < p->links->ptr[from + g + 1]; e++) {
            size_t peak = p->links->peak[e];
            const cm_real *right = w->right + peak * w->rank;
            cm_real sum[4] = {0}; /* strands, so that additions need not wait */
            uint64_t t = w->ptr[peak], end = w->ptr[peak + 1];
            for (; t + 4 <= end; t += 4)
                for (size_t k = 0; k < 4; k++)
                    sum[k] += w->val[t + k] * row[w->cell[t + k]];
            for (; t < end; t++)
                sum[0] += w->val[t] * row[w->cell[t]];
            half strand = {0};
            for (size_t k = 0; k < w->rank; k += HALF)
                strand += *(const half *)(right + k) * *(const half *)(low + k);
            for (size_t k = 0; k < HALF; k++)
                sum[k % 4] += strand[k];
            p->dphi[e] = (sum[0] + sum[1]) + (sum[2] + sum[3]);
        }
    }
}

static int backward_shard(void *arg, size_t shard)
{
    const struct product *p = arg;
    struct genes genes = {0};
    size_t shards = cm_shards(p->panels, 1, PANEL_SHARDS);
    cm_real *a = CM_NEW(p->strips.row * PANEL, cm_real), *row = CM_NEW(p->strips.row, cm_real);
    for (size_t k = cm_shard_begin(p->panels, shards, shard);
         k < cm_shard_begin(p->panels, shards, shard + 1); k++) {
        size_t n = panel_genes(p, k);
        genes_load(&genes, p->u, k * PANEL, n);
        memset(a, 0, p->strips.row * PANEL * sizeof *a);
        gather(a, PANEL, n, genes.start, genes.cell, genes.val, p->d, p->rows, &p->strips);
        take_links(a, row, p, k);
    }
    cm_free(genes.cell);
    cm_free(genes.val);
    cm_free(a);
    cm_free(row);
    return 0;
}

void cm_links_product_backward(cm_real *dphi, const cm_real *dout, size_t ldo,
                               const struct cm_factored *u, const struct cm_factored *w,
                               const struct cm_links_index *links, double mu)
{
    struct product p = product_make(u, w, links, mu);
    p.dphi = dphi;
    p.dout = dout;
    p.ldo = ldo;
    p.strips = strips_of(w->n, w->rank);
    p.d = CM_NEW(p.strips.row * p.rows, cm_real);
    cm_parallel(cm_shards(u->n, 16, ROW_SHARDS), spread_shard, &p);
    cm_parallel(p.strips.wide + p.strips.narrow, left_shard, &p);
    cm_parallel(cm_shards(p.panels, 1, PANEL_SHARDS), backward_shard, &p);
    cm_free(p.d);
    cm_free(p.left_w);
}
