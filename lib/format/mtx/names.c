/* format/mtx/names.c - names and tables of an MTX matrix; see mtxnames.h for the choice.
 *
 * A file is read whole (names are small beside entries) and cut in place.  Windows line ends, a
 * byte order mark, a missing last newline and blank lines at the end are nobody's fault and go by.
 */
#include "format/mtx/names.h"

#include <inttypes.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/lines.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/mtx/gz.h"
#include "stream/wire.h"

#define MAX_BYTES ((size_t)4 << 30)

/* Lines of a file, plain or gzipped. */
static int lines_read(const char *path, struct cm_lines *l)
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

static bool stem_ends(const char *path, const char *tail)
{
    size_t n = strlen(path), m = strlen(tail);
    n -= n > 3 && !strcmp(path + n - 3, ".gz") ? 3 : 0;
    return n >= m && !strncmp(path + n - m, tail, m);
}

static char separator(const char *path) { return stem_ends(path, ".csv") ? ',' : '\t'; }

static void warn(struct cm_strs *warnings, const char *format, ...) CM_PRINTF(2, 3);
static void warn(struct cm_strs *warnings, const char *format, ...)
{
    char text[CM_MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    cm_strs_add(warnings, text);
}

/* ===== header lines ======================================================================= */

static bool is_word(const char *s, const char *const *words)
{
    for (; *words; words++)
        if (!strcasecmp(s, *words))
            return true;
    return false;
}

/* Is the first line one of names of columns?  By its word, where the number of lines allows it:
 * nothing is dropped that could be a name.  A .csv of names always has one. */
static bool has_header(const struct cm_lines *l, const char *path, const struct cm_mtx_shape *shape)
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
    const char *word = cm_lines_field(&rest, separator(path));
    bool is_clear = is_word(word, clear), is_vague = is_word(word, vague);
    cm_free(copy);
    if (separator(path) == ',' || !shape)
        return (is_clear || is_vague) && separator(path) == ',';
    size_t n = l->n;
    bool fits = n == shape->rows || n == shape->cols;
    return (n - 1 == shape->rows || n - 1 == shape->cols) && (is_clear || (is_vague && !fits));
}

static void warn_header(const char *path, const char *line, struct cm_strs *warnings)
{
    if (separator(path) != ',')
        warn(warnings, "%s: line 1 (\"%.60s\") is taken for a header line", path, line);
}

int cm_mtx_barcodes(const char *path, const struct cm_mtx_shape *shape, struct cm_strs *names,
                    struct cm_strs *warnings)
{
    struct cm_lines l;
    int code = lines_read(path, &l);
    size_t from = !code && has_header(&l, path, shape);
    if (from)
        warn_header(path, l.line[0], warnings);
    for (size_t k = from; k < l.n && !code; k++) {
        char *rest = l.line[k];
        const char *name = cm_lines_field(&rest, separator(path));
        if (!*name)
            code = cm_fail(CM_EINPUT, "%s: line %zu: expected a barcode, found \"\"", path, k + 1);
        cm_strs_add(names, name);
    }
    cm_lines_free(&l);
    return code;
}

int cm_mtx_name_list(const char *path, struct cm_strs *names)
{
    struct cm_lines l;
    int code = lines_read(path, &l);
    for (size_t k = 0; k < l.n && !code; k++) {
        char *rest = l.line[k];
        cm_strs_add(names, cm_lines_field(&rest, separator(path)));
    }
    cm_lines_free(&l);
    return code;
}

/* ===== notes: "TYPE NAME" between tabs ==================================================== */

struct noted {
    struct cm_strs name;
    enum cm_type *type;
    size_t cap;
};

static void noted_free(struct noted *n)
{
    cm_strs_free(&n->name);
    cm_free(n->type);
}

static void noted_read(struct noted *n, const char *note)
{
    static const char *const type[] = {"cat ", "bool ", "i64 ", "f64 ", "str "};
    char *text = cm_strdup(note), *rest = text, *field;
    *n = (struct noted){0};
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

/* ===== features =========================================================================== */

static bool is_missing(const char *s)
{
    return !*s || !strcmp(s, "NA") || !strcmp(s, "nan") || !strcmp(s, "NaN");
}

/* Text v as values of a type; false (and *at the item) where one does not fit. */
static bool convert(const struct cm_vec *v, const char *name, enum cm_type type, struct cm_vec *to,
                    size_t *at)
{
    cm_vec_reset(to, name, type, v->n);
    for (size_t i = 0; i < v->n; i++) {
        const char *s = cm_strs_get(&v->s, i);
        bool ok = true;
        *at = i;
        if (is_missing(s))
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

static int bed(const char *path, struct cm_lines *l, struct cm_cols *cols)
{
    struct cm_strs chrom = {0};
    int64_t *start = CM_NEW(int64_t, l->n + 1), *end = CM_NEW(int64_t, l->n + 1);
    size_t n = 0;
    int code = 0;
    for (size_t k = 0; k < l->n && !code; k++) {
        char *rest = l->line[k], *field[3] = {0};
        if (*rest == '#' || !strncmp(rest, "track", 5) || !strncmp(rest, "browser", 7))
            continue;
        for (int f = 0; f < 3; f++)
            field[f] = cm_next_field(&rest);
        if (!field[2] || !*field[0] || !cm_parse_i64(field[1], &start[n]) ||
            !cm_parse_i64(field[2], &end[n])) {
            code = cm_fail(CM_EINPUT, "%s: line %zu: expected chrom, start, end between tabs", path,
                           k + 1);
            break;
        }
        struct cm_buf b = {0};
        cm_buf_printf(&b, "%s:%s-%s", field[0], field[1], field[2]);
        cm_strs_add(&cols->names, (char *)b.p);
        cm_strs_add(&chrom, field[0]);
        cm_buf_free(&b);
        n++;
    }
    if (!code && n) {
        cm_strs_copy(&cm_cols_vec(cols, "chrom", CM_T_STR)->s, &chrom);
        memcpy(cm_cols_vec(cols, "start", CM_T_I64)->i, start, n * sizeof *start);
        memcpy(cm_cols_vec(cols, "end", CM_T_I64)->i, end, n * sizeof *end);
    }
    cm_strs_free(&chrom);
    cm_free(start);
    cm_free(end);
    return code;
}

/* Column `from` of the text table (NULL = there is none) under a name and type. */
static int take_column(const char *path, struct cm_cols *cols, const struct cm_vec *from,
                       const char *name, enum cm_type type, bool must, struct cm_strs *warnings)
{
    struct cm_vec to = {0};
    size_t at = 0;
    int code = 0;
    if (!from)
        return must ? cm_fail(CM_EINPUT, "%s: has no column for %s", path, name) : 0;
    if (type == CM_T_STR) {
        cm_strs_copy(&cm_cols_vec(cols, name, CM_T_STR)->s, &from->s);
        return 0;
    }
    bool fits = convert(from, name, type, &to, &at);
    if (fits) {
        struct cm_vec *v = cm_cols_vec(cols, name, type);
        cm_vec_copy(v, &to);
    } else if (must) {
        code = cm_fail(CM_EINPUT, "%s: line %zu: %s: expected a number, found \"%.60s\"", path,
                       at + 1, name, cm_strs_get(&from->s, at));
    } else {
        struct cm_buf b = {0};
        cm_buf_printf(&b, "%s: line %zu: %s is no number (\"%.60s\"): places are left out", path,
                      at + 1, name, cm_strs_get(&from->s, at));
        cm_strs_add(warnings, (char *)b.p);
        cm_buf_free(&b);
        code = 1;
    }
    cm_vec_free(&to);
    return code;
}

/* ===== tables of features ================================================================= */

const struct cm_mtx_column cm_mtx_column[CM_MTX_COLUMNS] = {{"feature_name", CM_T_STR},
                                                            {"feature_types", CM_T_STR},
                                                            {"chrom", CM_T_STR},
                                                            {"start", CM_T_I64},
                                                            {"end", CM_T_I64}};
enum { NAME, TYPES, CHROM, START, END }; /* places in it */

/* A table of features as text, and which of its columns is what (0 = none: column 0 is the id). */
struct features {
    const char *path;
    struct cm_strs header; /* names of the columns, where there is a header line */
    struct cm_vec *column;
    size_t width, rows, is[CM_MTX_COLUMNS];
};

static void features_free(struct features *f)
{
    for (size_t k = 0; k < f->width; k++)
        cm_vec_free(&f->column[k]);
    cm_free(f->column);
    cm_strs_free(&f->header);
}

static int features_split(struct features *f, struct cm_lines *l, bool header, struct cm_cols *cols)
{
    char separates = separator(f->path), *rest;
    struct cm_strs first = {0};
    if (l->n) {
        char *copy = cm_strdup(l->line[0]);
        rest = copy;
        for (const char *s; (s = cm_lines_field(&rest, separates));)
            cm_strs_add(&first, s);
        cm_free(copy);
    }
    f->width = first.n;
    f->column = CM_ZNEW(struct cm_vec, f->width + 1);
    int code = 0;
    for (size_t k = header; k < l->n && !code; k++) {
        rest = l->line[k];
        for (size_t j = 0; j < f->width; j++) {
            const char *s = cm_lines_field(&rest, separates);
            cm_strs_add(j ? &f->column[j].s : &cols->names, s ? s : "");
        }
        if (!*cm_strs_get(&cols->names, f->rows++))
            code = cm_fail(CM_EINPUT, "%s: line %zu: expected a feature's id, found \"\"", f->path,
                           k + 1);
        else if (rest)
            code = cm_fail(CM_EINPUT, "%s: line %zu: expected %zu columns as in line 1, found more",
                           f->path, k + 1, f->width);
    }
    for (size_t j = 1; j < f->width; j++)
        f->column[j].n = f->rows;
    if (header)
        cm_strs_copy(&f->header, &first);
    cm_strs_free(&first);
    return code;
}

/* Are all values whole numbers (or missing, but not all of them)? */
static bool whole_numbers(const struct features *f, size_t column)
{
    int64_t number;
    bool any = false;
    if (column >= f->width)
        return false;
    for (size_t i = 0; i < f->rows; i++) {
        const char *s = cm_strs_get(&f->column[column].s, i);
        if (!is_missing(s) && !cm_parse_i64(s, &number))
            return false;
        any = any || !is_missing(s);
    }
    return any;
}

/* Does the column hold a type that any program gives features?  Biotypes, chromosomes and genomes
 * are none. */
static bool holds_types(const struct features *f, size_t column)
{
    static const char *const known[] = {
        "GEX", "ATAC",   "ADT", "CRISPR Guide Capture", "Multiplexing Capture", "Antigen Capture",
        "VDJ", "Custom", NULL};
    bool any = false;
    for (size_t i = 0; i < f->rows; i++) {
        const char *s = cm_strs_get(&f->column[column].s, i);
        if (is_word(cm_slot_alias(s), known))
            return true;
        any = any || !is_missing(s);
    }
    return !any; /* nothing said contradicts nothing */
}

static void by_position(struct features *f)
{
    f->is[NAME] = f->width > 1 ? 1 : 0;
    f->is[TYPES] = f->width > 2 ? 2 : 0;
    if (f->width >= 5 && !holds_types(f, 2) && whole_numbers(f, 3) && whole_numbers(f, 4)) {
        f->is[TYPES] = 0;
        f->is[CHROM] = 2;
        f->is[START] = 3;
        f->is[END] = 4;
    } else if (f->width >= 6) {
        f->is[CHROM] = 3;
        f->is[START] = 4;
        f->is[END] = 5;
    }
}

static void by_header(struct features *f)
{
    static const char *const words[CM_MTX_COLUMNS][7] = {
        {"feature_name", "gene_name", "gene_symbol", "symbol", "name", "gene_short_name"},
        {"feature_types", "feature_type", "type"},
        {"chrom", "chr", "chromosome", "seqnames"},
        {"start"},
        {"end"}};
    for (size_t j = 1; j < f->width; j++)
        for (size_t k = 0; k < CM_MTX_COLUMNS; k++)
            if (!f->is[k] && is_word(cm_strs_get(&f->header, j), words[k]))
                f->is[k] = j;
}

/* "protein_coding (2), lncRNA (1)": the first values of a column. */
static void describe(const struct features *f, size_t column, struct cm_buf *out)
{
    struct cm_strs value = {0};
    size_t count[4] = {0};
    bool more = false;
    for (size_t i = 0; i < f->rows; i++) {
        const char *s = cm_strs_get(&f->column[column].s, i);
        size_t k = 0;
        while (k < value.n && strcmp(cm_strs_get(&value, k), s))
            k++;
        if (k == value.n && k < 4)
            cm_strs_add(&value, s);
        more = more || k == 4;
        if (k < 4)
            count[k]++;
    }
    for (size_t k = 0; k < value.n; k++)
        cm_buf_printf(out, "%s%.40s (%zu)", k ? ", " : "", cm_strs_get(&value, k), count[k]);
    cm_buf_puts(out, more ? ", ..." : "");
    cm_buf_u8(out, 0);
    cm_strs_free(&value);
}

/* Missing chromosomes are empty, however they are written. */
static void clean_missing(struct cm_vec *v)
{
    struct cm_strs clean = {0};
    for (size_t i = 0; i < v->s.n; i++) {
        const char *s = cm_strs_get(&v->s, i);
        cm_strs_add(&clean, is_missing(s) ? "" : s);
    }
    cm_strs_free(&v->s);
    v->s = clean;
}

static void take_standard(const struct features *f, struct cm_cols *cols, struct cm_strs *warnings)
{
    static const size_t order[CM_MTX_COLUMNS] = {NAME, TYPES, START, END,
                                                 CHROM}; /* numbers decide */
    bool offsets = f->is[CHROM] && f->is[START] && f->is[END];
    if (offsets)
        clean_missing(&f->column[f->is[CHROM]]);
    for (size_t i = 0; i < CM_MTX_COLUMNS; i++) {
        size_t k = order[i];
        if (!f->is[k] || (k >= CHROM && !offsets))
            continue;
        if (take_column(f->path, cols, &f->column[f->is[k]], cm_mtx_column[k].name,
                        cm_mtx_column[k].type, false, warnings)) {
            cm_cols_drop(cols, "start");
            offsets = false;
        }
    }
}

/* Columns that a header names and that have no meaning here keep their names. */
static void take_named(const struct features *f, struct cm_cols *cols, struct cm_strs *warnings)
{
    for (size_t j = 1; j < f->header.n; j++) {
        const char *name = cm_strs_get(&f->header, j);
        bool taken = !*name || cm_cols_find(cols, name) || !strncmp(name, "fit.", 4) ||
                     !strcmp(name, "tss") || !strcmp(name, "name");
        for (size_t k = 0; k < CM_MTX_COLUMNS; k++)
            taken = taken || f->is[k] == j || !strcmp(name, cm_mtx_column[k].name);
        if (!taken)
            take_column(f->path, cols, &f->column[j], name, CM_T_STR, false, warnings);
    }
}

/* What mtx-write noted about the columns. */
static int take_noted(const struct features *f, const char *note, struct cm_cols *cols,
                      struct cm_strs *warnings)
{
    struct noted noted = {0};
    noted_read(&noted, note);
    size_t extra = CM_MTX_COLUMNS + 1;
    int code = 0;
    for (size_t k = 0; k < noted.name.n && !code; k++) {
        const char *name = cm_strs_get(&noted.name, k);
        size_t s = 0;
        while (s < CM_MTX_COLUMNS &&
               (strcmp(name, cm_mtx_column[s].name) || noted.type[k] != cm_mtx_column[s].type))
            s++;
        s = s < CM_MTX_COLUMNS ? s + 1 : extra++;
        enum cm_type type = noted.type[k] == CM_T_CAT ? CM_T_STR : noted.type[k];
        code = take_column(f->path, cols, s < f->width ? &f->column[s] : NULL, name, type, true,
                           warnings);
    }
    noted_free(&noted);
    return code;
}

static int take_table(struct features *f, const char *note, struct cm_cols *cols, bool *untyped,
                      struct cm_strs *warnings)
{
    if (note)
        return take_noted(f, note, cols, warnings);
    if (f->header.n)
        by_header(f);
    else
        by_position(f);
    size_t third = f->is[TYPES];
    *untyped = third ? !holds_types(f, third) : f->is[CHROM] == 2;
    if (third && *untyped) {
        struct cm_buf values = {0};
        describe(f, third, &values);
        warn(warnings,
             "%s: column %zu holds no types of features (%s): it becomes the column %s, and all "
             "features are read",
             f->path, third + 1, (const char *)values.p, CM_MTX_CLASS);
        cm_buf_free(&values);
        f->is[TYPES] = 0;
        take_column(f->path, cols, &f->column[third], CM_MTX_CLASS, CM_T_STR, false, warnings);
    }
    take_standard(f, cols, warnings);
    take_named(f, cols, warnings);
    return 0;
}

int cm_mtx_features(const char *path, const char *note, const struct cm_mtx_shape *shape,
                    struct cm_cols *cols, const char **slot, bool *untyped,
                    struct cm_strs *warnings)
{
    struct cm_lines l;
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    int code = lines_read(path, &l);
    *untyped = false;
    *slot = strstr(base, "peaks") || stem_ends(path, ".bed")        ? "ATAC"
            : strstr(base, "genes") || stem_ends(base, ".mtx_rows") ? "GEX"
                                                                    : NULL;
    if (!code && stem_ends(path, ".bed")) {
        code = bed(path, &l, cols);
    } else if (!code) {
        struct features f = {.path = path};
        bool header = !note && has_header(&l, path, shape);
        if (header)
            warn_header(path, l.line[0], warnings);
        code = features_split(&f, &l, header, cols);
        if (!code)
            code = take_table(&f, note, cols, untyped, warnings);
        features_free(&f);
    }
    cm_lines_free(&l);
    return code;
}

/* ===== labels ============================================================================= */

/* Text v into a label of the narrowest type (or the noted one) that holds it. */
static void make_label(struct cm_head *head, struct cm_vec *to, const char *name,
                       const struct cm_vec *v, const enum cm_type *noted)
{
    static const enum cm_type tried[] = {CM_T_I64, CM_T_F64, CM_T_CAT};
    size_t at;
    bool any = false;
    for (size_t i = 0; i < v->n; i++)
        any = any || !is_missing(cm_strs_get(&v->s, i));
    enum cm_type type = CM_T_CAT;
    if (noted && (*noted == CM_T_STR || *noted == CM_T_CAT || convert(v, name, *noted, to, &at)))
        type = *noted;
    else if (!noted && any)
        for (size_t k = 0; k < 3; k++)
            if (tried[k] == CM_T_CAT || convert(v, name, tried[k], to, &at)) {
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
            if (noted ? *s != 0 : !is_missing(s))
                to->cat[i] = cm_dict_code(&l->dict, s);
        }
    }
}

int cm_mtx_labels(const char *path, const char *note, const struct cm_strs *cells,
                  struct cm_head *head, struct cm_vec **out, struct cm_strs *warnings)
{
    struct cm_lines l;
    struct cm_strs names = {0};
    struct noted noted = {0};
    char csv = separator(path);
    int code = lines_read(path, &l);
    if (!code && !l.n)
        code = cm_fail(CM_EINPUT, "%s: is empty: expected a line of names", path);
    char *rest = code ? NULL : l.line[0], *field;
    cm_lines_field(&rest, csv);
    while ((field = cm_lines_field(&rest, csv)))
        cm_strs_add(&names, field);
    if (note)
        noted_read(&noted, note);
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
    noted_free(&noted);
    cm_lines_free(&l);
    return code;
}
