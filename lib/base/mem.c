/* base/mem.c - checked memory.  See mem.h for the choice.
 *
 * Large blocks are aligned to a cache line, so that vector kernels and BLAS panels start on one;
 * aligned_alloc wants a multiple of the alignment, hence the rounding.  realloc cannot keep an
 * alignment promise, so cm_realloc makes none.
 *
 * Huge pages, where the kernel gives them on request: for whole matrices, since a fault for each
 * 4 KiB is a third of the time to load one; and for arrays that the network walks all over in every
 * step, whose rows lie a few on each small page: 3 % of its speed.  Rejected: for every block,
 * which keeps more memory than is asked for.
 */
#include "base/mem.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#ifdef __GLIBC__
#include <malloc.h>
#endif

#include "base/error.h"

enum {
    ALIGN = 64,
    LARGE = 4096,
    HOT = 512 << 10,
    HUGE_PAGE = 2 << 20,
    HUGE_BLOCK = 16 * HUGE_PAGE
};

static size_t total(size_t n, size_t size)
{
    size_t bytes;
    if (cm_mul(n, size, &bytes) || bytes > PTRDIFF_MAX - ALIGN)
        cm_panic(4, "out of memory: %zu items of %zu bytes asked for", n, size);
    return bytes ? bytes : 1;
}

static void give_huge(void *p, size_t bytes)
{
#ifdef MADV_HUGEPAGE
    madvise(p, bytes, MADV_HUGEPAGE); /* a hint: without it all works the same */
#else
    (void)p, (void)bytes;
#endif
}

void *cm_alloc(size_t n, size_t size)
{
    size_t bytes = total(n, size), align = bytes < HUGE_BLOCK ? ALIGN : HUGE_PAGE;
    void *p =
        bytes < LARGE ? malloc(bytes) : aligned_alloc(align, (bytes + align - 1) / align * align);
    if (!p)
        cm_panic(4, "out of memory: %zu bytes asked for", bytes);
    if (align == HUGE_PAGE) /* of what was asked for: the last page stays a small one */
        give_huge(p, bytes / HUGE_PAGE * HUGE_PAGE);
    return p;
}

void *cm_alloc_hot(size_t n, size_t size)
{
    size_t bytes = total(n, size);
    if (bytes < HOT || bytes > PTRDIFF_MAX - HUGE_PAGE)
        return cm_alloc(n, size);
    bytes = (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
    void *p = aligned_alloc(HUGE_PAGE, bytes);
    if (!p)
        cm_panic(4, "out of memory: %zu bytes asked for", bytes);
    give_huge(p, bytes);
    return p;
}

void *cm_zalloc(size_t n, size_t size)
{
    size_t bytes = total(n, size);
    void *p = calloc(1, bytes); /* the kernel's zero pages come free */
    if (!p)
        cm_panic(4, "out of memory: %zu bytes asked for", bytes);
    return p;
}

void *cm_realloc(void *p, size_t n, size_t size)
{
    size_t bytes = total(n, size);
    void *q = realloc(p, bytes);
    if (!q)
        cm_panic(4, "out of memory: %zu bytes asked for", bytes);
    return q;
}

char *cm_strdup(const char *s)
{
    size_t n = strlen(s) + 1;
    return memcpy(cm_alloc(n, 1), s, n);
}

void cm_free(void *p) { free(p); }

void *cm_grow(void *p, size_t *cap, size_t need, size_t size)
{
    size_t want = *cap + *cap / 2 + 16;
    if (want < need)
        want = need;
    p = cm_realloc(p, want, size);
    *cap = want;
    return p;
}

void cm_mem_lean(void)
{
#ifdef __GLIBC__
    mallopt(M_MMAP_THRESHOLD, 256 << 10);
#endif
}

int cm_mul(size_t a, size_t b, size_t *out) { return __builtin_mul_overflow(a, b, out) ? -1 : 0; }

int cm_add(size_t a, size_t b, size_t *out) { return __builtin_add_overflow(a, b, out) ? -1 : 0; }
