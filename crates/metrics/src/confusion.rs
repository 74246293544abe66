use counterweight_core::ensure_length;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::counts::{check_ids, check_labels, check_weight, chunks, for_each_weighted, ratio};
use crate::{ClassCounts, Result};

/// The cost of a disagreement in [`ConfusionMatrix::weighted_kappa`], between classes that
/// have an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum KappaWeights {
    /// `|i − j|`.
    Linear,
    /// `(i − j)²`.
    Quadratic,
}

/// Weights of true class (rows) against predicted class (columns): an accumulator with
/// `update` and `merge`.
///
/// The scores are those of its [`counts`](Self::counts); the matrix itself tells which class
/// is taken for which.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ConfusionMatrix {
    classes: usize,
    cells: Vec<f64>,
}

impl ConfusionMatrix {
    /// All zero.
    pub fn new(classes: usize) -> Self {
        Self { classes, cells: vec![0.0; classes * classes] }
    }

    /// Counts aligned labels, in parallel.
    ///
    /// # Errors
    /// When the lengths differ or an id is not below `classes`.
    ///
    /// ```
    /// use counterweight_metrics::ConfusionMatrix;
    ///
    /// let m = ConfusionMatrix::from_labels(&[0, 0, 1], &[0, 1, 1], 2)?;
    /// assert_eq!(m.get(0, 1), 1.0);
    /// assert_eq!(m.counts().recall(0), Some(0.5));
    /// # Ok::<(), counterweight_metrics::Error>(())
    /// ```
    pub fn from_labels(truth: &[usize], predicted: &[usize], classes: usize) -> Result<Self> {
        check_labels(truth, predicted, classes)?;
        let parts: Vec<Vec<u32>> = chunks(truth.len())
            .into_par_iter()
            .map(|rows| {
                let mut cells = vec![0u32; classes * classes];
                for (&t, &p) in truth[rows.clone()].iter().zip(&predicted[rows]) {
                    cells[t * classes + p] += 1;
                }
                cells
            })
            .collect();
        let mut matrix = Self::new(classes);
        for part in parts {
            matrix.cells.iter_mut().zip(part).for_each(|(sum, n)| *sum += f64::from(n));
        }
        Ok(matrix)
    }

    /// The same with a weight per example.
    ///
    /// # Errors
    /// As [`from_labels`](Self::from_labels), and for a weight that is negative or not finite.
    pub fn from_weighted_labels(
        truth: &[usize],
        predicted: &[usize],
        weights: &[f64],
        classes: usize,
    ) -> Result<Self> {
        let mut matrix = Self::new(classes);
        for_each_weighted(truth, predicted, weights, classes, |t, p, w| matrix.add(t, p, w))?;
        Ok(matrix)
    }

    /// Adds one example.
    ///
    /// # Errors
    /// For a class id outside the matrix.
    pub fn update(&mut self, truth: usize, predicted: usize) -> Result<()> {
        self.update_weighted(truth, predicted, 1.0)
    }

    /// Adds one example of a weight.
    ///
    /// # Errors
    /// For a class id outside the matrix, or a weight that is negative or not finite.
    pub fn update_weighted(&mut self, truth: usize, predicted: usize, weight: f64) -> Result<()> {
        check_ids(truth, predicted, 0, self.classes)?;
        check_weight(weight)?;
        self.add(truth, predicted, weight);
        Ok(())
    }

    /// Adds a checked example.
    pub(crate) fn add(&mut self, truth: usize, predicted: usize, weight: f64) {
        self.cells[truth * self.classes + predicted] += weight;
    }

    /// Adds another shard.
    ///
    /// # Errors
    /// When the numbers of classes differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        ensure_length("classes", other.classes, self.classes)?;
        self.cells.iter_mut().zip(&other.cells).for_each(|(mine, theirs)| *mine += theirs);
        Ok(())
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The weight of examples of class `truth` predicted as `predicted`.
    ///
    /// # Panics
    /// For a class that is not below [`classes`](Self::classes).
    pub fn get(&self, truth: usize, predicted: usize) -> f64 {
        assert!(predicted < self.classes, "class {predicted} of {}", self.classes);
        self.cells[truth * self.classes + predicted]
    }

    /// The weight of all examples.
    pub fn total(&self) -> f64 {
        self.cells.iter().sum()
    }

    /// True positives, actual and predicted members of every class, which have the scores.
    pub fn counts(&self) -> ClassCounts {
        let mut hits = vec![0.0; self.classes];
        let (mut actual, mut predicted) = (hits.clone(), hits.clone());
        for (truth, row) in self.cells.chunks_exact(self.classes.max(1)).enumerate() {
            hits[truth] = row[truth];
            actual[truth] = row.iter().sum();
            predicted.iter_mut().zip(row).for_each(|(sum, n)| *sum += n);
        }
        let total = actual.iter().sum();
        ClassCounts::from_parts(hits, actual, predicted, total)
    }

    /// Cohen's kappa of ordered classes (Cohen 1968): one minus the cost of the
    /// disagreements over that expected by chance; `None` when chance never disagrees.
    pub fn weighted_kappa(&self, weights: KappaWeights) -> Option<f64> {
        let counts = self.counts();
        let cost = |i: usize, j: usize| {
            let apart = i.abs_diff(j) as f64;
            match weights {
                KappaWeights::Linear => apart,
                KappaWeights::Quadratic => apart * apart,
            }
        };
        let (mut observed, mut expected) = (0.0, 0.0);
        for i in 0..self.classes {
            for j in 0..self.classes {
                observed += cost(i, j) * self.cells[i * self.classes + j];
                expected += cost(i, j) * counts.support(i) * counts.predicted(j);
            }
        }
        ratio(observed * counts.total(), expected).map(|share| 1.0 - share)
    }

    /// Mean over the true classes of the mean distance `|truth − predicted|` of ordered
    /// classes: the macro-averaged mean absolute error (Baccianella et al., ISDA 2009).
    pub fn macro_absolute_error(&self) -> Option<f64> {
        let rows = self.cells.chunks_exact(self.classes.max(1)).enumerate();
        crate::counts::mean(rows.filter_map(|(truth, row)| {
            let away = row.iter().enumerate().map(|(p, n)| truth.abs_diff(p) as f64 * n);
            ratio(away.sum(), row.iter().sum())
        }))
    }
}
