/* prep/split.h - who is held out: the row label `split`.
 *
 * Training, validation and test cells must be the same in both modalities, whatever the order of
 * the cells, and a later choice must not free cells held out before.  A cell's sample is a random
 * number of (seed, its NAME); of n candidates exactly round(F n) with the smallest samples are held
 * out, so streams that hold the same cells in any order agree.  Candidates are the cells still in
 * training: holdouts can be chained (test first, then valid).  A coin for each cell was rejected
 * (30 cells at F = .1 may give none), and so were row numbers (the modalities are shuffled
 * differently).
 */
#ifndef CM_PREP_SPLIT_H
#define CM_PREP_SPLIT_H

#include <stdbool.h>
#include <stdint.h>

#include "prep/where.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_SPLIT_LABEL "split"
#define CM_SPLIT_TRAIN "train"

/* The sample of a cell: a random number of its name. */
uint64_t cm_split_sample(uint64_t seed, const char *name);

/* Set the first group; zero the rest. */
struct cm_split {
    const char *name;      /* value of the cells held out: "test" */
    struct cm_where where; /* hold out the cells that meet it, if where.label */
    double fraction;       /* else this share of the training cells, 0 < fraction < 1 */
    uint64_t seed;
    bool fresh; /* forget an existing label first: every cell is in training */

    int at;                       /* position of the label in the output */
    bool had;                     /* the input has the label */
    uint64_t last;                /* the largest sample that is held out */
    bool any;                     /* is there one? */
    uint64_t rows, held, trained; /* counted by cm_split_apply */
};

/* Binds the condition, or draws: reads r to its end and rewinds (cm_reader_keep must have been
 * called; 8 bytes a candidate). */
int cm_split_prepare(struct cm_split *s, struct cm_reader *r);
/* The output's head: the input's with the label added or replaced (categories). */
void cm_split_head(struct cm_split *s, const struct cm_head *in, struct cm_head *out);
/* Gives a chunk of the input the label.  Afterwards its labels fit `out`, which also follows the
 * input's growing dictionaries: write the chunk with cm_writer_chunk(w, c, out). */
void cm_split_apply(struct cm_split *s, const struct cm_head *in, struct cm_head *out,
                    struct cm_chunk *c);

#ifdef __cplusplus
}
#endif
#endif
