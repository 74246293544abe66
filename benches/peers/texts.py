"""The bundled texts with their classes, and the split that an example or a bench wrote."""
import csv
import gzip
from collections import Counter
from pathlib import Path

data = Path(__file__).resolve().parents[2] / "data"


def rows(path):
    with gzip.open(data / path, "rt", encoding="utf-8", newline="") as file:
        yield from csv.DictReader(file)


def clinc(part):
    """Questions with their intents, without those that are out of scope."""
    found = rows(f"clinc150/{part}.csv.gz")
    return [(r["text"], r["intent"]) for r in found if r["intent"] != "oos"]


def reviews():
    """Reviews with their product classes, without those that have no text or class."""
    found = []
    for r in rows("reviews/reviews.csv.gz"):
        text = " ".join(t for t in (r["Title"].strip(), r["Review Text"].strip()) if t)
        if r["Class Name"].strip() and any(c.isalnum() for c in text):
            found.append((text, r["Class Name"].strip()))
    return found


def split(path):
    """The train, dev and test rows of a split.csv, and the classes of train by their count. A
    split of CLINC150 names no test rows: those are all of its authors' with a class of train."""
    with open(path, encoding="utf-8") as file:
        named = [(int(r["row"]), r["part"]) for r in csv.DictReader(file)]
    whole = any(part == "test" for _, part in named)
    texts, parts = reviews() if whole else clinc("train"), {"train": [], "dev": [], "test": []}
    for row, part in named:
        parts[part].append(texts[row])
    counts = Counter(c for _, c in parts["train"])
    order = sorted(counts, key=lambda c: (-counts[c], c))
    if not whole:
        parts["test"] = [row for row in clinc("test") if row[1] in order]
    return parts, order


def tail(order):
    """The rarer third of the classes, rounded up."""
    return order[len(order) - -(-len(order) // 3):]
