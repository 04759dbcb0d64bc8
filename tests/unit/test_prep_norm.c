/* Unit test of prep/norm: every method of both catalogues against NumPy and scikit-learn
 * (tests/ref/make_prep.py, which shares no formula with us) to 1e-6 relative, from sparse and
 * from dense input, fitted on all and on some cells, at once and through --like with shuffled
 * columns; and every refusal.  Streams go through the real writer and reader, so that what is
 * compared is what a following tool would see.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "prep/norm.h"
#include "ref.h"

static const char fixture[] = "tests/ref/prep_norm.txt";
static const char *counts = "counts"; /* block of the fixture */
static char path[] = "/tmp/cm_test_prep.XXXXXX", path2[] = "/tmp/cm_test_prep2.XXXXXX";

static int make_files(void **state)
{
    (void)state;
    int a = mkstemp(path), b = mkstemp(path2);
    return close(a) | close(b);
}

static int drop_files(void **state)
{
    (void)state;
    return unlink(path) | unlink(path2);
}

/* How a counts stream is laid out. */
struct layout {
    bool dense;
    size_t chunk;       /* rows a chunk */
    const uint32_t *at; /* column j of the stream is column at[j] of x; NULL = as it is */
};

static struct cm_head counts_head(const struct ref *x, struct layout l)
{
    struct cm_head h = {.kind = CM_MATRIX};
    struct cm_slot *s = cm_head_add_slot(&h, "ATAC");
    s->state = CM_S_COUNTS;
    s->dense = l.dense;
    for (size_t j = 0; j < x->cols; j++) {
        char name[24];
        snprintf(name, sizeof name, "peak%u", l.at ? l.at[j] : (unsigned)j);
        cm_strs_add(&s->cols.names, name);
    }
    struct cm_label *split = cm_head_add_label(&h, "split", CM_T_CAT, -1);
    cm_dict_code(&split->dict, "train");
    cm_dict_code(&split->dict, "test");
    cm_head_add_label(&h, "factor", CM_T_F64, -1);
    return h;
}

static void put_file(const char *to, const struct cm_head *h, struct cm_chunk *chunks, size_t n)
{
    FILE *f = fopen(to, "w");
    assert_non_null(f);
    struct cm_writer *w = cm_writer_make(fileno(f), to, 1);
    assert_int_equal(cm_writer_head(w, h), 0);
    for (size_t k = 0; k < n; k++)
        assert_int_equal(cm_writer_chunk(w, &chunks[k], NULL), 0);
    assert_int_equal(cm_writer_end(w), 0);
    cm_writer_free(w);
    fclose(f);
}

static void fill_chunk(struct cm_chunk *c, const struct cm_head *h, const struct ref *x,
                       const struct ref *train, const struct ref *factor, size_t first,
                       struct layout l)
{
    c->rows = x->rows - first < l.chunk ? x->rows - first : l.chunk;
    c->first = first;
    cm_strs_clear(&c->names);
    for (size_t i = 0; i < c->rows; i++) {
        char name[24];
        snprintf(name, sizeof name, "cell%zu", first + i);
        cm_strs_add(&c->names, name);
    }
    cm_chunk_labels(c, h);
    struct cm_block *b = &c->block[0];
    cm_block_shape(b, l.dense, c->rows, x->cols, c->rows * x->cols, CM_V_F64);
    uint64_t nnz = 0;
    for (size_t i = 0; i < c->rows; i++) {
        c->label[0].cat[i] = train->v[first + i] > 0 ? 0 : 1;
        c->label[1].f[i] = factor->v[first + i];
        for (size_t j = 0; j < x->cols; j++) {
            double v = x->v[(first + i) * x->cols + (l.at ? l.at[j] : j)];
            if (!l.dense && v == 0 && (first + i + j) % 5) /* some zeros are stored */
                continue;
            if (!l.dense)
                b->idx[nnz] = (uint32_t)j;
            ((double *)b->raw)[nnz++] = v;
        }
        if (!l.dense)
            b->ptr[i + 1] = nnz;
    }
    b->nnz = nnz;
}

static void write_counts(const char *to, struct layout l)
{
    struct ref x = ref_load(fixture, counts), train = ref_load(fixture, "train"),
               factor = ref_load(fixture, "factor");
    struct cm_head h = counts_head(&x, l);
    size_t n = 0, max = x.rows / l.chunk + 1;
    struct cm_chunk *c = CM_ZNEW(max, struct cm_chunk);
    for (size_t first = 0; first < x.rows; first += l.chunk)
        fill_chunk(&c[n++], &h, &x, &train, &factor, first, l);
    put_file(to, &h, c, n);
    for (size_t k = 0; k < n; k++)
        cm_chunk_free(&c[k]);
    cm_free(c);
    cm_head_free(&h);
    cm_free(x.v);
    cm_free(train.v);
    cm_free(factor.v);
}

/* Fits (or loads from `like`) and applies; the result, columns in the order of the fixture. */
static double *run(struct cm_norm *n, const char *from, const char *fit, const struct cm_head *like,
                   struct cm_head *out, struct layout l)
{
    struct cm_reader *r;
    assert_int_equal(cm_reader_open(&r, from), 0);
    const struct cm_head *h = cm_reader_head(r);
    assert_int_equal(cm_norm_accepts(h, true), 0);
    struct cm_where where = {0};
    if (fit)
        assert_int_equal(cm_where_parse(&where, fit), 0);
    if (like) {
        assert_int_equal(cm_norm_load(n, like, "like.cms", &h->slot[0]), 0);
    } else {
        assert_int_equal(cm_norm_check(n), 0);
        assert_int_equal(cm_reader_keep(r), 0);
        assert_int_equal(cm_norm_fit(n, r, fit ? &where : NULL), 0);
    }
    cm_head_free(out);
    cm_head_copy(out, h);
    cm_norm_save(n, &out->slot[0]);
    size_t cols = h->slot[0].cols.names.n, row = 0;
    double *y = CM_ZNEW(64 * cols, double);
    struct cm_chunk c = {0};
    int code;
    while ((code = cm_reader_next(r, &c)) > 0) {
        assert_int_equal(cm_norm_apply(n, h, &c), 0);
        struct cm_block *b = &c.block[0];
        const double *v = cm_block_f64(b, &out->slot[0]);
        for (size_t i = 0; i < b->rows; i++, row++)
            for (uint64_t e = b->dense ? i * cols : b->ptr[i];
                 e < (b->dense ? (i + 1) * cols : b->ptr[i + 1]); e++) {
                size_t j = b->dense ? e - i * cols : b->idx[e];
                y[row * cols + (l.at ? l.at[j] : j)] = v[e];
            }
    }
    assert_int_equal(code, 0);
    cm_chunk_free(&c);
    cm_reader_close(r);
    cm_where_free(&where);
    return y;
}

static void compare(const char *name, const double *y)
{
    struct ref want = ref_load(fixture, name);
    for (size_t k = 0; k < want.rows * want.cols; k++)
        if (!(fabs(y[k] - want.v[k]) <= 1e-6 * fabs(want.v[k])))
            fail_msg("%s: row %zu, column %zu: %.12g, expected %.12g", name, k / want.cols,
                     k % want.cols, y[k], want.v[k]);
    cm_free(want.v);
}

static const uint32_t shuffled[13] = {7, 2, 12, 0, 5, 9, 1, 11, 3, 10, 4, 8, 6};

/* One method, all layouts, `name` without its variant. */
static void check_method(const struct cm_norm *wish, const char *name, const char *variant,
                         const char *fit)
{
    char full[80];
    snprintf(full, sizeof full, "%s.%s", name, variant);
    struct cm_head out = {0};
    for (int k = 0; k < 4; k++) {
        struct layout l = {k & 1, k & 2 ? 5 : 100, NULL};
        write_counts(path, l);
        struct cm_norm n = *wish;
        double *y = run(&n, path, fit, NULL, &out, l);
        compare(full, y);
        assert_int_equal(n.rows, 16);
        assert_int_equal(n.empty, strcmp(counts, "counts") == 0);
        cm_free(y);
        cm_norm_free(&n);
    }
    /* the same constants, other columns order, nothing known but the fit */
    struct layout l = {false, 7, shuffled};
    write_counts(path2, l);
    struct cm_norm n = {.tool = wish->tool, .table = wish->table, .scale = NAN};
    struct cm_head again = {0};
    double *y = run(&n, path2, NULL, &out, &again, l);
    compare(full, y);
    assert_int_equal(again.slot[0].state, out.slot[0].state);
    assert_true(cm_strs_equal(&again.slot[0].fit.value, &out.slot[0].fit.value));
    assert_int_equal(again.slot[0].lazy, out.slot[0].lazy);
    cm_free(y);
    cm_norm_free(&n);
    cm_head_free(&again);
    cm_head_free(&out);
}

static void lognorm_equals_numpy(void **state)
{
    (void)state;
    static const char *const names[][3] = {/* fixture, method, label */
                                           {"seurat", "lognorm", NULL},
                                           {"scanpy", "scanpy", NULL},
                                           {"scanpy-median-all", "scanpy", NULL},
                                           {"scran", "scran", NULL},
                                           {"scran-label", "scran", "factor"},
                                           {"size-factors", "size-factors", "factor"},
                                           {"cpm", "rc", NULL},
                                           {"sqrt", "sqrt", NULL},
                                           {"exclude-high", "exclude-high", NULL},
                                           {"shifted-log", "shifted-log", NULL},
                                           {"shifted-log2", "shifted-log", NULL},
                                           {"pflog", "pflog", NULL}};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        struct cm_norm n = {.tool = "lognorm",
                            .table = cm_lognorm_methods,
                            .method = cm_norm_find(cm_lognorm_methods, names[k][1]),
                            .scale = NAN,
                            .label = names[k][2],
                            .median_all = k == 2};
        if (k == 8)
            n.param = "max-fraction", n.value = .5;
        if (k == 10)
            n.param = "overdispersion", n.value = .2;
        char name[80];
        snprintf(name, sizeof name, "lognorm.%s", names[k][0]);
        check_method(&n, name, "all", NULL);
        check_method(&n, name, "train", "split=train");
    }
}

static void tfidf_equals_numpy(void **state)
{
    (void)state;
    for (const struct cm_norm_method *m = cm_tfidf_methods; m->name; m++) {
        struct cm_norm n = {.tool = "tfidf", .table = cm_tfidf_methods, .method = m, .scale = NAN};
        char name[80];
        snprintf(name, sizeof name, "tfidf.%s", m->name);
        check_method(&n, name, "all", NULL);
        check_method(&n, name, "train", "split=train");
        n.binarize = true;
        check_method(&n, name, "bin", NULL);
    }
}

static void tfidf_flags_equal_sklearn(void **state)
{
    (void)state;
    static const struct {
        const char *name, *method;
        enum cm_norm_unit norm;
        bool sublinear, lazy;
    } t[] = {{"sklearn-sublinear", "sklearn", 0, true, true},
             {"sklearn-l1", "sklearn", CM_UNIT_L1, false, true},
             {"sklearn-none", "sklearn", CM_UNIT_NONE, false, true},
             {"signac2-l2", "signac2", CM_UNIT_L2, false, true},
             {"signac1-l2", "signac1", CM_UNIT_L2, false, false},
             {"signac3-l1", "signac3", CM_UNIT_L1, false, false}};
    for (size_t k = 0; k < sizeof t / sizeof *t; k++) {
        struct cm_norm n = {.tool = "tfidf",
                            .table = cm_tfidf_methods,
                            .method = cm_norm_find(cm_tfidf_methods, t[k].method),
                            .scale = NAN,
                            .norm = t[k].norm,
                            .sublinear = t[k].sublinear};
        char name[80];
        snprintf(name, sizeof name, "tfidf.%s", t[k].name);
        assert_int_equal(cm_norm_lazy(&n), t[k].lazy);
        check_method(&n, name, "all", NULL);
        check_method(&n, name, "train", "split=train");
        n.binarize = true;
        check_method(&n, name, "bin", NULL);
    }
}

static void clr_equals_scipy(void **state)
{
    (void)state;
    for (const struct cm_norm_method *m = cm_clr_methods; m->name; m++) {
        struct cm_norm n = {.tool = "clr", .table = cm_clr_methods, .method = m, .scale = NAN};
        char name[80];
        snprintf(name, sizeof name, "clr.%s", m->name);
        counts = m->positive ? "ones-more" : "counts";
        check_method(&n, name, "all", NULL);
        check_method(&n, name, "train", "split=train");
    }
    counts = "counts";
}

/* The logarithm of a zero is refused by name, in a row, in the fit and unstored. */
static void plain_clr_refuses_zeros(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++) {
        write_counts(path, (struct layout){k & 1, 100, NULL});
        struct cm_reader *r;
        assert_int_equal(cm_reader_open(&r, path), 0);
        struct cm_norm n = {
            .tool = "clr",
            .table = cm_clr_methods,
            .method = cm_norm_find(cm_clr_methods, k & 2 ? "plain-cells" : "plain-features"),
            .scale = NAN};
        cm_reader_keep(r);
        int code = cm_norm_fit(&n, r, NULL);
        struct cm_chunk c = {0};
        if (k & 2) {
            assert_int_equal(code, 0);
            assert_int_equal(cm_reader_next(r, &c), 1);
            code = cm_norm_apply(&n, cm_reader_head(r), &c);
        }
        assert_int_equal(code, CM_EINPUT);
        assert_non_null(strstr(cm_error_message(), "expected a count above 0"));
        assert_non_null(strstr(cm_error_message(), "row \"cell"));
        cm_chunk_free(&c);
        cm_norm_free(&n);
        cm_reader_close(r);
    }
}

static void aliases_find_methods(void **state)
{
    (void)state;
    assert_string_equal(cm_norm_find(cm_tfidf_methods, "stuart")->name, "signac1");
    assert_string_equal(cm_norm_find(cm_tfidf_methods, "archr2")->name, "signac1");
    assert_string_equal(cm_norm_find(cm_tfidf_methods, "10x")->name, "signac4");
    assert_string_equal(cm_norm_find(cm_tfidf_methods, "matchclot")->name, "glue");
    assert_null(cm_norm_find(cm_tfidf_methods, "archr"));
    assert_null(cm_norm_find(cm_tfidf_methods, ""));
    assert_null(cm_norm_find(cm_lognorm_methods, " "));
}

/* A file with one chunk whose entry (1, 2) is `bad`. */
static void write_bad(double bad, bool dense)
{
    struct layout l = {dense, 100, NULL};
    struct ref x = {3, 4, CM_ZNEW(12, double)}, one = {3, 1, CM_NEW(3, double)};
    for (int k = 0; k < 12; k++)
        x.v[k] = 1 + k;
    x.v[6] = bad;
    one.v[0] = one.v[1] = one.v[2] = 1;
    struct cm_head h = counts_head(&x, l);
    struct cm_chunk c = {0};
    fill_chunk(&c, &h, &x, &one, &one, 0, l);
    put_file(path, &h, &c, 1);
    cm_chunk_free(&c);
    cm_head_free(&h);
    cm_free(x.v);
    cm_free(one.v);
}

static void negative_counts_are_refused_by_name(void **state)
{
    (void)state;
    for (int k = 0; k < 4; k++) {
        write_bad(-1, k & 1);
        struct cm_reader *r;
        int code = cm_reader_open(&r, path);
        assert_int_equal(code, 0);
        struct cm_norm n = {
            .tool = "tfidf", .table = cm_tfidf_methods, .method = cm_tfidf_methods, .scale = NAN};
        cm_reader_keep(r);
        code = cm_norm_fit(&n, r, NULL);
        assert_int_equal(code, CM_EINPUT);
        assert_non_null(strstr(cm_error_message(), "\"cell1\", column \"peak2\""));
        assert_non_null(strstr(cm_error_message(), path));
        cm_norm_free(&n);
        cm_reader_close(r);
    }
}

static void tiny_totals_do_not_become_infinite(void **state)
{
    (void)state;
    struct cm_head h = {.kind = CM_MATRIX};
    struct cm_slot *s = cm_head_add_slot(&h, "GEX");
    s->state = CM_S_COUNTS;
    cm_strs_add(&s->cols.names, "g");
    struct cm_chunk c = {.rows = 1};
    cm_strs_add(&c.names, "cell");
    cm_block_shape(&c.block[0], false, 1, 1, 1, CM_V_F64);
    c.block[0].ptr[1] = 1;
    c.block[0].idx[0] = 0;
    *(double *)c.block[0].raw = 1e-290;
    struct cm_norm n = {.tool = "lognorm",
                        .table = cm_lognorm_methods,
                        .method = cm_lognorm_methods,
                        .scale = 1e4,
                        .cells = NAN};
    assert_int_equal(cm_norm_apply(&n, &h, &c), CM_EINPUT);
    cm_norm_free(&n);
    cm_chunk_free(&c);
    cm_head_free(&h);
}

static struct cm_head fitted(const char *method, bool bin, const char *label)
{
    write_counts(path, (struct layout){false, 100, NULL});
    bool log = cm_norm_find(cm_lognorm_methods, method) != NULL;
    struct cm_norm n = {.tool = log ? "lognorm" : "tfidf",
                        .table = log ? cm_lognorm_methods : cm_tfidf_methods,
                        .scale = NAN,
                        .binarize = bin,
                        .label = label};
    n.method = cm_norm_find(n.table, method);
    struct cm_head out = {0};
    cm_free(run(&n, path, NULL, NULL, &out, (struct layout){0}));
    cm_norm_free(&n);
    return out;
}

/* Loads with a wish; the code, and the message holds `word`. */
static void load_says(struct cm_head *like, struct cm_norm wish, const struct cm_slot *in, int code,
                      const char *word)
{
    int got = cm_norm_load(&wish, like, "m.cms", in);
    if (got != code || !strstr(cm_error_message(), word))
        fail_msg("%d (%s), expected %d with %s", got, cm_error_message(), code, word);
    cm_norm_free(&wish);
}

static void like_refuses_what_does_not_fit(void **state)
{
    (void)state;
    struct cm_head like = fitted("signac1", false, NULL);
    struct cm_slot in = {0};
    cm_slot_copy(&in, &like.slot[0]);
    struct cm_norm t = {.tool = "tfidf", .table = cm_tfidf_methods, .scale = NAN}, n = t;
    n.method = cm_norm_find(cm_tfidf_methods, "glue");
    load_says(&like, n, &in, CM_EUSAGE, "contradicts");
    n = t, n.scale = 1e3;
    load_says(&like, n, &in, CM_EUSAGE, "contradicts");
    n = t, n.binarize = true;
    load_says(&like, n, &in, CM_EUSAGE, "--binarize");
    n = t, n.tool = "lognorm", n.table = cm_lognorm_methods;
    load_says(&like, n, &in, CM_EINPUT, "fitted by tfidf");
    struct cm_slot other = {0};
    cm_slot_copy(&other, &in);
    cm_free(other.name);
    other.name = cm_strdup("GEX");
    load_says(&like, t, &other, CM_EINPUT, "no slot GEX");
    cm_strs_add(&other.cols.names, "extra");
    cm_free(other.name);
    other.name = cm_strdup("Peaks"); /* answers to ATAC */
    load_says(&like, t, &other, CM_EINPUT, "\"extra\" of the input is missing in m.cms");
    cm_strs_clear(&other.cols.names);
    cm_strs_add(&other.cols.names, "peak0");
    load_says(&like, t, &other, CM_EINPUT, "\"peak1\" of m.cms is missing in the input");
    for (int k = 0; k < 2; k++)
        cm_strs_add(&other.cols.names, "peak0");
    load_says(&like, t, &other, CM_EINPUT, "occurs twice");
    cm_cols_drop(&like.slot[0].cols, "fit.col");
    load_says(&like, t, &in, CM_EINPUT, "fit.col");
    cm_kv_drop(&like.slot[0].fit, "fit.");
    load_says(&like, t, &in, CM_EINPUT, "no fit");
    cm_head_free(&like);

    /* lognorm needs its fitted columns, and does not mind others */
    like = fitted("sqrt", false, NULL);
    struct cm_norm l = {.tool = "lognorm", .table = cm_lognorm_methods, .scale = NAN};
    n = l, n.label = "factor";
    load_says(&like, n, &in, CM_EUSAGE, "--size-factors");
    cm_strs_clear(&other.cols.names);
    cm_strs_add(&other.cols.names, "peak0"); /* twice, which matters to tfidf alone */
    cm_strs_add(&other.cols.names, "peak0");
    load_says(&like, l, &other, CM_EINPUT, "\"peak1\" of m.cms is missing");
    cm_strs_add(&in.cols.names, "extra");
    assert_int_equal(cm_norm_load(&l, &like, "m.cms", &in), 0);
    assert_true(l.scale > 0);
    cm_norm_free(&l);
    struct cm_head h[2] = {like, fitted("size-factors", false, "factor")};
    for (int k = 0; k < 2; k++)
        cm_head_free(&h[k]);
    for (int k = 0; k < 2; k++) {
        struct cm_slot *s = k ? &other : &in;
        cm_free(s->name);
        cm_cols_free(&s->cols);
        cm_kv_free(&s->fit);
    }
}

static void options_that_do_not_go_together(void **state)
{
    (void)state;
    struct cm_norm n = {.tool = "lognorm", .table = cm_lognorm_methods, .scale = NAN};
    n.method = cm_norm_find(n.table, "size-factors");
    assert_int_equal(cm_norm_check(&n), CM_EUSAGE);
    n.label = "f";
    assert_int_equal(cm_norm_check(&n), 0);
    n.scale = 1;
    assert_int_equal(cm_norm_check(&n), CM_EUSAGE);
    n.scale = NAN, n.method = cm_norm_find(n.table, "seurat");
    assert_int_equal(cm_norm_check(&n), CM_EUSAGE);
    n.label = NULL, n.median_all = true;
    assert_int_equal(cm_norm_check(&n), CM_EUSAGE);
    n.method = cm_norm_find(n.table, "scanpy");
    assert_int_equal(cm_norm_check(&n), 0);
    n.scale = 1e4;
    assert_int_equal(cm_norm_check(&n), CM_EUSAGE);
}

static void states_are_distinguished(void **state)
{
    (void)state;
    struct cm_head h = {.kind = CM_MATRIX};
    cm_head_add_slot(&h, "GEX")->state = CM_S_COUNTS;
    assert_int_equal(cm_norm_accepts(&h, false), 0);
    h.slot[0].lazy = CM_LAZY_LOG1P;
    assert_int_equal(cm_norm_accepts(&h, false), CM_EINPUT);
    h.slot[0].lazy = CM_LAZY_NO;
    h.slot[0].state = CM_S_BINARY;
    assert_int_equal(cm_norm_accepts(&h, false), CM_EINPUT);
    assert_int_equal(cm_norm_accepts(&h, true), 0);
    h.slot[0].state = CM_S_TFIDF;
    assert_int_equal(cm_norm_accepts(&h, true), CM_EINPUT);
    assert_string_equal(cm_error_message(), "already normalised (state tfidf)");
    for (int s = CM_S_UNKNOWN; s <= CM_S_PROBABILITY; s++)
        if (s != CM_S_COUNTS && s != CM_S_BINARY) {
            h.slot[0].state = (enum cm_state)s;
            assert_int_equal(cm_norm_accepts(&h, true), CM_EINPUT);
        }
    h.kind = CM_EMBEDDING;
    assert_int_equal(cm_norm_accepts(&h, true), CM_EINPUT);
    cm_head_free(&h);
}

static void no_cells_and_even_columns(void **state)
{
    (void)state;
    for (const struct cm_norm_method *m = cm_tfidf_methods; m->name; m++)
        for (int n = 0; n < 3; n++) /* finite for every N, C, d */
            for (int d = 0; d <= n; d++) {
                assert_true(!m->col || isfinite(m->col(n, d, d)));
                assert_true(!m->post || isfinite(m->post(n, d, d)));
            }
    struct ref x = {2, 2, CM_NEW(4, double)}, one = {2, 1, CM_NEW(2, double)};
    x.v[0] = x.v[1] = x.v[2] = x.v[3] = one.v[0] = one.v[1] = 1;
    struct layout l = {false, 10, NULL};
    struct cm_head h = counts_head(&x, l), out = {0};
    struct cm_chunk c = {0};
    fill_chunk(&c, &h, &x, &one, &one, 0, l);
    for (int rows = 2; rows >= 0; rows -= 2) {
        put_file(path, &h, &c, rows ? 1 : 0);
        struct cm_norm n = {.tool = "tfidf",
                            .table = cm_tfidf_methods,
                            .method = cm_norm_find(cm_tfidf_methods, "snapatac2"),
                            .scale = NAN};
        double *y = run(&n, path, NULL, NULL, &out, l);
        assert_int_equal(n.rows, rows);
        for (int k = 0; k < 2 * rows; k++) /* all d equal: weight 1, unit length */
            assert_true(fabs(y[k] - sqrt(.5)) < 1e-6);
        cm_free(y);
        cm_norm_free(&n);
    }
    cm_chunk_free(&c);
    cm_head_free(&h);
    cm_head_free(&out);
    cm_free(x.v);
    cm_free(one.v);
}

static void size_factors_must_be_positive(void **state)
{
    (void)state;
    static const double bad[] = {0, -1, NAN, INFINITY};
    struct ref x = {1, 1, (double[]){3}}, one = {1, 1, (double[]){1}};
    struct layout l = {false, 1, NULL};
    struct cm_head h = counts_head(&x, l);
    for (int k = 0; k < 4; k++) {
        struct ref f = {1, 1, (double[]){bad[k]}};
        struct cm_chunk c = {0};
        fill_chunk(&c, &h, &x, &one, &f, 0, l);
        struct cm_norm n = {.tool = "lognorm",
                            .table = cm_lognorm_methods,
                            .method = cm_norm_find(cm_lognorm_methods, "size-factors"),
                            .scale = NAN,
                            .label = "factor",
                            .label_at = -1};
        assert_int_equal(cm_norm_apply(&n, &h, &c), CM_EINPUT);
        assert_non_null(strstr(cm_error_message(), "\"cell0\""));
        n.label = "split", n.label_at = -1;
        assert_int_equal(cm_norm_apply(&n, &h, &c), CM_EINPUT);
        n.label = "nix", n.label_at = -1;
        assert_int_equal(cm_norm_apply(&n, &h, &c), CM_EINPUT);
        cm_norm_free(&n);
        cm_chunk_free(&c);
    }
    cm_head_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lognorm_equals_numpy),
        cmocka_unit_test(tfidf_equals_numpy),
        cmocka_unit_test(tfidf_flags_equal_sklearn),
        cmocka_unit_test(clr_equals_scipy),
        cmocka_unit_test(plain_clr_refuses_zeros),
        cmocka_unit_test(aliases_find_methods),
        cmocka_unit_test(negative_counts_are_refused_by_name),
        cmocka_unit_test(tiny_totals_do_not_become_infinite),
        cmocka_unit_test(like_refuses_what_does_not_fit),
        cmocka_unit_test(options_that_do_not_go_together),
        cmocka_unit_test(states_are_distinguished),
        cmocka_unit_test(no_cells_and_even_columns),
        cmocka_unit_test(size_factors_must_be_positive),
    };
    return cmocka_run_group_tests(tests, make_files, drop_files);
}
