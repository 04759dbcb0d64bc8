/* cms-info - what a stream is: kind, shape, state, labels, digest, provenance.
 *
 * In:  streams of any kind and state, read to END (rows, entries and digest are known only there).
 * Out: text, key TAB value.  --check turns damage into a negative answer (status 1) with the
 * reason.
 */
#include <stdio.h>

#include "base/bytes.h"
#include "base/error.h"
#include "cli/cli.h"
#include "stream/info.h"

static struct {
    bool check;
} o;

static const struct cm_opt options[] = {
    CM_OPT_FLAG("check", 0, &o.check, "damage is a negative answer: status 1 and the reason"),
    CM_OPT_END,
};

static const struct cm_tool tool = {
    "cms-info", "[IN.cms ...]", "show what a stream is, and check it", options, 0,
    -1,         CM_TOOL_TEXT};

/* Reads the stream to END; 0, or the code of what is wrong with it. */
static int describe(const char *path, struct cm_buf *to)
{
    struct cm_reader *r = NULL;
    struct cm_chunk c = {0};
    struct cm_buf tensors = {0};
    int code = cm_reader_open(&r, path), more = 0;
    while (!code && (more = cm_reader_next(r, &c)) > 0)
        if (c.is_tensor)
            cm_info_tensor(c.tensor, &tensors);
    code = code ? code : more;
    if (!code) {
        cm_info_stream(r, to);
        if (tensors.n)
            cm_buf_put(to, tensors.p, tensors.n);
    }
    cm_reader_close(r);
    cm_chunk_free(&c);
    cm_buf_free(&tensors);
    return code;
}

int main(int argc, char **argv)
{
    char **in = cm_start(&tool, argc, argv);
    struct cm_buf b = {0};
    size_t bad = 0, n = 0;
    char reason[CM_MESSAGE_MAX] = "";
    for (; in[n]; n++) {
        if (in[1])
            cm_buf_printf(&b, "%sfile\t%s\n", n ? "\n" : "", in[n]);
        int code = describe(in[n], &b);
        if (!o.check || code == CM_ESYSTEM)
            cm_try(code);
        if (code && bad++)
            cm_warn("%s", cm_error_message());
        else if (code)
            snprintf(reason, sizeof reason, "%s", cm_error_message());
    }
    if (bad)
        cm_die(1, "%s", reason);
    FILE *out = cm_out_text();
    fwrite(b.p, 1, b.n, out);
    cm_buf_free(&b);
    return cm_finish();
}
