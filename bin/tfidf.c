/* tfidf - weigh peaks by how rare they are, within each cell's total.
 *
 * In: one matrix slot, state counts or binary.  Out: the same counts with a factor a row and a
 * factor a column (lazy values), state tfidf, the constants in HEAD and COLS as fit.*.  Value =
 * post_j f(row_i col_j x_ij); the formulas are prep/tfidf.c, their fitting and applying
 * prep/norm*.c, the frame cli/normal.c.  The weight of a peak needs all cells, so the input is read
 * twice (a pipe is spooled), or once with --like.  Memory: one block, and a few numbers a column.
 */
#include <math.h>
#include <string.h>

#include "cli/normal.h"

static struct {
    const char *method;
    double scale;
    int norm;
    bool binarize, no_smooth, sublinear, log_tf, log_idf, log_tfidf;
} o;
static struct cm_normal shared = {.binary = true};

static const struct cm_opt options[] = {
    CM_OPT_STR(
        "method", 'm', &o.method, "signac1",
        "signac1|signac2|signac3|signac4|archr3|sklearn|glue|allcools|snapatac2|logtfidf|plain",
        "the formula"),
    CM_OPT_REAL("scale", 's', &o.scale, NULL, 1e-6, 1e12, "S",
                "the scale s of the formula (allcools 1e5, others that have one 1e4)"),
    CM_OPT_FLAG("binarize", 'b', &o.binarize, "make every count above 0 a 1 before anything else"),
    CM_OPT_FLAG("log-tf", 0, &o.log_tf, "muon's log_tf: ln(1 + s x/R)"),
    CM_OPT_FLAG("log-idf", 0, &o.log_idf, "muon's log_idf: ln(1 + N/C)"),
    CM_OPT_FLAG("log-tfidf", 0, &o.log_tfidf,
                "muon's log_tfidf: ln(1 + s (x/R)(N/C)); excludes the other two"),
    CM_OPT_FLAG("no-smooth", 0, &o.no_smooth, "method sklearn with ln(N/d) + 1 (smooth_idf=False)"),
    CM_OPT_FLAG("sublinear", 0, &o.sublinear,
                "method sklearn with 1 + ln x for x (sublinear_tf=True)"),
    CM_OPT_CHOICE("norm", 0, &o.norm, NULL, "own|none|l1|l2",
                  "bring rows to this length at the end (default the method's own)"),
    CM_NORMAL_OPTIONS(shared),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "tfidf", "[IN.cms]", "weigh accessibility counts by TF-IDF", options, 0, 1, CM_TOOL_DEFAULT};

/* The method by name, where flags of muon and scikit-learn are part of it. */
static const char *chosen(void)
{
    if (!o.log_tf && !o.log_idf && !o.log_tfidf) {
        if (o.no_smooth && strcmp(o.method, "sklearn") != 0)
            cm_usage_error("--no-smooth goes with --method sklearn");
        return o.no_smooth ? "sklearn-no-smooth" : o.method;
    }
    if (o.log_tfidf && (o.log_tf || o.log_idf))
        cm_usage_error("--log-tfidf excludes --log-tf and --log-idf");
    if (o.no_smooth || (cm_given("method") && strcmp(o.method, "muon") != 0))
        cm_usage_error("--log-tf, --log-idf and --log-tfidf say the method themselves");
    return o.log_tfidf ? "signac1" : !o.log_idf ? "log-tf" : !o.log_tf ? "log-idf" : "signac3";
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_norm n = {.tool = "tfidf",
                        .table = cm_tfidf_methods,
                        .scale = cm_given("scale") ? o.scale : NAN,
                        .binarize = o.binarize,
                        .sublinear = o.sublinear,
                        .norm = (enum cm_norm_unit)o.norm};
    bool given = cm_given("method") || o.no_smooth || o.log_tf || o.log_idf || o.log_tfidf;
    n.method = cm_normal_method(&n, &shared, given, chosen(), options[0].metavar);
    return cm_normal_run(&n, &shared, in[0]);
}
