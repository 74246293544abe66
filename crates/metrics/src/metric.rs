use std::fmt;
use std::str::FromStr;

use counterweight_core::{ClassProfile, Segment};
use serde::{Deserialize, Serialize};

use crate::confusion::mean;
use crate::{Calibration, ConfusionMatrix};

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
    /// Geometric mean of the recalls.
    GMean,
    /// Matthews correlation.
    Mcc,
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
}

impl Metric {
    /// All metrics in report order.
    pub const ALL: [Self; 11] = [
        Self::Accuracy,
        Self::BalancedAccuracy,
        Self::MacroF1,
        Self::GMean,
        Self::Mcc,
        Self::HeadRecall,
        Self::MidRecall,
        Self::TailRecall,
        Self::WorstRecall,
        Self::HeadTailGap,
        Self::Ece,
    ];

    /// The name in recipes and reports, `snake_case`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::BalancedAccuracy => "balanced_accuracy",
            Self::MacroF1 => "macro_f1",
            Self::GMean => "g_mean",
            Self::Mcc => "mcc",
            Self::HeadRecall => "head_recall",
            Self::MidRecall => "mid_recall",
            Self::TailRecall => "tail_recall",
            Self::WorstRecall => "worst_recall",
            Self::HeadTailGap => "head_tail_gap",
            Self::Ece => "ece",
        }
    }

    /// Whether a larger value is better.
    pub fn higher_is_better(self) -> bool {
        !matches!(self, Self::HeadTailGap | Self::Ece)
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
}

impl Tally {
    /// Empty.
    pub fn new(classes: usize) -> Self {
        Self { confusion: ConfusionMatrix::new(classes), calibration: Calibration::default() }
    }

    /// Adds one example; `confidence` is the predicted class's probability.
    ///
    /// # Panics
    /// When an id is not below the number of classes.
    pub fn update(&mut self, truth: usize, predicted: usize, confidence: f64) {
        self.confusion.update(truth, predicted);
        self.calibration.update(confidence, truth == predicted);
    }

    /// Adds another shard.
    ///
    /// # Panics
    /// When the numbers of classes differ.
    pub fn merge(&mut self, other: &Self) {
        self.confusion.merge(&other.confusion);
        self.calibration.merge(&other.calibration);
    }

    /// The confusion matrix.
    pub fn confusion(&self) -> &ConfusionMatrix {
        &self.confusion
    }

    /// The calibration bins.
    pub fn calibration(&self) -> &Calibration {
        &self.calibration
    }

    /// A metric's value; `None` where it is undefined (no examples, or none of the
    /// segment). Head, mid and tail are the *training* profile's.
    ///
    /// # Panics
    /// When the profile has fewer classes than the tally.
    pub fn metric(&self, metric: Metric, profile: &ClassProfile) -> Option<f64> {
        let m = &self.confusion;
        let segment = |segment| {
            let members = (0..m.classes()).filter(|&c| profile.segment(c) == segment);
            mean(members.filter_map(|c| m.recall(c)))
        };
        match metric {
            Metric::Accuracy => m.accuracy(),
            Metric::BalancedAccuracy => m.balanced_accuracy(),
            Metric::MacroF1 => m.macro_f1(),
            Metric::GMean => m.g_mean(),
            Metric::Mcc => m.mcc(),
            Metric::HeadRecall => segment(Segment::Head),
            Metric::MidRecall => segment(Segment::Mid),
            Metric::TailRecall => segment(Segment::Tail),
            Metric::WorstRecall => m.recalls().min_by(f64::total_cmp),
            Metric::HeadTailGap => Some(segment(Segment::Head)? - segment(Segment::Tail)?),
            Metric::Ece => self.calibration.ece(),
        }
    }
}
