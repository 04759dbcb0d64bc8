/* match/pairs.c - reading and making pairings.  See pairs.h. */
#include "match/pairs.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/lines.h"
#include "base/mem.h"
#include "base/text.h"

void cm_pairs_free(struct cm_pairs *p)
{
    cm_free(p->col_of_row);
    cm_free(p->row_of_col);
    *p = (struct cm_pairs){0};
}

static void pairs_make(struct cm_pairs *p, size_t rows, size_t cols)
{
    *p = (struct cm_pairs){.rows = rows, .cols = cols};
    p->col_of_row = CM_NEW(rows, uint32_t);
    p->row_of_col = CM_NEW(cols, uint32_t);
    memset(p->col_of_row, 0xFF, rows * sizeof *p->col_of_row);
    memset(p->row_of_col, 0xFF, cols * sizeof *p->row_of_col);
}

static int refuse_duplicates(const struct cm_index *x, const char *side)
{
    if (x->duplicate == CM_ABSENT)
        return 0;
    return cm_fail(CM_EINPUT,
                   "the name '%s' occurs twice among the %s of the match; a table of row numbers "
                   "(row1, row2) can tell them apart",
                   cm_strs_get(x->strs, x->duplicate), side);
}

struct reading {
    struct cm_pairs *p;
    const char *path;
    size_t line;
    bool numbers, digits;     /* the header says row numbers; its fields are numbers themselves */
    struct cm_index row, col; /* of the names */
    size_t swapped;           /* pairs that would fit the other way round */
};

static int add_pair(struct reading *r, const char *a, const char *b)
{
    struct cm_pairs *p = r->p;
    uint64_t i, j;
    if (r->numbers) {
        if (!cm_parse_u64(a, &i) || !cm_parse_u64(b, &j))
            return cm_fail(CM_EINPUT, "%s: line %zu: expected two row numbers, found '%s' and '%s'",
                           r->path, r->line, a, b);
        if (i >= p->rows || j >= p->cols)
            return cm_fail(CM_EINPUT,
                           "%s: line %zu: pair %" PRIu64 ", %" PRIu64
                           " is outside the match of %zu rows and %zu columns",
                           r->path, r->line, i, j, p->rows, p->cols);
    } else {
        i = cm_index_find(&r->row, a);
        j = cm_index_find(&r->col, b);
        if (i == CM_ABSENT || j == CM_ABSENT) {
            p->elsewhere++;
            r->swapped +=
                cm_index_find(&r->row, b) != CM_ABSENT && cm_index_find(&r->col, a) != CM_ABSENT;
            return 0;
        }
    }
    if (p->col_of_row[i] == j)
        return cm_fail(CM_EINPUT, "%s: line %zu: the pair '%s', '%s' stands in a line before",
                       r->path, r->line, a, b);
    if (p->col_of_row[i] != CM_UNPAIRED || p->row_of_col[j] != CM_UNPAIRED)
        return cm_fail(CM_EINPUT, "%s: line %zu: '%s' is in two pairs", r->path, r->line,
                       p->col_of_row[i] != CM_UNPAIRED ? a : b);
    p->col_of_row[i] = (uint32_t)j;
    p->row_of_col[j] = (uint32_t)i;
    p->n++;
    return 0;
}

/* A header that is a pair itself is none: its pair would be lost. */
static int take_header(struct reading *r, const char *a, const char *b)
{
    r->numbers = !strcmp(a, "row1") && !strcmp(b, "row2");
    if (!r->numbers && cm_index_find(&r->row, a) != CM_ABSENT &&
        cm_index_find(&r->col, b) != CM_ABSENT)
        return cm_fail(CM_EINPUT,
                       "%s: line 1: expected a header line, found the pair '%s' and '%s'", r->path,
                       a, b);
    r->digits = a[strspn(a, "0123456789")] == 0 && b[strspn(b, "0123456789")] == 0;
    return 0;
}

static int read_lines(struct reading *r, const struct cm_lines *l)
{
    int code = 0;
    for (size_t k = 0; k < l->n && code == 0; k++) {
        char *rest = l->line[k];
        const char *a = cm_lines_field(&rest, '\t'), *b = cm_lines_field(&rest, '\t');
        r->line = k + 1;
        if (!b)
            code = cm_fail(CM_EINPUT, "%s: line %zu: expected two fields separated by a tab",
                           r->path, r->line);
        else if (k == 0)
            code = take_header(r, a, b);
        else
            code = add_pair(r, a, b);
    }
    return code;
}

int cm_pairs_read(struct cm_pairs *p, const char *path, const struct cm_strs *rows,
                  const struct cm_strs *cols)
{
    *p = (struct cm_pairs){0};
    struct cm_lines lines = {0};
    int code = cm_lines_read(&lines, path);
    if (code < 0) {
        cm_lines_free(&lines);
        return code;
    }
    pairs_make(p, rows->n, cols->n);
    struct reading r = {.p = p, .path = path};
    cm_index_make(&r.row, rows);
    cm_index_make(&r.col, cols);
    code = read_lines(&r, &lines);
    cm_lines_free(&lines);
    if (code == 0 && r.line == 0)
        code = cm_fail(CM_EINPUT, "%s: empty, expected a header line and pairs", path);
    if (code == 0 && !r.numbers)
        code = refuse_duplicates(&r.row, "rows");
    if (code == 0 && !r.numbers)
        code = refuse_duplicates(&r.col, "columns");
    if (code == 0 && p->n == 0)
        code = cm_fail(CM_EINPUT, "%s: none of its %zu pairs is in the match%s", path, p->elsewhere,
                       r.swapped  ? " (its second column names the match's rows)"
                       : r.digits ? " (row numbers need the header line row1 TAB row2)"
                                  : "");
    cm_index_free(&r.row);
    cm_index_free(&r.col);
    if (code < 0)
        cm_pairs_free(p);
    return code;
}

bool cm_names_are_numbers(const struct cm_strs *s)
{
    size_t numbers = 0;
    for (size_t i = 0; i < s->n; i++) {
        const char *t = cm_strs_get(s, i);
        numbers += *t && t[strspn(t, "0123456789")] == 0;
    }
    return 2 * numbers > s->n;
}

int cm_pairs_by_name(struct cm_pairs *p, const struct cm_strs *rows, const struct cm_strs *cols)
{
    *p = (struct cm_pairs){0};
    if (cm_names_are_numbers(rows) || cm_names_are_numbers(cols))
        return cm_fail(CM_EINPUT,
                       "the cells' names are mere numbers ('%s' and '%s' are the first), and equal "
                       "numbers need not be the same cell: --pairs FILE says which are",
                       rows->n ? cm_strs_get(rows, 0) : "", cols->n ? cm_strs_get(cols, 0) : "");
    struct cm_index row, col;
    cm_index_make(&row, rows);
    cm_index_make(&col, cols);
    int code = refuse_duplicates(&row, "rows");
    if (code == 0)
        code = refuse_duplicates(&col, "columns");
    if (code == 0) {
        pairs_make(p, rows->n, cols->n);
        for (size_t i = 0; i < rows->n; i++) {
            size_t j = cm_index_find(&col, cm_strs_get(rows, i));
            if (j == CM_ABSENT)
                continue;
            p->col_of_row[i] = (uint32_t)j;
            p->row_of_col[j] = (uint32_t)i;
            p->n++;
        }
        if (rows->n == 0)
            code = cm_fail(CM_EINPUT, "there are no rows");
        else if (10 * p->n < 9 * rows->n || p->n == 0)
            code =
                cm_fail(CM_EINPUT,
                        "only %zu of %zu rows have a column of the same name (the first row is "
                        "'%s', the first column '%s'): --pairs FILE says which are the same cell",
                        p->n, rows->n, cm_strs_get(rows, 0), cols->n ? cm_strs_get(cols, 0) : "");
    }
    cm_index_free(&row);
    cm_index_free(&col);
    if (code < 0)
        cm_pairs_free(p);
    return code;
}
