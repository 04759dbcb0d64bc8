/* Reads the text fixtures of tests/ref/make_*.py: blocks "name rows cols" and the values. */
#ifndef TESTS_UNIT_REF_H
#define TESTS_UNIT_REF_H

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

struct ref {
    size_t rows, cols;
    double *v; /* rows x cols */
};

/* The block called `name`; fails the test when there is none.  Tests run from the root. */
static inline struct ref ref_load(const char *path, const char *name)
{
    struct ref r = {0};
    FILE *f = fopen(path, "r");
    if (!f)
        fail_msg("%s: cannot be opened (tests run from the project's root)", path);
    char word[64];
    while (f && fscanf(f, "%63s %zu %zu", word, &r.rows, &r.cols) == 3) {
        cm_free(r.v);
        r.v = CM_NEW(r.rows * r.cols, double);
        for (size_t i = 0; i < r.rows * r.cols; i++)
            if (fscanf(f, "%lf", &r.v[i]) != 1)
                fail_msg("%s: block %s is cut", path, word);
        if (strcmp(word, name) == 0) {
            fclose(f);
            return r;
        }
    }
    fail_msg("%s: no block %s", path, name);
    return r;
}

/* The same as floats, exactly n of them. */
static inline float *ref_floats(const char *path, const char *name, size_t n)
{
    struct ref r = ref_load(path, name);
    if (r.rows * r.cols != n)
        fail_msg("%s: %zu numbers, expected %zu", name, r.rows * r.cols, n);
    float *v = CM_NEW(n, float);
    for (size_t i = 0; i < n; i++)
        v[i] = (float)r.v[i];
    cm_free(r.v);
    return v;
}

/* |got - want| <= tolerance max(1, |want|), or for gradients of |want| or a hundredth of the
 * largest. */
static inline void ref_equal(const char *path, const char *name, const float *got, size_t n,
                             double tolerance, int gradient)
{
    struct ref want = ref_load(path, name);
    double max = 0;
    assert_int_equal(want.rows * want.cols, n);
    for (size_t i = 0; i < n; i++)
        max = fmax(max, fabs(want.v[i]));
    for (size_t i = 0; i < n; i++) {
        double size = fmax(gradient ? .01 * max : 1, fabs(want.v[i]));
        if (!(fabs((double)got[i] - want.v[i]) <= tolerance * size))
            fail_msg("%s[%zu]: %.9g, reference %.9g", name, i, (double)got[i], want.v[i]);
    }
    cm_free(want.v);
}

#endif
