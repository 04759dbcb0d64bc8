/* baselines/clue.h - the cross-linked variational autoencoder, as a baseline.
 *
 * The winner of the NeurIPS competition of 2021 matched cells by this generative model; here it
 * runs on the same cells, with the same decision rule and scores, as the presets.  The latent space
 * is a concatenation of one subspace per modality; EVERY modality has an encoder into EVERY
 * subspace, so a whole code can come from either modality; the decoders rebuild the counts of both
 * modalities from either code.  Inputs are the components of the linear part (LSI), standardised;
 * likelihoods are of the counts that the stream carries below its lazy values.  Its encoders are a
 * class like any other, so embed, knn-match and assign need not know it.  Left out: the authors'
 * fine-tuning on the test cells.
 *
 * Letters: m modality that is encoded or decoded, s subspace, c modality that the code came from;
 * mu_ms, sd_ms the posterior's parameters, u_ms = mu_ms + sd_ms eps, u_m = [u_m0, u_m1].  With B
 * cells, d_m features, and R_mc = mean over cells and features of -log NB(x_m | decoder_m(u_c)):
 *   loss = sum_m [data R_mm + cross R_m,1-m + kl KL(u_m) / d_m]
 *        + cosine mean(1 - cos(mu_0, mu_1)) + mse mean((mu_0 - mu_1)^2) - adversary D
 *   D = cross-entropy of a discriminator that guesses m from u_m and the batch label; it is trained
 *   to lower D, one step before the others, on the same codes.
 */
#ifndef CM_BASELINES_CLUE_H
#define CM_BASELINES_CLUE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "model/model.h"
#include "pairs/dataset.h"
#include "train/train.h"

#ifdef __cplusplus
extern "C" {
#endif

#define CM_CLUE_SLOPE 0.2 /* of LeakyReLU */

/* ===== the network ======================================================================== */

/* linear, LeakyReLU, batch norm, dropout */
struct cm_clue_layer {
    size_t in, out, w, b, gain, bias, mean, var; /* the last two: running statistics */
};

/* Encoders of one modality into both subspaces. */
struct cm_clue_encoder {
    size_t in, depth, latent[2];
    double rate;
    size_t scale; /* offset of 1 / sd of the components (in), never trained */
    struct cm_clue_layer layer[2][CM_CLUE_DEPTH];
    size_t mu_w[2], mu_b[2], sd_w[2], sd_b[2]; /* sd = softplus(...) + 1e-7 */
};

struct cm_clue_decoder {
    size_t d;
    struct cm_clue_layer layer;
    size_t w, b, log_theta;
};

struct cm_clue {
    struct cm_clue_config o;
    size_t in, q, batches; /* q = sum of latents; batches: width of the one-hot label, 0 = none */
    struct cm_params table;
    struct cm_clue_encoder encoder[2];
    struct cm_clue_decoder decoder[2];
    size_t disc_w1, disc_b1, disc_w2, disc_b2;
    size_t first_discriminator; /* tensors from here on are the discriminator's */
};

/* Lays it out: `in` components, d[m] features, slot names for the tensors; release with
 * cm_clue_free.  First values: linear layers U(+-1/sqrt(inputs)), PyTorch's default; gains 1, log
 * theta 0; scale[m] (in) is copied. */
void cm_clue_make(struct cm_clue *c, const struct cm_clue_config *o, const char *const slot[2],
                  size_t in, const size_t d[2], size_t batches);
void cm_clue_init(const struct cm_clue *c, cm_real *w, const cm_real *const scale[2],
                  uint64_t seed);
void cm_clue_free(struct cm_clue *c);
/* The encoders of one modality alone, tensors "prefix.*". */
void cm_clue_declare_encoder(struct cm_clue_encoder *e, struct cm_params *t, const char *prefix,
                             const struct cm_clue_config *o, size_t in);
/* Columns from..from+n-1 of `to` (B rows of q) = in (B x n). */
void cm_clue_put_columns(cm_real *to, size_t q, size_t from, const cm_real *in, size_t B, size_t n);

/* One mini-batch. */
struct cm_clue_batch {
    size_t B;                      /* at least 2 */
    const float *z[2];             /* B x in: components as the linear part gives them */
    const uint32_t *const *idx[2]; /* B rows of counts: columns, values, how many */
    const float *const *count[2];
    const size_t *n[2];
    const uint32_t *label;         /* B batch codes, >= batches: none; NULL without labels */
    const cm_real *eps[2];         /* B x q standard normal numbers */
    const struct cm_dropout *drop; /* seed, step; NULL: no dropout */
};

struct cm_clue_terms {
    double loss, data, cross, kl, cosine, mse,
        discriminator; /* loss as above; the rest unweighted */
};

/* Activations of a mini-batch, by modality and subspace; cm_clue_work_free. */
struct cm_clue_work {
    cm_real *a[2];                         /* B x in: standardised components */
    cm_real *mu[2], *sd[2], *u[2];         /* B x q */
    cm_real *pre[2][2][CM_CLUE_DEPTH];     /* B x hidden: before LeakyReLU */
    cm_real *act[2][2][CM_CLUE_DEPTH];     /* after it */
    cm_real *hidden[2][2][CM_CLUE_DEPTH];  /* after batch norm and dropout */
    cm_real *stat[2][2][CM_CLUE_DEPTH];    /* 3 x hidden */
    cm_real *raw[2][2];                    /* B x latent: before the softplus */
    cm_real *dmu[2], *du[2], *dcode[2][2]; /* B x q; dcode[m][c]: from decoder m to code c */
};
void cm_clue_work_make(const struct cm_clue *c, struct cm_clue_work *x, size_t B);
void cm_clue_work_free(const struct cm_clue *c, struct cm_clue_work *x);

/* Codes of both modalities, with the statistics of the batch. */
void cm_clue_encode(const struct cm_clue *c, const cm_real *w, const struct cm_clue_batch *b,
                    struct cm_clue_work *x);
/* D, with its gradient to the discriminator's part of dw (added). */
double cm_clue_discriminator(const struct cm_clue *c, const cm_real *w, cm_real *dw,
                             const struct cm_clue_batch *b, const struct cm_clue_work *x);
/* The loss, with its gradient to all of dw but the discriminator's part (added).  other: an arena
 * as dw, all zero, for the decoders of crossed codes; the caller adds it to dw.  Runs on the pool:
 * the same bits for any number of threads. */
void cm_clue_generate(const struct cm_clue *c, const cm_real *w, cm_real *dw, cm_real *other,
                      const struct cm_clue_batch *b, struct cm_clue_work *x,
                      struct cm_clue_terms *t);
/* Running statistics of the encoders after the batch (the decoders are never applied). */
void cm_clue_running(const struct cm_clue *c, cm_real *w, const struct cm_clue_work *x, size_t B);

/* ===== training =========================================================================== */

struct cm_clue_callbacks {
    void (*report)(void *arg, const struct cm_fit_report *r, const struct cm_clue_terms *terms);
    void (*warn)(void *arg, const char *text);
    bool (*stop)(void *arg); /* asked between steps; true ends the loop */
    void *arg;
};

/* Trains on the data pass of d, which must have counts (cm_train_data_load_counts), by its
 * schedule, and leaves the encoders in m: the linear part and the head are there already, the
 * settings m->config are written to the head.  z: training components (n x k); v: cells to validate
 * on.  Keeps the weights of the best validation (cm_fit_score of unit codes); without validation
 * cells the last ones. CM_ENUMERIC names the step where something is not finite; CM_EINPUT: no
 * schedule. */
int cm_clue_fit(struct cm_model *m, const struct cm_train_data *d, const struct cm_train_sample *v,
                float *const z[2], const struct cm_clue_callbacks *callbacks);

/* Upper bound of the bytes taken beside the data pass and the linear part of k components. */
uint64_t cm_clue_bytes(const struct cm_train_data *d, const struct cm_clue_config *o, size_t k);

#ifdef __cplusplus
}
#endif
#endif
