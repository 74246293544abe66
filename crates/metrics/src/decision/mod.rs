//! Adjusting the predicted distribution after training.

mod abstention;
mod classifiers;
mod costs;
mod priors;
mod search;
mod sweep;

pub use abstention::{RiskCoverage, RiskPoint};
pub use classifiers::{NearestClassMean, Nearness, tau_normalise};
pub use costs::CostMatrix;
pub use sweep::{Constraint, Threshold, ThresholdMetric};

use counterweight_core::{ClassProfile, ensure};
use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

use crate::{Error, Metric, Predictions, Result};

/// A decision rule: an offset per class added to the log-probabilities before the
/// softmax.
///
/// Post-hoc logit adjustment (Menon et al., ICLR 2021) is the offset `−τ log π_c`; a
/// threshold θ_c per class (predict the largest `p_c / θ_c`) is `−log θ_c`.
/// [`apply`](Self::apply) gives the adjusted *distribution*, so that whatever reads
/// probabilities keeps working.
///
/// ```
/// use counterweight_core::ClassProfile;
/// use counterweight_metrics::Decision;
/// use ndarray::array;
///
/// let profile = ClassProfile::from_counts([90, 10])?;
/// let decision = Decision::logit_adjustment(&profile, 1.0)?;
/// let adjusted = decision.apply(&array![[0.8, 0.2]])?;
/// // 0.8 / 0.9 against 0.2 / 0.1
/// assert!((adjusted[[0, 1]] - 9.0 / 13.0).abs() < 1e-12);
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Decision {
    offsets: Vec<f64>,
}

impl Decision {
    /// The most probable class.
    pub fn argmax(classes: usize) -> Self {
        Self { offsets: vec![0.0; classes] }
    }

    /// Post-hoc logit adjustment with τ ≥ 0; a class without examples takes the prior of
    /// one example.
    ///
    /// # Errors
    /// For τ out of range.
    pub fn logit_adjustment(profile: &ClassProfile, tau: f64) -> Result<Self> {
        ensure("tau", tau, tau >= 0.0 && tau.is_finite(), "[0, inf)")?;
        let offsets = profile.log_priors().into_iter().map(|p| -tau * p).collect();
        Ok(Self { offsets })
    }

    /// A threshold per class in (0, 1].
    ///
    /// # Errors
    /// For a threshold out of range.
    pub fn thresholds(thresholds: &[f64]) -> Result<Self> {
        for &t in thresholds {
            ensure("threshold", t, t > 0.0 && t <= 1.0, "(0, 1]")?;
        }
        Ok(Self { offsets: thresholds.iter().map(|t| -t.ln()).collect() })
    }

    /// The offsets in class-id order.
    pub fn offsets(&self) -> &[f64] {
        &self.offsets
    }

    /// Adjusts distributions, `[rows, classes]` → `[rows, classes]`. Offsets of 0 give them
    /// back to the bit.
    ///
    /// # Errors
    /// When the number of columns is not the number of classes.
    pub fn apply(&self, probabilities: &Array2<f64>) -> Result<Array2<f64>> {
        counterweight_core::ensure_length(
            "a row of probabilities",
            probabilities.ncols(),
            self.offsets.len(),
        )?;
        let mut out = probabilities.clone();
        if self.offsets.iter().all(|&offset| offset == 0.0) {
            return Ok(out);
        }
        for mut row in out.axis_iter_mut(Axis(0)) {
            let mut top = f64::NEG_INFINITY;
            for (p, offset) in row.iter_mut().zip(&self.offsets) {
                *p = p.max(f64::MIN_POSITIVE).ln() + offset;
                top = top.max(*p);
            }
            row.mapv_inplace(|v| (v - top).exp());
            let sum = row.sum();
            row.mapv_inplace(|v| v / sum);
        }
        Ok(out)
    }

    /// Adjusts checked predictions.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn decide(&self, predictions: &Predictions) -> Result<Predictions> {
        Predictions::new(predictions.truth().to_vec(), self.apply(predictions.probabilities())?)
    }
}

/// A metric that a decision must not push below a value.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Floor {
    /// The constrained metric.
    pub metric: Metric,
    /// Its smallest allowed value on the data searched on.
    pub at_least: f64,
}

/// How the decision of a recipe is found, on development data.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum DecisionConfig {
    /// The most probable class.
    #[default]
    Argmax,
    /// Post-hoc logit adjustment with a fixed τ.
    LogitAdjustment {
        /// τ ≥ 0.
        tau: f64,
    },
    /// Post-hoc logit adjustment with the τ in `[0, 2]` (steps of .05) that maximises a
    /// metric, subject to a floor.
    SearchLogitAdjustment {
        /// What to maximise.
        maximize: Metric,
        /// What must hold.
        #[serde(default)]
        floor: Option<Floor>,
    },
    /// A threshold per class, by coordinate ascent from the best logit adjustment: class by
    /// class the exact maximum over its threshold, found by sorting the rows where it changes
    /// a decision.
    SearchThresholds {
        /// What to maximise.
        maximize: Metric,
        /// What must hold.
        #[serde(default)]
        floor: Option<Floor>,
    },
}

impl DecisionConfig {
    /// Finds the decision on development predictions.
    ///
    /// # Errors
    /// [`Error::FloorUnreachable`] when nothing satisfies the floor, `OutOfRange` for a
    /// bad τ.
    pub fn fit(&self, dev: &Predictions, profile: &ClassProfile) -> Result<Decision> {
        match self {
            Self::Argmax => Ok(Decision::argmax(profile.classes())),
            Self::LogitAdjustment { tau } => Decision::logit_adjustment(profile, *tau),
            Self::SearchLogitAdjustment { maximize, floor } => {
                search::Search::new(dev, profile, *maximize, *floor)?.logit_adjustment()
            }
            Self::SearchThresholds { maximize, floor } => {
                search::Search::new(dev, profile, *maximize, *floor)?.thresholds()
            }
        }
    }
}
