/* model/field.c - where a setting lies, and its text. */
#include "model/field.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/text.h"

_Static_assert(sizeof(enum cm_preset) == sizeof(int), "words are read and written as int");

/* ===== where a field lies =================================================================== */

/* Of slot -1 (any), 0 or 1. */
size_t cm_field_place(const struct cm_field *f, int slot)
{
    if (f->section == CM_SECTION_DEEP_SIDE && slot > 0)
        return f->at + (size_t)slot * sizeof(struct cm_deep_side);
    if (f->section == CM_SECTION_TOKENS && slot >= 0)
        return f->at - offsetof(struct cm_config, net.tokens) +
               offsetof(struct cm_config, net.tokens_of) +
               (size_t)slot * sizeof(struct cm_transformer_config);
    return f->at;
}

const void *cm_field_value(const struct cm_field *f, const struct cm_config *c, int slot)
{
    return (const char *)c + cm_field_place(f, slot);
}

size_t cm_field_size(const struct cm_field *f)
{
    static const size_t size[] = {sizeof(bool), sizeof(int64_t),          sizeof(double),
                                  sizeof(int),  sizeof(struct cm_layers), sizeof(struct cm_layers)};
    return size[f->type];
}

/* The number of a row among those of the token encoders. */
unsigned cm_field_bit(const struct cm_field *f)
{
    unsigned n = 0;
    for (const struct cm_field *g = cm_fields; g != f; g++)
        n += g->section == CM_SECTION_TOKENS;
    return n;
}

bool cm_field_own(const struct cm_field *f, const struct cm_config *c, int slot)
{
    return c->net.own[slot] >> cm_field_bit(f) & 1;
}

bool cm_field_all_own(const struct cm_config *c, int slot)
{
    for (const struct cm_field *f = cm_fields; f->key; f++)
        if (f->section == CM_SECTION_TOKENS && !cm_field_own(f, c, slot))
            return false;
    return true;
}

bool cm_config_has_cca(const struct cm_config *c)
{
    return c->linear.on && c->net.encoder != CM_ENCODER_DEEP && c->net.encoder != CM_ENCODER_CLUE;
}

bool cm_section_present(enum cm_section s, const struct cm_config *c)
{
    enum cm_encoder_kind e = c->net.encoder;
    bool cross = c->net.cross.on && e == CM_ENCODER_TOKENS;
    switch (s) {
    case CM_SECTION_MODEL:
    case CM_SECTION_LINKS_ON:
    case CM_SECTION_SEED:
        return true;
    case CM_SECTION_LINEAR:
        return c->linear.on;
    case CM_SECTION_CCA:
        return cm_config_has_cca(c);
    case CM_SECTION_LINKS:
        return c->links.on;
    case CM_SECTION_LINKS_LEARNED:
        return c->links.on && c->links.learned;
    case CM_SECTION_RESIDUAL:
    case CM_SECTION_ENCODER:
        return e != CM_ENCODER_NONE;
    case CM_SECTION_TRAINING:
        return e != CM_ENCODER_NONE && e != CM_ENCODER_CLUE;
    case CM_SECTION_MLP:
        return e == CM_ENCODER_MLP;
    case CM_SECTION_TOKENS:
        return e == CM_ENCODER_TOKENS;
    case CM_SECTION_CROSS:
    case CM_SECTION_CROSS_RATE:
        return cross;
    case CM_SECTION_DEEP:
    case CM_SECTION_DEEP_SIDE:
        return e == CM_ENCODER_DEEP;
    case CM_SECTION_CLUE:
    case CM_SECTION_CLUE_RATE:
        return e == CM_ENCODER_CLUE;
    }
    return false;
}

bool cm_field_present(const struct cm_field *f, const struct cm_config *c)
{
    return cm_section_present(f->section, c) || (f->also && cm_section_present(f->also, c));
}

/* ===== text ================================================================================= */

/* The word at `place` of "a|b|c" with its length; NULL: there is none. */
static const char *word_at(const char *words, int at, size_t *length)
{
    for (; at > 0 && words; at--)
        if ((words = strchr(words, '|')))
            words++;
    if (words)
        *length = strcspn(words, "|");
    return words;
}

void cm_field_put(const struct cm_field *f, const void *at, struct cm_buf *to)
{
    char number[CM_NUMBER_MAX];
    size_t length = 0;
    const char *word;
    switch (f->type) {
    case CM_F_BOOL:
        cm_buf_puts(to, *(const bool *)at ? "1" : "0");
        break;
    case CM_F_INT:
        cm_buf_printf(to, "%lld", (long long)*(const int64_t *)at);
        break;
    case CM_F_REAL:
        cm_buf_puts(to, cm_format_f64(*(const double *)at, number));
        break;
    case CM_F_WORD:
        word = word_at(f->words, *(const int *)at, &length);
        CM_ASSERT(word);
        cm_buf_put(to, word, length);
        break;
    case CM_F_LAYERS:
    case CM_F_RATES:
        for (size_t i = 0; i < ((const struct cm_layers *)at)->n; i++) {
            cm_buf_puts(to, i ? "," : "");
            cm_buf_puts(to, cm_format_f64(((const struct cm_layers *)at)->v[i], number));
        }
        break;
    }
}

void cm_field_text(const struct cm_field *f, const struct cm_config *c, struct cm_buf *to)
{
    cm_field_put(f, cm_field_value(f, c, -1), to);
}

static int take_number(const struct cm_field *f, const char *text, bool whole, double *v)
{
    if (cm_parse_f64(text, v) && *v >= f->min && *v <= f->max && (!whole || *v == floor(*v)))
        return 0;
    return cm_fail(CM_EINPUT, "expected %s from %.15g to %.15g, found '%s'",
                   whole ? "a whole number" : "a number", f->min, f->max, text);
}

static int take_layers(const struct cm_field *f, const char *text, struct cm_layers *to)
{
    char one[CM_NUMBER_MAX];
    int code = 0;
    for (to->n = 0; !code; text++) {
        size_t length = strcspn(text, ",");
        if (to->n == CM_DEEP_LAYERS)
            return cm_fail(CM_EINPUT, "more than %d layers", CM_DEEP_LAYERS);
        snprintf(one, sizeof one, "%.*s", length < sizeof one ? (int)length : (int)sizeof one - 1,
                 text);
        code = take_number(f, one, f->type == CM_F_LAYERS, &to->v[to->n++]);
        text += length;
        if (!*text)
            break;
    }
    return code;
}

int cm_field_take(const struct cm_field *f, const char *text, void *to)
{
    size_t length;
    const char *word;
    double v = 0;
    int code;
    switch (f->type) {
    case CM_F_BOOL:
        if (strcmp(text, "0") != 0 && strcmp(text, "1") != 0)
            return cm_fail(CM_EINPUT, "expected 0 or 1, found '%s'", text);
        *(bool *)to = *text == '1';
        return 0;
    case CM_F_INT:
        code = take_number(f, text, true, &v);
        if (!code && !cm_parse_i64(text, to)) /* "1e5", or beyond what a double counts */
            *(int64_t *)to = (int64_t)v;
        return code;
    case CM_F_REAL:
        return take_number(f, text, false, to);
    case CM_F_WORD:
        for (int i = 0; (word = word_at(f->words, i, &length)); i++)
            if (strlen(text) == length && strncmp(text, word, length) == 0) {
                *(int *)to = i;
                return 0;
            }
        return cm_fail(CM_EINPUT, "expected one of %s, found '%s'", f->words, text);
    case CM_F_LAYERS:
    case CM_F_RATES:
        return take_layers(f, text, to);
    }
    return cm_fail(CM_EBUG, "a field of unknown type");
}

int cm_field_parse(const struct cm_field *f, const char *text, struct cm_config *c)
{
    return cm_field_take(f, text, (char *)c + f->at);
}

void cm_field_copy(const struct cm_field *f, const struct cm_config *from, struct cm_config *to)
{
    memcpy((char *)to + f->at, cm_field_value(f, from, -1), cm_field_size(f));
}

const struct cm_field *cm_field_of_tokens(const char *name, size_t length)
{
    for (const struct cm_field *f = cm_fields; f->key; f++) {
        const char *tail = strchr(f->key, '.');
        if (f->section == CM_SECTION_TOKENS && strlen(tail + 1) == length &&
            strncmp(tail + 1, name, length) == 0)
            return f;
    }
    return NULL;
}

int cm_tokens_parse(const struct cm_field *f, const char *text, int slot, struct cm_config *c)
{
    int code = cm_field_take(f, text, (char *)c + cm_field_place(f, slot));
    if (slot >= 0)
        c->net.own[slot] |= (uint64_t)1 << cm_field_bit(f);
    for (int s = 0; slot < 0 && s < 2; s++) /* over what the preset says of one */
        memcpy((char *)c + cm_field_place(f, s), cm_field_value(f, c, -1), cm_field_size(f));
    return code;
}

int cm_deep_side_parse(struct cm_deep_side *side, const char *text)
{
    struct cm_config c = {0};
    char part[200];
    for (const struct cm_field *f = cm_fields; f->key; f++) {
        if (f->section != CM_SECTION_DEEP_SIDE)
            continue;
        size_t length = text ? strcspn(text, ":") : 0;
        if (length == 0 || length >= sizeof part)
            return cm_fail(CM_EUSAGE, "expected SLOT=IN:WIDTHS:RATES");
        snprintf(part, sizeof part, "%.*s", (int)length, text);
        if (cm_field_parse(f, part, &c))
            return CM_EUSAGE;
        text = text[length] ? text + length + 1 : NULL;
    }
    if (text)
        return cm_fail(CM_EUSAGE, "expected SLOT=IN:WIDTHS:RATES");
    *side = c.net.deep.side[0];
    if (side->hidden.n != side->dropout.n)
        return cm_fail(CM_EUSAGE, "%zu hidden layers, %zu rates of dropout", side->hidden.n,
                       side->dropout.n);
    return 0;
}
