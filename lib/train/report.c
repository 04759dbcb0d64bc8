/* train/report.c - steps and warnings to callbacks, where there are any. */
#include "train/train.h"

#include <stdarg.h>
#include <stdio.h>

void cm_train_step_done(const struct cm_train_callbacks *v, const char *name)
{
    if (v && v->step)
        v->step(v->arg, name);
}

void cm_train_warn(const struct cm_train_callbacks *v, const char *format, ...)
{
    char text[CM_MESSAGE_MAX];
    va_list ap;
    va_start(ap, format);
    vsnprintf(text, sizeof text, format, ap);
    va_end(ap);
    if (v && v->warn)
        v->warn(v->arg, text);
}
