"""rustuna's default on the same functions: median regret after 50 and 100 trials.

pip install rustuna==0.2.0 optuna==5.0.0
python benches/tuner/rustuna_peer.py [seeds]
"""

import statistics
import sys

import rustuna

from functions import ALL

SEEDS = int(sys.argv[1]) if len(sys.argv) > 1 else 30
for name, function in ALL.items():
    at = {50: [], 100: []}
    for seed in range(SEEDS):
        study = rustuna.create_study(sampler=rustuna.samplers.TPESampler(seed=seed))
        study.optimize(function, n_trials=100)
        values = [t.value if t.value is not None else t.values[0] for t in study.trials]
        for n in at:
            at[n].append(min(values[:n]))
    print(f"{name:12} " + " ".join(f"{statistics.median(v):.5f}" for v in at.values()), flush=True)
