/* format/hdf5/obsm.c - obsm/NAME of an AnnData as the matrix, where CITE-seq proteins often are.
 *
 * It is a dense or sparse array with a row for every cell, or a table whose columns have
 * names.  The columns of an array have none; uns is searched for them, else they are numbered.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "format/hdf5/attr.h"
#include "format/hdf5/text.h"
#include "format/hdf5/internal.h"

#define BATCH ((uint64_t)65536)

/* Names from a list of `cols` texts at `path`; *found = false if there is
 * no such list. */
static int names_at(struct cm_source *s, const char *path, uint64_t cols, bool *found)
{
    struct cm_h5set d;
    *found = false;
    if (cm_h5_what(s->file, path) != CM_H5_DATASET)
        return 0;
    int code = cm_h5set_open(&d, s->file, path, NULL, 0);
    if (code)
        return code;
    *found = d.cls == CM_H5_STRING && d.rank == 1 && d.rows == cols;
    if (*found)
        code = cm_h5set_texts(&d, 0, cols, &s->cols.names);
    cm_h5set_close(&d);
    return code;
}

static int names_asked(struct cm_source *s, const char *asked, uint64_t cols)
{
    bool found;
    char *path = cm_h5_join(s->root, *asked == '/' ? asked + 1 : asked);
    int code = names_at(s, path, cols, &found);
    if (!code && !found)
        code = cm_fail(CM_EINPUT, "%s: %s: is no list of %" PRIu64 " texts", s->file->name, path,
                       cols);
    cm_free(path);
    return code;
}

/* NAME_0 ... unless uns has names: under the key itself, or where protein tools put them. */
static int name_columns(struct cm_source *s, const struct cm_source_want *w, uint64_t cols)
{
    static const char *const usual[] = {"uns/%s_names", "uns/%s_columns", "uns/%s_features",
                                        "uns/%s"};
    bool found = false;
    int code = 0;
    if (w->feature_names)
        return names_asked(s, w->feature_names, cols);
    for (size_t k = 0; k <= sizeof usual / sizeof *usual && !found && !code; k++) {
        struct cm_buf b = {0};
        bool proteins = strstr(w->obsm, "protein") || strstr(w->obsm, "adt");
        if (k < sizeof usual / sizeof *usual) {
            cm_buf_printf(&b, "uns/");
            cm_buf_puts(&b, w->obsm);
            cm_buf_puts(&b, usual[k] + strlen("uns/%s"));
        } else if (proteins) {
            cm_buf_puts(&b, "uns/protein_names");
        } else {
            break;
        }
        cm_buf_u8(&b, 0);
        char *path = cm_h5_join(s->root, (const char *)b.p);
        code = names_at(s, path, cols, &found);
        if (!code && found)
            cm_h5_warn(s->file, "%s: the columns of obsm/%s are named by %s", s->file->name,
                       w->obsm, path);
        cm_free(path);
        cm_buf_free(&b);
    }
    for (uint64_t j = 0; j < cols && !found && !code; j++) {
        struct cm_buf b = {0};
        cm_buf_printf(&b, "%s_%" PRIu64, w->obsm, j);
        cm_strs_add(&s->cols.names, (const char *)b.p);
        cm_buf_free(&b);
    }
    return code;
}

/* The rows of the table must be those of obs. */
static int check_rows(const struct cm_source *s, const struct cm_frame *t)
{
    struct cm_strs a = {0}, b = {0};
    int code = 0;
    if (t->rows != s->obs.rows)
        return cm_fail(CM_EINPUT, "%s: %s: %" PRIu64 " rows, but obs has %" PRIu64, s->file->name,
                       t->path, t->rows, s->obs.rows);
    for (uint64_t at = 0; at < t->rows && !code; at += BATCH) {
        uint64_t n = t->rows - at < BATCH ? t->rows - at : BATCH;
        cm_strs_clear(&a);
        cm_strs_clear(&b);
        code = cm_frame_names(&s->obs, at, n, &a);
        code = code ? code : cm_frame_names(t, at, n, &b);
        for (size_t i = 0; i < n && !code; i++)
            if (strcmp(cm_strs_get(&a, i), cm_strs_get(&b, i)))
                code = cm_fail(
                    CM_EINPUT, "%s: %s: row %" PRIu64 " is of cell %s, but that of obs is %s",
                    s->file->name, t->path, at + i, cm_strs_get(&b, i), cm_strs_get(&a, i));
    }
    cm_strs_free(&a);
    cm_strs_free(&b);
    return code;
}

static int open_table(struct cm_source *s, const char *path, const char *uns)
{
    int code = cm_frame_open(&s->table, s->file, path, uns);
    code = code ? code : check_rows(s, &s->table);
    if (code)
        return code;
    const struct cm_h5set **column = CM_NEW(s->table.ncols + 1, const struct cm_h5set *);
    uint64_t cols = 0;
    for (size_t k = 0; k < s->table.ncols; k++) {
        const struct cm_h5col *c = &s->table.col[k];
        if (c->type == CM_T_CAT || c->type == CM_T_STR || c->mask.open) {
            cm_h5_warn(s->file, "%s: %s/%s: is no column of numbers; left out", s->file->name, path,
                       c->name);
            continue;
        }
        column[cols++] = &c->values;
        cm_strs_add(&s->cols.names, c->name);
    }
    return cm_h5mat_open_columns(&s->mat, s->file, path, s->obs.rows, column, cols);
}

/* How many columns an array has. */
static int width_of(struct cm_source *s, const char *path, enum cm_h5_object what, uint64_t *cols)
{
    struct cm_h5set d;
    int64_t shape[2];
    int code;
    if (what == CM_H5_GROUP) {
        code = cm_h5_attr_i64s(s->file, path, "shape", shape, 2);
        if (code == 0)
            code = cm_h5_attr_i64s(s->file, path, "h5sparse_shape", shape, 2);
        if (code > 0 && (shape[0] < 0 || shape[1] < 0 || (uint64_t)shape[1] >= UINT32_MAX))
            code = 0;
        *cols = code > 0 ? (uint64_t)shape[1] : 0;
        return code > 0   ? 0
               : code < 0 ? code
                          : cm_fail(CM_EINPUT, "%s: %s: is no matrix", s->file->name, path);
    }
    code = cm_h5set_open(&d, s->file, path, NULL, 0);
    if (code)
        return code;
    *cols = d.cols;
    if (d.rank == 0 || d.cls == CM_H5_COMPOUND || d.cls == CM_H5_STRING || d.cols >= UINT32_MAX)
        code = cm_fail(CM_EINPUT, "%s: %s: is no matrix of numbers", s->file->name, path);
    cm_h5set_close(&d);
    return code;
}

static int no_such(struct cm_source *s, const char *obsm, const char *name)
{
    struct cm_strs found = {0};
    int code = cm_h5_what(s->file, obsm) == CM_H5_GROUP ? cm_h5_members(s->file, obsm, &found) : 0;
    code = code ? code : cm_h5_list_fail(s->file, "obsm has no ", name, &found);
    cm_strs_free(&found);
    return code;
}

int cm_source_open_obsm(struct cm_source *s, const struct cm_source_want *w)
{
    struct cm_h5 *h = s->file;
    char *obsm = cm_h5_join(s->root, "obsm"), *path = cm_h5_join(obsm, w->obsm);
    char *uns = cm_h5_join(s->root, "uns"), *encoding = NULL;
    enum cm_h5_object what = cm_h5_what(h, path);
    uint64_t cols = 0;
    int code = 0;
    if (what == CM_H5_ABSENT)
        code = no_such(s, obsm, w->obsm);
    else if (what != CM_H5_GROUP && what != CM_H5_DATASET)
        code = cm_h5_unexpected(h, path, "a matrix");
    if (!code && what == CM_H5_GROUP)
        code = cm_h5_attr_text(h, path, "encoding-type", &encoding);
    if (code > 0 && !strcmp(encoding, "dataframe")) {
        code = open_table(s, path, uns);
    } else if (code >= 0) {
        code = width_of(s, path, what, &cols);
        code = code ? code : name_columns(s, w, cols);
        code =
            code ? code
                 : cm_h5mat_open(&s->mat, h, path, s->obs.rows, s->cols.names.n, -1, w->max_memory);
    }
    if (!code) {
        s->has_matrix = true;
        s->fallback = cm_strdup(w->obsm);
        cm_types_cut(&s->types, s->cols.names.n, NULL, NULL, NULL);
    }
    cm_free(encoding);
    cm_free(uns);
    cm_free(path);
    cm_free(obsm);
    return code;
}
