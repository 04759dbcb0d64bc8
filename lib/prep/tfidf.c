/* prep/tfidf.c - the catalogue of TF-IDFs.
 *
 * At least ten formulas are called TF-IDF in single-cell work, and none can be replicated from its
 * name alone: each is here under the names its users know, exactly, as a row of a table (letters in
 * norm.h).  Flags of other packages that change the formula (muon's logarithms, scikit-learn's
 * smooth_idf) are rows too, so that fit.method says all.  One formula with a dozen switches was
 * rejected: nobody published most of their combinations.
 */
#include "prep/norm.h"

#include <math.h>

static double ratio(double n, double c, double d)
{
    (void)d;
    return c > 0 ? n / c : 0;
}

static double log_ratio(double n, double c, double d)
{
    (void)d;
    return c > 0 ? log1p(n / c) : 0;
}

static double smooth(double n, double c, double d)
{
    (void)c;
    return log((1 + n) / (1 + d)) + 1;
}

static double no_smooth(double n, double c, double d)
{
    (void)c;
    return d > 0 ? log(n / d) + 1 : 0;
}

static double allcools(double n, double c, double d)
{
    (void)d;
    return log1p(n / (c + 1e-5));
}

static double snapatac2(double n, double c, double d)
{
    (void)c;
    double max = n > 1 ? n - 1 : 1;
    return n > 0 ? log(n / (d < 1 ? 1 : d > max ? max : d)) : 0;
}

static double log_smooth(double n, double c, double d)
{
    (void)c;
    return log1p(n / (1 + d));
}

/*
 *   signac1   ln(1 + s (x/R)(N/C)), s 1e4                    Signac's default, ArchR's default
 *   signac2   (x/R) ln(1 + N/C)                              Cusanovich et al. 2018
 *   signac3   ln(1 + s x/R) ln(1 + N/C), s 1e4               muon's default
 *   signac4   x N/C                                          10x
 *   archr3    ln(1 + x/R) ln(1 + N/C)
 *   sklearn   x (ln((1+N)/(1+d)) + 1), then unit length      TfidfTransformer's default
 *   sklearn-no-smooth  x (ln(N/d) + 1), then unit length       smooth_idf=False
 *   log-tf    ln(1 + s x/R) N/C, s 1e4                       muon, log_tf alone
 *   log-idf   s (x/R) ln(1 + N/C), s 1e4                     muon, log_idf alone
 *   plain     s (x/R)(N/C), s 1e4                            muon without logarithms
 *   glue      ln(1 + s t / sum_j t), t = (x/R)(N/C), s 1e4   scglue; R cancels: t may be x N/C
 *   allcools  ln(1 + s x/(R+1e-5)) ln(1 + N/(C+1e-5)), s 1e5
 *   snapatac2 x ln(N/d'), then unit length; d' = 1 for d = 0, N-1 for d = N; 1 if all d are equal
 *   logtfidf  ln(1 + s (x/R) ln(1 + N/(1+d))), s 1e4         ours
 *
 * A column never seen in the cells fitted on (C = 0) would have infinite weight in the formulas
 * that divide by C or d; it gets weight 0, so that new cells with such a peak stay finite.
 */
#define TFIDF    .state = CM_S_TFIDF, .fitted = true
#define LOG      .f = CM_LAZY_LOG1P
#define LIN      .f = CM_LAZY_IDENTITY
#define BY_SIZE  .row = CM_ROW_SIZE
#define SCALE(s) .from = CM_SCALE_FIXED, .scale = (s)

/* clang-format off */
const struct cm_norm_method cm_tfidf_methods[] = {
    {.name = "signac1", .aliases = "stuart seurat archr2",
     TFIDF, LOG, BY_SIZE, SCALE(1e4), .col = ratio},
    {.name = "signac2", .aliases = "cusanovich archr1",
     TFIDF, LIN, BY_SIZE, .col = log_ratio},
    {.name = "signac3", .aliases = "muon hill",
     TFIDF, LOG, BY_SIZE, SCALE(1e4), .post = log_ratio},
    {.name = "signac4", .aliases = "10x",
     TFIDF, LIN, .col = ratio},
    {.name = "archr3", .aliases = "",
     TFIDF, LOG, BY_SIZE, .post = log_ratio},
    {.name = "sklearn", .aliases = "",
     TFIDF, LIN, .norm = CM_UNIT_L2, .col = smooth},
    {.name = "sklearn-no-smooth", .aliases = "",
     TFIDF, LIN, .norm = CM_UNIT_L2, .col = no_smooth},
    {.name = "log-tf", .aliases = "",
     TFIDF, LOG, BY_SIZE, SCALE(1e4), .post = ratio},
    {.name = "log-idf", .aliases = "",
     TFIDF, LIN, BY_SIZE, SCALE(1e4), .col = log_ratio},
    {.name = "plain", .aliases = "",
     TFIDF, LIN, BY_SIZE, SCALE(1e4), .col = ratio},
    {.name = "glue", .aliases = "clue matchclot neurips",
     TFIDF, LOG, .row = CM_ROW_SHARES, SCALE(1e4), .col = ratio},
    {.name = "allcools", .aliases = "",
     TFIDF, LOG, BY_SIZE, SCALE(1e5), .shift = 1e-5, .post = allcools},
    {.name = "snapatac2", .aliases = "",
     TFIDF, LIN, .norm = CM_UNIT_L2, .flat_even = true, .col = snapatac2},
    {.name = "logtfidf", .aliases = "",
     TFIDF, LOG, BY_SIZE, SCALE(1e4), .col = log_smooth},
    {0}};
