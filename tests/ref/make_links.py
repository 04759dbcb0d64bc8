#!/usr/bin/python3
"""Fixture of the learned weights of peak-gene pairs (lib/links/learn.h), by PyTorch in double.

A small problem with two batches: facts, first weights, correlations, residuals and similarities are
drawn; PyTorch's automatic differentiation gives weights, loss and all gradients.  Writes links.txt
(tests/unit/ref.h); run from the project's root with the python3 that has torch.
"""
import torch

torch.manual_seed(4)
torch.set_default_dtype(torch.float64)
H, F, G, P, N, MU = 3, 5, 6, 9, 8, 0.7
ptr = [0, 3, 3, 7, 9, 12, 14]
peak = torch.tensor([0, 1, 4, 1, 2, 3, 8, 0, 5, 4, 6, 7, 2, 8])
gene = torch.tensor([g for g in range(G) for _ in range(ptr[g + 1] - ptr[g])])
n = len(peak)
x, c = torch.randn(n, F), torch.randn(n) * 0.2
first = torch.where(c.abs() > 0.1, c - 0.1 * c.sign(), torch.zeros(n))
A, a, B, b, l = (t.requires_grad_() for t in (
    torch.randn(H, F) * 0.5, torch.randn(H) * 0.3, torch.randn(2, H) * 0.4, torch.randn(2) * 0.2,
    torch.tensor(1.3)))
u, w, s0 = torch.randn(G, N), torch.randn(P, N), torch.randn(N, N) * 0.3
group = torch.tensor([0, 0, 1, 0, 1, 1, 0, 1])

o = torch.tanh(x @ A.T + a) @ B.T + b
phi = first * torch.exp(o[:, 0]) + 0.3 * c * o[:, 1]
phi.retain_grad()


def loss_of(groups):
    C = torch.zeros(G, P).index_put((gene, peak), phi)
    z = torch.exp(l) * (s0 + MU * u.T @ C @ w)
    if groups:
        z = torch.where(group[:, None] == group[None], z, torch.tensor(-1e300))
    i = torch.arange(N)
    ce = torch.nn.functional.cross_entropy
    return (ce(z, i) + ce(z.T, i)) / 2


with open('tests/ref/links.txt', 'w') as out:
    def put(name, t):
        t = t.detach().reshape(1, -1) if t.dim() < 2 else t.detach()
        print(name, *t.shape, file=out)
        for row in t.tolist():
            print(*(repr(float(v)) for v in row), file=out)

    put('sizes', torch.tensor([H, G, P, N, n]))
    put('mu', torch.tensor([MU]))
    put('ptr', torch.tensor(ptr))
    for name, t in (('peak', peak), ('x', x), ('c', c), ('first', first), ('u', u), ('w', w),
                    ('s0', s0), ('group', group), ('phi', phi)):
        put(name, t)
    put('weights', torch.cat([A.flatten(), a, B.flatten(), b, l.reshape(1)]))
    for groups in (False, True):
        for t in (A, a, B, b, l, phi):
            t.grad = None
        loss = loss_of(groups)
        loss.backward(retain_graph=True)
        end = '.groups' if groups else ''
        put('loss' + end, loss.reshape(1))
        put('dphi' + end, phi.grad)
        put('gradient' + end, torch.cat([A.grad.flatten(), a.grad, B.grad.flatten(), b.grad,
                                         l.grad.reshape(1)]))
