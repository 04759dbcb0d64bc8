/* format/hdf5/features.c - the table of features: columns under their reserved names. */
#include "format/hdf5/frame.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/text.h"

static bool is_missing_text(const char *s)
{
    return !*s || !strcmp(s, "NA") || !strcmp(s, "nan") || !strcmp(s, "NaN") ||
           !strcmp(s, "None") || !strcmp(s, ".");
}

/* A coordinate as a whole number: "100", "100.0", 1e2, or missing. */
static bool whole_of_text(const char *s, int64_t *v)
{
    double d;
    if (is_missing_text(s))
        *v = CM_I64_MISSING;
    else if (!cm_parse_i64(s, v)) {
        if (!cm_parse_f64(s, &d) || d != floor(d) || fabs(d) > 9e15)
            return false;
        *v = (int64_t)d;
    }
    return true;
}

/* Converts a column to the reserved one: chrom as text, the others as whole numbers.  False, and
 * nothing is changed, if its values do not fit. */
static bool as_place(struct cm_cols *t, const struct cm_vec *from, const char *name)
{
    struct cm_vec v = {0};
    bool ok = true;
    size_t n = t->names.n;
    if (!strcmp(name, "chrom")) {
        if (from->type != CM_T_STR && from->type != CM_T_I64)
            return false;
        cm_vec_reset(&v, name, CM_T_STR, n);
        cm_strs_clear(&v.s);
        for (size_t i = 0; i < n; i++) {
            char text[CM_NUMBER_MAX];
            const char *s = text;
            if (from->type == CM_T_STR)
                s = is_missing_text(cm_strs_get(&from->s, i)) ? "" : cm_strs_get(&from->s, i);
            else if (from->i[i] == CM_I64_MISSING)
                s = "";
            else
                snprintf(text, sizeof text, "%" PRId64, from->i[i]);
            cm_strs_add(&v.s, s);
        }
    } else {
        cm_vec_reset(&v, name, CM_T_I64, n);
        for (size_t i = 0; i < n && ok; i++) {
            double d = from->type == CM_T_F64 ? from->f[i] : 0;
            switch (from->type) {
            case CM_T_I64:
                v.i[i] = from->i[i];
                break;
            case CM_T_F64:
                ok = isnan(d) || (d == floor(d) && fabs(d) < 9e15);
                v.i[i] = !ok || isnan(d) ? CM_I64_MISSING : (int64_t)d;
                break;
            case CM_T_STR:
                ok = whole_of_text(cm_strs_get(&from->s, i), &v.i[i]);
                break;
            default:
                ok = false;
            }
        }
    }
    if (ok) {
        char *old = cm_strdup(from->name);
        cm_cols_drop(t, old);
        cm_free(old);
        struct cm_vec *to = cm_cols_vec(t, name, v.type);
        cm_vec_copy(to, &v);
    }
    cm_vec_free(&v);
    return ok;
}

/* "chr1:100-200", also with a start below zero; the contig may hold any character. */
static bool split_interval(const char *s, size_t *chrom, int64_t *start, int64_t *end)
{
    const char *colon = strrchr(s, ':');
    const char *dash = colon && colon[1] ? strchr(colon + 2, '-') : NULL;
    char number[CM_NUMBER_MAX];
    if (!dash || colon == s || dash - colon - 1 >= CM_NUMBER_MAX)
        return false;
    memcpy(number, colon + 1, (size_t)(dash - colon - 1));
    number[dash - colon - 1] = 0;
    *chrom = (size_t)(colon - s);
    return cm_parse_i64(number, start) && cm_parse_i64(dash + 1, end);
}

static bool split_intervals(struct cm_cols *t, const struct cm_vec *from)
{
    struct cm_vec start = {0}, end = {0};
    struct cm_strs chrom = {0};
    bool ok = from->type == CM_T_STR;
    size_t n = t->names.n, known = 0;
    cm_vec_reset(&start, "start", CM_T_I64, n);
    cm_vec_reset(&end, "end", CM_T_I64, n);
    for (size_t i = 0; i < n && ok; i++) {
        const char *s = cm_strs_get(&from->s, i);
        size_t len = 0;
        if (!is_missing_text(s)) {
            ok = split_interval(s, &len, &start.i[i], &end.i[i]);
            known++;
        }
        cm_strs_addn(&chrom, s, len);
    }
    if ((ok = ok && known)) {
        cm_cols_drop(t, "interval");
        struct cm_vec *c = cm_cols_vec(t, "chrom", CM_T_STR);
        cm_strs_copy(&c->s, &chrom);
        cm_vec_copy(cm_cols_vec(t, "start", CM_T_I64), &start);
        cm_vec_copy(cm_cols_vec(t, "end", CM_T_I64), &end);
    }
    cm_strs_free(&chrom);
    cm_vec_free(&start);
    cm_vec_free(&end);
    return ok;
}

static const char *const synonym[4][9] = {
    {"chrom", "chromosome", "chr", "seqname", "seqnames", "Chromosome", "CHROM", "chromosome_name"},
    {"start", "chromStart", "chrom_start", "Start", "START", "gene_start", "start_position"},
    {"end", "chromEnd", "chrom_end", "End", "END", "gene_end", "end_position"},
    {"tss", "TSS"}};

/* Gives the columns with the features' coordinates their reserved names. */
static void name_offsets(struct cm_cols *t, struct cm_h5 *h, const char *where)
{
    for (size_t k = 0; k < 4; k++)
        for (const char *const *s = synonym[k]; *s; s++) {
            struct cm_vec *v = cm_cols_find(t, *s);
            if (!v || as_place(t, v, synonym[k][0])) {
                if (v)
                    break;
                continue;
            }
            cm_h5_warn(h, "%s: %s/%s: not a %s; %s", h->name, where, *s,
                       k ? "list of whole numbers" : "list of names",
                       s == synonym[k] ? "left out" : "kept under its own name");
            if (s == synonym[k]) /* a reserved name must not hold anything else */
                cm_cols_drop(t, *s);
        }
    struct cm_vec *v = cm_cols_find(t, "interval");
    if (v && !cm_cols_find(t, "chrom") && !cm_cols_find(t, "start") && !split_intervals(t, v))
        cm_h5_warn(h, "%s: %s/interval: not like chr1:100-200; kept as text", h->name, where);
}

int cm_frame_cols(const struct cm_frame *f, struct cm_h5 *h, struct cm_cols *out)
{
    *out = (struct cm_cols){0};
    int code = cm_frame_names(f, 0, f->rows, &out->names);
    struct cm_vec v = {0};
    for (size_t k = 0; k < f->ncols && !code; k++) {
        const struct cm_h5col *c = &f->col[k];
        code = cm_frame_read(f, k, 0, f->rows, &v);
        if (code)
            break;
        struct cm_vec *to = cm_cols_vec(out, c->name, c->type == CM_T_CAT ? CM_T_STR : c->type);
        if (c->type == CM_T_CAT) {
            cm_strs_clear(&to->s);
            for (size_t i = 0; i < v.n; i++)
                cm_strs_add(&to->s, v.cat[i] == CM_CAT_MISSING
                                        ? ""
                                        : cm_strs_get(&c->dict.names, v.cat[i]));
        } else {
            cm_vec_copy(to, &v);
        }
    }
    cm_vec_free(&v);
    if (code)
        cm_cols_free(out);
    else
        name_offsets(out, h, f->path);
    return code;
}
