/* format/hdf5/filters.c - LZF and Zstandard as HDF5 filters.
 *
 * Both follow the registered filters byte for byte: LZF chunks are plain liblzf output, and the
 * third client value is the chunk's size in bytes (h5py writes and expects it); Zstandard chunks
 * are one frame with its content size.  A chunk that does not shrink under LZF is reported as such
 * (0), and HDF5 then stores it unfiltered because the filter is optional.  Sizes that a damaged
 * file claims are bounded by the largest chunk that HDF5 allows before memory is taken.
 */
#include "format/hdf5/filters.h"

#include <errno.h>
#include <lzf.h>
#include <stdint.h>
#include <zstd.h>

#define CHUNK_MAX  ((uint64_t)UINT32_MAX) /* HDF5's own limit on a chunk */
#define ZSTD_LEVEL 3

/* Hands `out` over to HDF5 in place of *buf. */
static size_t replace(void **buf, size_t *buf_size, void *out, size_t capacity, size_t used)
{
    H5free_memory(*buf);
    *buf = out;
    *buf_size = capacity;
    return used;
}

static uint64_t expected;

void cm_h5_filters_expect(uint64_t bytes) { expected = bytes; }

static size_t lzf_unpack(size_t capacity, size_t nbytes, size_t *buf_size, void **buf)
{
    for (; capacity <= CHUNK_MAX; capacity *= 2) {
        void *out = H5allocate_memory(capacity, false);
        if (!out || nbytes > CHUNK_MAX) {
            H5free_memory(out);
            return 0;
        }
        errno = 0;
        unsigned used = lzf_decompress(*buf, (unsigned)nbytes, out, (unsigned)capacity);
        if (used >= expected && used)
            return replace(buf, buf_size, out, capacity, used);
        int why = used ? EINVAL : errno;
        H5free_memory(out);
        if (why != E2BIG)
            return 0;
    }
    return 0;
}

static size_t lzf_filter(unsigned flags, size_t n, const unsigned *cd, size_t nbytes,
                         size_t *buf_size, void **buf)
{
    if (flags & H5Z_FLAG_REVERSE)
        return lzf_unpack(n >= 3 && cd[2] ? cd[2]
                          : *buf_size     ? *buf_size
                                          : 1,
                          nbytes, buf_size, buf);
    void *out = H5allocate_memory(nbytes, false);
    if (!out || nbytes > CHUNK_MAX) {
        H5free_memory(out);
        return 0;
    }
    unsigned used = lzf_compress(*buf, (unsigned)nbytes, out, (unsigned)nbytes);
    if (!used) {
        H5free_memory(out);
        return 0;
    }
    return replace(buf, buf_size, out, nbytes, used);
}

static size_t zstd_filter(unsigned flags, size_t n, const unsigned *cd, size_t nbytes,
                          size_t *buf_size, void **buf)
{
    size_t capacity, used;
    void *out;
    if (flags & H5Z_FLAG_REVERSE) {
        unsigned long long size = ZSTD_getFrameContentSize(*buf, nbytes);
        if (size > CHUNK_MAX) /* also the two error values, which are the largest numbers */
            return 0;
        capacity = size ? (size_t)size : 1;
        if (!(out = H5allocate_memory(capacity, false)))
            return 0;
        used = ZSTD_decompress(out, capacity, *buf, nbytes);
        if (!ZSTD_isError(used) && used < expected)
            used = 0;
    } else {
        capacity = ZSTD_compressBound(nbytes);
        if (!(out = H5allocate_memory(capacity, false)))
            return 0;
        used = ZSTD_compress(out, capacity, *buf, nbytes, n ? (int)cd[0] : ZSTD_LEVEL);
    }
    if (ZSTD_isError(used) || !used) {
        H5free_memory(out);
        return 0;
    }
    return replace(buf, buf_size, out, capacity, used);
}

void cm_h5_filters_register(void)
{
    static const H5Z_class2_t lzf = {H5Z_CLASS_T_VERS, CM_H5_LZF, 1, 1, "lzf", NULL, NULL,
                                     lzf_filter};
    static const H5Z_class2_t zstd = {H5Z_CLASS_T_VERS, CM_H5_ZSTD, 1,    1,
                                      "zstd",           NULL,       NULL, zstd_filter};
    H5Zregister(&lzf);
    H5Zregister(&zstd);
}

const char *cm_h5_filter_name(H5Z_filter_t id)
{
    switch (id) {
    case 1:
        return "gzip";
    case 2:
        return "shuffle";
    case 3:
        return "fletcher32";
    case 4:
        return "szip";
    case 5:
        return "nbit";
    case 6:
        return "scaleoffset";
    case 307:
        return "bzip2";
    case 32000:
        return "lzf";
    case 32001:
        return "blosc";
    case 32004:
        return "lz4";
    case 32008:
        return "bitshuffle";
    case 32013:
        return "zfp";
    case 32015:
        return "zstd";
    case 32026:
        return "blosc2";
    default:
        return "unknown";
    }
}
