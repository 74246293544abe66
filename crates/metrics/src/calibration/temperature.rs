use counterweight_core::ensure;
use ndarray::{Array2, Axis};
use serde::{Deserialize, Serialize};

use super::{log, softmax_rows};
use crate::{Predictions, Result};

/// Temperature scaling (Guo et al., ICML 2017): one number T that makes probabilities less
/// (T > 1) or more (T < 1) certain, and never changes which class is the most probable.
///
/// `p'_c ∝ p_c^(1/T)`, the softmax of logits divided by T.
///
/// ```
/// use counterweight_metrics::{Predictions, Temperature};
/// use ndarray::array;
///
/// // Always 90 % sure, right three times of four.
/// let p = array![[0.9, 0.1], [0.9, 0.1], [0.9, 0.1], [0.9, 0.1]];
/// let dev = Predictions::new(vec![0, 0, 0, 1], p.clone())?;
/// let calibrated = Temperature::fit(&dev).apply(&p);
/// assert!((calibrated[[0, 0]] - 0.75).abs() < 1e-6);
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Temperature(f64);

impl Temperature {
    /// A known T.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a T that is not positive and
    /// finite.
    pub fn new(t: f64) -> Result<Self> {
        ensure("temperature", t, t > 0.0 && t.is_finite(), "(0, inf)")?;
        Ok(Self(t))
    }

    /// T.
    pub fn value(self) -> f64 {
        self.0
    }

    /// The T in `[0.01, 100]` of the least log loss on held-out predictions.
    ///
    /// The loss is convex in 1 / T, so the root of its derivative is found by bisection. A
    /// model that is always right has no minimum: T becomes 0.01.
    pub fn fit(dev: &Predictions) -> Self {
        let logs = dev.probabilities().mapv(log);
        // Σ over rows of (mean log p under softmax(b · log p)) − log p of the truth.
        let slope = |b: f64| -> f64 {
            let rows = logs.axis_iter(Axis(0)).zip(dev.truth());
            rows.map(|(row, &y)| {
                let top = row.iter().map(|l| b * l).fold(f64::NEG_INFINITY, f64::max);
                let (mut sum, mut mean) = (0.0, 0.0);
                for &l in row {
                    let weight = (b * l - top).exp();
                    sum += weight;
                    mean += weight * l;
                }
                mean / sum - row[y]
            })
            .sum()
        };
        let (mut low, mut high) = (0.01, 100.0);
        // Bisection in log space: 60 halvings leave a relative error of 1e-17.
        for _ in 0..60 {
            let middle = f64::sqrt(low * high);
            if slope(middle) < 0.0 {
                low = middle;
            } else {
                high = middle;
            }
        }
        Self(f64::sqrt(low * high).recip())
    }

    /// Scales rows of probabilities; T = 1 gives them back to the bit.
    pub fn apply(self, probabilities: &Array2<f64>) -> Array2<f64> {
        if self.0 == 1.0 {
            return probabilities.clone();
        }
        let mut scaled = probabilities.mapv(|p| log(p) / self.0);
        softmax_rows(&mut scaled);
        scaled
    }
}
