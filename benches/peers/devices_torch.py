"""The same work in PyTorch, for `benches/devices.rs`: milliseconds, the median of seven groups.

Losses and augmenters are compiled by `torch.compile`; MiniLM runs as transformers runs it, with
SDPA and a fused AdamW. On a machine with a CUDA device it is used, else the processor.

pip install torch==2.15.0 transformers==5.24.0
python benches/peers/devices_torch.py [f32|bf16] [FILTER] [TIMES]   # the rows of the losses
"""
import statistics
import sys
import time

import torch
import torch.nn.functional as F

cuda = torch.cuda.is_available()
device = torch.device("cuda" if cuda else "cpu")
dtype = {"f32": torch.float32, "bf16": torch.bfloat16}[sys.argv[1] if len(sys.argv) > 1 else "f32"]
wanted = sys.argv[2] if len(sys.argv) > 2 else ""
times = int(sys.argv[3]) if len(sys.argv) > 3 else 1
torch.manual_seed(1)
# As burn does: products of f32 on matrix units in tf32.
torch.backends.cuda.matmul.allow_tf32 = True
print(torch.__version__, torch.cuda.get_device_name() if cuda else "cpu", dtype, flush=True)


def wait():
    if cuda:
        torch.cuda.synchronize()


def measure(name, bytes, call):
    if wanted not in name:
        return
    for _ in range(5):
        call()
        wait()

    def group(calls):
        start = time.perf_counter()
        for _ in range(calls):
            out = call()
        wait()
        del out
        return (time.perf_counter() - start) / calls

    one = max(group(3), 1e-6)
    calls = int(min(max(0.3 / 7 / one, 1), 1000))
    middle = statistics.median(group(calls) for _ in range(7))
    rate = f"{bytes / middle / 1e9:9.0f} GB/s" if bytes else ""
    print(f"{name:<44} {middle * 1e3:10.3f} ms{rate}", flush=True)


def gradient(name, x, passes, loss):
    full = f"{name}/{x.shape[0]}x{x.shape[1]}/forward and backward"
    if wanted not in full:
        return
    torch.compiler.reset()
    compiled = torch.compile(loss)

    def call():
        y = x.detach().requires_grad_(True)
        compiled(y).backward()
        return y.grad

    measure(full, passes * x.numel() * x.element_size(), call)


rows, columns = times * (32_768 if cuda else 4096), 1000
x = (torch.randn(rows, columns, device=device) * 3).to(dtype)
y = torch.arange(rows, device=device) * 7919 % columns
n = 1 + 10_000 // torch.arange(1, columns + 1, device=device)
log_prior = (n / n.sum()).log().to(dtype)
margin = n.float() ** -0.25
margin = (margin * (0.5 / margin.max())).to(dtype)


def focal(z):
    lp = -F.cross_entropy(z, y, reduction="none")
    return (-lp * (1 - lp.exp()) ** 2).mean()


def ldam(z):
    index = torch.zeros_like(z, dtype=torch.bool).scatter_(1, y[:, None], True)
    return F.cross_entropy(30 * torch.where(index, z - margin[y][:, None], z), y)


gradient("cross_entropy", x, 3, lambda z: F.cross_entropy(z, y))
gradient("focal", x, 3, focal)
gradient("logit_adjusted", x, 3, lambda z: F.cross_entropy(z + log_prior, y))
gradient("ldam", x, 3, ldam)

b = (torch.randn(rows * 16, 64, device=device) * 3).to(dtype)
t = (torch.rand(rows * 16, 64, device=device) > 0.9).to(dtype)


def sigmoid_focal(z):
    p = z.sigmoid()
    ce = F.binary_cross_entropy_with_logits(z, t, reduction="none")
    pt = p * t + (1 - p) * (1 - t)
    return ((0.25 * t + 0.75 * (1 - t)) * ce * (1 - pt) ** 2).sum(1).mean()


def asymmetric(z):
    # The authors' AsymmetricLoss, focusing differentiated.
    p = torch.sigmoid(z)
    q = (1 - p + 0.05).clamp(max=1)
    loss = t * p.clamp(min=1e-8).log() + (1 - t) * q.clamp(min=1e-8).log()
    pt = p * t + q * (1 - t)
    return -(loss * (1 - pt) ** (1 * t + 4 * (1 - t))).sum(1).mean()


gradient("bce", b, 5, lambda z: F.binary_cross_entropy_with_logits(z, t, reduction="none").sum(1).mean())
gradient("sigmoid_focal", b, 5, sigmoid_focal)
gradient("asymmetric", b, 5, asymmetric)
del b, t

m = 4096 if cuda else 512
e = torch.randn(m, 128, device=device).to(dtype)
ids = torch.arange(m, device=device) * 7919 % 20
same = (ids[:, None] == ids[None]) & ~torch.eye(m, dtype=torch.bool, device=device)


def sup_con(z):
    z = F.normalize(z, dim=1)
    u = z @ z.T / 0.1
    u = u.masked_fill(torch.eye(m, dtype=torch.bool, device=device), -1e5)
    lp = u - torch.logsumexp(u, 1, keepdim=True)
    return -((lp * same).sum(1) / same.sum(1).clamp(min=1)).mean()


gradient("sup_con", e, 0, sup_con)


def block(texts):
    """The parts of one block as transformers computes them, not compiled."""
    n = texts * 128

    def normal(*shape):
        return (torch.randn(*shape, device=device) * 0.05).to(dtype).requires_grad_(True)

    def line(width):
        return torch.ones(width, device=device, dtype=dtype, requires_grad=True)

    def attention(x):
        q, k, v = x.view(texts, 128, 3, 12, 32).permute(2, 0, 3, 1, 4)
        y = F.scaled_dot_product_attention(q, k, v, dropout_p=0.1)
        return y.transpose(1, 2).reshape(n, 384)

    dense, bias = normal(1536, 384), line(1536)
    residual, gamma, beta = normal(n, 384), line(384), line(384)
    for name, width, part in [
        (f"dense/{n}x384x1536", 384, lambda x: F.linear(x, dense, bias)),
        (f"gelu/{n}x1536", 1536, F.gelu),
        (f"add norm/{n}x384", 384, lambda x: F.layer_norm(x + residual, (384,), gamma, beta)),
        (f"attention/{texts}x12x128x32", 3 * 384, attention),
        (f"dropout/{n}x384", 384, lambda x: F.dropout(x, 0.1)),
    ]:
        x = normal(n, width)
        one = part(x).detach()

        def call():
            y = x.detach().requires_grad_(True)
            (part(y) * one).sum().backward()
            return y.grad

        measure(f"{name}/forward and backward", 0, call)


block(128 if cuda else 16)


def minilm(texts):
    name = f"minilm/{texts}x128"
    if wanted not in f"{name}/forward {name}/training step":
        return
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=30_522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12,
        intermediate_size=1536, num_labels=10, attn_implementation="sdpa",
    )
    model = BertForSequenceClassification(config).to(device, dtype)
    ids = 1000 + torch.arange(texts * 128, device=device).reshape(texts, 128) * 7919 % 19_000
    mask = torch.ones_like(ids)
    labels = torch.arange(texts, device=device) % 10
    model.eval()

    def forward():
        with torch.no_grad():
            return model(input_ids=ids, attention_mask=mask).logits

    measure(f"{name}/forward", 0, forward)
    model.train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=2e-5, fused=cuda)

    def step():
        optimizer.zero_grad(set_to_none=True)
        F.cross_entropy(model(input_ids=ids, attention_mask=mask).logits, labels).backward()
        optimizer.step()

    measure(f"{name}/training step", 0, step)


for texts in [16, 128] if cuda else [16]:
    minilm(texts)

wide_rows = 200_000 if cuda else 20_000
if wanted in "plan/SMOTE applied":
    wide = torch.rand(wide_rows, 64, device=device).to(dtype)
    few = wide_rows // 10
    pick = torch.randint(0, few, (few,))
    first = torch.cat([torch.arange(wide_rows), pick])
    second = torch.cat([torch.arange(wide_rows), (pick + 1) % few])
    lam = torch.cat([torch.zeros(wide_rows), torch.rand(few)])

    def apply():
        # The plan is on the host, as ours is.
        i, j, w = first.to(device), second.to(device), lam.to(device, dtype)
        return torch.lerp(wide[i], wide[j], w[:, None])

    measure("plan/SMOTE applied", 3 * (wide_rows + few) * 64 * wide.element_size(), apply)

k, side = (256, 224) if cuda else (64, 64)
pixels = torch.rand(k, 3, side, side, device=device).to(dtype)
once = pixels.numel() * pixels.element_size()


@torch.compile
def mix(x, order, lam):
    return lam * x + (1 - lam) * x[order]


def mixup():
    lam = torch.rand(k, 1, 1, 1).to(device, dtype)
    return mix(pixels, torch.randperm(k).to(device), lam)


measure(f"mixup/{k}x3x{side}x{side}", 3 * once, mixup)
