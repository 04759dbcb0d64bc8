/* format/hdf5/anndata.c - an AnnData: obs, var and X, raw or a layer. */
#include "format/hdf5/internal.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "format/hdf5/text.h"
#include "format/hdf5/attr.h"

/* A scalar text of uns into kv; other types are ignored. */
static int take_text(struct cm_h5 *h, const char *uns, const char *name, struct cm_kv *kv,
                     const char *key)
{
    struct cm_h5set s = {0};
    struct cm_strs v = {0};
    char *path = cm_h5_join(uns, name);
    int code = cm_h5_what(h, path) == CM_H5_DATASET ? cm_h5set_open(&s, h, path, NULL, 0) : 0;
    if (code == CM_EINPUT && !cm_h5_trouble(h)) {
        cm_h5_warn(h, "%s; left out", cm_error_message());
        code = 0;
    }
    if (!code && s.open && s.cls == CM_H5_STRING && s.rows == 1 && s.cols == 1) {
        code = cm_h5set_texts(&s, 0, 1, &v);
        if (!code)
            cm_kv_set(kv, key, cm_strs_get(&v, 0));
    }
    cm_h5set_close(&s);
    cm_strs_free(&v);
    cm_free(path);
    return code;
}

static int read_var(struct cm_source *s, struct cm_h5 *h, const char *path, const char *uns)
{
    struct cm_frame var;
    int code = cm_frame_open(&var, h, path, uns);
    if (code)
        return code;
    code = cm_frame_cols(&var, h, &s->cols);
    cm_frame_close(&var);
    return code;
}

/* A null dataset stands for None. */
static int is_none(const struct cm_h5 *h, const char *path, bool *none)
{
    char *e = NULL;
    int code = cm_h5_attr_text(h, path, "encoding-type", &e);
    *none = code > 0 && !strcmp(e, "null");
    cm_free(e);
    return code < 0 ? code : 0;
}

/* Where the matrix that was asked for stands, and its features. */
static void find_matrix(const struct cm_source *s, const char *layer, char **x, char **var)
{
    const struct cm_h5 *h = s->file;
    char *layers = cm_h5_join(s->root, "layers"), *raw = cm_h5_join(s->root, "raw");
    bool old = cm_h5_there(h, s->root, "raw.X"); /* before 0.7 */
    bool is_raw = !strcmp(layer, "raw") &&
                  (old || cm_h5_there(h, raw, "X") || !cm_h5_there(h, layers, "raw"));
    *var = cm_h5_join(s->root, !is_raw ? "var" : old ? "raw.var" : "raw/var");
    if (!strcmp(layer, "X"))
        *x = cm_h5_join(s->root, "X");
    else if (is_raw)
        *x = cm_h5_join(s->root, old ? "raw.X" : "raw/X");
    else
        *x = cm_h5_join(strncmp(layer, "layers/", 7) ? layers : s->root, layer);
    cm_free(layers);
    cm_free(raw);
}

/* X, raw or a layer with the features that belong to it. */
static int open_values(struct cm_source *s, const struct cm_source_want *w, const char *uns)
{
    struct cm_h5 *h = s->file;
    const char *layer = w->layer ? w->layer : "X";
    char *x, *var;
    bool none = false;
    find_matrix(s, layer, &x, &var);
    s->plain = !strcmp(layer, "X");
    s->has_matrix = !w->no_matrix && cm_h5_what(h, x) != CM_H5_ABSENT;
    int code = s->has_matrix && cm_h5_what(h, x) == CM_H5_DATASET ? is_none(h, x, &none) : 0;
    s->has_matrix = s->has_matrix && !none;
    if (!code && !s->has_matrix && !s->plain)
        code = cm_source_no_layer(s, layer);
    if (!code)
        code = read_var(s, h, var, uns);
    if (!code && s->has_matrix)
        code = cm_h5mat_open(&s->mat, h, x, s->obs.rows, s->cols.names.n, -1, w->max_memory);
    s->has_matrix = s->has_matrix && !code;
    if (!code)
        cm_source_cut(s, NULL);
    cm_free(x);
    cm_free(var);
    return code;
}

/* dataset_id, organism and method_id; and what h5-write noted. */
static int take_notes(struct cm_source *s, const struct cm_source_want *w, const char *uns)
{
    struct cm_kv ours = {0};
    int code = take_text(s->file, uns, "dataset_id", &s->kv, "h5.dataset_id");
    code = code ? code : take_text(s->file, uns, "organism", &s->kv, "h5.organism");
    code = code ? code : take_text(s->file, uns, "method_id", &s->kv, "h5.method_id");
    code = code ? code : take_text(s->file, uns, "cellmatch/slot", &ours, "slot");
    code = code ? code : take_text(s->file, uns, "cellmatch/state", &ours, "state");
    code = code ? code : take_text(s->file, uns, "cellmatch/values", &ours, "values");
    const char *slot = cm_kv_get(&ours, "slot");
    if (slot && !strcmp(slot, "X"))
        slot = NULL; /* the name of what has none: --type may give it one */
    if (!code && !w->obsm && (slot || w->modality))
        s->slot = cm_strdup(slot ? slot : cm_slot_alias(w->modality));
    if (!code && s->plain)
        code = cm_source_take_note(s, cm_kv_get(&ours, "state"), cm_kv_get(&ours, "values"));
    cm_kv_free(&ours);
    return code;
}

int cm_source_open_anndata(struct cm_source *s, const struct cm_source_want *w)
{
    char *obs = cm_h5_join(s->root, "obs"), *uns = cm_h5_join(s->root, "uns");
    int code = cm_frame_open(&s->obs, s->file, obs, uns);
    if (!code)
        code = w->obsm ? cm_source_open_obsm(s, w) : open_values(s, w, uns);
    if (!code)
        code = take_notes(s, w, uns);
    cm_free(obs);
    cm_free(uns);
    return code;
}
