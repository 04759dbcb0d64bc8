/* format/hdf5/convert.h - numbers of every type in a file as u32, f32 or f64. */
#ifndef CM_FORMAT_HDF5_CONVERT_H
#define CM_FORMAT_HDF5_CONVERT_H

#include <stdbool.h>
#include <stdint.h>

/* Facts about the values of a range. */
struct cm_h5facts {
    bool unfit;     /* u32: a value below 0 or beyond; the contents are then undefined */
    bool infinite;  /* floats: NaN or infinite */
    bool negative;  /* floats */
    bool fraction;  /* floats: not a whole number */
    bool wide;      /* f64: not exactly a float */
    uint32_t max;   /* u32: the largest; floats: unused */
    double largest; /* floats: the largest value, at least 0 */
    uint64_t
        falls; /* u32: items that are not larger than the one before (the first is not counted) */
};

enum cm_h5_kind {
    CM_H5_NO_KIND,
    CM_H5_U8,
    CM_H5_I8,
    CM_H5_U16,
    CM_H5_I16,
    CM_H5_U32,
    CM_H5_I32,
    CM_H5_U64,
    CM_H5_I64,
    CM_H5_F32,
    CM_H5_F64
};

/* n items of a kind at p (any alignment) to out[at ...]: whole numbers as u32, CM_H5_F32 as
 * float, CM_H5_F64 as double.  The facts are added to *f. */
void cm_h5convert(int kind, const unsigned char *p, uint64_t n, void *out, uint64_t at,
                  struct cm_h5facts *f);

#endif
