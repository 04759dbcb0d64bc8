/* base/strs.c - packed string lists and their index.  See strs.h for the choice.
 *
 * The index has at most half of its places taken, probes linearly, and keeps the FIRST position of
 * a repeated name, which is what "join by name" means everywhere in the toolkit; the repetition
 * itself is reported in `duplicate`, because most callers must refuse it.
 */
#include "base/strs.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/mem.h"
#include "base/utf8.h"

void cm_strs_free(struct cm_strs *s)
{
    cm_free(s->off);
    cm_free(s->bytes);
    *s = (struct cm_strs){0};
}

void cm_strs_clear(struct cm_strs *s) { s->n = s->used = 0; }

static uint64_t next_era(void)
{
    static atomic_uint_fast64_t last;
    return atomic_fetch_add(&last, 1) + 1;
}

void cm_strs_addn(struct cm_strs *s, const char *text, size_t n)
{
    if (!s->n)
        s->era = next_era();
    CM_GROW(s->off, s->cap, s->n + 1);
    CM_GROW(s->bytes, s->capacity, s->used + n + 1);
    s->off[s->n++] = s->used;
    if (n)
        memcpy(s->bytes + s->used, text, n);
    s->bytes[s->used + n] = 0;
    s->used += n + 1;
}

void cm_strs_add(struct cm_strs *s, const char *text) { cm_strs_addn(s, text, strlen(text)); }

void cm_strs_copy(struct cm_strs *to, const struct cm_strs *from)
{
    if (to == from)
        return;
    cm_strs_clear(to);
    CM_GROW(to->off, to->cap, from->n);
    CM_GROW(to->bytes, to->capacity, from->used);
    if (from->n)
        memcpy(to->off, from->off, from->n * sizeof *to->off);
    if (from->used)
        memcpy(to->bytes, from->bytes, from->used);
    to->n = from->n;
    to->used = from->used;
    to->era = next_era();
}

bool cm_strs_equal(const struct cm_strs *a, const struct cm_strs *b)
{
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (strcmp(cm_strs_get(a, i), cm_strs_get(b, i)))
            return false;
    return true;
}

size_t cm_strs_not_utf8(const struct cm_strs *s, size_t from)
{
    if (from >= s->n)
        return CM_ABSENT;
    /* one pass over all of them: a NUL between two ends any sequence */
    size_t begin = (size_t)s->off[from], n = s->used - begin;
    size_t bad = cm_utf8_bad(s->bytes + begin, n);
    size_t at = from;
    while (bad < n && at + 1 < s->n && s->off[at + 1] <= begin + bad)
        at++;
    return bad < n ? at : CM_ABSENT;
}

/* The place of `name`, or the free place where it would go. */
static size_t probe(const struct cm_index *x, const struct cm_strs *s, const char *name)
{
    size_t at = (size_t)cm_hash64(name, strlen(name), 0) & x->mask;
    while (x->slot[at] && strcmp(cm_strs_get(s, x->slot[at] - 1), name))
        at = (at + 1) & x->mask;
    return at;
}

static void take_in(struct cm_index *x, size_t i)
{
    size_t at = probe(x, x->strs, cm_strs_get(x->strs, i));
    if (!x->slot[at])
        x->slot[at] = (uint32_t)i + 1;
    else if (x->duplicate == CM_ABSENT)
        x->duplicate = i;
}

void cm_index_extend(struct cm_index *x, const struct cm_strs *s)
{
    CM_ASSERT(s->n < UINT32_MAX - 1);
    bool anew = !x->slot || x->era != s->era || x->n > s->n;
    if (anew || s->n > (x->mask + 1) / 2) {
        size_t offsets = 16;
        while (offsets < 2 * s->n)
            offsets *= 2;
        cm_free(x->slot);
        *x = (struct cm_index){.mask = offsets - 1, .duplicate = CM_ABSENT};
        x->slot = CM_ZNEW(offsets, uint32_t);
    }
    x->strs = s;
    x->era = s->era;
    for (; x->n < s->n; x->n++)
        take_in(x, x->n);
}

void cm_index_make(struct cm_index *x, const struct cm_strs *s)
{
    *x = (struct cm_index){0};
    cm_index_extend(x, s);
}

void cm_index_free(struct cm_index *x)
{
    cm_free(x->slot);
    *x = (struct cm_index){0};
}

size_t cm_index_find_in(const struct cm_index *x, const struct cm_strs *s, const char *name)
{
    CM_ASSERT(x->era == s->era && x->n == s->n);
    size_t at = probe(x, s, name);
    return x->slot[at] ? x->slot[at] - 1 : CM_ABSENT;
}

size_t cm_index_find(const struct cm_index *x, const char *name)
{
    size_t at = probe(x, x->strs, name);
    return x->slot[at] ? x->slot[at] - 1 : CM_ABSENT;
}

size_t cm_strs_make_unique(struct cm_strs *s)
{
    struct cm_index old;
    struct cm_strs out = {0};
    size_t changed = 0;
    cm_index_make(&old, s);
    if (old.duplicate == CM_ABSENT) {
        cm_index_free(&old);
        return 0;
    }
    uint64_t *next = CM_ZNEW(s->n, uint64_t); /* number to try next, by first position */
    for (size_t i = 0; i < s->n; i++) {
        const char *name = cm_strs_get(s, i);
        size_t first = cm_index_find(&old, name), capacity = strlen(name) + 24;
        if (first == i) {
            cm_strs_add(&out, name);
            continue;
        }
        char *text = CM_NEW(capacity, char);
        do /* made names differ from one another: "a" + "-1-1" cannot meet "a-1" + "-1" ... */
            snprintf(text, capacity, "%s-%" PRIu64, name, ++next[first]);
        while (cm_index_find(&old, text) != CM_ABSENT);
        cm_strs_add(&out, text);
        cm_free(text);
        changed++;
    }
    cm_free(next);
    cm_index_free(&old);
    cm_strs_free(s);
    *s = out;
    return changed;
}

size_t cm_strs_repeats(const struct cm_strs *s)
{
    struct cm_index x;
    size_t n = 0;
    cm_index_make(&x, s);
    for (size_t i = 0; x.duplicate != CM_ABSENT && i < s->n; i++)
        n += cm_index_find(&x, cm_strs_get(s, i)) != i;
    cm_index_free(&x);
    return n;
}
