use counterweight_core::{Error as DataError, ensure, ensure_length};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::Result;

/// A score of one class against the rest, from true positives (TP), false positives (FP),
/// true negatives (TN) and false negatives (FN).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum ClassScore {
    /// `TP / (TP + FP)`.
    Precision,
    /// `TP / (TP + FN)`: sensitivity, true positive rate.
    Recall,
    /// `TN / (TN + FP)`: true negative rate.
    Specificity,
    /// `2 TP / (2 TP + FP + FN)`.
    F1,
    /// `(1 + β²) TP / ((1 + β²) TP + β² FN + FP)`; β > 1 favours recall.
    FBeta(f64),
    /// `TP / (TP + FP + FN)`.
    Jaccard,
    /// `sqrt(recall · specificity)` (Kubat and Matwin 1997).
    GMean,
    /// Index balanced accuracy, `(1 + α (recall − specificity)) · recall · specificity`
    /// (García et al. 2009); imbalanced-learn reports it with α = 0.1.
    IndexBalancedAccuracy(f64),
    /// `recall + specificity − 1` (Youden's J; Powers 2011).
    Informedness,
    /// `TP / (TP + FP) + TN / (TN + FN) − 1` (Powers 2011).
    Markedness,
}

/// How the scores of classes become one number.
///
/// Classes that occur neither in truth nor in prediction are no part of an average, and an
/// undefined score is left out of it, as scikit-learn does with `zero_division=nan`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Average {
    /// Every class alike.
    #[default]
    Macro,
    /// Every class by its support.
    Weighted,
    /// From the sums of TP, FP, TN and FN over the classes.
    Micro,
}

/// Per class the weight of true positives, of actual and of predicted members: all that most
/// scores of labels need, in memory proportional to the classes and not to their square.
///
/// An accumulator with `update` and `merge`. Scores follow scikit-learn and
/// imbalanced-learn where they agree on the definition; a ratio without a denominator is
/// `None`, never NaN.
///
/// ```
/// use counterweight_metrics::{Average, ClassCounts, ClassScore};
///
/// let counts = ClassCounts::from_labels(&[0, 0, 1, 1], &[0, 1, 1, 1], 2)?;
/// assert_eq!(counts.recall(0), Some(0.5));
/// assert_eq!(counts.average(ClassScore::Recall, Average::Macro), Some(0.75));
/// assert_eq!(counts.accuracy(), Some(0.75));
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ClassCounts {
    hits: Vec<f64>,
    actual: Vec<f64>,
    predicted: Vec<f64>,
    total: f64,
}

/// One class against the rest.
#[derive(Debug, Clone, Copy)]
struct Cell {
    tp: f64,
    fp: f64,
    tn: f64,
    fn_: f64,
}

impl ClassCounts {
    /// All zero.
    pub fn new(classes: usize) -> Self {
        let zero = vec![0.0; classes];
        Self { hits: zero.clone(), actual: zero.clone(), predicted: zero, total: 0.0 }
    }

    /// Counts aligned labels, in parallel.
    ///
    /// # Errors
    /// When the lengths differ or an id is not below `classes`.
    pub fn from_labels(truth: &[usize], predicted: &[usize], classes: usize) -> Result<Self> {
        check_labels(truth, predicted, classes)?;
        let parts: Vec<Integers> = chunks(truth.len())
            .into_par_iter()
            .map(|rows| Integers::count(&truth[rows.clone()], &predicted[rows], classes))
            .collect();
        let mut all = Self::new(classes);
        for part in parts {
            for (class, [hits, actual, predicted]) in part.0.into_iter().enumerate() {
                all.hits[class] += f64::from(hits);
                all.actual[class] += f64::from(actual);
                all.predicted[class] += f64::from(predicted);
            }
        }
        all.total = truth.len() as f64;
        Ok(all)
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
        let mut counts = Self::new(classes);
        for_each_weighted(truth, predicted, weights, classes, |t, p, w| counts.add(t, p, w))?;
        Ok(counts)
    }

    /// Adds one example.
    ///
    /// # Errors
    /// For a class id outside the counts.
    pub fn update(&mut self, truth: usize, predicted: usize) -> Result<()> {
        self.update_weighted(truth, predicted, 1.0)
    }

    /// Adds one example of a weight.
    ///
    /// # Errors
    /// For a class id outside the counts, or a weight that is negative or not finite.
    pub fn update_weighted(&mut self, truth: usize, predicted: usize, weight: f64) -> Result<()> {
        check_ids(truth, predicted, 0, self.classes())?;
        check_weight(weight)?;
        self.add(truth, predicted, weight);
        Ok(())
    }

    /// Adds a checked example.
    pub(crate) fn add(&mut self, truth: usize, predicted: usize, weight: f64) {
        self.actual[truth] += weight;
        self.predicted[predicted] += weight;
        if truth == predicted {
            self.hits[truth] += weight;
        }
        self.total += weight;
    }

    /// Adds the labels of one row of a multi-label problem.
    pub(crate) fn add_set(&mut self, truth: &[bool], predicted: &[bool], weight: f64) {
        for (class, (&t, &p)) in truth.iter().zip(predicted).enumerate() {
            self.actual[class] += if t { weight } else { 0.0 };
            self.predicted[class] += if p { weight } else { 0.0 };
            self.hits[class] += if t && p { weight } else { 0.0 };
        }
        self.total += weight;
    }

    /// Moves a checked example of class `truth` from one predicted class to another.
    pub(crate) fn move_prediction(&mut self, truth: usize, from: usize, to: usize) {
        self.predicted[from] -= 1.0;
        self.predicted[to] += 1.0;
        if truth == from {
            self.hits[truth] -= 1.0;
        }
        if truth == to {
            self.hits[truth] += 1.0;
        }
    }

    pub(crate) fn from_parts(
        hits: Vec<f64>,
        actual: Vec<f64>,
        predicted: Vec<f64>,
        total: f64,
    ) -> Self {
        Self { hits, actual, predicted, total }
    }

    /// Adds another shard.
    ///
    /// # Errors
    /// When the numbers of classes differ.
    pub fn merge(&mut self, other: &Self) -> Result<()> {
        ensure_length("classes", other.classes(), self.classes())?;
        let add = |mine: &mut [f64], theirs: &[f64]| {
            mine.iter_mut().zip(theirs).for_each(|(a, b)| *a += b);
        };
        add(&mut self.hits, &other.hits);
        add(&mut self.actual, &other.actual);
        add(&mut self.predicted, &other.predicted);
        self.total += other.total;
        Ok(())
    }

    /// The number of classes.
    pub fn classes(&self) -> usize {
        self.actual.len()
    }

    /// The weight of all examples.
    pub fn total(&self) -> f64 {
        self.total
    }

    /// The weight of a class's examples.
    ///
    /// # Panics
    /// As all methods that take a class, for one that is not below [`classes`](Self::classes).
    pub fn support(&self, class: usize) -> f64 {
        self.actual[class]
    }

    /// The weight of the examples predicted as a class.
    pub fn predicted(&self, class: usize) -> f64 {
        self.predicted[class]
    }

    /// The weight of a class's examples that were found.
    pub fn true_positives(&self, class: usize) -> f64 {
        self.hits[class]
    }

    fn cell(&self, class: usize) -> Cell {
        let (tp, actual, predicted) = (self.hits[class], self.actual[class], self.predicted[class]);
        // What is left of sums of weights by rounding is no weight: 0 / 0 must not become a score.
        let rest = |weight: f64| if weight > 1e-12 * self.total { weight } else { 0.0 };
        Cell {
            tp,
            fp: rest(predicted - tp),
            fn_: rest(actual - tp),
            tn: rest(self.total - actual - predicted + tp),
        }
    }

    /// Whether a class occurs in truth or prediction.
    fn occurs(&self, class: usize) -> bool {
        self.actual[class] > 0.0 || self.predicted[class] > 0.0
    }

    /// A score of one class; `None` where undefined.
    pub fn score(&self, score: ClassScore, class: usize) -> Option<f64> {
        self.cell(class).score(score)
    }

    /// A score over the classes; `None` where undefined for all.
    ///
    /// [`ClassScore::GMean`], [`ClassScore::IndexBalancedAccuracy`] and
    /// [`ClassScore::Informedness`] are computed from the averaged recall and specificity, as
    /// imbalanced-learn does.
    pub fn average(&self, score: ClassScore, average: Average) -> Option<f64> {
        let part = |score| self.average_simple(score, average);
        match score {
            ClassScore::GMean | ClassScore::IndexBalancedAccuracy(_) | ClassScore::Informedness => {
                combine(score, part(ClassScore::Recall)?, part(ClassScore::Specificity)?)
            }
            _ => part(score),
        }
    }

    fn average_simple(&self, score: ClassScore, average: Average) -> Option<f64> {
        let occurring = (0..self.classes()).filter(|&c| self.occurs(c));
        if average == Average::Micro {
            let mut sum = Cell { tp: 0.0, fp: 0.0, tn: 0.0, fn_: 0.0 };
            for class in occurring {
                let cell = self.cell(class);
                sum.tp += cell.tp;
                sum.fp += cell.fp;
                sum.tn += cell.tn;
                sum.fn_ += cell.fn_;
            }
            return sum.score(score);
        }
        let (mut sum, mut weights) = (0.0, 0.0);
        for class in occurring {
            if let Some(value) = self.score(score, class) {
                let weight = if average == Average::Macro { 1.0 } else { self.actual[class] };
                sum += weight * value;
                weights += weight;
            }
        }
        ratio(sum, weights)
    }

    /// [`ClassScore::Recall`] of a class.
    pub fn recall(&self, class: usize) -> Option<f64> {
        self.score(ClassScore::Recall, class)
    }

    /// [`ClassScore::Precision`] of a class.
    pub fn precision(&self, class: usize) -> Option<f64> {
        self.score(ClassScore::Precision, class)
    }

    /// [`ClassScore::F1`] of a class.
    pub fn f1(&self, class: usize) -> Option<f64> {
        self.score(ClassScore::F1, class)
    }

    /// [`ClassScore::Specificity`] of a class.
    pub fn specificity(&self, class: usize) -> Option<f64> {
        self.score(ClassScore::Specificity, class)
    }

    /// The recall of every class that has support.
    pub fn recalls(&self) -> impl Iterator<Item = f64> {
        (0..self.classes()).filter_map(|c| self.recall(c))
    }

    /// Share of correct predictions. One minus it is the Hamming loss of single labels.
    pub fn accuracy(&self) -> Option<f64> {
        ratio(self.hits.iter().sum(), self.total)
    }

    /// Mean recall over the classes with support, as scikit-learn's.
    pub fn balanced_accuracy(&self) -> Option<f64> {
        mean(self.recalls())
    }

    /// Balanced accuracy with 0 for chance, `(b − 1/k) / (1 − 1/k)` over the k classes with
    /// support; `None` for k = 1.
    pub fn adjusted_balanced_accuracy(&self) -> Option<f64> {
        let chance = 1.0 / self.recalls().count() as f64;
        let balanced = self.balanced_accuracy()?;
        (chance < 1.0).then(|| (balanced - chance) / (1.0 - chance))
    }

    /// Mean F1 over the classes that occur in truth or prediction, as scikit-learn's.
    pub fn macro_f1(&self) -> Option<f64> {
        self.average(ClassScore::F1, Average::Macro)
    }

    /// Geometric mean of the recalls over the classes with support (Kubat and Matwin
    /// 1997; imbalanced-learn's multi-class form without correction): 0 as soon as one
    /// class is never found.
    pub fn g_mean(&self) -> Option<f64> {
        mean(self.recalls().map(f64::ln)).map(f64::exp)
    }

    /// The same with a recall of 0 replaced by `correction`, so that one class that is never
    /// found does not hide the others (imbalanced-learn's `correction`).
    ///
    /// # Errors
    /// For a correction outside `[0, 1]`.
    pub fn corrected_g_mean(&self, correction: f64) -> Result<Option<f64>> {
        ensure("correction", correction, (0.0..=1.0).contains(&correction), "[0, 1]")?;
        let corrected = |recall: f64| if recall == 0.0 { correction } else { recall };
        Ok(mean(self.recalls().map(|r| corrected(r).ln())).map(f64::exp))
    }

    /// Matthews correlation for any number of classes (Gorodkin 2004). As scikit-learn it is
    /// 0 when truth or prediction is constant.
    pub fn mcc(&self) -> Option<f64> {
        let n = self.total;
        if n == 0.0 {
            return None;
        }
        let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f64>();
        let correct: f64 = self.hits.iter().sum();
        let constant = |of: &[f64]| of.iter().filter(|&&w| w > 0.0).count() < 2;
        if constant(&self.actual) || constant(&self.predicted) {
            return Some(0.0);
        }
        let (tt, pp) = (dot(&self.actual, &self.actual), dot(&self.predicted, &self.predicted));
        let scale = ((n * n - tt) * (n * n - pp)).sqrt();
        Some((correct * n - dot(&self.actual, &self.predicted)) / scale)
    }

    /// Cohen's kappa, `(p_o − p_e) / (1 − p_e)`; `None` when chance agrees always.
    /// [`ConfusionMatrix::weighted_kappa`](crate::ConfusionMatrix::weighted_kappa) has the
    /// weighted forms.
    pub fn kappa(&self) -> Option<f64> {
        let observed = self.accuracy()?;
        let agree = self.actual.iter().zip(&self.predicted).map(|(a, p)| a * p).sum::<f64>();
        let expected = agree / (self.total * self.total);
        (expected < 1.0).then(|| (observed - expected) / (1.0 - expected))
    }
}

impl Cell {
    fn score(self, score: ClassScore) -> Option<f64> {
        let Self { tp, fp, tn, fn_ } = self;
        match score {
            ClassScore::Precision => ratio(tp, tp + fp),
            ClassScore::Recall => ratio(tp, tp + fn_),
            ClassScore::Specificity => ratio(tn, tn + fp),
            ClassScore::F1 => ratio(2.0 * tp, 2.0 * tp + fp + fn_),
            ClassScore::FBeta(beta) => {
                let b = beta * beta;
                ratio((1.0 + b) * tp, (1.0 + b) * tp + b * fn_ + fp)
            }
            ClassScore::Jaccard => ratio(tp, tp + fp + fn_),
            ClassScore::Markedness => Some(ratio(tp, tp + fp)? + ratio(tn, tn + fn_)? - 1.0),
            _ => combine(score, ratio(tp, tp + fn_)?, ratio(tn, tn + fp)?),
        }
    }
}

/// The scores that follow from recall and specificity.
fn combine(score: ClassScore, recall: f64, specificity: f64) -> Option<f64> {
    match score {
        ClassScore::GMean => Some((recall * specificity).sqrt()),
        ClassScore::IndexBalancedAccuracy(alpha) => {
            Some((1.0 + alpha * (recall - specificity)) * recall * specificity)
        }
        ClassScore::Informedness => Some(recall + specificity - 1.0),
        _ => None,
    }
}

/// Counts of one chunk: true positives, actual and predicted side by side in memory.
struct Integers(Vec<[u32; 3]>);

impl Integers {
    fn count(truth: &[usize], predicted: &[usize], classes: usize) -> Self {
        let mut counts = vec![[0; 3]; classes];
        for (&t, &p) in truth.iter().zip(predicted) {
            let own = &mut counts[t];
            own[0] += u32::from(t == p);
            own[1] += 1;
            counts[p][2] += 1;
        }
        Self(counts)
    }
}

/// Ranges of rows for threads, each short enough for 32-bit counts.
pub(crate) fn chunks(rows: usize) -> Vec<std::ops::Range<usize>> {
    let size = rows.div_ceil(rayon::current_num_threads()).clamp(1 << 12, 1 << 31);
    (0..rows).step_by(size).map(|from| from..(from + size).min(rows)).collect()
}

pub(crate) fn check_ids(truth: usize, predicted: usize, row: usize, classes: usize) -> Result<()> {
    let id = truth.max(predicted);
    if id >= classes {
        return Err(DataError::ClassId { id, row, classes }.into());
    }
    Ok(())
}

pub(crate) fn check_labels(truth: &[usize], predicted: &[usize], classes: usize) -> Result<()> {
    ensure_length("predictions", predicted.len(), truth.len())?;
    let wrong = |row: &usize| truth[*row].max(predicted[*row]) >= classes;
    let all = chunks(truth.len());
    let found = all.into_par_iter().find_map_first(|rows| {
        // The largest id first: a pass without branches, which nearly always suffices.
        let top = truth[rows.clone()].iter().chain(&predicted[rows.clone()]).max()?;
        (*top >= classes).then(|| rows.into_iter().find(wrong)).flatten()
    });
    match found {
        Some(row) => check_ids(truth[row], predicted[row], row, classes),
        None => Ok(()),
    }
}

/// Hands checked labels with their weights to `add`.
pub(crate) fn for_each_weighted(
    truth: &[usize],
    predicted: &[usize],
    weights: &[f64],
    classes: usize,
    mut add: impl FnMut(usize, usize, f64),
) -> Result<()> {
    check_labels(truth, predicted, classes)?;
    check_weights(weights, truth.len())?;
    let rows = truth.iter().zip(predicted).zip(weights);
    rows.for_each(|((&t, &p), &w)| add(t, p, w));
    Ok(())
}

pub(crate) fn check_weights(weights: &[f64], rows: usize) -> Result<()> {
    ensure_length("weights", weights.len(), rows)?;
    weights.iter().try_for_each(|&w| check_weight(w))
}

pub(crate) fn check_weight(weight: f64) -> Result<()> {
    Ok(ensure("weight", weight, weight >= 0.0 && weight.is_finite(), "[0, inf)")?)
}

pub(crate) fn ratio(part: f64, whole: f64) -> Option<f64> {
    (whole > 0.0).then(|| part / whole)
}

pub(crate) fn mean(values: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = values.fold((0.0, 0usize), |(s, n), v| (s + v, n + 1));
    (n > 0).then(|| sum / n as f64)
}
