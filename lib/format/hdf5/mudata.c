/* format/hdf5/mudata.c - a modality of a MuData file, with the labels that /obs has for all cells.
 *
 * /obsmap/MODALITY says which row of the modality a row of /obs is (1-based, 0 = none).  Maps go
 * stale when a modality is subset without an update.  The names of the cells reveal that, and rows
 * are then joined by name.
 */
#include "format/hdf5/internal.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"

/* at[cell] = row of /obs by the map; *right = false if the map cannot be right. */
static int by_map(struct cm_source *s, const struct cm_frame *all, const char *path, uint64_t *at,
                  bool *right)
{
    struct cm_h5set m;
    int code = cm_h5set_open(&m, s->file, path, NULL, 0);
    if (code)
        return code;
    *right = m.rows == all->rows && m.cols == 1 && m.cls == CM_H5_INT;
    int64_t *v = CM_NEW(all->rows + 1, int64_t);
    code = *right ? cm_h5set_i64(&m, 0, m.rows, v) : 0;
    for (uint64_t g = 0; g < all->rows && *right && !code; g++) {
        *right = v[g] >= 0 && (uint64_t)v[g] <= s->obs.rows;
        if (*right && v[g]) {
            *right = at[v[g] - 1] == UINT64_MAX;
            at[v[g] - 1] = g;
        }
    }
    cm_free(v);
    cm_h5set_close(&m);
    return code;
}

static int by_name(const struct cm_strs *mine, const struct cm_strs *theirs, uint64_t *at)
{
    struct cm_index x;
    cm_index_make(&x, theirs);
    for (size_t i = 0; i < mine->n; i++) {
        size_t g = cm_index_find(&x, cm_strs_get(mine, i));
        at[i] = g == CM_ABSENT ? UINT64_MAX : g;
    }
    bool twice = x.duplicate != CM_ABSENT;
    cm_index_free(&x);
    return twice ? 1 : 0;
}

/* at[cell] = row of /obs, UINT64_MAX = none.  1 if the rows cannot be joined (warned). */
static int map_cells(struct cm_source *s, const struct cm_frame *all, const char *modality,
                     uint64_t *at)
{
    struct cm_strs mine = {0}, theirs = {0};
    char *path = cm_h5_join("/obsmap", modality);
    bool right = false, there = cm_h5_what(s->file, path) == CM_H5_DATASET;
    int code = cm_frame_names(&s->obs, 0, s->obs.rows, &mine);
    code = code ? code : cm_frame_names(all, 0, all->rows, &theirs);
    for (uint64_t i = 0; i < s->obs.rows; i++)
        at[i] = UINT64_MAX;
    if (!code && there)
        code = by_map(s, all, path, at, &right);
    for (uint64_t i = 0; i < s->obs.rows && right && !code; i++)
        right = at[i] == UINT64_MAX ||
                !strcmp(cm_strs_get(&mine, i), cm_strs_get(&theirs, (size_t)at[i]));
    if (!code && there && !right)
        cm_h5_warn(s->file,
                   "%s: %s does not fit the cells of /mod/%s; labels of /obs are joined by "
                   "name",
                   s->file->name, path, modality);
    if (!code && !right && by_name(&mine, &theirs, at)) {
        cm_h5_warn(s->file, "%s: /obs has a name twice; its labels are left out", s->file->name);
        code = 1;
    }
    cm_free(path);
    cm_strs_free(&mine);
    cm_strs_free(&theirs);
    return code;
}

/* A value as text, "" if it is missing. */
static const char *text_of(const struct cm_h5col *c, const struct cm_vec *v, size_t i,
                           char buf[CM_NUMBER_MAX])
{
    switch (c->type) {
    case CM_T_CAT:
        return v->cat[i] == CM_CAT_MISSING ? "" : cm_strs_get(&c->dict.names, v->cat[i]);
    case CM_T_STR:
        return cm_strs_get(&v->s, i);
    case CM_T_BOOL:
        return v->b[i] == CM_BOOL_MISSING ? "" : v->b[i] ? "True" : "False";
    case CM_T_I64:
        snprintf(buf, CM_NUMBER_MAX, "%" PRId64, v->i[i]);
        return v->i[i] == CM_I64_MISSING ? "" : buf;
    default:
        cm_format_f64(v->f[i], buf);
        return strcmp(buf, "nan") ? buf : "";
    }
}

/* Counts the cells for which both tables have the label with different values. */
static int compare(struct cm_source *s, const struct cm_frame *all, size_t theirs, size_t mine,
                   const uint64_t *at)
{
    const struct cm_h5col *a = &s->obs.col[mine], *b = &all->col[theirs];
    struct cm_vec va = {0}, vb = {0};
    uint64_t differ = 0;
    char x[CM_NUMBER_MAX], y[CM_NUMBER_MAX];
    int code = cm_frame_read(&s->obs, mine, 0, s->obs.rows, &va);
    code = code ? code : cm_frame_read(all, theirs, 0, all->rows, &vb);
    for (uint64_t i = 0; i < s->obs.rows && !code; i++)
        differ += at[i] != UINT64_MAX &&
                  strcmp(text_of(a, &va, (size_t)i, x), text_of(b, &vb, (size_t)at[i], y)) != 0;
    if (differ)
        cm_h5_warn(s->file,
                   "%s: label %s: /obs and %s/obs differ for %" PRIu64
                   " cells; those of the modality are taken",
                   s->file->name, a->name, s->root, differ);
    cm_vec_free(&va);
    cm_vec_free(&vb);
    return code;
}

/* "rna:x" is a copy of /mod/rna/obs/x, which mudata keeps in the table of all. */
static bool is_copy(const struct cm_h5 *h, const struct cm_strs *modalities, const char *name)
{
    const char *colon = strchr(name, ':');
    for (size_t k = 0; k < modalities->n && colon && colon[1]; k++) {
        const char *m = cm_strs_get(modalities, k);
        if (strlen(m) != (size_t)(colon - name) || strncmp(m, name, strlen(m)))
            continue;
        char *mod = cm_h5_join("/mod", m), *obs = cm_h5_join(mod, "obs");
        bool yes = cm_h5_there(h, obs, colon + 1);
        cm_free(mod);
        cm_free(obs);
        return yes;
    }
    return false;
}

static int join(struct cm_source *s, struct cm_frame *all, const struct cm_strs *modalities,
                uint64_t *at, bool *used)
{
    int code = 0;
    for (size_t k = 0; k < all->ncols && !code;) {
        size_t mine = cm_frame_find(&s->obs, all->col[k].name);
        if (is_copy(s->file, modalities, all->col[k].name)) {
            k++;
        } else if (mine != CM_ABSENT) {
            code = compare(s, all, k++, mine, at);
        } else {
            cm_frame_join(&s->obs, all, k, at);
            *used = true;
        }
    }
    return code;
}

static int join_obs(struct cm_source *s, const char *modality)
{
    struct cm_frame all = {0};
    struct cm_strs modalities = {0};
    enum cm_h5_object what = cm_h5_what(s->file, "/obs");
    bool used = false;
    if (what != CM_H5_GROUP)
        return what == CM_H5_ERROR ? cm_h5_trouble(s->file) : 0;
    int code = cm_frame_open(&all, s->file, "/obs", "/uns");
    if (code || !all.ncols) {
        cm_frame_close(&all);
        return code;
    }
    uint64_t *at = CM_NEW(s->obs.rows + 1, uint64_t);
    code = map_cells(s, &all, modality, at);
    if (!code)
        code = cm_h5_modalities(s->file, &modalities);
    if (!code)
        code = join(s, &all, &modalities, at, &used);
    if (!used)
        cm_free(at);
    cm_frame_close(&all);
    cm_strs_free(&modalities);
    return code < 0 ? code : 0;
}

int cm_source_open_mudata(struct cm_source *s, const struct cm_source_want *w)
{
    struct cm_strs names = {0};
    int code = cm_h5_modalities(s->file, &names);
    size_t k = w->modality ? 0 : names.n;
    while (!code && k < names.n && strcmp(cm_strs_get(&names, k), w->modality))
        k++;
    if (!code && k == names.n)
        code = w->modality
                   ? cm_h5_list_fail(s->file, "has no modality ", w->modality, &names)
                   : cm_h5_list_fail(s->file, "holds several modalities: name one as FILE/NAME", "",
                                     &names);
    if (!code) {
        s->root = cm_h5_join("/mod", w->modality);
        code = cm_source_open_anndata(s, w);
        code = code ? code : join_obs(s, w->modality);
    }
    cm_strs_free(&names);
    return code;
}
