/* format/mtx/names.c - names of cells, one a line. */
#include "format/mtx/names.h"

#include "base/error.h"
#include "base/mem.h"
#include "format/mtx/table.h"

int cm_mtx_barcodes(const char *path, const struct cm_mtx_shape *shape, struct cm_strs *names,
                    struct cm_strs *warnings)
{
    struct cm_lines l;
    int code = cm_mtx_lines(path, &l);
    size_t from = !code && cm_mtx_has_header(&l, path, shape);
    if (from)
        cm_mtx_warn_header(path, l.line[0], warnings);
    for (size_t k = from; k < l.n && !code; k++) {
        char *rest = l.line[k];
        const char *name = cm_lines_field(&rest, cm_mtx_separator(path));
        if (!*name)
            code = cm_fail(CM_EINPUT, "%s: line %zu: expected a barcode, found \"\"", path, k + 1);
        cm_strs_add(names, name);
    }
    cm_lines_free(&l);
    return code;
}

int cm_mtx_name_list(const char *path, struct cm_strs *names)
{
    struct cm_lines l;
    int code = cm_mtx_lines(path, &l);
    for (size_t k = 0; k < l.n && !code; k++) {
        char *rest = l.line[k];
        cm_strs_add(names, cm_lines_field(&rest, cm_mtx_separator(path)));
    }
    cm_lines_free(&l);
    return code;
}
