/* h5mutate - a damaged copy of a file, the same one for the same number.
 *
 * h5mutate FILE SEED >OUT: between one and eight wounds, by a generator that is written out here so
 * that the mutants are the same everywhere: a byte, a bit, a field of 2, 4 or 8 bytes set to a
 * number that programs stumble over, a segment copied to another place, or (one in ten) the end
 * cut off.  Half of the wounds aim at where a signature of HDF5's own structures stands, because
 * most of a small file is empty space.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t state;

static uint64_t next(void) /* splitmix64 */
{
    uint64_t z = state += 0x9e3779b97f4a7c15u;
    z = (z ^ z >> 30) * 0xbf58476d1ce4e5b9u;
    z = (z ^ z >> 27) * 0x94d049bb133111ebu;
    return z ^ z >> 31;
}

static size_t below(size_t n) { return n ? (size_t)(next() % n) : 0; }

/* A place near one of HDF5's signatures, or anywhere. */
static size_t aim(const unsigned char *p, size_t n)
{
    static const char *const sign[] = {"\x89HDF", "OHDR", "TREE", "SNOD", "HEAP", "GCOL", "FRHP",
                                       "BTHD",    "OCHK", "FHDB", "FHIB", "BTLF", "FADB", "EAHD"};
    size_t from = below(n), seen = 0;
    if (next() & 1)
        return from;
    for (; seen < n; seen++, from = (from + 1) % n)
        for (size_t k = 0; from + 4 <= n && k < sizeof sign / sizeof *sign; k++)
            if (!memcmp(p + from, sign[k], 4))
                return (from + below(96)) % n;
    return below(n);
}

static void wound(unsigned char *p, size_t n)
{
    static const uint64_t odd[] = {0,          1,          0x7f,       0xff,       0x7fff,
                                   0xffff,     0x7fffffff, 0x80000000, 0xffffffff, 0x100000000,
                                   1ull << 40, 1ull << 62, INT64_MAX,  UINT64_MAX, 16};
    size_t at = aim(p, n), width;
    uint64_t v;
    switch (below(4)) {
    case 0:
        p[at] = (unsigned char)next();
        break;
    case 1:
        p[at] ^= (unsigned char)(1u << below(8));
        break;
    case 2:
        width = (size_t)2 << below(3);
        v = odd[below(sizeof odd / sizeof *odd)];
        for (size_t k = 0; k < width && at + k < n; k++)
            p[at + k] = (unsigned char)(v >> 8 * k);
        break;
    default:
        width = 1 + below(64);
        v = below(n);
        for (size_t k = 0; k < width && at + k < n && v + k < n; k++)
            p[at + k] = p[v + k];
    }
}

int main(int argc, char **argv)
{
    static unsigned char p[1 << 22];
    FILE *f = argc == 3 ? fopen(argv[1], "rb") : NULL;
    if (!f) {
        fputs("usage: h5mutate FILE SEED\n", stderr);
        return 2;
    }
    size_t n = fread(p, 1, sizeof p, f);
    fclose(f);
    state = strtoull(argv[2], NULL, 10) * 0x2545f4914f6cdd1du + n;
    for (size_t k = 1 + below(8); k && n; k--)
        wound(p, n);
    if (n && below(10) == 0)
        n = below(n);
    return fwrite(p, 1, n, stdout) != n || fflush(stdout);
}
