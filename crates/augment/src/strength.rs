use burn::tensor::{Tensor, TensorData};
use counterweight_core::{ClassProfile, ensure, ensure_length};
use serde::{Deserialize, Serialize};

use crate::Result;

/// How strongly a class is changed, from 0 (not at all) to 1 (as configured).
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(tag = "by", rename_all = "snake_case")]
pub enum Strength {
    /// 1 for every class.
    #[default]
    Same,
    /// `(n_min / n)^power`: the rarest class as configured, the others less. Classes without
    /// examples count as the rarest.
    Rarity {
        /// In `[0, inf)`; 0 is the same for all.
        power: f64,
    },
    /// One per class, in `[0, 1]`.
    Classes {
        /// In order of the class ids.
        strengths: Vec<f64>,
    },
}

impl Strength {
    /// Checks the ranges.
    ///
    /// # Errors
    /// When a power is negative or a strength outside `[0, 1]`.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Same => {}
            Self::Rarity { power } => {
                ensure("power", *power, *power >= 0.0 && power.is_finite(), "[0, inf)")?;
            }
            Self::Classes { strengths } => {
                for &strength in strengths {
                    ensure("strength", strength, (0.0..=1.0).contains(&strength), "[0, 1]")?;
                }
            }
        }
        Ok(())
    }

    /// The strength of each class.
    ///
    /// # Errors
    /// As [`check`](Self::check), and for another number of strengths than classes.
    pub fn of(&self, profile: &ClassProfile) -> Result<Vec<f64>> {
        self.check()?;
        Ok(match self {
            Self::Same => vec![1.0; profile.classes()],
            Self::Rarity { power } => {
                let counts = profile.counts();
                let least = counts.iter().filter(|n| **n > 0).min().copied().unwrap_or(1);
                let of = |n: &u64| (least as f64 / (*n).max(least) as f64).powf(*power);
                counts.iter().map(of).collect()
            }
            Self::Classes { strengths } => {
                ensure_length("strengths", strengths.len(), profile.classes())?;
                strengths.clone()
            }
        })
    }
}

/// The strength of every row, the mean over its classes; `[batch]`. Where all classes have the same,
/// that of `same` rows.
pub(crate) fn of_rows(strengths: &[f64], targets: &Tensor<2>, same: usize) -> Tensor<1> {
    let classes = strengths.len();
    assert_eq!(targets.dims()[1], classes, "one strength per class");
    if strengths.iter().all(|strength| *strength == strengths[0]) {
        return Tensor::full([same], strengths[0], &targets.device());
    }
    let strengths: Vec<f32> = strengths.iter().map(|s| *s as f32).collect();
    let data = TensorData::new(strengths, [1, classes]);
    let strengths = Tensor::<2>::from_data(data, &targets.device()).cast(targets.dtype());
    let weight = targets.clone().sum_dim(1).clamp_min(1e-6);
    ((targets.clone() * strengths).sum_dim(1) / weight).squeeze_dim::<1>(1)
}
