/* prep/lognorm.c - the catalogue of log-normalisations.
 *
 * "Log-normalised" means different things in Seurat, scanpy, scran and the competition: each is
 * here under the name its users know, with exactly its formula, as a row of a table (norm.h has the
 * letters).  cpm has no logarithm, so its state is `scaled`.  There is no pseudo-count option:
 * log1p with another scale is the same up to a constant.
 */
#include "prep/norm.h"

#include <math.h>

static double per_ln2(double n, double c, double d)
{
    (void)n, (void)c, (void)d;
    return 1 / log(2);
}

static double four_times(double a) { return 4 * a; }
static double per_root(double a) { return 1 / sqrt(a); }

/*
 *   seurat        ln(1 + s x/R), s = 1e4                     Seurat LogNormalize
 *   scanpy        ln(1 + s x/R), s = median of R             scanpy normalize_total + log1p
 *   scran         log2(1 + x/f), f = size / mean size        scuttle normalizeCounts; log2 is the
 *                 constant post factor 1/ln 2
 *   size-factors  ln(1 + x/f), f from a label                the NeurIPS 2021 competition
 *   cpm           s x/R, s = 1e6                             RelativeCounts, counts per million
 *   sqrt          sqrt(s x/R), s = median of R               variance-stabilising; ours
 *   exclude-high  as scanpy, R over the genes that are at most max-fraction (.05) of the total in
 *                 every fitted cell                            scanpy exclude_highly_expressed
 *   shifted-log   ln(1 + 4 a x/f) / sqrt(a), f = R / geometric mean of R, overdispersion a = .05;
 *                 with c = 1/(4 a) that is sqrt(4 c) ln(1 + x/(f c))   transformGamPoi, pyLemur
 *   pflog         p(ln(1 + p(x))), p scaling each cell to the mean total of all cells
 *                                                          Booeshaghi et al. 2022
 */
#define LOG      .f = CM_LAZY_LOG1P, .state = CM_S_LOGNORM, .row = CM_ROW_SIZE
#define SCALE(s) .from = CM_SCALE_FIXED, .scale = (s)

/* clang-format off */
const struct cm_norm_method cm_lognorm_methods[] = {
    {.name = "seurat", .aliases = "lognorm", LOG, SCALE(1e4)},
    {.name = "scanpy", .aliases = "", LOG, .from = CM_SCALE_MEDIAN},
    {.name = "scran", .aliases = "", LOG, .from = CM_SCALE_MEAN,
     .label = CM_LABEL_MAY, .post = per_ln2},
    {.name = "size-factors", .aliases = "neurips", LOG, .label = CM_LABEL_MUST},
    {.name = "cpm", .aliases = "rc", .f = CM_LAZY_IDENTITY, .state = CM_S_SCALED,
     .row = CM_ROW_SIZE, SCALE(1e6)},
    {.name = "sqrt", .aliases = "", .f = CM_LAZY_SQRT, .state = CM_S_SQRT,
     .row = CM_ROW_SIZE, .from = CM_SCALE_MEDIAN},
    {.name = "exclude-high", .aliases = "", LOG, .from = CM_SCALE_MEDIAN,
     .low = true, .param = "max-fraction", .def = .05},
    {.name = "shifted-log", .aliases = "", LOG, .from = CM_SCALE_GMEAN,
     .param = "overdispersion", .def = .05, .gain = four_times, .constant = per_root},
    {.name = "pflog", .aliases = "pflog1ppf", LOG, .from = CM_SCALE_MEAN, .second = true},
    {0}};
