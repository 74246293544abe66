use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use crate::family::Softmax;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// Listwise softmax (ListNet's top-one form: Cao et al., ICML 2007; Bruch et al., 2019).
    ///
    /// Scores `[batch, candidates]`; targets are the column of the positive, or relevances
    /// ≥ 0 of any scale. `loss = −Σ_i (t_i / Σ_k t_k) log softmax(s / T)_i`; a row without
    /// relevance costs nothing.
    ListwiseConfig {
        /// T > 0. Default: 1.
        temperature / with_temperature: f64 = 1.0, positive;
    }
}

impl ListwiseConfig {
    /// Checks the temperature.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _profile: &ClassProfile, _device: &Device) -> Result<Listwise> {
        self.check()?;
        Ok(Listwise { softmax: Softmax { scale: self.temperature.recip(), ..Softmax::default() } })
    }
}

/// See [`ListwiseConfig`].
#[derive(Debug, Clone)]
pub struct Listwise {
    softmax: Softmax,
}

impl Loss for Listwise {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let Targets::Soft(_) = targets else {
            return self.softmax.cross_entropy(logits, targets, None);
        };
        let t = targets.dense(&logits);
        let total = t.clone().sum_dim(1);
        let none = total.clone().equal_scalar(0.0);
        let share = t / total.mask_fill(none, 1.0);
        self.softmax.cross_entropy(logits, &Targets::Soft(share), None)
    }
}
