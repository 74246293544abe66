//! Which point promises most.

use super::model::{Model, Outlook, Scratch};

/// `log E[max(f − best, 0)]` for `f ~ N(mean, sigma²)` with its derivatives by mean and
/// sigma: `log σ + log h(z)`, `h(z) = φ(z) + z Φ(z)`, `z = (mean − best) / σ`, accurate far
/// into the lower tail, where expected improvement itself underflows (Ament et al. 2023).
pub(super) fn log_expected_improvement(mean: f64, sigma: f64, best: f64) -> (f64, f64, f64) {
    let (log_h, cumulative, density) = log_h((mean - best) / sigma);
    (sigma.ln() + log_h, cumulative / sigma, density / sigma)
}

/// `log h(z)`, `Φ(z) / h(z)` and `φ(z) / h(z)`.
fn log_h(z: f64) -> (f64, f64, f64) {
    let log_density = -0.5 * z * z - 0.5 * (2.0 * std::f64::consts::PI).ln();
    if z > -1.0 {
        let cumulative = 0.5 * libm::erfc(-z / std::f64::consts::SQRT_2);
        let h = log_density.exp() + z * cumulative;
        return (h.ln(), cumulative / h, log_density.exp() / h);
    }
    let t = -z;
    let (ratio, rest) = if t > 1e4 {
        // 1 − t R(t) → 1/t² for Mills' ratio R.
        (1.0 / t, 1.0 / (t * t))
    } else {
        let ratio = mills(t);
        (ratio, 1.0 - t * ratio)
    };
    (log_density + rest.ln(), ratio / rest, 1.0 / rest)
}

/// Mills' ratio `(1 − Φ(t)) / φ(t)` for t ≥ 1, by its continued fraction from the far end.
fn mills(t: f64) -> f64 {
    let terms = (30.0 + 400.0 / (t * t)) as u32;
    1.0 / (1..=terms).rev().fold(t, |tail, k| t + f64::from(k) / tail)
}

/// `log Φ(z)` and its derivative.
pub(super) fn log_cumulative(z: f64) -> (f64, f64) {
    let log_density = -0.5 * z * z - 0.5 * (2.0 * std::f64::consts::PI).ln();
    if z > -1.0 {
        let cumulative = 0.5 * libm::erfc(-z / std::f64::consts::SQRT_2);
        return (cumulative.ln(), log_density.exp() / cumulative);
    }
    let ratio = mills(-z);
    (log_density + ratio.ln(), 1.0 / ratio)
}

/// Log expected improvement, averaged over imagined outcomes of the running trials, times
/// the probability of keeping every constraint (Gardner et al. 2014).
pub(super) struct Acquisition<'m> {
    pub(super) model: &'m Model,
    /// The value to improve on, for each imagined outcome; `None` before any trial is
    /// feasible, when only feasibility counts.
    pub(super) best: Option<Vec<f64>>,
    /// Models of the constraints' negatives, and the values from which they are kept.
    pub(super) constraints: Vec<(&'m Model, f64)>,
}

impl Acquisition<'_> {
    /// The value at a point, with its gradient where one is given to be filled.
    pub(super) fn at(
        &self,
        point: &[f64],
        mut gradient: Option<&mut [f64]>,
        s: &mut Scratch,
    ) -> f64 {
        let dims = self.model.dims();
        let wanted = gradient.is_some();
        if let Some(g) = gradient.as_deref_mut() {
            g.fill(0.0);
        }
        let mut value = 0.0;
        if let Some(best) = &self.best {
            self.model.predict(point, wanted, s);
            let sigma = s.outlook.variance.sqrt();
            let improvement = Improvement::of(&s.outlook, best);
            value += improvement.log_mean();
            let Improvement { parts, top, sum } = improvement;
            if let Some(g) = gradient.as_deref_mut() {
                for (draw, (log, by_mean, by_sigma)) in parts.iter().enumerate() {
                    let share = (log - top).exp() / sum;
                    for (k, g) in g.iter_mut().enumerate() {
                        *g += share
                            * (by_mean * s.mean_gradients[draw * dims + k]
                                + by_sigma * s.variance_gradient[k] / (2.0 * sigma));
                    }
                }
            }
        }
        for (model, threshold) in &self.constraints {
            model.predict(point, wanted, s);
            let sigma = s.outlook.variance.sqrt();
            let z = (s.outlook.means[0] - threshold) / sigma;
            let (log, slope) = log_cumulative(z);
            value += log;
            if let Some(g) = gradient.as_deref_mut() {
                for (k, g) in g.iter_mut().enumerate() {
                    let by_sigma = -z / sigma * s.variance_gradient[k] / (2.0 * sigma);
                    *g += slope * (s.mean_gradients[k] / sigma + by_sigma);
                }
            }
        }
        value
    }

    /// The values at many points, cheaper than one by one.
    pub(super) fn at_many(&self, points: &[Vec<f64>], s: &mut Scratch) -> Vec<f64> {
        let mut values = vec![0.0; points.len()];
        if let Some(best) = &self.best {
            for (value, outlook) in values.iter_mut().zip(self.model.predict_many(points, s)) {
                *value += Improvement::of(&outlook, best).log_mean();
            }
        }
        for (model, threshold) in &self.constraints {
            for (value, outlook) in values.iter_mut().zip(model.predict_many(points, s)) {
                let z = (outlook.means[0] - threshold) / outlook.variance.sqrt();
                *value += log_cumulative(z).0;
            }
        }
        values
    }
}

/// Log expected improvement for each imagined outcome with its derivatives, the largest, and the
/// sum of them all as shares of that.
struct Improvement {
    parts: Vec<(f64, f64, f64)>,
    top: f64,
    sum: f64,
}

impl Improvement {
    fn of(outlook: &Outlook, best: &[f64]) -> Self {
        let sigma = outlook.variance.sqrt();
        let pairs = outlook.means.iter().zip(best);
        let parts: Vec<(f64, f64, f64)> =
            pairs.map(|(mean, best)| log_expected_improvement(*mean, sigma, *best)).collect();
        let top = parts.iter().map(|p| p.0).fold(f64::NEG_INFINITY, f64::max);
        let sum = parts.iter().map(|p| (p.0 - top).exp()).sum();
        Self { parts, top, sum }
    }

    /// The logarithm of the mean.
    fn log_mean(&self) -> f64 {
        self.top + (self.sum / self.parts.len() as f64).ln()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use faer::linalg::solvers::{Llt, Solve};
    use faer::{Mat, Side};
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::super::super::layout::Kind;
    use super::super::super::normal;
    use super::super::fit::Theta;
    use super::super::kernel::Matern;
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
            let got = log_h(z).0;
            assert!((got - expected).abs() < 1e-9 * expected.abs().max(1.0), "{z}: {got}");
        }
    }

    #[test]
    fn derivatives_match_finite_differences() {
        for (mean, sigma, best) in [(0.3, 0.5, 0.1), (-2.0, 0.4, 0.5), (-30.0, 0.7, 0.0)] {
            let (_, by_mean, by_sigma) = log_expected_improvement(mean, sigma, best);
            let ei = |m: f64, s: f64| log_expected_improvement(m, s, best).0;
            let h = 1e-6;
            let numeric = (ei(mean + h, sigma) - ei(mean - h, sigma)) / (2.0 * h);
            assert!((numeric / by_mean - 1.0).abs() < 1e-5, "{numeric} {by_mean}");
            let numeric = (ei(mean, sigma + h) - ei(mean, sigma - h)) / (2.0 * h);
            assert!((numeric / by_sigma - 1.0).abs() < 1e-5, "{numeric} {by_sigma}");
        }
        for z in [-20.0, -1.5, -0.5, 2.0] {
            let h = 1e-6;
            let numeric = (log_cumulative(z + h).0 - log_cumulative(z - h).0) / (2.0 * h);
            assert!((numeric - log_cumulative(z).1).abs() < 1e-5 * numeric.abs().max(1e-3));
        }
    }

    #[test]
    fn it_rises_with_the_mean_everywhere() {
        let mut last = f64::NEG_INFINITY;
        for step in -2000..100 {
            let value = log_expected_improvement(f64::from(step) * 0.1, 1.0, 0.0).0;
            assert!(value > last, "at {step}");
            last = value;
        }
    }

    /// `E max(0, f(r) − best, f(x) − best) − E max(0, f(r) − best)` with `r` running, from draws of
    /// both values by the textbook's posterior.
    #[test]
    fn imagined_outcomes_give_the_joint_expected_improvement() {
        let (told, values, r) = ([0.0, 0.45, 1.0], [-0.8, 0.6, -0.2], 0.62);
        let kernel = Matern::FiveHalves;
        let theta = || Theta { kernel, inverse_squares: vec![9.0], signal: 1.0, noise: 1e-6 };
        let k = |a: f64, b: f64| kernel.at(9.0 * (a - b) * (a - b)).0;
        let gram =
            Mat::from_fn(3, 3, |i, j| k(told[i], told[j]) + f64::from(u8::from(i == j)) * 1e-6);
        let llt = Llt::new(gram.as_ref(), Side::Lower).unwrap();
        let points: Vec<Arc<[f64]>> = told.iter().map(|&t| [t].into()).collect();
        let mut rng = ChaCha8Rng::seed_from_u64(3);
        for x in [0.3, 0.55, 0.66, 0.8] {
            let across = Mat::from_fn(3, 2, |i, j| k(told[i], [r, x][j]));
            let weights = llt.solve(&across);
            let mean = |j: usize| (0..3).map(|i| weights[(i, j)] * values[i]).sum::<f64>();
            let covariance = |a: usize, b: usize| {
                let told = (0..3).map(|i| across[(i, a)] * weights[(i, b)]).sum::<f64>();
                k([r, x][a], [r, x][b]) - told
            };
            let spread = covariance(0, 0).sqrt();
            let along = covariance(0, 1) / spread;
            let rest = (covariance(1, 1) - along * along).sqrt();
            let best = 0.6;
            let draws = 400_000;
            let mut joint = 0.0;
            for _ in 0..draws {
                let z = normal(&mut rng);
                let first = (mean(0) + spread * z - best).max(0.0);
                let second = mean(1) + along * z + rest * normal(&mut rng) - best;
                joint += second.max(first) - first;
            }
            joint /= f64::from(draws);

            let model = Model::new(&points, &values, &[Kind::Number], theta()).unwrap();
            let running: [Arc<[f64]>; 1] = [[r].into()];
            let (model, outcomes) =
                model.with_running(&points, &values, &running, 20_000, &mut rng).unwrap();
            let best = outcomes.iter().map(|o| o[3].max(best)).collect();
            let acquisition =
                Acquisition { model: &model, best: Some(best), constraints: Vec::new() };
            let got = acquisition.at(&[x], None, &mut Scratch::default()).exp();
            assert!((got / joint - 1.0).abs() < 0.03, "at {x}: {got}, jointly {joint}");
        }
    }
}
