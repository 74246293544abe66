use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;

use crate::family::Softmax;
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

/// Keeps sin θ, and so the slope of the margin, off 0 and infinity.
const NEAR_ONE: f64 = 1.0 - 1e-6;

loss_config! {
    /// ArcFace, the additive angular margin (Deng et al., CVPR 2019).
    ///
    /// `loss = −log softmax(s c)_y` on cosines, where the true class's is
    /// `c_y = cos(θ_y + m)`, or `cos θ_y − m sin m` beyond θ_y > π − m, where the cosine
    /// would rise again. Cosines are cut to ±(1 − 1e-6). Soft targets shift every class by
    /// its share of the margin.
    ArcFaceConfig {
        /// m in radians, in `[0, 1]`. Default: 0.5.
        margin / with_margin: f64 = 0.5, unit;
        /// s > 0. Default: 64.
        scale / with_scale: f64 = 64.0, positive;
    }
}

impl ArcFaceConfig {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _profile: &ClassProfile, _device: &Device) -> Result<ArcFace> {
        self.check()?;
        let softmax = Softmax { scale: self.scale, ..Softmax::default() };
        Ok(ArcFace { margin: self.margin, softmax })
    }
}

/// See [`ArcFaceConfig`].
#[derive(Debug, Clone)]
pub struct ArcFace {
    margin: f64,
    softmax: Softmax,
}

impl Loss for ArcFace {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let m = self.margin;
        let cosine = logits.clamp(-NEAR_ONE, NEAR_ONE);
        let sine = (cosine.clone().square().neg() + 1.0).sqrt();
        let turned = cosine.clone() * m.cos() - sine * m.sin();
        let beyond = cosine.clone().lower_equal_elem(-m.cos());
        let turned = turned.mask_where(beyond, cosine.clone() - m * m.sin());
        let t = targets.dense(&cosine);
        let u = cosine.clone() + (turned - cosine) * t;
        self.softmax.cross_entropy(u, targets, None)
    }
}
