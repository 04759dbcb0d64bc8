/* prep/genome.h - where a feature lies on the genome, and the order that follows.
 *
 * Peaks carry their position in their names (in several spellings), genes in columns or in an
 * annotation, and genome order is not one order: chr10 before chr2 or after.  One position a
 * feature (chromosome, start, end, TSS) is filled from the sources in a stated order of trust, and
 * a permutation is computed from chromosome ranks.  Coordinates are BED's: 0-based, end excluded;
 * numbers in names and columns are taken as they stand, annotation files are converted.
 */
#ifndef CM_PREP_GENOME_H
#define CM_PREP_GENOME_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strs.h"
#include "stream/cms.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_NOWHERE     UINT32_MAX     /* chromosome of a feature without a position */
#define CM_NO_POSITION CM_I64_MISSING /* an end or TSS that is not known */

struct cm_place {
    uint32_t chrom; /* position in the genome's chrom list, or CM_NOWHERE */
    int64_t start, end, tss;
};

/* Zero-initialise ({0}); cm_genome_free.  at[i] belongs to column i of the table. */
struct cm_genome {
    struct cm_strs chrom; /* in order of first use */
    struct cm_index by_chrom;
    struct cm_place *at;
    size_t n;
    size_t placed; /* features with a position */
};
void cm_genome_init(struct cm_genome *g, size_t n); /* n features, none placed */
void cm_genome_free(struct cm_genome *g);
/* The chromosome's position in the list, added when new. */
uint32_t cm_genome_chrom(struct cm_genome *g, const char *name, size_t length);
/* Gives feature i a position, replacing what it had. */
void cm_genome_place(struct cm_genome *g, size_t i, struct cm_place p);

/* "chr1:5-9", "chr1-5-9", "chr1_5_9", "chr1.5.9": true with the length of the chromosome's name,
 * start and end (start <= end).  Read from the right, so that the chromosome may contain '-', '_'
 * and '.'.  Numbers may have commas between thousands; a strand (":+", "(-)") may follow. */
bool cm_region_parse(const char *name, size_t *chrom_length, int64_t *start, int64_t *end);

/* Fills positions that are still missing.  Each returns the number of features it located.
 * columns: chrom (or chromosome, chr, seqname) with start (chromStart), end (chromEnd), tss where
 *          there are such columns; else `interval` ("chr1:5-9", "NA" = nowhere).
 * names:   only if more than half of the names without a position are regions: among genes, one
 *          that is called X-1-2 is no region. */
size_t cm_genome_from_columns(struct cm_genome *g, const struct cm_cols *c);
size_t cm_genome_from_names(struct cm_genome *g, const struct cm_strs *names);

/* Chromosome names as they are, or with (ucsc: chr1, chrX, chrM) or without (ensembl: 1, X, MT) the
 * prefix; only numbers, X, Y, W, Z, M and MT are changed, scaffolds stay.  AUTO: where both styles
 * occur, the one of most features; else as they are. */
enum cm_chrom_style { CM_CHROM_KEEP, CM_CHROM_UCSC, CM_CHROM_ENSEMBL, CM_CHROM_AUTO };
void cm_genome_style(struct cm_genome *g, enum cm_chrom_style style);

enum cm_genome_order { CM_ORDER_NATURAL, CM_ORDER_LEXICOGRAPHIC, CM_ORDER_FILE, CM_ORDER_INPUT };
enum cm_genome_key { CM_KEY_START, CM_KEY_MID, CM_KEY_TSS };

/* < 0, 0, > 0: numbered chromosomes by number, then X, Y, W, Z, M (MT), then all others with digit
 * runs compared as numbers; a "chr" in front counts for nothing but ties. */
int cm_chrom_compare(const char *a, const char *b);

/* The order of the features: order[k] = old index of the k-th; those without a position come last
 * in input order, and so do those on a chromosome that FILE does not list (by its name, else by
 * the name in the other style: chr1 for 1).  Returns how many are not among these.
 * Chromosomes by `by`: INPUT = in order of their first feature, FILE = as listed.  Within one by
 * key, then end, then input order; a missing TSS or end falls back on the start. */
size_t cm_genome_sort(const struct cm_genome *g, enum cm_genome_order by,
                      const struct cm_strs *listed, enum cm_genome_key key, uint64_t *order);

/* The first tab- or blank-separated word of each line that is no comment; of a sequence dictionary
 * (@SQ lines) the SN field.  CM_EINPUT: empty, or a name twice; CM_ESYSTEM: cannot be read. */
int cm_chrom_list_read(const char *path, struct cm_strs *out);

/* Writes chrom and start into the table, end and tss if any feature has one; missing where there is
 * no position.  Columns of those names that stood there are replaced. */
void cm_genome_to_columns(const struct cm_genome *g, struct cm_cols *c);

#ifdef __cplusplus
}
#endif
#endif
