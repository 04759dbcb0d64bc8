/* format/hdf5/competition.c - predictions and solutions of the NeurIPS 2021 competition. */
#include "format/hdf5/internal.h"

#include <inttypes.h>
#include <math.h>

#include "base/error.h"
#include "base/mem.h"

int cm_source_match(struct cm_source *s, uint64_t *longest, const char **why)
{
    *longest = 0;
    *why = NULL;
    if (!s->has_matrix || cm_h5mat_is_dense(&s->mat))
        return cm_fail(CM_EINPUT, "%s: a match must have a sparse X", s->file->name);
    int code = 0;
    for (uint64_t at = 0, n; at < s->obs.rows && !code; at += n) {
        code = cm_h5mat_step(&s->mat, at, CM_BLOCK_ROWS, &n);
        if (!code)
            code = cm_h5mat_read(&s->mat, at, n, &s->rows);
        for (uint64_t i = 0; i < n && !code; i++) {
            double sum = 0;
            uint64_t begin = s->rows.ptr[i], end = s->rows.ptr[i + 1];
            for (uint64_t e = begin; e < end; e++) {
                sum += cm_h5rows_at(&s->rows, e);
                if (cm_h5rows_at(&s->rows, e) < 0)
                    *why = "some values are negative";
            }
            if (end > begin && fabs(sum - 1) > 1e-5 && !*why)
                *why = "some rows do not sum to 1";
            *longest = end - begin > *longest ? end - begin : *longest;
        }
    }
    s->state = *why ? CM_S_SIMILARITY : CM_S_PROBABILITY;
    s->state_known = true;
    return code ? code : cm_source_survey(s);
}

/* uns/pairing_ix as row2[row1], or -1 in *there when the file has none. */
static int read_pairing(struct cm_source *s, uint64_t *row2, uint64_t n, bool *has)
{
    struct cm_h5set v;
    char *path = cm_h5_join(s->root, "uns/pairing_ix");
    *has = cm_h5_what(s->file, path) == CM_H5_DATASET;
    int code = cm_h5_trouble(s->file);
    code = code ? code : *has ? cm_h5set_open(&v, s->file, path, NULL, 0) : 0;
    if (*has && !code) {
        double *ix = NULL;
        if (v.rows * v.cols != n)
            code =
                cm_fail(CM_EINPUT, "%s: %s: %" PRIu64 " numbers, but there are %" PRIu64 " cells",
                        CM_H5_AT(&v), v.rows * v.cols, n);
        if (!code) {
            ix = CM_NEW(n, double);
            code = cm_h5set_f64(&v, 0, v.rows, ix);
        }
        for (uint64_t r = 0; r < n; r++)
            row2[r] = UINT64_MAX;
        for (uint64_t r = 0; r < n && !code; r++) {
            bool inside = ix[r] >= 0 && ix[r] < (double)n && ix[r] == floor(ix[r]);
            if (!inside || row2[(uint64_t)ix[r]] != UINT64_MAX)
                code = cm_fail(CM_EINPUT, "%s: %s: item %" PRIu64 ": %g is %s", CM_H5_AT(&v), r,
                               ix[r], inside ? "there twice" : "not a row of modality 1");
            else
                row2[(uint64_t)ix[r]] = r;
        }
        cm_free(ix);
        cm_h5set_close(&v);
    }
    cm_free(path);
    return code;
}

int cm_source_pairs(struct cm_source *s, uint64_t **row2, uint64_t *count)
{
    uint64_t n = s->obs.rows;
    bool has = false;
    if (s->format != CM_H5_ANNDATA)
        return cm_fail(CM_EINPUT, "%s: a solution is an .h5ad file", s->file->name);
    uint64_t *pair = *row2 = CM_NEW(n + 1, uint64_t);
    uint8_t *taken = CM_ZNEW(s->cols.names.n + 1, uint8_t);
    *count = n;
    int code = read_pairing(s, pair, n, &has);
    bool sparse = s->has_matrix && !cm_h5mat_is_dense(&s->mat);
    if (!code && !has && !sparse)
        code = cm_fail(CM_EINPUT, "%s: has neither uns/pairing_ix nor a sparse X of pairs",
                       s->file->name);
    for (uint64_t at = 0, k; at < n && !code && sparse; at += k) {
        code = cm_h5mat_step(&s->mat, at, CM_BLOCK_ROWS, &k);
        if (!code)
            code = cm_h5mat_read(&s->mat, at, k, &s->rows);
        for (uint64_t i = 0; i < k && !code; i++) {
            uint64_t found = 0, col = 0;
            for (uint64_t e = s->rows.ptr[i]; e < s->rows.ptr[i + 1]; e++)
                if (cm_h5rows_at(&s->rows, e) != 0) {
                    found++;
                    col = s->rows.idx[e];
                }
            if (found != 1)
                code = cm_fail(CM_EINPUT, "%s: %s: row %" PRIu64 ": %" PRIu64 " pairs, expected 1",
                               s->file->name, s->mat.path, at + i, found);
            else if (has && pair[at + i] != col)
                code = cm_fail(CM_EINPUT,
                               "%s: uns/pairing_ix pairs row %" PRIu64 " with %" PRIu64
                               ", X with %" PRIu64,
                               s->file->name, at + i, pair[at + i], col);
            else if (taken[col]++)
                code = cm_fail(CM_EINPUT,
                               "%s: %s: row %" PRIu64 ": column %" PRIu64 " was paired before",
                               s->file->name, s->mat.path, at + i, col);
            pair[at + i] = col;
        }
    }
    cm_free(taken);
    if (code) {
        cm_free(pair);
        *row2 = NULL;
    }
    return code;
}
