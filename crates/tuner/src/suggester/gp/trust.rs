//! The neighbourhood of the best trial, by turns with the whole space.

use super::Data;
use super::fit::Theta;
use super::search::Region;

/// Side of the box at first, largest, and at which it begins anew.
const FIRST: f64 = 0.8;
const LARGEST: f64 = 1.6;
const SMALLEST: f64 = 1.0 / 128.0;
/// Improvements in a row that double the side.
const SUCCESSES: usize = 3;

/// A box around the best trial whose side grows with successes and shrinks with failures
/// (TuRBO; Eriksson et al., NeurIPS 2019), and the trials in and near it.
#[derive(Debug)]
pub(super) struct TrustRegion {
    /// Positions of the trials to model, nearest first.
    pub(super) chosen: Vec<usize>,
    centre: Vec<f64>,
    side: f64,
}

impl TrustRegion {
    /// `None` without a feasible trial.
    pub(super) fn new(data: &Data, startup: usize) -> Option<Self> {
        let feasible = |i: &usize| data.trials[*i].violation() == 0.0;
        let best = (0..data.points.len())
            .filter(feasible)
            .max_by(|&a, &b| data.values[a].total_cmp(&data.values[b]))?;
        let centre = data.points[best].to_vec();
        let dims = centre.len();
        let side = side(data, startup, dims);
        let mut order: Vec<(f64, usize)> =
            data.points.iter().enumerate().map(|(i, p)| (distance(p, &centre), i)).collect();
        order.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(&b.1)));
        let inside = order.iter().filter(|(far, _)| *far <= side).count();
        order.truncate(inside.max(2 * dims + 10));
        Some(Self { chosen: order.into_iter().map(|(_, i)| i).collect(), centre, side })
    }

    /// The box: longer along coordinates with long length scales, of the same volume;
    /// what is not there at the centre is free.
    pub(super) fn region(&self, theta: &Theta) -> Region {
        let scales: Vec<f64> =
            theta.inverse_squares.iter().map(|v| v.sqrt().recip().clamp(0.1, 10.0)).collect();
        let log_mean = scales.iter().map(|v| v.ln()).sum::<f64>() / scales.len() as f64;
        let bounds = |k: usize| {
            if self.centre[k].is_nan() {
                return (0.0, 1.0);
            }
            let half = 0.5 * self.side * (scales[k] / log_mean.exp()).clamp(0.25, 4.0);
            ((self.centre[k] - half).max(0.0), (self.centre[k] + half).min(1.0))
        };
        (0..scales.len()).map(bounds).collect()
    }
}

/// The side after all trials, in their order.
fn side(data: &Data, startup: usize, dims: usize) -> f64 {
    let (mut side, mut good, mut bad) = (FIRST, 0, 0);
    let mut best = f64::NEG_INFINITY;
    for (i, &value) in data.values.iter().enumerate() {
        let better = value > best + 1e-3 && data.trials[i].violation() == 0.0;
        if better {
            best = value;
        }
        if i < startup {
            continue;
        }
        (good, bad) = if better { (good + 1, 0) } else { (0, bad + 1) };
        if good >= SUCCESSES {
            (side, good) = ((2.0 * side).min(LARGEST), 0);
        }
        if bad >= dims.max(4) {
            (side, bad) = (0.5 * side, 0);
        }
        if side < SMALLEST {
            side = FIRST;
        }
    }
    side
}

/// The largest difference along a coordinate; NaN, of one that either does not have, is no maximum.
fn distance(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}
