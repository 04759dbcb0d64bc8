/* format/hdf5/open.c - opening a source, whatever its format. */
#include "format/hdf5/internal.h"

#include "base/error.h"
#include "base/mem.h"

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
            code = cm_source_open_anndata(s, want);
            break;
        case CM_H5_MUDATA:
            code = cm_source_open_mudata(s, want);
            break;
        case CM_H5_TENX3:
            code = cm_source_open_tenx(s, want, "/matrix");
            break;
        case CM_H5_TENX2:
            code = cm_source_open_old_tenx(s, want);
            break;
        case CM_H5_LOOM:
            code = cm_source_open_loom(s, want);
            break;
        }
    if (cm_h5_trouble(h))
        code = cm_h5_trouble(h); /* takes precedence */
    if (!code)
        code = cm_source_labels(s, "all");
    if (code)
        cm_source_close(s);
    return code;
}
