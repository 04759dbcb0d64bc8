/* format/hdf5/put.c - the encodings of AnnData, one function each.  See put.h.
 *
 * Nothing here depends on time, addresses or the order of a hash table, so the same calls write the
 * same bytes.  Text is stored as variable-length UTF-8, which HDF5 does not compress; numbers are
 * chunked and filtered unless the file is to have no filters.
 */
#include "format/hdf5/put.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "format/hdf5/filters.h"

#define PIECE ((hsize_t)65536) /* items of a chunk */

int cm_h5_put_broken(const struct cm_h5_put *put, const char *what)
{
    return cm_h5_failed(put->copy ? CM_EINPUT : CM_ESYSTEM, "%s: cannot write %s", put->name, what);
}

/* Closing a dataset writes its last chunk, which may fail. */
int cm_h5_put_close(const struct cm_h5_put *put, hid_t id, const char *what, int code)
{
    if (id < 0)
        return code;
    herr_t got = H5Iget_type(id) == H5I_ATTR ? H5Aclose(id) : H5Oclose(id);
    return got < 0 && !code ? cm_h5_put_broken(put, what) : code;
}

/* ===== types and attributes =============================================================== */

hid_t cm_h5_put_text_type(void)
{
    hid_t t = H5Tcopy(H5T_C_S1);
    H5Tset_size(t, H5T_VARIABLE);
    H5Tset_cset(t, H5T_CSET_UTF8);
    return t;
}

static hid_t bool_type(void)
{
    hid_t t = H5Tenum_create(H5T_STD_I8LE);
    int8_t no = 0, yes = 1;
    H5Tenum_insert(t, "FALSE", &no);
    H5Tenum_insert(t, "TRUE", &yes);
    return t;
}

static int put_attr(const struct cm_h5_put *put, hid_t at, const char *name, hid_t type, hid_t mem,
                    hid_t space, const void *v)
{
    hid_t a = H5Acreate2(at, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    int code = a < 0 || (v && H5Awrite(a, mem, v) < 0) ? cm_h5_put_broken(put, name) : 0;
    return cm_h5_put_close(put, a, name, code);
}

int cm_h5_put_attr_text(const struct cm_h5_put *put, hid_t at, const char *name, const char *v)
{
    hid_t t = cm_h5_put_text_type(), space = H5Screate(H5S_SCALAR);
    int code = put_attr(put, at, name, t, t, space, &v);
    H5Sclose(space);
    H5Tclose(t);
    return code;
}

int cm_h5_put_encoding(const struct cm_h5_put *put, hid_t at, const char *type, const char *version)
{
    int code = cm_h5_put_attr_text(put, at, "encoding-type", type);
    return code ? code : cm_h5_put_attr_text(put, at, "encoding-version", version);
}

static int attr_bool(const struct cm_h5_put *put, hid_t at, const char *name, bool v)
{
    hid_t t = bool_type(), space = H5Screate(H5S_SCALAR);
    int8_t one = v;
    int code = put_attr(put, at, name, t, t, space, &one);
    H5Sclose(space);
    H5Tclose(t);
    return code;
}

int cm_h5_put_shape(const struct cm_h5_put *put, hid_t at, uint64_t rows, uint64_t cols)
{
    hsize_t two = 2;
    int64_t v[2] = {(int64_t)rows, (int64_t)cols};
    hid_t space = H5Screate_simple(1, &two, NULL);
    int code = put_attr(put, at, "shape", H5T_STD_I64LE, H5T_NATIVE_INT64, space, v);
    H5Sclose(space);
    return code;
}

/* column-order: text, but an empty float array when there are no columns, as anndata does it. */
int cm_h5_put_order(const struct cm_h5_put *put, hid_t at, const struct cm_strs *names)
{
    hsize_t n = names->n;
    hid_t space = H5Screate_simple(1, &n, NULL), t = cm_h5_put_text_type();
    const char **v = CM_NEW(n + 1, const char *);
    for (size_t k = 0; k < names->n; k++)
        v[k] = cm_strs_get(names, k);
    int code =
        n ? put_attr(put, at, "column-order", t, t, space, v)
          : put_attr(put, at, "column-order", H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, space, NULL);
    cm_free(v);
    H5Tclose(t);
    H5Sclose(space);
    return code;
}

/* ===== groups and datasets ================================================================ */

/* Also creates missing parents: a label may be called a/b. */
hid_t cm_h5_put_group(const struct cm_h5_put *put, hid_t at, const char *name)
{
    hid_t plist = H5Pcreate(H5P_GROUP_CREATE), links = H5Pcreate(H5P_LINK_CREATE);
    hid_t g = -1;
    if (H5Pset_obj_track_times(plist, false) >= 0 &&
        H5Pset_create_intermediate_group(links, 1) >= 0)
        g = H5Gcreate2(at, name, links, plist, H5P_DEFAULT);
    g = g < 0 ? cm_h5_put_broken(put, name) : g;
    H5Pclose(plist);
    H5Pclose(links);
    return g;
}

static bool set_filters(const struct cm_h5_put *put, hid_t dcpl, hid_t type, hsize_t chunk_items)
{
    size_t size = H5Tget_size(type);
    unsigned lzf[3] = {4, 0x0105, (unsigned)(chunk_items * size)}, level[1] = {3};
    if (put->pack == CM_PACK_NONE)
        return true;
    if (size > 1 && H5Pset_shuffle(dcpl) < 0)
        return false;
    if (put->pack == CM_PACK_GZIP)
        return H5Pset_deflate(dcpl, 4) >= 0;
    if (put->pack == CM_PACK_LZF)
        return H5Pset_filter(dcpl, CM_H5_LZF, H5Z_FLAG_OPTIONAL, 3, lzf) >= 0;
    return H5Pset_filter(dcpl, CM_H5_ZSTD, H5Z_FLAG_MANDATORY, 1, level) >= 0;
}

/* Chunks and filters of a new dataset, where it has any. */
static bool set_chunks(const struct cm_h5_put *put, hid_t dcpl, hid_t type, unsigned rank,
                       uint64_t rows, uint64_t cols, bool grows)
{
    bool text = H5Tget_class(type) == H5T_STRING;
    if (!grows && (!rank || !rows || text || put->pack == CM_PACK_NONE))
        return true;
    hsize_t chunk[2] = {PIECE, cols ? cols : 1};
    if (rank == 2)
        chunk[0] = PIECE / chunk[1] ? PIECE / chunk[1] : 1;
    if (rank == 2 && chunk[1] > 16 * PIECE)
        chunk[1] = 16 * PIECE;
    if (!grows && rows < chunk[0])
        chunk[0] = rows;
    return H5Pset_chunk(dcpl, (int)rank, chunk) >= 0 &&
           set_filters(put, dcpl, type, rank == 2 ? chunk[0] * chunk[1] : chunk[0]);
}

/* rank 1 or 2 (cols > 0 then).  grows: extendible along rows.  text: never filtered, since the
 * text itself is elsewhere. */
hid_t cm_h5_put_dataset(const struct cm_h5_put *put, hid_t at, const char *name, hid_t type,
                        unsigned rank, uint64_t rows, uint64_t cols, bool grows)
{
    hsize_t dims[2] = {rows, cols}, max[2] = {grows ? H5S_UNLIMITED : rows, cols};
    hid_t dcpl = H5Pcreate(H5P_DATASET_CREATE), links = H5Pcreate(H5P_LINK_CREATE);
    hid_t space = rank ? H5Screate_simple((int)rank, dims, max) : H5Screate(H5S_SCALAR), d = -1;
    if (space >= 0 && H5Pset_obj_track_times(dcpl, false) >= 0 &&
        H5Pset_create_intermediate_group(links, 1) >= 0 &&
        set_chunks(put, dcpl, type, rank, rows, cols, grows))
        d = H5Dcreate2(at, name, type, space, links, dcpl, H5P_DEFAULT);
    d = d < 0 ? cm_h5_put_broken(put, name) : d; /* before other calls clear the error stack */
    H5Sclose(space);
    H5Pclose(dcpl);
    H5Pclose(links);
    return d;
}

/* A whole array at once, with its encoding attributes unless encoding is NULL. */
int cm_h5_put_array(const struct cm_h5_put *put, hid_t at, const char *name, hid_t type, hid_t mem,
                    uint64_t n, const void *v, const char *encoding)
{
    hid_t d = cm_h5_put_dataset(put, at, name, type, 1, n, 0, false);
    if (d < 0)
        return (int)d;
    int code = n && H5Dwrite(d, mem, H5S_ALL, H5S_ALL, H5P_DEFAULT, v) < 0
                   ? cm_h5_put_broken(put, name)
                   : 0;
    if (!code && encoding)
        code = cm_h5_put_encoding(put, d, encoding, "0.2.0");
    return cm_h5_put_close(put, d, name, code);
}

int cm_h5_put_strs(const struct cm_h5_put *put, hid_t at, const char *name, const struct cm_strs *s)
{
    hid_t t = cm_h5_put_text_type();
    const char **v = CM_NEW(s->n + 1, const char *);
    for (size_t i = 0; i < s->n; i++)
        v[i] = cm_strs_get(s, i);
    int code = cm_h5_put_array(put, at, name, t, t, s->n, v, "string-array");
    cm_free(v);
    H5Tclose(t);
    return code;
}

int cm_h5_put_text(const struct cm_h5_put *put, hid_t at, const char *name, const char *v)
{
    hid_t t = cm_h5_put_text_type(), d = cm_h5_put_dataset(put, at, name, t, 0, 1, 0, false);
    int code = d < 0 ? (int)d
               : H5Dwrite(d, t, H5S_ALL, H5S_ALL, H5P_DEFAULT, &v) < 0
                   ? cm_h5_put_broken(put, name)
                   : cm_h5_put_encoding(put, d, "string", "0.2.0");
    H5Tclose(t);
    return cm_h5_put_close(put, d, name, code);
}

static int put_bools(const struct cm_h5_put *put, hid_t at, const char *name, const int8_t *v,
                     size_t n)
{
    hid_t t = bool_type();
    int code = cm_h5_put_array(put, at, name, t, t, n, v, "array");
    H5Tclose(t);
    return code;
}

/* ===== columns of obs and var ============================================================= */

static int put_categorical(const struct cm_h5_put *put, hid_t at, const struct cm_vec *v,
                           const struct cm_dict *d)
{
    hid_t g = cm_h5_put_group(put, at, v->name);
    if (g < 0)
        return (int)g;
    size_t n = d->names.n;
    hid_t type = n <= INT8_MAX ? H5T_STD_I8LE : n <= INT16_MAX ? H5T_STD_I16LE : H5T_STD_I32LE;
    int32_t *codes = CM_NEW(v->n + 1, int32_t);
    for (size_t i = 0; i < v->n; i++)
        codes[i] = v->cat[i] == CM_CAT_MISSING ? -1 : (int32_t)v->cat[i];
    int code = cm_h5_put_encoding(put, g, "categorical", "0.2.0");
    if (!code)
        code = attr_bool(put, g, "ordered", d->ordered);
    if (!code)
        code = cm_h5_put_array(put, g, "codes", type, H5T_NATIVE_INT32, v->n, codes, "array");
    if (!code)
        code = cm_h5_put_strs(put, g, "categories", &d->names);
    cm_free(codes);
    return cm_h5_put_close(put, g, v->name, code);
}

/* Values and mask; masked items are zero. */
static int put_nullable(const struct cm_h5_put *put, hid_t at, const struct cm_vec *v)
{
    bool whole = v->type == CM_T_I64;
    hid_t g = cm_h5_put_group(put, at, v->name);
    if (g < 0)
        return (int)g;
    int8_t *mask = CM_NEW(v->n + 1, int8_t), *truth = CM_NEW(v->n + 1, int8_t);
    int64_t *number = CM_NEW(v->n + 1, int64_t);
    for (size_t i = 0; i < v->n; i++) {
        mask[i] = whole ? v->i[i] == CM_I64_MISSING : v->b[i] == CM_BOOL_MISSING;
        number[i] = whole && !mask[i] ? v->i[i] : 0;
        truth[i] = !whole && !mask[i] && v->b[i];
    }
    int code = cm_h5_put_encoding(put, g, whole ? "nullable-integer" : "nullable-boolean", "0.1.0");
    if (!code)
        code = whole ? cm_h5_put_array(put, g, "values", H5T_STD_I64LE, H5T_NATIVE_INT64, v->n,
                                       number, "array")
                     : put_bools(put, g, "values", truth, v->n);
    if (!code)
        code = put_bools(put, g, "mask", mask, v->n);
    cm_free(mask);
    cm_free(truth);
    cm_free(number);
    return cm_h5_put_close(put, g, v->name, code);
}

static bool has_missing(const struct cm_vec *v)
{
    for (size_t i = 0; i < v->n; i++)
        if (v->type == CM_T_I64 ? v->i[i] == CM_I64_MISSING : v->b[i] == CM_BOOL_MISSING)
            return true;
    return false;
}

int cm_h5_put_column(const struct cm_h5_put *put, hid_t at, const struct cm_vec *v,
                     const struct cm_dict *d)
{
    if (!*v->name || !strcmp(v->name, "_index") || v->name[0] == '/')
        return cm_fail(CM_EINPUT, "%s: AnnData cannot hold a column named \"%s\"", put->name,
                       v->name);
    switch (v->type) {
    case CM_T_CAT:
        return put_categorical(put, at, v, d);
    case CM_T_STR:
        return cm_h5_put_strs(put, at, v->name, &v->s);
    case CM_T_F64:
        return cm_h5_put_array(put, at, v->name, H5T_IEEE_F64LE, H5T_NATIVE_DOUBLE, v->n, v->f,
                               "array");
    case CM_T_I64:
        if (has_missing(v))
            return put_nullable(put, at, v);
        return cm_h5_put_array(put, at, v->name, H5T_STD_I64LE, H5T_NATIVE_INT64, v->n, v->i,
                               "array");
    case CM_T_BOOL:
        if (has_missing(v))
            return put_nullable(put, at, v);
        return put_bools(put, at, v->name, (const int8_t *)v->b, v->n);
    }
    return 0;
}
