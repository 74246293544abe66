//! What the losses over pairs of a positive and a negative share.

use std::sync::{Arc, Mutex, PoisonError};

use burn::tensor::Tensor;

use crate::Targets;

/// Counts the columns of batches that held one class only, where a loss over pairs is 0.
///
/// The count stays on the device until it is read. Clones share it.
#[derive(Debug, Clone, Default)]
pub struct SingleClass(Arc<Mutex<Option<Tensor<1>>>>);

impl SingleClass {
    /// How many there were so far; waits for the device.
    pub fn count(&self) -> u64 {
        let count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        count.as_ref().map_or(0, |count| count.clone().into_scalar::<f64>().round() as u64)
    }

    fn add(&self, more: Tensor<1>) {
        let mut count = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *count = Some(match count.take() {
            Some(count) => count.to_device(&more.device()).cast(more.dtype()) + more,
            None => more,
        });
    }
}

/// Scores and indicators, column by column.
pub(super) struct Columns {
    scores: Tensor<2>,
    indicators: Tensor<2>,
}

impl Columns {
    pub(super) fn new(scores: Tensor<2>, targets: &Targets) -> Self {
        let indicators = targets.indicators(&scores);
        Self { scores, indicators }
    }

    /// The mean of `f` (a scalar) over the columns that have both classes, for every
    /// example; the others are counted.
    pub(super) fn mean(self, single: &SingleClass, f: impl Fn(&Column) -> Tensor<1>) -> Tensor<1> {
        let [batch, columns] = self.scores.dims();
        let mut total = Tensor::zeros([1], (&self.scores.device(), self.scores.dtype()));
        let mut both = total.clone();
        for c in 0..columns {
            let at = |x: &Tensor<2>| x.clone().slice([0..batch, c..c + 1]);
            let column = Column::new(at(&self.scores), at(&self.indicators));
            both = both + column.both.clone();
            // The products inside are 0 where one class is missing, so 0/1 remains.
            total = total + f(&column) * column.both.clone();
        }
        single.add(both.clone().detach().neg() + columns as f64);
        (total / both.clamp_min(1.0)).expand([batch])
    }
}

/// One column of scores.
pub(super) struct Column {
    /// `[batch, 1]`.
    pub(super) scores: Tensor<2>,
    /// 1 for positives, `[batch, 1]`.
    pub(super) positive: Tensor<2>,
    /// 1 for negatives, `[batch, 1]`.
    pub(super) negative: Tensor<2>,
    /// Numbers of positives and negatives, at least 1, `[1]`.
    pub(super) positives: Tensor<1>,
    pub(super) negatives: Tensor<1>,
    /// 1 when both are there, else 0, `[1]`.
    both: Tensor<1>,
}

/// All pairs (i, j) of a column.
pub(super) struct Pairs {
    /// `s_i − s_j`, `[batch, batch]`.
    pub(super) scores: Tensor<2>,
    /// 1 for positives, `[batch, 1]`.
    pub(super) positive: Tensor<2>,
    /// 1 for negatives, `[1, batch]`.
    pub(super) negative: Tensor<2>,
    /// Positives times negatives, at least 1, `[1]`.
    pub(super) pairs: Tensor<1>,
}

impl Column {
    fn new(scores: Tensor<2>, indicators: Tensor<2>) -> Self {
        let dtype = scores.dtype();
        let is = |mask: Tensor<2, burn::tensor::Bool>| mask.float().cast(dtype);
        let positive = is(indicators.clone().greater_elem(0.5));
        let negative = is(indicators.lower_equal_elem(0.5));
        let (p, n) = (positive.clone().sum(), negative.clone().sum());
        let both = (p.clone() * n.clone()).clamp_max(1.0);
        Self {
            scores,
            positive,
            negative,
            positives: p.clamp_min(1.0),
            negatives: n.clamp_min(1.0),
            both,
        }
    }

    pub(super) fn pairs(&self) -> Pairs {
        Pairs {
            scores: self.scores.clone() - self.scores.clone().transpose(),
            positive: self.positive.clone(),
            negative: self.negative.clone().transpose(),
            pairs: self.positives.clone() * self.negatives.clone(),
        }
    }
}
