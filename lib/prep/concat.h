/* prep/concat.h - rows and columns of several streams, one stream after the other.
 *
 * What is asked for is a struct; cm_concat_open joins the heads, cm_concat_next delivers what is
 * left of every chunk.  O(block) memory.
 */
#ifndef CM_PREP_CONCAT_H
#define CM_PREP_CONCAT_H

#include "prep/where.h"
#include "stream/join.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Names from a file, and which of them were met.  Zero-initialise; cm_names_free. */
struct cm_names {
    struct cm_strs names;
    struct cm_index index;
    bool *seen;
};
/* One name a line; blank lines are none.  0 or an error. */
int cm_names_read(struct cm_names *l, const char *path);
/* Lines of old and new name, separated by a tab: the old ones to l, the others to `to`. */
int cm_names_read_pairs(struct cm_names *l, struct cm_strs *to, const char *path);
/* How many were not met, of how many (repeated names count once); the first, or CM_ABSENT. */
size_t cm_names_unseen(const struct cm_names *l, size_t *all, size_t *first);
void cm_names_free(struct cm_names *l);

/* Everything may be left out; `to` is UINT64_MAX then. */
struct cm_selection {
    uint64_t from, to; /* rows of all inputs, from 0; `to` is the first that is left out */
    const char *const *where, *const *except; /* LABEL=A,B */
    size_t nwhere, nexcept;
    struct cm_names *names;   /* rows so called */
    struct cm_names *columns; /* in this order */
    const char *columns_path; /* for messages */
    struct cm_names *rename;  /* rows so called get new_names */
    const struct cm_strs *new_names;
    bool materialize; /* lazy values as plain f32 */
};

/* Zero-initialise; cm_concat_free. */
struct cm_concat {
    struct cm_selection want;
    struct cm_concat_input {
        struct cm_reader *r;
        const struct cm_head *h; /* the reader's: its dictionaries grow */
        struct cm_head shown;    /* the same with the columns that are kept */
        uint32_t *map[CM_MAX_SLOTS];
        struct cm_where *where, *except;
    } * input;
    size_t n, at;       /* inputs; the one that is read */
    struct cm_head out; /* of the whole */
    uint64_t row, kept; /* rows read and rows delivered */
    bool as_read;       /* the blocks delivered last are those of the reader */
    struct {
        struct cm_strs names;
        struct cm_index index;
        uint64_t *hash;
        size_t capacity;
    } tensors; /* delivered so far */
};
/* The rows of part `part` of n equal parts, part from 1, as want->from and ->to.  Reads inputs
 * whose heads do not tell their rows to the end, and rewinds them.  0 or an error. */
int cm_concat_shard(struct cm_selection *want, struct cm_reader *const *r, size_t inputs,
                    uint64_t part, uint64_t n);
/* Takes the selection; x->out is the head of the whole.  0 or an error. */
int cm_concat_open(struct cm_concat *x, struct cm_reader *const *r, size_t n,
                   const struct cm_selection *want);
/* 1: rows (perhaps none), or a tensor that was not there before, of input x->input[x->at]; 0: the
 * end of all; < 0 an error.  Labels are those of x->out, their codes still those of the input. */
int cm_concat_next(struct cm_concat *x, struct cm_chunk *c);
/* A value of condition k counts as met where any input has it: gathers that in the first input. */
struct cm_where *cm_concat_condition(struct cm_concat *x, size_t k, bool except);
void cm_concat_free(struct cm_concat *x);

#ifdef __cplusplus
}
#endif
#endif
