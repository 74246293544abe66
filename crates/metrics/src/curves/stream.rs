use counterweight_core::{ensure, ensure_length};
use serde::{Deserialize, Serialize};

use super::ScoreCurve;
use crate::calibration::check_probability;
use crate::counts::{check_weight, ratio};
use crate::{Error, Result};

/// A number that a curve comes down to, by name.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum CurveMetric {
    /// [`ScoreCurve::auroc`].
    Auroc,
    /// [`ScoreCurve::average_precision`].
    AveragePrecision,
    /// [`ScoreCurve::ks`].
    Ks,
}

impl CurveMetric {
    /// The name in reports, `snake_case`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Auroc => "auroc",
            Self::AveragePrecision => "average_precision",
            Self::Ks => "ks",
        }
    }

    /// Its value; `None` where undefined.
    pub fn of(self, curve: &ScoreCurve) -> Option<f64> {
        match self {
            Self::Auroc => curve.auroc(),
            Self::AveragePrecision => curve.average_precision(),
            Self::Ks => curve.ks(),
        }
    }
}

/// Scores and truths as they come, batch by batch, kept for an exact [`ScoreCurve`]:
/// 9 to 17 bytes per item.
///
/// ```
/// use counterweight_metrics::Scores;
///
/// let (mut first, mut second) = (Scores::new(), Scores::new());
/// first.update(0.9, true)?;
/// second.update(0.4, false)?;
/// first.merge(&second);
/// assert_eq!(first.curve()?.auroc(), Some(1.0));
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub struct Scores {
    scores: Vec<f64>,
    truth: Vec<bool>,
    /// Empty while all are 1.
    weights: Vec<f64>,
}

impl Scores {
    /// Nothing yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds an item.
    ///
    /// # Errors
    /// For a score that is NaN.
    pub fn update(&mut self, score: f64, positive: bool) -> Result<()> {
        self.update_weighted(score, positive, 1.0)
    }

    /// Adds an item of a weight.
    ///
    /// # Errors
    /// For a score that is NaN, or a weight that is negative or not finite.
    pub fn update_weighted(&mut self, score: f64, positive: bool, weight: f64) -> Result<()> {
        if score.is_nan() {
            return Err(Error::Score { row: self.scores.len(), value: score });
        }
        check_weight(weight)?;
        if weight != 1.0 || !self.weights.is_empty() {
            self.weights.resize(self.scores.len(), 1.0);
            self.weights.push(weight);
        }
        self.scores.push(score);
        self.truth.push(positive);
        Ok(())
    }

    /// Adds another shard.
    pub fn merge(&mut self, other: &Self) {
        if !self.weights.is_empty() || !other.weights.is_empty() {
            self.weights.resize(self.scores.len(), 1.0);
            self.weights.extend_from_slice(&other.weights);
            self.weights.resize(self.scores.len() + other.scores.len(), 1.0);
        }
        self.scores.extend_from_slice(&other.scores);
        self.truth.extend_from_slice(&other.truth);
    }

    /// The items seen.
    pub fn len(&self) -> usize {
        self.scores.len()
    }

    /// Whether nothing was seen.
    pub fn is_empty(&self) -> bool {
        self.scores.is_empty()
    }

    /// The exact curve of everything seen.
    ///
    /// # Errors
    /// None: items are checked when they are added.
    pub fn curve(&self) -> Result<ScoreCurve> {
        if self.weights.is_empty() {
            ScoreCurve::new(&self.scores, &self.truth)
        } else {
            ScoreCurve::weighted(&self.scores, &self.truth, &self.weights)
        }
    }
}

/// Probabilities and truths counted in equal-width bins: curves over any number of items in
/// constant memory, with the error they may have.
///
/// Items of one bin count as tied, so a threshold is exact to `1 / bins`, and AUROC within
/// [`auroc_error`](Self::auroc_error).
///
/// ```
/// use counterweight_metrics::{ScoreHistogram, Scores};
///
/// let (mut exact, mut histogram) = (Scores::new(), ScoreHistogram::new(100)?);
/// for i in 0..10_000 {
///     let (p, positive) = (f64::from(i) / 10_000.0, i % 100 < i / 100);
///     exact.update(p, positive)?;
///     histogram.update(p, positive)?;
/// }
/// let apart = exact.curve()?.auroc().unwrap() - histogram.curve()?.auroc().unwrap();
/// assert!(apart.abs() <= histogram.auroc_error().unwrap());
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreHistogram {
    /// Weights of negatives and positives.
    bins: Vec<[f64; 2]>,
}

impl ScoreHistogram {
    /// Empty bins, `[b/B, (b+1)/B)`.
    ///
    /// # Errors
    /// For no bins.
    pub fn new(bins: usize) -> Result<Self> {
        ensure("bins", bins as f64, bins >= 1, "[1, inf)")?;
        Ok(Self { bins: vec![[0.0; 2]; bins] })
    }

    /// Adds a probability.
    ///
    /// # Errors
    /// For one that is NaN or outside `[0, 1]`.
    pub fn update(&mut self, probability: f64, positive: bool) -> Result<()> {
        self.update_weighted(probability, positive, 1.0)
    }

    /// Adds a probability of a weight.
    ///
    /// # Errors
    /// As [`update`](Self::update), and for a weight that is negative or not finite.
    pub fn update_weighted(&mut self, probability: f64, positive: bool, weight: f64) -> Result<()> {
        check_probability(probability, 0)?;
        check_weight(weight)?;
        let bin = ((probability * self.bins.len() as f64) as usize).min(self.bins.len() - 1);
        self.bins[bin][usize::from(positive)] += weight;
        Ok(())
    }

    /// Adds another shard.
    ///
    /// # Errors
    /// When the numbers of bins differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        ensure_length("bins", other.bins.len(), self.bins.len())?;
        for (mine, theirs) in self.bins.iter_mut().zip(&other.bins) {
            mine[0] += theirs[0];
            mine[1] += theirs[1];
        }
        Ok(())
    }

    /// The curve with one step per bin, its threshold the bin's lower edge.
    ///
    /// # Errors
    /// None in practice.
    pub fn curve(&self) -> Result<ScoreCurve> {
        let mut items = (Vec::new(), Vec::new(), Vec::new());
        for (i, bin) in self.bins.iter().enumerate() {
            for positive in [false, true] {
                let weight = bin[usize::from(positive)];
                if weight > 0.0 {
                    items.0.push(i as f64 / self.bins.len() as f64);
                    items.1.push(positive);
                    items.2.push(weight);
                }
            }
        }
        ScoreCurve::weighted(&items.0, &items.1, &items.2)
    }

    /// How far the AUROC of the curve can be from that of the items:
    /// `Σ_b p_b n_b / (2 P N)`, as pairs within a bin may all be in order or none.
    pub fn auroc_error(&self) -> Option<f64> {
        let sum = |side: usize| self.bins.iter().map(|b| b[side]).sum::<f64>();
        let within: f64 = self.bins.iter().map(|b| b[0] * b[1]).sum();
        ratio(within, 2.0 * sum(0) * sum(1))
    }
}
