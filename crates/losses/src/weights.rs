use burn::tensor::{Device, Tensor};
use counterweight_core::{ClassProfile, ensure};
use serde::{Deserialize, Serialize};

use crate::loss::constant;
use crate::{Error, Result};

/// Weights per class, computed from the class counts n_c.
///
/// A class without examples gets weight 0 wherever its count would be divided by.
///
/// ```
/// use counterweight_core::ClassProfile;
/// use counterweight_losses::ClassWeights;
///
/// let profile = ClassProfile::from_counts([90, 10])?;
/// let weights = ClassWeights::Balanced.values(&profile)?;
/// assert!((weights[1] / weights[0] - 9.0).abs() < 1e-12);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// All 1.
    #[default]
    Uniform,
    /// `N / (C · n_c)`, scikit-learn's `class_weight="balanced"`; C counts the classes
    /// that have examples.
    Balanced,
    /// `(n_c)^(-power)`, scaled to mean 1 over the classes with examples. `power` in
    /// `[0, 1]`; 0.5 is the square-root rule, 1 is `Balanced` up to scale.
    Inverse {
        /// The exponent.
        power: f64,
    },
    /// Effective number of samples, `(1 − β) / (1 − β^n_c)`, scaled to sum to the number
    /// of classes with examples (Cui et al., CVPR 2019). `beta` in `[0, 1)`; the paper
    /// uses .9, .99, .999, .9999.
    EffectiveNumber {
        /// β.
        beta: f64,
    },
    /// As given, one per class, each finite and ≥ 0.
    Explicit(Vec<f64>),
}

impl ClassWeights {
    /// Checks the parameters that do not depend on the data.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a bad parameter or weight.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Uniform | Self::Balanced => {}
            Self::Inverse { power } => {
                ensure("power", *power, (0.0..=1.0).contains(power), "[0, 1]")?;
            }
            Self::EffectiveNumber { beta } => {
                ensure("beta", *beta, (0.0..1.0).contains(beta), "[0, 1)")?;
            }
            Self::Explicit(weights) => {
                for &w in weights {
                    ensure("class weight", w, w >= 0.0 && w.is_finite(), "[0, inf)")?;
                }
            }
        }
        Ok(())
    }

    /// The weights in class-id order.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] for a bad parameter or weight, [`Error::ClassCount`] for
    /// an explicit list of another length.
    pub fn values(&self, profile: &ClassProfile) -> Result<Vec<f64>> {
        self.check()?;
        let counts = profile.counts();
        let per_class = |f: &dyn Fn(f64) -> f64| -> Vec<f64> {
            counts.iter().map(|&n| if n == 0 { 0.0 } else { f(n as f64) }).collect()
        };
        let seen = counts.iter().filter(|&&n| n > 0).count() as f64;
        let scaled = |raw: Vec<f64>| {
            let scale = seen / raw.iter().sum::<f64>();
            raw.into_iter().map(|w| w * scale).collect()
        };
        Ok(match self {
            Self::Uniform => vec![1.0; counts.len()],
            Self::Balanced => {
                let total = profile.total() as f64;
                per_class(&|n| total / (seen * n))
            }
            Self::Inverse { power } => scaled(per_class(&|n| n.powf(-power))),
            Self::EffectiveNumber { beta } => {
                // 1 − βⁿ = −expm1(n ln β), exact also for β near 1.
                scaled(per_class(&|n| (1.0 - beta) / -(n * beta.ln()).exp_m1()))
            }
            Self::Explicit(weights) => {
                if weights.len() != counts.len() {
                    return Err(Error::ClassCount {
                        name: "class weights",
                        got: weights.len(),
                        classes: counts.len(),
                    });
                }
                weights.clone()
            }
        })
    }

    /// The weights on a device, or `None` for `Uniform`.
    pub(crate) fn tensor(
        &self,
        profile: &ClassProfile,
        device: &Device,
    ) -> Result<Option<Tensor<1>>> {
        if *self == Self::Uniform {
            return Ok(None);
        }
        Ok(Some(constant(&self.values(profile)?, device)))
    }
}

/// The weight of positives in binary cross entropy, per column.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PosWeight {
    /// 1.
    #[default]
    One,
    /// One weight for all columns, finite and ≥ 0.
    Value(f64),
    /// Negatives over positives, `(N − n_c) / n_c` from the profile's counts; 0 for a
    /// column without positives.
    Balanced,
    /// As given, one per column, each finite and ≥ 0.
    Explicit(Vec<f64>),
}

impl PosWeight {
    /// Checks the weights.
    ///
    /// # Errors
    /// [`Error::OutOfRange`] naming the weight and its range.
    pub fn check(&self) -> Result<()> {
        let one = |w: f64| ensure("pos_weight", w, w >= 0.0 && w.is_finite(), "[0, inf)");
        match self {
            Self::One | Self::Balanced => {}
            Self::Value(w) => one(*w)?,
            Self::Explicit(weights) => weights.iter().try_for_each(|&w| one(w))?,
        }
        Ok(())
    }

    /// The weights on a device: one, or one per column.
    pub(crate) fn tensor(&self, profile: &ClassProfile, device: &Device) -> Result<Tensor<1>> {
        self.check()?;
        let values = match self {
            Self::One => vec![1.0],
            Self::Value(w) => vec![*w],
            Self::Balanced => {
                let total = profile.total() as f64;
                let ratio = |n: f64| if n == 0.0 { 0.0 } else { (total - n) / n };
                profile.counts().iter().map(|&n| ratio(n as f64)).collect()
            }
            Self::Explicit(weights) => {
                if weights.len() != profile.classes() {
                    return Err(Error::ClassCount {
                        name: "pos_weight",
                        got: weights.len(),
                        classes: profile.classes(),
                    });
                }
                weights.clone()
            }
        };
        Ok(constant(&values, device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn profile(counts: &[u64]) -> ClassProfile {
        ClassProfile::from_counts(counts.iter().copied()).unwrap()
    }

    #[test]
    fn effective_number_is_between_uniform_and_inverse() {
        let counts = profile(&[1000, 10, 0]);
        let ratio = |beta| {
            let w = ClassWeights::EffectiveNumber { beta }.values(&counts).unwrap();
            assert_eq!(w[2], 0.0);
            assert!((w.iter().sum::<f64>() - 2.0).abs() < 1e-9);
            w[1] / w[0]
        };
        assert!((ratio(0.0) - 1.0).abs() < 1e-12);
        assert!((ratio(1.0 - 1e-9) - 100.0).abs() < 0.01);
        // Closed form for β = .9.
        let expected = (1.0 - 0.9f64.powi(1000)) / (1.0 - 0.9f64.powi(10));
        assert!((ratio(0.9) - expected).abs() < 1e-9);
    }

    #[test]
    fn bad_weights_are_refused() {
        let counts = profile(&[2, 1]);
        let bad = ClassWeights::Explicit(vec![1.0, f64::NAN]).values(&counts);
        assert_eq!(bad.unwrap_err().to_string(), "class weight = NaN is outside [0, inf)");
        assert!(ClassWeights::Explicit(vec![1.0]).values(&counts).is_err());
        assert!(ClassWeights::EffectiveNumber { beta: 1.0 }.values(&counts).is_err());
    }
}
