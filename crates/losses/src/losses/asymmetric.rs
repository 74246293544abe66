use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;
use counterweight_kernels::BinaryFocal;

use crate::family::sigmoid;
use crate::loss::filled;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Asymmetric loss for multi-label training (Ridnik et al., ICCV 2021).
    ///
    /// `loss = −Σ_c [t (1 − p)^γ⁺ log p + (1 − t) p_m^γ⁻ log(1 − p_m)]` with `p = σ(z)` and
    /// `p_m = max(p − m, 0)`, summed over columns: easy negatives fade, and those below the
    /// margin m cost nothing. The margin shifts negatives only. The authors' code treats the
    /// focusing factors as constants by default (`disable_torch_grad_focal_loss`); here, as
    /// in the paper, they are differentiated.
    AsymmetricConfig {
        /// γ⁺ ≥ 0. Default: 1.
        gamma_positive / with_gamma_positive: f64 = 1.0, non_negative;
        /// γ⁻ ≥ 0. Default: 4.
        gamma_negative / with_gamma_negative: f64 = 4.0, non_negative;
        /// m in `[0, 1)`. Default: 0.05.
        margin / with_margin: f64 = 0.05, below_one;
    }
}

impl AsymmetricConfig {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _profile: &ClassProfile, _device: &Device) -> Result<Asymmetric> {
        self.check()?;
        Ok(Asymmetric {
            terms: BinaryFocal {
                gamma_positive: self.gamma_positive,
                gamma_negative: self.gamma_negative,
                margin: self.margin,
            },
        })
    }
}

/// See [`AsymmetricConfig`].
#[derive(Debug, Clone)]
pub struct Asymmetric {
    terms: BinaryFocal,
}

impl Loss for Asymmetric {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let (positive, negative) = (filled(1.0, &logits), filled(1.0, &logits));
        sigmoid(logits, targets, positive, negative, self.terms)
    }
}
