/* Unit test of stream/: what is written is read, equal content gives equal bytes, and every damage
 * that bytes can suffer is seen: cut at each byte, each bit of a small stream flipped, END missing,
 * bytes behind END, ABORT.  The stream is written to an unlinked file and damaged in memory,
 * because a pipe would only show some of the cuts.  Lazy values are compared with the formula
 * itself in double; the wire layout has an independent witness in pipelines/custom/cms.py
 * (tests/cli).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#include "base/error.h"
#include "base/mem.h"
#include "stream/cms.h"
#include "stream/wire.h"

static char path[] = "/tmp/cm_test_stream.XXXXXX";

static struct cm_head make_head(void)
{
    struct cm_head h = {0};
    h.kind = CM_MATRIX;
    struct cm_slot *s = cm_head_add_slot(&h, "GEX");
    s->state = CM_S_COUNTS;
    for (int j = 0; j < 5; j++) {
        char name[32];
        snprintf(name, sizeof name, "gene\t%d%%", j);
        cm_strs_add(&s->cols.names, name);
    }
    struct cm_vec *start = cm_cols_vec(&s->cols, "start", CM_T_I64);
    struct cm_vec *idf = cm_cols_vec(&s->cols, "fit.idf", CM_T_F64);
    struct cm_vec *chrom = cm_cols_vec(&s->cols, "chrom", CM_T_STR);
    start = cm_cols_find(&s->cols, "start");
    idf = cm_cols_find(&s->cols, "fit.idf");
    start->i[1] = 7, idf->f[2] = 0.1, idf->f[3] = 1.0 / 3;
    cm_strs_clear(&chrom->s);
    for (int j = 0; j < 5; j++)
        cm_strs_add(&chrom->s, j % 2 ? "chr1" : "");
    cm_kv_setf(&s->fit, "fit.scale", 1e4);
    cm_kv_set(&h.kv, "note", "a\tb\nc%");
    struct cm_label *l = cm_head_add_label(&h, "type", CM_T_CAT, -1);
    cm_dict_code(&l->dict, "T");
    cm_head_add_label(&h, "depth", CM_T_F64, -1);
    cm_head_add_label(&h, "flag", CM_T_BOOL, -1);
    cm_head_add_label(&h, "donor", CM_T_STR, -1);
    cm_head_add_label(&h, "n", CM_T_I64, -1);
    return h;
}

/* Rows first..first+n-1; entry (i, j) for j <= i % 5 with value i + j * scale. */
static void fill(struct cm_chunk *c, const struct cm_head *h, size_t first, size_t n, float scale)
{
    size_t nnz = 0;
    for (size_t i = first; i < first + n; i++)
        nnz += i % 5;
    cm_strs_clear(&c->names);
    c->rows = n;
    cm_block_shape(&c->block[0], false, n, 5, nnz, CM_V_F32);
    size_t e = 0;
    for (size_t i = 0; i < n; i++) {
        char name[32];
        snprintf(name, sizeof name, "cell%zu", first + i);
        cm_strs_add(&c->names, name);
        for (size_t j = 0; j < (first + i) % 5; j++, e++) {
            c->block[0].idx[e] = (uint32_t)j;
            ((float *)c->block[0].raw)[e] = (float)(first + i) + (float)j * scale;
        }
        c->block[0].ptr[i + 1] = e;
    }
    cm_chunk_labels(c, h);
    for (size_t i = 0; i < n; i++) {
        if (i % 2)
            c->label[0].cat[i] = 0;
        c->label[1].f[i] = (double)i / 3;
        c->label[2].b[i] = i % 3 == 0;
        c->label[4].i[i] = -(int64_t)i;
    }
}

static size_t write_stream(float scale, unsigned char **bytes, uint64_t *digest, bool end)
{
    struct cm_head h = make_head();
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    struct cm_writer *w = cm_writer_make(fd, "test", 1);
    cm_writer_stage(w, "unit", "1", "--x", NULL);
    assert_int_equal(cm_writer_head(w, &h), 0);
    struct cm_chunk c = {0};
    for (size_t first = 0; first < 20; first += 10) {
        fill(&c, &h, first, 10, scale);
        assert_int_equal(cm_writer_chunk(w, &c, NULL), 0);
    }
    assert_int_equal(cm_writer_note(w, "k", "v"), 0);
    if (end)
        assert_int_equal(cm_writer_end(w), 0);
    else
        assert_int_equal(cm_writer_flush(w), 0);
    *digest = cm_writer_digest(w);
    off_t n = lseek(fd, 0, SEEK_END);
    *bytes = CM_NEW((size_t)n, unsigned char);
    assert_int_equal(pread(fd, *bytes, (size_t)n, 0), n);
    close(fd);
    cm_writer_free(w);
    cm_chunk_free(&c);
    cm_head_free(&h);
    return (size_t)n;
}

static void put_file(const unsigned char *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    assert_non_null(f);
    assert_int_equal(fwrite(p, 1, n, f), n);
    assert_int_equal(fclose(f), 0);
}

static int read_all(void)
{
    struct cm_reader *r;
    int rc = cm_reader_open(&r, path);
    if (rc)
        return rc;
    rc = cm_reader_drain(r);
    cm_reader_close(r);
    return rc;
}

static void test_round_trip(void **state)
{
    (void)state;
    unsigned char *bytes;
    uint64_t digest;
    write_stream(1, &bytes, &digest, true);
    cm_free(bytes);
    struct cm_reader *r;
    assert_int_equal(cm_reader_open(&r, path), 0);
    const struct cm_head *h = cm_reader_head(r);
    assert_int_equal(h->kind, CM_MATRIX);
    assert_int_equal(h->slot[0].state, CM_S_COUNTS);
    assert_string_equal(cm_strs_get(&h->slot[0].cols.names, 3), "gene\t3%");
    assert_int_equal(cm_cols_find(&h->slot[0].cols, "start")->i[1], 7);
    assert_true(cm_cols_find(&h->slot[0].cols, "start")->i[0] == CM_I64_MISSING);
    assert_true(cm_cols_find(&h->slot[0].cols, "fit.idf")->f[3] == 1.0 / 3);
    assert_true(isnan(cm_cols_find(&h->slot[0].cols, "fit.idf")->f[0]));
    assert_string_equal(cm_strs_get(&cm_cols_find(&h->slot[0].cols, "chrom")->s, 1), "chr1");
    assert_string_equal(cm_kv_get(&h->kv, "note"), "a\tb\nc%");
    assert_string_equal(cm_kv_get(&h->slot[0].fit, "fit.scale"), "10000");
    struct cm_chunk c = {0};
    size_t rows = 0;
    while (cm_reader_next(r, &c) > 0) {
        assert_int_equal(c.first, rows);
        assert_int_equal(c.block[0].type, CM_V_U8); /* whole numbers up to 24 */
        const float *v = cm_block_f32(&c.block[0], &h->slot[0]);
        for (size_t i = 0; i < c.rows; i++) {
            char name[32];
            snprintf(name, sizeof name, "cell%zu", rows + i);
            assert_string_equal(cm_strs_get(&c.names, i), name);
            assert_int_equal(c.block[0].ptr[i + 1] - c.block[0].ptr[i], (rows + i) % 5);
            for (uint64_t e = c.block[0].ptr[i]; e < c.block[0].ptr[i + 1]; e++)
                assert_true(v[e] == (float)(rows + i + c.block[0].idx[e]));
            assert_true(c.label[0].cat[i] == (i % 2 ? 0 : CM_CAT_MISSING));
            assert_true(c.label[1].f[i] == (double)i / 3);
            assert_int_equal(c.label[2].b[i], i % 3 == 0);
            assert_int_equal(c.label[4].i[i], -(int64_t)i);
        }
        rows += c.rows;
    }
    assert_int_equal(rows, 20);
    assert_true(cm_reader_digest(r) == digest && digest != 0);
    size_t records;
    const struct cm_history *past = cm_reader_history_list(r, &records);
    assert_int_equal(records, 2); /* the note and our prov */
    assert_string_equal(past[1].tag, "prov");
    assert_string_equal((const char *)past[1].payload.p, "tool\tunit\nversion\t1\nargs\t--x\n");
    cm_chunk_free(&c);
    cm_reader_close(r);
}

static void test_every_cut_is_seen(void **state)
{
    (void)state;
    unsigned char *bytes;
    uint64_t digest;
    size_t n = write_stream(1, &bytes, &digest, true);
    assert_int_equal(read_all(), 0);
    for (size_t k = 0; k < n; k++) {
        put_file(bytes, k);
        assert_int_equal(read_all(), CM_EINPUT);
    }
    cm_free(bytes);
}

static void test_every_flipped_bit_is_seen(void **state)
{
    (void)state;
    unsigned char *bytes;
    uint64_t digest;
    size_t n = write_stream(1, &bytes, &digest, true), accepted = 0;
    for (size_t k = 0; k < n; k++)
        for (int b = 0; b < 8; b++) {
            bytes[k] ^= (unsigned char)(1 << b);
            put_file(bytes, n);
            struct cm_reader *r;
            int rc = cm_reader_open(&r, path);
            if (!rc) {
                rc = cm_reader_drain(r);
                /* A flip may land in a bit that zstd ignores; the content must then be ours. */
                if (!rc)
                    accepted++, assert_true(cm_reader_digest(r) == digest);
                cm_reader_close(r);
            }
            assert_true(rc == 0 || rc == CM_EINPUT);
            bytes[k] ^= (unsigned char)(1 << b);
        }
    assert_true(accepted * 100 < n * 8); /* such bits are rare */
    cm_free(bytes);
}

static void test_missing_end_and_bytes_behind_it(void **state)
{
    (void)state;
    unsigned char *bytes;
    uint64_t digest;
    size_t n = write_stream(1, &bytes, &digest, false);
    assert_int_equal(read_all(), CM_EINPUT);
    assert_non_null(strstr(cm_error_message(), "END"));
    cm_free(bytes);
    n = write_stream(1, &bytes, &digest, true);
    unsigned char *twice = CM_NEW(2 * n, unsigned char);
    memcpy(twice, bytes, n);
    memcpy(twice + n, bytes, n);
    put_file(twice, 2 * n);
    assert_int_equal(read_all(), CM_EINPUT);
    assert_non_null(strstr(cm_error_message(), "cms-cat"));
    cm_free(twice);
    cm_free(bytes);
}

static void test_abort_travels(void **state)
{
    (void)state;
    struct cm_head h = make_head();
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct cm_writer *w = cm_writer_make(fd, "test", 1);
    assert_int_equal(cm_writer_head(w, &h), 0);
    cm_writer_abort(w, 3, "tfidf", "no such thing");
    cm_writer_free(w);
    close(fd);
    assert_int_equal(read_all(), CM_EABORT);
    assert_non_null(strstr(cm_error_message(), "tfidf upstream failed: no such thing"));
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    w = cm_writer_make(fd, "test", 1); /* before any head */
    cm_writer_abort(w, 3, "tfidf", "early");
    cm_writer_free(w);
    close(fd);
    assert_int_equal(read_all(), CM_EABORT);
    cm_head_free(&h);
}

static void test_types_are_narrowest_and_exact(void **state)
{
    (void)state;
    const struct {
        double v[2];
        bool wide;
        enum cm_value type;
    } cases[] = {{{1, 1}, false, CM_V_ONE},           {{0, 255}, false, CM_V_U8},
                 {{1, 256}, false, CM_V_U16},         {{1, 65536}, false, CM_V_U32},
                 {{4294967295., 1}, false, CM_V_U32}, {{0.5, 1}, false, CM_V_F32},
                 {{-1, 1}, false, CM_V_F32},          {{0.1, 1}, false, CM_V_F32},
                 {{0.1, 1}, true, CM_V_F64},          {{9007199254740991., 1}, false, CM_V_F64},
                 {{1e300, 1}, true, CM_V_F64}};
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        struct cm_head h = {0};
        struct cm_slot *s = cm_head_add_slot(&h, "X");
        s->wide = cases[k].wide;
        cm_strs_add(&s->cols.names, "a");
        cm_strs_add(&s->cols.names, "b");
        struct cm_chunk c = {.rows = 1};
        cm_strs_add(&c.names, "r");
        cm_block_shape(&c.block[0], false, 1, 2, 2, CM_V_F64);
        c.block[0].idx[0] = 0, c.block[0].idx[1] = 1, c.block[0].ptr[1] = 2;
        memcpy(c.block[0].raw, cases[k].v, 16);
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        struct cm_writer *w = cm_writer_make(fd, "test", 1);
        assert_int_equal(cm_writer_head(w, &h), 0);
        assert_int_equal(cm_writer_chunk(w, &c, NULL), 0);
        assert_int_equal(cm_writer_end(w), 0);
        cm_writer_free(w);
        close(fd);
        struct cm_reader *r;
        assert_int_equal(cm_reader_open(&r, path), 0);
        assert_int_equal(cm_reader_next(r, &c), 1);
        assert_int_equal(c.block[0].type, cases[k].type);
        for (int e = 0; e < 2; e++)
            if (cases[k].type == CM_V_F32)
                assert_true((float)cases[k].v[e] == (float)cm_block_x(&c.block[0], (uint64_t)e));
            else
                assert_true(cases[k].v[e] == cm_block_x(&c.block[0], (uint64_t)e));
        cm_reader_close(r);
        cm_chunk_free(&c);
        cm_head_free(&h);
    }
}

static void test_lazy_values_follow_the_formula(void **state)
{
    (void)state;
    const enum cm_lazy all[] = {CM_LAZY_IDENTITY, CM_LAZY_LOG1P, CM_LAZY_SQRT};
    for (int with = 0; with < 4; with++)
        for (int k = 0; k < 3; k++) {
            struct cm_head h = make_head();
            struct cm_slot *s = &h.slot[0];
            struct cm_chunk c = {0};
            s->lazy = all[k];
            if (with & 1) {
                struct cm_vec *v = cm_cols_vec(&s->cols, "fit.col", CM_T_F64);
                for (int j = 0; j < 5; j++)
                    v->f[j] = 0.3 * (j + 1);
            }
            if (with & 2) {
                struct cm_vec *v = cm_cols_vec(&s->cols, "fit.post", CM_T_F64);
                for (int j = 0; j < 5; j++)
                    v->f[j] = 2.5 / (j + 1);
            }
            fill(&c, &h, 60, 20, 1);
            struct cm_block *b = &c.block[0];
            float *rowf = cm_block_rowf(b);
            for (size_t i = 0; i < 20; i++)
                rowf[i] = 1 / ((float)i + 0.5f);
            struct cm_block copy = {0};
            cm_block_copy(&copy, b);
            const double *d = cm_block_f64(b, s);
            const float *f = cm_block_f32(b, s);
            for (size_t i = 0; i < 20; i++)
                for (uint64_t e = b->ptr[i]; e < b->ptr[i + 1]; e++) {
                    uint32_t j = b->idx[e];
                    double t =
                        (double)rowf[i] * (with & 1 ? 0.3 * (j + 1) : 1) * (double)(60 + i + j);
                    double y = all[k] == CM_LAZY_LOG1P  ? log1p(t)
                               : all[k] == CM_LAZY_SQRT ? sqrt(t)
                                                        : t;
                    y *= with & 2 ? 2.5 / (j + 1) : 1;
                    assert_true(fabs(d[e] - y) <= 1e-14 * fabs(y));
                    assert_true(f[e] == (float)d[e]);
                }
            cm_block_materialize(&copy, s);
            assert_int_equal(copy.type, CM_V_F32);
            assert_memory_equal(copy.raw, f, (size_t)copy.nnz * 4);
            cm_block_free(&copy);
            cm_chunk_free(&c);
            cm_head_free(&h);
        }
}

static void test_promises_of_a_match(void **state)
{
    (void)state;
    const float rows[][3] = {
        {0.5f, 0.25f, 0.25f}, {0.5f, 0.5f, 0.5f}, {1.5f, -0.5f, 0}, {1, 0, NAN}};
    for (size_t k = 0; k < 4; k++) {
        struct cm_head h = {.kind = CM_MATCH};
        struct cm_slot *s = cm_head_add_slot(&h, "GEX");
        s->state = CM_S_PROBABILITY;
        for (int j = 0; j < 3; j++)
            cm_strs_add(&s->cols.names, "x");
        struct cm_chunk c = {.rows = 1};
        cm_strs_add(&c.names, "r");
        cm_block_shape(&c.block[0], false, 1, 3, 3, CM_V_F32);
        for (uint32_t j = 0; j < 3; j++)
            c.block[0].idx[j] = j;
        c.block[0].ptr[1] = 3;
        memcpy(c.block[0].raw, rows[k], sizeof rows[k]);
        int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
        struct cm_writer *w = cm_writer_make(fd, "test", 1);
        assert_int_equal(cm_writer_head(w, &h), 0);
        assert_int_equal(cm_writer_chunk(w, &c, NULL), k == 0 ? 0 : CM_ENUMERIC);
        assert_int_equal(cm_writer_end(w), k == 0 ? 0 : CM_ENUMERIC);
        cm_writer_free(w);
        close(fd);
        cm_chunk_free(&c);
        cm_head_free(&h);
    }
}

static void test_categories_are_recoded_and_sent_before_use(void **state)
{
    (void)state;
    struct cm_head a = make_head(), b = make_head();
    cm_dict_code(&a.label[0].dict, "B");  /* a: T B */
    cm_dict_code(&b.label[0].dict, "NK"); /* b: T NK B */
    cm_dict_code(&b.label[0].dict, "B");
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct cm_writer *w = cm_writer_make(fd, "test", 1);
    assert_int_equal(cm_writer_head(w, &a), 0);
    struct cm_chunk c = {0};
    fill(&c, &a, 0, 10, 1);
    c.label[0].cat[0] = 1;
    assert_int_equal(cm_writer_chunk(w, &c, &a), 0);
    fill(&c, &b, 10, 10, 1);
    c.label[0].cat[0] = 1; /* NK */
    c.label[0].cat[2] = 2; /* B */
    assert_int_equal(cm_writer_chunk(w, &c, &b), 0);
    assert_int_equal(c.label[0].cat[2], 2); /* the caller's codes are untouched */
    assert_int_equal(cm_writer_end(w), 0);
    cm_writer_free(w);
    close(fd);
    struct cm_reader *r;
    assert_int_equal(cm_reader_open(&r, path), 0);
    struct cm_table t;
    assert_int_equal(cm_table_load(r, &t), 0);
    const struct cm_dict *d = &t.head.label[0].dict;
    assert_int_equal(d->names.n, 3);
    assert_string_equal(cm_strs_get(&d->names, t.label[0].cat[0]), "B");
    assert_string_equal(cm_strs_get(&d->names, t.label[0].cat[10]), "NK");
    assert_string_equal(cm_strs_get(&d->names, t.label[0].cat[12]), "B");
    assert_string_equal(cm_strs_get(&d->names, t.label[0].cat[11]), "T");
    assert_int_equal(t.names.n, 20);
    assert_int_equal(t.csr.rows, 20);
    cm_table_free(&t);
    cm_reader_close(r);
    cm_chunk_free(&c);
    cm_head_free(&a);
    cm_head_free(&b);
}

static void test_rewind_gives_the_same_again(void **state)
{
    (void)state;
    unsigned char *bytes;
    uint64_t digest;
    size_t n = write_stream(1, &bytes, &digest, true);
    for (int pipe_ = 0; pipe_ < 2; pipe_++) {
        struct cm_reader *r;
        int saved = dup(0), p[2];
        if (pipe_) {
            assert_int_equal(pipe(p), 0);
            assert_int_equal(write(p[1], bytes, n), (ssize_t)n);
            close(p[1]);
            dup2(p[0], 0);
            close(p[0]);
        }
        assert_int_equal(cm_reader_open(&r, pipe_ ? "-" : path), 0);
        assert_int_equal(cm_reader_keep(r), 0);
        for (int pass = 0; pass < 3; pass++) {
            assert_int_equal(cm_reader_drain(r), 0);
            assert_int_equal(cm_reader_rows(r, 0), 20);
            assert_true(cm_reader_digest(r) == digest);
            size_t records;
            cm_reader_history_list(r, &records);
            assert_int_equal(records, 2);
            if (pass < 2)
                assert_int_equal(cm_reader_rewind(r), 0);
        }
        cm_reader_close(r);
        dup2(saved, 0);
        close(saved);
    }
    cm_free(bytes);
}

/* Other values under the same head, written over the file between two passes. */
static void test_passes_must_agree(void **state)
{
    (void)state;
    unsigned char *bytes;
    uint64_t digest;
    struct cm_reader *r;
    cm_free((write_stream(2, &bytes, &digest, true), bytes));
    assert_int_equal(cm_reader_open(&r, path), 0);
    assert_int_equal(cm_reader_drain(r), 0);
    cm_free((write_stream(3, &bytes, &digest, true), bytes));
    assert_int_equal(cm_reader_rewind(r), 0);
    assert_int_equal(cm_reader_drain(r), CM_EINPUT);
    assert_non_null(strstr(cm_error_message(), "changed while it was read"));
    cm_reader_close(r);
}

static void test_columns_are_mapped_and_rows_taken(void **state)
{
    (void)state;
    struct cm_head h = make_head();
    struct cm_chunk c = {0};
    fill(&c, &h, 0, 10, 1);
    const uint32_t map[5] = {2, UINT32_MAX, 0, 1, 3};
    cm_block_map_columns(&c.block[0], map, 4);
    const uint64_t at[3] = {4, 9, 0};
    cm_chunk_take(&c, at, 3);
    assert_int_equal(c.rows, 3);
    assert_string_equal(cm_strs_get(&c.names, 1), "cell9");
    /* Row 4 had columns 0 1 2 3 with values 4 5 6 7; 1 is dropped, 2 3 0 come first. */
    assert_int_equal(c.block[0].ptr[1], 3);
    const float *v = cm_block_f32(&c.block[0], &h.slot[0]);
    const float expect[3] = {6, 7, 4};
    for (uint32_t e = 0; e < 3; e++) {
        assert_int_equal(c.block[0].idx[e], e);
        assert_true(v[e] == expect[e]);
    }
    assert_int_equal(c.block[0].ptr[3] - c.block[0].ptr[2], 0);
    cm_chunk_free(&c);
    cm_head_free(&h);
}

/* Whole rows, rows of some entries and of very few, in a wide matrix turned round: the order that a
 * sort gives. */
static void test_mapped_columns_ascend_in_rows_of_any_length(void **state)
{
    (void)state;
    enum { COLS = 4000, LEFT = 3990 };
    const size_t length[] = {COLS, 0, 2, 300, 1, 3}, rows = sizeof length / sizeof *length;
    struct cm_block b = {0};
    uint32_t map[COLS];
    for (uint32_t j = 0; j < COLS; j++)
        map[j] = j < COLS - LEFT ? UINT32_MAX : COLS - 1 - j;
    cm_block_shape(&b, false, rows, COLS, COLS + 306, CM_V_U16);
    uint64_t n = 0;
    for (size_t i = 0; i < rows; i++) {
        for (size_t k = 0; k < length[i]; k++, n++) {
            b.idx[n] = (uint32_t)(k * (COLS / length[i]));
            ((uint16_t *)b.raw)[n] = (uint16_t)b.idx[n];
        }
        b.ptr[i + 1] = n;
    }
    cm_block_map_columns(&b, map, LEFT);
    n = 0;
    for (size_t i = 0; i < rows; i++)
        for (size_t k = length[i]; k-- > 0;) {
            size_t j = k * (COLS / length[i]);
            if (map[j] == UINT32_MAX)
                continue;
            assert_in_range(n, b.ptr[i], b.ptr[i + 1] - 1);
            assert_int_equal(b.idx[n], map[j]);
            assert_int_equal(((const uint16_t *)b.raw)[n++], j);
        }
    assert_int_equal(b.ptr[rows], n);
    cm_block_free(&b);
}

/* A percent sign that two hexadecimal digits follow, and no other, is an escape. */
static void test_only_escapes_are_unescaped(void **state)
{
    (void)state;
    char text[] = "%41%7e%2F %+1 % 1 %-1 %0x %4 %00 %G1 50%";
    cm_unescape(text);
    assert_string_equal(text, "A~/ %+1 % 1 %-1 %0x %4 %00 %G1 50%");
}

/* More entries in one row than 16 bits count, and a name of the greatest length. */
static void test_the_longest_row_and_name(void **state)
{
    (void)state;
    enum { COLS = 70000 };
    struct cm_head h = {.kind = CM_MATRIX};
    struct cm_slot *s = cm_head_add_slot(&h, "GEX");
    char *name = CM_ZNEW(CM_MAX_NAME + 1, char);
    for (int j = 0; j < COLS; j++) {
        snprintf(name, CM_MAX_NAME, "%d", j);
        cm_strs_add(&s->cols.names, name);
    }
    memset(name, 'n', CM_MAX_NAME);
    struct cm_chunk c = {.rows = 1};
    cm_strs_add(&c.names, name);
    cm_block_shape(&c.block[0], false, 1, COLS, COLS, CM_V_F32);
    for (uint32_t j = 0; j < COLS; j++) {
        c.block[0].idx[j] = j;
        ((float *)c.block[0].raw)[j] = (float)j;
    }
    c.block[0].ptr[1] = COLS;
    int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    struct cm_writer *w = cm_writer_make(fd, "test", 1);
    assert_int_equal(cm_writer_head(w, &h), 0);
    assert_int_equal(cm_writer_chunk(w, &c, NULL), 0);
    assert_int_equal(cm_writer_end(w), 0);
    cm_writer_free(w);
    close(fd);
    struct cm_reader *r;
    assert_int_equal(cm_reader_open(&r, path), 0);
    assert_int_equal(cm_reader_next(r, &c), 1);
    assert_string_equal(cm_strs_get(&c.names, 0), name);
    assert_int_equal(c.block[0].ptr[1], COLS);
    for (uint32_t j = 0; j < COLS; j++)
        assert_true(cm_block_x(&c.block[0], j) == j);
    assert_int_equal(cm_reader_next(r, &c), 0);
    cm_reader_close(r);
    cm_chunk_free(&c);
    cm_head_free(&h);
    cm_free(name);
}

int main(void)
{
    close(mkstemp(path));
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_round_trip),
        cmocka_unit_test(test_every_cut_is_seen),
        cmocka_unit_test(test_every_flipped_bit_is_seen),
        cmocka_unit_test(test_missing_end_and_bytes_behind_it),
        cmocka_unit_test(test_abort_travels),
        cmocka_unit_test(test_types_are_narrowest_and_exact),
        cmocka_unit_test(test_lazy_values_follow_the_formula),
        cmocka_unit_test(test_promises_of_a_match),
        cmocka_unit_test(test_categories_are_recoded_and_sent_before_use),
        cmocka_unit_test(test_rewind_gives_the_same_again),
        cmocka_unit_test(test_passes_must_agree),
        cmocka_unit_test(test_columns_are_mapped_and_rows_taken),
        cmocka_unit_test(test_mapped_columns_ascend_in_rows_of_any_length),
        cmocka_unit_test(test_only_escapes_are_unescaped),
        cmocka_unit_test(test_the_longest_row_and_name),
    };
    int failed = cmocka_run_group_tests_name("stream_cms", tests, NULL, NULL);
    unlink(path);
    return failed;
}
