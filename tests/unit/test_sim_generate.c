/* Simulated cells: what was requested is there, bits do not depend on threads; the oracle's
 * matching against enumeration and permanents (tests/ref/make_oracle.py), its posterior against
 * itself. */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "sim/oracle.h"
#include "ref.h"

#define REF "tests/ref/oracle.txt"

static const struct cm_gen_options usual = {.cells = 400,
                                            .types = 5,
                                            .batches = 4,
                                            .unseen = 1,
                                            .cols = {500, 900},
                                            .nnz = {60, 150},
                                            .signal = 1,
                                            .local = .3,
                                            .seed = 3};

static struct cm_gen *make(struct cm_gen_options o)
{
    struct cm_gen *g = NULL;
    assert_int_equal(cm_gen_make(&g, &o), 0);
    return g;
}

/* ----- cells ------------------------------------------------------------------------------ */

static void sparsity_and_spread(void **state)
{
    (void)state;
    struct cm_gen *g = make(usual);
    for (int side = 0; side < 2; side++) {
        uint32_t *idx = NULL, *count = NULL;
        size_t cap = 0;
        double nnz = 0, *sum = CM_ZNEW(g->side[side].cols, double);
        for (size_t i = 0; i < usual.cells; i++) {
            size_t n = cm_gen_counts(g, side, i, &idx, &count, &cap);
            nnz += (double)n;
            for (size_t k = 0; k < n; k++) {
                assert_true(count[k] > 0 && idx[k] < usual.cols[side]);
                assert_true(k == 0 || idx[k] > idx[k - 1]);
                sum[idx[k]] += count[k];
            }
        }
        /* Library sizes spread by 30 %, so the mean of 400 cells has a standard error of 1.5 %. */
        assert_true(fabs(nnz / (double)usual.cells / usual.nnz[side] - 1) < .06);
        double mean = 0, square = 0; /* features differ: log-normal means */
        for (size_t j = 0; j < usual.cols[side]; j++) {
            mean += log(sum[j] + 1);
            square += log(sum[j] + 1) * log(sum[j] + 1);
        }
        mean /= (double)usual.cols[side];
        double sd = sqrt(square / (double)usual.cols[side] - mean * mean);
        assert_true(sd > (side ? .5 : .8) && sd < (side ? 1.3 : 1.7));
        cm_free(idx);
        cm_free(count);
        cm_free(sum);
    }
    cm_gen_free(g);
}

static void names_order_and_splits(void **state)
{
    (void)state;
    struct cm_gen_options o = usual;
    o.cells = 997;
    struct cm_gen *g = make(o);
    struct cm_strs names = {0};
    struct cm_index index;
    size_t *seen = CM_ZNEW(o.cells, size_t), split[3] = {0}, moved = 0;
    for (size_t i = 0; i < o.cells; i++) {
        char name[CM_GEN_NAME_MAX];
        cm_gen_name(g, i, name);
        cm_strs_add(&names, name);
        size_t cell = cm_gen_at(g, CM_GEN_ATAC, i);
        seen[cell]++;
        moved += cell != i;
        assert_int_equal(cm_gen_cell(g, cell).batch, cm_gen_cell(g, i).batch);
        assert_int_equal(cm_gen_at(g, CM_GEN_GEX, i), i);
        struct cm_gen_cell c = cm_gen_cell(g, i);
        split[c.split]++;
        assert_int_equal(c.split, c.batch == 3   ? CM_GEN_TEST
                                  : c.batch == 2 ? CM_GEN_VALID
                                                 : CM_GEN_TRAIN);
    }
    for (size_t i = 0; i < o.cells; i++)
        assert_int_equal(seen[i], 1);
    assert_true(moved > o.cells * 9 / 10);
    cm_index_make(&index, &names);
    assert_true(index.duplicate == CM_ABSENT);
    /* two training batches with two parts each, one validation, one test */
    assert_true(labs((long)split[0] - 665) <= 2 && labs((long)split[1] - 166) <= 2);
    cm_index_free(&index);
    cm_strs_free(&names);
    cm_gen_free(g);

    o.unseen = 0;
    o.aligned = true;
    g = make(o);
    memset(split, 0, sizeof split);
    for (size_t i = 0; i < o.cells; i++) {
        split[cm_gen_cell(g, i).split]++;
        assert_int_equal(cm_gen_at(g, CM_GEN_ATAC, i), i);
    }
    assert_true(fabs((double)split[0] / (double)o.cells - .7) < .06);
    assert_true(fabs((double)split[2] / (double)o.cells - .15) < .05);
    cm_gen_free(g);
    cm_free(seen);
}

static void peaks_stand_near_their_genes(void **state)
{
    (void)state;
    struct cm_gen *g = make(usual);
    const struct cm_gen_side *genes = &g->side[CM_GEN_GEX], *peaks = &g->side[CM_GEN_ATAC];
    size_t linked = 0;
    for (size_t j = 0; j < peaks->cols; j++) {
        if (j && peaks->chrom[j] == peaks->chrom[j - 1])
            assert_true(peaks->start[j] >= peaks->end[j - 1]);
        uint32_t d = peaks->locus[j];
        assert_true((d == CM_GEN_NOWHERE) == (peaks->local[j] == 0));
        if (d == CM_GEN_NOWHERE)
            continue;
        linked++;
        int64_t centre = (peaks->start[j] + peaks->end[j]) / 2;
        assert_int_equal(peaks->chrom[j], genes->chrom[d]);
        assert_true(llabs((long long)(centre - genes->tss[d])) < 100000);
        assert_int_equal(genes->locus[d], d);
        assert_true(genes->local[d] > 0);
    }
    assert_true(linked > peaks->cols / 10 && linked < peaks->cols / 3);
    cm_gen_free(g);
}

static void same_bits_for_any_threads(void **state)
{
    (void)state;
    struct cm_gen *g = make(usual);
    struct cm_chunk a = {0}, b = {0};
    for (int side = 0; side < 2; side++) {
        cm_pool_set_threads(1);
        assert_int_equal(cm_gen_chunk(g, side, 100, 150, &a), 0);
        cm_pool_set_threads(3);
        assert_int_equal(cm_gen_chunk(g, side, 100, 150, &b), 0);
        assert_int_equal(a.block[0].nnz, b.block[0].nnz);
        assert_memory_equal(a.block[0].idx, b.block[0].idx, a.block[0].nnz * 4);
        for (uint64_t e = 0; e < a.block[0].nnz; e++)
            assert_true(cm_block_x(&a.block[0], e) == cm_block_x(&b.block[0], e));
        assert_true(cm_strs_equal(&a.names, &b.names));
        /* and a cell does not depend on the chunk that it is in */
        assert_int_equal(cm_gen_chunk(g, side, 149, 1, &b), 0);
        uint64_t from = a.block[0].ptr[49], n = a.block[0].ptr[50] - from;
        assert_int_equal(b.block[0].nnz, n);
        assert_memory_equal(a.block[0].idx + from, b.block[0].idx, n * 4);
    }
    cm_pool_set_threads(1);
    cm_chunk_free(&a);
    cm_chunk_free(&b);
    cm_gen_free(g);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    struct cm_gen *g = NULL;
    struct cm_gen_options o = usual;
    o.unseen = 3;
    assert_int_equal(cm_gen_make(&g, &o), CM_EUSAGE);
    o = usual;
    o.cells = 7;
    assert_int_equal(cm_gen_make(&g, &o), CM_EUSAGE);
    o = usual;
    o.local = 1.1;
    assert_int_equal(cm_gen_make(&g, &o), CM_EUSAGE);
    o = usual;
    o.signal = NAN;
    assert_int_equal(cm_gen_make(&g, &o), CM_EUSAGE);
}

/* ----- the oracle ------------------------------------------------------------------------- */

/* The largest difference between our marginals of block `name` and those of the fixture. */
static double marginals_gap(const char *name)
{
    char solution[32];
    snprintf(solution, sizeof solution, "%s_p", name);
    struct ref w = ref_load(REF, name), p = ref_load(REF, solution);
    double gap = 0;
    cm_matching_marginals(w.rows, w.v);
    for (size_t i = 0; i < w.rows; i++) {
        double sum = 0;
        for (size_t j = 0; j < w.cols; j++) {
            sum += w.v[i * w.cols + j];
            gap = fmax(gap, fabs(w.v[i * w.cols + j] - p.v[i * w.cols + j]));
        }
        assert_true(fabs(sum - 1) < 1e-9);
    }
    cm_free(w.v);
    cm_free(p.v);
    return gap;
}

static void marginals_of_few_are_exact(void **state)
{
    (void)state;
    assert_true(marginals_gap("small") < 1e-9);
    double one = 3;
    cm_matching_marginals(1, &one);
    assert_true(one == 1);
}

/* Belief propagation is an approximation on graphs with cycles; plain row normalisation, the
 * posterior that forgets that partners are one to one, must be much worse. */
static void marginals_of_many_are_near(void **state)
{
    (void)state;
    struct ref w = ref_load(REF, "large"), p = ref_load(REF, "large_p");
    double rows = 0;
    for (size_t i = 0; i < w.rows; i++) {
        double sum = 0;
        for (size_t j = 0; j < w.cols; j++)
            sum += exp(w.v[i * w.cols + j]);
        for (size_t j = 0; j < w.cols; j++)
            rows = fmax(rows, fabs(exp(w.v[i * w.cols + j]) / sum - p.v[i * w.cols + j]));
    }
    double gap = marginals_gap("large");
    print_message("# largest error: %.4f by belief propagation, %.4f by rows alone\n", gap, rows);
    assert_true(gap < .1 && gap < rows / 3);
    cm_free(w.v);
    cm_free(p.v);
}

static void nothing_shared_nothing_known(void **state)
{
    (void)state;
    struct cm_gen_options o = usual;
    o.signal = 0;
    struct cm_gen *g = make(o);
    struct cm_oracle *best;
    assert_int_equal(cm_oracle_make(&best, g, 1000), 0);
    assert_true(best->n > 50);
    for (uint64_t e = 0; e < best->ptr[best->n]; e++)
        assert_true(fabs((double)best->val[e] * (double)best->n - 1) < 1e-4);
    assert_true(fabs(best->soft - best->chance) < 1e-6);
    cm_oracle_free(best);
    cm_gen_free(g);
}

/* A posterior that is right says on average of the true partner what it says of itself. */
static void the_posterior_is_calibrated(void **state)
{
    (void)state;
    double soft = 0, expected = 0, hard = 0, n = 0;
    for (uint64_t seed = 1; seed <= 4; seed++) {
        struct cm_gen_options o = usual;
        o.seed = seed;
        o.unseen = 2;
        struct cm_gen *g = make(o);
        struct cm_oracle *best;
        assert_int_equal(cm_oracle_make(&best, g, 1000), 0);
        double cells = (double)best->n;
        soft += cells * best->soft;
        expected += cells * best->expected;
        hard += cells * best->hard;
        n += cells;
        for (size_t i = 0; i < best->n; i++) {
            double sum = 0;
            size_t b = cm_gen_cell(g, (size_t)best->row[i]).batch;
            for (uint64_t e = best->ptr[i]; e < best->ptr[i + 1]; e++) {
                sum += (double)best->val[e];
                assert_int_equal(cm_gen_cell(g, (size_t)best->col[best->idx[e]]).batch, b);
            }
            assert_true(fabs(sum - 1) < 1e-5);
        }
        cm_oracle_free(best);
        cm_gen_free(g);
    }
    soft /= n;
    expected /= n;
    hard /= n;
    print_message("# %.0f cells: soft %.4f, expected %.4f, hard %.4f\n", n, soft, expected, hard);
    /* p (1 - p) bounds the variance of a cell's hit; three standard errors. */
    assert_true(fabs(soft - expected) < 3 * sqrt(expected * (1 - expected) / n));
    assert_true(hard > soft && soft > 20 / n);
}

static void rows_are_truncated(void **state)
{
    (void)state;
    struct cm_gen *g = make(usual);
    struct cm_oracle *best;
    assert_int_equal(cm_oracle_make(&best, g, 5), 0);
    for (size_t i = 0; i < best->n; i++) {
        double sum = 0;
        assert_true(best->ptr[i + 1] - best->ptr[i] <= 5);
        for (uint64_t e = best->ptr[i]; e < best->ptr[i + 1]; e++)
            sum += (double)best->val[e];
        assert_true(fabs(sum - 1) < 1e-5);
    }
    cm_oracle_free(best);
    cm_gen_free(g);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sparsity_and_spread),
        cmocka_unit_test(names_order_and_splits),
        cmocka_unit_test(peaks_stand_near_their_genes),
        cmocka_unit_test(same_bits_for_any_threads),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(marginals_of_few_are_exact),
        cmocka_unit_test(marginals_of_many_are_near),
        cmocka_unit_test(nothing_shared_nothing_known),
        cmocka_unit_test(the_posterior_is_calibrated),
        cmocka_unit_test(rows_are_truncated),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
