/* stream/planes.c - the inner loops of reading and writing sparse blocks.  See planes.h.
 *
 * Problem: every filter takes all columns apart and puts them together again; entry by entry, with
 * four scattered bytes each, that cost more than compression.  Choice: pieces that stay in the
 * first-level cache, loops over one plane at a time without branches, which the compiler turns into
 * vector code for AVX2 and the plain machine (target_clones, chosen at start).  The sum of the
 * differences is the one serial loop left.  Rejected: intrinsics (one machine only).
 */
#include "stream/planes.h"

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) &&                            \
    !defined(__SANITIZE_THREAD__)
#define CLONES __attribute__((target_clones("avx2", "default"), optimize("O3")))
#else
#define CLONES
#endif

enum { PIECE = 1024 };

CLONES static void split_piece(const uint32_t *restrict d, size_t len, unsigned char *restrict p0,
                               unsigned char *restrict p1, unsigned char *restrict p2,
                               unsigned char *restrict p3)
{
    for (size_t k = 0; k < len; k++)
        p0[k] = (unsigned char)d[k];
    for (size_t k = 0; k < len; k++)
        p1[k] = (unsigned char)(d[k] >> 8);
    for (size_t k = 0; k < len; k++)
        p2[k] = (unsigned char)(d[k] >> 16);
    for (size_t k = 0; k < len; k++)
        p3[k] = (unsigned char)(d[k] >> 24);
}

CLONES static void differences(const uint32_t *restrict idx, size_t len, uint32_t *restrict d)
{
    for (size_t k = 1; k < len; k++)
        d[k] = idx[k] - idx[k - 1];
}

void cm_planes_split(const uint32_t *idx, size_t len, unsigned char *p, uint64_t n)
{
    uint32_t d[PIECE], last = 0;
    for (size_t k = 0; k < len; k += PIECE) {
        size_t m = len - k < PIECE ? len - k : PIECE;
        d[0] = idx[k] - last;
        differences(idx + k, m, d);
        last = idx[k + m - 1];
        split_piece(d, m, p + k, p + n + k, p + 2 * n + k, p + 3 * n + k);
    }
}

CLONES static void join_piece(const unsigned char *restrict p0, const unsigned char *restrict p1,
                              const unsigned char *restrict p2, const unsigned char *restrict p3,
                              size_t len, uint32_t *restrict d)
{
    for (size_t k = 0; k < len; k++)
        d[k] = p0[k] | (uint32_t)p1[k] << 8 | (uint32_t)p2[k] << 16 | (uint32_t)p3[k] << 24;
}

bool cm_planes_join(const unsigned char *p, uint64_t n, size_t len, uint64_t cols, uint32_t *idx,
                    uint64_t *last)
{
    uint64_t at = 0;
    bool zero = false;
    for (size_t k = 0; k < len; k += PIECE) {
        size_t m = len - k < PIECE ? len - k : PIECE;
        join_piece(p + k, p + n + k, p + 2 * n + k, p + 3 * n + k, m, idx + k);
        for (size_t i = k; i < k + m; i++) {
            zero |= idx[i] == 0 && i > 0;
            at += idx[i];
            idx[i] = (uint32_t)at;
        }
    }
    *last = at;
    return !zero && (!len || at < cols);
}

CLONES bool cm_planes_ascend(const uint32_t *idx, size_t len, uint64_t cols)
{
    uint32_t bad = 0;
    for (size_t k = 1; k < len; k++)
        bad |= (uint32_t)(idx[k] <= idx[k - 1]);
    return !bad && (!len || idx[len - 1] < cols);
}

CLONES bool cm_planes_ones(const uint8_t *x, uint64_t n)
{
    uint8_t other = 0;
    for (uint64_t e = 0; e < n; e++)
        other |= (uint8_t)(x[e] ^ 1);
    return !other;
}
