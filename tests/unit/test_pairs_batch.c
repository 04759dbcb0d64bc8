/* Joining cells, the schedule, and rows gathered from blocks in memory and in a file. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#include "base/error.h"
#include "base/mem.h"
#include "pairs/rowstore.h"
#include "pairs/pairing.h"

static struct cm_strs list(const char *words)
{
    struct cm_strs s = {0};
    for (const char *p = words; *p; p += *p == ' ') {
        size_t n = strcspn(p, " ");
        cm_strs_addn(&s, p, n);
        p += n;
    }
    return s;
}

static void test_join(void **state)
{
    (void)state;
    struct cm_strs a = list("x b c d"), b = list("d c q b"), twice = list("a b a"),
                   none = list("1");
    uint64_t partner[4], pairs;
    assert_int_equal(cm_pair_by_name(&a, &b, "A", "B", partner, &pairs), 0);
    assert_int_equal(pairs, 3);
    const uint64_t expected[4] = {CM_ALONE, 3, 1, 0};
    assert_memory_equal(partner, expected, sizeof expected);
    assert_int_equal(cm_pair_by_name(&a, &twice, "A", "B", partner, &pairs), CM_EINPUT);
    assert_non_null(strstr(cm_error_message(), "B: the cell name 'a' occurs twice"));
    assert_int_equal(cm_pair_by_name(&a, &none, "A", "B", partner, &pairs), CM_EINPUT);
    assert_int_equal(cm_pair_by_position(&a, &b, "A", "B", partner, &pairs), 0);
    assert_int_equal(partner[2], 2);
    assert_int_equal(cm_pair_by_position(&a, &none, "A", "B", partner, &pairs), CM_EINPUT);
    cm_strs_free(&a);
    cm_strs_free(&b);
    cm_strs_free(&twice);
    cm_strs_free(&none);
}

/* Every row once; groups apart; sizes as promised; epochs differ, and are a function of the
 * seed. */
static void check_schedule(size_t n, const uint32_t *group, size_t groups, size_t size)
{
    struct cm_schedule s;
    cm_schedule_make(&s, n, group, groups, size, 5);
    uint64_t *row = CM_NEW(n, uint64_t), *again = CM_NEW(n, uint64_t),
             *begin = CM_NEW(s.steps + 1, uint64_t);
    uint8_t *seen = CM_ZNEW(n, uint8_t);
    cm_schedule_epoch(&s, 1, row, begin);
    assert_int_equal(begin[0], 0);
    assert_int_equal(begin[s.steps], n);
    size_t short_ones = 0;
    for (uint64_t b = 0; b < s.steps; b++) {
        uint64_t count = begin[b + 1] - begin[b];
        assert_true(count >= 1 && (size == 0 || count <= size));
        short_ones += size && count < size;
        for (uint64_t i = begin[b]; i < begin[b + 1]; i++) {
            assert_true(row[i] < n);
            assert_false(seen[row[i]]++);
            if (group)
                assert_int_equal(group[row[i]], group[row[begin[b]]]);
        }
    }
    assert_true(short_ones <= groups);
    cm_schedule_epoch(&s, 2, again, begin);
    if (n > 20)
        assert_memory_not_equal(row, again, n * sizeof *row);
    cm_schedule_epoch(&s, 1, again, begin);
    assert_memory_equal(row, again, n * sizeof *row);
    cm_schedule_free(&s);
    cm_free(row);
    cm_free(again);
    cm_free(begin);
    cm_free(seen);
}

static void test_schedule(void **state)
{
    (void)state;
    uint32_t group[103];
    for (size_t i = 0; i < 103; i++)
        group[i] = (uint32_t)(i % 7 == 3 ? 3 : i % 2); /* group 2 stays empty */
    check_schedule(103, NULL, 1, 10);
    check_schedule(103, NULL, 1, 0);
    check_schedule(103, group, 4, 10);
    check_schedule(103, group, 4, 0);
    check_schedule(1, NULL, 1, 256);
    check_schedule(30, NULL, 1, 10);
}

/* Blocks of different types come back as one, values untouched. */
static void fill(struct cm_block *b, size_t rows, size_t cols, enum cm_value type, size_t from)
{
    cm_block_shape(b, false, rows, cols, rows, type);
    for (size_t i = 0; i < rows; i++) {
        b->ptr[i + 1] = i + 1;
        b->idx[i] = (uint32_t)((from + i) % cols);
        switch (type) {
        case CM_V_ONE:
            break;
        case CM_V_U8:
            ((uint8_t *)b->raw)[i] = (uint8_t)(from + i);
            break;
        case CM_V_U16:
            ((uint16_t *)b->raw)[i] = (uint16_t)(1000 + from + i);
            break;
        case CM_V_U32:
            ((uint32_t *)b->raw)[i] = 0xFFFFFFF0u + (uint32_t)i;
            break;
        case CM_V_F32:
            ((float *)b->raw)[i] = 0.5f + (float)i;
            break;
        case CM_V_F64:
            ((double *)b->raw)[i] = 0.1 * (double)i;
            break;
        }
    }
}

/* All rows of blocks of all types, whatever part of them is in a file. */
static void check_rows(uint64_t max)
{
    const enum cm_value types[] = {CM_V_ONE, CM_V_U8, CM_V_U16, CM_V_U32, CM_V_F32, CM_V_F64};
    struct cm_rowstore p = {0};
    struct cm_block b[6] = {{0}}, got = {0};
    for (size_t t = 0; t < 6; t++) {
        fill(&b[t], 4, 9, types[t], 10 * t);
        if (t == 1)
            for (size_t i = 0; i < 4; i++)
                cm_block_rowf(&b[t])[i] = 2 + (float)i;
        cm_rowstore_append(&p, &b[t]);
        assert_int_equal(cm_rowstore_limit(&p, max), 0);
        assert_true(p.in_memory <= (max > 12 * p.rows ? max : 12 * p.rows));
    }
    assert_int_equal(p.rows, 24);
    assert_int_equal(p.in_memory + p.in_file, 24 * (4 + 12) + 4 * (1 + 2 + 4 + 4 + 8));
    assert_true((p.in_file > 0) == (max < 24 * (4 + 12) + 4 * (1 + 2 + 4 + 4 + 8)));
    /* any two rows of any two types, in both orders */
    for (uint64_t i = 0; i < 24; i++)
        for (uint64_t j = 0; j < 24; j++) {
            uint64_t at[2] = {i, j};
            assert_int_equal(cm_rowstore_take(&got, &p, at, 2), 0);
            assert_int_equal(got.rows, 2);
            assert_int_equal(got.nnz, 2);
            assert_true((got.rowf != NULL) == (i / 4 == 1 || j / 4 == 1));
            for (size_t k = 0; k < 2; k++) {
                const struct cm_block *from = &b[at[k] / 4];
                assert_int_equal(got.idx[k], from->idx[at[k] % 4]);
                assert_true(cm_block_x(&got, k) == cm_block_x(from, at[k] % 4));
                if (got.rowf)
                    assert_true(got.rowf[k] == (from->rowf ? from->rowf[at[k] % 4] : 1));
            }
        }
    uint64_t two[2] = {5, 6};
    assert_int_equal(cm_rowstore_take(&got, &p, two, 2), 0);
    assert_int_equal(got.type, CM_V_U8); /* narrow stays narrow */
    assert_int_equal(cm_rowstore_take(&got, &p, two, 0), 0);
    assert_int_equal(got.rows, 0);
    for (size_t t = 0; t < 6; t++)
        cm_block_free(&b[t]);
    cm_block_free(&got);
    cm_rowstore_free(&p);
}

static void test_rows(void **state)
{
    (void)state;
    const uint64_t max[] = {UINT64_MAX, 460, 459, 300, 12, 0};
    for (size_t k = 0; k < sizeof max / sizeof *max; k++)
        check_rows(max[k]);
}

/* A file that is cut behind our back is an error, not rows of zeros. */
static void test_short_file(void **state)
{
    (void)state;
    struct cm_rowstore p = {0};
    struct cm_block b = {0}, got = {0};
    const uint64_t last = 3;
    fill(&b, 4, 9, CM_V_F32, 0);
    cm_rowstore_append(&p, &b);
    assert_int_equal(cm_rowstore_limit(&p, 0), 0);
    assert_int_equal(ftruncate(p.file, 28), 0);
    assert_int_equal(cm_rowstore_take(&got, &p, &last, 1), CM_ESYSTEM);
    assert_non_null(strstr(cm_error_message(), "shorter"));
    cm_block_free(&b);
    cm_block_free(&got);
    cm_rowstore_free(&p);
}

static void check_dense(uint64_t max)
{
    struct cm_rowstore p = {0};
    struct cm_block b = {0}, got = {0};
    for (size_t t = 0; t < 2; t++) {
        cm_block_shape(&b, true, 3, 2, 6, t ? CM_V_F64 : CM_V_F32);
        for (size_t i = 0; i < 6; i++)
            if (t)
                ((double *)b.raw)[i] = 0.1 * (double)i;
            else
                ((float *)b.raw)[i] = (float)i;
        cm_rowstore_append(&p, &b);
    }
    uint64_t at[3] = {4, 0, 2};
    assert_int_equal(cm_rowstore_limit(&p, max), 0);
    assert_int_equal(cm_rowstore_take(&got, &p, at, 3), 0);
    assert_true(got.dense && got.type == CM_V_F64 && got.nnz == 6);
    const double expected[6] = {0.1 * 2, 0.1 * 3, 0, 1, 4, 5};
    assert_memory_equal(got.raw, expected, sizeof expected);
    cm_block_free(&b);
    cm_block_free(&got);
    cm_rowstore_free(&p);
}

static void test_dense(void **state)
{
    (void)state;
    check_dense(UINT64_MAX);
    check_dense(100);
    check_dense(0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_join),  cmocka_unit_test(test_schedule),
        cmocka_unit_test(test_rows),  cmocka_unit_test(test_short_file),
        cmocka_unit_test(test_dense),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
