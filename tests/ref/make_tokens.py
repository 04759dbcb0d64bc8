#!/usr/bin/python3
"""Numbers for tests/unit/test_network_torch.c and test_train_steps.c, from PyTorch (written with 1.13).

Run from the project's root: /usr/bin/python3 tests/ref/make_tokens.py
Writes tests/ref/tokens.bin, little-endian float32 without gaps, and tests/ref/tokens.txt, its index: a
line "name offset count" a tensor.  Each preset of network/transformer.h is written down once more here with
torch.nn, on dense vectors, at a small size; parameters are drawn, not initialised.  Then the cross-
attention module on pairs.  Inputs are float32, outputs and gradients are computed in float64.
"""
import numpy as np
import torch
import torch.nn.functional as F

torch.manual_seed(20211107)
torch.set_num_threads(1)
blob, index, at = [], [], 0


def put(name, t):
    global at
    a = np.ascontiguousarray(t.detach().numpy() if torch.is_tensor(t) else np.asarray(t)).astype("<f4")
    blob.append(a.tobytes())
    index.append(f"{name} {at} {a.size}\n")
    at += a.size


def draw(*shape, sd=1.0):
    return (torch.randn(*shape) * sd).float().double().requires_grad_()


same = lambda t: t
turned = lambda t: t.t()
kernel = lambda t: t.permute(2, 1, 0).reshape(-1, t.shape[0])  # F x C x K -> K C x F

# ---- cells: 64 features, on chromosomes of 20, 7, 30, 7
N, D = 3, 64
chrom = [0, 20, 27, 57, 64]
dense = torch.zeros(N, D, dtype=torch.float64)
for c in range(N):
    cols = torch.randperm(D)[:30 + 5 * c]
    dense[c, cols] = torch.randn(len(cols)).float().double()
put("cells", dense)


def unit(P, H, W, norm_first, act):
    u = torch.nn.TransformerEncoderLayer(P, H, W, 0.0, act, batch_first=True, norm_first=norm_first).double()
    with torch.no_grad():
        for p in u.parameters():
            sd = 0.3 if p.dim() > 1 else 0.4
            p.copy_((torch.randn(p.shape) * sd + (p.mean().round() if p.dim() == 1 else 0)).float())
    u.train()
    return u


def unit_leaves(u, prefix="unit."):
    a = u.self_attn
    leaves = {"wqkv": (a.in_proj_weight, turned), "bqkv": (a.in_proj_bias, same),
              "wo": (a.out_proj.weight, turned), "bo": (a.out_proj.bias, same),
              "gain1": (u.norm1.weight, same), "bias1": (u.norm1.bias, same),
              "w1": (u.linear1.weight, turned), "b1": (u.linear1.bias, same),
              "w2": (u.linear2.weight, turned), "b2": (u.linear2.bias, same),
              "gain2": (u.norm2.weight, same), "bias2": (u.norm2.bias, same)}
    return {prefix + k: v for k, v in leaves.items()}


def finish(case, out, leaves, extra=()):
    """out, its weights, tokens; parameters and the gradients of sum(out * weight)."""
    weight = draw(*out.shape).detach()
    put(f"{case}.out", out)
    put(f"{case}.dout", weight)
    for name, t in extra:
        put(f"{case}.{name}", t)
    grads = torch.autograd.grad((out * weight).sum(), [l for l, _ in leaves.values()])
    for (name, (leaf, view)), g in zip(leaves.items(), grads):
        put(f"{case}.{name}", view(leaf))
        put(f"{case}.d.{name}", view(g))


def pieces(x):
    return [x[:, chrom[c]:chrom[c + 1]] for c in range(4)]


# ---- attn: frozen untied loadings, positions, pre-norm unit, last norm, mean, linear
P, q, K, cells = 8, 5, 9, 50
v, mean, s = draw(D, P, sd=0.1), draw(D), torch.tensor([30.0 - 2 * i for i in range(P)]).double()
edges = []
for c in range(4):
    edges += [(i, min(i + K, chrom[c + 1])) for i in range(chrom[c], chrom[c + 1], K)]
L = len(edges)
w = v.detach() / (s / cells ** 0.5) * L ** 0.5
position, u = draw(L, P, sd=0.3), unit(P, 4, P, True, "gelu")
gain, bias, ow, ob = draw(P), draw(P), draw(q, P, sd=0.5), draw(q)
tokens = torch.stack([(dense[:, i:j] - mean.detach()[i:j]) @ w[i:j] for i, j in edges], 1) + position
out = F.linear(F.layer_norm(u(tokens), (P,), gain, bias).mean(1), ow, ob)
put("attn.v", v), put("attn.mean", mean), put("attn.s", s)
finish("attn", out, {"position": (position, same), **unit_leaves(u), "norm.gain": (gain, same),
                     "norm.bias": (bias, same), "out.w": (ow, turned), "out.bias": (ob, same)},
       [("tokens", tokens)])

# ---- paper: tied filters, stride = window, ReLU, shared FC, post-norm unit, mean
C, P, K = 6, 8, 8
cw, cb, fw, fb, u = draw(C, 1, K, sd=0.4), draw(C), draw(P, C, sd=0.4), draw(P), unit(P, 4, 4 * P, False, "relu")
parts = [F.relu(F.conv1d(F.pad(x, (0, -x.shape[1] % K))[:, None], cw, cb, stride=K)) for x in pieces(dense)]
tokens = F.linear(torch.cat(parts, 2).transpose(1, 2), fw, fb)
finish("paper", u(tokens).mean(1),
       {"conv.filter": (cw, kernel), "conv.bias": (cb, same), "fc.w": (fw, turned), "fc.bias": (fb, same),
        **unit_leaves(u)}, [("tokens", tokens)])

# ---- authors, RNA: stride below kernel, LeakyReLU, max-pool; ATAC: two of them.  Short chromosomes
# give no token.  Read-out of the flattened tokens.
C, K, S, q = 4, 6, 2, 7
cw, cb, u = draw(C, 1, K, sd=0.4), draw(C), unit(C, 1, 4 * C, False, "relu")
parts = []
for x in pieces(dense):
    if x.shape[1] >= K:
        y = F.leaky_relu(F.conv1d(x[:, None], cw, cb, stride=S), 0.01)
        if y.shape[2] >= 2:
            parts.append(F.max_pool1d(y, 2))
tokens = torch.cat(parts, 2).transpose(1, 2)
ow, ob = draw(q, tokens.shape[1] * C, sd=0.3), draw(q)
finish("authors.gex", F.linear(u(tokens).flatten(1), ow, ob),
       {"conv.filter": (cw, kernel), "conv.bias": (cb, same), **unit_leaves(u), "out.w": (ow, turned),
        "out.bias": (ob, same)}, [("tokens", tokens)])

C1, C2, K, S, K2, S2 = 3, 8, 4, 1, 3, 1
cw, cb, c2, b2 = draw(C1, 1, K, sd=0.5), draw(C1), draw(C2, C1, K2, sd=0.4), draw(C2)
u = unit(C2, 4, 4 * C2, False, "relu")
parts = []
for x in pieces(dense):
    y = F.leaky_relu(F.conv1d(x[:, None], cw, cb, stride=S), 0.01)
    if y.shape[2] >= 3:
        y = F.max_pool1d(y, 3, 2)
        if y.shape[2] >= K2:
            y = F.leaky_relu(F.conv1d(y, c2, b2, stride=S2), 0.01)
            if y.shape[2] >= 2:
                parts.append(F.max_pool1d(y, 2))
tokens = torch.cat(parts, 2).transpose(1, 2)
ow, ob = draw(q, tokens.shape[1] * C2, sd=0.3), draw(q)
finish("authors.atac", F.linear(u(tokens).flatten(1), ow, ob),
       {"conv.filter": (cw, kernel), "conv.bias": (cb, same),
        "conv2.filter": (c2, lambda t: t.permute(2, 1, 0)), "conv2.bias": (b2, same), **unit_leaves(u),
        "out.w": (ow, turned), "out.bias": (ob, same)}, [("tokens", tokens)])

# ---- cross-attention on pairs of 3 x 3 cells: S1, and gradients of all of them
P, LG, LA, B = 8, 5, 7, 3
g, a = draw(B, LG, P), draw(B, LA, P)
for case, u in (("cross.post", unit(P, 4, 4 * P, False, "relu")), ("cross.pre", unit(P, 2, P, True, "gelu"))):
    rows = []
    for i in range(B):
        for j in range(B):
            y = u(torch.cat([g[i], a[j]])[None])[0]
            rows.append((F.normalize(y[:LG].mean(0), dim=0) * F.normalize(y[LG:].mean(0), dim=0)).sum())
    finish(case, torch.stack(rows), {"g": (g, same), "a": (a, same), **unit_leaves(u, "")})

# ---- the mined loss: top h by S0, hardest by S = S0 + alpha S1, triplets with a margin
B, h, alpha, margin = 8, 3, 0.8, 0.6
g, a, s0 = draw(B, LG, P), draw(B, LA, P), draw(B, B, sd=0.3)
u = unit(P, 4, 4 * P, False, "relu")
S1 = torch.zeros(B, B).double()
rows = []
for i in range(B):
    for j in range(B):
        y = u(torch.cat([g[i], a[j]])[None])[0]
        rows.append((F.normalize(y[:LG].mean(0), dim=0) * F.normalize(y[LG:].mean(0), dim=0)).sum())
S = s0 + alpha * torch.stack(rows).view(B, B)
loss = 0
for i in range(B):
    def mined(values):
        order = [int(j) for j in torch.argsort(values, descending=True) if int(j) != i]
        return order[:h]
    j = max(mined(s0[i].detach()), key=lambda j: float(S[i, j]))
    k = max(mined(s0[:, i].detach()), key=lambda k: float(S[k, i]))
    loss = loss + F.relu(margin - S[i, i] + S[i, j]) + F.relu(margin - S[i, i] + S[k, i])
loss = loss / B
leaves = {"g": (g, same), "a": (a, same), "s0": (s0, same), **unit_leaves(u, "")}
put("mined.loss", loss[None])
for (name, (leaf, view)), d in zip(leaves.items(),
                                   torch.autograd.grad(loss, [l for l, _ in leaves.values()])):
    put(f"mined.{name}", view(leaf))
    put(f"mined.d.{name}", view(d))

# ---- two whole training steps: forward, S0, cross-attention on all pairs, the mined triplets, Adam
B, h, alpha, q = 6, 3, 0.8, 7
x = [torch.zeros(B, D, dtype=torch.float64) for _ in range(2)]
for m in range(2):
    for c in range(B):
        cols = torch.randperm(D)[:28 + 3 * c]
        x[m][c, cols] = torch.randn(len(cols)).float().double()
    put(f"steps.cells{m}", x[m])


def leaf(*shape, sd=0.4):
    return draw(*shape, sd=sd)


def conv_side(C, K, S, P=None, second=None, pools=((0, 0),), slope=0.0, heads=4, out=0):
    """One side's network as (parameters {name: (leaf, view)}, function of dense cells)."""
    p = {"conv.filter": (leaf(C, 1, K), kernel), "conv.bias": (leaf(C), same)}
    width = C
    if second:
        K2, S2, C2 = second
        p["conv2.filter"], p["conv2.bias"] = (leaf(C2, C, K2), lambda t: t.permute(2, 1, 0)), (leaf(C2), same)
        width = C2
    if P:
        p["fc.w"], p["fc.bias"] = (leaf(P, width), turned), (leaf(P), same)
        width = P
    u = unit(width, heads, 4 * width, False, "relu")
    p.update(unit_leaves(u))

    def tokens(v):
        parts = []
        for y in pieces(v):
            if S == K:
                y = F.pad(y, (0, -y.shape[1] % K))
            y, levels = y[:, None], [("conv.filter", "conv.bias", S, pools[0])]
            if second:
                levels.append(("conv2.filter", "conv2.bias", S2, pools[1]))
            for fw, fb, stride, (pk, ps) in levels:
                if y is None or y.shape[2] < p[fw][0].shape[2]:
                    y = None
                    break
                y = F.leaky_relu(F.conv1d(y, p[fw][0], p[fb][0], stride=stride), slope)
                if pk:
                    y = F.max_pool1d(y, pk, ps) if y.shape[2] >= pk else None
            if y is not None:
                parts.append(y)
        t = torch.cat(parts, 2).transpose(1, 2)
        return F.linear(t, p["fc.w"][0], p["fc.bias"][0]) if P else t

    if out:
        n = tokens(x[0]).shape[1] * width
        p["out.w"], p["out.bias"] = (leaf(out, n, sd=0.3), turned), (leaf(out), same)

    def forward(v):
        t = tokens(v)
        y = u(t)
        y = F.linear(y.flatten(1), p["out.w"][0], p["out.bias"][0]) if out else y.mean(1)
        return F.normalize(y, dim=1), t

    return p, forward


def negative(s, s0, own, i, margin, semihard):
    def key(j):  # semi-hard: the largest S0 below the partner's, then the nearest above
        d = float(s0[j] - s0[i])
        return float(s0[j]) if not semihard else d if d < 0 else -1e6 - d

    order = sorted((j for j in range(B) if j != i), key=key, reverse=True)[:h]
    if semihard:
        order = [j for j in order if own - margin < s[j] < own]
    return max(order, key=lambda j: float(s[j])) if order else None


for case, margin, semihard, lr, sides in (
        ("steps.paper", 0.4, False, 1e-3,
         (conv_side(6, 8, 8, P=8), conv_side(6, 9, 9, P=8))),
        ("steps.authors", 0.9, True, 2e-3,
         (conv_side(8, 6, 2, pools=((2, 2),), slope=0.01, heads=1, out=q),
          conv_side(3, 4, 1, second=(3, 1, 8), pools=((3, 2), (2, 2)), slope=0.01, out=q)))):
    cross = unit(8, 4, 32, False, "relu")
    named = {f"GEX.r.{k}": v for k, v in sides[0][0].items()}
    named.update({f"ATAC.r.{k}": v for k, v in sides[1][0].items()})
    named.update({f"cross.{k}": v for k, v in unit_leaves(cross, "").items()})
    for name, (t, view) in named.items():
        put(f"{case}.0.{name}", view(t))
    optimiser = torch.optim.Adam([t for t, _ in named.values()], lr=lr)
    losses = []
    for step in range(2):
        (e, g), (t, a) = sides[0][1](x[0]), sides[1][1](x[1])
        s0 = e @ t.T
        rows = []
        for i in range(B):
            for j in range(B):
                y = cross(torch.cat([g[i], a[j]])[None])[0]
                lg = g.shape[1]
                rows.append((F.normalize(y[:lg].mean(0), dim=0) * F.normalize(y[lg:].mean(0), dim=0)).sum())
        S = s0 + alpha * torch.stack(rows).view(B, B)
        loss = 0
        for i in range(B):
            own = float(S[i, i])
            j = negative(S[i].detach(), s0[i].detach(), own, i, margin, semihard)
            k = negative(S[:, i].detach(), s0[:, i].detach(), own, i, margin, semihard)
            loss = loss + (F.relu(margin - S[i, i] + S[i, j]) if j is not None else 0)
            loss = loss + (F.relu(margin - S[i, i] + S[k, i]) if k is not None else 0)
        loss = loss / B
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        losses.append(float(loss))
    put(f"{case}.loss", np.array(losses))
    print(case, losses)
    for name, (t, view) in named.items():
        put(f"{case}.2.{name}", view(t))

open("tests/ref/tokens.bin", "wb").write(b"".join(blob))
open("tests/ref/tokens.txt", "w").write("".join(index))
print(f"{len(index)} tensors, {4 * at} bytes")
