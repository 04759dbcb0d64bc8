/* format/hdf5/convert.c - numbers of a file's type as u32, f32 or f64, with facts about them. */
#include "format/hdf5/convert.h"

#include <math.h>
#include <string.h>

#include "base/clones.h"

/* Loops over the values of a chunk, a piece that stays in the first-level cache at a time, without
 * branches, so that the compiler vectorises them. */
enum { PIECE = 2048 };

/* Whole numbers to u32; p and out may not overlap. */
#define WHOLE(name, type, test)                                                                    \
    CM_CLONES_O3 static void name##_piece(const unsigned char *restrict p, size_t n,               \
                                          uint32_t *restrict out, struct cm_h5facts *f)            \
    {                                                                                              \
        uint32_t max = 0, falls = 0, unfit = 0;                                                    \
        for (size_t i = 0; i < n; i++) {                                                           \
            type v;                                                                                \
            memcpy(&v, p + i * sizeof v, sizeof v);                                                \
            unfit |= (uint32_t)(test(v));                                                          \
            uint32_t u = (uint32_t)v;                                                              \
            out[i] = u;                                                                            \
            max = u > max ? u : max;                                                               \
        }                                                                                          \
        for (size_t i = 1; i < n; i++)                                                             \
            falls += out[i] <= out[i - 1];                                                         \
        f->max = max > f->max ? max : f->max;                                                      \
        f->falls += falls;                                                                         \
        f->unfit |= unfit != 0;                                                                    \
    }                                                                                              \
    static void name(const unsigned char *p, uint64_t n, uint32_t *out, struct cm_h5facts *f)      \
    {                                                                                              \
        for (uint64_t i = 0; i < n; i += PIECE) {                                                  \
            name##_piece(p + i * sizeof(type), n - i < PIECE ? (size_t)(n - i) : PIECE, out + i,   \
                         f);                                                                       \
            f->falls += i && out[i] <= out[i - 1];                                                 \
        }                                                                                          \
    }
#define NEVER(v)    0
#define NEGATIVE(v) (v) < 0
#define BEYOND(v)   (v) > UINT32_MAX
#define OUTSIDE(v)  (v)<0 || (v)>(int64_t) UINT32_MAX
WHOLE(from_u8, uint8_t, NEVER)
WHOLE(from_i8, int8_t, NEGATIVE)
WHOLE(from_u16, uint16_t, NEVER)
WHOLE(from_i16, int16_t, NEGATIVE)
WHOLE(from_u32, uint32_t, NEVER)
WHOLE(from_i32, int32_t, NEGATIVE)
WHOLE(from_u64, uint64_t, BEYOND)
WHOLE(from_i64, int64_t, OUTSIDE)

/* A float below 2^22 is whole if adding and taking away 1.5 * 2^23, which leaves no bits behind the
 * point, changes nothing.  False if some item is larger or NaN: then the facts say nothing. */
CM_CLONES_O3 static bool small_floats(const float *v, size_t n, struct cm_h5facts *f)
{
    static const float magic = 12582912.f, limit = 4194304.f;
    uint32_t odd = 0, fraction = 0, negative = 0;
    int32_t max = 0; /* floats that are not negative are ordered as their bits are */
    for (size_t i = 0; i < n; i++) {
        int32_t bits;
        memcpy(&bits, v + i, sizeof bits);
        odd |= (uint32_t) !(fabsf(v[i]) < limit);
        fraction |= (uint32_t)((v[i] + magic) - magic != v[i]);
        negative |= (uint32_t)(v[i] < 0);
        max = bits > max ? bits : max;
    }
    if (odd)
        return false;
    float largest;
    memcpy(&largest, &max, sizeof largest);
    f->negative |= negative != 0;
    f->fraction |= fraction != 0;
    f->largest = (double)largest > f->largest ? (double)largest : f->largest;
    return true;
}

static void any_floats(const float *v, size_t n, struct cm_h5facts *f)
{
    for (size_t i = 0; i < n; i++) {
        f->infinite |= !(fabsf(v[i]) <= 3.40282347e38f);
        f->fraction |= floorf(v[i]) != v[i];
        f->negative |= v[i] < 0;
        f->largest = (double)v[i] > f->largest ? (double)v[i] : f->largest;
    }
}

static void from_f32(const unsigned char *p, uint64_t n, float *out, struct cm_h5facts *f)
{
    for (uint64_t i = 0; i < n; i += PIECE) {
        size_t len = n - i < PIECE ? (size_t)(n - i) : PIECE;
        memcpy(out + i, p + i * sizeof *out, len * sizeof *out);
        if (!small_floats(out + i, len, f))
            any_floats(out + i, len, f);
    }
}

CM_CLONES_O3 static void from_f64(const unsigned char *p, uint64_t n, double *out,
                                  struct cm_h5facts *f)
{
    memcpy(out, p, n * sizeof *out);
    for (uint64_t i = 0; i < n; i++) {
        double v = out[i];
        bool fits = fabs(v) <= 3.40282346638528859812e38;
        f->infinite |= !isfinite(v);
        f->negative |= v < 0;
        f->fraction |= v != floor(v);
        f->wide |= !fits || (double)(float)v != v;
        f->largest = v > f->largest ? v : f->largest;
    }
}

void cm_h5convert(int kind, const unsigned char *p, uint64_t n, void *out, uint64_t at,
                  struct cm_h5facts *f)
{
    switch (kind) {
    case CM_H5_U8:
        from_u8(p, n, (uint32_t *)out + at, f);
        break;
    case CM_H5_I8:
        from_i8(p, n, (uint32_t *)out + at, f);
        break;
    case CM_H5_U16:
        from_u16(p, n, (uint32_t *)out + at, f);
        break;
    case CM_H5_I16:
        from_i16(p, n, (uint32_t *)out + at, f);
        break;
    case CM_H5_U32:
        from_u32(p, n, (uint32_t *)out + at, f);
        break;
    case CM_H5_I32:
        from_i32(p, n, (uint32_t *)out + at, f);
        break;
    case CM_H5_U64:
        from_u64(p, n, (uint32_t *)out + at, f);
        break;
    case CM_H5_I64:
        from_i64(p, n, (uint32_t *)out + at, f);
        break;
    case CM_H5_F32:
        from_f32(p, n, (float *)out + at, f);
        break;
    default:
        from_f64(p, n, (double *)out + at, f);
    }
}
