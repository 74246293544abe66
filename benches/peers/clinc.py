"""CLINC150 as the bundled files have it, and the split that an example or a bench wrote."""
import csv
import gzip
from pathlib import Path

data = Path(__file__).resolve().parents[2] / "data/clinc150"


def read(part):
    """Texts with their intents, without the questions that are out of scope."""
    with gzip.open(data / f"{part}.csv.gz", "rt", encoding="utf-8", newline="") as file:
        return [(r["text"], r["intent"]) for r in csv.DictReader(file) if r["intent"] != "oos"]


def split(path):
    """The rows of `train` and `dev` that a split.csv names."""
    rows, parts = read("train"), {"train": [], "dev": []}
    with open(path, encoding="utf-8") as file:
        for row in csv.DictReader(file):
            parts[row["part"]].append(rows[int(row["row"])])
    return parts
