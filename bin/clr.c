/* clr - centred log-ratios of counts, for antibody-derived tags.
 *
 * In: one matrix slot, state counts, sparse or dense.  Out: state clr; method seurat keeps the
 * counts and sends factors (lazy values), the others are dense and plain.  The formulas are
 * prep/clr.c, the rest prep/norm*.c and the frame cli/normal.c.  Within cells (--margin cells) the
 * input is read once; within features their geometric means need a pass of their own (a pipe is
 * spooled), or --like.  Memory: one block, dense for the dense methods, and 32 bytes a column.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "cli/normal.h"

static struct {
    const char *method;
    int margin;
} o;
static struct cm_normal shared;

static const struct cm_opt options[] = {
    CM_OPT_STR("method", 'm', &o.method, "seurat", "seurat|stoeckius|plain", "the formula"),
    CM_OPT_CHOICE("margin", 0, &o.margin, "cells", "cells|features",
                  "geometric means within each cell, or within each feature"),
    CM_NORMAL_OPTIONS(shared),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "clr", "[IN.cms]", "centred log-ratios of counts", options, 0, 1, CM_TOOL_DEFAULT};

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_norm n = {.tool = "clr", .table = cm_clr_methods, .scale = NAN};
    char name[64];
    if (strchr(o.method, '-'))
        cm_usage_error("--method: expected one of %s, found '%s'", options[0].metavar, o.method);
    if (shared.like && cm_given("method") != cm_given("margin"))
        cm_usage_error("with --like give both of --method and --margin, or neither");
    snprintf(name, sizeof name, "%s-%s", o.method, o.margin ? "features" : "cells");
    n.method = cm_normal_method(&n, &shared, cm_given("method"), name, options[0].metavar);
    return cm_normal_run(&n, &shared, in[0]);
}
