/* prep/where.c - conditions on row labels; see where.h.
 *
 * The words are kept as the user typed them and compared row by row: a condition has a handful of
 * words and a stream has at most millions of rows, so a compiled form would save nothing.  A
 * category's text is looked up in the head's dictionary at each row, because the dictionary may
 * grow while the stream is read.
 */
#include "prep/where.h"

#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"

int cm_where_parse(struct cm_where *w, const char *text)
{
    const char *eq = strchr(text, '=');
    if (!eq || eq == text)
        return cm_fail(CM_EUSAGE, "expected LABEL=VALUE[,VALUE...], found \"%s\"", text);
    cm_where_free(w);
    w->label = cm_strdup(text);
    w->label[eq - text] = 0;
    for (const char *at = eq + 1;; at++) {
        size_t n = strcspn(at, ",");
        cm_strs_addn(&w->values, at, n);
        at += n;
        if (!*at)
            return 0;
    }
}

/* true, yes and 1 are 1; false, no and 0 are 0; anything else -1. */
static int truth(const char *s)
{
    static const char *const word[2][4] = {{"false", "False", "no", "0"},
                                           {"true", "True", "yes", "1"}};
    for (int v = 0; v < 2; v++)
        for (int k = 0; k < 4; k++)
            if (!strcmp(s, word[v][k]))
                return v;
    return -1;
}

int cm_where_bind(struct cm_where *w, const struct cm_head *h)
{
    w->at = cm_head_find_label(h, w->label);
    if (w->at < 0) {
        struct cm_buf have = {0};
        for (size_t k = 0; k < h->nlabels && have.n < 400; k++)
            cm_buf_printf(&have, "%s%.60s", k ? ", " : "", h->label[k].name);
        cm_buf_u8(&have, 0);
        int code = cm_fail(CM_EINPUT, "no label \"%s\"; labels here: %s", w->label,
                           h->nlabels ? (const char *)have.p : "none");
        cm_buf_free(&have);
        return code;
    }
    for (size_t k = 0; k < w->values.n; k++) {
        const char *word = cm_strs_get(&w->values, k);
        double number;
        switch (h->label[w->at].type) {
        case CM_T_BOOL:
            if (truth(word) < 0)
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

bool cm_where_row(const struct cm_where *w, const struct cm_head *h, const struct cm_chunk *c,
                  size_t row)
{
    const struct cm_vec *v = &c->label[w->at];
    const struct cm_strs *dict = &h->label[w->at].dict.names;
    for (size_t k = 0; k < w->values.n; k++) {
        const char *word = cm_strs_get(&w->values, k);
        double number = 0;
        bool is = false;
        switch (v->type) {
        case CM_T_CAT:
            is = v->cat[row] < dict->n && !strcmp(cm_strs_get(dict, v->cat[row]), word);
            break;
        case CM_T_STR:
            is = !strcmp(cm_strs_get(&v->s, row), word);
            break;
        case CM_T_BOOL:
            is = v->b[row] == truth(word);
            break;
        case CM_T_I64:
            is = v->i[row] != CM_I64_MISSING && cm_parse_f64(word, &number) &&
                 (double)v->i[row] == number;
            break;
        case CM_T_F64:
            is = cm_parse_f64(word, &number) && v->f[row] == number;
            break;
        }
        if (is)
            return true;
    }
    return false;
}

void cm_where_free(struct cm_where *w)
{
    cm_free(w->label);
    cm_strs_free(&w->values);
    *w = (struct cm_where){0};
}
