/* match/select.h - the k largest of n numbers.
 *
 * By radix on the bits of the floats: linear, also where all values are equal, and without a heap,
 * so that what is kept stays in its order.
 */
#ifndef CM_MATCH_SELECT_H
#define CM_MATCH_SELECT_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

/* An unsigned number in the order of the floats; -0 and 0 are one. */
static inline uint32_t cm_float_order(float v)
{
    uint32_t b;
    v += 0.0f;
    memcpy(&b, &v, 4);
    return b ^ ((uint32_t)((int32_t)b >> 31) | 0x80000000u);
}

/* The k-th largest of n numbers of cm_float_order (1 <= k <= n); destroys a. */
uint32_t cm_top_kth(uint32_t *a, size_t n, size_t k);

/* Keeps the k largest of n keys, the lower position among equals; the kept ones stay in order.
 * idx and val move with their keys (val may be NULL).  scratch: n items.  No NaN.  Returns
 * min(n, k). */
size_t cm_top_keep(size_t n, size_t k, float *key, uint32_t *idx, float *val, uint32_t *scratch);

#ifdef __cplusplus
}
#endif
#endif
