#!/usr/bin/python3
"""Numbers for tests/unit/test_train_loop.c: whole training steps of preset best by PyTorch, in double.

  /usr/bin/python3 tests/ref/make_fit.py         writes tests/ref/model_fit.txt

Components z of both sides, P and first weights are drawn here; three steps with torch.optim.AdamW in
three groups (encoder; P and b without decay; l), cosine with a warm-up of 2, averaged weights.  No
dropout: its masks are ours.  Losses: InfoNCE, hardest triplets, semi-hard triplets.
"""
import math
import numpy as np
import torch
import torch.nn.functional as F

n, k, q, hidden, steps = 180, 5, 4, 7, 3
lr, lr_linear, lr_scale, decay, margin, warmup = 0.01, 0.002, 0.05, 0.1, 0.2, 2
rng = np.random.default_rng(3)
out = open("tests/ref/model_fit.txt", "w")


def write(name, a):
    a = np.atleast_2d(np.asarray(a, dtype=float))
    out.write(f"{name} {a.shape[0]} {a.shape[1]}\n")
    for row in a:
        out.write(" ".join("%.9g" % v for v in row) + "\n")


def f32(a):
    return a.astype(np.float32).astype(float)


latent = rng.normal(size=(n, 3))
z = [f32((latent @ rng.normal(size=(3, k)) + 0.7 * rng.normal(size=(n, k))) * [4, 3, 2, 1, .5]) for _ in range(2)]
s = [np.linalg.norm(a, axis=0) for a in z]
rows = [rng.permutation(n)[:150], rng.permutation(n)[:90], rng.permutation(n)[:150]]
first = [{"p": f32(rng.normal(size=(k, q))), "b": np.zeros((1, q)),
          "w1": f32(rng.uniform(-.4, .4, (k, hidden))), "b1": f32(.1 * rng.normal(size=(1, hidden))),
          "w2": f32(.3 * rng.normal(size=(hidden, q))), "b2": f32(.1 * rng.normal(size=(1, q)))} for _ in range(2)]
write("sizes", [n, k, q, hidden, steps])
for side in range(2):
    write(f"z{side}", z[side])
    write(f"s{side}", s[side])
    for name, v in first[side].items():
        write(f"{name}.{side}", v)
for t in range(steps):
    write(f"rows{t}", rows[t])


def triplet(S, semihard):
    B, d, loss = len(S), S.diagonal(), 0
    off = ~torch.eye(B, dtype=torch.bool)
    for M in (S, S.T):
        ok = off
        if semihard:
            ok = off & (M < d[:, None]) & (M > d[:, None] - margin)
        best = M.masked_fill(~ok, -math.inf).max(1)
        has = torch.isfinite(best.values)
        loss = loss + F.relu(margin - d[has] + best.values[has]).sum()
    return loss / B


for loss_name in ("nce", "triplet", "semihard"):
    w = [{name: torch.tensor(v, requires_grad=True) for name, v in f.items()} for f in first]
    l = torch.tensor([float(np.float32(math.log(20)))], dtype=torch.double, requires_grad=True)
    linear = [w[i][x] for i in range(2) for x in ("p", "b")]
    encoder = [w[i][x] for i in range(2) for x in ("w1", "b1", "w2", "b2")]
    opt = torch.optim.AdamW([dict(params=encoder, lr=lr, weight_decay=decay),
                             dict(params=linear, lr=lr_linear, weight_decay=0),
                             dict(params=[l], lr=lr_scale, weight_decay=0)], betas=(.9, .98), eps=1e-8)
    base = [g["lr"] for g in opt.param_groups]
    average = [p.detach().clone() for p in encoder + linear + [l]]
    losses = []
    for t in range(steps):
        factor = (t + 1) / warmup if t < warmup else (1 + math.cos(math.pi * (t - warmup) / (steps - warmup))) / 2
        for g, b in zip(opt.param_groups, base):
            g["lr"] = b * factor
        e = []
        for i in range(2):
            x = torch.tensor(z[i][rows[t]])
            a = x / torch.tensor(s[i] / math.sqrt(n))
            h = F.gelu(a @ w[i]["w1"] + w[i]["b1"])
            e.append(F.normalize(x @ w[i]["p"] + w[i]["b"] + h @ w[i]["w2"] + w[i]["b2"], dim=1))
        S, target = e[0] @ e[1].T, torch.arange(len(rows[t]))
        if loss_name == "nce":
            L = torch.exp(l) * S
            loss = (F.cross_entropy(L, target) + F.cross_entropy(L.T, target)) / 2
        else:
            loss = triplet(S, loss_name == "semihard")
        opt.zero_grad()
        loss.backward()
        if l.grad is None:
            l.grad = torch.zeros_like(l)
        opt.step()
        losses.append(loss.item())
        d = min(.98, (1 + t) / (10 + t))
        average = [d * a + (1 - d) * p.detach() for a, p in zip(average, encoder + linear + [l])]
    write(f"{loss_name}.loss", losses)
    names = [f"{x}.{i}" for i in range(2) for x in ("w1", "b1", "w2", "b2")] + [f"{x}.{i}" for i in range(2) for x in ("p", "b")] + ["scale"]
    for name, a in zip(names, average):
        write(f"{loss_name}.{name}", a.numpy())
