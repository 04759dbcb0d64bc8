/* format/hdf5/write.c - a new .h5ad from a stream.  See write.h.
 *
 * X is written as it comes.  Its values are f32 unless the slot is wide; should a whole number
 * arrive that no float holds, the values written so far are copied once into an f64 dataset, so
 * that nothing is rounded silently.  obs and var are written at the end, because only then are the
 * widths of category codes and the need for masks known.
 */
#include "format/hdf5/write.h"

#include <inttypes.h>
#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "format/hdf5/put.h"
#include "format/note.h"

#define PIECE ((uint64_t)65536) /* items of a copy */

struct cm_h5_write {
    struct cm_h5_put put;
    bool dense, wide;
    bool long_index; /* X/indices and X/indptr are 64-bit */
    uint64_t index_max;
    hid_t data, indices; /* X, or X/data and X/indices */
    uint64_t rows, cols, nnz;
    int64_t *ptr;
    size_t ptr_cap;
    struct cm_strs names;
    struct cm_vec *label;
    size_t nlabels;
    struct cm_kv uns;
    struct cm_cols columns;
    char *slot;
    enum cm_state state;
    int64_t *scratch;
    size_t scratch_cap;
};

/* A dataframe: columns vec[0..n-1]; dicts of those that are categories, or NULL. */
static int put_frame(const struct cm_h5_write *h5ad, const char *name, const struct cm_strs *names,
                     const struct cm_vec *vec, size_t n, const struct cm_head *dicts)
{
    struct cm_strs order = {0};
    size_t bytes = 0;
    for (size_t k = 0; k < n; k++) {
        cm_strs_add(&order, vec[k].name);
        bytes += 16;
    }
    if (bytes > 60000)
        return cm_fail(CM_EINPUT, "%s: %s: %zu columns, HDF5 can list 3750", h5ad->put.name, name,
                       n);
    hid_t g = cm_h5_put_group(&h5ad->put, h5ad->put.file, name);
    if (g < 0) {
        cm_strs_free(&order);
        return (int)g;
    }
    int code = cm_h5_put_encoding(&h5ad->put, g, "dataframe", "0.2.0");
    if (!code)
        code = cm_h5_put_attr_text(&h5ad->put, g, "_index", "_index");
    if (!code)
        code = cm_h5_put_order(&h5ad->put, g, &order);
    if (!code)
        code = cm_h5_put_strs(&h5ad->put, g, "_index", names);
    for (size_t k = 0; k < n && !code; k++) {
        const struct cm_dict *d = NULL;
        if (dicts)
            d = &dicts->label[cm_head_find_label(dicts, vec[k].name)].dict;
        code = cm_h5_put_column(&h5ad->put, g, &vec[k], d);
    }
    cm_strs_free(&order);
    return cm_h5_put_close(&h5ad->put, g, name, code);
}

/* ===== X ================================================================================== */

static hid_t value_type(bool wide) { return wide ? H5T_IEEE_F64LE : H5T_IEEE_F32LE; }

static int make_x(struct cm_h5_write *h5ad)
{
    int code = 0;
    if (h5ad->dense) {
        if (!h5ad->cols) /* HDF5 has no chunks of width 0 */
            h5ad->data = cm_h5_put_dataset(&h5ad->put, h5ad->put.file, "X", value_type(h5ad->wide),
                                           2, 0, 0, false);
        else
            h5ad->data = cm_h5_put_dataset(&h5ad->put, h5ad->put.file, "X", value_type(h5ad->wide),
                                           2, 0, h5ad->cols, true);
        return h5ad->data < 0 ? (int)h5ad->data
                              : cm_h5_put_encoding(&h5ad->put, h5ad->data, "array", "0.2.0");
    }
    hid_t g = cm_h5_put_group(&h5ad->put, h5ad->put.file, "X");
    if (g < 0)
        return (int)g;
    code = cm_h5_put_encoding(&h5ad->put, g, "csr_matrix", "0.1.0");
    code = cm_h5_put_close(&h5ad->put, g, "X", code);
    if (!code)
        h5ad->data = cm_h5_put_dataset(&h5ad->put, h5ad->put.file, "X/data", value_type(h5ad->wide),
                                       1, 0, 0, true);
    if (!code && h5ad->data >= 0)
        h5ad->indices = cm_h5_put_dataset(&h5ad->put, h5ad->put.file, "X/indices", H5T_STD_I32LE, 1,
                                          0, 0, true);
    return code                ? code
           : h5ad->data < 0    ? (int)h5ad->data
           : h5ad->indices < 0 ? (int)h5ad->indices
                               : 0;
}

/* Appends n rows (rank 2: of cols items) at row `at`. */
static int append(const struct cm_h5_write *h5ad, hid_t d, hid_t mem, uint64_t at, uint64_t n,
                  const void *v)
{
    unsigned rank = h5ad->dense ? 2 : 1;
    hsize_t dims[2] = {at + n, h5ad->cols}, start[2] = {at, 0}, count[2] = {n, h5ad->cols};
    if (!n || (h5ad->dense && !h5ad->cols))
        return 0;
    if (H5Dset_extent(d, dims) < 0)
        return cm_h5_put_broken(&h5ad->put, "X");
    hid_t file = H5Dget_space(d), space = H5Screate_simple((int)rank, count, NULL);
    int code = 0;
    if (H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
        H5Dwrite(d, mem, space, file, H5P_DEFAULT, v) < 0)
        code = cm_h5_put_broken(&h5ad->put, "X");
    H5Sclose(space);
    H5Sclose(file);
    return code;
}

/* Copies the `rows` items (of dense values, rows) of *from into a new dataset of a wider type,
 * which takes its place and its name.  Both types, in memory and in the file, have 8 bytes. */
static int widen(struct cm_h5_write *h5ad, hid_t *from, const char *name, hid_t mem,
                 hid_t file_type, uint64_t rows)
{
    char temp[32];
    snprintf(temp, sizeof temp, "%s.wide", name);
    unsigned rank = h5ad->dense ? 2 : 1;
    uint64_t width = h5ad->dense ? h5ad->cols : 1;
    uint64_t step = width && width < PIECE ? PIECE / width : 1;
    hid_t to = cm_h5_put_dataset(&h5ad->put, h5ad->put.file, temp, file_type, rank, 0,
                                 h5ad->dense ? h5ad->cols : 0, true);
    if (to < 0)
        return (int)to;
    uint64_t *v = CM_NEW(step * (width ? width : 1), uint64_t);
    int code = 0;
    for (uint64_t at = 0; at < rows && !code; at += step) {
        uint64_t n = rows - at < step ? rows - at : step;
        hsize_t start[2] = {at, 0}, count[2] = {n, width};
        hid_t file = H5Dget_space(*from), space = H5Screate_simple((int)rank, count, NULL);
        if (H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
            H5Dread(*from, mem, space, file, H5P_DEFAULT, v) < 0)
            code = cm_h5_put_broken(&h5ad->put, name);
        H5Sclose(file);
        H5Sclose(space);
        if (!code)
            code = append(h5ad, to, mem, at, n, v);
    }
    cm_free(v);
    code = cm_h5_put_close(&h5ad->put, *from, name, code);
    *from = to;
    if (!code &&
        (H5Ldelete(h5ad->put.file, name, H5P_DEFAULT) < 0 ||
         H5Lmove(h5ad->put.file, temp, h5ad->put.file, name, H5P_DEFAULT, H5P_DEFAULT) < 0))
        code = cm_h5_put_broken(&h5ad->put, name);
    return code;
}

/* Column numbers in 32 bits cannot stand beside offsets in 64 (SciPy takes one type for both), so
 * those that were written are copied once the entries do not fit. */
static int widen_index(struct cm_h5_write *h5ad)
{
    h5ad->long_index = true;
    return widen(h5ad, &h5ad->indices, "X/indices", H5T_NATIVE_INT64, H5T_STD_I64LE, h5ad->nnz);
}

/* The values written so far, as f64 in place of f32. */
static int widen_values(struct cm_h5_write *h5ad)
{
    int code = widen(h5ad, &h5ad->data, h5ad->dense ? "X" : "X/data", H5T_NATIVE_DOUBLE,
                     value_type(true), h5ad->dense ? h5ad->rows : h5ad->nnz);
    h5ad->wide = true;
    return code || !h5ad->dense ? code
                                : cm_h5_put_encoding(&h5ad->put, h5ad->data, "array", "0.2.0");
}

/* Does the block hold a value that f32 would round although the slot is not wide? */
static bool needs_width(const struct cm_block *b, const struct cm_slot *s)
{
    if (s->lazy != CM_LAZY_NO || (b->type != CM_V_U32 && b->type != CM_V_F64))
        return false;
    for (uint64_t e = 0; e < b->nnz; e++) {
        double x = cm_block_x(b, e);
        if (fabs(x) > FLT_MAX || (double)(float)x != x)
            return true;
    }
    return false;
}

/* Text in the file is declared UTF-8, which readers rely on. */
static int check_text(const struct cm_h5_write *h5ad, const char *what, uint64_t first,
                      const struct cm_strs *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const char *text = cm_strs_get(s, i);
        if (text[cm_utf8_bad(text, strlen(text))])
            return cm_fail(CM_EINPUT,
                           "%s: %s %" PRIu64 ": text that is not UTF-8, which an .h5ad "
                           "cannot hold",
                           h5ad->put.name, what, first + i);
    }
    return 0;
}

/* By bytes, but a slash before all others, so that "a/b" follows "a". */
static int compare_names(const void *a, const void *b)
{
    const char *x = *(const char *const *)a, *y = *(const char *const *)b;
    for (; *x && *x == *y; x++, y++) {
    }
    int u = *x == '/' ? 1 : (unsigned char)*x + (*x != 0),
        v = *y == '/' ? 1 : (unsigned char)*y + (*y != 0);
    return u - v;
}

/* Columns of a table are members of a group: one of a name, and none inside another ("a",
 * "a/b"). */
static int check_columns(const struct cm_h5_write *h5ad, const char *table, const char *what,
                         const char **name, size_t n)
{
    for (size_t k = 0; k < n; k++)
        if (name[k][cm_utf8_bad(name[k], strlen(name[k]))])
            return cm_fail(CM_EINPUT, "%s: %s: the name of a %s is not UTF-8", h5ad->put.name,
                           table, what);
    qsort(name, n, sizeof *name, compare_names);
    for (size_t k = 1; k < n; k++) {
        size_t len = strlen(name[k - 1]);
        if (!strcmp(name[k], name[k - 1]))
            return cm_fail(CM_EINPUT, "%s: %s: two %ss are named %s", h5ad->put.name, table, what,
                           name[k]);
        if (!strncmp(name[k], name[k - 1], len) && name[k][len] == '/')
            return cm_fail(CM_EINPUT, "%s: %s: AnnData cannot hold the %ss %s and %s together",
                           h5ad->put.name, table, what, name[k - 1], name[k]);
    }
    return 0;
}

static int check_names(const struct cm_h5_write *h5ad, const struct cm_head *h)
{
    size_t n = h->nlabels > h5ad->columns.nvec ? h->nlabels : h5ad->columns.nvec;
    const char **name = CM_NEW(n + 1, const char *);
    for (size_t k = 0; k < h->nlabels; k++)
        name[k] = h->label[k].name;
    int code = check_columns(h5ad, "obs", "label", name, h->nlabels);
    for (size_t k = 0; k < h5ad->columns.nvec; k++)
        name[k] = h5ad->columns.vec[k].name;
    code = code ? code : check_columns(h5ad, "var", "column", name, h5ad->columns.nvec);
    cm_free(name);
    code = code ? code : check_text(h5ad, "feature", 0, &h5ad->columns.names);
    for (size_t k = 0; k < h5ad->columns.nvec && !code; k++)
        if (h5ad->columns.vec[k].type == CM_T_STR)
            code = check_text(h5ad, h5ad->columns.vec[k].name, 0, &h5ad->columns.vec[k].s);
    for (size_t k = 0; k < h5ad->uns.value.n && !code; k++)
        code = check_text(h5ad, "the text of uns", k, &h5ad->uns.value);
    return code;
}

int cm_h5_write_chunk(struct cm_h5_write *h5ad, struct cm_chunk *c, const struct cm_head *h)
{
    struct cm_block *b = &c->block[0];
    const struct cm_slot *s = &h->slot[0];
    int code = 0;
    code = check_text(h5ad, "row", c->first, &c->names);
    for (size_t k = 0; k < h5ad->nlabels && !code; k++)
        if (c->label[k].type == CM_T_STR)
            code = check_text(h5ad, c->label[k].name, c->first, &c->label[k].s);
    if (!code && !h5ad->wide && needs_width(b, s))
        code = widen_values(h5ad);
    hid_t mem = h5ad->wide ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT;
    const void *v = h5ad->wide ? (const void *)cm_block_f64(b, s) : cm_block_f32(b, s);
    if (!code && h5ad->dense) {
        code = append(h5ad, h5ad->data, mem, h5ad->rows, c->rows, v);
    } else if (!code) {
        CM_GROW(h5ad->scratch, h5ad->scratch_cap, (size_t)b->nnz);
        for (uint64_t e = 0; e < b->nnz; e++)
            h5ad->scratch[e] = b->idx[e];
        code = append(h5ad, h5ad->data, mem, h5ad->nnz, b->nnz, v);
        if (!code && !h5ad->long_index && h5ad->nnz + b->nnz > h5ad->index_max)
            code = widen_index(h5ad);
        if (!code)
            code = append(h5ad, h5ad->indices, H5T_NATIVE_INT64, h5ad->nnz, b->nnz, h5ad->scratch);
        CM_GROW(h5ad->ptr, h5ad->ptr_cap, (size_t)(h5ad->rows + c->rows) + 1);
        for (size_t i = 0; i < c->rows; i++)
            h5ad->ptr[h5ad->rows + i + 1] = (int64_t)(h5ad->nnz + b->ptr[i + 1]);
        h5ad->nnz += b->nnz;
    }
    for (size_t i = 0; i < c->rows; i++)
        cm_strs_add(&h5ad->names, cm_strs_get(&c->names, i));
    for (size_t k = 0; k < h5ad->nlabels; k++)
        cm_vec_append(&h5ad->label[k], &c->label[k]);
    h5ad->rows += c->rows;
    return code;
}

/* ===== the file =========================================================================== */

int cm_h5_write_create(struct cm_h5_write **out, const char *path, const char *name,
                       const struct cm_head *h, const struct cm_h5_write_want *want)
{
    struct cm_h5_write *h5ad = *out = CM_ZNEW(1, struct cm_h5_write);
    const struct cm_slot *s = &h->slot[0];
    h5ad->put.file = h5ad->data = h5ad->indices = -1;
    h5ad->put.name = cm_strdup(name);
    h5ad->put.pack = want->pack;
    h5ad->dense = s->dense;
    h5ad->wide = s->wide;
    h5ad->cols = s->cols.names.n;
    h5ad->index_max = want->index_max ? want->index_max : INT32_MAX;
    h5ad->slot = cm_strdup(s->name);
    h5ad->state = s->state;
    CM_GROW(h5ad->ptr, h5ad->ptr_cap, 1);
    h5ad->ptr[0] = 0;
    cm_cols_copy(&h5ad->columns, &s->cols);
    h5ad->nlabels = h->nlabels;
    h5ad->label = CM_ZNEW(h->nlabels + 1, struct cm_vec);
    for (size_t k = 0; k < h->nlabels; k++)
        cm_vec_reset(&h5ad->label[k], h->label[k].name, h->label[k].type, 0);
    static const char *const keys[] = {"dataset_id", "organism", "method_id"};
    for (size_t k = 0; k < 3; k++) {
        char key[32];
        snprintf(key, sizeof key, "h5.%s", keys[k]);
        const char *v = cm_kv_get(&h->kv, key);
        if (k == 0 && want->dataset_id)
            v = want->dataset_id;
        if (k == 2 && want->method_id)
            v = want->method_id;
        if (v)
            cm_kv_set(&h5ad->uns, keys[k], v);
    }
    if (h5ad->cols > INT32_MAX)
        return cm_fail(CM_EINPUT, "%s: more than 2^31 columns", name);
    int wrong = check_names(h5ad, h);
    if (wrong)
        return wrong;
    cm_h5_setup(false);
    hid_t fcpl = H5Pcreate(H5P_FILE_CREATE), fapl = H5Pcreate(H5P_FILE_ACCESS);
    if (H5Pset_obj_track_times(fcpl, false) >= 0 && H5Pset_file_locking(fapl, false, true) >= 0)
        h5ad->put.file = H5Fcreate(path, H5F_ACC_TRUNC, fcpl, fapl);
    int code = h5ad->put.file < 0
                   ? cm_h5_put_broken(&h5ad->put, "the file")
                   : cm_h5_put_encoding(&h5ad->put, h5ad->put.file, "anndata", "0.1.0");
    H5Pclose(fcpl);
    H5Pclose(fapl);
    return code ? code : make_x(h5ad);
}

static int read_back(void *of, uint64_t first, uint64_t n, double *out)
{
    const struct cm_h5_write *h5ad = of;
    hsize_t start[2] = {first, 0}, count[2] = {n, h5ad->cols};
    int rank = h5ad->dense ? 2 : 1, code = 0;
    hid_t file = H5Dget_space(h5ad->data), space = H5Screate_simple(rank, count, NULL);
    if (H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
        H5Dread(h5ad->data, H5T_NATIVE_DOUBLE, space, file, H5P_DEFAULT, out) < 0)
        code = cm_h5_put_broken(&h5ad->put, "X");
    H5Sclose(file);
    H5Sclose(space);
    return code;
}

/* What h5-read reads back: slot, state, and a digest of the values they hold for. */
static int put_ours(struct cm_h5_write *h5ad, hid_t g)
{
    char values[CM_NOTE_SIZE];
    int code = cm_note_values(read_back, h5ad, h5ad->dense ? h5ad->rows : h5ad->nnz,
                              h5ad->dense ? h5ad->cols : 1, values);
    if (!code)
        code = cm_h5_put_encoding(&h5ad->put, g, "dict", "0.1.0");
    if (!code)
        code = cm_h5_put_text(&h5ad->put, g, "slot", h5ad->slot);
    if (!code)
        code = cm_h5_put_text(&h5ad->put, g, "state", cm_state_name(h5ad->state));
    return code ? code : cm_h5_put_text(&h5ad->put, g, "values", values);
}

static int put_uns(struct cm_h5_write *h5ad)
{
    hid_t g = cm_h5_put_group(&h5ad->put, h5ad->put.file, "uns");
    if (g < 0)
        return (int)g;
    int code = cm_h5_put_encoding(&h5ad->put, g, "dict", "0.1.0");
    for (size_t k = 0; k < h5ad->uns.key.n && !code; k++)
        code = cm_h5_put_text(&h5ad->put, g, cm_strs_get(&h5ad->uns.key, k),
                              cm_strs_get(&h5ad->uns.value, k));
    hid_t ours = code ? -1 : cm_h5_put_group(&h5ad->put, g, "cellmatch");
    if (!code && ours < 0)
        code = (int)ours;
    code = code ? code : put_ours(h5ad, ours);
    code = cm_h5_put_close(&h5ad->put, ours, "uns", code);
    return cm_h5_put_close(&h5ad->put, g, "uns", code);
}

int cm_h5_write_finish(struct cm_h5_write *h5ad, const struct cm_head *h)
{
    int code = 0;
    if (!h5ad->dense) {
        code = cm_h5_put_array(&h5ad->put, h5ad->put.file, "X/indptr",
                               h5ad->long_index ? H5T_STD_I64LE : H5T_STD_I32LE, H5T_NATIVE_INT64,
                               h5ad->rows + 1, h5ad->ptr, NULL);
        hid_t g = code ? -1 : H5Gopen2(h5ad->put.file, "X", H5P_DEFAULT);
        if (!code)
            code = g < 0 ? cm_h5_put_broken(&h5ad->put, "X")
                         : cm_h5_put_shape(&h5ad->put, g, h5ad->rows, h5ad->cols);
        code = cm_h5_put_close(&h5ad->put, g, "X", code);
    } else if (!h5ad->cols && h5ad->rows) { /* only the extent says how many rows there are */
        code = cm_h5_put_close(&h5ad->put, h5ad->data, "X", 0);
        h5ad->data = -1;
        if (!code && H5Ldelete(h5ad->put.file, "X", H5P_DEFAULT) < 0)
            code = cm_h5_put_broken(&h5ad->put, "X");
        if (!code)
            h5ad->data = cm_h5_put_dataset(&h5ad->put, h5ad->put.file, "X", value_type(h5ad->wide),
                                           2, h5ad->rows, 0, false);
        if (!code)
            code = h5ad->data < 0 ? (int)h5ad->data
                                  : cm_h5_put_encoding(&h5ad->put, h5ad->data, "array", "0.2.0");
    }
    for (size_t k = 0; k < h->nlabels && !code; k++)
        code = check_text(h5ad, h->label[k].name, 0, &h->label[k].dict.names);
    if (!code)
        code = put_frame(h5ad, "obs", &h5ad->names, h5ad->label, h5ad->nlabels, h);
    if (!code)
        code = put_frame(h5ad, "var", &h5ad->columns.names, h5ad->columns.vec, h5ad->columns.nvec,
                         NULL);
    if (!code)
        code = put_uns(h5ad);
    if (!code && H5Fflush(h5ad->put.file, H5F_SCOPE_GLOBAL) < 0)
        code = cm_h5_put_broken(&h5ad->put, "the file");
    hid_t *open[] = {&h5ad->data, &h5ad->indices};
    for (size_t k = 0; k < 2; k++) {
        code = cm_h5_put_close(&h5ad->put, *open[k], "X", code);
        *open[k] = -1;
    }
    if (H5Fclose(h5ad->put.file) < 0 && !code)
        code = cm_h5_put_broken(&h5ad->put, "the file");
    h5ad->put.file = -1;
    return code;
}

void cm_h5_write_free(struct cm_h5_write *h5ad)
{
    if (!h5ad)
        return;
    if (h5ad->data >= 0)
        H5Dclose(h5ad->data);
    if (h5ad->indices >= 0)
        H5Dclose(h5ad->indices);
    if (h5ad->put.file >= 0)
        H5Fclose(h5ad->put.file);
    for (size_t k = 0; k < h5ad->nlabels; k++)
        cm_vec_free(&h5ad->label[k]);
    cm_free(h5ad->label);
    cm_strs_free(&h5ad->names);
    cm_cols_free(&h5ad->columns);
    cm_kv_free(&h5ad->uns);
    cm_free(h5ad->ptr);
    cm_free(h5ad->scratch);
    cm_free(h5ad->slot);
    cm_free(h5ad->put.name);
    cm_free(h5ad);
}
