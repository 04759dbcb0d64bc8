/* format/mtx/write.c - the files of an MTX matrix.  See write.h.
 *
 * Shards of the pool turn rows into text, each into its own buffer; the buffers are written in
 * order.  Of a dense slot the values that are not 0 are written; stored zeros of a sparse one stay.
 */
#include "format/mtx/write.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/text.h"
#include "format/mtx/gzout.h"
#include "format/mtx/names.h"
#include "stream/wire.h"

enum { SHARDS = 16 };

struct cm_mtxwrite {
    struct cm_head head; /* a copy; dictionaries do not grow in it */
    enum cm_mtx_layout layout;
    uint64_t rows, entries, at; /* at: rows written */
    bool real;
    struct cm_gzout *file[CM_MTX_FILES];
    /* the chunk that is made into text */
    const struct cm_block *block;
    const float *f32;
    const double *f64;
    uint64_t first;
    size_t shards;
    struct cm_buf text[SHARDS];
};

const char *cm_mtx_file_name(enum cm_mtx_layout layout, int file)
{
    static const char *const name[3][CM_MTX_FILES] = {
        {"matrix.mtx.gz", "features.tsv.gz", "barcodes.tsv.gz", "labels.tsv.gz"},
        {"matrix.mtx", "features.tsv", "barcodes.tsv", "labels.tsv"},
        {"matrix.mtx", "genes.tsv", "barcodes.tsv", NULL}};
    return name[layout][file];
}

struct cm_mtxwrite *cm_mtxwrite_make(const struct cm_head *h, enum cm_mtx_layout layout)
{
    struct cm_mtxwrite *mtx = CM_ZNEW(1, struct cm_mtxwrite);
    cm_head_copy(&mtx->head, h);
    mtx->layout = layout;
    return mtx;
}

void cm_mtxwrite_free(struct cm_mtxwrite *mtx)
{
    if (!mtx)
        return;
    for (size_t k = 0; k < CM_MTX_FILES; k++)
        cm_gzout_free(mtx->file[k]);
    for (size_t k = 0; k < SHARDS; k++)
        cm_buf_free(&mtx->text[k]);
    cm_head_free(&mtx->head);
    cm_free(mtx);
}

/* ===== counting =========================================================================== */

static void set_block(struct cm_mtxwrite *mtx, struct cm_block *b)
{
    const struct cm_slot *s = &mtx->head.slot[0];
    bool counts = s->lazy == CM_LAZY_NO && b->type != CM_V_F32 && b->type != CM_V_F64;
    mtx->block = b;
    mtx->f32 = counts || s->wide ? NULL : cm_block_f32(b, s);
    mtx->f64 = !counts && s->wide ? cm_block_f64(b, s) : NULL;
}

static double value_at(const struct cm_mtxwrite *mtx, uint64_t e)
{
    return mtx->f64 ? mtx->f64[e] : mtx->f32 ? (double)mtx->f32[e] : cm_block_x(mtx->block, e);
}

void cm_mtxwrite_count(struct cm_mtxwrite *mtx, struct cm_chunk *c)
{
    struct cm_block *b = &c->block[0];
    set_block(mtx, b);
    mtx->rows += c->rows;
    if (!b->dense)
        mtx->entries += b->nnz;
    for (uint64_t e = 0; e < b->nnz && (b->dense || mtx->f32 || mtx->f64); e++) {
        double v = value_at(mtx, e);
        mtx->entries += b->dense && v != 0;
        mtx->real = mtx->real || v != floor(v) || fabs(v) > 0x1p53;
    }
}

/* ===== names and tables =================================================================== */

static int put_name(struct cm_buf *b, const char *what, const char *name)
{
    if (!*name || strpbrk(name, "\t\n\r"))
        return cm_fail(CM_EINPUT, "%s \"%.100s\" %s", what, name,
                       *name ? "holds a tab or a line end, which no MTX directory can"
                             : "has no name, which an MTX directory needs");
    size_t n = strlen(name);
    bool quote = *name == '"' || name[n - 1] == ' '; /* readers strip either */
    if (!quote) {
        cm_buf_put(b, name, n);
        return 0;
    }
    cm_buf_u8(b, '"');
    for (; *name; name++)
        cm_buf_puts(b, *name == '"' ? "\"\"" : (const char[]){*name, 0});
    cm_buf_u8(b, '"');
    return 0;
}

/* Item i of a column or label as text; missing = nothing. */
static int put_item(struct cm_buf *b, const char *what, const struct cm_vec *v, size_t i,
                    const struct cm_dict *d)
{
    char number[CM_NUMBER_MAX];
    switch (v->type) {
    case CM_T_CAT:
        return v->cat[i] == CM_CAT_MISSING ? 0
                                           : put_name(b, what, cm_strs_get(&d->names, v->cat[i]));
    case CM_T_BOOL:
        if (v->b[i] != CM_BOOL_MISSING)
            cm_buf_puts(b, v->b[i] ? "true" : "false");
        return 0;
    case CM_T_I64:
        if (v->i[i] != CM_I64_MISSING)
            cm_buf_printf(b, "%" PRId64, v->i[i]);
        return 0;
    case CM_T_F64:
        if (!isnan(v->f[i]))
            cm_buf_puts(b, cm_format_f64(v->f[i], number));
        return 0;
    case CM_T_STR:
        return *cm_strs_get(&v->s, i) ? put_name(b, what, cm_strs_get(&v->s, i)) : 0;
    }
    return 0;
}

static const struct cm_vec *standard_column(const struct cm_cols *c, size_t k)
{
    const struct cm_vec *v = cm_cols_find(c, cm_mtx_column[k].name);
    return v && v->type == cm_mtx_column[k].type ? v : NULL;
}

static bool is_standard(const struct cm_cols *c, const struct cm_vec *v)
{
    for (size_t k = 0; k < CM_MTX_COLUMNS; k++)
        if (standard_column(c, k) == v)
            return true;
    return false;
}

/* What Cell Ranger calls the features of a slot. */
static const char *type_of_slot(const char *slot)
{
    static const char *const names[][2] = {
        {"GEX", "Gene Expression"}, {"ATAC", "Peaks"}, {"ADT", "Antibody Capture"}};
    for (size_t k = 0; k < 3; k++)
        if (!strcmp(cm_slot_alias(slot), names[k][0]))
            return names[k][1];
    return slot;
}

static int put_features(struct cm_mtxwrite *mtx)
{
    const struct cm_cols *c = &mtx->head.slot[0].cols;
    const struct cm_vec *at[CM_MTX_COLUMNS];
    struct cm_buf b = {0};
    int code = 0;
    size_t width = mtx->layout == CM_MTX_CELLRANGER2 ? 1 : 2;
    bool more = false;
    for (size_t k = 0; k < CM_MTX_COLUMNS; k++)
        at[k] = standard_column(c, k);
    for (size_t k = 0; k < c->nvec; k++)
        more = more || !is_standard(c, &c->vec[k]);
    if (width == 2 && (more || at[2] || at[3] || at[4]))
        width = CM_MTX_COLUMNS;
    for (size_t j = 0; j < c->names.n && !code; j++) {
        const char *id = cm_strs_get(&c->names, j);
        b.n = 0;
        code = put_name(&b, "feature", id);
        for (size_t k = 0; k < width && !code; k++) {
            cm_buf_put(&b, "\t", 1);
            if (at[k])
                code = put_item(&b, id, at[k], j, NULL);
            else if (k < 2) /* no such column: what other readers expect there */
                cm_buf_puts(&b, k ? type_of_slot(mtx->head.slot[0].name) : id);
        }
        for (size_t k = 0; k < c->nvec && !code && mtx->layout != CM_MTX_CELLRANGER2; k++)
            if (!is_standard(c, &c->vec[k])) {
                cm_buf_put(&b, "\t", 1);
                code = put_item(&b, id, &c->vec[k], j, NULL);
            }
        cm_buf_put(&b, "\n", 1);
        if (!code)
            code = cm_gzout_put(mtx->file[CM_MTX_FEATURES], b.p, b.n);
    }
    cm_buf_free(&b);
    return code;
}

static void note_type(struct cm_buf *b, bool first, enum cm_type type, const char *name)
{
    static const char *const names[] = {"cat", "bool", "i64", "f64", "str"};
    cm_buf_printf(b, "%s%s ", first ? "" : "\t", names[type]);
    cm_escape(b, name);
}

static void note_keys(struct cm_buf *b, const char *what, const struct cm_kv *kv)
{
    for (size_t k = 0; k < kv->key.n; k++) {
        cm_buf_printf(b, "%%cellmatch: %s ", what);
        cm_escape(b, cm_strs_get(&kv->key, k));
        cm_buf_puts(b, "\t");
        cm_escape(b, cm_strs_get(&kv->value, k));
        cm_buf_puts(b, "\n");
    }
}

static int put_front(struct cm_mtxwrite *mtx)
{
    const struct cm_slot *s = &mtx->head.slot[0];
    struct cm_buf b = {0};
    cm_buf_printf(&b, "%%%%MatrixMarket matrix coordinate %s general\n",
                  mtx->real ? "real" : "integer");
    if (mtx->layout != CM_MTX_CELLRANGER2) {
        cm_buf_puts(&b, "%cellmatch: slot ");
        cm_escape(&b, s->name);
        cm_buf_printf(&b, "\n%%cellmatch: state %s\n%%cellmatch: columns ",
                      cm_state_name(s->state));
        for (size_t k = 0; k < s->cols.nvec; k++)
            note_type(&b, k == 0, s->cols.vec[k].type, s->cols.vec[k].name);
        cm_buf_puts(&b, "\n");
        note_keys(&b, "fit", &s->fit);
        note_keys(&b, "key", &mtx->head.kv);
        if (mtx->file[CM_MTX_LABELS]) {
            cm_buf_puts(&b, "%cellmatch: labels ");
            for (size_t k = 0; k < mtx->head.nlabels; k++)
                note_type(&b, k == 0, mtx->head.label[k].type, mtx->head.label[k].name);
            cm_buf_puts(&b, "\n");
        }
    }
    cm_buf_printf(&b, "%zu %" PRIu64 " %" PRIu64 "\n", s->cols.names.n, mtx->rows, mtx->entries);
    int code = cm_gzout_put(mtx->file[CM_MTX_MATRIX], b.p, b.n);
    b.n = 0;
    if (!code && mtx->file[CM_MTX_LABELS]) {
        cm_buf_puts(&b, "barcode");
        for (size_t k = 0; k < mtx->head.nlabels && !code; k++) {
            cm_buf_puts(&b, "\t");
            code = put_name(&b, "label", mtx->head.label[k].name);
        }
        cm_buf_puts(&b, "\n");
        if (!code)
            code = cm_gzout_put(mtx->file[CM_MTX_LABELS], b.p, b.n);
    }
    cm_buf_free(&b);
    return code;
}

int cm_mtxwrite_begin(struct cm_mtxwrite *mtx, const int fd[CM_MTX_FILES])
{
    for (int k = 0; k < CM_MTX_FILES; k++)
        if (fd[k] >= 0)
            mtx->file[k] = cm_gzout_make(fd[k], cm_mtx_file_name(mtx->layout, k),
                                         mtx->layout == CM_MTX_CELLRANGER3);
    int code = put_front(mtx);
    return code ? code : put_features(mtx);
}

/* ===== entries ============================================================================ */

static char *put_number(char *at, uint64_t v)
{
    char digits[20];
    size_t n = 0;
    do
        digits[n++] = (char)('0' + v % 10);
    while ((v /= 10));
    while (n)
        *at++ = digits[--n];
    return at;
}

static char *put_value(char *at, double v)
{
    char text[CM_NUMBER_MAX];
    if (v == floor(v) && fabs(v) <= 0x1p53) {
        if (v < 0)
            *at++ = '-';
        return put_number(at, (uint64_t)fabs(v));
    }
    size_t n = strlen(cm_format_f64(v, text));
    memcpy(at, text, n);
    return at + n;
}

static int make_text(void *arg, size_t shard)
{
    struct cm_mtxwrite *mtx = arg;
    const struct cm_block *b = mtx->block;
    struct cm_buf *out = &mtx->text[shard];
    out->n = 0;
    for (size_t i = cm_shard_begin(b->rows, mtx->shards, shard);
         i < cm_shard_begin(b->rows, mtx->shards, shard + 1); i++) {
        uint64_t from = b->dense ? i * b->cols : b->ptr[i],
                 n = b->dense ? b->cols : b->ptr[i + 1] - from;
        char cell[24];
        size_t cell_n = (size_t)(put_number(cell, mtx->first + i + 1) - cell);
        size_t before = out->n;
        char *begin = cm_buf_extend(out, n * (11 + cell_n + 1 + CM_NUMBER_MAX)), *at = begin;
        for (uint64_t e = from; e < from + n; e++) {
            double v = value_at(mtx, e);
            if (b->dense && v == 0)
                continue;
            at = put_number(at, (b->dense ? e - from : b->idx[e]) + 1);
            *at++ = ' ';
            memcpy(at, cell, cell_n);
            at += cell_n;
            *at++ = ' ';
            at = put_value(at, v);
            *at++ = '\n';
        }
        out->n = before + (size_t)(at - begin);
    }
    return 0;
}

static int put_cells(struct cm_mtxwrite *mtx, const struct cm_chunk *c, const struct cm_head *h)
{
    struct cm_buf b = {0};
    int code = 0;
    for (size_t i = 0; i < c->rows && !code; i++) {
        const char *name = cm_strs_get(&c->names, i);
        b.n = 0;
        code = put_name(&b, "cell", name);
        cm_buf_puts(&b, "\n");
        if (!code)
            code = cm_gzout_put(mtx->file[CM_MTX_BARCODES], b.p, b.n);
        if (code || !mtx->file[CM_MTX_LABELS])
            continue;
        b.n--;
        for (size_t k = 0; k < h->nlabels && !code; k++) {
            cm_buf_puts(&b, "\t");
            code = put_item(&b, h->label[k].name, &c->label[k], i, &h->label[k].dict);
        }
        cm_buf_puts(&b, "\n");
        if (!code)
            code = cm_gzout_put(mtx->file[CM_MTX_LABELS], b.p, b.n);
    }
    cm_buf_free(&b);
    return code;
}

int cm_mtxwrite_chunk(struct cm_mtxwrite *mtx, struct cm_chunk *c, const struct cm_head *h)
{
    int code = put_cells(mtx, c, h);
    if (code)
        return code;
    set_block(mtx, &c->block[0]);
    mtx->first = mtx->at;
    mtx->shards = cm_shards(c->rows, 16, SHARDS);
    code = cm_parallel(mtx->shards, make_text, mtx);
    for (size_t k = 0; k < mtx->shards && !code; k++)
        code = cm_gzout_put(mtx->file[CM_MTX_MATRIX], mtx->text[k].p, mtx->text[k].n);
    mtx->at += c->rows;
    return code;
}

int cm_mtxwrite_finish(struct cm_mtxwrite *mtx)
{
    int code = 0;
    for (int k = 0; k < CM_MTX_FILES && !code; k++)
        if (mtx->file[k])
            code = cm_gzout_end(mtx->file[k]);
    return code;
}
