/* base/mem.h - checked memory and size arithmetic.
 *
 * Every allocation takes (count, size) and checks the product.  Running out of memory ends the
 * program with status 4 and the amount asked for: no caller can recover in the middle of a
 * matrix.  Sizes read from a file are compared with the limits of the format BEFORE they come
 * here.  Rejected: malloc with checks at each call, which nobody tests.
 */
#ifndef CM_BASE_MEM_H
#define CM_BASE_MEM_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CM_NOT_NULL __attribute__((returns_nonnull))

/* Memory for n items of `size` bytes (at least one byte), 64-byte aligned when n * size >= 4096.
 * Never NULL.  The caller frees it with cm_free. */
CM_NOT_NULL void *cm_alloc(size_t n, size_t size);
CM_NOT_NULL void *cm_zalloc(size_t n, size_t size); /* the same, all bytes zero */
CM_NOT_NULL void *cm_realloc(void *p, size_t n, size_t size);
CM_NOT_NULL char *cm_strdup(const char *s);
void cm_free(void *p);

/* cm_alloc for arrays that are walked all over in every step, as weights and activations are: from
 * 512 KiB on whole pages of 2 MiB, large ones where the system has them. */
CM_NOT_NULL void *cm_alloc_hot(size_t n, size_t size);

#define CM_NEW_HOT(n, type) ((type *)cm_alloc_hot((n), sizeof(type)))
#define CM_NEW(n, type)     ((type *)cm_alloc((n), sizeof(type)))
#define CM_ZNEW(n, type)    ((type *)cm_zalloc((n), sizeof(type)))

/* Grows an array to hold at least `need` items, by half again at a time.  *cap counts items. */
#define CM_GROW(p, cap, need)                                                                      \
    ((need) > (cap) ? (void)((p) = cm_grow((p), &(cap), (need), sizeof *(p))) : (void)0)
#ifdef CM_ANALYZE /* for static analysis: the array is there afterwards */
#undef CM_GROW
#define CM_GROW(p, cap, need) ((void)((p) = cm_grow((p), &(cap), (need), sizeof *(p))))
#endif
CM_NOT_NULL void *cm_grow(void *p, size_t *cap, size_t need, size_t size);

/* From now on freed blocks of 256 KiB and more go back to the system at once (glibc keeps them, and
 * ever larger ones, otherwise): for filters whose memory is a promise.  Costs page faults where
 * large blocks come and go. */
void cm_mem_lean(void);

/* a * b and a + b; 0 and *out set, or -1 on overflow (no message). */
int cm_mul(size_t a, size_t b, size_t *out);
int cm_add(size_t a, size_t b, size_t *out);

static inline size_t cm_size_max(size_t a, size_t b) { return a > b ? a : b; }
static inline size_t cm_size_min(size_t a, size_t b) { return a < b ? a : b; }

#ifdef __cplusplus
}
#endif
#endif
