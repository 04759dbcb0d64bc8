/* format/hdf5/text.c - datasets as text: strings of fixed or variable length, numbers, booleans.
 *
 * They are read in batches, so that HDF5's many small allocations for variable-length strings are
 * short-lived.
 */
#include "format/hdf5/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/utf8.h"
#include "format/hdf5/chunk.h"
#include "format/hdf5/encoding.h"
#include "format/hdf5/filters.h"
#include "stream/cms.h"

#define BATCH ((uint64_t)4096) /* strings read at once */

/* The character that an entity at p ("&#233;", "&#xe9;", "&amp;") stands for; *n: its bytes.  0 =
 * none. */
static unsigned long entity(const char *p, size_t *n)
{
    static const struct {
        const char *name;
        unsigned char c;
    } known[] = {{"&amp;", '&'}, {"&lt;", '<'}, {"&gt;", '>'}, {"&quot;", '"'}, {"&apos;", '\''}};
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
        if (!strncmp(p, known[k].name, *n = strlen(known[k].name)))
            return known[k].c;
    bool hex = p[1] == '#' && (p[2] == 'x' || p[2] == 'X');
    const char *digits = p + (hex ? 3 : 2);
    size_t width = strspn(digits, hex ? "0123456789abcdefABCDEF" : "0123456789");
    *n = (size_t)(digits - p) + width + 1;
    if (p[1] != '#' || !width || width > 7 || digits[width] != ';')
        return 0;
    return strtoul(digits, NULL, hex ? 16 : 10);
}

static void unescape(const char *p, struct cm_strs *out)
{
    struct cm_buf b = {0};
    for (size_t n; *p; p += n) {
        char utf8[4];
        unsigned long c = *p == '&' ? entity(p, &n) : 0;
        size_t bytes = c ? cm_utf8_put(c, utf8) : 0;
        if (!bytes)
            n = 1;
        cm_buf_put(&b, bytes ? utf8 : p, bytes ? bytes : 1);
    }
    cm_strs_addn(out, (const char *)b.p, b.n);
    cm_buf_free(&b);
}

static int add_text(const struct cm_h5set *s, uint64_t row, const char *p, size_t n,
                    struct cm_strs *out)
{
    if (n != SIZE_MAX && n > CM_MAX_NAME)
        return cm_fail(CM_EINPUT, "%s: %s: row %" PRIu64 ": text of %zu bytes, at most %zu",
                       CM_H5_AT(s), row, n, CM_MAX_NAME);
    bool fits = n != SIZE_MAX && cm_utf8_bad(p, n) == n;
    if (fits && !(s->entities && memchr(p, '&', n))) {
        cm_strs_addn(out, p, n);
        return 0;
    }
    char where[512];
    snprintf(where, sizeof where, "%s: %s: row %" PRIu64, CM_H5_AT(s), row);
    if (!s->entities)
        return cm_h5_text_add(s->latin1, p, n, out, where);
    struct cm_strs one = {0};
    int code = cm_h5_text_add(s->latin1, p, n, &one, where);
    if (!code)
        unescape(cm_strs_get(&one, 0), out);
    cm_strs_free(&one);
    return code;
}

static int variable_texts(const struct cm_h5set *s, uint64_t first, uint64_t n, struct cm_strs *out)
{
    hid_t file, mem, str = H5Tcopy(H5T_C_S1);
    H5Tset_size(str, H5T_VARIABLE);
    H5Tset_cset(str, H5Tget_cset(s->type));
    char **v = CM_ZNEW(n * s->cols, char *);
    cm_h5_filters_expect(s->chunk_bytes);
    int code = s->verified ? cm_h5chunk_check(s, first, n) : 0;
    code = code ? code : cm_h5set_select(s, first, n, &file, &mem);
    if (!code) {
        hid_t type = cm_h5set_memory_type(s, str);
        if (type < 0 || H5Dread(s->id, type, mem, file, H5P_DEFAULT, v) < 0)
            code = cm_h5set_read_failed(s, first, n);
        cm_h5_filters_expect(0);
        for (uint64_t i = 0; !code && i < n * s->cols; i++)
            code = add_text(s, first + i / s->cols, v[i] ? v[i] : "", v[i] ? strlen(v[i]) : 0, out);
        H5Dvlen_reclaim(type, mem, H5P_DEFAULT, v);
        H5Tclose(type);
        H5Sclose(mem);
        H5Sclose(file);
    }
    cm_free(v);
    H5Tclose(str);
    return code;
}

static int fixed_texts(const struct cm_h5set *s, uint64_t first, uint64_t n, struct cm_strs *out)
{
    size_t items, bytes;
    if (cm_mul((size_t)n, (size_t)s->cols, &items) || cm_mul(items, s->size, &bytes) ||
        bytes > (size_t)1 << 31)
        return cm_fail(CM_EINPUT, "%s: %s: texts of %zu bytes each are not supported", CM_H5_AT(s),
                       s->size);
    char *v = cm_alloc(items, s->size);
    int code = cm_h5set_read(s, first, n, s->type, v);
    for (size_t i = 0; !code && i < items; i++)
        code = add_text(s, first + i / s->cols, v + i * s->size,
                        cm_h5_text_length(v + i * s->size, s->size, H5Tget_strpad(s->type)), out);
    cm_free(v);
    return code;
}

static int number_texts(const struct cm_h5set *s, uint64_t first, uint64_t n, struct cm_strs *out)
{
    int code;
    uint64_t items = n * s->cols;
    if (s->cls == CM_H5_FLOAT) {
        double *v = CM_NEW(items, double);
        char text[CM_NUMBER_MAX];
        code = cm_h5set_f64(s, first, n, v);
        for (uint64_t i = 0; !code && i < items; i++)
            cm_strs_add(out, s->size <= 4 ? cm_format_f32((float)v[i], text)
                                          : cm_format_f64(v[i], text));
        cm_free(v);
        return code;
    }
    int64_t *v = CM_NEW(items, int64_t);
    char text[CM_NUMBER_MAX];
    code = cm_h5set_i64(s, first, n, v);
    for (uint64_t i = 0; !code && i < items; i++) {
        snprintf(text, sizeof text, "%" PRId64, v[i]);
        cm_strs_add(out, s->cls == CM_H5_BOOL ? (v[i] ? "True" : "False") : text);
    }
    cm_free(v);
    return code;
}

int cm_h5set_texts(const struct cm_h5set *s, uint64_t first, uint64_t n, struct cm_strs *out)
{
    int code = s->cls == CM_H5_STRING ? 0 : cm_h5set_need_number(s);
    if (!code && s->cols != 1)
        code = cm_fail(CM_EINPUT, "%s: %s: expected one dimension", CM_H5_AT(s));
    for (uint64_t at = 0; at < n && !code; at += BATCH) {
        cm_h5_step();
        uint64_t some = n - at < BATCH ? n - at : BATCH;
        code = s->cls != CM_H5_STRING ? number_texts(s, first + at, some, out)
               : s->fixed             ? fixed_texts(s, first + at, some, out)
                                      : variable_texts(s, first + at, some, out);
    }
    return code;
}
