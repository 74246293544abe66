//! Metrics for imbalanced classification, with uncertainty and fairness, and the
//! adjustment of decisions after training.
//!
//! ```
//! use counterweight_core::ClassProfile;
//! use counterweight_metrics::{ClassificationReport, Metric, Predictions};
//! use ndarray::array;
//!
//! let names = ["common".to_owned(), "rare".to_owned()];
//! let truth = vec![0, 0, 0, 1];
//! let profile = ClassProfile::from_labels(&truth, &names)?;
//! let p = array![[0.9, 0.1], [0.8, 0.2], [0.6, 0.4], [0.7, 0.3]];
//! let predictions = Predictions::new(truth, p)?;
//! let tally = predictions.tally();
//! assert_eq!(tally.metric(Metric::Accuracy, &profile), Some(0.75));
//! assert_eq!(tally.metric(Metric::BalancedAccuracy, &profile), Some(0.5));
//! println!("{}", ClassificationReport::new(tally.confusion(), &profile));
//! # Ok::<(), counterweight_metrics::Error>(())
//! ```

#[cfg(feature = "burn")]
mod adapters;
mod bootstrap;
mod calibration;
mod confusion;
mod curves;
mod decision;
mod error;
mod fairness;
mod metric;
mod predictions;
mod ranking;
mod report;
mod temperature;

#[cfg(feature = "burn")]
pub use adapters::{MetricInput, TallyMetric};
pub use bootstrap::{Bootstrap, Comparison, Interval};
pub use calibration::Calibration;
pub use confusion::ConfusionMatrix;
pub use curves::{CurvePoint, MulticlassAuroc, ScoreCurve};
pub use decision::{Decision, DecisionConfig, Floor};
pub use error::{Error, Result};
pub use fairness::{GroupReport, GroupScore};
pub use metric::{Metric, Tally};
pub use predictions::Predictions;
pub use ranking::{
    AveragePrecision, EntropyBase, ExposureReport, Gain, GiniScale, ItemExposure, Novelty,
    RankedQuery, Ties, mean_over_queries,
};
pub use report::{ClassRow, ClassificationReport};
pub use temperature::Temperature;
