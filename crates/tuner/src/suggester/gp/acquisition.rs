use rand::{Rng, RngExt};

use super::model::Model;

const CANDIDATES: usize = 1000;
const STARTS: usize = 8;
const MOVES: usize = 200;

/// The point of the space with the largest log expected improvement found.
pub(super) fn maximise(model: &Model, snap: &dyn Fn(&mut [f64]), rng: &mut impl Rng) -> Vec<f64> {
    let worth = |point: &[f64]| {
        let (mean, variance) = model.posterior(point);
        log_expected_improvement(mean, variance.sqrt(), model.best_mean())
    };
    let score = |mut point: Vec<f64>| {
        snap(&mut point);
        (worth(&point), point)
    };
    let random = (0..CANDIDATES).map(|_| (0..model.dims()).map(|_| rng.random()).collect());
    let mut candidates: Vec<(f64, Vec<f64>)> =
        random.chain(model.points().iter().cloned()).map(score).collect();
    candidates.sort_by(|a, b| b.0.total_cmp(&a.0));
    candidates.truncate(STARTS);
    for (value, point) in &mut candidates {
        let mut radius = 0.1;
        for _ in 0..MOVES {
            let mut next = point.clone();
            let d = rng.random_range(0..next.len());
            // One coordinate far, for categories, or all of them near.
            if rng.random::<f64>() < 0.3 {
                next[d] = rng.random();
            } else {
                for x in &mut next {
                    *x = (*x + radius * rng.random_range(-1.0..1.0)).clamp(0.0, 1.0);
                }
            }
            let (v, next) = score(next);
            if v > *value {
                (*value, *point) = (v, next);
            } else {
                radius = (radius * 0.93f64).max(1e-3);
            }
        }
    }
    let best = candidates.into_iter().max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, point)| point).unwrap_or_default()
}

/// `log E[max(f − best, 0)]` for `f ~ N(mean, sigma²)`:
/// `log σ + log(φ(z) + z Φ(z))` with `z = (mean − best) / σ`, accurate far into the lower
/// tail, where expected improvement itself underflows (Ament et al. 2023).
pub(super) fn log_expected_improvement(mean: f64, sigma: f64, best: f64) -> f64 {
    let z = (mean - best) / sigma;
    sigma.ln() + log_h(z)
}

fn log_h(z: f64) -> f64 {
    let log_density = -0.5 * z * z - 0.5 * (2.0 * std::f64::consts::PI).ln();
    if z > -1.0 {
        let cumulative = 0.5 * libm::erfc(-z / std::f64::consts::SQRT_2);
        return (log_density.exp() + z * cumulative).ln();
    }
    let t = -z;
    if t > 1e4 {
        // 1 − t R(t) → 1/t² for Mills' ratio R.
        return log_density - 2.0 * t.ln();
    }
    // Mills' ratio by its continued fraction, from the far end.
    let ratio = 1.0 / (1..=200).rev().fold(t, |tail, k| t + f64::from(k) / tail);
    log_density + (1.0 - t * ratio).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn log_h_matches_reference_values() {
        // log(φ(z) + zΦ(z)), computed with mpmath at 50 digits.
        let reference = [
            (2.0, 0.697_383_545_788_228_3),
            (0.0, -0.918_938_533_204_672_8),
            (-0.999, -2.483_217_115_447_585_5),
            (-1.001, -2.487_025_657_955_389_4),
            (-5.0, -16.744_301_162_660_99),
            (-40.0, -808.298_568_356_62),
        ];
        for (z, expected) in reference {
            let got = log_h(z);
            assert!((got - expected).abs() < 1e-9 * expected.abs().max(1.0), "{z}: {got}");
        }
    }

    #[test]
    fn it_rises_with_the_mean_everywhere() {
        let mut last = f64::NEG_INFINITY;
        for step in -2000..100 {
            let value = log_expected_improvement(f64::from(step) * 0.1, 1.0, 0.0);
            assert!(value > last, "at {step}");
            last = value;
        }
    }
}
