/* model/config_head.c - the settings in a model's head: written, read, compared.
 *
 * The order in which keys are written is part of a model's bytes, and differs between the families
 * of trainers.
 */
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "model/field.h"
#include "model/presets.h"

#define FRONT "hp."

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
    cm_field_put(f, cm_field_value(f, c, slot), &text);
    cm_buf_u8(&text, 0);
    cm_kv_set(kv, key, (const char *)text.p);
    cm_buf_free(&text);
}

/* Keys are in the order of the table, so those of the CCA are among those of the linear part. */
static bool is_of(const struct cm_field *f, enum cm_section s, const struct cm_config *c)
{
    if (f->section == CM_SECTION_CCA)
        return s == CM_SECTION_LINEAR && cm_config_has_cca(c);
    return f->section == s || (f->also && f->also == s);
}

static void write_section(enum cm_section s, const struct cm_config *c, struct cm_kv *kv)
{
    for (const struct cm_field *f = cm_fields; f->key && cm_section_present(s, c); f++)
        if (is_of(f, s, c))
            write_field(f, c, -1, NULL, kv);
}

/* What a slot has of its own: a preset's whole set, or single settings. */
static void write_tokens_of(const struct cm_config *c, const char *const slot[2], bool whole,
                            struct cm_kv *kv)
{
    for (int s = 0; cm_section_present(CM_SECTION_TOKENS, c) && s < 2; s++)
        for (const struct cm_field *f = cm_fields; f->key && cm_field_all_own(c, s) == whole; f++)
            if (f->section == CM_SECTION_TOKENS && cm_field_own(f, c, s))
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
    for (int s = 0; cm_section_present(CM_SECTION_DEEP_SIDE, c) && s < 2; s++)
        for (const struct cm_field *f = cm_fields; f->key; f++)
            if (f->section == CM_SECTION_DEEP_SIDE)
                write_field(f, c, s, slot[s], kv);
}

void cm_config_drop_net(struct cm_config *c, struct cm_kv *kv)
{
    c->net.encoder = CM_ENCODER_NONE;
    for (const struct cm_field *f = cm_fields; f->key; f++)
        if (f->section == CM_SECTION_ENCODER)
            write_field(f, c, -1, NULL, kv);
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
    return text ? cm_fail_in(cm_field_take(f, text, (char *)c + cm_field_place(f, slot)), key) : 0;
}

static int read_tokens(const struct cm_field *f, const struct cm_head *head, struct cm_config *c)
{
    bool found;
    int code = read_field(f, &head->kv, -1, NULL, c, &found);
    for (int s = 0; !code && s < 2; s++) {
        code = read_field(f, &head->kv, s, head->slot[s].name, c, &found);
        if (found)
            c->net.own[s] |= (uint64_t)1 << cm_field_bit(f);
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
    for (const struct cm_field *f = cm_fields; !code && f->key && cm_section_present(s, c); f++) {
        bool found = true;
        if (!is_of(f, s, c) || (use == CM_CONFIG_APPLY && f->need == CM_NEED_TO_TRAIN))
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
    c->linear = (struct cm_linear_config){.on = true, .tolerance = 1e-4};
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
        if (!part[i].size || !cm_kv_get(kv, part[i].key))
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
