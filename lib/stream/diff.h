/* stream/diff.h - do two streams say the same?
 *
 * Problem: equal content may come in other blocks, other value types, lazy or plain, sparse or
 * dense; bytes and digests then differ although nothing else does.  Choice: both streams are walked
 * row by row and compared as what they mean; the first difference is described, all are
 * counted.  Provenance, notes, block boundaries, encodings and promised row numbers are no content.
 */
#ifndef CM_STREAM_DIFF_H
#define CM_STREAM_DIFF_H

#include "base/error.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cm_diff {
    double tolerance;  /* |a - b| <= tolerance max(1, |a|, |b|) is equal */
    bool ignore_names; /* names of rows, columns and slots, labels, column tables, free keys */
    /* results */
    char first[CM_MESSAGE_MAX]; /* the first difference, "" = none */
    uint64_t values, different; /* values compared (stored on either side), and differing ones */
    uint64_t rows, rows_different;
    double largest; /* largest |a - b| found, also within the tolerance */
};

/* Reads both to END, also after a difference, so that damage is always an error.  0 the same, 1
 * different, < 0 CM_E....  O(block) memory. */
int cm_diff_streams(struct cm_diff *d, struct cm_reader *a, struct cm_reader *b);

#ifdef __cplusplus
}
#endif
#endif
