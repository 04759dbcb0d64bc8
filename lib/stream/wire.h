/* stream/wire.h - what reader and writer share about bytes on the wire (private to stream/).
 *
 * The layouts are those of man/cms.5, which is the specification; the two sides meet here so that a
 * tag or a flag is written once.  Escapes: %09 tab, %0A newline, %0D return, %25 percent.
 */
#ifndef CM_STREAM_WIRE_H
#define CM_STREAM_WIRE_H

#include <string.h>

#include "base/bytes.h"
#include "base/strs.h"
#include "base/utf8.h"
#include "stream/cms.h"

#define CM_WIRE_MAGIC                                                                              \
    "\x89"                                                                                         \
    "CMS\r\n\x1a\n"
enum { CM_WIRE_PREFIX = 16, CM_WIRE_RECORD = 16, CM_WIRE_FRAME = 256 * 1024 };
enum { CM_WIRE_NAMED = 10000 }; /* labels, fields of a line of COLS: what is looked up by walking */
enum { CM_WIRE_DENSE = 1, CM_WIRE_ROWF = 2 }; /* flags of a BLOCK */
#define CM_MAX_HISTORY ((size_t)64 << 20) /* bytes of ignorable records kept to be copied through */

struct cm_history {
    char tag[9];
    struct cm_buf payload; /* with a NUL behind it */
    char id[17];
};
/* The ignorable records of a stream, each once, in order. */
struct cm_past {
    struct cm_history *list;
    size_t n, cap;
    struct cm_strs ids;
    struct cm_index index; /* of the ids */
};
void cm_past_add(struct cm_past *past, const char *tag, const void *p, size_t size);
void cm_past_free(struct cm_past *past);

/* Parents' side doors for the writer. */
const struct cm_history *cm_reader_history_list(const struct cm_reader *r, size_t *n);
bool cm_reader_ended(const struct cm_reader *r);

/* The columns and values of a sparse block as they came. */
struct cm_frame {
    const unsigned char
        *frame;               /* compressed, where they were a whole frame of their own, or NULL */
    const unsigned char *raw; /* decompressed: the end of the payload */
    size_t nframe, nraw;
    enum cm_value type;
};
/* Those of the block that the reader delivered last; false if there are none.  Valid until the
 * reader goes on. */
bool cm_reader_frame(const struct cm_reader *r, struct cm_frame *out);

/* Bytes of the columns and values of n entries in a payload, with their padding. */
static inline size_t cm_wire_entries(uint64_t n, enum cm_value type)
{
    return ((size_t)n * 4 + 7) / 8 * 8 + ((size_t)n * cm_value_size(type) + 7) / 8 * 8;
}

/* Types of labels and of columns as HEAD and COLS call them. */
enum { CM_WIRE_TYPES = 5 };
extern const char *const cm_wire_type[CM_WIRE_TYPES];
int cm_wire_find(const char *const *list, size_t n, const char *name); /* place of name, or -1 */
static inline bool cm_wire_is_utf8(const char *text)
{
    size_t n = strlen(text);
    return cm_utf8_bad(text, n) == n;
}

void cm_escape(struct cm_buf *b, const char *text);
void cm_unescape(char *text); /* in place; a % without two digits stands for itself */

/* Every line of `text` (n bytes) with `front` before it; the last may lack its newline. */
void cm_put_lines(struct cm_buf *to, const char *front, const char *text, size_t n);

/* u64 bytes; u32 length[n]; the bytes; padding to 8. */
void cm_wire_put_strs(struct cm_buf *b, const struct cm_strs *s, size_t from, size_t n);
bool cm_wire_get_strs(struct cm_cursor *c, size_t n, struct cm_strs *out); /* appended to out */

/* How large the factors of a lazy slot are: mostly enough to know that no value overflows. */
struct cm_lazy_bound {
    double col, post; /* largest magnitudes */
    bool negative;    /* some fit.col is */
};
/* 0, or CM_EINPUT where a lazy slot has a fit.col or fit.post that is no f64 or not finite. */
int cm_lazy_bound(const struct cm_slot *s, struct cm_lazy_bound *out);
/* The first entry of b whose value, f32 after the transform, is not finite; b->nnz if all are. */
uint64_t cm_lazy_overflow(struct cm_block *b, const struct cm_slot *s,
                          const struct cm_lazy_bound *bound);

void cm_wire_put_head(struct cm_buf *b, const struct cm_head *h);
/* cols: CM_MAX_SLOTS places for the widths that HEAD declares (COLS must agree). */
int cm_wire_get_head(char *text, struct cm_head *h, uint64_t *cols);
void cm_wire_put_cols(struct cm_buf *b, size_t slot, const struct cm_cols *c);
int cm_wire_get_cols(char *text, size_t cols, struct cm_cols *c);

#endif
