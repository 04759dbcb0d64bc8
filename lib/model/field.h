/* model/field.h - where the settings lie, and their text; others include model/config.h. */
#ifndef CM_MODEL_FIELD_H
#define CM_MODEL_FIELD_H

#include "model/config.h"

/* Offset in struct cm_config of the field for slot 0 or 1, or -1: any. */
size_t cm_field_place(const struct cm_field *f, int slot);
size_t cm_field_size(const struct cm_field *f);
const void *cm_field_value(const struct cm_field *f, const struct cm_config *c, int slot);

/* Which settings of the token encoders a slot has of its own: the bit of a row, one, all. */
unsigned cm_field_bit(const struct cm_field *f);
bool cm_field_own(const struct cm_field *f, const struct cm_config *c, int slot);
bool cm_field_all_own(const struct cm_config *c, int slot);

bool cm_section_present(enum cm_section s, const struct cm_config *c);

/* A value as text, and back; CM_EINPUT says what was expected. */
void cm_field_put(const struct cm_field *f, const void *at, struct cm_buf *to);
int cm_field_take(const struct cm_field *f, const char *text, void *to);

#endif
