/* format/hdf5/format.h - which of the formats an HDF5 file is, and what it contains by name. */
#ifndef CM_FORMAT_HDF5_FORMAT_H
#define CM_FORMAT_HDF5_FORMAT_H

#include "format/hdf5/file.h"

enum cm_h5_format { CM_H5_ANNDATA, CM_H5_MUDATA, CM_H5_TENX3, CM_H5_TENX2, CM_H5_LOOM };
/* What the file is, by its content; CM_EINPUT when it is none of these. */
int cm_h5_format_of(const struct cm_h5 *h, enum cm_h5_format *format);
const char *cm_h5_format_name(enum cm_h5_format f);
/* MuData: names of the modalities, in the file's order.  CM_EINPUT. */
int cm_h5_modalities(const struct cm_h5 *h, struct cm_strs *names);
/* 10x before v3: the genomes, that is the groups at the root. */
int cm_h5_genomes(const struct cm_h5 *h, struct cm_strs *names);

/* Cuts "FILE/MODALITY" or "FILE/mod/MODALITY" where FILE is not a directory ("-" = stdin); both
 * strings are the caller's, *modality NULL when there is none. */
void cm_h5_split_path(const char *operand, char **file, char **modality);

/* The layers of the AnnData at `root`, by the names that --layer takes: raw where there is
 * one, and "layers/NAME" where NAME alone means something else. */
int cm_h5_layers(const struct cm_h5 *h, const char *root, struct cm_strs *names);
/* The members of its obsm. */
int cm_h5_obsm(const struct cm_h5 *h, const char *root, struct cm_strs *names);

/* CM_EINPUT "FILE: TEXT ASKED (found: a, b)". */
int cm_h5_list_fail(const struct cm_h5 *h, const char *text, const char *asked,
                    const struct cm_strs *found);

#endif
