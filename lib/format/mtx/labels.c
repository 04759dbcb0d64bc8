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

/* A table while its labels are made. */
struct table {
    const char *path;
    char separator;
    struct cm_lines lines; /* of a cell: what stands behind its name, once the cells are found */
    struct cm_strs names;  /* of the columns, without the first */
    struct cm_mtx_noted noted;
    const struct cm_strs *cells;
    size_t *line_of; /* of each cell, from 1; 0 = none */
};

static int table_open(struct table *t, const char *note)
{
    int code = cm_mtx_lines(t->path, &t->lines);
    if (!code && !t->lines.n)
        code = cm_fail(CM_EINPUT, "%s: is empty: expected a line of names", t->path);
    char *rest = code ? NULL : t->lines.line[0], *field;
    cm_lines_field(&rest, t->separator);
    while ((field = cm_lines_field(&rest, t->separator)))
        cm_strs_add(&t->names, field);
    if (note)
        cm_mtx_noted_read(&t->noted, note);
    t->line_of = CM_ZNEW(t->cells->n + 1, size_t);
    return code;
}

static void table_close(struct table *t)
{
    cm_lines_free(&t->lines);
    cm_strs_free(&t->names);
    cm_mtx_noted_free(&t->noted);
    cm_free(t->line_of);
}

/* Finds the line of every cell. */
static int find_cells(struct table *t, struct cm_strs *warnings)
{
    const struct cm_strs *cells = t->cells;
    struct cm_index x;
    size_t found = 0;
    int code = 0;
    cm_index_make(&x, cells);
    if (x.duplicate != CM_ABSENT)
        code = cm_fail(CM_EINPUT,
                       "%s: labels are found by the cell's name, but \"%s\" occurs twice among the "
                       "cells (rows %zu and %zu)",
                       t->path, cm_strs_get(cells, x.duplicate),
                       cm_index_find(&x, cm_strs_get(cells, x.duplicate)) + 1, x.duplicate + 1);
    for (size_t k = 1; k < t->lines.n && !code; k++) {
        char *rest = t->lines.line[k];
        size_t at = cm_index_find(&x, cm_lines_field(&rest, t->separator));
        if (at != CM_ABSENT && t->line_of[at])
            code = cm_fail(CM_EINPUT, "%s: line %zu: cell \"%s\" stands already in line %zu",
                           t->path, k + 1, cm_strs_get(cells, at), t->line_of[at]);
        else if (at != CM_ABSENT) {
            t->line_of[at] = k + 1;
            found++;
        }
        t->lines.line[k] = rest; /* NULL = no values */
    }
    cm_index_free(&x);
    if (!code && cells->n && !found)
        code =
            cm_fail(CM_EINPUT, "%s: its first column has none of the %zu cells", t->path, cells->n);
    if (!code && found < cells->n)
        cm_mtx_warn(warnings, "%s: %zu of %zu cells are not in it; their labels are missing",
                    t->path, cells->n - found, cells->n);
    return code;
}

/* The values of all cells as text, one vector a column. */
static int split_values(struct table *t, struct cm_vec *text)
{
    int code = 0;
    for (size_t i = 0; i < t->cells->n && !code; i++) {
        size_t line = t->line_of[i];
        char *rest = line ? t->lines.line[line - 1] : NULL;
        for (size_t k = 0; k < t->names.n && !code; k++) {
            const char *field = cm_lines_field(&rest, t->separator);
            if (!field && line)
                code = cm_fail(CM_EINPUT, "%s: line %zu: expected %zu columns, found %zu", t->path,
                               line, t->names.n + 1, k + 1);
            cm_strs_add(&text[k].s, field ? field : "");
        }
        if (!code && rest)
            code = cm_fail(CM_EINPUT, "%s: line %zu: expected %zu columns, found more", t->path,
                           line, t->names.n + 1);
    }
    for (size_t k = 0; k < t->names.n; k++) {
        text[k].n = t->cells->n;
        text[k].type = CM_T_STR;
    }
    return code;
}

static const enum cm_type *noted_type(const struct cm_mtx_noted *noted, const char *name)
{
    for (size_t k = noted->name.n; k-- > 0;) /* the last of equal names counts */
        if (!strcmp(cm_strs_get(&noted->name, k), name))
            return &noted->type[k];
    return NULL;
}

int cm_mtx_labels(const char *path, const char *note, const struct cm_strs *cells,
                  struct cm_head *head, struct cm_vec **out, struct cm_strs *warnings)
{
    struct table t = {.path = path, .separator = cm_mtx_separator(path), .cells = cells};
    int code = table_open(&t, note);
    code = code ? code : find_cells(&t, warnings);
    struct cm_vec *text = CM_ZNEW(t.names.n + 1, struct cm_vec);
    struct cm_vec *vec = *out = CM_ZNEW(t.names.n + 1, struct cm_vec);
    code = code ? code : split_values(&t, text);
    for (size_t k = 0; k < t.names.n && !code; k++) {
        const char *name = cm_strs_get(&t.names, k);
        if (!*name || cm_head_find_label(head, name) >= 0)
            code = cm_fail(CM_EINPUT, "%s: line 1: column %zu: expected a new name, found \"%s\"",
                           path, k + 2, name);
        else
            make_label(head, &vec[k], name, &text[k], noted_type(&t.noted, name));
    }
    for (size_t k = 0; k < t.names.n; k++)
        cm_vec_free(&text[k]);
    cm_free(text);
    table_close(&t);
    return code;
}
