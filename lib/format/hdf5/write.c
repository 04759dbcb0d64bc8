/* format/hdf5/write.c - a new .h5ad from a stream; see h5out.h for the choice.
 *
 * X is written as it comes.  Its values are f32 unless the slot is wide; should a whole number
 * arrive that no float holds, the values written so far are copied once into an f64 dataset, so
 * that nothing is ever rounded in silence.  Everything of the axes waits for the end, because the
 * widths of category codes and the need for masks are known only then.
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

struct cm_h5write {
    struct cm_h5put put;
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
static int put_frame(const struct cm_h5write *o, const char *name, const struct cm_strs *names,
                     const struct cm_vec *vec, size_t n, const struct cm_head *dicts)
{
    struct cm_strs order = {0};
    size_t bytes = 0;
    for (size_t k = 0; k < n; k++) {
        cm_strs_add(&order, vec[k].name);
        bytes += 16;
    }
    if (bytes > 60000)
        return cm_fail(CM_EINPUT, "%s: %s: %zu columns, HDF5 can list 3750", o->put.name, name, n);
    hid_t g = cm_h5put_group(&o->put, o->put.file, name);
    if (g < 0) {
        cm_strs_free(&order);
        return (int)g;
    }
    int code = cm_h5put_encoding(&o->put, g, "dataframe", "0.2.0");
    if (!code)
        code = cm_h5put_attr_text(&o->put, g, "_index", "_index");
    if (!code)
        code = cm_h5put_order(&o->put, g, &order);
    if (!code)
        code = cm_h5put_strs(&o->put, g, "_index", names);
    for (size_t k = 0; k < n && !code; k++) {
        const struct cm_dict *d = NULL;
        if (dicts)
            d = &dicts->label[cm_head_find_label(dicts, vec[k].name)].dict;
        code = cm_h5put_column(&o->put, g, &vec[k], d);
    }
    cm_strs_free(&order);
    return cm_h5put_close(&o->put, g, name, code);
}

/* ===== X ================================================================================== */

static hid_t value_type(bool wide) { return wide ? H5T_IEEE_F64LE : H5T_IEEE_F32LE; }

static int make_x(struct cm_h5write *o)
{
    int code = 0;
    if (o->dense) {
        if (!o->cols) /* HDF5 has no chunks of width 0 */
            o->data =
                cm_h5put_dataset(&o->put, o->put.file, "X", value_type(o->wide), 2, 0, 0, false);
        else
            o->data = cm_h5put_dataset(&o->put, o->put.file, "X", value_type(o->wide), 2, 0,
                                       o->cols, true);
        return o->data < 0 ? (int)o->data : cm_h5put_encoding(&o->put, o->data, "array", "0.2.0");
    }
    hid_t g = cm_h5put_group(&o->put, o->put.file, "X");
    if (g < 0)
        return (int)g;
    code = cm_h5put_encoding(&o->put, g, "csr_matrix", "0.1.0");
    code = cm_h5put_close(&o->put, g, "X", code);
    if (!code)
        o->data =
            cm_h5put_dataset(&o->put, o->put.file, "X/data", value_type(o->wide), 1, 0, 0, true);
    if (!code && o->data >= 0)
        o->indices =
            cm_h5put_dataset(&o->put, o->put.file, "X/indices", H5T_STD_I32LE, 1, 0, 0, true);
    return code ? code : o->data < 0 ? (int)o->data : o->indices < 0 ? (int)o->indices : 0;
}

/* Appends n rows (rank 2: of cols items) behind `at`. */
static int append(const struct cm_h5write *o, hid_t d, hid_t mem, uint64_t at, uint64_t n,
                  const void *v)
{
    unsigned rank = o->dense ? 2 : 1;
    hsize_t dims[2] = {at + n, o->cols}, start[2] = {at, 0}, count[2] = {n, o->cols};
    if (!n || (o->dense && !o->cols))
        return 0;
    if (H5Dset_extent(d, dims) < 0)
        return cm_h5put_broken(&o->put, "X");
    hid_t file = H5Dget_space(d), space = H5Screate_simple((int)rank, count, NULL);
    int code = 0;
    if (H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
        H5Dwrite(d, mem, space, file, H5P_DEFAULT, v) < 0)
        code = cm_h5put_broken(&o->put, "X");
    H5Sclose(space);
    H5Sclose(file);
    return code;
}

/* Copies the `rows` items (of dense values, rows) of *from into a new dataset of a wider type,
 * which takes its place and its name.  Both types, in memory and in the file, have 8 bytes. */
static int widen(struct cm_h5write *o, hid_t *from, const char *name, hid_t mem, hid_t file_type,
                 uint64_t rows)
{
    char temp[32];
    snprintf(temp, sizeof temp, "%s.wide", name);
    unsigned rank = o->dense ? 2 : 1;
    uint64_t width = o->dense ? o->cols : 1;
    uint64_t step = width && width < PIECE ? PIECE / width : 1;
    hid_t to = cm_h5put_dataset(&o->put, o->put.file, temp, file_type, rank, 0,
                                o->dense ? o->cols : 0, true);
    if (to < 0)
        return (int)to;
    uint64_t *v = CM_NEW(uint64_t, step * (width ? width : 1));
    int code = 0;
    for (uint64_t at = 0; at < rows && !code; at += step) {
        uint64_t n = rows - at < step ? rows - at : step;
        hsize_t start[2] = {at, 0}, count[2] = {n, width};
        hid_t file = H5Dget_space(*from), space = H5Screate_simple((int)rank, count, NULL);
        if (H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
            H5Dread(*from, mem, space, file, H5P_DEFAULT, v) < 0)
            code = cm_h5put_broken(&o->put, name);
        H5Sclose(file);
        H5Sclose(space);
        if (!code)
            code = append(o, to, mem, at, n, v);
    }
    cm_free(v);
    code = cm_h5put_close(&o->put, *from, name, code);
    *from = to;
    if (!code && (H5Ldelete(o->put.file, name, H5P_DEFAULT) < 0 ||
                  H5Lmove(o->put.file, temp, o->put.file, name, H5P_DEFAULT, H5P_DEFAULT) < 0))
        code = cm_h5put_broken(&o->put, name);
    return code;
}

/* Column numbers in 32 bits cannot stand beside offsets in 64 (SciPy takes one type for both), so
 * those that were written are copied once the entries do not fit. */
static int widen_index(struct cm_h5write *o)
{
    o->long_index = true;
    return widen(o, &o->indices, "X/indices", H5T_NATIVE_INT64, H5T_STD_I64LE, o->nnz);
}

/* The values written so far, as f64 in place of f32. */
static int widen_values(struct cm_h5write *o)
{
    int code = widen(o, &o->data, o->dense ? "X" : "X/data", H5T_NATIVE_DOUBLE, value_type(true),
                     o->dense ? o->rows : o->nnz);
    o->wide = true;
    return code || !o->dense ? code : cm_h5put_encoding(&o->put, o->data, "array", "0.2.0");
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

/* Text in the file is declared UTF-8, and readers take it at its word. */
static int check_text(const struct cm_h5write *o, const char *what, uint64_t first,
                      const struct cm_strs *s)
{
    for (size_t i = 0; i < s->n; i++) {
        const char *text = cm_strs_get(s, i);
        if (text[cm_utf8_bad(text, strlen(text))])
            return cm_fail(CM_EINPUT,
                           "%s: %s %" PRIu64 ": text that is not UTF-8, which an .h5ad "
                           "cannot hold",
                           o->put.name, what, first + i);
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

/* Columns of a table are members of a group: one of a name, and none inside another ("a", "a/b").
 * */
static int check_columns(const struct cm_h5write *o, const char *table, const char *what,
                         const char **name, size_t n)
{
    for (size_t k = 0; k < n; k++)
        if (name[k][cm_utf8_bad(name[k], strlen(name[k]))])
            return cm_fail(CM_EINPUT, "%s: %s: the name of a %s is not UTF-8", o->put.name, table,
                           what);
    qsort(name, n, sizeof *name, compare_names);
    for (size_t k = 1; k < n; k++) {
        size_t len = strlen(name[k - 1]);
        if (!strcmp(name[k], name[k - 1]))
            return cm_fail(CM_EINPUT, "%s: %s: two %ss are named %s", o->put.name, table, what,
                           name[k]);
        if (!strncmp(name[k], name[k - 1], len) && name[k][len] == '/')
            return cm_fail(CM_EINPUT, "%s: %s: AnnData cannot hold the %ss %s and %s together",
                           o->put.name, table, what, name[k - 1], name[k]);
    }
    return 0;
}

static int check_names(const struct cm_h5write *o, const struct cm_head *h)
{
    size_t n = h->nlabels > o->columns.nvec ? h->nlabels : o->columns.nvec;
    const char **name = CM_NEW(const char *, n + 1);
    for (size_t k = 0; k < h->nlabels; k++)
        name[k] = h->label[k].name;
    int code = check_columns(o, "obs", "label", name, h->nlabels);
    for (size_t k = 0; k < o->columns.nvec; k++)
        name[k] = o->columns.vec[k].name;
    code = code ? code : check_columns(o, "var", "column", name, o->columns.nvec);
    cm_free(name);
    code = code ? code : check_text(o, "feature", 0, &o->columns.names);
    for (size_t k = 0; k < o->columns.nvec && !code; k++)
        if (o->columns.vec[k].type == CM_T_STR)
            code = check_text(o, o->columns.vec[k].name, 0, &o->columns.vec[k].s);
    for (size_t k = 0; k < o->uns.value.n && !code; k++)
        code = check_text(o, "the text of uns", k, &o->uns.value);
    return code;
}

int cm_h5write_chunk(struct cm_h5write *o, struct cm_chunk *c, const struct cm_head *h)
{
    struct cm_block *b = &c->block[0];
    const struct cm_slot *s = &h->slot[0];
    int code = 0;
    code = check_text(o, "row", c->first, &c->names);
    for (size_t k = 0; k < o->nlabels && !code; k++)
        if (c->label[k].type == CM_T_STR)
            code = check_text(o, c->label[k].name, c->first, &c->label[k].s);
    if (!code && !o->wide && needs_width(b, s))
        code = widen_values(o);
    hid_t mem = o->wide ? H5T_NATIVE_DOUBLE : H5T_NATIVE_FLOAT;
    const void *v = o->wide ? (const void *)cm_block_f64(b, s) : cm_block_f32(b, s);
    if (!code && o->dense) {
        code = append(o, o->data, mem, o->rows, c->rows, v);
    } else if (!code) {
        CM_GROW(o->scratch, o->scratch_cap, (size_t)b->nnz);
        for (uint64_t e = 0; e < b->nnz; e++)
            o->scratch[e] = b->idx[e];
        code = append(o, o->data, mem, o->nnz, b->nnz, v);
        if (!code && !o->long_index && o->nnz + b->nnz > o->index_max)
            code = widen_index(o);
        if (!code)
            code = append(o, o->indices, H5T_NATIVE_INT64, o->nnz, b->nnz, o->scratch);
        CM_GROW(o->ptr, o->ptr_cap, (size_t)(o->rows + c->rows) + 1);
        for (size_t i = 0; i < c->rows; i++)
            o->ptr[o->rows + i + 1] = (int64_t)(o->nnz + b->ptr[i + 1]);
        o->nnz += b->nnz;
    }
    for (size_t i = 0; i < c->rows; i++)
        cm_strs_add(&o->names, cm_strs_get(&c->names, i));
    for (size_t k = 0; k < o->nlabels; k++)
        cm_vec_append(&o->label[k], &c->label[k]);
    o->rows += c->rows;
    return code;
}

/* ===== the file =========================================================================== */

int cm_h5write_create(struct cm_h5write **out, const char *path, const char *name,
                      const struct cm_head *h, const struct cm_h5write_want *want)
{
    struct cm_h5write *o = *out = CM_ZNEW(struct cm_h5write, 1);
    const struct cm_slot *s = &h->slot[0];
    o->put.file = o->data = o->indices = -1;
    o->put.name = cm_strdup(name);
    o->put.pack = want->pack;
    o->dense = s->dense;
    o->wide = s->wide;
    o->cols = s->cols.names.n;
    o->index_max = want->index_max ? want->index_max : INT32_MAX;
    o->slot = cm_strdup(s->name);
    o->state = s->state;
    CM_GROW(o->ptr, o->ptr_cap, 1);
    o->ptr[0] = 0;
    cm_cols_copy(&o->columns, &s->cols);
    o->nlabels = h->nlabels;
    o->label = CM_ZNEW(struct cm_vec, h->nlabels + 1);
    for (size_t k = 0; k < h->nlabels; k++)
        cm_vec_reset(&o->label[k], h->label[k].name, h->label[k].type, 0);
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
            cm_kv_set(&o->uns, keys[k], v);
    }
    if (o->cols > INT32_MAX)
        return cm_fail(CM_EINPUT, "%s: more than 2^31 columns", name);
    int wrong = check_names(o, h);
    if (wrong)
        return wrong;
    cm_h5_setup(false);
    hid_t fcpl = H5Pcreate(H5P_FILE_CREATE), fapl = H5Pcreate(H5P_FILE_ACCESS);
    if (H5Pset_obj_track_times(fcpl, false) >= 0 && H5Pset_file_locking(fapl, false, true) >= 0)
        o->put.file = H5Fcreate(path, H5F_ACC_TRUNC, fcpl, fapl);
    int code = o->put.file < 0 ? cm_h5put_broken(&o->put, "the file")
                               : cm_h5put_encoding(&o->put, o->put.file, "anndata", "0.1.0");
    H5Pclose(fcpl);
    H5Pclose(fapl);
    return code ? code : make_x(o);
}

static int read_back(void *of, uint64_t first, uint64_t n, double *out)
{
    const struct cm_h5write *o = of;
    hsize_t start[2] = {first, 0}, count[2] = {n, o->cols};
    int rank = o->dense ? 2 : 1, code = 0;
    hid_t file = H5Dget_space(o->data), space = H5Screate_simple(rank, count, NULL);
    if (H5Sselect_hyperslab(file, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
        H5Dread(o->data, H5T_NATIVE_DOUBLE, space, file, H5P_DEFAULT, out) < 0)
        code = cm_h5put_broken(&o->put, "X");
    H5Sclose(file);
    H5Sclose(space);
    return code;
}

/* What h5-read takes back: slot, state, and of which values that is true. */
static int put_ours(struct cm_h5write *o, hid_t g)
{
    char values[CM_NOTE_SIZE];
    int code =
        cm_note_values(read_back, o, o->dense ? o->rows : o->nnz, o->dense ? o->cols : 1, values);
    if (!code)
        code = cm_h5put_encoding(&o->put, g, "dict", "0.1.0");
    if (!code)
        code = cm_h5put_text(&o->put, g, "slot", o->slot);
    if (!code)
        code = cm_h5put_text(&o->put, g, "state", cm_state_name(o->state));
    return code ? code : cm_h5put_text(&o->put, g, "values", values);
}

static int put_uns(struct cm_h5write *o)
{
    hid_t g = cm_h5put_group(&o->put, o->put.file, "uns");
    if (g < 0)
        return (int)g;
    int code = cm_h5put_encoding(&o->put, g, "dict", "0.1.0");
    for (size_t k = 0; k < o->uns.key.n && !code; k++)
        code =
            cm_h5put_text(&o->put, g, cm_strs_get(&o->uns.key, k), cm_strs_get(&o->uns.value, k));
    hid_t ours = code ? -1 : cm_h5put_group(&o->put, g, "cellmatch");
    if (!code && ours < 0)
        code = (int)ours;
    code = code ? code : put_ours(o, ours);
    code = cm_h5put_close(&o->put, ours, "uns", code);
    return cm_h5put_close(&o->put, g, "uns", code);
}

int cm_h5write_finish(struct cm_h5write *o, const struct cm_head *h)
{
    int code = 0;
    if (!o->dense) {
        code = cm_h5put_array(&o->put, o->put.file, "X/indptr",
                              o->long_index ? H5T_STD_I64LE : H5T_STD_I32LE, H5T_NATIVE_INT64,
                              o->rows + 1, o->ptr, NULL, NULL);
        hid_t g = code ? -1 : H5Gopen2(o->put.file, "X", H5P_DEFAULT);
        if (!code)
            code = g < 0 ? cm_h5put_broken(&o->put, "X")
                         : cm_h5put_shape(&o->put, g, o->rows, o->cols);
        code = cm_h5put_close(&o->put, g, "X", code);
    } else if (!o->cols && o->rows) { /* the extent alone says how many rows there are */
        code = cm_h5put_close(&o->put, o->data, "X", 0);
        o->data = -1;
        if (!code && H5Ldelete(o->put.file, "X", H5P_DEFAULT) < 0)
            code = cm_h5put_broken(&o->put, "X");
        if (!code)
            o->data = cm_h5put_dataset(&o->put, o->put.file, "X", value_type(o->wide), 2, o->rows,
                                       0, false);
        if (!code)
            code =
                o->data < 0 ? (int)o->data : cm_h5put_encoding(&o->put, o->data, "array", "0.2.0");
    }
    for (size_t k = 0; k < h->nlabels && !code; k++)
        code = check_text(o, h->label[k].name, 0, &h->label[k].dict.names);
    if (!code)
        code = put_frame(o, "obs", &o->names, o->label, o->nlabels, h);
    if (!code)
        code = put_frame(o, "var", &o->columns.names, o->columns.vec, o->columns.nvec, NULL);
    if (!code)
        code = put_uns(o);
    if (!code && H5Fflush(o->put.file, H5F_SCOPE_GLOBAL) < 0)
        code = cm_h5put_broken(&o->put, "the file");
    hid_t *open[] = {&o->data, &o->indices};
    for (size_t k = 0; k < 2; k++) {
        code = cm_h5put_close(&o->put, *open[k], "X", code);
        *open[k] = -1;
    }
    if (H5Fclose(o->put.file) < 0 && !code)
        code = cm_h5put_broken(&o->put, "the file");
    o->put.file = -1;
    return code;
}

void cm_h5write_free(struct cm_h5write *o)
{
    if (!o)
        return;
    if (o->data >= 0)
        H5Dclose(o->data);
    if (o->indices >= 0)
        H5Dclose(o->indices);
    if (o->put.file >= 0)
        H5Fclose(o->put.file);
    for (size_t k = 0; k < o->nlabels; k++)
        cm_vec_free(&o->label[k]);
    cm_free(o->label);
    cm_strs_free(&o->names);
    cm_cols_free(&o->columns);
    cm_kv_free(&o->uns);
    cm_free(o->ptr);
    cm_free(o->scratch);
    cm_free(o->slot);
    cm_free(o->put.name);
    cm_free(o);
}
