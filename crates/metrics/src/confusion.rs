use counterweight_core::Error;
use serde::{Deserialize, Serialize};

use crate::Result;

/// Counts of true class (rows) against predicted class (columns): an accumulator
/// with `update` and `merge`.
///
/// Scores follow scikit-learn and imbalanced-learn where they agree on the
/// definition. A ratio without a denominator is `None`, never NaN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfusionMatrix {
    classes: usize,
    counts: Vec<u64>,
}

impl ConfusionMatrix {
    /// All zero.
    pub fn new(classes: usize) -> Self {
        Self { classes, counts: vec![0; classes * classes] }
    }

    /// Counts aligned labels.
    ///
    /// # Errors
    /// When the lengths differ or an id is not below `classes`.
    ///
    /// ```
    /// use counterweight_metrics::ConfusionMatrix;
    ///
    /// let m = ConfusionMatrix::from_labels(&[0, 0, 1], &[0, 1, 1], 2)?;
    /// assert_eq!(m.get(0, 1), 1);
    /// assert_eq!(m.recall(0), Some(0.5));
    /// # Ok::<(), counterweight_metrics::Error>(())
    /// ```
    pub fn from_labels(truth: &[usize], predicted: &[usize], classes: usize) -> Result<Self> {
        counterweight_core::ensure_length("predictions", predicted.len(), truth.len())?;
        let mut matrix = Self::new(classes);
        for (row, (&t, &p)) in truth.iter().zip(predicted).enumerate() {
            let id = t.max(p);
            if id >= classes {
                return Err(Error::ClassId { id, row, classes }.into());
            }
            matrix.update(t, p);
        }
        Ok(matrix)
    }

    /// Adds one example.
    ///
    /// # Panics
    /// When an id is not below the number of classes, as slice indexing does.
    pub fn update(&mut self, truth: usize, predicted: usize) {
        assert!(predicted < self.classes, "class id {predicted} of {}", self.classes);
        self.counts[truth * self.classes + predicted] += 1;
    }

    /// Adds another shard's counts.
    ///
    /// # Panics
    /// When the numbers of classes differ.
    pub fn merge(&mut self, other: &Self) {
        assert_eq!(self.classes, other.classes, "matrices of different classes");
        for (mine, theirs) in self.counts.iter_mut().zip(&other.counts) {
            *mine += theirs;
        }
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Examples of class `truth` predicted as `predicted`.
    pub fn get(&self, truth: usize, predicted: usize) -> u64 {
        self.counts[truth * self.classes + predicted]
    }

    /// Examples of a class.
    pub fn support(&self, class: usize) -> u64 {
        self.counts[class * self.classes..(class + 1) * self.classes].iter().sum()
    }

    /// Times a class was predicted.
    pub fn predicted(&self, class: usize) -> u64 {
        (0..self.classes).map(|t| self.get(t, class)).sum()
    }

    /// All examples.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// `TP / (TP + FN)`.
    pub fn recall(&self, class: usize) -> Option<f64> {
        ratio(self.get(class, class), self.support(class))
    }

    /// `TP / (TP + FP)`.
    pub fn precision(&self, class: usize) -> Option<f64> {
        ratio(self.get(class, class), self.predicted(class))
    }

    /// `2 TP / (2 TP + FP + FN)`.
    pub fn f1(&self, class: usize) -> Option<f64> {
        ratio(2 * self.get(class, class), self.support(class) + self.predicted(class))
    }

    /// `TN / (TN + FP)`.
    pub fn specificity(&self, class: usize) -> Option<f64> {
        let negatives = self.total() - self.support(class);
        ratio(negatives - (self.predicted(class) - self.get(class, class)), negatives)
    }

    /// Share of correct predictions.
    pub fn accuracy(&self) -> Option<f64> {
        ratio((0..self.classes).map(|c| self.get(c, c)).sum(), self.total())
    }

    /// Mean recall over the classes with support, as scikit-learn's.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        mean(self.recalls())
    }

    /// Mean F1 over the classes that occur in truth or prediction, as scikit-learn's.
    pub fn macro_f1(&self) -> Option<f64> {
        mean((0..self.classes).filter_map(|c| self.f1(c)))
    }

    /// Geometric mean of the recalls over the classes with support (Kubat and Matwin
    /// 1997; imbalanced-learn's multi-class form without correction): 0 as soon as one
    /// class is never found.
    pub fn g_mean(&self) -> Option<f64> {
        mean(self.recalls().map(f64::ln)).map(f64::exp)
    }

    /// Matthews correlation for any number of classes (Gorodkin 2004); 0 when truth or
    /// prediction is constant.
    pub fn mcc(&self) -> Option<f64> {
        let n = self.total() as f64;
        if n == 0.0 {
            return None;
        }
        let (mut correct, mut tp, mut tt, mut pp) = (0.0, 0.0, 0.0, 0.0);
        for c in 0..self.classes {
            let (t, p) = (self.support(c) as f64, self.predicted(c) as f64);
            correct += self.get(c, c) as f64;
            tp += t * p;
            tt += t * t;
            pp += p * p;
        }
        let scale = ((n * n - tt) * (n * n - pp)).sqrt();
        Some(if scale == 0.0 { 0.0 } else { (correct * n - tp) / scale })
    }

    /// The recall of every class that has support.
    pub fn recalls(&self) -> impl Iterator<Item = f64> {
        (0..self.classes).filter_map(|c| self.recall(c))
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0usize), |(s, n), v| (s + v, n + 1));
    (n > 0).then(|| sum / n as f64)
}
