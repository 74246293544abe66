use counterweight_core::{ClassProfile, derive, ensure, rng};
use rand::RngExt;
use rayon::prelude::*;
use serde::Serialize;

use crate::{Error, Metric, Predictions, Result};

/// A value with its percentile interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Interval {
    /// The value on the data.
    pub value: f64,
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
}

impl Interval {
    /// Whether the interval lies on one side of zero.
    pub fn excludes_zero(&self) -> bool {
        self.low > 0.0 || self.high < 0.0
    }
}

/// A metric before and after a treatment, with the paired difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Comparison {
    /// The metric.
    pub metric: Metric,
    /// Before.
    pub before: Interval,
    /// After.
    pub after: Interval,
    /// After − before on the same resampled rows.
    pub difference: Interval,
}

/// The stratified percentile bootstrap (Efron 1979): rows are redrawn within each
/// class, so that every class keeps its support.
///
/// 1000 resamples, 95 % level, seed 0 by default; the result does not depend on the
/// thread count.
#[derive(Debug, Clone)]
pub struct Bootstrap {
    resamples: usize,
    level: f64,
    seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { resamples: 1000, level: 0.95, seed: 0 }
    }
}

impl Bootstrap {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the number of resamples, at least 10.
    #[must_use]
    pub fn with_resamples(mut self, resamples: usize) -> Self {
        self.resamples = resamples;
        self
    }

    /// Sets the level, in (0, 1).
    #[must_use]
    pub fn with_level(mut self, level: f64) -> Self {
        self.level = level;
        self
    }

    /// Sets the seed.
    #[must_use]
    pub fn with_seed(mut self, seed: u64) -> Self {
        self.seed = seed;
        self
    }

    /// Compares two models on the same rows, metric by metric; metrics undefined on the
    /// data are left out.
    ///
    /// # Errors
    /// For parameters out of range, or predictions of different truths.
    pub fn compare(
        &self,
        before: &Predictions,
        after: &Predictions,
        profile: &ClassProfile,
    ) -> Result<Vec<Comparison>> {
        let ok = self.resamples >= 10;
        ensure("resamples", self.resamples as f64, ok, "[10, inf)")?;
        ensure("level", self.level, self.level > 0.0 && self.level < 1.0, "(0, 1)")?;
        if before.truth() != after.truth() {
            return Err(Error::DifferentRows);
        }
        counterweight_core::ensure_length(
            "a row of probabilities",
            before.probabilities().ncols(),
            profile.classes(),
        )?;
        let values = |rows: &[usize]| -> Vec<(f64, f64)> {
            let (b, a) =
                (before.tally_of(rows.iter().copied()), after.tally_of(rows.iter().copied()));
            let value = |t: &crate::Tally, m| t.metric(m, profile).unwrap_or(f64::NAN);
            Metric::ALL.iter().map(|&m| (value(&b, m), value(&a, m))).collect()
        };
        let all: Vec<usize> = (0..before.len()).collect();
        let point = values(&all);
        let mut by_class = vec![Vec::new(); profile.classes()];
        for (row, &class) in before.truth().iter().enumerate() {
            by_class[class].push(row);
        }
        let draws: Vec<Vec<(f64, f64)>> = (0..self.resamples as u64)
            .into_par_iter()
            .map(|resample| {
                let mut rng = rng(derive(self.seed, resample));
                let rows: Vec<usize> = by_class
                    .iter()
                    .flat_map(|members| std::iter::repeat_n(members, members.len()))
                    .map(|members| members[rng.random_range(0..members.len())])
                    .collect();
                values(&rows)
            })
            .collect();
        // Stratification keeps each class's support, so a metric defined on the data is
        // defined on every resample.
        let defined =
            (0..Metric::ALL.len()).filter(|&i| !point[i].0.is_nan() && !point[i].1.is_nan());
        Ok(defined
            .map(|i| {
                let interval = |of: &dyn Fn((f64, f64)) -> f64| {
                    self.interval(of(point[i]), draws.iter().map(|d| of(d[i])).collect())
                };
                Comparison {
                    metric: Metric::ALL[i],
                    before: interval(&|v| v.0),
                    after: interval(&|v| v.1),
                    difference: interval(&|v| v.1 - v.0),
                }
            })
            .collect())
    }

    fn interval(&self, value: f64, mut draws: Vec<f64>) -> Interval {
        draws.sort_unstable_by(f64::total_cmp);
        let at = |q: f64| {
            let position = q * (draws.len() - 1) as f64;
            let (low, high) = (position.floor() as usize, position.ceil() as usize);
            draws[low] + (position - low as f64) * (draws[high] - draws[low])
        };
        Interval { value, low: at((1.0 - self.level) / 2.0), high: at((1.0 + self.level) / 2.0) }
    }
}
