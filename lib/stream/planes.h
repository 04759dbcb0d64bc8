/* stream/planes.h - column numbers as byte planes of differences (private to this directory).
 *
 * A row's ascending columns c0 < c1 < ... travel as c0, c1-c0, ...: all low bytes of a block, then
 * all second bytes, and so on (cms(5)).  n is the number of entries of the block, which is the
 * distance of the planes.
 */
#ifndef CM_STREAM_PLANES_H
#define CM_STREAM_PLANES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* len entries of a row: planes at p, p + n, p + 2n, p + 3n <- columns idx. */
void cm_planes_split(const uint32_t *idx, size_t len, unsigned char *p, uint64_t n);

/* The way back.  False unless all differences but the first are at least 1 and the last column is
 * below cols; *last is that column (0 for an empty row), which may not fit 32 bits. */
bool cm_planes_join(const unsigned char *p, uint64_t n, size_t len, uint64_t cols, uint32_t *idx,
                    uint64_t *last);

/* Do the columns ascend, and stay below cols? */
bool cm_planes_ascend(const uint32_t *idx, size_t len, uint64_t cols);

/* Are all bytes 1? */
bool cm_planes_ones(const uint8_t *x, uint64_t n);

#endif
