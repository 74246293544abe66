"""The recipe of examples/intents.rs in PyTorch and transformers, on the example's own split.

pip install torch==2.15.0 transformers==5.24.0
python intents_torch.py MODEL_DIR SPLIT_CSV [EPOCHS] [SEED] [BATCH] [RATE] [HEAD_FACTOR]
# The example writes OUT/split.csv, the bench OUT/SEED/split.csv.
"""
import random
import sys
import time

import torch
from clinc import read, split
from transformers import AutoModel, AutoTokenizer, get_linear_schedule_with_warmup

model_dir, split_csv = sys.argv[1], sys.argv[2]
epochs = int(sys.argv[3]) if len(sys.argv) > 3 else 5
seed = int(sys.argv[4]) if len(sys.argv) > 4 else 7
size = int(sys.argv[5]) if len(sys.argv) > 5 else 16
rate = float(sys.argv[6]) if len(sys.argv) > 6 else 5e-5
factor = float(sys.argv[7]) if len(sys.argv) > 7 else 1.0
torch.set_num_threads(2)
parts = split(split_csv)
parts["test"] = read("test")
classes = sorted({intent for _, intent in read("train")})
ids = {intent: i for i, intent in enumerate(classes)}
counts = torch.zeros(len(classes))
for _, intent in parts["train"]:
    counts[ids[intent]] += 1
order = counts.argsort(descending=True)
tail = order[len(classes) - len(classes) // 3:]
tokenizer = AutoTokenizer.from_pretrained(model_dir)


def batch(texts):
    return tokenizer(texts, padding=True, truncation=True, max_length=64, return_tensors="pt")


class Classifier(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = AutoModel.from_pretrained(model_dir, add_pooling_layer=False)
        self.dropout = torch.nn.Dropout(0.1)
        self.head = torch.nn.Linear(self.encoder.config.hidden_size, len(classes))
        torch.nn.init.trunc_normal_(self.head.weight, std=0.02, a=-0.04, b=0.04)
        torch.nn.init.zeros_(self.head.bias)

    def forward(self, inputs):
        hidden = self.encoder(**inputs).last_hidden_state
        mask = inputs["attention_mask"].unsqueeze(2).float()
        return self.head(self.dropout((hidden * mask).sum(1) / mask.sum(1)))


def recalls(model, part):
    model.eval()
    hit, seen = torch.zeros(len(classes)), torch.zeros(len(classes))
    ordered = sorted(parts[part], key=lambda row: len(row[0]))
    with torch.no_grad():
        for i in range(0, len(ordered), 64):
            chunk = ordered[i:i + 64]
            predicted = model(batch([t for t, _ in chunk])).argmax(1)
            for p, (_, intent) in zip(predicted.tolist(), chunk):
                seen[ids[intent]] += 1
                hit[ids[intent]] += p == ids[intent]
    return hit / seen.clamp(min=1), hit.sum() / seen.sum()


for name, shift in (("cross entropy", 0.0), ("logit-adjusted", (counts / counts.sum()).log())):
    torch.manual_seed(seed)
    random.seed(seed)
    model = Classifier()
    groups = [{"params": model.encoder.parameters()},
              {"params": model.head.parameters(), "lr": rate * factor}]
    optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=0.01)
    steps = epochs * -(-len(parts["train"]) // size)
    schedule = get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    start, best = time.perf_counter(), None
    for epoch in range(epochs):
        model.train()
        random.shuffle(parts["train"])
        for i in range(0, len(parts["train"]), size):
            chunk = parts["train"][i:i + size]
            labels = torch.tensor([ids[intent] for _, intent in chunk])
            logits = model(batch([t for t, _ in chunk]))
            loss = torch.nn.functional.cross_entropy(logits + shift, labels)
            optimizer.zero_grad()
            loss.backward()
            for p in model.parameters():
                torch.nn.utils.clip_grad_norm_(p, 1.0)
            optimizer.step()
            schedule.step()
        dev = recalls(model, "dev")[0].mean().item()
        if best is None or dev > best[0]:
            best = (dev, {k: v.clone() for k, v in model.state_dict().items()})
    seconds = time.perf_counter() - start
    model.load_state_dict(best[1])
    recall, accuracy = recalls(model, "test")
    print(f"{name}, seed {seed}: accuracy {accuracy:.3f} tail recall {recall[tail].mean():.3f} "
          f"head recall {recall[order[:50]].mean():.3f}, {seconds:.0f} s", flush=True)
