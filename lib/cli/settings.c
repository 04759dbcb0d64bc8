/* cli/settings.c - the settings of a model on a command line: option rows, what was given, --show.
 *
 * Rows come from the table of fields (model/config.h) and write into a configuration of their own;
 * what was given then goes over a preset, or is compared with a model to begin from.
 */
#include <string.h>

#include "base/mem.h"
#include "base/text.h"
#include "cli/trainer.h"

enum { ROWS_MAX = 96, NAME_MAX_OPTION = 40 };

static struct cm_opt table[ROWS_MAX];
static char names[ROWS_MAX][NAME_MAX_OPTION], defaults[ROWS_MAX][CM_NUMBER_MAX];
static size_t rows;

static bool of_fit(const struct cm_field *f)
{
    return f->section == CM_SECTION_LINEAR || f->section == CM_SECTION_CCA ||
           f->section == CM_SECTION_LINKS || f->section == CM_SECTION_LINKS_LEARNED;
}

/* May the field be asked for with these settings?  The peak-gene term may also be off. */
static bool allowed(const struct cm_field *f, const struct cm_config *c)
{
    if (f->section == CM_SECTION_LINKS || f->section == CM_SECTION_LINKS_LEARNED)
        return cm_config_may_link(c);
    return cm_field_present(f, c);
}

/* ===== rows ================================================================================= */

static void option_name(const struct cm_field *f, char *name, size_t capacity)
{
    snprintf(name, capacity, "%s", f->option ? f->option : f->key);
    for (char *c = name; *c; c++)
        *c = *c == '.' ? '-' : *c;
}

/* The value that all presets of the trainer have which know the field, or NULL. */
static const char *shared_default(const struct cm_field *f, unsigned by, char *text,
                                  size_t capacity)
{
    static const char *const slot[2] = {"GEX", "ATAC"};
    bool found = false;
    for (int p = 0; p < CM_PRESET_COUNT; p++) {
        struct cm_config c;
        struct cm_buf value = {0};
        cm_preset_config((enum cm_preset)p, slot, &c);
        if (cm_preset_by((enum cm_preset)p) != by || !allowed(f, &c))
            continue;
        cm_field_text(f, &c, &value);
        cm_buf_u8(&value, 0);
        bool same = !found || strcmp(text, (const char *)value.p) == 0;
        snprintf(text, capacity, "%s", (const char *)value.p);
        cm_buf_free(&value);
        if (!same)
            return NULL;
        found = true;
    }
    return found ? text : NULL;
}

static void add_row(const struct cm_opt *o)
{
    CM_ASSERT(rows + 1 < ROWS_MAX);
    table[rows++] = *o;
}

static void add_field(struct cm_trainer *t, const struct cm_field *f, unsigned by)
{
    static const enum cm_opt_type type[] = {
        [CM_F_INT] = CM_O_INT, [CM_F_REAL] = CM_O_REAL, [CM_F_WORD] = CM_O_CHOICE};
    char *name = names[rows];
    CM_ASSERT(f->type == CM_F_INT || f->type == CM_F_REAL || f->type == CM_F_WORD);
    option_name(f, name, NAME_MAX_OPTION);
    add_row(&(struct cm_opt){
        .name = name,
        .letter = f->letter,
        .type = type[f->type],
        .to = (char *)&t->given + f->at,
        .def = shared_default(f, by, defaults[rows], sizeof defaults[rows]),
        .min = f->min,
        .max = f->max,
        .metavar = f->words ? f->words : f->metavar,
        .help = f->help,
    });
}

static bool has_row(const struct cm_field *f)
{
    char name[NAME_MAX_OPTION];
    option_name(f, name, sizeof name);
    for (size_t k = 0; k < rows; k++)
        if (!strcmp(table[k].name, name))
            return true;
    return false;
}

/* The rows of CM_TRAINER_SECTION or CM_TRAINER_SETTING; NULL: those of all other fields. */
static void add_fields(struct cm_trainer *t, const struct cm_opt *wanted, unsigned by)
{
    for (const struct cm_field *f = cm_fields; f->key; f++) {
        bool here = !wanted || (wanted->def ? !strcmp(f->key, wanted->def)
                                            : (int)f->section == wanted->letter);
        if ((f->by & by) && here && !has_row(f))
            add_field(t, f, by);
    }
}

static void add_rows(struct cm_trainer *t, const struct cm_opt *o, unsigned by)
{
    for (; o->name; o++)
        if (o->type == CM_O_GROUP && !o->help)
            add_fields(t, o, by);
        else
            add_row(o);
}

char **cm_trainer_start(struct cm_trainer *t, struct cm_tool *tool, const struct cm_opt *before,
                        const struct cm_opt *after, unsigned by, int argc, char **argv)
{
    rows = 0;
    add_rows(t, before, by);
    add_fields(t, NULL, by);
    add_rows(t, after, by);
    t->by = by;
    tool->options = table;
    return cm_start(tool, argc, argv);
}

/* ===== what was given ======================================================================= */

void cm_trainer_take(const struct cm_trainer *t, struct cm_config *c, bool fit)
{
    char name[NAME_MAX_OPTION];
    for (const struct cm_field *f = cm_fields; f->key; f++) {
        if (!(f->by & t->by) || (fit && !of_fit(f)))
            continue;
        option_name(f, name, sizeof name);
        if (!cm_given(name))
            continue;
        if (!allowed(f, c))
            cm_usage_error("--%s means nothing with this preset", name);
        cm_field_copy(f, &t->given, c);
    }
}

/* The slot that these characters name, or -1. */
static int slot_named(const char *const slot[2], const char *text, size_t length)
{
    for (int s = 0; s < 2; s++)
        if (strlen(slot[s]) == length && strncmp(slot[s], text, length) == 0)
            return s;
    return -1;
}

/* [SLOT.]KEY=VALUE, of those with or without a slot. */
static void take_token(const char *text, const char *const slot[2], bool of_slots,
                       struct cm_config *c)
{
    const char *value = strchr(text, '=');
    if (!value || value == text)
        cm_usage_error("--tokens %s: expected KEY=VALUE", text);
    const char *dot = memchr(text, '.', (size_t)(value - text)), *name = dot ? dot + 1 : text;
    const struct cm_field *f = cm_field_of_tokens(name, (size_t)(value - name));
    if (!f || !cm_field_present(f, c))
        cm_usage_error("--tokens %.*s means nothing with this preset", (int)(value - text), text);
    if ((dot != NULL) != of_slots)
        return;
    int side = dot ? slot_named(slot, text, (size_t)(dot - text)) : -1;
    if (dot && side < 0)
        cm_usage_error("--tokens %s: the pairs have the slots %s and %s", text, slot[0], slot[1]);
    if (cm_tokens_parse(f, value + 1, side, c))
        cm_usage_error("--tokens %s: %s", text, cm_error_message());
}

void cm_trainer_tokens(const struct cm_list *list, const char *const slot[2], struct cm_config *c)
{
    /* KEY alone first, since it also goes over what a preset says of one slot */
    for (int of_slots = 0; of_slots < 2; of_slots++)
        for (size_t i = 0; i < list->n; i++)
            take_token(list->v[i], slot, of_slots, c);
}

void cm_trainer_layers(const struct cm_list *list, const char *const slot[2], struct cm_config *c)
{
    for (size_t i = 0; i < list->n; i++) {
        const char *text = list->v[i], *at = strchr(text, '=');
        if (!at || at == text)
            cm_usage_error("--layers %s: expected SLOT=IN:WIDTHS:RATES", text);
        int side = slot_named(slot, text, (size_t)(at - text));
        if (side < 0)
            cm_usage_error("--layers %s: the pairs have the slots %s and %s", text, slot[0],
                           slot[1]);
        if (cm_deep_side_parse(&c->net.deep.side[side], at + 1))
            cm_usage_error("--layers %s: %s", text, cm_error_message());
    }
}

void cm_trainer_usage(int code)
{
    if (code)
        cm_usage_error("%s", cm_error_message());
}

/* ===== --show =============================================================================== */

int cm_trainer_show(const struct cm_config *c)
{
    static const char *const slot[2] = {"GEX", "ATAC"};
    const struct cm_preset_advice *a = cm_preset_advice(c->preset);
    struct cm_kv kv = {0};
    cm_config_write_fit(c, &kv);
    cm_config_write_net(c, slot, &kv);
    FILE *out = cm_out_text();
    for (size_t i = 0; i < kv.key.n; i++)
        fprintf(out, "%s\t%s\n", cm_strs_get(&kv.key, i), cm_strs_get(&kv.value, i));
    fprintf(out, "prepare.gex\t%s\nprepare.atac\t%s\nschedule\t%s\n", a->gex, a->atac, a->schedule);
    const char *large = a->large ? a->large : a->schedule, *huge = a->huge ? a->huge : large;
    fprintf(out, "schedule.large\t%s\nschedule.large.above\t%d\n", large, CM_PRESET_LARGE);
    fprintf(out, "schedule.huge\t%s\nschedule.huge.above\t%d\n", huge, CM_PRESET_HUGE);
    cm_kv_free(&kv);
    return cm_finish();
}
