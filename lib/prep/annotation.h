/* prep/annotation.h - gene positions from BED, GTF and GFF3 files, plain or gzipped.
 *
 * RNA matrices name genes by symbol or by Ensembl id (with or without a version) and rarely carry
 * coordinates.  The annotation is read once into three indices (name, id, id without its version),
 * and every feature is looked up by name and by its id column; of several positions of one name the
 * one on the foremost chromosome wins, so that chromosomes beat scaffolds and patches.  A map that
 * hits at most half of the features is the wrong file, and is refused.  Coordinates become BED's.
 * Transcripts are not merged into gene models: only the gene's extent and its start of
 * transcription are needed.
 */
#ifndef CM_PREP_ANNOTATION_H
#define CM_PREP_ANNOTATION_H

#include "prep/genome.h"

#ifdef __cplusplus
extern "C" {
#endif

struct cm_annotation;

/* Reads the file; its kind follows from the name (.bed, .gtf, .gff, .gff3, each also .gz). BED:
 * column 4 is the name, column 6 the strand.  GTF: lines `gene` with gene_id, gene_name; if the
 * file has none, all lines of one gene_id together.  GFF3: lines whose type ends in "gene" with
 * ID, gene_id, Name, gene_name.  CM_EINPUT names file and line; CM_ESYSTEM: unreadable. */
int cm_annotation_read(struct cm_annotation **a, const char *path);
size_t cm_annotation_genes(const struct cm_annotation *a);

/* Locates every feature that the annotation knows, replacing what was known: by its id (column
 * gene_ids, gene_id or id of the table), its name, and the column feature_name.  CM_EINPUT if at
 * most half of the features are known (and there is one); *hits is set in any case. */
int cm_genome_from_annotation(struct cm_genome *g, const struct cm_cols *c,
                              const struct cm_annotation *a, size_t *hits);

void cm_annotation_free(struct cm_annotation *a);

#ifdef __cplusplus
}
#endif
#endif
