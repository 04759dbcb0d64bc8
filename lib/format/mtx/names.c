/* format/mtx/names.c - names and tables of an MTX matrix; see mtxnames.h for the choice.
 *
 * A file is read whole (names are small beside entries) and cut in place.  Windows line ends, a
 * byte order mark, a missing last newline and blank lines at the end are nobody's fault and go by.
 */
#include "format/mtx/names.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "format/mtx/gz.h"
#include "stream/wire.h"

#define MOST_BYTES ((size_t)4 << 30)

/* Lines of a file, NUL-terminated in place. */
struct lines {
    struct cm_buf text;
    char **line;
    size_t n, cap;
};

static void lines_free(struct lines *l)
{
    cm_buf_free(&l->text);
    cm_free(l->line);
    *l = (struct lines){0};
}

static int lines_read(const char *path, struct lines *l)
{
    struct cm_gzin *g;
    *l = (struct lines){0};
    int code = cm_gzin_open(&g, path);
    if (!code)
        code = cm_gzin_all(g, MOST_BYTES, &l->text);
    cm_gzin_close(g);
    if (code)
        return code;
    size_t bytes = l->text.n;
    cm_buf_put(&l->text, "", 1);
    char *at = (char *)l->text.p, *end = at + bytes;
    if (bytes >= 3 && !memcmp(at, "\xef\xbb\xbf", 3))
        at += 3;
    while (at < end) {
        char *stop = memchr(at, '\n', (size_t)(end - at));
        stop = stop ? stop : end;
        CM_GROW(l->line, l->cap, l->n + 1);
        l->line[l->n++] = at;
        if (memchr(at, 0, (size_t)(stop - at)))
            return cm_fail(CM_EINPUT, "%s: line %zu: holds a zero byte: no text", path, l->n);
        if (stop > at && stop[-1] == '\r')
            stop[-1] = 0;
        *stop = 0;
        if (strlen(at) > CM_MAX_NAME)
            return cm_fail(CM_EINPUT, "%s: line %zu: longer than 64 KiB", path, l->n);
        at = stop + 1;
    }
    while (l->n && !*l->line[l->n - 1])
        l->n--;
    return 0;
}

static bool stem_ends(const char *path, const char *tail)
{
    size_t n = strlen(path), m = strlen(tail);
    n -= n > 3 && !strcmp(path + n - 3, ".gz") ? 3 : 0;
    return n >= m && !strncmp(path + n - m, tail, m);
}

int cm_mtx_barcodes(const char *path, struct cm_strs *names)
{
    struct lines l;
    int code = lines_read(path, &l);
    for (size_t k = 0; k < l.n && !code; k++) {
        size_t n = strcspn(l.line[k], "\t");
        if (!n)
            code = cm_fail(CM_EINPUT, "%s: line %zu: expected a barcode, found \"\"", path, k + 1);
        cm_strs_addn(names, l.line[k], n);
    }
    lines_free(&l);
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

static int bed(const char *path, struct lines *l, struct cm_cols *cols)
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

static int tsv(const char *path, const char *note, struct lines *l, struct cm_cols *cols,
               struct cm_strs *warnings)
{
    size_t width = 0;
    int code = 0;
    for (const char *p = l->n ? l->line[0] : NULL; p; p = strchr(p, '\t'), p += p != NULL)
        width++;
    struct cm_vec *column = CM_ZNEW(struct cm_vec, width + 1);
    for (size_t k = 0; k < l->n && !code; k++) {
        char *rest = l->line[k];
        for (size_t f = 0; f < width; f++) {
            const char *s = cm_next_field(&rest);
            cm_strs_add(f ? &column[f].s : &cols->names, s ? s : "");
        }
        if (!*cm_strs_get(&cols->names, k))
            code = cm_fail(CM_EINPUT, "%s: line %zu: expected a feature's id, found \"\"", path,
                           k + 1);
    }
    for (size_t f = 1; f < width; f++)
        column[f].n = l->n;
#define COLUMN(f) ((f) < width ? &column[f] : NULL)
    struct noted noted = {0};
    if (note)
        noted_read(&noted, note);
    size_t extra = 6;
    for (size_t k = 0; k < noted.name.n && !code; k++) {
        static const char *const fixed[] = {"feature_name", "feature_types", "chrom", "start",
                                            "end"};
        static const enum cm_type kind[] = {CM_T_STR, CM_T_STR, CM_T_STR, CM_T_I64, CM_T_I64};
        const char *name = cm_strs_get(&noted.name, k);
        size_t f = 0;
        while (f < 5 && (strcmp(name, fixed[f]) || noted.type[k] != kind[f]))
            f++;
        f = f < 5 ? f + 1 : extra++;
        enum cm_type type = noted.type[k] == CM_T_CAT ? CM_T_STR : noted.type[k];
        code = take_column(path, cols, COLUMN(f), name, type, true, warnings);
    }
    if (!note && !code) {
        take_column(path, cols, COLUMN(1), "feature_name", CM_T_STR, false, warnings);
        take_column(path, cols, COLUMN(2), "feature_types", CM_T_STR, false, warnings);
        if (width >= 6) {
            for (size_t i = 0; i < column[3].s.n; i++)
                if (!strcmp(cm_strs_get(&column[3].s, i), "NA")) {
                    struct cm_strs clean = {0};
                    for (size_t j = 0; j < column[3].s.n; j++) {
                        const char *s = cm_strs_get(&column[3].s, j);
                        cm_strs_add(&clean, is_missing(s) ? "" : s);
                    }
                    cm_strs_free(&column[3].s);
                    column[3].s = clean;
                    break;
                }
            if (!take_column(path, cols, COLUMN(4), "start", CM_T_I64, false, warnings) &&
                !take_column(path, cols, COLUMN(5), "end", CM_T_I64, false, warnings))
                take_column(path, cols, COLUMN(3), "chrom", CM_T_STR, false, warnings);
            else
                cm_cols_drop(cols, "start");
        }
    }
#undef COLUMN
    noted_free(&noted);
    for (size_t f = 0; f < width; f++)
        cm_vec_free(&column[f]);
    cm_free(column);
    return code;
}

int cm_mtx_features(const char *path, const char *note, struct cm_cols *cols, const char **slot,
                    struct cm_strs *warnings)
{
    struct lines l;
    const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
    int code = lines_read(path, &l);
    *slot = strstr(base, "peaks") || stem_ends(path, ".bed") ? "ATAC"
            : strstr(base, "genes")                          ? "GEX"
                                                             : NULL;
    if (!code)
        code = stem_ends(path, ".bed") ? bed(path, &l, cols) : tsv(path, note, &l, cols, warnings);
    lines_free(&l);
    return code;
}

/* ===== labels ============================================================================= */

/* The next field of a line; in a CSV quotes hold commas and doubled quotes.  NULL at the end. */
static char *next_cell(char **rest, bool csv)
{
    if (!csv || !*rest)
        return cm_next_field(rest);
    char *from = *rest, *to = from, *at = from;
    bool quoted = false;
    for (; *at && (quoted || *at != ','); at++) {
        if (*at == '"' && quoted && at[1] == '"')
            *to++ = *at++;
        else if (*at == '"')
            quoted = !quoted;
        else
            *to++ = *at;
    }
    *rest = *at ? at + 1 : NULL;
    *to = 0;
    return from;
}

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
    struct lines l;
    struct cm_strs names = {0};
    struct noted noted = {0};
    bool csv = stem_ends(path, ".csv");
    int code = lines_read(path, &l);
    if (!code && !l.n)
        code = cm_fail(CM_EINPUT, "%s: is empty: expected a line of names", path);
    char *rest = code ? NULL : l.line[0], *field;
    next_cell(&rest, csv);
    while ((field = next_cell(&rest, csv)))
        cm_strs_add(&names, field);
    if (note)
        noted_read(&noted, note);
    /* line of each cell */
    struct cm_index x;
    cm_index_make(&x, cells);
    size_t *line = CM_ZNEW(size_t, cells->n + 1), found = 0;
    for (size_t k = 1; k < l.n && !code; k++) {
        rest = l.line[k];
        size_t at = cm_index_find(&x, next_cell(&rest, csv));
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
            field = next_cell(&rest, csv);
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
    lines_free(&l);
    return code;
}
