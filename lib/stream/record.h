/* stream/record.h - a stream as records, one at a time (private to stream/). */
#ifndef CM_STREAM_RECORD_H
#define CM_STREAM_RECORD_H

#include "base/hash.h"
#include "stream/inflate.h"

enum cm_record {
    CM_RECORD_HEAD,
    CM_RECORD_COLS,
    CM_RECORD_DICT,
    CM_RECORD_BATCH,
    CM_RECORD_ROWS,
    CM_RECORD_BLOCK,
    CM_RECORD_PICK,
    CM_RECORD_TENSOR,
    CM_RECORD_END,
    CM_RECORD_ABORT,
    CM_RECORD_OTHER,  /* its tag is in lower case: may be ignored */
    CM_RECORD_UNKNOWN /* of a later version */
};

struct cm_records {
    struct cm_sticky error;
    struct cm_inflate bytes;
    uint64_t n;           /* records so far, without END and ABORT */
    struct cm_hash *hash; /* of the payloads of those that may not be ignored */
    /* The record at hand: its payload is valid until the next is asked for.  Text has a NUL behind
     * it; numbers stay where they were decompressed. */
    enum cm_record type;
    char tag[9];
    struct cm_buf payload; /* not owned */
    uint64_t from;         /* position of the payload */
    struct cm_buf text;
    bool held; /* comes once more */
};

/* Takes the descriptor; name: of the stream, for messages. */
void cm_records_start(struct cm_records *r, int fd, const char *name);
/* The magic and the version in front of the records. */
int cm_records_prefix(struct cm_records *r);
/* 1 a record, 0 the input ended where one could have begun, < 0 error. */
int cm_records_next(struct cm_records *r);
void cm_records_hold(struct cm_records *r); /* the next one is that at hand */
/* An error that names the record at hand. */
int cm_records_bad(struct cm_records *r, const char *why);
/* From the first record again. */
int cm_records_rewind(struct cm_records *r);
void cm_records_free(struct cm_records *r);

#endif
