/* cms-cat - streams one behind the other, and rows or columns of them.
 *
 * In:  streams of kind matrix, embedding or match, any state, that fit together (stream/join.h).
 * Out: one stream of that kind and state: the rows that meet every condition, in order; columns
 *      all, or those of a list in the order of the list; categories of labels merged and re-coded.
 * Tensors go through once; inputs whose tensors differ do not belong together.  O(block) memory,
 * except --shuffle, which holds the rows it keeps.
 */
#include <inttypes.h>
#include <string.h>

#include "base/error.h"
#include "base/hash.h"
#include "base/lines.h"
#include "base/mem.h"
#include "base/pool.h"
#include "base/rng.h"
#include "base/text.h"
#include "cli/cli.h"
#include "cli/conditions.h"
#include "prep/where.h"
#include "stream/join.h"

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

struct list {
    struct cm_strs names;
    struct cm_index index;
    bool *seen;
};

static struct input {
    struct cm_reader *r;
    const struct cm_head *h; /* the reader's: its dictionaries grow */
    struct cm_head shown;    /* the same with the columns that are kept */
    uint32_t *map[CM_MAX_SLOTS];
    struct cm_where *where, *except;
    struct cm_join_codes codes;
} * input;
static size_t inputs;
static struct {
    struct cm_strs names;
    struct cm_index index;
    uint64_t *hash;
    size_t capacity;
} tensors;                             /* written so far */
static uint64_t from, to = UINT64_MAX; /* rows of all */

/* "A:B", either end may be left out. */
static void parse_rows(const char *text)
{
    char *copy = cm_strdup(text), *colon = strchr(copy, ':');
    if (colon)
        *colon = 0;
    if (!colon || (*copy && !cm_parse_u64(copy, &from)) ||
        (colon[1] && !cm_parse_u64(colon + 1, &to)) || from > to)
        cm_usage_error("--rows: expected A:B with A <= B, found '%s'", text);
    cm_free(copy);
}

/* Names, one a line; blank lines are none. */
static void load_list(struct list *l, const char *path)
{
    struct cm_lines lines = {0};
    cm_try(cm_lines_read(&lines, path));
    for (size_t k = 0; k < lines.n; k++) {
        char *rest = lines.line[k];
        const char *name = cm_lines_field(&rest, '\n');
        if (*name)
            cm_strs_add(&l->names, name);
    }
    cm_lines_free(&lines);
    cm_index_make(&l->index, &l->names);
    l->seen = CM_ZNEW(bool, l->names.n + 1);
}

static struct {
    struct list old;
    struct cm_strs new_names;
} renamed;

static void load_renamed(const char *path)
{
    struct cm_lines lines = {0};
    cm_try(cm_lines_read(&lines, path));
    for (size_t k = 0; k < lines.n; k++) {
        char *rest = lines.line[k];
        if (!*rest)
            continue;
        const char *old = cm_lines_field(&rest, '\t'), *name = cm_lines_field(&rest, '\t');
        if (!*old || !name || !*name || rest)
            cm_die(3, "%s: line %zu: expected old and new name, separated by a tab", path, k + 1);
        cm_strs_add(&renamed.old.names, old);
        cm_strs_add(&renamed.new_names, name);
    }
    cm_lines_free(&lines);
    cm_index_make(&renamed.old.index, &renamed.old.names);
    renamed.old.seen = CM_ZNEW(bool, renamed.old.names.n + 1);
    if (renamed.old.index.duplicate != CM_ABSENT)
        cm_die(3, "%s: '%s' occurs twice", path,
               cm_strs_get(&renamed.old.names, renamed.old.index.duplicate));
}

/* Rows that the file does not name keep theirs. */
static void rename_rows(struct cm_strs *names)
{
    struct cm_strs out = {0};
    for (size_t i = 0; i < names->n; i++) {
        const char *name = cm_strs_get(names, i);
        size_t at = cm_index_find(&renamed.old.index, name);
        cm_strs_add(&out, at == CM_ABSENT ? name : cm_strs_get(&renamed.new_names, at));
        if (at != CM_ABSENT)
            renamed.old.seen[at] = true;
    }
    cm_strs_free(names);
    *names = out;
}

/* The columns of `l` in every slot of the input; a name that is in none of them is an error. */
static void select_columns(struct input *in, const struct list *l)
{
    if (l->index.duplicate != CM_ABSENT)
        cm_die(3, "%s: '%s' occurs twice", o.columns, cm_strs_get(&l->names, l->index.duplicate));
    if (in->h->kind == CM_MATCH && in->h->slot[0].state == CM_S_PROBABILITY)
        cm_die(3, "%s: rows of match probabilities must sum to 1, columns cannot be taken out",
               cm_reader_path(in->r));
    bool *found = CM_ZNEW(bool, l->names.n + 1);
    for (size_t k = 0; k < in->h->nslots; k++) {
        cm_try(cm_cols_unique(&in->h->slot[k].cols, cm_reader_path(in->r)));
        const struct cm_strs *names = &in->h->slot[k].cols.names;
        struct cm_index x;
        cm_index_make(&x, names);
        in->map[k] = CM_NEW(uint32_t, names->n + 1);
        memset(in->map[k], 0xff, names->n * sizeof(uint32_t));
        uint64_t *at = CM_NEW(uint64_t, l->names.n + 1);
        size_t n = 0;
        for (size_t j = 0; j < l->names.n; j++) {
            size_t c = cm_index_find(&x, cm_strs_get(&l->names, j));
            if (c == CM_ABSENT)
                continue;
            found[j] = true;
            in->map[k][c] = (uint32_t)n;
            at[n++] = c;
        }
        cm_cols_select(&in->shown.slot[k].cols, at, n);
        cm_index_free(&x);
        cm_free(at);
    }
    for (size_t j = 0; j < l->names.n; j++)
        if (!found[j])
            cm_die(3, "%s: no column '%s' (of %s)", cm_reader_path(in->r),
                   cm_strs_get(&l->names, j), o.columns);
    cm_free(found);
}

/* --shard as --rows: counts the rows first, in a pass of its own where heads do not tell. */
static void find_shard(void)
{
    uint64_t i = 0, n = 0, all = 0;
    char *copy = cm_strdup(o.shard), *slash = strchr(copy, '/');
    if (slash)
        *slash = 0;
    if (!slash || !cm_parse_u64(copy, &i) || !cm_parse_u64(slash + 1, &n) || i < 1 || i > n)
        cm_usage_error("--shard: expected I/N with 1 <= I <= N, found '%s'", o.shard);
    cm_free(copy);
    for (size_t k = 0; k < inputs; k++) {
        if (!input[k].h->slot[0].rows) {
            cm_try(cm_reader_keep(input[k].r));
            cm_try(cm_reader_drain(input[k].r));
            all += cm_reader_rows(input[k].r, 0);
            cm_try(cm_reader_rewind(input[k].r));
        } else {
            all += input[k].h->slot[0].rows;
        }
    }
    from = cm_shard_begin(all, n, i - 1);
    to = cm_shard_begin(all, n, i);
}

static struct cm_where *bind(const struct cm_list *l, const struct input *in)
{
    struct cm_where *w = CM_ZNEW(struct cm_where, l->n + 1);
    for (size_t k = 0; k < l->n; k++) {
        cm_try(cm_where_parse(&w[k], l->v[k]));
        cm_try(cm_fail_in(cm_where_bind(&w[k], in->h), cm_reader_path(in->r)));
    }
    return w;
}

static void open_input(struct input *in, const char *path, const struct list *columns)
{
    in->r = cm_in_open(path);
    in->h = cm_reader_head(in->r);
    if (in->h->kind == CM_PAIRS || in->h->kind == CM_MODEL || in->h->kind == CM_TABLE ||
        !in->h->nslots)
        cm_die(3, "%s: expected a matrix, an embedding or a match, found kind %s", path,
               cm_kind_name(in->h->kind));
    cm_head_copy(&in->shown, in->h);
    if (o.columns)
        select_columns(in, columns);
    in->where = bind(&o.where, in);
    in->except = bind(&o.except, in);
}

/* Takes from the chunk what is asked for. */
static void choose(struct cm_chunk *c, const struct input *in, uint64_t first, struct list *names)
{
    uint64_t *at = CM_NEW(uint64_t, c->rows + 1);
    size_t n = 0;
    for (size_t i = 0; i < c->rows; i++) {
        bool keep = first + i >= from && first + i < to;
        for (size_t k = 0; k < o.where.n; k++) /* all are asked: they remember what they met */
            keep &= cm_where_row(&in->where[k], in->h, c, i);
        for (size_t k = 0; k < o.except.n; k++)
            keep &= !cm_where_row(&in->except[k], in->h, c, i);
        if (keep && o.names) {
            size_t place = cm_index_find(&names->index, cm_strs_get(&c->names, i));
            keep = place != CM_ABSENT;
            if (keep)
                names->seen[place] = true;
        }
        if (keep)
            at[n++] = i;
    }
    if (n < c->rows)
        cm_chunk_take(c, at, n);
    for (size_t k = 0; o.columns && k < in->h->nslots; k++)
        cm_block_map_columns(&c->block[k], in->map[k], in->shown.slot[k].cols.names.n);
    cm_free(at);
}

static void write_shuffled(struct cm_writer *w, const struct cm_chunk *all, const struct cm_head *h)
{
    struct cm_rng g = cm_rng_make(cm_seed(), CM_RNG_SAMPLE, 0, 0);
    uint64_t *order = CM_NEW(uint64_t, all->rows + 1);
    struct cm_chunk c = {0};
    for (size_t i = 0; i < all->rows; i++)
        order[i] = i;
    cm_rng_shuffle(&g, order, all->rows);
    for (size_t i = 0; i < all->rows; i += CM_BLOCK_ROWS) {
        size_t left = all->rows - i;
        cm_join_take(&c, all, h, order + i, left < CM_BLOCK_ROWS ? left : CM_BLOCK_ROWS);
        cm_try(cm_writer_chunk(w, &c, h));
    }
    cm_chunk_free(&c);
    cm_free(order);
}

/* Tensors (the components of svd) go out once: an input that has another one of that name does not
 * belong to the same fit. */
static void copy_tensor(struct cm_writer *w, struct cm_chunk *c, const struct cm_reader *r)
{
    const struct cm_tensor *t = c->tensor;
    uint64_t hash = cm_hash64(t->data, (size_t)t->n * cm_value_size(t->type), t->n);
    cm_index_extend(&tensors.index, &tensors.names);
    size_t k = cm_index_find(&tensors.index, t->name);
    if (k != CM_ABSENT) {
        if (tensors.hash[k] != hash)
            cm_die(3, "%s: tensor %s differs from that of an input before", cm_reader_path(r),
                   t->name);
        return;
    }
    CM_GROW(tensors.hash, tensors.capacity, tensors.names.n + 1);
    tensors.hash[tensors.names.n] = hash;
    cm_strs_add(&tensors.names, t->name);
    cm_try(cm_writer_chunk(w, c, NULL));
}

/* A value counts as met where any input has it. */
static void warn_missing(const char *option, size_t k, bool except)
{
    struct cm_where *w = except ? &input[0].except[k] : &input[0].where[k];
    for (size_t j = 1; j < inputs; j++) {
        const struct cm_where *other = except ? &input[j].except[k] : &input[j].where[k];
        for (size_t p = 0; p < w->values->part.n && p < other->values->part.n; p++)
            w->values->seen[p] |= other->values->seen[p];
    }
    cm_warn_missing(w, inputs == 1 ? cm_reader_path(input[0].r) : "all inputs", option);
}

/* Names of a list that no row has; repeated ones count once. */
static void warn_unseen(const struct list *l, const char *path)
{
    size_t missing = 0, all = 0, first = CM_ABSENT;
    for (size_t k = 0; k < l->names.n; k++) {
        if (cm_index_find(&l->index, cm_strs_get(&l->names, k)) != k)
            continue;
        all++;
        missing += !l->seen[k];
        first = first == CM_ABSENT && !l->seen[k] ? k : first;
    }
    if (missing)
        cm_warn("%zu of %zu names in %s are not among the rows (the first: '%s')", missing, all,
                path, cm_strs_get(&l->names, first));
}

static void free_input(struct input *in)
{
    cm_join_codes_free(&in->codes);
    for (size_t k = 0; k < CM_MAX_SLOTS; k++)
        cm_free(in->map[k]);
    for (size_t k = 0; k < o.where.n; k++)
        cm_where_free(&in->where[k]);
    for (size_t k = 0; k < o.except.n; k++)
        cm_where_free(&in->except[k]);
    cm_free(in->where);
    cm_free(in->except);
    cm_head_free(&in->shown);
}

static void free_list(struct list *l)
{
    if (l->seen)
        cm_index_free(&l->index);
    cm_strs_free(&l->names);
    cm_free(l->seen);
}

int main(int argc, char **argv)
{
    char **path = cm_start(&tool, argc, argv);
    struct list names = {0}, columns = {0};
    if (o.rows && o.shard)
        cm_usage_error("--rows and --shard exclude each other");
    if (o.rows)
        parse_rows(o.rows);
    if (o.names)
        load_list(&names, o.names);
    if (o.columns)
        load_list(&columns, o.columns);
    if (o.rename)
        load_renamed(o.rename);
    for (inputs = 0; path[inputs];)
        inputs++;
    input = CM_ZNEW(struct input, inputs);
    const struct cm_head **shown = CM_NEW(const struct cm_head *, inputs);
    for (size_t k = 0; k < inputs; k++) {
        open_input(&input[k], path[k], &columns);
        shown[k] = &input[k].shown;
    }
    if (o.shard)
        find_shard();

    struct cm_head out = {0};
    cm_try(cm_join_heads(&out, shown, (const char *const *)path, inputs));
    bool selects = o.rows || o.shard || o.names || o.where.n || o.except.n;
    for (size_t k = 0; k < out.nslots; k++) {
        if (selects)
            out.slot[k].rows = 0;
        if (o.materialize)
            out.slot[k].lazy = CM_LAZY_NO;
    }
    struct cm_writer *w = cm_out_open(&out);
    cm_writer_max_row(w, UINT64_MAX); /* the input's own limit was its writer's matter */
    struct cm_chunk c = {0}, all = {0};
    uint64_t row = 0, kept = 0;
    for (size_t k = 0; k < inputs; k++)
        while (cm_next(input[k].r, &c)) {
            if (c.is_tensor) {
                copy_tensor(w, &c, input[k].r);
                continue;
            }
            uint64_t first = row;
            row += c.rows;
            choose(&c, &input[k], first, &names);
            kept += c.rows;
            if (o.rename)
                rename_rows(&c.names);
            for (size_t s = 0; o.materialize && s < out.nslots; s++)
                cm_block_materialize(&c.block[s], &input[k].shown.slot[s]);
            cm_join_labels(&c, input[k].h, &out);
            if (o.shuffle)
                cm_join_append(&all, &c, input[k].h, &out, &input[k].codes);
            else
                cm_try(cm_writer_chunk(w, &c, input[k].h));
            cm_progress(row, out.slot[0].rows, "rows");
        }
    if (o.shuffle)
        write_shuffled(w, &all, &out);
    for (size_t k = 0; k < o.where.n; k++)
        warn_missing("where", k, false);
    for (size_t k = 0; k < o.except.n; k++)
        warn_missing("except", k, true);
    if (o.names)
        warn_unseen(&names, o.names);
    if (o.rename && !selects)
        warn_unseen(&renamed.old, o.rename);
    if (row && !kept)
        cm_warn("none of %" PRIu64 " rows is kept", row);
    for (size_t k = 0; k < inputs; k++)
        free_input(&input[k]);
    cm_free(input);
    cm_free(shown);
    cm_head_free(&out);
    cm_chunk_free(&c);
    cm_chunk_free(&all);
    free_list(&names);
    free_list(&renamed.old);
    cm_strs_free(&renamed.new_names);
    free_list(&columns);
    cm_strs_free(&tensors.names);
    cm_index_free(&tensors.index);
    cm_free(tensors.hash);
    return cm_finish();
}
