//! Classifiers of a frozen representation that do not favour the head.

use counterweight_core::{Error as DataError, ensure, ensure_length};
use ndarray::{Array2, ArrayView1, Axis};
use serde::{Deserialize, Serialize};

use crate::counts::check_ids;
use crate::predictions::argmax;
use crate::{Error, Result};

/// τ-normalisation (Kang et al., ICLR 2020): divides each class's weights by their norm to the
/// power τ, `w_c / ‖w_c‖^τ`. Training lets the norms of frequent classes grow; τ = 1 makes all
/// equal, τ = 0 gives the weights back to the bit. The authors use it without offsets.
///
/// `weights` is `[classes, features]`; a class with only zeros is left as it is.
///
/// # Errors
/// For a τ that is negative or not finite.
///
/// ```
/// use counterweight_metrics::tau_normalise;
/// use ndarray::array;
///
/// let even = tau_normalise(&array![[3.0, 4.0], [0.6, 0.8]], 1.0)?;
/// assert_eq!(even.row(0), even.row(1));
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
pub fn tau_normalise(weights: &Array2<f64>, tau: f64) -> Result<Array2<f64>> {
    ensure("tau", tau, tau >= 0.0 && tau.is_finite(), "[0, inf)")?;
    let mut out = weights.clone();
    if tau == 0.0 {
        return Ok(out);
    }
    for mut row in out.rows_mut() {
        let scale = norm(row.view()).powf(tau);
        if scale > 0.0 {
            row.mapv_inplace(|w| w / scale);
        }
    }
    Ok(out)
}

/// How near a row is to a class mean.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Nearness {
    /// Minus the Euclidean distance.
    #[default]
    Euclidean,
    /// The cosine of the angle.
    Cosine,
}

/// The nearest class mean classifier of a representation (Mensink et al. 2013; for long tails
/// Kang et al., ICLR 2020): a class counts by where it is, not by how many examples it has.
///
/// ```
/// use counterweight_metrics::{NearestClassMean, Nearness};
/// use ndarray::array;
///
/// let features = array![[0.0, 0.1], [0.1, 0.0], [1.0, 1.0]];
/// let means = NearestClassMean::fit(&features, &[0, 0, 1], 2)?;
/// assert_eq!(means.predict(&array![[0.9, 0.8]], Nearness::Euclidean)?, [1]);
/// # Ok::<(), counterweight_metrics::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct NearestClassMean {
    /// `None` for a class without examples, which is never predicted.
    means: Vec<Option<Vec<f64>>>,
}

impl NearestClassMean {
    /// Averages features `[rows, features]` by class.
    ///
    /// # Errors
    /// For no rows, arrays of different lengths, a class id that is not below `classes`, or a
    /// feature that is not finite.
    pub fn fit(features: &Array2<f64>, labels: &[usize], classes: usize) -> Result<Self> {
        ensure_length("labels", labels.len(), features.nrows())?;
        if labels.is_empty() {
            return Err(DataError::Empty { what: "features" }.into());
        }
        check_finite(features)?;
        let mut sums = vec![(vec![0.0; features.ncols()], 0.0); classes];
        for (row, (&class, x)) in labels.iter().zip(features.rows()).enumerate() {
            check_ids(class, class, row, classes)?;
            sums[class].0.iter_mut().zip(x).for_each(|(sum, v)| *sum += v);
            sums[class].1 += 1.0;
        }
        let mean =
            |(sum, n): (Vec<f64>, f64)| (n > 0.0).then(|| sum.into_iter().map(|v| v / n).collect());
        Ok(Self { means: sums.into_iter().map(mean).collect() })
    }

    /// Nearness of every row to every class, `[rows, classes]`, −∞ for a class without
    /// examples: use them as logits.
    ///
    /// # Errors
    /// For features of another width or that are not finite.
    pub fn scores(&self, features: &Array2<f64>, by: Nearness) -> Result<Array2<f64>> {
        let width = self.means.iter().flatten().next().map_or(0, Vec::len);
        ensure_length("a row of features", features.ncols(), width)?;
        check_finite(features)?;
        Ok(Array2::from_shape_fn((features.nrows(), self.means.len()), |(row, class)| {
            let x = features.row(row);
            let Some(mean) = &self.means[class] else { return f64::NEG_INFINITY };
            let mean = ArrayView1::from(mean);
            match by {
                Nearness::Euclidean => -norm((&x - &mean).view()),
                Nearness::Cosine => {
                    let both = norm(x) * norm(mean);
                    if both > 0.0 { x.dot(&mean) / both } else { 0.0 }
                }
            }
        }))
    }

    /// The nearest class of every row, the first of equals.
    ///
    /// # Errors
    /// As [`scores`](Self::scores).
    pub fn predict(&self, features: &Array2<f64>, by: Nearness) -> Result<Vec<usize>> {
        Ok(self.scores(features, by)?.axis_iter(Axis(0)).map(argmax).collect())
    }
}

fn norm(x: ArrayView1<'_, f64>) -> f64 {
    x.iter().map(|v| v * v).sum::<f64>().sqrt()
}

fn check_finite(features: &Array2<f64>) -> Result<()> {
    for (row, x) in features.rows().into_iter().enumerate() {
        if let Some(&value) = x.iter().find(|v| !v.is_finite()) {
            return Err(Error::Score { row, value });
        }
    }
    Ok(())
}
