/* format/hdf5/format.c - which of the formats an HDF5 file is, and what it contains by name. */
#include "format/hdf5/format.h"

#include <string.h>
#include <strings.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "format/hdf5/attr.h"

static bool is_old_tenx(const struct cm_h5 *h, const char *group)
{
    return cm_h5_what(h, group) == CM_H5_GROUP && cm_h5_there(h, group, "barcodes") &&
           cm_h5_there(h, group, "genes") && cm_h5_there(h, group, "indptr") &&
           cm_h5_there(h, group, "indices") && cm_h5_there(h, group, "data");
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

/* Other kinds of HDF5 files that users often try; NULL = not known. */
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
        if (cm_h5_there(h, "", of[k][0] + 1) && (!of[k][1] || cm_h5_there(h, "", of[k][1] + 1)))
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
    else if (anndata || (cm_h5_there(h, "/", "obs") && cm_h5_there(h, "/", "var")))
        *format = CM_H5_ANNDATA;
    else if (cm_h5_there(h, "/", "matrix") && cm_h5_there(h, "/matrix", "features"))
        *format = CM_H5_TENX3;
    else if (cm_h5_what(h, "/matrix") == CM_H5_DATASET && cm_h5_there(h, "/", "row_attrs"))
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
    bool all = got > 0 && order.n == names->n; /* an incomplete order is ignored */
    for (size_t k = 0; k < order.n && all; k++)
        all = cm_h5_there(h, "/mod", cm_strs_get(&order, k));
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

/* Names below a group; nested groups give names with a slash. */
static int collect(const struct cm_h5 *h, const char *group, const char *prefix, int depth,
                   struct cm_strs *out)
{
    struct cm_strs member = {0};
    int code = cm_h5_members(h, group, &member);
    for (size_t k = 0; k < member.n && !code; k++) {
        char *path = cm_h5_join(group, cm_strs_get(&member, k)), *encoding = NULL;
        char *name = *prefix ? cm_h5_join(prefix, cm_strs_get(&member, k))
                             : cm_strdup(cm_strs_get(&member, k));
        bool nested = cm_h5_what(h, path) == CM_H5_GROUP && depth < 8;
        if (nested && !cm_h5_there(h, path, "indptr"))
            code = cm_h5_attr_text(h, path, "encoding-type", &encoding);
        else
            nested = false;
        nested = nested && (code == 0 || (code > 0 && !strcmp(encoding, "dict")));
        code = code > 0 ? 0 : code;
        if (!code && nested)
            code = collect(h, path, name, depth + 1, out);
        else if (!code)
            cm_strs_add(out, name);
        cm_free(path);
        cm_free(name);
        cm_free(encoding);
    }
    cm_strs_free(&member);
    return code;
}

int cm_h5_layers(const struct cm_h5 *h, const char *root, struct cm_strs *names)
{
    struct cm_strs all = {0};
    char *group = cm_h5_join(root, "layers"), *raw = cm_h5_join(root, "raw");
    bool has_raw = cm_h5_there(h, root, "raw.X") || cm_h5_there(h, raw, "X");
    int code = cm_h5_what(h, group) == CM_H5_GROUP ? collect(h, group, "", 0, &all) : 0;
    cm_strs_clear(names);
    for (size_t k = 0; k < all.n && !code; k++) {
        const char *name = cm_strs_get(&all, k);
        bool means_other =
            !strcmp(name, "X") || !strncmp(name, "layers/", 7) || (has_raw && !strcmp(name, "raw"));
        char *full = cm_h5_join("layers", name);
        cm_strs_add(names, means_other ? full : name);
        cm_free(full);
    }
    if (!code && has_raw)
        cm_strs_add(names, "raw");
    cm_strs_free(&all);
    cm_free(group);
    cm_free(raw);
    return code;
}

int cm_h5_obsm(const struct cm_h5 *h, const char *root, struct cm_strs *names)
{
    char *group = cm_h5_join(root, "obsm");
    cm_strs_clear(names);
    int code = cm_h5_what(h, group) == CM_H5_GROUP ? collect(h, group, "", 0, names) : 0;
    cm_free(group);
    return code;
}

int cm_h5_list_fail(const struct cm_h5 *h, const char *text, const char *asked,
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
