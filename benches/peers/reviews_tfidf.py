"""TF-IDF (1-2-grams) + logistic regression on the split of the reviews example.

pip install scikit-learn==1.9.1
cargo run --release --example reviews   # writes target/reviews/split.csv
python benches/peers/reviews_tfidf.py
"""
import csv
import gzip
import io
import time
from collections import Counter
from pathlib import Path

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, recall_score

root = Path(__file__).resolve().parents[2]
texts, labels = [], []
with gzip.open(root / "data/reviews/reviews.csv.gz") as file:
    for row in csv.DictReader(io.TextIOWrapper(file, encoding="utf-8")):
        text = " ".join(t for t in (row["Title"].strip(), row["Review Text"].strip()) if t)
        if row["Class Name"].strip() and any(c.isalnum() for c in text):
            texts.append(text)
            labels.append(row["Class Name"].strip())
labels = np.array(labels)
part = {}
with open(root / "target/reviews/split.csv") as file:
    for row in csv.DictReader(file):
        part.setdefault(row["part"], []).append(int(row["row"]))
train, test = part["train"], part["test"]
counts = Counter(labels[train])
order = sorted(counts, key=lambda c: -counts[c])
tail = [c for c in order[-(-(-len(order) // 3)):] if c in set(labels[test])]

start = time.perf_counter()
tfidf = TfidfVectorizer(ngram_range=(1, 2), min_df=2, sublinear_tf=True)
x = tfidf.fit_transform([texts[i] for i in train])
z = tfidf.transform([texts[i] for i in test])
print(f"features {x.shape[1]}, {time.perf_counter() - start:.0f} s")
for c in (1, 10):
    for weight in (None, "balanced"):
        start = time.perf_counter()
        model = LogisticRegression(C=c, class_weight=weight, max_iter=300).fit(x, labels[train])
        p = model.predict(z)
        t = labels[test]
        print(f"C={c} weights={weight}: accuracy {accuracy_score(t, p):.3f} "
              f"balanced {balanced_accuracy_score(t, p):.3f} macro-F1 {f1_score(t, p, average='macro'):.3f} "
              f"tail recall {recall_score(t, p, labels=tail, average='macro'):.3f} "
              f"({time.perf_counter() - start:.0f} s)")
