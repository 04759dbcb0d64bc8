/* cms.c - fuzz target: the inner bytes of a stream, through everything that all tools do with one.
 *
 * Read, read again from the start, shown as text and as information, joined with itself, written,
 * and read back.  Promises: the second pass gives what the first gave; what was read can be
 * written, and what was written can be read; the same of the text form.
 */
#include "fuzz.h"

#include "stream/join.h"
#include "stream/info.h"
#include "text.h"

size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned seed)
{
    return fuzz_mutate(data, size, max, seed);
}

static void write_again(struct cm_reader *r)
{
    int fd = memfd_create("again", MFD_CLOEXEC);
    struct cm_writer *w = cm_writer_make(fd, "again", 1);
    struct cm_chunk c = {0};
    cm_writer_stage(w, "fuzz", "1", "", NULL);
    cm_writer_parent(w, r);
    bool bad = fuzz_refused(cm_writer_head(w, cm_reader_head(r)));
    int more = 0;
    while (!bad && (more = cm_reader_next(r, &c)) > 0)
        bad = fuzz_refused(cm_writer_chunk(w, &c, cm_reader_head(r)));
    if (!bad) {
        FUZZ_PROMISE(more == 0);
        FUZZ_PROMISE(cm_writer_end(w) == 0);
        fuzz_must_read(fd);
    }
    cm_writer_free(w);
    cm_chunk_free(&c);
    close(fd);
}

/* The text of r, which stands at its beginning, and the stream of that text. */
static void through_text(struct cm_reader *r)
{
    const struct cm_head *h = cm_reader_head(r);
    struct cm_buf text = {0}, other = {0};
    struct cm_chunk c = {0};
    struct cm_tsv t;
    int more;
    cm_tsv_make(&t, h);
    cm_tsv_head(&t, h, &text);
    while ((more = cm_reader_next(r, &c)) > 0) {
        cm_tsv_chunk(&t, h, &c, false, &text);
        other.n = 0;
        cm_tsv_triplets(h, &c, &other);
        cm_tsv_labels(h, &c, &other);
    }
    FUZZ_PROMISE(more == 0);
    cm_tsv_end(&text);
    int code = fuzz_from_text(text.p, text.n);
    FUZZ_PROMISE(code == 0 || code == CM_ENUMERIC);
    cm_tsv_free(&t);
    cm_buf_free(&text);
    cm_buf_free(&other);
    cm_chunk_free(&c);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char path[FUZZ_PATH];
    struct cm_reader *r;
    cm_panic_hook(fuzz_panic);
    if (size < 1 + FUZZ_PREFIX)
        return 0;
    int fd = fuzz_stream(data, size, path);
    if (!cm_reader_open(&r, path)) {
        if (!cm_reader_drain(r)) {
            struct cm_buf info = {0};
            struct cm_head joined = {0};
            const struct cm_head *in[2] = {cm_reader_head(r), cm_reader_head(r)};
            const char *const what[2] = {"a", "b"};
            uint64_t digest = cm_reader_digest(r);
            cm_info_stream(r, &info);
            cm_join_heads(&joined, in, what, 2);
            FUZZ_PROMISE(cm_reader_rewind(r) == 0 && cm_reader_drain(r) == 0);
            FUZZ_PROMISE(cm_reader_digest(r) == digest);
            FUZZ_PROMISE(cm_reader_rewind(r) == 0);
            write_again(r);
            FUZZ_PROMISE(cm_reader_drain(r) == 0 && cm_reader_rewind(r) == 0);
            through_text(r);
            cm_buf_free(&info);
            cm_head_free(&joined);
        }
        cm_reader_close(r);
    }
    close(fd);
    return 0;
}
