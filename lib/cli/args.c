/* cli/args.c - the command line as provenance records it.
 *
 * A pipeline's own file stands there by the last part of its name, so that the same work leaves the
 * same history.
 */
#include "cli/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/mem.h"

static struct cm_buf args;

void cm_args_clear(void)
{
    cm_buf_free(&args);
    args = (struct cm_buf){0};
}

/* Where a file of a pipeline's own begins in a word, PATH or KEY=PATH; otherwise NULL. A pipeline
 * works in a directory TMPDIR=.../cellmatch.XXXXXX, whose name differs every time. */
static const char *temporary_in(const char *word)
{
    const char *dir = getenv("TMPDIR"), *last = dir ? strrchr(dir, '/') : NULL;
    if (!last || strncmp(last, "/cellmatch.", 11) != 0)
        return NULL;
    size_t n = strlen(dir);
    const char *value = strchr(word, '=');
    if (!strncmp(word, dir, n) && word[n] == '/')
        return word;
    return value && !strncmp(value + 1, dir, n) && value[1 + n] == '/' ? value + 1 : NULL;
}

/* Quoted so that a shell reads it back. */
static void keep_word(const char *word)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "0123456789_@%+=:,./-";
    if (args.n)
        cm_buf_puts(&args, " ");
    if (*word && strspn(word, plain) == strlen(word)) {
        cm_buf_puts(&args, word);
        return;
    }
    cm_buf_puts(&args, "'");
    for (; *word; word++) {
        if (*word == '\'')
            cm_buf_puts(&args, "'\\''");
        else
            cm_buf_put(&args, word, 1);
    }
    cm_buf_puts(&args, "'");
}

void cm_args_add(const char *word)
{
    const char *path = temporary_in(word);
    if (!path) {
        keep_word(word);
        return;
    }
    struct cm_buf text = {0};
    cm_buf_put(&text, word, (size_t)(path - word));
    cm_buf_puts(&text, strrchr(path, '/') + 1);
    cm_buf_put(&text, "", 1);
    keep_word((const char *)text.p);
    cm_buf_free(&text);
}

const char *cm_options_args(void)
{
    static char *text;
    cm_free(text);
    text = CM_NEW(args.n + 1, char);
    if (args.n)
        memcpy(text, args.p, args.n);
    text[args.n] = 0;
    return text;
}
