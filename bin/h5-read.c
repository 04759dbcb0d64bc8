/* h5-read - an .h5ad, .h5mu, .loom or 10x .h5 file as a matrix stream.
 *
 * In: an HDF5 file (a pipe is read into memory).  Out: kind matrix, one slot, state counts if all
 * values are whole and not negative, else unknown, or what --state says; obs columns as labels, var
 * columns as column columns, places under the reserved names chrom, start, end, tss.  Several
 * feature types of one matrix leave in one pass (--to).  --match and --pairs read the competition's
 * predictions and solutions.  Values are not changed: whole numbers and floats arrive exactly.
 */
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mem.h"
#include "base/pool.h"
#include "cli/cli.h"
#include "cli/conditions.h"
#include "format/hdf5/source.h"

static struct {
    const char *layer, *obsm, *type, *genome, *labels, *cell_names, *feature_names;
    struct cm_list where, to;
    bool list, match, pairs, plugins, make_unique;
    int state, encoding;
    uint64_t max_memory;
} o;

static const struct cm_opt options[] = {
    CM_OPT_STR("layer", 0, &o.layer, "X", "NAME", "the matrix: X, raw or a layer's name"),
    CM_OPT_STR("obsm", 0, &o.obsm, NULL, "NAME", "the matrix obsm/NAME in place of X"),
    CM_OPT_STR("type", 0, &o.type, NULL, "TYPE", "features of this type alone"),
    CM_OPT_OUTPUTS("to", 0, &o.to, "TYPE=OUT", "write this type to OUT (repeatable)"),
    CM_OPT_STR("genome", 0, &o.genome, NULL, "NAME", "10x: features of this genome alone"),
    CM_OPT_STR("labels", 0, &o.labels, "all", "LIST", "labels to take: A,B, all or none"),
    CM_OPT_STR("cell-names", 0, &o.cell_names, NULL, "NAME",
               "loom: the attribute that names the cells"),
    CM_OPT_STR("feature-names", 0, &o.feature_names, NULL, "NAME",
               "loom, 10x: what names the features (10x: name for symbols); --obsm: a list in uns"),
    CM_OPT_CHOICE("encoding", 0, &o.encoding, "utf8", "utf8|latin1",
                  "of text that is not UTF-8: refuse it, or convert it from Latin-1"),
    CM_OPT_LIST("where", 0, &o.where, "LABEL=VALUE[,VALUE...]",
                "cells with one of these values alone (repeatable)"),
    CM_OPT_FLAG("make-unique", 0, &o.make_unique,
                "repeated names of features get numbers: name, name-1, name-2"),
    CM_OPT_CHOICE(
        "state", 0, &o.state, NULL,
        "unknown|counts|binary|lognorm|sqrt|tfidf|clr|scaled|svd|embedding|similarity|probability",
        "what the values are, in place of a guess"),
    CM_OPT_FLAG("list", 0, &o.list, "print what is in the file as TSV"),
    CM_OPT_FLAG("match", 0, &o.match, "read a prediction: kind match"),
    CM_OPT_FLAG("pairs", 0, &o.pairs, "print a solution's pairs as TSV"),
    CM_OPT_SIZE("max-memory", 0, &o.max_memory, "1G", 4096, 0x1p50, "SIZE",
                "memory for transposing a matrix stored by columns"),
    CM_OPT_FLAG("plugins", 0, &o.plugins, "let HDF5 load filter plugins"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "h5-read", "[FILE[/MODALITY]]", "read .h5ad, .h5mu, .loom and 10x .h5 files", options, 0,
    1,         CM_TOOL_DEFAULT};

/* An output: a type of the file (NULL = all of it) and where it goes (NULL = -o). */
struct job {
    char *type;
    const char *out;
    size_t features; /* of which type, or CM_ALL_TYPES */
    struct cm_writer *w;
    bool done;
};

static void say_warnings(struct cm_h5 *h)
{
    for (size_t k = 0; k < h->warnings.n; k++)
        cm_warn("%s", cm_strs_get(&h->warnings, k));
    cm_strs_clear(&h->warnings);
}

static struct job *make_jobs(size_t *n)
{
    if (o.to.n && (o.type || cm_output()))
        cm_usage_error("--to names types and files; --type and -o do not go with it");
    if (o.to.n && (o.match || o.list || o.pairs))
        cm_usage_error("--to writes matrices; --match, --list and --pairs do not go with it");
    if (o.obsm && (cm_given("layer") || o.match || o.list || o.pairs))
        cm_usage_error("--obsm names the matrix; --layer, --match, --list and --pairs do not go "
                       "with it");
    if (o.match + o.list + o.pairs > 1)
        cm_usage_error("--match, --list and --pairs exclude one another");
    *n = o.to.n ? o.to.n : 1;
    struct job *job = CM_ZNEW(*n, struct job);
    job[0].type = o.type ? cm_strdup(o.type) : NULL;
    for (size_t k = 0; k < o.to.n; k++) {
        cm_try(cm_types_split(o.to.v[k], &job[k].type, &job[k].out));
    }
    return job;
}

/* The type that a job without one means: all features, if they are of one type. */
static size_t only_type(const struct cm_source *s)
{
    if (s->types.n > 1) {
        struct cm_buf b = {0};
        cm_types_print(&s->types, true, &b);
        cm_die(2, "%s: holds several feature types: %s; choose with --type or --to", s->file->name,
               (const char *)b.p);
    }
    bool all = true; /* another genome's features are of none */
    for (size_t j = 0; j < s->cols.names.n; j++)
        all = all && s->types.of[j] == 0;
    return all ? CM_ALL_TYPES : 0;
}

static void open_outputs(struct cm_source *s, struct job **job, size_t n)
{
    uint64_t longest = 0;
    const char *why = NULL;
    if (cm_given("state")) {
        s->state = (enum cm_state)o.state;
        s->state_known = true;
    }
    cm_try(o.match ? cm_source_match(s, &longest, &why) : cm_source_survey(s));
    if (why)
        cm_warn("%s: %s: the match gets state similarity, not probability", s->file->name, why);
    if (longest > 1000 && !why)
        cm_warn("%s: a row has %" PRIu64 " entries, more than 1000", s->file->name, longest);
    for (size_t k = 0; k < n; k++) {
        struct cm_head head;
        const char *name = job[k]->features == CM_ALL_TYPES && !s->slot && job[k]->type
                               ? cm_slot_alias(job[k]->type)
                               : NULL;
        cm_try(cm_source_head(s, job[k]->features, o.match ? "match" : name, &head));
        if (o.match)
            head.kind = CM_MATCH;
        job[k]->w = job[k]->out ? cm_out_open_file(job[k]->out, &head) : cm_out_open(&head);
        if (longest > 1000)
            cm_writer_max_row(job[k]->w, longest);
        cm_head_free(&head);
    }
}

/* One pass over the cells of a source for all its jobs. */
static void pass(struct cm_source *s, struct job **job, size_t n)
{
    open_outputs(s, job, n);
    say_warnings(s->file);
    struct cm_chunk *chunk = CM_ZNEW(n, struct cm_chunk);
    size_t *type = CM_NEW(n, size_t);
    uint64_t cells = 0;
    for (size_t k = 0; k < n; k++)
        type[k] = job[k]->features;
    for (int more; (more = cm_source_next(s, type, n, chunk)) != 0;) {
        cm_try(more);
        for (size_t k = 0; k < n; k++)
            cm_try(cm_writer_chunk(job[k]->w, &chunk[k], NULL));
        cells += chunk[0].rows;
        cm_progress(s->next, s->obs.rows, "cells");
    }
    if (s->has_matrix && s->mat.summed)
        cm_warn("%s: %s: %" PRIu64 " entries repeated a row and column and were added up",
                s->file->name, s->mat.path, s->mat.summed);
    if (!s->has_matrix)
        cm_warn("%s: has no X; its rows have no entries", s->file->name);
    for (size_t k = 0; k < s->nwhere && s->obs.rows; k++) {
        struct cm_buf missing = {0};
        const char *label;
        cm_source_missing(s, k, &label, &missing);
        cm_warn_values(s->file->name, "where", label, &missing);
        cm_buf_free(&missing);
    }
    if (!cells && s->obs.rows)
        cm_warn("%s: no cell meets the conditions of --where", s->file->name);
    for (size_t k = 0; k < n; k++) {
        cm_chunk_free(&chunk[k]);
        job[k]->done = true;
    }
    cm_free(chunk);
    cm_free(type);
}

/* Serves the jobs that this source can serve; must = fail for one that it cannot. */
static void serve(struct cm_h5 *h, const char *modality, struct job *job, size_t n, bool must)
{
    struct cm_source s;
    struct cm_source_want want = {.modality = modality,
                                  .layer = o.layer,
                                  .genome = o.genome,
                                  .max_memory = o.max_memory,
                                  .obsm = o.obsm,
                                  .cell_names = o.cell_names,
                                  .feature_names = o.feature_names};
    cm_try(cm_source_open(&s, h, &want));
    struct job **mine = CM_ZNEW(n, struct job *);
    size_t m = 0;
    for (size_t k = 0; k < n; k++) {
        int code = 0;
        if (job[k].done)
            continue;
        if (job[k].type)
            code = cm_source_type(&s, job[k].type, &job[k].features);
        else
            job[k].features = o.match ? CM_ALL_TYPES : only_type(&s);
        if (must)
            cm_try(code);
        if (!code)
            mine[m++] = &job[k];
    }
    if (m && !o.match) {
        size_t renamed = o.make_unique ? cm_strs_make_unique(&s.cols.names) : 0;
        cm_warn_repeats(h->name, renamed, cm_strs_repeats(&s.cols.names));
    }
    if (m) {
        cm_try(cm_source_labels(&s, o.labels));
        for (size_t k = 0; k < o.where.n; k++)
            cm_try(cm_source_where(&s, o.where.v[k]));
        pass(&s, mine, m);
    }
    cm_free(mine);
    cm_source_close(&s);
}

static void read_matrices(struct cm_h5 *h, const char *modality, struct job *job, size_t n)
{
    enum cm_h5_format format;
    struct cm_strs names = {0};
    cm_try(cm_h5_format_of(h, &format));
    if (format == CM_H5_MUDATA && !modality)
        cm_try(cm_h5_modalities(h, &names));
    if (names.n <= 1 || !job[0].type) {
        serve(h, names.n == 1 ? cm_strs_get(&names, 0) : modality, job, n, true);
    } else {
        for (size_t k = 0; k < names.n; k++)
            serve(h, cm_strs_get(&names, k), job, n, false);
        for (size_t k = 0; k < n; k++)
            if (!job[k].done)
                cm_die(3, "%s: no modality is or holds features of type %s", h->name, job[k].type);
    }
    cm_strs_free(&names);
}

static void print_list(struct cm_h5 *h, const char *modality)
{
    struct cm_buf b = {0};
    cm_try(cm_h5_list(h, modality, &b));
    say_warnings(h);
    FILE *out = cm_out_text();
    fwrite(b.p, 1, b.n, out);
    cm_buf_free(&b);
}

static void print_pairs(struct cm_h5 *h)
{
    struct cm_source s;
    struct cm_source_want want = {.layer = o.layer, .max_memory = o.max_memory};
    uint64_t *row2, n;
    cm_try(cm_source_open(&s, h, &want));
    cm_try(cm_source_pairs(&s, &row2, &n));
    FILE *out = cm_out_text();
    fputs("row1\trow2\n", out);
    for (uint64_t i = 0; i < n; i++)
        fprintf(out, "%" PRIu64 "\t%" PRIu64 "\n", i, row2[i]);
    cm_free(row2);
    cm_source_close(&s);
}

/* The memory that a file may make us take: see MEMORY in the man page. */
static uint64_t allowed(uint64_t file_size)
{
    return ((uint64_t)512 << 20) + o.max_memory + 4 * file_size + cm_pool_threads() * (16 << 20);
}

static void open_file(struct cm_h5 *h, const char *file)
{
    struct stat s;
    bool regular = strcmp(file, "-") && !stat(file, &s) && S_ISREG(s.st_mode);
    cm_guard_file(regular ? file : "stdin", regular ? allowed((uint64_t)s.st_size) : 0);
    cm_h5_watch(10);
    cm_try(cm_h5_open(h, file, o.plugins));
    h->latin1 = o.encoding == 1;
    if (!regular)
        cm_guard_file(h->name, allowed(2 * h->image));
}

int main(int argc, char **argv)
{
    cm_guard_start(tool.name);
    char **in = cm_start(&tool, argc, argv), *file, *modality;
    struct cm_h5 h;
    size_t n;
    cm_h5_split_path(in[0], &file, &modality);
    struct job *job = make_jobs(&n);
    open_file(&h, file);
    if (o.list)
        print_list(&h, modality);
    else if (o.pairs)
        print_pairs(&h);
    else
        read_matrices(&h, modality, job, n);
    say_warnings(&h);
    cm_try(cm_h5_trouble(&h));
    cm_try(cm_h5_unchanged(&h));
    cm_h5_close(&h);
    cm_guard_done();
    for (size_t k = 0; k < n; k++)
        cm_free(job[k].type);
    cm_free(job);
    cm_free(file);
    cm_free(modality);
    return cm_finish();
}
