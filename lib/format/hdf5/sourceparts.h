/* format/hdf5/sourceparts.h - what the files of source.c share; for no one else. */
#ifndef CM_FORMAT_HDF5_SOURCEPARTS_H
#define CM_FORMAT_HDF5_SOURCEPARTS_H

#include "format/hdf5/source.h"

/* CM_EINPUT "FILE: TEXT ASKED (found: a, b)". */
int cm_source_list_fail(const struct cm_h5 *h, const char *text, const char *asked,
                        const struct cm_strs *found);
/* CM_EINPUT: no such layer, and those that there are. */
int cm_source_no_layer(const struct cm_source *s, const char *layer);
bool cm_source_there(const struct cm_h5 *h, const char *group, const char *name);
/* All columns as one part without a type. */
void cm_source_uncut(struct cm_source *s);

/* sourceloom.c: everything of a loom file. */
int cm_source_open_loom(struct cm_source *s, const struct cm_source_want *w);
/* sourceobsm.c: names and values of obsm/NAME, in place of X; s->obs is open. */
int cm_source_open_obsm(struct cm_source *s, const struct cm_source_want *w);
/* sourcejoin.c: the columns of a MuData file's own /obs that the modality does not have. */
int cm_source_join_obs(struct cm_source *s, const char *modality);
/* sourcestate.c: what h5-write has noted of the state.  note: its name, NULL = none. */
int cm_source_take_note(struct cm_source *s, const char *note, const char *values);

#endif
