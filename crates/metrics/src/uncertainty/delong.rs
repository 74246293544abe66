use counterweight_core::{ensure, ensure_length};
use serde::Serialize;
use statrs::function::erf::erfc_inv;

use super::Interval;
use crate::{Error, Result};

/// An AUROC with its variance over samples of rows (DeLong, DeLong and Clarke-Pearson,
/// Biometrics 1988), computed from midranks in O(n log n) (Sun and Xu 2014).
///
/// ```
/// use counterweight_metrics::DeLong;
///
/// let scores = [0.1, 0.3, 0.35, 0.4, 0.6, 0.8];
/// let truth = [false, false, true, false, true, true];
/// let auroc = DeLong::new(&scores, &truth)?.unwrap();
/// let interval = auroc.interval(0.95)?;
/// assert!(interval.low < auroc.auroc && interval.high <= 1.0);
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DeLong {
    /// The area.
    pub auroc: f64,
    /// Its variance.
    pub variance: f64,
}

/// Two models' AUROCs on the same rows: DeLong's test of their difference.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct DeLongTest {
    /// The first model.
    pub before: DeLong,
    /// The second model.
    pub after: DeLong,
    /// After − before.
    pub difference: f64,
    /// Its variance.
    pub variance: f64,
    /// Two-sided p-value of no difference: 1 when both are equal, 0 when they differ
    /// without any variance.
    pub p_value: f64,
}

/// Each row's share in the area: of positives and of negatives.
struct Components {
    area: f64,
    positives: Vec<f64>,
    negatives: Vec<f64>,
}

impl DeLong {
    /// The AUROC of scores; `None` with fewer than two positives or two negatives, whose
    /// variance is unknown.
    ///
    /// # Errors
    /// For arrays of different lengths or a score that is NaN.
    pub fn new(scores: &[f64], truth: &[bool]) -> Result<Option<Self>> {
        Ok(components(scores, truth)?.map(|c| c.estimate()))
    }

    /// Tests two models on the same rows; `None` as [`new`](Self::new).
    ///
    /// # Errors
    /// As [`new`](Self::new).
    pub fn test(before: &[f64], after: &[f64], truth: &[bool]) -> Result<Option<DeLongTest>> {
        let (Some(a), Some(b)) = (components(before, truth)?, components(after, truth)?) else {
            return Ok(None);
        };
        let apart =
            |x: &[f64], y: &[f64]| -> Vec<f64> { y.iter().zip(x).map(|(y, x)| y - x).collect() };
        let difference = b.area - a.area;
        let variance =
            spread(&apart(&a.positives, &b.positives)) + spread(&apart(&a.negatives, &b.negatives));
        let p_value = if difference == 0.0 {
            1.0
        } else {
            libm::erfc(difference.abs() / (2.0 * variance).sqrt())
        };
        let (before, after) = (a.estimate(), b.estimate());
        Ok(Some(DeLongTest { before, after, difference, variance, p_value }))
    }

    /// The normal interval, cut to `[0, 1]`.
    ///
    /// # Errors
    /// For a level outside (0, 1).
    pub fn interval(&self, level: f64) -> Result<Interval> {
        let half = normal_quantile(level)? * self.variance.sqrt();
        let (low, high) = ((self.auroc - half).max(0.0), (self.auroc + half).min(1.0));
        Ok(Interval { value: self.auroc, low, high })
    }
}

impl DeLongTest {
    /// The normal interval of the difference.
    ///
    /// # Errors
    /// For a level outside (0, 1).
    pub fn interval(&self, level: f64) -> Result<Interval> {
        let half = normal_quantile(level)? * self.variance.sqrt();
        let value = self.difference;
        Ok(Interval { value, low: value - half, high: value + half })
    }
}

impl Components {
    fn estimate(&self) -> DeLong {
        let variance = spread(&self.positives) + spread(&self.negatives);
        DeLong { auroc: self.area, variance }
    }
}

fn components(scores: &[f64], truth: &[bool]) -> Result<Option<Components>> {
    ensure_length("truth", truth.len(), scores.len())?;
    if let Some(row) = scores.iter().position(|s| s.is_nan()) {
        return Err(Error::Score { row, value: f64::NAN });
    }
    let rows =
        |side: bool| -> Vec<usize> { (0..truth.len()).filter(|&r| truth[r] == side).collect() };
    let (positives, negatives) = (rows(true), rows(false));
    if positives.len() < 2 || negatives.len() < 2 {
        return Ok(None);
    }
    let all: Vec<usize> = (0..truth.len()).collect();
    let mut overall = vec![0.0; truth.len()];
    midranks(scores, &all, |row, rank| overall[row] = rank);
    let side = |rows: &[usize], others: usize| {
        let mut own = vec![0.0; truth.len()];
        midranks(scores, rows, |row, rank| own[row] = rank);
        let share = |&row: &usize| (overall[row] - own[row]) / others as f64;
        rows.iter().map(share).collect::<Vec<f64>>()
    };
    // Of the positives the share of negatives below, of the negatives that of positives above.
    let below = side(&positives, negatives.len());
    let above: Vec<f64> = side(&negatives, positives.len()).iter().map(|s| 1.0 - s).collect();
    let area = below.iter().sum::<f64>() / below.len() as f64;
    Ok(Some(Components { area, positives: below, negatives: above }))
}

/// Ranks from 1 by rising score, tied rows at their mean.
fn midranks(scores: &[f64], rows: &[usize], mut set: impl FnMut(usize, f64)) {
    let mut order = rows.to_vec();
    order.sort_unstable_by(|&a, &b| scores[a].total_cmp(&scores[b]));
    let mut before = 0;
    for tied in order.chunk_by(|&a, &b| scores[a] == scores[b]) {
        let rank = before as f64 + (tied.len() + 1) as f64 / 2.0;
        tied.iter().for_each(|&row| set(row, rank));
        before += tied.len();
    }
}

/// The variance of the mean.
fn spread(values: &[f64]) -> f64 {
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / (n - 1.0) / n
}

/// How many standard deviations on both sides hold `level` of a normal distribution.
fn normal_quantile(level: f64) -> Result<f64> {
    ensure("level", level, level > 0.0 && level < 1.0, "(0, 1)")?;
    Ok(std::f64::consts::SQRT_2 * erfc_inv(1.0 - level))
}
