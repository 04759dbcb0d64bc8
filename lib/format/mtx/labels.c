/* format/mtx/labels.c - labels of cells from a table beside an MTX matrix. */
#include "format/mtx/names.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "format/mtx/table.h"

/* Text v into a label of the narrowest type (or the noted one) that holds it. */
static void make_label(struct cm_head *head, struct cm_vec *to, const char *name,
                       const struct cm_vec *v, const enum cm_type *noted)
{
    static const enum cm_type tried[] = {CM_T_I64, CM_T_F64, CM_T_CAT};
    size_t at;
    bool any = false;
    for (size_t i = 0; i < v->n; i++)
        any = any || !cm_mtx_is_missing(cm_strs_get(&v->s, i));
    enum cm_type type = CM_T_CAT;
    if (noted &&
        (*noted == CM_T_STR || *noted == CM_T_CAT || cm_mtx_convert(v, name, *noted, to, &at)))
        type = *noted;
    else if (!noted && any)
        for (size_t k = 0; k < 3; k++)
            if (tried[k] == CM_T_CAT || cm_mtx_convert(v, name, tried[k], to, &at)) {
                type = tried[k];
                break;
            }
    struct cm_label *l = cm_head_add_label(head, name, type, -1);
    if (type == CM_T_STR) {
        cm_vec_copy(to, v);
        cm_free(to->name);
        to->name = cm_strdup(name);
    } else if (type == CM_T_CAT) {
        cm_vec_reset(to, name, CM_T_CAT, v->n);
        for (size_t i = 0; i < v->n; i++) {
            const char *s = cm_strs_get(&v->s, i);
            if (noted ? *s != 0 : !cm_mtx_is_missing(s))
                to->cat[i] = cm_dict_code(&l->dict, s);
        }
    }
}

int cm_mtx_labels(const char *path, const char *note, const struct cm_strs *cells,
                  struct cm_head *head, struct cm_vec **out, struct cm_strs *warnings)
{
    struct cm_lines l;
    struct cm_strs names = {0};
    struct cm_mtx_noted noted = {0};
    char csv = cm_mtx_separator(path);
    int code = cm_mtx_lines(path, &l);
    if (!code && !l.n)
        code = cm_fail(CM_EINPUT, "%s: is empty: expected a line of names", path);
    char *rest = code ? NULL : l.line[0], *field;
    cm_lines_field(&rest, csv);
    while ((field = cm_lines_field(&rest, csv)))
        cm_strs_add(&names, field);
    if (note)
        cm_mtx_noted_read(&noted, note);
    /* line of each cell */
    struct cm_index x;
    cm_index_make(&x, cells);
    if (!code && x.duplicate != CM_ABSENT)
        code = cm_fail(CM_EINPUT,
                       "%s: labels are found by the cell's name, but \"%s\" occurs twice among the "
                       "cells (rows %zu and %zu)",
                       path, cm_strs_get(cells, x.duplicate),
                       cm_index_find(&x, cm_strs_get(cells, x.duplicate)) + 1, x.duplicate + 1);
    size_t *line = CM_ZNEW(size_t, cells->n + 1), found = 0;
    for (size_t k = 1; k < l.n && !code; k++) {
        rest = l.line[k];
        size_t at = cm_index_find(&x, cm_lines_field(&rest, csv));
        if (at != CM_ABSENT && line[at])
            code = cm_fail(CM_EINPUT, "%s: line %zu: cell \"%s\" stands already in line %zu", path,
                           k + 1, cm_strs_get(cells, at), line[at]);
        else if (at != CM_ABSENT) {
            line[at] = k + 1;
            found++;
        }
        l.line[k] = rest; /* the values behind the name; NULL = none */
    }
    cm_index_free(&x);
    if (!code && cells->n && !found)
        code = cm_fail(CM_EINPUT, "%s: its first column has none of the %zu cells", path, cells->n);
    if (!code && found < cells->n) {
        struct cm_buf b = {0};
        cm_buf_printf(&b, "%s: %zu of %zu cells are not in it; their labels are missing", path,
                      cells->n - found, cells->n);
        cm_strs_add(warnings, (char *)b.p);
        cm_buf_free(&b);
    }
    struct cm_vec *text = CM_ZNEW(struct cm_vec, names.n + 1);
    for (size_t i = 0; i < cells->n && !code; i++) {
        rest = line[i] ? l.line[line[i] - 1] : NULL;
        for (size_t k = 0; k < names.n && !code; k++) {
            field = cm_lines_field(&rest, csv);
            if (!field && line[i])
                code = cm_fail(CM_EINPUT, "%s: line %zu: expected %zu columns, found %zu", path,
                               line[i], names.n + 1, k + 1);
            cm_strs_add(&text[k].s, field ? field : "");
        }
        if (!code && rest)
            code = cm_fail(CM_EINPUT, "%s: line %zu: expected %zu columns, found more", path,
                           line[i], names.n + 1);
    }
    struct cm_vec *vec = *out = CM_ZNEW(struct cm_vec, names.n + 1);
    for (size_t k = 0; k < names.n && !code; k++) {
        const char *name = cm_strs_get(&names, k);
        const enum cm_type *type = NULL;
        for (size_t t = 0; t < noted.name.n; t++)
            if (!strcmp(cm_strs_get(&noted.name, t), name))
                type = &noted.type[t];
        text[k].n = cells->n;
        text[k].type = CM_T_STR;
        if (!*name || cm_head_find_label(head, name) >= 0)
            code = cm_fail(CM_EINPUT, "%s: line 1: column %zu: expected a new name, found \"%s\"",
                           path, k + 2, name);
        else
            make_label(head, &vec[k], name, &text[k], type);
    }
    for (size_t k = 0; k < names.n; k++)
        cm_vec_free(&text[k]);
    cm_free(text);
    cm_free(line);
    cm_strs_free(&names);
    cm_mtx_noted_free(&noted);
    cm_lines_free(&l);
    return code;
}
