/* stream/narrow.c - columns and values of a block as they travel.
 *
 * Equal content must give equal bytes whoever wrote it: counts that came as i64, f32 or text leave
 * in the same type.
 */
#include "stream/narrow.h"

#include <math.h>

#include "stream/planes.h"

enum cm_value cm_narrowest(const struct cm_block *b, bool wide)
{
    uint64_t n = b->nnz;
    if (b->type == CM_V_ONE)
        return CM_V_ONE;
    if (b->type == CM_V_U8 && !b->dense)
        return cm_planes_ones(b->raw, n) ? CM_V_ONE : CM_V_U8;
    bool whole = true, ones = true, exact = true, big = false;
    double max = 0;
    if (b->type == CM_V_F32) {
        const float *v = b->raw;
        for (uint64_t e = 0; e < n && whole; e++) {
            whole = v[e] >= 0 && v[e] <= 4294967040.f && v[e] == (float)(uint32_t)v[e];
            ones &= v[e] == 1;
            max = (double)v[e] > max ? (double)v[e] : max;
        }
    } else if (b->type == CM_V_F64) {
        const double *v = b->raw;
        for (uint64_t e = 0; e < n; e++) {
            bool w = v[e] >= 0 && v[e] <= 4294967295. && v[e] == (double)(uint32_t)v[e];
            bool f = (double)(float)v[e] == v[e];
            whole &= w;
            ones &= v[e] == 1;
            exact &= f;
            big |= !f && v[e] == floor(v[e]);
            max = v[e] > max ? v[e] : max;
        }
    } else {
        for (uint64_t e = 0; e < n; e++) {
            double x = cm_block_x(b, e);
            ones &= x == 1;
            max = x > max ? x : max;
        }
    }
    if (!b->dense && n && whole)
        return ones ? CM_V_ONE : max <= 255 ? CM_V_U8 : max <= 65535 ? CM_V_U16 : CM_V_U32;
    if (!b->dense && !n)
        return CM_V_ONE;
    if (b->type == CM_V_F64)
        return !exact && (wide || big) ? CM_V_F64 : CM_V_F32;
    return b->type == CM_V_F32 || b->type < CM_V_U32 ? CM_V_F32 : CM_V_F64;
}

void cm_put_values(struct cm_buf *out, const struct cm_block *b, enum cm_value to)
{
    size_t size = cm_value_size(to), n = (size_t)b->nnz;
    if (to == b->type) {
        cm_buf_le(out, b->raw, size ? n : 0, size);
        return;
    }
    unsigned char *p = cm_buf_extend(out, n * size);
    for (size_t e = 0; size && e < n; e++) {
        double x = cm_block_x(b, e);
        uint8_t u8 = 0;
        uint16_t u16;
        uint32_t u32;
        float f32;
        switch (to) {
        case CM_V_ONE:
            break;
        case CM_V_U8:
            u8 = (uint8_t)x, p[e] = u8;
            break;
        case CM_V_U16:
            u16 = (uint16_t)x, cm_le_copy(p + 2 * e, &u16, 1, 2);
            break;
        case CM_V_U32:
            u32 = (uint32_t)x, cm_le_copy(p + 4 * e, &u32, 1, 4);
            break;
        case CM_V_F32:
            f32 = (float)x, cm_le_copy(p + 4 * e, &f32, 1, 4);
            break;
        case CM_V_F64:
            cm_le_copy(p + 8 * e, &x, 1, 8);
            break;
        }
    }
}

void cm_put_columns(struct cm_buf *out, const struct cm_block *b, size_t from)
{
    size_t n = (size_t)b->nnz;
    unsigned char *p = cm_buf_extend(out, 4 * n);
    for (size_t i = 0; i < b->rows; i++) {
        uint64_t e = b->ptr[i];
        cm_planes_split(b->idx + e, (size_t)(b->ptr[i + 1] - e), p + e, n);
    }
    cm_buf_pad8(out, from);
}
