/* stream/wire_cols.c - COLS, the column table of a slot, as text.
 *
 * TSV with a typed header line (name, chrom:str, start:i64, fit.idf:f64), %-escaped; numbers are
 * the shortest decimals that read back to the same double, so text round trips exactly.  Every
 * stage reads and writes a line a feature, often more lines than it has cells: what is rare in
 * them (escapes, characters beyond ASCII) is looked for once a line.
 */
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "stream/wire.h"

/* Fitted values repeat (N/C has as many values as there are totals), and to print one or to read
 * 17 digits is dear: the last text of each of some values is kept, and the last value of some
 * texts. */
enum { MEMO = 4096, MEMO_TEXT = 24 };
struct memo {
    uint64_t bits;
    char text[CM_NUMBER_MAX]; /* "" = none yet; from MEMO_TEXT on unused when reading */
};

static size_t place_of(uint64_t key) { return (key * 0x9E3779B97F4A7C15u) >> 52; }

/* ===== writing ============================================================================ */

static const char *remembered(struct memo *memo, double v)
{
    uint64_t bits;
    memcpy(&bits, &v, sizeof bits);
    struct memo *m = &memo[place_of(bits)];
    if (!*m->text || m->bits != bits) {
        cm_format_f64(v, m->text);
        m->bits = bits;
    }
    return m->text;
}

static void put_field(struct cm_buf *b, const struct cm_vec *v, size_t j, struct memo *memo)
{
    char number[CM_NUMBER_MAX];
    cm_buf_u8(b, '\t');
    if (v->type == CM_T_STR)
        cm_escape(b, cm_strs_get(&v->s, j));
    else if (v->type == CM_T_F64 && v->f[j] == v->f[j])
        cm_buf_puts(b, remembered(memo, v->f[j]));
    else if (v->type == CM_T_I64 && v->i[j] != CM_I64_MISSING)
        cm_buf_put(b, number, cm_format_i64(v->i[j], number));
    else if (v->type == CM_T_BOOL && v->b[j] != CM_BOOL_MISSING)
        cm_buf_puts(b, v->b[j] ? "true" : "false");
}

void cm_wire_put_cols(struct cm_buf *b, size_t slot, const struct cm_cols *c)
{
    struct memo *memo = CM_ZNEW(MEMO, struct memo);
    cm_buf_u32(b, (uint32_t)slot);
    cm_buf_u32(b, 0);
    cm_buf_puts(b, "name");
    for (size_t v = 0; v < c->nvec; v++) {
        cm_buf_puts(b, "\t");
        cm_escape(b, c->vec[v].name);
        cm_buf_printf(b, ":%s", cm_wire_type[c->vec[v].type]);
    }
    cm_buf_puts(b, "\n");
    for (size_t j = 0; j < c->names.n; j++) {
        cm_escape(b, cm_strs_get(&c->names, j));
        for (size_t v = 0; v < c->nvec; v++)
            put_field(b, &c->vec[v], j, memo);
        cm_buf_u8(b, '\n');
    }
    cm_free(memo);
}

/* ===== reading ============================================================================ */

/* A line whose fields are being taken; plain: all of it is ASCII, without escapes. */
struct line {
    char *rest; /* NULL behind the last field */
    bool plain;
};

static bool is_plain(const char *text, size_t n)
{
    const uint64_t high = 0x8080808080808080u, one = 0x0101010101010101u;
    size_t at = 0;
    for (uint64_t eight; at + 8 <= n; at += 8) {
        memcpy(&eight, text + at, 8);
        uint64_t escape = eight ^ ('%' * one);
        if ((eight | ((escape - one) & ~escape)) & high)
            return false;
    }
    while (at < n && text[at] != '%' && !(text[at] & 0x80))
        at++;
    return at == n;
}

/* The next field, as it is meant, and its length; NULL if there is none. */
static char *take_field(struct line *l, size_t *n)
{
    char *field = l->rest, *end = field;
    if (!field)
        return NULL;
    while (*end && *end != '\t')
        end++;
    l->rest = *end ? end + 1 : NULL;
    *end = 0;
    *n = (size_t)(end - field);
    if (!l->plain) {
        cm_unescape(field);
        *n = strlen(field);
    }
    return field;
}

static bool is_text(const struct line *l, const char *field, size_t n)
{
    return l->plain || cm_utf8_bad(field, n) == n;
}

static bool parse_number(struct memo *memo, const char *field, size_t n, double *out)
{
    uint64_t key[MEMO_TEXT / 8] = {0};
    if (n >= sizeof key)
        return cm_parse_f64(field, out);
    memcpy(key, field, n);
    struct memo *m = &memo[place_of((key[0] * 31 + key[1]) * 31 + key[2])];
    if (!*m->text || memcmp(m->text, key, sizeof key) != 0) {
        if (!cm_parse_f64(field, out))
            return false;
        memcpy(m->text, key, sizeof key);
        memcpy(&m->bits, out, sizeof *out);
    }
    memcpy(out, &m->bits, sizeof *out);
    return true;
}

/* One field into place j of v; an empty field stays missing. */
static int get_field(struct line *l, struct cm_vec *v, size_t j, const char *field, size_t n,
                     struct memo *memo)
{
    bool ok = true;
    if (v->type == CM_T_STR && !is_text(l, field, n))
        return cm_fail(CM_EINPUT, "COLS: row %zu, column %s: \"%.60s\" is not UTF-8", j + 1,
                       v->name, field);
    if (v->type == CM_T_STR)
        cm_strs_addn(&v->s, field, n);
    else if (!n)
        return 0;
    else if (v->type == CM_T_F64)
        ok = parse_number(memo, field, n, &v->f[j]);
    else if (v->type == CM_T_I64)
        ok = cm_parse_i64(field, &v->i[j]);
    else if ((ok = !strcmp(field, "true") || !strcmp(field, "false")))
        v->b[j] = *field == 't';
    return ok ? 0
              : cm_fail(CM_EINPUT, "COLS: row %zu, column %s: expected %s, found \"%.40s\"", j + 1,
                        v->name, cm_wire_type[v->type], field);
}

static int get_line(struct line l, size_t j, struct cm_cols *c, struct memo *memo)
{
    size_t n;
    const char *name = take_field(&l, &n);
    if (!is_text(&l, name, n))
        return cm_fail(CM_EINPUT, "COLS: row %zu: the name \"%.60s\" is not UTF-8", j + 1, name);
    if (n > CM_MAX_NAME)
        return cm_fail(CM_EINPUT, "COLS: row %zu: a name longer than 64 KiB", j + 1);
    cm_strs_addn(&c->names, name, n);
    for (size_t v = 0; v < c->nvec; v++) {
        const char *field = take_field(&l, &n);
        if (!field)
            return cm_fail(CM_EINPUT, "COLS: row %zu: expected %zu fields, found %zu", j + 1,
                           c->nvec + 1, v + 1);
        int rc = get_field(&l, &c->vec[v], j, field, n, memo);
        if (rc)
            return rc;
    }
    return l.rest ? cm_fail(CM_EINPUT, "COLS: row %zu: more than %zu fields", j + 1, c->nvec + 1)
                  : 0;
}

/* The typed columns of the header line. */
static int get_types(char *line, size_t cols, size_t left, struct cm_cols *c)
{
    char *rest = line;
    size_t fields = 1, cells;
    for (const char *s = line; (s = strchr(s, '\t')); s++)
        fields++;
    if (fields > CM_WIRE_NAMED)
        return cm_fail(CM_EINPUT, "COLS: %zu typed columns, at most %d are allowed", fields - 1,
                       CM_WIRE_NAMED - 1);
    /* A field has at least the tab or newline behind it. */
    if (cm_mul(cols, fields, &cells) || cells > left)
        return cm_fail(CM_EINPUT, "COLS: expected %zu lines of %zu fields, found %zu bytes", cols,
                       fields, left);
    const char *first = cm_next_field(&rest);
    if (strcmp(first, "name") != 0)
        return cm_fail(CM_EINPUT,
                       "COLS: expected a header line of name and columns, found \"%.40s\"", first);
    /* Vectors hold `cols` missing values first; strings are appended line by line instead. */
    for (char *field; (field = cm_next_field(&rest));) {
        char *colon = strrchr(field, ':');
        int t = colon ? cm_wire_find(cm_wire_type, CM_WIRE_TYPES, colon + 1) : -1;
        if (t < 0 || t == CM_T_CAT)
            return cm_fail(CM_EINPUT, "COLS: column \"%.40s\" has no known type", field);
        *colon = 0;
        cm_unescape(field);
        if (!cm_wire_is_utf8(field))
            return cm_fail(CM_EINPUT, "COLS: the column \"%.60s\" is not UTF-8", field);
        c->vec = cm_realloc(c->vec, c->nvec + 1, sizeof *c->vec);
        struct cm_vec *v = &c->vec[c->nvec++];
        *v = (struct cm_vec){0};
        cm_vec_reset(v, field, (enum cm_type)t, t == CM_T_STR ? 0 : cols);
        v->n = cols;
    }
    return 0;
}

static int get_lines(char *line, size_t cols, struct cm_cols *c, struct memo *memo)
{
    size_t j = 0;
    for (char *end; *line; line = end + 1, j++) {
        end = strchr(line, '\n');
        if (!end || j == cols)
            return cm_fail(CM_EINPUT, "COLS: expected %zu lines, found %s", cols,
                           end ? "more" : "an unfinished line");
        *end = 0;
        struct line l = {.rest = line, .plain = is_plain(line, (size_t)(end - line))};
        int rc = get_line(l, j, c, memo);
        if (rc)
            return rc;
    }
    return j == cols ? 0 : cm_fail(CM_EINPUT, "COLS: expected %zu lines, found %zu", cols, j);
}

int cm_wire_get_cols(char *text, size_t cols, struct cm_cols *c)
{
    char *end = strchr(text, '\n');
    if (!end)
        return cm_fail(CM_EINPUT, "COLS: no header line");
    *end = 0;
    int rc = get_types(text, cols, strlen(end + 1), c);
    if (rc)
        return rc;
    struct memo *memo = CM_ZNEW(MEMO, struct memo);
    rc = get_lines(end + 1, cols, c, memo);
    cm_free(memo);
    return rc;
}
