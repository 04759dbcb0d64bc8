/* Unit test of prep/genome and prep/annotation: names of regions in every spelling, chromosome
 * orders, places from columns and from small BED, GTF and GFF3 files written here (coordinates by
 * hand from the formats' definitions: GTF and GFF3 are 1-based and closed, BED 0-based and
 * half-open). What cannot be read off a definition (the natural order of chromosomes, the
 * majority that makes names regions, chromosomes before scaffolds) is spelt out as the list that
 * a reader would expect.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "prep/annotation.h"
#include "prep/genome.h"

static char dir[] = "/tmp/cm_test_genome.XXXXXX";

static int make_dir(void **state)
{
    (void)state;
    return mkdtemp(dir) ? 0 : -1;
}

static int drop_dir(void **state)
{
    (void)state;
    char command[80];
    snprintf(command, sizeof command, "rm -r %s", dir);
    return system(command);
}

static const char *put(const char *name, const char *text, bool gz)
{
    static char path[200];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    gzFile f = gzopen(path, gz ? "wb" : "wbT"); /* T: transparent, no gzip header */
    assert_non_null(f);
    assert_int_equal(gzwrite(f, text, (unsigned)strlen(text)), (int)strlen(text));
    gzclose(f);
    return path;
}

static void regions_are_read_from_the_right(void **state)
{
    (void)state;
    static const struct {
        const char *name, *chrom;
        int64_t start, end;
    } good[] = {{"chr1:1-2", "chr1", 1, 2},
                {"chr1-1-2", "chr1", 1, 2},
                {"chr1_100_200", "chr1", 100, 200},
                {"GL000205.2:67888-69629", "GL000205.2", 67888, 69629},
                {"chrUn_KI270742v1_5_9", "chrUn_KI270742v1", 5, 9},
                {"HLA-A*01:01:01:01-7-8", "HLA-A*01:01:01:01", 7, 8},
                {"GRCh38_chr2:0-0", "GRCh38_chr2", 0, 0},
                {"X:248956422-248956422", "X", 248956422, 248956422},
                {"chr1.100.200", "chr1", 100, 200},
                {"KI270711.1.3.4", "KI270711.1", 3, 4},
                {"chr1:1,234-1,234,567", "chr1", 1234, 1234567},
                {"chr1:5-9:+", "chr1", 5, 9},
                {"chr1-5-9(-)", "chr1", 5, 9}};
    static const char *const bad[] = {
        "",          "1-2",        ":1-2",          "chr1:2-1",
        "chr1:1",    "chr1:a-2",   "chr1-1_2",      "chr1:1-2x",
        "TNFRSF18",  "MT-CO1",     "chr1:-2",       "chr1:1--2",
        "chr1 1-2",  "chr1:1:2",   "-1-2",          "chr1:1-99999999999999999999",
        "chr1:1.2",  "chr1.1-2",   "chr1:1,23-400", "chr1:,123-400",
        "chr1:5-9:", "chr1:5-9(+", "(+)",           "AC009.1"};
    size_t n;
    int64_t start, end;
    for (size_t k = 0; k < sizeof good / sizeof *good; k++) {
        if (!cm_region_parse(good[k].name, &n, &start, &end))
            fail_msg("%s was not read", good[k].name);
        assert_int_equal(n, strlen(good[k].chrom));
        assert_memory_equal(good[k].name, good[k].chrom, n);
        assert_int_equal(start, good[k].start);
        assert_int_equal(end, good[k].end);
    }
    for (size_t k = 0; k < sizeof bad / sizeof *bad; k++)
        if (cm_region_parse(bad[k], &n, &start, &end))
            fail_msg("%s was read", bad[k]);
}

static void chromosomes_in_natural_order(void **state)
{
    (void)state;
    static const char *const order[] = {
        "1",          "chr1",        "chr2",         "chr9",
        "chr10",      "22",          "chrX",         "Y",
        "chrW",       "Z",           "chrM",         "chr1_KI270706v1_random",
        "2L",         "2R",          "3L",           "GL000205.2",
        "GL000219.1", "GRCh38_chr2", "GRCh38_chr10", "KI270728.1"};
    for (size_t i = 0; i < sizeof order / sizeof *order; i++)
        for (size_t j = 0; j < sizeof order / sizeof *order; j++) {
            int c = cm_chrom_compare(order[i], order[j]);
            if ((c > 0) - (c < 0) != (i > j) - (i < j))
                fail_msg("%s and %s: %d", order[i], order[j], c);
        }
}

static struct cm_cols table(const char *const *names, size_t n)
{
    struct cm_cols c = {0};
    for (size_t k = 0; k < n; k++)
        cm_strs_add(&c.names, names[k]);
    return c;
}

static void set_strings(struct cm_cols *c, const char *name, const char *const *values)
{
    struct cm_strs *s = &cm_cols_vec(c, name, CM_T_STR)->s;
    cm_strs_clear(s);
    for (size_t k = 0; k < c->names.n; k++)
        cm_strs_add(s, values[k]);
}

static void offsets_from_columns(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d", "e"};
    static const char *const chroms[] = {"chr2", "", "chr1", "nan", "chr1"};
    static const char *const intervals[] = {"chr9:1-2", "chr9:3-4", "NA", "NA", "NA"};
    static const double starts[] = {5, 6, 7, 8, 0};
    struct cm_cols c = table(names, 5);
    set_strings(&c, "chromosome", chroms);
    set_strings(&c, "interval", intervals);
    struct cm_vec *v = cm_cols_vec(&c, "start", CM_T_F64);
    memcpy(v->f, starts, sizeof starts);
    v->f[4] = 0.0 / 0.0; /* pandas' missing */
    struct cm_vec *end = cm_cols_vec(&c, "end", CM_T_I64);
    end->i[0] = 9;
    struct cm_genome g = {0};
    cm_genome_init(&g, 5);
    assert_int_equal(cm_genome_from_columns(&g, &c), 3);
    assert_string_equal(cm_strs_get(&g.chrom, g.at[0].chrom), "chr2");
    assert_int_equal(g.at[0].start, 5);
    assert_int_equal(g.at[0].end, 9);
    assert_string_equal(cm_strs_get(&g.chrom, g.at[1].chrom), "chr9"); /* interval */
    assert_int_equal(g.at[1].end, 4);
    assert_int_equal(g.at[2].end, CM_NO_POSITION);
    assert_true(g.at[3].chrom == CM_NOWHERE && g.at[4].chrom == CM_NOWHERE);
    cm_genome_to_columns(&g, &c);
    assert_int_equal(cm_cols_find(&c, "start")->type, CM_T_I64);
    assert_int_equal(cm_cols_find(&c, "start")->i[3], CM_I64_MISSING);
    assert_string_equal(cm_strs_get(&cm_cols_find(&c, "chrom")->s, 1), "chr9");
    assert_null(cm_cols_find(&c, "tss"));
    cm_cols_free(&c);
    cm_genome_free(&g);
}

/* Coordinates that a table brought as text are numbers like any others. */
static void text_is_read_as_a_number(void **state)
{
    (void)state;
    static const char *const names[] = {"a", "b", "c", "d"};
    static const char *const chroms[] = {"chr1", "chr1", "chr1", "chr1"};
    static const char *const starts[] = {"7", "1e+06", "NA", "-3"};
    struct cm_cols c = table(names, 4);
    set_strings(&c, "chrom", chroms);
    set_strings(&c, "start", starts);
    struct cm_genome g = {0};
    cm_genome_init(&g, 4);
    assert_int_equal(cm_genome_from_columns(&g, &c), 2);
    assert_int_equal(g.at[0].start, 7);
    assert_int_equal(g.at[1].start, 1000000);
    assert_true(g.at[2].chrom == CM_NOWHERE && g.at[3].chrom == CM_NOWHERE);
    cm_cols_free(&c);
    cm_genome_free(&g);
}

static void names_count_only_in_the_majority(void **state)
{
    (void)state;
    static const char *const genes[] = {"CD3E", "CD4", "MIR-1-2", "B2M"};
    static const char *const peaks[] = {"chr1:1-2", "chr2:3-4", "odd"};
    struct cm_genome g = {0};
    struct cm_cols c = table(genes, 4);
    cm_genome_init(&g, 4);
    assert_int_equal(cm_genome_from_names(&g, &c.names), 0);
    cm_cols_free(&c);
    c = table(peaks, 3);
    cm_genome_init(&g, 3);
    assert_int_equal(cm_genome_from_names(&g, &c.names), 2);
    cm_cols_free(&c);
    cm_genome_free(&g);
}

static void check_order(const struct cm_genome *g, enum cm_genome_order by, const char *list,
                        enum cm_genome_key key, size_t ranked, const uint64_t *want)
{
    struct cm_strs listed = {0};
    uint64_t order[6];
    if (list)
        assert_int_equal(cm_chrom_list_read(put("list", list, false), &listed), 0);
    assert_int_equal(cm_genome_sort(g, by, &listed, key, order), ranked);
    for (size_t k = 0; k < 6; k++)
        if (order[k] != want[k])
            fail_msg("order %d: place %zu has %d, expected %d", (int)by, k, (int)order[k],
                     (int)want[k]);
    cm_strs_free(&listed);
}

static void orders(void **state)
{
    (void)state;
    struct cm_genome g = {0};
    cm_genome_init(&g, 6);
    uint32_t x = cm_genome_chrom(&g, "chrX", 4), ten = cm_genome_chrom(&g, "chr10", 5),
             two = cm_genome_chrom(&g, "chr2", 4);
    cm_genome_place(&g, 0, (struct cm_place){x, 5, 9, 8});
    cm_genome_place(&g, 1, (struct cm_place){ten, 7, 9, CM_NO_POSITION});
    cm_genome_place(&g, 3, (struct cm_place){two, 4, 40, 4});
    cm_genome_place(&g, 4, (struct cm_place){ten, 7, 8, CM_NO_POSITION});
    cm_genome_place(&g, 5, (struct cm_place){two, 6, 10, 3});
    check_order(&g, CM_ORDER_NATURAL, NULL, CM_KEY_START, 5, (uint64_t[]){3, 5, 4, 1, 0, 2});
    check_order(&g, CM_ORDER_NATURAL, NULL, CM_KEY_MID, 5, (uint64_t[]){5, 3, 4, 1, 0, 2});
    check_order(&g, CM_ORDER_NATURAL, NULL, CM_KEY_TSS, 5, (uint64_t[]){5, 3, 4, 1, 0, 2});
    check_order(&g, CM_ORDER_LEXICOGRAPHIC, NULL, CM_KEY_START, 5, (uint64_t[]){4, 1, 3, 5, 0, 2});
    check_order(&g, CM_ORDER_INPUT, NULL, CM_KEY_START, 5, (uint64_t[]){0, 4, 1, 3, 5, 2});
    check_order(&g, CM_ORDER_FILE, "#c\nchrX\t99\nchr2 5\n\nchr1\n", CM_KEY_START, 3,
                (uint64_t[]){0, 3, 5, 1, 2, 4});
    check_order(&g, CM_ORDER_FILE, "@HD\tVN:1\n@SQ\tSN:chr10\tLN:5\n@SQ\tSN:chr2\n", CM_KEY_START,
                4, (uint64_t[]){4, 1, 3, 5, 0, 2});
    struct cm_strs twice = {0};
    assert_int_equal(cm_chrom_list_read(put("list", "a\nb\na\n", false), &twice), CM_EINPUT);
    cm_strs_clear(&twice);
    assert_int_equal(cm_chrom_list_read(put("list", "#\n", false), &twice), CM_EINPUT);
    assert_int_equal(cm_chrom_list_read("/nowhere/list", &twice), CM_ESYSTEM);
    cm_strs_free(&twice);
    cm_genome_free(&g);
}

static void styles(void **state)
{
    (void)state;
    static const char *const keep[] = {"chr1", "1", "MT", "chrM", "chrX", "GL000205.2"},
                             *const ucsc[] = {"chr1", "chr1", "chrM", "chrM", "chrX", "GL000205.2"},
                             *const ensembl[] = {"1", "1", "MT", "MT", "X", "GL000205.2"},
                             *const *const want[] = {keep, ucsc, ensembl};
    for (int s = 0; s < 3; s++) {
        struct cm_genome g = {0};
        cm_genome_init(&g, 6);
        for (size_t i = 0; i < 6; i++)
            cm_genome_place(&g, i,
                            (struct cm_place){cm_genome_chrom(&g, keep[i], strlen(keep[i])), 1, 2,
                                              CM_NO_POSITION});
        cm_genome_style(&g, (enum cm_chrom_style)s);
        for (size_t i = 0; i < 6; i++)
            assert_string_equal(cm_strs_get(&g.chrom, g.at[i].chrom), want[s][i]);
        cm_genome_free(&g);
    }
}

static const char gtf[] =
    "#!genome-build X\n"
    "chrUn\tsrc\tgene\t5\t6\t.\t+\t.\tgene_id \"ENSG9\"; gene_name \"AB;C\";\n"
    "chr1\tsrc\tgene\t101\t200\t.\t+\t.\tgene_id \"ENSG1.4\"; gene_version \"4\"; gene_name "
    "\"AB;C\";\n"
    "chr1\tsrc\ttranscript\t101\t150\t.\t+\t.\tgene_id \"ENSG1.4\"; transcript_id \"T\";\n"
    "chr2\tsrc\tgene\t301\t400\t.\t-\t.\tgene_id \"ENSG2.1\"; gene_name \"D.E\"\n"
    "chr3\tsrc\tgene\t1\t1\t.\t.\t.\tgene_id \"ENSG3\";\n";

static const char parts[] =
    "chr1\ts\texon\t101\t120\t.\t+\t.\tgene_id \"ENSG1.4\"; gene_name \"AB;C\";\n"
    "chr1\ts\texon\t150\t200\t.\t+\t.\tgene_id \"ENSG1.4\"; gene_name \"AB;C\";\n"
    "chr2\ts\texon\t380\t400\t.\t-\t.\tgene_id \"ENSG2.1\"; gene_name \"D.E\";\n"
    "chr3\ts\texon\t1\t1\t.\t.\t.\tgene_id \"ENSG3\";\n"
    "chr2\ts\texon\t301\t310\t.\t-\t.\tgene_id \"ENSG2.1\"; gene_name \"D.E\";\n";

static const char gff3[] =
    "##gff-version 3\n"
    "chr1\ts\tgene\t101\t200\t.\t+\t.\tID=gene:ENSG1.4;Name=AB;C\n"
    "chr1\ts\tmRNA\t1\t2\t.\t+\t.\tID=transcript:T;Parent=gene:ENSG1\n"
    "chr2\ts\tncRNA_gene\t301\t400\t.\t-\t.\tgene_name=D.E;gene_id=ENSG2;ID=x\n"
    "chr3\ts\tpseudogene\t1\t1\t.\t.\t.\tID=ENSG3\n";

static const char bed[] = "track name=x\n"
                          "chr1\t100\t200\tAB;C\t0\t+\n"
                          "chr2\t300\t400\tD.E\t0\t-\r\n"
                          "chr3\t0\t1\tENSG3\n";

static void check_offsets(const char *path, bool ids)
{
    struct cm_annotation *a;
    if (cm_annotation_read(&a, path))
        fail_msg("%s", cm_error_message());
    static const char *const names[] = {"AB;C", "D.E", "ENSG3.77", "none"};
    static const char *const id[] = {"", "ENSG2.9", "", ""};
    struct cm_cols c = table(names, 4);
    if (ids) {
        set_strings(&c, "gene_ids", id);
        cm_strs_free(&c.names);
        struct cm_cols d = table((const char *const[]){"ENSG1", "other", "ENSG3.77", "none"}, 4);
        c.names = d.names;
    }
    struct cm_genome g = {0};
    cm_genome_init(&g, 4);
    size_t hits;
    assert_int_equal(cm_genome_from_annotation(&g, &c, a, &hits), 0);
    assert_int_equal(hits, 3);
    static const int64_t want[3][3] = {{100, 200, 100}, {300, 400, 399}, {0, 1, 0}};
    for (int k = 0; k < 3; k++) {
        char chrom[16];
        snprintf(chrom, sizeof chrom, "chr%d", k + 1);
        assert_string_equal(cm_strs_get(&g.chrom, g.at[k].chrom), chrom);
        assert_int_equal(g.at[k].start, want[k][0]);
        assert_int_equal(g.at[k].end, want[k][1]);
        assert_int_equal(g.at[k].tss, want[k][2]);
    }
    assert_true(g.at[3].chrom == CM_NOWHERE);
    cm_genome_free(&g);
    cm_cols_free(&c);
    cm_annotation_free(a);
}

static void annotations_agree(void **state)
{
    (void)state;
    for (int gz = 0; gz < 2; gz++) {
        check_offsets(put(gz ? "a.bed.gz" : "a.bed", bed, gz), false);
        check_offsets(put(gz ? "a.gtf.gz" : "a.gtf", gtf, gz), true);
        check_offsets(put(gz ? "b.gtf.gz" : "b.gtf", parts, gz), true);
        check_offsets(put(gz ? "a.gff3.gz" : "a.gff", gff3, gz), true);
    }
    check_offsets(put("a.gtf", gtf, false), false);
}

static void wrong_annotations_are_refused(void **state)
{
    (void)state;
    struct cm_annotation *a;
    assert_int_equal(cm_annotation_read(&a, put("a.txt", bed, false)), CM_EINPUT);
    assert_int_equal(cm_annotation_read(&a, put("e.bed", "", false)), CM_EINPUT);
    assert_int_equal(cm_annotation_read(&a, put("s.bed", "chr1\t1\t2\n", false)), CM_EINPUT);
    assert_non_null(strstr(cm_error_message(), "line 1"));
    assert_int_equal(
        cm_annotation_read(&a, put("s.gtf", "chr1\tx\tgene\t0\t2\t.\t.\t.\tgene_id 1\n", false)),
        CM_EINPUT);
    assert_int_equal(cm_annotation_read(&a, "/nowhere/a.bed"), CM_ESYSTEM);
    char path[200];
    snprintf(path, sizeof path, "%s", put("cut.bed.gz", bed, true));
    assert_int_equal(truncate(path, 40), 0);
    assert_int_equal(cm_annotation_read(&a, path), CM_EINPUT);

    assert_int_equal(cm_annotation_read(&a, put("a.bed", bed, false)), 0);
    static const char *const mouse[] = {"AB;C", "x", "y", "z"};
    struct cm_cols c = table(mouse, 4);
    struct cm_genome g = {0};
    size_t hits;
    cm_genome_init(&g, 4);
    assert_int_equal(cm_genome_from_annotation(&g, &c, a, &hits), CM_EINPUT);
    assert_int_equal(hits, 1);
    assert_non_null(strstr(cm_error_message(), "1 of 4"));
    cm_genome_free(&g);
    cm_cols_free(&c);
    cm_annotation_free(a);
}

/* In numbers where anything but an index would take minutes. */
static void scaffolds_in_numbers(void **state)
{
    (void)state;
    enum { MANY = 200000 };
    struct cm_buf text = {0};
    struct cm_genome g = {0};
    struct cm_cols c = {0};
    struct cm_annotation *a;
    char name[32];
    size_t hits;
    for (int k = 0; k < MANY; k++) {
        cm_buf_printf(&text, "sc%d\t%d\t%d\tg%d\n", k, k, k + 5, k);
        snprintf(name, sizeof name, "g%d", MANY - 1 - k);
        cm_strs_add(&c.names, name);
    }
    cm_buf_put(&text, "", 1);
    assert_int_equal(cm_annotation_read(&a, put("many.bed", (char *)text.p, false)), 0);
    cm_genome_init(&g, MANY);
    assert_int_equal(cm_genome_from_annotation(&g, &c, a, &hits), 0);
    assert_int_equal(hits, MANY);
    assert_int_equal(g.chrom.n, MANY);
    assert_string_equal(cm_strs_get(&g.chrom, g.at[7].chrom), "sc199992");
    assert_int_equal(cm_genome_chrom(&g, "sc5x", 3), g.at[MANY - 6].chrom);
    assert_int_equal(cm_genome_chrom(&g, "new", 3), MANY);
    assert_int_equal(cm_genome_chrom(&g, "new", 3), MANY);
    cm_genome_free(&g);
    cm_annotation_free(a);
    cm_cols_free(&c);
    cm_buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(regions_are_read_from_the_right),
        cmocka_unit_test(chromosomes_in_natural_order),
        cmocka_unit_test(offsets_from_columns),
        cmocka_unit_test(text_is_read_as_a_number),
        cmocka_unit_test(names_count_only_in_the_majority),
        cmocka_unit_test(orders),
        cmocka_unit_test(styles),
        cmocka_unit_test(annotations_agree),
        cmocka_unit_test(wrong_annotations_are_refused),
        cmocka_unit_test(scaffolds_in_numbers),
    };
    return cmocka_run_group_tests(tests, make_dir, drop_dir);
}
