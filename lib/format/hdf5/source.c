/* format/hdf5/source.c - h5ad, h5mu and 10x files as chunks; see source.h for the choice.
 *
 * A format is a way to OPEN: where the names, the tables and the matrix stand.  From then on all
 * are alike: obs as a frame that is read in ranges, the features as one column table cut into
 * parts, a matrix reader.  Rows that a condition drops are dropped before anything is made of
 * them.
 */
#include "format/hdf5/source.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"
#include "base/values.h"
#include "format/hdf5/sourceparts.h"

#define NOWHERE UINT32_MAX

struct cm_where {
    size_t col; /* of obs */
    struct cm_values *values;
};

/* ===== formats ============================================================================ */

bool cm_source_there(const struct cm_h5 *h, const char *a, const char *b)
{
    char *p = cm_h5_join(a, b);
    bool yes = cm_h5_what(h, p) != CM_H5_ABSENT;
    cm_free(p);
    return yes;
}

static bool is_old_tenx(const struct cm_h5 *h, const char *group)
{
    return cm_h5_what(h, group) == CM_H5_GROUP && cm_source_there(h, group, "barcodes") &&
           cm_source_there(h, group, "genes") && cm_source_there(h, group, "indptr") &&
           cm_source_there(h, group, "indices") && cm_source_there(h, group, "data");
}

int cm_h5_genomes(const struct cm_h5 *h, struct cm_strs *names)
{
    struct cm_strs all = {0};
    cm_strs_clear(names);
    int code = cm_h5_members(h, "/", &all);
    for (size_t k = 0; k < all.n && !code; k++) {
        char *p = cm_h5_join("/", cm_strs_get(&all, k));
        if (is_old_tenx(h, p))
            cm_strs_add(names, cm_strs_get(&all, k));
        cm_free(p);
    }
    cm_strs_free(&all);
    return code;
}

/* HDF5 that other programs write, which is often given to this one; NULL = not known. */
static const char *other_format(const struct cm_h5 *h)
{
    static const char *const of[][3] = {
        {"/assays", "/cell.names",
         "an h5Seurat file, which is not read; convert it to .h5ad in R (SeuratDisk::Convert)"},
        {"/assays", "/active.ident",
         "an h5Seurat file, which is not read; convert it to .h5ad in R (SeuratDisk::Convert)"},
        {"/molecule_info", NULL,
         "the molecules of Cell Ranger, which are no matrix; give it "
         "filtered_feature_bc_matrix.h5"},
        {"/barcode_idx", "/umi",
         "the molecules of Cell Ranger, which are no matrix; give it "
         "filtered_feature_bc_matrix.h5"},
        {"/Fragments", "/Metadata",
         "an Arrow file of ArchR, which is not read; write its matrix as .h5ad or MatrixMarket"},
        {"/BD", "/AM", "a snap file, which is not read; write its matrix as .h5ad"},
        {"/X", "/obs", "AnnData without /var, which names the features"},
        {"/X", "/var", "AnnData without /obs, which names the cells"},
        {"/model_weights", NULL, "the weights of a Keras model, no matrix"}};
    for (size_t k = 0; k < sizeof of / sizeof *of; k++)
        if (cm_source_there(h, "", of[k][0] + 1) &&
            (!of[k][1] || cm_source_there(h, "", of[k][1] + 1)))
            return of[k][2];
    return NULL;
}

int cm_h5_format_of(const struct cm_h5 *h, enum cm_h5_format *format)
{
    char *e = NULL;
    int code = cm_h5_attr_text(h, "/", "encoding-type", &e);
    if (code == CM_ESYSTEM)
        return code;
    bool mudata = code > 0 && !strcasecmp(e, "MuData"), anndata = code > 0 && !strcmp(e, "anndata");
    struct cm_strs genomes = {0};
    cm_free(e);
    code = 0;
    if (mudata || (!anndata && cm_h5_what(h, "/mod") == CM_H5_GROUP))
        *format = CM_H5_MUDATA;
    else if (anndata || (cm_source_there(h, "/", "obs") && cm_source_there(h, "/", "var")))
        *format = CM_H5_ANNDATA;
    else if (cm_source_there(h, "/", "matrix") && cm_source_there(h, "/matrix", "features"))
        *format = CM_H5_TENX3;
    else if (cm_h5_what(h, "/matrix") == CM_H5_DATASET && cm_source_there(h, "/", "row_attrs"))
        *format = CM_H5_LOOM;
    else if (!(code = cm_h5_genomes(h, &genomes)) && genomes.n)
        *format = CM_H5_TENX2;
    else if (!code && cm_h5_trouble(h))
        code = cm_h5_trouble(h);
    else if (!code && other_format(h))
        code = cm_fail(CM_EINPUT, "%s: %s", h->name, other_format(h));
    else if (!code)
        code = cm_fail(CM_EINPUT,
                       "%s: neither AnnData (/obs, /var), MuData (/mod), a 10x matrix "
                       "(/matrix/features, or GENOME/barcodes) nor loom (/matrix, /row_attrs)",
                       h->name);
    cm_strs_free(&genomes);
    return cm_h5_trouble(h) ? cm_h5_trouble(h) : code;
}

const char *cm_h5_format_name(enum cm_h5_format f)
{
    static const char *const name[] = {"anndata", "mudata", "10x-v3", "10x-v2", "loom"};
    return name[f];
}

int cm_h5_modalities(const struct cm_h5 *h, struct cm_strs *names)
{
    struct cm_strs order = {0};
    int code = cm_h5_members(h, "/mod", names);
    int got = code ? code : cm_h5_attr_strs(h, "/mod", "mod-order", &order);
    bool all = got > 0 && order.n == names->n; /* an order that misses one is ignored */
    for (size_t k = 0; k < order.n && all; k++)
        all = cm_source_there(h, "/mod", cm_strs_get(&order, k));
    if (all)
        cm_strs_copy(names, &order);
    cm_strs_free(&order);
    return got < 0 ? got : code;
}

void cm_h5_split_path(const char *operand, char **file, char **modality)
{
    struct stat st;
    *file = cm_strdup(operand);
    *modality = NULL;
    bool in = !strncmp(operand, "-/", 2);
    if (!in && !stat(operand, &st))
        return;
    for (size_t n = strlen(operand); n-- > 1;) {
        if (operand[n] != '/')
            continue;
        (*file)[n] = 0;
        if (!(in ? n > 1 : stat(*file, &st) || S_ISDIR(st.st_mode)) && operand[n + 1]) {
            const char *m = operand + n + 1;
            *modality = cm_strdup(strncmp(m, "mod/", 4) ? m : m + 4);
            return;
        }
    }
    strcpy(*file, operand);
}

/* ===== opening ============================================================================ */

/* A scalar text of uns into kv; what is no text is ignored. */
static int take_text(struct cm_h5 *h, const char *uns, const char *name, struct cm_kv *kv,
                     const char *key)
{
    struct cm_h5set s = {0};
    struct cm_strs v = {0};
    char *path = cm_h5_join(uns, name);
    int code = cm_h5_what(h, path) == CM_H5_DATASET ? cm_h5set_open(&s, h, path, NULL, 0) : 0;
    if (code == CM_EINPUT && !cm_h5_trouble(h)) {
        cm_h5_warn(h, "%s; left out", cm_error_message());
        code = 0;
    }
    if (!code && s.open && s.cls == CM_H5_STRING && s.rows == 1 && s.cols == 1) {
        code = cm_h5set_texts(&s, 0, 1, &v);
        if (!code)
            cm_kv_set(kv, key, cm_strs_get(&v, 0));
    }
    cm_h5set_close(&s);
    cm_strs_free(&v);
    cm_free(path);
    return code;
}

/* Cuts the columns into parts by a text per column (NULL = one part without a type). */
static void cut_parts(struct cm_source *s, const struct cm_vec *type, const struct cm_vec *genome,
                      const char *only)
{
    size_t n = s->cols.names.n;
    s->part_of = CM_NEW(uint32_t, n + 1);
    s->place_of = CM_NEW(uint32_t, n + 1);
    for (size_t j = 0; j < n; j++) {
        const char *t = type ? cm_strs_get(&type->s, j) : "";
        size_t p = 0;
        s->part_of[j] = NOWHERE;
        if (only && genome && strcmp(cm_strs_get(&genome->s, j), only))
            continue;
        while (p < s->nparts && strcmp(s->part[p].type, t))
            p++;
        if (p == s->nparts) {
            s->part = cm_realloc(s->part, p + 1, sizeof *s->part);
            s->part[s->nparts++] = (struct cm_part){.type = cm_strdup(t)};
        }
        s->part_of[j] = (uint32_t)p;
        s->place_of[j] = (uint32_t)s->part[p].cols++;
    }
    if (!s->nparts) {
        s->part = CM_ZNEW(struct cm_part, 1);
        s->part[s->nparts++].type = cm_strdup("");
    }
}

void cm_source_uncut(struct cm_source *s) { cut_parts(s, NULL, NULL, NULL); }

static int read_var(struct cm_source *s, struct cm_h5 *h, const char *path, const char *uns)
{
    struct cm_frame var;
    int code = cm_frame_open(&var, h, path, uns);
    if (code)
        return code;
    code = cm_frame_cols(&var, h, &s->cols);
    cm_frame_close(&var);
    return code;
}

/* A null dataset stands for None. */
static int is_none(const struct cm_h5 *h, const char *path, bool *none)
{
    char *e = NULL;
    int code = cm_h5_attr_text(h, path, "encoding-type", &e);
    *none = code > 0 && !strcmp(e, "null");
    cm_free(e);
    return code < 0 ? code : 0;
}

/* Where the matrix that was asked for stands, and its features. */
static void find_matrix(const struct cm_source *s, const char *layer, char **x, char **var)
{
    const struct cm_h5 *h = s->file;
    char *layers = cm_h5_join(s->root, "layers"), *raw = cm_h5_join(s->root, "raw");
    bool old = cm_source_there(h, s->root, "raw.X"); /* before 0.7 */
    bool is_raw = !strcmp(layer, "raw") &&
                  (old || cm_source_there(h, raw, "X") || !cm_source_there(h, layers, "raw"));
    *var = cm_h5_join(s->root, !is_raw ? "var" : old ? "raw.var" : "raw/var");
    if (!strcmp(layer, "X"))
        *x = cm_h5_join(s->root, "X");
    else if (is_raw)
        *x = cm_h5_join(s->root, old ? "raw.X" : "raw/X");
    else
        *x = cm_h5_join(strncmp(layer, "layers/", 7) ? layers : s->root, layer);
    cm_free(layers);
    cm_free(raw);
}

int cm_source_no_layer(const struct cm_source *s, const char *layer)
{
    struct cm_strs found = {0};
    int code = cm_h5_layers(s->file, s->root ? s->root : "", &found);
    code = code ? code : cm_source_list_fail(s->file, "has no layer ", layer, &found);
    cm_strs_free(&found);
    return code;
}

/* X, raw or a layer with the features that belong to it. */
static int open_values(struct cm_source *s, const struct cm_source_want *w, const char *uns)
{
    struct cm_h5 *h = s->file;
    const char *layer = w->layer ? w->layer : "X";
    char *x, *var;
    bool none = false;
    find_matrix(s, layer, &x, &var);
    s->plain = !strcmp(layer, "X");
    s->has_matrix = !w->no_matrix && cm_h5_what(h, x) != CM_H5_ABSENT;
    int code = s->has_matrix && cm_h5_what(h, x) == CM_H5_DATASET ? is_none(h, x, &none) : 0;
    s->has_matrix = s->has_matrix && !none;
    if (!code && !s->has_matrix && !s->plain)
        code = cm_source_no_layer(s, layer);
    if (!code)
        code = read_var(s, h, var, uns);
    if (!code && s->has_matrix)
        code = cm_h5mat_open(&s->mat, h, x, s->obs.rows, s->cols.names.n, -1, w->max_memory);
    s->has_matrix = s->has_matrix && !code;
    if (!code) {
        const struct cm_vec *type = cm_cols_find(&s->cols, "feature_types");
        cut_parts(s, type && type->type == CM_T_STR ? type : NULL, NULL, NULL);
    }
    cm_free(x);
    cm_free(var);
    return code;
}

/* dataset_id, organism and method_id; and what h5-write has left for us. */
static int take_notes(struct cm_source *s, const struct cm_source_want *w, const char *uns)
{
    struct cm_kv ours = {0};
    int code = take_text(s->file, uns, "dataset_id", &s->kv, "h5.dataset_id");
    code = code ? code : take_text(s->file, uns, "organism", &s->kv, "h5.organism");
    code = code ? code : take_text(s->file, uns, "method_id", &s->kv, "h5.method_id");
    code = code ? code : take_text(s->file, uns, "cellmatch/slot", &ours, "slot");
    code = code ? code : take_text(s->file, uns, "cellmatch/state", &ours, "state");
    code = code ? code : take_text(s->file, uns, "cellmatch/values", &ours, "values");
    const char *slot = cm_kv_get(&ours, "slot");
    if (slot && !strcmp(slot, "X"))
        slot = NULL; /* the name of what has none: --type may give it one */
    if (!code && !w->obsm && (slot || w->modality))
        s->slot = cm_strdup(slot ? slot : cm_slot_alias(w->modality));
    if (!code && s->plain)
        code = cm_source_take_note(s, cm_kv_get(&ours, "state"), cm_kv_get(&ours, "values"));
    cm_kv_free(&ours);
    return code;
}

static int open_anndata(struct cm_source *s, const struct cm_source_want *w)
{
    char *obs = cm_h5_join(s->root, "obs"), *uns = cm_h5_join(s->root, "uns");
    int code = cm_frame_open(&s->obs, s->file, obs, uns);
    if (!code)
        code = w->obsm ? cm_source_open_obsm(s, w) : open_values(s, w, uns);
    if (!code)
        code = take_notes(s, w, uns);
    cm_free(obs);
    cm_free(uns);
    return code;
}

/* The shape that a 10x group states (features, barcodes) must be that of its names. */
static int check_tenx_shape(struct cm_source *s, const char *group)
{
    struct cm_h5set shape;
    char *path = cm_h5_join(group, "shape");
    int64_t v[2];
    int code = 0;
    if (cm_h5_what(s->file, path) == CM_H5_DATASET) {
        code = cm_h5set_open(&shape, s->file, path, NULL, 0);
        if (!code && shape.rows != 2)
            code = cm_fail(CM_EINPUT, "%s: %s: expected 2 numbers, found %" PRIu64,
                           CM_H5_AT(&shape), shape.rows);
        if (!code)
            code = cm_h5set_i64(&shape, 0, 2, v);
        if (!code && ((uint64_t)v[0] != s->cols.names.n || (uint64_t)v[1] != s->obs.rows))
            code = cm_fail(CM_EINPUT,
                           "%s: %s: %" PRId64 " x %" PRId64 ", but there are %zu features and "
                           "%" PRIu64 " barcodes",
                           CM_H5_AT(&shape), v[0], v[1], s->cols.names.n, s->obs.rows);
        cm_h5set_close(&shape);
    }
    cm_free(path);
    return code;
}

/* Names the features by another column of text, by its name here or in the file; their ids go to
 * gene_ids, where scanpy has them. */
static int rename_tenx(struct cm_source *s, const char *asked)
{
    bool symbol = !strcmp(asked, "name") || !strcmp(asked, "gene_names");
    if (!strcmp(asked, "id") || !strcmp(asked, "genes"))
        return 0;
    int code = cm_cols_rename(&s->cols, symbol ? "feature_name" : asked, "gene_ids");
    return cm_fail_in(cm_fail_in(code, "--feature-names"), s->file->name);
}

static int open_tenx(struct cm_source *s, const struct cm_source_want *w, const char *group)
{
    static const char *const column[][2] = {{"features/name", "feature_name"},
                                            {"features/feature_type", "feature_types"},
                                            {"features/genome", "genome"},
                                            {"features/interval", "interval"},
                                            {"gene_names", "feature_name"}};
    struct cm_h5 *h = s->file;
    bool v3 = s->format == CM_H5_TENX3;
    struct cm_frame var = {0};
    char *cells = cm_h5_join(group, "barcodes");
    char *ids = cm_h5_join(group, v3 ? "features/id" : "genes");
    if (w->layer && strcmp(w->layer, "X"))
        cm_h5_warn(h, "%s: a 10x file has one matrix; --layer %s has no meaning", h->name,
                   w->layer);
    int code = cm_frame_open_names(&s->obs, h, cells);
    if (!code)
        code = cm_frame_open_names(&var, h, ids);
    for (size_t k = v3 ? 0 : 4; k < (v3 ? 4 : 5) && code >= 0; k++) {
        char *path = cm_h5_join(group, column[k][0]);
        if (cm_h5_what(h, path) == CM_H5_DATASET)
            code = cm_frame_add(&var, h, path, column[k][1], NULL, NULL);
        cm_free(path);
    }
    if (code >= 0)
        code = cm_frame_cols(&var, h, &s->cols);
    cm_frame_close(&var);
    if (!code)
        code = check_tenx_shape(s, group);
    if (!code && w->feature_names)
        code = rename_tenx(s, w->feature_names);
    if (!code)
        code = cm_h5mat_open(&s->mat, h, group, s->obs.rows, s->cols.names.n, CM_H5_CSR,
                             w->max_memory);
    if (!code) {
        s->has_matrix = true;
        const struct cm_vec *genome = cm_cols_find(&s->cols, "genome");
        cut_parts(s, cm_cols_find(&s->cols, "feature_types"), genome, v3 ? w->genome : NULL);
        if (v3 && w->genome && !s->part[0].cols)
            code = cm_fail(CM_EINPUT, "%s: has no genome %s", h->name, w->genome);
        s->state = CM_S_COUNTS; /* by definition of the format; negative values are still refused */
        if (!v3) {
            s->slot = cm_strdup("GEX");
            cm_kv_set(&s->kv, "h5.genome", group + 1);
        }
    }
    cm_free(cells);
    cm_free(ids);
    return code;
}

int cm_source_list_fail(const struct cm_h5 *h, const char *text, const char *asked,
                        const struct cm_strs *found)
{
    struct cm_buf b = {0};
    for (size_t k = 0; k < found->n; k++)
        cm_buf_printf(&b, "%s%s", k ? ", " : "", cm_strs_get(found, k));
    int code = cm_fail(CM_EINPUT, "%s: %s%s (found: %s)", h->name, text, asked,
                       b.n ? (const char *)b.p : "none");
    cm_buf_free(&b);
    return code;
}

static int open_old_tenx(struct cm_source *s, const struct cm_source_want *w)
{
    struct cm_strs genomes = {0};
    int code = cm_h5_genomes(s->file, &genomes);
    size_t at = 0;
    if (!code && w->genome) {
        while (at < genomes.n && strcmp(cm_strs_get(&genomes, at), w->genome))
            at++;
        if (at == genomes.n)
            code = cm_source_list_fail(s->file, "has no genome ", w->genome, &genomes);
    } else if (!code && genomes.n > 1) {
        code = cm_source_list_fail(s->file, "holds several genomes: choose one with --genome", "",
                                   &genomes);
    }
    if (!code) {
        char *group = cm_h5_join("/", cm_strs_get(&genomes, at));
        code = open_tenx(s, w, group);
        cm_free(group);
    }
    cm_strs_free(&genomes);
    return code;
}

static int open_mudata(struct cm_source *s, const struct cm_source_want *w)
{
    struct cm_strs names = {0};
    int code = cm_h5_modalities(s->file, &names);
    size_t k = w->modality ? 0 : names.n;
    while (!code && k < names.n && strcmp(cm_strs_get(&names, k), w->modality))
        k++;
    if (!code && k == names.n)
        code = w->modality
                   ? cm_source_list_fail(s->file, "has no modality ", w->modality, &names)
                   : cm_source_list_fail(s->file, "holds several modalities: name one as FILE/NAME",
                                         "", &names);
    if (!code) {
        s->root = cm_h5_join("/mod", w->modality);
        code = open_anndata(s, w);
        code = code ? code : cm_source_join_obs(s, w->modality);
    }
    cm_strs_free(&names);
    return code;
}

int cm_source_open(struct cm_source *s, struct cm_h5 *h, const struct cm_source_want *want)
{
    *s = (struct cm_source){.file = h};
    int code = cm_h5_format_of(h, &s->format);
    if (!code && want->modality && s->format != CM_H5_MUDATA)
        code = cm_fail(CM_EINPUT, "%s: holds no modalities, so /%s has no meaning", h->name,
                       want->modality);
    bool anndata = s->format == CM_H5_ANNDATA || s->format == CM_H5_MUDATA;
    if (!code && want->obsm && !anndata)
        code = cm_fail(CM_EINPUT, "%s: only AnnData has obsm", h->name);
    else if (!code && want->cell_names && s->format != CM_H5_LOOM)
        code = cm_fail(CM_EINPUT, "%s: --cell-names is for loom files", h->name);
    else if (!code && want->feature_names && anndata && !want->obsm)
        code =
            cm_fail(CM_EINPUT, "%s: --feature-names is for 10x and loom files and --obsm", h->name);
    if (!code)
        switch (s->format) {
        case CM_H5_ANNDATA:
            s->root = cm_strdup("");
            code = open_anndata(s, want);
            break;
        case CM_H5_MUDATA:
            code = open_mudata(s, want);
            break;
        case CM_H5_TENX3:
            code = open_tenx(s, want, "/matrix");
            break;
        case CM_H5_TENX2:
            code = open_old_tenx(s, want);
            break;
        case CM_H5_LOOM:
            code = cm_source_open_loom(s, want);
            break;
        }
    if (cm_h5_trouble(h))
        code = cm_h5_trouble(h); /* whatever was made of it */
    if (!code)
        code = cm_source_labels(s, "all");
    if (code)
        cm_source_close(s);
    return code;
}

void cm_source_close(struct cm_source *s)
{
    if (s->has_matrix)
        cm_h5mat_close(&s->mat);
    cm_frame_close(&s->obs);
    cm_frame_close(&s->table);
    cm_cols_free(&s->cols);
    cm_free(s->fallback);
    for (size_t k = 0; k < s->nparts; k++)
        cm_free(s->part[k].type);
    for (size_t k = 0; k < s->nwhere; k++) {
        cm_values_free(s->where[k].values);
        cm_free(s->where[k].values);
    }
    cm_free(s->part);
    cm_free(s->where);
    cm_free(s->part_of);
    cm_free(s->place_of);
    cm_free(s->label);
    cm_free(s->keep);
    cm_free(s->root);
    cm_free(s->slot);
    cm_kv_free(&s->kv);
    cm_h5rows_free(&s->rows);
    *s = (struct cm_source){0};
}

/* ===== choices ============================================================================ */

int cm_source_part(const struct cm_source *s, const char *type, size_t *part)
{
    if (s->nparts == 1 && !*s->part[0].type) {
        if (s->slot && strcmp(cm_slot_alias(s->slot), cm_slot_alias(type)))
            return cm_fail(CM_EINPUT, "%s: holds %s, not %s", s->file->name, s->slot, type);
        *part = CM_WHOLE;
        return 0;
    }
    struct cm_strs found = {0};
    for (size_t exact = 1; exact <= 1; exact--) /* the very name first, then its alias */
        for (size_t k = 0; k < s->nparts; k++)
            if (exact ? !strcmp(s->part[k].type, type)
                      : !strcmp(cm_slot_alias(s->part[k].type), cm_slot_alias(type))) {
                *part = k;
                return 0;
            }
    for (size_t k = 0; k < s->nparts; k++)
        cm_strs_add(&found, s->part[k].type);
    int code = cm_source_list_fail(s->file, "has no features of type ", type, &found);
    cm_strs_free(&found);
    return code;
}

static int find_label(const struct cm_source *s, const char *name, size_t *at)
{
    *at = cm_frame_find(&s->obs, name);
    if (*at != CM_ABSENT)
        return 0;
    struct cm_strs found = {0};
    for (size_t k = 0; k < s->obs.ncols; k++)
        cm_strs_add(&found, s->obs.col[k].name);
    int code = cm_source_list_fail(s->file, "has no label ", name, &found);
    cm_strs_free(&found);
    return code;
}

/* Labels by a list of names, in the order of the list. */
static int listed_labels(struct cm_source *s, const char *names)
{
    struct cm_values list;
    cm_values_make(&list, names);
    size_t *place = CM_NEW(size_t, s->obs.ncols + 1);
    for (size_t k = 0; k < s->obs.ncols; k++)
        place[k] = cm_values_find(&list, s->obs.col[k].name);
    for (size_t p = 0; p < list.part.n; p++)
        for (size_t k = 0; k < s->obs.ncols; k++)
            if (place[k] == p)
                s->label[s->nlabels++] = k;
    int code = 0;
    size_t at = 0;
    for (size_t p = 0; p < list.part.n && !code; p++)
        if (!list.seen[p])
            code = find_label(s, cm_strs_get(&list.part, p), &at);
    cm_free(place);
    cm_values_free(&list);
    return code;
}

int cm_source_labels(struct cm_source *s, const char *names)
{
    s->nlabels = 0;
    cm_free(s->label);
    s->label = CM_NEW(size_t, s->obs.ncols + 1);
    if (!strcmp(names, "all")) {
        for (size_t k = 0; k < s->obs.ncols; k++)
            s->label[s->nlabels++] = k;
        return 0;
    }
    return strcmp(names, "none") ? listed_labels(s, names) : 0;
}

int cm_source_where(struct cm_source *s, const char *condition)
{
    const char *eq = strchr(condition, '=');
    if (!eq || eq == condition)
        return cm_fail(CM_EUSAGE, "--where %s: expected LABEL=VALUE[,VALUE...]", condition);
    char *name = cm_strdup(condition);
    size_t at = CM_ABSENT;
    for (const char *end = eq; end && at == CM_ABSENT; end = strchr(end + 1, '=')) {
        memcpy(name, condition, strlen(condition));
        name[end - condition] = 0;
        at = cm_frame_find(&s->obs, name);
        eq = at == CM_ABSENT ? eq : end;
    }
    name[eq - condition] = 0;
    int code = find_label(s, name, &at);
    if (!code) {
        s->where = cm_realloc(s->where, s->nwhere + 1, sizeof *s->where);
        struct cm_where *w = &s->where[s->nwhere++];
        *w = (struct cm_where){.col = at, .values = CM_NEW(struct cm_values, 1)};
        cm_values_make(w->values, eq + 1);
    }
    cm_free(name);
    return code;
}

size_t cm_source_missing(const struct cm_source *s, size_t condition, const char **label,
                         struct cm_buf *out)
{
    const struct cm_where *w = &s->where[condition];
    *label = s->obs.col[w->col].name;
    return cm_values_missing(w->values, out);
}

/* ===== heads ============================================================================== */

int cm_source_head(const struct cm_source *s, size_t part, const char *name, struct cm_head *head)
{
    *head = (struct cm_head){.kind = CM_MATRIX};
    const char *slot = name;
    if (!slot && part != CM_WHOLE && *s->part[part].type)
        slot = cm_slot_alias(s->part[part].type);
    if (!slot && s->slot)
        slot = s->slot;
    if (!slot && s->nparts == 1 && *s->part[0].type)
        slot = cm_slot_alias(s->part[0].type);
    struct cm_slot *t = cm_head_add_slot(head, slot ? slot : s->fallback ? s->fallback : "X");
    t->dense = s->has_matrix && cm_h5mat_is_dense(&s->mat);
    t->wide = s->wide;
    t->state = s->state;
    t->rows = s->nwhere ? 0 : s->obs.rows;
    if (part == CM_WHOLE) {
        cm_cols_copy(&t->cols, &s->cols);
    } else {
        uint64_t *at = CM_NEW(uint64_t, s->part[part].cols + 1);
        size_t n = 0;
        for (size_t j = 0; j < s->cols.names.n; j++)
            if (s->part_of[j] == part)
                at[n++] = j;
        cm_cols_copy(&t->cols, &s->cols);
        cm_cols_select(&t->cols, at, n);
        cm_free(at);
    }
    for (size_t k = 0; k < s->nlabels; k++) {
        const struct cm_h5col *c = &s->obs.col[s->label[k]];
        struct cm_label *l = cm_head_add_label(head, c->name, c->type, -1);
        cm_strs_copy(&l->dict.names, &c->dict.names);
        l->dict.ordered = c->dict.ordered;
    }
    for (size_t k = 0; k < s->kv.key.n; k++)
        cm_kv_set(&head->kv, cm_strs_get(&s->kv.key, k), cm_strs_get(&s->kv.value, k));
    return 0;
}

/* ===== rows =============================================================================== */

static bool number_is(const struct cm_vec *v, size_t i, const char *word)
{
    double number;
    switch (v->type) {
    case CM_T_BOOL:
        return v->b[i] == cm_values_truth(word);
    case CM_T_I64:
        return v->i[i] != CM_I64_MISSING && cm_parse_f64(word, &number) &&
               (double)v->i[i] == number;
    case CM_T_F64:
        return cm_parse_f64(word, &number) && v->f[i] == number;
    case CM_T_CAT:
    case CM_T_STR:
        break;
    }
    return false;
}

static bool meets(const struct cm_source *s, const struct cm_where *w, const struct cm_vec *v,
                  size_t i)
{
    const struct cm_strs *dict = &s->obs.col[w->col].dict.names;
    if (v->type == CM_T_CAT)
        return v->cat[i] < dict->n &&
               cm_values_find(w->values, cm_strs_get(dict, v->cat[i])) != CM_ABSENT;
    if (v->type == CM_T_STR)
        return cm_values_find(w->values, cm_strs_get(&v->s, i)) != CM_ABSENT;
    bool is = false;
    for (size_t k = 0; k < w->values->part.n; k++)
        if (number_is(v, i, cm_strs_get(&w->values->part, k)))
            is = w->values->seen[k] = true;
    return is;
}

/* The rows of first .. first + n - 1 that all conditions keep, into s->keep (0-based in block). */
static int keep_rows(struct cm_source *s, uint64_t first, uint64_t n, size_t *kept)
{
    CM_GROW(s->keep, s->keep_cap, n + 1);
    *kept = (size_t)n;
    for (uint64_t i = 0; i < n; i++)
        s->keep[i] = i;
    struct cm_vec v = {0};
    int code = 0;
    for (size_t k = 0; k < s->nwhere && !code; k++) {
        const struct cm_where *w = &s->where[k];
        code = cm_frame_read(&s->obs, w->col, first, n, &v);
        bool *yes = CM_ZNEW(bool, n + 1);
        for (uint64_t i = 0; i < n && !code; i++) /* all rows: values remember that they were met */
            yes[i] = meets(s, w, &v, (size_t)i);
        size_t left = 0;
        for (size_t i = 0; i < *kept && !code; i++)
            if (yes[s->keep[i]])
                s->keep[left++] = s->keep[i];
        cm_free(yes);
        *kept = left;
    }
    cm_vec_free(&v);
    return code;
}

static int fill_labels(struct cm_source *s, uint64_t first, uint64_t n, size_t kept,
                       struct cm_chunk *c)
{
    c->rows = kept;
    cm_strs_clear(&c->names);
    struct cm_strs all = {0};
    int code = cm_frame_names(&s->obs, first, n, &all);
    for (size_t i = 0; i < kept && !code; i++)
        cm_strs_add(&c->names, cm_strs_get(&all, (size_t)s->keep[i]));
    cm_strs_free(&all);
    if (c->nlabels != s->nlabels) {
        for (size_t k = 0; k < c->nlabels; k++)
            cm_vec_free(&c->label[k]);
        c->label = cm_realloc(c->label, s->nlabels + 1, sizeof *c->label);
        memset(c->label, 0, (s->nlabels + 1) * sizeof *c->label);
        c->nlabels = s->nlabels;
    }
    for (size_t k = 0; k < s->nlabels && !code; k++) {
        code = cm_frame_read(&s->obs, s->label[k], first, n, &c->label[k]);
        if (!code && kept < n)
            cm_vec_take(&c->label[k], &c->label[k], s->keep, kept);
    }
    return code;
}

static int no_count(const struct cm_source *s, uint64_t row, uint64_t col, double v)
{
    return cm_fail(CM_EINPUT,
                   "%s: %s: row %" PRIu64 ", column %" PRIu64 " (%s): the value is %g, but counts "
                   "are %s (--state says what the values are)",
                   s->file->name, s->mat.path, row, col, cm_strs_get(&s->cols.names, (size_t)col),
                   v, v < 0 ? "not negative" : "whole numbers");
}

/* Entries from..to of a row, without those of other parts; returns the next free place. */
#define COPY(name, from_type, to_type)                                                             \
    static uint64_t name(const struct cm_source *s, uint64_t from, uint64_t to, size_t part,       \
                         struct cm_block *b, uint64_t at)                                          \
    {                                                                                              \
        const from_type *v = s->rows.val;                                                          \
        const uint32_t *idx = s->rows.idx;                                                         \
        to_type *out = b->raw;                                                                     \
        if (part == CM_WHOLE) {                                                                    \
            memcpy(b->idx + at, idx + from, (to - from) * sizeof *idx);                            \
            for (uint64_t e = from; e < to; e++)                                                   \
                out[at++] = (to_type)v[e];                                                         \
            return at;                                                                             \
        }                                                                                          \
        for (uint64_t e = from; e < to; e++)                                                       \
            if (s->part_of[idx[e]] == part) {                                                      \
                b->idx[at] = s->place_of[idx[e]];                                                  \
                out[at++] = (to_type)v[e];                                                         \
            }                                                                                      \
        return at;                                                                                 \
    }
COPY(copy_u32_u8, uint32_t, uint8_t)
COPY(copy_u32_u16, uint32_t, uint16_t)
COPY(copy_u32, uint32_t, uint32_t)
COPY(copy_f32_u8, float, uint8_t)
COPY(copy_f32_u16, float, uint16_t)
COPY(copy_f32, float, float)
COPY(copy_f64, double, double)

typedef uint64_t copier(const struct cm_source *, uint64_t, uint64_t, size_t, struct cm_block *,
                        uint64_t);

/* The narrowest type that holds these rows, so that the writer has less to look at. */
static copier *choose(const struct cm_h5rows *r, enum cm_value *type)
{
    if (r->type == CM_V_U32) {
        *type = r->facts.max <= 255 ? CM_V_U8 : r->facts.max <= 65535 ? CM_V_U16 : CM_V_U32;
        return *type == CM_V_U8 ? copy_u32_u8 : *type == CM_V_U16 ? copy_u32_u16 : copy_u32;
    }
    *type = r->type;
    if (r->type == CM_V_F64)
        return copy_f64;
    if (!r->facts.fraction && !r->facts.negative && r->facts.largest <= 65535)
        *type = r->facts.largest <= 255 ? CM_V_U8 : CM_V_U16;
    return *type == CM_V_U8 ? copy_f32_u8 : *type == CM_V_U16 ? copy_f32_u16 : copy_f32;
}

/* In state counts no value may be negative; nor a fraction where only a note says that they are. */
static int check_counts(const struct cm_source *s, uint64_t first, size_t row)
{
    const struct cm_h5rows *r = &s->rows;
    bool dense = cm_h5mat_is_dense(&s->mat);
    if (s->state != CM_S_COUNTS)
        return 0;
    if (r->known && !r->facts.negative && !(s->check_whole && r->facts.fraction))
        return 0;
    uint64_t e = dense ? row * s->mat.cols : r->ptr[row];
    uint64_t end = dense ? e + s->mat.cols : r->ptr[row + 1];
    for (uint64_t at = e; at < end; at++) {
        double v = cm_h5rows_at(r, at);
        if (v < 0 || (s->check_whole && v != floor(v)))
            return no_count(s, first + row, dense ? at - e : r->idx[at], v);
    }
    return 0;
}

static int fill_csr(struct cm_source *s, uint64_t first, size_t kept, size_t part,
                    struct cm_block *b)
{
    size_t cols = part == CM_WHOLE ? s->cols.names.n : (size_t)s->part[part].cols;
    uint64_t nnz = 0, at = 0;
    enum cm_value type = CM_V_F64;
    copier *copy = s->has_matrix ? choose(&s->rows, &type) : copy_f64;
    for (size_t i = 0; i < kept && s->has_matrix; i++)
        nnz += s->rows.ptr[s->keep[i] + 1] - s->rows.ptr[s->keep[i]];
    cm_block_shape(b, false, kept, cols, nnz, type);
    for (size_t i = 0; i < kept; i++) {
        uint64_t row = s->keep[i];
        int code = s->has_matrix ? check_counts(s, first, (size_t)row) : 0;
        if (code)
            return code;
        if (s->has_matrix)
            at = copy(s, s->rows.ptr[row], s->rows.ptr[row + 1], part, b, at);
        b->ptr[i + 1] = at;
    }
    b->nnz = at;
    return 0;
}

static int fill_dense(struct cm_source *s, uint64_t first, size_t kept, size_t part,
                      struct cm_block *b)
{
    size_t all = s->cols.names.n, cols = part == CM_WHOLE ? all : (size_t)s->part[part].cols;
    bool single = s->rows.type == CM_V_F32;
    cm_block_shape(b, true, kept, cols, 0, single ? CM_V_F32 : CM_V_F64);
    float *out32 = b->raw;
    double *out64 = b->raw;
    for (size_t i = 0; i < kept; i++) {
        int code = check_counts(s, first, (size_t)s->keep[i]);
        if (code)
            return code;
        uint64_t e = s->keep[i] * all;
        for (size_t j = 0; j < all; j++) {
            if (part != CM_WHOLE && s->part_of[j] != part)
                continue;
            if (single)
                *out32++ = ((const float *)s->rows.val)[e + j];
            else
                *out64++ = ((const double *)s->rows.val)[e + j];
        }
    }
    return 0;
}

int cm_source_next(struct cm_source *s, const size_t *part, size_t n, struct cm_chunk *chunk)
{
    if (s->next >= s->obs.rows)
        return 0;
    uint64_t first = s->next, rows = s->obs.rows - first;
    rows = rows < CM_BLOCK_ROWS ? rows : CM_BLOCK_ROWS;
    int code = s->has_matrix ? cm_h5mat_step(&s->mat, first, CM_BLOCK_ROWS, &rows) : 0;
    size_t kept = 0;
    if (!code)
        code = keep_rows(s, first, rows, &kept);
    if (!code && s->has_matrix)
        code = cm_h5mat_read(&s->mat, first, rows, &s->rows);
    for (size_t k = 0; k < n && !code; k++) {
        struct cm_chunk *c = &chunk[k];
        c->first = first;
        code = fill_labels(s, first, rows, kept, c);
        if (!code)
            code = s->has_matrix && cm_h5mat_is_dense(&s->mat)
                       ? fill_dense(s, first, kept, part[k], &c->block[0])
                       : fill_csr(s, first, kept, part[k], &c->block[0]);
    }
    s->next = first + rows;
    uint64_t more = 0;
    if (!code && s->has_matrix && s->next < s->obs.rows &&
        !cm_h5mat_step(&s->mat, s->next, CM_BLOCK_ROWS, &more))
        cm_h5mat_ahead(&s->mat, s->next, more);
    return code ? code : 1;
}

/* ===== the competition's files ============================================================ */

int cm_source_match(struct cm_source *s, uint64_t *longest, const char **why)
{
    *longest = 0;
    *why = NULL;
    if (!s->has_matrix || cm_h5mat_is_dense(&s->mat))
        return cm_fail(CM_EINPUT, "%s: a match must have a sparse X", s->file->name);
    int code = 0;
    for (uint64_t at = 0, n; at < s->obs.rows && !code; at += n) {
        code = cm_h5mat_step(&s->mat, at, CM_BLOCK_ROWS, &n);
        if (!code)
            code = cm_h5mat_read(&s->mat, at, n, &s->rows);
        for (uint64_t i = 0; i < n && !code; i++) {
            double sum = 0;
            uint64_t begin = s->rows.ptr[i], end = s->rows.ptr[i + 1];
            for (uint64_t e = begin; e < end; e++) {
                sum += cm_h5rows_at(&s->rows, e);
                if (cm_h5rows_at(&s->rows, e) < 0)
                    *why = "some values are negative";
            }
            if (end > begin && fabs(sum - 1) > 1e-5 && !*why)
                *why = "some rows do not sum to 1";
            *longest = end - begin > *longest ? end - begin : *longest;
        }
    }
    s->state = *why ? CM_S_SIMILARITY : CM_S_PROBABILITY;
    s->state_known = true;
    return code ? code : cm_source_survey(s);
}

/* uns/pairing_ix as row2[row1], or -1 in *there when the file has none. */
static int read_pairing(struct cm_source *s, uint64_t *row2, uint64_t n, bool *has)
{
    struct cm_h5set v;
    char *path = cm_h5_join(s->root, "uns/pairing_ix");
    *has = cm_h5_what(s->file, path) == CM_H5_DATASET;
    int code = cm_h5_trouble(s->file);
    code = code ? code : *has ? cm_h5set_open(&v, s->file, path, NULL, 0) : 0;
    if (*has && !code) {
        double *ix = NULL;
        if (v.rows * v.cols != n)
            code =
                cm_fail(CM_EINPUT, "%s: %s: %" PRIu64 " numbers, but there are %" PRIu64 " cells",
                        CM_H5_AT(&v), v.rows * v.cols, n);
        if (!code) {
            ix = CM_NEW(double, n);
            code = cm_h5set_f64(&v, 0, v.rows, ix);
        }
        for (uint64_t r = 0; r < n; r++)
            row2[r] = UINT64_MAX;
        for (uint64_t r = 0; r < n && !code; r++) {
            bool inside = ix[r] >= 0 && ix[r] < (double)n && ix[r] == floor(ix[r]);
            if (!inside || row2[(uint64_t)ix[r]] != UINT64_MAX)
                code = cm_fail(CM_EINPUT, "%s: %s: item %" PRIu64 ": %g is %s", CM_H5_AT(&v), r,
                               ix[r], inside ? "there twice" : "not a row of modality 1");
            else
                row2[(uint64_t)ix[r]] = r;
        }
        cm_free(ix);
        cm_h5set_close(&v);
    }
    cm_free(path);
    return code;
}

int cm_source_pairs(struct cm_source *s, uint64_t **row2, uint64_t *count)
{
    uint64_t n = s->obs.rows;
    bool has = false;
    if (s->format != CM_H5_ANNDATA)
        return cm_fail(CM_EINPUT, "%s: a solution is an .h5ad file", s->file->name);
    uint64_t *pair = *row2 = CM_NEW(uint64_t, n + 1);
    uint8_t *taken = CM_ZNEW(uint8_t, s->cols.names.n + 1);
    *count = n;
    int code = read_pairing(s, pair, n, &has);
    bool sparse = s->has_matrix && !cm_h5mat_is_dense(&s->mat);
    if (!code && !has && !sparse)
        code = cm_fail(CM_EINPUT, "%s: has neither uns/pairing_ix nor a sparse X of pairs",
                       s->file->name);
    for (uint64_t at = 0, k; at < n && !code && sparse; at += k) {
        code = cm_h5mat_step(&s->mat, at, CM_BLOCK_ROWS, &k);
        if (!code)
            code = cm_h5mat_read(&s->mat, at, k, &s->rows);
        for (uint64_t i = 0; i < k && !code; i++) {
            uint64_t found = 0, col = 0;
            for (uint64_t e = s->rows.ptr[i]; e < s->rows.ptr[i + 1]; e++)
                if (cm_h5rows_at(&s->rows, e) != 0) {
                    found++;
                    col = s->rows.idx[e];
                }
            if (found != 1)
                code = cm_fail(CM_EINPUT, "%s: %s: row %" PRIu64 ": %" PRIu64 " pairs, expected 1",
                               s->file->name, s->mat.path, at + i, found);
            else if (has && pair[at + i] != col)
                code = cm_fail(CM_EINPUT,
                               "%s: uns/pairing_ix pairs row %" PRIu64 " with %" PRIu64
                               ", X with %" PRIu64,
                               s->file->name, at + i, pair[at + i], col);
            else if (taken[col]++)
                code = cm_fail(CM_EINPUT,
                               "%s: %s: row %" PRIu64 ": column %" PRIu64 " was paired before",
                               s->file->name, s->mat.path, at + i, col);
            pair[at + i] = col;
        }
    }
    cm_free(taken);
    if (code) {
        cm_free(pair);
        *row2 = NULL;
    }
    return code;
}
