use faer::linalg::solvers::{Llt, Solve};
use faer::{Mat, Side};
use rand::{Rng, RngExt};

use super::kernel::{Kind, matern, squared};

const RESTARTS: usize = 4;
const STEPS: usize = 60;
/// Noise below this makes the kernel matrix singular when points repeat.
const SMALLEST_NOISE: f64 = 1e-6;

/// A fitted Gaussian process on points in the unit cube.
pub(super) struct Model {
    points: Vec<Vec<f64>>,
    kinds: Vec<Kind>,
    inverse_squares: Vec<f64>,
    signal: f64,
    alpha: Vec<f64>,
    inverse: Mat<f64>,
    best_mean: f64,
}

/// Log hyperparameters: one inverse squared length scale per coordinate, then signal and
/// noise variance.
type Theta = Vec<f64>;

impl Model {
    /// Fits by maximum a posteriori; `None` when no start gives a positive definite
    /// kernel matrix (which the noise floor all but rules out).
    pub(super) fn fit(
        points: Vec<Vec<f64>>,
        scores: &[f64],
        kinds: Vec<Kind>,
        rng: &mut impl Rng,
    ) -> Option<Self> {
        let y = standardise(scores);
        let problem = Problem { distances: distances(&points, &kinds), y: &y, dims: kinds.len() };
        let mut best: Option<(f64, Theta)> = None;
        for start in 0..RESTARTS {
            let theta = (0..kinds.len() + 2).map(|i| {
                let centre = if i == kinds.len() + 1 { 1e-3f64.ln() } else { 0.0 };
                centre + if start == 0 { 0.0 } else { rng.random_range(-1.5..1.5) }
            });
            let (value, theta) = problem.climb(theta.collect());
            if value.is_finite() && best.as_ref().is_none_or(|(top, _)| value > *top) {
                best = Some((value, theta));
            }
        }
        let (_, theta) = best?;
        let llt = problem.kernel(&theta)?;
        let n = y.len();
        let alpha = llt.solve(Mat::from_fn(n, 1, |i, _| y[i]));
        let inverse = llt.solve(Mat::<f64>::identity(n, n));
        let mut model = Self {
            kinds,
            inverse_squares: theta[..problem.dims].iter().map(|t| t.exp()).collect(),
            signal: theta[problem.dims].exp(),
            alpha: (0..n).map(|i| alpha[(i, 0)]).collect(),
            inverse,
            best_mean: f64::NEG_INFINITY,
            points,
        };
        model.best_mean =
            (0..n).map(|i| model.posterior(&model.points[i]).0).fold(f64::NEG_INFINITY, f64::max);
        Some(model)
    }

    /// Mean and variance of the noise-free function at a point, in standardised units.
    pub(super) fn posterior(&self, point: &[f64]) -> (f64, f64) {
        let n = self.points.len();
        let k: Vec<f64> = self.points.iter().map(|p| self.covariance(p, point)).collect();
        let mean = k.iter().zip(&self.alpha).map(|(k, a)| k * a).sum();
        let mut explained = 0.0;
        for (j, &kj) in k.iter().enumerate() {
            let column = self.inverse.col(j);
            explained += kj * (0..n).map(|i| column[i] * k[i]).sum::<f64>();
        }
        (mean, (self.signal - explained).max(1e-12))
    }

    /// The largest posterior mean over the observed points: under noise a steadier
    /// incumbent than the largest observation.
    pub(super) fn best_mean(&self) -> f64 {
        self.best_mean
    }

    pub(super) fn points(&self) -> &[Vec<f64>] {
        &self.points
    }

    pub(super) fn dims(&self) -> usize {
        self.kinds.len()
    }

    fn covariance(&self, a: &[f64], b: &[f64]) -> f64 {
        let terms = self.kinds.iter().zip(&self.inverse_squares).zip(a.iter().zip(b));
        let r2 = terms.map(|((&kind, w), (&a, &b))| w * squared(kind, a, b)).sum();
        self.signal * matern(r2).0
    }
}

fn standardise(scores: &[f64]) -> Vec<f64> {
    let n = scores.len() as f64;
    let mean = scores.iter().sum::<f64>() / n;
    let variance = scores.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / n;
    let scale = if variance > 0.0 { variance.sqrt() } else { 1.0 };
    scores.iter().map(|s| (s - mean) / scale).collect()
}

/// Per coordinate, the squared distances of all pairs, row by row.
fn distances(points: &[Vec<f64>], kinds: &[Kind]) -> Vec<Vec<f64>> {
    let along = |(d, &kind): (usize, &Kind)| {
        let pairs = points.iter().flat_map(|a| points.iter().map(move |b| (a[d], b[d])));
        pairs.map(|(a, b)| squared(kind, a, b)).collect()
    };
    kinds.iter().enumerate().map(along).collect()
}

/// The posterior of the hyperparameters.
struct Problem<'a> {
    distances: Vec<Vec<f64>>,
    y: &'a [f64],
    dims: usize,
}

impl Problem<'_> {
    fn scaled(&self, theta: &[f64], pair: usize) -> f64 {
        self.distances.iter().zip(theta).map(|(d, t)| d[pair] * t.exp()).sum()
    }

    fn kernel(&self, theta: &[f64]) -> Option<Llt<f64>> {
        let n = self.y.len();
        let (signal, noise) = (theta[self.dims].exp(), theta[self.dims + 1].exp());
        let k = Mat::from_fn(n, n, |i, j| {
            let value = signal * matern(self.scaled(theta, i * n + j)).0;
            if i == j { value + noise + SMALLEST_NOISE } else { value }
        });
        k.llt(Side::Lower).ok()
    }

    /// Log posterior and its gradient; priors are Gamma-like on the inverse squared length
    /// scales and the signal, and pull the noise towards 1e-4.
    fn value(&self, theta: &[f64]) -> Option<(f64, Vec<f64>)> {
        let n = self.y.len();
        let llt = self.kernel(theta)?;
        let y = Mat::from_fn(n, 1, |i, _| self.y[i]);
        let alpha = llt.solve(&y);
        let inverse = llt.solve(Mat::<f64>::identity(n, n));
        let fit: f64 = (0..n).map(|i| self.y[i] * alpha[(i, 0)]).sum();
        let log_det: f64 = (0..n).map(|i| llt.L()[(i, i)].ln()).sum();
        let mut value = -0.5 * fit - log_det;
        let mut gradient = vec![0.0; theta.len()];
        let (signal, noise) = (theta[self.dims].exp(), theta[self.dims + 1].exp());
        // dL/dθ = ½ tr((α αᵀ − K⁻¹) dK/dθ)
        for i in 0..n {
            for j in 0..n {
                let weight = 0.5 * (alpha[(i, 0)] * alpha[(j, 0)] - inverse[(i, j)]);
                let pair = i * n + j;
                let (k, slope) = matern(self.scaled(theta, pair));
                gradient[self.dims] += weight * signal * k;
                for (d, squares) in self.distances.iter().enumerate() {
                    gradient[d] += weight * signal * slope * squares[pair] * theta[d].exp();
                }
                if i == j {
                    gradient[self.dims + 1] += weight * noise;
                }
            }
        }
        for (t, g) in theta[..self.dims].iter().zip(&mut gradient) {
            // Log-normal around a length scale of 1 with a wide spread.
            value -= 0.5 * (t / 2.0).powi(2);
            *g -= t / 4.0;
        }
        let priors = [(self.dims, 0.0, 1.0), (self.dims + 1, 1e-4f64.ln(), 3.0)];
        for (index, centre, spread) in priors {
            let z: f64 = (theta[index] - centre) / spread;
            value -= 0.5 * z * z;
            gradient[index] -= z / spread;
        }
        value.is_finite().then_some((value, gradient))
    }

    /// Gradient ascent with the Barzilai–Borwein step and backtracking.
    fn climb(&self, mut theta: Theta) -> (f64, Theta) {
        let Some((mut value, mut gradient)) = self.value(&theta) else {
            return (f64::NEG_INFINITY, theta);
        };
        let mut rate = 0.1;
        for _ in 0..STEPS {
            let norm = gradient.iter().map(|g| g * g).sum::<f64>();
            if norm < 1e-8 {
                break;
            }
            let mut accepted = None;
            for _ in 0..20 {
                let next: Theta = theta
                    .iter()
                    .zip(&gradient)
                    .map(|(t, g)| (t + (rate * g).clamp(-1.0, 1.0)).clamp(-12.0, 8.0))
                    .collect();
                match self.value(&next) {
                    Some((v, g)) if v > value => {
                        accepted = Some((next, v, g));
                        break;
                    }
                    _ => rate *= 0.5,
                }
            }
            let Some((next, next_value, next_gradient)) = accepted else {
                break;
            };
            let (mut ss, mut sy) = (0.0, 0.0);
            for i in 0..theta.len() {
                let s = next[i] - theta[i];
                ss += s * s;
                sy += s * (gradient[i] - next_gradient[i]);
            }
            rate = if sy > 1e-12 { (ss / sy).clamp(1e-4, 10.0) } else { rate * 2.0 };
            let gain = next_value - value;
            (theta, value, gradient) = (next, next_value, next_gradient);
            if gain < 1e-7 {
                break;
            }
        }
        (value, theta)
    }
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;
    use rand_chacha::ChaCha8Rng;

    use super::*;

    fn points() -> (Vec<Vec<f64>>, Vec<f64>) {
        let points: Vec<Vec<f64>> =
            (0..8).map(|i| vec![f64::from(i) / 7.0, f64::from(i * 3 % 8) / 7.0]).collect();
        let scores = points.iter().map(|p| (3.0 * p[0]).sin() + 0.2 * p[1]).collect();
        (points, scores)
    }

    #[test]
    fn the_gradient_of_the_posterior_matches_differences() {
        let (points, scores) = points();
        let kinds = [Kind::Number, Kind::Category];
        let y = standardise(&scores);
        let problem = Problem { distances: distances(&points, &kinds), y: &y, dims: 2 };
        let theta = vec![0.7, -0.4, 0.2, -3.0];
        let (_, gradient) = problem.value(&theta).unwrap();
        for i in 0..theta.len() {
            let at = |delta: f64| {
                let mut t = theta.clone();
                t[i] += delta;
                problem.value(&t).unwrap().0
            };
            let numeric = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((numeric - gradient[i]).abs() < 1e-6, "{i}: {numeric} {}", gradient[i]);
        }
    }

    #[test]
    fn it_interpolates_smooth_data_and_is_unsure_far_away() {
        let (points, scores) = points();
        let y = standardise(&scores);
        let mut rng = ChaCha8Rng::seed_from_u64(1);
        let kinds = vec![Kind::Number, Kind::Number];
        let model = Model::fit(points.clone(), &scores, kinds, &mut rng).unwrap();
        for (point, y) in points.iter().zip(&y) {
            assert!((model.posterior(point).0 - y).abs() < 0.2);
        }
        assert!(model.posterior(&[5.0, 5.0]).1 > 10.0 * model.posterior(&points[3]).1);
    }
}
