use counterweight_core::ensure;
use serde::Serialize;

use crate::Predictions;
use crate::Result;

/// A point of a [`RiskCoverage`] curve.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct RiskPoint {
    /// The confidence from which on rows are decided.
    pub threshold: f64,
    /// The share of rows decided.
    pub coverage: f64,
    /// The share of those that is wrong.
    pub risk: f64,
}

/// Error against the share of rows decided, when the least confident are left to somebody else
/// (El-Yaniv and Wiener, JMLR 2010; Geifman and El-Yaniv, NeurIPS 2017).
///
/// ```
/// use counterweight_metrics::{Predictions, RiskCoverage};
/// use ndarray::array;
///
/// let p = array![[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.55, 0.45]];
/// let curve = RiskCoverage::new(&Predictions::new(vec![0, 0, 0, 1], p)?);
/// let point = curve.most_coverage(0.1)?.unwrap();
/// assert_eq!((point.coverage, point.threshold), (0.75, 0.6));
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct RiskCoverage {
    points: Vec<RiskPoint>,
}

impl RiskCoverage {
    /// Sorts rows by the probability of their predicted class; rows of equal confidence are
    /// decided together.
    pub fn new(predictions: &Predictions) -> Self {
        let rows = predictions.predicted().iter().zip(predictions.truth()).enumerate();
        let mut items: Vec<(f64, bool)> =
            rows.map(|(row, (&p, &t))| (predictions.probabilities()[[row, p]], p != t)).collect();
        items.sort_by(|a, b| b.0.total_cmp(&a.0));
        let (mut decided, mut wrong) = (0usize, 0usize);
        let points = items
            .chunk_by(|a, b| a.0 == b.0)
            .map(|tied| {
                decided += tied.len();
                wrong += tied.iter().filter(|row| row.1).count();
                RiskPoint {
                    threshold: tied[0].0,
                    coverage: decided as f64 / items.len() as f64,
                    risk: wrong as f64 / decided as f64,
                }
            })
            .collect();
        Self { points }
    }

    /// The points from the most confident rows to all rows.
    pub fn points(&self) -> &[RiskPoint] {
        &self.points
    }

    /// The area under the curve, AURC: the mean risk over coverages, lower is better.
    pub fn area(&self) -> f64 {
        let mut before = 0.0;
        let mut area = 0.0;
        for p in &self.points {
            area += (p.coverage - before) * p.risk;
            before = p.coverage;
        }
        area
    }

    /// The point of the largest coverage whose risk is at most `risk`; `None` when even the
    /// most confident rows are worse.
    ///
    /// # Errors
    /// For a risk outside `[0, 1]`.
    pub fn most_coverage(&self, risk: f64) -> Result<Option<RiskPoint>> {
        ensure("risk", risk, (0.0..=1.0).contains(&risk), "[0, 1]")?;
        Ok(self.points.iter().rev().find(|p| p.risk <= risk).copied())
    }
}
