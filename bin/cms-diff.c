/* cms-diff - do two streams say the same?
 *
 * In:  two streams of any kind, models too.
 * Out: nothing and status 0, or what differs first, a summary, and status 1.  Blocks, value types,
 *      lazy values, encodings and provenance are no difference; see stream/diff.h.
 */
#include <inttypes.h>
#include <stdio.h>

#include "cli/cli.h"
#include "stream/diff.h"

static struct {
    double tolerance;
    bool ignore_names;
} o;

static const struct cm_opt options[] = {
    CM_OPT_REAL("tolerance", 0, &o.tolerance, "1e-6", 0, 1e300, "T",
                "a and b are equal if |a - b| <= T max(1, |a|, |b|)"),
    CM_OPT_FLAG("ignore-names", 0, &o.ignore_names, "compare shape, state and values alone"),
    CM_OPT_END,
};

static const struct cm_tool tool = {"cms-diff",
                                    "A.cms B.cms",
                                    "compare two streams",
                                    options,
                                    2,
                                    2,
                                    CM_TOOL_TEXT | CM_TOOL_NO_OUTPUT};

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_reader *a = cm_in_open(in[0]), *b = cm_in_open(in[1]);
    struct cm_diff d = {.tolerance = o.tolerance, .ignore_names = o.ignore_names};
    int differ = cm_diff_streams(&d, a, b);
    cm_try(differ);
    if (differ) {
        FILE *out = cm_out_text();
        fprintf(out, "%s and %s differ: %s\n", cm_reader_path(a), cm_reader_path(b), d.first);
        if (d.different && !d.rows) /* tensors alone */
            fprintf(out,
                    "%" PRIu64 " of %" PRIu64 " values differ; the largest difference is %.6g\n",
                    d.different, d.values, d.largest);
        else if (d.different || d.rows_different)
            fprintf(out,
                    "%" PRIu64 " of %" PRIu64 " values differ, in %" PRIu64 " of %" PRIu64
                    " rows; the largest difference is %.6g\n",
                    d.different, d.values, d.rows_different, d.rows, d.largest);
    }
    return cm_finish_with(differ);
}
