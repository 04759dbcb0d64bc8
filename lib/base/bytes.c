/* base/bytes.c - growable buffers and the bounded cursor of bytes.h.
 *
 * Byte order is decided at compile time by __BYTE_ORDER__; on a little-endian host every array copy
 * is one memcpy.  The big-endian branch is the plain loop, kept so that the format stays honest.
 */
#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

void cm_buf_free(struct cm_buf *b)
{
    cm_free(b->p);
    *b = (struct cm_buf){0};
}

void *cm_buf_extend(struct cm_buf *b, size_t n)
{
    size_t need;
    if (cm_add(b->n, n, &need))
        cm_panic(4, "out of memory: a buffer of %zu and %zu bytes", b->n, n);
    CM_GROW(b->p, b->cap, need ? need : 1);
    void *at = b->p + b->n;
    b->n = need;
    return at;
}

void cm_buf_put(struct cm_buf *b, const void *p, size_t n)
{
    void *to = cm_buf_extend(b, n);
    if (n)
        memcpy(to, p, n);
}

void cm_buf_puts(struct cm_buf *b, const char *s) { cm_buf_put(b, s, strlen(s)); }

void cm_buf_printf(struct cm_buf *b, const char *format, ...)
{
    va_list ap, again;
    va_start(ap, format);
    va_copy(again, ap);
    char none[1];
    int n = vsnprintf(none, 0, format, ap);
    va_end(ap);
    CM_ASSERT(n >= 0);
    char *to = cm_buf_extend(b, (size_t)n + 1);
    vsnprintf(to, (size_t)n + 1, format, again);
    va_end(again);
    b->n--; /* the NUL stays behind the end, ready for the next text */
}

void cm_buf_u8(struct cm_buf *b, uint8_t v) { cm_buf_put(b, &v, 1); }
void cm_buf_u32(struct cm_buf *b, uint32_t v) { cm_buf_le(b, &v, 1, 4); }
void cm_buf_u64(struct cm_buf *b, uint64_t v) { cm_buf_le(b, &v, 1, 8); }

void cm_buf_pad8(struct cm_buf *b, size_t from)
{
    size_t n = (8 - (b->n - from) % 8) % 8;
    memset(cm_buf_extend(b, n), 0, n);
}

void cm_le_copy(void *out, const void *in, size_t n, size_t size)
{
    if (!n)
        return;
#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
    unsigned char *o = out;
    const unsigned char *i = in;
    for (size_t k = 0; k < n; k++)
        for (size_t b = 0; b < size; b++)
            o[k * size + b] = i[k * size + size - 1 - b];
#else
    memcpy(out, in, n * size);
#endif
}

void cm_buf_le(struct cm_buf *b, const void *items, size_t n, size_t size)
{
    size_t bytes;
    if (cm_mul(n, size, &bytes))
        cm_panic(4, "out of memory: %zu items of %zu bytes", n, size);
    cm_le_copy(cm_buf_extend(b, bytes), items, n, size);
}

struct cm_cursor cm_cursor_make(const void *p, size_t n)
{
    return (struct cm_cursor){.p = p, .n = n};
}

const void *cm_cursor_take(struct cm_cursor *c, size_t n)
{
    if (c->bad || n > c->n) {
        c->bad = true;
        return NULL;
    }
    const void *at = c->p;
    if (n) {
        c->p += n;
        c->n -= n;
        c->at += n;
    }
    return at;
}

const void *cm_cursor_items(struct cm_cursor *c, uint64_t n, size_t size)
{
    size_t bytes;
    if (n > SIZE_MAX || cm_mul((size_t)n, size, &bytes)) {
        c->bad = true;
        return NULL;
    }
    return cm_cursor_take(c, bytes);
}

void cm_cursor_pad8(struct cm_cursor *c) { cm_cursor_take(c, (8 - c->at % 8) % 8); }

uint8_t cm_cursor_u8(struct cm_cursor *c)
{
    const uint8_t *p = cm_cursor_take(c, 1);
    return p ? *p : 0;
}

uint32_t cm_cursor_u32(struct cm_cursor *c)
{
    uint32_t v = 0;
    const void *p = cm_cursor_take(c, 4);
    if (p)
        cm_le_copy(&v, p, 1, 4);
    return v;
}

uint64_t cm_cursor_u64(struct cm_cursor *c)
{
    uint64_t v = 0;
    const void *p = cm_cursor_take(c, 8);
    if (p)
        cm_le_copy(&v, p, 1, 8);
    return v;
}
