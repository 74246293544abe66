use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;
use counterweight_kernels::BinaryFocal;

use crate::family::sigmoid;
use crate::loss::{columns, constant, filled};
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Equalisation loss (Tan et al., CVPR 2020).
    ///
    /// `loss = −Σ_c w_c [t log σ(z) + (1 − t) log(1 − σ(z))]`, w = 1 but for the negatives of
    /// classes whose share of the examples is below λ, which count 0: frequent classes no
    /// longer push rare ones down. Every row counts as foreground. The paper's detector has
    /// background rows that keep all negatives; without any, as in a plain classifier, rare
    /// classes are never told no, and
    /// [`EqualizationV2Config`](crate::EqualizationV2Config) is the better choice. Summed
    /// over columns.
    EqualizationConfig {
        /// λ in `[0, 1]`, the share of examples below which a class is rare. Default:
        /// 0.00176, the paper's for LVIS.
        threshold / with_threshold: f64 = 1.76e-3, unit;
    }
}

impl EqualizationConfig {
    /// Checks λ and finds the rare classes.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<Equalization> {
        self.check()?;
        let kept: Vec<f64> = (profile.priors().iter())
            .map(|&prior| if prior < self.threshold { 0.0 } else { 1.0 })
            .collect();
        Ok(Equalization { negative: constant(&kept, device) })
    }
}

/// See [`EqualizationConfig`].
#[derive(Debug, Clone)]
pub struct Equalization {
    negative: Tensor<1>,
}

impl Loss for Equalization {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let (positive, negative) = (filled(1.0, &logits), columns(&self.negative, &logits));
        sigmoid(logits, targets, positive, negative, BinaryFocal::PLAIN)
    }
}
