/* Unit test of prep/split and prep/where: exact numbers, the same cells in any order, chains that
 * free nobody, existing labels of every type, conditions on every type. A cell's value is
 * compared by its name, over streams that hold the cells in different orders and whose
 * dictionaries grow on the way, because that is how the two modalities of one experiment come.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "prep/split.h"

static char path[] = "/tmp/cm_test_split.XXXXXX";

static int make_file(void **state)
{
    (void)state;
    return close(mkstemp(path));
}

static int drop_file(void **state)
{
    (void)state;
    return unlink(path);
}

enum { CELLS = 205 };

/* Cell k of the stream is named after cell (k * step) % CELLS; split (if a type is given) is "x"
 * for every fifth of these, in words or numbers, and missing for every seventh. */
static void write_cells(size_t cells, size_t step, int type)
{
    struct cm_head h = {.kind = CM_MATRIX};
    struct cm_slot *s = cm_head_add_slot(&h, "GEX");
    s->state = CM_S_COUNTS;
    cm_strs_add(&s->cols.names, "g");
    cm_head_add_label(&h, "batch", CM_T_CAT, -1);
    if (type >= 0)
        cm_head_add_label(&h, "split", (enum cm_type)type, -1);
    FILE *f = fopen(path, "w");
    struct cm_writer *w = cm_writer_make(fileno(f), path, 1);
    assert_int_equal(cm_writer_head(w, &h), 0);
    struct cm_chunk c = {0};
    for (size_t at = 0; at < cells; at += c.rows) {
        c.rows = cells - at < 50 ? cells - at : 50;
        c.first = at;
        cm_strs_clear(&c.names);
        cm_chunk_labels(&c, &h);
        cm_block_shape(&c.block[0], false, c.rows, 1, 0, CM_V_ONE);
        memset(c.block[0].ptr, 0, (c.rows + 1) * sizeof(uint64_t));
        for (size_t i = 0; i < c.rows; i++) {
            size_t cell = (at + i) * step % CELLS;
            char text[24];
            snprintf(text, sizeof text, "cell%zu", cell);
            cm_strs_add(&c.names, text);
            snprintf(text, sizeof text, "b%zu", cell / 60); /* categories appear on the way */
            c.label[0].cat[i] = cm_dict_code(&h.label[0].dict, text);
            if (type < 0)
                continue;
            struct cm_vec *v = &c.label[1];
            bool x = cell % 5 == 0, missing = cell % 7 == 0 && !x;
            switch ((enum cm_type)type) {
            case CM_T_CAT:
                v->cat[i] =
                    missing ? CM_CAT_MISSING : cm_dict_code(&h.label[1].dict, x ? "x" : "train");
                break;
            case CM_T_STR: {
                struct cm_strs all = {0};
                for (size_t k = 0; k < c.rows; k++)
                    cm_strs_add(&all, k == i  ? missing ? ""
                                                : x     ? "x"
                                                        : "train"
                                      : k < i ? cm_strs_get(&v->s, k)
                                              : "");
                cm_strs_free(&v->s);
                v->s = all;
                break;
            }
            case CM_T_BOOL:
                v->b[i] = missing ? CM_BOOL_MISSING : x;
                break;
            case CM_T_I64:
                v->i[i] = missing ? CM_I64_MISSING : x;
                break;
            case CM_T_F64:
                v->f[i] = missing ? (double)NAN : x;
                break;
            }
        }
        assert_int_equal(cm_writer_chunk(w, &c, &h), 0);
    }
    assert_int_equal(cm_writer_end(w), 0);
    cm_writer_free(w);
    fclose(f);
    cm_chunk_free(&c);
    cm_head_free(&h);
}

/* Runs one holdout over the file; value[cell] = what it is called now ("" = not in the stream).
 * The output replaces the file, so that holdouts can be chained. */
static char value[CELLS][16];
static struct cm_split hold(struct cm_split s)
{
    struct cm_reader *r;
    assert_int_equal(cm_reader_open(&r, path), 0);
    const struct cm_head *h = cm_reader_head(r);
    assert_int_equal(cm_reader_keep(r), 0);
    assert_int_equal(cm_split_prepare(&s, r), 0);
    struct cm_head out = {0};
    cm_split_head(&s, h, &out);
    char next[80];
    snprintf(next, sizeof next, "%s.next", path);
    FILE *f = fopen(next, "w");
    struct cm_writer *w = cm_writer_make(fileno(f), next, 1);
    assert_int_equal(cm_writer_head(w, &out), 0);
    struct cm_chunk c = {0};
    int code;
    while ((code = cm_reader_next(r, &c)) > 0) {
        cm_split_apply(&s, h, &out, &c);
        assert_int_equal(cm_writer_chunk(w, &c, &out), 0);
    }
    assert_int_equal(code, 0);
    assert_int_equal(cm_writer_end(w), 0);
    cm_writer_free(w);
    fclose(f);
    cm_reader_close(r);
    assert_int_equal(rename(next, path), 0);

    memset(value, 0, sizeof value);
    assert_int_equal(cm_reader_open(&r, path), 0);
    h = cm_reader_head(r);
    int split = cm_head_find_label(h, "split"), batch = cm_head_find_label(h, "batch");
    assert_true(split >= 0 && batch == 0);
    while ((code = cm_reader_next(r, &c)) > 0)
        for (size_t i = 0; i < c.rows; i++) {
            size_t cell = (size_t)atoi(cm_strs_get(&c.names, i) + 4);
            char want[24];
            snprintf(want, sizeof want, "b%zu", cell / 60); /* other labels stay what they were */
            assert_string_equal(cm_strs_get(&h->label[0].dict.names, c.label[0].cat[i]), want);
            snprintf(value[cell], sizeof value[cell], "%s",
                     cm_strs_get(&h->label[split].dict.names, c.label[split].cat[i]));
        }
    assert_int_equal(code, 0);
    cm_reader_close(r);
    cm_chunk_free(&c);
    cm_head_free(&out);
    cm_where_free(&s.where);
    return s;
}

static size_t count(const char *name)
{
    size_t n = 0;
    for (size_t k = 0; k < CELLS; k++)
        n += !strcmp(value[k], name);
    return n;
}

static void exact_and_blind_to_order(void **state)
{
    (void)state;
    static const double fraction[] = {.1, .5, .002, .0049, .999};
    for (size_t k = 0; k < 5; k++) {
        write_cells(CELLS, 1, -1);
        struct cm_split s =
            hold((struct cm_split){.name = "test", .fraction = fraction[k], .seed = 9});
        size_t want = (size_t)floor(fraction[k] * CELLS + .5);
        assert_int_equal(s.held, want);
        assert_int_equal(count("test"), want);
        assert_int_equal(count("train"), CELLS - want);
        char first[CELLS][16];
        memcpy(first, value, sizeof value);
        write_cells(CELLS, 47, -1); /* the other modality: the same cells, shuffled */
        hold((struct cm_split){.name = "test", .fraction = fraction[k], .seed = 9});
        assert_memory_equal(first, value, sizeof value);
    }
    write_cells(CELLS, 1, -1);
    hold((struct cm_split){.name = "test", .fraction = .5, .seed = 9});
    char first[CELLS][16];
    memcpy(first, value, sizeof value);
    write_cells(CELLS, 1, -1);
    hold((struct cm_split){.name = "test", .fraction = .5, .seed = 10});
    size_t same = 0;
    for (size_t k = 0; k < CELLS; k++)
        same += !strcmp(first[k], value[k]);
    assert_true(same > CELLS / 4 && same < 3 * CELLS / 4); /* another seed, another half */
}

static void chains_free_nobody(void **state)
{
    (void)state;
    write_cells(CELLS, 1, -1);
    struct cm_split by = {.name = "test"};
    cm_where_parse(&by.where, "batch=b0,b3");
    hold(by);
    assert_int_equal(count("test"), 60 + 25);
    struct cm_split s = hold((struct cm_split){.name = "valid", .fraction = .1, .seed = 1});
    assert_int_equal(s.held, 12); /* of the 120 in training */
    assert_int_equal(count("test"), 85);
    assert_int_equal(count("valid"), 12);
    assert_int_equal(s.trained, 108);
    s = hold((struct cm_split){.name = "test", .fraction = .2, .seed = 1, .fresh = true});
    assert_int_equal(count("test"), 41);
    assert_int_equal(count("valid"), 0);
    assert_int_equal(count("train"), 164);
}

static void existing_labels_of_every_type(void **state)
{
    (void)state;
    for (int type = CM_T_CAT; type <= CM_T_STR; type++) {
        write_cells(CELLS, 3, type);
        struct cm_split by = {.name = "test"};
        cm_where_parse(&by.where, "batch=b1");
        hold(by);
        static const char *const x[] = {"x", "true", "1", "1", "x"}, *const no[] = {"train",
                                                                                    "false", "0",
                                                                                    "0", "train"};
        for (size_t k = 0; k < CELLS; k++)
            assert_string_equal(value[k], k / 60 == 1  ? "test"
                                          : k % 5 == 0 ? x[type]
                                          : k % 7 == 0 ? "train"
                                                       : no[type]);
    }
}

static void no_cells(void **state)
{
    (void)state;
    write_cells(0, 1, -1);
    struct cm_split s = hold((struct cm_split){.name = "test", .fraction = .5});
    assert_int_equal(s.rows, 0);
}

static void conditions(void **state)
{
    (void)state;
    struct cm_head h = {.kind = CM_MATRIX};
    struct cm_chunk c = {.rows = 3};
    static const char *const names[] = {"cat", "bool", "i", "f", "str"};
    for (int t = 0; t < 5; t++)
        cm_head_add_label(&h, names[t], (enum cm_type)t, -1);
    cm_chunk_labels(&c, &h);
    c.label[0].cat[0] = cm_dict_code(&h.label[0].dict, "a b");
    c.label[1].b[0] = 1, c.label[1].b[1] = 0;
    c.label[2].i[0] = -7;
    c.label[3].f[0] = 2.5;
    cm_strs_clear(&c.label[4].s);
    cm_strs_add(&c.label[4].s, "x=y");
    cm_strs_add(&c.label[4].s, "");
    cm_strs_add(&c.label[4].s, "z");
    static const struct {
        const char *text;
        int rows; /* bit i: row i meets it */
    } good[] = {{"cat=a b", 1}, {"cat=a", 0},      {"cat=q,a b", 1}, {"bool=true", 1},
                {"bool=0", 2},  {"i=-7", 1},       {"i=-7.0,3", 1},  {"f=2.50", 1},
                {"f=nan", 0},   {"str=x=y", 1},    {"str=", 2},      {"str=,z", 6},
                {"i=-8", 0},    {"bool=yes,no", 3}};
    struct cm_where w = {0};
    for (size_t k = 0; k < sizeof good / sizeof *good; k++) {
        assert_int_equal(cm_where_parse(&w, good[k].text), 0);
        assert_int_equal(cm_where_bind(&w, &h), 0);
        for (size_t i = 0; i < 3; i++)
            if (cm_where_row(&w, &h, &c, i) != (good[k].rows >> i & 1))
                fail_msg("%s, row %zu", good[k].text, i);
    }
    assert_int_equal(cm_where_parse(&w, "novalue"), CM_EUSAGE);
    assert_int_equal(cm_where_parse(&w, "=a"), CM_EUSAGE);
    static const char *const bad[] = {"nix=1", "bool=maybe", "i=x", "f=2,y"};
    for (int k = 0; k < 4; k++) {
        assert_int_equal(cm_where_parse(&w, bad[k]), 0);
        assert_int_equal(cm_where_bind(&w, &h), CM_EINPUT);
    }
    cm_where_parse(&w, "nix=1");
    cm_where_bind(&w, &h);
    assert_string_equal(cm_error_message(), "no label \"nix\"; labels here: cat, bool, i, f, str");
    cm_where_free(&w);
    cm_chunk_free(&c);
    cm_head_free(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_and_blind_to_order),
        cmocka_unit_test(chains_free_nobody),
        cmocka_unit_test(existing_labels_of_every_type),
        cmocka_unit_test(no_cells),
        cmocka_unit_test(conditions),
    };
    return cmocka_run_group_tests(tests, make_file, drop_file);
}
