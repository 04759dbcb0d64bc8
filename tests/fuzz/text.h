/* text.h - the text form into a stream, for the targets cms and text.
 *
 * Promise: what `cms-text --from` accepts, `cms-info --check` accepts.
 */
#ifndef FUZZ_TEXT_H
#define FUZZ_TEXT_H

#include "fuzz.h"

#include "stream/cms.h"
#include "stream/tsv.h"

/* The stream behind fd can be read to its end. */
static inline void fuzz_must_read(int fd)
{
    char path[FUZZ_PATH];
    struct cm_reader *r;
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    FUZZ_PROMISE(cm_reader_open(&r, path) == 0);
    FUZZ_PROMISE(cm_reader_drain(r) == 0);
    cm_reader_close(r);
}

/* What a writer may refuse: what a reader does not look at (sums of probabilities), too long names.
 */
static inline bool fuzz_refused(int code)
{
    FUZZ_PROMISE(code == 0 || code == CM_ENUMERIC || code == CM_EINPUT);
    return code != 0;
}

/* 0 if the text was accepted. */
static inline int fuzz_from_text(const void *text, size_t n)
{
    FILE *file = fmemopen((void *)(uintptr_t)text, n, "r");
    int fd = memfd_create("text", MFD_CLOEXEC);
    struct cm_writer *w = cm_writer_make(fd, "text", 1);
    struct cm_tsv_in *in;
    struct cm_chunk c = {0};
    int code = cm_tsv_open(&in, file, "text");
    if (!code)
        code = cm_writer_head(w, cm_tsv_in_head(in));
    bool bad = fuzz_refused(code);
    while (!bad && (code = cm_tsv_next(in, &c)) > 0)
        bad = fuzz_refused(code = cm_writer_chunk(w, &c, cm_tsv_in_head(in)));
    if (!bad && !fuzz_refused(code)) {
        FUZZ_PROMISE(cm_writer_end(w) == 0);
        fuzz_must_read(fd);
    }
    cm_tsv_close(in);
    cm_writer_free(w);
    cm_chunk_free(&c);
    fclose(file);
    close(fd);
    return code;
}

#endif
