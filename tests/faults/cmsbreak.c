/* cmsbreak - damages a CMS stream in a chosen way, for the fault tests.
 *
 *     cmsbreak half IN OUT        cut in the centre of a frame
 *     cmsbreak flip IN OUT        one bit of the compressed bytes is wrong
 *     cmsbreak frame K IN OUT     cut after frame K (1, 2, ...); status 1 if IN has no more
 *     cmsbreak noend IN OUT       all frames sound, the END record missing
 *     cmsbreak abort IN OUT       END replaced by an ABORT of "planted-tool"
 *     cmsbreak inside IN OUT      one bit of a payload wrong under sound zstd checksums
 *     cmsbreak tail IN OUT        bytes behind END
 *     cmsbreak major IN OUT       a future major version
 *     cmsbreak capital IN OUT     an unknown record that must be understood
 *     cmsbreak wide IN OUT        COLS of few bytes that declares a gigabyte of typed columns
 *     cmsbreak labels IN OUT      HEAD and ROWS of few bytes that declare a gigabyte of labels
 *     cmsbreak twice IN OUT       HEAD says one key twice
 *     cmsbreak factor IN OUT      lazy values whose column factors are not finite
 *     cmsbreak hyper IN OUT       a model whose hp.k is not that of its tensors
 *     cmsbreak rule IN OUT        a model whose temperature is no number
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

/* ===== records that lie =================================================================== */

static void put64(unsigned char *p, uint64_t v)
{
    for (int k = 0; k < 8; k++)
        p[k] = (unsigned char)(v >> 8 * k);
}

static size_t padded(size_t n) { return (n + 7) / 8 * 8; }

/* Payload `p` in place of that of the record at `at`. */
static struct bytes replace(struct bytes b, size_t at, const void *p, size_t n)
{
    size_t old = RECORD + padded((size_t)u64(b.p + at + 8));
    struct bytes out = {memory(b.n - old + RECORD + padded(n)), b.n - old + RECORD + padded(n)};
    memset(out.p, 0, out.n);
    memcpy(out.p, b.p, at + 8);
    put64(out.p + at + 8, n);
    memcpy(out.p + at + RECORD, p, n);
    memcpy(out.p + at + RECORD + padded(n), b.p + at + old, b.n - at - old);
    return out;
}

/* HEAD with the lines that begin so left out, and `more` at its end. */
static struct bytes change_head(struct bytes b, const char *drop, const char *more)
{
    size_t at = find(b, "HEAD"), n = (size_t)u64(b.p + at + 8), m = 0;
    const char *text = (const char *)b.p + at + RECORD;
    char *out = memory(n + strlen(more));
    for (size_t k = 0, line; k < n; k += line) {
        const char *stop = memchr(text + k, '\n', n - k);
        line = stop ? (size_t)(stop - text - k) + 1 : n - k;
        if (*drop && line >= strlen(drop) && !memcmp(text + k, drop, strlen(drop)))
            continue;
        memcpy(out + m, text + k, line);
        m += line;
    }
    memcpy(out + m, more, strlen(more));
    return replace(b, at, out, m + strlen(more));
}

static struct bytes wide(struct bytes b)
{
    enum { COLUMNS = 60000, FIELDS = 2000 };
    char *cols = memory(16 + 5 * FIELDS + COLUMNS);
    size_t n = 8;
    memset(cols, 0, n);
    n += (size_t)sprintf(cols + n, "name");
    for (int k = 0; k < FIELDS; k++)
        n += (size_t)sprintf(cols + n, "\t:i64");
    memset(cols + n, '\n', COLUMNS + 1);
    b = change_head(b, "slot.0.cols\t", "slot.0.cols\t60000\n");
    return replace(b, find(b, "COLS"), cols, n + COLUMNS + 1);
}

static struct bytes labels(struct bytes b)
{
    enum { ROWS = 1 << 18, LABELS = 500 };
    char *text = memory(64 * LABELS);
    size_t n = (size_t)sprintf(text, "labels\t%d\n", LABELS), size = 24 + 4 * (size_t)ROWS;
    for (int k = 0; k < LABELS; k++)
        n += (size_t)sprintf(text + n, "label.%d.name\tl%d\nlabel.%d.type\tf64\n", k, k, k);
    b = change_head(change_head(b, "label", ""), "label", text);
    unsigned char *rows = memory(RECORD + size);
    memset(rows, 0, RECORD + size);
    memcpy(rows, "ROWS", 4);
    put64(rows + 8, size);
    put64(rows + RECORD + 8, ROWS | (uint64_t)LABELS << 32); /* u32 rows, u32 labels */
    size_t at = PREFIX; /* before the first record that is neither head nor dictionary */
    while (!memcmp(b.p + at, "HEAD", 5) || !memcmp(b.p + at, "COLS", 5))
        at += RECORD + padded((size_t)u64(b.p + at + 8));
    return insert(b, at, rows, RECORD + size);
}

/* Every line of the first COLS gets a field more. */
static struct bytes factor(struct bytes b)
{
    size_t at = find(b, "COLS"), n = (size_t)u64(b.p + at + 8), m = 8, lines = 0;
    const char *in = (const char *)b.p + at + RECORD;
    for (size_t k = 8; k < n; k++)
        lines += in[k] == '\n';
    char *out = memory(n + 16 * lines);
    memcpy(out, in, 8);
    for (size_t k = 8, line = 0; k < n; k++) {
        if (in[k] == '\n')
            m += (size_t)sprintf(out + m, line++ ? "\tinf" : "\tfit.col:f64");
        out[m++] = in[k];
    }
    b = replace(b, at, out, m);
    return change_head(b, "slot.0.lazy\t", "slot.0.lazy\tidentity\n");
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
        /* The centre of the largest frame: certainly not a boundary. */
        size_t begin = 0, end = 0;
        for (size_t at = 0, next; at < b.n; at = next)
            if ((next = frame_end(b, at)) - at > end - begin) {
                begin = at;
                end = next;
            }
        size_t centre = begin + (end - begin) / 2;
        b.p[centre] ^= 0x10;
        save(to, b.p, *how == 'h' ? centre : b.n);
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
    } else if (!strcmp(how, "wide")) {
        out = wide(in);
    } else if (!strcmp(how, "labels")) {
        out = labels(in);
    } else if (!strcmp(how, "twice")) {
        out = change_head(in, "", "slots\t1\n");
    } else if (!strcmp(how, "factor")) {
        out = factor(in);
    } else if (!strcmp(how, "hyper")) {
        out = change_head(in, "hp.k\t", "hp.k\t60000\n");
    } else if (!strcmp(how, "rule")) {
        out = change_head(in, "rule.temperature\t", "rule.temperature\tnan\n");
    } else {
        fail("unknown kind of damage");
    }
    save_compressed(to, out);
    _exit(0);
}
