#!/usr/bin/python3
"""Numbers for tests/unit/test_rivals_linear.c: writes tests/ref/rivals.txt.

  /usr/bin/python3 tests/ref/make_rivals.py

Ridge regression by scikit-learn and orthogonal Procrustes by SciPy, on centred components.
"""
import numpy as np
from scipy.linalg import orthogonal_procrustes
from sklearn.linear_model import Ridge


def write(f, name, a, digits=17):
    a = np.atleast_2d(np.asarray(a, dtype=float))
    f.write(f"{name} {a.shape[0]} {a.shape[1]}\n")
    for row in a:
        f.write(" ".join(f"%.{digits}g" % v for v in row) + "\n")


def linear(f):
    rng = np.random.default_rng(3)
    n, k, ridge = 60, 6, 0.07
    latent = rng.normal(size=(n, 3))
    z = [latent @ rng.normal(size=(3, k)) + s * rng.normal(size=(n, k)) for s in (1.0, 0.7)]
    z = [(a - a.mean(0)).astype(np.float32) for a in z]
    a, b = (x.astype(float) for x in z)
    penalty = ridge * (a ** 2).sum() / k
    p = Ridge(alpha=penalty, fit_intercept=False).fit(a, b).coef_.T
    rotation = orthogonal_procrustes(a, b)[0]
    write(f, "sizes", [n, k, ridge])
    write(f, "z1", z[0], 9), write(f, "z2", z[1], 9)
    write(f, "ridge", p), write(f, "procrustes", rotation)
    for name, q in (("ridge", p), ("procrustes", rotation)):
        e = a @ q
        write(f, name + ".corr", [np.corrcoef(e[:, c], b[:, c])[0, 1] for c in range(k)])


if __name__ == "__main__":
    with open("tests/ref/rivals.txt", "w") as out:
        linear(out)
