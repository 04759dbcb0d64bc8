/* Factored residuals, similarities and correlations against dense ones. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <cmocka.h>

#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "links/apply.h"
#include "links/correlate.h"

enum { CELLS = 1100, GENES = 120, PEAKS = 150, R = 3, LDZ = 5 };

static struct cm_csr x[2];
static float *z[2];
static struct cm_links links;

static struct cm_csr draw_cells(size_t features, double filled, struct cm_rng *g)
{
    struct cm_csr m = cm_csr_make(features);
    uint32_t *idx = CM_NEW(features, uint32_t);
    float *val = CM_NEW(features, float);
    for (size_t i = 0; i < CELLS; i++) {
        uint64_t ptr[2] = {0, 0};
        for (size_t j = 0; j < features; j++)
            if (cm_rng_uniform(g) < (j % 10 ? filled : .8)) {
                idx[ptr[1]] = (uint32_t)j;
                val[ptr[1]++] = (float)(.5 + 3 * cm_rng_uniform(g));
            }
        cm_csr_append(&m, 1, ptr, idx, val);
    }
    cm_free(idx);
    cm_free(val);
    return m;
}

/* Every third feature has no links. */
static struct cm_links_side draw_side(size_t features, struct cm_rng *g)
{
    struct cm_links_side s = {.features = features};
    s.feature = CM_NEW(features, uint32_t);
    s.h = CM_NEW(features * R, float);
    s.off = CM_NEW(features, float);
    s.sd = CM_NEW(features, float);
    for (size_t j = 0; j < features; j++) {
        if (j % 3 == 2)
            continue;
        for (size_t k = 0; k < R; k++)
            s.h[s.n * R + k] = (float)(cm_rng_uniform(g) - .5);
        s.off[s.n] = (float)cm_rng_uniform(g);
        s.sd[s.n] = (float)(.3 + cm_rng_uniform(g));
        s.feature[s.n++] = (uint32_t)j;
    }
    return s;
}

static int setup(void **state)
{
    (void)state;
    struct cm_rng g = cm_rng_make(3, CM_RNG_SAMPLE, 0, 0);
    for (size_t m = 0; m < 2; m++) {
        x[m] = draw_cells(m ? PEAKS : GENES, m ? .03 : .08, &g);
        z[m] = CM_NEW((size_t)CELLS * LDZ, float);
        for (size_t i = 0; i < (size_t)CELLS * LDZ; i++)
            z[m][i] = (float)(2 * cm_rng_uniform(&g) - 1);
    }
    links = (struct cm_links){.r = R, .clip = 1, .mu = .4};
    links.gene = draw_side(GENES, &g);
    links.peak = draw_side(PEAKS, &g);
    links.ptr = CM_ZNEW(links.gene.n + 1, uint64_t);
    links.peak_of = CM_NEW(5 * links.gene.n, uint32_t);
    links.c = CM_NEW(5 * links.gene.n, float);
    for (size_t j = 0; j < links.gene.n; j++) {
        for (size_t k = 0; k < j % 5; k++) {
            links.peak_of[links.n] = (uint32_t)((j + 7 * k) % links.peak.n);
            links.c[links.n++] = (float)(cm_rng_uniform(&g) - .5);
        }
        links.ptr[j + 1] = links.n;
    }
    cm_links_finish(&links);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    for (size_t m = 0; m < 2; m++) {
        cm_csr_free(&x[m]);
        cm_free(z[m]);
    }
    cm_links_free(&links);
    return 0;
}

static struct cm_links_cells cells_of(size_t m)
{
    return (struct cm_links_cells){&x[m], z[m], LDZ};
}

static float *residuals(size_t m)
{
    const struct cm_links_side *s = m ? &links.peak : &links.gene;
    struct cm_links_cells cells = cells_of(m);
    float *out = CM_NEW(CELLS * s->n, float);
    cm_links_residuals(s, R, m ? INFINITY : links.clip, &cells, 0, CELLS, out, s->n);
    return out;
}

static void near(double found, double expected, const char *what, size_t at)
{
    if (!(fabs(found - expected) <= 1e-5))
        fail_msg("%s[%zu]: dense %.9g, factored %.9g", what, at, expected, found);
}

/* Genes are clipped at one standard deviation, also where nothing is stored. */
static void test_residuals(void **state)
{
    (void)state;
    uint64_t at[CELLS];
    for (size_t i = 0; i < CELLS; i++)
        at[i] = (i * 7) % CELLS;
    for (size_t m = 0; m < 2; m++) {
        const struct cm_links_side *s = m ? &links.peak : &links.gene;
        struct cm_links_cells cells = cells_of(m);
        struct cm_factored f;
        float *dense = residuals(m);
        double *row = CM_NEW(CELLS, double);
        size_t beyond = 0;
        cm_links_factor(&f, s, R, m ? INFINITY : links.clip, &cells, at, CELLS);
        for (size_t j = 0; j < s->n; j++) {
            for (size_t i = 0; i < CELLS; i++) {
                row[i] = 0;
                for (size_t k = 0; k < f.rank; k++)
                    row[i] += (double)(f.left[i * f.rank + k] * f.right[j * f.rank + k]);
                beyond += fabs(row[i]) > links.clip;
            }
            for (uint64_t e = f.ptr[j]; e < f.ptr[j + 1]; e++) {
                assert_true(e == f.ptr[j] || f.cell[e] > f.cell[e - 1]);
                row[f.cell[e]] += (double)f.val[e];
            }
            for (size_t i = 0; i < CELLS; i++)
                near(row[i], (double)dense[at[i] * s->n + j], "residual", i);
        }
        assert_true(beyond > 1000);
        cm_factored_free(&f);
        cm_free(dense);
        cm_free(row);
    }
}

static void test_similarities(void **state)
{
    (void)state;
    enum { ROWS = 40 };
    size_t width = links.gene.n, size[2] = {ROWS, CELLS};
    struct cm_links_cells cells[2] = {cells_of(0), cells_of(1)};
    float *u = CM_NEW(CELLS * width, float), *w = CM_NEW(CELLS * width, float),
          *s = CM_ZNEW(ROWS * CELLS, float), *again = CM_ZNEW(ROWS * CELLS, float);
    uint64_t at[ROWS];
    for (size_t i = 0; i < ROWS; i++)
        at[i] = CELLS - 1 - 3 * i;
    const uint64_t *const both[2] = {at, NULL};
    cm_links_gene_columns(&links, &x[0], z[0], LDZ, u, width);
    cm_links_peak_columns(&links, &x[1], z[1], LDZ, w, width);
    cm_links_similarities(&links, links.c, cells, both, size, s);
    cm_pool_set_threads(3);
    cm_links_similarities(&links, links.c, cells, both, size, again);
    cm_pool_set_threads(1);
    assert_memory_equal(s, again, sizeof *s * ROWS * CELLS);
    for (size_t i = 0; i < ROWS; i++)
        for (size_t j = 0; j < CELLS; j++) {
            double sum = 0;
            for (size_t k = 0; k < width; k++)
                sum += (double)u[at[i] * width + k] * (double)w[j * width + k];
            near((double)s[i * CELLS + j], sum, "similarity", i * CELLS + j);
        }
    cm_free(u);
    cm_free(w);
    cm_free(s);
    cm_free(again);
}

/* The number of a pair is the same whatever other cells are asked for: the tables of train/term.c
 * and its mini-batches rely on it. */
static void test_same_pair(void **state)
{
    (void)state;
    enum { SOME = 90 };
    size_t all[2] = {CELLS, CELLS}, few[2] = {SOME, SOME};
    struct cm_links_cells cells[2] = {cells_of(0), cells_of(1)};
    float *whole = CM_ZNEW(CELLS * CELLS, float), *part = CM_ZNEW(SOME * SOME, float);
    uint64_t at[2][SOME];
    for (size_t i = 0; i < SOME; i++) {
        at[0][i] = CELLS - 1 - 7 * i;
        at[1][i] = (i * 409) % CELLS;
    }
    const uint64_t *const none[2] = {NULL, NULL}, *const some[2] = {at[0], at[1]};
    cm_links_similarities(&links, links.c, cells, none, all, whole);
    cm_links_similarities(&links, links.c, cells, some, few, part);
    for (size_t i = 0; i < SOME; i++)
        for (size_t j = 0; j < SOME; j++)
            assert_memory_equal(&part[i * SOME + j], &whole[at[0][i] * CELLS + at[1][j]],
                                sizeof *part);
    cm_free(whole);
    cm_free(part);
}

/* Sums of the whole less those of a part are the sums of the rest. */
static void test_correlations(void **state)
{
    (void)state;
    uint32_t group[CELLS];
    uint64_t rest[CELLS - 500];
    for (size_t i = 0; i < CELLS; i++)
        group[i] = i % 4 == 1;
    for (size_t i = 0; i < CELLS - 500; i++)
        rest[i] = i + 500;
    float *u = residuals(0), *w = residuals(1);
    double *value = CM_NEW(links.n, double), *other = CM_NEW(links.n, double);
    for (size_t groups = 1; groups < 3; groups++) {
        struct cm_links_pairing p = {.gene = &links.gene,
                                     .peak = &links.peak,
                                     .pairs = cm_links_index(&links),
                                     .r = R,
                                     .clip = links.clip,
                                     .cell = {cells_of(0), cells_of(1)},
                                     .group = groups > 1 ? group : NULL,
                                     .groups = groups};
        struct cm_links_sums whole = cm_links_sums_make(&p), part = cm_links_sums_make(&p),
                             own = cm_links_sums_make(&p);
        cm_links_sums_take(&whole, &p, NULL, CELLS);
        cm_links_sums_take(&part, &p, NULL, 500);
        cm_links_sums_take(&own, &p, rest, CELLS - 500);
        cm_links_sums_add(&whole, &p, -1, &part);
        cm_links_correlations(value, &whole, &p);
        cm_links_correlations(other, &own, &p);
        for (size_t j = 0; j < links.gene.n; j++)
            for (uint64_t e = links.ptr[j]; e < links.ptr[j + 1]; e++) {
                double uw = 0, us[2] = {0}, ws[2] = {0}, n[2] = {0};
                for (size_t i = 500; i < CELLS; i++) {
                    double a = (double)u[i * links.gene.n + j],
                           b = (double)w[i * links.peak.n + links.peak_of[e]];
                    size_t of = groups > 1 ? group[i] : 0;
                    uw += a * b;
                    us[of] += a;
                    ws[of] += b;
                    n[of]++;
                }
                for (size_t b = 0; groups > 1 && b < 2; b++)
                    uw -= us[b] * ws[b] / n[b];
                near(value[e], uw / (CELLS - 500), "correlation", e);
                near(other[e], uw / (CELLS - 500), "correlation of the rest", e);
            }
        cm_links_sums_free(&whole);
        cm_links_sums_free(&part);
        cm_links_sums_free(&own);
    }
    cm_free(u);
    cm_free(w);
    cm_free(value);
    cm_free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_residuals),
        cmocka_unit_test(test_similarities),
        cmocka_unit_test(test_same_pair),
        cmocka_unit_test(test_correlations),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
