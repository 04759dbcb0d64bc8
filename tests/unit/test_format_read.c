/* test_format_read.c - every layout of a file, and every damage.
 *
 * Reads each file of tests/ref/formats.tar.zst (made by tests/ref/make_formats.py with anndata,
 * h5py and SciPy) and compares all that arrives with the text made beside it: slot, state, labels
 * and categories, columns, names, every stored entry.  Damaged files must fail with a line that
 * names the place.
 */
#include <dirent.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"
#include "format/hdf5/source.h"

static char dir[] = "/tmp/cm-formats.XXXXXX";

static int unpack(void **state)
{
    char command[256];
    (void)state;
    if (!mkdtemp(dir))
        return -1;
    snprintf(command, sizeof command, "zstd -dqc tests/ref/formats.tar.zst | tar -C %s -xf -", dir);
    return system(command);
}

static int clean(void **state)
{
    char command[64];
    (void)state;
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    return path;
}

/* ===== what a source says, as text ======================================================== */

static void put_value(struct cm_buf *b, const struct cm_vec *v, size_t i,
                      const struct cm_dict *dict)
{
    switch (v->type) {
    case CM_T_CAT:
        cm_buf_puts(b, v->cat[i] == CM_CAT_MISSING ? "-" : cm_strs_get(&dict->names, v->cat[i]));
        break;
    case CM_T_BOOL:
        cm_buf_puts(b, v->b[i] == CM_BOOL_MISSING ? "-" : v->b[i] ? "true" : "false");
        break;
    case CM_T_I64:
        if (v->i[i] == CM_I64_MISSING)
            cm_buf_puts(b, "-");
        else
            cm_buf_printf(b, "%lld", (long long)v->i[i]);
        break;
    case CM_T_F64:
        if (v->f[i] != v->f[i])
            cm_buf_puts(b, "-");
        else
            cm_buf_printf(b, "%.17g", v->f[i]);
        break;
    case CM_T_STR:
        cm_buf_puts(b, cm_strs_get(&v->s, i));
        break;
    }
}

static void put_head(struct cm_buf *b, const struct cm_head *h)
{
    static const char *const type[] = {"cat", "bool", "i64", "f64", "str"};
    const struct cm_slot *s = &h->slot[0];
    cm_buf_printf(b, "slot %s %s %s %s\n", s->name, cm_state_name(s->state),
                  s->dense ? "dense" : "csr", s->wide ? "wide" : "plain");
    for (size_t k = 0; k < h->nlabels; k++) {
        const struct cm_label *l = &h->label[k];
        cm_buf_printf(b, "label %s %s%s", l->name, type[l->type],
                      l->dict.ordered ? " ordered" : "");
        for (size_t c = 0; c < l->dict.names.n; c++)
            cm_buf_printf(b, "%s%s", c ? "|" : " ", cm_strs_get(&l->dict.names, c));
        cm_buf_puts(b, "\n");
    }
    for (size_t j = 0; j < s->cols.names.n; j++) {
        cm_buf_printf(b, "column %s", cm_strs_get(&s->cols.names, j));
        for (size_t k = 0; k < s->cols.nvec; k++) {
            cm_buf_printf(b, " %s=", s->cols.vec[k].name);
            put_value(b, &s->cols.vec[k], j, NULL);
        }
        cm_buf_puts(b, "\n");
    }
}

static void put_rows(struct cm_buf *b, const struct cm_head *h, const struct cm_chunk *c)
{
    const struct cm_block *x = &c->block[0];
    for (size_t i = 0; i < c->rows; i++) {
        cm_buf_printf(b, "row %s", cm_strs_get(&c->names, i));
        for (size_t k = 0; k < c->nlabels; k++) {
            cm_buf_puts(b, " ");
            put_value(b, &c->label[k], i, &h->label[k].dict);
        }
        cm_buf_puts(b, " ;");
        uint64_t e = x->dense ? i * x->cols : x->ptr[i];
        uint64_t end = x->dense ? e + x->cols : x->ptr[i + 1];
        for (uint64_t first = e; e < end; e++)
            cm_buf_printf(b, " %llu:%.17g", (unsigned long long)(x->dense ? e - first : x->idx[e]),
                          cm_block_x(x, e));
        cm_buf_puts(b, "\n");
    }
}

struct ask {
    const char *file, *modality, *layer, *genome, *type, *labels, *where, *expected;
    uint64_t max_memory;
};

/* Opens, surveys and reads; the text, or the error code. */
static int tell(const struct ask *a, struct cm_buf *b)
{
    struct cm_h5 h;
    struct cm_source s;
    struct cm_source_want w = {.modality = a->modality,
                               .layer = a->layer,
                               .genome = a->genome,
                               .max_memory = a->max_memory ? a->max_memory : 1 << 20};
    struct cm_chunk c = {0};
    struct cm_head head = {0};
    size_t part = CM_ALL_TYPES;
    int code = cm_h5_open(&h, path_of(a->file), false);
    if (!code)
        code = cm_source_open(&s, &h, &w);
    if (code) {
        cm_h5_close(&h);
        return code;
    }
    if (a->type)
        code = cm_source_type(&s, a->type, &part);
    if (!code && a->labels)
        code = cm_source_labels(&s, a->labels);
    if (!code && a->where)
        code = cm_source_where(&s, a->where);
    if (!code)
        code = cm_source_survey(&s);
    if (!code) {
        cm_source_head(&s, part, NULL, &head);
        put_head(b, &head);
    }
    for (int more = 1; !code && more;) {
        more = cm_source_next(&s, &part, 1, &c);
        if (more < 0)
            code = more;
        else if (more)
            put_rows(b, &head, &c);
    }
    cm_chunk_free(&c);
    cm_head_free(&head);
    cm_source_close(&s);
    cm_h5_close(&h);
    return code;
}

static char *slurp(const char *name)
{
    FILE *f = fopen(path_of(name), "r");
    struct cm_buf b = {0};
    assert_non_null(f);
    for (size_t got = 1; got;) {
        got = fread(cm_buf_extend(&b, 65536), 1, 65536, f);
        b.n -= 65536 - got;
    }
    fclose(f);
    cm_buf_u8(&b, 0);
    return (char *)b.p;
}

/* ===== tests ============================================================================== */

static void every_file(void **state)
{
    static const struct ask asks[] = {
        {"new.h5ad", .expected = "new.h5ad.txt"},
        {"new.h5ad", .layer = "log", .labels = "none", .expected = "new.log.txt"},
        {"new.h5ad", .layer = "log", .labels = "none", .max_memory = 4096, /* spills */
         .expected = "new.log.txt"},
        {"new.h5ad", .layer = "whole", .labels = "none", .expected = "new.whole.txt"},
        {"new.h5ad", .layer = "raw", .labels = "none", .expected = "new.raw.txt"},
        {"v07.h5ad", .expected = "v07.h5ad.txt"},
        {"v05.h5ad", .expected = "v05.h5ad.txt"},
        {"odd.h5ad", .expected = "odd.h5ad.txt"},
        {"zstd.h5ad", .expected = "zstd.h5ad.txt"},
        {"tenx3.h5", .type = "Gene Expression", .expected = "tenx3.gex.txt"},
        {"tenx3.h5", .type = "atac", .expected = "tenx3.peaks.txt"},
        {"tenx3.h5", .type = "ADT", .genome = "hg", .expected = "tenx3.adt.txt"},
        {"tenx2.h5", .genome = "hg19", .expected = "tenx2.hg19.txt"},
        {"tenx2.h5", .genome = "mm10", .type = "GEX", .expected = "tenx2.mm10.txt"},
        {"two.h5mu", .modality = "rna", .expected = "two.rna.txt"},
        {"two.h5mu", .modality = "prot", .type = "ADT", .expected = "two.prot.txt"},
        {"v13.h5ad", .expected = "v13.h5ad.txt"},
        {"loom.loom", .expected = "loom.txt"},
        {"loom.loom", .layer = "half", .expected = "loom.half.txt"},
        {"missing.h5ad", .expected = "missing.h5ad.txt"}, /* a chunk that was never written */
    };
    (void)state;
    for (size_t k = 0; k < sizeof asks / sizeof *asks; k++) {
        struct cm_buf b = {0};
        char *want = slurp(asks[k].expected);
        int code = tell(&asks[k], &b);
        if (code)
            fail_msg("%s: %s", asks[k].expected, cm_error_message());
        cm_buf_u8(&b, 0);
        if (strcmp((const char *)b.p, want))
            fprintf(stderr, "%s differs\n", asks[k].expected);
        assert_string_equal((const char *)b.p, want);
        cm_free(want);
        cm_buf_free(&b);
    }
}

/* One matrix in every type, layout and packing, alone and with threads that unpack ahead. */
static void every_storage(void **state)
{
    struct dirent **entry;
    size_t same = 0, full = 0;
    int n = scandir(dir, &entry, NULL, alphasort);
    char *want_same = slurp("same.txt"), *want_full = slurp("full.txt");
    (void)state;
    for (size_t threads = 1; threads <= 3; threads += 2) {
        cm_pool_set_threads(threads);
        for (int k = 0; k < n; k++) {
            const char *name = entry[k]->d_name;
            bool is_same = !strncmp(name, "same-", 5), is_full = !strncmp(name, "full-", 5);
            /* 4 KiB: what is stored by columns goes through buckets */
            struct ask a = {.file = name, .max_memory = threads > 1 ? 4096 : 0};
            struct cm_buf b = {0};
            if (!is_same && !is_full)
                continue;
            same += is_same;
            full += is_full;
            int code = tell(&a, &b);
            if (code)
                fail_msg("%s: %s", name, cm_error_message());
            cm_buf_u8(&b, 0);
            if (strcmp((const char *)b.p, is_same ? want_same : want_full))
                fail_msg("%s differs", name);
            cm_buf_free(&b);
        }
    }
    cm_pool_set_threads(1);
    assert_true(same >= 100 && full >= 46); /* an empty archive is no success */
    for (int k = 0; k < n; k++)
        free(entry[k]);
    free(entry);
    cm_free(want_same);
    cm_free(want_full);
}

static void conditions(void **state)
{
    struct ask a = {"new.h5ad", .labels = "reads,batch", .where = "batch=s 2,d3"};
    struct cm_h5 h;
    struct cm_source s;
    struct cm_source_want w = {.max_memory = 1 << 20};
    struct cm_chunk c = {0};
    struct cm_head head;
    struct cm_buf b = {0};
    size_t part = CM_ALL_TYPES;
    (void)state;
    assert_int_equal(cm_h5_open(&h, path_of(a.file), false), 0);
    assert_int_equal(cm_source_open(&s, &h, &w), 0);
    assert_int_equal(cm_source_labels(&s, a.labels), 0);
    assert_int_equal(cm_source_where(&s, a.where), 0);
    assert_int_equal(cm_source_where(&s, "good=True"), 0);
    assert_int_equal(cm_source_survey(&s), 0);
    cm_source_head(&s, part, NULL, &head);
    put_head(&b, &head);
    while (cm_source_next(&s, &part, 1, &c) > 0)
        put_rows(&b, &head, &c);
    cm_buf_u8(&b, 0);
    char *want = slurp("new.where.txt");
    assert_string_equal((const char *)b.p, want);
    assert_int_equal(cm_source_where(&s, "nothing=1"), CM_EINPUT);
    assert_int_equal(cm_source_where(&s, "batch"), CM_EUSAGE);
    assert_int_equal(cm_source_labels(&s, "reads,absent"), CM_EINPUT);
    assert_non_null(strstr(cm_error_message(), "absent"));
    cm_free(want);
    cm_buf_free(&b);
    cm_chunk_free(&c);
    cm_head_free(&head);
    cm_source_close(&s);
    cm_h5_close(&h);
}

static void damaged(void **state)
{
    static const struct {
        const char *file, *says;
    } bad[] = {
        {"bad-indptr.h5ad", "/X/indptr: item 2: offset 2 after 3"},
        {"bad-indptr-end.h5ad", "/X/indptr: ends with 6, but there are 5"},
        {"bad-indptr-short.h5ad", "/X/indptr: 3 items, expected 4"},
        {"bad-column.h5ad", "/X/indices: row 1: column 3, but there are 3"},
        {"bad-length.h5ad", "/X/indices: 4 items"},
        {"bad-nan.h5ad", "/X: row 1, column 2: the value is NaN"},
        {"bad-inf.h5ad", "/X: row 2, column 1: the value is inf"},
        {"bad-huge.h5ad", "/X/data: item 4: a whole number beyond 2^53"},
        {"bad-text.h5ad", "/X/data: expected numbers"},
        {"bad-filter.h5ad", "/X/indices: needs HDF5 filter 32026 (blosc2), not available"},
        {"bad-shape.h5ad", "/X: shape 3 x 4, but obs has 3 rows and var 3"},
        {"bad-no-obs.h5ad", "/obs is missing"},
        {"bad-names.h5ad", "/X: shape 3 x 3, but obs has 2 rows"},
        {"bad-link-outside.h5ad", "/X: a link into another file, which is not followed"},
        {"bad-link-outside-names.h5ad", "/obs/_index: a link into another file"},
        {"bad-link-cycle.h5ad", "/X: a link that leads nowhere"},
        {"bad-link-dangling.h5ad", "/X: a link that leads nowhere"},
        {"bad-virtual.h5ad", "/X: is a virtual dataset; those are not read"},
        {"bad-storage-outside.h5ad", "/X: stands in another file; those are not read"},
        {"bad-sizes.h5ad", "/X/indices: claims 1099511627774 items, but only 0 bytes are stored"},
        {"bad-names-sizes.h5ad", "/obs/_index: claims 17592186044416 items, but only 0 bytes"},
        {"bad-names-long.h5ad", "/obs/_index: row 1: text of 70000 bytes, at most 65536"},
        {"bad-names-square.h5ad", "/obs/_index: names must have one dimension"},
        {"bad-chunk-cut.h5ad", "/X/data: the chunk at item 0 is damaged"},
        {"bad-chunk-short.h5ad", "/X/data: the chunk at item 0 is damaged"},
        {"bad-chunk-long.h5ad", "/X/data: the chunk at item 0 is damaged"},
        {"bad-chunk-short-names.h5ad", "/obs/packed: the chunk at item 0 is damaged"},
        {"bad-chunk-short-lzf.h5ad", "/X/data: rows 0 to 4 cannot be read"},
        {"bad-chunk-noise.h5ad", "/X/data: the chunk at item 0 is damaged"},
        {"bad-quad.h5ad", "/X/data: numbers of 16 bytes are not read"},
        {"bad-indices-float.h5ad", "/X/indices: expected whole numbers"},
        {"bad-indptr-text.h5ad", "/X/indptr: expected numbers, found text"},
        {"bad-obs-number.h5ad", "/obs: expected a table"},
        {"bad-index-attribute.h5ad", "/obs: attribute _index is not text"},
        {"bad-encoding-number.h5ad", "/X: attribute encoding-type is not text"},
        {"new.h5ad.txt", "not an HDF5 file"},
    };
    (void)state;
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++) {
        struct ask a = {.file = bad[k].file};
        struct cm_buf b = {0};
        assert_int_equal(tell(&a, &b), CM_EINPUT);
        if (!strstr(cm_error_message(), bad[k].says) || !strstr(cm_error_message(), bad[k].file))
            fail_msg("expected '%s', found '%s'", bad[k].says, cm_error_message());
        cm_buf_free(&b);
    }
    struct ask none = {.file = "no-such-file"};
    struct cm_buf b = {0};
    assert_int_equal(tell(&none, &b), CM_ESYSTEM);
}

static void refusals(void **state)
{
    static const struct {
        struct ask ask;
        const char *says;
    } no[] = {
        {{"tenx3.h5", .type = "Peak"}, "(found: Gene Expression, Peaks, Antibody Capture)"},
        {{"tenx3.h5", .genome = "mm10"}, "has no genome mm10"},
        {{.file = "tenx2.h5"}, "several genomes: choose one with --genome (found: hg19, mm10)"},
        {{"tenx2.h5", .genome = "rn7"}, "has no genome rn7"},
        {{.file = "two.h5mu"}, "several modalities"},
        {{"two.h5mu", .modality = "atac"}, "has no modality atac (found: rna, prot)"},
        {{"two.h5mu", .modality = "prot", .type = "GEX"}, "holds ADT, not GEX"},
        {{"new.h5ad", .modality = "rna"}, "holds no modalities"},
        {{"new.h5ad", .layer = "absent"}, "has no layer absent (found: log, whole, raw)"},
        {{"loom.loom", .layer = "absent"}, "has no layer absent (found: half)"},
        {{"new.h5ad", .type = "ATAC"}, "has no features of type ATAC (found: GEX)"},
    };
    (void)state;
    for (size_t k = 0; k < sizeof no / sizeof *no; k++) {
        struct cm_buf b = {0};
        assert_int_equal(tell(&no[k].ask, &b), CM_EINPUT);
        if (!strstr(cm_error_message(), no[k].says))
            fail_msg("expected '%s', found '%s'", no[k].says, cm_error_message());
        cm_buf_free(&b);
    }
}

/* Negative values: refused in state counts, welcome where the state is said to be another. */
static void negative_values(void **state)
{
    struct cm_h5 h;
    struct cm_source s;
    struct cm_source_want w = {.max_memory = 1 << 20};
    struct cm_chunk c = {0};
    size_t part = CM_ALL_TYPES;
    (void)state;
    assert_int_equal(cm_h5_open(&h, path_of("bad-negative.h5ad"), false), 0);
    assert_int_equal(cm_source_open(&s, &h, &w), 0);
    assert_int_equal(cm_source_survey(&s), 0);
    assert_int_equal(s.state, CM_S_UNKNOWN);
    assert_int_equal(cm_source_next(&s, &part, 1, &c), 1);
    s.next = 0; /* from the first cell again */
    s.state = CM_S_COUNTS;
    assert_int_equal(cm_source_next(&s, &part, 1, &c), CM_EINPUT);
    assert_non_null(strstr(cm_error_message(), "row 1, column 2 (2): the value is -3"));
    cm_chunk_free(&c);
    cm_source_close(&s);
    cm_h5_close(&h);
}

/* A file that somebody writes to while it is read in several passes. */
static void changed_meanwhile(void **state)
{
    struct cm_h5 h;
    struct stat s;
    (void)state;
    assert_int_equal(cm_h5_open(&h, path_of("bad-negative.h5ad"), false), 0);
    assert_int_equal(cm_h5_unchanged(&h), 0);
    assert_int_equal(stat(path_of("bad-negative.h5ad"), &s), 0);
    struct timespec times[2] = {s.st_atim, s.st_mtim};
    times[1].tv_sec += 5;
    assert_int_equal(utimensat(AT_FDCWD, path_of("bad-negative.h5ad"), times, 0), 0);
    assert_int_equal(cm_h5_unchanged(&h), CM_EINPUT);
    assert_non_null(strstr(cm_error_message(), "changed while it was read"));
    cm_h5_close(&h);
}

static void competition(void **state)
{
    struct cm_h5 h;
    struct cm_source s;
    struct cm_source_want w = {.max_memory = 1 << 20};
    uint64_t *row2, n, longest;
    const char *why;
    struct cm_buf b = {0};
    (void)state;
    assert_int_equal(cm_h5_open(&h, path_of("solution.h5ad"), false), 0);
    assert_int_equal(cm_source_open(&s, &h, &w), 0);
    assert_int_equal(cm_source_pairs(&s, &row2, &n), 0);
    cm_buf_puts(&b, "row1\trow2\n");
    for (uint64_t i = 0; i < n; i++)
        cm_buf_printf(&b, "%d\t%d\n", (int)i, (int)row2[i]);
    cm_buf_u8(&b, 0);
    char *want = slurp("solution.txt");
    assert_string_equal((const char *)b.p, want);
    cm_free(want);
    cm_free(row2);
    cm_buf_free(&b);
    cm_source_close(&s);
    cm_h5_close(&h);

    assert_int_equal(cm_h5_open(&h, path_of("prediction.h5ad"), false), 0);
    assert_int_equal(cm_source_open(&s, &h, &w), 0);
    assert_int_equal(cm_source_match(&s, &longest, &why), 0);
    assert_null(why);
    assert_int_equal(longest, 6);
    assert_int_equal(s.state, CM_S_PROBABILITY);
    assert_string_equal(cm_kv_get(&s.kv, "h5.method_id"), "flat");
    cm_source_close(&s);
    cm_h5_close(&h);
    /* the solution's ones are a valid match; a matrix of counts is not */
    assert_int_equal(cm_h5_open(&h, path_of("bad-negative.h5ad"), false), 0);
    assert_int_equal(cm_source_open(&s, &h, &w), 0);
    assert_int_equal(cm_source_match(&s, &longest, &why), 0);
    assert_non_null(why);
    assert_int_equal(s.state, CM_S_SIMILARITY);
    cm_source_close(&s);
    cm_h5_close(&h);
}

static void paths(void **state)
{
    char *file, *modality, operand[300];
    (void)state;
    snprintf(operand, sizeof operand, "%s/mod/rna", path_of("two.h5mu"));
    cm_h5_split_path(operand, &file, &modality);
    assert_string_equal(file, path_of("two.h5mu"));
    assert_string_equal(modality, "rna");
    cm_free(file);
    cm_free(modality);
    cm_h5_split_path("no/such/file", &file, &modality);
    assert_string_equal(file, "no/such/file");
    assert_null(modality);
    cm_free(file);
    cm_h5_split_path("-/prot", &file, &modality);
    assert_string_equal(file, "-");
    assert_string_equal(modality, "prot");
    cm_free(file);
    cm_free(modality);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_file),
        cmocka_unit_test(conditions),
        cmocka_unit_test(every_storage),
        cmocka_unit_test(damaged),
        cmocka_unit_test(refusals),
        cmocka_unit_test(negative_values),
        cmocka_unit_test(changed_meanwhile),
        cmocka_unit_test(competition),
        cmocka_unit_test(paths),
    };
    return cmocka_run_group_tests(tests, unpack, clean);
}
