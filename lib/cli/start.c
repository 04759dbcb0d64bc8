/* cli/start.c - the beginning of every tool. */
#include "cli/internal.h"

#include <stdio.h>

#include "base/pool.h"

/* Not there in a tool without matrix/blas.c, which the weak name does not link. */
extern void cm_blas_start(void) __attribute__((weak));

static _Noreturn void leave_after_text(void)
{
    if (fflush(stdout) || ferror(stdout)) {
        cm_fail_errno(CM_ESYSTEM, "cannot write to stdout");
        cm_die_code(CM_ESYSTEM);
    }
    cm_leave(0);
}

char **cm_start(const struct cm_tool *tool, int argc, char **argv)
{
    cm_tool = tool;
    cm_say_start();
    cm_outputs_start();
    cm_exit_push(cm_temp_remove_all); /* undone first */
    cm_signals_start();
    char **operands;
    int code = cm_options_parse(tool, argc, argv, &operands);
    if (code)
        cm_usage_error("%s", cm_error_message());
    if (cm_common.help) {
        cm_options_help(stdout);
        leave_after_text();
    }
    if (cm_common.version) {
        printf("%s (cellmatch) %s\n", tool->name, CM_VERSION);
        leave_after_text();
    }
    if (cm_common.complete) {
        cm_options_names(stdout);
        leave_after_text();
    }
    if (cm_common.types) {
        cm_options_types(stdout);
        leave_after_text();
    }
    cm_operands = operands;
    cm_known_start();
    cm_pool_set_threads((size_t)cm_common.threads);
    if (cm_blas_start) /* in tools that compute with OpenBLAS */
        cm_blas_start();
    return operands;
}
