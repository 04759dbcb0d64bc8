/* prep/genome.c - positions and orders; see genome.h.
 *
 * Chromosomes are few and features many, so everything about a chromosome (its rank in the chosen
 * order) is decided once, and features are sorted by numbers alone.  Natural order follows what the
 * references of 10x and UCSC show a reader: numbers, sex chromosomes, mitochondrion, scaffolds.
 * Roman numerals (yeast, worm) are not read: "X" cannot be distinguished from ten; an order file
 * can.
 */
#include "prep/genome.h"

#include <ctype.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "base/error.h"
#include "base/lines.h"
#include "base/mem.h"

void cm_genome_init(struct cm_genome *g, size_t n)
{
    cm_genome_free(g);
    g->n = n;
    g->at = CM_NEW(n, struct cm_place);
    for (size_t i = 0; i < n; i++)
        g->at[i] = (struct cm_place){CM_NOWHERE, CM_NO_POSITION, CM_NO_POSITION, CM_NO_POSITION};
}

void cm_genome_free(struct cm_genome *g)
{
    cm_strs_free(&g->chrom);
    cm_index_free(&g->by_chrom);
    cm_free(g->at);
    *g = (struct cm_genome){0};
}

uint32_t cm_genome_chrom(struct cm_genome *g, const char *name, size_t length)
{
    size_t last = g->chrom.n - 1; /* features mostly come sorted */
    if (g->chrom.n) {
        const char *have = cm_strs_get(&g->chrom, last);
        if (!strncmp(have, name, length) && !have[length])
            return (uint32_t)last;
    }
    cm_index_extend(&g->by_chrom, &g->chrom);
    cm_strs_addn(&g->chrom, name, length);
    size_t k = cm_index_find(&g->by_chrom, cm_strs_get(&g->chrom, last + 1));
    if (k == CM_ABSENT)
        return (uint32_t)(last + 1);
    g->chrom.used = g->chrom.off[--g->chrom.n];
    return (uint32_t)k;
}

void cm_genome_place(struct cm_genome *g, size_t i, struct cm_place p)
{
    g->placed += g->at[i].chrom == CM_NOWHERE;
    g->at[i] = p;
}

/* ===== sources ============================================================================ */

/* The number that ends at s[*end - 1], perhaps with commas between thousands; moves *end to its
 * first digit.  False without digits. */
static bool number_before(const char *s, size_t *end, int64_t *out)
{
    size_t at = *end, digits = 0, since = 0; /* digits since the last comma */
    int64_t place = 1;
    *out = 0;
    for (; at > 0 && digits < 16; at--) {
        if (s[at - 1] == ',' && since == 3 && at > 1 && isdigit((unsigned char)s[at - 2])) {
            since = 0;
            continue;
        }
        if (!isdigit((unsigned char)s[at - 1]))
            break;
        *out += place * (s[at - 1] - '0');
        place *= 10;
        digits++;
        since++;
    }
    *end = at;
    return digits > 0 && digits <= 15;
}

/* The length without a strand behind it: ":+", ":-", "(+)", "(-)". */
static size_t without_strand(const char *s, size_t n)
{
    if (n > 2 && s[n - 2] == ':' && (s[n - 1] == '+' || s[n - 1] == '-'))
        return n - 2;
    if (n > 3 && s[n - 3] == '(' && (s[n - 2] == '+' || s[n - 2] == '-') && s[n - 1] == ')')
        return n - 3;
    return n;
}

bool cm_region_parse(const char *name, size_t *chrom_length, int64_t *start, int64_t *end)
{
    size_t at = without_strand(name, strlen(name));
    if (!number_before(name, &at, end) || at < 3)
        return false;
    char inner = name[--at];
    if ((inner != '-' && inner != '_' && inner != '.') || !number_before(name, &at, start) ||
        at < 2)
        return false;
    char outer = name[--at];
    if ((outer != ':' || inner == '.') && outer != inner)
        return false;
    *chrom_length = at;
    return *start <= *end;
}

/* Item i of a column of coordinates, numbers or their text (R writes 1e+06), or CM_NO_POSITION. */
static int64_t whole(const struct cm_vec *v, size_t i)
{
    if (v && v->type == CM_T_I64)
        return v->i[i];
    double x = cm_vec_number(v, i);
    return x >= 0 && x < 1e15 ? (int64_t)x : CM_NO_POSITION; /* false for NaN */
}

static const struct cm_vec *first_of(const struct cm_cols *c, const char *const *names)
{
    const struct cm_vec *v = NULL;
    for (; *names && !v; names++)
        v = cm_cols_find(c, *names);
    return v;
}

static bool absent(const char *s)
{
    return !*s || !strcmp(s, "NA") || !strcmp(s, "nan") || !strcmp(s, "NaN") ||
           !strcmp(s, "None") || !strcmp(s, ".");
}

static bool place_region(struct cm_genome *g, size_t i, const char *region)
{
    size_t length;
    int64_t start, end;
    if (!cm_region_parse(region, &length, &start, &end))
        return false;
    cm_genome_place(
        g, i, (struct cm_place){cm_genome_chrom(g, region, length), start, end, CM_NO_POSITION});
    return true;
}

size_t cm_genome_from_columns(struct cm_genome *g, const struct cm_cols *c)
{
    static const char *const chroms[] = {"chrom", "chromosome", "chr", "seqname", NULL},
                             *const starts[] = {"start", "chromStart", NULL},
                             *const ends[] = {"end", "chromEnd", NULL};
    const struct cm_vec *chrom = first_of(c, chroms), *start = first_of(c, starts),
                        *end = first_of(c, ends), *tss = cm_cols_find(c, "tss"),
                        *interval = cm_cols_find(c, "interval");
    size_t before = g->placed;
    for (size_t i = 0; i < g->n; i++) {
        if (g->at[i].chrom != CM_NOWHERE)
            continue;
        const char *name = chrom && chrom->type == CM_T_STR ? cm_strs_get(&chrom->s, i) : "";
        int64_t from = whole(start, i);
        if (!absent(name) && from != CM_NO_POSITION)
            cm_genome_place(g, i,
                            (struct cm_place){cm_genome_chrom(g, name, strlen(name)), from,
                                              whole(end, i), whole(tss, i)});
        else if (interval && interval->type == CM_T_STR)
            place_region(g, i, cm_strs_get(&interval->s, i));
    }
    return g->placed - before;
}

size_t cm_genome_from_names(struct cm_genome *g, const struct cm_strs *names)
{
    size_t open = 0, regions = 0, before = g->placed, length;
    int64_t start, end;
    for (size_t i = 0; i < g->n; i++)
        if (g->at[i].chrom == CM_NOWHERE) {
            open++;
            regions += cm_region_parse(cm_strs_get(names, i), &length, &start, &end);
        }
    for (size_t i = 0; 2 * regions > open && i < g->n; i++)
        if (g->at[i].chrom == CM_NOWHERE)
            place_region(g, i, cm_strs_get(names, i));
    return g->placed - before;
}

/* ===== names of chromosomes =============================================================== */

static const char *bare(const char *name) { return strncasecmp(name, "chr", 3) ? name : name + 3; }

static bool all_digits(const char *s) { return *s && s[strspn(s, "0123456789")] == 0; }

/* 0 numbered, 1-5 the named ones, 6 everything else. */
static int chrom_class(const char *s)
{
    static const char *const named[] = {"X", "Y", "W", "Z", "M"};
    if (all_digits(s))
        return 0;
    for (int k = 0; k < 5; k++)
        if (!strcasecmp(s, named[k]))
            return k + 1;
    return strcasecmp(s, "MT") ? 6 : 5;
}

/* The style that most features on chromosomes with two styles have; KEEP unless both occur. */
static enum cm_chrom_style majority(const struct cm_genome *g)
{
    size_t with = 0, without = 0;
    for (size_t i = 0; i < g->n; i++)
        if (g->at[i].chrom != CM_NOWHERE) {
            const char *name = cm_strs_get(&g->chrom, g->at[i].chrom), *s = bare(name);
            if (chrom_class(s) < 6)
                *(s == name ? &without : &with) += 1;
        }
    return !with || !without ? CM_CHROM_KEEP : with >= without ? CM_CHROM_UCSC : CM_CHROM_ENSEMBL;
}

void cm_genome_style(struct cm_genome *g, enum cm_chrom_style style)
{
    if (style == CM_CHROM_AUTO)
        style = majority(g);
    if (style == CM_CHROM_KEEP)
        return;
    struct cm_genome old = *g;
    g->chrom = (struct cm_strs){0};
    uint32_t *to = CM_NEW(old.chrom.n, uint32_t);
    for (size_t k = 0; k < old.chrom.n; k++) {
        const char *name = cm_strs_get(&old.chrom, k), *s = bare(name);
        int class = chrom_class(s);
        char text[40];
        if (class < 6 && strlen(s) < 30) {
            const char *core = class != 5 ? s : style == CM_CHROM_UCSC ? "M" : "MT";
            snprintf(text, sizeof text, "%s%s", style == CM_CHROM_UCSC ? "chr" : "", core);
            name = text;
        }
        to[k] = cm_genome_chrom(g, name, strlen(name)); /* "1" and "chr1" become one */
    }
    for (size_t i = 0; i < g->n; i++)
        if (g->at[i].chrom != CM_NOWHERE)
            g->at[i].chrom = to[g->at[i].chrom];
    cm_free(to);
    cm_strs_free(&old.chrom);
}

/* Text with runs of digits compared as numbers. */
static int natural(const char *a, const char *b)
{
    while (*a && *b) {
        if (isdigit((unsigned char)*a) && isdigit((unsigned char)*b)) {
            a += strspn(a, "0");
            b += strspn(b, "0");
            size_t m = strspn(a, "0123456789"), n = strspn(b, "0123456789");
            if (m != n)
                return m < n ? -1 : 1;
            int c = strncmp(a, b, m);
            if (c)
                return c;
            a += m;
            b += n;
        } else if (*a != *b) {
            return (unsigned char)*a < (unsigned char)*b ? -1 : 1;
        } else {
            a++;
            b++;
        }
    }
    return (*a != 0) - (*b != 0);
}

int cm_chrom_compare(const char *a, const char *b)
{
    const char *x = bare(a), *y = bare(b);
    int i = chrom_class(x), j = chrom_class(y);
    if (i != j)
        return i - j;
    int c = i == 0 || i == 6 ? natural(x, y) : 0;
    return c ? c : strcmp(a, b);
}

/* ===== orders ============================================================================= */

struct ranked {
    const char *name;
    uint32_t chrom;
};

static int by_natural(const void *a, const void *b)
{
    return cm_chrom_compare(((const struct ranked *)a)->name, ((const struct ranked *)b)->name);
}

static int by_text(const void *a, const void *b)
{
    return strcmp(((const struct ranked *)a)->name, ((const struct ranked *)b)->name);
}

/* The name by which chr1 and 1, chrM and MT are one; scaffolds have only their own. */
static void add_core(struct cm_strs *to, const char *name)
{
    const char *s = bare(name);
    int class = chrom_class(s);
    cm_strs_add(to, class == 6 ? name : class == 5 ? "M" : s);
}

/* rank[c] of every chromosome by a list: by its name, else by what the name stands for. */
static void rank_listed(const struct cm_strs *chrom, const struct cm_strs *listed, uint32_t *rank)
{
    struct cm_strs core = {0}, mine = {0};
    struct cm_index x, y;
    for (size_t k = 0; k < listed->n; k++)
        add_core(&core, cm_strs_get(listed, k));
    for (size_t k = 0; k < chrom->n; k++)
        add_core(&mine, cm_strs_get(chrom, k));
    cm_index_make(&x, listed);
    cm_index_make(&y, &core);
    for (size_t k = 0; k < chrom->n; k++) {
        size_t at = cm_index_find(&x, cm_strs_get(chrom, k));
        at = at == CM_ABSENT ? cm_index_find(&y, cm_strs_get(&mine, k)) : at;
        rank[k] = at == CM_ABSENT ? CM_NOWHERE : (uint32_t)at;
    }
    cm_index_free(&x);
    cm_index_free(&y);
    cm_strs_free(&core);
    cm_strs_free(&mine);
}

/* rank[c] of every chromosome; CM_NOWHERE = not listed. */
static void rank_chroms(const struct cm_genome *g, enum cm_genome_order by,
                        const struct cm_strs *listed, uint32_t *rank)
{
    uint32_t next = 0;
    for (size_t k = 0; k < g->chrom.n; k++)
        rank[k] = CM_NOWHERE;
    if (by == CM_ORDER_INPUT) {
        for (size_t i = 0; i < g->n; i++)
            if (g->at[i].chrom != CM_NOWHERE && rank[g->at[i].chrom] == CM_NOWHERE)
                rank[g->at[i].chrom] = next++;
    } else if (by == CM_ORDER_FILE) {
        rank_listed(&g->chrom, listed, rank);
    } else {
        struct ranked *r = CM_NEW(g->chrom.n, struct ranked);
        for (size_t k = 0; k < g->chrom.n; k++)
            r[k] = (struct ranked){cm_strs_get(&g->chrom, k), (uint32_t)k};
        qsort(r, g->chrom.n, sizeof *r, by == CM_ORDER_NATURAL ? by_natural : by_text);
        for (size_t k = 0; k < g->chrom.n; k++)
            rank[r[k].chrom] = (uint32_t)k;
        cm_free(r);
    }
}

struct item {
    uint32_t rank;
    int64_t key, end;
    uint64_t from;
};

static int by_place(const void *a, const void *b)
{
    const struct item *x = a, *y = b;
    if (x->rank != y->rank)
        return x->rank < y->rank ? -1 : 1;
    if (x->key != y->key)
        return x->key < y->key ? -1 : 1;
    if (x->end != y->end)
        return x->end < y->end ? -1 : 1;
    return x->from < y->from ? -1 : 1;
}

size_t cm_genome_sort(const struct cm_genome *g, enum cm_genome_order by,
                      const struct cm_strs *listed, enum cm_genome_key key, uint64_t *order)
{
    uint32_t *rank = CM_NEW(g->chrom.n, uint32_t);
    rank_chroms(g, by, listed, rank);
    struct item *item = CM_NEW(g->n, struct item);
    size_t ranked = 0;
    for (size_t i = 0; i < g->n; i++) {
        const struct cm_place *p = &g->at[i];
        item[i] = (struct item){.rank = CM_NOWHERE, .from = i};
        if (p->chrom == CM_NOWHERE || rank[p->chrom] == CM_NOWHERE)
            continue;
        int64_t end = p->end == CM_NO_POSITION ? p->start : p->end;
        int64_t tss = p->tss == CM_NO_POSITION ? p->start : p->tss;
        item[i].rank = rank[p->chrom];
        item[i].key = key == CM_KEY_MID   ? p->start + (end - p->start) / 2
                      : key == CM_KEY_TSS ? tss
                                          : p->start;
        item[i].end = end;
        ranked++;
    }
    qsort(item, g->n, sizeof *item, by_place);
    for (size_t k = 0; k < g->n; k++)
        order[k] = item[k].from;
    cm_free(item);
    cm_free(rank);
    return ranked;
}

int cm_chrom_list_read(const char *path, struct cm_strs *out)
{
    struct cm_lines l = {0};
    int code = cm_lines_read(&l, path);
    for (size_t k = 0; k < l.n && !code; k++) {
        const char *at = l.line[k];
        if (*at == '#' || (*at == '@' && strncmp(at, "@SQ", 3)))
            continue;
        if (*at == '@') {
            at = strstr(at, "\tSN:");
            at = at ? at + 4 : "";
        }
        size_t n = strcspn(at, " \t");
        if (n)
            cm_strs_addn(out, at, n);
    }
    cm_lines_free(&l);
    if (code)
        return code;
    if (out->n == 0)
        return cm_fail(CM_EINPUT, "%s: no chromosome names", path);
    struct cm_index x;
    cm_index_make(&x, out);
    if (x.duplicate != CM_ABSENT)
        code =
            cm_fail(CM_EINPUT, "%s: \"%s\" is listed twice", path, cm_strs_get(out, x.duplicate));
    cm_index_free(&x);
    return code;
}

void cm_genome_to_columns(const struct cm_genome *g, struct cm_cols *c)
{
    bool end = false, tss = false;
    for (size_t i = 0; i < g->n; i++) {
        end = end || g->at[i].end != CM_NO_POSITION;
        tss = tss || g->at[i].tss != CM_NO_POSITION;
    }
    cm_cols_drop(c, "chrom");
    cm_cols_drop(c, "start");
    cm_cols_drop(c, "end");
    cm_cols_drop(c, "tss");
    struct cm_strs *name = &cm_cols_vec(c, "chrom", CM_T_STR)->s;
    cm_strs_clear(name);
    for (size_t i = 0; i < g->n; i++)
        cm_strs_add(name,
                    g->at[i].chrom == CM_NOWHERE ? "" : cm_strs_get(&g->chrom, g->at[i].chrom));
    int64_t *to = cm_cols_vec(c, "start", CM_T_I64)->i;
    for (size_t i = 0; i < g->n; i++)
        to[i] = g->at[i].start;
    to = end ? cm_cols_vec(c, "end", CM_T_I64)->i : NULL;
    for (size_t i = 0; to && i < g->n; i++)
        to[i] = g->at[i].end;
    to = tss ? cm_cols_vec(c, "tss", CM_T_I64)->i : NULL;
    for (size_t i = 0; to && i < g->n; i++)
        to[i] = g->at[i].tss;
}
