/* cli/input.c - streams that a tool reads, and what it requires of them. */
#include "cli/internal.h"

#include <string.h>

#include "base/mem.h"

static struct cm_reader **inputs; /* as opened: parents of what is written, closed at the end */
static size_t ninputs, inputs_cap;
static bool stdin_taken;

struct cm_reader *cm_in_open(const char *path)
{
    bool dash = !strcmp(path, "-");
    if (dash && stdin_taken)
        cm_usage_error("standard input ('-') can be read only once");
    stdin_taken = stdin_taken || dash;
    CM_GROW(inputs, inputs_cap, ninputs + 1);
    cm_in_note(path);
    cm_try(cm_reader_open(&inputs[ninputs], path));
    return inputs[ninputs++];
}

bool cm_next(struct cm_reader *r, struct cm_chunk *c)
{
    int code = cm_reader_next(r, c);
    cm_try(code);
    return code > 0;
}

void cm_require_kind(struct cm_reader *r, enum cm_kind kind)
{
    enum cm_kind found = cm_reader_head(r)->kind;
    if (found != kind)
        cm_die(3, "%s: expected a stream of kind %s, found kind %s", cm_reader_path(r),
               cm_kind_name(kind), cm_kind_name(found));
}

void cm_require_state(struct cm_reader *r, size_t slot, const int *states, const char *hint)
{
    const struct cm_head *h = cm_reader_head(r);
    if (slot >= h->nslots)
        cm_die(3, "%s: expected %zu slots or more, found %zu", cm_reader_path(r), slot + 1,
               h->nslots);
    char list[256] = "";
    size_t n = 0;
    for (const int *s = states; *s >= 0; s++) {
        if ((int)h->slot[slot].state == *s)
            return;
        n += (size_t)snprintf(list + n, sizeof list - n, "%s%s", n ? " or " : "",
                              cm_state_name((enum cm_state) * s));
    }
    cm_die(3, "%s: slot %s: expected state %s, found state %s%s%s", cm_reader_path(r),
           h->slot[slot].name, list, cm_state_name(h->slot[slot].state), hint ? "; " : "",
           hint ? hint : "");
}

size_t cm_inputs(struct cm_reader ***list)
{
    *list = inputs;
    return ninputs;
}

void cm_inputs_close(void)
{
    for (size_t k = 0; k < ninputs; k++)
        cm_reader_close(inputs[k]);
    cm_free(inputs);
    inputs = NULL;
    ninputs = inputs_cap = 0;
}
