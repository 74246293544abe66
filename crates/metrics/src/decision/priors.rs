//! Class priors that differ between training and use.

use counterweight_core::{ensure, ensure_length};
use ndarray::Array2;

use crate::{Decision, Result};

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
        const LEAST: f64 = 1e-9;
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
}

fn check(priors: &[f64]) -> Result<()> {
    for &p in priors {
        ensure("prior", p, p > 0.0 && p <= 1.0, "(0, 1]")?;
    }
    let sum: f64 = priors.iter().sum();
    Ok(ensure("sum of priors", sum, (sum - 1.0).abs() < 1e-6, "1 within 1e-6")?)
}
