"""scikit-learn on the sizes of benches/metrics.rs: best of three, in milliseconds.

pip install numpy==2.4.6 scikit-learn==1.9.1
python metrics_sklearn.py
"""
import time

import numpy as np
from sklearn.metrics import (average_precision_score, classification_report, confusion_matrix,
                             roc_auc_score)

rng = np.random.default_rng(0)
ROWS, CLASSES = 10_000_000, 1000


def timed(name, f, repeats=3):
    best = float("inf")
    for _ in range(repeats):
        start = time.perf_counter()
        f()
        best = min(best, time.perf_counter() - start)
    print(f"{name:45} {best * 1e3:10.1f} ms", flush=True)


truth = rng.integers(0, CLASSES, ROWS)
predicted = np.where(rng.random(ROWS) < 0.7, truth, rng.integers(0, CLASSES, ROWS))
timed("report, 10M labels", lambda: classification_report(truth, predicted, zero_division=0))
timed("confusion matrix, 10M labels", lambda: confusion_matrix(truth, predicted))
positive = (rng.random(ROWS) < 0.1).astype(int)
scores = rng.random(ROWS) + 0.3 * positive
timed("AUROC, 10M scores", lambda: roc_auc_score(positive, scores))
timed("AP, 10M scores", lambda: average_precision_score(positive, scores))
small, few = scores[:100_000], positive[:100_000]
timed("AUROC, 100k scores", lambda: roc_auc_score(few, small), 20)


def bootstrap(resamples=20):
    for _ in range(resamples):
        rows = rng.integers(0, len(small), len(small))
        roc_auc_score(few[rows], small[rows])


start = time.perf_counter()
bootstrap()
print(f"{'bootstrap of AUROC, 1000 resamples (of 20)':45} {(time.perf_counter() - start) * 50e3:10.1f} ms")
