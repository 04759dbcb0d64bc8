/* links/product.c - similarities through links, from factored residuals.
 *
 * With the columns of left as further cells, u = [1 left_u] E_u where row g of E_u' holds the
 * entries of gene g and then its row of right; w likewise.  So forward is [1 left_u] X [1 left_w]'
 * with X = E_u phi E_w', and backward is dphi_gp = e_g' D e_p with D = [1 left_u]' dL [1 left_w]:
 * two sparse products with links between them, and everything dense is rank columns wide.
 *
 * X is made panel by panel of genes: a_g = sum_p phi_gp e_p, a dense row over cells, goes to the
 * few cells that have an entry of g.  Once made, dense rows are cut into strips of SUB numbers,
 * stored strip by strip, so that a panel's strip stays in the cache nearest to the core and a row's
 * strip in registers.  Panels are dealt to fixed shards, whose X are added in order.
 */
#include <string.h>

#include "base/clones.h"
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
    SUB = 4 * sizeof(vec) / sizeof(cm_real),
    HALF = sizeof(half) / sizeof(cm_real), /* a row of left is some of these */
    PANEL = 96,
    PRODUCT_SHARDS = 8
};

#define EACH_4(DO) DO(0) DO(1) DO(2) DO(3)

static size_t strips(size_t n) { return (n + SUB - 1) / SUB; }

/* Where things stand in a dense side with `rows` rows: cells first, then the columns of left. */
struct layout {
    size_t cells, strips; /* strips of the cells alone */
    size_t all;           /* and of left */
};

static struct layout layout_of(const struct cm_factored *w)
{
    struct layout l = {w->n, strips(w->n), 0};
    l.all = l.strips + strips(w->rank);
    return l;
}

/* y (rows x SUB) += sparse x: row i takes val[e] x[at[e]], e in start[i] .. start[i+1]-1. */
CM_FAST_CLONES static void gather_rows(cm_real *y, size_t rows, const uint32_t *start,
                                       const uint32_t *at, const cm_real *val, const cm_real *x)
{
    for (size_t i = 0; i < rows; i++, y += SUB) {
        uint32_t begin = start[i], end = start[i + 1];
        if (begin == end)
            continue;
        vec *out = (vec *)y;
#define LOAD(k) vec s##k = out[k];
        EACH_4(LOAD)
        for (uint32_t e = begin; e < end; e++) {
            const vec *row = (const vec *)(x + (size_t)at[e] * SUB);
            cm_real a = val[e];
#define ADD(k) s##k += a * row[k];
            EACH_4(ADD)
        }
#define STORE(k) out[k] = s##k;
        EACH_4(STORE)
    }
}

/* ===== a panel of genes ===================================================================== */

/* The entries of a panel's genes in u, right included: cells, then columns of left. */
struct panel {
    size_t from, genes, rows; /* rows: cells and columns of left */
    uint32_t gene_start[PANEL + 1], *cell;
    uint32_t *cell_start, *gene;
    cm_real *by_gene, *by_cell;
    size_t capacity;
};

static void panel_free(struct panel *p)
{
    cm_free(p->cell);
    cm_free(p->cell_start);
    cm_free(p->gene);
    cm_free(p->by_gene);
    cm_free(p->by_cell);
}

static void panel_load(struct panel *p, const struct cm_factored *u, size_t from, size_t genes)
{
    p->from = from;
    p->genes = genes;
    p->rows = u->n + u->rank;
    size_t need = (size_t)(u->ptr[from + genes] - u->ptr[from]) + genes * u->rank, n = 0;
    if (need > p->capacity) {
        p->capacity = need + need / 2;
        p->cell = cm_realloc(p->cell, p->capacity, sizeof *p->cell);
        p->gene = cm_realloc(p->gene, p->capacity, sizeof *p->gene);
        p->by_gene = cm_realloc(p->by_gene, p->capacity, sizeof *p->by_gene);
        p->by_cell = cm_realloc(p->by_cell, p->capacity, sizeof *p->by_cell);
    }
    for (size_t g = 0; g < genes; g++) {
        uint64_t begin = u->ptr[from + g], end = u->ptr[from + g + 1];
        p->gene_start[g] = (uint32_t)n;
        if (end > begin) {
            memcpy(p->cell + n, u->cell + begin, (end - begin) * sizeof *p->cell);
            memcpy(p->by_gene + n, u->val + begin, (end - begin) * sizeof *p->by_gene);
            n += end - begin;
        }
        for (size_t k = 0; k < u->rank; k++, n++) {
            p->cell[n] = (uint32_t)(u->n + k);
            p->by_gene[n] = u->right[(from + g) * u->rank + k];
        }
    }
    p->gene_start[genes] = (uint32_t)n;
}

/* The same entries cell by cell. */
static void panel_by_cell(struct panel *p)
{
    size_t n = p->gene_start[p->genes];
    if (!p->cell_start)
        p->cell_start = CM_NEW(p->rows + 2, uint32_t);
    uint32_t *next = p->cell_start + 1; /* becomes the ends, which are the starts of the next */
    memset(p->cell_start, 0, (p->rows + 2) * sizeof *p->cell_start);
    for (size_t e = 0; e < n; e++)
        next[p->cell[e] + 1]++;
    for (size_t i = 0; i < p->rows; i++)
        next[i + 1] += next[i];
    for (size_t g = 0; g < p->genes; g++)
        for (uint32_t e = p->gene_start[g]; e < p->gene_start[g + 1]; e++) {
            uint32_t to = next[p->cell[e]]++;
            p->gene[to] = (uint32_t)g;
            p->by_cell[to] = p->by_gene[e];
        }
}

/* ===== forward ============================================================================== */

struct product {
    const struct cm_factored *u, *w;
    const struct cm_links_index *links;
    const cm_real *phi;
    cm_real *dphi;
    struct layout l;
    size_t panels, shards, size; /* size: numbers of one X */
    cm_real *x;                  /* strips x rows x SUB: X of every shard, or D */
    cm_real *out;
    const cm_real *dout;
    size_t ldo;
    cm_real mu, *right_left; /* left of w, transposed: rank x cells */
};

static struct product product_make(const struct cm_factored *u, const struct cm_factored *w,
                                   const struct cm_links_index *links, double mu)
{
    struct product p = {.u = u, .w = w, .links = links, .l = layout_of(w), .mu = (cm_real)mu};
    p.panels = (links->genes + PANEL - 1) / PANEL;
    p.shards = cm_shards(p.panels, 1, PRODUCT_SHARDS);
    p.size = p.l.all * (u->n + u->rank) * SUB;
    p.right_left = CM_NEW(w->rank * w->n, cm_real);
    for (size_t j = 0; j < w->n; j++)
        for (size_t k = 0; k < w->rank; k++)
            p.right_left[k * w->n + j] = w->left[j * w->rank + k];
    return p;
}

/* Row g of a panel in one piece, from its strips or to them. */
static void move_row(cm_real *row, cm_real *a, size_t g, size_t strips, bool from_strips)
{
    for (size_t s = 0; s < strips; s++) {
        cm_real *strip = a + (s * PANEL + g) * SUB, *part = row + s * SUB;
        memcpy(from_strips ? part : strip, from_strips ? strip : part, SUB * sizeof *part);
    }
}

/* a (strips x PANEL x SUB): rows a_g of a panel; row: scratch. */
CM_CLONES static void fill_panel(cm_real *a, cm_real *row, const struct product *p, size_t from,
                                 size_t genes)
{
    const struct cm_factored *w = p->w;
    cm_real *low = row + p->l.strips * SUB;
    for (size_t g = 0; g < genes; g++) {
        memset(row, 0, p->l.all * SUB * sizeof *row);
        for (uint64_t e = p->links->ptr[from + g]; e < p->links->ptr[from + g + 1]; e++) {
            size_t peak = p->links->peak[e];
            cm_real phi = p->phi[e];
            for (uint64_t t = w->ptr[peak]; t < w->ptr[peak + 1]; t++)
                row[w->cell[t]] += phi * w->val[t];
            const cm_real *right = w->right + peak * w->rank;
            for (size_t k = 0; k < w->rank; k += HALF)
                *(half *)(low + k) += phi * *(const half *)(right + k);
        }
        move_row(row, a, g, p->l.all, false);
    }
}

static int forward_shard(void *arg, size_t shard)
{
    const struct product *p = arg;
    struct panel panel = {0};
    size_t rows = p->u->n + p->u->rank;
    cm_real *x = p->x + shard * p->size, *a = CM_NEW(p->l.all * PANEL * SUB, cm_real),
            *row = CM_NEW(p->l.all * SUB, cm_real);
    memset(x, 0, p->size * sizeof *x);
    for (size_t k = cm_shard_begin(p->panels, p->shards, shard);
         k < cm_shard_begin(p->panels, p->shards, shard + 1); k++) {
        size_t from = k * PANEL,
               genes = p->links->genes - from < PANEL ? p->links->genes - from : PANEL;
        panel_load(&panel, p->u, from, genes);
        panel_by_cell(&panel);
        fill_panel(a, row, p, from, genes);
        for (size_t s = 0; s < p->l.all; s++)
            gather_rows(x + s * rows * SUB, rows, panel.cell_start, panel.gene, panel.by_cell,
                        a + s * PANEL * SUB);
    }
    panel_free(&panel);
    cm_free(a);
    cm_free(row);
    return 0;
}

/* y (n) += factor x */
CM_CLONES_O3 static void add_row(cm_real *restrict y, cm_real factor, const cm_real *restrict x,
                                 size_t n)
{
    for (size_t j = 0; j < n; j++)
        y[j] += factor * x[j];
}

/* y (cells of w) = row i of X [1 left_w]', the shards added up. */
static void whole_row(cm_real *y, const struct product *p, size_t i)
{
    size_t rows = p->u->n + p->u->rank, n = p->w->n;
    memset(y, 0, p->l.all * SUB * sizeof *y);
    for (size_t shard = 0; shard < p->shards; shard++)
        for (size_t s = 0; s < p->l.all; s++)
            add_row(y + s * SUB, 1, p->x + shard * p->size + (s * rows + i) * SUB, SUB);
    for (size_t k = 0; k < p->w->rank; k++)
        add_row(y, y[p->l.strips * SUB + k], p->right_left + k * n, n);
}

static int finish_shard(void *arg, size_t shard)
{
    const struct product *p = arg;
    size_t rank = p->u->rank, n = p->w->n, shards = cm_shards(p->u->n, 16, 64);
    cm_real *y = CM_NEW(p->l.all * SUB, cm_real);
    for (size_t i = cm_shard_begin(p->u->n, shards, shard);
         i < cm_shard_begin(p->u->n, shards, shard + 1); i++) {
        whole_row(y, p, i);
        for (size_t k = 0; k < rank; k++) /* rows of left are behind the shards */
            add_row(y, p->u->left[i * rank + k], p->x + p->shards * p->size + k * n, n);
        add_row(p->out + i * p->ldo, p->mu, y, n);
    }
    cm_free(y);
    return 0;
}

void cm_links_product(cm_real *out, size_t ldo, const struct cm_factored *u,
                      const struct cm_factored *w, const struct cm_links_index *links,
                      const cm_real *phi, double mu)
{
    struct product p = product_make(u, w, links, mu);
    p.phi = phi;
    p.out = out;
    p.ldo = ldo;
    p.x = CM_NEW(p.shards * p.size + u->rank * w->n, cm_real);
    cm_parallel(p.shards, forward_shard, &p);
    cm_real *y = CM_NEW(p.l.all * SUB, cm_real);
    for (size_t k = 0; k < u->rank; k++) {
        whole_row(y, &p, u->n + k);
        memcpy(p.x + p.shards * p.size + k * w->n, y, w->n * sizeof *y);
    }
    cm_free(y);
    cm_parallel(cm_shards(u->n, 16, 64), finish_shard, &p);
    cm_free(p.x);
    cm_free(p.right_left);
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
    size_t rows = p->u->n + p->u->rank, n = p->w->n, shards = cm_shards(p->u->n, 16, 64);
    for (size_t i = cm_shard_begin(p->u->n, shards, shard);
         i < cm_shard_begin(p->u->n, shards, shard + 1); i++) {
        const cm_real *in = p->dout + i * p->ldo;
        for (size_t s = 0; s < p->l.strips; s++) {
            cm_real *to = p->x + (s * rows + i) * SUB;
            size_t some = n - s * SUB < SUB ? n - s * SUB : SUB;
            memset(to, 0, SUB * sizeof *to);
            add_row(to, p->mu, in + s * SUB, some);
        }
        for (size_t k = 0; k < p->w->rank; k++)
            p->x[((p->l.strips + k / SUB) * rows + i) * SUB + k % SUB] =
                p->mu * dot(in, p->right_left + k * n, n);
    }
    return 0;
}

/* One strip of left_u' times the rows above. */
static int left_shard(void *arg, size_t s)
{
    const struct product *p = arg;
    size_t rank = p->u->rank, rows = p->u->n + rank;
    cm_real *strip = p->x + s * rows * SUB;
    for (size_t i = 0; i < p->u->n; i++)
        for (size_t k = 0; k < rank; k++)
            add_row(strip + (p->u->n + k) * SUB, p->u->left[i * rank + k], strip + i * SUB, SUB);
    return 0;
}

/* row: scratch. */
CM_CLONES static void take_links(cm_real *a, cm_real *row, const struct product *p, size_t from,
                                 size_t genes)
{
    const struct cm_factored *w = p->w;
    const cm_real *low = row + p->l.strips * SUB;
    for (size_t g = 0; g < genes; g++) {
        move_row(row, a, g, p->l.all, true);
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
    struct panel panel = {0};
    size_t rows = p->u->n + p->u->rank;
    cm_real *a = CM_NEW(p->l.all * PANEL * SUB, cm_real), *row = CM_NEW(p->l.all * SUB, cm_real);
    for (size_t k = cm_shard_begin(p->panels, p->shards, shard);
         k < cm_shard_begin(p->panels, p->shards, shard + 1); k++) {
        size_t from = k * PANEL,
               genes = p->links->genes - from < PANEL ? p->links->genes - from : PANEL;
        panel_load(&panel, p->u, from, genes);
        memset(a, 0, p->l.all * PANEL * SUB * sizeof *a);
        for (size_t s = 0; s < p->l.all; s++)
            gather_rows(a + s * PANEL * SUB, genes, panel.gene_start, panel.cell, panel.by_gene,
                        p->x + s * rows * SUB);
        take_links(a, row, p, from, genes);
    }
    panel_free(&panel);
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
    p.x = CM_ZNEW(p.size, cm_real);
    cm_parallel(cm_shards(u->n, 16, 64), spread_shard, &p);
    cm_parallel(p.l.all, left_shard, &p);
    cm_parallel(p.shards, backward_shard, &p);
    cm_free(p.x);
    cm_free(p.right_left);
}
