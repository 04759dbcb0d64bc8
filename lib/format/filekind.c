/* format/filekind.c - signatures of files that are often given in place of others. */
#include "format/filekind.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <zstd.h>

#include "base/gzin.h"
#include "base/sniff.h"

#define PEEK 512 /* bytes that are unpacked to look inside */

static bool begins(const unsigned char *p, size_t n, const char *with, size_t len)
{
    return n >= len && !memcmp(p, with, len);
}
#define BEGINS(p, n, text) begins(p, n, text, sizeof(text) - 1)

static bool ends(const char *name, const char *with)
{
    size_t n = strlen(name), m = strlen(with);
    return n >= m && !strcasecmp(name + n - m, with);
}

static bool holds(const unsigned char *p, size_t n, const char *text)
{
    size_t len = strlen(text);
    for (size_t k = 0; k + len <= n; k++)
        if (!memcmp(p + k, text, len))
            return true;
    return false;
}

/* What R writes, unpacked: "RDX3\n" (save), "X\n" or "A\n" (saveRDS). */
static bool is_r(const unsigned char *p, size_t n)
{
    return BEGINS(p, n, "RDX2\n") || BEGINS(p, n, "RDX3\n") || BEGINS(p, n, "X\n\0\0\0") ||
           BEGINS(p, n, "A\n2\n") || BEGINS(p, n, "A\n3\n");
}

/* Text that people mistake for a matrix in HDF5; NULL if it is none of these. */
static const char *text_kind(const unsigned char *p, size_t n)
{
    if (BEGINS(p, n, "#cms\t"))
        return "a stream as text (cms-text --from reads it)";
    if (BEGINS(p, n, "version https://git-lfs"))
        return "a Git LFS pointer (git lfs pull fetches the file itself)";
    if (n >= 9 && (!strncasecmp((const char *)p, "<!DOCTYPE", 9) ||
                   !strncasecmp((const char *)p, "<html", 5)))
        return "an HTML page, perhaps of a server that refused the download";
    if (BEGINS(p, n, "<?xml"))
        return "XML";
    return NULL;
}

/* The first bytes of what gzip or zstd packed; 0 if nothing can be unpacked. */
static size_t peek_gzip(const unsigned char *p, size_t n, unsigned char *out)
{
    struct cm_gzin *g;
    size_t got = 0;
    cm_gzin_memory(&g, p, n, "");
    cm_gzin_read(g, out, PEEK, &got); /* only the head is there: it fails where that ends */
    cm_gzin_close(g);
    return got;
}

static size_t peek_zstd(const unsigned char *p, size_t n, unsigned char *out)
{
    ZSTD_DStream *d = ZSTD_createDStream();
    ZSTD_inBuffer in = {p, n, 0};
    ZSTD_outBuffer to = {out, PEEK, 0};
    for (size_t left = 1; d && left && !ZSTD_isError(left) && to.pos < PEEK;) {
        size_t at = in.pos, had = to.pos;
        left = ZSTD_decompressStream(d, &to, &in);
        if (in.pos == at && to.pos == had)
            break;
    }
    ZSTD_freeDStream(d);
    return to.pos;
}

static const char *packed_kind(const unsigned char *p, size_t n, const char *name)
{
    unsigned char in[PEEK];
    if (BEGINS(p, n, "\x1f\x8b")) {
        size_t got = peek_gzip(p, n, in);
        if (is_r(in, got) || ends(name, ".rds") || ends(name, ".RData"))
            return "an R object (write it as .h5ad from R, or its counts with writeMM)";
        if (BEGINS(in, got, "%%MatrixMarket"))
            return "a gzip-compressed MatrixMarket file (mtx-read reads it)";
        if (BEGINS(in, got, "\x89HDF"))
            return "a gzip-compressed HDF5 file (gunzip it first)";
        if (got > 262 && !memcmp(in + 257, "ustar", 5))
            return "a gzip-compressed tar archive (tar -xzf it first)";
    }
    if (BEGINS(p, n, "\x28\xb5\x2f\xfd")) {
        size_t got = peek_zstd(p, n, in);
        return BEGINS(in, got,
                      "\x89"
                      "CMS")
                   ? "a CMS stream already (other tools take it as it is)"
                   : "zstd-compressed (zstd -d it first)";
    }
    return NULL;
}

static const char *zip_kind(const unsigned char *p, size_t n, const char *name)
{
    if (ends(name, ".xlsx") || holds(p, n, "[Content_Types].xml") || holds(p, n, "xl/"))
        return "an Excel workbook (save the matrix in another format)";
    if (ends(name, ".npz") || holds(p, n < 64 ? n : 64, ".npy"))
        return "a NumPy archive (write it as .h5ad from Python)";
    if (holds(p, n, ".zgroup") || holds(p, n, ".zattrs") || holds(p, n, "zarr.json"))
        return "a zipped Zarr store (write it as .h5ad from Python)";
    return NULL;
}

const char *cm_file_kind(const unsigned char *p, size_t n, const char *name)
{
    if (n == 0)
        return "empty";
    const char *kind = packed_kind(p, n, name);
    if (!kind && (BEGINS(p, n, "PK\x03\x04") || BEGINS(p, n, "PK\x05\x06")))
        kind = zip_kind(p, n, name);
    kind = kind ? kind : text_kind(p, n);
    if (kind)
        return kind;
    if (BEGINS(p, n,
               "\x89"
               "CMS"))
        return "an unpacked CMS stream (other tools take it compressed with zstd)";
    if (is_r(p, n) || ends(name, ".rds"))
        return "an R object (write it as .h5ad from R, or its counts with writeMM)";
    if (BEGINS(p, n, "PAR1"))
        return "a Parquet table (write it as .h5ad from Python or R)";
    if (BEGINS(p, n, "ARROW1") || BEGINS(p, n, "FEA1"))
        return "an Arrow table (write it as .h5ad from Python or R)";
    if (BEGINS(p, n, "SQLite format 3"))
        return "an SQLite database";
    if (BEGINS(p, n, "\x93NUMPY"))
        return "a NumPy array (write it as .h5ad from Python)";
    kind = cm_sniff(p, n);
    return strchr(kind, '(') || !strcmp(kind, "text") ? kind : NULL;
}

const char *cm_folder_kind(const char *path)
{
    static const char *const inside[][2] = {
        {".zgroup", ": it is a Zarr store (write it as .h5ad from Python)"},
        {"zarr.json", ": it is a Zarr store (write it as .h5ad from Python)"},
        {"matrix.mtx", ": it holds matrix.mtx (mtx-read reads it)"},
        {"matrix.mtx.gz", ": it holds matrix.mtx.gz (mtx-read reads it)"}};
    char name[4096];
    struct stat st;
    for (size_t k = 0; k < sizeof inside / sizeof *inside; k++)
        if (snprintf(name, sizeof name, "%s/%s", path, inside[k][0]) < (int)sizeof name &&
            !stat(name, &st))
            return inside[k][1];
    return "";
}
