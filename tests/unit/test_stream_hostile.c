/* Unit test of stream/ against files that lie, and of the text form against editing.
 *
 * Sizes that a record declares and does not hold; values that are finite as stored and not as
 * meant; names and keys in numbers where anything but an index would take hours; and the law of the
 * text form, on random streams with random edits: what `--from` accepts, a reader accepts.  The
 * records are changed inside the compression, with counts and digest mended (tests/fuzz/fuzz.h).
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>

#include "../fuzz/text.h"
#include "base/rng.h"
#include "stream/wire.h"

/* ===== streams in memory ================================================================== */

/* A matrix of 2 rows and 3 columns; `how` may change the head. */
static struct cm_head make_head(enum cm_lazy lazy, double col)
{
    struct cm_head h = {.kind = CM_MATRIX};
    struct cm_slot *s = cm_head_add_slot(&h, "GEX");
    for (int j = 0; j < 3; j++)
        cm_strs_add(&s->cols.names, (const char *const[]){"a", "b", "c"}[j]);
    s->lazy = lazy;
    if (lazy != CM_LAZY_NO)
        for (size_t j = 0; j < 3; j++)
            cm_cols_vec(&s->cols, "fit.col", CM_T_F64)->f[j] = col;
    return h;
}

static int write_rows(struct cm_writer *w, float rowf, uint8_t x)
{
    struct cm_chunk c = {.rows = 2};
    struct cm_block *b = &c.block[0];
    cm_strs_add(&c.names, "r1");
    cm_strs_add(&c.names, "r2");
    cm_block_shape(b, false, 2, 3, 2, CM_V_U8);
    for (uint32_t i = 0; i < 2; i++) {
        b->idx[i] = i;
        b->ptr[i + 1] = i + 1;
        ((uint8_t *)b->raw)[i] = x;
    }
    cm_block_rowf(b)[1] = rowf;
    int code = cm_writer_chunk(w, &c, NULL);
    cm_chunk_free(&c);
    return code;
}

/* The inner bytes behind a byte of flags, as fuzz_stream takes them. */
static struct cm_buf inner_of(int fd)
{
    struct cm_buf in = {0}, out = {0};
    off_t n = lseek(fd, 0, SEEK_END);
    assert_int_equal(pread(fd, cm_buf_extend(&in, (size_t)n), (size_t)n, 0), n);
    cm_buf_u8(&out, 0);
    ZSTD_DStream *z = ZSTD_createDStream();
    ZSTD_inBuffer from = {in.p, (size_t)n, 0};
    while (from.pos < from.size) {
        ZSTD_outBuffer to = {cm_buf_extend(&out, 1 << 17), 1 << 17, 0};
        assert_false(ZSTD_isError(ZSTD_decompressStream(z, &to, &from)));
        out.n -= (1 << 17) - to.pos;
    }
    ZSTD_freeDStream(z);
    cm_buf_free(&in);
    return out;
}

static struct cm_buf stream(const struct cm_head *h, float rowf, uint8_t x)
{
    int fd = memfd_create("stream", MFD_CLOEXEC);
    struct cm_writer *w = cm_writer_make(fd, "stream", 1);
    assert_int_equal(cm_writer_head(w, h), 0);
    assert_int_equal(write_rows(w, rowf, x), 0);
    assert_int_equal(cm_writer_end(w), 0);
    cm_writer_free(w);
    struct cm_buf b = inner_of(fd);
    close(fd);
    return b;
}

/* Other bytes of the same length, everywhere. */
static void edit(struct cm_buf *b, const char *from, const char *to)
{
    size_t n = strlen(from), found = 0;
    assert_int_equal(n, strlen(to));
    for (size_t k = 0; k + n <= b->n; k++)
        if (!memcmp(b->p + k, from, n)) {
            memcpy(b->p + k, to, n);
            found++;
        }
    assert_true(found > 0);
}

static int read_inner(const struct cm_buf *b)
{
    char path[FUZZ_PATH];
    struct cm_reader *r;
    int fd = fuzz_stream(b->p, b->n, path), code = cm_reader_open(&r, path);
    if (!code) {
        code = cm_reader_drain(r);
        cm_reader_close(r);
    }
    close(fd);
    return code;
}

static void says(const char *what)
{
    if (!strstr(cm_error_message(), what))
        fail_msg("expected '%s' in: %s", what, cm_error_message());
}

/* ===== values as they are meant =========================================================== */

static void test_lazy_values_are_finite(void **state)
{
    (void)state;
    struct cm_head h = make_head(CM_LAZY_IDENTITY, 9e20);
    struct cm_buf b = stream(&h, 1, 200);
    assert_int_equal(read_inner(&b), 0);
    edit(&b, "9e+20", "9e+99");
    assert_int_equal(read_inner(&b), CM_EINPUT);
    says("row 0, column a: expected a finite value, found inf");
    cm_buf_free(&b);
    cm_head_free(&h);
}

static void test_missing_factor(void **state)
{
    (void)state;
    struct cm_head h = make_head(CM_LAZY_LOG1P, 2.5);
    struct cm_buf b = stream(&h, 1, 3);
    edit(&b, "2.5", "inf");
    assert_int_equal(read_inner(&b), CM_EINPUT);
    says("fit.col: expected a finite factor, found inf");
    edit(&b, "inf", "nan");
    assert_int_equal(read_inner(&b), CM_EINPUT);
    cm_buf_free(&b);
    b = stream(&h, 1, 3);
    edit(&b, "f64", "str");
    assert_int_equal(read_inner(&b), CM_EINPUT);
    says("fit.col is not of type f64");
    cm_buf_free(&b);
    cm_head_free(&h);
}

static void test_writer_refuses_them_too(void **state)
{
    (void)state;
    const struct {
        enum cm_lazy lazy;
        double col;
        float rowf;
        int head, chunk;
    } try[] = {{CM_LAZY_LOG1P, 1, 1, 0, 0},
               {CM_LAZY_LOG1P, NAN, 1, CM_ENUMERIC, 0},
               {CM_LAZY_LOG1P, INFINITY, 1, CM_ENUMERIC, 0},
               {CM_LAZY_LOG1P, 1, INFINITY, 0, CM_ENUMERIC},
               {CM_LAZY_LOG1P, 1, -1, 0, CM_ENUMERIC},
               {CM_LAZY_LOG1P, -1, -1, 0, CM_ENUMERIC}, /* the first row's factor is 1 */
               {CM_LAZY_LOG1P, 1, -0.1f, 0, 0},         /* log1p(-0.3) is a number */
               {CM_LAZY_SQRT, 1, -0.1f, 0, CM_ENUMERIC},
               {CM_LAZY_IDENTITY, 1, -1, 0, 0},
               {CM_LAZY_IDENTITY, 1e30, 1e30f, 0, CM_ENUMERIC}};
    for (size_t k = 0; k < sizeof try / sizeof *try; k++) {
        struct cm_head h = make_head(try[k].lazy, try[k].col);
        int fd = memfd_create("stream", MFD_CLOEXEC);
        struct cm_writer *w = cm_writer_make(fd, "stream", 1);
        assert_int_equal(cm_writer_head(w, &h), try[k].head);
        if (!try[k].head)
            assert_int_equal(write_rows(w, try[k].rowf, 3), try[k].chunk);
        cm_writer_free(w);
        close(fd);
        cm_head_free(&h);
    }
}

/* ===== sizes ============================================================================== */

static void test_columns_are_counted_before_memory(void **state)
{
    (void)state;
    struct cm_cols c = {0};
    char text[] = "name\tx:i64\ty:i64\na\t1\t2\n";
    assert_int_equal(cm_wire_get_cols(text, (size_t)1 << 47, &c), CM_EINPUT);
    cm_cols_free(&c);
    struct cm_buf b = {0};
    cm_buf_puts(&b, "name");
    for (int k = 0; k < CM_WIRE_NAMED; k++)
        cm_buf_puts(&b, "\t:i64");
    cm_buf_put(&b, "\n", 2);
    assert_int_equal(cm_wire_get_cols((char *)b.p, 0, &c), CM_EINPUT);
    cm_cols_free(&c);
    cm_buf_free(&b);
}

static void test_the_first_column_is_the_name(void **state)
{
    (void)state;
    struct cm_cols c = {0};
    char good[] = "name\tx:i64\na\t1\n", bad[] = "xname\tx:i64\na\t1\n";
    assert_int_equal(cm_wire_get_cols(good, 1, &c), 0);
    cm_cols_free(&c);
    assert_int_equal(cm_wire_get_cols(bad, 1, &c), CM_EINPUT);
    assert_non_null(strstr(cm_error_message(), "found \"xname\""));
    cm_cols_free(&c);
}

static void test_labels_are_counted_before_memory(void **state)
{
    (void)state;
    struct cm_head h = make_head(CM_LAZY_NO, 1);
    struct cm_buf b = stream(&h, 1, 3);
    struct cm_buf lie = {0};
    for (size_t at = 1 + FUZZ_PREFIX; at + FUZZ_RECORD <= b.n;) {
        size_t n = fuzz_payload(b.p + at, b.n - at);
        if (!memcmp(b.p + at, "HEAD", 5)) {
            cm_buf_put(&lie, b.p, at);
            size_t from = lie.n;
            cm_buf_put(&lie, b.p + at, FUZZ_RECORD + n);
            for (int k = 0; k < 9999; k++)
                cm_buf_printf(&lie, "label.%d.name\tl%d\nlabel.%d.type\tf64\n", k, k, k);
            fuzz_put64(lie.p + from + 8, lie.n - from - FUZZ_RECORD);
            cm_buf_pad8(&lie, from);
        } else if (!memcmp(b.p + at, "ROWS", 5)) {
            size_t rows = 1 << 18, from = lie.n;
            cm_buf_put(&lie, b.p + at, FUZZ_RECORD);
            cm_buf_u64(&lie, 0);
            cm_buf_u32(&lie, (uint32_t)rows);
            cm_buf_u32(&lie, 9999);
            cm_buf_u64(&lie, 0);
            memset(cm_buf_extend(&lie, 4 * rows), 0, 4 * rows);
            fuzz_put64(lie.p + from + 8, lie.n - from - FUZZ_RECORD);
        } else {
            cm_buf_put(&lie, b.p + at, FUZZ_RECORD + fuzz_padded(n));
        }
        at += FUZZ_RECORD + fuzz_padded(n);
    }
    char *labels = memmem(lie.p, lie.n, "labels\t0\n", 9);
    assert_non_null(labels);
    cm_buf_free(&b);
    /* one digit becomes four: through the text of HEAD alone */
    size_t at = (size_t)((unsigned char *)labels - lie.p), head = 1 + FUZZ_PREFIX;
    size_t n = fuzz_payload(lie.p + head, lie.n - head), end = head + FUZZ_RECORD + fuzz_padded(n);
    struct cm_buf all = {0};
    cm_buf_put(&all, lie.p, at);
    cm_buf_puts(&all, "labels\t9999\n");
    cm_buf_put(&all, lie.p + at + 9, head + FUZZ_RECORD + n - at - 9);
    fuzz_put64(all.p + head + 8, n + 3);
    cm_buf_pad8(&all, head);
    cm_buf_put(&all, lie.p + end, lie.n - end);
    assert_int_equal(read_inner(&all), CM_EINPUT);
    says("cut label values");
    cm_buf_free(&lie);
    cm_buf_free(&all);
    cm_head_free(&h);
}

/* The bytes themselves: a writer and a reader that agree may both be wrong. */
static void test_numbers_are_little_endian(void **state)
{
    (void)state;
    static const unsigned char pick[] = "PICK\0\0\0\0" /* and 24 bytes: epoch, rows, step, row */
                                        "\x18\0\0\0\0\0\0\0"
                                        "\4\3\2\1"
                                        "\1\0\0\0"
                                        "\x17\x16\x15\x14\x13\x12\x11\x10"
                                        "\x27\x26\x25\x24\x23\x22\x21\x20";
    static const unsigned char batch[] = "BATCH\0\0\0" /* epoch, rows, step, split */
                                         "\x18\0\0\0\0\0\0\0"
                                         "\4\3\2\1"
                                         "\2\0\0\0"
                                         "\x17\x16\x15\x14\x13\x12\x11\x10"
                                         "\1\0\0\0\0\0\0\0";
    static const unsigned char rows[] = "\2\0\0\0\0\0\0\0" /* of a BLOCK: rows, flags, the */
                                        "\0\0\0\0\0\0\0\0" /* first row, entries, of each row */
                                        "\2\0\0\0\0\0\0\0"
                                        "\1\0\0\0\1\0\0\0";
    struct cm_head h = make_head(CM_LAZY_NO, 1);
    h.kind = CM_PAIRS;
    int fd = memfd_create("stream", MFD_CLOEXEC);
    struct cm_writer *w = cm_writer_make(fd, "stream", 1);
    assert_int_equal(cm_writer_head(w, &h), 0);
    struct cm_chunk c = {.rows = 2};
    struct cm_block *b = &c.block[0];
    cm_strs_add(&c.names, "r1");
    cm_strs_add(&c.names, "r2");
    cm_block_shape(b, false, 2, 3, 2, CM_V_U8);
    for (uint32_t i = 0; i < 2; i++) {
        b->idx[i] = i;
        b->ptr[i + 1] = i + 1;
        ((uint8_t *)b->raw)[i] = 7;
    }
    c.batch.epoch = 0x01020304;
    c.batch.step = 0x1011121314151617;
    c.batch.split = 1;
    assert_int_equal(cm_writer_chunk(w, &c, NULL), 0);
    uint64_t row = 0x2021222324252627, *old = c.pick;
    c.is_pick = true;
    c.pick = &row;
    c.batch.rows = 1;
    assert_int_equal(cm_writer_chunk(w, &c, NULL), 0);
    c.pick = old;
    cm_writer_free(w);
    struct cm_buf in = inner_of(fd);
    assert_non_null(memmem(in.p, in.n, batch, sizeof batch - 1));
    assert_non_null(memmem(in.p, in.n, rows, sizeof rows - 1));
    assert_non_null(memmem(in.p, in.n, pick, sizeof pick - 1));
    close(fd);
    cm_buf_free(&in);
    cm_chunk_free(&c);
    cm_head_free(&h);
}

/* The first code behind the last category is no category. */
static void test_codes_stay_below_their_categories(void **state)
{
    (void)state;
    for (uint8_t code = 0; code < 3; code++) {
        struct cm_head h = make_head(CM_LAZY_NO, 1);
        struct cm_label *l = cm_head_add_label(&h, "type", CM_T_CAT, -1);
        cm_dict_code(&l->dict, "T");
        cm_dict_code(&l->dict, "B");
        int fd = memfd_create("stream", MFD_CLOEXEC);
        struct cm_writer *w = cm_writer_make(fd, "stream", 1);
        struct cm_chunk c = {.rows = 2};
        cm_strs_add(&c.names, "r1");
        cm_strs_add(&c.names, "r2");
        cm_block_shape(&c.block[0], false, 2, 3, 0, CM_V_U8);
        c.block[0].ptr[1] = c.block[0].ptr[2] = 0;
        cm_chunk_labels(&c, &h);
        c.label[0].cat[0] = c.label[0].cat[1] = 1;
        assert_int_equal(cm_writer_head(w, &h), 0);
        assert_int_equal(cm_writer_chunk(w, &c, NULL), 0);
        assert_int_equal(cm_writer_end(w), 0);
        cm_writer_free(w);
        struct cm_buf b = inner_of(fd);
        close(fd);
        size_t at = 1 + FUZZ_PREFIX, n = 0;
        while (n = fuzz_payload(b.p + at, b.n - at), memcmp(b.p + at, "ROWS", 5))
            at += FUZZ_RECORD + fuzz_padded(n);
        b.p[at + FUZZ_RECORD + n - 4] = code; /* of the last row, the last label */
        assert_int_equal(read_inner(&b), code < 2 ? 0 : CM_EINPUT);
        if (code == 2)
            says("row 1: label type has code 2, its DICT has 2 categories");
        cm_buf_free(&b);
        cm_chunk_free(&c);
        cm_head_free(&h);
    }
}

/* ===== names, keys, records in numbers ===================================================== */

static void test_a_million_names(void **state)
{
    (void)state;
    enum { MANY = 1000000, KEYS = 200000 };
    struct cm_dict d = {0};
    struct cm_kv kv = {0}, copy = {0};
    char name[32];
    for (uint32_t k = 0; k < MANY; k++) {
        snprintf(name, sizeof name, "%u", k % (MANY / 2));
        assert_int_equal(cm_dict_code(&d, name), k % (MANY / 2));
    }
    cm_strs_clear(&d.names); /* the index must notice, also where the number is the same again */
    for (uint32_t k = 0; k < MANY / 2; k++) {
        snprintf(name, sizeof name, "x%u", k);
        assert_int_equal(cm_dict_code(&d, name), k);
    }
    for (int k = 0; k < KEYS; k++) {
        snprintf(name, sizeof name, "key.%d", k);
        cm_kv_set(&kv, name, name + 4);
    }
    assert_int_equal(kv.key.n, KEYS);
    assert_string_equal(cm_kv_get(&kv, "key.77777"), "77777");
    cm_kv_set(&kv, "key.77777", "other");
    assert_string_equal(cm_kv_get(&kv, "key.77777"), "other");
    assert_null(cm_kv_get(&kv, "key"));
    cm_kv_drop(&kv, "key.1");
    assert_null(cm_kv_get(&kv, "key.123456"));
    assert_string_equal(cm_kv_get(&kv, "key.23456"), "23456");
    cm_kv_free(&copy);
    cm_kv_free(&kv);
    cm_dict_free(&d);
}

static void test_many_notes(void **state)
{
    (void)state;
    enum { NOTES = 300000 };
    struct cm_past past = {0};
    char text[32];
    for (int k = 0; k < 2 * NOTES; k++) { /* each twice */
        int n = snprintf(text, sizeof text, "%d\tx\n", k / 2);
        cm_past_add(&past, "note", text, (size_t)n);
    }
    assert_int_equal(past.n, NOTES);
    assert_string_equal((char *)past.list[NOTES - 1].payload.p, "299999\tx\n");
    cm_past_free(&past);
}

static void test_keys_of_any_length_stay_whole(void **state)
{
    (void)state;
    struct cm_head h = make_head(CM_LAZY_NO, 1), back = {0};
    struct cm_buf b = {0};
    char key[2][1001];
    uint64_t cols[CM_MAX_SLOTS];
    for (int k = 0; k < 2; k++) { /* the same in the first thousand bytes but one */
        memset(key[k], 'k', 1000);
        key[k][999] = (char)('0' + k);
        key[k][1000] = 0;
        cm_kv_set(&h.kv, key[k], k ? "one" : "zero");
    }
    memcpy(key[0], "fit.", 4);
    cm_kv_set(&h.slot[0].fit, key[0], "fitted");
    cm_wire_put_head(&b, &h);
    cm_buf_put(&b, "", 1);
    assert_int_equal(cm_wire_get_head((char *)b.p, &back, cols), 0);
    assert_string_equal(cm_kv_get(&back.kv, key[1]), "one");
    assert_string_equal(cm_kv_get(&back.slot[0].fit, key[0]), "fitted");
    memcpy(key[0], "kkkk", 4);
    assert_string_equal(cm_kv_get(&back.kv, key[0]), "zero");
    cm_head_free(&back);
    b.n = 0;
    cm_wire_put_head(&b, &h);
    cm_buf_put(&b, "kind\tmodel\n", 12);
    assert_int_equal(cm_wire_get_head((char *)b.p, &back, cols), CM_EINPUT);
    says("the key kind occurs twice");
    cm_head_free(&back);
    cm_head_free(&h);
    cm_buf_free(&b);
}

static void test_escapes_are_strict(void **state)
{
    (void)state;
    const char *pair[][2] = {{"100% ab", "100% ab"}, {"%2", "%2"},     {"%+a", "%+a"},
                             {"%0x1", "%0x1"},       {"%00a", "%00a"}, {"%41%4a%4A", "AJJ"},
                             {"%25 %09", "% \t"},    {"%%41", "%A"},   {"%g1%", "%g1%"}};
    for (size_t k = 0; k < sizeof pair / sizeof *pair; k++) {
        char text[32];
        snprintf(text, sizeof text, "%s", pair[k][0]);
        cm_unescape(text);
        assert_string_equal(text, pair[k][1]);
    }
}

/* ===== the text form ====================================================================== */

static const char text_head[] = "#cms\t1\n#head\tkind\t%s\n#head\tslots\t1\n#head\tslot.0.name\tG\n"
                                "#head\tslot.0.encoding\tcsr\n#head\tslot.0.cols\t2\n"
                                "#head\tslot.0.state\tcounts\n#head\tlabels\t0\n"
                                "#cols\t0\tname\n#cols\t0\tg\n#cols\t0\th\n";

static void test_text_that_no_reader_would_take(void **state)
{
    (void)state;
    const struct {
        const char *kind, *lines, *message; /* message NULL: fine */
    } try[] = {
        {"pairs", "#batch\t0\t0\t0\na\tg:1\nb\n#pick\t1\t0\t1\t0\n", NULL},
        {"pairs", "#batch\t0\t0\t0\na\tg:1\nb\n#pick\t1\t0\t2\n", "line 15: #pick: row 2"},
        {"pairs", "#batch\t0\t0\t2\na\n", "line 12: expected a split up to 1, found 2"},
        {"pairs", "#batch\t4294967296\t0\t0\na\n", "line 12: expected an epoch"},
        {"pairs", "#pick\t4294967296\t0\n", "line 12: expected an epoch"},
        {"matrix", "#batch\t0\t0\t0\na\n", "#batch in a stream of kind matrix"},
        {"matrix", "#pick\t0\t0\n", "#pick in a stream of kind matrix"},
        {"matrix", "#block\tf32\na\tg:1e39\n",
         "line 13: expected a number within the range of f32"},
        {"matrix", "a\tg:1e999\n", "line 12: expected a finite number"},
        {"matrix", "a\th:1\tg:2\n", NULL},
        {"matrix", "a\th:1\tg:2\th:3\n", "column 'h' occurs twice"},
        {"matrix", "#head\tx\ty\na\n", "#head stands before the first row"},
        {"matrix", "#tensor\tt\tu8\t3\t0\t255\t7\n", NULL},
        {"matrix", "#tensor\tt\tu8\t1\t256\n", "line 12: expected a whole number from 0 to 255"},
        {"matrix", "#tensor\tt\tu8\t1\t-5\n", "expected a whole number"},
        {"matrix", "#tensor\tt\tu16\t1\t1.5\n", "expected a whole number"},
        {"matrix", "#tensor\tt\tu32\t1\t1e30\n", "expected a whole number"},
        {"matrix", "#tensor\tt\tf32\t1\t1e39\n", "range of f32"},
        {"matrix", "#tensor\tt\tf32\t0x99999999999\n", "expected a shape"},
        {"matrix", "#tensor\tt\tf32\t2x\t1\t2\n", "expected a shape"},
    };
    for (size_t k = 0; k < sizeof try / sizeof *try; k++) {
        struct cm_buf b = {0};
        char head[sizeof text_head + 16];
        snprintf(head, sizeof head, text_head, try[k].kind);
        cm_buf_puts(&b, head);
        cm_buf_printf(&b, "%s#end\n", try[k].lines);
        cm_fail(0, "nothing");
        int code = fuzz_from_text(b.p, b.n);
        assert_int_equal(code, try[k].message ? CM_EINPUT : 0);
        if (try[k].message)
            says(try[k].message);
        cm_buf_free(&b);
    }
    static const char none[] = "#cms\t1\n#head\tkind\tmatrix\n#head\tslots\t0\na\n#end\n";
    assert_int_equal(fuzz_from_text(none, sizeof none - 1), CM_EINPUT);
    says("a row in a stream without slots");
}

static struct cm_rng rng;
static uint64_t below(uint64_t n) { return cm_rng_below(&rng, n); }

/* A text of any kind with up to three slots and labels of every type. */
static void random_text(struct cm_buf *b)
{
    static const char *const kind[] = {"matrix", "embedding", "pairs", "match", "model", "table"};
    static const char *const type[] = {"cat", "bool", "i64", "f64", "str"};
    static const char *const value[] = {"", "true", "7", "0.5", "x%09y"};
    uint64_t k = below(6), slots = below(3), labels = below(4), cols = 1 + below(3),
             rows = below(4);
    uint64_t dense = below(2), of[4];
    cm_buf_printf(b, "#cms\t1\n#head\tkind\t%s\n#head\tslots\t%d\n", kind[k], (int)slots);
    for (uint64_t s = 0; s < slots; s++)
        cm_buf_printf(b,
                      "#head\tslot.%d.name\ts%d\n#head\tslot.%d.cols\t%d\n"
                      "#head\tslot.%d.encoding\t%s\n",
                      (int)s, (int)s, (int)s, (int)cols, (int)s, dense ? "dense" : "csr");
    cm_buf_printf(b, "#head\tlabels\t%d\n", (int)labels);
    for (uint64_t l = 0; l < labels; l++)
        cm_buf_printf(b, "#head\tlabel.%d.name\tl%d\n#head\tlabel.%d.type\t%s\n", (int)l, (int)l,
                      (int)l, type[of[l] = below(5)]);
    for (uint64_t s = 0; s < slots; s++) {
        cm_buf_printf(b, "#cols\t%d\tname\tc:f64\n", (int)s);
        for (uint64_t j = 0; j < cols; j++)
            cm_buf_printf(b, "#cols\t%d\tg%d\t0.5\n", (int)s, (int)j);
    }
    if (k == 2)
        cm_buf_printf(b, "#batch\t0\t0\t%d\n", (int)below(2));
    for (uint64_t i = 0; i < rows; i++) {
        if (k == 4) {
            cm_buf_printf(b, "t%d\tf32\t2x1\t1\t2\n", (int)i);
            continue;
        }
        cm_buf_printf(b, "r%d", (int)i);
        for (uint64_t l = 0; l < labels; l++)
            cm_buf_printf(b, "\t%s", below(2) ? value[of[l]] : "");
        for (uint64_t s = 0; s < slots; s++) {
            cm_buf_printf(b, slots > 1 ? "\t|s%d" : "%.0d", (int)s * (slots > 1));
            for (uint64_t j = 0; j < cols; j++)
                cm_buf_printf(b, dense ? "\t%d" : "\tg%d:1", (int)j);
        }
        cm_buf_puts(b, "\n");
    }
    if (k == 2 && rows)
        cm_buf_printf(b, "#pick\t1\t0\t%d\n", (int)below(rows));
    cm_buf_puts(b, "#end\n");
}

/* One field becomes a word that does harm, or a line goes, comes twice, or changes its place. */
static void random_edit(struct cm_buf *b)
{
    static const char *const word[] = {
        "",    "0",   "1",    "2",  "-1",   "256",  "65536", "4294967296", "1e39", "nan",
        "inf", "%2",  "%0",   "u8", "f64",  "csr",  "true",  "#end",       "|s1",  "g0:3",
        "cat", "1.5", "name", "x:", "1x2x", "pick", "model", "pairs"};
    struct cm_strs lines = {0};
    for (size_t k = 0, from = 0; k < b->n; k++)
        if (b->p[k] == '\n') {
            cm_strs_addn(&lines, (const char *)b->p + from, k - from);
            from = k + 1;
        }
    size_t at = below(lines.n), other = below(lines.n), how = below(6);
    b->n = 0;
    for (size_t k = 0; k < lines.n; k++) {
        const char *line = cm_strs_get(&lines, how == 0 && k == at ? other : k);
        if (how == 1 && k == at)
            continue;
        if (how > 2 && k == at) {
            size_t fields = 1;
            for (const char *s = line; (s = strchr(s, '\t')); s++)
                fields++;
            size_t field = below(fields);
            for (size_t f = 0; f < fields; f++) {
                size_t n = strcspn(line, "\t");
                cm_buf_puts(b, f ? "\t" : "");
                if (f == field)
                    cm_buf_puts(b, word[below(sizeof word / sizeof *word)]);
                else
                    cm_buf_put(b, line, n);
                line += n + (line[n] == '\t');
            }
        } else {
            cm_buf_puts(b, line);
        }
        cm_buf_puts(b, "\n");
        if (how == 2 && k == at)
            cm_buf_printf(b, "%s\n", line);
    }
    cm_strs_free(&lines);
}

static void test_what_the_text_form_accepts_can_be_read(void **state)
{
    (void)state;
    size_t plain = 0, edited = 0;
    for (uint32_t k = 0; k < 4000; k++) {
        struct cm_buf b = {0};
        rng = cm_rng_make(11, CM_RNG_TEST, k, 0);
        random_text(&b);
        plain += fuzz_from_text(b.p, b.n) == 0; /* aborts where the promise is broken */
        for (uint64_t n = 1 + below(3); n-- && b.n;)
            random_edit(&b);
        edited += b.n && fuzz_from_text(b.p, b.n) == 0;
        cm_buf_free(&b);
    }
    assert_true(plain > 2000 && edited > 100 && edited < plain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lazy_values_are_finite),
        cmocka_unit_test(test_missing_factor),
        cmocka_unit_test(test_writer_refuses_them_too),
        cmocka_unit_test(test_columns_are_counted_before_memory),
        cmocka_unit_test(test_the_first_column_is_the_name),
        cmocka_unit_test(test_labels_are_counted_before_memory),
        cmocka_unit_test(test_numbers_are_little_endian),
        cmocka_unit_test(test_codes_stay_below_their_categories),
        cmocka_unit_test(test_a_million_names),
        cmocka_unit_test(test_many_notes),
        cmocka_unit_test(test_keys_of_any_length_stay_whole),
        cmocka_unit_test(test_escapes_are_strict),
        cmocka_unit_test(test_text_that_no_reader_would_take),
        cmocka_unit_test(test_what_the_text_form_accepts_can_be_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
