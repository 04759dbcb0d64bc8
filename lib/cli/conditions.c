/* cli/conditions.c - warnings about conditions on labels; see conditions.h. */
#include "cli/conditions.h"

#include "cli/cli.h"

void cm_warn_values(const char *path, const char *option, const char *label,
                    const struct cm_buf *values)
{
    if (values->n)
        cm_warn("%s: --%s: no row has %s %.400s", path, option, label, (const char *)values->p);
}

void cm_warn_missing(const struct cm_where *w, const char *path, const char *option)
{
    struct cm_buf values = {0};
    if (w->values)
        cm_where_missing(w, &values);
    cm_warn_values(path, option, w->label, &values);
    cm_buf_free(&values);
}

void cm_warn_repeats(const char *path, size_t renamed, size_t repeated)
{
    if (renamed)
        cm_warn("%s: %zu names of features occurred before and got a number (name-1 ...)", path,
                renamed);
    if (repeated)
        cm_warn("%s: %zu names of features occurred before; --make-unique gives them numbers, "
                "without which no model can be trained",
                path, repeated);
}
