//! Class priors that differ between training and use.

use counterweight_core::{ensure, ensure_length};
use ndarray::Array2;

use crate::{ConfusionMatrix, Decision, Result};

/// The least prior an estimate gives.
const LEAST: f64 = 1e-9;

impl Decision {
    /// Corrects probabilities for class priors that differ between training and use, after
    /// resampling or a shift: `p'_c ∝ p_c · actual_c / trained_c` (Elkan, IJCAI 2001;
    /// Saerens et al., Neural Computation 2002).
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange) for a prior outside (0, 1] or priors that do not sum to 1
    /// within 1e-6; [`Error::Data`](crate::Error::Data) for lists of different lengths.
    ///
    /// ```
    /// use counterweight_metrics::Decision;
    /// use ndarray::array;
    ///
    /// // Trained on balanced classes, used where 5 % are positive.
    /// let decision = Decision::prior_correction(&[0.5, 0.5], &[0.95, 0.05])?;
    /// let corrected = decision.apply(&array![[0.2, 0.8]])?;
    /// assert!((corrected[[0, 1]] - 0.173913).abs() < 1e-6);
    /// # Ok::<(), counterweight_metrics::Error>(())
    /// ```
    pub fn prior_correction(trained: &[f64], actual: &[f64]) -> Result<Self> {
        check(trained)?;
        check(actual)?;
        ensure_length("priors", actual.len(), trained.len())?;
        Ok(Self { offsets: actual.iter().zip(trained).map(|(a, t)| a.ln() - t.ln()).collect() })
    }

    /// The class priors where probabilities come from, estimated by expectation
    /// maximisation from unlabelled rows (Saerens et al. 2002): the priors that the
    /// corrected probabilities average to. The shift must be in the priors alone.
    ///
    /// Starts at `trained` and stops when no prior moves by more than 1e-9, or after 10,000
    /// rounds. Hand the result to [`prior_correction`](Self::prior_correction); a prior that
    /// tends to 0 is kept at 1e-9.
    ///
    /// # Errors
    /// As [`prior_correction`](Self::prior_correction), and [`Error::Data`](crate::Error::Data) for no rows.
    pub fn estimate_priors(probabilities: &Array2<f64>, trained: &[f64]) -> Result<Vec<f64>> {
        const ROUNDS: usize = 10_000;
        check(trained)?;
        ensure_length("priors", probabilities.ncols(), trained.len())?;
        if probabilities.nrows() == 0 {
            return Err(counterweight_core::Error::Empty { what: "probabilities" }.into());
        }
        let mut priors = trained.to_vec();
        for _ in 0..ROUNDS {
            let mut sums = vec![0.0; priors.len()];
            for row in probabilities.rows() {
                let scaled = |c: usize| row[c] * priors[c] / trained[c];
                let total: f64 = (0..priors.len()).map(scaled).sum();
                if total > 0.0 {
                    sums.iter_mut().enumerate().for_each(|(c, sum)| *sum += scaled(c) / total);
                }
            }
            let total: f64 = sums.iter().map(|s| s.max(LEAST)).sum();
            let next: Vec<f64> = sums.iter().map(|s| s.max(LEAST) / total).collect();
            let moved = next.iter().zip(&priors).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            priors = next;
            if moved < 1e-9 {
                break;
            }
        }
        Ok(priors)
    }

    /// The class priors where unlabelled predictions come from, by black-box shift estimation
    /// (BBSE; Lipton et al., ICML 2018): the priors under which the held-out confusion
    /// matrix explains how often each class is predicted now. Needs no honest
    /// probabilities, unlike [`estimate_priors`](Self::estimate_priors).
    ///
    /// `held_out` counts labelled rows of the training distribution, `predicted` are the
    /// classes predicted for unlabelled rows. Negative estimates become 1e-9.
    ///
    /// # Errors
    /// [`Error::Singular`](crate::Error::Singular) when the matrix has no inverse (a class
    /// without rows, two predicted alike), [`Error::Data`](crate::Error::Data) for no rows or
    /// a class id outside the matrix.
    ///
    /// ```
    /// use counterweight_metrics::{ConfusionMatrix, Decision};
    ///
    /// // Right 3 times of 4 in both classes; now half of the rows are predicted as each.
    /// let held_out = ConfusionMatrix::from_labels(
    ///     &[0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1],
    ///     &[0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1, 0],
    ///     2,
    /// )?;
    /// let priors = Decision::estimate_priors_by_predictions(&held_out, &[0, 1, 1, 0])?;
    /// assert!((priors[0] - 0.5).abs() < 1e-12);
    /// # Ok::<(), counterweight_metrics::Error>(())
    /// ```
    pub fn estimate_priors_by_predictions(
        held_out: &ConfusionMatrix,
        predicted: &[usize],
    ) -> Result<Vec<f64>> {
        let classes = held_out.classes();
        if predicted.is_empty() {
            return Err(counterweight_core::Error::Empty { what: "predictions" }.into());
        }
        let mut now = vec![0.0; classes];
        for (row, &id) in predicted.iter().enumerate() {
            crate::counts::check_ids(id, id, row, classes)?;
            now[id] += 1.0 / predicted.len() as f64;
        }
        let counts = held_out.counts();
        // P(predicted = i | true = j), row by row.
        let given: Vec<Vec<f64>> = (0..classes)
            .map(|i| (0..classes).map(|j| held_out.get(j, i) / counts.support(j)).collect())
            .collect();
        let found = solve(given, now).ok_or(crate::Error::Singular)?;
        let total: f64 = found.iter().map(|p| p.max(LEAST)).sum();
        Ok(found.iter().map(|p| p.max(LEAST) / total).collect())
    }
}

/// Solves a square system by elimination with row pivots; `None` when it is singular.
fn solve(mut a: Vec<Vec<f64>>, mut b: Vec<f64>) -> Option<Vec<f64>> {
    let n = b.len();
    for k in 0..n {
        let pivot = (k..n).max_by(|&i, &j| a[i][k].abs().total_cmp(&a[j][k].abs()))?;
        // A NaN from a class without rows is the largest in this order, and refused here.
        if a[pivot][k].is_nan() || a[pivot][k].abs() <= 1e-12 {
            return None;
        }
        a.swap(k, pivot);
        b.swap(k, pivot);
        let (above, below) = a.split_at_mut(k + 1);
        for (i, row) in below.iter_mut().enumerate() {
            let factor = row[k] / above[k][k];
            row.iter_mut().zip(&above[k]).skip(k).for_each(|(x, y)| *x -= factor * y);
            b[k + 1 + i] -= factor * b[k];
        }
    }
    for k in (0..n).rev() {
        let known: f64 = (k + 1..n).map(|j| a[k][j] * b[j]).sum();
        b[k] = (b[k] - known) / a[k][k];
    }
    Some(b)
}

fn check(priors: &[f64]) -> Result<()> {
    for &p in priors {
        ensure("prior", p, p > 0.0 && p <= 1.0, "(0, 1]")?;
    }
    let sum: f64 = priors.iter().sum();
    Ok(ensure("sum of priors", sum, (sum - 1.0).abs() < 1e-6, "1 within 1e-6")?)
}
