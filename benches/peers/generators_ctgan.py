"""Training time of the package ctgan, and the fidelity of its rows and ours by SDMetrics.

pip install ctgan==0.12.1 copulas==0.14.1 sdmetrics==0.32.0
python benches/peers/generators_ctgan.py OUT [TABLE ...] [--seed 1] [--method NAME]

OUT is the folder that `cargo bench --bench generators -- KEEL_FOLDER OUT fidelity` filled with the
same seed and method.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from ctgan import CTGAN, TVAE
from sdmetrics.reports.single_table import QualityReport

torch.set_num_threads(2)
TABLES = ["yeast4", "abalone9-18", "page-blocks0", "car-good", "winequality-red-4", "churn"]
parser = argparse.ArgumentParser()
parser.add_argument("out", type=Path)
parser.add_argument("tables", nargs="*", default=TABLES)
parser.add_argument("--seed", type=int, default=1)
parser.add_argument("--method", choices=["copula", "ctgan", "tvae"])
args = parser.parse_args()
out = args.out


def quality(real, made, categories):
    columns = {
        c: {"sdtype": "categorical" if c in categories else "numerical"} for c in real.columns
    }
    report = QualityReport()
    report.generate(real, made, {"columns": columns}, verbose=False)
    scores = report.get_properties().set_index("Property")["Score"]
    return scores["Column Shapes"], scores["Column Pair Trends"]


for name in args.tables:
    real = pd.read_csv(out / f"{name}.csv")
    categories = [c for c in real.columns if not pd.api.types.is_numeric_dtype(real[c])]
    for method in [m for m in ["copula", "ctgan", "tvae"] if args.method in (None, m)]:
        made = pd.read_csv(out / f"{name}-ours-{method}.csv")
        shapes, pairs = quality(real, made, categories)
        print(f"{name:>18} {method:>7} ours            columns {shapes:.3f} pairs {pairs:.3f}", flush=True)
    for method, model in [("ctgan", CTGAN), ("tvae", TVAE)]:
        if args.method not in (None, method):
            continue
        torch.manual_seed(args.seed)
        np.random.seed(args.seed)
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
