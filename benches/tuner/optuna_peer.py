"""Optuna on the same functions, for `main.rs`: median regret and seconds per 100 trials.

pip install optuna==5.0.0 torch==2.15.0 scipy==1.17.1
OMP_NUM_THREADS=1 python benches/tuner/optuna_peer.py [seeds] [functions,..] [samplers,..]
"""

import statistics
import sys
import time
import warnings

import optuna

from functions import ALL

optuna.logging.set_verbosity(optuna.logging.ERROR)
warnings.simplefilter("ignore")
SAMPLERS = {
    "gp": lambda seed: optuna.samplers.GPSampler(seed=seed),
    "default": lambda seed: optuna.samplers.TPESampler(seed=seed),
    "random": lambda seed: optuna.samplers.RandomSampler(seed=seed),
}
SEEDS = int(sys.argv[1]) if len(sys.argv) > 1 else 30
FUNCTIONS = sys.argv[2].split(",") if len(sys.argv) > 2 else list(ALL)
CHOSEN = sys.argv[3].split(",") if len(sys.argv) > 3 else list(SAMPLERS)

for name in FUNCTIONS:
    for sampler in CHOSEN:
        at = {50: [], 100: []}
        seconds = []
        for seed in range(SEEDS):
            study = optuna.create_study(sampler=SAMPLERS[sampler](seed))
            began = time.perf_counter()
            study.optimize(ALL[name], n_trials=100)
            seconds.append(time.perf_counter() - began)
            values = [t.value for t in study.trials]
            for n in at:
                at[n].append(min(values[:n]))
        print(
            f"{name:12} {sampler:8} "
            + " ".join(f"{statistics.median(v):.5f}" for v in at.values())
            + f"  {statistics.median(seconds):.2f} s",
            flush=True,
        )
