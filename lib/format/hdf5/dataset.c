/* format/hdf5/dataset.c - opening datasets of HDF5 files, and what is checked then.
 *
 * The chunk cache is sized when a dataset is opened, because the default of 1 MB would decode a
 * larger chunk again for every block of rows.
 */
#include "format/hdf5/dataset.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/mem.h"
#include "format/hdf5/attr.h"
#include "format/hdf5/filters.h"

#define CACHE_DEFAULT ((uint64_t)16 << 20)

/* Items that may be claimed for each that the stored bytes could hold, beyond CM_H5_FREE_ITEMS
 * (gzip expands at most 1032 times; a constant matrix in zstd more). */
#define MAX_RATIO ((uint64_t)1 << 15)

static enum cm_h5_class class_of(hid_t type)
{
    switch (H5Tget_class(type)) {
    case H5T_INTEGER:
        return CM_H5_INT;
    case H5T_FLOAT:
        return CM_H5_FLOAT;
    case H5T_STRING:
        return CM_H5_STRING;
    case H5T_COMPOUND:
        return CM_H5_COMPOUND;
    case H5T_ENUM: {
        char *m = H5Tget_nmembers(type) == 2 ? H5Tget_member_name(type, 0) : NULL;
        bool yes = m && (!strcasecmp(m, "FALSE") || !strcasecmp(m, "TRUE"));
        H5free_memory(m);
        return yes ? CM_H5_BOOL : CM_H5_INT;
    }
    default:
        return CM_H5_NONE;
    }
}

/* Reports a missing filter now; HDF5 would report it in the middle of the data. */
static int check_filters(const struct cm_h5set *s, hid_t dcpl)
{
    int n = H5Pget_nfilters(dcpl);
    for (int k = 0; k < n; k++) {
        unsigned flags, cd[8];
        size_t ncd = 8;
        char name[64] = "";
        H5Z_filter_t id = H5Pget_filter2(dcpl, (unsigned)k, &flags, &ncd, cd, sizeof name, name, 0);
        if (id >= 0 && H5Zfilter_avail(id) > 0)
            continue;
        char where[512] = "";
        H5PLget(0, where, sizeof where);
        unsigned loading = 0;
        H5PLget_loading_state(&loading);
        return cm_fail(CM_EINPUT,
                       "%s: %s: needs HDF5 filter %d (%s), not available; install its plugin, "
                       "%sset HDF5_PLUGIN_PATH (searched: %s)",
                       CM_H5_AT(s), (int)id, cm_h5_filter_name(id),
                       loading ? "or " : "give --plugins, or ", where);
    }
    return 0;
}

static H5Z_filter_t filter_at(hid_t dcpl, int k)
{
    unsigned flags, cd[8], info;
    size_t ncd = 8;
    char name[8];
    return H5Pget_filter2(dcpl, (unsigned)k, &flags, &ncd, cd, sizeof name, name, &info);
}

/* Are chunks checked for their length before libhdf5 reads them (chunk.c)?  1 yes, 0 no; an error
 * where gzip does not give a whole chunk, because it runs twice or on what another filter
 * packed. */
static int checks_gzip(const struct cm_h5set *s, hid_t dcpl)
{
    int n = H5Pget_nfilters(dcpl), gzips = 0;
    H5Z_filter_t other = H5Z_FILTER_NONE;
    for (int k = 0; k < n; k++) {
        H5Z_filter_t id = filter_at(dcpl, k);
        if (id == H5Z_FILTER_DEFLATE)
            gzips++;
        else if (!gzips && id != H5Z_FILTER_SHUFFLE && id != H5Z_FILTER_FLETCHER32)
            other = id;
    }
    if (n > 3 || !gzips || H5Zfilter_avail(H5Z_FILTER_DEFLATE) <= 0)
        return 0;
    if (gzips > 1 || other != H5Z_FILTER_NONE)
        return cm_fail(CM_EINPUT,
                       "%s: %s: chunks go through gzip %s%s, which is not supported; h5repack -f "
                       "GZIP=4 writes them plainly",
                       CM_H5_AT(s), gzips > 1 ? "twice" : "after filter ",
                       gzips > 1 ? "" : cm_h5_filter_name(other));
    return 1;
}

static int shape_of(struct cm_h5set *s)
{
    hid_t space = H5Dget_space(s->id);
    H5S_class_t kind = H5Sget_simple_extent_type(space);
    hsize_t d[H5S_MAX_RANK] = {1, 1};
    int rank = H5Sget_simple_extent_ndims(space);
    int code = 0;
    if (kind == H5S_NULL) {
        rank = 1;
        d[0] = 0;
    } else if (rank < 0 || rank > 2) {
        code =
            cm_fail(CM_EINPUT, "%s: %s: has %d dimensions, expected at most 2", CM_H5_AT(s), rank);
    } else {
        H5Sget_simple_extent_dims(space, d, NULL);
    }
    s->rank = rank < 0 ? 0 : (unsigned)rank;
    s->rows = d[0];
    s->cols = rank == 2 ? d[1] : 1;
    H5Sclose(space);
    return code;
}

/* Bytes of one item in the file; 0 = not known (compounds, whose size is another in memory). */
static uint64_t item_in_file(const struct cm_h5set *s, hid_t type)
{
    size_t addresses = 8, lengths = 8;
    if (H5Tget_class(type) == H5T_COMPOUND)
        return 0;
    if (H5Tget_class(type) != H5T_VLEN && H5Tis_variable_str(type) <= 0)
        return H5Tget_size(type);
    hid_t file = H5Iget_file_id(s->id), plist = file < 0 ? -1 : H5Fget_create_plist(file);
    if (plist >= 0)
        H5Pget_sizes(plist, &addresses, &lengths);
    if (plist >= 0)
        H5Pclose(plist);
    if (file >= 0)
        H5Fclose(file);
    return 8 + addresses;
}

/* Data in other files are not read: a file must not be able to name them.  Nor is an extent
 * believed that the stored bytes do not support. */
static int check_storage(const struct cm_h5set *s, hid_t dcpl)
{
    if (H5Pget_layout(dcpl) == H5D_VIRTUAL)
        return cm_fail(CM_EINPUT, "%s: %s: is a virtual dataset; those are not read", CM_H5_AT(s));
    if (H5Pget_external_count(dcpl) > 0)
        return cm_fail(CM_EINPUT, "%s: %s: stands in another file; those are not read",
                       CM_H5_AT(s));
    uint64_t items = s->cols && s->rows > UINT64_MAX / s->cols ? UINT64_MAX : s->rows * s->cols;
    bool compact = H5Pget_layout(dcpl) == H5D_COMPACT;
    if (items <= CM_H5_FREE_ITEMS && !compact)
        return 0;
    hid_t type = H5Dget_type(s->id);
    /* libhdf5 1.10 reads beyond the end of storage that is shorter than the extent */
    uint64_t item = compact && type >= 0 ? item_in_file(s, type) : 0;
    if (item && items > H5Dget_storage_size(s->id) / item) {
        H5Tclose(type);
        return cm_fail(CM_EINPUT, "%s: %s: claims %" PRIu64 " items, but fewer are stored",
                       CM_H5_AT(s), items);
    }
    uint64_t size = type >= 0 ? H5Tget_size(type) : 1, stored = H5Dget_storage_size(s->id);
    if (type >= 0)
        H5Tclose(type);
    if (items > CM_H5_FREE_ITEMS && items / MAX_RATIO > stored / (size ? size : 1))
        return cm_fail(CM_EINPUT,
                       "%s: %s: claims %" PRIu64 " items, but only %" PRIu64 " bytes are stored",
                       CM_H5_AT(s), items, stored);
    return 0;
}

/* Bytes of one band of chunks (all chunks that a block of rows touches), 0 if not chunked. */
static uint64_t chunk_band(const struct cm_h5set *s, hid_t dcpl, size_t item)
{
    hsize_t c[2] = {1, 1};
    if (H5Pget_layout(dcpl) != H5D_CHUNKED || H5Pget_chunk(dcpl, 2, c) < 1 || !c[0] || !c[1])
        return 0;
    uint64_t across = s->rank == 2 ? (s->cols + c[1] - 1) / c[1] * c[1] : 1;
    if (s->rank == 1)
        c[1] = 1;
    if (across && c[0] > UINT64_MAX / 4 / across / (item ? item : 1))
        return 0;
    return c[0] * across * item * 2; /* two bands: a block may straddle a boundary */
}

/* Bytes of an unpacked chunk; 0 = not chunked, or not known. */
static uint64_t chunk_bytes(const struct cm_h5set *s, hid_t dcpl)
{
    hsize_t c[2] = {1, 1};
    if (H5Pget_layout(dcpl) != H5D_CHUNKED || H5Pget_chunk(dcpl, 2, c) != (int)s->rank)
        return 0;
    hid_t type = H5Dget_type(s->id);
    uint64_t item = type < 0 ? 0 : item_in_file(s, type);
    if (type >= 0)
        H5Tclose(type);
    return c[0] && c[1] && c[1] <= UINT32_MAX / c[0] ? c[0] * c[1] * item : 0;
}

static int set_types(struct cm_h5set *s, const char *member)
{
    s->type = H5Dget_type(s->id);
    if (member && s->type >= 0) {
        int k = H5Tget_class(s->type) == H5T_COMPOUND ? H5Tget_member_index(s->type, member) : -1;
        if (k < 0)
            return cm_fail(CM_EINPUT, "%s: %s: has no member %s", CM_H5_AT(s), member);
        hid_t t = H5Tget_member_type(s->type, (unsigned)k);
        H5Tclose(s->type);
        s->type = t;
        s->member = cm_strdup(member);
    }
    if (s->type < 0)
        return cm_fail(CM_EINPUT, "%s: %s: its type cannot be read", CM_H5_AT(s));
    s->cls = class_of(s->type);
    s->size = H5Tget_size(s->type);
    s->is_signed = s->cls != CM_H5_INT || H5Tget_class(s->type) != H5T_INTEGER ||
                   H5Tget_sign(s->type) != H5T_SGN_NONE;
    s->fixed = s->cls == CM_H5_STRING && H5Tis_variable_str(s->type) <= 0;
    return 0;
}

/* Takes over s->id, an open dataset. */
static int set_up(struct cm_h5set *s, const char *member)
{
    hid_t dcpl = H5Dget_create_plist(s->id);
    int code = shape_of(s);
    if (!code)
        code = check_storage(s, dcpl);
    if (!code)
        code = set_types(s, member);
    if (!code)
        code = check_filters(s, dcpl);
    s->chunk_bytes = code ? 0 : chunk_bytes(s, dcpl);
    int checks = s->chunk_bytes ? checks_gzip(s, dcpl) : 0;
    if (checks > 0)
        s->verified = CM_ZNEW(2, uint64_t);
    H5Pclose(dcpl);
    return code ? code : checks < 0 ? checks : 0;
}

static struct cm_h5set not_yet_open(const struct cm_h5 *h, const char *path)
{
    return (struct cm_h5set){.id = -1,
                             .type = -1,
                             .open = true,
                             .latin1 = h->latin1,
                             .entities = h->entities,
                             .path = cm_strdup(path),
                             .file = cm_strdup(h->name)};
}

int cm_h5set_open(struct cm_h5set *s, const struct cm_h5 *h, const char *path, const char *member,
                  uint64_t cache)
{
    *s = not_yet_open(h, path);
    cm_h5_step();
    int code = 0;
    if (cm_h5_what(h, path) != CM_H5_DATASET)
        code = cm_h5_unexpected(h, path, "a dataset");
    else if ((s->id = H5Dopen2(h->id, path, H5P_DEFAULT)) < 0)
        code = cm_h5_failed(CM_EINPUT, "%s: %s: cannot be opened", h->name, path);
    else
        code = set_up(s, member);
    if (!code) { /* open again with a cache that holds what a block of rows needs */
        hid_t dcpl = H5Dget_create_plist(s->id), whole = H5Dget_type(s->id);
        uint64_t max = cache ? cache : CACHE_DEFAULT;
        uint64_t band = chunk_band(s, dcpl, H5Tget_size(whole));
        H5Tclose(whole);
        H5Pclose(dcpl);
        if (band > (uint64_t)1 << 20) {
            hid_t dapl = H5Pcreate(H5P_DATASET_ACCESS);
            H5Pset_chunk_cache(dapl, 12421, (size_t)(band < max ? band : max), 1.0);
            hid_t again = H5Dopen2(h->id, path, dapl);
            H5Pclose(dapl);
            if (again >= 0) {
                H5Dclose(s->id);
                s->id = again;
            }
        }
    }
    if (code)
        cm_h5set_close(s);
    return code;
}

/* The attribute of the categories themselves.  1 or an error. */
static int take_ordered(const struct cm_h5set *s, bool *ordered)
{
    int8_t one = 0;
    htri_t there = H5Aexists(s->id, "ordered");
    hid_t a = there > 0 ? H5Aopen(s->id, "ordered", H5P_DEFAULT) : -1;
    if (there < 0 || (there > 0 && (a < 0 || H5Aread(a, H5T_NATIVE_INT8, &one) < 0)))
        there = cm_h5_failed(CM_EINPUT, "%s: %s: attribute ordered cannot be read", CM_H5_AT(s));
    if (a >= 0)
        H5Aclose(a);
    *ordered = one != 0;
    return there < 0 ? (int)there : 1;
}

int cm_h5set_open_ref(struct cm_h5set *s, const struct cm_h5 *h, const char *path,
                      const char *attribute, bool *ordered)
{
    hid_t a, type;
    uint64_t items;
    *s = (struct cm_h5set){.id = -1, .type = -1};
    int code = cm_h5_attr_open(h, path, attribute, &a, &type, &items);
    if (code <= 0)
        return code;
    hobj_ref_t ref;
    *s = not_yet_open(h, path);
    bool refers =
        items == 1 && H5Tget_class(type) == H5T_REFERENCE && H5Tget_size(type) == sizeof ref;
    if (refers && (H5Aread(a, H5T_STD_REF_OBJ, &ref) < 0 ||
                   (s->id = H5Rdereference2(a, H5P_DEFAULT, H5R_OBJECT, &ref)) < 0))
        code = cm_h5_failed(CM_EINPUT, "%s: %s: attribute %s cannot be followed", h->name, path,
                            attribute);
    else if (!refers || H5Iget_type(s->id) != H5I_DATASET)
        code = cm_fail(CM_EINPUT, "%s: %s: attribute %s does not refer to a dataset", h->name, path,
                       attribute);
    H5Tclose(type);
    H5Aclose(a);
    if (code > 0) {
        int bad = set_up(s, NULL);
        code = bad ? bad : ordered ? take_ordered(s, ordered) : code;
    }
    if (code < 0)
        cm_h5set_close(s);
    return code;
}

void cm_h5set_close(struct cm_h5set *s)
{
    if (!s->open)
        return;
    if (s->type >= 0)
        H5Tclose(s->type);
    if (s->id >= 0)
        H5Oclose(s->id);
    cm_free(s->verified);
    cm_free(s->member);
    cm_free(s->path);
    cm_free(s->file);
    *s = (struct cm_h5set){.id = -1, .type = -1};
}
