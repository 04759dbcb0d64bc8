/* stream/narrow.h - columns and values of a block as they travel (private to stream/). */
#ifndef CM_STREAM_NARROW_H
#define CM_STREAM_NARROW_H

#include "base/bytes.h"
#include "stream/cms.h"

/* The narrowest wire type that holds all values of b without loss (f64 is rounded to f32 only when
 * the slot is not wide and no whole number would change). */
enum cm_value cm_narrowest(const struct cm_block *b, bool wide);
/* Appends the values as type `to`. */
void cm_put_values(struct cm_buf *out, const struct cm_block *b, enum cm_value to);
/* Appends the columns as four planes of bytes, and padding to 8 from offset `from`. */
void cm_put_columns(struct cm_buf *out, const struct cm_block *b, size_t from);

#endif
