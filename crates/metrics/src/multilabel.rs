use counterweight_core::ensure_length;
use serde::{Deserialize, Serialize};

use crate::counts::{check_weight, ratio};
use crate::{ClassCounts, Result};

/// Scores of rows with any number of labels: an accumulator with `update` and `merge`.
///
/// Per-label scores and their macro, micro and weighted averages are those of
/// [`counts`](Self::counts); here are those per row.
///
/// ```
/// use counterweight_metrics::{Average, ClassScore, LabelSets};
///
/// let mut sets = LabelSets::new(3);
/// sets.update(&[true, false, true], &[true, true, false])?;
/// sets.update(&[false, true, false], &[false, true, false])?;
/// assert_eq!(sets.subset_accuracy(), Some(0.5));
/// assert_eq!(sets.hamming_loss(), Some(1.0 / 3.0));
/// assert_eq!(sets.counts().average(ClassScore::F1, Average::Micro), Some(2.0 / 3.0));
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LabelSets {
    counts: ClassCounts,
    exact: f64,
    wrong: f64,
    precision: Mean,
    recall: Mean,
    f1: Mean,
    jaccard: Mean,
}

#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
struct Mean {
    sum: f64,
    weight: f64,
}

impl Mean {
    /// Adds a ratio, unless it is undefined.
    fn add(&mut self, part: usize, whole: usize, weight: f64) {
        if let Some(value) = ratio(part as f64, whole as f64) {
            self.sum += weight * value;
            self.weight += weight;
        }
    }

    fn merge(&mut self, other: &Self) {
        self.sum += other.sum;
        self.weight += other.weight;
    }

    fn value(self) -> Option<f64> {
        ratio(self.sum, self.weight)
    }
}

impl LabelSets {
    /// Nothing yet.
    pub fn new(labels: usize) -> Self {
        let none = Mean::default();
        Self {
            counts: ClassCounts::new(labels),
            exact: 0.0,
            wrong: 0.0,
            precision: none,
            recall: none,
            f1: none,
            jaccard: none,
        }
    }

    /// Adds a row: which labels it has and which were predicted.
    ///
    /// # Errors
    /// For rows of another length than the labels.
    pub fn update(&mut self, truth: &[bool], predicted: &[bool]) -> Result<()> {
        self.update_weighted(truth, predicted, 1.0)
    }

    /// Adds a row of a weight.
    ///
    /// # Errors
    /// As [`update`](Self::update), and for a weight that is negative or not finite.
    pub fn update_weighted(&mut self, truth: &[bool], predicted: &[bool], w: f64) -> Result<()> {
        ensure_length("labels", truth.len(), self.counts.classes())?;
        ensure_length("predicted labels", predicted.len(), self.counts.classes())?;
        check_weight(w)?;
        self.counts.add_set(truth, predicted, w);
        let both = truth.iter().zip(predicted).filter(|(t, p)| **t && **p).count();
        let count = |labels: &[bool]| labels.iter().filter(|&&label| label).count();
        let (actual, found) = (count(truth), count(predicted));
        let wrong = actual + found - 2 * both;
        self.wrong += w * wrong as f64;
        self.exact += if wrong == 0 { w } else { 0.0 };
        self.precision.add(both, found, w);
        self.recall.add(both, actual, w);
        self.f1.add(2 * both, actual + found, w);
        self.jaccard.add(both, actual + found - both, w);
        Ok(())
    }

    /// Adds another shard.
    ///
    /// # Errors
    /// When the numbers of labels differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        self.counts.merge(&other.counts)?;
        self.exact += other.exact;
        self.wrong += other.wrong;
        self.precision.merge(&other.precision);
        self.recall.merge(&other.recall);
        self.f1.merge(&other.f1);
        self.jaccard.merge(&other.jaccard);
        Ok(())
    }

    /// Per label, for all scores of [`ClassScore`](crate::ClassScore) and their averages.
    pub fn counts(&self) -> &ClassCounts {
        &self.counts
    }

    /// The share of rows whose labels are all right (scikit-learn's multi-label accuracy).
    pub fn subset_accuracy(&self) -> Option<f64> {
        ratio(self.exact, self.counts.total())
    }

    /// The share of labels that are wrong.
    pub fn hamming_loss(&self) -> Option<f64> {
        ratio(self.wrong, self.counts.total() * self.counts.classes() as f64)
    }

    /// Mean over rows of the share of predicted labels that are right; rows where nothing was
    /// predicted are left out.
    pub fn sample_precision(&self) -> Option<f64> {
        self.precision.value()
    }

    /// Mean over rows of the share of their labels found; rows without labels are left out.
    pub fn sample_recall(&self) -> Option<f64> {
        self.recall.value()
    }

    /// Mean over rows of F1; rows without any label, true or predicted, are left out.
    pub fn sample_f1(&self) -> Option<f64> {
        self.f1.value()
    }

    /// Mean over rows of intersection over union; rows without any label are left out.
    pub fn sample_jaccard(&self) -> Option<f64> {
        self.jaccard.value()
    }
}
