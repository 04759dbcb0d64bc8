#!/usr/bin/python3
"""Numbers for tests/unit/test_linear_cca.c and tests/laws/linear_oracle.bats.

  /usr/bin/python3 tests/ref/make_linear.py                 writes tests/ref/model_linear.txt
  /usr/bin/python3 tests/ref/make_linear.py PREFIX LOG      writes tests/ref/linear_pbmc.{names,f32,txt}

The first is a small case computed here, densely and in double, with NumPy alone: LSI, CCA and the
peak-gene term by their formulas, without any of the shortcuts that the C code takes.  The second
takes what the reference program linear_cis.py left: --scores PREFIX, and LOG, its output, for the
folds of seed 1 on the PBMC multiome cells; of fold 0 it keeps the held-out names and a corner of S0.
"""
import sys
import numpy as np


def write(f, name, a, digits=17):
    a = np.atleast_2d(np.asarray(a, dtype=float))
    f.write(f"{name} {a.shape[0]} {a.shape[1]}\n")
    for row in a:
        f.write(" ".join(f"%.{digits}g" % v for v in row) + "\n")


def inv_sqrt(c):
    w, v = np.linalg.eigh(c)
    return v @ np.diag(w ** -0.5) @ v.T


def unit(e):
    return e / np.linalg.norm(e, axis=1, keepdims=True)


def residuals(y, z, train, r, ridge):
    z = np.c_[z[:, :r], np.ones(len(z))]
    zt = z[train]
    h = np.linalg.solve(zt.T @ zt + ridge * np.eye(r + 1), zt.T @ y[train])
    e = y - z @ h
    sd = e[train].std(0)
    sd[sd == 0] = 1
    return e / sd


def small():
    rng = np.random.default_rng(7)
    n, m, d1, d2, k, q, r = 70, 60, 24, 30, 8, 6, 3
    window, ridge, clip, limit, want = 5000.0, 0.03, 1.5, 0.5, 0.05
    latent = rng.normal(size=(n, 4))
    x1 = np.maximum(latent @ rng.normal(size=(4, d1)) + rng.normal(size=(n, d1)), 0).astype(np.float32)
    x2 = np.maximum(latent @ rng.normal(size=(4, d2)) + rng.normal(size=(n, d2)), 0).astype(np.float32)
    x1[:, 5] = 0                                   # a gene that no cell has
    train, test = np.arange(m), np.arange(m, n)
    chrom1, chrom2 = rng.integers(0, 2, d1), rng.integers(0, 2, d2)
    tss, middle = rng.integers(0, 40000, d1), rng.integers(0, 40000, d2)
    middle[0], chrom2[0] = tss[0] + 5000, chrom1[0]     # exactly at the border: outside
    middle[1], chrom2[1] = tss[1] - 4999, chrom1[1]     # just inside
    group = np.arange(n) % 3

    def closed(scale):
        """Centred values, components, canonical correlations, similarities of the test cells."""
        y, z, t = [], [], []
        for x in (x1.astype(float), x2.astype(float)):
            mean, sd = x[train].mean(0), x[train].std(0)
            weight = np.where(sd > 0, np.where(sd > 0, sd, 1) ** -scale, 0)
            y.append(x - mean)
            vt = np.linalg.svd(y[-1][train] * weight, full_matrices=False)[2]
            z.append((y[-1] * weight) @ vt[:k].T)
            t.append(z[-1][train])
        c11, c22, c12 = t[0].T @ t[0] / m, t[1].T @ t[1] / m, t[0].T @ t[1] / m
        c11 += ridge * np.trace(c11) / k * np.eye(k)
        c22 += ridge * np.trace(c22) / k * np.eye(k)
        w1, w2 = inv_sqrt(c11), inv_sqrt(c22)
        u, s, vt = np.linalg.svd(w1 @ c12 @ w2)
        e, o = z[0][test] @ (w1 @ u[:, :q] * s[:q]), z[1][test] @ (w2 @ vt[:q].T * s[:q])
        return y, z, s[:q], unit(e) @ unit(o).T

    y, z, s, linear = closed(0)

    ug = np.clip(residuals(y[0], z[0], train, r, 1e-4), -clip, clip)
    wp = residuals(y[1], z[1], train, r, 1e-4)
    near = (chrom1[:, None] == chrom2[None]) & (np.abs(tss[:, None] - middle[None]) < window)
    with open("tests/ref/model_linear.txt", "w") as f:
        write(f, "sizes", [n, m, k, q, r])
        write(f, "options", [window, ridge, 1e-4, clip, limit, want])
        write(f, "x1", x1, 9), write(f, "x2", x2, 9)
        write(f, "chrom1", chrom1), write(f, "chrom2", chrom2)
        write(f, "tss", tss), write(f, "middle", middle), write(f, "group", group)
        write(f, "corr", s), write(f, "linear", linear)
        for scale in (0.6, 1):
            corr, s0 = closed(scale)[2:]
            write(f, "scaled%g.corr" % scale, corr), write(f, "scaled%g.s0" % scale, s0)
        for name, groups in (("plain", [train]), ("within", [train[group[train] == b] for b in range(3)])):
            c = sum((ug[g] - (ug[g].mean(0) if len(groups) > 1 else 0)).T
                    @ (wp[g] - (wp[g].mean(0) if len(groups) > 1 else 0)) for g in groups) / m
            c = np.where(near, c, 0)
            c = np.sign(c) * np.maximum(np.abs(c) - limit / np.sqrt(m), 0)
            L = (ug[train] @ c) @ wp[train].T
            mu = want / L.std()
            write(f, name + ".c", c), write(f, name + ".mu", [mu])
            write(f, name + ".s0", linear + mu * (ug[test] @ c) @ wp[test].T)
            print(name, "candidates", near.sum(), "kept", (c != 0).sum(), "mu", mu)
        write(f, "candidates", [near.sum()])


def pbmc(prefix, log):
    s = np.load(prefix + ".fold0.npy")
    names = open(prefix + ".fold0.names").read()
    assert len(names.split("\n")) - 1 == len(s)
    open("tests/ref/linear_pbmc.names", "w").write(names)
    s[:96, :96].astype("<f4").tofile("tests/ref/linear_pbmc.f32")
    word = open(log).read().split("\n")[0].split()
    fold = dict(n=len(s), sd=s.std(), pairs=word[word.index("pairs") + 1], soft=word[word.index("soft") + 1],
                dual=word[word.index("dual") + 1])
    with open("tests/ref/linear_pbmc.txt", "w") as f:
        for k, v in fold.items():
            f.write(f"{k}\t{v}\n")


if __name__ == "__main__":
    small() if len(sys.argv) == 1 else pbmc(*sys.argv[1:])
