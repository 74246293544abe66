"""The functions of `functions.rs`, for Optuna."""

import math


def branin(trial):
    x = trial.suggest_float("x0", -5.0, 10.0)
    y = trial.suggest_float("x1", 0.0, 15.0)
    bend = y - 5.1 / (4 * math.pi**2) * x * x + 5 / math.pi * x - 6
    return bend**2 + 10 * (1 - 1 / (8 * math.pi)) * math.cos(x) + 10 - 0.39788735772973816


def hartmann(trial):
    alpha = [1.0, 1.2, 3.0, 3.2]
    a = [
        [10, 3, 17, 3.5, 1.7, 8],
        [0.05, 10, 17, 0.1, 8, 14],
        [3, 3.5, 1.7, 10, 17, 8],
        [17, 8, 0.05, 10, 0.1, 14],
    ]
    p = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ]
    x = [trial.suggest_float(f"x{i}", 0.0, 1.0) for i in range(6)]
    peaks = [
        alpha[i] * math.exp(-sum(a[i][j] * (x[j] - p[i][j]) ** 2 for j in range(6)))
        for i in range(4)
    ]
    return 3.322368011415511 - sum(peaks)


def ackley(trial):
    centre = [7.3, -12.1, 3.9, 15.7, -5.2]
    d = [trial.suggest_float(f"x{i}", -32.768, 32.768) - c for i, c in enumerate(centre)]
    square = sum(v * v for v in d) / 5
    ripple = sum(math.cos(2 * math.pi * v) for v in d) / 5
    return -20 * math.exp(-0.2 * math.sqrt(square)) - math.exp(ripple) + 20 + math.e


def rosenbrock(trial):
    x = [trial.suggest_float(f"x{i}", -5.0, 10.0) for i in range(8)]
    return sum(100 * (b - a * a) ** 2 + (1 - a) ** 2 for a, b in zip(x, x[1:]))


def mixed(trial):
    x = trial.suggest_float("x", -2.0, 2.0)
    rate = math.log10(trial.suggest_float("rate", 1e-5, 1.0, log=True))
    depth = trial.suggest_int("depth", 1, 12)
    method = trial.suggest_categorical("method", ["a", "b", "c", "d"])
    offset, best_x, best_rate = {
        "a": (0.3, 1.0, -2.0),
        "b": (0.0, -0.7, -3.2),
        "c": (0.5, 0.0, -1.0),
        "d": (0.15, 0.4, -4.0),
    }[method]
    away = rate + 3.2
    best_depth = 7.0 + math.copysign(math.floor(abs(away) + 0.5), away)
    return (
        offset
        + (x - best_x) ** 2
        + 0.5 * (rate - best_rate) ** 2
        + 0.05 * abs(depth - best_depth)
        + 0.1 * (1 - math.cos(3 * (x - best_x)))
    )


def conditional(trial):
    method = trial.suggest_categorical("method", ["tree", "net", "line"])
    shared = trial.suggest_float("shared", 0.0, 1.0)
    if method == "tree":
        depth = trial.suggest_int("depth", 1, 16)
        shrink = math.log10(trial.suggest_float("shrink", 1e-3, 1.0, log=True))
        own = 0.02 * (depth - 6) ** 2 / 4 + 0.3 * (shrink + 1.3) ** 2
    elif method == "net":
        rate = math.log10(trial.suggest_float("rate", 1e-5, 1e-1, log=True))
        width = trial.suggest_float("width", 0.0, 1.0)
        own = 0.05 + 0.4 * (rate + 3) ** 2 + (width - 0.8) ** 2
    else:
        own = 0.4 + (trial.suggest_float("slope", -1.0, 1.0) - 0.2) ** 2
    return own + (shared - 0.35) ** 2


ALL = {
    "branin": branin,
    "hartmann6": hartmann,
    "ackley5": ackley,
    "rosenbrock8": rosenbrock,
    "mixed": mixed,
    "conditional": conditional,
}


def zdt1(trial):
    x = [trial.suggest_float(f"x{i}", 0.0, 1.0) for i in range(30)]
    g = 1 + 9 * sum(x[1:]) / 29
    return x[0], g * (1 - math.sqrt(x[0] / g))


def zdt3(trial):
    x = [trial.suggest_float(f"x{i}", 0.0, 1.0) for i in range(30)]
    g = 1 + 9 * sum(x[1:]) / 29
    return x[0], g * (1 - math.sqrt(x[0] / g) - x[0] / g * math.sin(10 * math.pi * x[0]))


def dtlz2(trial):
    x = [trial.suggest_float(f"x{i}", 0.0, 1.0) for i in range(12)]
    g = 1 + sum((v - 0.5) ** 2 for v in x[2:])
    a, b = x[0] * math.pi / 2, x[1] * math.pi / 2
    return g * math.cos(a) * math.cos(b), g * math.cos(a) * math.sin(b), g * math.sin(a)


SEVERAL = {
    "zdt1": (zdt1, [1.1, 6.0]),
    "zdt3": (zdt3, [1.1, 6.0]),
    "dtlz2": (dtlz2, [2.5, 2.5, 2.5]),
}


def lookup(name):
    import gzip
    import pathlib

    path = pathlib.Path(__file__).parent / "tables" / f"{name}.csv.gz"
    with gzip.open(path, "rt") as f:
        pairs = [line.strip().rsplit(",", 1) for line in list(f)[1:]]
    scores = {point: float(score) for point, score in pairs}
    best = max(scores.values())

    def objective(trial):
        resampler = trial.suggest_categorical("resampler", ["none", "over", "smote", "under"])
        ratio = 0.2
        if resampler != "none":
            ratio = round(trial.suggest_float("ratio", 0.2, 1.0, step=0.2), 2)
        neighbours = trial.suggest_int("neighbours", 1, 32)
        power = trial.suggest_float("power", 0.0, 3.0, step=1.0)
        threshold = round(trial.suggest_float("threshold", 0.05, 0.75, step=0.05), 2)
        return best - scores[f"{resampler},{ratio},{neighbours},{power},{threshold}"]

    return objective


for table in ["yeast4", "page-blocks0", "abalone9-18"]:
    ALL[table] = lookup(table)
