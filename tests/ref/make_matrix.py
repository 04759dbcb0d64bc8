#!/usr/bin/python3
"""Numbers for tests/unit/test_matrix_{blas,svd}.c and tests/cli/svd.bats, from NumPy and SciPy.

Run from the project's root: /usr/bin/python3 tests/ref/make_matrix.py
Writes tests/ref/matrix_blas.txt, matrix_svd.txt and matrix_scores.txt: blocks "name rows cols" followed by
the values, row by row, with 17 significant digits (9 for what our side keeps as float).
"""
import numpy as np
import scipy.linalg
import scipy.sparse as sp
from scipy.sparse.linalg import svds
from sklearn.decomposition import TruncatedSVD


def write(f, name, a, digits=17):
    a = np.atleast_2d(np.asarray(a))
    f.write(f"{name} {a.shape[0]} {a.shape[1]}\n")
    for row in a:
        f.write(" ".join(f"%.{digits}g" % v for v in row) + "\n")


def fix_signs(v):
    """Columns of v with the entry of largest magnitude positive."""
    at = np.abs(v).argmax(axis=0)
    return v * np.sign(v[at, np.arange(v.shape[1])])


rng = np.random.default_rng(20211107)
with open("tests/ref/matrix_blas.txt", "w") as f:
    a, b = rng.normal(size=(5, 7)), rng.normal(size=(7, 4))
    c = rng.normal(size=(5, 4))
    write(f, "gemm.a", a), write(f, "gemm.b", b), write(f, "gemm.c", c)
    write(f, "gemm.result", 1.5 * a @ b - 0.5 * c)

    s = rng.normal(size=(6, 6))
    s = s + s.T
    write(f, "eigh.a", s), write(f, "eigh.w", np.linalg.eigvalsh(s))

    for name, shape in (("tall", (8, 5)), ("wide", (4, 9))):
        m = rng.normal(size=shape)
        u, d, vt = np.linalg.svd(m, full_matrices=False)
        write(f, f"svd.{name}.a", m), write(f, f"svd.{name}.s", d)
        # the projectors on the leading two vectors do not depend on signs
        write(f, f"svd.{name}.p2", vt[:2].T @ vt[:2])

    q = rng.normal(size=(9, 4))
    write(f, "qr.a", q), write(f, "qr.projector", q @ np.linalg.pinv(q))

    g = rng.normal(size=(6, 5))
    g = g @ g.T + 0.1 * np.eye(6)
    r = rng.normal(size=(6, 3))
    write(f, "spd.a", g), write(f, "spd.b", r)
    write(f, "spd.x", scipy.linalg.solve(g, r, assume_a="pos"))

with open("tests/ref/matrix_svd.txt", "w") as f:
    # A few cell types over sparse counts, and the logarithm of it: a decaying spectrum with a flat tail.
    rows, cols, k = 120, 90, 8
    types = rng.gamma(0.3, size=(5, cols)) * 0.8
    x = np.log1p(rng.poisson(types[rng.integers(0, 5, rows)])).astype(np.float32)
    csr = sp.csr_matrix(x)
    write(f, "ptr", csr.indptr), write(f, "idx", csr.indices), write(f, "val", csr.data, 9)
    u, s, vt = svds(csr.astype(np.float64), k=k, which="LM", tol=0, random_state=1)
    order = np.argsort(-s)
    write(f, "plain.s", s[order]), write(f, "plain.v", fix_signs(vt[order].T))
    mean = x.mean(axis=0, dtype=np.float64).astype(np.float32)
    u, s, vt = np.linalg.svd(x.astype(np.float64) - mean.astype(np.float64), full_matrices=False)
    write(f, "mean", mean, 9)
    write(f, "centred.s", s[:k]), write(f, "centred.v", fix_signs(vt[:k].T))

    # What the tool svd writes for it.
    x64 = x.astype(np.float64)

    def scores(a, k, drop, zscore):
        vt = np.linalg.svd(a, full_matrices=False)[2]
        y = a @ fix_signs(vt[:k + drop].T)
        if zscore:
            y = (y - y.mean(axis=1, keepdims=True)) / y.std(axis=1, ddof=1, keepdims=True)
        return y[:, drop:]

    with open("tests/ref/matrix_scores.txt", "w") as g:
        write(g, "plain", scores(x64, 6, 0, False), 9)
        write(g, "center", scores(x64 - x64.mean(axis=0), 6, 0, False), 9)
        write(g, "drop", scores(x64, 5, 1, True), 9)
        half = np.arange(rows) < 60  # fitted on the first half, applied to all
        vt = np.linalg.svd(x64[half], full_matrices=False)[2]
        write(g, "half", x64 @ fix_signs(vt[:6].T), 9)
        # the baselines' LSI of new cells: fitted on the first half, z-scored, first component dropped
        lsi = TruncatedSVD(6, algorithm="arpack", tol=0).fit(x64[half])
        y = x64 @ fix_signs(lsi.components_.T)
        assert np.allclose(abs(y), abs(lsi.transform(x64)))
        y = (y - y.mean(axis=1, keepdims=True)) / y.std(axis=1, ddof=1, keepdims=True)
        write(g, "lsi", y[:, 1:], 9)
