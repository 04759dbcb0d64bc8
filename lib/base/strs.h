/* base/strs.h - packed lists of strings, and the map from a name to its place in one.
 *
 * One byte arena with offsets (names are NUL-terminated inside, so they print), as a malloc a
 * name would cost more than the matrix, and an open-addressing index over XXH64, built when names
 * are looked up.  Rejected: a general hash table with its own copies of the keys.
 */
#ifndef CM_BASE_STRS_H
#define CM_BASE_STRS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define CM_ABSENT SIZE_MAX

/* Zero-initialise ({0}); release with cm_strs_free.  String i is at bytes + off[i]. */
struct cm_strs {
    size_t n, cap;
    uint64_t *off;
    char *bytes;
    size_t used, capacity;
    uint64_t era; /* of this filling: no two lists, and no list emptied and refilled, share one */
};

void cm_strs_free(struct cm_strs *s);
void cm_strs_clear(struct cm_strs *s); /* empty, memory kept */
void cm_strs_add(struct cm_strs *s, const char *text);
void cm_strs_addn(struct cm_strs *s, const char *text, size_t n);  /* text has no NUL inside */
void cm_strs_copy(struct cm_strs *to, const struct cm_strs *from); /* replaces what `to` holds */
bool cm_strs_equal(const struct cm_strs *a, const struct cm_strs *b);

/* The first string from `from` on that is not UTF-8, or CM_ABSENT. */
size_t cm_strs_not_utf8(const struct cm_strs *s, size_t from);
/* Makes repeated names different as anndata does: the second "name" becomes "name-1", the third
 * "name-2", a number that would make a name which is there already being left out.  How many were
 * changed. */
size_t cm_strs_make_unique(struct cm_strs *s);

size_t cm_strs_repeats(const struct cm_strs *s); /* how many strings occurred before */

static inline const char *cm_strs_get(const struct cm_strs *s, size_t i)
{
    return s->bytes + s->off[i];
}

/* name -> position.  Borrows the list, which must outlive the index and may only grow. */
struct cm_index {
    const struct cm_strs *strs;
    uint32_t *slot; /* position + 1, 0 = free */
    size_t mask;
    size_t duplicate; /* a position whose name occurred before, or CM_ABSENT */
    size_t n;         /* names of the list that are in the index */
    uint64_t era;     /* of the list */
};

void cm_index_make(struct cm_index *x, const struct cm_strs *s); /* s->n < 2^32 - 1 */
void cm_index_free(struct cm_index *x);
/* Takes in the names added since; a list that was emptied or replaced is indexed anew.  x may be
 * {0}.  Constant time a name, so that a list which grows by look-ups is filled in linear time. */
void cm_index_extend(struct cm_index *x, const struct cm_strs *s);
size_t cm_index_find(const struct cm_index *x, const char *name); /* first position, or CM_ABSENT */
/* The same in s, whose names the index holds: the list has moved since, or is a part of a copy. */
size_t cm_index_find_in(const struct cm_index *x, const struct cm_strs *s, const char *name);

#ifdef __cplusplus
}
#endif
#endif
