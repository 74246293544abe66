use counterweight_core::{ensure, ensure_length, minimise};
use ndarray::{Array2, ArrayView1};
use serde::{Deserialize, Serialize};

use super::softmax_rows;
use crate::{Predictions, Result};

/// A linear map of log-probabilities before a softmax, `p' = softmax(W log p + b)`, fitted by
/// maximum likelihood: W diagonal is vector scaling (Guo et al., ICML 2017), W full is
/// Dirichlet calibration (Kull et al., NeurIPS 2019).
///
/// Probabilities below 2⁻⁵² count as 2⁻⁵², whose logarithm is −36.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct LinearScaling {
    /// C slopes, or C × C row by row.
    weights: Vec<f64>,
    offsets: Vec<f64>,
}

/// The penalties of Dirichlet calibration (ODIR), each on the mean square of what it names.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Regularisation {
    /// λ ≥ 0 on the off-diagonal entries of W.
    pub off_diagonal: f64,
    /// μ ≥ 0 on the offsets.
    pub offsets: f64,
}

impl LinearScaling {
    /// Fits a slope and an offset per class.
    ///
    /// # Errors
    /// None: predictions are checked when they are made.
    pub fn vector(dev: &Predictions) -> Result<Self> {
        Ok(Self::fit(dev, false, Regularisation { off_diagonal: 0.0, offsets: 0.0 }))
    }

    /// Fits a matrix and offsets: C² + C numbers, so for dozens of classes, not thousands.
    ///
    /// # Errors
    /// For a strength that is negative or not finite.
    pub fn dirichlet(dev: &Predictions, strength: Regularisation) -> Result<Self> {
        for (name, v) in [("off_diagonal", strength.off_diagonal), ("offsets", strength.offsets)] {
            ensure(name, v, v >= 0.0 && v.is_finite(), "[0, inf)")?;
        }
        Ok(Self::fit(dev, true, strength))
    }

    fn fit(dev: &Predictions, full: bool, strength: Regularisation) -> Self {
        let logs = dev.probabilities().mapv(log);
        let (rows, classes) = logs.dim();
        let slopes = if full { classes * classes } else { classes };
        let mut start = vec![0.0; slopes + classes];
        (0..classes).for_each(|c| start[if full { c * classes + c } else { c }] = 1.0);
        let pairs = (classes * classes - classes).max(1) as f64;
        let found = minimise(start, |x, gradient| {
            gradient.fill(0.0);
            let (weights, offsets) = x.split_at(slopes);
            let mut value = 0.0;
            let mut z = vec![0.0; classes];
            for (log_p, &truth) in logs.rows().into_iter().zip(dev.truth()) {
                let log_sum = softmax(weights, offsets, log_p, &mut z);
                value += log_sum - z[truth];
                for (c, z) in z.iter().enumerate() {
                    let hit = f64::from(u8::from(c == truth));
                    let off = ((z - log_sum).exp() - hit) / rows as f64;
                    if full {
                        let row = &mut gradient[c * classes..(c + 1) * classes];
                        row.iter_mut().zip(log_p).for_each(|(g, l)| *g += off * l);
                    } else {
                        gradient[c] += off * log_p[c];
                    }
                    gradient[slopes + c] += off;
                }
            }
            value /= rows as f64;
            if full {
                for i in 0..classes * classes {
                    if i / classes != i % classes {
                        value += strength.off_diagonal * weights[i] * weights[i] / pairs;
                        gradient[i] += 2.0 * strength.off_diagonal * weights[i] / pairs;
                    }
                }
                for (c, b) in offsets.iter().enumerate() {
                    value += strength.offsets * b * b / classes as f64;
                    gradient[slopes + c] += 2.0 * strength.offsets * b / classes as f64;
                }
            }
            value
        });
        let (weights, offsets) = found.split_at(slopes);
        Self { weights: weights.to_vec(), offsets: offsets.to_vec() }
    }

    /// W: C slopes, or C × C row by row.
    pub fn weights(&self) -> &[f64] {
        &self.weights
    }

    /// b.
    pub fn offsets(&self) -> &[f64] {
        &self.offsets
    }

    /// Scales rows of probabilities.
    ///
    /// # Errors
    /// When the number of columns is not that of the classes.
    pub fn apply(&self, probabilities: &Array2<f64>) -> Result<Array2<f64>> {
        let classes = self.offsets.len();
        ensure_length("a row of probabilities", probabilities.ncols(), classes)?;
        let mut out = Array2::zeros(probabilities.dim());
        let mut z = vec![0.0; classes];
        for (mut to, from) in out.rows_mut().into_iter().zip(probabilities.rows()) {
            logits(&self.weights, &self.offsets, from.mapv(log).view(), &mut z);
            to.iter_mut().zip(&z).for_each(|(a, b)| *a = *b);
        }
        softmax_rows(&mut out);
        Ok(out)
    }
}

fn log(p: f64) -> f64 {
    p.max(f64::EPSILON).ln()
}

fn logits(weights: &[f64], offsets: &[f64], log_p: ArrayView1<'_, f64>, z: &mut [f64]) {
    let classes = offsets.len();
    for (c, z) in z.iter_mut().enumerate() {
        *z = offsets[c]
            + if weights.len() == classes {
                weights[c] * log_p[c]
            } else {
                let row = &weights[c * classes..(c + 1) * classes];
                row.iter().zip(log_p).map(|(w, l)| w * l).sum()
            };
    }
}

/// Fills `z` with the logits less their largest and gives the logarithm of Σ exp z.
fn softmax(weights: &[f64], offsets: &[f64], log_p: ArrayView1<'_, f64>, z: &mut [f64]) -> f64 {
    logits(weights, offsets, log_p, z);
    let top = z.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    z.iter_mut().for_each(|v| *v -= top);
    z.iter().map(|v| v.exp()).sum::<f64>().ln()
}
