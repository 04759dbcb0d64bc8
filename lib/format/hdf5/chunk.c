/* format/hdf5/chunk.c - chunks of a dataset: their filters, unpacking, checking.
 *
 * The unpacked size is known from the chunk's dimensions, so that gzip can neither overflow nor
 * swell, and a chunk that gives another size is an error, where libhdf5 1.10 would read past its
 * end.
 */
#include "format/hdf5/chunk.h"

#include <inttypes.h>
#include <string.h>

#include "base/clones.h"
#include "base/error.h"
#include "base/mem.h"

void cm_h5chunks_of(struct cm_h5chunks *c, const struct cm_h5set *s)
{
    hid_t dcpl = H5Dget_create_plist(s->id);
    hsize_t extent[2] = {0, 1};
    int n = H5Pget_nfilters(dcpl);
    *c = (struct cm_h5chunks){.plain = n >= 0};
    if (H5Pget_layout(dcpl) == H5D_CHUNKED && H5Pget_chunk(dcpl, 2, extent) == (int)s->rank &&
        extent[0] && extent[1]) {
        c->rows = extent[0];
        c->cols = s->rank == 2 ? extent[1] : 1;
    }
    for (int k = 0; k < n; k++) {
        unsigned flags, values[8], info;
        size_t nvalues = 8;
        char name[8];
        H5Z_filter_t id =
            H5Pget_filter2(dcpl, (unsigned)k, &flags, &nvalues, values, sizeof name, name, &info);
        if (id == H5Z_FILTER_SHUFFLE && !c->shuffle && !c->gzip) {
            c->shuffle = true;
            c->shuffle_bit = 1u << k;
        } else if (id == H5Z_FILTER_DEFLATE && !c->gzip) {
            c->gzip = true;
            c->gzip_bit = 1u << k;
        } else {
            c->plain = false;
        }
    }
    H5Pclose(dcpl);
}

/* ===== unpacking ========================================================================== */

void cm_h5unpacker_free(struct cm_h5unpacker *u)
{
    cm_inflater_free(u->z);
    cm_free(u->a);
    cm_free(u->b);
    *u = (struct cm_h5unpacker){0};
}

/* Bytes of items back from planes, n items.  As numbers where those are little-endian, because the
 * compiler vectorises that. */
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
CM_CLONES_O3 static void join4(unsigned char *restrict out, const unsigned char *restrict in,
                               size_t n)
{
    const unsigned char *p1 = in + n, *p2 = in + 2 * n, *p3 = in + 3 * n;
    for (size_t i = 0; i < n; i++) {
        uint32_t v = in[i] | (uint32_t)p1[i] << 8 | (uint32_t)p2[i] << 16 | (uint32_t)p3[i] << 24;
        memcpy(out + 4 * i, &v, 4);
    }
}

CM_CLONES_O3 static void join8(unsigned char *restrict out, const unsigned char *restrict in,
                               size_t n)
{
    const unsigned char *p1 = in + n, *p2 = in + 2 * n, *p3 = in + 3 * n, *q = in + 4 * n;
    for (size_t i = 0; i < n; i++) {
        uint32_t low = in[i] | (uint32_t)p1[i] << 8 | (uint32_t)p2[i] << 16 | (uint32_t)p3[i] << 24;
        uint32_t high = q[i] | (uint32_t)q[n + i] << 8 | (uint32_t)q[2 * n + i] << 16 |
                        (uint32_t)q[3 * n + i] << 24;
        uint64_t v = low | (uint64_t)high << 32;
        memcpy(out + 8 * i, &v, 8);
    }
}
#endif

static void unshuffle(unsigned char *out, const unsigned char *in, size_t bytes, size_t item)
{
    size_t n = bytes / item;
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    if (item == 4 || item == 8) {
        (item == 4 ? join4 : join8)(out, in, n);
        return;
    }
#endif
    for (size_t k = 0; k < item; k++)
        for (size_t i = 0; i < n; i++)
            out[item * i + k] = in[k * n + i];
}

const unsigned char *cm_h5chunk_unpack(const struct cm_h5chunks *c, struct cm_h5unpacker *u,
                                       const unsigned char *p, size_t n, unsigned mask, size_t item,
                                       size_t bytes, unsigned char *to)
{
    bool inflate = c->gzip && !(mask & c->gzip_bit);
    bool shuffled = c->shuffle && !(mask & c->shuffle_bit) && item > 1;
    if (inflate) {
        unsigned char *out = shuffled ? NULL : to;
        if (!out) {
            CM_GROW(u->a, u->a_cap, bytes);
            out = u->a;
        }
        if (!u->z)
            u->z = cm_inflater_new();
        if (cm_inflate(u->z, p, n, out, bytes, &n) != CM_INFLATED)
            return NULL;
        p = out;
    }
    if (n != bytes)
        return NULL;
    if (shuffled) {
        unsigned char *out = to;
        if (!out) {
            CM_GROW(u->b, u->b_cap, bytes);
            out = u->b;
        }
        unshuffle(out, p, n, item);
        p = out;
    }
    if (to && p != to)
        memcpy(to, p, n);
    return to ? to : p;
}

/* ===== checking =========================================================================== */

int cm_h5chunk_damaged(const struct cm_h5set *s, uint64_t first)
{
    return cm_fail(CM_EINPUT, "%s: %s: the chunk at item %" PRIu64 " is damaged", CM_H5_AT(s),
                   first);
}

int cm_h5chunk_unread(const struct cm_h5set *s, uint64_t first)
{
    return cm_h5_failed(CM_EINPUT, "%s: %s: the chunk at item %" PRIu64 " cannot be read",
                        CM_H5_AT(s), first);
}

/* One chunk.  libhdf5 itself notices data that are too long or not gzip. */
static int check_chunk(const struct cm_h5set *s, const hsize_t *at, unsigned gzip_bit,
                       struct cm_inflater *z, unsigned char *out)
{
    hsize_t stored = 0;
    uint32_t mask = 0;
    size_t n = (size_t)s->chunk_bytes;
    if (H5Dget_chunk_storage_size(s->id, at, &stored) < 0 || !stored)
        return 0;
    if (stored > 2 * s->chunk_bytes + 65536)
        return cm_h5chunk_damaged(s, at[0]);
    unsigned char *raw = cm_alloc((size_t)stored, 1);
    int code = 0;
    if (H5Dread_chunk(s->id, H5P_DEFAULT, at, &mask, raw) < 0)
        code = cm_h5chunk_unread(s, at[0]);
    else if (mask & gzip_bit)
        n = (size_t)stored;
    else if (cm_inflate(z, raw, (size_t)stored, out, n, &n) != CM_INFLATED)
        n = (size_t)s->chunk_bytes;
    if (!code && n < s->chunk_bytes)
        code = cm_h5chunk_damaged(s, at[0]);
    cm_free(raw);
    return code;
}

int cm_h5chunk_check(const struct cm_h5set *s, uint64_t first, uint64_t n)
{
    uint64_t *verified = s->verified, end = n < s->rows - first ? first + n : s->rows;
    if (first >= s->rows || (first >= verified[0] && end <= verified[1]) ||
        s->chunk_bytes > CM_H5_CHUNK_MAX)
        return 0;
    struct cm_h5chunks c;
    cm_h5chunks_of(&c, s);
    if (!c.rows)
        return 0;
    struct cm_inflater *z = cm_inflater_new();
    unsigned char *out = cm_alloc((size_t)s->chunk_bytes, 1);
    bool follows = first >= verified[0] && first <= verified[1];
    uint64_t from = follows ? verified[1] : first;
    int code = 0;
    for (uint64_t r = from / c.rows * c.rows; r < end && !code; r += c.rows)
        for (uint64_t k = 0; k < s->cols && !code; k += c.cols)
            code = check_chunk(s, (const hsize_t[]){r, k}, c.gzip_bit, z, out);
    cm_inflater_free(z);
    cm_free(out);
    verified[0] = follows ? verified[0] : first / c.rows * c.rows;
    verified[1] = (end + c.rows - 1) / c.rows * c.rows;
    return code;
}
