/* Unit test of prep/@name@: DECIDE: against which oracle; a fit saved, and loaded by name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "base/error.h"
#include "prep/@name@.h"

/* A slot with the columns of `names`, one letter each. */
static struct cm_slot slot_of(const char *names)
{
    static char gex[] = "GEX";
    struct cm_slot s = {.name = gex, .state = CM_S_COUNTS};
    for (; *names; names++)
        cm_strs_addn(&s.cols.names, names, 1);
    return s;
}
static void free_slot(struct cm_slot *s)
{
    cm_cols_free(&s->cols);
    cm_kv_free(&s->fit);
}

static void values(void **state)
{
    (void)state;
    double mean[] = {2, 0, 0.5};
    struct cm_@name@ f = {.cols = 3, .cells = 4, .mean = mean};
    struct cm_slot in = slot_of("abc");
    struct cm_block b = {0};
    cm_block_shape(&b, false, 1, 3, 3, CM_V_U8);
    memcpy(b.raw, (uint8_t[]){3, 7, 1}, 3);
    memcpy(b.idx, (uint32_t[]){0, 1, 2}, 3 * sizeof *b.idx);
    b.ptr[1] = 3;
    cm_@name@_apply(&f, &b, &in);
    assert_true(b.type == CM_V_F32 && b.nnz == 3);
    assert_memory_equal(b.raw, ((float[]){1.5f, 0, 2}), 3 * sizeof(float));
    cm_block_free(&b);
    free_slot(&in);
}

static void saved_and_loaded_by_name(void **state)
{
    (void)state;
    double mean[] = {2, 0, 0.5};
    struct cm_@name@ f = {.cols = 3, .cells = 4, .mean = mean}, g = {0};
    struct cm_head h = {.nslots = 1};
    h.slot[0] = slot_of("abc");
    cm_@name@_save(&f, &h.slot[0]);
    struct cm_slot reversed = slot_of("cba"), more = slot_of("abcd");
    assert_int_equal(cm_@name@_load(&g, &h, "like", &reversed), 0);
    assert_true(g.cells == 4 && g.cols == 3);
    assert_memory_equal(g.mean, ((double[]){0.5, 0, 2}), 3 * sizeof(double));
    cm_@name@_free(&g);
    assert_int_equal(cm_@name@_load(&g, &h, "like", &more), CM_EINPUT);
    assert_non_null(strstr(cm_error_message(), "\"d\""));
    cm_@name@_free(&g);
    cm_kv_set(&h.slot[0].fit, "fit.tool", "another");
    assert_int_equal(cm_@name@_load(&g, &h, "like", &more), CM_EINPUT);
    free_slot(&h.slot[0]);
    free_slot(&reversed);
    free_slot(&more);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(values),
                                       cmocka_unit_test(saved_and_loaded_by_name)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
