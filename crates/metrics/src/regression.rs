use counterweight_core::{ClassProfile, Segment, ensure};
use serde::{Deserialize, Serialize};

use crate::Result;
use crate::counts::{check_ids, ratio};

/// Errors of a regression: an accumulator with `update` and `merge`.
///
/// ```
/// use counterweight_metrics::RegressionErrors;
///
/// let mut errors = RegressionErrors::default();
/// errors.update(1.0, 3.0)?;
/// errors.update(5.0, 4.5)?;
/// assert_eq!(errors.mean_absolute(), Some(1.25));
/// assert_eq!(errors.geometric_mean(), Some(1.0));
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
pub struct RegressionErrors {
    n: f64,
    absolute: f64,
    squared: f64,
    /// Σ ln |error| of the errors that are not 0.
    logs: f64,
    zeros: u64,
}

impl RegressionErrors {
    /// Adds a target and what was predicted for it.
    ///
    /// # Errors
    /// For a value that is not finite.
    pub fn update(&mut self, truth: f64, predicted: f64) -> Result<()> {
        ensure("truth", truth, truth.is_finite(), "(-inf, inf)")?;
        ensure("prediction", predicted, predicted.is_finite(), "(-inf, inf)")?;
        let error = (truth - predicted).abs();
        self.n += 1.0;
        self.absolute += error;
        self.squared += error * error;
        if error > 0.0 {
            self.logs += error.ln();
        } else {
            self.zeros += 1;
        }
        Ok(())
    }

    /// Adds another shard.
    pub fn merge(&mut self, other: &Self) {
        self.n += other.n;
        self.absolute += other.absolute;
        self.squared += other.squared;
        self.logs += other.logs;
        self.zeros += other.zeros;
    }

    /// Rows.
    pub fn rows(&self) -> u64 {
        self.n as u64
    }

    /// Mean absolute error.
    pub fn mean_absolute(&self) -> Option<f64> {
        ratio(self.absolute, self.n)
    }

    /// Mean squared error.
    pub fn mean_squared(&self) -> Option<f64> {
        ratio(self.squared, self.n)
    }

    /// Root of the mean squared error.
    pub fn root_mean_squared(&self) -> Option<f64> {
        self.mean_squared().map(f64::sqrt)
    }

    /// Geometric mean of the absolute errors (Yang et al., ICML 2021), which a few large errors
    /// do not dominate; 0 as soon as one error is 0.
    pub fn geometric_mean(&self) -> Option<f64> {
        let mean = ratio(self.logs, self.n)?;
        Some(if self.zeros > 0 { 0.0 } else { mean.exp() })
    }
}

/// Errors over all targets and over the frequent, middling and rare ones ("many-, medium- and
/// few-shot", Yang et al., ICML 2021): an accumulator with `update` and `merge`.
///
/// The classes of the profile are bins of the target, counted in training.
///
/// ```
/// use counterweight_core::{ClassProfile, Segment};
/// use counterweight_metrics::ShotErrors;
///
/// let bins = ClassProfile::from_counts([900, 90, 10])?;
/// let mut errors = ShotErrors::new(&bins);
/// errors.update(0, 0.2, 0.3)?;
/// errors.update(2, 2.5, 0.5)?;
/// assert_eq!(errors.segment(Segment::Tail).mean_absolute(), Some(2.0));
/// assert_eq!(errors.all().rows(), 2);
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ShotErrors {
    segments: Vec<Segment>,
    errors: [RegressionErrors; 3],
}

impl ShotErrors {
    /// Nothing yet.
    pub fn new(bins: &ClassProfile) -> Self {
        let segments = (0..bins.classes()).map(|bin| bins.segment(bin)).collect();
        Self { segments, errors: Default::default() }
    }

    /// Adds a target, its bin, and what was predicted for it.
    ///
    /// # Errors
    /// For a bin outside the profile or a value that is not finite.
    pub fn update(&mut self, bin: usize, truth: f64, predicted: f64) -> Result<()> {
        check_ids(bin, bin, 0, self.segments.len())?;
        self.errors[place(self.segments[bin])].update(truth, predicted)
    }

    /// Adds another shard.
    pub fn merge(&mut self, other: &Self) {
        self.errors.iter_mut().zip(&other.errors).for_each(|(mine, theirs)| mine.merge(theirs));
    }

    /// The errors of a segment's targets.
    pub fn segment(&self, segment: Segment) -> &RegressionErrors {
        &self.errors[place(segment)]
    }

    /// The errors of all targets.
    pub fn all(&self) -> RegressionErrors {
        let mut all = RegressionErrors::default();
        self.errors.iter().for_each(|part| all.merge(part));
        all
    }
}

fn place(segment: Segment) -> usize {
    match segment {
        Segment::Head => 0,
        Segment::Mid => 1,
        Segment::Tail => 2,
    }
}
