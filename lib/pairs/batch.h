/* pairs/batch.h - two matrices of the same cells become one stream of pairs.
 *
 * Row i of one modality beside row i of the other, training cells before validation cells, then the
 * schedule of mini-batches.  The first stream is read two or three times (a pipe is spooled), once
 * for names and labels and then once for each split, so cells keep its order; any row of the second
 * may be next, so it is held as a row store, in memory as far as a limit allows and beyond that in
 * a file.  Rejected: sorting both by name (two spools, and an order that nobody asked for).
 */
#ifndef CM_PAIRS_BATCH_H
#define CM_PAIRS_BATCH_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "pairs/pairing.h"
#include "pairs/rowstore.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cm_batch_options {
    size_t size;          /* cells a mini-batch, 0 = all training cells */
    uint32_t epochs;      /* 0 = the data pass alone */
    const char *within;   /* label: every mini-batch inside one of its values; NULL = no */
    const char *valid;    /* LABEL=VALUE[,VALUE...] of the validation cells; NULL = split=valid */
    bool by_position;     /* row i is row i */
    const char *pairs;    /* file of pairs; NULL = by name */
    uint64_t seed, start; /* first step to send; steps count from 0 over all epochs */
    uint64_t max_memory;  /* bytes that may grow with the cells, 0 = any; beyond it, TMPDIR */
};

/* A cell of the first stream is training, validation, or left out. */
struct cm_batcher {
    struct cm_batch_options o;
    struct cm_reader *a, *b;
    struct cm_head head; /* of the output */
    uint64_t *partner;   /* row of b for each row of a, or CM_ALONE */
    uint8_t *role;       /* 0 training, 1 validation, 2 left out */
    size_t rows_a, rows_b;
    struct cm_rowstore second;
    struct cm_strs second_names;
    struct cm_vec *second_label; /* labels that the first stream lacks */
    size_t nsecond;
    struct cm_schedule schedule;
    /* for reports */
    uint64_t pairs, train, valid, left_out; /* left_out: paired, but of another split */
    bool numbers;        /* joined by names that are mere numbers on both sides */
    uint64_t elsewhere;  /* lines of the pairs file about cells of neither stream */
    uint64_t unlabelled; /* training cells without a value of `within` */
    size_t groups;
    uint64_t memory;        /* bytes that grew with the cells; second.in_file: those in TMPDIR */
    uint64_t block[2];      /* bytes of the largest block of either stream */
    struct cm_buf no_valid; /* values of --valid that no row has, "A", "B"; n 0 = none */
};

/* Reads a once (names, labels) and b wholly, joins, assigns roles, makes schedule and head.
 * Rules: without a label `split` every paired cell that is not `valid` is training; with one only
 * split=train is, so that test cells are never trained on.  CM_EINPUT: duplicates, nothing in
 * common, no training cells, unknown labels, two slots of one name.  CM_ESYSTEM: max_memory does
 * not hold what cannot go to a file.  cm_reader_keep is called. */
int cm_batcher_open(struct cm_batcher *x, const struct cm_batch_options *o, struct cm_reader *a,
                    struct cm_reader *b);
/* The data pass, then the schedule, to w (its head is x->head, already written). */
int cm_batcher_write(struct cm_batcher *x, struct cm_writer *w,
                     void (*progress)(uint64_t done, uint64_t total));
/* A bound on the memory of the whole process until the end, in bytes. */
uint64_t cm_batcher_bound(const struct cm_batcher *x);
void cm_batcher_free(struct cm_batcher *x);

#ifdef __cplusplus
}
#endif
#endif
