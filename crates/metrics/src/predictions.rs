use counterweight_core::Error;
use ndarray::{Array2, ArrayView1, Axis};

use crate::error::Error as MetricsError;
use crate::{Result, Tally};

/// Checked predictions: true class ids and a distribution over the classes per row.
#[derive(Debug, Clone, PartialEq)]
pub struct Predictions {
    truth: Vec<usize>,
    probabilities: Array2<f64>,
    predicted: Vec<usize>,
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
        }
        let predicted = probabilities.axis_iter(Axis(0)).map(argmax).collect();
        Ok(Self { truth, probabilities, predicted })
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
        self.tally_of(0..self.len())
    }

    /// Accumulates some rows (repeats allowed, as the bootstrap needs).
    pub(crate) fn tally_of(&self, rows: impl IntoIterator<Item = usize>) -> Tally {
        let mut tally = Tally::new(self.probabilities.ncols());
        for row in rows {
            let predicted = self.predicted[row];
            tally.update(self.truth[row], predicted, self.probabilities[[row, predicted]]);
        }
        tally
    }
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
