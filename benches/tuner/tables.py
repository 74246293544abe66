"""Lookup tables for `main.rs` and `optuna_peer.py`: balanced accuracy on a held-out part of
k nearest neighbours after resampling, for every point of a grid.

pip install scikit-learn==1.9.1 imbalanced-learn==0.14.2
python benches/tuner/tables.py KEEL_FOLDER
"""

import gzip
import pathlib
import sys

import numpy as np
from imblearn.over_sampling import SMOTE, RandomOverSampler
from imblearn.under_sampling import RandomUnderSampler
from sklearn.model_selection import train_test_split
from sklearn.neighbors import NearestNeighbors
from sklearn.preprocessing import StandardScaler

RESAMPLERS = ["none", "over", "smote", "under"]
RATIOS = [0.2, 0.4, 0.6, 0.8, 1.0]
POWERS = [0.0, 1.0, 2.0, 3.0]
THRESHOLDS = [round(0.05 * i, 2) for i in range(1, 16)]
MOST = 32


def resampled(kind, ratio, x, y):
    make = {"over": RandomOverSampler, "smote": SMOTE, "under": RandomUnderSampler}
    if kind == "none" or ratio <= y.mean() / (1 - y.mean()):
        return x, y
    return make[kind](sampling_strategy=ratio, random_state=0).fit_resample(x, y)


def read(path):
    rows = [l.split(",") for l in path.read_text().splitlines() if l and l[0] != "@"]
    x = np.array([[float(v) for v in row[:-1]] for row in rows])
    return x, np.array([row[-1].strip() == "positive" for row in rows]).astype(int)


here = pathlib.Path(__file__).parent
for name in ["yeast4", "page-blocks0", "abalone9-18"]:
    path = pathlib.Path(sys.argv[1]) / f"{name}.dat"
    text = path.read_text().replace("M,", "0,").replace("F,", "1,").replace("I,", "2,")
    clean = here / "clean.tmp"
    clean.write_text(text if "abalone" in name else path.read_text())
    x, y = read(clean)
    clean.unlink()
    parts = train_test_split(x, y, test_size=0.4, stratify=y, random_state=0)
    scale = StandardScaler().fit(parts[0])
    x, dev, y, truth = scale.transform(parts[0]), scale.transform(parts[1]), parts[2], parts[3]
    lines = ["resampler,ratio,neighbours,power,threshold,balanced_accuracy"]
    for kind in RESAMPLERS:
        for ratio in RATIOS if kind != "none" else RATIOS[:1]:
            rx, ry = resampled(kind, ratio, x, y)
            near = NearestNeighbors(n_neighbors=min(MOST, len(rx))).fit(rx)
            distance, index = near.kneighbors(dev)
            hits = ry[index]
            for k in range(1, MOST + 1):
                for power in POWERS:
                    weight = (distance[:, :k] ** 2 + 1e-9) ** (-0.5 * power)
                    share = (weight * hits[:, :k]).sum(1) / weight.sum(1)
                    for threshold in THRESHOLDS:
                        said = share >= threshold
                        score = 0.5 * (said[truth == 1].mean() + (~said[truth == 0]).mean())
                        lines.append(f"{kind},{ratio},{k},{power},{threshold},{score:.6f}")
    out = here / "tables" / f"{name}.csv.gz"
    out.parent.mkdir(exist_ok=True)
    with gzip.GzipFile(out, "wb", mtime=0) as f:
        f.write(("\n".join(lines) + "\n").encode())
    best = max(float(l.rsplit(",", 1)[1]) for l in lines[1:])
    print(name, len(x), y.mean(), len(lines) - 1, best)
