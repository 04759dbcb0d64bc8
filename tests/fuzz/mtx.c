/* mtx.c - fuzz target: a matrix in MTX text, through all that mtx-read does with one.
 *
 * The first byte chooses: which way round, how much memory before entries are spilled, and whether
 * the rest is the matrix itself (plain or gzip) or a table of names (features, labels), which are
 * read from files.  What is checked beyond crashes: whoever is accepted has as many entries as it
 * says, rows whose columns rise, and the same rows with little memory as with much.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/mem.h"
#include "format/mtx/read.h"
#include "format/mtx/names.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Everything that comes out, as one number; 0 = refused. */
static uint64_t digest(const uint8_t *data, size_t size, const struct cm_mtx_want *want)
{
    struct cm_mtx m;
    struct cm_chunk c = {0};
    size_t part = CM_ALL_TYPES;
    uint64_t h = 1, rows = 0;
    int more;
    if (cm_mtx_open_memory(&m, data, size, want))
        return 0;
    while ((more = cm_mtx_load(&m)) > 0) {
    }
    if (more == 0) {
        struct cm_head head;
        cm_mtx_head(&m, part, NULL, &head);
        cm_head_free(&head);
        while ((more = cm_mtx_next(&m, &part, 1, &c)) > 0) {
            struct cm_block *b = &c.block[0];
            rows += c.rows;
            for (size_t i = 0; i < b->rows; i++)
                for (uint64_t e = b->ptr[i]; e < b->ptr[i + 1]; e++) {
                    uint64_t item[3] = {rows + i, b->idx[e], 0};
                    double v = cm_block_x(b, e);
                    memcpy(&item[2], &v, sizeof v);
                    if (e > b->ptr[i] && b->idx[e] <= b->idx[e - 1])
                        abort();
                    if (b->idx[e] >= b->cols)
                        abort();
                    h = cm_hash64(item, sizeof item, h);
                }
        }
        if (more == 0 && rows != m.cells.n)
            abort();
    }
    h = more ? 0 : h ? h : 1;
    cm_chunk_free(&c);
    cm_mtx_close(&m);
    return h;
}

static void names(const uint8_t *data, size_t size, int what)
{
    int fd = memfd_create("fuzz.csv", MFD_CLOEXEC);
    char path[64];
    struct cm_strs list = {0}, warnings = {0};
    struct cm_cols cols = {0};
    struct cm_head head = {0};
    struct cm_vec *vec = NULL;
    const struct cm_mtx_shape shape = {.rows = 2, .cols = 3};
    const char *slot;
    bool untyped;
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        return;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (what == 0) {
        cm_mtx_barcodes(path, &shape, &list, &warnings);
    } else if (what == 1) {
        cm_mtx_features(path, NULL, &shape, &cols, &slot, &untyped, &warnings);
    } else if (what == 2) {
        cm_mtx_features(path, "i64 start\tstr chrom\tf64 fit.a%09b\tcat odd\tbool b", &shape, &cols,
                        &slot, &untyped, &warnings);
    } else {
        cm_strs_add(&list, "a");
        cm_strs_add(&list, "b");
        cm_mtx_labels(path, what == 4 ? "cat x\ti64 y\tbool z\tstr s" : NULL, &list, &head, &vec,
                      &warnings);
        for (size_t k = 0; vec && k < head.nlabels; k++)
            cm_vec_free(&vec[k]);
        cm_free(vec);
        cm_head_free(&head);
    }
    cm_strs_free(&list);
    cm_strs_free(&warnings);
    cm_cols_free(&cols);
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!size)
        return 0;
    struct cm_mtx_want want = {.cells = data[0] & 1 ? CM_MTX_CELLS_ROWS : CM_MTX_CELLS_COLUMNS,
                               .max_memory = (uint64_t)1 << 30};
    int what = data[0] >> 1 & 7;
    if (what >= 3) {
        names(data + 1, size - 1, what - 3);
        return 0;
    }
    uint64_t h = digest(data + 1, size - 1, &want);
    want.max_memory = 0;
    if (h && h != digest(data + 1, size - 1, &want))
        abort();
    return 0;
}
