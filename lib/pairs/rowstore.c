/* pairs/rowstore.c - blocks kept as they came, and rows gathered from them.
 *
 * Each block keeps its own value type: one cell with a count above 255 widens its block alone.  A
 * gathered block takes the widest type among its rows; u32 counts beside f32 values meet in f64,
 * the only type that holds both without rounding.
 */
#include "pairs/rowstore.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"

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

void cm_rowstore_append(struct cm_rowstore *p, const struct cm_block *b)
{
    if (b->rows == 0)
        return;
    if (p->nblocks)
        CM_ASSERT(p->block[0].dense == b->dense && p->block[0].cols == b->cols);
    CM_GROW(p->block, p->block_cap, p->nblocks + 1);
    CM_GROW(p->first, p->first_cap, p->nblocks + 1);
    memset(&p->block[p->nblocks], 0, sizeof *p->block);
    copy_tight(&p->block[p->nblocks], b);
    p->first[p->nblocks++] = p->rows;
    p->rows += b->rows;
}

/* The block that holds row r, by bisection; *local is its row in there. */
static const struct cm_block *find(const struct cm_rowstore *p, uint64_t r, size_t *local)
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
    return &p->block[lo];
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

void cm_rowstore_take(struct cm_block *to, const struct cm_rowstore *p, const uint64_t *at,
                      size_t n)
{
    bool dense = p->nblocks && p->block[0].dense, factors = false;
    size_t cols = p->nblocks ? p->block[0].cols : 0, local;
    enum cm_value type = dense ? CM_V_F32 : CM_V_ONE;
    uint64_t nnz = 0;
    for (size_t i = 0; i < n; i++) {
        const struct cm_block *b = find(p, at[i], &local);
        type = join_types(type, b->type);
        nnz += dense ? cols : b->ptr[local + 1] - b->ptr[local];
        factors = factors || b->rowf;
    }
    cm_block_shape(to, dense, n, cols, nnz, type);
    float *rowf = factors ? cm_block_rowf(to) : NULL;
    uint64_t put = 0;
    for (size_t i = 0; i < n; i++) {
        const struct cm_block *b = find(p, at[i], &local);
        uint64_t begin = dense ? (uint64_t)local * cols : b->ptr[local];
        size_t count = dense ? cols : (size_t)(b->ptr[local + 1] - begin);
        if (!dense) {
            if (count)
                memcpy(to->idx + put, b->idx + begin, count * sizeof *to->idx);
            to->ptr[i + 1] = put + count;
        }
        copy_values(to, put, b, begin, count);
        if (rowf)
            rowf[i] = b->rowf ? b->rowf[local] : 1;
        put += count;
    }
}

uint64_t cm_rowstore_bytes(const struct cm_rowstore *p)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < p->nblocks; i++) {
        const struct cm_block *b = &p->block[i];
        sum += b->nnz * (cm_value_size(b->type) + (b->dense ? 0 : 4)) + b->rows * 12;
    }
    return sum;
}

void cm_rowstore_free(struct cm_rowstore *p)
{
    for (size_t i = 0; i < p->nblocks; i++)
        cm_block_free(&p->block[i]);
    cm_free(p->block);
    cm_free(p->first);
    memset(p, 0, sizeof *p);
}
