/* stream/planes.c - the inner loops of reading and writing sparse blocks.  See planes.h.
 *
 * Entry by entry, with four scattered bytes each, this cost more than compression.  So rows are
 * cut into pieces that stay in the first-level cache, with branch-free loops over one plane at a
 * time, which the compiler vectorises for AVX2 and the baseline machine (target_clones, chosen at
 * start).  Only the sum of the differences is serial, four at a time.  Rejected: intrinsics (one
 * machine).
 */
#include "stream/planes.h"

#include "base/clones.h"

enum { PIECE = 1024 };

CM_CLONES_O3 static void split_piece(const uint32_t *restrict d, size_t len,
                                     unsigned char *restrict p0, unsigned char *restrict p1,
                                     unsigned char *restrict p2, unsigned char *restrict p3)
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

CM_CLONES_O3 static void differences(const uint32_t *restrict idx, size_t len, uint32_t *restrict d)
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

CM_CLONES_O3 static void join_piece(const unsigned char *restrict p0,
                                    const unsigned char *restrict p1,
                                    const unsigned char *restrict p2,
                                    const unsigned char *restrict p3, size_t len,
                                    uint32_t *restrict d)
{
    for (size_t k = 0; k < len; k++)
        d[k] = p0[k] | (uint32_t)p1[k] << 8 | (uint32_t)p2[k] << 16 | (uint32_t)p3[k] << 24;
}

CM_CLONES_O3 bool cm_planes_ascend(const uint32_t *idx, size_t len, uint64_t cols)
{
    uint32_t bad = 0;
    for (size_t k = 1; k < len; k++)
        bad |= (uint32_t)(idx[k] <= idx[k - 1]);
    return !bad && (!len || idx[len - 1] < cols);
}

/* Sums of d in place, on from `at`; four additions wait for one. */
static uint32_t add_up(uint32_t *d, size_t len, uint32_t at)
{
    size_t k = 0;
    for (; k + 4 <= len; k += 4) {
        uint32_t a = d[k], b = a + d[k + 1], c = b + d[k + 2], e = c + d[k + 3];
        d[k] = at + a;
        d[k + 1] = at + b;
        d[k + 2] = at + c;
        d[k + 3] = at += e;
    }
    for (; k < len; k++)
        d[k] = at += d[k];
    return at;
}

bool cm_planes_join(const unsigned char *p, uint64_t n, size_t len, uint64_t cols, uint32_t *idx,
                    uint64_t *last)
{
    uint32_t at = 0;
    bool ascend = true;
    for (size_t k = 0; k < len; k += PIECE) {
        size_t m = len - k < PIECE ? len - k : PIECE, from = k ? k - 1 : 0;
        join_piece(p + k, p + n + k, p + 2 * n + k, p + 3 * n + k, m, idx + k);
        at = add_up(idx + k, m, at);
        ascend &= cm_planes_ascend(idx + from, k + m - from, UINT64_MAX);
    }
    *last = at;
    /* A sum beyond 32 bits comes out below the one before it, so it does not ascend either. */
    if (ascend && (!len || at < cols))
        return true;
    *last = 0;
    for (size_t k = 0; k < len; k++)
        *last += p[k] | (uint64_t)p[n + k] << 8 | (uint64_t)p[2 * n + k] << 16 |
                 (uint64_t)p[3 * n + k] << 24;
    return false;
}

CM_CLONES_O3 bool cm_planes_ones(const uint8_t *x, uint64_t n)
{
    uint8_t other = 0;
    for (uint64_t e = 0; e < n; e++)
        other |= (uint8_t)(x[e] ^ 1);
    return !other;
}
