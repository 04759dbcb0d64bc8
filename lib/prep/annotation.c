/* prep/annotation.c - reading gene annotations; see annotation.h.
 *
 * A GTF without `gene` lines (StringTie, old
 * UCSC tables) lists exons and transcripts: lines of one gene_id are joined while they stand
 * together, and once more after sorting.  Then genes are ordered by chromosome rank, so that the
 * index, which keeps the first of equal names, prefers chromosomes to scaffolds.
 */
#include "prep/annotation.h"

#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/gzin.h"
#include "base/mem.h"
#include "base/sniff.h"
#include "base/text.h"
#include "base/utf8.h"

struct gene {
    uint32_t chrom;
    int64_t start, end;
    char strand;
    size_t id, name; /* positions in the text list */
};

struct cm_annotation {
    char *path;
    struct cm_dict chrom; /* in order of first use */
    struct cm_strs text;
    struct gene *gene;
    size_t n, cap;
    struct cm_strs id, bare, name; /* of each gene: id, id without version, symbol */
    struct cm_index by_id, by_bare, by_name;
};

enum kind { BED, GTF, GFF3 };

static bool ends_in(const char *s, size_t n, const char *tail)
{
    size_t m = strlen(tail);
    return n >= m && !strncmp(s + n - m, tail, m);
}

static int kind_of(const char *path, enum kind *kind)
{
    size_t n = strlen(path);
    if (ends_in(path, n, ".gz"))
        n -= 3;
    if (ends_in(path, n, ".bed"))
        *kind = BED;
    else if (ends_in(path, n, ".gtf"))
        *kind = GTF;
    else if (ends_in(path, n, ".gff3") || ends_in(path, n, ".gff"))
        *kind = GFF3;
    else
        return cm_fail(CM_EINPUT, "%s: expected a name that ends in .bed, .gtf or .gff3 (or .gz)",
                       path);
    return 0;
}

/* The value of `key` in attributes: `key "value"; ` (GTF) or `key=value;` (GFF3).  Its length, 0 if
 * absent; *value points into the text. */
static size_t attribute(const char *text, enum kind kind, const char *key, const char **value)
{
    size_t n = strlen(key);
    for (const char *at = text; *at;) {
        at += strspn(at, " ;");
        bool is = !strncmp(at, key, n) && at[n] == (kind == GTF ? ' ' : '=');
        if (is) {
            at += n + 1;
            at += strspn(at, " ");
            bool quoted = *at == '"';
            *value = at += quoted;
            return strcspn(at, quoted ? "\"" : ";");
        }
        while (*at && *at != ';') { /* a quoted value may hold a semicolon */
            if (*at == '"')
                at += 1 + strcspn(at + 1, "\"");
            at += *at != 0;
        }
    }
    return 0;
}

static size_t first_attribute(const char *text, enum kind kind, const char *const *keys,
                              const char **value)
{
    size_t n = 0;
    for (; *keys && n == 0; keys++)
        n = attribute(text, kind, *keys, value);
    return n;
}

static size_t keep(struct cm_annotation *a, const char *s, size_t n)
{
    cm_strs_addn(&a->text, s, n);
    return a->text.n - 1;
}

static int hex(char c)
{
    return c >= '0' && c <= '9'   ? c - '0'
           : c >= 'A' && c <= 'F' ? c - 'A' + 10
           : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                  : -1;
}

/* The same; GFF3 writes its separators inside values as %3B, %2C ... */
static size_t keep_value(struct cm_annotation *a, enum kind kind, const char *s, size_t n)
{
    if (kind != GFF3 || !memchr(s, '%', n))
        return keep(a, s, n);
    char *text = CM_NEW(n + 1, char);
    size_t m = 0;
    for (size_t k = 0; k < n; k++) {
        int high = s[k] == '%' && k + 2 < n ? hex(s[k + 1]) : -1,
            low = high >= 0 ? hex(s[k + 2]) : -1;
        if (low >= 0 && high + low > 0) {
            text[m++] = (char)(16 * high + low);
            k += 2;
        } else {
            text[m++] = s[k];
        }
    }
    size_t at = keep(a, text, m);
    cm_free(text);
    return at;
}

static bool same_gene(const struct cm_annotation *a, const struct gene *g, const struct gene *h)
{
    return g->chrom == h->chrom && g->strand == h->strand &&
           !strcmp(cm_strs_get(&a->text, g->id), cm_strs_get(&a->text, h->id));
}

static void widen(struct gene *g, const struct gene *by)
{
    g->start = by->start < g->start ? by->start : g->start;
    g->end = by->end > g->end ? by->end : g->end;
}

/* Text of a stream must be UTF-8, and what is no text at all is better named. */
static int check_text(const struct cm_annotation *a, const char *line, size_t number)
{
    size_t n = strlen(line), bad = *line == '#' ? n : cm_utf8_bad(line, n);
    const char *kind = number == 1 ? cm_sniff(line, n) : "";
    if (strchr(kind, '('))
        return cm_fail(CM_EINPUT, "%s: expected lines of text, found %s", a->path, kind);
    if (bad < n)
        return cm_fail(CM_EINPUT,
                       "%s: line %zu: byte %zu (0x%02x) is not UTF-8; if the file is Latin-1, "
                       "iconv -f LATIN1 -t UTF-8 converts it",
                       a->path, number, bad + 1, (unsigned char)line[bad]);
    return 0;
}

static int bad_line(const struct cm_annotation *a, size_t number, const char *expected)
{
    return cm_fail(CM_EINPUT, "%s: line %zu: expected %s", a->path, number, expected);
}

/* One line.  *whole: `gene` lines were seen, so parts of genes are of no interest any more. */
static int take_line(struct cm_annotation *a, enum kind kind, char *line, size_t number,
                     bool *whole_genes)
{
    if (*line == '#' || !*line || !strncmp(line, "track", 5) || !strncmp(line, "browser", 7))
        return 0;
    char *field[9] = {0}, *rest = line;
    size_t fields = 0;
    while (fields < 9 && rest)
        field[fields++] = cm_next_field(&rest);
    struct gene g = {.strand = '.'};
    if (kind == BED) {
        if (fields < 4 || !cm_parse_i64(field[1], &g.start) || !cm_parse_i64(field[2], &g.end) ||
            g.start < 0 || g.end < g.start)
            return bad_line(a, number, "chrom, start, end, name (tab-separated)");
        g.strand = fields > 5 ? field[5][0] : '.';
        g.chrom = cm_dict_code(&a->chrom, field[0]);
        g.id = g.name = keep(a, field[3], strlen(field[3]));
    } else {
        static const char *const id_keys[] = {"gene_id", "ID", NULL}, *const name_keys[] = {
                                                                          "gene_name", "Name",
                                                                          "gene", NULL};
        if (fields < 9 || !cm_parse_i64(field[3], &g.start) || !cm_parse_i64(field[4], &g.end) ||
            g.start < 1 || g.end < g.start)
            return bad_line(a, number, "nine tab-separated fields with start and end");
        bool whole =
            kind == GTF ? !strcmp(field[2], "gene") : ends_in(field[2], strlen(field[2]), "gene");
        if (!whole && (kind == GFF3 || *whole_genes))
            return 0;
        const char *id = "", *name = "";
        size_t n = first_attribute(field[8], kind, id_keys, &id);
        if (n == 0)
            return 0;
        if (n > 5 && !strncmp(id, "gene:", 5)) { /* Ensembl's GFF3 */
            id += 5;
            n -= 5;
        }
        if (whole && !*whole_genes) {
            *whole_genes = true;
            a->n = 0;
        }
        size_t m = first_attribute(field[8], kind, name_keys, &name);
        g.start--; /* 1-based, closed -> 0-based, half-open */
        g.strand = field[6][0];
        g.chrom = cm_dict_code(&a->chrom, field[0]);
        size_t texts = a->text.n, used = a->text.used;
        g.id = keep_value(a, kind, id, n);
        g.name = keep_value(a, kind, name, m);
        if (!whole && a->n && same_gene(a, &a->gene[a->n - 1], &g)) {
            widen(&a->gene[a->n - 1], &g);
            a->text.n = texts;
            a->text.used = used;
            return 0;
        }
    }
    CM_GROW(a->gene, a->cap, a->n + 1);
    a->gene[a->n++] = g;
    return 0;
}

struct sortable {
    const char *id, *chrom;
    size_t at;
};

static int by_id_place(const void *a, const void *b)
{
    const struct sortable *x = a, *y = b;
    int c = strcmp(x->id, y->id);
    c = c ? c : cm_chrom_compare(x->chrom, y->chrom);
    return c ? c : x->at < y->at ? -1 : 1;
}

static int by_chrom(const void *a, const void *b)
{
    const struct sortable *x = a, *y = b;
    int c = cm_chrom_compare(x->chrom, y->chrom);
    return c ? c : x->at < y->at ? -1 : 1;
}

static void reorder(struct cm_annotation *a, int (*compare)(const void *, const void *))
{
    struct sortable *s = CM_NEW(a->n, struct sortable);
    struct gene *sorted = CM_NEW(a->n, struct gene);
    for (size_t k = 0; k < a->n; k++)
        s[k] = (struct sortable){cm_strs_get(&a->text, a->gene[k].id),
                                 cm_strs_get(&a->chrom.names, a->gene[k].chrom), k};
    qsort(s, a->n, sizeof *s, compare);
    for (size_t k = 0; k < a->n; k++)
        sorted[k] = a->gene[s[k].at];
    cm_free(s);
    cm_free(a->gene);
    a->gene = sorted;
    a->cap = a->n;
}

/* "ENSG00000000003.15" without ".15"; anything else unchanged.  Returns the length. */
static size_t versionless(const char *id)
{
    size_t n = strlen(id), at = n;
    while (at && id[at - 1] >= '0' && id[at - 1] <= '9')
        at--;
    return at > 1 && at < n && id[at - 1] == '.' ? at - 1 : n;
}

static void index_genes(struct cm_annotation *a, bool parts)
{
    if (parts) {
        reorder(a, by_id_place);
        size_t n = 0;
        for (size_t k = 0; k < a->n; k++)
            if (n && same_gene(a, &a->gene[n - 1], &a->gene[k]))
                widen(&a->gene[n - 1], &a->gene[k]);
            else
                a->gene[n++] = a->gene[k];
        a->n = n;
    }
    reorder(a, by_chrom);
    for (size_t k = 0; k < a->n; k++) {
        const char *id = cm_strs_get(&a->text, a->gene[k].id);
        cm_strs_add(&a->id, id);
        cm_strs_addn(&a->bare, id, versionless(id));
        cm_strs_add(&a->name, cm_strs_get(&a->text, a->gene[k].name));
    }
    cm_index_make(&a->by_id, &a->id);
    cm_index_make(&a->by_bare, &a->bare);
    cm_index_make(&a->by_name, &a->name);
}

int cm_annotation_read(struct cm_annotation **out, const char *path)
{
    enum kind kind = BED;
    int code = kind_of(path, &kind);
    if (code)
        return code;
    struct cm_gzin *g;
    if ((code = cm_gzin_open(&g, path)))
        return code;
    struct cm_annotation *a = CM_ZNEW(1, struct cm_annotation);
    a->path = cm_strdup(path);
    bool whole_genes = kind != GTF;
    char *line;
    int more;
    for (size_t number = 1, n; !code && (more = cm_gzin_line(g, &line, &n)); number++) {
        if ((code = more < 0 ? more : 0))
            break;
        bool mark = number == 1 && !strncmp(line, "\xef\xbb\xbf", 3);
        if (strlen(line) < n)
            code = cm_fail(CM_EINPUT, "%s: line %zu: holds a zero byte: no text", path, number);
        while (n && line[n - 1] == '\r')
            line[--n] = 0;
        code = code ? code : check_text(a, line, number);
        if (!code)
            code = take_line(a, kind, line + (mark ? 3 : 0), number, &whole_genes);
    }
    cm_gzin_close(g);
    if (!code && a->n == 0)
        code = cm_fail(CM_EINPUT, "%s: no genes found", path);
    if (code) {
        cm_annotation_free(a);
        return code;
    }
    index_genes(a, !whole_genes);
    *out = a;
    return 0;
}

size_t cm_annotation_genes(const struct cm_annotation *a) { return a->n; }

static size_t find_id(const struct cm_annotation *a, const char *id)
{
    size_t at = cm_index_find(&a->by_id, id), n = versionless(id);
    if (at != CM_ABSENT)
        return at;
    char *bare = cm_strdup(id);
    bare[n] = 0;
    at = cm_index_find(&a->by_bare, bare);
    cm_free(bare);
    return at;
}

int cm_genome_from_annotation(struct cm_genome *g, const struct cm_cols *c,
                              const struct cm_annotation *a, size_t *hits)
{
    const struct cm_vec *ids = cm_cols_find(c, "gene_ids");
    ids = ids ? ids : cm_cols_find(c, "gene_id");
    ids = ids ? ids : cm_cols_find(c, "id");
    const struct cm_vec *symbols = cm_cols_find(c, "feature_name");
    *hits = 0;
    for (size_t i = 0; i < g->n; i++) {
        const char *name = cm_strs_get(&c->names, i);
        const char *id = ids && ids->type == CM_T_STR ? cm_strs_get(&ids->s, i) : "";
        size_t at = *id ? find_id(a, id) : CM_ABSENT;
        if (at == CM_ABSENT && *name)
            at = cm_index_find(&a->by_name, name);
        if (at == CM_ABSENT && *name)
            at = find_id(a, name);
        if (at == CM_ABSENT && symbols && symbols->type == CM_T_STR && *cm_strs_get(&symbols->s, i))
            at = cm_index_find(&a->by_name, cm_strs_get(&symbols->s, i));
        if (at == CM_ABSENT)
            continue;
        const struct gene *e = &a->gene[at];
        const char *chrom = cm_strs_get(&a->chrom.names, e->chrom);
        cm_genome_place(g, i,
                        (struct cm_place){cm_genome_chrom(g, chrom, strlen(chrom)), e->start,
                                          e->end, e->strand == '-' ? e->end - 1 : e->start});
        ++*hits;
    }
    if (g->n && 2 * *hits <= g->n)
        return cm_fail(CM_EINPUT,
                       "%s knows %zu of %zu features: another species, release or kind of name?",
                       a->path, *hits, g->n);
    return 0;
}

void cm_annotation_free(struct cm_annotation *a)
{
    if (!a)
        return;
    cm_index_free(&a->by_id);
    cm_index_free(&a->by_bare);
    cm_index_free(&a->by_name);
    cm_dict_free(&a->chrom);
    cm_strs_free(&a->text);
    cm_strs_free(&a->id);
    cm_strs_free(&a->bare);
    cm_strs_free(&a->name);
    cm_free(a->gene);
    cm_free(a->path);
    cm_free(a);
}
