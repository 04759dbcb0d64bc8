/* model/config.h - the settings of a model, and the table of their fields.
 *
 * Each idea owns its settings (linear/config.h, links/, network/, train/, baselines/); here they
 * are composed.  One table holds for every field its offset, its key in a model's head, its range
 * or words, and its option on a command line: a new setting is a member of its struct, a row of the
 * table, and its use.  Keys and the text of values are the format of a model file.
 */
#ifndef CM_MODEL_CONFIG_H
#define CM_MODEL_CONFIG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "linear/config.h"
#include "links/config.h"
#include "network/config.h"
#include "stream/cms.h"
#include "train/config.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ===== settings ============================================================================= */

enum cm_preset {
    CM_PRESET_LINEAR,
    CM_PRESET_CLOSED,
    CM_PRESET_BEST,
    CM_PRESET_ATTN,
    CM_PRESET_PAPER,
    CM_PRESET_AUTHORS,
    CM_PRESET_SMALL,
    CM_PRESET_NOVEL,
    CM_PRESET_MATCHCLOT,
    CM_PRESET_CCA,
    CM_PRESET_RIDGE,
    CM_PRESET_PROCRUSTES,
    CM_PRESET_CLUE,
    CM_PRESET_COUNT
};
/* Their names in the order of the enum, by tool. */
#define CM_PRESETS_XATTN "linear|closed|best|attn|paper|authors"
#define CM_PRESETS_MLP   "small|novel|matchclot"
#define CM_PRESETS_CCA   "cca|ridge|procrustes"
#define CM_PRESETS_CLUE  "clue"
#define CM_PRESETS       CM_PRESETS_XATTN "|" CM_PRESETS_MLP "|" CM_PRESETS_CCA "|" CM_PRESETS_CLUE

struct cm_config {
    enum cm_preset preset;
    struct cm_linear_config linear;
    struct cm_links_config links;
    int64_t seed;
    struct cm_net_config net;
    struct cm_loss_config loss;
    struct cm_loop_config loop;
};

/* Fills what follows from the rest: whether there is a linear part and a peak-gene term, and the
 * settings of each slot's encoder.  After every change. */
void cm_config_resolve(struct cm_config *c);
/* May the model have a peak-gene term?  It needs the linear part as the base of S0. */
bool cm_config_may_link(const struct cm_config *c);
/* Does the linear part end in projections?  The baselines' encoders take its components alone. */
bool cm_config_has_cca(const struct cm_config *c);
/* CM_EUSAGE for settings that contradict each other or train nothing. */
int cm_config_check(const struct cm_config *c);

/* ===== the head of a model ================================================================== */

/* Writes the keys: those of the fit, then those of what is trained; slot: the model's slots. */
void cm_config_write_fit(const struct cm_config *c, struct cm_kv *kv);
void cm_config_write_net(const struct cm_config *c, const char *const slot[2], struct cm_kv *kv);
/* How the mini-batches of a `pairs` stream were drawn, if they were used, and within what label. */
void cm_config_write_batches(const struct cm_kv *pairs, bool used, struct cm_kv *kv);

/* The network is left out of the model: no encoder, whatever the other keys say of its training. */
void cm_config_drop_net(struct cm_config *c, struct cm_kv *kv);

/* Reads them from a model's head.  CM_CONFIG_APPLY needs, and looks at, what maps a cell to its
 * embedding; CM_CONFIG_TRAIN everything.  k and q are 0 where the head lacks them.  CM_EINPUT
 * names the key that is missing, malformed or out of range. */
enum cm_config_use { CM_CONFIG_APPLY, CM_CONFIG_TRAIN };
int cm_config_read(struct cm_config *c, const struct cm_head *head, enum cm_config_use use);

/* CM_EINPUT when a head says another k or q than the tensors of its linear part have; q 0: has
 * none. */
int cm_config_check_sizes(const struct cm_kv *kv, size_t k, size_t q);

/* ===== the table ============================================================================ */

enum cm_field_type {
    CM_F_BOOL,
    CM_F_INT,
    CM_F_REAL,
    CM_F_WORD,   /* an enum, by the position of the word */
    CM_F_LAYERS, /* struct cm_layers of whole numbers */
    CM_F_RATES   /* struct cm_layers of real ones */
};

/* Which fields stand together: present, and written, as one. */
enum cm_section {
    CM_SECTION_MODEL,
    CM_SECTION_LINEAR,
    CM_SECTION_CCA, /* its keys stand among those of the linear part */
    CM_SECTION_LINKS_ON,
    CM_SECTION_LINKS,
    CM_SECTION_LINKS_LEARNED,
    CM_SECTION_SEED,
    CM_SECTION_RESIDUAL,
    CM_SECTION_TRAINING,
    CM_SECTION_ENCODER,
    CM_SECTION_MLP,
    CM_SECTION_TOKENS, /* of any slot, or of one */
    CM_SECTION_CROSS,
    CM_SECTION_CROSS_RATE,
    CM_SECTION_DEEP,
    CM_SECTION_DEEP_SIDE, /* of one slot */
    CM_SECTION_CLUE,
    CM_SECTION_CLUE_RATE
};

/* Trainers that offer a field as an option. */
enum { CM_BY_XATTN = 1, CM_BY_MLP = 2, CM_BY_CCA = 4, CM_BY_CLUE = 8 };

struct cm_field {
    const char *key; /* without the common front of hyper-parameters and without a slot */
    enum cm_field_type type;
    enum cm_section section, also; /* also: a second one, CM_SECTION_MODEL = none */
    enum { CM_NEED_TO_TRAIN, CM_NEED_ALWAYS, CM_NEED_NEVER } need;
    size_t at;         /* in struct cm_config */
    double min, max;   /* of numbers */
    const char *words; /* "a|b|c" */
    /* as an option: by which trainers, and how; option NULL: the key with dashes */
    unsigned by;
    int letter;
    const char *option, *metavar, *help;
};

extern const struct cm_field cm_fields[]; /* ended by a row without a key */

/* Does c have the field?  Of CM_SECTION_TOKENS and CM_SECTION_DEEP_SIDE: for any slot. */
bool cm_field_present(const struct cm_field *f, const struct cm_config *c);
/* Appends the value as the head has it. */
void cm_field_text(const struct cm_field *f, const struct cm_config *c, struct cm_buf *to);
/* Sets it from text.  CM_EINPUT says what was expected. */
int cm_field_parse(const struct cm_field *f, const char *text, struct cm_config *c);
void cm_field_copy(const struct cm_field *f, const struct cm_config *from, struct cm_config *to);
/* The row of a setting of the token encoders, NULL: there is none; and setting it from text for
 * slot 0, 1, or -1: any, also where a preset has another number for one of them. */
const struct cm_field *cm_field_of_tokens(const char *name, size_t length);
int cm_tokens_parse(const struct cm_field *f, const char *text, int slot, struct cm_config *c);
/* One modality's perceptron from "IN:WIDTHS:RATES".  CM_EUSAGE says what was expected. */
int cm_deep_side_parse(struct cm_deep_side *side, const char *text);
/* CM_EUSAGE, naming the first field, where `want` is not as `have` from the file `path`.  fit: only
 * what a model to begin from settles, its linear part and peak-gene term. */
int cm_config_settled(const struct cm_config *have, const struct cm_config *want,
                      const char *const slot[2], bool fit, const char *path);

#ifdef __cplusplus
}
#endif
#endif
