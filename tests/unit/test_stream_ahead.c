/* Unit test of stream/unpack.c, ahead.c, inflate.c, table.c: a long stream is the same whether its
 * frames are decoded by a thread or not, however its bytes arrive and are cut into frames, and so
 * is what is wrong with it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/pool.h"
#include "stream/cms.h"

enum { ROWS = 64, LENGTH = 4000, BLOCKS = 5, COLUMNS = 1 << 17, SHORT = 10000 };

static struct cm_buf whole, inner; /* a stream, and what is inside its compression */

static uint32_t noise(uint32_t *seed) { return (*seed = *seed * 1664525 + 1013904223) >> 8; }

static void fill(struct cm_chunk *c, uint32_t *seed)
{
    struct cm_block *b = &c->block[0];
    c->rows = ROWS;
    cm_strs_clear(&c->names);
    cm_block_shape(b, false, ROWS, COLUMNS, (uint64_t)ROWS * LENGTH, CM_V_U8);
    for (size_t i = 0, e = 0; i < ROWS; i++) {
        char name[16];
        snprintf(name, sizeof name, "r%zu", i);
        cm_strs_add(&c->names, name);
        for (uint32_t k = 0, at = 0; k < LENGTH; k++, e++) {
            b->idx[e] = at += 1 + noise(seed) % 30;
            ((uint8_t *)b->raw)[e] = (uint8_t)(1 + noise(seed) % 9);
        }
        b->ptr[i + 1] = e;
    }
}

/* Compressed in frames of `size` bytes that say their size, or as one that does not (0). */
static struct cm_buf frames_of(const struct cm_buf *b, size_t size)
{
    struct cm_buf out = {0};
    ZSTD_CCtx *z = ZSTD_createCCtx();
    size_t bound = ZSTD_compressBound(b->n);
    for (size_t at = 0; at < b->n; at += size ? size : b->n) {
        size_t n = size && size < b->n - at ? size : b->n - at;
        ZSTD_outBuffer to = {cm_buf_extend(&out, bound), bound, 0};
        ZSTD_inBuffer from = {b->p + at, n, 0}, none = {0};
        if (size) {
            to.pos = ZSTD_compressCCtx(z, to.dst, bound, from.src, n, 1);
        } else {
            ZSTD_compressStream2(z, &to, &from, ZSTD_e_flush);
            ZSTD_compressStream2(z, &to, &none, ZSTD_e_end);
        }
        out.n -= bound - to.pos;
    }
    ZSTD_freeCCtx(z);
    return out;
}

static int set_up(void **state)
{
    (void)state;
    struct cm_head h = {.kind = CM_MATRIX};
    struct cm_slot *s = cm_head_add_slot(&h, "ATAC");
    for (int j = 0; j < COLUMNS; j++)
        cm_strs_add(&s->cols.names, "p");
    int fd = memfd_create("stream", MFD_CLOEXEC);
    struct cm_writer *w = cm_writer_make(fd, "stream", 1);
    struct cm_chunk c = {0};
    uint32_t seed = 7;
    assert_int_equal(cm_writer_head(w, &h), 0);
    for (int k = 0; k < BLOCKS; k++) {
        fill(&c, &seed);
        assert_int_equal(cm_writer_chunk(w, &c, NULL), 0);
    }
    assert_int_equal(cm_writer_end(w), 0);
    cm_writer_free(w);
    cm_chunk_free(&c);
    cm_head_free(&h);
    size_t n = (size_t)lseek(fd, 0, SEEK_END);
    assert_int_equal(pread(fd, cm_buf_extend(&whole, n), n, 0), n);
    close(fd);
    ZSTD_DCtx *z = ZSTD_createDCtx();
    size_t bound = (size_t)BLOCKS * ROWS * LENGTH * 6 + 8 * COLUMNS;
    for (size_t at = 0, size; at < n;
         at += size) { /* frame by frame, not with the code under test */
        size = ZSTD_findFrameCompressedSize(whole.p + at, n - at);
        size_t got =
            ZSTD_decompressDCtx(z, cm_buf_extend(&inner, bound), bound, whole.p + at, size);
        assert_false(ZSTD_isError(got));
        inner.n -= bound - got;
    }
    ZSTD_freeDCtx(z);
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    cm_buf_free(&whole);
    cm_buf_free(&inner);
    cm_pool_set_threads(1);
    return 0;
}

/* ===== reading ============================================================================ */

struct result {
    int code;
    uint64_t hash, rows;
    char message[CM_MESSAGE_MAX];
};

static int read_chunks(struct cm_reader *r, struct result *out)
{
    struct cm_chunk c = {0};
    int code;
    while ((code = cm_reader_next(r, &c)) > 0) {
        const struct cm_block *b = &c.block[0];
        out->hash = cm_hash64(b->ptr, (b->rows + 1) * sizeof *b->ptr, out->hash);
        out->hash = cm_hash64(b->idx, (size_t)b->nnz * sizeof *b->idx, out->hash);
        out->hash = cm_hash64(b->raw, (size_t)b->nnz, out->hash);
        out->rows += c.rows;
    }
    cm_chunk_free(&c);
    return code;
}

/* All of what stands behind a descriptor, `passes` times. */
static struct result read_all(int fd, size_t threads, int passes)
{
    struct result out = {0};
    struct cm_reader *r;
    char path[64];
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    cm_pool_set_threads(threads);
    if (!(out.code = cm_reader_open(&r, path))) {
        if (passes > 1)
            out.code = cm_reader_keep(r);
        for (int k = 0; k < passes && !out.code; k++) {
            out.code = k ? cm_reader_rewind(r) : 0;
            if (!out.code)
                out.code = read_chunks(r, &out);
        }
        cm_reader_close(r);
    }
    const char *message = out.code ? cm_error_message() : "", *rest = strstr(message, ": ");
    snprintf(out.message, sizeof out.message, "%s", rest ? rest : message);
    return out;
}

static struct result read_file(const struct cm_buf *b, size_t threads, int passes)
{
    int fd = memfd_create("stream", MFD_CLOEXEC);
    assert_int_equal(write(fd, b->p, b->n), b->n);
    struct result out = read_all(fd, threads, passes);
    close(fd);
    return out;
}

struct feed {
    int fd;
    const struct cm_buf *bytes;
    bool leave_open;
};

static void *feed(void *arg)
{
    struct feed *f = arg;
    for (size_t at = 0, n; at < f->bytes->n; at += n) { /* odd portions */
        n = f->bytes->n - at < 54321 ? f->bytes->n - at : 54321;
        if (write(f->fd, f->bytes->p + at, n) != (ssize_t)n)
            break;
    }
    if (!f->leave_open)
        close(f->fd);
    return NULL;
}

static struct result read_pipe(const struct cm_buf *b, size_t threads, int passes)
{
    int ends[2];
    pthread_t thread;
    assert_int_equal(pipe(ends), 0);
    struct feed f = {ends[1], b, false};
    assert_int_equal(pthread_create(&thread, NULL, feed, &f), 0);
    struct result out = read_all(ends[0], threads, passes);
    pthread_join(thread, NULL);
    close(ends[0]);
    return out;
}

static void assert_same(const struct result *a, const struct result *b)
{
    assert_int_equal(a->code, b->code);
    assert_string_equal(a->message, b->message);
    assert_int_equal(a->rows, b->rows);
    assert_int_equal(a->hash, b->hash);
}

/* ===== tests ============================================================================== */

static void test_any_number_of_threads(void **state)
{
    (void)state;
    for (int passes = 1; passes <= 2; passes++) {
        struct result want = read_file(&whole, 1, passes);
        assert_int_equal(want.code, 0);
        assert_int_equal(want.rows, passes * BLOCKS * ROWS);
        for (size_t threads = 1; threads <= 3; threads++) {
            struct result file = read_file(&whole, threads, passes);
            struct result tube = read_pipe(&whole, threads, passes);
            assert_same(&file, &want);
            assert_same(&tube, &want);
        }
    }
}

static void test_any_cut_into_frames(void **state)
{
    (void)state;
    static const size_t size[] = {0, SHORT, 300000, 3000000, 100000000};
    struct result want = read_file(&whole, 1, 1);
    for (size_t k = 0; k < sizeof size / sizeof *size; k++) {
        struct cm_buf b = frames_of(&inner, size[k]);
        for (size_t threads = 1; threads <= 2; threads++) {
            struct result file = read_file(&b, threads, 1), tube = read_pipe(&b, threads, 1);
            assert_same(&file, &want);
            assert_same(&tube, &want);
        }
        cm_buf_free(&b);
    }
}

static void test_faults_have_the_same_words(void **state)
{
    (void)state;
    for (size_t k = 1; k < 24; k++) {
        struct cm_buf cut = {whole.p, whole.n * k / 24, 0};
        struct result one = read_file(&cut, 1, 1), two = read_file(&cut, 2, 1);
        assert_int_equal(one.code, CM_EINPUT);
        assert_same(&one, &two);
        unsigned char *at = &whole.p[whole.n * k / 24];
        *at ^= 16;
        one = read_file(&whole, 1, 1);
        two = read_file(&whole, 2, 1);
        *at ^= 16;
        assert_int_equal(one.code, CM_EINPUT);
        assert_same(&one, &two);
    }
}

/* A reader may be closed while its thread waits for a pipe, and rewound before the end. */
static void test_stops_before_the_end(void **state)
{
    (void)state;
    struct cm_buf some = {whole.p, whole.n * 2 / 3, 0};
    struct cm_chunk c = {0};
    struct cm_reader *r;
    int ends[2];
    char path[64];
    pthread_t thread;
    cm_pool_set_threads(2);
    assert_int_equal(pipe(ends), 0);
    struct feed f = {ends[1], &some, true};
    assert_int_equal(pthread_create(&thread, NULL, feed, &f), 0);
    snprintf(path, sizeof path, "/proc/self/fd/%d", ends[0]);
    assert_int_equal(cm_reader_open(&r, path), 0);
    for (int k = 0; k < 2; k++)
        assert_int_equal(cm_reader_next(r, &c), 1);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    cm_reader_close(r);
    char rest[4096];
    while (read(ends[0], rest, sizeof rest) > 0) { /* lets the feeder come to its end */
    }
    close(ends[0]);
    pthread_join(thread, NULL);
    close(ends[1]);

    int fd = memfd_create("stream", MFD_CLOEXEC);
    assert_int_equal(write(fd, whole.p, whole.n), whole.n);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    struct result all = {0}, again = {0};
    assert_int_equal(cm_reader_open(&r, path), 0);
    assert_int_equal(cm_reader_keep(r), 0);
    for (int k = 0; k < 2; k++)
        assert_int_equal(cm_reader_next(r, &c), 1);
    assert_int_equal(cm_reader_rewind(r), 0);
    assert_int_equal(read_chunks(r, &again), 0);
    cm_reader_close(r);
    close(fd);
    cm_chunk_free(&c);
    all = read_file(&whole, 1, 1);
    assert_int_equal(again.hash, all.hash);
}

/* A stream of rows of f32 or of counts, some without entries; `rows` is what HEAD says of them. */
static int make_table(bool counts, uint64_t rows, struct cm_csr *want)
{
    struct cm_head h = {.kind = CM_MATRIX};
    struct cm_slot *s = cm_head_add_slot(&h, "GEX");
    struct cm_chunk c = {0};
    struct cm_block *b = &c.block[0];
    uint32_t seed = 5;
    for (int j = 0; j < 1000; j++)
        cm_strs_add(&s->cols.names, "g");
    s->rows = rows;
    int fd = memfd_create("stream", MFD_CLOEXEC);
    struct cm_writer *w = cm_writer_make(fd, "stream", 1);
    assert_int_equal(cm_writer_head(w, &h), 0);
    *want = cm_csr_make(1000);
    for (size_t k = 0; k < 40; k++) {
        c.rows = 25;
        cm_strs_clear(&c.names);
        cm_block_shape(b, false, c.rows, 1000, c.rows * 500, CM_V_F32);
        b->nnz = 0;
        for (size_t i = 0; i < c.rows; i++) {
            cm_strs_add(&c.names, "r");
            for (uint32_t j = noise(&seed) % 4; j < 1000 && (k + i) % 7;
                 j += 2 + noise(&seed) % 3) {
                b->idx[b->nnz] = j;
                ((float *)b->raw)[b->nnz++] = (float)(1 + noise(&seed) % 99) + (counts ? 0 : .25f);
            }
            b->ptr[i + 1] = b->nnz;
        }
        cm_csr_append(want, c.rows, b->ptr, b->idx, b->raw);
        assert_int_equal(cm_writer_chunk(w, &c, NULL), 0);
    }
    assert_int_equal(cm_writer_end(w), 0);
    cm_writer_free(w);
    cm_chunk_free(&c);
    cm_head_free(&h);
    return fd;
}

static void test_tables_are_what_was_written(void **state)
{
    (void)state;
    static const uint64_t rows[] = {0, 1000};
    for (int k = 0; k < 4; k++) {
        struct cm_csr want;
        struct cm_table t;
        struct cm_reader *r;
        char path[64];
        int fd = make_table(k / 2, rows[k % 2], &want);
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        cm_pool_set_threads(2);
        assert_int_equal(cm_reader_open(&r, path), 0);
        assert_int_equal(cm_table_load(r, &t), 0);
        cm_reader_close(r);
        close(fd);
        assert_int_equal(t.csr.rows, 1000);
        assert_memory_equal(t.csr.ptr, want.ptr, 1001 * sizeof *want.ptr);
        assert_memory_equal(t.csr.idx, want.idx, want.ptr[1000] * sizeof *want.idx);
        assert_memory_equal(t.csr.val, want.val, want.ptr[1000] * sizeof *want.val);
        cm_table_free(&t);
        cm_csr_free(&want);
    }
}

/* HEAD's number of rows is a promise: memory for all of them is not taken on its word. */
static void test_rows_that_do_not_come(void **state)
{
    (void)state;
    struct cm_csr want;
    struct cm_table t;
    struct cm_reader *r;
    char path[64];
    int fd = make_table(false, (uint64_t)1 << 31, &want);
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_int_equal(cm_reader_open(&r, path), 0);
    assert_int_equal(cm_table_load(r, &t), CM_EINPUT);
    assert_non_null(strstr(cm_error_message(), "HEAD promised"));
    cm_reader_close(r);
    close(fd);
    cm_csr_free(&want);
}

/* Reads twice and passes on what came the second time; columns spared or not. */
static struct cm_buf pass_on(int fd, int level, bool spare)
{
    struct cm_buf out = {0};
    struct cm_reader *r;
    struct cm_chunk c = {0};
    char path[64];
    int to = memfd_create("copy", MFD_CLOEXEC), code;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    assert_int_equal(cm_reader_open(&r, path), 0);
    assert_int_equal(cm_reader_keep(r), 0);
    cm_reader_spare(r); /* of no effect in the first pass */
    while ((code = cm_reader_next(r, &c)) > 0)
        assert_false(c.block[0].spared);
    assert_int_equal(code, 0);
    assert_int_equal(cm_reader_rewind(r), 0);
    if (spare)
        cm_reader_spare(r);
    struct cm_writer *w = cm_writer_make(to, "copy", level);
    assert_int_equal(cm_writer_head(w, cm_reader_head(r)), 0);
    while ((code = cm_reader_next(r, &c)) > 0) {
        assert_int_equal(c.block[0].spared, spare && c.block[0].nnz > 0);
        cm_writer_reuse(w, r);
        assert_int_equal(cm_writer_chunk(w, &c, NULL), 0);
    }
    assert_int_equal(code, 0);
    assert_int_equal(cm_writer_end(w), 0);
    cm_writer_free(w);
    cm_reader_close(r);
    cm_chunk_free(&c);
    size_t n = (size_t)lseek(to, 0, SEEK_END);
    assert_int_equal(pread(to, cm_buf_extend(&out, n), n, 0), n);
    close(to);
    return out;
}

static void test_spared_columns_are_passed_on(void **state)
{
    (void)state;
    cm_pool_set_threads(2);
    for (int k = 0; k < 4; k++) {
        struct cm_csr some = {0};
        int fd = k / 2 ? make_table(true, 0, &some) : memfd_create("stream", MFD_CLOEXEC);
        if (k / 2 == 0)
            assert_int_equal(write(fd, whole.p, whole.n), whole.n);
        struct cm_buf a = pass_on(fd, k % 2 ? 3 : 1, false), b = pass_on(fd, k % 2 ? 3 : 1, true);
        assert_int_equal(a.n, b.n);
        assert_memory_equal(a.p, b.p, a.n);
        cm_buf_free(&a);
        cm_buf_free(&b);
        cm_csr_free(&some); /* of nothing, half of the time */
        close(fd);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_any_number_of_threads),
        cmocka_unit_test(test_any_cut_into_frames),
        cmocka_unit_test(test_faults_have_the_same_words),
        cmocka_unit_test(test_stops_before_the_end),
        cmocka_unit_test(test_tables_are_what_was_written),
        cmocka_unit_test(test_rows_that_do_not_come),
        cmocka_unit_test(test_spared_columns_are_passed_on),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, set_up, tear_down);
}
