/* format/hdf5/loom.c - loom: a dense matrix of features x cells, and attributes of both. */
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "format/hdf5/text.h"
#include "format/hdf5/internal.h"

static bool is_text(const struct cm_h5 *h, const char *path)
{
    struct cm_h5set s;
    if (cm_h5_what(h, path) != CM_H5_DATASET || cm_h5set_open(&s, h, path, NULL, 0))
        return false;
    bool yes = s.cls == CM_H5_STRING && s.rank == 1;
    cm_h5set_close(&s);
    return yes;
}

static int all_differ(struct cm_h5 *h, const char *path, bool *differ)
{
    struct cm_h5set s;
    struct cm_strs names = {0};
    int code = cm_h5set_open(&s, h, path, NULL, 0);
    if (code)
        return code;
    code = cm_h5set_texts(&s, 0, s.rows, &names);
    struct cm_index x;
    cm_index_make(&x, &names);
    *differ = x.duplicate == CM_ABSENT;
    cm_index_free(&x);
    cm_strs_free(&names);
    cm_h5set_close(&s);
    return code;
}

/* No attribute has a usual name: takes the only text attribute, if its values are unique. */
static int only_text(struct cm_h5 *h, const char *group, const struct cm_strs *member,
                     const char *option, const char **id)
{
    struct cm_strs text = {0};
    int code = 0;
    bool differ = false;
    for (size_t k = 0; k < member->n; k++) {
        char *path = cm_h5_join(group, cm_strs_get(member, k));
        if (is_text(h, path))
            cm_strs_add(&text, cm_strs_get(member, k));
        cm_free(path);
    }
    for (size_t k = 0; k < member->n && text.n == 1 && !*id; k++)
        if (!strcmp(cm_strs_get(member, k), cm_strs_get(&text, 0)))
            *id = cm_strs_get(member, k);
    if (*id) {
        char *path = cm_h5_join(group, *id);
        code = all_differ(h, path, &differ);
        cm_free(path);
    }
    if (!code && differ) {
        cm_h5_warn(h, "%s: %s: named by its only attribute of text, %s (%s NAME names another)",
                   h->name, group, *id, option);
    } else if (!code) {
        char ask[128];
        snprintf(ask, sizeof ask, ": which attribute names its members? Choose with %s", option);
        char *what = cm_h5_join(group, "");
        what[strlen(what) - 1] = 0;
        struct cm_buf b = {0};
        cm_buf_printf(&b, "%s%s", what, ask);
        code = cm_h5_list_fail(h, "", (const char *)b.p, member);
        cm_buf_free(&b);
        cm_free(what);
    }
    cm_strs_free(&text);
    return code;
}

/* A table: names from the attribute `asked`, or the first of `usual` that is there; columns from
 * the rest. */
static int open_attrs(struct cm_frame *f, struct cm_h5 *h, const char *group,
                      const char *const usual[4], const char *asked, const char *option)
{
    struct cm_strs member = {0};
    const char *id = NULL;
    int code = cm_h5_members(h, group, &member);
    for (size_t k = 0; k < member.n && !code && asked && !id; k++)
        if (!strcmp(cm_strs_get(&member, k), asked))
            id = cm_strs_get(&member, k);
    for (size_t k = 0; k < 4 && !code && !asked && !id; k++)
        if (cm_h5_there(h, group, usual[k]))
            id = usual[k];
    if (!code && !id && asked) {
        struct cm_buf b = {0};
        cm_buf_printf(&b, "%s: has no attribute ", group);
        code = cm_h5_list_fail(h, (const char *)b.p, asked, &member);
        cm_buf_free(&b);
    } else if (!code && !id) {
        code = only_text(h, group, &member, option, &id);
    }
    char *path = code ? NULL : cm_h5_join(group, id);
    code = code ? code : cm_frame_open_names(f, h, path);
    cm_free(path);
    for (size_t k = 0; k < member.n && code >= 0; k++) {
        const char *name = cm_strs_get(&member, k);
        if (!strcmp(name, id))
            continue;
        path = cm_h5_join(group, name);
        code = cm_frame_add(f, h, path, name, NULL, NULL);
        cm_free(path);
    }
    cm_strs_free(&member);
    return code < 0 ? code : 0;
}

int cm_source_open_loom(struct cm_source *s, const struct cm_source_want *w)
{
    static const char *const cell[] = {"CellID", "obs_names", "cell_names", "barcode"};
    static const char *const gene[] = {"Gene", "var_names", "Accession", "gene_name"};
    struct cm_h5 *h = s->file;
    struct cm_frame var = {0};
    const char *layer = w->layer && !strncmp(w->layer, "layers/", 7) ? w->layer + 7 : w->layer;
    bool plain = !w->layer || !strcmp(w->layer, "X");
    char *x = plain ? cm_strdup("/matrix") : cm_h5_join("/layers", layer);
    h->entities = true;
    int code = open_attrs(&s->obs, h, "/col_attrs", cell, w->cell_names, "--cell-names");
    if (!code)
        code = open_attrs(&var, h, "/row_attrs", gene, w->feature_names, "--feature-names");
    if (!code)
        code = cm_frame_cols(&var, h, &s->cols);
    cm_frame_close(&var);
    enum cm_h5_object what = cm_h5_what(h, x);
    if (!code && what == CM_H5_ABSENT && !plain)
        code = cm_source_no_layer(s, w->layer);
    else if (!code && what != CM_H5_DATASET)
        code = cm_h5_unexpected(h, x, "a dataset");
    if (!code)
        code = cm_h5mat_open(&s->mat, h, x, s->obs.rows, s->cols.names.n, CM_H5_TRANSPOSED,
                             w->max_memory);
    if (!code) {
        s->has_matrix = true;
        s->plain = plain;
        cm_types_cut(&s->types, s->cols.names.n, NULL, NULL, NULL);
    }
    cm_free(x);
    return code;
}
