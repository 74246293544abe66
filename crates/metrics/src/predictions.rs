use counterweight_core::Error;
use ndarray::{Array2, ArrayView1, Axis};

use crate::error::Error as MetricsError;
use crate::metric::Outcome;
use crate::{Result, Tally};

/// Checked predictions: true class ids and a distribution over the classes per row.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    truth: Vec<usize>,
    probabilities: Array2<f64>,
    predicted: Vec<usize>,
    outcomes: Vec<Outcome>,
}

impl Predictions {
    /// Checks and stores predictions. The predicted class is the most probable, the
    /// first of equals.
    ///
    /// # Errors
    /// When there are no rows, lengths differ, a class id is out of range, or a row is
    /// not a distribution (finite, non-negative, summing to 1 within 1e-3).
    pub fn new(truth: Vec<usize>, probabilities: Array2<f64>) -> Result<Self> {
        if truth.is_empty() {
            return Err(Error::Empty { what: "predictions" }.into());
        }
        counterweight_core::ensure_length("probabilities", probabilities.nrows(), truth.len())?;
        let classes = probabilities.ncols();
        for (row, (&id, p)) in truth.iter().zip(probabilities.axis_iter(Axis(0))).enumerate() {
            if id >= classes {
                return Err(Error::ClassId { id, row, classes }.into());
            }
            check_row(row, p)?;
        }
        let rows = truth.iter().zip(probabilities.axis_iter(Axis(0)));
        let outcomes: Vec<Outcome> = rows.map(|(&truth, p)| Outcome::new(truth, p)).collect();
        let predicted = outcomes.iter().map(|row| row.predicted).collect();
        Ok(Self { truth, probabilities, predicted, outcomes })
    }

    /// True class ids.
    pub fn truth(&self) -> &[usize] {
        &self.truth
    }

    /// Predicted class ids.
    pub fn predicted(&self) -> &[usize] {
        &self.predicted
    }

    /// The distributions, `[rows, classes]`.
    pub fn probabilities(&self) -> &Array2<f64> {
        &self.probabilities
    }

    /// Rows.
    pub fn len(&self) -> usize {
        self.truth.len()
    }

    /// Never true: empty predictions are refused.
    pub fn is_empty(&self) -> bool {
        self.truth.is_empty()
    }

    /// Accumulates all rows.
    pub fn tally(&self) -> Tally {
        self.weighted_tally(std::iter::repeat(1.0))
    }

    /// The mean over the rows.
    pub(crate) fn mean_of(&self, f: impl Fn(&Outcome) -> f64) -> f64 {
        self.outcomes.iter().map(f).sum::<f64>() / self.len() as f64
    }

    /// Accumulates rows by weight, as the bootstrap needs.
    pub(crate) fn weighted_tally(&self, weights: impl IntoIterator<Item = f64>) -> Tally {
        let mut tally = Tally::new(self.probabilities.ncols());
        for (row, weight) in self.outcomes.iter().zip(weights) {
            if weight > 0.0 {
                tally.add(row, weight);
            }
        }
        tally
    }

    /// Accumulates some rows.
    pub(crate) fn tally_of(&self, rows: impl IntoIterator<Item = usize>) -> Tally {
        let mut tally = Tally::new(self.probabilities.ncols());
        rows.into_iter().for_each(|row| tally.add(&self.outcomes[row], 1.0));
        tally
    }
}

/// Whether a row is a distribution.
pub(crate) fn check_row(row: usize, p: ArrayView1<'_, f64>) -> Result<()> {
    let bad = |problem| Err(MetricsError::NotADistribution { row, problem });
    if p.iter().any(|v| !v.is_finite()) {
        return bad("hold NaN or infinity");
    }
    if p.iter().any(|&v| v < 0.0) {
        return bad("hold a negative value");
    }
    if (p.sum() - 1.0).abs() > 1e-3 {
        return bad("do not sum to 1");
    }
    Ok(())
}

pub(crate) fn argmax(row: ArrayView1<'_, f64>) -> usize {
    let mut best = 0;
    for (i, &v) in row.iter().enumerate() {
        if v > row[best] {
            best = i;
        }
    }
    best
}
