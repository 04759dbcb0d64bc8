/* lognorm - log-normalise counts, one row at a time.
 *
 * In: one matrix slot, state counts.  Out: the same counts with a row factor each (lazy values;
 * pflog: plain ones), state lognorm (sqrt, scaled), the constants in HEAD as fit.*.  Value = post
 * f(row_i x_ij); the formulas are prep/lognorm.c, their fitting and applying prep/norm*.c, the
 * frame cli/normal.c.  Methods with a fitted total read the cells two or three times (a pipe is
 * spooled), the others once.  Memory: one block, and 8 bytes a cell for a median or mean.
 */
#include <math.h>

#include "cli/normal.h"

static struct {
    const char *method, *label;
    double target, fraction, overdispersion;
    bool median_all;
} o;
static struct cm_normal shared;

static const struct cm_opt options[] = {
    CM_OPT_STR("method", 'm', &o.method, "seurat",
               "seurat|scanpy|scran|size-factors|cpm|sqrt|exclude-high|shifted-log|pflog",
               "the formula"),
    CM_OPT_REAL(
        "target", 0, &o.target, NULL, 1e-6, 1e12, "TOTAL",
        "total that every cell is scaled to (seurat 1e4, cpm 1e6; scanpy, exclude-high, sqrt: the "
        "median total)"),
    CM_OPT_STR("size-factors", 0, &o.label, NULL, "LABEL",
               "divide by this label (size-factors, scran)"),
    CM_OPT_FLAG("median-all", 0, &o.median_all,
                "empty cells take part in the median (scanpy before 2026)"),
    CM_OPT_REAL("max-fraction", 0, &o.fraction, NULL, 1e-9, 1, "F",
                "exclude-high: genes above this share of a cell do not count in totals (0.05)"),
    CM_OPT_REAL("overdispersion", 0, &o.overdispersion, NULL, 1e-3, 1e3, "A",
                "shifted-log: the pseudo-count is 1/(4 A) (0.05)"),
    CM_NORMAL_OPTIONS(shared),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "lognorm", "[IN.cms]", "log-normalise the counts of cells", options, 0, 1, CM_TOOL_DEFAULT};

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_norm n = {.tool = "lognorm",
                        .table = cm_lognorm_methods,
                        .scale = cm_given("target") ? o.target : NAN,
                        .median_all = o.median_all,
                        .label = o.label};
    if (cm_given("max-fraction") && cm_given("overdispersion"))
        cm_usage_error("--max-fraction and --overdispersion belong to different methods");
    if (cm_given("max-fraction") || cm_given("overdispersion")) {
        n.param = cm_given("max-fraction") ? "max-fraction" : "overdispersion";
        n.value = cm_given("max-fraction") ? o.fraction : o.overdispersion;
    }
    bool given = cm_given("method");
    const char *name = o.label && !given ? "size-factors" : o.method;
    n.method = cm_normal_method(&n, &shared, given, name, options[0].metavar);
    return cm_normal_run(&n, &shared, in[0]);
}
