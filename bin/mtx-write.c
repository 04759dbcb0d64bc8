/* mtx-write - a matrix stream as an MTX directory.
 *
 * In: kind matrix, one slot, any state (lazy values are computed).  Out: a directory as Cell Ranger
 * 3 writes it (matrix.mtx.gz with features in rows and cells in columns, features.tsv.gz,
 * barcodes.tsv.gz), and labels.tsv.gz where the stream has labels; or in the layout of STARsolo or
 * Cell Ranger 2.  The directory appears whole or not at all, and is the same, byte for byte, for
 * the same stream.  Read twice (a pipe is spooled): the number of entries stands in front.
 */
#include "cli/cli.h"
#include "format/mtx/write.h"

static struct {
    int layout;
} o;

static const struct cm_opt options[] = {
    CM_OPT_CHOICE("layout", 0, &o.layout, "cellranger3", "cellranger3|starsolo|cellranger2",
                  "names and packing of the files"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "mtx-write", "[IN.cms]", "write a stream as an MTX directory", options,
    0,           1,          CM_TOOL_OWN_OUTPUT | CM_TOOL_FOLDER};

/* All file names that an earlier run may have left. */
static const char *const known[] = {
    "matrix.mtx.gz", "features.tsv.gz", "barcodes.tsv.gz", "labels.tsv.gz", "matrix.mtx",
    "features.tsv",  "barcodes.tsv",    "labels.tsv",      "genes.tsv",     NULL};

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_reader *r = cm_in_open(in[0]);
    cm_require_kind(r, CM_MATRIX);
    const struct cm_head *h = cm_reader_head(r);
    if (h->nslots != 1)
        cm_die(3, "%s: expected one slot, found %zu", cm_reader_path(r), h->nslots);
    enum cm_mtx_layout layout = (enum cm_mtx_layout)o.layout;
    cm_out_folder(cm_output(), known);
    cm_try(cm_reader_keep(r));
    struct cm_mtxwrite *out = cm_mtxwrite_make(h, layout);
    struct cm_chunk c = {0};
    while (cm_next(r, &c))
        if (!c.is_tensor) /* fitted parameters of svd */
            cm_mtxwrite_count(out, &c);
    cm_try(cm_reader_rewind(r));

    if (h->nlabels && !cm_mtx_file_name(layout, CM_MTX_LABELS))
        cm_warn("labels have no place in this layout and are left out");
    int fd[CM_MTX_FILES];
    for (int k = 0; k < CM_MTX_FILES; k++) {
        const char *name = cm_mtx_file_name(layout, k);
        fd[k] = name && (k != CM_MTX_LABELS || h->nlabels) ? cm_out_folder_file(name) : -1;
    }
    cm_try(cm_mtxwrite_begin(out, fd));
    while (cm_next(r, &c)) {
        if (!c.is_tensor)
            cm_try(cm_mtxwrite_chunk(out, &c, h));
        cm_progress(c.first + c.rows, h->slot[0].rows, "cells");
    }
    cm_try(cm_mtxwrite_finish(out));
    cm_mtxwrite_free(out);
    cm_chunk_free(&c);
    return cm_finish();
}
