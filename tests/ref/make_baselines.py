#!/usr/bin/python3
"""Numbers for tests/unit/test_baselines_*.c: writes tests/ref/baselines.txt and tests/ref/baselines_clue.txt.

  /usr/bin/python3 tests/ref/make_baselines.py

Ridge regression by scikit-learn and orthogonal Procrustes by SciPy, on centred components; layers,
loss and gradients of the cross-linked autoencoder by PyTorch, in double, from weights drawn here.
No dropout: its masks are ours.
"""
import numpy as np
import torch
import torch.nn.functional as F
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


def layers(f):
    torch.manual_seed(5)
    x = torch.randn(7, 3, dtype=torch.double, requires_grad=True)
    norm = torch.nn.BatchNorm1d(3).double()
    with torch.no_grad():
        norm.weight.copy_(torch.randn(3)), norm.bias.copy_(torch.randn(3))
    y = norm(x)
    g = torch.randn_like(y)
    y.backward(g)
    write(f, "bn.in", x.detach()), write(f, "bn.gain", norm.weight.detach()), write(f, "bn.bias", norm.bias.detach())
    write(f, "bn.out", y.detach()), write(f, "bn.dout", g), write(f, "bn.din", x.grad)
    write(f, "bn.dgain", norm.weight.grad), write(f, "bn.dbias", norm.bias.grad)
    write(f, "bn.mean", norm.running_mean), write(f, "bn.var", norm.running_var)
    write(f, "bn.applied", norm.eval()(x).detach())

    x = torch.linspace(-9, 4, 20, dtype=torch.double, requires_grad=True)
    y, g = F.elu(x), torch.randn(20, dtype=torch.double)
    y.backward(g)
    write(f, "elu.in", x.detach()), write(f, "elu.out", y.detach()), write(f, "elu.dout", g), write(f, "elu.din", x.grad)

    w = torch.randn(20, dtype=torch.double, requires_grad=True)
    opt = torch.optim.RMSprop([w], lr=2e-3)
    write(f, "rms.w", w.detach())
    for k in range(3):
        w.grad = torch.randn(20, dtype=torch.double)
        write(f, f"rms.g{k}", w.grad)
        opt.step()
    write(f, "rms.out", w.detach())

    d = 8
    x = torch.tensor([[0, 1, 0, 7, 300, 0, 2.5, 40], [0, 0, 3, 0, 0, 1, 0, 0]], dtype=torch.double)
    logits = torch.randn(2, d, dtype=torch.double, requires_grad=True)
    log_theta = torch.randn(d, dtype=torch.double, requires_grad=True)
    loss = negbin(x, logits, log_theta).sum()
    loss.backward()
    write(f, "nb.x", x), write(f, "nb.logits", logits.detach()), write(f, "nb.log_theta", log_theta.detach())
    write(f, "nb.loss", [loss.item()]), write(f, "nb.dlogits", logits.grad), write(f, "nb.dlog_theta", log_theta.grad)


def deep(f):
    torch.manual_seed(13)
    B, k, n, q = 5, 6, 4, 3
    widths = [n, 7, 5, q]
    z = torch.randn(B, k).double() * torch.tensor([4, 3, 2, 1, .5, .2])
    z = z.float().double()
    s = torch.tensor([30, 20, 15, 9, 4, 2], dtype=torch.double)
    write(f, "deep.z", z), write(f, "deep.s", s)
    w = [(0.6 * torch.randn(a, b)).double().requires_grad_() for a, b in zip(widths, widths[1:])]
    b = [(0.3 * torch.randn(a)).double().requires_grad_() for a in widths[1:]]
    dout = torch.randn(B, q).double()
    write(f, "deep.dout", dout)
    for l in range(3):
        write(f, f"deep.w{l + 1}", w[l].detach()), write(f, f"deep.b{l + 1}", b[l].detach())
    for name, act, zscore in (("elu", F.elu, True), ("gelu", F.gelu, False)):
        h = z[:, :n]
        if zscore:
            h = (h - h.mean(1, keepdim=True)) / h.std(1, keepdim=True)
        else:
            h = h / (s[:n] / 40 ** 0.5)
        for l in range(3):
            h = h @ w[l] + b[l]
            h = act(h) if l < 2 else h
        write(f, f"deep.{name}.out", h.detach())
        for l, (gw, gb) in enumerate(zip(torch.autograd.grad((h * dout).sum(), w, retain_graph=True),
                                         torch.autograd.grad((h * dout).sum(), b))):
            write(f, f"deep.{name}.dw{l + 1}", gw), write(f, f"deep.{name}.db{l + 1}", gb)


def negbin(x, logits, log_theta):
    """-log p, cell by feature; PyTorch's distribution refuses halves, so its formula is spelled out."""
    log_mean = torch.log_softmax(logits, 1) + x.sum(1, keepdim=True).log()
    whole = torch.distributions.NegativeBinomial(log_theta.exp(), logits=log_mean - log_theta, validate_args=False)
    return -whole.log_prob(x)


def clue(f):
    torch.manual_seed(9)
    B, k, latent, hidden, depth, dec, jud, d, batches = 6, 5, 3, 7, 2, 6, 4, (9, 11), 2
    q, wide = 2 * latent, 2 * latent + batches
    slot = ("GEX", "ATAC")
    weights = dict(data=1.0, cross=0.7, kl=0.3, cosine=0.4, mse=0.2, adversary=0.5)
    write(f, "sizes", [B, k, latent, hidden, depth, dec, jud, d[0], d[1], batches])
    write(f, "weights", list(weights.values()))
    w = {}

    def tensor(name, *shape, trained=True):
        w[name] = (0.5 * torch.randn(*shape)).double().requires_grad_(trained)

    def layer(name, i, o):
        tensor(name + ".w", i, o), tensor(name + ".b", o), tensor(name + ".gain", o), tensor(name + ".bias", o)

    for m in range(2):
        w[slot[m] + ".r.scale"] = (0.5 + torch.rand(k)).double()
        for s in range(2):
            for l in range(depth):
                layer(f"{slot[m]}.r.{s}.{l}", hidden if l else k, hidden)
            for part in ("mu", "sd"):
                tensor(f"{slot[m]}.r.{s}.{part}.w", hidden, latent), tensor(f"{slot[m]}.r.{s}.{part}.b", latent)
        layer(f"{slot[m]}.d.0", wide, dec)
        tensor(f"{slot[m]}.d.w", dec, d[m]), tensor(f"{slot[m]}.d.b", d[m]), tensor(f"{slot[m]}.d.theta", d[m])
    tensor("judge.w1", wide, jud), tensor("judge.b1", jud), tensor("judge.w2", jud, 2), tensor("judge.b2", 2)
    z = [torch.randn(B, k).double() for _ in range(2)]
    eps = [torch.randn(B, q).double() for _ in range(2)]
    x = [torch.poisson(2 * torch.rand(B, n)).double() for n in d]
    x[0][3] = 0                                        # a cell without counts has no likelihood
    label = torch.tensor([0, 1, 1, 0, 9, 1])           # 9: a batch that training has not seen
    onehot = torch.stack([(label == b).double() for b in range(batches)], 1)

    def through(name, a):
        h = F.leaky_relu(a @ w[name + ".w"] + w[name + ".b"], 0.2)
        return F.batch_norm(h, None, None, w[name + ".gain"], w[name + ".bias"], True, 0.1, 1e-5)

    mu, sd, u = [], [], []
    for m in range(2):
        parts = []
        for s in range(2):
            h = z[m] * w[slot[m] + ".r.scale"]
            for l in range(depth):
                h = through(f"{slot[m]}.r.{s}.{l}", h)
            front = f"{slot[m]}.r.{s}."
            parts.append((h @ w[front + "mu.w"] + w[front + "mu.b"],
                          F.softplus(h @ w[front + "sd.w"] + w[front + "sd.b"]) + 1e-7))
        mu.append(torch.cat([p[0] for p in parts], 1))
        sd.append(torch.cat([p[1] for p in parts], 1))
        u.append(mu[m] + sd[m] * eps[m])

    def rebuilt(m, c):
        h = through(slot[m] + ".d.0", torch.cat([u[c], onehot], 1))
        has = x[m].sum(1) > 0
        nll = negbin(x[m][has], (h @ w[slot[m] + ".d.w"] + w[slot[m] + ".d.b"])[has], w[slot[m] + ".d.theta"])
        return nll.sum() / (B * d[m])

    normal = torch.distributions.Normal
    terms = dict(data=rebuilt(0, 0) + rebuilt(1, 1), cross=rebuilt(0, 1) + rebuilt(1, 0),
                 kl=sum(torch.distributions.kl_divergence(normal(mu[m], sd[m]), normal(0.0, 1.0)).sum() / (B * d[m])
                        for m in range(2)),
                 cosine=(1 - F.cosine_similarity(mu[0], mu[1])).mean(), mse=F.mse_loss(mu[0], mu[1]))
    both = torch.cat([torch.cat([u[m], onehot], 1) for m in range(2)])
    h = F.leaky_relu(both @ w["judge.w1"] + w["judge.b1"], 0.2)
    discriminator = F.cross_entropy(h @ w["judge.w2"] + w["judge.b2"], torch.arange(2).repeat_interleave(B))
    loss = sum(weights[t] * v for t, v in terms.items()) - weights["adversary"] * discriminator

    own = {n: v for n, v in w.items() if n.startswith("judge")}
    others = {n: v for n, v in w.items() if v.requires_grad and n not in own}
    grads = dict(zip(own, torch.autograd.grad(discriminator, own.values(), retain_graph=True)))
    grads.update(zip(others, torch.autograd.grad(loss, others.values())))
    write(f, "terms", [loss.item()] + [t.item() for t in terms.values()] + [discriminator.item()], 12)
    write(f, "label", label)
    for m in range(2):
        for name, v in (("z", z), ("eps", eps), ("x", x)):
            write(f, f"{name}{m}", v[m], 9)
        write(f, f"mu{m}", mu[m].detach(), 9), write(f, f"sd{m}", sd[m].detach(), 9)
    for name, v in w.items():
        write(f, name, v.detach(), 9)
    for name, v in grads.items():
        write(f, "d." + name, v, 9)


if __name__ == "__main__":
    with open("tests/ref/baselines.txt", "w") as out:
        linear(out)
        layers(out)
        deep(out)
    with open("tests/ref/baselines_clue.txt", "w") as out:
        clue(out)
