"""PyTorch on the shapes of benches/encoder.rs: pip install torch==2.15.0 transformers==5.24.0"""
import resource
import time

import torch
from transformers import BertConfig, BertModel

TEXTS, TOKENS = 16, 128
torch.set_num_threads(2)
torch.manual_seed(0)
config = BertConfig(vocab_size=30522, hidden_size=384, num_hidden_layers=6, num_attention_heads=12,
                    intermediate_size=1536)
config._attn_implementation = "sdpa"
model = BertModel(config, add_pooling_layer=False)
ids = torch.randint(1000, 20000, (TEXTS, TOKENS))
mask = torch.ones(TEXTS, TOKENS, dtype=torch.long)


def median(name, f, n):
    f()
    times = []
    for _ in range(n):
        start = time.perf_counter()
        f()
        times.append(time.perf_counter() - start)
    print(f"{name:30} {1e3 * sorted(times)[n // 2]:9.2f} ms", flush=True)


model.eval()
with torch.no_grad():
    median("minilm/forward", lambda: model(ids, mask).last_hidden_state[:, 0].sum().item(), 10)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"peak memory after forward {peak:.0f} MB")
model.train()
head = torch.nn.Linear(384, 10)
optimizer = torch.optim.AdamW([*model.parameters(), *head.parameters()], lr=2e-5)
labels = torch.arange(TEXTS) % 10


def step():
    optimizer.zero_grad()
    logits = head(model(ids, mask).last_hidden_state[:, 0])
    loss = torch.nn.functional.cross_entropy(logits, labels)
    loss.backward()
    optimizer.step()
    return loss.item()


median("minilm/training step", step, 10)
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(f"peak memory after training {peak:.0f} MB")

rows = TEXTS * TOKENS
x, inner = torch.randn(rows, 384), torch.randn(rows, 1536)
with torch.no_grad():
    for i, o, x0 in ((384, 1152, x), (384, 1536, x), (1536, 384, inner)):
        layer = torch.nn.Linear(i, o)
        median(f"block/dense {i} to {o}", lambda: layer(x0), 20)
    median("block/gelu", lambda: torch.nn.functional.gelu(inner), 20)
    norm = torch.nn.LayerNorm(384)
    median("block/add and norm", lambda: norm(x + x), 20)
    q = torch.randn(TEXTS, 12, TOKENS, 32)
    median("block/attention",
           lambda: torch.nn.functional.scaled_dot_product_attention(q, q, q), 20)
