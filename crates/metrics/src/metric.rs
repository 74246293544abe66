use std::fmt;
use std::str::FromStr;

use counterweight_core::{ClassProfile, Segment};
use ndarray::ArrayView1;
use serde::{Deserialize, Serialize};

use crate::counts::{mean, ratio};
use crate::predictions::{argmax, check_row};
use crate::{Average, Calibration, ClassCounts, ClassScore, ConfusionMatrix};

/// A score of a classifier, by name: what is reported, compared and searched for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Metric {
    /// Share of correct predictions.
    Accuracy,
    /// Mean recall over the classes.
    BalancedAccuracy,
    /// Mean F1 over the classes.
    MacroF1,
    /// Mean F1 over the classes, by support.
    WeightedF1,
    /// Geometric mean of the recalls.
    GMean,
    /// Matthews correlation.
    Mcc,
    /// Cohen's kappa.
    Kappa,
    /// Mean recall of the head classes.
    HeadRecall,
    /// Mean recall of the classes between head and tail.
    MidRecall,
    /// Mean recall of the tail classes.
    TailRecall,
    /// The lowest recall of any class.
    WorstRecall,
    /// Head recall minus tail recall (fairness between classes; 0 is even).
    HeadTailGap,
    /// Expected calibration error, 15 bins (lower is better).
    Ece,
    /// Mean `−log p` of the true class (lower is better).
    LogLoss,
    /// Mean `Σ_c (p_c − t_c)²` (lower is better).
    Brier,
}

impl Metric {
    /// All metrics in report order.
    pub const ALL: [Self; 15] = [
        Self::Accuracy,
        Self::BalancedAccuracy,
        Self::MacroF1,
        Self::WeightedF1,
        Self::GMean,
        Self::Mcc,
        Self::Kappa,
        Self::HeadRecall,
        Self::MidRecall,
        Self::TailRecall,
        Self::WorstRecall,
        Self::HeadTailGap,
        Self::Ece,
        Self::LogLoss,
        Self::Brier,
    ];

    /// The name in recipes and reports, `snake_case`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced_accuracy",
            Self::MacroF1 => "macro_f1",
            Self::WeightedF1 => "weighted_f1",
            Self::GMean => "g_mean",
            Self::Mcc => "mcc",
            Self::Kappa => "kappa",
            Self::HeadRecall => "head_recall",
            Self::MidRecall => "mid_recall",
            Self::TailRecall => "tail_recall",
            Self::WorstRecall => "worst_recall",
            Self::HeadTailGap => "head_tail_gap",
            Self::Ece => "ece",
            Self::LogLoss => "log_loss",
            Self::Brier => "brier",
        }
    }

    /// Whether it follows from the predicted classes alone.
    pub fn is_of_labels(self) -> bool {
        !matches!(self, Self::Ece | Self::LogLoss | Self::Brier)
    }

    /// Whether a larger value is better.
    pub fn higher_is_better(self) -> bool {
        !matches!(self, Self::HeadTailGap | Self::Ece | Self::LogLoss | Self::Brier)
    }
}

impl fmt::Display for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Metric {
    type Err = UnknownMetric;

    fn from_str(name: &str) -> Result<Self, UnknownMetric> {
        let found = Self::ALL.into_iter().find(|m| m.name() == name);
        found.ok_or_else(|| UnknownMetric(name.to_owned()))
    }
}

/// No metric has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown metric {0:?}; known: {known}", known = known())]
pub struct UnknownMetric(String);

fn known() -> String {
    Metric::ALL.map(Metric::name).join(", ")
}

/// Everything the metrics are computed from, accumulated over batches or shards.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Tally {
    confusion: ConfusionMatrix,
    calibration: Calibration,
    log_loss: f64,
    brier: f64,
    weight: f64,
}

/// What one row adds to a tally.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Outcome {
    pub(crate) truth: usize,
    pub(crate) predicted: usize,
    confidence: f64,
    pub(crate) log_loss: f64,
    pub(crate) brier: f64,
}

impl Outcome {
    pub(crate) fn new(truth: usize, p: ArrayView1<'_, f64>) -> Self {
        let predicted = argmax(p);
        let square = |(c, &p): (usize, &f64)| (p - f64::from(u8::from(c == truth))).powi(2);
        Self {
            truth,
            predicted,
            confidence: p[predicted].min(1.0),
            log_loss: -p[truth].clamp(f64::EPSILON, 1.0 - f64::EPSILON).ln(),
            brier: p.iter().enumerate().map(square).sum(),
        }
    }
}

impl Tally {
    /// Empty.
    pub fn new(classes: usize) -> Self {
        Self {
            confusion: ConfusionMatrix::new(classes),
            calibration: Calibration::default(),
            log_loss: 0.0,
            brier: 0.0,
            weight: 0.0,
        }
    }

    /// Adds one example: its class and the distribution predicted for it.
    ///
    /// # Errors
    /// For a class id outside the tally, a distribution over other classes, or one that is
    /// none (as [`Predictions::new`](crate::Predictions::new)).
    pub fn update(&mut self, truth: usize, probabilities: &[f64]) -> Result<(), crate::Error> {
        let classes = self.confusion.classes();
        counterweight_core::ensure_length("probabilities", probabilities.len(), classes)?;
        crate::counts::check_ids(truth, truth, 0, classes)?;
        check_row(0, probabilities.into())?;
        self.add(&Outcome::new(truth, probabilities.into()), 1.0);
        Ok(())
    }

    /// Adds a checked example.
    pub(crate) fn add(&mut self, row: &Outcome, weight: f64) {
        self.confusion.add(row.truth, row.predicted, weight);
        self.calibration.add(row.confidence, row.truth == row.predicted, weight);
        self.log_loss += weight * row.log_loss;
        self.brier += weight * row.brier;
        self.weight += weight;
    }

    /// Adds another shard.
    ///
    /// # Errors
    /// When the numbers of classes differ.
    pub fn merge(&mut self, other: &Self) -> Result<(), crate::Error> {
        self.confusion.merge(&other.confusion)?;
        self.calibration.merge(&other.calibration)?;
        self.log_loss += other.log_loss;
        self.brier += other.brier;
        self.weight += other.weight;
        Ok(())
    }

    /// The confusion matrix.
    pub fn confusion(&self) -> &ConfusionMatrix {
        &self.confusion
    }

    /// True positives, actual and predicted members per class.
    pub fn counts(&self) -> ClassCounts {
        self.confusion.counts()
    }

    /// The calibration bins.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// A metric's value; `None` where it is undefined (no examples, or none of the
    /// segment). Head, mid and tail are the *training* profile's.
    pub fn metric(&self, metric: Metric, profile: &ClassProfile) -> Option<f64> {
        self.value(metric, &self.counts(), profile)
    }

    /// Every metric of [`Metric::ALL`], in that order.
    pub fn metrics(&self, profile: &ClassProfile) -> Vec<Option<f64>> {
        let counts = self.counts();
        Metric::ALL.iter().map(|&metric| self.value(metric, &counts, profile)).collect()
    }

    fn value(&self, metric: Metric, counts: &ClassCounts, profile: &ClassProfile) -> Option<f64> {
        match metric {
            Metric::Ece => self.calibration.ece(),
            Metric::LogLoss => ratio(self.log_loss, self.weight),
            Metric::Brier => ratio(self.brier, self.weight),
            _ => counts.metric(metric, profile),
        }
    }
}

impl ClassCounts {
    /// A metric's value; `None` where it is undefined, as the metrics of probabilities
    /// ([`Metric::Ece`], [`Metric::LogLoss`], [`Metric::Brier`]) are for labels.
    ///
    /// Head, mid and tail are the *training* profile's; classes beyond it are in no segment.
    pub fn metric(&self, metric: Metric, profile: &ClassProfile) -> Option<f64> {
        let segment = |segment| {
            let known = 0..self.classes().min(profile.classes());
            mean(known.filter(|&c| profile.segment(c) == segment).filter_map(|c| self.recall(c)))
        };
        match metric {
            Metric::Accuracy => self.accuracy(),
            Metric::BalancedAccuracy => self.balanced_accuracy(),
            Metric::MacroF1 => self.macro_f1(),
            Metric::WeightedF1 => self.average(ClassScore::F1, Average::Weighted),
            Metric::GMean => self.g_mean(),
            Metric::Mcc => self.mcc(),
            Metric::Kappa => self.kappa(),
            Metric::HeadRecall => segment(Segment::Head),
            Metric::MidRecall => segment(Segment::Mid),
            Metric::TailRecall => segment(Segment::Tail),
            Metric::WorstRecall => self.recalls().min_by(f64::total_cmp),
            Metric::HeadTailGap => Some(segment(Segment::Head)? - segment(Segment::Tail)?),
            Metric::Ece | Metric::LogLoss | Metric::Brier => None,
        }
    }
}
