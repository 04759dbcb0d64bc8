/* @tool@ - one line: what it does to cells.
 *
 * Problem: ...
 * Input: kind matrix, state ...; output: kind matrix, state ...
 * Formula: ... (source)
 * Choice: ...  Rejected: ...
 */
#error "decide the comment above, then remove this line"
#include "cli/cli.h"

static struct {
    double scale;
} o;

#error "decide the options: a new technique is a new tool, a numeric variant is an option"
static const struct cm_opt options[] = {
    CM_OPT_REAL("scale", 0, &o.scale, "1", 1e-300, 1e300, "S", "multiply the values by S"),
    CM_OPT_END,
};
#error "decide the operands, the one-line description (= the man page's .Nd) and the flags"
static const struct cm_tool tool = {"@tool@", "[IN.cms]", "...", options, 0, 1, CM_TOOL_DEFAULT};

#error "decide where the mathematics goes: a function of lib/, with its unit test"
static void transform(struct cm_block *b, const struct cm_slot *s)
{
    cm_block_materialize(b, s);
    float *v = b->raw;
    for (uint64_t k = 0; k < b->nnz; k++)
        v[k] *= (float)o.scale;
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_reader *r = cm_in_open(in[0]);
#error "decide which kind and which states are welcome"
    static const int welcome[] = {CM_S_COUNTS, -1};
    cm_require_kind(r, CM_MATRIX);
    cm_require_state(r, 0, welcome, NULL);

#error "decide what changes in the head: state, fitted scalars (slot.fit) and vectors (slot.cols)"
    struct cm_head head = {0};
    cm_head_copy(&head, cm_reader_head(r));
    head.slot[0].state = CM_S_UNKNOWN;
    head.slot[0].lazy = CM_LAZY_NO;
    struct cm_writer *w = cm_out_open(&head);

    struct cm_chunk c = {0};
    while (cm_next(r, &c)) {
        transform(&c.block[0], &cm_reader_head(r)->slot[0]);
        cm_try(cm_writer_chunk(w, &c, cm_reader_head(r)));
        cm_progress(c.first + c.rows, cm_reader_head(r)->slot[0].rows, "cells");
    }
    cm_chunk_free(&c);
    cm_head_free(&head);
    return cm_finish();
}
