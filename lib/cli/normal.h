/* cli/normal.h - the frame of tfidf, lognorm and clr.
 *
 * The three tools differ in their catalogue and options alone; opening, fitting or --like, the head
 * of the output, the loop over blocks and the words at the end are here.
 */
#ifndef CM_CLI_NORMAL_H
#define CM_CLI_NORMAL_H

#include "cli/cli.h"
#include "prep/norm.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Where the options of a tool keep what all three have. */
struct cm_normal {
    const char *fit, *like;
    bool materialize, fractional;
    int missing; /* 0 error, 1 zero */
    bool binary; /* input in state binary will do */
};

/* clang-format off */
/* The rows of an option table that fill a struct cm_normal. */
#define CM_NORMAL_OPTIONS(o)                                                                       \
    CM_OPT_STR("fit", 0, &(o).fit, NULL, "LABEL=VALUE[,VALUE...]",                                 \
               "fit the constants on these cells only"),                                           \
    CM_OPT_INPUT("like", 0, &(o).like, "FILE",                                                     \
                 "take method and constants from this stream or model"),                           \
    CM_OPT_CHOICE("missing", 0, &(o).missing, "error", "error|zero",                               \
                  "--like: features that the input lacks are an error, or 0 in every cell"),       \
    CM_OPT_FLAG("materialize", 0, &(o).materialize,                                                \
                "write plain numbers in place of counts and factors"),                             \
    CM_OPT_FLAG("fractional", 0, &(o).fractional,                                                  \
                "take counts that are not whole numbers (alevin, SoupX)")
/* clang-format on */

/* The method of that name in the tool's catalogue; NULL leaves it to --like (`given` false), and an
 * unknown name ends the program with the list `known`. */
const struct cm_norm_method *cm_normal_method(const struct cm_norm *n, const struct cm_normal *o,
                                              bool given, const char *name, const char *known);

/* The tool from its options to its exit status: `return cm_normal_run(&n, &o, in[0]);`. */
int cm_normal_run(struct cm_norm *n, const struct cm_normal *o, const char *input);

#ifdef __cplusplus
}
#endif
#endif
