use faer::{Mat, Side};
use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::layout::{Column, Kind, Table};
use super::{Suggester, Task, normal};
use crate::{Error, Params, Result};

/// The covariance matrix adaptation evolution strategy (Hansen and Ostermeier 2001; the
/// constants of Hansen's tutorial, 2016), with margin for integers and steps (Hamano et
/// al., GECCO 2022), so that none of them freezes on one value.
///
/// Every λ = 4 + ⌊3 ln d⌋ told trials, in the order of their numbers, are a generation.
/// For cheap trials in the hundreds and thousands; one objective; categories are drawn at
/// random. Without a static space the first trial is random, to learn the parameters.
/// Infeasible trials rank last, by what they break.
#[derive(Debug, Default)]
pub struct CmaEs {
    sigma: Option<f64>,
    table: Table,
    /// The columns that move, and the state after some generations of these trials.
    state: Option<(Vec<Column>, Vec<u64>, State)>,
}

impl CmaEs {
    /// From the middle of the space with a deviation of 0.3 of its width.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the first deviation, in widths of the space, in `(0, 1]`. Default 0.3.
    #[must_use]
    pub fn with_sigma(mut self, sigma: f64) -> Self {
        self.sigma = Some(sigma);
        self
    }
}

impl Suggester for CmaEs {
    fn suggest(&mut self, task: &Task<'_>) -> Result<Option<Params>> {
        let sigma = self.sigma.unwrap_or(0.3);
        if !(sigma > 0.0 && sigma <= 1.0) {
            return Err(Error::OutOfRange { name: "sigma", value: sigma, allowed: "(0, 1]" });
        }
        if task.directions.len() != 1 {
            let found = task.directions.len();
            return Err(Error::Objectives { what: "CMA-ES", allowed: "1", found });
        }
        self.table.update(task);
        let columns = &self.table.columns;
        let active: Vec<usize> = (0..columns.len())
            .filter(|&k| columns[k].kind == Kind::Number && columns[k].fixed.is_none())
            .collect();
        if active.is_empty() {
            return Ok(Some(Params::new()));
        }
        let told: Vec<(u64, Vec<f64>, (f64, f64))> = task
            .history
            .iter()
            .filter_map(|t| {
                let row = self.table.row(t)?;
                // What is not there does not move.
                let point = active.iter().map(|&k| if row[k].is_nan() { 0.5 } else { row[k] });
                let loss = *t.losses(task.directions)?.first()?;
                Some((t.id, point.collect(), (t.violation(), loss)))
            })
            .collect();
        let own = active.iter().map(|&k| &columns[k]);
        let (moved, mut used, mut state) = match self.state.take() {
            Some((moved, used, state))
                if moved.iter().eq(own.clone())
                    && used.len() <= told.len()
                    && used.iter().zip(&told).all(|(id, t)| *id == t.0) =>
            {
                (moved, used, state)
            }
            _ => (own.cloned().collect(), Vec::new(), State::new(active.len(), sigma)),
        };
        while used.len() + state.population <= told.len() {
            let mut generation: Vec<_> =
                told[used.len()..used.len() + state.population].iter().collect();
            used.extend(generation.iter().map(|t| t.0));
            generation.sort_by(|a, b| a.2.0.total_cmp(&b.2.0).then(a.2.1.total_cmp(&b.2.1)));
            let points: Vec<&[f64]> = generation.iter().map(|t| t.1.as_slice()).collect();
            state.update(&points);
            state.keep_margin(&moved);
        }
        let mut rng = ChaCha8Rng::seed_from_u64(task.seed);
        let mut params = Params::new();
        for (column, unit) in moved.iter().zip(state.draw(&mut rng)) {
            params.insert(column.name.clone(), column.distribution.decode(column.snap(unit)));
        }
        self.state = Some((moved, used, state));
        Ok(Some(params))
    }
}

/// The distribution and its evolution paths.
#[derive(Debug, Clone)]
struct State {
    population: usize,
    generation: i32,
    mean: Vec<f64>,
    sigma: f64,
    covariance: Mat<f64>,
    /// Eigenvectors and roots of the eigenvalues.
    axes: Mat<f64>,
    roots: Vec<f64>,
    /// The margin's scaling of each coordinate.
    scale: Vec<f64>,
    path: Vec<f64>,
    sigma_path: Vec<f64>,
}

impl State {
    fn new(dims: usize, sigma: f64) -> Self {
        Self {
            population: 4 + (3.0 * (dims as f64).ln()) as usize,
            generation: 0,
            mean: vec![0.5; dims],
            sigma,
            covariance: Mat::identity(dims, dims),
            axes: Mat::identity(dims, dims),
            roots: vec![1.0; dims],
            scale: vec![1.0; dims],
            path: vec![0.0; dims],
            sigma_path: vec![0.0; dims],
        }
    }

    /// A point inside the cube, drawn again until it is, then moved in.
    fn draw(&self, rng: &mut ChaCha8Rng) -> Vec<f64> {
        let dims = self.mean.len();
        let mut point = Vec::new();
        for _ in 0..100 {
            let z: Vec<f64> = self.roots.iter().map(|root| root * normal(rng)).collect();
            let step = |i: usize| (0..dims).map(|j| self.axes[(i, j)] * z[j]).sum::<f64>();
            point =
                (0..dims).map(|i| self.mean[i] + self.sigma * self.scale[i] * step(i)).collect();
            if point.iter().all(|v: &f64| (0.0..=1.0).contains(v)) {
                return point;
            }
        }
        point.iter_mut().for_each(|v| *v = v.clamp(0.0, 1.0));
        point
    }

    /// One generation, best first.
    fn update(&mut self, points: &[&[f64]]) {
        let dims = self.mean.len();
        let (n, lambda) = (dims as f64, points.len() as f64);
        let raw: Vec<f64> =
            (1..=points.len()).map(|i| ((lambda + 1.0) / 2.0).ln() - (i as f64).ln()).collect();
        let positive: f64 = raw.iter().filter(|w| **w > 0.0).sum();
        let negative: f64 = -raw.iter().filter(|w| **w < 0.0).sum::<f64>();
        let squares = |keep: &dyn Fn(f64) -> bool| {
            raw.iter().filter(|w| keep(**w)).map(|w| w * w).sum::<f64>()
        };
        let mu = positive * positive / squares(&|w| w > 0.0);
        let mu_minus = negative * negative / squares(&|w| w < 0.0).max(f64::MIN_POSITIVE);
        let rank_one = 2.0 / ((n + 1.3).powi(2) + mu);
        let rank_mu =
            (1.0 - rank_one - 1e-8).min(2.0 * (mu - 2.0 + 1.0 / mu) / ((n + 2.0).powi(2) + mu));
        let least = (1.0 + rank_one / rank_mu)
            .min(1.0 + 2.0 * mu_minus / (mu + 2.0))
            .min((1.0 - rank_one - rank_mu) / (n * rank_mu));
        let weights: Vec<f64> = raw
            .iter()
            .map(|w| if *w >= 0.0 { w / positive } else { least * w / negative })
            .collect();
        let step = (mu + 2.0) / (n + mu + 5.0);
        let damping = 1.0 + 2.0 * (((mu - 1.0) / (n + 1.0)).sqrt() - 1.0).max(0.0) + step;
        let path = (4.0 + mu / n) / (n + 4.0 + 2.0 * mu / n);
        let expected = n.sqrt() * (1.0 - 1.0 / (4.0 * n) + 1.0 / (21.0 * n * n));

        self.generation += 1;
        let moves: Vec<Vec<f64>> = points
            .iter()
            .map(|p| {
                (0..dims).map(|i| (p[i] - self.mean[i]) / (self.sigma * self.scale[i])).collect()
            })
            .collect();
        let mean_move: Vec<f64> = (0..dims)
            .map(|i| {
                let better = weights.iter().zip(&moves).filter(|(w, _)| **w > 0.0);
                better.map(|(w, m)| w * m[i]).sum()
            })
            .collect();
        for (i, by) in mean_move.iter().enumerate() {
            self.mean[i] += self.sigma * self.scale[i] * by;
        }
        // C^(−1/2) of a move.
        let white = |m: &[f64]| -> Vec<f64> {
            let along: Vec<f64> = (0..dims)
                .map(|j| (0..dims).map(|i| self.axes[(i, j)] * m[i]).sum::<f64>() / self.roots[j])
                .collect();
            (0..dims).map(|i| (0..dims).map(|j| self.axes[(i, j)] * along[j]).sum()).collect()
        };
        let white_mean = white(&mean_move);
        for (own, by) in self.sigma_path.iter_mut().zip(&white_mean) {
            *own = (1.0 - step) * *own + (step * (2.0 - step) * mu).sqrt() * by;
        }
        let length = self.sigma_path.iter().map(|v| v * v).sum::<f64>().sqrt();
        let fading = (1.0 - (1.0 - step).powi(2 * self.generation)).sqrt();
        let moving = length / fading < (1.4 + 2.0 / (n + 1.0)) * expected;
        for (own, by) in self.path.iter_mut().zip(&mean_move) {
            let by = if moving { (path * (2.0 - path) * mu).sqrt() * by } else { 0.0 };
            *own = (1.0 - path) * *own + by;
        }
        let still = if moving { 0.0 } else { rank_one * path * (2.0 - path) };
        // Worse moves count by their length, so that C stays positive definite.
        let shares: Vec<f64> = weights
            .iter()
            .zip(&moves)
            .map(|(w, m)| {
                let long = white(m).iter().map(|v| v * v).sum::<f64>();
                if *w >= 0.0 { *w } else { w * n / (long + 1e-8) }
            })
            .collect();
        let sum: f64 = weights.iter().sum();
        let old = 1.0 + still - rank_one - rank_mu * sum;
        let covariance = Mat::from_fn(dims, dims, |i, j| {
            let all: f64 = shares.iter().zip(&moves).map(|(w, m)| w * m[i] * m[j]).sum();
            old * self.covariance[(i, j)] + rank_one * self.path[i] * self.path[j] + rank_mu * all
        });
        self.sigma *= (step / damping * (length / expected - 1.0)).exp();
        self.sigma = self.sigma.clamp(1e-12, 10.0);
        if let Ok(eigen) = covariance.self_adjoint_eigen(Side::Lower) {
            let values = eigen.S().column_vector();
            self.roots = (0..dims).map(|i| values[i].max(1e-20).sqrt()).collect();
            self.axes = eigen.U().to_owned();
            self.covariance = covariance;
        }
    }

    /// Every discrete coordinate leaves its value with a probability of at least
    /// `1 / (d λ)`.
    fn keep_margin(&mut self, columns: &[Column]) {
        let dims = self.mean.len();
        let margin = 1.0 / (dims * self.population) as f64;
        for (i, column) in columns.iter().enumerate() {
            let Some(levels) = column.levels.as_ref().filter(|l| l.len() > 1) else { continue };
            let spread = self.sigma * self.covariance[(i, i)].sqrt();
            let width = spread * self.scale[i];
            let mean = self.mean[i];
            let at = (0..levels.len())
                .min_by(|&a, &b| (levels[a] - mean).abs().total_cmp(&(levels[b] - mean).abs()))
                .unwrap_or(0);
            let below = at.checked_sub(1).map(|b| 0.5 * (levels[b] + levels[at]));
            let above = levels.get(at + 1).map(|a| 0.5 * (levels[at] + a));
            match (below, above) {
                (Some(border), None) => {
                    self.mean[i] = mean.min(border + width * tail_point(margin));
                }
                (None, Some(border)) => {
                    self.mean[i] = mean.max(border - width * tail_point(margin));
                }
                (Some(low), Some(high)) => {
                    let tail = |z: f64| 0.5 * libm::erfc(z * std::f64::consts::FRAC_1_SQRT_2);
                    let (under, over) = (tail((mean - low) / width), tail((high - mean) / width));
                    let middle = 1.0 - under - over;
                    let (u, o) = (under.max(margin / 2.0), over.max(margin / 2.0));
                    let excess = 1.0 - u - o - middle;
                    let room = u + o + middle - 1.5 * margin;
                    if room <= 0.0 {
                        continue;
                    }
                    let u = (u + excess * (u - margin / 2.0) / room).clamp(1e-12, 0.499_999);
                    let o = (o + excess * (o - margin / 2.0) / room).clamp(1e-12, 0.499_999);
                    let (a, b) = (tail_point(u), tail_point(o));
                    if a + b > 1e-9 && (u != under || o != over) {
                        self.mean[i] = (low * b + high * a) / (a + b);
                        self.scale[i] = (high - low) / ((a + b) * spread.max(1e-300));
                    }
                }
                (None, None) => {}
            }
        }
    }
}

/// The standard normal's point with probability `p` above it, by bisection.
fn tail_point(p: f64) -> f64 {
    let (mut low, mut high) = (-40.0, 40.0);
    for _ in 0..80 {
        let middle = 0.5 * (low + high);
        if 0.5 * libm::erfc(middle * std::f64::consts::FRAC_1_SQRT_2) > p {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::suggester::Random;
    use crate::{BoxError, Space, Study, Trial};

    #[test]
    fn tail_points_are_those_of_the_normal() {
        assert!(tail_point(0.5).abs() < 1e-12);
        assert!((tail_point(0.025) - 1.959_963_984_540_054).abs() < 1e-9);
    }

    #[test]
    fn it_converges_on_an_ellipsoid_and_moves_integers() {
        let space = Space::new()
            .float("x", -5.0..=5.0)
            .and_then(|s| s.float("y", -5.0..=5.0))
            .and_then(|s| s.int("k", -10..=10))
            .unwrap();
        let study = Study::minimize("e").suggester(CmaEs::new()).space(space.clone()).seed(1);
        study
            .optimize(600, |trial| {
                let p = trial.suggest_all(&space)?;
                let value = |name: &str| p[name].as_f64().unwrap_or(f64::NAN);
                Ok((value("x") - 1.0).powi(2)
                    + 100.0 * (value("y") - 2.0 * value("x")).powi(2)
                    + (value("k") - 7.0).powi(2))
            })
            .unwrap();
        let best = study.best().unwrap().unwrap();
        assert!(best.value().unwrap() < 1e-4, "{best:?}");
    }

    #[test]
    fn a_range_that_has_changed_begins_anew_as_a_resumed_study_does() {
        let square = |high: f64| {
            move |trial: &mut Trial| -> Result<f64, BoxError> {
                Ok((trial.suggest_float("x", 0.0..=high)? - 0.1).powi(2))
            }
        };
        let study = Study::minimize("wider").suggester(Random).seed(1);
        study.optimize(20, square(1.0)).unwrap();
        let narrow = study.trials().unwrap();
        study.optimize(24, square(8.0)).unwrap();
        let wide = study.trials().unwrap();
        let suggest = |suggester: &mut CmaEs, history| {
            suggester.suggest(&Task::after(history, 24)).unwrap().unwrap()
        };
        let mut kept = CmaEs::new();
        suggest(&mut kept, &narrow);
        assert_eq!(suggest(&mut kept, &wide), suggest(&mut CmaEs::new(), &wide));
    }
}
