/* format/hdf5/encoding.c - text of every storage as UTF-8. */
#include "format/hdf5/encoding.h"

#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/utf8.h"
#include "stream/cms.h"

/* Length of a fixed-length string: to its first NUL, without trailing blanks if space-padded.
 * SIZE_MAX if something follows that NUL, unless the NUL is
 * a terminator. */
size_t cm_h5_text_length(const char *p, size_t size, H5T_str_t pad)
{
    size_t n = strnlen(p, size);
    for (size_t k = n; pad != H5T_STR_NULLTERM && k < size; k++)
        if (p[k])
            return SIZE_MAX;
    while (pad == H5T_STR_SPACEPAD && n && p[n - 1] == ' ')
        n--;
    return n;
}

/* Adds a text as UTF-8.  where: what it is, for the message. */
int cm_h5_text_add(bool latin1, const char *p, size_t n, struct cm_strs *out, const char *where)
{
    if (n == SIZE_MAX)
        return cm_fail(CM_EINPUT, "%s: a text with a NUL byte inside", where);
    size_t bad = cm_utf8_bad(p, n);
    if (bad == n) {
        cm_strs_addn(out, p, n);
    } else if (!latin1) {
        return cm_fail(CM_EINPUT,
                       "%s: text that is not UTF-8 (byte %u is 0x%02X); --encoding latin1 converts "
                       "it",
                       where, (unsigned)bad, (unsigned char)p[bad]);
    } else {
        char *u = CM_NEW(2 * n, char);
        size_t length = cm_utf8_from_latin1(p, n, u);
        if (length <= CM_MAX_NAME)
            cm_strs_addn(out, u, length);
        cm_free(u);
        if (length > CM_MAX_NAME)
            return cm_fail(CM_EINPUT, "%s: text of %zu bytes as UTF-8, at most %zu", where, length,
                           CM_MAX_NAME);
    }
    return 0;
}
