/* base/hash.c - XXH64 from libxxhash behind a few functions.
 *
 * XXH64 rather than XXH3: it is the hash of zstd's own checksums, its definition is frozen, and
 * every language has it, so that a script can compute a stream's digest.
 */
#include "base/hash.h"

#include <xxhash.h>

#include "base/error.h"

uint64_t cm_hash64(const void *p, size_t n, uint64_t seed) { return XXH64(p, n, seed); }

struct cm_hash *cm_hash_new(void)
{
    XXH64_state_t *s = XXH64_createState();
    if (!s)
        cm_panic(4, "out of memory: a hash state");
    XXH64_reset(s, 0);
    return (struct cm_hash *)s;
}

void cm_hash_update(struct cm_hash *h, const void *p, size_t n)
{
    if (n)
        XXH64_update((XXH64_state_t *)h, p, n);
}

uint64_t cm_hash_value(const struct cm_hash *h) { return XXH64_digest((const XXH64_state_t *)h); }

void cm_hash_free(struct cm_hash *h) { XXH64_freeState((XXH64_state_t *)h); }
