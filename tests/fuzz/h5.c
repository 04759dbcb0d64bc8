/* h5.c - fuzz target: an HDF5 file of any kind through everything that h5-read does with one.
 *
 * The bytes stand in a file that is opened by name, so that the way is that of a file on disk (raw
 * chunks included) and not that of a pipe.  Then: the list, every modality or genome, the
 * survey, some blocks of X, raw, obsm and each part, the match and the pairs.  Rounds are bounded,
 * because a small file may honestly stand for many cells.  An error is as good as a success here;
 * what is looked for are crashes, hangs, and memory that a small file has no right to.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "base/mem.h"
#include "format/hdf5/source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BLOCKS = 4 };

static void read_some(struct cm_source *s)
{
    struct cm_chunk *c = CM_ZNEW(s->types.n + 1, struct cm_chunk);
    size_t *part = CM_NEW(s->types.n + 1, size_t), n = s->types.n < 4 ? s->types.n : 4;
    part[0] = CM_ALL_TYPES;
    for (size_t k = 0; k < n; k++)
        part[k + 1] = k;
    struct cm_head head = {0};
    if (!cm_source_survey(s) && !cm_source_head(s, CM_ALL_TYPES, NULL, &head))
        for (int k = 0; k < BLOCKS && cm_source_next(s, part, n + 1, c) > 0; k++) {
        }
    cm_head_free(&head);
    for (size_t k = 0; k <= n; k++)
        cm_chunk_free(&c[k]);
    cm_free(c);
    cm_free(part);
}

static void one_source(struct cm_h5 *h, const char *modality, const char *genome, const char *layer,
                       const char *obsm)
{
    struct cm_source s;
    struct cm_source_want w = {.modality = modality,
                               .layer = layer,
                               .genome = genome,
                               .max_memory = 1 << 20,
                               .obsm = obsm};
    if (cm_source_open(&s, h, &w))
        return;
    read_some(&s);
    cm_source_close(&s);
}

static void competition(struct cm_h5 *h)
{
    struct cm_source s;
    struct cm_source_want w = {.max_memory = 1 << 20};
    uint64_t *row2, n, longest;
    const char *why;
    if (cm_source_open(&s, h, &w))
        return;
    if (s.obs.rows < 10000) {
        if (!cm_source_match(&s, &longest, &why))
            s.next = 0;
        if (!cm_source_pairs(&s, &row2, &n))
            cm_free(row2);
    }
    cm_source_close(&s);
}

static uint64_t number(const uint8_t *p)
{
    uint64_t v = 0;
    for (int k = 7; k >= 0; k--)
        v = v << 8 | p[k];
    return v;
}

/* Would libhdf5 1.10 walk a global heap without end?  An object whose size is 0, or rounds up to 0,
 * does that; the tool has a watchdog for it, a fuzzer only loses time. */
static bool endless(const uint8_t *p, size_t size)
{
    for (size_t at = 0; at + 16 <= size; at++) {
        if (memcmp(p + at, "GCOL", 4))
            continue;
        uint64_t end = at + number(p + at + 8), k = at + 16;
        for (end = end < size ? end : size; k + 16 <= end;) {
            uint64_t n = number(p + k + 8), rounded = (n + 7) / 8 * 8;
            uint64_t need = p[k] | p[k + 1] ? 16 + rounded : n;
            if (need < 16 || rounded < n || need > end - k)
                return true;
            k += need;
        }
    }
    return false;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (endless(data, size))
        return 0;
    char path[] = "/tmp/cm-fuzz.XXXXXX";
    int fd = mkstemp(path);
    struct cm_h5 h;
    struct cm_buf text = {0};
    enum cm_h5_format format;
    struct cm_strs names = {0};
    if (fd < 0)
        return -1;
    bool whole = write(fd, data, size) == (ssize_t)size;
    int code = whole ? cm_h5_open(&h, path, false) : -1;
    unlink(path);
    close(fd);
    if (code)
        return whole ? 0 : -1;
    h.latin1 = size & 1;
    cm_h5_list(&h, NULL, &text);
    if (!cm_h5_format_of(&h, &format)) {
        if (format == CM_H5_MUDATA)
            cm_h5_modalities(&h, &names);
        else if (format == CM_H5_TENX2)
            cm_h5_genomes(&h, &names);
        for (size_t k = 0; k < names.n && k < 4; k++)
            one_source(&h, format == CM_H5_MUDATA ? cm_strs_get(&names, k) : NULL,
                       format == CM_H5_TENX2 ? cm_strs_get(&names, k) : NULL, NULL, NULL);
        one_source(&h, NULL, NULL, NULL, NULL);
        one_source(&h, NULL, NULL, "raw", NULL);
        one_source(&h, NULL, NULL, "log", NULL);
        if (!cm_h5_obsm(&h, "", &names))
            for (size_t k = 0; k < names.n && k < 4; k++)
                one_source(&h, NULL, NULL, NULL, cm_strs_get(&names, k));
        if (format == CM_H5_ANNDATA)
            competition(&h);
    }
    cm_buf_free(&text);
    cm_strs_free(&names);
    cm_h5_close(&h);
    return 0;
}
