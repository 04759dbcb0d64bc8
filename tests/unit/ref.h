/* Reads the text fixtures of tests/ref/make_matrix.py: blocks "name rows cols" and the values. */
#ifndef TESTS_UNIT_REF_H
#define TESTS_UNIT_REF_H

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
        r.v = CM_NEW(double, r.rows *r.cols);
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

#endif
