/* base/error.c - the thread's error message, and the one way in which a library call ends a
 * program.
 *
 * The message is thread-local, so pool workers never overwrite each other; cm_parallel (pool.c)
 * carries the message of the lowest failing shard back to its caller.  A hook, not a direct call,
 * leads from cm_panic up to cli/, because base/ is the lowest floor.
 */
#include "base/error.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Thread_local char message[CM_MESSAGE_MAX];
static void (*panic_hook)(int, const char *);
static atomic_flag ending = ATOMIC_FLAG_INIT;
static _Thread_local bool ends_here;

int cm_fail(int code, const char *format, ...)
{
    /* Formatted aside first: an argument may be the old message itself. */
    char text[CM_MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    memcpy(message, text, sizeof message);
    return code;
}

int cm_fail_errno(int code, const char *format, ...)
{
    int saved = errno;
    char text[CM_MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    return cm_fail(code, "%s: %s", text, strerror(saved));
}

int cm_fail_in(int code, const char *what)
{
    if (code >= 0)
        return code;
    char text[CM_MESSAGE_MAX];
    memcpy(text, message, sizeof text);
    return cm_fail(code, "%s: %s", what, text);
}

const char *cm_error_message(void) { return message; }

void cm_panic_hook(void (*hook)(int, const char *)) { panic_hook = hook; }

bool cm_last_words(void)
{
    if (ends_here)
        return false;
    while (atomic_flag_test_and_set(&ending))
        pause(); /* for ever: the other thread ends the process, and so does a signal */
    return ends_here = true;
}

void cm_panic(int status, const char *format, ...)
{
    char text[CM_MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    bool first = cm_last_words();
    if (panic_hook) {
        panic_hook(status, text); /* cm_die, which knows whether there is a line already */
    } else if (first) {
        char line[CM_MESSAGE_MAX + 32];
        int n = snprintf(line, sizeof line, "cellmatch: error: %s\n", text);
        if (write(2, line, (size_t)n) < 0) { /* nobody is left to tell */
        }
    }
    _exit(status);
}
