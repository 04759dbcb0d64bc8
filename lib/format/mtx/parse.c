/* format/mtx/parse.c - parsing MTX text.  See parse.h.
 *
 * The hot loop knows one thing: digits, blank, digits, blank, digits, line end.  Anything else
 * (comment, blank line, signed or decimal value, CR, mistake) goes to slower code.  The NUL behind
 * the text stops every loop, so that no end is compared with.
 */
#include "format/mtx/parse.h"

#include <float.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/sniff.h"
#include "base/utf8.h"
#include "stream/wire.h"

#define MAX 9007199254740992.0 /* 2^53: beyond it doubles skip whole numbers */

/* ===== front ============================================================================== */

void cm_mtx_front_free(struct cm_mtx_front *f)
{
    cm_free(f->slot);
    cm_free(f->state);
    cm_free(f->columns);
    cm_free(f->labels);
    cm_kv_free(&f->fit);
    cm_kv_free(&f->kv);
    *f = (struct cm_mtx_front){0};
}

/* The start of a line for a message: what can be shown, at most 60 characters. */
static void show(char out[72], const char *line, size_t n)
{
    size_t k = 0;
    n -= n && line[n - 1] == '\r';
    for (; k < n && k < 60; k++)
        out[k] = (char)(line[k] == '\t' ? ' ' : line[k] < 32 || line[k] > 126 ? '?' : line[k]);
    strcpy(out + k, k < n ? "..." : "");
}

static int front_fail(const char *name, uint64_t line, const char *expected, const char *at,
                      size_t n)
{
    char found[72];
    show(found, at, n);
    return cm_fail(CM_EINPUT, "%s: line %" PRIu64 ": expected %s, found \"%s\"", name, line,
                   expected, found);
}

/* The words of a line, lower-case, at most `max`. */
static size_t words(const char *line, size_t n, char word[][24], size_t max)
{
    size_t k = 0, at = 0;
    while (at < n) {
        while (at < n && (line[at] == ' ' || line[at] == '\t' || line[at] == '\r'))
            at++;
        size_t from = at;
        while (at < n && line[at] != ' ' && line[at] != '\t' && line[at] != '\r')
            at++;
        if (at == from)
            break;
        if (k == max)
            return max + 1;
        snprintf(word[k++], 24, "%.*s", (int)(at - from < 23 ? at - from : 23), line + from);
    }
    return k;
}

static int banner(struct cm_mtx_shape *s, const char *name, const char *line, size_t n)
{
    static const char *const fields[][2] = {{"integer", "0"},
                                            {"unsigned-integer", "0"},
                                            {"real", "1"},
                                            {"double", "1"},
                                            {"pattern", "2"}};
    char word[5][24];
    const char *kind = cm_sniff(line, n);
    size_t k = words(line, n, word, 5);
    if ((k < 1 || strcasecmp(word[0], "%%MatrixMarket")) && strchr(kind, '('))
        return cm_fail(CM_EINPUT, "%s: expected a Matrix Market file, found %s", name, kind);
    if (k < 1 || strcasecmp(word[0], "%%MatrixMarket"))
        return front_fail(name, 1, "%%MatrixMarket matrix coordinate ...", line, n);
    if (k < 5 || strcasecmp(word[1], "matrix"))
        return front_fail(name, 1, "%%MatrixMarket matrix coordinate FIELD SYMMETRY", line, n);
    if (strcasecmp(word[2], "coordinate"))
        return front_fail(name, 1, "the sparse format, coordinate", word[2], strlen(word[2]));
    size_t f = 0;
    while (f < 5 && strcasecmp(word[3], fields[f][0]))
        f++;
    if (f == 5)
        return front_fail(name, 1, "integer, real or pattern", word[3], strlen(word[3]));
    s->field = (enum cm_mtx_field)(fields[f][1][0] - '0');
    s->symmetric = !strcasecmp(word[4], "symmetric");
    if (!s->symmetric && strcasecmp(word[4], "general"))
        return front_fail(name, 1, "general or symmetric", word[4], strlen(word[4]));
    return 0;
}

static int sizes(struct cm_mtx_shape *s, const char *name, uint64_t number, const char *line,
                 size_t n)
{
    static const char *const expected = "three whole numbers: rows, columns, entries";
    char word[4][24];
    uint64_t v[3];
    if (words(line, n, word, 3) != 3)
        return front_fail(name, number, expected, line, n);
    for (size_t k = 0; k < 3; k++) {
        size_t digits = strspn(word[k], "0123456789");
        if (!digits || word[k][digits] || digits > 18)
            return front_fail(name, number, expected, line, n);
        v[k] = strtoull(word[k], NULL, 10);
    }
    if (v[0] >= UINT32_MAX || v[1] >= UINT32_MAX || v[2] >= CM_MAX_NNZ)
        return front_fail(name, number, "less than 2^32 - 1 rows and columns and 2^40 entries",
                          line, n);
    s->rows = v[0];
    s->cols = v[1];
    s->entries = v[2];
    if (s->symmetric && v[0] != v[1])
        return front_fail(name, number, "as many rows as columns (symmetric)", line, n);
    return 0;
}

/* "%cellmatch: KEY REST" of mtx-write. */
static void take_note(struct cm_mtx_front *f, const char *line, size_t n)
{
    static const char front[] = "%cellmatch: ";
    struct {
        const char *key;
        char **to;
    } known[] = {{"slot ", &f->slot},     {"state ", &f->state}, {"columns ", &f->columns},
                 {"labels ", &f->labels}, {"fit ", NULL},        {"key ", NULL}};
    size_t m = sizeof front - 1;
    n -= n && line[n - 1] == '\r';
    if (n >= 15 && !memcmp(line, "%metadata_json:", 15))
        f->cells_columns = true;
    if (n < m || memcmp(line, front, m))
        return;
    f->cells_columns = true;
    line += m;
    n -= m;
    for (size_t k = 0; k < 6; k++) {
        size_t key = strlen(known[k].key);
        if (n < key || memcmp(line, known[k].key, key) || memchr(line, 0, n))
            continue;
        char *value = CM_NEW(n - key + 1, char), *tab;
        memcpy(value, line + key, n - key);
        value[n - key] = 0;
        if (known[k].to) {
            cm_free(*known[k].to);
            *known[k].to = value;
            continue;
        }
        if ((tab = strchr(value, '\t'))) {
            *tab++ = 0;
            cm_unescape(value);
            cm_unescape(tab);
            cm_kv_set(k == 4 ? &f->fit : &f->kv, value, tab);
        }
        cm_free(value);
    }
}

int cm_mtx_front_parse(struct cm_mtx_front *f, const char *name, const char *text, size_t n)
{
    size_t at = 0;
    if (n >= 3 && !memcmp(text, "\xef\xbb\xbf", 3)) /* byte order mark */
        at = 3;
    for (;;) {
        const char *line = text + at, *end = memchr(line, '\n', n - at);
        if (at == n)
            return cm_fail(CM_EINPUT, "%s: %s", name,
                           f->lines ? "ends before the line of sizes" : "is empty");
        if (!end && n - at > 1000000)
            return cm_fail(CM_EINPUT, "%s: line %" PRIu64 " has no end: no MTX file", name,
                           f->lines + 1);
        size_t len = end ? (size_t)(end - line) : n - at;
        at += len + (end != NULL);
        f->lines++;
        f->bytes = at;
        if (f->lines == 1) {
            int code = banner(&f->shape, name, line, len);
            if (code)
                return code;
            continue;
        }
        if (len && *line == '%') {
            take_note(f, line, len);
            continue;
        }
        size_t blank = 0;
        while (blank < len && (line[blank] == ' ' || line[blank] == '\t' || line[blank] == '\r'))
            blank++;
        if (blank < len)
            return sizes(&f->shape, name, f->lines, line, len);
    }
}

/* ===== body =============================================================================== */

void cm_mtx_piece_free(struct cm_mtx_piece *p)
{
    cm_free(p->cell);
    cm_free(p->feature);
    cm_free(p->value);
    *p = (struct cm_mtx_piece){0};
}

static const char *line_end(const char *p)
{
    while (*p != '\n' && *p)
        p++;
    return p;
}

/* A value that is no plain run of digits.  Returns behind it, or NULL; *v may be infinite. */
static const char *slow_value(const char *p, double *v)
{
    static const double power[] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,
                                   1e8,  1e9,  1e10, 1e11, 1e12, 1e13, 1e14, 1e15,
                                   1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};
    const char *token = p;
    bool minus = *p == '-';
    p += *p == '-' || *p == '+';
    uint64_t m = 0;
    int digits = 0, scale = 0;
    bool any = false, exact = true;
    for (bool point = false; (*p >= '0' && *p <= '9') || (*p == '.' && !point); p++) {
        if (*p == '.') {
            point = true;
            continue;
        }
        any = true;
        if (digits < 18) {
            m = m * 10 + (uint64_t)(*p - '0');
            digits += m != 0;
            scale -= point;
        } else {
            exact = exact && *p == '0';
            scale += !point;
        }
    }
    if (!any) {
        char word[4] = {0};
        for (size_t k = 0; k < 3 && p[k]; k++)
            word[k] = p[k];
        if (strcasecmp(word, "nan") && strcasecmp(word, "inf"))
            return NULL;
        *v = INFINITY; /* neither is taken */
        while (*p && *p != ' ' && *p != '\t' && *p != '\r' && *p != '\n')
            p++;
        return p;
    }
    if (*p == 'e' || *p == 'E') {
        const char *q = p + 1;
        bool down = *q == '-';
        q += *q == '-' || *q == '+';
        if (*q < '0' || *q > '9')
            return NULL;
        int e = 0;
        for (; *q >= '0' && *q <= '9'; q++)
            e = e < 100000 ? e * 10 + (*q - '0') : e;
        scale += down ? -e : e;
        p = q;
    }
    if (exact && m <= (uint64_t)1 << 53 && scale >= -22 && scale <= 22) {
        double d = (double)m;
        *v = scale < 0 ? d / power[-scale] : d * power[scale];
        *v = minus ? -*v : *v;
    } else {
        *v = strtod(token, NULL);
    }
    return p;
}

static const char *blanks(const char *p)
{
    while (*p == ' ' || *p == '\t')
        p++;
    return p;
}

static const char *number(const char *p, uint64_t *v)
{
    uint64_t x = 0;
    const char *from = p;
    for (unsigned d; (d = (unsigned)(unsigned char)*p - '0') < 10; p++)
        x = x * 10 + d;
    *v = x;
    return p > from && p - from <= 18 ? p : NULL;
}

static void mistake(struct cm_mtx_piece *p, const char *line, const char *expected)
{
    char found[72];
    show(found, line, (size_t)(line_end(line) - line));
    p->bad = p->lines + 1;
    snprintf(p->message, sizeof p->message, "expected %s, found \"%s\"", expected, found);
}

static void outside(struct cm_mtx_piece *p, const struct cm_mtx_shape *s, uint64_t row,
                    uint64_t col)
{
    bool is_row = row < 1 || row > s->rows;
    p->bad = p->lines + 1;
    snprintf(p->message, sizeof p->message, "expected a %s from 1 to %" PRIu64 ", found %" PRIu64,
             is_row ? "row" : "column", is_row ? s->rows : s->cols, is_row ? row : col);
}

/* Checks a value; false with p->bad set. */
static bool acceptable(struct cm_mtx_piece *p, const struct cm_mtx_shape *s, const char *line,
                       double v)
{
    bool whole = fabs(v) <= MAX && v == floor(v);
    if (!(fabs(v) <= DBL_MAX))
        mistake(p, line, "a finite value");
    else if (!whole && s->field == CM_MTX_INTEGER)
        mistake(p, line, "a whole number up to 2^53 (the banner says integer)");
    p->negative = p->negative || v < 0;
    p->fraction = p->fraction || v != floor(v);
    p->wide = p->wide || fabs(v) > (double)FLT_MAX || (double)(float)v != v;
    return !p->bad;
}

/* A line that the hot loop did not understand, from its start.  Returns behind its end; *took: it
 * held an entry, in row, col, v. */
static const char *slow_line(struct cm_mtx_piece *p, const struct cm_mtx_shape *s, const char *line,
                             uint64_t *row, uint64_t *col, double *v, bool *took)
{
    static const char *const expected[] = {"row, column, whole number", "row, column, number",
                                           "row, column"};
    const char *at = blanks(line);
    *took = false;
    if (!*at && at < p->text + p->n) {
        mistake(p, line, "text (this is a zero byte)");
        return NULL;
    }
    if (*at == '%' || *at == '\n' || *at == '\r' || !*at) {
        const char *end = line_end(at);
        if (*at != '\r' || at + 1 == end)
            return end + (*end == '\n');
    }
    at = number(at, row);
    const char *gap = at ? blanks(at) : NULL;
    at = gap && gap > at ? number(gap, col) : NULL;
    if (at && s->field != CM_MTX_PATTERN) {
        gap = blanks(at);
        at = gap > at ? slow_value(gap, v) : NULL;
    } else {
        *v = 1;
    }
    if (at) {
        at = blanks(at);
        at += *at == '\r';
    }
    if (!at || (*at && *at != '\n')) {
        mistake(p, line, expected[s->field]);
        return NULL;
    }
    *took = true;
    return acceptable(p, s, line, *v) ? at + (*at == '\n') : NULL;
}

static inline bool blank(char c) { return c == ' ' || c == '\t'; }

/* Empties the piece and makes room for all entries that its text may hold. */
static void piece_begin(const struct cm_mtx_shape *s, struct cm_mtx_piece *p)
{
    bool pattern = s->field == CM_MTX_PATTERN;
    p->lines = p->listed = p->bad = 0;
    p->entries = 0;
    p->ordered = true;
    p->negative = p->fraction = p->wide = false;
    /* the shortest entry is "1 1\n" or "1 1 1\n" */
    size_t max = p->n / (pattern ? 4 : 6) + 2;
    max += s->symmetric ? max : 0;
    if (max > p->cap) {
        p->cap = max;
        p->cell = cm_realloc(p->cell, max, sizeof *p->cell);
        p->feature = cm_realloc(p->feature, max, sizeof *p->feature);
        p->value = cm_realloc(p->value, max, sizeof *p->value);
    }
}

void cm_mtx_piece_parse(const struct cm_mtx_shape *s, struct cm_mtx_piece *p)
{
    const char *at = p->text, *end = at + p->n;
    bool pattern = s->field == CM_MTX_PATTERN;
    uint32_t last = 0;
    piece_begin(s, p);
    for (; at < end; p->lines++) {
        const char *line = at;
        uint64_t row = 0, col = 0, x = 1;
        double v;
        unsigned d;
        bool took = true, plain = false;
        while ((d = (unsigned)(unsigned char)*at - '0') < 10) {
            row = row * 10 + d;
            at++;
        }
        if (at > line && at < line + 12 && blank(*at)) {
            const char *second = ++at;
            while ((d = (unsigned)(unsigned char)*at - '0') < 10) {
                col = col * 10 + d;
                at++;
            }
            plain = at > second && at < second + 12;
            if (plain && !pattern) {
                const char *third = at + 1;
                if ((plain = blank(*at++))) {
                    for (x = 0; (d = (unsigned)(unsigned char)*at - '0') < 10; at++)
                        x = x * 10 + d;
                    plain = at > third && at < third + 8; /* below 10^7: exact in a float */
                }
            }
            plain = plain && *at == '\n';
        }
        if (plain) {
            v = (double)x;
            at++;
        } else {
            v = 1;
            at = slow_line(p, s, line, &row, &col, &v, &took);
            if (!at)
                return;
        }
        if (!took)
            continue;
        p->listed++;
        if (row - 1 >= s->rows || col - 1 >= s->cols) {
            outside(p, s, row, col);
            return;
        }
        uint32_t cell = (uint32_t)(s->cells_rows ? row : col) - 1;
        uint32_t feature = (uint32_t)(s->cells_rows ? col : row) - 1;
        size_t k = p->entries++;
        p->ordered = p->ordered && cell >= last;
        p->cell[k] = last = cell;
        p->feature[k] = feature;
        p->value[k] = v;
        if (s->symmetric && row != col) {
            k = p->entries++;
            p->ordered = p->ordered && feature >= last;
            p->cell[k] = last = feature;
            p->feature[k] = cell;
            p->value[k] = v;
        }
    }
}
