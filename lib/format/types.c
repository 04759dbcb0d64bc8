/* format/types.c - the types of a matrix's features.  See types.h. */
#include "format/types.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

void cm_types_cut(struct cm_types *t, size_t cols, const struct cm_strs *type,
                  const struct cm_strs *among, const char *only)
{
    size_t cap = 0;
    t->of = CM_NEW(cols + 1, uint32_t);
    t->place = CM_NEW(cols + 1, uint32_t);
    for (size_t j = 0; j < cols; j++) {
        const char *name = type ? cm_strs_get(type, j) : "";
        size_t k = 0;
        t->of[j] = UINT32_MAX;
        if (among && strcmp(cm_strs_get(among, j), only))
            continue;
        while (k < t->n && strcmp(t->type[k].name, name))
            k++;
        if (k == t->n) {
            CM_GROW(t->type, cap, t->n + 1);
            t->type[t->n++] = (struct cm_feature_type){.name = cm_strdup(name)};
        }
        t->of[j] = (uint32_t)k;
        t->place[j] = (uint32_t)t->type[k].cols++;
    }
    if (!t->n) {
        t->type = CM_ZNEW(1, struct cm_feature_type);
        t->type[t->n++].name = cm_strdup("");
    }
}

void cm_types_free(struct cm_types *t)
{
    for (size_t k = 0; k < t->n; k++)
        cm_free(t->type[k].name);
    cm_free(t->type);
    cm_free(t->of);
    cm_free(t->place);
    *t = (struct cm_types){0};
}

size_t cm_types_find(const struct cm_types *t, const char *name)
{
    for (size_t k = 0; k < t->n; k++)
        if (!strcmp(t->type[k].name, name))
            return k;
    for (size_t k = 0; k < t->n; k++)
        if (!strcmp(cm_slot_alias(t->type[k].name), cm_slot_alias(name)))
            return k;
    return CM_ABSENT;
}

bool cm_types_unnamed(const struct cm_types *t) { return t->n == 1 && !*t->type[0].name; }

void cm_types_print(const struct cm_types *t, bool numbers, struct cm_buf *out)
{
    for (size_t k = 0; k < t->n; k++) {
        const char *name = numbers && !*t->type[k].name ? "no type" : t->type[k].name;
        cm_buf_printf(out, "%s%s", k ? ", " : "", name);
        if (numbers)
            cm_buf_printf(out, " (%" PRIu64 ")", t->type[k].cols);
    }
}

void cm_types_cols(const struct cm_types *t, size_t type, const struct cm_cols *from,
                   struct cm_cols *to)
{
    cm_cols_copy(to, from);
    if (type == CM_ALL_TYPES)
        return;
    uint64_t *at = CM_NEW(t->type[type].cols + 1, uint64_t);
    size_t n = 0;
    for (size_t j = 0; j < from->names.n; j++)
        if (t->of[j] == type)
            at[n++] = j;
    cm_cols_select(to, at, n);
    cm_free(at);
}

int cm_types_split(const char *text, char **type, const char **out)
{
    const char *sign = strrchr(text, '=');
    if (!sign || sign == text || !sign[1])
        return cm_fail(CM_EUSAGE, "--to %s: expected TYPE=OUT", text);
    *type = cm_strdup(text);
    (*type)[sign - text] = 0;
    *out = sign + 1;
    return 0;
}
