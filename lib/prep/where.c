/* prep/where.c - conditions on row labels; see where.h.
 *
 * A category's text is looked up in the head's dictionary at each row, because the dictionary may
 * grow while the stream is read.
 */
#include "prep/where.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"

/* Parts the text at its '=' at eq. */
static void part_at(struct cm_where *w, const char *eq)
{
    if (w->values)
        cm_values_free(w->values);
    else
        w->values = CM_NEW(1, struct cm_values);
    cm_values_make(w->values, eq + 1);
    cm_free(w->label);
    w->label = cm_strdup(w->text);
    w->label[eq - w->text] = 0;
}

int cm_where_parse(struct cm_where *w, const char *text)
{
    const char *eq = strchr(text, '=');
    if (!eq || eq == text)
        return cm_fail(CM_EUSAGE, "expected LABEL=VALUE[,VALUE...], found \"%s\"", text);
    cm_where_free(w);
    w->text = cm_strdup(text);
    part_at(w, w->text + (eq - text));
    return 0;
}

static int find_label(struct cm_where *w, const struct cm_head *h)
{
    int at = cm_head_find_label(h, w->label);
    for (char *eq = strchr(w->text, '='); at < 0 && (eq = strchr(eq + 1, '='));) {
        *eq = 0;
        at = cm_head_find_label(h, w->text);
        *eq = '=';
        if (at >= 0)
            part_at(w, eq);
    }
    return at;
}

int cm_where_bind(struct cm_where *w, const struct cm_head *h)
{
    w->at = find_label(w, h);
    if (w->at < 0)
        return cm_head_no_label(h, w->label);
    for (size_t k = 0; k < w->values->part.n; k++) {
        const char *word = cm_strs_get(&w->values->part, k);
        double number;
        switch (h->label[w->at].type) {
        case CM_T_BOOL:
            if (cm_values_truth(word) < 0)
                return cm_fail(CM_EINPUT, "label \"%s\" is true or false, not \"%s\"", w->label,
                               word);
            break;
        case CM_T_I64:
        case CM_T_F64:
            if (!cm_parse_f64(word, &number))
                return cm_fail(CM_EINPUT, "label \"%s\" is numeric, \"%s\" is no number", w->label,
                               word);
            break;
        case CM_T_CAT:
        case CM_T_STR:
            break;
        }
    }
    return 0;
}

/* Does part k say what a boolean or number of the row is? */
static bool part_is(const struct cm_vec *v, size_t row, const char *word)
{
    double number = 0;
    switch (v->type) {
    case CM_T_BOOL:
        return v->b[row] == cm_values_truth(word);
    case CM_T_I64:
        return v->i[row] != CM_I64_MISSING && cm_parse_f64(word, &number) &&
               (double)v->i[row] == number;
    case CM_T_F64:
        return cm_parse_f64(word, &number) && v->f[row] == number;
    case CM_T_CAT:
    case CM_T_STR:
        break;
    }
    return false;
}

bool cm_where_row(const struct cm_where *w, const struct cm_head *h, const struct cm_chunk *c,
                  size_t row)
{
    const struct cm_vec *v = &c->label[w->at];
    const struct cm_strs *dict = &h->label[w->at].dict.names;
    struct cm_values *values = w->values;
    if (v->type == CM_T_CAT)
        return v->cat[row] < dict->n &&
               cm_values_find(values, cm_strs_get(dict, v->cat[row])) != CM_ABSENT;
    if (v->type == CM_T_STR)
        return cm_values_find(values, cm_strs_get(&v->s, row)) != CM_ABSENT;
    bool is = false;
    for (size_t k = 0; k < values->part.n; k++)
        if (part_is(v, row, cm_strs_get(&values->part, k)))
            is = values->seen[k] = true;
    return is;
}

size_t cm_where_missing(const struct cm_where *w, struct cm_buf *out)
{
    return cm_values_missing(w->values, out);
}

void cm_where_free(struct cm_where *w)
{
    if (w->values)
        cm_values_free(w->values);
    cm_free(w->values);
    cm_free(w->text);
    cm_free(w->label);
    *w = (struct cm_where){0};
}
