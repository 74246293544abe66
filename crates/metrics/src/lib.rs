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
//! println!("{}", ClassificationReport::new(&tally.counts(), &profile)?);
//! # Ok::<(), counterweight_metrics::Error>(())
//! ```

#[cfg(feature = "burn")]
mod adapters;
mod calibration;
mod confusion;
mod counts;
mod curves;
mod decision;
mod error;
mod fairness;
mod metric;
mod multilabel;
mod predictions;
mod ranking;
mod regression;
mod report;
mod table;
mod uncertainty;

#[cfg(feature = "burn")]
pub use adapters::{
    EpochMetric, EpochPredictions, EpochQueries, EpochState, LabelInput, MetricInput, QueryInput,
    ScoreInput, ValueInput,
};
pub use calibration::{
    BinaryCalibrator, BinaryMethod, BrierParts, Calibration, CalibrationBin, Calibrator,
    CalibratorConfig, Conformal, ConformalScore, Isotonic, LinearScaling, PredictionSets,
    Regularisation, Temperature,
};
pub use confusion::{ConfusionMatrix, KappaWeights};
pub use counts::{Average, ClassCounts, ClassScore};
pub use curves::{
    CurveMetric, CurvePoint, HCosts, MulticlassAuroc, ScoreCurve, ScoreHistogram, Scores,
};
pub use decision::{
    Constraint, CostMatrix, Decision, DecisionConfig, Floor, NearestClassMean, Nearness,
    RiskCoverage, RiskPoint, Threshold, ThresholdMetric, tau_normalise,
};
pub use error::{Error, Result};
pub use fairness::{Disparity, FairnessReport, GroupRates, GroupReport, GroupScore};
pub use metric::{Metric, Tally};
pub use multilabel::LabelSets;
pub use predictions::Predictions;
pub use ranking::{
    AveragePrecision, EntropyBase, ExposureReport, Gain, GiniScale, ItemExposure, Novelty,
    QueryMean, RankedQuery, SegmentParity, Ties,
};
pub use regression::{RegressionErrors, ShotErrors};
pub use report::{ClassRow, ClassificationReport, Columns};
pub use uncertainty::{
    Bootstrap, Comparison, CurveComparison, DeLong, DeLongTest, Interval, McNemar,
};
