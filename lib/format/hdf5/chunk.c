/* format/hdf5/chunk.c - gzip chunks, checked before libhdf5 unpacks them. */
#include "format/hdf5/chunk.h"

#include <inttypes.h>
#include <libdeflate.h>

#include "base/error.h"
#include "base/mem.h"

#define CHUNK_MAX ((uint64_t)4 << 20) /* larger ones are not checked */

int cm_h5chunk_damaged(const struct cm_h5set *s, const uint64_t *where)
{
    return cm_fail(CM_EINPUT, "%s: %s: the chunk at item %" PRIu64 " is damaged", CM_H5_AT(s),
                   where[0]);
}

/* One chunk; what is too long or no gzip at all libhdf5 notices itself. */
static int check_chunk(const struct cm_h5set *s, const hsize_t *at, unsigned bit,
                       struct libdeflate_decompressor *z, unsigned char *out)
{
    hsize_t stored = 0;
    uint32_t mask = 0;
    size_t n = 0;
    if (H5Dget_chunk_storage_size(s->id, at, &stored) < 0 || !stored)
        return 0;
    uint64_t where[2] = {at[0], 0};
    if (stored > 2 * s->chunk_bytes + 65536)
        return cm_h5chunk_damaged(s, where);
    unsigned char *raw = cm_alloc((size_t)stored, 1);
    int code = 0;
    if (H5Dread_chunk(s->id, H5P_DEFAULT, at, &mask, raw) < 0)
        code = cm_h5_failed(CM_EINPUT, "%s: %s: the chunk at item %" PRIu64 " cannot be read",
                            CM_H5_AT(s), where[0]);
    else if (mask & bit)
        code = stored < s->chunk_bytes ? cm_h5chunk_damaged(s, where) : 0;
    else if (libdeflate_zlib_decompress(z, raw, (size_t)stored, out, (size_t)s->chunk_bytes, &n) ==
             LIBDEFLATE_SUCCESS)
        code = n < s->chunk_bytes ? cm_h5chunk_damaged(s, where) : 0;
    cm_free(raw);
    return code;
}

int cm_h5chunk_check(const struct cm_h5set *s, uint64_t first, uint64_t n)
{
    uint64_t *verified = s->verified, end = n < s->rows - first ? first + n : s->rows;
    if (first >= s->rows || (first >= verified[0] && end <= verified[1]) ||
        s->chunk_bytes > CHUNK_MAX)
        return 0;
    hid_t dcpl = H5Dget_create_plist(s->id);
    hsize_t c[2] = {1, 1};
    unsigned bit = 0;
    int code = 0, filters = H5Pget_nfilters(dcpl);
    if (H5Pget_chunk(dcpl, 2, c) != (int)s->rank)
        c[0] = 0;
    for (int k = 0; k < filters; k++) {
        unsigned flags, cd[8], info;
        size_t ncd = 8;
        char name[8];
        if (H5Pget_filter2(dcpl, (unsigned)k, &flags, &ncd, cd, sizeof name, name, &info) ==
            H5Z_FILTER_DEFLATE)
            bit = 1u << k;
    }
    H5Pclose(dcpl);
    if (!c[0] || !c[1])
        return 0;
    struct libdeflate_decompressor *z = libdeflate_alloc_decompressor();
    unsigned char *out = cm_alloc((size_t)s->chunk_bytes, 1);
    bool follows = first >= verified[0] && first <= verified[1];
    uint64_t from = follows ? verified[1] : first;
    for (uint64_t r = from / c[0] * c[0]; z && r < end && !code; r += c[0])
        for (uint64_t k = 0; k < s->cols && !code; k += c[1]) {
            hsize_t at[2] = {r, k};
            code = check_chunk(s, at, bit, z, out);
        }
    if (z)
        libdeflate_free_decompressor(z);
    cm_free(out);
    verified[0] = follows ? verified[0] : first / c[0] * c[0];
    verified[1] = (end + c[0] - 1) / c[0] * c[0];
    return code;
}
