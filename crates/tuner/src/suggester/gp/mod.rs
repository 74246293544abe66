//! Gaussian-process Bayesian optimisation.

mod acquisition;
mod kernel;
mod model;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use self::acquisition::maximise;
use self::kernel::Kind;
use self::model::Model;
use super::{Suggester, Task};
use crate::{Distribution, Error, Params, Result, Space};

/// Bayesian optimisation with a Gaussian process (Snoek et al., NeurIPS 2012).
///
/// Parameters are mapped to `[0, 1]` (logarithms first, integers and steps to the middle
/// of their share); categories enter the distance as equal or different. The model is an
/// exact GP with a Matérn 5/2 kernel, one length scale per parameter (ARD), a signal and
/// a noise variance, fitted by maximum a posteriori with analytic gradients from several
/// starts. The next point maximises the logarithm of expected improvement over the best
/// posterior mean (Ament et al., NeurIPS 2023), by random starts and local search over
/// the values that the space really has.
///
/// The first trials are random (default 10, as in Optuna). Cost per trial is cubic in
/// the number of finished trials; meant for studies of up to a few hundred.
#[derive(Debug, Clone)]
pub struct GaussianProcess {
    startup: usize,
}

impl Default for GaussianProcess {
    fn default() -> Self {
        Self { startup: 10 }
    }
}

impl GaussianProcess {
    /// 10 random trials first.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of random trials before the model is used, at least 2.
    #[must_use]
    pub fn with_startup(mut self, startup: usize) -> Self {
        self.startup = startup;
        self
    }
}

impl Suggester for GaussianProcess {
    fn suggest(&mut self, task: &Task<'_>) -> Result<Option<Params>> {
        if self.startup < 2 {
            return Err(Error::OutOfRange {
                name: "startup",
                value: self.startup as f64,
                allowed: "[2, inf)",
            });
        }
        let Some(space) = task.space else {
            return Ok(Some(Params::new()));
        };
        // Trials of another space (a changed range) cannot be placed in this one.
        let placed =
            task.observations.iter().filter_map(|o| Some((space.encode(o.params)?, o.score)));
        let (points, scores): (Vec<_>, Vec<_>) = placed.unzip();
        if points.len() < self.startup {
            return Ok(Some(Params::new()));
        }
        let mut rng = ChaCha8Rng::seed_from_u64(task.seed);
        let Some(model) = Model::fit(points, &scores, kinds(space), &mut rng) else {
            return Ok(Some(Params::new()));
        };
        let snap = |point: &mut [f64]| snap(space, point);
        Ok(Some(space.decode(&maximise(&model, &snap, &mut rng))))
    }
}

fn kinds(space: &Space) -> Vec<Kind> {
    let kind = |(_, d): (&str, &Distribution)| match d {
        Distribution::Categorical { .. } => Kind::Category,
        _ => Kind::Number,
    };
    space.iter().map(kind).collect()
}

/// Moves a point to the nearest one that the space can represent, so that the model is
/// asked about values that can really be tried.
fn snap(space: &Space, point: &mut [f64]) {
    for (unit, (_, distribution)) in point.iter_mut().zip(space.iter()) {
        if let Some(snapped) = distribution.encode(&distribution.decode(*unit)) {
            *unit = snapped;
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::{GaussianProcess, Random, Study, Suggester};

    fn best(suggester: impl Suggester + 'static, trials: usize, seed: u64) -> f64 {
        let mut study = Study::minimize("branin").suggester(suggester).seed(seed);
        study
            .optimize(trials, |trial| {
                let x = trial.suggest_float("x", -5.0..=10.0)?;
                let y = trial.suggest_float("y", 0.0..=15.0)?;
                Ok(branin(x, y))
            })
            .unwrap();
        study.best().unwrap().value.unwrap()
    }

    /// Branin's function, minimum 0.397887 at three points.
    fn branin(x: f64, y: f64) -> f64 {
        use std::f64::consts::PI;
        let b = 5.1 / (4.0 * PI * PI);
        let inner = y - b * x * x + 5.0 / PI * x - 6.0;
        inner * inner + 10.0 * (1.0 - 1.0 / (8.0 * PI)) * x.cos() + 10.0
    }

    #[test]
    fn it_finds_branins_minimum_in_thirty_trials_where_random_search_does_not() {
        let seeds = 0..5;
        let gp: Vec<f64> = seeds.clone().map(|s| best(GaussianProcess::new(), 30, s)).collect();
        let random: Vec<f64> = seeds.map(|s| best(Random, 30, s)).collect();
        let median = |mut v: Vec<f64>| {
            v.sort_by(f64::total_cmp);
            v[2]
        };
        let (gp, random) = (median(gp), median(random));
        assert!(gp < 0.41, "median regret too large: {gp}");
        assert!(gp < random, "{gp} against random {random}");
    }
}
