/* The settings of a model: the table of fields is sound, every preset survives the way through a
 * model's head, and a head that says nonsense is refused with the key's name. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "model/presets.h"
#include "preset.h"

static const char *const slot[2] = {"GEX", "ATAC"};

static void open_head(struct cm_head *head, const struct cm_config *c)
{
    memset(head, 0, sizeof *head);
    head->kind = CM_MODEL;
    cm_head_add_slot(head, slot[0]);
    cm_head_add_slot(head, slot[1]);
    cm_config_write_fit(c, &head->kv);
    cm_config_write_net(c, slot, &head->kv);
}

static void equal(const struct cm_kv *a, const struct cm_kv *b)
{
    assert_int_equal(a->key.n, b->key.n);
    for (size_t i = 0; i < a->key.n; i++) {
        assert_string_equal(cm_strs_get(&a->key, i), cm_strs_get(&b->key, i));
        assert_string_equal(cm_strs_get(&a->value, i), cm_strs_get(&b->value, i));
    }
}

static void presets_round_trip(void **state)
{
    (void)state;
    for (int p = 0; p < CM_PRESET_COUNT; p++) {
        struct cm_config c = preset_of((enum cm_preset)p), back;
        struct cm_head head, again;
        c.seed = 7;
        open_head(&head, &c);
        assert_string_equal(cm_kv_get(&head.kv, "hp.preset"), cm_preset_name((enum cm_preset)p));
        if (cm_config_read(&back, &head, CM_CONFIG_TRAIN))
            fail_msg("%s: %s", cm_preset_name((enum cm_preset)p), cm_error_message());
        open_head(&again, &back);
        equal(&head.kv, &again.kv);
        assert_int_equal(cm_config_check(&c), 0);
        assert_int_equal(cm_config_read(&back, &head, CM_CONFIG_APPLY), 0);
        cm_head_free(&head);
        cm_head_free(&again);
    }
}

/* Two fields at one place, of one key, or of one option of one tool would overwrite each other. */
static void fields_are_distinct(void **state)
{
    (void)state;
    for (const struct cm_field *f = cm_fields; f->key; f++)
        for (const struct cm_field *g = cm_fields; g != f; g++) {
            const char *a = f->option ? f->option : f->key, *b = g->option ? g->option : g->key;
            if (f->at == g->at || strcmp(f->key, g->key) == 0 ||
                (f->by & g->by && strcmp(a, b) == 0))
                fail_msg("%s and %s", f->key, g->key);
        }
}

/* Both ends of a range are in it, and what is beyond, or no number, or half a word, is not. */
static void ranges(void **state)
{
    (void)state;
    char text[64];
    for (const struct cm_field *f = cm_fields; f->key; f++) {
        struct cm_config c = preset_of(CM_PRESET_BEST);
        static const char *const junk[] = {"", "x", "nan", "1x", "-1e300"};
        if (f->by)
            assert_true(f->help && (f->words || f->metavar));
        for (size_t i = 0; i < sizeof junk / sizeof *junk; i++)
            if (cm_field_parse(f, junk[i], &c) != CM_EINPUT)
                fail_msg("%s: '%s' was accepted", f->key, junk[i]);
        if (f->type == CM_F_BOOL || f->type == CM_F_WORD)
            continue;
        assert_true(f->min < f->max);
        for (int end = 0; end < 2; end++) {
            snprintf(text, sizeof text, "%.17g", end ? f->max : f->min);
            if (cm_field_parse(f, text, &c))
                fail_msg("%s: %s is refused: %s", f->key, text, cm_error_message());
        }
        snprintf(text, sizeof text, "%.17g", f->max + fabs(f->max) / 1024 + 1);
        assert_int_equal(cm_field_parse(f, text, &c), CM_EINPUT);
        if ((f->type == CM_F_INT && f->max < 1e15) || f->type == CM_F_LAYERS) {
            snprintf(text, sizeof text, "%.17g", f->min + .5);
            assert_int_equal(cm_field_parse(f, text, &c), CM_EINPUT);
        }
    }
}

struct damage {
    enum cm_preset preset;
    const char *key, *value; /* NULL: absent */
};

static void heads_are_checked(void **state)
{
    (void)state;
    static const struct damage bad[] = {{CM_PRESET_BEST, "hp.mlp.hidden", "0"},
                                        {CM_PRESET_BEST, "hp.mlp.hidden", NULL},
                                        {CM_PRESET_BEST, "hp.residual", NULL},
                                        {CM_PRESET_BEST, "hp.residual", "2"},
                                        {CM_PRESET_BEST, "hp.encoder", "oracle"},
                                        {CM_PRESET_BEST, "hp.cis.clip", "0"},
                                        {CM_PRESET_BEST, "hp.linear", "yes"},
                                        {CM_PRESET_ATTN, "hp.tokens.heads", "0"},
                                        {CM_PRESET_ATTN, "hp.tokens.norm", "none"},
                                        {CM_PRESET_ATTN, "hp.tokens.kernel", "1.5"},
                                        {CM_PRESET_ATTN, "hp.tokens.dropout", "nan"},
                                        {CM_PRESET_AUTHORS, "hp.tokens.GEX.width", "many"},
                                        {CM_PRESET_PAPER, "hp.cross.norm", "before"},
                                        {CM_PRESET_PAPER, "hp.cross.heads", "2.5"},
                                        {CM_PRESET_NOVEL, "hp.deep.GEX.hidden", "1024,0"},
                                        {CM_PRESET_NOVEL, "hp.deep.ATAC.hidden", NULL},
                                        {CM_PRESET_NOVEL, "hp.deep.act", "relu"},
                                        {CM_PRESET_CLUE, "hp.clue.depth", "9"},
                                        {CM_PRESET_CLUE, "hp.clue.latent", NULL}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct cm_config c = preset_of(bad[i].preset);
        struct cm_head head;
        open_head(&head, &c);
        if (bad[i].value)
            cm_kv_set(&head.kv, bad[i].key, bad[i].value);
        else
            cm_kv_drop(&head.kv, bad[i].key);
        if (cm_config_read(&c, &head, CM_CONFIG_APPLY) != CM_EINPUT ||
            !strstr(cm_error_message(), bad[i].key))
            fail_msg("%s %s: %s", bad[i].key, bad[i].value ? bad[i].value : "absent",
                     cm_error_message());
        cm_head_free(&head);
    }
}

/* A model is applied without what only its training needed; a training needs that. */
static void what_training_needs(void **state)
{
    (void)state;
    static const char *const keys[] = {"hp.lr", "hp.k", "hp.seed", "hp.links.folds", "hp.schedule"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
        struct cm_config c = preset_of(CM_PRESET_BEST);
        struct cm_head head;
        open_head(&head, &c);
        cm_kv_drop(&head.kv, keys[i]);
        assert_int_equal(cm_config_read(&c, &head, CM_CONFIG_APPLY), 0);
        assert_int_equal(cm_config_read(&c, &head, CM_CONFIG_TRAIN), CM_EINPUT);
        assert_non_null(strstr(cm_error_message(), keys[i]));
        cm_head_free(&head);
    }
    /* settings that models did not have once */
    struct cm_config c = preset_of(CM_PRESET_BEST);
    struct cm_head head;
    open_head(&head, &c);
    cm_kv_drop(&head.kv, "hp.lsi.scale");
    cm_kv_drop(&head.kv, "hp.lsi.tolerance");
    cm_kv_drop(&head.kv, "hp.links");
    cm_kv_drop(&head.kv, "hp.linear");
    assert_int_equal(cm_config_read(&c, &head, CM_CONFIG_TRAIN), 0);
    assert_true(c.linear.on && c.linear.scale == 0 && c.linear.tolerance == 1e-4 &&
                !c.links.learned);
    /* a preset of somebody else's trainer */
    cm_kv_set(&head.kv, "hp.preset", "ours");
    assert_int_equal(cm_config_read(&c, &head, CM_CONFIG_APPLY), 0);
    cm_head_free(&head);
}

/* A setting for any slot also goes over what a preset says of one; one for a slot stays with it. */
static void settings_of_slots(void **state)
{
    (void)state;
    struct cm_config c = preset_of(CM_PRESET_AUTHORS);
    const struct cm_field *f = cm_field_of_tokens("kernel", 6);
    assert_non_null(f);
    assert_null(cm_field_of_tokens("kern", 4));
    assert_true(c.net.tokens_of[0].kernel == 100 && c.net.tokens_of[1].kernel == 30);
    assert_int_equal(cm_tokens_parse(f, "7", -1, &c), 0);
    cm_config_resolve(&c);
    assert_true(c.net.tokens_of[0].kernel == 7 && c.net.tokens_of[1].kernel == 7);
    assert_int_equal(cm_tokens_parse(f, "9", 1, &c), 0);
    cm_config_resolve(&c);
    assert_true(c.net.tokens_of[0].kernel == 7 && c.net.tokens_of[1].kernel == 9);
    assert_int_equal(cm_tokens_parse(f, "-1", 1, &c), CM_EINPUT);
    struct cm_head head;
    open_head(&head, &c);
    assert_string_equal(cm_kv_get(&head.kv, "hp.tokens.ATAC.kernel"), "9");
    assert_null(cm_kv_get(&head.kv, "hp.tokens.ATAC.stride"));
    assert_int_equal(cm_config_read(&c, &head, CM_CONFIG_APPLY), 0);
    assert_true(c.net.tokens_of[0].kernel == 7 && c.net.tokens_of[1].kernel == 9);
    assert_true(c.net.tokens_of[0].stride == 50 && c.net.tokens_of[1].stride == 10);
    cm_head_free(&head);
}

static void what_a_start_settles(void **state)
{
    (void)state;
    struct cm_config have = preset_of(CM_PRESET_BEST), want = have;
    assert_int_equal(cm_config_settled(&have, &want, slot, false, "m.cms"), 0);
    want.loop.lr = .5;
    assert_int_equal(cm_config_settled(&have, &want, slot, true, "m.cms"), 0);
    assert_int_equal(cm_config_settled(&have, &want, slot, false, "m.cms"), CM_EUSAGE);
    assert_string_equal(cm_error_message(), "hp.lr is 0.001 in m.cms, not 0.5 as asked for");
    want = have;
    want.linear.k = 9;
    assert_int_equal(cm_config_settled(&have, &want, slot, true, "m.cms"), CM_EUSAGE);
    /* proteins: features are not scaled */
    static const char *const proteins[2] = {"GEX", "ADT"};
    cm_preset_config(CM_PRESET_BEST, proteins, &want);
    assert_true(want.linear.scale == 0 && have.linear.scale == .6);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(presets_round_trip),
                                       cmocka_unit_test(fields_are_distinct),
                                       cmocka_unit_test(ranges),
                                       cmocka_unit_test(heads_are_checked),
                                       cmocka_unit_test(what_training_needs),
                                       cmocka_unit_test(settings_of_slots),
                                       cmocka_unit_test(what_a_start_settles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
