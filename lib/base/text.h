/* base/text.h - numbers in text, the same in every locale.
 *
 * Strict parsers consume the whole text and report failure; the formatter prints the shortest
 * decimal that reads back to the same double.  The tools never call setlocale, so the C locale
 * holds.
 */
#ifndef CM_BASE_TEXT_H
#define CM_BASE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

bool cm_parse_i64(const char *s, int64_t *out);   /* decimal, optional sign, nothing behind it */
bool cm_parse_u64(const char *s, uint64_t *out);  /* decimal digits alone */
bool cm_parse_f64(const char *s, double *out);    /* also nan, inf; no hex, no blanks */
bool cm_parse_size(const char *s, uint64_t *out); /* bytes; suffix K, M, G, T = powers of 1024 */

#define CM_NUMBER_MAX 32
/* Shortest decimal of 6 digits or more (less trailing zeros) that reads back to v: "0.1", "1e-05",
 * "nan", "-inf".  Returns buf. */
const char *cm_format_f64(double v, char buf[CM_NUMBER_MAX]);
/* The same for values that are floats. */
const char *cm_format_f32(float v, char buf[CM_NUMBER_MAX]);

/* v in decimal; returns its length. */
size_t cm_format_i64(int64_t v, char buf[CM_NUMBER_MAX]);

/* Cuts the line at its next tab: returns the field, NUL-terminated in place, and moves *rest behind
 * the tab; NULL when *rest is NULL.  The last field leaves *rest NULL. */
char *cm_next_field(char **rest);

#ifdef __cplusplus
}
#endif
#endif
