/* cli/values.c - the value of an option from its text: type, range, default. */
#include "cli/internal.h"

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "base/text.h"

const char *cm_opt_range(const struct cm_opt *o, char *out, size_t n)
{
    out[0] = 0;
    if (o->min == 0 && o->max == 0)
        return out;
    if (o->max >= 9e18)
        snprintf(out, n, " of at least %.15g", o->min);
    else if (o->min <= -9e18)
        snprintf(out, n, " of at most %.15g", o->max);
    else
        snprintf(out, n, " from %.15g to %.15g", o->min, o->max);
    return out;
}

static bool in_range(const struct cm_opt *o, double v)
{
    return !isnan(v) && ((o->min == 0 && o->max == 0) || (v >= o->min && v <= o->max));
}

/* Position of text among "a|b|c", or -1. */
static int choice(const char *names, const char *text)
{
    size_t n = strlen(text);
    for (int k = 0;; k++) {
        size_t len = strcspn(names, "|");
        if (len == n && !memcmp(names, text, n))
            return k;
        if (!names[len])
            return -1;
        names += len + 1;
    }
}

int cm_opt_set(const struct cm_opt *o, const char *text, const char *where)
{
    char r[96];
    switch (o->type) {
    case CM_O_FLAG:
        *(bool *)o->to = true;
        return 0;
    case CM_O_INT: {
        int64_t v;
        if (!cm_parse_i64(text, &v) || !in_range(o, (double)v))
            return cm_fail(CM_EUSAGE, "%s: expected a whole number%s, found '%s'", where,
                           cm_opt_range(o, r, sizeof r), text);
        *(int64_t *)o->to = v;
        return 0;
    }
    case CM_O_REAL: {
        double v;
        if (!cm_parse_f64(text, &v) || !in_range(o, v))
            return cm_fail(CM_EUSAGE, "%s: expected a number%s, found '%s'", where,
                           cm_opt_range(o, r, sizeof r), text);
        *(double *)o->to = v;
        return 0;
    }
    case CM_O_SIZE: {
        uint64_t v;
        if (!cm_parse_size(text, &v) || !in_range(o, (double)v))
            return cm_fail(CM_EUSAGE,
                           "%s: expected a size in bytes, or with K, M, G or T%s, found '%s'",
                           where, cm_opt_range(o, r, sizeof r), text);
        *(uint64_t *)o->to = v;
        return 0;
    }
    case CM_O_STR:
    case CM_O_INPUT:
    case CM_O_STATE:
    case CM_O_OUTPUT:
    case CM_O_SAVE:
    case CM_O_WORD:
        *(const char **)o->to = text;
        return 0;
    case CM_O_CHOICE: {
        int k = choice(o->metavar, text);
        if (k < 0)
            return cm_fail(CM_EUSAGE, "%s: expected one of %s, found '%s'", where, o->metavar,
                           text);
        *(int *)o->to = k;
        return 0;
    }
    case CM_O_LIST:
    case CM_O_OUTPUTS: {
        struct cm_list *l = o->to;
        l->v = cm_realloc(l->v, l->n + 1, sizeof *l->v);
        l->v[l->n++] = text;
        return 0;
    }
    case CM_O_GROUP:
        break;
    }
    return cm_fail(CM_EBUG, "%s: unknown option type", where);
}

void cm_opt_default(const struct cm_opt *o)
{
    switch (o->type) {
    case CM_O_FLAG:
        *(bool *)o->to = false;
        return;
    case CM_O_INT:
        *(int64_t *)o->to = 0;
        break;
    case CM_O_REAL:
        *(double *)o->to = 0;
        break;
    case CM_O_SIZE:
        *(uint64_t *)o->to = 0;
        break;
    case CM_O_STR:
    case CM_O_INPUT:
    case CM_O_STATE:
    case CM_O_OUTPUT:
    case CM_O_SAVE:
    case CM_O_WORD:
        *(const char **)o->to = NULL;
        break;
    case CM_O_CHOICE:
        *(int *)o->to = 0;
        break;
    case CM_O_LIST:
    case CM_O_OUTPUTS:
        *(struct cm_list *)o->to = (struct cm_list){0};
        break;
    case CM_O_GROUP:
        break;
    }
    if (o->def && cm_opt_set(o, o->def, o->name))
        cm_panic(70, "internal error: default of --%s: %s", o->name, cm_error_message());
}
