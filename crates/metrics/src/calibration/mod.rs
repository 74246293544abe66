//! How honest probabilities are, and how to make them so.

mod bins;
mod conformal;
mod isotonic;
mod one_vs_rest;
mod scaling;
mod temperature;

pub(crate) use bins::check_probability;
pub use bins::{BrierParts, Calibration, CalibrationBin};
pub use conformal::{Conformal, ConformalScore, PredictionSets};
pub use isotonic::Isotonic;
pub use one_vs_rest::{BinaryCalibrator, BinaryMethod};
pub use scaling::{LinearScaling, Regularisation};
pub use temperature::Temperature;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use crate::{Predictions, Result};

/// How probabilities are calibrated on held-out predictions: a value of a recipe.
///
/// ```
/// use counterweight_metrics::{CalibratorConfig, Predictions};
/// use ndarray::array;
///
/// let p = array![[0.9, 0.1], [0.8, 0.2], [0.9, 0.1], [0.3, 0.7]];
/// let dev = Predictions::new(vec![0, 1, 0, 1], p.clone())?;
/// let calibrator = CalibratorConfig::Temperature.fit(&dev)?;
/// let calibrated = calibrator.apply(&p)?;
/// assert!((calibrated.row(0).sum() - 1.0).abs() < 1e-12);
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum CalibratorConfig {
    /// [`Temperature`]: one number; never changes a decision. The safest with little data.
    #[default]
    Temperature,
    /// Vector scaling (Guo et al. 2017): a slope and an offset per class on the
    /// log-probabilities.
    Vector,
    /// Dirichlet calibration (Kull et al., NeurIPS 2019): a matrix on the log-probabilities,
    /// regularised off the diagonal.
    Dirichlet {
        /// λ ≥ 0 on the off-diagonal entries, 0.001 by default.
        #[serde(default = "default_lambda")]
        off_diagonal: f64,
        /// μ ≥ 0 on the offsets, 0.001 by default.
        #[serde(default = "default_lambda")]
        offsets: f64,
    },
    /// Each class against the rest by a binary method, then divided by the sum.
    OneVsRest {
        /// The method.
        method: BinaryMethod,
    },
}

fn default_lambda() -> f64 {
    1e-3
}

impl CalibratorConfig {
    /// Dirichlet calibration with the default regularisation.
    pub fn dirichlet() -> Self {
        Self::Dirichlet { off_diagonal: default_lambda(), offsets: default_lambda() }
    }

    /// Fits on held-out predictions.
    ///
    /// # Errors
    /// For a parameter out of range.
    pub fn fit(&self, dev: &Predictions) -> Result<Calibrator> {
        Ok(match *self {
            Self::Temperature => Calibrator::Temperature(Temperature::fit(dev)),
            Self::Vector => Calibrator::Linear(LinearScaling::vector(dev)?),
            Self::Dirichlet { off_diagonal, offsets } => {
                let strength = Regularisation { off_diagonal, offsets };
                Calibrator::Linear(LinearScaling::dirichlet(dev, strength)?)
            }
            Self::OneVsRest { method } => Calibrator::OneVsRest(one_vs_rest::fit(method, dev)?),
        })
    }
}

/// A fitted calibrator, saved with the model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", content = "fitted", rename_all = "snake_case")]
#[non_exhaustive]
pub enum Calibrator {
    /// Temperature scaling.
    Temperature(Temperature),
    /// Vector scaling or Dirichlet calibration.
    Linear(LinearScaling),
    /// One binary calibrator per class.
    OneVsRest(Vec<BinaryCalibrator>),
}

impl Calibrator {
    /// Calibrates distributions, `[rows, classes]` → `[rows, classes]`.
    ///
    /// # Errors
    /// When the number of columns is not that of the fitted classes.
    pub fn apply(&self, probabilities: &Array2<f64>) -> Result<Array2<f64>> {
        match self {
            Self::Temperature(t) => Ok(t.apply(probabilities)),
            Self::Linear(scaling) => scaling.apply(probabilities),
            Self::OneVsRest(classes) => one_vs_rest::apply(classes, probabilities),
        }
    }

    /// Calibrates checked predictions.
    ///
    /// # Errors
    /// As [`apply`](Self::apply).
    pub fn calibrate(&self, predictions: &Predictions) -> Result<Predictions> {
        Predictions::new(predictions.truth().to_vec(), self.apply(predictions.probabilities())?)
    }
}

/// The logarithm, of 0 as of the smallest positive number.
fn log(p: f64) -> f64 {
    p.max(f64::MIN_POSITIVE).ln()
}

/// Turns rows of logits into distributions.
fn softmax_rows(logits: &mut Array2<f64>) {
    for mut row in logits.rows_mut() {
        let top = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        row.mapv_inplace(|l| (l - top).exp());
        let sum = row.sum();
        row.mapv_inplace(|p| p / sum);
    }
}
