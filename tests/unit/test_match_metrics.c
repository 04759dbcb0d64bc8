/* Metrics against an independent transcription (tests/ref/make_match.py), the competition's
 * published numbers, and pairings. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/error.h"
#include "base/pool.h"
#include "base/rng.h"
#include "match/groups.h"
#include "match/metrics.h"
#include "match/reliability.h"
#include "ref.h"

#define REF "tests/ref/match.txt"

static void near_to(double a, double b, double tolerance)
{
    if (isnan(a) && isnan(b))
        return;
    if (!(fabs(a - b) <= tolerance))
        fail_msg("%.17g and %.17g differ by more than %g", a, b, tolerance);
}

static struct cm_pairs pairs_of(const double *partner, size_t rows, size_t cols)
{
    struct cm_pairs p = {.rows = rows, .cols = cols};
    p.col_of_row = CM_NEW(rows, uint32_t);
    p.row_of_col = CM_NEW(cols, uint32_t);
    for (size_t j = 0; j < cols; j++)
        p.row_of_col[j] = CM_UNPAIRED;
    for (size_t i = 0; i < rows; i++) {
        p.col_of_row[i] = partner[i] < 0 ? CM_UNPAIRED : (uint32_t)partner[i];
        if (partner[i] < 0)
            continue;
        p.row_of_col[(size_t)partner[i]] = (uint32_t)i;
        p.n++;
    }
    return p;
}

static struct cm_csr csr_of(const struct ref *entries, size_t rows, size_t cols)
{
    struct cm_csr m = {.rows = rows, .cols = cols};
    m.ptr = CM_ZNEW(rows + 1, uint64_t);
    m.idx = CM_NEW(entries->rows, uint32_t);
    m.val = CM_NEW(entries->rows, float);
    for (size_t k = 0; k < entries->rows; k++) {
        m.ptr[(size_t)entries->v[3 * k] + 1]++;
        m.idx[k] = (uint32_t)entries->v[3 * k + 1];
        m.val[k] = (float)entries->v[3 * k + 2];
    }
    for (size_t i = 0; i < rows; i++)
        m.ptr[i + 1] += m.ptr[i];
    return m;
}

static void free_csr(struct cm_csr *m)
{
    cm_free(m->ptr);
    cm_free(m->idx);
    cm_free(m->val);
}

static struct ref part(const char *name, const char *what)
{
    char text[64];
    snprintf(text, sizeof text, "%s.%s", name, what);
    return ref_load(REF, text);
}

static void check_reliability(const char *name, const struct cm_csr *m,
                              const struct cm_pairs *truth)
{
    struct ref want = part(name, "reliability"), bins = part(name, "bins");
    struct cm_reliability r, three;
    cm_match_reliability(m, truth, &r);
    const double got[] = {(double)r.cells, r.ece,         r.ece_error, r.ece_by_chance,
                          r.brier,         r.brier_error, r.log_loss,  r.log_loss_error};
    for (size_t k = 0; k < sizeof got / sizeof *got; k++)
        near_to(got[k], want.v[k], 1e-12);
    for (size_t b = 0; b < CM_RELIABILITY_BINS; b++) {
        near_to((double)r.bin[b].cells, bins.v[4 * b], 0);
        near_to(r.bin[b].claimed, bins.v[4 * b + 1], 1e-12);
        near_to(r.bin[b].right, bins.v[4 * b + 2], 1e-12);
        near_to(r.bin[b].error, bins.v[4 * b + 3], 1e-12);
    }
    cm_pool_set_threads(3);
    cm_match_reliability(m, truth, &three);
    cm_pool_set_threads(1);
    assert_memory_equal(&r.bin, &three.bin, sizeof r.bin);
    assert_memory_equal(&r.ece, &three.ece, sizeof r.ece);
    assert_memory_equal(&r.log_loss, &three.log_loss, sizeof r.log_loss);
    cm_free(want.v);
    cm_free(bins.v);
}

static void check_case(const char *name)
{
    struct ref entries = part(name, "entries"), shape = part(name, "shape");
    struct ref partner = part(name, "partner"), codes = part(name, "codes");
    struct ref want = part(name, "expected");
    size_t rows = (size_t)shape.v[0], cols = (size_t)shape.v[1];
    struct cm_csr m = csr_of(&entries, rows, cols);
    struct cm_pairs truth = pairs_of(partner.v, rows, cols);
    struct cm_probability p;
    cm_match_probability(&m, &truth, &p);
    near_to(p.soft, want.v[0], 1e-12);
    near_to(p.filled, want.v[1], 1e-12);
    near_to(p.hard, want.v[2], 1e-12);
    near_to((double)p.empty, want.v[3], 0);
    struct cm_ranks forward, reverse;
    cm_match_ranks(&m, &truth, &forward, &reverse);
    for (size_t k = 0; k < 3; k++) {
        near_to(forward.top[k], want.v[4 + k], 1e-12);
        near_to(reverse.top[k], want.v[8 + k], 1e-12);
    }
    near_to(forward.median, want.v[7], 1e-12);
    near_to(reverse.median, want.v[11], 1e-12);
    struct cm_ranks forward3, reverse3;
    cm_pool_set_threads(3); /* each shard counts for itself: MODE=tsan sees one that does not */
    cm_match_ranks(&m, &truth, &forward3, &reverse3);
    cm_pool_set_threads(1);
    assert_memory_equal(&forward, &forward3, sizeof forward);
    assert_memory_equal(&reverse, &reverse3, sizeof reverse);
    double aupr, auroc, aupr3, auroc3;
    cm_match_curves(&m, &truth, &aupr, &auroc);
    near_to(aupr, want.v[12], 1e-12);
    near_to(auroc, want.v[13], 1e-12);
    cm_pool_set_threads(3);
    cm_match_curves(&m, &truth, &aupr3, &auroc3);
    cm_pool_set_threads(1);
    near_to(aupr, aupr3, 0);
    near_to(auroc, auroc3, 0);
    uint32_t *a = CM_NEW(rows, uint32_t), *b = CM_NEW(cols, uint32_t);
    for (size_t i = 0; i < rows; i++)
        a[i] = codes.v[i] < 0 ? CM_GROUP_NONE : (uint32_t)codes.v[i];
    for (size_t j = 0; j < cols; j++)
        b[j] = codes.v[rows + j] < 0 ? CM_GROUP_NONE : (uint32_t)codes.v[rows + j];
    near_to(cm_match_agreement(&m, a, b, NULL), want.v[14], 1e-7);
    check_reliability(name, &m, &truth);
    cm_free(a);
    cm_free(b);
    cm_pairs_free(&truth);
    free_csr(&m);
    cm_free(entries.v);
    cm_free(shape.v);
    cm_free(partner.v);
    cm_free(codes.v);
    cm_free(want.v);
}

static void against_the_transcription(void **state)
{
    (void)state;
    static const char *const names[] = {"three",    "three_permuted", "perfect", "plain",
                                        "negative", "empty_row",      "ties",    "constant"};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        check_case(names[k]);
}

/* The 3 x 3 of the metric's own test; its values are floats here. */
static void published_three(void **state)
{
    (void)state;
    float v[9] = {1, .1f, .2f, .3f, .9f, .4f, .5f, .6f, .8f};
    uint32_t idx[9] = {0, 1, 2, 0, 1, 2, 0, 1, 2};
    uint64_t ptr[4] = {0, 3, 6, 9};
    struct cm_csr m = {.rows = 3, .cols = 3, .ptr = ptr, .idx = idx, .val = v};
    double partner[3] = {0, 1, 2};
    struct cm_pairs truth = pairs_of(partner, 3, 3);
    struct cm_probability p;
    double aupr, auroc;
    cm_match_probability(&m, &truth, &p);
    cm_match_curves(&m, &truth, &aupr, &auroc);
    near_to(p.soft, 0.5842611336032388, 1e-8);
    near_to(aupr, 1, 1e-12);
    near_to(auroc, 1, 1e-12);
    cm_pairs_free(&truth);
}

/* Every pair is stored, values are near each other, equal, far, and below all true ones: the area
 * under the ROC curve is what counting every (true, wrong) pair gives. */
static void crowded_values(void **state)
{
    (void)state;
    enum { ROWS = 150, ALL = ROWS * ROWS };
    struct cm_rng g = cm_rng_make(4, CM_RNG_TEST, 0, 0);
    struct cm_csr m = cm_csr_make(ROWS);
    uint32_t idx[ROWS];
    uint64_t ptr[2] = {0, ROWS};
    float v[ROWS];
    double partner[ROWS], sum = 0, auroc, aupr;
    for (uint32_t j = 0; j < ROWS; j++)
        idx[j] = j;
    for (size_t i = 0; i < ROWS; i++) {
        partner[i] = (double)i;
        for (size_t j = 0; j < ROWS; j++) {
            double u = cm_rng_uniform(&g), w = cm_rng_uniform(&g);
            v[j] = (float)(u < .5   ? .5 + floor(99 * w) * 0x1p-23
                           : u < .6 ? -w
                           : u < .7 ? 1e-9 * w
                                    : 40 * w);
        }
        v[i] = (float)(cm_rng_uniform(&g) < .5 ? .5 + floor(99 * cm_rng_uniform(&g)) * 0x1p-23
                                               : 30 * cm_rng_uniform(&g));
        cm_csr_append(&m, 1, ptr, idx, v);
    }
    for (size_t i = 0; i < ROWS; i++)
        for (size_t k = 0; k < ALL; k++) {
            float own = m.val[i * ROWS + i];
            if (k / ROWS != k % ROWS)
                sum += own > m.val[k] ? 1 : own < m.val[k] ? 0 : .5;
        }
    struct cm_pairs truth = pairs_of(partner, ROWS, ROWS);
    cm_match_curves(&m, &truth, &aupr, &auroc);
    near_to(auroc, sum / ((double)ROWS * (ALL - ROWS)), 1e-12);
    cm_pairs_free(&truth);
    cm_csr_free(&m);
}

enum { N = 20009 };

/* dummy_constant: the first 1000 columns 1/1000.  Published: 4.99775101204458e-05, .49998,
 * 4.995e-5; the areas there are of one random order of equals, ours are expectations. */
static void published_constant(void **state)
{
    (void)state;
    struct cm_csr m = {.rows = N, .cols = N};
    m.ptr = CM_NEW(N + 1, uint64_t);
    m.idx = CM_NEW(N * 1000, uint32_t);
    m.val = CM_NEW(N * 1000, float);
    for (size_t k = 0; k < (size_t)N * 1000; k++) {
        m.idx[k] = (uint32_t)(k % 1000);
        m.val[k] = 1e-3f;
    }
    for (size_t i = 0; i <= N; i++)
        m.ptr[i] = 1000 * i;
    double *partner = CM_NEW(N, double);
    for (size_t i = 0; i < N; i++)
        partner[i] = (double)((i * 7919 + 13) % N);
    struct cm_pairs truth = pairs_of(partner, N, N);
    assert_int_equal(truth.n, N);
    struct cm_probability p;
    struct cm_format format;
    double aupr, auroc;
    cm_match_probability(&m, &truth, &p);
    cm_match_curves(&m, &truth, &aupr, &auroc);
    cm_match_format(&m, &truth, &format);
    near_to(p.soft, 4.99775101204458e-05, 1e-16);
    near_to(p.hard, 1.0 / N, 1e-16);
    near_to(auroc, 0.49998, 3e-5);
    near_to(aupr, 4.995e-5, 1e-7);
    assert_true(format.official && format.paper);
    near_to(cm_match_chance(&truth, NULL, NULL), 1.0 / N, 1e-18);
    cm_free(partner);
    cm_pairs_free(&truth);
    free_csr(&m);
}

/* dummy_semisolution: the truth with a weight from U(0, 1), and 10 n random entries, rows divided
 * by their sums.  Published (one seed): .09945, .99977, .10713; another seed: .10064, .99977,
 * .10938. */
static void published_semisolution(void **state)
{
    (void)state;
    struct cm_rng g = cm_rng_make(3, CM_RNG_TEST, 0, 0);
    unsigned char *used = CM_ZNEW(N, unsigned char);
    uint32_t *at = CM_NEW(12 * N, uint32_t);
    struct cm_csr m = {.rows = N, .cols = N};
    m.ptr = CM_ZNEW(N + 1, uint64_t);
    uint32_t *extra = CM_ZNEW(N, uint32_t); /* entries that fall into each row */
    for (size_t k = 0; k < (size_t)10 * N; k++)
        extra[cm_rng_below(&g, N)]++;
    m.idx = CM_NEW(12 * N, uint32_t);
    m.val = CM_NEW(12 * N, float);
    for (size_t i = 0; i < N; i++) {
        size_t n = 0;
        at[n++] = (uint32_t)i;
        used[i] = 1;
        while (n < 1 + (size_t)extra[i]) {
            uint32_t j = (uint32_t)cm_rng_below(&g, N);
            if (!used[j])
                at[n++] = j;
            used[j] = 1;
        }
        m.ptr[i + 1] = m.ptr[i];
        for (size_t j = 0; j < n; j++) { /* insertion by column */
            uint64_t k = m.ptr[i + 1]++;
            for (; k > m.ptr[i] && m.idx[k - 1] > at[j]; k--) {
                m.idx[k] = m.idx[k - 1];
                m.val[k] = m.val[k - 1];
            }
            m.idx[k] = at[j];
            m.val[k] = (float)cm_rng_uniform(&g);
            used[at[j]] = 0;
        }
        float sum = 0;
        for (uint64_t k = m.ptr[i]; k < m.ptr[i + 1]; k++)
            sum += m.val[k];
        for (uint64_t k = m.ptr[i]; k < m.ptr[i + 1]; k++)
            m.val[k] /= sum;
    }
    double *partner = CM_NEW(N, double);
    for (size_t i = 0; i < N; i++)
        partner[i] = (double)i;
    struct cm_pairs truth = pairs_of(partner, N, N);
    struct cm_probability p;
    double aupr, auroc;
    cm_match_probability(&m, &truth, &p);
    cm_match_curves(&m, &truth, &aupr, &auroc);
    near_to(p.soft, .10005, .003);
    near_to(auroc, .99977, .00005);
    near_to(aupr, .108, .004);
    cm_free(used);
    cm_free(at);
    cm_free(extra);
    cm_free(partner);
    cm_pairs_free(&truth);
    free_csr(&m);
}

static struct cm_dense dense_of(const struct ref *r)
{
    struct cm_dense d = cm_dense_make(r->rows, r->cols);
    for (size_t k = 0; k < r->rows * r->cols; k++)
        d.v[k] = (float)r->v[k];
    return d;
}

static void embeddings(void **state)
{
    (void)state;
    struct ref re = ref_load(REF, "fos.e"), rt = ref_load(REF, "fos.t");
    struct ref partner = ref_load(REF, "fos.partner"), want = ref_load(REF, "fos.expected");
    struct cm_dense e = dense_of(&re), t = dense_of(&rt);
    struct cm_pairs truth = pairs_of(partner.v, e.rows, t.rows);
    double error, chance;
    near_to(cm_foscttm(&e, &t, &truth, &error), want.v[0], 1e-12);
    near_to(error, want.v[1], 1e-12);
    near_to(cm_chunk_probability(&e, &t, &truth, 8, &chance), want.v[2], 1e-6);
    near_to(chance, want.v[3], 1e-12);
    for (size_t k = 0; k < e.rows * e.cols; k++)
        e.v[k] = 1; /* a collapsed model knows nothing, and must not look perfect */
    for (size_t k = 0; k < t.rows * t.cols; k++)
        t.v[k] = 1;
    near_to(cm_foscttm(&e, &t, &truth, &error), (32.0 / 33 + 29.0 / 30) / 4, 1e-12);
    cm_dense_free(&e);
    cm_dense_free(&t);
    cm_pairs_free(&truth);
    cm_free(re.v);
    cm_free(rt.v);
    cm_free(partner.v);
    cm_free(want.v);
}

static void formats(void **state)
{
    (void)state;
    uint64_t ptr[3] = {0, 2, 3};
    uint32_t idx[3] = {0, 1, 1};
    float val[3] = {.5f, .5f, 1};
    struct cm_csr m = {.rows = 2, .cols = 2, .ptr = ptr, .idx = idx, .val = val};
    double partner[2] = {1, 0};
    struct cm_pairs truth = pairs_of(partner, 2, 2);
    struct cm_format f;
    cm_match_format(&m, &truth, &f);
    assert_true(f.official && f.paper);
    val[2] = 0.9f;
    cm_match_format(&m, &truth, &f);
    assert_true(!f.official && !f.paper);
    assert_string_equal(f.paper_why, "1 rows do not sum to 1 within 1e-5, the first is row 1");
    val[0] = -.5f;
    val[1] = 1.5f;
    val[2] = 1;
    cm_match_format(&m, &truth, &f);
    assert_true(!f.official && !f.paper);
    val[0] = val[1] = .5f;
    truth.n = 1;
    cm_match_format(&m, &truth, &f);
    assert_true(!f.official && f.paper);
    cm_pairs_free(&truth);

    uint32_t row_group[2] = {0, 1}, col_group[2] = {0, 0};
    truth = pairs_of(partner, 2, 2);
    near_to(cm_match_chance(&truth, row_group, col_group), 0.25, 0);
    cm_pairs_free(&truth);
}

/* ===== pairings =========================================================================== */

static struct cm_strs names(const char *words)
{
    struct cm_strs s = {0};
    char *copy = cm_strdup(words);
    for (char *w = strtok(copy, " "); w; w = strtok(NULL, " "))
        cm_strs_add(&s, w);
    cm_free(copy);
    return s;
}

static int by_name(const char *a, const char *b, size_t *n)
{
    struct cm_strs x = names(a), y = names(b);
    struct cm_pairs p;
    int code = cm_pairs_by_name(&p, &x, &y);
    *n = p.n;
    cm_pairs_free(&p);
    cm_strs_free(&x);
    cm_strs_free(&y);
    return code;
}

static void equal_names(void **state)
{
    (void)state;
    size_t n;
    assert_int_equal(by_name("a b c", "c a b", &n), 0);
    assert_int_equal(n, 3);
    assert_int_equal(by_name("a b c d e f g h i j", "a b c d e f g h i x", &n), 0);
    assert_int_equal(n, 9);
    assert_int_equal(by_name("a b c d e f g h i j", "a b c d e f g h x y", &n), CM_EINPUT);
    assert_int_equal(by_name("0 1 2", "0 1 2", &n), CM_EINPUT);
    assert_int_equal(by_name("a b c", "0 1 2", &n), CM_EINPUT);
    assert_int_equal(by_name("a b b", "a b c", &n), CM_EINPUT);
    assert_non_null(strstr(cm_error_message(), "'b'"));
    assert_int_equal(by_name("a b c", "c a c", &n), CM_EINPUT);
}

static int read_pairs(const char *text, const char *a, const char *b, struct cm_pairs *p)
{
    char path[] = "/tmp/cellmatch.pairs.XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    struct cm_strs x = names(a), y = names(b);
    int code = cm_pairs_read(p, path, &x, &y);
    unlink(path);
    cm_strs_free(&x);
    cm_strs_free(&y);
    return code;
}

static void tables(void **state)
{
    (void)state;
    struct cm_pairs p;
    assert_int_equal(read_pairs("row1\trow2\n0\t2\n2\t0\n", "0 1 2", "0 1 2", &p), 0);
    assert_true(p.n == 2 && p.col_of_row[0] == 2 && p.col_of_row[1] == CM_UNPAIRED);
    assert_true(p.row_of_col[0] == 2 && p.row_of_col[1] == CM_UNPAIRED);
    cm_pairs_free(&p);
    /* names, CRLF, a third column, no newline at the end, cells of elsewhere */
    assert_int_equal(read_pairs("gex\tatac\r\na\tx\r\nq\tx\r\nb\ty\tmore", "a b", "x y", &p), 0);
    assert_true(p.n == 2 && p.elsewhere == 1 && p.col_of_row[1] == 1);
    cm_pairs_free(&p);
    /* numbers are names under another header */
    assert_int_equal(read_pairs("a\tb\n7\t9\n", "7", "9", &p), 0);
    cm_pairs_free(&p);
    static const struct {
        const char *text, *says;
    } bad[] = {{"", "empty"},
               {"gex\n", "line 1: expected two fields"},
               {"row1\trow2\n0\n", "line 2: expected two fields"},
               {"row1\trow2\n0\t2\n", "outside the match"},
               {"row1\trow2\n0\t-1\n", "two row numbers"},
               {"row1\trow2\n0\t1\n1\t1\n", "line 3: '1' is in two pairs"},
               {"row1\trow2\n", "none of its 0 pairs"},
               {"g\ta\na\tx\na\ty\n", "line 3: 'a' is in two pairs"},
               {"g\ta\nx\ta\n", "its second column names the match's rows"}};
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        assert_int_equal(read_pairs(bad[k].text, "a b", "x y", &p), CM_EINPUT);
        if (!strstr(cm_error_message(), bad[k].says))
            fail_msg("'%s' is not in: %s", bad[k].says, cm_error_message());
    }
    assert_int_equal(read_pairs("g\ta\na\tx\n", "a a", "x y", &p), CM_EINPUT);
    struct cm_strs none = {0};
    assert_int_equal(cm_pairs_read(&p, "/nonexistent", &none, &none), CM_ESYSTEM);
}

static void groups(void **state)
{
    (void)state;
    struct cm_vec v = {0};
    struct cm_dict dict = {0};
    struct cm_strs text = {0};
    cm_vec_reset(&v, "batch", CM_T_CAT, 3);
    v.cat[0] = cm_dict_code(&dict, "s1");
    v.cat[2] = cm_dict_code(&dict, "s2");
    cm_vec_text(&v, &dict, &text);
    cm_vec_reset(&v, "batch", CM_T_I64, 2);
    v.i[0] = -7;
    cm_vec_text(&v, NULL, &text);
    cm_vec_reset(&v, "batch", CM_T_F64, 2);
    v.f[0] = 0.1;
    cm_vec_text(&v, NULL, &text);
    cm_vec_reset(&v, "batch", CM_T_BOOL, 2);
    v.b[0] = 1;
    cm_vec_text(&v, NULL, &text);
    struct cm_strs want = {0};
    static const char *const words[] = {"s1", "", "s2", "-7", "", "0.1", "", "true", ""};
    for (size_t k = 0; k < sizeof words / sizeof *words; k++)
        cm_strs_add(&want, words[k]);
    assert_true(cm_strs_equal(&text, &want));
    struct cm_groups g;
    cm_groups_make(&g, &text);
    assert_int_equal(g.n, 5);
    static const uint32_t code[] = {0, CM_GROUP_NONE, 1, 2, CM_GROUP_NONE, 3, CM_GROUP_NONE, 4};
    assert_memory_equal(g.code, code, sizeof code);
    struct cm_strs other = names("0.1 s2 zzz");
    uint32_t found[3];
    cm_groups_codes(&g, &other, found);
    assert_true(found[0] == 3 && found[1] == 1 && found[2] == CM_GROUP_NONE);
    cm_groups_free(&g);
    cm_vec_free(&v);
    cm_dict_free(&dict);
    cm_strs_free(&text);
    cm_strs_free(&want);
    cm_strs_free(&other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(against_the_transcription),
                                       cmocka_unit_test(published_three),
                                       cmocka_unit_test(crowded_values),
                                       cmocka_unit_test(published_constant),
                                       cmocka_unit_test(published_semisolution),
                                       cmocka_unit_test(embeddings),
                                       cmocka_unit_test(formats),
                                       cmocka_unit_test(equal_names),
                                       cmocka_unit_test(tables),
                                       cmocka_unit_test(groups)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
