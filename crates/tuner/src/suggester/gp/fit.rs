//! Hyperparameters by maximum a posteriori.

use std::sync::Arc;

use faer::linalg::solvers::{DenseSolveCore, Llt, Solve};
use faer::{Mat, Side};

use super::super::layout::Kind;
use super::kernel::{Matern, squared};
use super::lbfgs::{Limits, minimise};

/// Noise below this makes the kernel matrix singular when points repeat.
pub(super) const SMALLEST_NOISE: f64 = 1e-6;

/// A kernel's hyperparameters.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Theta {
    pub(super) kernel: Matern,
    /// `1/ℓ²` of each coordinate.
    pub(super) inverse_squares: Vec<f64>,
    pub(super) signal: f64,
    pub(super) noise: f64,
}

/// Bounds of the logarithms: the kernel is flat or white beyond them.
const LOG_INVERSE_SQUARE: [f64; 2] = [-9.0, 9.0];
const LOG_SIGNAL: [f64; 2] = [-6.0, 6.0];
const LOG_NOISE: [f64; 2] = [-16.0, 1.0];

/// Rate of the noise variance's prior: what looks like noise at first is mostly shape that was not
/// seen yet. With a rate of 30, rugged functions end further from their optimum.
const NOISE_RATE: f64 = 300.0;

/// Fits the kernel to standardised values by `L-BFGS` with analytic gradients, from
/// `starts` of (log `1/ℓ²`, log noise), keeping the best.
///
/// Priors, in the units of the unit cube and of standardised values: `1/ℓ²` has density
/// `∝ exp(−0.1 (x + 1/x))`, which leaves ℓ in 0.2 to 5 almost free; the signal variance
/// is Gamma(2, 1), the noise variance Gamma(1.1, 300): little, unless the values insist.
pub(super) fn fit(
    points: &[Arc<[f64]>],
    values: &[f64],
    kinds: &[Kind],
    kernel: Matern,
    starts: &[(f64, f64)],
) -> Option<Theta> {
    let n = points.len();
    let pairs = n * (n - 1) / 2;
    let mut distances = vec![Vec::with_capacity(pairs); kinds.len()];
    for i in 1..n {
        for j in 0..i {
            for (k, kind) in kinds.iter().enumerate() {
                distances[k].push(squared(*kind, points[i][k], points[j][k]));
            }
        }
    }
    let problem = Problem { n, distances, values, kernel };
    let dims = kinds.len();
    let mut low = vec![LOG_INVERSE_SQUARE[0]; dims];
    let mut high = vec![LOG_INVERSE_SQUARE[1]; dims];
    low.extend([LOG_SIGNAL[0], LOG_NOISE[0]]);
    high.extend([LOG_SIGNAL[1], LOG_NOISE[1]]);
    let limits = Limits { iterations: 60, gradient: 1e-2, decrease: 1e-5 };
    let mut best: Option<(Vec<f64>, f64)> = None;
    for &(inverse_square, noise) in starts {
        let mut start = vec![inverse_square; dims];
        start.extend([0.0, noise]);
        let mut f = |x: &[f64], g: &mut [f64]| problem.negative(x, g);
        let (x, value) = minimise(&mut f, &start, &low, &high, limits);
        if value.is_finite() && best.as_ref().is_none_or(|(_, b)| value < *b) {
            best = Some((x, value));
        }
    }
    let (x, _) = best?;
    Some(Theta {
        kernel,
        inverse_squares: x[..dims].iter().map(|v| v.exp()).collect(),
        signal: x[dims].exp(),
        noise: x[dims + 1].exp() + SMALLEST_NOISE,
    })
}

struct Problem<'v> {
    n: usize,
    /// By coordinate, the pairs of the lower triangle row by row.
    distances: Vec<Vec<f64>>,
    values: &'v [f64],
    kernel: Matern,
}

impl Problem<'_> {
    /// The negative log posterior and its gradient with respect to the logarithms.
    fn negative(&self, x: &[f64], gradient: &mut [f64]) -> f64 {
        let (n, dims) = (self.n, self.distances.len());
        let weights: Vec<f64> = x[..dims].iter().map(|v| v.exp()).collect();
        let (signal, free_noise) = (x[dims].exp(), x[dims + 1].exp());
        let noise = free_noise + SMALLEST_NOISE;
        let mut kernel = vec![0.0; n * (n - 1) / 2];
        for (weight, distances) in weights.iter().zip(&self.distances) {
            for (r2, d) in kernel.iter_mut().zip(distances) {
                *r2 += weight * d;
            }
        }
        let mut slopes = kernel.clone();
        for (k, slope) in kernel.iter_mut().zip(&mut slopes) {
            (*k, *slope) = self.kernel.at(*k);
        }
        let at = |i: usize, j: usize| i * (i - 1) / 2 + j;
        let matrix = Mat::from_fn(n, n, |i, j| match i.cmp(&j) {
            std::cmp::Ordering::Equal => signal + noise,
            std::cmp::Ordering::Greater => signal * kernel[at(i, j)],
            std::cmp::Ordering::Less => 0.0,
        });
        let Ok(llt) = Llt::new(matrix.as_ref(), Side::Lower) else {
            gradient.fill(0.0);
            return f64::INFINITY;
        };
        let alpha = llt.solve(Mat::from_fn(n, 1, |i, _| self.values[i]));
        let inverse = llt.inverse();
        let factor = llt.L();
        let fit: f64 = (0..n).map(|i| alpha[(i, 0)] * self.values[i]).sum();
        let determinant: f64 = (0..n).map(|i| factor[(i, i)].ln()).sum();
        // ½ tr((αα' − K⁻¹) dK), twice for each pair.
        let mut by_signal = 0.0;
        let mut pulls = vec![0.0; kernel.len()];
        let mut trace = 0.0;
        for i in 0..n {
            let own = alpha[(i, 0)] * alpha[(i, 0)] - inverse[(i, i)];
            trace += own;
            for j in 0..i {
                let pull = alpha[(i, 0)] * alpha[(j, 0)] - inverse[(i, j)];
                by_signal += pull * kernel[at(i, j)];
                pulls[at(i, j)] = pull * signal * slopes[at(i, j)];
            }
        }
        let mut prior = 0.0;
        for k in 0..dims {
            let pulled: f64 = pulls.iter().zip(&self.distances[k]).map(|(p, d)| p * d).sum();
            prior -= 0.1 * (weights[k] + 1.0 / weights[k]);
            gradient[k] = -(pulled * weights[k] - 0.1 * (weights[k] - 1.0 / weights[k]));
        }
        prior += signal.ln() - signal + 0.1 * noise.ln() - NOISE_RATE * noise;
        gradient[dims] = -((by_signal + 0.5 * trace) * signal + 1.0 - signal);
        gradient[dims + 1] = -free_noise * (0.5 * trace + 0.1 / noise - NOISE_RATE);
        0.5 * fit + determinant - prior
    }
}

#[cfg(test)]
mod tests {
    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::super::super::normal;
    use super::*;

    #[test]
    fn noise_is_found_where_the_values_insist() {
        let mut rng = ChaCha8Rng::seed_from_u64(11);
        let points: Vec<Arc<[f64]>> = (0..60).map(|i| [f64::from(i) / 60.0].into()).collect();
        let values = |share: f64, rng: &mut ChaCha8Rng| -> Vec<f64> {
            points.iter().map(|p| (6.0 * p[0]).sin() + share * normal(rng)).collect()
        };
        let noise = |values: &[f64]| {
            let starts = [(0.0, -7.0), (2.0, -3.0)];
            fit(&points, values, &[Kind::Number], Matern::FiveHalves, &starts).unwrap().noise
        };
        let (none, some) = (noise(&values(0.0, &mut rng)), noise(&values(0.5, &mut rng)));
        assert!(none < 1e-4, "{none}");
        assert!((0.1..0.4).contains(&some), "{some}, drawn with 0.25");
    }

    #[test]
    fn gradients_match_finite_differences() {
        let mut rng = ChaCha8Rng::seed_from_u64(7);
        let mut draw = || rng.random::<f64>();
        let points: Vec<Arc<[f64]>> =
            (0..9).map(|_| [draw(), draw(), (draw() * 3.0).floor()].into()).collect();
        let values: Vec<f64> = (0..9).map(|_| draw() - 0.5).collect();
        let kinds = [Kind::Number, Kind::Number, Kind::Category];
        let mut distances = vec![Vec::new(); 3];
        for i in 1..9 {
            for j in 0..i {
                for k in 0..3 {
                    distances[k].push(squared(kinds[k], points[i][k], points[j][k]));
                }
            }
        }
        let mut problem = Problem { n: 9, distances, values: &values, kernel: Matern::FiveHalves };
        for kernel in [Matern::FiveHalves, Matern::ThreeHalves] {
            problem.kernel = kernel;
            let x = [0.3, -0.5, 0.1, 0.2, -3.0];
            let mut gradient = [0.0; 5];
            problem.negative(&x, &mut gradient);
            for k in 0..5 {
                let shifted = |h: f64| {
                    let mut x = x;
                    x[k] += h;
                    problem.negative(&x, &mut [0.0; 5])
                };
                let numeric = (shifted(1e-6) - shifted(-1e-6)) / 2e-6;
                assert!((numeric - gradient[k]).abs() < 1e-6, "{k}: {numeric} {}", gradient[k]);
            }
        }
    }
}
