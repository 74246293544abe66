"""Optuna on several objectives, for `main.rs`: median hypervolume after 200 trials.

pip install optuna==5.0.0
OMP_NUM_THREADS=1 python benches/tuner/optuna_several.py [seeds]
"""

import statistics
import sys
import warnings

import numpy as np
import optuna
from optuna._hypervolume import compute_hypervolume

from functions import SEVERAL

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore")
SAMPLERS = {
    "nsga2": lambda seed: optuna.samplers.NSGAIISampler(seed=seed),
    "tpe": lambda seed: optuna.samplers.TPESampler(seed=seed),
}
seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 30
for name, (function, reference) in SEVERAL.items():
    for sampler, make in SAMPLERS.items():
        volumes = []
        for seed in range(seeds):
            study = optuna.create_study(
                directions=["minimize"] * len(reference), sampler=make(seed)
            )
            study.optimize(function, n_trials=200)
            front = np.array([t.values for t in study.best_trials])
            front = front[(front < reference).all(axis=1)]
            volume = compute_hypervolume(front, np.array(reference)) if len(front) else 0.0
            volumes.append(volume)
        print(f"{name:8} {sampler:8} {statistics.median(volumes):.4f}", flush=True)
