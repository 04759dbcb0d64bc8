#!/usr/bin/python3
"""tests/bench/torch_peer.py CASE P BATCH THREADS CELLS - tests/bench/network.c in PyTorch.

The same network (preset `paper`), cells of the same size, the same loss and optimiser, written as
one would for speed: the sparse layer is an embedding bag over the cell's non-zeros, attention in
training is written out (faster here than nn.MultiheadAttention), embedding takes the fast path of
nn.TransformerEncoderLayer.  The unit tests hold our layers to these modules, number by number.
Prints cells a second, cells a second of processor time, peak RSS in MiB.
"""
import math
import resource
import sys
import time

import torch
import torch.nn.functional as F
from torch import nn

case, P, batch, threads, cells = sys.argv[1], *map(int, sys.argv[2:])
torch.manual_seed(1)
torch.set_num_threads(threads)
HEADS, CHROMS, POOL = 4, 23, 512
SIDES = ((13431, 1112), (116490, 3586))  # features, non-zeros of a cell


def windows(features):
    """Chromosome bounds, the smallest kernel that gives at most 100 windows (25 below 10,000)."""
    chrom = [-(-c * features // CHROMS) for c in range(CHROMS + 1)]
    aim = 25 if features < 10000 else 100
    low, high = 1, features
    while low < high:
        kernel = (low + high) // 2
        count = sum(-(-(b - a) // kernel) for a, b in zip(chrom, chrom[1:]))
        low, high = (low, kernel) if count <= aim else (kernel + 1, high)
    return chrom, low


class Unit(nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = nn.TransformerEncoderLayer(P, HEADS, 4 * P, 0.0, "relu", batch_first=True)

    def forward(self, x):
        if not torch.is_grad_enabled():
            return self.layer(x)
        u, (B, L, _) = self.layer, x.shape
        qkv = F.linear(x, u.self_attn.in_proj_weight, u.self_attn.in_proj_bias)
        q, k, v = qkv.view(B, L, 3, HEADS, P // HEADS).permute(2, 0, 3, 1, 4)
        p = torch.softmax((q / math.sqrt(P // HEADS)) @ k.transpose(-1, -2), -1)
        x = u.norm1(x + u.self_attn.out_proj((p @ v).transpose(1, 2).reshape(B, L, P)))
        return u.norm2(x + u.linear2(torch.relu(u.linear1(x))))


class Side(nn.Module):
    def __init__(self, features, entries):
        super().__init__()
        chrom, kernel = windows(features)
        token, row = [], []
        L = 0
        for a, b in zip(chrom, chrom[1:]):
            for x in range(a, b):
                token.append(L + (x - a) // kernel)
                row.append((x - a) % kernel)
            L += -(-(b - a) // kernel)
        self.L = L
        step = features // entries
        idx = torch.arange(entries) * features // entries + torch.randint(step, (POOL, entries))
        self.row = torch.tensor(row)[idx]
        self.token = torch.tensor(token)[idx]
        self.value = 0.5 + torch.rand(POOL, entries)
        self.bag = nn.Parameter(torch.randn(kernel, P) / math.sqrt(kernel))
        self.bias = nn.Parameter(torch.zeros(P))
        self.fc = nn.Linear(P, P)
        self.unit = Unit()

    def bags(self, cells):
        """What the embedding bag takes; made once, as a loader would."""
        B = len(cells)
        where = (torch.arange(B)[:, None] * self.L + self.token[cells]).flatten()
        offsets = torch.searchsorted(where, torch.arange(B * self.L))
        return self.row[cells].flatten(), offsets, self.value[cells].flatten(), B

    def tokens(self, bags):
        row, offsets, value, B = bags
        x = F.embedding_bag(row, self.bag, offsets, mode="sum", per_sample_weights=value)
        return self.fc(torch.relu(x + self.bias)).view(B, self.L, P)

    def forward(self, tokens):
        return F.normalize(self.unit(tokens).mean(1), dim=-1)


sides = nn.ModuleList(Side(*s) for s in SIDES)
cross = Unit()
parameters = list(sides.parameters()) + (list(cross.parameters()) if case == "cross" else [])
adam = torch.optim.Adam(parameters, lr=1e-3)
picks = [torch.arange(i, i + batch) % POOL for i in range(0, POOL, batch)]
data = [[s.bags(p) for s in sides] for p in picks]


def step(bags):
    tokens = [s.tokens(b) for s, b in zip(sides, bags)]
    e, t = (s(x) for s, x in zip(sides, tokens))
    s = e @ t.T
    own = s.diagonal()
    other = s - 9 * torch.eye(len(s))
    loss = sum(F.relu(0.2 - own + other.max(axis).values).mean() for axis in (1, 0))
    if case == "cross":
        u, L = cross(torch.cat(tokens, 1)), sides[0].L
        e1, t1 = F.normalize(u[:, :L].mean(1), dim=-1), F.normalize(u[:, L:].mean(1), dim=-1)
        loss = loss + (e1 * t1).sum(-1).mean()
    adam.zero_grad(set_to_none=True)
    loss.backward()
    adam.step()


def embed(bags):
    with torch.no_grad():
        for s, b in zip(sides, bags):
            s(s.tokens(b))


if case == "embed":
    sides.eval()
work = embed if case == "embed" else step
work(data[0])
done, wall, processor = 0, time.monotonic(), time.process_time()
while done < cells:
    work(data[done // batch % len(data)])
    done += batch
wall, processor = time.monotonic() - wall, time.process_time() - processor
rss = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"{done / wall:.1f}\t{done / processor:.1f}\t{rss:.0f}")
