/* cms-cat - concatenate streams; select rows or columns.
 *
 * In:  streams of kind matrix, embedding or match, any state, that fit together (stream/join.h).
 * Out: one stream of that kind and state: the rows that meet every condition, in order; columns
 *      all, or those of a list in the order of the list; categories of labels merged and re-coded.
 * Tensors go through once; inputs whose tensors differ do not belong together.  O(block) memory,
 * except --shuffle, which holds the rows it keeps.
 */
#include <inttypes.h>
#include <string.h>

#include "base/mem.h"
#include "base/rng.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/conditions.h"
#include "prep/concat.h"

static struct {
    const char *rows, *names, *columns, *shard, *rename;
    struct cm_list where, except;
    bool shuffle, materialize;
} o;

static const struct cm_opt options[] = {
    CM_OPT_STR("rows", 0, &o.rows, NULL, "A:B", "rows A to B-1 of all, from 0"),
    CM_OPT_LIST("where", 0, &o.where, "LABEL=VALUE[,VALUE...]",
                "rows whose label is one of these; repeated: all must hold"),
    CM_OPT_LIST("except", 0, &o.except, "LABEL=VALUE[,VALUE...]",
                "not the rows whose label is one of these"),
    CM_OPT_INPUT("names", 0, &o.names, "FILE", "rows whose name is a line of FILE"),
    CM_OPT_INPUT("rename", 0, &o.rename, "FILE.tsv",
                 "new names of rows: lines of old and new name, separated by a tab"),
    CM_OPT_INPUT("columns", 0, &o.columns, "FILE", "these columns, one name a line, in this order"),
    CM_OPT_STR("shard", 0, &o.shard, NULL, "I/N", "part I of N equal parts, I from 1"),
    CM_OPT_FLAG("shuffle", 0, &o.shuffle, "random order of the rows kept; holds them in memory"),
    CM_OPT_FLAG("materialize", 0, &o.materialize, "write lazy values as plain f32"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "cms-cat", "[IN.cms ...]", "concatenate streams, select rows and columns", options, 0,
    -1,        CM_TOOL_SEED};

static struct cm_selection want = {.to = UINT64_MAX};
static struct cm_names names, columns, old_names;
static struct cm_strs new_names;

/* "A:B", either end may be left out. */
static void parse_rows(const char *text)
{
    char *copy = cm_strdup(text), *colon = strchr(copy, ':');
    if (colon)
        *colon = 0;
    if (!colon || (*copy && !cm_parse_u64(copy, &want.from)) ||
        (colon[1] && !cm_parse_u64(colon + 1, &want.to)) || want.from > want.to)
        cm_usage_error("--rows: expected A:B with A <= B, found '%s'", text);
    cm_free(copy);
}

/* "I/N" */
static void find_shard(const char *text, struct cm_reader *const *in, size_t inputs)
{
    uint64_t part = 0, n = 0;
    char *copy = cm_strdup(text), *slash = strchr(copy, '/');
    if (slash)
        *slash = 0;
    if (!slash || !cm_parse_u64(copy, &part) || !cm_parse_u64(slash + 1, &n) || part < 1 ||
        part > n)
        cm_usage_error("--shard: expected I/N with 1 <= I <= N, found '%s'", text);
    cm_free(copy);
    cm_try(cm_concat_shard(&want, in, inputs, part, n));
}

static void read_lists(void)
{
    want.where = o.where.v;
    want.nwhere = o.where.n;
    want.except = o.except.v;
    want.nexcept = o.except.n;
    want.materialize = o.materialize;
    if (o.names) {
        cm_try(cm_names_read(&names, o.names));
        want.names = &names;
    }
    if (o.columns) {
        cm_try(cm_names_read(&columns, o.columns));
        want.columns = &columns;
        want.columns_path = o.columns;
    }
    if (o.rename) {
        cm_try(cm_names_read_pairs(&old_names, &new_names, o.rename));
        want.rename = &old_names;
        want.new_names = &new_names;
    }
}

static struct cm_reader **open_all(char **path, size_t *n)
{
    for (*n = 0; path[*n];)
        ++*n;
    struct cm_reader **r = CM_NEW(*n, struct cm_reader *);
    for (size_t k = 0; k < *n; k++)
        r[k] = cm_in_open(path[k]);
    return r;
}

/* ===== rows =============================================================================== */

static void write_in_order(struct cm_concat *x, struct cm_writer *w)
{
    struct cm_chunk c = {0};
    int more;
    while ((more = cm_concat_next(x, &c)) > 0) {
        if (x->as_read && x->out.nslots == 1)
            cm_writer_reuse(w, x->input[x->at].r);
        cm_try(cm_writer_chunk(w, &c, x->input[x->at].h));
        cm_progress(x->row, x->out.slot[0].rows, "rows");
    }
    cm_try(more);
    cm_chunk_free(&c);
}

/* All rows in memory. */
static void gather(struct cm_concat *x, struct cm_writer *w, struct cm_chunk *all)
{
    struct cm_chunk c = {0};
    struct cm_join_codes *codes = CM_ZNEW(x->n, struct cm_join_codes);
    int more;
    while ((more = cm_concat_next(x, &c)) > 0) {
        if (c.is_tensor)
            cm_try(cm_writer_chunk(w, &c, NULL));
        else
            cm_join_append(all, &c, x->input[x->at].h, &x->out, &codes[x->at]);
        cm_progress(x->row, x->out.slot[0].rows, "rows");
    }
    cm_try(more);
    for (size_t k = 0; k < x->n; k++)
        cm_join_codes_free(&codes[k]);
    cm_free(codes);
    cm_chunk_free(&c);
}

static void write_shuffled(struct cm_concat *x, struct cm_writer *w)
{
    struct cm_chunk c = {0}, all = {0};
    gather(x, w, &all);
    struct cm_rng g = cm_rng_make(cm_seed(), CM_RNG_SAMPLE, 0, 0);
    uint64_t *order = CM_NEW(all.rows + 1, uint64_t);
    for (size_t i = 0; i < all.rows; i++)
        order[i] = i;
    cm_rng_shuffle(&g, order, all.rows);
    for (size_t i = 0; i < all.rows; i += CM_BLOCK_ROWS) {
        size_t left = all.rows - i;
        cm_join_take(&c, &all, &x->out, order + i, left < CM_BLOCK_ROWS ? left : CM_BLOCK_ROWS);
        cm_try(cm_writer_chunk(w, &c, &x->out));
    }
    cm_free(order);
    cm_chunk_free(&c);
    cm_chunk_free(&all);
}

/* ===== warnings =========================================================================== */

static void warn_conditions(struct cm_concat *x)
{
    const char *path = x->n == 1 ? cm_reader_path(x->input[0].r) : "all inputs";
    for (size_t k = 0; k < o.where.n; k++)
        cm_warn_missing(cm_concat_condition(x, k, false), path, "where");
    for (size_t k = 0; k < o.except.n; k++)
        cm_warn_missing(cm_concat_condition(x, k, true), path, "except");
}

static void warn_unseen(const struct cm_names *l, const char *path)
{
    size_t all, first, missing = cm_names_unseen(l, &all, &first);
    if (missing)
        cm_warn("%zu of %zu names in %s are not among the rows (the first: '%s')", missing, all,
                path, cm_strs_get(&l->names, first));
}

int main(int argc, char **argv)
{
    char **path = cm_start(&tool, argc, argv);
    struct cm_concat x = {0};
    size_t inputs;
    if (o.rows && o.shard)
        cm_usage_error("--rows and --shard exclude each other");
    if (o.rows)
        parse_rows(o.rows);
    read_lists();
    struct cm_reader **in = open_all(path, &inputs);
    if (o.shard)
        find_shard(o.shard, in, inputs);
    cm_try(cm_concat_open(&x, in, inputs, &want));
    struct cm_writer *w = cm_out_open(&x.out);
    cm_writer_max_row(w, UINT64_MAX); /* the input's own limit was its writer's matter */
    if (o.shuffle)
        write_shuffled(&x, w);
    else
        write_in_order(&x, w);

    warn_conditions(&x);
    if (o.names)
        warn_unseen(&names, o.names);
    if (o.rename && !o.rows && !o.shard && !o.names && !o.where.n && !o.except.n)
        warn_unseen(&old_names, o.rename);
    if (x.row && !x.kept)
        cm_warn("none of %" PRIu64 " rows is kept", x.row);
    cm_concat_free(&x);
    cm_free(in);
    cm_names_free(&names);
    cm_names_free(&columns);
    cm_names_free(&old_names);
    cm_strs_free(&new_names);
    return cm_finish();
}
