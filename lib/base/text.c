/* base/text.c - strict number parsing and shortest round-trip printing.
 *
 * The shortest form is found by trying 6 to 17 significant digits (6 to 9 for floats).  Most
 * doubles need 16 or 17, so 15 is asked first: if that does not read back, nothing shorter does.  A
 * table-driven algorithm (Ryu, Grisu) would be faster, but text is for looking and for small
 * tables, never for bulk data.
 */
#include "base/text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool cm_parse_i64(const char *s, int64_t *out)
{
    if (!isdigit((unsigned char)s[0]) &&
        !((s[0] == '-' || s[0] == '+') && isdigit((unsigned char)s[1])))
        return false;
    const char *t = s + (*s == '-' || *s == '+');
    int64_t size = 0;
    size_t n = 0;
    for (; n < 18 && isdigit((unsigned char)t[n]); n++)
        size = 10 * size + (t[n] - '0');
    if (!t[n]) { /* no number of 18 digits is out of range */
        *out = *s == '-' ? -size : size;
        return true;
    }
    char *end;
    errno = 0;
    long long v = strtoll(s, &end, 10);
    if (*end || errno)
        return false;
    *out = v;
    return true;
}

bool cm_parse_u64(const char *s, uint64_t *out)
{
    if (!isdigit((unsigned char)s[0]))
        return false;
    char *end;
    errno = 0;
    unsigned long long v = strtoull(s, &end, 10);
    if (*end || errno)
        return false;
    *out = v;
    return true;
}

bool cm_parse_f64(const char *s, double *out)
{
    const char *t = s + (*s == '-' || *s == '+');
    if (!(isdigit((unsigned char)*t) || *t == '.' || !strcasecmp(t, "nan") ||
          !strcasecmp(t, "inf") || !strcasecmp(t, "infinity")) ||
        (t[0] == '0' && (t[1] == 'x' || t[1] == 'X')))
        return false;
    char *end;
    errno = 0;
    double v = strtod(s, &end);
    if (*end || end == s || (errno == ERANGE && isinf(v)))
        return false;
    *out = v;
    return true;
}

bool cm_parse_size(const char *s, uint64_t *out)
{
    size_t n = strlen(s);
    char digits[24];
    if (n == 0 || n >= sizeof digits)
        return false;
    memcpy(digits, s, n + 1);
    const char *suffix = "KMGT", *at = strchr(suffix, toupper((unsigned char)digits[n - 1]));
    unsigned shift = 0;
    if (at && *at) {
        shift = 10 * (unsigned)(at - suffix + 1);
        digits[n - 1] = 0;
    }
    uint64_t v;
    if (!cm_parse_u64(digits, &v) || v > (UINT64_MAX >> shift))
        return false;
    *out = v << shift;
    return true;
}

const char *cm_format_f64(double v, char buf[CM_NUMBER_MAX])
{
    if (isnan(v))
        return strcpy(buf, "nan");
    snprintf(buf, CM_NUMBER_MAX, "%.15g", v);
    for (int digits = isinf(v) || strtod(buf, NULL) == v ? 6 : 16; digits <= 17; digits++) {
        snprintf(buf, CM_NUMBER_MAX, "%.*g", digits, v);
        if (isinf(v) || strtod(buf, NULL) == v)
            break;
    }
    return buf;
}

const char *cm_format_f32(float v, char buf[CM_NUMBER_MAX])
{
    if (isnan(v))
        return strcpy(buf, "nan");
    for (int digits = 6; digits <= 9; digits++) {
        snprintf(buf, CM_NUMBER_MAX, "%.*g", digits, (double)v);
        if (isinf(v) || strtof(buf, NULL) == v)
            break;
    }
    return buf;
}

size_t cm_format_i64(int64_t v, char buf[CM_NUMBER_MAX])
{
    char digits[CM_NUMBER_MAX];
    size_t n = 0, sign = v < 0;
    uint64_t left = sign ? -(uint64_t)v : (uint64_t)v;
    do
        digits[n++] = (char)('0' + left % 10);
    while (left /= 10);
    if (sign)
        digits[n++] = '-';
    for (size_t k = 0; k < n; k++)
        buf[k] = digits[n - 1 - k];
    buf[n] = 0;
    return n;
}

char *cm_next_field(char **rest)
{
    char *field = *rest;
    if (!field)
        return NULL;
    char *tab = strchr(field, '\t');
    if (tab)
        *tab = 0;
    *rest = tab ? tab + 1 : NULL;
    return field;
}
