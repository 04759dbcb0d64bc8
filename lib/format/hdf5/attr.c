/* format/hdf5/attr.c - attributes of HDF5 objects. */
#include "format/hdf5/attr.h"

#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "format/hdf5/encoding.h"
#include "stream/cms.h"

#define ATTR_BYTES ((uint64_t)1 << 28) /* of one attribute */

static int attr_failed(const struct cm_h5 *h, const char *path, const char *name)
{
    return cm_h5_failed(CM_EINPUT, "%s: %s: attribute %s cannot be read", h->name, path, name);
}

/* 1: open, and not of a null dataspace; 0: absent; < 0: CM_EINPUT, CM_ESYSTEM. */
int cm_h5_attr_open(const struct cm_h5 *h, const char *path, const char *name, hid_t *a,
                    hid_t *type, uint64_t *items)
{
    cm_h5_step();
    htri_t there = H5Aexists_by_name(h->id, path, name, H5P_DEFAULT);
    if (there == 0)
        return 0;
    if (there < 0 || (*a = H5Aopen_by_name(h->id, path, name, H5P_DEFAULT, H5P_DEFAULT)) < 0)
        return attr_failed(h, path, name);
    hid_t space = H5Aget_space(*a);
    hssize_t n = H5Sget_simple_extent_npoints(space);
    bool null = H5Sget_simple_extent_type(space) == H5S_NULL;
    H5Sclose(space);
    *type = H5Aget_type(*a);
    bool fits = n >= 0 && (uint64_t)n <= CM_H5_FREE_ITEMS &&
                H5Aget_storage_size(*a) <= ATTR_BYTES && *type >= 0 &&
                H5Tget_size(*type) <= ATTR_BYTES;
    if (*type >= 0 && fits && !null) {
        *items = (uint64_t)n;
        return 1;
    }
    int code = null ? 0 : attr_failed(h, path, name);
    if (*type >= 0)
        H5Tclose(*type);
    H5Aclose(*a);
    return code;
}

/* 1 or an error. */
static int add_attr(const struct cm_h5 *h, const char *path, const char *name, const char *p,
                    size_t n, struct cm_strs *out)
{
    char where[512];
    snprintf(where, sizeof where, "%s: %s: attribute %s", h->name, path, name);
    int code = cm_h5_text_add(h->latin1, p, n, out, where);
    return code ? code : 1;
}

int cm_h5_attr_strs(const struct cm_h5 *h, const char *path, const char *name, struct cm_strs *out)
{
    hid_t a, type;
    uint64_t n;
    cm_strs_clear(out);
    int code = cm_h5_attr_open(h, path, name, &a, &type, &n);
    if (code <= 0)
        return code;
    if (n && H5Tget_class(type) != H5T_STRING) {
        code = cm_fail(CM_EINPUT, "%s: %s: attribute %s is not text", h->name, path, name);
    } else if (n && H5Tis_variable_str(type) > 0) {
        char **v = CM_ZNEW(n, char *);
        hid_t space = H5Aget_space(a), mem = H5Tcopy(H5T_C_S1);
        H5Tset_size(mem, H5T_VARIABLE);
        H5Tset_cset(mem, H5Tget_cset(type));
        if (H5Aread(a, mem, v) < 0)
            code = attr_failed(h, path, name);
        bool got = code > 0;
        for (uint64_t i = 0; code > 0 && i < n; i++)
            code = add_attr(h, path, name, v[i] ? v[i] : "", v[i] ? strlen(v[i]) : 0, out);
        if (got)
            H5Dvlen_reclaim(mem, space, H5P_DEFAULT, v);
        H5Tclose(mem);
        H5Sclose(space);
        cm_free(v);
    } else if (n) {
        size_t size = H5Tget_size(type);
        char *v = n <= ATTR_BYTES / size ? cm_zalloc(n, size) : NULL;
        if (!v || H5Aread(a, type, v) < 0)
            code = attr_failed(h, path, name);
        for (uint64_t i = 0; code > 0 && i < n; i++)
            code = add_attr(h, path, name, v + i * size,
                            cm_h5_text_length(v + i * size, size, H5Tget_strpad(type)), out);
        cm_free(v);
    }
    H5Tclose(type);
    H5Aclose(a);
    return code;
}

int cm_h5_attr_text(const struct cm_h5 *h, const char *path, const char *name, char **out)
{
    struct cm_strs s = {0};
    int code = cm_h5_attr_strs(h, path, name, &s);
    *out = NULL;
    if (code > 0 && s.n)
        *out = cm_strdup(cm_strs_get(&s, 0));
    if (code > 0 && !s.n)
        code = 0;
    cm_strs_free(&s);
    return code;
}

int cm_h5_attr_i64s(const struct cm_h5 *h, const char *path, const char *name, int64_t *v, size_t n)
{
    hid_t a, type;
    uint64_t items;
    int code = cm_h5_attr_open(h, path, name, &a, &type, &items);
    if (code <= 0)
        return code;
    if (items != n || H5Tget_class(type) != H5T_INTEGER)
        code = cm_fail(CM_EINPUT, "%s: %s: attribute %s: expected %zu whole numbers", h->name, path,
                       name, n);
    else if (H5Aread(a, H5T_NATIVE_INT64, v) < 0)
        code = attr_failed(h, path, name);
    H5Tclose(type);
    H5Aclose(a);
    return code;
}

int cm_h5_attr_flag(const struct cm_h5 *h, const char *path, const char *name, bool *v)
{
    hid_t a, type;
    uint64_t items;
    int code = cm_h5_attr_open(h, path, name, &a, &type, &items);
    if (code <= 0)
        return code;
    H5T_class_t c = H5Tget_class(type);
    int8_t one = 0;
    if (items != 1 || (c != H5T_INTEGER && c != H5T_ENUM))
        code =
            cm_fail(CM_EINPUT, "%s: %s: attribute %s: expected one boolean", h->name, path, name);
    else if (H5Aread(a, H5T_NATIVE_INT8, &one) < 0)
        code = attr_failed(h, path, name);
    *v = one != 0;
    H5Tclose(type);
    H5Aclose(a);
    return code;
}
