/* format/mtx/table.c - tables of text beside a matrix: lines, header lines, notes, conversion.
 *
 * A file is read whole (names are small beside entries) and cut in place.  Windows line ends, a
 * byte order mark, a missing last newline and blank lines at the end are nobody's fault and go by.
 */
#include "format/mtx/table.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/gzin.h"
#include "stream/wire.h"

#define MAX_BYTES ((size_t)4 << 30)

/* Lines of a file, plain or gzipped. */
int cm_mtx_lines(const char *path, struct cm_lines *l)
{
    struct cm_gzin *g;
    *l = (struct cm_lines){0};
    int code = cm_gzin_open(&g, path);
    if (!code)
        code = cm_gzin_all(g, MAX_BYTES, &l->text);
    cm_gzin_close(g);
    if (!code)
        code = cm_lines_cut(l, path);
    for (size_t k = 0; k < l->n && !code; k++)
        if (strlen(l->line[k]) > CM_MAX_NAME)
            code = cm_fail(CM_EINPUT, "%s: line %zu: longer than 64 KiB", path, k + 1);
    return code;
}

bool cm_mtx_stem_ends(const char *path, const char *tail)
{
    size_t n = strlen(path), m = strlen(tail);
    n -= n > 3 && !strcmp(path + n - 3, ".gz") ? 3 : 0;
    return n >= m && !strncmp(path + n - m, tail, m);
}

char cm_mtx_separator(const char *path) { return cm_mtx_stem_ends(path, ".csv") ? ',' : '\t'; }

void cm_mtx_warn(struct cm_strs *warnings, const char *format, ...)
{
    char text[CM_MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    cm_strs_add(warnings, text);
}

bool cm_mtx_is_word(const char *s, const char *const *words)
{
    for (; *words; words++)
        if (!strcasecmp(s, *words))
            return true;
    return false;
}

/* Is the first line one of names of columns?  By its word, where the number of lines allows it:
 * nothing is dropped that could be a name.  A .csv of names always has one. */
bool cm_mtx_has_header(const struct cm_lines *l, const char *path, const struct cm_mtx_shape *shape)
{
    static const char *const clear[] = {
        "barcode",  "barcodes",     "cell_id",     "cellid",     "cell.id",    "cell_name",
        "cellname", "cell_barcode", "bc_wells",    "gene_id",    "gene_ids",   "geneid",
        "gene.id",  "gene_name",    "gene_symbol", "feature_id", "ensembl_id", NULL};
    static const char *const vague[] = {"",     "x",     "v1",       "id",         "name",
                                        "cell", "cells", "rownames", "unnamed: 0", "index",
                                        "gene", "genes", "feature",  "features",   "symbol",
                                        "peak", "peaks", "region",   NULL};
    if (!l->n)
        return false;
    char *copy = cm_strdup(l->line[0]), *rest = copy;
    const char *word = cm_lines_field(&rest, cm_mtx_separator(path));
    bool is_clear = cm_mtx_is_word(word, clear), is_vague = cm_mtx_is_word(word, vague);
    cm_free(copy);
    if (cm_mtx_separator(path) == ',' || !shape)
        return (is_clear || is_vague) && cm_mtx_separator(path) == ',';
    size_t n = l->n;
    bool fits = n == shape->rows || n == shape->cols;
    return (n - 1 == shape->rows || n - 1 == shape->cols) && (is_clear || (is_vague && !fits));
}

void cm_mtx_warn_header(const char *path, const char *line, struct cm_strs *warnings)
{
    if (cm_mtx_separator(path) != ',')
        cm_mtx_warn(warnings, "%s: line 1 (\"%.60s\") is taken for a header line", path, line);
}

void cm_mtx_noted_free(struct cm_mtx_noted *n)
{
    cm_strs_free(&n->name);
    cm_free(n->type);
}

void cm_mtx_noted_read(struct cm_mtx_noted *n, const char *note)
{
    static const char *const type[] = {"cat ", "bool ", "i64 ", "f64 ", "str "};
    char *text = cm_strdup(note), *rest = text, *field;
    *n = (struct cm_mtx_noted){0};
    while ((field = cm_next_field(&rest)))
        for (int t = 0; t < 5; t++)
            if (!strncmp(field, type[t], strlen(type[t]))) {
                field += strlen(type[t]);
                cm_unescape(field);
                CM_GROW(n->type, n->cap, n->name.n + 1);
                n->type[n->name.n] = (enum cm_type)t;
                cm_strs_add(&n->name, field);
                break;
            }
    cm_free(text);
}

bool cm_mtx_is_missing(const char *s)
{
    return !*s || !strcmp(s, "NA") || !strcmp(s, "nan") || !strcmp(s, "NaN");
}

/* Text v as values of a type; false (and *at the item) where one does not fit. */
bool cm_mtx_convert(const struct cm_vec *v, const char *name, enum cm_type type, struct cm_vec *to,
                    size_t *at)
{
    cm_vec_reset(to, name, type, v->n);
    for (size_t i = 0; i < v->n; i++) {
        const char *s = cm_strs_get(&v->s, i);
        bool ok = true;
        *at = i;
        if (cm_mtx_is_missing(s))
            continue;
        if (type == CM_T_I64)
            ok = cm_parse_i64(s, &to->i[i]);
        else if (type == CM_T_F64)
            ok = cm_parse_f64(s, &to->f[i]);
        else if (type == CM_T_BOOL && (ok = !strcmp(s, "true") || !strcmp(s, "false")))
            to->b[i] = *s == 't';
        if (!ok)
            return false;
    }
    return true;
}
