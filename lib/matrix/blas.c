/* matrix/blas.c - the door to OpenBLAS and its LAPACK.
 *
 * Our matrices are row-major, LAPACK's are column-major, and nothing is copied: a row-major matrix
 * IS the column-major transpose, so each routine is asked for the transposed answer.  QR of a tall
 * row-major matrix is the LQ of a wide column-major one, A = U S V' becomes A' = V S U' with the
 * two outputs swapped, and symmetric matrices are what they are.  Every call makes sure of one BLAS
 * thread (one read of a global) and of memory for the buffers of OpenBLAS.  Input that is not
 * finite is refused before LAPACK sees it: some of its iterations do not end on NaN.
 */
#include "matrix/blas.h"

#include <cblas.h>
#include <limits.h>
#include <math.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/error.h"
#include "base/mem.h"
#include "base/pool.h"

/* gfortran's calling convention: the lengths of the text arguments follow, hidden, at the end. */
void dsyevd_(const char *jobz, const char *uplo, const int *n, double *a, const int *lda, double *w,
             double *work, const int *lwork, int *iwork, const int *liwork, int *info, size_t,
             size_t);
void dgesdd_(const char *jobz, const int *m, const int *n, double *a, const int *lda, double *s,
             double *u, const int *ldu, double *vt, const int *ldvt, double *work, const int *lwork,
             int *iwork, int *info, size_t);
void dgelqf_(const int *m, const int *n, double *a, const int *lda, double *tau, double *work,
             const int *lwork, int *info);
void dorglq_(const int *m, const int *n, const int *k, double *a, const int *lda, const double *tau,
             double *work, const int *lwork, int *info);
void dpotrf_(const char *uplo, const int *n, double *a, const int *lda, int *info, size_t);

/* OpenBLAS maps a buffer of 128 MiB for every call that runs beside others, keeps it for later
 * ones, and where it gets none tries again for ever.  So before more calls run at a time than ever
 * did, we ask for as much and give it back. */
static struct {
    pthread_mutex_t lock;
    atomic_size_t active, max;
} calls = {.lock = PTHREAD_MUTEX_INITIALIZER};

static void reserve(size_t active)
{
    pthread_mutex_lock(&calls.lock);
    if (active > calls.max) {
        void *spare = malloc((size_t)160 << 20);
        if (!spare)
            cm_panic(4, "out of memory: OpenBLAS takes 160 MiB of address space in each thread");
        free(spare);
        calls.max = active;
    }
    pthread_mutex_unlock(&calls.lock);
}

static void enter(void)
{
    size_t active = atomic_fetch_add(&calls.active, 1) + 1;
    if (active > calls.max)
        reserve(active);
    if (openblas_get_num_threads() != 1)
        openblas_set_num_threads(1);
}

static void leave(void) { atomic_fetch_sub(&calls.active, 1); }

void cm_blas_start(void)
{
    enum { N = 64 }; /* small products may do without a buffer */
    static const float a[N * N];
    static float c[N * N];
    cm_sgemm(false, false, N, N, N, 1, a, N, a, N, 0, c, N);
}

static int to_int(size_t n)
{
    CM_ASSERT(n <= INT_MAX);
    return (int)n;
}

/* BLAS wants a leading dimension of at least 1 even where there is nothing to read. */
static int to_ld(size_t n) { return to_int(n ? n : 1); }

static bool finite_double(const double *a, size_t m, size_t n, size_t lda)
{
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++)
            if (!isfinite(a[i * lda + j]))
                return false;
    return true;
}

/* ===== products =========================================================================== */

void cm_sgemm(bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a,
              size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    if (!m || !n)
        return;
    enter();
    cblas_sgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
                to_int(m), to_int(n), to_int(k), alpha, a, to_ld(lda), b, to_ld(ldb), beta, c,
                to_ld(ldc));
    leave();
}

void cm_dgemm(bool ta, bool tb, size_t m, size_t n, size_t k, double alpha, const double *a,
              size_t lda, const double *b, size_t ldb, double beta, double *c, size_t ldc)
{
    if (!m || !n)
        return;
    enter();
    cblas_dgemm(CblasRowMajor, ta ? CblasTrans : CblasNoTrans, tb ? CblasTrans : CblasNoTrans,
                to_int(m), to_int(n), to_int(k), alpha, a, to_ld(lda), b, to_ld(ldb), beta, c,
                to_ld(ldc));
    leave();
}

struct panels {
    bool ta, tb;
    size_t m, n, k, lda, ldb, ldc, shards;
    float alpha, beta;
    const float *a, *b;
    float *c;
};

static int panel(void *arg, size_t shard)
{
    const struct panels *p = arg;
    size_t from = cm_shard_begin(p->m, p->shards, shard);
    size_t to = cm_shard_begin(p->m, p->shards, shard + 1);
    cm_sgemm(p->ta, p->tb, to - from, p->n, p->k, p->alpha,
             p->ta ? p->a + from : p->a + from * p->lda, p->lda, p->b, p->ldb, p->beta,
             p->c + from * p->ldc, p->ldc);
    return 0;
}

void cm_sgemm_parallel(bool ta, bool tb, size_t m, size_t n, size_t k, float alpha, const float *a,
                       size_t lda, const float *b, size_t ldb, float beta, float *c, size_t ldc)
{
    /* Panels of 128 rows and more keep one-thread sgemm near its peak; 64 of them feed any pool. */
    struct panels p = {.ta = ta,
                       .tb = tb,
                       .m = m,
                       .n = n,
                       .k = k,
                       .alpha = alpha,
                       .a = a,
                       .lda = lda,
                       .b = b,
                       .ldb = ldb,
                       .beta = beta,
                       .c = c,
                       .ldc = ldc,
                       .shards = cm_shards(m, 128, 64)};
    cm_parallel(p.shards, panel, &p);
}

/* ===== decompositions ===================================================================== */

int cm_eigh(size_t n, double *a, double *w)
{
    if (!n)
        return 0;
    if (!finite_double(a, n, n, n))
        return cm_fail(CM_ENUMERIC, "eigenvalues of a matrix with values that are not finite");
    enter();
    int size = to_int(n), lwork = -1, liwork = -1, info = 0, ifirst = 0;
    double first = 0;
    dsyevd_("V", "L", &size, a, &size, w, &first, &lwork, &ifirst, &liwork, &info, 1, 1);
    lwork = (int)first;
    liwork = ifirst;
    double *work = CM_NEW((size_t)lwork, double);
    int *iwork = CM_NEW((size_t)liwork, int);
    dsyevd_("V", "L", &size, a, &size, w, work, &lwork, iwork, &liwork, &info, 1, 1);
    leave();
    cm_free(work);
    cm_free(iwork);
    if (info)
        return cm_fail(CM_ENUMERIC, "eigenvalues of a %zu x %zu matrix did not converge", n, n);
    return 0;
}

int cm_svd(size_t m, size_t n, double *a, double *u, double *s, double *vt)
{
    if (!m || !n)
        return 0;
    if (!finite_double(a, m, n, n))
        return cm_fail(CM_ENUMERIC, "singular values of a matrix with values that are not finite");
    enter();
    /* Column-major a' (n x m) = vt' diag(s) u': what LAPACK calls U is our vt, its VT our u. */
    size_t r = m < n ? m : n;
    int rows = to_int(n), cols = to_int(m), rank = to_int(r), lwork = -1, info = 0;
    double first = 0;
    int *iwork = CM_NEW(8 * r, int);
    dgesdd_("S", &rows, &cols, a, &rows, s, vt, &rows, u, &rank, &first, &lwork, iwork, &info, 1);
    lwork = (int)first;
    double *work = CM_NEW((size_t)lwork, double);
    dgesdd_("S", &rows, &cols, a, &rows, s, vt, &rows, u, &rank, work, &lwork, iwork, &info, 1);
    leave();
    cm_free(work);
    cm_free(iwork);
    if (info)
        return cm_fail(CM_ENUMERIC, "singular values of a %zu x %zu matrix did not converge", m, n);
    return 0;
}

/* The rows of the column-major wide matrix are the columns of ours: L Q there is Q R here. */
int cm_qr_double(size_t m, size_t n, double *a, size_t lda)
{
    CM_ASSERT(m >= n);
    if (!n)
        return 0;
    if (!finite_double(a, m, n, lda))
        return cm_fail(CM_ENUMERIC, "QR of a matrix with values that are not finite");
    enter();
    int rows = to_int(n), cols = to_int(m), ld = to_int(lda), ask = -1, info = 0;
    double need1 = 0, need2 = 0, *tau = CM_NEW(n, double);
    dgelqf_(&rows, &cols, a, &ld, tau, &need1, &ask, &info);
    dorglq_(&rows, &cols, &rows, a, &ld, tau, &need2, &ask, &info);
    int lwork = (int)fmax(need1, need2);
    double *work = CM_NEW((size_t)lwork, double);
    dgelqf_(&rows, &cols, a, &ld, tau, work, &lwork, &info);
    dorglq_(&rows, &cols, &rows, a, &ld, tau, work, &lwork, &info);
    leave();
    cm_free(work);
    cm_free(tau);
    return 0;
}

int cm_solve_spd(size_t n, size_t m, double *a, double *b)
{
    if (!n)
        return 0;
    if (!finite_double(a, n, n, n) || !finite_double(b, n, m, m))
        return cm_fail(CM_ENUMERIC, "linear equations with values that are not finite");
    enter();
    int size = to_int(n), info = 0;
    dpotrf_("L", &size, a, &size, &info, 1);
    leave();
    if (info)
        return cm_fail(CM_ENUMERIC,
                       "a %zu x %zu matrix is not positive definite (leading minor %d)", n, n,
                       info);
    if (!m)
        return 0;
    /* Column-major lower L is row-major upper R, a = R'R: solve R'y = b, then R x = y. */
    int width = to_int(m);
    enter();
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasUpper, CblasTrans, CblasNonUnit, size, width, 1, a,
                size, b, width);
    cblas_dtrsm(CblasRowMajor, CblasLeft, CblasUpper, CblasNoTrans, CblasNonUnit, size, width, 1, a,
                size, b, width);
    leave();
    return 0;
}
