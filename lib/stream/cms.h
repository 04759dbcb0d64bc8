/* stream/cms.h - reading and writing CMS, the cell matrix stream (public; the format is man/cms.5).
 *
 * Reader and writer exchange CHUNKS (some rows: their names, labels, and one block of values per
 * slot), so that a filter is "for each chunk: transform, write".  Errors are sticky.  END, ABORT,
 * digests, provenance, dictionaries, spooling and lazy values are handled behind these calls, so
 * that no tool can forget them.  Rejected: callbacks for events, and access to single records
 * (every tool would have to know their order).
 *
 * Letters: "slot" is one modality of the stream (0, 1); rows are cells.
 */
#ifndef CM_STREAM_CMS_H
#define CM_STREAM_CMS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strs.h"
#include "matrix/matrix.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_CMS_MAJOR   1
#define CM_CMS_MINOR   0
#define CM_MAX_PAYLOAD ((uint64_t)1 << 30)
#define CM_MAX_NAME    ((size_t)65536)
#define CM_MAX_ROWS    ((uint64_t)1 << 48)
#define CM_MAX_NNZ     ((uint64_t)1 << 40)
#define CM_MAX_SLOTS   16
#define CM_BLOCK_ROWS  512 /* rows a chunk that our own writers aim at */

/* ===== values ============================================================================= */

enum cm_kind { CM_MATRIX, CM_EMBEDDING, CM_PAIRS, CM_MATCH, CM_MODEL, CM_TABLE };
const char *cm_kind_name(enum cm_kind k);

/* Wire type of values.  CM_V_ONE stores none: every entry is 1. */
enum cm_value { CM_V_ONE = 0, CM_V_U8, CM_V_U16, CM_V_U32, CM_V_F32, CM_V_F64 };
size_t cm_value_size(enum cm_value v);      /* bytes: 0 1 2 4 4 8 */
const char *cm_value_name(enum cm_value v); /* one u8 u16 u32 f32 f64 */

enum cm_state {
    CM_S_UNKNOWN,
    CM_S_COUNTS,
    CM_S_BINARY,
    CM_S_LOGNORM,
    CM_S_SQRT,
    CM_S_TFIDF,
    CM_S_CLR,
    CM_S_SCALED,
    CM_S_SVD,
    CM_S_EMBEDDING,
    CM_S_SIMILARITY,
    CM_S_PROBABILITY
};
const char *cm_state_name(enum cm_state s);
bool cm_state_parse(const char *name, enum cm_state *s);

/* value = post_j * f(row_i * col_j * x_ij); identity with no factors is "not lazy". */
enum cm_lazy { CM_LAZY_NO, CM_LAZY_IDENTITY, CM_LAZY_LOG1P, CM_LAZY_SQRT };

enum cm_type { CM_T_CAT, CM_T_BOOL, CM_T_I64, CM_T_F64, CM_T_STR };
#define CM_CAT_MISSING  0xFFFFFFFFu
#define CM_BOOL_MISSING 255
#define CM_I64_MISSING  INT64_MIN /* f64: NaN; str: the empty string is a value, see cms(5) */

/* Categories of a label, in code order. */
struct cm_dict {
    struct cm_strs names;
    bool ordered;
    struct cm_index index; /* kept by cm_dict_code */
};
void cm_dict_free(struct cm_dict *d);

/* A named, typed vector: a row label's values in one chunk, or one column of a column table.
 * Only the array of its type is used.  Owns its memory (cm_vec_free). */
struct cm_vec {
    char *name;
    enum cm_type type;
    size_t n;
    uint32_t *cat; /* codes into the label's dict (labels only, not in column tables) */
    uint8_t *b;
    int64_t *i;
    double *f;
    struct cm_strs s;
    size_t cap; /* places allocated in the array of its type */
};
void cm_vec_free(struct cm_vec *v);
void cm_vec_reset(struct cm_vec *v, const char *name, enum cm_type type, size_t n); /* n missing */
void cm_vec_copy(struct cm_vec *to, const struct cm_vec *from);
void cm_vec_take(struct cm_vec *to, const struct cm_vec *from, const uint64_t *at, size_t n);
/* Value i as a number, also one that came as text (some .h5ad files keep coordinates so); NaN where
 * there is none, or no vector (NULL). */
double cm_vec_number(const struct cm_vec *v, size_t i);
void cm_vec_append(struct cm_vec *to, const struct cm_vec *from); /* types equal */

/* The column table of a slot: names and typed columns (chrom, start, end, tss, fit.idf, ...). */
struct cm_cols {
    struct cm_strs names; /* names.n = number of columns of the matrix */
    struct cm_vec *vec;
    size_t nvec;
};
struct cm_vec *cm_cols_find(const struct cm_cols *c, const char *name); /* NULL if absent */
/* Finds or adds a typed column of names.n missing values. */
struct cm_vec *cm_cols_vec(struct cm_cols *c, const char *name, enum cm_type type);
/* Takes the text column `name` for the columns' names, except where it is empty; the names that
 * they had go to the column `ids`.  CM_EINPUT if there is no such text. */
int cm_cols_rename(struct cm_cols *c, const char *name, const char *ids);
void cm_cols_drop(struct cm_cols *c, const char *name);
void cm_cols_copy(struct cm_cols *to, const struct cm_cols *from);
/* Replaces c by its columns at[0..n-1]: names and every vector with them. */
void cm_cols_select(struct cm_cols *c, const uint64_t *at, size_t n);
/* CM_EINPUT where a name occurs twice: for all that finds features by name.  path: the stream's. */
int cm_cols_unique(const struct cm_cols *c, const char *path);
void cm_cols_free(struct cm_cols *c);
/* XXH64 over the names, each with its NUL: the feature-order hash that models carry. */
uint64_t cm_cols_hash(const struct cm_cols *c);

/* ===== the head =========================================================================== */

/* Ordered keys and values (HEAD's free part: hp.*, fit.*, batch.*, part.*). */
struct cm_kv {
    struct cm_strs key, value;
    struct cm_index index; /* of the keys */
};
const char *cm_kv_get(const struct cm_kv *kv, const char *key);       /* NULL if absent */
void cm_kv_set(struct cm_kv *kv, const char *key, const char *value); /* adds or replaces */
void cm_kv_add(struct cm_kv *kv, const char *key, const char *value); /* a key not in the list */
void cm_kv_setf(struct cm_kv *kv, const char *key, double value);
void cm_kv_seti(struct cm_kv *kv, const char *key, int64_t value);
/* Numbers: 0 and *out, or CM_EINPUT naming the key when it is absent or no number. */
int cm_kv_f64(const struct cm_kv *kv, const char *key, double *out);
int cm_kv_i64(const struct cm_kv *kv, const char *key, int64_t *out);
void cm_kv_drop(struct cm_kv *kv, const char *prefix); /* all keys that begin so */
void cm_kv_free(struct cm_kv *kv);

struct cm_slot {
    char *name; /* GEX, ATAC, ADT, or free */
    bool dense;
    bool wide; /* values are written as f64 where f32 would round */
    enum cm_state state;
    enum cm_lazy lazy;
    uint64_t rows;       /* 0 = not known in advance (a pipe); END has the truth */
    struct cm_cols cols; /* lazy factors live in cols as f64 fit.col and fit.post (absent = 1) */
    struct cm_kv fit;    /* fit.* scalars of this slot, keys without the slot.N. prefix */
};

struct cm_label {
    char *name;
    enum cm_type type;
    int slot;            /* the slot whose input it came from, -1 = of the row */
    struct cm_dict dict; /* categories known so far; the reader extends it as DICTs arrive */
};

struct cm_head {
    enum cm_kind kind;
    size_t nslots;
    struct cm_slot slot[CM_MAX_SLOTS];
    struct cm_label *label;
    size_t nlabels;
    struct cm_kv kv; /* everything else */
};
void cm_head_free(struct cm_head *h);
void cm_head_copy(struct cm_head *to, const struct cm_head *from); /* deep; `to` is {0} or a head */
struct cm_slot *cm_head_add_slot(struct cm_head *h, const char *name); /* zeroed otherwise */
void cm_slot_copy(struct cm_slot *to, const struct cm_slot *from);     /* `to` is {0} or a slot */
struct cm_label *cm_head_add_label(struct cm_head *h, const char *name, enum cm_type type,
                                   int slot);
/* Position, or -1.  Slot names: GEX also answers to "Gene Expression", "rna"; see cm_slot_alias. */
int cm_head_find_slot(const struct cm_head *h, const char *name);
/* What the numbers of a match are called: probability, similarity, value as the state says; in
 * state probability decision or weight where the key rule.values says so (rows sum to 1 then as
 * well, but nobody has worked out how sure they are). */
const char *cm_match_numbers(const struct cm_head *h);
int cm_head_find_label(const struct cm_head *h, const char *name);
/* The label of h that l is: of the same name and slot (pairs have one of each side), else of the
 * same name.  hint: where it probably stands. */
int cm_head_match_label(const struct cm_head *h, const struct cm_label *l, size_t hint);
/* CM_EINPUT and the message: no such label, and which ones there are. */
int cm_head_no_label(const struct cm_head *h, const char *name);
/* GEX, ATAC or ADT for the names that 10x, mudata and muon use; otherwise `name` itself. */
const char *cm_slot_alias(const char *name);
/* Code of a category, added to the dict when new. */
uint32_t cm_dict_code(struct cm_dict *d, const char *name);

/* ===== chunks ============================================================================= */

/* Some rows of one slot.  CSR: ptr (rows + 1, ptr[0] = 0), idx, and values of wire type `type` in
 * `raw` (nnz items; NULL for CM_V_ONE).  Dense: raw = rows x cols of f32 or f64, row-major.
 * For a lazy slot raw holds the untransformed x and rowf the row factors (rows floats).
 * Arrays belong to the block (it grows them) unless a tool points them elsewhere with `borrowed`
 * set; then cm_block_free leaves them alone. */
struct cm_block {
    size_t rows, cols;
    bool dense, borrowed;
    bool spared;  /* idx was not read, see cm_reader_spare */
    uint64_t nnz; /* dense: rows * cols */
    uint64_t *ptr;
    uint32_t *idx;
    enum cm_value type;
    void *raw;
    float *rowf;                                /* NULL = all 1 */
    size_t ptr_cap, idx_cap, raw_cap, rowf_cap; /* items; raw_cap in bytes */
    float *f32;                                 /* cache of cm_block_f32 */
    double *f64;                                /* cache of cm_block_f64 */
    size_t f32_cap, f64_cap;
};
/* Room for rows and nnz of a wire type; contents of ptr, idx, raw undefined afterwards except that
 * sizes are set (rows, nnz, type, ptr[0] = 0).  Dense: nnz = rows * cols. */
void cm_block_shape(struct cm_block *b, bool dense, size_t rows, size_t cols, uint64_t nnz,
                    enum cm_value type);
float *cm_block_rowf(struct cm_block *b); /* the row factors, made and set to 1 when absent */
/* The values of a block of slot s, transform applied in double and rounded once to float; owned by
 * the block, valid until it changes.  f64 without rounding.  Entry order as idx. */
const float *cm_block_f32(struct cm_block *b, const struct cm_slot *s);
const double *cm_block_f64(struct cm_block *b, const struct cm_slot *s);
/* The stored x as double, no transform (counts of a lazy slot). */
double cm_block_x(const struct cm_block *b, uint64_t entry);
/* Turns a lazy block into plain f32 values (slot's lazy must be set to CM_LAZY_NO by the caller in
 * the OUTPUT head; the input slot s still says how). */
void cm_block_materialize(struct cm_block *b, const struct cm_slot *s);
/* The same for a block of any slot: its values as nnz floats, which may be changed in place. */
float *cm_block_plain(struct cm_block *b, const struct cm_slot *s);
void cm_block_copy(struct cm_block *to, const struct cm_block *from);
/* Rows at[0..n-1] of from. */
void cm_block_take(struct cm_block *to, const struct cm_block *from, const uint64_t *at, size_t n);
/* Columns renumbered: new column of old j is map[j], or dropped where map[j] == UINT32_MAX; result
 * has `cols` columns and is sorted.  CSR and dense. */
void cm_block_map_columns(struct cm_block *b, const uint32_t *map, size_t cols);
void cm_block_free(struct cm_block *b);

struct cm_batch {
    uint32_t epoch, rows;
    uint64_t step;
    uint8_t split; /* 0 train, 1 valid */
};

/* What cm_reader_next delivers and cm_writer_chunk takes.  Zero-initialise; cm_chunk_free.
 * matrix, embedding, match: names, labels, one block per slot.
 * pairs: the same with has_batch; or is_pick with `pick` (batch.rows row numbers of the data pass).
 * model: tensor. */
struct cm_chunk {
    bool has_batch, is_pick, is_tensor;
    struct cm_batch batch;
    uint64_t *pick;
    size_t pick_cap;
    uint64_t first; /* number of the first row in the stream */
    size_t rows;
    struct cm_strs names;
    struct cm_vec *label; /* head->nlabels of them, in head order */
    size_t nlabels;
    struct cm_block block[CM_MAX_SLOTS];
    struct cm_tensor *tensor; /* owned */
};
void cm_chunk_free(struct cm_chunk *c);
/* Keeps the rows at[0..n-1] of every part (names, labels, blocks). */
void cm_chunk_take(struct cm_chunk *c, const uint64_t *at, size_t n);
/* Rows first..first + n - 1 of a chunk as a chunk of its own.  For tools whose rows grow on the way
 * out: a block may have any number of rows, CM_SLICE_ROWS at a time keep their memory bounded. */
#define CM_SLICE_ROWS 16384
void cm_chunk_slice(struct cm_chunk *to, const struct cm_chunk *from, size_t first, size_t n);
/* Makes the chunk's labels fit the head: h->nlabels vectors of c->rows missing values. */
void cm_chunk_labels(struct cm_chunk *c, const struct cm_head *h);

#define CM_TENSOR_DIMS 4
struct cm_tensor {
    char *name;
    enum cm_value type; /* F32, F64, U32 (also U8, U16) */
    unsigned ndim;
    uint64_t shape[CM_TENSOR_DIMS];
    uint64_t n; /* product of shape */
    void *data;
};
void cm_tensor_free(struct cm_tensor *t); /* and what it holds */

/* ===== reader ============================================================================= */

struct cm_reader;

/* Opens a stream and reads its head (HEAD, COLS, first DICTs).  path "-" = stdin.  0 or CM_E...;
 * messages name the path.  A terminal is refused. */
int cm_reader_open(struct cm_reader **r, const char *path);
void cm_reader_close(struct cm_reader *r); /* NULL allowed */
const struct cm_head *cm_reader_head(const struct cm_reader *r);
const char *cm_reader_path(const struct cm_reader *r); /* "stdin" for "-" */

/* 1: c holds the next chunk (its former content is reused); 0: END was read and every check passed;
 * < 0: CM_E... (sticky).  A stream that ends without END is CM_EINPUT; ABORT is CM_EABORT. */
int cm_reader_next(struct cm_reader *r, struct cm_chunk *c);
/* Reads the rest to END, checks it, and keeps nothing: 0 or CM_E.... */
int cm_reader_drain(struct cm_reader *r);
/* After END: rows of slot, digest as computed, and the recorded one (0 = not recorded). */
uint64_t cm_reader_rows(const struct cm_reader *r, size_t slot);
uint64_t cm_reader_digest(const struct cm_reader *r);
uint64_t cm_reader_nnz(const struct cm_reader *r, size_t slot);
/* Two passes: call keep before the first next (a pipe is then copied, still compressed, to an
 * unlinked file in TMPDIR; a regular file costs nothing), and rewind after END. */
int cm_reader_keep(struct cm_reader *r);
int cm_reader_rewind(struct cm_reader *r);
/* In a second pass, whose columns were checked by the first: the caller will not look at them, and
 * passes blocks on with cm_writer_reuse.  Those that can be passed on as they came are `spared`. */
void cm_reader_spare(struct cm_reader *r);
/* The ABORT's origin after CM_EABORT: exit status, tool, message. */
void cm_reader_abort_info(const struct cm_reader *r, int *status, const char **tool,
                          const char **message);

/* The whole of one slot in memory.  names and labels of all rows. */
struct cm_table {
    struct cm_head head;
    struct cm_strs names;
    struct cm_vec *label; /* head.nlabels */
    bool dense;
    struct cm_csr csr; /* values as f32, transform applied */
    struct cm_dense full;
};
/* Reads r to END.  nslots must be 1 (CM_EINPUT otherwise). */
int cm_table_load(struct cm_reader *r, struct cm_table *t);
void cm_table_free(struct cm_table *t);

/* All tensors of a model, by name. */
struct cm_tensors {
    struct cm_tensor **t;
    size_t n;
};
int cm_tensors_load(struct cm_reader *r, struct cm_tensors *ts);
/* NULL with a CM_EINPUT message when absent or of another type or shape (0 in shape = any). */
const struct cm_tensor *cm_tensors_get(const struct cm_tensors *ts, const char *name,
                                       enum cm_value type, unsigned ndim, const uint64_t *shape);
void cm_tensors_free(struct cm_tensors *ts);

/* ===== writer ============================================================================= */

struct cm_writer;

/* Writes to fd (not closed by the writer).  level: zstd level, e.g. 1. */
struct cm_writer *cm_writer_make(int fd, const char *what, int level);
/* Provenance of this stage, given before cm_writer_head; `args` as typed.  Parents: readers whose
 * history and digests are copied when the stream ends.  The reader must live until then. */
void cm_writer_stage(struct cm_writer *w, const char *tool, const char *version, const char *args,
                     const char *seed);
void cm_writer_parent(struct cm_writer *w, struct cm_reader *r);
/* The head, once, before anything else.  The writer keeps its own copy. */
int cm_writer_head(struct cm_writer *w, const struct cm_head *h);
/* A chunk.  Checks what it writes: sizes, column order, finite values; for a match in state
 * probability: >= 0, rows sum to 1 within 1e-5 (or are empty), at most max_row entries.
 * Label codes refer to the dicts of `labels` (head of the chunk's origin; NULL = the writer's own
 * head); categories that are new are sent as a DICT first. */
int cm_writer_chunk(struct cm_writer *w, struct cm_chunk *c, const struct cm_head *labels);
/* Before cm_writer_chunk: its one sparse block has the columns and stored values of the chunk that
 * r delivered last; row factors, names and labels may differ.  What came compressed then goes out
 * as it came, where it can (level 1, frames of their own).  The result is the same without. */
void cm_writer_reuse(struct cm_writer *w, const struct cm_reader *r);
int cm_writer_tensor(struct cm_writer *w, const char *name, enum cm_value type, unsigned ndim,
                     const uint64_t *shape, const void *data);
int cm_writer_note(struct cm_writer *w, const char *key, const char *value);
void cm_writer_max_row(struct cm_writer *w, uint64_t n); /* default 1000; kind match only */
int cm_writer_flush(struct cm_writer *w);                /* ends the frame */
int cm_writer_end(struct cm_writer *w); /* prov, END, flush; 0 or the sticky error */
/* Async-signal-unsafe; writes ABORT if the stream has begun and has not ended. */
void cm_writer_abort(struct cm_writer *w, int status, const char *tool, const char *message);
uint64_t cm_writer_digest(const struct cm_writer *w); /* after end */
void cm_writer_free(struct cm_writer *w);

#ifdef __cplusplus
}
#endif
#endif
