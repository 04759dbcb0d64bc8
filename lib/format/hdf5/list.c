/* format/hdf5/list.c - what a file contains, as TSV (h5-read --list).
 *
 * One flat table: the first two columns say what an item is and the name by which an option asks
 * for it.  Only headers are read, so it is quick on any file.  Rejected: a tree (h5ls shows that)
 * and JSON (awk and cut read this).
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "format/hdf5/attr.h"
#include "format/hdf5/internal.h"

/* Names come from the file: a tab or newline in one would break the table. */
static void put_name(struct cm_buf *b, const char *prefix, const char *name)
{
    cm_buf_puts(b, prefix);
    for (; *name; name++)
        cm_buf_u8(b, (unsigned char)*name < ' ' ? ' ' : (uint8_t)*name);
}

static void line(struct cm_buf *b, const char *item, const char *prefix, const char *name,
                 const char *detail)
{
    cm_buf_printf(b, "%s\t", item);
    put_name(b, prefix, name);
    cm_buf_puts(b, "\t");
    put_name(b, "", detail);
}

static void counts(struct cm_buf *b, uint64_t rows, uint64_t cols, const uint64_t *stored)
{
    cm_buf_printf(b, "\t%" PRIu64 "\t%" PRIu64, rows, cols);
    if (stored)
        cm_buf_printf(b, "\t%" PRIu64 "\n", *stored);
    else
        cm_buf_puts(b, "\t.\n");
}

static const char *layout_name(const struct cm_source *s)
{
    static const char *const name[] = {"dense", "csr", "csc", "transposed", "table"};
    return s->has_matrix ? name[s->mat.layout] : "none";
}

static void matrix_line(struct cm_buf *b, const struct cm_source *s, const char *item,
                        const char *prefix, const char *name)
{
    char detail[64];
    const struct cm_h5set *d = &s->mat.data;
    if (s->has_matrix)
        snprintf(detail, sizeof detail, "%s %s%zu", layout_name(s),
                 d->cls == CM_H5_FLOAT  ? "f"
                 : d->cls == CM_H5_BOOL ? "bool"
                 : d->is_signed         ? "i"
                                        : "u",
                 d->size * 8);
    else
        snprintf(detail, sizeof detail, "none");
    uint64_t stored = s->has_matrix ? s->mat.nnz : 0;
    line(b, item, prefix, name, detail);
    counts(b, s->obs.rows, s->cols.names.n, &stored);
}

static void tables(struct cm_buf *b, const struct cm_source *s, const char *prefix)
{
    static const char *const type[] = {"cat", "bool", "i64", "f64", "str"};
    for (size_t k = 0; k < s->types.n; k++) {
        const struct cm_feature_type *t = &s->types.type[k];
        if (!*t->name)
            continue;
        line(b, "type", prefix, t->name, cm_slot_alias(t->name));
        counts(b, s->obs.rows, t->cols, NULL);
    }
    for (size_t k = 0; k < s->obs.ncols; k++) {
        line(b, "label", prefix, s->obs.col[k].name, type[s->obs.col[k].type]);
        cm_buf_puts(b, "\t.\t.\t.\n");
    }
    for (size_t k = 0; k < s->cols.nvec; k++) {
        line(b, "column", prefix, s->cols.vec[k].name, type[s->cols.vec[k].type]);
        cm_buf_puts(b, "\t.\t.\t.\n");
    }
    for (size_t k = 0; k < s->kv.key.n; k++) {
        line(b, "text", prefix, cm_strs_get(&s->kv.key, k), cm_strs_get(&s->kv.value, k));
        cm_buf_puts(b, "\t.\t.\t.\n");
    }
}

/* Lists what is no readable matrix as such, with a warning; failures of the system remain
 * failures. */
static int listed(struct cm_h5 *h, struct cm_buf *b, int code, const char *item, const char *prefix,
                  const char *name)
{
    if (code != CM_EINPUT)
        return code;
    if (!cm_h5_forgive(h))
        cm_h5_warn(h, "%s", cm_error_message());
    line(b, item, prefix, name, "unreadable");
    cm_buf_puts(b, "\t.\t.\t.\n");
    return 0;
}

static int list_more(struct cm_h5 *h, struct cm_source_want w, const char *item,
                     const struct cm_strs *names, const char *prefix, struct cm_buf *b)
{
    bool obsm = !strcmp(item, "obsm");
    int code = 0;
    for (size_t k = 0; k < names->n && !code; k++) {
        struct cm_source t;
        const char *name = cm_strs_get(names, k);
        size_t warnings = h->warnings.n;
        w.layer = obsm ? NULL : name;
        w.obsm = obsm ? name : NULL;
        code = cm_source_open(&t, h, &w);
        while (h->warnings.n > warnings) /* about the tables, reported before */
            h->warnings.n--;
        if (code) {
            code = listed(h, b, code, item, prefix, name);
            continue;
        }
        matrix_line(b, &t, item, prefix, name);
        cm_source_close(&t);
    }
    return code;
}

/* One AnnData or one genome: its matrices, then what they share. */
static int list_one(struct cm_h5 *h, struct cm_source_want w, const char *root, const char *prefix,
                    struct cm_buf *b)
{
    struct cm_source s;
    struct cm_strs layers = {0}, obsm = {0};
    int code = cm_source_open(&s, h, &w);
    bool odd = code == CM_EINPUT;
    if (odd) { /* the tables may be intact */
        char *message = cm_strdup(cm_error_message());
        w.no_matrix = true;
        cm_h5_forgive(h);
        code = cm_source_open(&s, h, &w);
        if (code)
            code = cm_fail(code, "%s", message);
        else
            cm_h5_warn(h, "%s", message);
        cm_free(message);
        w.no_matrix = false;
    }
    if (code)
        return code;
    bool tenx = s.format == CM_H5_TENX2 || s.format == CM_H5_TENX3;
    bool loom = s.format == CM_H5_LOOM;
    if (odd) {
        line(b, "matrix", prefix, "X", "unreadable");
        cm_buf_puts(b, "\t.\t.\t.\n");
    } else {
        matrix_line(b, &s, "matrix", prefix, w.genome && tenx ? w.genome : "X");
    }
    tables(b, &s, prefix);
    cm_source_close(&s);
    if (!tenx)
        code = cm_h5_layers(h, root, &layers);
    if (!code && !tenx && !loom)
        code = cm_h5_obsm(h, root, &obsm);
    code = code ? code : list_more(h, w, "layer", &layers, prefix, b);
    code = code ? code : list_more(h, w, "obsm", &obsm, prefix, b);
    cm_strs_free(&layers);
    cm_strs_free(&obsm);
    return code ? code : cm_h5_trouble(h);
}

int cm_h5_list(struct cm_h5 *h, const char *modality, struct cm_buf *out)
{
    enum cm_h5_format f;
    struct cm_strs names = {0};
    int code = cm_h5_format_of(h, &f);
    if (code)
        return code;
    cm_buf_printf(out, "item\tname\tdetail\trows\tcolumns\tstored\nfile\t%s\t%s\t.\t.\t.\n",
                  h->name, cm_h5_format_name(f));
    struct cm_source_want w = {.modality = modality, .max_memory = (uint64_t)64 << 20};
    if (f == CM_H5_MUDATA && !modality)
        code = cm_h5_modalities(h, &names);
    else if (f == CM_H5_TENX2)
        code = cm_h5_genomes(h, &names);
    else
        cm_strs_add(&names, modality ? modality : "");
    for (size_t k = 0; k < names.n && !code; k++) {
        const char *name = cm_strs_get(&names, k);
        char *root = f == CM_H5_MUDATA ? cm_h5_join("/mod", name) : cm_strdup("");
        char *prefix = f == CM_H5_MUDATA ? cm_h5_join(name, "") : cm_strdup("");
        if (f == CM_H5_MUDATA)
            w.modality = name;
        else if (f == CM_H5_TENX2)
            w.genome = name;
        code = list_one(h, w, root, prefix, out);
        cm_free(root);
        cm_free(prefix);
    }
    cm_strs_free(&names);
    return code;
}
