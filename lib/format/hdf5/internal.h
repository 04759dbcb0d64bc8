/* format/hdf5/internal.h - opening a source of each format; for the files of source.h only. */
#ifndef CM_FORMAT_HDF5_INTERNAL_H
#define CM_FORMAT_HDF5_INTERNAL_H

#include "format/hdf5/source.h"

/* Each opens obs, the features and the matrix of its format. */
int cm_source_open_anndata(struct cm_source *s, const struct cm_source_want *w);
int cm_source_open_mudata(struct cm_source *s, const struct cm_source_want *w);
int cm_source_open_tenx(struct cm_source *s, const struct cm_source_want *w, const char *group);
int cm_source_open_old_tenx(struct cm_source *s, const struct cm_source_want *w);
int cm_source_open_loom(struct cm_source *s, const struct cm_source_want *w);
/* obsm.c: names and values of obsm/NAME, in place of X; s->obs is open. */
int cm_source_open_obsm(struct cm_source *s, const struct cm_source_want *w);
/* state.c: what h5-write has noted of the state.  note: its name, NULL = none. */
int cm_source_take_note(struct cm_source *s, const char *note, const char *values);

#endif
