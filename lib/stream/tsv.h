/* stream/tsv.h - the plain-text twin of a stream (public; cms-text(1) describes the form).
 *
 * awk, R and people can see and change what a stream holds, and get it back unharmed: one line a
 * row (name, labels, values, tab-separated); everything else that the way back needs is in lines
 * that begin with '#', so `awk '!/^#/'` is all the parsing that a script needs.  Numbers are the
 * shortest decimals that read back to the same f32 or f64; names are %-escaped as in HEAD. Text
 * without `#end` was cut, which is an error. text_out.c writes, text_in.c reads.  Rejected: two
 * files (matrix and header), and positions in place of column names (unreadable).
 */
#ifndef CM_STREAM_TSV_H
#define CM_STREAM_TSV_H

#include <stdio.h>

#include "base/bytes.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ----- to text: everything is appended to the buffer `to` ----------------------------------- */

struct cm_tsv {
    size_t *sent;              /* categories already written, per label */
    bool number[CM_MAX_SLOTS]; /* columns by number: names are not unique */
};
void cm_tsv_make(struct cm_tsv *t, const struct cm_head *h);
void cm_tsv_free(struct cm_tsv *t);

void cm_tsv_head(struct cm_tsv *t, const struct cm_head *h, struct cm_buf *to); /* the '#' lines */
void cm_tsv_row_names(const struct cm_head *h, struct cm_buf *to); /* the line "#name label ..." */
/* A chunk of any kind: rows with their "#block" line, "#batch", "#pick", a tensor.  `bare`: no '#'
 * lines.  Lazy values are evaluated. */
void cm_tsv_chunk(struct cm_tsv *t, const struct cm_head *h, struct cm_chunk *c, bool bare,
                  struct cm_buf *to);
void cm_tsv_end(struct cm_buf *to);
/* The row table: a header line first, then name TAB labels, no values. */
void cm_tsv_labels_head(const struct cm_head *h, struct cm_buf *to);
void cm_tsv_labels(const struct cm_head *h, const struct cm_chunk *c, struct cm_buf *to);
/* row TAB column TAB value of every stored entry (all of a dense matrix); a slot's name stands in
 * front when there are several slots. */
void cm_tsv_triplets(const struct cm_head *h, struct cm_chunk *c, struct cm_buf *to);
void cm_tsv_keys(const struct cm_head *h, struct cm_buf *to);              /* HEAD */
void cm_tsv_cols(const struct cm_head *h, size_t slot, struct cm_buf *to); /* COLS */

/* ----- from text ---------------------------------------------------------------------------- */

struct cm_tsv_in;
/* Reads the '#' lines up to the first row.  `what` names the input in messages.  The FILE stays the
 * caller's.  0 or CM_EINPUT, CM_ESYSTEM. */
int cm_tsv_open(struct cm_tsv_in **in, FILE *file, const char *what);
const struct cm_head *cm_tsv_in_head(const struct cm_tsv_in *in);
/* 1: the next chunk; 0: #end was there and nothing behind it; < 0 an error. */
int cm_tsv_next(struct cm_tsv_in *in, struct cm_chunk *c);
void cm_tsv_close(struct cm_tsv_in *in);

#ifdef __cplusplus
}
#endif
#endif
