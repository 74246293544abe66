use counterweight_core::ensure_length;
use serde::{Deserialize, Serialize};
use statrs::function::beta::beta_reg;
use statrs::function::factorial::ln_binomial;

use crate::{Error, Predictions, Result};

/// McNemar's test (1947) of two classifiers on the same rows: only the rows that one gets
/// right and the other wrong tell them apart. An accumulator with `update` and `merge`.
///
/// ```
/// use counterweight_metrics::McNemar;
///
/// let mut test = McNemar::default();
/// for (before, after) in [(true, true), (false, true), (false, true), (true, false)] {
///     test.update(before, after);
/// }
/// assert_eq!((test.only_before, test.only_after), (1, 2));
/// assert_eq!(test.exact(), 1.0);
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct McNemar {
    /// Rows that only the first gets right.
    pub only_before: u64,
    /// Rows that only the second gets right.
    pub only_after: u64,
}

impl McNemar {
    /// Compares which rows are right before and after a treatment.
    ///
    /// # Errors
    /// For predictions of different truths.
    pub fn new(before: &Predictions, after: &Predictions) -> Result<Self> {
        if before.truth() != after.truth() {
            return Err(Error::DifferentRows);
        }
        Self::from_labels(before.truth(), before.predicted(), after.predicted())
    }

    /// The same from class ids.
    ///
    /// # Errors
    /// For arrays of different lengths.
    pub fn from_labels(truth: &[usize], before: &[usize], after: &[usize]) -> Result<Self> {
        ensure_length("predictions", before.len(), truth.len())?;
        ensure_length("predictions", after.len(), truth.len())?;
        let mut test = Self::default();
        for (t, (b, a)) in truth.iter().zip(before.iter().zip(after)) {
            test.update(b == t, a == t);
        }
        Ok(test)
    }

    /// Adds a row: whether each is right.
    pub fn update(&mut self, before: bool, after: bool) {
        self.only_before += u64::from(before && !after);
        self.only_after += u64::from(after && !before);
    }

    /// Adds another shard.
    pub fn merge(&mut self, other: &Self) {
        self.only_before += other.only_before;
        self.only_after += other.only_after;
    }

    /// Exact two-sided p-value: twice the smaller tail of a fair coin, at most 1.
    pub fn exact(&self) -> f64 {
        (2.0 * self.tail()).min(1.0)
    }

    /// Mid-p value (Fagerland et al. 2013): the observed count at half its weight, less
    /// conservative than [`exact`](Self::exact).
    pub fn mid_p(&self) -> f64 {
        let (n, least) = self.counts();
        if self.only_before == self.only_after {
            return 1.0 - 0.5 * self.coin(n, least);
        }
        (2.0 * self.tail() - self.coin(n, least)).min(1.0)
    }

    /// p-value of the chi-squared approximation, with Edwards' continuity correction if asked
    /// for; 1 when no row tells them apart.
    pub fn chi_squared(&self, corrected: bool) -> f64 {
        let (n, _) = self.counts();
        if n == 0 {
            return 1.0;
        }
        let apart = self.only_before.abs_diff(self.only_after) as f64;
        let apart = if corrected { (apart - 1.0).max(0.0) } else { apart };
        libm::erfc((apart * apart / n as f64 / 2.0).sqrt())
    }

    fn counts(&self) -> (u64, u64) {
        (self.only_before + self.only_after, self.only_before.min(self.only_after))
    }

    /// The chance of at most the smaller count.
    fn tail(&self) -> f64 {
        let (n, least) = self.counts();
        if n == least { 1.0 } else { beta_reg((n - least) as f64, least as f64 + 1.0, 0.5) }
    }

    /// The chance of exactly the smaller count.
    fn coin(&self, n: u64, least: u64) -> f64 {
        (ln_binomial(n, least) - n as f64 * std::f64::consts::LN_2).exp()
    }
}
