/* base/bytes.h - a growable byte buffer, and little-endian numbers inside it.
 *
 * For writing, append functions; for reading, a bounded cursor whose error is sticky, so that a
 * reader takes ten fields and checks once.  Numbers go through memcpy and a byte swap that the
 * compiler removes on little-endian machines.  Rejected: casting structs onto the wire.
 */
#ifndef CM_BASE_BYTES_H
#define CM_BASE_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Zero-initialise ({0}); release with cm_buf_free. */
struct cm_buf {
    unsigned char *p;
    size_t n, cap;
};

void cm_buf_free(struct cm_buf *b);
void *cm_buf_extend(struct cm_buf *b, size_t n); /* n more bytes, uninitialised; pointer to them */
void cm_buf_put(struct cm_buf *b, const void *p, size_t n);
void cm_buf_puts(struct cm_buf *b, const char *s); /* without its NUL */
void cm_buf_printf(struct cm_buf *b, const char *format, ...)
#if defined(__GNUC__)
    __attribute__((format(printf, 2, 3)))
#endif
    ;
void cm_buf_u8(struct cm_buf *b, uint8_t v);
void cm_buf_u32(struct cm_buf *b, uint32_t v);
void cm_buf_u64(struct cm_buf *b, uint64_t v);
void cm_buf_pad8(struct cm_buf *b, size_t from); /* zeros until (n - from) is a multiple of 8 */

/* Arrays, little-endian on the wire: u16, u32, f32 as 2 or 4 bytes an item, u64, i64, f64 as 8. */
void cm_buf_le(struct cm_buf *b, const void *items, size_t n, size_t size);
void cm_le_copy(void *out, const void *in, size_t n, size_t size); /* wire to host or back */

/* A bounded reader over bytes that somebody else owns.  After any short read `bad` stays true and
 * all further values are zero. */
struct cm_cursor {
    const unsigned char *p;
    size_t n;  /* bytes left */
    size_t at; /* bytes taken so far */
    bool bad;
};

struct cm_cursor cm_cursor_make(const void *p, size_t n);
const void *cm_cursor_take(struct cm_cursor *c, size_t n); /* NULL when short (n > 0) */
const void *cm_cursor_items(struct cm_cursor *c, uint64_t n, size_t size); /* checked product */
void cm_cursor_pad8(struct cm_cursor *c); /* skip to a multiple of 8 from the start */
uint8_t cm_cursor_u8(struct cm_cursor *c);
uint32_t cm_cursor_u32(struct cm_cursor *c);
uint64_t cm_cursor_u64(struct cm_cursor *c);

#ifdef __cplusplus
}
#endif
#endif
