use counterweight_core::{ClassProfile, Rng, derive, ensure, ensure_length, rng};
use rand::RngExt;
use rayon::prelude::*;
use serde::Serialize;

use super::ranked::{Ranked, Sums};
use crate::{CurveMetric, Error, Metric, Predictions, Result};

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

/// A curve metric before and after a treatment, with the paired difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct CurveComparison {
    /// The metric.
    pub metric: CurveMetric,
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
        self.check()?;
        if before.truth() != after.truth() {
            return Err(Error::DifferentRows);
        }
        counterweight_core::ensure_length(
            "a row of probabilities",
            before.probabilities().ncols(),
            profile.classes(),
        )?;
        let mut by_class = vec![Vec::new(); profile.classes()];
        for (row, &class) in (0u32..).zip(before.truth()) {
            by_class[class].push(row);
        }
        let values = |weights: &[u32]| -> Vec<(f64, f64)> {
            let of = |p: &Predictions| {
                p.weighted_tally(weights.iter().map(|&w| f64::from(w))).metrics(profile)
            };
            let known = |v: Option<f64>| v.unwrap_or(f64::NAN);
            of(before).into_iter().zip(of(after)).map(|(b, a)| (known(b), known(a))).collect()
        };
        let point = values(&vec![1; before.len()]);
        let draws: Vec<Vec<(f64, f64)>> = (0..self.resamples as u64)
            .into_par_iter()
            .map(|resample| {
                let mut rng = rng(derive(self.seed, resample));
                let mut weights = vec![0; before.len()];
                for members in by_class.iter().filter(|members| !members.is_empty()) {
                    for place in places(members.len(), &mut rng) {
                        weights[members[place] as usize] += 1;
                    }
                }
                values(&weights)
            })
            .collect();
        // Stratification keeps each class's support, so a metric defined on the data is
        // defined on every resample, but for kappa where chance agrees always.
        let defined = |i: &usize| {
            !point[*i].0.is_nan()
                && !point[*i].1.is_nan()
                && draws.iter().all(|d| !d[*i].0.is_nan() && !d[*i].1.is_nan())
        };
        Ok((0..Metric::ALL.len())
            .filter(defined)
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

    /// The interval of a curve metric: sorted once, then reweighted by every resample.
    ///
    /// `None` without positives or without negatives.
    ///
    /// # Errors
    /// For parameters out of range, arrays of different lengths, or a score that is NaN.
    ///
    /// ```
    /// use counterweight_metrics::{Bootstrap, CurveMetric};
    ///
    /// let scores: Vec<f64> = (0..200).map(|i| f64::from(i % 17) + f64::from(i % 2)).collect();
    /// let truth: Vec<bool> = (0..200).map(|i| i % 2 == 1).collect();
    /// let auroc = Bootstrap::new().curve(CurveMetric::Auroc, &scores, &truth)?.unwrap();
    /// assert!(auroc.low < auroc.value && auroc.value < auroc.high);
    /// # Ok::<(), counterweight_metrics::Error>(())
    /// ```
    pub fn curve(
        &self,
        metric: CurveMetric,
        scores: &[f64],
        truth: &[bool],
    ) -> Result<Option<Interval>> {
        Ok(self.curves(metric, &[scores], truth)?.map(|(point, draws)| {
            self.interval(point[0], draws.into_iter().map(|d| d[0]).collect())
        }))
    }

    /// The same of two models on the same rows, with the paired difference.
    ///
    /// # Errors
    /// As [`curve`](Self::curve).
    pub fn compare_curves(
        &self,
        metric: CurveMetric,
        before: &[f64],
        after: &[f64],
        truth: &[bool],
    ) -> Result<Option<CurveComparison>> {
        Ok(self.curves(metric, &[before, after], truth)?.map(|(point, draws)| {
            let interval = |of: &dyn Fn(&[f64]) -> f64| {
                self.interval(of(&point), draws.iter().map(|d| of(d)).collect())
            };
            CurveComparison {
                metric,
                before: interval(&|v| v[0]),
                after: interval(&|v| v[1]),
                difference: interval(&|v| v[1] - v[0]),
            }
        }))
    }

    /// Values on the data and on every resample, one per model; `None` when one side is empty.
    fn curves(
        &self,
        metric: CurveMetric,
        models: &[&[f64]],
        truth: &[bool],
    ) -> Result<Option<Values>> {
        self.check()?;
        for scores in models {
            ensure_length("scores", scores.len(), truth.len())?;
            if let Some(row) = scores.iter().position(|s| s.is_nan()) {
                return Err(Error::Score { row, value: f64::NAN });
            }
        }
        let rows = |side: bool| (0u32..).zip(truth).filter(move |t| *t.1 == side).map(|t| t.0);
        let sides: [Vec<u32>; 2] = [rows(true).collect(), rows(false).collect()];
        if sides.iter().any(Vec::is_empty) {
            return Ok(None);
        }
        let ranked: Vec<Ranked> = models.iter().map(|scores| Ranked::new(scores, &sides)).collect();
        let values = |counts: &[Vec<u32>; 2], room: &mut Sums| -> Vec<f64> {
            ranked.iter().map(|model| model.value(metric, counts, room)).collect()
        };
        let empty = || [vec![0; sides[0].len()], vec![0; sides[1].len()]];
        let ones = [vec![1; sides[0].len()], vec![1; sides[1].len()]];
        let point = values(&ones, &mut Sums::default());
        let draws = (0..self.resamples as u64)
            .into_par_iter()
            .map_init(
                || (Sums::default(), empty()),
                |(room, counts), resample| {
                    let mut rng = rng(derive(self.seed, resample));
                    for side in counts.iter_mut() {
                        side.fill(0);
                        for place in places(side.len(), &mut rng) {
                            side[place] += 1;
                        }
                    }
                    values(counts, room)
                },
            )
            .collect();
        Ok(Some((point, draws)))
    }

    fn check(&self) -> Result<()> {
        let ok = self.resamples >= 10;
        ensure("resamples", self.resamples as f64, ok, "[10, inf)")?;
        ensure("level", self.level, self.level > 0.0 && self.level < 1.0, "(0, 1)")?;
        Ok(())
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

/// On the data, and on every resample; one value per model.
type Values = (Vec<f64>, Vec<Vec<f64>>);

/// n of n places, drawn with replacement.
fn places(n: usize, rng: &mut Rng) -> impl Iterator<Item = usize> {
    (0..n).map(move |_| rng.random_range(0..n as u32) as usize)
}
