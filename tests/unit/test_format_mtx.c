/* test_format_mtx.c - the parts of the MTX reader and writer, each against something simpler.
 *
 * Numbers against strtod, pieces of text against the whole, runs in memory and in a temporary file
 * against a dense matrix, gzip out against zlib's own reader and gzip in against zlib's writer.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <fcntl.h>
#include <unistd.h>
#include <zlib.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/gzin.h"
#include "base/mem.h"
#include "base/pool.h"
#include "format/mtx/gzout.h"
#include "format/mtx/read.h"

/* A plain generator for test data. */
static uint64_t state = 88172645463325252u;
static uint64_t next_random(void)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}
static uint64_t below(uint64_t n) { return next_random() % n; }

/* ===== numbers ============================================================================ */

static void random_decimal(char *out)
{
    char *at = out;
    uint64_t r = below(8);
    if (below(4) == 0)
        *at++ = below(2) ? '-' : '+';
    uint64_t whole = below(20), fraction = below(20);
    for (uint64_t k = 0; k < whole + !fraction; k++)
        *at++ = (char)('0' + below(10));
    if (fraction || r == 1)
        *at++ = '.';
    for (uint64_t k = 0; k < fraction; k++)
        *at++ = (char)('0' + below(below(3) ? 10 : 1));
    if (r > 4)
        at += sprintf(at, "%c%s%d", r & 1 ? 'e' : 'E',
                      below(2)   ? "-"
                      : below(2) ? "+"
                                 : "",
                      (int)below(r == 5 ? 12 : 290));
    *at = 0;
}

static void numbers_are_those_of_strtod(void **unused)
{
    (void)unused;
    struct cm_mtx_shape shape = {.field = CM_MTX_REAL, .rows = 1, .cols = 1};
    struct cm_mtx_piece p = {0};
    size_t finite = 0;
    for (int k = 0; k < 200000; k++) {
        char number[400], line[420];
        random_decimal(number);
        double want = strtod(number, NULL);
        p.n = (size_t)snprintf(line, sizeof line, "1 1 %s\n", number);
        p.text = line;
        cm_mtx_piece_parse(&shape, &p);
        if (want > 1.7976931348623157e308 || want < -1.7976931348623157e308) {
            assert_int_equal(p.bad, 1);
            continue;
        }
        finite++;
        if (p.bad || memcmp(&p.value[0], &want, sizeof want))
            fail_msg("%s: %.17g, strtod %.17g %s", number, p.bad ? 0 : p.value[0], want, p.message);
    }
    assert_true(finite > 150000);
    cm_mtx_piece_free(&p);
}

static void lines_are_right_wherever_they_are_cut(void **unused)
{
    (void)unused;
    static const char text[] = "1 1 5\n\n% comment\n2\t3 7 \n 3 2 1\r\n3 3 12345678\n\r\n1 2 4";
    static const double want[] = {5, 7, 1, 12345678, 4};
    struct cm_mtx_shape shape = {.field = CM_MTX_INTEGER, .rows = 3, .cols = 3};
    size_t n = sizeof text - 1;
    for (size_t at = 0; at <= n; at++) {
        if (at && at < n && text[at - 1] != '\n')
            continue;
        struct cm_mtx_piece p = {0};
        size_t found = 0;
        uint64_t lines = 0;
        for (int half = 0; half < 2; half++) {
            char *copy = strndup(half ? text + at : text, half ? n - at : at);
            p.text = copy;
            p.n = half ? n - at : at;
            cm_mtx_piece_parse(&shape, &p);
            assert_int_equal(p.bad, 0);
            for (size_t k = 0; k < p.entries; k++)
                assert_true(p.value[k] == want[found++]);
            lines += p.lines;
            free(copy);
        }
        assert_int_equal(found, 5);
        assert_int_equal(lines, 8);
        cm_mtx_piece_free(&p);
    }
}

/* ===== rows =============================================================================== */

enum { CELLS = 700, FEATURES = 90 };

/* A matrix as text in some order, with repeated entries, and what it means in `sum`, `there`. */
static void make_text(struct cm_buf *b, int order, double *sum, bool *there)
{
    size_t n = 20000;
    uint32_t(*e)[3] = cm_alloc(n, sizeof *e);
    for (size_t k = 0; k < n; k++) {
        e[k][0] = (uint32_t)below(CELLS);
        e[k][1] = (uint32_t)below(FEATURES);
        e[k][2] = (uint32_t)below(below(50) ? 300 : 1 << 20);
    }
    if (order)
        for (size_t k = 1; k < n; k++) /* insertion: by cell, or by feature */
            for (size_t a = k; a && e[a - 1][order - 1] > e[a][order - 1]; a--) {
                uint32_t t[3];
                memcpy(t, e[a], sizeof t);
                memcpy(e[a], e[a - 1], sizeof t);
                memcpy(e[a - 1], t, sizeof t);
            }
    cm_buf_printf(b, "%%%%MatrixMarket matrix coordinate integer general\n%d %d %zu\n", FEATURES,
                  CELLS, n);
    memset(sum, 0, CELLS * FEATURES * sizeof *sum);
    memset(there, 0, CELLS * FEATURES * sizeof *there);
    for (size_t k = 0; k < n; k++) {
        sum[e[k][0] * FEATURES + e[k][1]] += e[k][2];
        there[e[k][0] * FEATURES + e[k][1]] = true;
        cm_buf_printf(b, "%u %u %u\n", e[k][1] + 1, e[k][0] + 1, e[k][2]);
    }
    cm_free(e);
}

static void rows_are_the_matrix(void **unused)
{
    (void)unused;
    double *sum = CM_NEW(CELLS * FEATURES, double);
    bool *there = CM_NEW(CELLS * FEATURES, bool);
    for (int order = 0; order < 3; order++)
        for (int memory = 0; memory < 3; memory++) {
            static const uint64_t bytes[] = {0, 60000, (uint64_t)1 << 30};
            struct cm_mtx_want want = {.cells = CM_MTX_CELLS_COLUMNS, .max_memory = bytes[memory]};
            struct cm_buf b = {0};
            struct cm_mtx m;
            struct cm_chunk c = {0};
            size_t part = CM_ALL_TYPES, row = 0;
            make_text(&b, order, sum, there);
            assert_int_equal(cm_mtx_open_memory(&m, b.p, b.n, &want), 0);
            int more;
            while ((more = cm_mtx_load(&m)) > 0) {
            }
            assert_int_equal(more, 0);
            assert_int_equal(m.state, CM_S_COUNTS);
            assert_true((memory == 0) <= (m.runs.spilled > 0));
            assert_true(memory < 2 || !m.runs.spilled);
            while ((more = cm_mtx_next(&m, &part, 1, &c)) > 0) {
                const struct cm_block *k = &c.block[0];
                for (size_t i = 0; i < k->rows; i++, row++) {
                    uint64_t e = k->ptr[i];
                    for (uint32_t j = 0; j < FEATURES; j++) {
                        if (!there[row * FEATURES + j])
                            continue;
                        assert_true(e < k->ptr[i + 1]);
                        assert_int_equal(k->idx[e], j);
                        assert_true(cm_block_x(k, e) == sum[row * FEATURES + j]);
                        e++;
                    }
                    assert_int_equal(e, k->ptr[i + 1]);
                }
            }
            assert_int_equal(more, 0);
            assert_int_equal(row, CELLS);
            cm_chunk_free(&c);
            cm_mtx_close(&m);
            cm_buf_free(&b);
        }
    cm_free(sum);
    cm_free(there);
}

/* ===== gzip =============================================================================== */

static char path[] = "/tmp/cm-mtx.XXXXXX";

static void fill(char *text, size_t n)
{
    for (size_t k = 0; k < n; k++)
        text[k] = (char)(below(5) ? '0' + below(3) : below(256));
}

static void gzip_out_is_gzip(void **unused)
{
    (void)unused;
    size_t max = 17 * CM_GZOUT_PIECE + 5;
    char *text = malloc(max), *back = malloc(max + 1);
    fill(text, max);
    const size_t sizes[] = {0, 1, CM_GZOUT_PIECE - 1, CM_GZOUT_PIECE, 16 * CM_GZOUT_PIECE, max};
    for (size_t k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        int fd = open(path, O_RDWR | O_TRUNC);
        struct cm_gzout *g = cm_gzout_make(fd, "test", true);
        for (size_t at = 0, step; at < sizes[k]; at += step) {
            step = 1 + below(300000);
            step = step < sizes[k] - at ? step : sizes[k] - at;
            assert_int_equal(cm_gzout_put(g, text + at, step), 0);
        }
        assert_int_equal(cm_gzout_end(g), 0);
        cm_gzout_free(g);
        close(fd);
        gzFile f = gzopen(path, "rb"); /* zlib checks the checksum and the length */
        assert_int_equal(gzread(f, back, (unsigned)max + 1), sizes[k]);
        assert_memory_equal(text, back, sizes[k]);
        assert_int_equal(gzclose(f), Z_OK);
    }
    free(text);
    free(back);
}

static void gzip_in_takes_members_and_finds_damage(void **unused)
{
    (void)unused;
    size_t n = 900000, got;
    char *text = malloc(n), *back = malloc(n + 1);
    fill(text, n);
    unlink(path);
    const size_t cut[] = {0, 0, 1, 70000, 70000, n};
    for (size_t k = 0; k + 1 < sizeof cut / sizeof *cut; k++) {
        gzFile f = gzopen(path, "ab");
        gzwrite(f, text + cut[k], (unsigned)(cut[k + 1] - cut[k]));
        gzclose(f);
    }
    struct cm_buf file = {0};
    struct cm_gzin *g;
    FILE *f = fopen(path, "rb");
    for (int c; (c = getc(f)) != EOF;)
        cm_buf_u8(&file, (uint8_t)c);
    fclose(f);
    for (int way = 0; way < 2; way++) {
        if (way)
            cm_gzin_memory(&g, file.p, file.n, "memory");
        else
            assert_int_equal(cm_gzin_open(&g, path), 0);
        size_t all = 0;
        do {
            size_t ask = 1 + below(100000);
            ask = ask < n + 1 - all ? ask : n + 1 - all;
            assert_int_equal(cm_gzin_read(g, back + all, ask, &got), 0);
            all += got;
            if (got < ask)
                break;
        } while (all <= n);
        assert_int_equal(all, n);
        assert_memory_equal(text, back, n);
        cm_gzin_close(g);
    }
    /* cut anywhere but between members, it is an error; a flipped bit is one or changes nothing */
    for (int k = 0; k < 400; k++) {
        size_t at = 2 + below(file.n - 2);
        struct cm_buf out = {0};
        cm_gzin_memory(&g, file.p, at, "memory");
        int code = cm_gzin_all(g, 2 * n, &out);
        assert_true(code || out.n == 0 || out.n == 1 || out.n == 70000);
        cm_gzin_close(g);
        out.n = 0;
        file.p[at] ^= (unsigned char)(1 << below(8));
        cm_gzin_memory(&g, file.p, file.n, "memory");
        if (!cm_gzin_all(g, 2 * n, &out))
            if (out.n != n || memcmp(text, out.p, n))
                fail_msg("a flip at %zu of %zu: %zu of %zu bytes", at, file.n, out.n, n);
        cm_gzin_close(g);
        cm_buf_free(&out);
        /* put right again */
        f = fopen(path, "rb");
        fseek(f, (long)at, SEEK_SET);
        file.p[at] = (unsigned char)getc(f);
        fclose(f);
    }
    cm_buf_free(&file);
    free(text);
    free(back);
}

static int setup(void **unused)
{
    (void)unused;
    cm_pool_set_threads(2);
    int fd = mkstemp(path);
    return fd < 0 ? -1 : close(fd);
}

static int clean(void **unused)
{
    (void)unused;
    return unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_those_of_strtod),
        cmocka_unit_test(lines_are_right_wherever_they_are_cut),
        cmocka_unit_test(rows_are_the_matrix),
        cmocka_unit_test(gzip_out_is_gzip),
        cmocka_unit_test(gzip_in_takes_members_and_finds_damage),
    };
    return cmocka_run_group_tests(tests, setup, clean);
}
