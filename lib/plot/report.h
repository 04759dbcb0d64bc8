/* plot/report.h - the parts of a report on a match.  Each adds a section to a page. */
#ifndef CM_PLOT_REPORT_H
#define CM_PLOT_REPORT_H

#include "model/model.h"
#include "plot/html.h"
#include "plot/plots.h"

#ifdef __cplusplus
extern "C" {
#endif

/* What is reported.  Where the truth is not known, truth->n is 0 and both its lists are filled with
 * CM_UNPAIRED. */
struct cm_report {
    const struct cm_table *match;
    const struct cm_pairs *truth;
    const struct cm_labels *extra; /* a stream with labels of both sides' cells, or NULL */
    const char *label;             /* of the rows, for the section by label; NULL: none */
};

/* Numbers of the whole match, of those that are known; NaN where one is not. */
struct cm_report_numbers {
    size_t rows, cols, paired, empty;
    bool probable;       /* the values are probabilities */
    double per_row;      /* stored candidates of a row */
    double claimed;      /* mean probability of first choices: the share expected to be right */
    double chance, soft; /* match probability and that of a matcher that knows nothing */
    double top1, top5, top10, median_rank, ece, ece_by_chance;
};
void cm_report_count(const struct cm_report *r, struct cm_report_numbers *n);

void cm_report_summary(struct cm_page *p, const struct cm_report *r,
                       const struct cm_report_numbers *n);
/* How sure: the numbers, and the figures of reliability, ranks, precision and recall. */
void cm_report_certainty(struct cm_page *p, const struct cm_report *r,
                         const struct cm_report_numbers *n);
/* By the values of the label, and its confusion; nothing without a label. */
void cm_report_by_label(struct cm_page *p, const struct cm_report *r,
                        const struct cm_report_numbers *n);
/* Tables as score prints them, side by side; name: of each column. */
int cm_report_scores(struct cm_page *p, const struct cm_text_table *score,
                     const struct cm_strs *name);
/* The first `top` rows of a table of links, and its arcs; a warning where it has no rows. */
int cm_report_links(struct cm_page *p, const struct cm_text_table *links, size_t top);
/* The same of a model that has links, as peak-links prints them; path: its file. */
int cm_report_model_links(struct cm_page *p, const struct cm_model *m, const char *path,
                          size_t top);

/* What cms-info says of a stream, reported once: commands of its history, and its line in the
 * table of files. */
struct cm_sources {
    struct cm_strs file, kind, size, digest;
    struct cm_strs command, remark; /* of all streams, each once */
    struct cm_strs id;              /* of the commands */
};
/* path: as given; r: a reader that has been read to END. */
void cm_sources_add(struct cm_sources *s, const char *path, const struct cm_reader *r);
void cm_sources_add_table(struct cm_sources *s, const char *path, size_t rows);
void cm_report_sources(struct cm_page *p, const struct cm_sources *s);
void cm_sources_free(struct cm_sources *s);

/* A section of a MultiQC report: custom content, one table, JSON.  sample: its name there. */
void cm_report_multiqc(const struct cm_report_numbers *n, const char *sample, struct cm_buf *out);

#ifdef __cplusplus
}
#endif
#endif
