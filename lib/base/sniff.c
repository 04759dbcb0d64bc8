/* base/sniff.c - recognising files by their first bytes; see sniff.h. */
#include "base/sniff.h"

#include <string.h>

const char *cm_sniff(const void *bytes, size_t n)
{
    static const struct {
        size_t at, n;
        const char *magic, *what;
    } known[] = {
        {0, 8, "\x89HDF\r\n\x1a\n", "an HDF5 file (read it with h5-read)"},
        {0, 4, "PK\3\4", "a zip archive (unzip it first)"},
        {0, 4, "PK\5\6", "a zip archive (unzip it first)"},
        {257, 5, "ustar", "a tar archive (unpack it first: tar xf)"},
        {0, 2, "\x1f\x8b", "a gzip file (gunzip it first)"},
        {0, 6,
         "\xfd"
         "7zXZ",
         "an xz file (unxz it first)"},
        {4, 6, "1AY&SY", "a bzip2 file (bunzip2 it first)"},
        {0, 4, "\x28\xb5\x2f\xfd", "a zstd file (a CMS stream, or unzstd it first)"},
        {0, 14, "%%MatrixMarket", "a Matrix Market file (read it with mtx-read)"},
        {0, 5, "RDX3\n", "an R data file (export it from R, for instance as MTX)"},
        {0, 5, "RDX2\n", "an R data file (export it from R, for instance as MTX)"},
        {0, 2, "\xff\xfe", "UTF-16 text (iconv -f UTF-16 -t UTF-8 converts it)"},
        {0, 2, "\xfe\xff", "UTF-16 text (iconv -f UTF-16 -t UTF-8 converts it)"},
    };
    const unsigned char *p = bytes;
    if (n == 0)
        return "nothing (an empty input)";
    for (size_t k = 0; k < sizeof known / sizeof *known; k++)
        if (n >= known[k].at + known[k].n && !memcmp(p + known[k].at, known[k].magic, known[k].n))
            return known[k].what;
    for (size_t k = 0; k < n && k < 64; k++)
        if ((p[k] < 32 && !strchr("\t\n\r", p[k])) || p[k] == 127)
            return "other bytes";
    return "text";
}
