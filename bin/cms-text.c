/* cms-text - a stream as tab-separated text, and back.
 *
 * In:  a stream of any kind and state, or with --from the text of one.
 * Out: text, or with --from the stream.  Values are those that the stream means (lazy transforms
 *      applied), printed so that they read back to the same bits.  The form: cms-text(1),
 *      stream/tsv.h.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "cli/cli.h"
#include "match/best.h"
#include "stream/tsv.h"

static struct {
    bool from, head, cols, labels, triplets, pairs, bare;
} o;

static const struct cm_opt options[] = {
    CM_OPT_FLAG("from", 0, &o.from, "read text, write the stream"),
    CM_OPT_FLAG("head", 0, &o.head, "HEAD alone: key, value"),
    CM_OPT_FLAG("cols", 0, &o.cols, "the column table alone"),
    CM_OPT_FLAG("labels", 0, &o.labels, "the row table alone: name, labels"),
    CM_OPT_FLAG("triplets", 0, &o.triplets, "row, column, value"),
    CM_OPT_FLAG("pairs", 0, &o.pairs,
                "of a match: cell, partner, probability, margin to the second"),
    CM_OPT_FLAG("bare", 0, &o.bare, "rows alone, no lines that begin with #"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "cms-text", "[IN.cms]",     "show a stream as text, and read it back", options, 0,
    1,          CM_TOOL_DEFAULT};

static FILE *text;

/* Prints and empties the buffer. */
static void print(struct cm_buf *b)
{
    if (b->n && fwrite(b->p, 1, b->n, text) != b->n) {
        cm_fail_errno(CM_ESYSTEM, "%s: cannot write", cm_output() ? cm_output() : "stdout");
        cm_die_code(CM_ESYSTEM);
    }
    b->n = 0;
}

static void print_cols(const struct cm_head *h, struct cm_buf *b)
{
    for (size_t k = 0; k < h->nslots; k++) {
        if (h->nslots > 1)
            cm_buf_printf(b, "#slot\t%s\n", h->slot[k].name);
        cm_tsv_cols(h, k, b);
    }
}

static int to_text(const char *path)
{
    struct cm_reader *r = cm_in_open(path);
    const struct cm_head *h = cm_reader_head(r);
    struct cm_buf b = {0};
    struct cm_chunk c = {0};
    struct cm_tsv t;
    text = cm_out_text();
    if (o.head || o.cols) { /* what stands in front is enough: the rest is not read */
        if (o.head)
            cm_tsv_keys(h, &b);
        else
            print_cols(h, &b);
        print(&b);
        cm_buf_free(&b);
        return cm_finish();
    }
    cm_tsv_make(&t, h);
    if (o.pairs) {
        cm_require_kind(r, CM_MATCH);
        cm_best_head(h, &b);
    }
    bool whole = !o.triplets && !o.bare && !o.labels && !o.pairs;
    if (whole)
        cm_tsv_head(&t, h, &b);
    if (o.labels)
        cm_tsv_labels_head(h, &b);
    while (cm_next(r, &c)) {
        if (o.labels)
            cm_tsv_labels(h, &c, &b);
        else if (o.pairs)
            cm_best_rows(h, &c, &b);
        else if (o.triplets)
            cm_tsv_triplets(h, &c, &b);
        else
            cm_tsv_chunk(&t, h, &c, o.bare, &b);
        print(&b);
    }
    if (whole)
        cm_tsv_end(&b);
    print(&b);
    cm_tsv_free(&t);
    cm_buf_free(&b);
    cm_chunk_free(&c);
    return cm_finish();
}

static int from_text(const char *path)
{
    bool dash = !strcmp(path, "-");
    FILE *file = dash ? stdin : fopen(path, "r");
    struct cm_tsv_in *in;
    struct cm_chunk c = {0};
    int more;
    if (!file) {
        cm_fail_errno(CM_ESYSTEM, "%s", path);
        cm_die_code(CM_ESYSTEM);
    }
    cm_try(cm_tsv_open(&in, file, dash ? "stdin" : path));
    struct cm_writer *w = cm_out_open(cm_tsv_in_head(in));
    while ((more = cm_tsv_next(in, &c)) > 0)
        cm_try(cm_writer_chunk(w, &c, cm_tsv_in_head(in)));
    cm_try(more);
    cm_tsv_close(in);
    cm_chunk_free(&c);
    if (!dash)
        fclose(file);
    return cm_finish();
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    if (o.from + o.head + o.cols + o.labels + o.triplets + o.pairs + o.bare > 1)
        cm_usage_error("--from, --head, --cols, --labels, --triplets, --pairs and --bare exclude "
                       "each other");
    return o.from ? from_text(in[0]) : to_text(in[0]);
}
