"""Training time of the package ctgan, and the fidelity of its rows and ours by SDMetrics.

pip install ctgan==0.12.1 copulas==0.14.1 sdmetrics==0.32.0
python benches/peers/generators_ctgan.py OUT [TABLE ...]

OUT is the folder that `cargo bench --bench generators -- KEEL_FOLDER OUT fidelity` filled.
"""

import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from ctgan import CTGAN, TVAE
from sdmetrics.reports.single_table import QualityReport

torch.set_num_threads(2)
out = Path(sys.argv[1])
names = sys.argv[2:] or [
    "yeast4",
    "abalone9-18",
    "page-blocks0",
    "car-good",
    "winequality-red-4",
    "churn",
]


def quality(real, made, categories):
    columns = {
        c: {"sdtype": "categorical" if c in categories else "numerical"} for c in real.columns
    }
    report = QualityReport()
    report.generate(real, made, {"columns": columns}, verbose=False)
    scores = report.get_properties().set_index("Property")["Score"]
    return scores["Column Shapes"], scores["Column Pair Trends"]


for name in names:
    real = pd.read_csv(out / f"{name}.csv")
    categories = [c for c in real.columns if not pd.api.types.is_numeric_dtype(real[c])]
    for method in ["copula", "ctgan", "tvae"]:
        made = pd.read_csv(out / f"{name}-ours-{method}.csv")
        shapes, pairs = quality(real, made, categories)
        print(f"{name:>18} {method:>7} ours            columns {shapes:.3f} pairs {pairs:.3f}", flush=True)
    for method, model in [("ctgan", CTGAN), ("tvae", TVAE)]:
        torch.manual_seed(1)
        np.random.seed(1)
        start = time.perf_counter()
        model = model(enable_gpu=False)
        model.fit(real, categories)
        seconds = time.perf_counter() - start
        made = model.sample(len(real))
        shapes, pairs = quality(real, made, categories)
        print(
            f"{name:>18} {method:>7} peer {seconds:>7.1f} s  columns {shapes:.3f} pairs {pairs:.3f}",
            flush=True,
        )
