/* cmsbreak - damages a CMS stream in a chosen way, for the fault tests.
 *
 *     cmsbreak half IN OUT        cut in the middle of a frame
 *     cmsbreak flip IN OUT        one bit of the compressed bytes is wrong
 *     cmsbreak frame K IN OUT     cut after frame K (1, 2, ...); status 1 if IN has no more
 *     cmsbreak noend IN OUT       all frames sound, the END record missing
 *     cmsbreak abort IN OUT       END replaced by an ABORT of "planted-tool"
 *     cmsbreak inside IN OUT      one bit of a payload wrong under sound zstd checksums
 *     cmsbreak tail IN OUT        bytes behind END
 *     cmsbreak major IN OUT       a future major version
 *     cmsbreak capital IN OUT     an unknown record that must be understood
 *     cmsbreak closed COMMAND...  runs COMMAND with a standard output that nobody reads
 *
 * It walks the records as cms(5) describes them and shares no code with lib/, so that a mistake
 * there is not made twice.  Rejected: a script in Python, because `make check` must not need one.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

enum { PREFIX = 16, RECORD = 16 };

struct bytes {
    unsigned char *p;
    size_t n;
};

static void fail(const char *what)
{
    fprintf(stderr, "cmsbreak: %s\n", what);
    exit(2);
}

static void *memory(size_t n)
{
    void *p = malloc(n ? n : 1);
    if (!p)
        fail("out of memory");
    return p;
}

static struct bytes load(const char *path)
{
    FILE *f = fopen(path, "rb");
    struct bytes b = {NULL, 0};
    if (!f || fseek(f, 0, SEEK_END))
        fail(path);
    long n = ftell(f);
    if (n < 0)
        fail(path);
    rewind(f);
    b.n = (size_t)n;
    b.p = memory(b.n);
    if (fread(b.p, 1, b.n, f) != b.n)
        fail(path);
    fclose(f);
    return b;
}

static void save(const char *path, const void *p, size_t n)
{
    FILE *f = fopen(path, "wb");
    if (!f || fwrite(p, 1, n, f) != n || fclose(f))
        fail(path);
}

/* Where frame `at` ends. */
static size_t frame_end(struct bytes in, size_t at)
{
    size_t n = ZSTD_findFrameCompressedSize(in.p + at, in.n - at);
    if (ZSTD_isError(n))
        fail("not a sequence of zstd frames");
    return at + n;
}

/* All frames, decompressed. */
static struct bytes inner(struct bytes in)
{
    struct bytes out = {NULL, 0};
    size_t cap = (size_t)1 << 20;
    out.p = memory(cap);
    ZSTD_DCtx *d = ZSTD_createDCtx();
    ZSTD_inBuffer from = {in.p, in.n, 0};
    while (from.pos < from.size) {
        if (cap - out.n < (size_t)1 << 17) {
            cap *= 2;
            out.p = realloc(out.p, cap);
            if (!out.p)
                fail("out of memory");
        }
        ZSTD_outBuffer to = {out.p, cap, out.n};
        if (ZSTD_isError(ZSTD_decompressStream(d, &to, &from)))
            fail("zstd cannot read this");
        out.n = to.pos;
    }
    ZSTD_freeDCtx(d);
    return out;
}

static void save_compressed(const char *path, struct bytes b)
{
    size_t cap = ZSTD_compressBound(b.n);
    void *p = memory(cap);
    ZSTD_CCtx *c = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(c, ZSTD_c_checksumFlag, 1);
    size_t n = ZSTD_compress2(c, p, cap, b.p, b.n);
    if (ZSTD_isError(n))
        fail("zstd cannot write this");
    save(path, p, n);
    ZSTD_freeCCtx(c);
    free(p);
}

static uint64_t u64(const unsigned char *p)
{
    uint64_t v = 0;
    for (int k = 7; k >= 0; k--)
        v = v << 8 | p[k];
    return v;
}

/* Offset of the first record whose tag is `tag`, or of END for NULL. */
static size_t find(struct bytes b, const char *tag)
{
    for (size_t at = PREFIX; at + RECORD <= b.n;) {
        uint64_t n = u64(b.p + at + 8);
        if (!strcmp((const char *)b.p + at, tag))
            return at;
        at += RECORD + (size_t)(n + (8 - n % 8) % 8);
    }
    fail("there is no such record");
    return 0;
}

static struct bytes insert(struct bytes b, size_t at, const void *p, size_t n)
{
    struct bytes out = {memory(b.n + n), b.n + n};
    memcpy(out.p, b.p, at);
    memcpy(out.p + at, p, n);
    memcpy(out.p + at + n, b.p + at, b.n - at);
    return out;
}

static const unsigned char abort_record[] = "ABORT\0\0\0\x2b\0\0\0\0\0\0\0"          /* 43 bytes */
                                            "\x03\0\0\0\x0c\0\0\0\x0f\0\0\0\0\0\0\0" /* 3, 12, 15 */
                                            "planted-toolplanted failure\0\0\0\0\0";
static const unsigned char capital_record[] = "NOVEL\0\0\0\0\0\0\0\0\0\0";

/* A record whose payload carries values, for any kind. */
static size_t find_values(struct bytes b)
{
    for (size_t at = PREFIX; at + RECORD <= b.n;) {
        const char *tag = (const char *)b.p + at;
        uint64_t n = u64(b.p + at + 8);
        if ((!strcmp(tag, "BLOCK") || !strcmp(tag, "TENSOR")) && n >= 64)
            return at + RECORD + (size_t)n - 9;
        at += RECORD + (size_t)(n + (8 - n % 8) % 8);
    }
    return find(b, "COLS") + RECORD;
}

static int closed(char **argv)
{
    int fd[2];
    if (pipe(fd) || dup2(fd[1], 1) < 0)
        fail("no pipe");
    close(fd[0]);
    close(fd[1]);
    execvp(argv[0], argv);
    fail(argv[0]);
    return 2;
}

int main(int argc, char **argv)
{
    if (argc >= 3 && !strcmp(argv[1], "closed"))
        return closed(argv + 2);
    if (argc == 5 && !strcmp(argv[1], "frame")) {
        struct bytes b = load(argv[3]);
        size_t at = 0;
        for (int k = atoi(argv[2]); k > 0 && at < b.n; k--)
            at = frame_end(b, at);
        if (at < b.n)
            save(argv[4], b.p, at);
        _exit(at < b.n ? 0 : 1); /* memory is the kernel's to free */
    }
    if (argc != 4)
        fail("see the comment in tests/faults/cmsbreak.c");
    const char *how = argv[1], *to = argv[3];
    struct bytes b = load(argv[2]);
    if (!strcmp(how, "half") || !strcmp(how, "flip")) {
        /* The middle of the largest frame: certainly not a boundary. */
        size_t begin = 0, end = 0;
        for (size_t at = 0, next; at < b.n; at = next)
            if ((next = frame_end(b, at)) - at > end - begin) {
                begin = at;
                end = next;
            }
        size_t middle = begin + (end - begin) / 2;
        b.p[middle] ^= 0x10;
        save(to, b.p, *how == 'h' ? middle : b.n);
        _exit(0);
    }
    struct bytes in = inner(b), out = in;
    if (!strcmp(how, "noend")) {
        out.n = find(in, "END");
    } else if (!strcmp(how, "abort")) {
        in.n = find(in, "END");
        out = insert(in, in.n, abort_record, sizeof abort_record - 1);
    } else if (!strcmp(how, "inside")) {
        out.p[find_values(in)] ^= 0x01;
    } else if (!strcmp(how, "tail")) {
        out = insert(in, in.n, "tail....", 8);
    } else if (!strcmp(how, "major")) {
        out.p[8]++;
    } else if (!strcmp(how, "capital")) {
        out = insert(in, find(in, "END"), capital_record, 16);
    } else {
        fail("unknown kind of damage");
    }
    save_compressed(to, out);
    _exit(0);
}
