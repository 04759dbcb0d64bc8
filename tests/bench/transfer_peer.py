#!/usr/bin/env python3
"""What transfer.sh compares with.

transfer_peer.py compare TRUE.h5ad EXPECTED.h5ad
    mean over genes of Pearson's correlation over cells
transfer_peer.py ridge GEX.h5ad ATAC.h5ad TEST-ATAC.h5ad TRUE.h5ad
    the same of a ridge regression of expression on 50 LSI components, fitted to the cells of
    split=train; the penalty is the best of five on those of split=valid
"""
import sys

import anndata
import numpy as np
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import Ridge


def dense(data):
    return np.asarray(data.X.todense() if hasattr(data.X, "todense") else data.X, dtype=np.float64)


def correlation(true, guess):
    genes = (true > 0).mean(axis=0) >= 0.05
    a = true[:, genes] - true[:, genes].mean(axis=0)
    b = guess[:, genes] - guess[:, genes].mean(axis=0)
    norm = np.sqrt((a**2).sum(axis=0) * (b**2).sum(axis=0))
    return np.where(norm > 0, (a * b).sum(axis=0) / np.where(norm > 0, norm, 1), 0).mean()


def compare(true, expected):
    true, expected = anndata.read_h5ad(true), anndata.read_h5ad(expected)
    expected = expected[true.obs_names]  # a cell that is missing is an error
    assert list(expected.var_names) == list(true.var_names)
    return correlation(dense(true), dense(expected))


def ridge(gex, atac, test, true):
    gex, atac, test, true = (anndata.read_h5ad(path) for path in (gex, atac, test, true))
    atac, test = atac[gex.obs_names], test[true.obs_names]
    train, valid = (gex.obs["split"] == s for s in ("train", "valid"))
    y, lsi = dense(gex), TruncatedSVD(50, random_state=1)
    z = np.zeros((gex.n_obs, 50))
    z[train] = lsi.fit_transform(atac[train].X)
    z[valid] = lsi.transform(atac[valid].X)
    models = [Ridge(alpha=alpha).fit(z[train], y[train]) for alpha in (1, 10, 100, 1000, 10000)]
    best = max(models, key=lambda m: correlation(y[valid], m.predict(z[valid])))
    return correlation(dense(true), best.predict(lsi.transform(test.X)))


print("%.4f" % {"compare": compare, "ridge": ridge}[sys.argv[1]](*sys.argv[2:]))
