/* stream/join.h - several streams as one: which heads fit together, and rows from all of them.
 *
 * Libraries, shards and splits are joined without mixing counts with normalised values, two fits,
 * or columns in two orders. cm_join_heads checks that heads fit and makes the joint head (labels
 * are the union; those that an input lacks are missing); cm_join_labels brings the labels of a
 * chunk into that form; cm_join_append gathers rows in memory for those who need all of them.  The
 * writer re-codes categories.
 */
#ifndef CM_STREAM_JOIN_H
#define CM_STREAM_JOIN_H

#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The head of the whole from the heads of n inputs; what[i] names input i in messages.  Slots must
 * agree in name, state, encoding, lazy transform, fitted scalars and vectors, and column names in
 * order; labels of one name must have one type; keys part.* must agree.  All else comes from the
 * first input.  Rows are promised when every input promises them.  0 or CM_EINPUT. */
int cm_join_heads(struct cm_head *out, const struct cm_head *const *in, const char *const *what,
                  size_t n);

/* Gives a chunk of input `in` the labels of `out`, in its order; afterwards the codes of each label
 * still refer to the dict of that name in `in`.  Labels that `in` lacks are missing. */
void cm_join_labels(struct cm_chunk *c, const struct cm_head *in, const struct cm_head *out);

/* What the categories of an input are among those of the whole; one for each input, {0} at first.
 */
struct cm_join_codes {
    struct cm_code_map {
        uint32_t *to;
        size_t n, cap;
    } * label;
    size_t n;
};
void cm_join_codes_free(struct cm_join_codes *x);

/* Appends the rows of a chunk (labels of `out` by cm_join_labels, codes of `in`) to `all`, codes
 * turned into those of `out`, whose dicts grow.  Value types widen without loss.  Lazy blocks keep
 * their row factors. */
void cm_join_append(struct cm_chunk *all, const struct cm_chunk *c, const struct cm_head *in,
                    struct cm_head *out, struct cm_join_codes *codes);
/* Rows at[0..n-1] of `all` as a chunk. */
void cm_join_take(struct cm_chunk *to, const struct cm_chunk *all, const struct cm_head *out,
                  const uint64_t *at, size_t n);

#ifdef __cplusplus
}
#endif
#endif
