/* match/select.c - the k largest of n numbers, in linear time. */
#include "match/select.h"

#include <stdbool.h>
#include <string.h>

/* By the top 11 bits, the next 11, the last 10. */
uint32_t cm_top_kth(uint32_t *a, size_t n, size_t k)
{
    enum { BITS = 11, BINS = 1 << BITS };
    static const unsigned shift[3] = {21, 10, 0};
    uint32_t count[BINS], answer = 0;
    for (int level = 0; level < 3; level++) {
        uint32_t mask = level == 2 ? (1u << 10) - 1 : BINS - 1;
        memset(count, 0, sizeof count);
        for (size_t i = 0; i < n; i++)
            count[a[i] >> shift[level] & mask]++;
        uint32_t bin = mask;
        while (count[bin] < k)
            k -= count[bin--];
        answer |= bin << shift[level];
        size_t left = 0;
        for (size_t i = 0; i < n; i++) {
            a[left] = a[i];
            left += (a[i] >> shift[level] & mask) == bin;
        }
        n = left;
    }
    return answer;
}

size_t cm_top_keep(size_t n, size_t k, float *key, uint32_t *idx, float *val, uint32_t *scratch)
{
    if (n <= k)
        return n;
    if (k == 0)
        return 0;
    for (size_t i = 0; i < n; i++)
        scratch[i] = cm_float_order(key[i]);
    uint32_t threshold = cm_top_kth(scratch, n, k);
    size_t above = 0, kept = 0;
    for (size_t i = 0; i < n; i++)
        above += cm_float_order(key[i]) > threshold;
    size_t equals = k - above;       /* so many of the equal ones stay, the first */
    for (size_t i = 0; i < n; i++) { /* no branch here: which entries stay is a coin toss */
        uint32_t v = cm_float_order(key[i]);
        bool equal = v == threshold && equals > 0;
        idx[kept] = idx[i];
        if (val)
            val[kept] = val[i];
        key[kept] = key[i];
        kept += equal || v > threshold;
        equals -= equal;
    }
    return kept;
}
