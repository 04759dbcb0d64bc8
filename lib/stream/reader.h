/* stream/reader.h - the inside of a reader (private to read.c and read_rows.c). */
#ifndef CM_STREAM_READER_H
#define CM_STREAM_READER_H

#include "stream/cms.h"
#include "stream/record.h"
#include "stream/wire.h"

struct cm_reader {
    struct cm_records in;
    bool ended;
    bool drains; /* what is read is checked, not kept */
    struct cm_head head;
    bool again;         /* a second pass: head and column tables are not taken apart anew */
    uint64_t head_hash; /* of their records */
    uint64_t rows[CM_MAX_SLOTS], nnz[CM_MAX_SLOTS];
    uint64_t digest, first_digest; /* the latter of the first pass, once that came to END */
    bool whole;                    /* it did */
    struct cm_lazy_bound bound[CM_MAX_SLOTS];
    struct cm_past past;
    size_t past_bytes;
    int abort_status;
    char *abort_tool, *abort_message;
    struct cm_frame packed; /* of the last block; raw NULL = none */
    bool spare;             /* columns need not be read a second time */
    struct cm_csr *into;    /* where the entries of plain f32 blocks go, NULL = into the chunk */
    bool placed;            /* those of the last block did */
};

/* read_rows.c: the record at hand into the chunk.  0 or an error; a pick and a tensor are a chunk
 * of their own, and 1.  got: slots whose block of these rows is there. */
int cm_take_rows(struct cm_reader *r, struct cm_chunk *c);
int cm_take_block(struct cm_reader *r, struct cm_chunk *c, bool *got);
int cm_take_pick(struct cm_reader *r, struct cm_chunk *c);
int cm_take_tensor(struct cm_reader *r, struct cm_chunk *c);

#endif
