use counterweight_core::{ensure, ensure_length, minimise};
use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::bins::check_probability;
use super::{Isotonic, log};
use crate::{Predictions, Result};

/// How the probability of an event is calibrated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum BinaryMethod {
    /// Platt scaling (1999): a logistic function of the log-odds, with Platt's smoothed
    /// targets `(n₊ + 1) / (n₊ + 2)` and `1 / (n₋ + 2)`.
    Platt,
    /// Beta calibration (Kull et al., AISTATS 2017): `logit p' = a ln p − b ln(1 − p) + c`,
    /// a and b not negative.
    Beta,
    /// [`Isotonic`] regression: any non-decreasing function; needs about a thousand rows.
    Isotonic,
    /// Histogram binning (Zadrozny and Elkan, ICML 2001): the frequency within equal-width
    /// bins, the middle of a bin without examples.
    Histogram {
        /// Bins, at least 1.
        bins: usize,
    },
}

/// A fitted map from a probability to a calibrated one.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum BinaryCalibrator {
    /// `logit p' = slope · logit p + offset`.
    Platt {
        /// The slope.
        slope: f64,
        /// The offset.
        offset: f64,
    },
    /// `logit p' = a ln p − b ln(1 − p) + c`.
    Beta {
        /// a ≥ 0.
        a: f64,
        /// b ≥ 0.
        b: f64,
        /// c.
        c: f64,
    },
    /// A non-decreasing function.
    Isotonic(Isotonic),
    /// One frequency per equal-width bin.
    Histogram {
        /// The frequencies, from low to high probabilities.
        frequencies: Vec<f64>,
    },
}

impl BinaryCalibrator {
    /// Fits probabilities of an event to whether it came.
    ///
    /// # Errors
    /// For no rows, arrays of different lengths, a probability outside `[0, 1]`, no bins.
    ///
    /// ```
    /// use counterweight_metrics::{BinaryCalibrator, BinaryMethod};
    ///
    /// let came = [true, false, false, true];
    /// let method = BinaryMethod::Histogram { bins: 2 };
    /// let fitted = BinaryCalibrator::fit(method, &[0.9, 0.8, 0.2, 0.7], &came)?;
    /// assert_eq!(fitted.apply(0.75), 2.0 / 3.0);
    /// # Ok::<(), counterweight_metrics::Error>(())
    /// ```
    pub fn fit(method: BinaryMethod, probabilities: &[f64], came: &[bool]) -> Result<Self> {
        ensure_length("events", came.len(), probabilities.len())?;
        if came.is_empty() {
            return Err(counterweight_core::Error::Empty { what: "events" }.into());
        }
        for (row, &p) in probabilities.iter().enumerate() {
            check_probability(p, row)?;
        }
        let targets: Vec<f64> = came.iter().map(|&c| f64::from(u8::from(c))).collect();
        match method {
            BinaryMethod::Platt => {
                let positives = came.iter().filter(|&&c| c).count() as f64;
                let negatives = came.len() as f64 - positives;
                let (high, low) = ((positives + 1.0) / (positives + 2.0), 1.0 / (negatives + 2.0));
                let smooth: Vec<f64> = came.iter().map(|&c| if c { high } else { low }).collect();
                let inputs = probabilities.iter().map(|&p| [odds(p), 0.0]).collect();
                let [slope, _, offset] = logistic(inputs, &smooth, [true, false]);
                Ok(Self::Platt { slope, offset })
            }
            BinaryMethod::Beta => {
                let inputs: Vec<[f64; 2]> =
                    probabilities.iter().map(|&p| [log(p), -log(1.0 - p)]).collect();
                let [mut a, mut b, mut c] = logistic(inputs.clone(), &targets, [true, true]);
                // The authors' way to keep the map non-decreasing: without the term that
                // points downwards.
                if a < 0.0 {
                    [a, b, c] = logistic(inputs, &targets, [false, true]);
                } else if b < 0.0 {
                    [a, b, c] = logistic(inputs, &targets, [true, false]);
                }
                Ok(Self::Beta { a: a.max(0.0), b: b.max(0.0), c })
            }
            BinaryMethod::Isotonic => Ok(Self::Isotonic(Isotonic::fit(probabilities, &targets)?)),
            BinaryMethod::Histogram { bins } => {
                ensure("bins", bins as f64, bins >= 1, "[1, inf)")?;
                let mut sums = vec![[0.0; 2]; bins];
                for (&p, &target) in probabilities.iter().zip(&targets) {
                    let [n, came] = &mut sums[bin(p, bins)];
                    *n += 1.0;
                    *came += target;
                }
                let middle = |i: usize| (i as f64 + 0.5) / bins as f64;
                let frequency = |(i, [n, came]): (usize, &[f64; 2])| {
                    if *n > 0.0 { came / n } else { middle(i) }
                };
                Ok(Self::Histogram {
                    frequencies: sums.iter().enumerate().map(frequency).collect(),
                })
            }
        }
    }

    /// The calibrated probability, in `[0, 1]`; NaN for NaN.
    pub fn apply(&self, probability: f64) -> f64 {
        let p = probability;
        match self {
            Self::Platt { slope, offset } => sigmoid(slope * odds(p) + offset),
            Self::Beta { a, b, c } => sigmoid(a * log(p) - b * log(1.0 - p) + c),
            Self::Isotonic(fitted) => fitted.apply(p),
            Self::Histogram { frequencies } => frequencies[bin(p, frequencies.len())],
        }
    }
}

/// Fits every class against the rest.
pub(super) fn fit(method: BinaryMethod, dev: &Predictions) -> Result<Vec<BinaryCalibrator>> {
    (0..dev.probabilities().ncols())
        .map(|class| {
            let p: Vec<f64> =
                dev.probabilities().column(class).iter().map(|p| p.min(1.0)).collect();
            let came: Vec<bool> = dev.truth().iter().map(|&id| id == class).collect();
            BinaryCalibrator::fit(method, &p, &came)
        })
        .collect()
}

pub(super) fn apply(
    classes: &[BinaryCalibrator],
    probabilities: &Array2<f64>,
) -> Result<Array2<f64>> {
    ensure_length("a row of probabilities", probabilities.ncols(), classes.len())?;
    let mut out = probabilities.clone();
    for mut row in out.rows_mut() {
        row.iter_mut().zip(classes).for_each(|(p, class)| *p = class.apply(*p));
        let sum = row.sum();
        if sum > 0.0 {
            row.mapv_inplace(|p| p / sum);
        } else {
            // No class is possible: nothing is known.
            row.fill(1.0 / classes.len() as f64);
        }
    }
    Ok(out)
}

/// Slopes of the used inputs and the offset, by maximum likelihood.
fn logistic(inputs: Vec<[f64; 2]>, targets: &[f64], used: [bool; 2]) -> [f64; 3] {
    let start = vec![if used[0] { 1.0 } else { 0.0 }, if used[1] { 1.0 } else { 0.0 }, 0.0];
    let n = targets.len() as f64;
    let found = minimise(start, |x, gradient| {
        gradient.fill(0.0);
        let mut value = 0.0;
        for (input, t) in inputs.iter().zip(targets) {
            let z = x[0] * input[0] + x[1] * input[1] + x[2];
            // softplus(z) − t z
            value += (z.max(0.0) + (-z.abs()).exp().ln_1p() - t * z) / n;
            let off = (sigmoid(z) - t) / n;
            for i in 0..2 {
                gradient[i] += if used[i] { off * input[i] } else { 0.0 };
            }
            gradient[2] += off;
        }
        value
    });
    [found[0], found[1], found[2]]
}

/// The bin `(b/B, (b+1)/B]` of a probability.
fn bin(p: f64, bins: usize) -> usize {
    ((p * bins as f64).ceil() as usize).saturating_sub(1).min(bins - 1)
}

fn odds(p: f64) -> f64 {
    log(p) - log(1.0 - p)
}

fn sigmoid(z: f64) -> f64 {
    if z >= 0.0 {
        1.0 / (1.0 + (-z).exp())
    } else {
        let e = z.exp();
        e / (1.0 + e)
    }
}
