/* embed - map cells into the space of a model.
 *
 * In: one matrix slot, in the state and with the fit of the model's training cells (--like). Out:
 * kind embedding, dense: part e (unit norm) and the peak-gene links; the inner product of an RNA
 * row and an ATAC row is the model's similarity S0 of the two cells.  Cells are mapped one by one:
 * names and labels stay, nothing is learnt from the input.  Memory: the model and one block.
 */
#include <inttypes.h>

#include "base/mem.h"
#include "cli/cells.h"
#include "cli/cli.h"
#include "model/model.h"

static struct {
    const char *model, *type;
    int parts;
    bool by_name;
} o;

static const struct cm_opt options[] = {
    CM_OPT_INPUT("model", 'm', &o.model, "MODEL.cms", "the model (required)"),
    CM_OPT_STR("type", 0, &o.type, NULL, "TYPE",
               "side of the model (default: the input's slot name)"),
    CM_OPT_CHOICE("parts", 0, &o.parts, "all", "all|e", "columns to write"),
    CM_OPT_FLAG("by-name", 0, &o.by_name,
                "take the model's columns by name, in any order, among others"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "embed", "[IN.cms]",     "embed cells so that inner products are similarities", options, 0,
    1,       CM_TOOL_DEFAULT};

static struct cm_model m;
static size_t side;
static uint32_t *map; /* columns by name, or NULL */
static uint64_t done, empty;

/* The cells of a chunk, which becomes their embedding. */
static void put_cells(struct cm_writer *w, struct cm_chunk *c, const struct cm_head *h)
{
    for (size_t i = 0; !c->block[0].dense && i < c->rows; i++)
        empty += c->block[0].ptr[i] == c->block[0].ptr[i + 1];
    cm_model_embed_block(&m, side, &c->block[0], &h->slot[0], map, o.parts == 0);
    cm_try(cm_writer_chunk(w, c, h));
    cm_progress(done += c->rows, h->slot[0].rows, "cells");
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv), digest[20];
    if (!o.model)
        cm_usage_error("--model is required");
    cm_model_open(&m, o.model, digest);
    struct cm_reader *r = cm_cells_open(in[0]);
    const struct cm_head *h = cm_reader_head(r);
    int found = cm_model_side(&m, o.type ? o.type : h->slot[0].name);
    cm_try(cm_fail_in(found, cm_reader_path(r)));
    side = (size_t)found;
    cm_try(cm_model_accepts(&m, side, &h->slot[0], cm_reader_path(r), o.model));
    map = cm_cells_columns(&m, side, r, o.by_name);

    struct cm_head out = {0};
    cm_model_embed_head(&m, side, h, o.parts == 0, &out);
    cm_kv_set(&out.kv, "embed.model", digest);
    struct cm_writer *w = cm_out_open(&out);
    struct cm_chunk c = {0}, part = {0};
    while (cm_next(r, &c)) {
        if (c.rows <= CM_SLICE_ROWS)
            put_cells(w, &c, h);
        for (size_t at = 0; c.rows > CM_SLICE_ROWS && at < c.rows; at += CM_SLICE_ROWS) {
            size_t left = c.rows - at;
            cm_chunk_slice(&part, &c, at, left < CM_SLICE_ROWS ? left : CM_SLICE_ROWS);
            put_cells(w, &part, h);
        }
    }
    if (empty)
        cm_warn("%" PRIu64 " of %" PRIu64 " cells have no entries: their embedding is that of an "
                "empty cell",
                empty, done);
    cm_free(map);
    cm_chunk_free(&c);
    cm_chunk_free(&part);
    cm_head_free(&out);
    cm_model_free(&m);
    return cm_finish();
}
