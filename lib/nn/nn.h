/* nn/nn.h - layers of the network: forward and backward by hand, and the optimiser.
 *
 * The network is a transformer over 116,000 sparse features that must be exact, fast on two cores,
 * the same for any thread count, and checkable in double precision.  Layers are free functions on
 * plain arrays.  Outputs come first, then caches, inputs, parameters, sizes; a model's backward
 * pass is its forward pass read upwards.  Nothing here allocates, prints or keeps state: the caller
 * owns every array, a *_cache or *_scratch function says how many numbers it takes, and the same
 * call from two threads on different arrays is safe.  One cell, or a small group, goes through all
 * layers while its activations are in cache; parallelism is the caller's, over groups
 * (base/pool.h).  Rejected: a graph or tape (nothing here needs to be found out at run time), and
 * threads inside layers.
 *
 * Letters
 *   B cells in the group      L tokens (windows) of a cell     F filters, width of feed-forward
 *   P width of a token        H heads, D = P / H               K kernel, S stride, Z padding
 *   C channels or columns     N rows, whatever they stand for  I, O inputs and outputs of a layer
 * All arrays are row-major without gaps; "B x L x P" means cell, then token, then number.
 *
 * Rules
 *   forward overwrites its outputs; out may equal in only where it is said.
 *   backward ADDS to gradients (d + name); a gradient pointer may be NULL where it is said, and is
 *   then not computed.  dout is never changed, and no array may overlap another.
 *   scratch holds nothing between calls.
 *   B: gradients of parameters (in double outputs, too) have other bits for other group sizes, so
 *   a caller who promises the same bits for any thread count fixes B as well.  Speed: keep a
 *   group's caches within L2 (at 105 tokens of width 64, B = 1 is fastest; short cells want larger
 *   groups).
 *
 * Compiled with -DCM_REAL_DOUBLE every layer works in double: the tests compare all gradients with
 * finite differences at 1e-6 there.
 */
#ifndef CM_NN_NN_H
#define CM_NN_NN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/rng.h"
#include "matrix/blas.h"

#ifdef __cplusplus
extern "C" {
#endif

#ifdef CM_REAL_DOUBLE
typedef double cm_real;
#define cm_gemm_real cm_dgemm
#else
typedef float cm_real;
#define cm_gemm_real cm_sgemm
#endif

/* ===== parameters ========================================================================= */

/* One arena holds all parameters of a model, a second one of the same layout their gradients.  The
 * table below names its tensors; it is also the index of a model file.  Offsets are multiples of
 * CM_PARAM_ALIGN numbers, gaps belong to nobody and should be zero. */
#define CM_PARAM_ALIGN 16
#define CM_PARAM_NAME  64

/* Tensors that an optimiser treats alike. */
enum cm_group { CM_GROUP_ENCODER, CM_GROUP_LINEAR, CM_GROUP_SCALE, CM_GROUP_CROSS };

struct cm_param {
    char name[CM_PARAM_NAME]; /* "gex.unit.wqkv" */
    size_t offset, n;         /* first number in the arena, and how many: the product of shape */
    size_t shape[3];
    size_t dims; /* 1 to 3 */
    enum cm_group group;
};

struct cm_params {
    struct cm_param *p; /* `capacity` places, the caller's; may be NULL when room is 0 */
    size_t capacity;
    size_t n; /* tensors declared, also beyond `capacity` (which only counts, as snprintf does) */
    size_t size;         /* numbers in the arena, a multiple of CM_PARAM_ALIGN */
    enum cm_group group; /* of the tensors that are added next */
};

/* Adds tensor "prefix.name" (prefix may be "") of d0, or d0 x d1, or d0 x d1 x d2 numbers (a zero
 * ends the shape) and returns its offset.  A product beyond SIZE_MAX ends the program. */
size_t cm_params_add(struct cm_params *t, const char *prefix, const char *name, size_t d0,
                     size_t d1, size_t d2);
/* The tensor of that name, or NULL. */
const struct cm_param *cm_params_find(const struct cm_params *t, const char *name);

/* w (n) = N(0, sd^2), and U(-bound, bound): number i is a function of the generator and i. */
void cm_init_normal(cm_real *w, size_t n, double sd, struct cm_rng g);
void cm_init_uniform(cm_real *w, size_t n, double bound, struct cm_rng g);
void cm_init_constant(cm_real *w, size_t n, double value);

/* True when none of x (n) is NaN or infinite. */
bool cm_all_finite(const cm_real *x, size_t n);

/* ===== windows of the genome, and the convolution over sparse cells ========================= */

/* Token t sees the features at positions begin..end-1 of the genome's order; position x meets row
 * (x - begin + row) of the filters.  Tied filters: all windows share the K rows of one kernel (row
 * is the tap that `begin` meets: above 0 where padding cuts the window).  Untied: each window owns
 * its rows, one per position, window after window.  Both begin and end ascend with t. */
struct cm_window {
    uint32_t begin, end, row;
};

struct cm_windows {
    size_t features; /* columns of the matrix, = positions of the genome's order; < 2^32 */
    size_t L;        /* windows */
    size_t rows;     /* rows of the filter matrix: K, or the sum of the windows' lengths */
    bool untied;
    const struct cm_window *window; /* L */
    const uint32_t *position;       /* features: place of column j in the order; NULL = j */
    const uint32_t *first; /* features: by position, the first window with end > position */
};

/* How windows are laid: over each chromosome by itself, so none crosses a boundary. */
struct cm_window_rule {
    size_t kernel, stride; /* >= 1 */
    size_t padding;        /* empty positions before and behind each chromosome, < kernel */
    bool partial;          /* also a last, cut window where features would be left over */
    bool untied;
};

/* Windows of a chromosome of n features: floor((n + 2 Z - K) / S) + 1, or with `partial` the
 * ceiling, a window that would begin behind the last feature left out.  (PyTorch's Conv1d and its
 * pooling with ceil_mode.)  0 where n = 0 or nothing fits. */
size_t cm_windows_of(size_t n, const struct cm_window_rule *rule);
/* The smallest kernel = stride (partial, no padding) that gives at most `tokens` windows. */
size_t cm_windows_kernel(const size_t *chrom, size_t chroms, size_t tokens);

/* Lays the windows.  chrom (chroms + 1 ascending positions from 0 to features): chromosome c is
 * chrom[c]..chrom[c+1]-1.  Features that no chromosome holds come behind: pass chrom[chroms] <
 * features, and they take no part.  First call with window = NULL to learn w->L and w->rows, then
 * with `window` (L places) and `first` (features places), both kept by *w.  position: as in struct
 * cm_windows, kept; may be NULL.  tokens (chroms + 1 places, or NULL) gets the first token of each
 * chromosome and L: the bounds for layers that must not cross chromosomes either. */
void cm_windows_lay(struct cm_windows *w, struct cm_window *window, uint32_t *first, size_t *tokens,
                    const struct cm_window_rule *rule, const size_t *chrom, size_t chroms,
                    size_t features, const uint32_t *position);

/* out (L x F) of one cell: out_t = bias + sum over its entries e inside window t of
 * val_e filter[row of e].  idx (n columns < features, in any order), val (n).  filter: rows x F.
 * bias: F numbers, L x F when `bias_per_window`, or NULL.  Work: non-zeros times windows that hold
 * each, times F; plus L x F.  (The paper's section 3.1; cellmatch-model(7).) */
void cm_sparse_conv_forward(cm_real *out, const uint32_t *idx, const float *val, size_t n,
                            const cm_real *filter, const cm_real *bias, bool bias_per_window,
                            const struct cm_windows *w, size_t F);
/* dfilter (rows x F) and dbias (as bias), either may be NULL. */
void cm_sparse_conv_backward(cm_real *dfilter, cm_real *dbias, const cm_real *dout,
                             const uint32_t *idx, const float *val, size_t n, bool bias_per_window,
                             const struct cm_windows *w, size_t F);

/* ===== convolution and pooling over tokens ================================================== */

/* Both run over one segment of tokens (a chromosome): call per segment, see `tokens` above. */

/* out (L' x F) from in (L x C), L' = floor((L + 2 Z - K) / S) + 1 = cm_windows_of(L):
 * out_t = bias + sum_k sum_c in[t S - Z + k][c] filter[k][c], zeros outside; filter: K x C x F;
 * bias (F) may be NULL.  (torch.nn.Conv1d with its weight F x C x K turned around.) */
size_t cm_conv_scratch(size_t L, size_t C, size_t K, size_t S, size_t Z);
void cm_conv_forward(cm_real *out, const cm_real *in, const cm_real *filter, const cm_real *bias,
                     size_t L, size_t C, size_t F, size_t K, size_t S, size_t Z, cm_real *scratch);
/* din (L x C), dfilter, dbias: each may be NULL. */
void cm_conv_backward(cm_real *din, cm_real *dfilter, cm_real *dbias, const cm_real *dout,
                      const cm_real *in, const cm_real *filter, size_t L, size_t C, size_t F,
                      size_t K, size_t S, size_t Z, cm_real *scratch);

/* out (L' x C) = maximum over K tokens at stride S of in (L x C), no padding, whole windows only;
 * which (L' x C) remembers the token of the first maximum.  (torch.nn.MaxPool1d) */
void cm_maxpool_forward(cm_real *out, uint32_t *which, const cm_real *in, size_t L, size_t C,
                        size_t K, size_t S);
/* din (L x C); out_tokens = L'. */
void cm_maxpool_backward(cm_real *din, const cm_real *dout, const uint32_t *which,
                         size_t out_tokens, size_t C);

/* ===== element-wise ======================================================================== */

/* x > 0 ? x : slope x (slope 0: ReLU; torch's LeakyReLU has .01), GELU in its exact form
 * x Phi(x) = x (1 + erf(x / sqrt 2)) / 2 (Hendrycks and Gimpel 2016, PyTorch's default), and ELU,
 * x > 0 ? x : exp(x) - 1 (Clevert, Unterthiner, Hochreiter 2016). */
enum cm_activation { CM_ACT_NONE, CM_ACT_RELU, CM_ACT_LEAKY, CM_ACT_GELU, CM_ACT_ELU };

/* out (n) = f(in); out may equal in for NONE, RELU and LEAKY (slope > 0), not for GELU and ELU: the
 * backward pass below needs in, or, for the others, an array with the same signs. */
void cm_act_forward(cm_real *out, const cm_real *in, size_t n, enum cm_activation kind,
                    double slope);
/* din += f'(in) dout.  At 0 the derivative is `slope`, as PyTorch's.  din may not equal dout. */
void cm_act_backward(cm_real *din, const cm_real *dout, const cm_real *in, size_t n,
                     enum cm_activation kind, double slope);

/* Inverted dropout: out = in / (1 - rate) with probability 1 - rate, else 0.  No state and no mask
 * array: the mask of an element is a pure function of (seed, CM_RNG_DROPOUT, step, row, site,
 * element), so backward, --resume and any thread count see the same one. */
struct cm_dropout {
    double rate; /* 0..1; 0 leaves everything as it is */
    uint64_t seed;
    uint32_t step; /* optimiser step since the beginning of training */
    uint32_t row;  /* cell's row in the batch; cell b of a group has row + b */
    uint32_t site; /* which dropout of the network, < 2^24 */
};

/* d at one of the network's sites, with its rate; d NULL (not training): nothing is dropped. */
struct cm_dropout cm_dropout_at(const struct cm_dropout *d, double rate, uint32_t site);

/* out (B x n) from in, cell b with row d->row + b; out may equal in.  d NULL: no dropout. */
void cm_dropout_forward(cm_real *out, const cm_real *in, size_t B, size_t n,
                        const struct cm_dropout *d);
/* din += mask / (1 - rate) dout */
void cm_dropout_backward(cm_real *din, const cm_real *dout, size_t B, size_t n,
                         const struct cm_dropout *d);
/* Feature dropout of one sparse cell: out (n) = val under the mask of its COLUMN idx, so that a
 * feature's fate does not depend on what else the cell holds.  out may equal val. */
void cm_dropout_sparse(float *out, const float *val, const uint32_t *idx, size_t n,
                       const struct cm_dropout *d);

/* ===== rows ================================================================================= */

/* out (N x O) = in (N x I) w + bias; w: I x O, bias: O or NULL.  (torch's Linear, weight turned) */
void cm_linear_forward(cm_real *out, const cm_real *in, const cm_real *w, const cm_real *bias,
                       size_t N, size_t I, size_t O);
/* din (N x I), dw (I x O), dbias (O): each may be NULL. */
void cm_linear_backward(cm_real *din, cm_real *dw, cm_real *dbias, const cm_real *dout,
                        const cm_real *in, const cm_real *w, size_t N, size_t I, size_t O);

/* out (N x P) = (in - mean) / sqrt(var + 1e-5) gain + bias over each row, var with divisor P.
 * stat (N x 2) keeps mean and 1 / sqrt(var + 1e-5).  out may equal in if in is then not needed.
 * (Ba, Kiros, Hinton 2016; torch's LayerNorm) */
#define CM_LAYERNORM_EPS 1e-5
void cm_layernorm_forward(cm_real *out, cm_real *stat, const cm_real *in, const cm_real *gain,
                          const cm_real *bias, size_t N, size_t P);
/* din (N x P), dgain (P), dbias (P): each may be NULL. */
void cm_layernorm_backward(cm_real *din, cm_real *dgain, cm_real *dbias, const cm_real *dout,
                           const cm_real *stat, const cm_real *in, const cm_real *gain, size_t N,
                           size_t P);

/* out (N x P) = in / |in|, |in| the Euclidean norm of the row, kept in norm (N).  A row shorter
 * than 1e-12 becomes zeros and gets no gradient (torch's normalize divides by 1e-12 there). */
void cm_unitnorm_forward(cm_real *out, cm_real *norm, const cm_real *in, size_t N, size_t P);
void cm_unitnorm_backward(cm_real *din, const cm_real *dout, const cm_real *norm,
                          const cm_real *out, size_t N, size_t P);

/* out (B x P) = mean or sum over tokens from..to-1 of in (B x L x P).  The third kind of pooling,
 * a linear read-out of the flattened tokens, is cm_linear_forward with N = B, I = L P. */
enum cm_pool { CM_POOL_MEAN, CM_POOL_SUM };
void cm_pool_forward(cm_real *out, const cm_real *in, enum cm_pool kind, size_t B, size_t L,
                     size_t P, size_t from, size_t to);
void cm_pool_backward(cm_real *din, const cm_real *dout, enum cm_pool kind, size_t B, size_t L,
                      size_t P, size_t from, size_t to);

/* Learned positions: out (B x L x P) = in + position (L x P); out may equal in. */
void cm_position_forward(cm_real *out, const cm_real *in, const cm_real *position, size_t B,
                         size_t L, size_t P);
/* din may be NULL (pass dout itself on), dposition (L x P) may be NULL. */
void cm_position_backward(cm_real *din, cm_real *dposition, const cm_real *dout, size_t B, size_t L,
                          size_t P);

/* Batch normalisation: out (N x P) = (in - mean) / sqrt(var + 1e-5) gain + bias over each COLUMN of
 * the mini-batch, var with divisor N; N >= 2 to mean anything.  stat (3 P) keeps mean, var and
 * 1 / sqrt(var + 1e-5).  out may equal in if in is then not needed.  (Ioffe and Szegedy 2015;
 * torch's BatchNorm1d while training.)  Takes all rows at once: threads belong around it. */
#define CM_BATCHNORM_EPS 1e-5
void cm_batchnorm_forward(cm_real *out, cm_real *stat, const cm_real *in, const cm_real *gain,
                          const cm_real *bias, size_t N, size_t P);
/* din (N x P), dgain (P), dbias (P): each may be NULL. */
void cm_batchnorm_backward(cm_real *din, cm_real *dgain, cm_real *dbias, const cm_real *dout,
                           const cm_real *stat, const cm_real *in, const cm_real *gain, size_t N,
                           size_t P);
/* The running statistics (P each) after a batch of N rows: r = (1 - momentum) r + momentum batch,
 * the batch's variance with divisor N - 1.  torch's momentum is .1. */
void cm_batchnorm_running(cm_real *mean, cm_real *var, const cm_real *stat, size_t N, size_t P,
                          double momentum);
/* The layer when the network is applied: with running statistics, so a row depends on itself. */
void cm_batchnorm_apply(cm_real *out, const cm_real *in, const cm_real *gain, const cm_real *bias,
                        const cm_real *mean, const cm_real *var, size_t N, size_t P);

/* ===== attention ============================================================================ */

/* Rows of x (N x C, in place): softmax, exp(x - max) / sum.  A row of -inf alone becomes zeros;
 * in float, a probability below 2e-38 of the largest is 0. */
void cm_softmax_rows(cm_real *x, size_t N, size_t C);
/* ds (N x C, in place: the gradient of p in, that of the logits out) = p (dp - sum p dp). */
void cm_softmax_rows_backward(cm_real *ds, const cm_real *p, size_t N, size_t C);
/* exp of n numbers, in place; in float with a relative error below 2e-7 (normal results). */
void cm_exp_all(cm_real *x, size_t n);

/* One cell's attention, L queries over M keys, all heads:
 *   p_h = softmax(Q_h K_h' / sqrt(D))   out_h = p_h V_h   h = 0..H-1, D = P / H
 * (the paper's eq. 1-3; Vaswani et al. 2017).  Q: L x P, K and V: M x P, with leading dimensions
 * ldq, ldk, ldv (head h in columns h D..); out: L x P (ld P); prob: H x L x M, kept.
 * drop: on the probabilities AFTER softmax, or NULL. */
void cm_attend_forward(cm_real *out, cm_real *prob, const cm_real *q, size_t ldq, const cm_real *k,
                       size_t ldk, const cm_real *v, size_t ldv, size_t L, size_t M, size_t P,
                       size_t H, const struct cm_dropout *drop, cm_real *scratch);
/* dq, dk, dv with the leading dimensions of q, k, v. */
void cm_attend_backward(cm_real *dq, cm_real *dk, cm_real *dv, const cm_real *dout,
                        const cm_real *prob, const cm_real *q, size_t ldq, const cm_real *k,
                        size_t ldk, const cm_real *v, size_t ldv, size_t L, size_t M, size_t P,
                        size_t H, const struct cm_dropout *drop, cm_real *scratch);
size_t cm_attend_scratch(size_t L, size_t M); /* for both directions */

/* Multi-head self-attention of B cells: in (B x L x P) -> Q,K,V = in wqkv + bqkv -> attend -> out =
 * z wo + bo.  wqkv: P x 3P (columns: Q, K, V, each head after head), bqkv: 3P, wo: P x P, bo: P.
 * (torch.nn.MultiheadAttention, weights turned.)  The cache keeps Q,K,V, prob and z. */
struct cm_mha {
    size_t L, P, H;            /* P a multiple of H */
    size_t wqkv, bqkv, wo, bo; /* offsets in the arena, set by cm_mha_declare */
};

void cm_mha_declare(struct cm_mha *a, struct cm_params *t, const char *prefix);
size_t cm_mha_cache(const struct cm_mha *a, size_t B);
size_t cm_mha_scratch(const struct cm_mha *a, size_t B);
/* Where a cache has the attention probabilities (H x L x L, before dropout) of cell b. */
size_t cm_mha_prob_at(const struct cm_mha *a, size_t B, size_t b);
/* drop: of the probabilities, or NULL. */
void cm_mha_forward(cm_real *out, cm_real *cache, const cm_real *in, const cm_real *params,
                    const struct cm_mha *a, size_t B, const struct cm_dropout *drop,
                    cm_real *scratch);
/* din may be NULL; dparams is the gradient arena. */
void cm_mha_backward(cm_real *din, cm_real *dparams, const cm_real *dout, const cm_real *cache,
                     const cm_real *in, const cm_real *params, const struct cm_mha *a, size_t B,
                     const struct cm_dropout *drop, cm_real *scratch);

/* ===== Transformer unit ===================================================================== */

/* in (B x L x P) -> out (B x L x P); d1..d3 are dropouts, FF(x) = d2(f(x w1 + b1)) w2 + b2:
 *   post-norm (the paper; Vaswani et al.): y = norm1(x + d1(MHA(x)));  out = norm2(y + d3(FF(y)))
 *   pre-norm (Xiong et al. 2020): y = x + d1(MHA(norm1(x)));  out = y + d3(FF(norm2(y)))
 * torch.nn.TransformerEncoderLayer with norm_first false or true; `rate` is its dropout,
 * `attention` its dropout of the probabilities (the same there). */
struct cm_unit {
    struct cm_mha mha; /* L, P, H to be set */
    size_t F;          /* width of the feed-forward */
    bool pre_norm;
    enum cm_activation act;
    double slope;           /* of CM_ACT_LEAKY */
    double rate, attention; /* dropout rates while training */
    uint32_t site;          /* first dropout site; takes CM_UNIT_SITES of them */
    size_t gain1, bias1, w1, b1, w2, b2, gain2, bias2; /* set by cm_unit_declare */
};
#define CM_UNIT_SITES 4

void cm_unit_declare(struct cm_unit *u, struct cm_params *t, const char *prefix);
size_t cm_unit_cache(const struct cm_unit *u, size_t B);
size_t cm_unit_scratch(const struct cm_unit *u, size_t B); /* for both directions */
/* Where a cache has the attention probabilities (H x L x L) of cell b. */
size_t cm_unit_prob_at(const struct cm_unit *u, size_t B, size_t b);
/* drop: seed, step and row (its rate and site are not read); NULL when
 * the network is applied, not trained. */
void cm_unit_forward(cm_real *out, cm_real *cache, const cm_real *in, const cm_real *params,
                     const struct cm_unit *u, size_t B, const struct cm_dropout *drop,
                     cm_real *scratch);
/* din may be NULL. */
void cm_unit_backward(cm_real *din, cm_real *dparams, const cm_real *dout, const cm_real *cache,
                      const cm_real *in, const cm_real *params, const struct cm_unit *u, size_t B,
                      const struct cm_dropout *drop, cm_real *scratch);

/* ===== losses ============================================================================== */

/* Each returns the loss and ADDS its gradient to d..., which may be NULL (loss alone). */

/* Rows of logits (N x C) against class target[i] < C: mean of -log softmax(logits_i)[target_i].
 * scratch: C.  A logit of -inf takes no part. */
double cm_cross_entropy(cm_real *dlogits, const cm_real *logits, const uint32_t *target, size_t N,
                        size_t C, cm_real *scratch);

/* Triplets on the scores of a batch, s (B x B), s_ij = S(E_i, T_j), partners on the diagonal:
 *   loss = 1/B sum_i [max(0, m - s_ii + s_ij*) + max(0, m - s_ii + s_k*i)]
 * where j* is a negative of cell i along its row and k* along its column (cellmatch-model(7)).
 *   HARDEST   the largest score (Faghri et al. 2018, VSE++)
 *   SEMIHARD  the largest in (s_ii - m, s_ii) (Schroff et al. 2015, FaceNet)
 *   RANDOM_SEMIHARD  any one in (s_ii - m, s_ii), drawn by g at index 2i (row) and 2i+1 (column)
 * SEMIHARD kinds without such a negative give no term.  Ties go to the lower index. */
enum cm_negatives { CM_NEG_HARDEST, CM_NEG_SEMIHARD, CM_NEG_RANDOM_SEMIHARD };
#define CM_NO_NEGATIVE UINT32_MAX

/* Chooses: row_neg[i] = j*, col_neg[i] = k*, or CM_NO_NEGATIVE.  allowed (B x B bytes, or NULL =
 * all): pairs with 0 are no negatives (another batch label, or not scored).  g: for
 * RANDOM_SEMIHARD, else may be NULL. */
void cm_negatives_choose(uint32_t *row_neg, uint32_t *col_neg, const cm_real *s,
                         const unsigned char *allowed, size_t B, double margin,
                         enum cm_negatives kind, const struct cm_rng *g);
/* The loss of a choice; ds (B x B).  *active, if not NULL: terms above 0, of 2 B. */
double cm_triplet(cm_real *ds, size_t *active, const cm_real *s, const uint32_t *row_neg,
                  const uint32_t *col_neg, size_t B, double margin);

/* Symmetric InfoNCE (Radford et al. 2021, CLIP), z = exp(log_t) s (B x B):
 *   loss = 1/2 [mean_i CE(row i of z, i) + mean_j CE(column j of z, j)]
 * ds (B x B), *dlog_t: gradients.  The cap of log_t (ln 200) is the caller's, after a step.
 * scratch: cm_infonce_scratch(B). */
size_t cm_infonce_scratch(size_t B);
double cm_infonce(cm_real *ds, cm_real *dlog_t, const cm_real *s, double log_t, size_t B,
                  cm_real *scratch);

/* One cell's counts, x (n entries at columns idx < d, the others 0; >= 0), under a negative
 * binomial of mean m = (sum of x) softmax(logits) and dispersion theta (d, > 0):
 *   log p = lgamma(x + t) - lgamma(t) - lgamma(x + 1) + t ln(t / (t + m)) + x ln(m / (t + m))
 * Returns weight times the sum of -log p over all d features, 0 for a cell without counts.
 * dlogits (d), dlog_theta (d, with respect to ln theta): either may be NULL.
 * scratch: cm_negbin_scratch(d).  (torch.distributions.NegativeBinomial(theta, logits = ln m -
 * ln theta)) */
size_t cm_negbin_scratch(size_t d);
double cm_negbin(cm_real *dlogits, cm_real *dlog_theta, const cm_real *logits, const cm_real *theta,
                 const uint32_t *idx, const float *x, size_t n, size_t d, double weight,
                 cm_real *scratch);
double cm_digamma(double x); /* x > 0, relative error below 1e-12 away from the root 1.4616 */

/* ===== optimiser ============================================================================ */

/* Adam (Kingma and Ba 2015) or, with `decoupled`, AdamW (Loshchilov and Hutter 2019), in the order
 * of operations of PyTorch 1.13:
 *   AdamW: w *= 1 - lr decay.  Adam: g += decay w.
 *   m += (1 - b1)(g - m);  v = b2 v + (1 - b2) g^2
 *   w -= lr / (1 - b1^t) m / (sqrt(v) / sqrt(1 - b2^t) + eps),  t = 1 for the first step
 * w, m, v, g: n numbers each, m and v zero before the first step.  Element-wise: any cut into
 * segments gives the same bits. */
struct cm_adam {
    double lr, b1, b2, eps, decay;
    bool decoupled;
};
#define CM_ADAM_DEFAULT ((struct cm_adam){1e-3, .9, .999, 1e-8, 0, false})
void cm_adam_step(cm_real *w, cm_real *m, cm_real *v, const cm_real *g, size_t n, uint64_t t,
                  const struct cm_adam *o);

/* RMSprop (Hinton's lecture), in the order of operations of PyTorch 1.13, without momentum:
 * v = alpha v + (1 - alpha) g^2;  w -= lr g / (sqrt(v) + eps).  v zero before the first step. */
void cm_rmsprop_step(cm_real *w, cm_real *v, const cm_real *g, size_t n, double lr, double alpha,
                     double eps);

/* Factor of the learning rate at step t = 0..total-1:
 *   CONSTANT 1 after the warm-up
 *   COSINE   (1 + cos(pi (t - warmup) / (total - warmup))) / 2 after the warm-up, 0 from total on
 * and (t + 1) / warmup during it. */
enum cm_schedule { CM_LR_CONSTANT, CM_LR_COSINE };
double cm_schedule_factor(enum cm_schedule kind, uint64_t t, uint64_t warmup, uint64_t total);

/* Averaged weights after step t = 0, 1, ...: d = min(decay, (1 + t) / (10 + t));
 * average = d average + (1 - d) w. */
double cm_average_decay(double decay, uint64_t t);
void cm_average_step(cm_real *average, const cm_real *w, size_t n, double decay, uint64_t t);

#ifdef __cplusplus
}
#endif
#endif
