//! Test functions with known minima; `functions.py` has the same.

use std::f64::consts::PI;

use counterweight_tuner::{BoxError, Trial};

/// A function of a trial's parameters whose minimum is 0.
pub(crate) type Function = fn(&mut Trial) -> Result<f64, BoxError>;

/// By name.
pub(crate) const ALL: [(&str, Function); 6] = [
    ("branin", branin),
    ("hartmann6", hartmann),
    ("ackley5", ackley),
    ("rosenbrock8", rosenbrock),
    ("mixed", mixed),
    ("conditional", conditional),
];

/// Branin on [-5, 10] × [0, 15].
pub(crate) fn branin(trial: &mut Trial) -> Result<f64, BoxError> {
    let x = trial.suggest_float("x0", -5.0..=10.0)?;
    let y = trial.suggest_float("x1", 0.0..=15.0)?;
    let bend = y - 5.1 / (4.0 * PI * PI) * x * x + 5.0 / PI * x - 6.0;
    Ok(bend * bend + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0 - 0.397_887_357_729_738_16)
}

/// Hartmann's function of six variables on the unit cube.
pub(crate) fn hartmann(trial: &mut Trial) -> Result<f64, BoxError> {
    const ALPHA: [f64; 4] = [1.0, 1.2, 3.0, 3.2];
    const A: [[f64; 6]; 4] = [
        [10.0, 3.0, 17.0, 3.5, 1.7, 8.0],
        [0.05, 10.0, 17.0, 0.1, 8.0, 14.0],
        [3.0, 3.5, 1.7, 10.0, 17.0, 8.0],
        [17.0, 8.0, 0.05, 10.0, 0.1, 14.0],
    ];
    const P: [[f64; 6]; 4] = [
        [0.1312, 0.1696, 0.5569, 0.0124, 0.8283, 0.5886],
        [0.2329, 0.4135, 0.8307, 0.3736, 0.1004, 0.9991],
        [0.2348, 0.1451, 0.3522, 0.2883, 0.3047, 0.6650],
        [0.4047, 0.8828, 0.8732, 0.5743, 0.1091, 0.0381],
    ];
    let x = floats(trial, 6, 0.0, 1.0)?;
    let peak = |i: usize| {
        let far: f64 = (0..6).map(|j| A[i][j] * (x[j] - P[i][j]).powi(2)).sum();
        ALPHA[i] * (-far).exp()
    };
    Ok(3.322_368_011_415_511 - (0..4).map(peak).sum::<f64>())
}

/// Ackley's function of five variables on [-32.768, 32.768], its minimum moved off the
/// centre.
pub(crate) fn ackley(trial: &mut Trial) -> Result<f64, BoxError> {
    const CENTRE: [f64; 5] = [7.3, -12.1, 3.9, 15.7, -5.2];
    let x = floats(trial, 5, -32.768, 32.768)?;
    let d: Vec<f64> = x.iter().zip(CENTRE).map(|(x, c)| x - c).collect();
    let square = d.iter().map(|d| d * d).sum::<f64>() / 5.0;
    let ripple = d.iter().map(|d| (2.0 * PI * d).cos()).sum::<f64>() / 5.0;
    Ok(-20.0 * (-0.2 * square.sqrt()).exp() - ripple.exp() + 20.0 + std::f64::consts::E)
}

/// Rosenbrock's function of eight variables on [-5, 10].
pub(crate) fn rosenbrock(trial: &mut Trial) -> Result<f64, BoxError> {
    let x = floats(trial, 8, -5.0, 10.0)?;
    let term = |w: &[f64]| 100.0 * (w[1] - w[0] * w[0]).powi(2) + (1.0 - w[0]).powi(2);
    Ok(x.windows(2).map(term).sum())
}

/// A real, a logarithmic, an integer and a categorical parameter that work on each other,
/// as a learning rate, its decay, a depth and a choice of method would.
pub(crate) fn mixed(trial: &mut Trial) -> Result<f64, BoxError> {
    let x = trial.suggest_float("x", -2.0..=2.0)?;
    let rate = trial.suggest_log_float("rate", 1e-5..=1.0)?.log10();
    let depth = trial.suggest_int("depth", 1..=12)? as f64;
    let method = trial.suggest_categorical("method", &["a", "b", "c", "d"])?;
    let (offset, best_x, best_rate) = match method {
        "a" => (0.3, 1.0, -2.0),
        "b" => (0.0, -0.7, -3.2),
        "c" => (0.5, 0.0, -1.0),
        _ => (0.15, 0.4, -4.0),
    };
    let best_depth = 7.0 + (rate + 3.2).round();
    Ok(offset
        + (x - best_x).powi(2)
        + 0.5 * (rate - best_rate).powi(2)
        + 0.05 * (depth - best_depth).abs()
        + 0.1 * (1.0 - (3.0 * (x - best_x)).cos()))
}

/// Parameters that are there only for one choice of method.
pub(crate) fn conditional(trial: &mut Trial) -> Result<f64, BoxError> {
    let method = trial.suggest_categorical("method", &["tree", "net", "line"])?;
    let shared = trial.suggest_float("shared", 0.0..=1.0)?;
    let own = match method {
        "tree" => {
            let depth = trial.suggest_int("depth", 1..=16)? as f64;
            let shrink = trial.suggest_log_float("shrink", 1e-3..=1.0)?.log10();
            0.02 * (depth - 6.0).powi(2) / 4.0 + 0.3 * (shrink + 1.3).powi(2)
        }
        "net" => {
            let rate = trial.suggest_log_float("rate", 1e-5..=1e-1)?.log10();
            let width = trial.suggest_float("width", 0.0..=1.0)?;
            0.05 + 0.4 * (rate + 3.0).powi(2) + (width - 0.8).powi(2)
        }
        _ => 0.4 + (trial.suggest_float("slope", -1.0..=1.0)? - 0.2).powi(2),
    };
    Ok(own + (shared - 0.35).powi(2))
}

fn floats(trial: &mut Trial, n: usize, low: f64, high: f64) -> Result<Vec<f64>, BoxError> {
    (0..n).map(|i| Ok(trial.suggest_float(&format!("x{i}"), low..=high)?)).collect()
}

/// Several objectives, with the reference point of their hypervolume.
pub(crate) type Objectives = (fn(&mut Trial) -> Result<Vec<f64>, BoxError>, &'static [f64]);

/// By name: ZDT1 and ZDT3 (Zitzler et al. 2000) of 30 variables, DTLZ2 (Deb et al. 2002) of
/// 12 variables and 3 objectives.
pub(crate) const SEVERAL: [(&str, Objectives); 3] = [
    ("zdt1", (zdt1, &[1.1, 6.0])),
    ("zdt3", (zdt3, &[1.1, 6.0])),
    ("dtlz2", (dtlz2, &[2.5, 2.5, 2.5])),
];

fn zdt1(trial: &mut Trial) -> Result<Vec<f64>, BoxError> {
    let x = floats(trial, 30, 0.0, 1.0)?;
    let g = 1.0 + 9.0 * x[1..].iter().sum::<f64>() / 29.0;
    Ok(vec![x[0], g * (1.0 - (x[0] / g).sqrt())])
}

fn zdt3(trial: &mut Trial) -> Result<Vec<f64>, BoxError> {
    let x = floats(trial, 30, 0.0, 1.0)?;
    let g = 1.0 + 9.0 * x[1..].iter().sum::<f64>() / 29.0;
    Ok(vec![x[0], g * (1.0 - (x[0] / g).sqrt() - x[0] / g * (10.0 * PI * x[0]).sin())])
}

fn dtlz2(trial: &mut Trial) -> Result<Vec<f64>, BoxError> {
    let x = floats(trial, 12, 0.0, 1.0)?;
    let g = 1.0 + x[2..].iter().map(|v| (v - 0.5).powi(2)).sum::<f64>();
    let (a, b) = (x[0] * PI / 2.0, x[1] * PI / 2.0);
    Ok(vec![g * a.cos() * b.cos(), g * a.cos() * b.sin(), g * a.sin()])
}
