/* match/feed.h - a one-slot stream in portions of a chosen size.
 *
 * Results must not depend on how a producer cut its stream into chunks: products of matrices differ
 * in their last bits with the shape, digests with the records, and an ensemble walks several
 * streams in step.  The feed fills a portion of exactly the number of rows asked for (the last may
 * be smaller), values as floats, without loading the stream.
 */
#ifndef CM_MATCH_FEED_H
#define CM_MATCH_FEED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "match/rows.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Dense: val is rows x cols, ptr and idx are unused. */
struct cm_feed {
    struct cm_reader *r;
    struct cm_chunk in; /* being eaten, from row `at` */
    size_t at;
    uint64_t first; /* number of the portion's first row in the stream */
    size_t rows, cols;
    struct cm_strs names;
    struct cm_vec *label; /* nlabels */
    size_t nlabels;
    uint64_t *ptr; /* rows + 1 */
    uint32_t *idx;
    float *val;
    size_t ptr_cap, idx_cap, val_cap;
    bool keeps, recalls; /* cm_feed_keep_cells, cm_feed_recall */
    size_t kept;
    struct cm_strs all_names;
    struct cm_vec *all_label;
};

/* r: its head has one slot (CM_EINPUT otherwise).  The reader stays the caller's. */
int cm_feed_make(struct cm_feed *f, struct cm_reader *r);
/* 1: the next portion, 1..rows rows; 0: END; < 0: CM_E... */
int cm_feed_next(struct cm_feed *f, size_t rows);
/* Back to the first row (cm_reader_keep before, END reached). */
int cm_feed_rewind(struct cm_feed *f);
/* Where a second pass needs no values: keep names and labels of all rows in memory (before the
 * first portion), and after END go back to the first row; portions then have empty rows.  Reading
 * a large match twice costs more than this. */
void cm_feed_keep_cells(struct cm_feed *f);
void cm_feed_recall(struct cm_feed *f);
/* The portion's sparse rows, to be changed in place. */
struct cm_rows cm_feed_rows(struct cm_feed *f);
/* A chunk with the portion's names and labels and `rows` (as many as the portion's) as a CSR block
 * of `cols` columns.  Everything is borrowed: write it before the feed moves, do not free it. */
struct cm_chunk cm_feed_chunk(struct cm_feed *f, const struct cm_rows *rows, size_t cols);
void cm_feed_free(struct cm_feed *f);

#ifdef __cplusplus
}
#endif
#endif
