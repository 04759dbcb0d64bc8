/* options.c - fuzz target: the words of a command line, and the conditions that options hold.
 *
 * Newlines separate words.  Promises: what is accepted lies in its range, and is a choice of
 * the table; operands are as many as the tool takes.
 */
#include "fuzz.h"

#include "cli/internal.h"
#include "prep/where.h"

static struct {
    int64_t top;
    double scale;
    uint64_t memory;
    const char *name;
    int method;
    struct cm_list where;
    bool hard;
} o;

static const struct cm_opt table[] = {
    CM_OPT_INT("top", 'k', &o.top, "1000", 1, 1e9, "N", "entries kept a row"),
    CM_OPT_REAL("scale", 's', &o.scale, "1e4", 0, 1e300, "S", "scale"),
    CM_OPT_SIZE("max-memory", 0, &o.memory, "1G", 1, 1e15, "SIZE", "memory"),
    CM_OPT_STR("name", 'n', &o.name, NULL, "NAME", "a name"),
    CM_OPT_CHOICE("method", 'm', &o.method, "dual", "softmax|dual|csls", "a rule"),
    CM_OPT_LIST("where", 'w', &o.where, "LABEL=VALUE", "rows"),
    CM_OPT_FLAG("hard", 'H', &o.hard, "one partner a row"),
    CM_OPT_END,
};
static const struct cm_tool tool = {"foo", "[IN.cms] ...", "foos", table, 0, 3, CM_TOOL_SEED};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    enum { WORDS = 64 };
    char *text = CM_ZNEW(size + 1, char), *argv[WORDS + 2] = {(char[]){"foo"}}, **operands = NULL;
    int argc = 1;
    cm_panic_hook(fuzz_panic);
    if (size)
        memcpy(text, data, size);
    for (char *rest = text, *word; argc <= WORDS && (word = strsep(&rest, "\n"));)
        argv[argc++] = word;
    free((void *)o.where.v);
    memset(&o, 0, sizeof o);
    int code = cm_options_parse(&tool, argc, argv, &operands);
    bool asked = cm_common.help || cm_common.version || cm_common.complete; /* the rest is unread */
    if (!code && !asked) {
        FUZZ_PROMISE(o.top >= 1 && o.top <= 1000000000);
        FUZZ_PROMISE(o.scale >= 0 && o.scale <= 1e300);
        FUZZ_PROMISE(o.memory >= 1 && o.memory <= 1000000000000000);
        FUZZ_PROMISE(o.method >= 0 && o.method < 3);
        size_t n = 0;
        while (operands[n])
            n++;
        FUZZ_PROMISE(n <= 3);
        FUZZ_PROMISE(cm_common.threads >= 0);
        cm_options_args();
        for (size_t k = 0; k < o.where.n; k++) {
            struct cm_where w = {0};
            if (!cm_where_parse(&w, o.where.v[k]))
                cm_where_free(&w);
        }
    }
    cm_free(text);
    return 0;
}
