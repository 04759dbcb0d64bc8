/* The linear model against NumPy (tests/ref/make_linear.py): LSI, CCA, peak-gene term, S0. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "train/train.h"
#include "ref.h"

#define REF "tests/ref/model_linear.txt"

struct fixture {
    size_t n, m, k, q, r;
    struct cm_links_fit_config links;
    double ridge;
    struct cm_train_data data;
};

/* Rows from..to-1 of a dense block as CSR, zeros dropped. */
static struct cm_csr sparse(const struct ref *x, size_t from, size_t to)
{
    struct cm_csr m = cm_csr_make(x->cols);
    uint32_t idx[64];
    float val[64];
    for (size_t i = from; i < to; i++) {
        uint64_t ptr[2] = {0, 0};
        for (size_t j = 0; j < x->cols; j++)
            if (x->v[i * x->cols + j] != 0) {
                idx[ptr[1]] = (uint32_t)j;
                val[ptr[1]++] = (float)x->v[i * x->cols + j];
            }
        cm_csr_append(&m, 1, ptr, idx, val);
    }
    return m;
}

/* Genes are placed by tss on chrN, peaks by start and end on N: one genome, two ways to write
 * it. */
static void table(struct cm_cols *t, size_t side)
{
    struct ref chrom = ref_load(REF, side ? "chrom2" : "chrom1"),
               at = ref_load(REF, side ? "middle" : "tss");
    char name[40];
    for (size_t j = 0; j < chrom.cols; j++) {
        snprintf(name, sizeof name, "%s%zu", side ? "peak" : "gene", j);
        cm_strs_add(&t->names, name);
    }
    struct cm_vec *c = cm_cols_vec(t, "chrom", CM_T_STR);
    cm_strs_clear(&c->s);
    for (size_t j = 0; j < chrom.cols; j++) {
        snprintf(name, sizeof name, "%s%.0f", side ? "" : "chr", chrom.v[j]);
        cm_strs_add(&c->s, name);
    }
    int64_t *start = cm_cols_vec(t, "start", CM_T_I64)->i;
    for (size_t j = 0; j < at.cols; j++)
        start[j] = side ? (int64_t)at.v[j] - 30 : 0;
    int64_t *other = cm_cols_vec(t, side ? "end" : "tss", CM_T_I64)->i;
    for (size_t j = 0; j < at.cols; j++)
        other[j] = (int64_t)at.v[j] + (side ? 30 : 0);
    cm_free(chrom.v);
    cm_free(at.v);
}

static void load(struct fixture *f, bool groups)
{
    memset(f, 0, sizeof *f);
    struct ref s = ref_load(REF, "sizes"), o = ref_load(REF, "options"), g = ref_load(REF, "group");
    f->n = (size_t)s.v[0];
    f->m = (size_t)s.v[1];
    f->k = (size_t)s.v[2];
    f->q = (size_t)s.v[3];
    f->r = (size_t)s.v[4];
    f->ridge = o.v[1];
    f->links = (struct cm_links_fit_config){.window = (int64_t)o.v[0],
                                            .components = (int64_t)f->r,
                                            .ridge = o.v[2],
                                            .clip = o.v[3],
                                            .threshold = o.v[4],
                                            .sd = o.v[5]};
    struct cm_train_data *d = &f->data;
    d->head.kind = CM_PAIRS;
    for (size_t side = 0; side < 2; side++) {
        struct cm_slot *slot = cm_head_add_slot(&d->head, side ? "ATAC" : "GEX");
        table(&slot->cols, side);
        struct ref x = ref_load(REF, side ? "x2" : "x1");
        d->part[0].x[side] = sparse(&x, 0, f->m);
        d->part[1].x[side] = sparse(&x, f->m, f->n);
        cm_free(x.v);
    }
    for (size_t i = 0; i < f->n; i++) {
        char name[24];
        snprintf(name, sizeof name, "c%zu", i);
        cm_strs_add(&d->part[i >= f->m].names, name);
    }
    if (groups) {
        d->part[0].group = CM_NEW(f->m, uint32_t);
        for (size_t i = 0; i < f->m; i++)
            d->part[0].group[i] = (uint32_t)g.v[i];
        d->groups = 3;
    }
    cm_free(s.v);
    cm_free(o.v);
    cm_free(g.v);
}

static void near(double found, double expected, double tolerance, const char *what, size_t at)
{
    if (!(fabs(found - expected) <= tolerance))
        fail_msg("%s[%zu]: expected %.9g, found %.9g", what, at, expected, found);
}

static struct cm_config settings(const struct fixture *f, double scale)
{
    return (struct cm_config){.linear = {.on = true,
                                         .k = (int64_t)f->k,
                                         .q = (int64_t)f->q,
                                         .scale = scale,
                                         .tolerance = 1e-4,
                                         .ridge = f->ridge},
                              .links = {.fit = f->links}};
}

static void train_scaled(struct fixture *f, double scale, bool links, struct cm_model *m)
{
    struct cm_config c = settings(f, scale);
    c.links.on = links;
    c.seed = 1;
    struct cm_train_options o = {.config = &c};
    assert_int_equal(cm_train(m, &f->data, &o, NULL), 0);
}

static void train(struct fixture *f, bool links, struct cm_model *m)
{
    train_scaled(f, 0, links, m);
}

static void compare_s0(struct fixture *f, const struct cm_model *m, const char *name)
{
    struct ref want = ref_load(REF, name);
    float *s = CM_NEW(want.rows * want.cols, float);
    const struct cm_csr *const x[2] = {&f->data.part[1].x[0], &f->data.part[1].x[1]};
    cm_model_similarities(m, x, s);
    for (size_t i = 0; i < want.rows * want.cols; i++)
        near((double)s[i], want.v[i], 2e-5, name, i);
    cm_free(s);
    cm_free(want.v);
}

static void compare_links(const struct cm_links *c, const char *name)
{
    char block[40];
    snprintf(block, sizeof block, "%s.c", name);
    struct ref want = ref_load(REF, block);
    double *found = CM_ZNEW(want.rows * want.cols, double);
    for (size_t g = 0; g < c->gene.n; g++)
        for (uint64_t k = c->ptr[g]; k < c->ptr[g + 1]; k++)
            found[c->gene.feature[g] * want.cols + c->peak.feature[c->peak_of[k]]] =
                (double)c->c[k];
    for (size_t i = 0; i < want.rows * want.cols; i++) {
        near(found[i], want.v[i], 1e-5, block, i);
        assert_int_equal(found[i] != 0, want.v[i] != 0);
    }
    cm_free(found);
    cm_free(want.v);
    snprintf(block, sizeof block, "%s.mu", name);
    want = ref_load(REF, block);
    near(c->mu / want.v[0], 1, 1e-4, block, 0);
    cm_free(want.v);
}

static void linear_case(double scale, const char *corr_name, const char *s0_name)
{
    struct fixture f;
    struct cm_model m;
    load(&f, false);
    train_scaled(&f, scale, false, &m);
    assert_false(m.has_links);
    struct ref corr = ref_load(REF, corr_name);
    for (size_t i = 0; i < f.q; i++)
        near(m.linear.corr[i], corr.v[i], 1e-5, corr_name, i);
    cm_free(corr.v);
    compare_s0(&f, &m, s0_name);
    cm_model_free(&m);
    cm_train_data_free(&f.data);
}

static void test_linear(void **state)
{
    (void)state;
    linear_case(0, "corr", "linear");
}

/* Features divided by a power of their standard deviation; one of them does not vary. */
static void test_scaled(void **state)
{
    (void)state;
    linear_case(.6, "scaled0.6.corr", "scaled0.6.s0");
    linear_case(1, "scaled1.corr", "scaled1.s0");
}

static void links_case(const char *name, bool groups)
{
    struct fixture f;
    struct cm_model m;
    char block[40];
    load(&f, groups);
    train(&f, true, &m);
    assert_true(m.has_links);
    struct ref candidates = ref_load(REF, "candidates");
    assert_int_equal(m.links.candidates, (uint64_t)candidates.v[0]);
    cm_free(candidates.v);
    compare_links(&m.links, name);
    snprintf(block, sizeof block, "%s.s0", name);
    compare_s0(&f, &m, block);
    cm_model_free(&m);
    cm_train_data_free(&f.data);
}

static void test_links(void **state)
{
    (void)state;
    links_case("plain", false);
}

static void test_links_within(void **state)
{
    (void)state;
    links_case("within", true);
}

/* Same bits for any number of threads, and for a row alone or among others. */
static void test_same_bits(void **state)
{
    (void)state;
    struct fixture f;
    struct cm_model one, four;
    load(&f, true);
    train(&f, true, &one);
    cm_pool_set_threads(4);
    train(&f, true, &four);
    size_t w = cm_model_width(&one), rows = f.m;
    assert_int_equal(w, cm_model_width(&four));
    float *a = CM_NEW(rows * w, float), *b = CM_NEW(rows * w, float), *c = CM_NEW(w, float);
    for (size_t side = 0; side < 2; side++) {
        cm_model_embed(&four, side, &f.data.part[0].x[side], a);
        cm_pool_set_threads(1);
        cm_model_embed(&one, side, &f.data.part[0].x[side], b);
        assert_memory_equal(a, b, rows * w * sizeof *a);
        for (uint64_t i = 0; i < rows; i += 7) {
            struct cm_csr row = cm_csr_rows(&f.data.part[0].x[side], &i, 1);
            cm_model_embed(&one, side, &row, c);
            assert_memory_equal(c, a + i * w, w * sizeof *c);
            cm_csr_free(&row);
        }
        cm_pool_set_threads(4);
    }
    cm_pool_set_threads(1);
    cm_free(a);
    cm_free(b);
    cm_free(c);
    cm_model_free(&one);
    cm_model_free(&four);
    cm_train_data_free(&f.data);
}

/* More components than the data allow are lowered; cells that do not vary are refused. */
static void test_small(void **state)
{
    (void)state;
    struct fixture f;
    struct cm_model m;
    load(&f, false);
    f.k = 500;
    f.q = 400;
    train(&f, true, &m);
    assert_int_equal(m.linear.k, 24);
    assert_int_equal(m.linear.q, 24);
    assert_string_equal(cm_kv_get(&m.head.kv, "hp.k"), "24");
    cm_model_free(&m);

    struct cm_config c = settings(&f, 0);
    c.linear.k = c.linear.q = 3;
    struct cm_train_options o = {.config = &c};
    struct cm_csr keep = f.data.part[0].x[1], same = cm_csr_make(keep.cols);
    uint64_t first = 0;
    struct cm_csr row = cm_csr_rows(&keep, &first, 1);
    for (size_t i = 0; i < f.m; i++)
        cm_csr_append(&same, 1, row.ptr, row.idx, row.val);
    f.data.part[0].x[1] = same;
    assert_int_equal(cm_train(&m, &f.data, &o, NULL), CM_ENUMERIC);
    cm_model_free(&m);
    cm_csr_free(&row);
    cm_csr_free(&same);
    f.data.part[0].x[1] = keep;
    cm_train_data_free(&f.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_linear),    cmocka_unit_test(test_scaled),
        cmocka_unit_test(test_links),     cmocka_unit_test(test_links_within),
        cmocka_unit_test(test_same_bits), cmocka_unit_test(test_small),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
