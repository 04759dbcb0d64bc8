/* base/utf8.h - is a text UTF-8, and Latin-1 made into it. */
#ifndef CM_BASE_UTF8_H
#define CM_BASE_UTF8_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The first byte of p[0..n-1] that is not part of well-formed UTF-8 (overlong forms, surrogates and
 * numbers beyond U+10FFFF are not); n if there is none. */
size_t cm_utf8_bad(const char *p, size_t n);

/* Latin-1 as UTF-8 into out (2 n bytes; not terminated); the number of bytes written. */
size_t cm_utf8_from_latin1(const char *p, size_t n, char *out);

/* The character with that number as 1 to 4 bytes into out; 0 if there is no such character. */
size_t cm_utf8_put(unsigned long character, char out[4]);

#ifdef __cplusplus
}
#endif
#endif
