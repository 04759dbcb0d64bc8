/* base/values.c - lists of values that may hold commas; see values.h.
 *
 * All runs of up to RUN neighbouring parts are put into an index once, so that a look-up costs one
 * hash whatever the list's length.
 */
#include "base/values.h"

#include <string.h>

#include "base/mem.h"

enum { RUN = 12 };

static void split(const char *text, struct cm_strs *out)
{
    struct cm_buf b = {0};
    for (const char *p = text;; p++) {
        if (*p == '\\' && (p[1] == ',' || p[1] == '\\')) {
            cm_buf_u8(&b, (uint8_t) * ++p);
        } else if (*p && *p != ',') {
            cm_buf_u8(&b, (uint8_t)*p);
        } else {
            cm_strs_addn(out, b.n ? (const char *)b.p : "", b.n);
            b.n = 0;
            if (!*p)
                break;
        }
    }
    cm_buf_free(&b);
}

void cm_values_make(struct cm_values *v, const char *text)
{
    *v = (struct cm_values){0};
    split(text, &v->part);
    size_t n = v->part.n, cap = 0, cap_last = 0;
    struct cm_buf b = {0};
    for (size_t run = 1; run <= RUN && run <= n; run++) /* single values come first */
        for (size_t i = 0; i + run <= n; i++) {
            b.n = 0;
            for (size_t k = i; k < i + run; k++)
                cm_buf_printf(&b, "%s%s", k > i ? "," : "", cm_strs_get(&v->part, k));
            CM_GROW(v->first, cap, v->whole.n + 1);
            CM_GROW(v->last, cap_last, v->whole.n + 1);
            v->first[v->whole.n] = i;
            v->last[v->whole.n] = i + run - 1;
            cm_strs_addn(&v->whole, b.n ? (const char *)b.p : "", b.n);
        }
    CM_GROW(v->first, cap, v->whole.n + 1);
    CM_GROW(v->last, cap_last, v->whole.n + 1);
    v->first[v->whole.n] = 0;
    v->last[v->whole.n] = n - 1;
    cm_strs_add(&v->whole, text);
    cm_buf_free(&b);
    cm_index_make(&v->at, &v->whole);
    v->seen = CM_ZNEW(n, bool);
}

size_t cm_values_find(struct cm_values *v, const char *value)
{
    size_t at = cm_index_find(&v->at, value);
    if (at == CM_ABSENT)
        return CM_ABSENT;
    for (size_t k = v->first[at]; k <= v->last[at]; k++)
        v->seen[k] = true;
    return v->first[at];
}

size_t cm_values_missing(const struct cm_values *v, struct cm_buf *out)
{
    size_t missing = 0;
    for (size_t k = 0; k < v->part.n; k++) {
        if (v->seen[k])
            continue;
        bool joined = k && !v->seen[k - 1] && *cm_strs_get(&v->part, k) == ' ';
        if (joined)
            out->n--; /* the closing quote */
        cm_buf_printf(out, "%s%s%.60s\"",
                      joined    ? ","
                      : missing ? ", "
                                : "",
                      joined ? "" : "\"", cm_strs_get(&v->part, k));
        missing++;
    }
    return missing;
}

int cm_values_truth(const char *word)
{
    static const char *const known[2][4] = {{"false", "False", "no", "0"},
                                            {"true", "True", "yes", "1"}};
    for (int v = 0; v < 2; v++)
        for (int k = 0; k < 4; k++)
            if (!strcmp(word, known[v][k]))
                return v;
    return -1;
}

void cm_values_free(struct cm_values *v)
{
    cm_strs_free(&v->part);
    cm_strs_free(&v->whole);
    cm_free(v->first);
    cm_free(v->last);
    cm_index_free(&v->at);
    cm_free(v->seen);
    *v = (struct cm_values){0};
}
