/* format/hdf5/append.c - results into a copy of an .h5ad; see h5into.h for the choice.
 *
 * The copy is made of bytes, so that everything that we do not know in BASE survives.  A cell's
 * partner is the column with the largest value of its row (the first of equals); its rank is the
 * place of the column that bears the cell's own name, 1 = best, equals sharing the better place;
 * missing where the row does not hold that column.
 */
#include "format/hdf5/append.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "format/hdf5/attr.h"
#include "format/hdf5/frame.h"
#include "format/hdf5/put.h"
#include "format/hdf5/source.h"

struct cm_h5append {
    struct cm_h5put put;
    char *key, *base; /* base: the file */
    char *root;       /* of the AnnData in it: "" or "/mod/NAME" */
    bool match;
    struct cm_strs names; /* of BASE */
    struct cm_index at;
    uint8_t *seen;
    size_t from, width;
    float *v; /* cells x width */
    struct cm_strs column;
    struct cm_index column_at;
    uint32_t *partner; /* column, UINT32_MAX = none */
    double *value;
    const char *numbers; /* what the values are called */
    int64_t *rank;
};

static int copy_bytes(const char *from, const char *to, const char *name)
{
    int in = open(from, O_RDONLY | O_CLOEXEC), out, code = 0;
    if (in < 0)
        return cm_fail_errno(CM_ESYSTEM, "%s", from);
    out = open(to, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (out < 0) {
        close(in);
        return cm_fail_errno(CM_ESYSTEM, "%s: cannot write", name);
    }
    size_t capacity = (size_t)1 << 20;
    char *b = cm_alloc(capacity, 1);
    for (ssize_t got; !code && (got = read(in, b, capacity)) != 0;) {
        if (got < 0 && errno != EINTR)
            code = cm_fail_errno(CM_ESYSTEM, "%s: cannot read", from);
        for (ssize_t at = 0, did; got > 0 && at < got && !code; at += did > 0 ? did : 0)
            if ((did = write(out, b + at, (size_t)(got - at))) < 0 && errno != EINTR)
                code = cm_fail_errno(CM_ESYSTEM, "%s: cannot write", name);
    }
    cm_free(b);
    close(in);
    if (close(out) && !code)
        code = cm_fail_errno(CM_ESYSTEM, "%s: cannot write", name);
    return code;
}

/* The cells of BASE, each name once, and a copy of the file. */
static int read_names(struct cm_h5append *x, const char *copy)
{
    struct cm_h5 h;
    struct cm_frame obs = {0};
    char *path = cm_h5_join(x->root, "obs"), *uns = cm_h5_join(x->root, "uns");
    int code = cm_h5_open(&h, x->base, false);
    if (!code && !*x->root && cm_h5_what(&h, "/mod") == CM_H5_GROUP)
        code = cm_fail(CM_EINPUT, "%s: a MuData file; name a modality of it as %s/NAME", x->base,
                       x->base);
    if (!code && *x->root && cm_h5_what(&h, x->root) != CM_H5_GROUP)
        code = cm_fail(CM_EINPUT, "%s: has no modality %s", x->base, strrchr(x->root, '/') + 1);
    if (!code && cm_h5_what(&h, path) != CM_H5_GROUP)
        code = cm_fail(CM_EINPUT, "%s: %s: no table of AnnData 0.7 or later", x->base, path);
    if (!code)
        code = cm_frame_open(&obs, &h, path, uns);
    if (!code)
        code = cm_frame_names(&obs, 0, obs.rows, &x->names);
    if (cm_h5_trouble(&h))
        code = cm_h5_trouble(&h); /* whatever was made of it */
    if (!code)
        code = copy_bytes(x->base, copy, x->put.name);
    if (!code)
        code = cm_h5_unchanged(&h); /* else the copy may have other names */
    cm_frame_close(&obs);
    cm_h5_close(&h);
    cm_free(path);
    cm_free(uns);
    if (code)
        return code;
    cm_index_make(&x->at, &x->names);
    if (x->at.duplicate != CM_ABSENT)
        return cm_fail(CM_EINPUT, "%s: two cells are named %s, so rows cannot be joined by name",
                       x->base, cm_strs_get(&x->names, x->at.duplicate));
    return 0;
}

int cm_h5append_create(struct cm_h5append **out, const char *base, const char *path,
                       const char *name, const char *key, const struct cm_head *h, size_t from,
                       size_t width)
{
    struct cm_h5append *x = *out = CM_ZNEW(struct cm_h5append, 1);
    size_t capacity;
    x->put =
        (struct cm_h5put){.file = -1, .name = cm_strdup(name), .pack = CM_PACK_NONE, .copy = true};
    x->key = cm_strdup(key);
    char *modality;
    cm_h5_split_path(base, &x->base, &modality);
    x->root = modality ? cm_h5_join("/mod", modality) : cm_strdup("");
    cm_free(modality);
    x->match = h->kind == CM_MATCH;
    x->numbers = x->match ? cm_match_numbers(h) : "";
    x->from = from;
    x->width = width;
    if (!*key || strchr(key, '/'))
        return cm_fail(CM_EUSAGE, "--key %s: expected a name without /", key);
    int code = read_names(x, path);
    if (!code && cm_mul(x->names.n, width, &capacity))
        code = cm_fail(CM_EINPUT, "%s: too many cells", x->base);
    if (code)
        return code;
    size_t n = x->names.n;
    x->seen = CM_ZNEW(uint8_t, n + 1);
    if (x->match) {
        cm_strs_copy(&x->column, &h->slot[0].cols.names);
        cm_index_make(&x->column_at, &x->column);
        x->partner = CM_NEW(uint32_t, n + 1);
        x->value = CM_NEW(double, n + 1);
        x->rank = CM_NEW(int64_t, n + 1);
        for (size_t i = 0; i < n; i++) {
            x->partner[i] = UINT32_MAX;
            x->value[i] = NAN;
            x->rank[i] = CM_I64_MISSING;
        }
    } else {
        x->v = CM_ZNEW(float, capacity + 1);
    }
    cm_h5_setup(false);
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(fapl, false, true);
    x->put.file = H5Fopen(path, H5F_ACC_RDWR, fapl);
    code = x->put.file < 0 ? cm_h5put_broken(&x->put, "the file") : 0;
    H5Pclose(fapl);
    return code;
}

static void take_match(struct cm_h5append *x, size_t cell, const char *name, const double *v,
                       const uint32_t *idx, size_t n)
{
    size_t own = cm_index_find(&x->column_at, name), best = 0, mine = n;
    for (size_t e = 0; e < n; e++) {
        best = v[e] > v[best] ? e : best;
        mine = idx[e] == own ? e : mine;
    }
    if (n) {
        x->partner[cell] = idx[best];
        x->value[cell] = v[best];
    }
    if (mine == n)
        return;
    x->rank[cell] = 1;
    for (size_t e = 0; e < n; e++)
        x->rank[cell] += v[e] > v[mine];
}

int cm_h5append_chunk(struct cm_h5append *x, struct cm_chunk *c, const struct cm_head *h)
{
    struct cm_block *b = &c->block[0];
    const double *v = x->match ? cm_block_f64(b, &h->slot[0]) : NULL;
    const float *f = x->match ? NULL : cm_block_f32(b, &h->slot[0]);
    for (size_t i = 0; i < c->rows; i++) {
        const char *name = cm_strs_get(&c->names, i);
        size_t cell = cm_index_find(&x->at, name);
        if (cell == CM_ABSENT)
            return cm_fail(CM_EINPUT, "%s has no cell %s (row %" PRIu64 " of the stream)", x->base,
                           name, c->first + i);
        if (x->seen[cell]++)
            return cm_fail(CM_EINPUT, "row %" PRIu64 ": cell %s came before", c->first + i, name);
        if (x->match)
            take_match(x, cell, name, v + b->ptr[i], b->idx + b->ptr[i],
                       (size_t)(b->ptr[i + 1] - b->ptr[i]));
        else
            memcpy(x->v + cell * x->width, f + i * b->cols + x->from, x->width * sizeof *f);
    }
    return 0;
}

/* Takes an element of that name away, if there is one. */
static int drop(const struct cm_h5append *x, hid_t at, const char *name)
{
    htri_t there = H5Lexists(at, name, H5P_DEFAULT);
    if (there < 0 || (there > 0 && H5Ldelete(at, name, H5P_DEFAULT) < 0))
        return cm_h5put_broken(&x->put, name);
    return 0;
}

/* obsm, made where it is missing; a code below 0 with a message otherwise. */
static hid_t open_obsm(const struct cm_h5append *x)
{
    char *path = cm_h5_join(x->root, "obsm");
    htri_t there = H5Lexists(x->put.file, path, H5P_DEFAULT);
    hid_t g = -1;
    if (there < 0 || (there > 0 && (g = H5Gopen2(x->put.file, path, H5P_DEFAULT)) < 0))
        g = cm_h5put_broken(&x->put, path);
    else if (there == 0)
        g = cm_h5put_group(&x->put, x->put.file, path);
    int code = there == 0 && g >= 0 ? cm_h5put_encoding(&x->put, g, "dict", "0.1.0") : 0;
    if (code) {
        H5Gclose(g);
        g = code;
    }
    cm_free(path);
    return g;
}

static int write_embedding(struct cm_h5append *x)
{
    for (size_t i = 0; i < x->names.n; i++)
        if (!x->seen[i])
            return cm_fail(CM_EINPUT, "the stream has no row for cell %s of %s",
                           cm_strs_get(&x->names, i), x->base);
    hid_t g = open_obsm(x), d = -1;
    if (g < 0)
        return (int)g;
    int code = drop(x, g, x->key);
    if (!code) {
        d = cm_h5put_dataset(&x->put, g, x->key, H5T_IEEE_F32LE, 2, x->names.n, x->width, false);
        if (d < 0)
            code = (int)d;
        else if (x->names.n && x->width &&
                 H5Dwrite(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, x->v) < 0)
            code = cm_h5put_broken(&x->put, x->key);
        else
            code = cm_h5put_encoding(&x->put, d, "array", "0.2.0");
    }
    code = cm_h5put_close(&x->put, d, x->key, code);
    return cm_h5put_close(&x->put, g, "obsm", code);
}

/* One new column of obs, and its name at the end of column-order. */
static int add_column(struct cm_h5append *x, hid_t obs, struct cm_strs *order, struct cm_vec *v)
{
    int code = drop(x, obs, v->name);
    code = code ? code : cm_h5put_column(&x->put, obs, v, NULL);
    bool listed = false;
    for (size_t k = 0; k < order->n; k++)
        listed = listed || !strcmp(cm_strs_get(order, k), v->name);
    if (!listed)
        cm_strs_add(order, v->name);
    return code;
}

/* A column that another kind of match left under this key would be taken for ours. */
static void drop_column(struct cm_h5append *x, hid_t obs, struct cm_strs *order, const char *suffix)
{
    struct cm_strs kept = {0};
    char *name = CM_NEW(char, strlen(x->key) + 16);
    sprintf(name, "%s_%s", x->key, suffix);
    drop(x, obs, name);
    for (size_t k = 0; k < order->n; k++)
        if (strcmp(cm_strs_get(order, k), name))
            cm_strs_add(&kept, cm_strs_get(order, k));
    cm_strs_free(order);
    *order = kept;
    cm_free(name);
}

/* The obs column KEY_suffix; probabilities that nobody worked out are missing. */
static int put_column(struct cm_h5append *x, hid_t obs, struct cm_strs *order, const char *suffix,
                      enum cm_type type)
{
    struct cm_vec v = {0};
    size_t n = x->names.n;
    bool partner = type == CM_T_STR, plain = !strcmp(x->numbers, "value"),
         honest = !strcmp(suffix, plain ? "probability" : x->numbers);
    char *name = CM_NEW(char, strlen(x->key) + 16);
    sprintf(name, "%s_%s", x->key, suffix);
    cm_vec_reset(&v, name, type, partner ? 0 : n);
    v.n = n;
    for (size_t i = 0; i < n; i++)
        if (partner)
            cm_strs_add(&v.s,
                        x->partner[i] == UINT32_MAX ? "" : cm_strs_get(&x->column, x->partner[i]));
        else if (type == CM_T_F64)
            v.f[i] = honest ? x->value[i] : NAN;
        else
            v.i[i] = x->rank[i];
    int code = add_column(x, obs, order, &v);
    cm_vec_free(&v);
    cm_free(name);
    return code;
}

static int write_match(struct cm_h5append *x)
{
    struct cm_h5 h = {.id = x->put.file, .name = x->put.name};
    struct cm_strs order = {0};
    char *path = cm_h5_join(x->root, "obs");
    hid_t obs = H5Gopen2(x->put.file, path, H5P_DEFAULT);
    int code = obs < 0 ? cm_h5put_broken(&x->put, path) : 0;
    if (!code) {
        int got = cm_h5_attr_strs(&h, path, "column-order", &order);
        code = got < 0 ? got : 0;
    }
    if (!code) {
        drop_column(x, obs, &order, "similarity");
        drop_column(x, obs, &order, "weight");
        code = put_column(x, obs, &order, "partner", CM_T_STR);
    }
    if (!code)
        code = put_column(x, obs, &order, "probability", CM_T_F64);
    if (!code && (!strcmp(x->numbers, "similarity") || !strcmp(x->numbers, "weight")))
        code = put_column(x, obs, &order, x->numbers, CM_T_F64);
    if (!code)
        code = put_column(x, obs, &order, "rank", CM_T_I64);
    if (!code) {
        htri_t there = H5Aexists(obs, "column-order");
        if (there < 0 || (there > 0 && H5Adelete(obs, "column-order") < 0))
            code = cm_h5put_broken(&x->put, "column-order");
    }
    code = code ? code : cm_h5put_order(&x->put, obs, &order);
    cm_free(path);
    cm_strs_free(&order);
    return cm_h5put_close(&x->put, obs, "obs", code);
}

int cm_h5append_finish(struct cm_h5append *x)
{
    int code = x->match ? write_match(x) : write_embedding(x);
    if (!code && H5Fflush(x->put.file, H5F_SCOPE_GLOBAL) < 0)
        code = cm_h5put_broken(&x->put, "the file");
    if (H5Fclose(x->put.file) < 0 && !code)
        code = cm_h5put_broken(&x->put, "the file");
    x->put.file = -1;
    return code;
}

void cm_h5append_free(struct cm_h5append *x)
{
    if (!x)
        return;
    if (x->put.file >= 0)
        H5Fclose(x->put.file);
    cm_index_free(&x->at);
    cm_index_free(&x->column_at);
    cm_strs_free(&x->names);
    cm_strs_free(&x->column);
    cm_free(x->seen);
    cm_free(x->v);
    cm_free(x->partner);
    cm_free(x->value);
    cm_free(x->rank);
    cm_free(x->key);
    cm_free(x->base);
    cm_free(x->root);
    cm_free(x->put.name);
    cm_free(x);
}
