use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;
use counterweight_kernels::BinaryFocal;

use crate::family::sigmoid;
use crate::loss::{columns, filled};
use crate::macros::loss_config;
use crate::{Loss, PosWeight, Result, Targets};

loss_config! {
    /// Binary cross entropy on logits.
    ///
    /// `loss = −Σ_c [w_c t_c log σ(z_c) + (1 − t_c) log(1 − σ(z_c))]`, summed over the columns
    /// of an example. PyTorch's `BCEWithLogitsLoss(pos_weight=w)`, whose `mean` also divides by
    /// the number of columns.
    BceConfig {
        /// Weight of positives. Default: 1.
        pos_weight / with_pos_weight: PosWeight = PosWeight::One, pos_weight;
    }
}

impl BceConfig {
    /// Checks the configuration and computes the weights.
    ///
    /// # Errors
    /// [`Error`](enum@crate::Error) naming the parameter and its range.
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<Bce> {
        self.check()?;
        Ok(Bce { positive: self.pos_weight.tensor(profile, device)? })
    }
}

/// See [`BceConfig`].
#[derive(Debug, Clone)]
pub struct Bce {
    positive: Tensor<1>,
}

impl Loss for Bce {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let width = logits.dims()[1];
        let positive = columns(&self.positive, &logits).expand([1, width]);
        let negative = filled(1.0, &logits);
        sigmoid(logits, targets, positive, negative, BinaryFocal::PLAIN)
    }
}
