/* format/mtx/read.c - an MTX matrix as chunks of a stream. */
#include "format/mtx/read.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/sniff.h"
#include "format/mtx/names.h"

/* ===== opening ============================================================================ */

static void cut_types(struct cm_mtx *m)
{
    const struct cm_vec *type = cm_cols_find(&m->cols, "feature_types");
    bool texts = type && type->type == CM_T_STR;
    cm_types_cut(&m->types, m->cols.names.n, texts ? &type->s : NULL, NULL, NULL);
}

/* Which dimension the cells are: by the numbers of names, or as the user says. */
static int orient(struct cm_mtx *m, enum cm_mtx_cells cells_are)
{
    struct cm_mtx_shape *s = &m->front.shape;
    uint64_t cells = m->cells.n, features = m->cols.names.n;
    bool rows = s->rows == cells && s->cols == features,
         columns = s->cols == cells && s->rows == features;
    if (cells_are == CM_MTX_AUTO && rows && columns && m->front.cells_columns)
        cells_are = CM_MTX_CELLS_COLUMNS;
    s->cells_rows = cells_are == CM_MTX_AUTO ? rows : cells_are == CM_MTX_CELLS_ROWS;
    if (cells_are == CM_MTX_AUTO && rows && columns && cells)
        return cm_fail(CM_EUSAGE,
                       "%s: %" PRIu64 " x %" PRIu64 " fits both ways; say --cells-are columns (as "
                       "Cell Ranger writes) or --cells-are rows",
                       m->files.matrix, s->rows, s->cols);
    if (cells_are == CM_MTX_AUTO ? rows || columns : s->cells_rows ? rows : columns)
        return 0;
    bool header = (s->rows + 1 == features || s->cols + 1 == features || s->rows + 1 == cells ||
                   s->cols + 1 == cells);
    return cm_fail(CM_EINPUT,
                   "%s: is %" PRIu64 " x %" PRIu64 ", but there are %" PRIu64
                   " features (%s) and %" PRIu64 " barcodes (%s)%s",
                   m->files.matrix, s->rows, s->cols, features, m->files.features, cells,
                   m->files.barcodes, header ? "; a header line?" : "");
}

void cm_mtx_close(struct cm_mtx *m)
{
    for (size_t k = 0; m->label && k < m->labels.nlabels; k++)
        cm_vec_free(&m->label[k]);
    cm_free(m->label);
    cm_head_free(&m->labels);
    cm_mtx_files_free(&m->files);
    cm_mtx_front_free(&m->front);
    cm_strs_free(&m->cells);
    cm_strs_free(&m->warnings);
    cm_cols_free(&m->cols);
    cm_types_free(&m->types);
    cm_mtx_runs_free(&m->runs);
    cm_mtx_loader_close(m->load);
    cm_gzin_close(m->in);
    *m = (struct cm_mtx){.runs = {.fd = -1}};
}

/* Parse Biosciences: the file of the cells' names is a table of their labels. */
static bool is_table(const char *barcodes)
{
    const char *slash = strrchr(barcodes, '/'), *dot = strstr(slash ? slash : barcodes, ".csv");
    return dot && (!dot[4] || !strcmp(dot, ".csv.gz"));
}

static int open_labels(struct cm_mtx *m)
{
    if (!m->files.labels && m->front.labels)
        m->files.labels = cm_mtx_find_labels(m->files.matrix);
    if (!m->files.labels && is_table(m->files.barcodes))
        m->files.labels = cm_strdup(m->files.barcodes);
    if (!m->files.labels)
        return 0;
    return cm_mtx_labels(m->files.labels, m->front.labels, &m->cells, &m->labels, &m->label,
                         &m->warnings);
}

/* The names of genes that kb writes into a file of their own. */
static int open_symbols(struct cm_mtx *m)
{
    const char *path = m->files.symbols = cm_mtx_find_symbols(m->files.matrix);
    struct cm_strs names = {0};
    int code = path ? cm_mtx_name_list(path, &names) : 0;
    if (path && !code && names.n <= m->cols.names.n) {
        struct cm_strs *to = &cm_cols_vec(&m->cols, "feature_name", CM_T_STR)->s;
        while (names.n < m->cols.names.n)
            cm_strs_add(&names, "");
        cm_strs_copy(to, &names);
    } else if (path && !code) {
        code = cm_fail(CM_EINPUT, "%s: expected %zu names as in %s, found %zu", path,
                       m->cols.names.n, m->files.features, names.n);
    }
    cm_strs_free(&names);
    return code;
}

/* Names are there: everything else before the entries. */
static int prepare(struct cm_mtx *m, const struct cm_mtx_want *want)
{
    int code = orient(m, want->cells);
    if (code)
        return code;
    const char *names = want->feature_names;
    if (names && strcmp(names, "id"))
        code = cm_cols_rename(&m->cols, strcmp(names, "name") ? names : "feature_name", "gene_ids");
    if (code)
        return cm_fail_in(cm_fail_in(code, "--feature-names"), m->files.features);
    if (want->make_unique)
        m->renamed = cm_strs_make_unique(&m->cols.names);
    m->repeated = cm_strs_repeats(&m->cols.names);
    cut_types(m);
    cm_mtx_runs_init(&m->runs, m->cells.n, m->cols.names.n, want->max_memory);
    m->runs.pattern = m->front.shape.field == CM_MTX_PATTERN;
    m->state_known = m->front.state && cm_state_parse(m->front.state, &m->state);
    return 0;
}

/* A file of another kind is refused as what it is, before its names are searched for. */
static int refuse_others(const char *operand)
{
    enum { HEAD = 512 };
    struct stat st;
    struct cm_gzin *g;
    char head[HEAD + 1];
    size_t n = 0;
    if (!strcmp(operand, "-") || stat(operand, &st) || !S_ISREG(st.st_mode))
        return 0;
    int code = cm_gzin_open(&g, operand);
    if (!code && cm_gzin_read(g, head, HEAD, &n))
        n = 0; /* damage is reported with its place later */
    cm_gzin_close(g);
    head[n] = 0;
    const char *kind = cm_sniff(head, n);
    if (code || !n || !strncasecmp(head, "%%MatrixMarket", 14))
        return code;
    if (strcmp(kind, "text"))
        return cm_fail(CM_EINPUT, "%s: expected a Matrix Market file, found %s", operand, kind);
    head[strcspn(head, "\r\n")] = 0;
    bool table = strpbrk(head, "\t,;") != NULL;
    return cm_fail(CM_EINPUT,
                   "%s: line 1: expected %%%%MatrixMarket matrix coordinate ..., found \"%.60s\"%s",
                   operand, head,
                   table ? " (a table with all its zeros? anndata.read_csv(FILE).write_h5ad(OUT) "
                           "makes a file for h5-read)"
                         : "");
}

int cm_mtx_open(struct cm_mtx *m, const char *operand, const struct cm_mtx_want *want)
{
    *m = (struct cm_mtx){.runs = {.fd = -1}};
    const char *slot = NULL;
    int code = refuse_others(operand);
    if (!code)
        code = cm_mtx_find(&m->files, operand, want->prefix, want->features, want->barcodes,
                           want->labels);
    if (!code)
        code = cm_gzin_open(&m->in, m->files.matrix);
    if (!code)
        code = cm_mtx_open_text(m);
    if (!code)
        code = cm_mtx_barcodes(m->files.barcodes, &m->front.shape, &m->cells, &m->warnings);
    if (!code)
        code = cm_mtx_features(m->files.features, m->front.columns, &m->front.shape, &m->cols,
                               &slot, &m->untyped, &m->warnings);
    m->slot = slot;
    if (!code && !m->cols.nvec)
        code = open_symbols(m);
    if (!code)
        code = prepare(m, want);
    if (!code)
        code = open_labels(m);
    if (code)
        cm_mtx_close(m);
    return code;
}

int cm_mtx_open_memory(struct cm_mtx *m, const void *bytes, size_t n,
                       const struct cm_mtx_want *want)
{
    *m = (struct cm_mtx){.runs = {.fd = -1}};
    cm_gzin_memory(&m->in, bytes, n, "memory");
    m->files.matrix = cm_strdup("memory");
    int code = cm_mtx_open_text(m);
    bool rows = want->cells == CM_MTX_CELLS_ROWS;
    uint64_t cells = rows ? m->front.shape.rows : m->front.shape.cols,
             features = rows ? m->front.shape.cols : m->front.shape.rows;
    if (!code && (cells > 1 << 14 || features > 1 << 14))
        code = cm_fail(CM_EINPUT, "memory: more than 2^14 rows or columns");
    char text[24];
    for (uint64_t k = 0; k < cells && !code; k++) {
        snprintf(text, sizeof text, "c%" PRIu64, k);
        cm_strs_add(&m->cells, text);
    }
    for (uint64_t k = 0; k < features && !code; k++) {
        snprintf(text, sizeof text, "f%" PRIu64, k);
        cm_strs_add(&m->cols.names, text);
    }
    if (!code)
        code = prepare(m, want);
    if (code)
        cm_mtx_close(m);
    return code;
}

/* ===== heads and rows ===================================================================== */

int cm_mtx_type(const struct cm_mtx *m, const char *name, size_t *type)
{
    if (cm_types_unnamed(&m->types)) {
        const char *slot = m->front.slot ? m->front.slot : m->slot;
        const struct cm_vec *class = m->untyped ? cm_cols_find(&m->cols, CM_MTX_CLASS) : NULL;
        for (size_t j = 0; class && j < class->s.n; j++)
            if (!strcmp(cm_strs_get(&class->s, j), name))
                return cm_fail(CM_EINPUT,
                               "%s: %s is no type of features but a value of column 3; all "
                               "features are read as one type, for instance GEX",
                               m->files.features, name);
        *type = CM_ALL_TYPES;
        if (slot && strcmp(slot, "X") && strcmp(cm_slot_alias(slot), cm_slot_alias(name)))
            return cm_fail(CM_EINPUT, "%s: holds %s, not %s", m->files.matrix, slot, name);
        return 0;
    }
    *type = cm_types_find(&m->types, name);
    if (*type != CM_ABSENT)
        return 0;
    struct cm_buf b = {0};
    cm_types_print(&m->types, false, &b);
    int code = cm_fail(CM_EINPUT, "%s: has no features of type %s (found: %.300s)",
                       m->files.features, name, (char *)b.p);
    cm_buf_free(&b);
    return code;
}

void cm_mtx_head(const struct cm_mtx *m, size_t type, const char *name, struct cm_head *head)
{
    *head = (struct cm_head){.kind = CM_MATRIX};
    const char *slot = name;
    if (!slot && type != CM_ALL_TYPES && *m->types.type[type].name)
        slot = cm_slot_alias(m->types.type[type].name);
    if (!slot)
        slot = m->front.slot ? m->front.slot : m->slot;
    if (!slot && m->types.n == 1 && *m->types.type[0].name)
        slot = cm_slot_alias(m->types.type[0].name);
    if (!slot && m->untyped)
        slot = "GEX";
    struct cm_slot *s = cm_head_add_slot(head, slot ? slot : "X");
    s->wide = m->wide;
    s->state = m->state;
    s->rows = m->cells.n;
    const struct {
        const struct cm_kv *from;
        struct cm_kv *to;
    } kv[] = {{&m->front.fit, &s->fit}, {&m->front.kv, &head->kv}};
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < kv[k].from->key.n; i++)
            cm_kv_set(kv[k].to, cm_strs_get(&kv[k].from->key, i),
                      cm_strs_get(&kv[k].from->value, i));
    cm_types_cols(&m->types, m->types.n > 1 ? type : CM_ALL_TYPES, &m->cols, &s->cols);
    for (size_t k = 0; k < m->labels.nlabels; k++) {
        const struct cm_label *from = &m->labels.label[k];
        struct cm_label *l = cm_head_add_label(head, from->name, from->type, -1);
        cm_strs_copy(&l->dict.names, &from->dict.names);
    }
}

static int negative(const struct cm_mtx *m, uint64_t cell, uint32_t j, double v)
{
    return cm_fail(CM_EINPUT,
                   "%s: cell %s, feature %s: the value is %g, but counts are not negative (--state "
                   "says what the values are)",
                   m->files.matrix, cm_strs_get(&m->cells, cell), cm_strs_get(&m->cols.names, j),
                   v);
}

static int no_negatives(const struct cm_mtx *m, size_t rows)
{
    const struct cm_mtx_runs *r = &m->runs;
    for (size_t i = 0; i < rows; i++)
        for (uint64_t e = r->ptr[i]; e < r->ptr[i + 1]; e++)
            if (r->val[e] < 0)
                return negative(m, m->next + i, r->idx[e], r->val[e]);
    return 0;
}

/* The gathered rows' features of one type.  Counts of a byte go as bytes: that is what nearly all
 * are, and the writer has less to look at. */
static void fill_block(const struct cm_mtx *m, size_t rows, size_t type, struct cm_block *b)
{
    const struct cm_mtx_runs *r = &m->runs;
    bool whole = type == CM_ALL_TYPES || m->types.n == 1, bytes = r->bytes;
    size_t cols = whole ? m->cols.names.n : (size_t)m->types.type[type].cols;
    uint64_t nnz = r->ptr[rows], at = 0;
    cm_block_shape(b, false, rows, cols, nnz, bytes ? CM_V_U8 : CM_V_F64);
    uint8_t *u8 = b->raw;
    double *f64 = b->raw;
    if (whole) {
        memcpy(b->ptr, r->ptr, (rows + 1) * sizeof *b->ptr);
        if (nnz)
            memcpy(b->idx, r->idx, nnz * sizeof *b->idx);
        if (nnz && !bytes)
            memcpy(f64, r->val, nnz * sizeof *f64);
        for (uint64_t e = 0; bytes && e < nnz; e++)
            u8[e] = (uint8_t)(int32_t)r->val[e];
        return;
    }
    for (size_t i = 0; i < rows; i++) {
        for (uint64_t e = r->ptr[i]; e < r->ptr[i + 1]; e++) {
            if (m->types.of[r->idx[e]] != type)
                continue;
            b->idx[at] = m->types.place[r->idx[e]];
            if (bytes)
                u8[at++] = (uint8_t)r->val[e];
            else
                f64[at++] = r->val[e];
        }
        b->ptr[i + 1] = at;
    }
    b->nnz = at;
}

static void fill_labels(const struct cm_mtx *m, size_t rows, struct cm_chunk *c)
{
    c->first = m->next;
    c->rows = rows;
    cm_strs_clear(&c->names);
    for (size_t i = 0; i < rows; i++)
        cm_strs_add(&c->names, cm_strs_get(&m->cells, m->next + i));
    if (!c->nlabels && m->labels.nlabels)
        c->label = CM_ZNEW(m->labels.nlabels, struct cm_vec);
    c->nlabels = m->labels.nlabels;
    uint64_t at[CM_BLOCK_ROWS];
    for (size_t i = 0; i < rows; i++)
        at[i] = m->next + i;
    for (size_t k = 0; k < c->nlabels; k++)
        cm_vec_take(&c->label[k], &m->label[k], at, rows);
}

int cm_mtx_next(struct cm_mtx *m, const size_t *type, size_t n, struct cm_chunk *chunk)
{
    size_t rows = cm_mtx_runs_step(&m->runs, m->next, CM_BLOCK_ROWS);
    if (!rows)
        return 0;
    cm_mtx_runs_gather(&m->runs, m->next, rows);
    int code = m->state == CM_S_COUNTS && !m->runs.bytes ? no_negatives(m, rows) : 0;
    for (size_t k = 0; k < n && !code; k++) {
        fill_labels(m, rows, &chunk[k]);
        fill_block(m, rows, type[k], &chunk[k].block[0]);
    }
    if (code)
        return code;
    m->next += rows;
    return 1;
}
