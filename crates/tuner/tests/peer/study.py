"""Optuna's side of `tests/optuna.rs`.

study.py dump STORAGE          all trials of study "s" as JSON
study.py run STORAGE N         N more trials
study.py work STORAGE N        trials until the study holds N
study.py dashboard STORAGE     what optuna-dashboard's API says of the study
"""

import json
import math
import pathlib
import socket
import subprocess
import sys
import time
import urllib.request
import warnings

import optuna

warnings.simplefilter("ignore")
optuna.logging.set_verbosity(optuna.logging.ERROR)


def storage(name):
    if "://" in name:
        return name
    return optuna.storages.JournalStorage(optuna.storages.journal.JournalFileBackend(name))


def number(v):
    return None if v is None else str(v) if not math.isfinite(v) else v


def dump(study):
    trials = []
    for t in study.get_trials(deepcopy=False):
        trials.append(
            {
                "number": t.number,
                "state": t.state.name,
                "params": t.params,
                "distributions": {
                    k: optuna.distributions.distribution_to_json(d)
                    for k, d in t.distributions.items()
                },
                "values": None if t.values is None else [number(v) for v in t.values],
                "intermediate": {str(k): number(v) for k, v in t.intermediate_values.items()},
                "user_attrs": t.user_attrs,
                "system_attrs": {
                    k: v for k, v in t.system_attrs.items() if not k.startswith("tpe:")
                },
                "started": t.datetime_start and t.datetime_start.timestamp(),
                "completed": t.datetime_complete and t.datetime_complete.timestamp(),
            }
        )
    print(
        json.dumps(
            {
                "directions": [d.name for d in study.directions],
                "user_attrs": study.user_attrs,
                "system_attrs": study._storage.get_study_system_attrs(study._study_id),
                "trials": trials,
            }
        )
    )


def objective(trial):
    x = trial.suggest_float("x", -3.0, 3.0)
    rate = trial.suggest_float("rate", 1e-5, 1.0, log=True)
    k = trial.suggest_int("k", 1, 9, step=2)
    step = trial.suggest_float("step", 0.0, 1.0, step=0.25)
    kind = trial.suggest_categorical("kind", ["é", None, True, 1.5, 3])
    trial.report(x, 0)
    trial.report(float("nan"), 1)
    trial.report(float("-inf"), 2)
    # Sorted, as our maps are.
    trial.set_user_attr("note", {"list": [1, 2.5, None], "text": "ü\n"})
    trial.set_constraint("c", x - 2.0)
    if trial.number % 5 == 1:
        raise optuna.TrialPruned
    if trial.number % 5 == 2:
        return float("nan")
    if trial.number % 5 == 3:
        return float("inf")
    return x * x + rate + k + step + (kind == 3)


def quick(trial):
    x = trial.suggest_float("x", -3.0, 3.0)
    trial.set_user_attr("by", "python")
    time.sleep(0.005)
    return x * x


def dashboard(name):
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    server = subprocess.Popen(
        [str(pathlib.Path(sys.executable).parent / "optuna-dashboard"), name, "--port", str(port)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(100):
            try:
                base = f"http://127.0.0.1:{port}/api/studies"
                listed = json.load(urllib.request.urlopen(base))["study_summaries"]
                study = listed[0]["study_id"]
                print(urllib.request.urlopen(f"{base}/{study}?after=0").read().decode())
                return
            except (urllib.error.URLError, IndexError):
                time.sleep(0.2)
        sys.exit("optuna-dashboard did not answer")
    finally:
        server.kill()


command, name = sys.argv[1:3]
if command == "dashboard":
    dashboard(name)
    sys.exit()
sampler = optuna.samplers.RandomSampler()
study = optuna.load_study(study_name="s", storage=storage(name), sampler=sampler)
if command == "dump":
    dump(study)
elif command == "run":
    study.optimize(objective, n_trials=int(sys.argv[3]))
elif command == "work":
    total = int(sys.argv[3])
    while True:
        begun = [t for t in study.get_trials(deepcopy=False) if t.state.name != "WAITING"]
        if len(begun) >= total:
            break
        study.optimize(quick, n_trials=1)
