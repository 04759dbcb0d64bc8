/* cli/common.c - which tool runs, and the options that all tools have, as parsed. */
#include "cli/internal.h"

#include <string.h>

struct cm_common cm_common;
const struct cm_tool *cm_tool;
char **cm_operands;

const char *cm_tool_name(void) { return cm_tool ? cm_tool->name : "cellmatch"; }
uint64_t cm_seed(void) { return (uint64_t)cm_common.seed; }
bool cm_quiet(void) { return cm_common.quiet; }
bool cm_verbose(void) { return cm_common.verbose; }

/* `-o -` is standard output, too. */
const char *cm_output(void)
{
    return cm_common.output && strcmp(cm_common.output, "-") ? cm_common.output : NULL;
}
