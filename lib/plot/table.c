/* plot/table.c - a table of text with a header line.  See table.h. */
#include "plot/table.h"

#include <math.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/lines.h"
#include "base/mem.h"
#include "base/text.h"

static int cut(struct cm_text_table *t, struct cm_lines *l)
{
    for (size_t i = 0; i < l->n; i++) {
        char *rest = l->line[i], *field;
        size_t n = 0;
        for (; (field = cm_lines_field(&rest, '\t')); n++)
            cm_strs_add(i ? &t->field : &t->name, field);
        t->columns = i ? t->columns : n;
        if (n != t->columns)
            return cm_fail(CM_EINPUT, "%s:%zu: %zu fields, the header has %zu", t->path, i + 1, n,
                           t->columns);
    }
    t->rows = l->n ? l->n - 1 : 0;
    return l->n ? 0 : cm_fail(CM_EINPUT, "%s: is empty, expected a table with a header", t->path);
}

int cm_text_table_read(struct cm_text_table *t, const char *path)
{
    struct cm_lines l = {0};
    *t = (struct cm_text_table){.path = cm_strdup(path)};
    int code = cm_lines_read(&l, path);
    if (!code)
        code = cut(t, &l);
    cm_lines_free(&l);
    if (code)
        cm_text_table_free(t);
    return code;
}

void cm_text_table_free(struct cm_text_table *t)
{
    cm_strs_free(&t->name);
    cm_strs_free(&t->field);
    cm_free(t->path);
    *t = (struct cm_text_table){0};
}

size_t cm_text_table_find(const struct cm_text_table *t, const char *column)
{
    for (size_t k = 0; k < t->columns; k++)
        if (!strcmp(cm_strs_get(&t->name, k), column))
            return k;
    return CM_ABSENT;
}

bool cm_text_table_filled(const struct cm_text_table *t, const char *column)
{
    size_t at = cm_text_table_find(t, column), i = 0;
    while (at != CM_ABSENT && i < t->rows && !*cm_text_table_get(t, i, at))
        i++;
    return at != CM_ABSENT && i < t->rows;
}

int cm_text_table_need(const struct cm_text_table *t, const char *column, size_t *at)
{
    struct cm_buf found = {0};
    *at = cm_text_table_find(t, column);
    if (*at != CM_ABSENT)
        return 0;
    for (size_t k = 0; k < t->columns && k < 20; k++)
        cm_buf_printf(&found, "%s%s", k ? ", " : "", cm_strs_get(&t->name, k));
    cm_buf_u8(&found, 0);
    cm_fail(CM_EINPUT, "%s: no column '%s'; columns here: %s", t->path, column, (char *)found.p);
    cm_buf_free(&found);
    return CM_EINPUT;
}

const char *cm_text_table_get(const struct cm_text_table *t, size_t row, size_t column)
{
    return cm_strs_get(&t->field, row * t->columns + column);
}

int cm_text_table_number(const struct cm_text_table *t, size_t row, size_t column, double *out)
{
    const char *text = cm_text_table_get(t, row, column);
    *out = NAN;
    if (!*text || !strcmp(text, "-") || cm_parse_f64(text, out))
        return 0;
    return cm_fail(CM_EINPUT, "%s:%zu: column %s: '%s' is no number", t->path, row + 2,
                   cm_strs_get(&t->name, column), text);
}
