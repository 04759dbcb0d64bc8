/* base/clones.h - functions compiled for several processors, chosen when the program starts.
 *
 * Loops in GCC's vector types need AVX to be fast, and the build targets the baseline machine:
 * target_clones, where compiler and C library have it.  Operations are not fused (-std=c11), so
 * all clones give the same bits.  CM_FAST_CLONES is for loops that gain from 64 bytes at once,
 * CM_CLONES for those that do not, CM_CLONES_O3 for plain loops.  Clang 14 loses the symbols of
 * such functions, and the runtime of thread sanitizer starts too late for them.  Rejected:
 * -march=native.
 */
#ifndef CM_BASE_CLONES_H
#define CM_BASE_CLONES_H

#if defined(__x86_64__) && defined(__GLIBC__) && !defined(__clang__) &&                            \
    !defined(__SANITIZE_THREAD__)
#define CM_CLONES      __attribute__((target_clones("avx2", "default")))
#define CM_FAST_CLONES __attribute__((target_clones("avx512f", "avx2", "default")))
#define CM_CLONES_O3   __attribute__((target_clones("avx2", "default"), optimize("O3")))
#else
#define CM_CLONES
#define CM_CLONES_O3
#define CM_FAST_CLONES
#endif

#endif
