"""Two recipes of benches/recipes.rs in PyTorch and transformers, on the bench's own split.

pip install torch==2.15.0 transformers==5.24.0
python recipes_torch.py MODEL_DIR OUT/SEED/split.csv --seed SEED
# The options are the bench's; examples/intents.rs writes OUT/split.csv. A CUDA device is used where
# there is one.
"""
import argparse
import random
import time

import torch
from texts import split, tail
from transformers import AutoModel, AutoTokenizer, get_linear_schedule_with_warmup

parser = argparse.ArgumentParser()
parser.add_argument("model_dir")
parser.add_argument("split_csv")
for option, value in (("epochs", 4), ("seed", 0), ("batch", 32), ("rate", 1e-4), ("head", 30.0),
                      ("length", 64)):
    parser.add_argument(f"--{option}", type=type(value), default=value)
parser.add_argument("--loss", choices=("cross_entropy", "logit_adjusted"), help="both where none is named")
args = parser.parse_args()
model_dir, epochs, seed, size, rate = args.model_dir, args.epochs, args.seed, args.batch, args.rate
torch.set_num_threads(2)
device = "cuda" if torch.cuda.is_available() else "cpu"
# As burn does: products of f32 on matrix units in tf32.
torch.backends.cuda.matmul.allow_tf32 = True
parts, classes = split(args.split_csv)
ids = {name: i for i, name in enumerate(classes)}
counts = torch.zeros(len(classes))
for _, name in parts["train"]:
    counts[ids[name]] += 1
tested = {name for _, name in parts["test"]}
rare = [ids[name] for name in tail(classes) if name in tested]
frequent = range(-(-len(classes) // 3))
tokenizer = AutoTokenizer.from_pretrained(model_dir)


def batch(texts):
    tokens = tokenizer(texts, padding=True, truncation=True, max_length=args.length, return_tensors="pt")
    return tokens.to(device)


class Classifier(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = AutoModel.from_pretrained(
            model_dir, add_pooling_layer=False, dtype=torch.float32)
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
            for p, (_, name) in zip(predicted.tolist(), chunk):
                seen[ids[name]] += 1
                hit[ids[name]] += p == ids[name]
    return hit / seen, hit.sum() / seen.sum()


shifts = {"cross_entropy": 0.0, "logit_adjusted": (counts / counts.sum()).log().to(device)}
for loss_name in [args.loss] if args.loss else list(shifts):
    shift = shifts[loss_name]
    torch.manual_seed(seed)
    random.seed(seed)
    model = Classifier().to(device)
    groups = [{"params": model.encoder.parameters()},
              {"params": model.head.parameters(), "lr": rate * args.head}]
    optimizer = torch.optim.AdamW(groups, lr=rate, weight_decay=0.01)
    steps = epochs * -(-len(parts["train"]) // size)
    schedule = get_linear_schedule_with_warmup(optimizer, steps // 10, steps)
    start, best = time.perf_counter(), None
    for epoch in range(epochs):
        model.train()
        random.shuffle(parts["train"])
        for i in range(0, len(parts["train"]), size):
            chunk = parts["train"][i:i + size]
            labels = torch.tensor([ids[name] for _, name in chunk], device=device)
            logits = model(batch([t for t, _ in chunk]))
            loss = torch.nn.functional.cross_entropy(logits + shift, labels)
            optimizer.zero_grad()
            loss.backward()
            for p in model.parameters():
                torch.nn.utils.clip_grad_norm_(p, 1.0)
            optimizer.step()
            schedule.step()
        dev = recalls(model, "dev")[0].nanmean().item()
        if best is None or dev > best[0]:
            best = (dev, {k: v.clone() for k, v in model.state_dict().items()})
    seconds = time.perf_counter() - start
    model.load_state_dict(best[1])
    recall, accuracy = recalls(model, "test")
    print(f"{loss_name}, seed {seed}: accuracy {accuracy:.3f} "
          f"balanced {recall.nanmean():.3f} tail recall {recall[rare].mean():.3f} "
          f"head recall {recall[list(frequent)].nanmean():.3f}, {seconds:.0f} s", flush=True)
