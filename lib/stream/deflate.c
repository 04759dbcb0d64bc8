/* stream/deflate.c - records into compressed frames, and out.
 *
 * Records gather in one buffer and become a zstd frame of their own at 256 KiB and at a flush; a
 * frame is one call of the one-shot compressor, with a content checksum.  Rejected: a streaming
 * compressor (slower, and frames would not be independent).
 */
#include "stream/deflate.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>
#include <zstd_errors.h>

#include "stream/wire.h"

void cm_deflate_start(struct cm_deflate *z, int fd, int level, struct cm_sticky *error)
{
    *z = (struct cm_deflate){.error = error, .fd = fd, .level = level, .hash = cm_hash_new()};
    z->z = ZSTD_createCCtx();
    if (!z->z)
        cm_panic(4, "out of memory: a zstd encoder");
    ZSTD_CCtx_setParameter(z->z, ZSTD_c_compressionLevel, level);
    ZSTD_CCtx_setParameter(z->z, ZSTD_c_checksumFlag, 1);
}

void cm_deflate_free(struct cm_deflate *z)
{
    ZSTD_freeCCtx(z->z);
    cm_buf_free(&z->raw);
    cm_buf_free(&z->packed);
    cm_hash_free(z->hash);
}

int cm_deflate_send(struct cm_deflate *z, const unsigned char *p, size_t n)
{
    while (n) {
        ssize_t put = write(z->fd, p, n);
        if (put < 0 && errno == EINTR)
            continue;
        if (put < 0) {
            int saved = errno;
            cm_sticky_fail(z->error, CM_ESYSTEM, "write: %s", strerror(saved));
            errno = saved; /* cli/ treats a closed pipe on its own */
            return z->error->code;
        }
        p += put;
        n -= (size_t)put;
    }
    return 0;
}

int cm_deflate_flush(struct cm_deflate *z)
{
    if (z->error->code)
        return cm_sticky_again(z->error);
    if (!z->raw.n)
        return 0;
    size_t capacity = ZSTD_compressBound(z->raw.n);
    z->packed.n = 0;
    void *to = cm_buf_extend(&z->packed, capacity);
    size_t n = ZSTD_compress2(z->z, to, capacity, z->raw.p, z->raw.n);
    if (ZSTD_getErrorCode(n) == ZSTD_error_memory_allocation)
        return cm_sticky_fail(z->error, CM_ESYSTEM, "out of memory: a zstd encoder");
    if (ZSTD_isError(n))
        return cm_sticky_fail(z->error, CM_EBUG, "zstd: %s", ZSTD_getErrorName(n));
    z->raw.n = 0;
    return cm_deflate_send(z, z->packed.p, n);
}

void cm_deflate_trim(struct cm_deflate *z)
{
    if (z->raw.n)
        return;
    cm_buf_free(&z->raw);
    cm_buf_free(&z->packed);
}

void cm_record_begin(struct cm_deflate *z, const char *tag)
{
    char name[8] = {0};
    memcpy(name, tag, strlen(tag));
    cm_buf_put(&z->raw, name, 8);
    cm_buf_u64(&z->raw, 0);
    z->record = z->raw.n;
}

/* The length of the payload, of which `rest` bytes are not there yet, in front of it. */
static int put_length(struct cm_deflate *z, size_t rest)
{
    uint64_t size = z->raw.n - z->record + rest;
    if (size > CM_MAX_PAYLOAD)
        return cm_sticky_fail(z->error, CM_ESYSTEM,
                              "a record of %llu bytes, the format allows 1 GiB",
                              (unsigned long long)size);
    cm_le_copy(z->raw.p + z->record - 8, &size, 1, 8);
    return 0;
}

int cm_record_end(struct cm_deflate *z)
{
    int rc = put_length(z, 0);
    if (rc)
        return rc;
    const unsigned char *p = z->raw.p + z->record;
    const char *tag = (const char *)p - 16;
    if (memcmp(tag, "END\0", 4) && memcmp(tag, "ABORT", 5)) {
        z->records++;
        if (tag[0] >= 'A' && tag[0] <= 'Z')
            cm_hash_update(z->hash, p, z->raw.n - z->record);
    }
    cm_buf_pad8(&z->raw, z->record);
    return z->raw.n >= CM_WIRE_FRAME ? cm_deflate_flush(z) : 0;
}

int cm_record_cut(struct cm_deflate *z, size_t rest)
{
    int rc = put_length(z, rest);
    if (rc)
        return rc;
    z->records++;
    cm_hash_update(z->hash, z->raw.p + z->record, z->raw.n - z->record);
    return cm_deflate_flush(z);
}
