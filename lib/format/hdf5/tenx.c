/* format/hdf5/tenx.c - 10x files: /matrix of Cell Ranger 3 and later, a group a genome before. */
#include "format/hdf5/internal.h"

#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"

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

/* Names the features by another text column, called as here or as in the file; their ids go to
 * gene_ids, where scanpy has them. */
static int rename_tenx(struct cm_source *s, const char *asked)
{
    bool symbol = !strcmp(asked, "name") || !strcmp(asked, "gene_names");
    if (!strcmp(asked, "id") || !strcmp(asked, "genes"))
        return 0;
    int code = cm_cols_rename(&s->cols, symbol ? "feature_name" : asked, "gene_ids");
    return cm_fail_in(cm_fail_in(code, "--feature-names"), s->file->name);
}

int cm_source_open_tenx(struct cm_source *s, const struct cm_source_want *w, const char *group)
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
        cm_source_cut(s, v3 ? w->genome : NULL);
        if (v3 && w->genome && !s->types.type[0].cols)
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

int cm_source_open_old_tenx(struct cm_source *s, const struct cm_source_want *w)
{
    struct cm_strs genomes = {0};
    int code = cm_h5_genomes(s->file, &genomes);
    size_t at = 0;
    if (!code && w->genome) {
        while (at < genomes.n && strcmp(cm_strs_get(&genomes, at), w->genome))
            at++;
        if (at == genomes.n)
            code = cm_h5_list_fail(s->file, "has no genome ", w->genome, &genomes);
    } else if (!code && genomes.n > 1) {
        code = cm_h5_list_fail(s->file, "holds several genomes: choose one with --genome", "",
                               &genomes);
    }
    if (!code) {
        char *group = cm_h5_join("/", cm_strs_get(&genomes, at));
        code = cm_source_open_tenx(s, w, group);
        cm_free(group);
    }
    cm_strs_free(&genomes);
    return code;
}
