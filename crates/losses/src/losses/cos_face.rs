use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use crate::family::Softmax;
use crate::loss::constant;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

loss_config! {
    /// CosFace, the additive cosine margin (Wang et al., CVPR 2018).
    ///
    /// `loss = −log softmax(s (cos θ − m e_y))_y` on cosines, as
    /// [`CosineHead`](crate::CosineHead) gives them.
    CosFaceConfig {
        /// m ≥ 0. Default: 0.35.
        margin / with_margin: f64 = 0.35, non_negative;
        /// s > 0. Default: 64.
        scale / with_scale: f64 = 64.0, positive;
    }
}

impl CosFaceConfig {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<CosFace> {
        self.check()?;
        let margin = constant(&vec![self.margin; profile.classes()], device);
        let softmax = Softmax { margin: Some(margin), scale: self.scale, ..Softmax::default() };
        Ok(CosFace { softmax })
    }
}

/// See [`CosFaceConfig`].
#[derive(Debug, Clone)]
pub struct CosFace {
    softmax: Softmax,
}

impl Loss for CosFace {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        self.softmax.cross_entropy(logits, targets, None)
    }
}
