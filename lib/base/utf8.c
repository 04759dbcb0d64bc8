/* base/utf8.c - well-formed UTF-8 as Unicode's table 3-7 has it. */
#include "base/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

static bool inside(unsigned char c, unsigned char from, unsigned char to)
{
    return c >= from && c <= to;
}

/* Bytes of the character that begins at p, 0 if it is none. */
static size_t length(const unsigned char *p, size_t n)
{
    unsigned char a = p[0];
    size_t want = a < 0x80 ? 1 : inside(a, 0xc2, 0xdf) ? 2 : inside(a, 0xe0, 0xef) ? 3 : 4;
    if (want == 1)
        return 1;
    if ((want == 4 && !inside(a, 0xf0, 0xf4)) || n < want)
        return 0;
    unsigned char from = a == 0xe0 ? 0xa0 : a == 0xf0 ? 0x90 : 0x80;
    unsigned char to = a == 0xed ? 0x9f : a == 0xf4 ? 0x8f : 0xbf;
    if (!inside(p[1], from, to))
        return 0;
    for (size_t k = 2; k < want; k++)
        if (!inside(p[k], 0x80, 0xbf))
            return 0;
    return want;
}

size_t cm_utf8_bad(const char *text, size_t n)
{
    const unsigned char *p = (const unsigned char *)text;
    size_t at = 0;
    while (at < n) {
        uint64_t eight;
        if (n - at >= 8 && (memcpy(&eight, p + at, 8), !(eight & 0x8080808080808080u))) {
            at += 8;
            continue;
        }
        size_t k = length(p + at, n - at);
        if (!k)
            return at;
        at += k;
    }
    return n;
}

size_t cm_utf8_from_latin1(const char *text, size_t n, char *out)
{
    size_t at = 0;
    for (size_t k = 0; k < n; k++)
        at += cm_utf8_put((unsigned char)text[k], out + at);
    return at;
}

size_t cm_utf8_put(unsigned long c, char out[4])
{
    if (c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    if (c < 0x80) {
        out[0] = (char)c;
        return 1;
    }
    size_t n = c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char lead[] = {0, 0, 0xc0, 0xe0, 0xf0};
    for (size_t k = n; k-- > 1; c >>= 6)
        out[k] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(lead[n] | c);
    return n;
}
