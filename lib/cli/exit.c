/* cli/exit.c - what is undone when a tool fails: a stack of clean-ups. */
#include "cli/internal.h"

#include <unistd.h>

enum { CLEANUPS_MAX = 8 };
static cm_cleanup *stack[CLEANUPS_MAX];
static size_t depth;

void cm_exit_push(cm_cleanup *undo)
{
    for (size_t k = 0; k < depth; k++)
        if (stack[k] == undo)
            return;
    CM_ASSERT(depth < CLEANUPS_MAX);
    stack[depth++] = undo;
}

void cm_exit_undo(int status, const char *message)
{
    while (depth)
        stack[--depth](status, message);
}

/* exit() would run other libraries' exit handlers and flush half-written text after a failure. */
extern void __gcov_dump(void) __attribute__((weak));

_Noreturn void cm_leave(int status)
{
    if (__gcov_dump)
        __gcov_dump();
    _exit(status);
}
