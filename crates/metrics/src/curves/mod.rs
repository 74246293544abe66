//! Scores of a binary classifier, threshold by threshold.

mod curve;
mod h_measure;
mod multiclass;
mod sort;
mod stream;

pub use curve::{CurvePoint, ScoreCurve};
pub use h_measure::HCosts;
pub use multiclass::MulticlassAuroc;
pub use stream::{CurveMetric, ScoreHistogram, Scores};
