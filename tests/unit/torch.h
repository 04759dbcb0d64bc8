/* Tensors that PyTorch wrote (tests/ref/make_nn.py, make_tokens.py), and what it is to equal them.
 *
 * FIXTURE, defined before this is included, is the path without its ending: FIXTURE.txt has a line
 * "name offset count" a tensor, FIXTURE.bin the numbers, little-endian floats.  The whole file is
 * read once, by the setup of a group of tests.  Text, as in ref.h, would be three times as large.
 *
 * "Relative" for a gradient is to the number itself, or to a hundredth of the largest of its tensor
 * where it is smaller: a gradient that nearly cancels has no digits of its own.
 */
#ifndef TESTS_UNIT_TORCH_H
#define TESTS_UNIT_TORCH_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"

#define FORWARD  1e-5
#define GRADIENT 1e-4

static struct {
    float *v;
    size_t n;
} blob;

static int load(void **state)
{
    (void)state;
    FILE *f = fopen(FIXTURE ".bin", "rb");
    if (!f || fseek(f, 0, SEEK_END))
        return -1; /* tests run from the project's root */
    blob.n = (size_t)ftell(f) / 4;
    blob.v = CM_NEW(blob.n, float);
    rewind(f);
    unsigned char *raw = CM_NEW(4 * blob.n, unsigned char);
    size_t got = fread(raw, 4, blob.n, f);
    cm_le_copy(blob.v, raw, blob.n, 4);
    cm_free(raw);
    return fclose(f) || got != blob.n ? -1 : 0;
}

static int unload(void **state)
{
    (void)state;
    cm_free(blob.v);
    return 0;
}

/* Tensor "group.name", or "group" without a name, of exactly n numbers. */
static inline const float *ref(const char *group, const char *name, size_t n)
{
    char want[320], word[320];
    size_t offset, count;
    snprintf(want, sizeof want, "%s%s%s", group, *name ? "." : "", name);
    FILE *f = fopen(FIXTURE ".txt", "r");
    assert_non_null(f);
    while (fscanf(f, "%319s %zu %zu", word, &offset, &count) == 3)
        if (strcmp(word, want) == 0) {
            fclose(f);
            if (count != n || offset + count > blob.n)
                fail_msg("%s: %zu numbers, expected %zu", want, count, n);
            return blob.v + offset;
        }
    fail_msg("no tensor %s in %s.txt", want, FIXTURE);
    return NULL;
}

static inline void forward_is(const char *group, const char *name, const float *got, size_t n)
{
    const float *want = ref(group, name, n);
    for (size_t i = 0; i < n; i++)
        if (!(fabs((double)got[i] - (double)want[i]) <= FORWARD * fmax(1, fabs((double)want[i]))))
            fail_msg("%s.%s[%zu]: %.9g, PyTorch %.9g", group, name, i, (double)got[i],
                     (double)want[i]);
}

static inline void gradient_is(const char *group, const char *name, const float *got, size_t n)
{
    const float *want = ref(group, name, n);
    double largest = 0;
    for (size_t i = 0; i < n; i++)
        largest = fmax(largest, fabs((double)want[i]));
    assert_true(largest > 0);
    for (size_t i = 0; i < n; i++) {
        double bound = GRADIENT * fmax(fabs((double)want[i]), largest / 100);
        if (!(fabs((double)got[i] - (double)want[i]) <= bound))
            fail_msg("%s.%s[%zu]: %.9g, PyTorch %.9g", group, name, i, (double)got[i],
                     (double)want[i]);
    }
}

#endif
