/* base/hash.h - XXH64, the one hash of the toolkit: digests of streams, ids of provenance, hashes
 * of feature orders, string indices.  From libxxhash; wrapped so that one file includes its header.
 */
#ifndef CM_BASE_HASH_H
#define CM_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

uint64_t cm_hash64(const void *p, size_t n, uint64_t seed);

struct cm_hash; /* a running XXH64, seed 0 */
struct cm_hash *cm_hash_new(void);
void cm_hash_update(struct cm_hash *h, const void *p, size_t n);
uint64_t cm_hash_value(const struct cm_hash *h);
void cm_hash_free(struct cm_hash *h);

#ifdef __cplusplus
}
#endif
#endif
