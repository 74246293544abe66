"""The same losses in PyTorch, for `benches/losses.rs`: milliseconds, median of 30.

pip install torch==2.15.0 torchvision==0.29.2
OMP_NUM_THREADS=2 python benches/peers/losses_torch.py
"""
import statistics
import time

import torch
import torch.nn.functional as F
from torchvision.ops import sigmoid_focal_loss

torch.set_num_threads(2)
torch.manual_seed(1)


def measure(name, x, f):
    def forward():
        with torch.no_grad():
            return f(x).item()

    def backward():
        y = x.detach().requires_grad_(True)
        f(y).backward()
        return y.grad

    for kind, run in [("forward", forward), ("backward", backward)]:
        for _ in range(5):
            run()
        times = []
        for _ in range(30):
            start = time.perf_counter()
            run()
            times.append(time.perf_counter() - start)
        print(f"{name}/{kind:<10} {statistics.median(times) * 1e3:9.3f} ms", flush=True)


b, c = 4096, 1000
x = torch.randn(b, c) * 3
y = torch.arange(b) * 7919 % c
n = 1 + 10_000 // torch.arange(1, c + 1)
log_prior = (n / n.sum()).log()
margin = n.float() ** -0.25
margin = margin * (0.5 / margin.max())


def focal(z):
    lp = -F.cross_entropy(z, y, reduction="none")
    return (-lp * (1 - lp.exp()) ** 2).mean()


def ldam(z):
    # The authors' code: an index, a margin matrix, a where.
    index = torch.zeros_like(z, dtype=torch.bool)
    index.scatter_(1, y[:, None], True)
    return F.cross_entropy(30 * torch.where(index, z - margin[y][:, None], z), y)


measure("cross_entropy/4096x1000", x, lambda z: F.cross_entropy(z, y))
measure("focal/4096x1000", x, focal)
measure("logit_adjusted/4096x1000", x, lambda z: F.cross_entropy(z + log_prior, y))
measure("ldam/4096x1000", x, ldam)

x1 = torch.randn(65_536, 1) * 3
t1 = (torch.arange(65_536) * 7919 % 2).float()[:, None]


def asl(z):
    # The authors' AsymmetricLoss, focusing differentiated.
    p = torch.sigmoid(z)
    q = (1 - p + 0.05).clamp(max=1)
    loss = t1 * p.clamp(min=1e-8).log() + (1 - t1) * q.clamp(min=1e-8).log()
    pt = p * t1 + q * (1 - t1)
    return -(loss * (1 - pt) ** (1 * t1 + 4 * (1 - t1))).sum(1).mean()


measure("bce/65536x1", x1, lambda z: F.binary_cross_entropy_with_logits(z, t1))
measure("sigmoid_focal/65536x1", x1, lambda z: sigmoid_focal_loss(z, t1, reduction="mean"))
measure("asymmetric/65536x1", x1, asl)

e = torch.randn(512, 128)
ids = torch.arange(512) * 7919 % 20


def sup_con(z):
    z = F.normalize(z)
    s = z @ z.t() / 0.1
    eye = torch.eye(512, dtype=torch.bool)
    partner = ((ids[:, None] == ids[None, :]) & ~eye).float()
    lp = F.log_softmax(s.masked_fill(eye, -1e5), 1)
    return (-(lp * partner).sum(1) / partner.sum(1).clamp(min=1)).mean()


measure("sup_con/512x128", e, sup_con)
