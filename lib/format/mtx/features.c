/* format/mtx/features.c - the table of features of an MTX matrix. */
#include "format/mtx/names.h"

#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/mtx/table.h"

static int bed(const char *path, struct cm_lines *l, struct cm_cols *cols)
{
    struct cm_strs chrom = {0};
    int64_t *start = CM_NEW(l->n + 1, int64_t), *end = CM_NEW(l->n + 1, int64_t);
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
    bool fits = cm_mtx_convert(from, name, type, &to, &at);
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

const struct cm_mtx_column cm_mtx_column[CM_MTX_COLUMNS] = {{"feature_name", CM_T_STR},
                                                            {"feature_types", CM_T_STR},
                                                            {"chrom", CM_T_STR},
                                                            {"start", CM_T_I64},
                                                            {"end", CM_T_I64}};
enum { NAME, TYPES, CHROM, START, END }; /* indices of it */

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
    char separates = cm_mtx_separator(f->path), *rest;
    struct cm_strs first = {0};
    if (l->n) {
        char *copy = cm_strdup(l->line[0]);
        rest = copy;
        for (const char *s; (s = cm_lines_field(&rest, separates));)
            cm_strs_add(&first, s);
        cm_free(copy);
    }
    f->width = first.n;
    f->column = CM_ZNEW(f->width + 1, struct cm_vec);
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
        if (!cm_mtx_is_missing(s) && !cm_parse_i64(s, &number))
            return false;
        any = any || !cm_mtx_is_missing(s);
    }
    return any;
}

/* Does the column hold any known type of features?  Biotypes, chromosomes and genomes are not. */
static bool holds_types(const struct features *f, size_t column)
{
    static const char *const known[] = {
        "GEX", "ATAC",   "ADT", "CRISPR Guide Capture", "Multiplexing Capture", "Antigen Capture",
        "VDJ", "Custom", NULL};
    bool any = false;
    for (size_t i = 0; i < f->rows; i++) {
        const char *s = cm_strs_get(&f->column[column].s, i);
        if (cm_mtx_is_word(cm_slot_alias(s), known))
            return true;
        any = any || !cm_mtx_is_missing(s);
    }
    return !any; /* an empty column contradicts nothing */
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
            if (!f->is[k] && cm_mtx_is_word(cm_strs_get(&f->header, j), words[k]))
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
        cm_strs_add(&clean, cm_mtx_is_missing(s) ? "" : s);
    }
    cm_strs_free(&v->s);
    v->s = clean;
}

static void take_standard(const struct features *f, struct cm_cols *cols, struct cm_strs *warnings)
{
    static const size_t order[CM_MTX_COLUMNS] = {
        NAME, TYPES, START, END, CHROM}; /* numbers first: they decide whether chrom is taken */
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
    struct cm_mtx_noted noted = {0};
    cm_mtx_noted_read(&noted, note);
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
    cm_mtx_noted_free(&noted);
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
        cm_mtx_warn(
            warnings,
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
    int code = cm_mtx_lines(path, &l);
    *untyped = false;
    *slot = strstr(base, "peaks") || cm_mtx_stem_ends(path, ".bed")        ? "ATAC"
            : strstr(base, "genes") || cm_mtx_stem_ends(base, ".mtx_rows") ? "GEX"
                                                                           : NULL;
    if (!code && cm_mtx_stem_ends(path, ".bed")) {
        code = bed(path, &l, cols);
    } else if (!code) {
        struct features f = {.path = path};
        bool header = !note && cm_mtx_has_header(&l, path, shape);
        if (header)
            cm_mtx_warn_header(path, l.line[0], warnings);
        code = features_split(&f, &l, header, cols);
        if (!code)
            code = take_table(&f, note, cols, untyped, warnings);
        features_free(&f);
    }
    cm_lines_free(&l);
    return code;
}
