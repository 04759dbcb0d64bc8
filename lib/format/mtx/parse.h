/* format/mtx/parse.h - lines of MTX text as numbers.
 *
 * A large matrix is a hundred million short lines, and scanf reads one million a second.  A piece
 * of text that ends with a line is parsed by itself, so that pieces go to the threads of the
 * pool. Decimals are exact: where the digits and the power of ten are exact in double, one
 * multiplication or division rounds once; strtod does the few others.
 */
#ifndef CM_FORMAT_MTX_PARSE_H
#define CM_FORMAT_MTX_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "stream/cms.h"

enum cm_mtx_field { CM_MTX_INTEGER, CM_MTX_REAL, CM_MTX_PATTERN };

/* What banner and size line say, and which dimension the cells are. */
struct cm_mtx_shape {
    enum cm_mtx_field field;
    bool symmetric;  /* each entry off the diagonal stands for two */
    bool cells_rows; /* the first number is the cell */
    uint64_t rows, cols, entries;
};

/* The text before the entries.  Zero-initialise. */
struct cm_mtx_front {
    struct cm_mtx_shape shape;
    size_t bytes;                          /* up to and with the size line */
    uint64_t lines;                        /* the same */
    char *slot, *state, *columns, *labels; /* what mtx-write noted; NULL = nothing */
    bool cells_columns;   /* written by Cell Ranger or mtx-write: cells are always columns */
    struct cm_kv fit, kv; /* the same: of the slot and of the head */
};
/* Reads banner, comments and size line at the start of text (n bytes, the rest may be missing).
 * CM_EINPUT; messages begin with the file's name and the line. */
int cm_mtx_front_parse(struct cm_mtx_front *f, const char *name, const char *text, size_t n);
void cm_mtx_front_free(struct cm_mtx_front *f);

/* A piece of the body.  text: n bytes of whole lines, followed by a NUL that is not counted.  The
 * arrays belong to the piece and are used again; cm_mtx_piece_free. */
struct cm_mtx_piece {
    const char *text;
    size_t n;
    /* results */
    uint64_t lines, listed; /* lines, and entries as the file counts them */
    size_t entries, cap;    /* with the mirrored ones of a symmetric matrix */
    uint32_t *cell, *feature;
    double *value;
    bool ordered;                  /* cells never decrease */
    bool negative, fraction, wide; /* some value is; wide = no float holds it */
    uint64_t bad;      /* line of the first mistake, from 1 within the piece; 0 = none */
    char message[256]; /* what is wrong in it */
};
void cm_mtx_piece_parse(const struct cm_mtx_shape *s, struct cm_mtx_piece *p);
void cm_mtx_piece_free(struct cm_mtx_piece *p);

#endif
