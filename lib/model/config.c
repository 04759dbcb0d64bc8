/* model/config.c - the ways between the settings, their text, and a model's head.
 *
 * The order in which keys are written is part of a model's bytes, and differs between the families
 * of trainers; `written` holds it.
 */
#include "model/config.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/text.h"

#define FRONT "hp."

_Static_assert(sizeof(enum cm_preset) == sizeof(int), "words are read and written as int");

/* ===== where a field lies =================================================================== */

/* Of slot -1 (any), 0 or 1. */
static size_t place(const struct cm_field *f, int slot)
{
    if (f->section == CM_SECTION_DEEP_SIDE && slot > 0)
        return f->at + (size_t)slot * sizeof(struct cm_deep_side);
    if (f->section == CM_SECTION_TOKENS && slot >= 0)
        return f->at - offsetof(struct cm_config, net.tokens) +
               offsetof(struct cm_config, net.tokens_of) +
               (size_t)slot * sizeof(struct cm_transformer_config);
    return f->at;
}

static const void *value_at(const struct cm_field *f, const struct cm_config *c, int slot)
{
    return (const char *)c + place(f, slot);
}

static size_t size_of(const struct cm_field *f)
{
    static const size_t size[] = {sizeof(bool), sizeof(int64_t),          sizeof(double),
                                  sizeof(int),  sizeof(struct cm_layers), sizeof(struct cm_layers)};
    return size[f->type];
}

/* The number of a row among those of the token encoders. */
static unsigned tokens_row(const struct cm_field *f)
{
    unsigned n = 0;
    for (const struct cm_field *g = cm_fields; g != f; g++)
        n += g->section == CM_SECTION_TOKENS;
    return n;
}

static bool is_own(const struct cm_field *f, const struct cm_config *c, int slot)
{
    return c->net.own[slot] >> tokens_row(f) & 1;
}

static bool all_own(const struct cm_config *c, int slot)
{
    for (const struct cm_field *f = cm_fields; f->key; f++)
        if (f->section == CM_SECTION_TOKENS && !is_own(f, c, slot))
            return false;
    return true;
}

static bool section_present(enum cm_section s, const struct cm_config *c)
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
    return section_present(f->section, c) || (f->also && section_present(f->also, c));
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

static void put_value(const struct cm_field *f, const void *at, struct cm_buf *to)
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
    put_value(f, value_at(f, c, -1), to);
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

static int parse_value(const struct cm_field *f, const char *text, void *to)
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
    return parse_value(f, text, (char *)c + f->at);
}

void cm_field_copy(const struct cm_field *f, const struct cm_config *from, struct cm_config *to)
{
    memcpy((char *)to + f->at, value_at(f, from, -1), size_of(f));
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
    int code = parse_value(f, text, (char *)c + place(f, slot));
    if (slot >= 0)
        c->net.own[slot] |= (uint64_t)1 << tokens_row(f);
    for (int s = 0; slot < 0 && s < 2; s++) /* over what the preset says of one */
        memcpy((char *)c + place(f, s), value_at(f, c, -1), size_of(f));
    return code;
}

/* ===== what follows ========================================================================= */

bool cm_config_may_link(const struct cm_config *c)
{
    return c->linear.on && (c->net.encoder == CM_ENCODER_NONE || c->net.residual);
}

void cm_config_resolve(struct cm_config *c)
{
    struct cm_net_config *n = &c->net;
    for (const struct cm_field *f = cm_fields; f->key; f++)
        for (int s = 0; f->section == CM_SECTION_TOKENS && s < 2; s++)
            if (!is_own(f, c, s))
                memcpy((char *)c + place(f, s), value_at(f, c, -1), size_of(f));
    c->linear.on = n->encoder != CM_ENCODER_TOKENS || n->residual ||
                   n->tokens_of[0].filters == CM_FILTERS_LOADINGS ||
                   n->tokens_of[1].filters == CM_FILTERS_LOADINGS;
    c->links.on = c->links.on && cm_config_may_link(c);
}

int cm_config_check(const struct cm_config *c)
{
    const struct cm_loop_config *l = &c->loop;
    bool cross = c->net.cross.on;
    if (!section_present(CM_SECTION_TRAINING, c))
        return 0;
    if (c->loss.kind == CM_LOSS_NONE && !cross)
        return cm_fail(CM_EUSAGE, "--loss none needs --cross");
    if (!(l->lr > 0) && !(c->net.residual && l->lr_linear > 0) && !(cross && l->lr_cross > 0))
        return cm_fail(CM_EUSAGE, "--lr 0: nothing would be learnt");
    return 0;
}

/* ===== the head of a model ================================================================== */

/* FRONT, and the slot behind the first part: tokens.SLOT.heads. */
static void key_of(const struct cm_field *f, const char *slot, char *key, size_t capacity)
{
    int front = (int)strcspn(f->key, ".");
    if (slot)
        snprintf(key, capacity, FRONT "%.*s.%s%s", front, f->key, slot, f->key + front);
    else
        snprintf(key, capacity, FRONT "%s", f->key);
}

static void write_field(const struct cm_field *f, const struct cm_config *c, int slot,
                        const char *name, struct cm_kv *kv)
{
    char key[CM_MAX_NAME];
    struct cm_buf text = {0};
    key_of(f, name, key, sizeof key);
    put_value(f, value_at(f, c, slot), &text);
    cm_buf_u8(&text, 0);
    cm_kv_set(kv, key, (const char *)text.p);
    cm_buf_free(&text);
}

static void write_section(enum cm_section s, const struct cm_config *c, struct cm_kv *kv)
{
    for (const struct cm_field *f = cm_fields; f->key && section_present(s, c); f++)
        if (f->section == s || (f->also && f->also == s))
            write_field(f, c, -1, NULL, kv);
}

/* What a slot has of its own: a preset's whole set, or single settings. */
static void write_tokens_of(const struct cm_config *c, const char *const slot[2], bool whole,
                            struct cm_kv *kv)
{
    for (int s = 0; section_present(CM_SECTION_TOKENS, c) && s < 2; s++)
        for (const struct cm_field *f = cm_fields; f->key && all_own(c, s) == whole; f++)
            if (f->section == CM_SECTION_TOKENS && is_own(f, c, s))
                write_field(f, c, s, slot[s], kv);
}

void cm_config_write_fit(const struct cm_config *c, struct cm_kv *kv)
{
    for (int s = CM_SECTION_MODEL; s <= CM_SECTION_SEED; s++)
        write_section((enum cm_section)s, c, kv);
}

void cm_config_write_net(const struct cm_config *c, const char *const slot[2], struct cm_kv *kv)
{
    bool baseline = c->net.encoder == CM_ENCODER_DEEP || c->net.encoder == CM_ENCODER_CLUE;
    if (baseline)
        write_section(CM_SECTION_ENCODER, c, kv);
    write_section(CM_SECTION_RESIDUAL, c, kv);
    write_section(CM_SECTION_DEEP, c, kv);
    write_section(CM_SECTION_CLUE, c, kv);
    write_section(CM_SECTION_TRAINING, c, kv);
    write_section(CM_SECTION_CLUE_RATE, c, kv);
    write_section(CM_SECTION_ENCODER, c, kv);
    write_section(CM_SECTION_MLP, c, kv);
    write_section(CM_SECTION_TOKENS, c, kv);
    write_tokens_of(c, slot, true, kv);
    write_section(CM_SECTION_CROSS, c, kv);
    write_section(CM_SECTION_CROSS_RATE, c, kv);
    write_tokens_of(c, slot, false, kv);
    for (int s = 0; section_present(CM_SECTION_DEEP_SIDE, c) && s < 2; s++)
        for (const struct cm_field *f = cm_fields; f->key; f++)
            if (f->section == CM_SECTION_DEEP_SIDE)
                write_field(f, c, s, slot[s], kv);
}

void cm_config_write_batches(const struct cm_kv *pairs, bool used, struct cm_kv *kv)
{
    const char *size = cm_kv_get(pairs, "batch.size"), *within = cm_kv_get(pairs, "batch.within");
    if (used && size)
        cm_kv_set(kv, FRONT "batch", size);
    if (within)
        cm_kv_set(kv, FRONT "within", within);
}

/* *found: was there anything? */
static int read_field(const struct cm_field *f, const struct cm_kv *kv, int slot, const char *name,
                      struct cm_config *c, bool *found)
{
    char key[CM_MAX_NAME];
    key_of(f, name, key, sizeof key);
    const char *text = cm_kv_get(kv, key);
    *found = text != NULL;
    return text ? cm_fail_in(parse_value(f, text, (char *)c + place(f, slot)), key) : 0;
}

static int read_tokens(const struct cm_field *f, const struct cm_head *head, struct cm_config *c)
{
    bool found;
    int code = read_field(f, &head->kv, -1, NULL, c, &found);
    for (int s = 0; !code && s < 2; s++) {
        code = read_field(f, &head->kv, s, head->slot[s].name, c, &found);
        if (found)
            c->net.own[s] |= (uint64_t)1 << tokens_row(f);
    }
    return code;
}

static int missing(const struct cm_field *f, const char *slot)
{
    char key[CM_MAX_NAME];
    key_of(f, slot, key, sizeof key);
    return cm_fail(CM_EINPUT, "key %s is missing", key);
}

static int read_section(enum cm_section s, const struct cm_head *head, enum cm_config_use use,
                        struct cm_config *c)
{
    int code = 0;
    for (const struct cm_field *f = cm_fields; !code && f->key && section_present(s, c); f++) {
        bool found = true;
        if ((f->section != s && !(f->also && f->also == s)) ||
            (use == CM_CONFIG_APPLY && f->need == CM_NEED_TO_TRAIN))
            continue;
        bool sides = s == CM_SECTION_DEEP_SIDE;
        if (s == CM_SECTION_TOKENS)
            code = read_tokens(f, head, c);
        for (int k = 0; !code && s != CM_SECTION_TOKENS && found && k <= sides; k++) {
            const char *slot = sides ? head->slot[k].name : NULL;
            code = read_field(f, &head->kv, sides ? k : -1, slot, c, &found);
            if (f->at == offsetof(struct cm_config, preset) && use == CM_CONFIG_APPLY)
                code = 0; /* a trainer of somebody else may have a preset of its own */
            if (!code && !found && f->need != CM_NEED_NEVER)
                code = missing(f, slot);
        }
    }
    return code;
}

/* What is not in the head of a model from before there was such a setting. */
static void before(struct cm_config *c)
{
    static const char *const slot[2] = {"GEX", "ATAC"};
    cm_preset_config(CM_PRESET_ATTN, slot, c);
    c->linear = (struct cm_linear_config){.on = true};
    c->links.on = c->links.learned = false;
    c->net.encoder = CM_ENCODER_NONE;
    c->net.residual = false;
}

int cm_config_read(struct cm_config *c, const struct cm_head *head, enum cm_config_use use)
{
    /* Sections are present by what was read before them. */
    static const enum cm_section order[] = {
        CM_SECTION_MODEL,         CM_SECTION_LINEAR,    CM_SECTION_LINKS_ON, CM_SECTION_LINKS,
        CM_SECTION_LINKS_LEARNED, CM_SECTION_SEED,      CM_SECTION_RESIDUAL, CM_SECTION_TRAINING,
        CM_SECTION_MLP,           CM_SECTION_TOKENS,    CM_SECTION_CROSS,    CM_SECTION_CROSS_RATE,
        CM_SECTION_DEEP,          CM_SECTION_DEEP_SIDE, CM_SECTION_CLUE,     CM_SECTION_CLUE_RATE};
    const struct cm_kv *kv = &head->kv;
    bool found;
    before(c);
    CM_ASSERT(head->nslots == 2);
    int code = 0;
    for (const struct cm_field *f = cm_fields; !code && f->key; f++)
        if (f->section == CM_SECTION_ENCODER || f->at == offsetof(struct cm_config, net.cross.on))
            code = read_field(f, kv, -1, NULL, c, &found);
    for (size_t i = 0; !code && i < sizeof order / sizeof *order; i++)
        code = read_section(order[i], head, use, c);
    if (!code && c->net.encoder == CM_ENCODER_CLUE && c->preset != CM_PRESET_CLUE) {
        const char *preset = cm_kv_get(kv, FRONT "preset"); /* no other trainer knows it */
        return cm_fail(CM_EINPUT, "an encoder clue in a model of preset '%s'",
                       preset ? preset : "");
    }
    bool linear = c->linear.on;
    cm_config_resolve(c);
    c->linear.on = linear; /* as the file has it */
    return code;
}

int cm_config_check_sizes(const struct cm_kv *kv, size_t k, size_t q)
{
    const struct {
        const char *key;
        size_t size;
    } part[] = {{FRONT "k", k}, {FRONT "q", q}};
    for (size_t i = 0; i < 2; i++) {
        int64_t v;
        if (!cm_kv_get(kv, part[i].key))
            continue;
        int code = cm_kv_i64(kv, part[i].key, &v);
        if (code)
            return code;
        if (v < 0 || (uint64_t)v != part[i].size)
            return cm_fail(CM_EINPUT, "%s is %lld, the tensors of the linear part have %zu",
                           part[i].key, (long long)v, part[i].size);
    }
    return 0;
}

int cm_config_settled(const struct cm_config *have, const struct cm_config *want,
                      const char *const slot[2], bool fit, const char *path)
{
    struct cm_kv a = {0}, b = {0};
    for (int s = fit ? CM_SECTION_LINEAR : CM_SECTION_MODEL;
         s <= (fit ? CM_SECTION_LINKS_LEARNED : CM_SECTION_SEED); s++) {
        write_section((enum cm_section)s, have, &a);
        write_section((enum cm_section)s, want, &b);
    }
    if (!fit) {
        cm_config_write_net(have, slot, &a);
        cm_config_write_net(want, slot, &b);
    }
    int code = 0;
    for (size_t i = 0; !code && i < b.key.n; i++) {
        const char *key = cm_strs_get(&b.key, i), *asked = cm_strs_get(&b.value, i),
                   *is = cm_kv_get(&a, key);
        if (!is || strcmp(is, asked) != 0)
            code = cm_fail(CM_EUSAGE, "%s is %s in %s, not %s as asked for", key,
                           is ? is : "absent", path, asked);
    }
    cm_kv_free(&a);
    cm_kv_free(&b);
    return code;
}
