/* pairs/rowstore.c - blocks kept as they came, in memory or in a file, and rows gathered from them.
 *
 * Each block keeps its own value type: one cell with a count above 255 widens its block alone.  A
 * gathered block takes the widest type among its rows; u32 counts beside f32 values meet in f64,
 * the only type that holds both without rounding.  In the file a row's values and columns stand
 * together, so that it comes with one read; where rows begin and their factors stay in memory.
 */
#include "pairs/rowstore.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/spool.h"

/* An exact copy without spare room: the blocks of a long stream stay for the whole run. */
static void copy_tight(struct cm_block *to, const struct cm_block *from)
{
    cm_block_shape(to, from->dense, from->rows, from->cols, from->nnz, from->type);
    if (!from->dense) {
        memcpy(to->ptr, from->ptr, (from->rows + 1) * sizeof *to->ptr);
        if (from->nnz)
            memcpy(to->idx, from->idx, from->nnz * sizeof *to->idx);
    }
    if (from->nnz && cm_value_size(from->type))
        memcpy(to->raw, from->raw, from->nnz * cm_value_size(from->type));
    if (from->rowf && from->rows)
        memcpy(cm_block_rowf(to), from->rowf, from->rows * sizeof *to->rowf);
}

/* Bytes of a row's columns and values, by its number of entries. */
static size_t row_bytes(const struct cm_block *b, size_t entries)
{
    return entries * (cm_value_size(b->type) + (b->dense ? 0 : 4));
}

static size_t entries_of(const struct cm_block *b, size_t row)
{
    return b->dense ? b->cols : (size_t)(b->ptr[row + 1] - b->ptr[row]);
}

static uint64_t first_of(const struct cm_block *b, size_t row)
{
    return b->dense ? (uint64_t)row * b->cols : b->ptr[row];
}

void cm_rowstore_append(struct cm_rowstore *p, const struct cm_block *b)
{
    if (b->rows == 0)
        return;
    if (p->nblocks)
        CM_ASSERT(p->block[0].dense == b->dense && p->block[0].cols == b->cols);
    CM_GROW(p->block, p->block_cap, p->nblocks + 1);
    CM_GROW(p->first, p->first_cap, p->nblocks + 1);
    CM_GROW(p->offset, p->offset_cap, p->nblocks + 1);
    memset(&p->block[p->nblocks], 0, sizeof *p->block);
    copy_tight(&p->block[p->nblocks], b);
    p->offset[p->nblocks] = CM_ROWSTORE_HERE;
    p->first[p->nblocks++] = p->rows;
    p->rows += b->rows;
    p->in_memory += row_bytes(b, (size_t)b->nnz) + 12 * b->rows;
}

/* ===== the file =========================================================================== */

static int write_all(struct cm_rowstore *p, struct cm_buf *b)
{
    for (size_t at = 0; at < b->n;) {
        ssize_t put = write(p->file, b->p + at, b->n - at);
        if (put < 0 && errno != EINTR)
            return cm_fail_errno(CM_ESYSTEM, "cannot write to a file in TMPDIR");
        at += put > 0 ? (size_t)put : 0;
    }
    p->in_file += b->n;
    b->n = 0;
    return 0;
}

/* Values and columns of a block go to the end of the file, row by row. */
static int move_out(struct cm_rowstore *p, size_t k)
{
    enum { PORTION = 1 << 20 };
    struct cm_block *b = &p->block[k];
    size_t size = cm_value_size(b->type);
    struct cm_buf out = {0};
    int code = 0;
    p->offset[k] = p->in_file;
    for (size_t i = 0; i < b->rows && !code; i++) {
        uint64_t e = first_of(b, i);
        size_t n = entries_of(b, i);
        if (size) /* first, so that they are aligned */
            cm_buf_put(&out, (const char *)b->raw + e * size, n * size);
        if (!b->dense)
            cm_buf_put(&out, b->idx + e, 4 * n);
        if (out.n >= PORTION || i + 1 == b->rows)
            code = write_all(p, &out);
    }
    cm_buf_free(&out);
    cm_free(b->idx);
    cm_free(b->raw);
    b->idx = NULL;
    b->raw = NULL;
    b->idx_cap = b->raw_cap = 0;
    p->in_memory -= row_bytes(b, (size_t)b->nnz);
    return code;
}

int cm_rowstore_limit(struct cm_rowstore *p, uint64_t max)
{
    int code = 0;
    for (size_t k = p->nblocks; k-- > 0 && p->in_memory > max && !code;) {
        if (p->offset[k] != CM_ROWSTORE_HERE)
            continue;
        if (!p->has_file && (p->file = cm_spool_open()) < 0)
            return CM_ESYSTEM;
        p->has_file = true;
        code = move_out(p, k);
    }
    return code;
}

/* Row `row` of block k, which is in the file, into `to`. */
static int read_row(const struct cm_rowstore *p, size_t k, size_t row, unsigned char *to)
{
    const struct cm_block *b = &p->block[k];
    size_t n = row_bytes(b, entries_of(b, row));
    off_t from = (off_t)(p->offset[k] + row_bytes(b, (size_t)first_of(b, row)));
    while (n) {
        ssize_t got = pread(p->file, to, n, from);
        if (got < 0 && errno == EINTR)
            continue;
        if (got < 0)
            return cm_fail_errno(CM_ESYSTEM, "cannot read a file in TMPDIR");
        if (got == 0)
            return cm_fail(CM_ESYSTEM, "a file in TMPDIR has become shorter");
        to += got;
        from += got;
        n -= (size_t)got;
    }
    return 0;
}

/* ===== rows =============================================================================== */

/* The block that holds row r, by bisection; *local is its row in there. */
static size_t find(const struct cm_rowstore *p, uint64_t r, size_t *local)
{
    CM_ASSERT(r < p->rows);
    size_t lo = 0, hi = p->nblocks;
    while (hi - lo > 1) {
        size_t mid = lo + (hi - lo) / 2;
        if (p->first[mid] <= r)
            lo = mid;
        else
            hi = mid;
    }
    *local = (size_t)(r - p->first[lo]);
    return lo;
}

static enum cm_value join_types(enum cm_value a, enum cm_value b)
{
    bool has_float = a >= CM_V_F32 || b >= CM_V_F32;
    enum cm_value wide = a > b ? a : b;
    return has_float && (a == CM_V_U32 || b == CM_V_U32) ? CM_V_F64 : wide;
}

static double entry(const struct cm_block *b, uint64_t at)
{
    switch (b->type) {
    case CM_V_ONE:
        return 1;
    case CM_V_U8:
        return ((const uint8_t *)b->raw)[at];
    case CM_V_U16:
        return ((const uint16_t *)b->raw)[at];
    case CM_V_U32:
        return ((const uint32_t *)b->raw)[at];
    case CM_V_F32:
        return ((const float *)b->raw)[at];
    case CM_V_F64:
        return ((const double *)b->raw)[at];
    }
    return 0;
}

/* n values from `from` into position `at` of the wider `to`. */
static void copy_values(struct cm_block *to, uint64_t at, const struct cm_block *from,
                        uint64_t begin, size_t n)
{
    size_t size = cm_value_size(to->type);
    if (to->type == from->type) {
        if (size && n)
            memcpy((char *)to->raw + at * size, (const char *)from->raw + begin * size, n * size);
        return;
    }
    for (size_t i = 0; i < n; i++) {
        double v = entry(from, begin + i);
        switch (to->type) {
        case CM_V_ONE:
            break;
        case CM_V_U8:
            ((uint8_t *)to->raw)[at + i] = (uint8_t)v;
            break;
        case CM_V_U16:
            ((uint16_t *)to->raw)[at + i] = (uint16_t)v;
            break;
        case CM_V_U32:
            ((uint32_t *)to->raw)[at + i] = (uint32_t)v;
            break;
        case CM_V_F32:
            ((float *)to->raw)[at + i] = (float)v;
            break;
        case CM_V_F64:
            ((double *)to->raw)[at + i] = v;
            break;
        }
    }
}

/* The shape of the rows to be taken; the bytes of the longest that is in the file. */
static size_t shape(struct cm_block *to, const struct cm_rowstore *p, const uint64_t *at, size_t n)
{
    bool dense = p->nblocks && p->block[0].dense, factors = false;
    size_t cols = p->nblocks ? p->block[0].cols : 0, local, longest = 0;
    enum cm_value type = dense ? CM_V_F32 : CM_V_ONE;
    uint64_t nnz = 0;
    for (size_t i = 0; i < n; i++) {
        size_t k = find(p, at[i], &local);
        const struct cm_block *b = &p->block[k];
        size_t entries = entries_of(b, local), bytes = row_bytes(b, entries);
        type = join_types(type, b->type);
        nnz += entries;
        factors = factors || b->rowf;
        if (p->offset[k] != CM_ROWSTORE_HERE && bytes > longest)
            longest = bytes;
    }
    cm_block_shape(to, dense, n, cols, nnz, type);
    if (factors)
        cm_block_rowf(to);
    return longest;
}

int cm_rowstore_take(struct cm_block *to, const struct cm_rowstore *p, const uint64_t *at, size_t n)
{
    size_t local, longest = shape(to, p, at, n);
    unsigned char *row = cm_alloc(longest + 1, 1);
    uint64_t put = 0;
    int code = 0;
    for (size_t i = 0; i < n && !code; i++) {
        size_t k = find(p, at[i], &local);
        const struct cm_block *b = &p->block[k];
        size_t count = entries_of(b, local);
        uint64_t begin = first_of(b, local);
        struct cm_block values = {.type = b->type, .raw = b->raw};
        const void *idx = b->idx ? b->idx + begin : NULL;
        if (p->offset[k] != CM_ROWSTORE_HERE) {
            code = read_row(p, k, local, row);
            values.raw = row;
            idx = row + count * cm_value_size(b->type);
            begin = 0;
        }
        if (!b->dense) {
            if (count)
                memcpy(to->idx + put, idx, count * sizeof *to->idx);
            to->ptr[i + 1] = put + count;
        }
        copy_values(to, put, &values, begin, count);
        if (to->rowf)
            to->rowf[i] = b->rowf ? b->rowf[local] : 1;
        put += count;
    }
    cm_free(row);
    return code;
}

void cm_rowstore_free(struct cm_rowstore *p)
{
    for (size_t i = 0; i < p->nblocks; i++)
        cm_block_free(&p->block[i]);
    cm_free(p->block);
    cm_free(p->first);
    cm_free(p->offset);
    if (p->has_file)
        close(p->file);
    memset(p, 0, sizeof *p);
}
