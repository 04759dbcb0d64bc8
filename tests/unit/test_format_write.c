/* What write.h writes, down to the types that HDF5 stores. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/mem.h"
#include "format/hdf5/write.h"

enum { ROWS = 4, COLS = 3, BLOCKS = 3 };

/* Writes BLOCKS x ROWS cells of COLS entries with that largest offset for 32 bits. */
static void write_file(const char *path, uint64_t index_max)
{
    struct cm_head h = {.kind = CM_MATRIX};
    struct cm_slot *s = cm_head_add_slot(&h, "GEX");
    struct cm_h5_write_want want = {.pack = CM_PACK_NONE, .index_max = index_max};
    struct cm_h5_write *o;
    struct cm_chunk c = {0};
    cm_strs_add(&s->cols.names, "a");
    cm_strs_add(&s->cols.names, "b");
    cm_strs_add(&s->cols.names, "c");
    s->state = CM_S_COUNTS;
    assert_int_equal(cm_h5_write_create(&o, path, path, &h, &want), 0);
    for (int k = 0; k < BLOCKS; k++) {
        cm_block_shape(&c.block[0], false, ROWS, COLS, ROWS * COLS, CM_V_U8);
        c.rows = ROWS;
        c.first = (uint64_t)(k * ROWS);
        cm_strs_clear(&c.names);
        for (int i = 0; i < ROWS; i++) {
            char name[16];
            snprintf(name, sizeof name, "c%d", k * ROWS + i);
            cm_strs_add(&c.names, name);
            c.block[0].ptr[i + 1] = (uint64_t)((i + 1) * COLS);
            for (int j = 0; j < COLS; j++) {
                c.block[0].idx[i * COLS + j] = (uint32_t)j;
                ((uint8_t *)c.block[0].raw)[i * COLS + j] = (uint8_t)(k + i + j);
            }
        }
        assert_int_equal(cm_h5_write_chunk(o, &c, &h), 0);
    }
    assert_int_equal(cm_h5_write_finish(o, &h), 0);
    cm_h5_write_free(o);
    cm_chunk_free(&c);
    cm_head_free(&h);
}

/* Reads a dataset of n numbers; returns the bytes of an item in the file. */
static size_t read_numbers(hid_t file, const char *path, hsize_t n, int64_t *v)
{
    hid_t d = H5Dopen2(file, path, H5P_DEFAULT), t = H5Dget_type(d), space = H5Dget_space(d);
    size_t size = H5Tget_size(t);
    assert_int_equal(H5Tget_class(t), H5T_INTEGER);
    assert_int_equal(H5Sget_simple_extent_npoints(space), n);
    assert_true(H5Dread(d, H5T_NATIVE_INT64, H5S_ALL, H5S_ALL, H5P_DEFAULT, v) >= 0);
    H5Sclose(space);
    H5Tclose(t);
    H5Dclose(d);
    return size;
}

/* Offsets and column numbers have one type: that of SciPy for as many entries. */
static void one_index_type(void **state)
{
    char path[] = "/tmp/cm-write.XXXXXX";
    const uint64_t max[] = {0, 36, 35, 24, 23, 1};
    const size_t bytes[] = {4, 4, 8, 8, 8, 8};
    (void)state;
    close(mkstemp(path));
    for (size_t k = 0; k < sizeof max / sizeof *max; k++) {
        int64_t v[64];
        write_file(path, max[k]);
        hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
        assert_int_equal(read_numbers(file, "X/indices", 36, v), bytes[k]);
        for (int e = 0; e < 36; e++)
            assert_int_equal(v[e], e % COLS);
        assert_int_equal(read_numbers(file, "X/indptr", 13, v), bytes[k]);
        for (int i = 0; i < 13; i++)
            assert_int_equal(v[i], i * COLS);
        assert_true(H5Lexists(file, "X/indices.wide", H5P_DEFAULT) == 0);
        H5Fclose(file);
    }
    unlink(path);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(one_index_type)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
