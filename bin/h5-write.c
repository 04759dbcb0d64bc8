/* h5-write - a stream as an .h5ad file, or its result beside the cells of one.
 *
 * In: kind matrix, embedding or match with one slot, any state (lazy values are computed).  Out: a
 * new .h5ad with X (CSR or dense), obs = names and labels, var = names and columns, uns =
 * dataset_id, organism, method_id where they are known, and slot and state, which h5-read takes
 * back; a match becomes n x m X, the layout of the competition's predictions.  With --into: a copy
 * of BASE with obsm/KEY (embedding) or obs columns KEY_partner, KEY_probability, KEY_rank (match).
 * The file appears whole or not at all, and is the same, byte for byte, for the same input.
 */
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/pool.h"
#include "cli/cli.h"
#include "format/hdf5/append.h"
#include "format/hdf5/source.h"

static struct {
    struct cm_h5_write_want want;
    const char *into, *key;
    int pack, parts;
} o;

static const struct cm_opt options[] = {
    CM_OPT_INPUT("into", 0, &o.into, "BASE[/MODALITY]",
                 "add to a copy of this .h5ad file, or .h5mu/MODALITY"),
    CM_OPT_STR("key", 0, &o.key, NULL, "NAME", "name of what --into adds"),
    CM_OPT_CHOICE("parts", 0, &o.parts, "e", "e|all", "columns of an embedding for --into"),
    CM_OPT_STR("dataset-id", 0, &o.want.dataset_id, NULL, "S",
               "uns/dataset_id (default: the one that the stream carries)"),
    CM_OPT_STR("method-id", 0, &o.want.method_id, NULL, "S",
               "uns/method_id (default for a match: cellmatch)"),
    CM_OPT_CHOICE("compression", 0, &o.pack, "gzip", "gzip|lzf|zstd|none", "filter of the numbers"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "h5-write", "[IN.cms]", "write a stream as an .h5ad file", options, 0, 1, CM_TOOL_OWN_OUTPUT};

static void require_writable(const struct cm_reader *r, const struct cm_head *h)
{
    bool fits = h->kind == CM_EMBEDDING || h->kind == CM_MATCH || (h->kind == CM_MATRIX && !o.into);
    if (!fits)
        cm_die(3, "%s: expected %san embedding or a match, found kind %s", cm_reader_path(r),
               o.into ? "" : "a matrix, ", cm_kind_name(h->kind));
    if (h->nslots != 1)
        cm_die(3, "%s: expected one slot, found %zu", cm_reader_path(r), h->nslots);
    if (h->slot[0].dense == (h->kind == CM_MATCH) && o.into)
        cm_die(3, "%s: expected %s", cm_reader_path(r),
               h->kind == CM_MATCH ? "a sparse match" : "a dense embedding");
}

/* The columns of part e ("part.0 = e 0 48": the first, and that behind the last), or all. */
static void part_e(const struct cm_head *h, size_t *from, size_t *width)
{
    size_t cols = h->slot[0].cols.names.n, end;
    *from = 0;
    *width = cols;
    for (int k = 0; k < 16 && o.parts == 0; k++) {
        char key[32], name[32];
        snprintf(key, sizeof key, "part.%d", k);
        const char *v = cm_kv_get(&h->kv, key);
        if (v && sscanf(v, "%31s %zu %zu", name, from, &end) == 3 && !strcmp(name, "e") &&
            *from <= end && end <= cols) {
            *width = end - *from;
            return;
        }
    }
    *from = 0;
}

static void write_new(struct cm_reader *r, const struct cm_head *h)
{
    struct cm_h5_write *out;
    struct cm_chunk c = {0};
    o.want.pack = (enum cm_h5_pack)o.pack;
    if (h->kind == CM_MATCH && !o.want.method_id && !cm_kv_get(&h->kv, "h5.method_id"))
        o.want.method_id = "cellmatch";
    if (o.want.pack == CM_PACK_ZSTD)
        cm_warn("%s: readers without an HDF5 zstd plugin cannot open this file", cm_output());
    cm_try(cm_h5_write_create(&out, cm_out_path(cm_output()), cm_output(), h, &o.want));
    while (cm_next(r, &c)) {
        cm_try(cm_h5_write_chunk(out, &c, h));
        cm_progress(c.first + c.rows, h->slot[0].rows, "cells");
    }
    cm_try(cm_h5_write_finish(out, h));
    cm_h5_write_free(out);
    cm_chunk_free(&c);
}

static void write_into(struct cm_reader *r, const struct cm_head *h)
{
    struct cm_h5_append *x;
    struct cm_chunk c = {0};
    struct stat a;
    size_t from, width;
    char *base, *modality;
    part_e(h, &from, &width);
    cm_h5_split_path(o.into, &base, &modality);
    bool there = !stat(base, &a);
    cm_guard_file(base, ((uint64_t)1 << 30) + (there ? 4 * (uint64_t)a.st_size : 0) +
                            h->slot[0].rows * (width * 8 + 256) + cm_pool_threads() * (16 << 20));
    cm_h5_watch(10);
    cm_free(base);
    cm_free(modality);
    cm_try(cm_h5_append_create(&x, o.into, cm_out_path(cm_output()), cm_output(), o.key, h, from,
                               width));
    while (cm_next(r, &c))
        cm_try(cm_h5_append_chunk(x, &c, h));
    cm_try(cm_h5_append_finish(x));
    cm_h5_append_free(x);
    cm_guard_done();
    cm_chunk_free(&c);
}

int main(int argc, char **argv)
{
    cm_guard_start(tool.name);
    char **in = cm_start(&tool, argc, argv);
    if (!o.into != !o.key)
        cm_usage_error("--into and --key go together");
    struct cm_reader *r = cm_in_open(in[0]);
    const struct cm_head *h = cm_reader_head(r);
    require_writable(r, h);
    if (o.into)
        write_into(r, h);
    else
        write_new(r, h);
    return cm_finish();
}
