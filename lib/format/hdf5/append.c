/* format/hdf5/append.c - adding results to a copy of an .h5ad.  See append.h.
 *
 * A cell's partner is the column with the largest value of its row (the first of equals).  Its rank
 * is that of the column with the cell's own name: 1 = best, ties share the better rank, missing
 * where the row does not hold that column.
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

struct cm_h5_append {
    struct cm_h5_put put;
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
static int read_names(struct cm_h5_append *result, const char *copy)
{
    struct cm_h5 h;
    struct cm_frame obs = {0};
    char *path = cm_h5_join(result->root, "obs"), *uns = cm_h5_join(result->root, "uns");
    int code = cm_h5_open(&h, result->base, false);
    if (!code && !*result->root && cm_h5_what(&h, "/mod") == CM_H5_GROUP)
        code = cm_fail(CM_EINPUT, "%s: a MuData file; name a modality of it as %s/NAME",
                       result->base, result->base);
    if (!code && *result->root && cm_h5_what(&h, result->root) != CM_H5_GROUP)
        code = cm_fail(CM_EINPUT, "%s: has no modality %s", result->base,
                       strrchr(result->root, '/') + 1);
    if (!code && cm_h5_what(&h, path) != CM_H5_GROUP)
        code = cm_fail(CM_EINPUT, "%s: %s: no table of AnnData 0.7 or later", result->base, path);
    if (!code)
        code = cm_frame_open(&obs, &h, path, uns);
    if (!code)
        code = cm_frame_names(&obs, 0, obs.rows, &result->names);
    if (cm_h5_trouble(&h))
        code = cm_h5_trouble(&h); /* takes precedence */
    if (!code)
        code = copy_bytes(result->base, copy, result->put.name);
    if (!code)
        code = cm_h5_unchanged(&h); /* else the copy may have other names */
    cm_frame_close(&obs);
    cm_h5_close(&h);
    cm_free(path);
    cm_free(uns);
    if (code)
        return code;
    cm_index_make(&result->at, &result->names);
    if (result->at.duplicate != CM_ABSENT)
        return cm_fail(CM_EINPUT, "%s: two cells are named %s, so rows cannot be joined by name",
                       result->base, cm_strs_get(&result->names, result->at.duplicate));
    return 0;
}

int cm_h5_append_create(struct cm_h5_append **out, const char *base, const char *path,
                        const char *name, const char *key, const struct cm_head *h, size_t from,
                        size_t width)
{
    struct cm_h5_append *result = *out = CM_ZNEW(1, struct cm_h5_append);
    size_t capacity;
    result->put =
        (struct cm_h5_put){.file = -1, .name = cm_strdup(name), .pack = CM_PACK_NONE, .copy = true};
    result->key = cm_strdup(key);
    char *modality;
    cm_h5_split_path(base, &result->base, &modality);
    result->root = modality ? cm_h5_join("/mod", modality) : cm_strdup("");
    cm_free(modality);
    result->match = h->kind == CM_MATCH;
    result->numbers = result->match ? cm_match_numbers(h) : "";
    result->from = from;
    result->width = width;
    if (!*key || strchr(key, '/'))
        return cm_fail(CM_EUSAGE, "--key %s: expected a name without /", key);
    int code = read_names(result, path);
    if (!code && cm_mul(result->names.n, width, &capacity))
        code = cm_fail(CM_EINPUT, "%s: too many cells", result->base);
    if (code)
        return code;
    size_t n = result->names.n;
    result->seen = CM_ZNEW(n + 1, uint8_t);
    if (result->match) {
        cm_strs_copy(&result->column, &h->slot[0].cols.names);
        cm_index_make(&result->column_at, &result->column);
        result->partner = CM_NEW(n + 1, uint32_t);
        result->value = CM_NEW(n + 1, double);
        result->rank = CM_NEW(n + 1, int64_t);
        for (size_t i = 0; i < n; i++) {
            result->partner[i] = UINT32_MAX;
            result->value[i] = NAN;
            result->rank[i] = CM_I64_MISSING;
        }
    } else {
        result->v = CM_ZNEW(capacity + 1, float);
    }
    cm_h5_setup(false);
    hid_t fapl = H5Pcreate(H5P_FILE_ACCESS);
    H5Pset_file_locking(fapl, false, true);
    result->put.file = H5Fopen(path, H5F_ACC_RDWR, fapl);
    code = result->put.file < 0 ? cm_h5_put_broken(&result->put, "the file") : 0;
    H5Pclose(fapl);
    return code;
}

static void take_match(struct cm_h5_append *result, size_t cell, const char *name, const double *v,
                       const uint32_t *idx, size_t n)
{
    size_t own = cm_index_find(&result->column_at, name), best = 0, mine = n;
    for (size_t e = 0; e < n; e++) {
        best = v[e] > v[best] ? e : best;
        mine = idx[e] == own ? e : mine;
    }
    if (n) {
        result->partner[cell] = idx[best];
        result->value[cell] = v[best];
    }
    if (mine == n)
        return;
    result->rank[cell] = 1;
    for (size_t e = 0; e < n; e++)
        result->rank[cell] += v[e] > v[mine];
}

int cm_h5_append_chunk(struct cm_h5_append *result, struct cm_chunk *c, const struct cm_head *h)
{
    struct cm_block *b = &c->block[0];
    const double *v = result->match ? cm_block_f64(b, &h->slot[0]) : NULL;
    const float *f = result->match ? NULL : cm_block_f32(b, &h->slot[0]);
    for (size_t i = 0; i < c->rows; i++) {
        const char *name = cm_strs_get(&c->names, i);
        size_t cell = cm_index_find(&result->at, name);
        if (cell == CM_ABSENT)
            return cm_fail(CM_EINPUT, "%s has no cell %s (row %" PRIu64 " of the stream)",
                           result->base, name, c->first + i);
        if (result->seen[cell]++)
            return cm_fail(CM_EINPUT, "row %" PRIu64 ": cell %s came before", c->first + i, name);
        if (result->match)
            take_match(result, cell, name, v + b->ptr[i], b->idx + b->ptr[i],
                       (size_t)(b->ptr[i + 1] - b->ptr[i]));
        else
            memcpy(result->v + cell * result->width, f + i * b->cols + result->from,
                   result->width * sizeof *f);
    }
    return 0;
}

/* Deletes the element of that name, if there is one. */
static int drop(const struct cm_h5_append *result, hid_t at, const char *name)
{
    htri_t there = H5Lexists(at, name, H5P_DEFAULT);
    if (there < 0 || (there > 0 && H5Ldelete(at, name, H5P_DEFAULT) < 0))
        return cm_h5_put_broken(&result->put, name);
    return 0;
}

/* obsm, created if missing; a code below 0 with a message otherwise. */
static hid_t open_obsm(const struct cm_h5_append *result)
{
    char *path = cm_h5_join(result->root, "obsm");
    htri_t there = H5Lexists(result->put.file, path, H5P_DEFAULT);
    hid_t g = -1;
    if (there < 0 || (there > 0 && (g = H5Gopen2(result->put.file, path, H5P_DEFAULT)) < 0))
        g = cm_h5_put_broken(&result->put, path);
    else if (there == 0)
        g = cm_h5_put_group(&result->put, result->put.file, path);
    int code = there == 0 && g >= 0 ? cm_h5_put_encoding(&result->put, g, "dict", "0.1.0") : 0;
    if (code) {
        H5Gclose(g);
        g = code;
    }
    cm_free(path);
    return g;
}

static int write_embedding(struct cm_h5_append *result)
{
    for (size_t i = 0; i < result->names.n; i++)
        if (!result->seen[i])
            return cm_fail(CM_EINPUT, "the stream has no row for cell %s of %s",
                           cm_strs_get(&result->names, i), result->base);
    hid_t g = open_obsm(result), d = -1;
    if (g < 0)
        return (int)g;
    int code = drop(result, g, result->key);
    if (!code) {
        d = cm_h5_put_dataset(&result->put, g, result->key, H5T_IEEE_F32LE, 2, result->names.n,
                              result->width, false);
        if (d < 0)
            code = (int)d;
        else if (result->names.n && result->width &&
                 H5Dwrite(d, H5T_NATIVE_FLOAT, H5S_ALL, H5S_ALL, H5P_DEFAULT, result->v) < 0)
            code = cm_h5_put_broken(&result->put, result->key);
        else
            code = cm_h5_put_encoding(&result->put, d, "array", "0.2.0");
    }
    code = cm_h5_put_close(&result->put, d, result->key, code);
    return cm_h5_put_close(&result->put, g, "obsm", code);
}

/* One new column of obs, and its name at the end of column-order. */
static int add_column(struct cm_h5_append *result, hid_t obs, struct cm_strs *order,
                      struct cm_vec *v)
{
    int code = drop(result, obs, v->name);
    code = code ? code : cm_h5_put_column(&result->put, obs, v, NULL);
    bool listed = false;
    for (size_t k = 0; k < order->n; k++)
        listed = listed || !strcmp(cm_strs_get(order, k), v->name);
    if (!listed)
        cm_strs_add(order, v->name);
    return code;
}

/* Deletes a column that another kind of match left under this key: readers would take it for
 * ours. */
static void drop_column(struct cm_h5_append *result, hid_t obs, struct cm_strs *order,
                        const char *suffix)
{
    struct cm_strs kept = {0};
    char *name = CM_NEW(strlen(result->key) + 16, char);
    sprintf(name, "%s_%s", result->key, suffix);
    drop(result, obs, name);
    for (size_t k = 0; k < order->n; k++)
        if (strcmp(cm_strs_get(order, k), name))
            cm_strs_add(&kept, cm_strs_get(order, k));
    cm_strs_free(order);
    *order = kept;
    cm_free(name);
}

/* The obs column KEY_suffix; missing where the match holds no probabilities. */
static int put_column(struct cm_h5_append *result, hid_t obs, struct cm_strs *order,
                      const char *suffix, enum cm_type type)
{
    struct cm_vec v = {0};
    size_t n = result->names.n;
    bool partner = type == CM_T_STR, plain = !strcmp(result->numbers, "value"),
         honest = !strcmp(suffix, plain ? "probability" : result->numbers);
    char *name = CM_NEW(strlen(result->key) + 16, char);
    sprintf(name, "%s_%s", result->key, suffix);
    cm_vec_reset(&v, name, type, partner ? 0 : n);
    v.n = n;
    for (size_t i = 0; i < n; i++)
        if (partner)
            cm_strs_add(&v.s, result->partner[i] == UINT32_MAX
                                  ? ""
                                  : cm_strs_get(&result->column, result->partner[i]));
        else if (type == CM_T_F64)
            v.f[i] = honest ? result->value[i] : NAN;
        else
            v.i[i] = result->rank[i];
    int code = add_column(result, obs, order, &v);
    cm_vec_free(&v);
    cm_free(name);
    return code;
}

static int write_match(struct cm_h5_append *result)
{
    struct cm_h5 h = {.id = result->put.file, .name = result->put.name};
    struct cm_strs order = {0};
    char *path = cm_h5_join(result->root, "obs");
    hid_t obs = H5Gopen2(result->put.file, path, H5P_DEFAULT);
    int code = obs < 0 ? cm_h5_put_broken(&result->put, path) : 0;
    if (!code) {
        int got = cm_h5_attr_strs(&h, path, "column-order", &order);
        code = got < 0 ? got : 0;
    }
    if (!code) {
        drop_column(result, obs, &order, "similarity");
        drop_column(result, obs, &order, "weight");
        code = put_column(result, obs, &order, "partner", CM_T_STR);
    }
    if (!code)
        code = put_column(result, obs, &order, "probability", CM_T_F64);
    if (!code && (!strcmp(result->numbers, "similarity") || !strcmp(result->numbers, "weight")))
        code = put_column(result, obs, &order, result->numbers, CM_T_F64);
    if (!code)
        code = put_column(result, obs, &order, "rank", CM_T_I64);
    if (!code) {
        htri_t there = H5Aexists(obs, "column-order");
        if (there < 0 || (there > 0 && H5Adelete(obs, "column-order") < 0))
            code = cm_h5_put_broken(&result->put, "column-order");
    }
    code = code ? code : cm_h5_put_order(&result->put, obs, &order);
    cm_free(path);
    cm_strs_free(&order);
    return cm_h5_put_close(&result->put, obs, "obs", code);
}

int cm_h5_append_finish(struct cm_h5_append *result)
{
    int code = result->match ? write_match(result) : write_embedding(result);
    if (!code && H5Fflush(result->put.file, H5F_SCOPE_GLOBAL) < 0)
        code = cm_h5_put_broken(&result->put, "the file");
    if (H5Fclose(result->put.file) < 0 && !code)
        code = cm_h5_put_broken(&result->put, "the file");
    result->put.file = -1;
    return code;
}

void cm_h5_append_free(struct cm_h5_append *result)
{
    if (!result)
        return;
    if (result->put.file >= 0)
        H5Fclose(result->put.file);
    cm_index_free(&result->at);
    cm_index_free(&result->column_at);
    cm_strs_free(&result->names);
    cm_strs_free(&result->column);
    cm_free(result->seen);
    cm_free(result->v);
    cm_free(result->partner);
    cm_free(result->value);
    cm_free(result->rank);
    cm_free(result->key);
    cm_free(result->base);
    cm_free(result->root);
    cm_free(result->put.name);
    cm_free(result);
}
