/* fuzz.h - what the fuzz targets share; header only, because every .c here is a target.
 *
 * A refusal is as good as a success; what is looked for are crashes, hangs, memory that a small
 * input has no right to, and results that break a promise.  cm_panic ends a tool in good order, so
 * a target must turn it into a crash: status 70 is our fault, and status 4 says that memory was
 * asked for before the input was checked.
 *
 * Streams are fuzzed as the bytes within the compression: flipping compressed bytes finds nothing
 * but checksums.  fuzz_stream() mends what guards them (lengths that run beyond the input, the
 * count of records and the digest in END) and compresses; fuzz_mutate() changes whole records, so
 * that most lengths stay true.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>
#include <zstd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/hash.h"
#include "base/mem.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A promise of the library that this input breaks. */
#define FUZZ_PROMISE(x)                                                                            \
    ((x) ? (void)0                                                                                 \
         : (fprintf(stderr, "%s:%d: broken: %s (%s)\n", __FILE__, __LINE__, #x,                    \
                    cm_error_message()),                                                           \
            abort()))

static inline void fuzz_panic(int status, const char *message)
{
    fprintf(stderr, "panic %d: %s\n", status, message);
    abort();
}

enum { FUZZ_PATH = 64 };

/* A file with these bytes, to be opened by the name in path; close the descriptor afterwards. */
static inline int fuzz_file(const void *data, size_t size, char path[FUZZ_PATH])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);
    if (fd < 0 || write(fd, data, size) != (ssize_t)size)
        abort();
    snprintf(path, FUZZ_PATH, "/proc/self/fd/%d", fd);
    return fd;
}

/* ===== streams ============================================================================ */

enum { FUZZ_PREFIX = 16, FUZZ_RECORD = 16 };

static inline uint64_t fuzz_u64(const uint8_t *p)
{
    uint64_t v = 0;
    for (int k = 7; k >= 0; k--)
        v = v << 8 | p[k];
    return v;
}

static inline void fuzz_put64(uint8_t *p, uint64_t v)
{
    for (int k = 0; k < 8; k++)
        p[k] = (uint8_t)(v >> 8 * k);
}

/* Payload bytes of the record at p, of which `left` bytes are there. */
static inline size_t fuzz_payload(const uint8_t *p, size_t left)
{
    uint64_t n = fuzz_u64(p + 8);
    return n < left - FUZZ_RECORD ? (size_t)n : left - FUZZ_RECORD;
}

static inline size_t fuzz_padded(size_t n) { return (n + 7) / 8 * 8; }

/* END's last two numbers, the records and the digest, where it has room for them. */
static inline void fuzz_mend_end(uint8_t *payload, size_t n, uint64_t records, uint64_t digest)
{
    if (n < 16)
        return;
    fuzz_put64(payload + n / 8 * 8 - 16, records);
    fuzz_put64(payload + n / 8 * 8 - 8, digest);
}

/* data: a byte of flags (1: a frame for each record) and the inner bytes of a stream. */
static inline int fuzz_stream(const uint8_t *data, size_t size, char path[FUZZ_PATH])
{
    struct cm_buf in = {0}, out = {0};
    struct cm_hash *hash = cm_hash_new();
    uint64_t records = 0;
    size_t at = FUZZ_PREFIX, from = 0;
    cm_buf_put(&in, data + 1, size - 1);
    cm_buf_put(&in, "\0\0\0\0\0\0\0", 8);
    in.n -= 8;
    while (from < in.n) {
        if (at + FUZZ_RECORD <= in.n) {
            uint8_t *r = in.p + at;
            size_t n = fuzz_payload(r, in.n - at);
            bool end = !memcmp(r, "END", 4), last = end || !memcmp(r, "ABORT", 6);
            fuzz_put64(r + 8, n);
            if (end)
                fuzz_mend_end(r + FUZZ_RECORD, n, records, cm_hash_value(hash));
            records += !last;
            if (!last && r[0] >= 'A' && r[0] <= 'Z')
                cm_hash_update(hash, r + FUZZ_RECORD, n);
            at += FUZZ_RECORD + fuzz_padded(n);
            in.n = at > in.n ? at : in.n; /* the last padding; its bytes are zero */
        } else {
            at = in.n;
        }
        if (at < in.n && !(data[0] & 1))
            continue;
        size_t capacity = ZSTD_compressBound(at - from);
        void *to = cm_buf_extend(&out, capacity);
        out.n -= capacity;
        out.n += ZSTD_compress(to, capacity, in.p + from, at - from, 1);
        from = at;
    }
    int fd = fuzz_file(out.p, out.n, path);
    cm_hash_free(hash);
    cm_buf_free(&in);
    cm_buf_free(&out);
    return fd;
}

/* Only libFuzzer has it. */
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max) __attribute__((weak));
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed);

/* One record, chosen by the seed, is changed inside, dropped, doubled or moved; or any bytes. */
static inline size_t fuzz_mutate(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    enum { RECORDS = 256 };
    size_t begin[RECORDS], n = 0, at = 1 + FUZZ_PREFIX;
    for (; n < RECORDS && at + FUZZ_RECORD <= size; n++) {
        begin[n] = at;
        at += FUZZ_RECORD + fuzz_padded(fuzz_payload(data + at, size - at));
    }
    if (!n || seed % 8 == 0 || at > size)
        return LLVMFuzzerMutate(data, size, max);
    size_t k = seed / 8 % n, from = begin[k], to = k + 1 < n ? begin[k + 1] : at;
    size_t length = to - from, payload = fuzz_payload(data + from, size - from);
    if (seed % 8 == 1 && n > 1) {
        memmove(data + from, data + to, size - to);
        return size - length;
    }
    if (seed % 8 == 2 && size + length <= max) {
        size_t where = begin[seed / 2048 % n];
        uint8_t *copy = malloc(length);
        memcpy(copy, data + from, length);
        memmove(data + where + length, data + where, size - where);
        memcpy(data + where, copy, length);
        free(copy);
        return size + length;
    }
    size_t capacity = payload + 256 < max ? payload + 256 : payload;
    uint8_t *body = malloc(capacity + 8);
    memcpy(body, data + from + FUZZ_RECORD, payload);
    size_t changed = LLVMFuzzerMutate(body, payload, capacity), padded = fuzz_padded(changed);
    size_t result = size - length + FUZZ_RECORD + padded;
    if (result <= max) {
        memmove(data + from + FUZZ_RECORD + padded, data + to, size - to);
        memcpy(data + from + FUZZ_RECORD, body, changed);
        memset(data + from + FUZZ_RECORD + changed, 0, padded - changed);
        fuzz_put64(data + from + 8, changed);
        size = result;
    }
    free(body);
    return size;
}

#endif
