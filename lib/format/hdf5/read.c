/* format/hdf5/read.c - ranges of a dataset as numbers, read by libhdf5. */
#include "format/hdf5/read.h"

#include <inttypes.h>

#include "base/error.h"
#include "format/hdf5/chunk.h"
#include "format/hdf5/filters.h"

/* The memory type of a read: the native type itself, or a compound that picks the member. */
hid_t cm_h5set_memory_type(const struct cm_h5set *s, hid_t native)
{
    if (!s->member)
        return H5Tcopy(native);
    hid_t t = H5Tcreate(H5T_COMPOUND, H5Tget_size(native));
    if (t >= 0)
        H5Tinsert(t, s->member, 0, native);
    return t;
}

/* Selects the rows and makes the memory space for them. */
int cm_h5set_select(const struct cm_h5set *s, uint64_t first, uint64_t n, hid_t *file, hid_t *mem)
{
    if (n > s->rows || first > s->rows - n)
        return cm_fail(CM_EINPUT, "%s: %s: holds %" PRIu64 " rows, expected at least %" PRIu64,
                       CM_H5_AT(s), s->rows, first + n);
    hsize_t start[2] = {first, 0}, count[2] = {n, s->cols};
    *file = H5Dget_space(s->id);
    if (s->rank == 0) {
        *mem = H5Scopy(*file);
        return 0;
    }
    *mem = H5Screate_simple((int)s->rank, count, NULL);
    if (*mem < 0 || H5Sselect_hyperslab(*file, H5S_SELECT_SET, start, NULL, count, NULL) < 0) {
        if (*mem >= 0)
            H5Sclose(*mem);
        H5Sclose(*file);
        return cm_fail(CM_EINPUT, "%s: %s: rows %" PRIu64 " to %" PRIu64 " cannot be selected",
                       CM_H5_AT(s), first, first + n - 1);
    }
    return 0;
}

int cm_h5set_read_failed(const struct cm_h5set *s, uint64_t first, uint64_t n)
{
    return cm_h5_failed(CM_EINPUT, "%s: %s: rows %" PRIu64 " to %" PRIu64 " cannot be read",
                        CM_H5_AT(s), first, first + n - 1);
}

int cm_h5set_read(const struct cm_h5set *s, uint64_t first, uint64_t n, hid_t native, void *out)
{
    hid_t file, mem;
    if (!n || !s->cols)
        return 0;
    cm_h5_step();
    cm_h5_filters_expect(s->chunk_bytes);
    int code = s->verified ? cm_h5chunk_check(s, first, n) : 0;
    code = code ? code : cm_h5set_select(s, first, n, &file, &mem);
    if (code)
        return code;
    hid_t type = cm_h5set_memory_type(s, native);
    if (type < 0 || H5Dread(s->id, type, mem, file, H5P_DEFAULT, out) < 0)
        code = cm_h5set_read_failed(s, first, n);
    cm_h5_filters_expect(0);
    if (type >= 0)
        H5Tclose(type);
    H5Sclose(mem);
    H5Sclose(file);
    return code;
}

int cm_h5set_read_cols(const struct cm_h5set *s, uint64_t first, uint64_t n, hid_t native,
                       void *out)
{
    hsize_t start[2] = {0, first}, count[2] = {s->rows, n};
    if (s->rank != 2 || n > s->cols || first > s->cols - n)
        return cm_fail(CM_EINPUT, "%s: %s: holds %" PRIu64 " columns, expected at least %" PRIu64,
                       CM_H5_AT(s), s->cols, first + n);
    if (!n || !s->rows)
        return 0;
    cm_h5_step();
    cm_h5_filters_expect(s->chunk_bytes);
    hid_t file = H5Dget_space(s->id), mem = H5Screate_simple(2, count, NULL);
    int code = 0;
    if (file < 0 || mem < 0 ||
        H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
        H5Dread(s->id, native, mem, file, H5P_DEFAULT, out) < 0)
        code = cm_h5_failed(CM_EINPUT, "%s: %s: columns %" PRIu64 " to %" PRIu64 " cannot be read",
                            CM_H5_AT(s), first, first + n - 1);
    cm_h5_filters_expect(0);
    if (mem >= 0)
        H5Sclose(mem);
    if (file >= 0)
        H5Sclose(file);
    return code;
}

int cm_h5set_need_number(const struct cm_h5set *s)
{
    if (s->cls == CM_H5_INT || s->cls == CM_H5_FLOAT || s->cls == CM_H5_BOOL)
        return 0;
    return cm_fail(CM_EINPUT, "%s: %s: expected numbers, found %s", CM_H5_AT(s),
                   s->cls == CM_H5_STRING     ? "text"
                   : s->cls == CM_H5_COMPOUND ? "a compound type"
                                              : "a type that is not supported");
}

int cm_h5set_i64(const struct cm_h5set *s, uint64_t first, uint64_t n, int64_t *out)
{
    int code = cm_h5set_need_number(s);
    if (!code && s->cls == CM_H5_FLOAT)
        code = cm_fail(CM_EINPUT, "%s: %s: expected whole numbers, found floats", CM_H5_AT(s));
    return code ? code : cm_h5set_read(s, first, n, H5T_NATIVE_INT64, out);
}

int cm_h5set_f64(const struct cm_h5set *s, uint64_t first, uint64_t n, double *out)
{
    int code = cm_h5set_need_number(s);
    return code ? code : cm_h5set_read(s, first, n, H5T_NATIVE_DOUBLE, out);
}
