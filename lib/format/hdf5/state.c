/* format/hdf5/state.c - the state of the values: noted, implied by the format, or guessed.
 *
 * A note is believed as long as X still has the values it was made for; after that, or if it has no
 * digest (note.h), only if nothing in the values contradicts it.
 */
#include <math.h>
#include <string.h>

#include "base/error.h"
#include "base/mem.h"
#include "format/note.h"
#include "format/hdf5/internal.h"

#define PEEK ((uint64_t)65536) /* values that are looked at for a hint */

static int read_doubles(void *of, uint64_t first, uint64_t n, double *out)
{
    return cm_h5set_f64(of, first, n, out);
}

int cm_source_take_note(struct cm_source *s, const char *note, const char *values)
{
    char now[CM_NOTE_SIZE];
    s->noted = note && cm_state_parse(note, &s->state);
    if (!s->noted || !s->has_matrix || !values || s->mat.layout == CM_H5_COLUMNS)
        return 0;
    struct cm_h5set *d = &s->mat.data;
    int code = cm_note_values(read_doubles, d, d->rows, d->cols, now);
    s->note_holds = !code && !strcmp(now, values);
    s->note_changed = !code && !s->note_holds;
    return code;
}

/* What contradicts a state; NULL = nothing. */
static const char *against(enum cm_state state, const struct cm_h5survey *v)
{
    switch (state) {
    case CM_S_COUNTS:
        return v->negative ? "some are negative" : v->whole ? NULL : "some are not whole numbers";
    case CM_S_BINARY:
        return v->negative || v->large || !v->whole ? "some are neither 0 nor 1" : NULL;
    case CM_S_LOGNORM:
    case CM_S_TFIDF:
    case CM_S_SQRT:
        if (v->negative)
            return "some are negative";
        return v->whole && v->large ? "all are whole numbers" : NULL;
    case CM_S_CLR:
    case CM_S_SCALED:
        return v->whole && v->large && !v->negative ? "all are whole numbers" : NULL;
    case CM_S_PROBABILITY:
        return v->negative ? "some are negative" : NULL;
    default:
        return NULL;
    }
}

/* Do the first values of the matrix at `path` look like counts? */
static bool looks_like_counts(struct cm_source *s, const char *path)
{
    struct cm_h5set d = {0};
    double *v = CM_NEW(PEEK, double);
    char *inside = cm_h5_join(path, "data");
    enum cm_h5_object what = cm_h5_what(s->file, path);
    bool yes = (what == CM_H5_DATASET || what == CM_H5_GROUP) &&
               !cm_h5set_open(&d, s->file, what == CM_H5_GROUP ? inside : path, NULL, 0);
    uint64_t across = yes && d.cols ? d.cols : 1, n = yes ? PEEK / across : 0;
    n = yes && n > d.rows ? d.rows : n;
    yes = yes && n && !cm_h5set_f64(&d, 0, n, v);
    for (uint64_t i = 0; i < n * across && yes; i++)
        yes = v[i] >= 0 && v[i] == floor(v[i]);
    cm_h5set_close(&d);
    cm_free(inside);
    cm_free(v);
    return yes;
}

/* X does not hold counts: warns where there are some. */
static void hint_counts(struct cm_source *s, const struct cm_h5survey *v)
{
    static const char *const at[][2] = {{"layers/counts", "counts"},
                                        {"layers/raw_counts", "raw_counts"},
                                        {"layers/raw", "raw"},
                                        {"raw/X", "raw"},
                                        {"raw.X", "raw"}};
    struct cm_h5_trouble *trouble = s->file->trouble;
    s->file->trouble = NULL; /* failures there do not matter */
    bool found = false;
    for (size_t k = 0; k < sizeof at / sizeof *at && !found; k++) {
        char *path = cm_h5_join(s->root, at[k][0]);
        found = looks_like_counts(s, path);
        cm_free(path);
        if (found)
            cm_h5_warn(s->file,
                       "%s: %s holds no counts (%s); --layer %s does (h5-read --layer %s FILE "
                       ">x.cms)",
                       s->file->name, s->mat.path, v->negative ? "values below zero" : "fractions",
                       at[k][1], at[k][1]);
    }
    s->file->trouble = trouble;
}

static void decide(struct cm_source *s, const struct cm_h5survey *v)
{
    bool tenx = s->format == CM_H5_TENX3 || s->format == CM_H5_TENX2;
    const char *why = s->noted || tenx ? against(s->state, v) : NULL;
    if (s->noted && why)
        cm_h5_warn(s->file, "%s: %s: the note that its values are %s is out of date: %s",
                   s->file->name, s->mat.path, cm_state_name(s->state), why);
    else if (s->noted && s->note_changed && s->state != CM_S_COUNTS && s->state != CM_S_BINARY)
        cm_h5_warn(s->file,
                   "%s: %s has changed since its values were noted as %s, which they may still be "
                   "(--state says what they are)",
                   s->file->name, s->mat.path, cm_state_name(s->state));
    else if (tenx && why)
        cm_h5_warn(s->file, "%s: %s: no counts as in other 10x files: %s", s->file->name,
                   s->mat.path, why);
    bool counts = v->whole && !v->negative;
    if (why || !(s->noted || tenx))
        s->state = counts ? CM_S_COUNTS : CM_S_UNKNOWN;
    s->state_known = true;
    if (s->state == CM_S_UNKNOWN && s->plain && s->format != CM_H5_LOOM && !tenx)
        hint_counts(s, v);
}

int cm_source_survey(struct cm_source *s)
{
    struct cm_h5survey v = {.whole = true};
    if (!s->has_matrix) {
        s->state_known = s->state_known || s->noted;
        return 0;
    }
    const struct cm_h5set *d = &s->mat.data;
    bool tenx = s->format == CM_H5_TENX3 || s->format == CM_H5_TENX2;
    bool sure = s->state_known || (s->noted && s->note_holds) || (tenx && d->cls != CM_H5_FLOAT);
    bool may_be_wide = d->size > (d->cls == CM_H5_FLOAT ? 4 : 2) && !tenx;
    s->check_whole = !s->state_known && (s->noted || tenx);
    s->state_known = sure;
    if (sure && !may_be_wide)
        return 0;
    int code = cm_h5mat_survey(&s->mat, &v);
    s->wide = v.wide;
    if (!code && !sure)
        decide(s, &v);
    return code;
}
