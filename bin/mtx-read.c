/* mtx-read - a matrix in MTX text, with its names, as a matrix stream.
 *
 * In: a directory of Cell Ranger, STARsolo, kallisto, alevin, Seurat, GEO ..., or a matrix file
 * (format/mtx/find.h has the names), plain or gzipped, entries in any order, cells either way
 * round. Out: kind matrix, one slot, cells in the order of the barcodes, features in the order of
 * theirs; state counts if all values are whole and none is negative, else unknown, or what --state
 * says. Several feature types leave in one pass (--to).  Values arrive exactly.
 */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "cli/cli.h"
#include "cli/conditions.h"
#include "format/mtx/read.h"

static struct {
    struct cm_mtx_want want;
    const char *type;
    struct cm_list to;
    int cells, state;
} o;

static const struct cm_opt options[] = {
    CM_OPT_INPUT("features", 0, &o.want.features, "FILE", "names of the features"),
    CM_OPT_INPUT("barcodes", 0, &o.want.barcodes, "FILE", "names of the cells"),
    CM_OPT_INPUT("labels", 0, &o.want.labels, "FILE",
                 "labels of the cells: a .tsv or .csv table with a header line"),
    CM_OPT_STR("prefix", 0, &o.want.prefix, NULL, "TEXT",
               "begin of the file names in a directory of several samples"),
    CM_OPT_CHOICE("cells-are", 0, &o.cells, "auto", "auto|rows|columns",
                  "which of the two the cells are"),
    CM_OPT_STR("type", 0, &o.type, NULL, "TYPE", "features of this type alone"),
    CM_OPT_OUTPUTS("to", 0, &o.to, "TYPE=OUT", "write this type to OUT (repeatable)"),
    CM_OPT_STR("feature-names", 0, &o.want.feature_names, NULL, "NAME",
               "what names the features: id, name (symbols) or another column of text"),
    CM_OPT_FLAG("make-unique", 0, &o.want.make_unique,
                "repeated names of features get numbers: name, name-1, name-2"),
    CM_OPT_CHOICE(
        "state", 0, &o.state, NULL,
        "unknown|counts|binary|lognorm|sqrt|tfidf|clr|scaled|svd|embedding|similarity|probability",
        "what the values are, in place of a guess"),
    CM_OPT_SIZE("max-memory", 0, &o.want.max_memory, "1G", 4096, 0x1p50, "SIZE",
                "entries held in memory before a temporary file is used"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "mtx-read", "[DIR|MATRIX]", "read a matrix in MTX text", options, 0, 1, CM_TOOL_DEFAULT};

/* An output: a type of the file (NULL = all of it) and where it goes (NULL = -o). */
struct job {
    char *type;
    const char *out;
};

static struct job *make_jobs(size_t *n)
{
    if (o.to.n && (o.type || cm_output()))
        cm_usage_error("--to names types and files; --type and -o do not go with it");
    *n = o.to.n ? o.to.n : 1;
    struct job *job = CM_ZNEW(*n, struct job);
    job[0].type = o.type ? cm_strdup(o.type) : NULL;
    for (size_t k = 0; k < o.to.n; k++) {
        cm_try(cm_types_split(o.to.v[k], &job[k].type, &job[k].out));
    }
    return job;
}

/* The files that were found in a directory, or beside the matrix. */
static void note_files(const struct cm_mtx_files *f)
{
    const char *input[] = {f->matrix, f->features, f->barcodes, f->labels, f->symbols};
    for (size_t k = 0; k < 5; k++)
        if (input[k])
            cm_in_note(input[k]);
}

/* A job without a type means all features, if they are of one type. */
static size_t only_type(const struct cm_mtx *m)
{
    if (m->types.n > 1) {
        struct cm_buf b = {0};
        cm_types_print(&m->types, true, &b);
        cm_die(2, "%s: holds several feature types: %.500s; choose with --type or --to",
               m->files.features, (const char *)b.p);
    }
    return CM_ALL_TYPES;
}

static void load(struct cm_mtx *m)
{
    size_t printed = m->warnings.n;
    for (int more; (more = cm_mtx_load(m)) != 0;) {
        cm_try(more);
        cm_progress(m->read, m->front.shape.entries, "entries");
    }
    cm_progress_end();
    if (m->runs.spilled)
        cm_info("%" PRIu64 " bytes of entries went to a temporary file", m->runs.spilled);
    for (; printed < m->warnings.n && !cm_given("state"); printed++)
        cm_warn("%s", cm_strs_get(&m->warnings, printed));
    if (cm_given("state"))
        m->state = (enum cm_state)o.state;
}

/* Writes the rows to all outputs. */
static void pass(struct cm_mtx *m, const struct job *job, const size_t *type, size_t n)
{
    struct cm_writer **w = CM_NEW(n, struct cm_writer *);
    struct cm_chunk *chunk = CM_ZNEW(n, struct cm_chunk);
    for (size_t k = 0; k < n; k++) {
        struct cm_head head;
        cm_mtx_head(m, type[k],
                    type[k] == CM_ALL_TYPES && job[k].type ? cm_slot_alias(job[k].type) : NULL,
                    &head);
        w[k] = job[k].out ? cm_out_open_file(job[k].out, &head) : cm_out_open(&head);
        cm_head_free(&head);
    }
    for (int more; (more = cm_mtx_next(m, type, n, chunk)) != 0;) {
        cm_try(more);
        for (size_t k = 0; k < n; k++)
            cm_try(cm_writer_chunk(w[k], &chunk[k], NULL));
        cm_progress(m->next, m->cells.n, "cells");
    }
    if (m->runs.repeated)
        cm_warn("%s: %" PRIu64 " entries repeated a row and column and were %s", m->files.matrix,
                m->runs.repeated, m->runs.pattern ? "taken once" : "added up");
    for (size_t k = 0; k < n; k++)
        cm_chunk_free(&chunk[k]);
    cm_free(chunk);
    cm_free(w);
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_mtx m;
    size_t n;
    struct job *job = make_jobs(&n);
    o.want.cells = (enum cm_mtx_cells)o.cells;
    cm_try(cm_mtx_open(&m, in[0], &o.want));
    for (size_t k = 0; k < m.warnings.n; k++)
        cm_warn("%s", cm_strs_get(&m.warnings, k));
    cm_warn_repeats(m.files.features, m.renamed, m.repeated);
    size_t *type = CM_NEW(n, size_t);
    note_files(&m.files);
    for (size_t k = 0; k < n; k++)
        if (job[k].type)
            cm_try(cm_mtx_type(&m, job[k].type, &type[k]));
        else
            type[k] = only_type(&m);
    load(&m);
    pass(&m, job, type, n);
    cm_mtx_close(&m);
    for (size_t k = 0; k < n; k++)
        cm_free(job[k].type);
    cm_free(job);
    cm_free(type);
    return cm_finish();
}
