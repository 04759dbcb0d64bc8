#!/usr/bin/python3
"""Numbers for tests/unit/test_nn_torch.c, from PyTorch (written with 1.13).

Run from the project's root: /usr/bin/python3 tests/ref/make_nn.py
Writes tests/ref/nn.bin, little-endian float32 without gaps, and tests/ref/nn.txt, its index: a line
"name offset count" a tensor, offset counted in numbers.  Inputs are float32; outputs and gradients
are computed in float64 from them (the optimisers in float32, whose roundings they are about) and
rounded once.  Weights are stored the way this project keeps them: inputs x outputs.
"""
import math
import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(20211107)
torch.set_num_threads(1)
blob, index, at = [], [], 0


def put(name, t):
    global at
    a = np.ascontiguousarray(t.detach().numpy() if torch.is_tensor(t) else np.asarray(t))
    a = a.astype("<f4")
    blob.append(a.tobytes())
    index.append(f"{name} {at} {a.size}\n")
    at += a.size


def draw(*shape, sd=1.0):
    """float32 values in a float64 leaf."""
    return (torch.randn(*shape) * sd).float().double().requires_grad_()


def finish(case, out, inputs, weight=None):
    """Stores out, and the gradients of sum(out * weight) by inputs {name: (leaf, view)}."""
    weight = draw(*out.shape).detach() if weight is None else weight
    put(f"{case}.out", out)
    put(f"{case}.dout", weight)
    grads = torch.autograd.grad((out * weight).sum(), [leaf for leaf, _ in inputs.values()],
                                retain_graph=True)
    for (name, (leaf, view)), g in zip(inputs.items(), grads):
        put(f"{case}.{name}", view(leaf))
        put(f"{case}.d{name}", view(g))


same = lambda t: t
turned = lambda t: t.t()

# ---- sparse convolution: conv1d on the dense vector, a chromosome at a time
chrom = [0, 23, 27, 48]
cols = torch.randperm(48)[:16].sort().values
val = torch.randn(16).float()
dense = torch.zeros(48, dtype=torch.float64)
dense[cols] = val.double()
put("sparse.idx", cols.double()), put("sparse.val", val)
kernel_rows = lambda t: t.permute(2, 1, 0).reshape(-1, t.shape[0])  # F x C x K -> K C x F
for case, K, S, Z, partial in (("sparse.stride", 5, 2, 2, False), ("sparse.block", 7, 7, 0, True)):
    w, b = draw(9, 1, K), draw(9)
    parts = []
    for c in range(3):
        x = dense[chrom[c]:chrom[c + 1]]
        if partial:
            x = F.pad(x, (0, -len(x) % K))
        if len(x) + 2 * Z >= K:
            parts.append(F.conv1d(x[None, None], w, b, stride=S, padding=Z)[0].t())
    finish(case, torch.cat(parts), {"filter": (w, kernel_rows), "bias": (b, same)})
# untied: an embedding bag per window
w, b = draw(48, 6), draw(10, 6)
edges = [(0, 7), (7, 14), (14, 21), (21, 23), (23, 27), (27, 34), (34, 41), (41, 48)]
b = draw(len(edges), 6)
out = torch.stack([dense[i:j] @ w[i:j] + b[t] for t, (i, j) in enumerate(edges)])
finish("sparse.untied", out, {"filter": (w, same), "bias": (b, same)})

# ---- second convolution, LeakyReLU, max-pooling
x, w, b = draw(14, 3), draw(5, 3, 3), draw(5)
out = F.conv1d(x.t()[None], w, b, stride=2, padding=1)
out = F.max_pool1d(F.leaky_relu(out, 0.01), 3, 2)[0].t()
finish("conv", out, {"in": (x, same), "filter": (w, kernel_rows), "bias": (b, same)})

# ---- element-wise and rows
x = (torch.randn(203) * 2.5).float().double().requires_grad_()
finish("gelu", F.gelu(x), {"in": (x, same)})
finish("leaky", F.leaky_relu(x, 0.1), {"in": (x, same)})
x, w, b = draw(6, 19), draw(11, 19), draw(11)
finish("linear", F.linear(x, w, b), {"in": (x, same), "w": (w, turned), "bias": (b, same)})
x, w, b = (torch.randn(6, 21) * 3 + 10).float().double().requires_grad_(), draw(21), draw(21)
finish("norm", F.layer_norm(x, (21,), w, b),
       {"in": (x, same), "gain": (w, same), "bias": (b, same)})
x = draw(3, 7, 12)
finish("pooled", F.normalize(x.mean(1), dim=1), {"in": (x, same)})
x = (torch.randn(5, 29) * 6).float().double().requires_grad_()
finish("softmax", F.softmax(x, 1), {"in": (x, same)})

# ---- multi-head attention
B, L, P, H, W = 2, 7, 16, 4, 24


def attention_leaves(m):
    return {"wqkv": (m.in_proj_weight, turned), "bqkv": (m.in_proj_bias, same),
            "wo": (m.out_proj.weight, turned), "bo": (m.out_proj.bias, same)}


def randomise(module):
    module.double()
    with torch.no_grad():
        for p in module.parameters():
            sd = 0.3 if p.dim() > 1 else 0.5
            p.copy_((torch.randn(p.shape) * sd + (p.mean().round() if p.dim() == 1 else 0)).float())


mha = torch.nn.MultiheadAttention(P, H, batch_first=True)
randomise(mha)
x, _ = draw(B, L, P), draw(H, L, L)  # what follows keeps its numbers
out, prob = mha(x, x, x, average_attn_weights=False)
put("mha.prob", prob)
finish("mha", out, {"in": (x, same), **attention_leaves(mha)})

# ---- the whole unit
for case, norm_first, act in (("post.relu", False, "relu"), ("pre.relu", True, "relu"),
                              ("post.gelu", False, "gelu"), ("pre.gelu", True, "gelu")):
    u = torch.nn.TransformerEncoderLayer(P, H, W, 0.0, act, batch_first=True, norm_first=norm_first)
    randomise(u)
    u.train()  # the inference path has no gradients
    x = draw(B, L, P)
    leaves = {"in": (x, same), **attention_leaves(u.self_attn),
              "gain1": (u.norm1.weight, same), "bias1": (u.norm1.bias, same),
              "w1": (u.linear1.weight, turned), "b1": (u.linear1.bias, same),
              "w2": (u.linear2.weight, turned), "b2": (u.linear2.bias, same),
              "gain2": (u.norm2.weight, same), "bias2": (u.norm2.bias, same)}
    finish(case, u(x), leaves)

# ---- losses
logits, target = draw(6, 9, sd=3), torch.randint(9, (6,))
put("ce.target", target.double())
finish("ce", F.cross_entropy(logits, target)[None], {"in": (logits, same)}, torch.ones(1).double())

n, margin = 12, 0.2
s = draw(n, n, sd=0.15)
with torch.no_grad():
    s += 0.2 * torch.eye(n)
    s.copy_(s.float())
own = s.diagonal()
away = s.masked_fill(torch.eye(n, dtype=torch.bool), -math.inf)
hardest = sum(F.relu(margin - own + away.max(axis).values).sum() for axis in (0, 1)) / n
finish("hardest", hardest[None], {"in": (s, same)}, torch.ones(1).double())


def semihard(own, scores):
    """Row i of scores: the negatives of own[i]; the largest strictly inside (own - m, own)."""
    fit = (scores > own[:, None] - margin) & (scores < own[:, None])
    best = scores.masked_fill(~fit, -math.inf).max(1).values
    term = F.relu(margin - own + best.masked_fill(~fit.any(1), 0))
    return torch.where(fit.any(1), term, torch.zeros(n).double())


loss = (semihard(own, away) + semihard(own, away.t())).sum() / n
finish("semihard", loss[None], {"in": (s, same)}, torch.ones(1).double())

log_t = torch.tensor([math.log(20.0)]).float().double().requires_grad_()
z = log_t.exp() * s
labels = torch.arange(n)
loss = (F.cross_entropy(z, labels) + F.cross_entropy(z.t(), labels)) / 2
finish("infonce", loss[None], {"in": (s, same), "logt": (log_t, same)}, torch.ones(1).double())

# ---- optimisers: 5 steps, float32
for case, cls, kw in (("adam", torch.optim.Adam, dict(lr=1e-2)),
                      ("adam.decay", torch.optim.Adam, dict(lr=1e-2, weight_decay=0.1)),
                      ("adamw", torch.optim.AdamW,
                       dict(lr=1e-2, betas=(0.9, 0.98), weight_decay=0.1))):
    p = torch.randn(37).requires_grad_()
    put(f"{case}.start", p)
    steps, grads = [], []
    opt = cls([p], foreach=False, **kw)
    for _ in range(5):
        p.grad = torch.randn(37) * torch.logspace(-6, 1, 37)
        grads.append(p.grad.clone())
        opt.step()
        steps.append(p.detach().clone())
    put(f"{case}.grads", torch.stack(grads)), put(f"{case}.steps", torch.stack(steps))

# ---- cosine after 5 linear warm-up steps, 20 in all
p = torch.zeros(1, requires_grad=True)
opt = torch.optim.SGD([p], lr=1.0)
warm = torch.optim.lr_scheduler.LambdaLR(opt, lambda t: (t + 1) / 5)
rates = []
for t in range(20):
    if t == 5:
        opt.param_groups[0]["lr"] = opt.param_groups[0]["initial_lr"] = 1.0
        cosine = torch.optim.lr_scheduler.CosineAnnealingLR(opt, 15)
    rates.append(opt.param_groups[0]["lr"])
    opt.step()
    (warm if t < 4 else cosine if t >= 5 else warm).step()
put("schedule", np.array(rates))

open("tests/ref/nn.bin", "wb").write(b"".join(blob))
open("tests/ref/nn.txt", "w").writelines(index)
