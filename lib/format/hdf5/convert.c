/* format/hdf5/convert.c - numbers of a file's type as u32, f32 or f64, with facts about them. */
#include "format/hdf5/convert.h"

#include <math.h>
#include <string.h>

/* Loops over the values of a chunk.  The inner ones have a fixed length and no branch, so that
 * the compiler vectorises them. */
enum { LANES = 32 };

/* Whole numbers to u32; p and out may not overlap. */
#define WHOLE(name, type, test)                                                                    \
    static void name(const unsigned char *p, uint64_t n, uint32_t *out, struct cm_h5facts *f)      \
    {                                                                                              \
        uint32_t max[LANES] = {0}, falls = 0, unfit = 0;                                           \
        type v[LANES];                                                                             \
        uint64_t i = 0;                                                                            \
        for (; i + LANES <= n; i += LANES) {                                                       \
            memcpy(v, p + i * sizeof *v, sizeof v);                                                \
            for (int k = 0; k < LANES; k++)                                                        \
                unfit |= (uint32_t)(test(v[k]));                                                   \
            for (int k = 0; k < LANES; k++) {                                                      \
                uint32_t u = (uint32_t)v[k];                                                       \
                out[i + (uint64_t)k] = u;                                                          \
                max[k] = u > max[k] ? u : max[k];                                                  \
            }                                                                                      \
        }                                                                                          \
        for (; i < n; i++) {                                                                       \
            memcpy(v, p + i * sizeof *v, sizeof *v);                                               \
            unfit |= (uint32_t)(test(v[0]));                                                       \
            out[i] = (uint32_t)v[0];                                                               \
            max[0] = out[i] > max[0] ? out[i] : max[0];                                            \
        }                                                                                          \
        for (i = 1; i < n; i++)                                                                    \
            falls += out[i] <= out[i - 1];                                                         \
        for (int k = 0; k < LANES; k++)                                                            \
            f->max = max[k] > f->max ? max[k] : f->max;                                            \
        f->falls += falls;                                                                         \
        f->unfit |= unfit != 0;                                                                    \
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
 * point, changes nothing; larger values and NaN are checked again, one by one. */
static void from_f32(const unsigned char *p, uint64_t n, float *out, struct cm_h5facts *f)
{
    static const float magic = 12582912.f;
    uint32_t odd = 0, fraction = 0, negative = 0;
    float largest[LANES] = {0};
    uint64_t i = 0;
    memcpy(out, p, n * sizeof *out);
    for (; i + LANES <= n; i += LANES)
        for (int k = 0; k < LANES; k++) {
            float v = out[i + (uint64_t)k];
            odd |= (uint32_t) !(fabsf(v) < 4194304.f);
            fraction |= (uint32_t)((v + magic) - magic != v);
            negative |= (uint32_t)(v < 0);
            largest[k] = v > largest[k] ? v : largest[k];
        }
    i = odd ? 0 : i;
    fraction = odd ? 0 : fraction;
    for (; i < n; i++) {
        float v = out[i];
        f->infinite |= !(fabsf(v) <= 3.40282347e38f);
        fraction |= (uint32_t)(floorf(v) != v);
        negative |= (uint32_t)(v < 0);
        largest[0] = v > largest[0] ? v : largest[0];
    }
    f->negative |= negative != 0;
    f->fraction |= fraction != 0;
    for (int k = 0; k < LANES; k++)
        f->largest = (double)largest[k] > f->largest ? (double)largest[k] : f->largest;
}

static void from_f64(const unsigned char *p, uint64_t n, double *out, struct cm_h5facts *f)
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
