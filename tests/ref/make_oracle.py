#!/usr/bin/python3
"""Marginals of a random perfect matching, by enumeration (n = 6) and by permanents (n = 14).

tests/ref/make_oracle.py >tests/ref/oracle.txt     blocks `name rows cols` and their rows, as ref.h reads
"""
import itertools
import numpy as np

rng = np.random.default_rng(7)


def block(name, a):
    print(name, *a.shape)
    for row in a:
        print(*(repr(float(v)) for v in row))


def permanent(a):
    """Ryser's formula, columns as bit sets."""
    n = len(a)
    if n == 0:
        return 1.0
    total, sums = 0.0, np.zeros(n)
    for k in range(1, 1 << n):                      # Gray code: one column in or out
        bit = (k & -k).bit_length() - 1
        sums += a[:, bit] if (k ^ k >> 1) >> bit & 1 else -a[:, bit]
        total += (-1) ** (n - bin(k ^ k >> 1).count('1')) * sums.prod()
    return total


n = 6
logw = rng.normal(0, 2, (n, n))
p = np.zeros((n, n))
for perm in itertools.permutations(range(n)):
    w = np.exp(sum(logw[i, j] for i, j in enumerate(perm)))
    for i, j in enumerate(perm):
        p[i, j] += w
block('small', logw)
block('small_p', p / p[0].sum())

n = 14                                               # as an oracle sees it: the partner mostly ahead
logw = rng.normal(0, 2, (n, n)) + 3 * np.eye(n)
a = np.exp(logw)
p = np.zeros((n, n))
for i in range(n):
    for j in range(n):
        p[i, j] = a[i, j] * permanent(np.delete(np.delete(a, i, 0), j, 1))
block('large', logw)
block('large_p', p / p.sum(1, keepdims=True))
