use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;
use serde::{Deserialize, Serialize};

use crate::family::Softmax;
use crate::loss::{constant, row};
use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

/// How smoothing grows with the class count, `x = (n_c − n_min) / (n_max − n_min)`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SmoothingShape {
    /// `sin(π x / 2)`.
    #[default]
    Concave,
    /// `x`.
    Linear,
    /// `1 − cos(π x / 2)`.
    Convex,
}

loss_config! {
    /// Label-aware smoothing (Zhong et al., CVPR 2021, "MiSLAS").
    ///
    /// `loss = −Σ_c t̃_c log softmax(z)_c` with `t̃ = (1 − ε_y) t + ε_y / C`, where ε grows from
    /// the rarest class to the most frequent one: the head is smoothed because it is
    /// over-confident. As in the authors' code the smoothed mass goes to all classes, the
    /// true one included (the paper's formula leaves it out).
    LabelAwareSmoothingConfig {
        /// ε of the most frequent class, in `[0, 1)`. Default: 0.3.
        head / with_head: f64 = 0.3, below_one;
        /// ε of the rarest class, in `[0, 1)`. Default: 0.
        tail / with_tail: f64 = 0.0, below_one;
        /// The shape between them. Default: concave.
        shape / with_shape: SmoothingShape = SmoothingShape::Concave, any;
    }
}

impl LabelAwareSmoothingConfig {
    /// Checks the configuration and computes ε per class.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<LabelAwareSmoothing> {
        self.check()?;
        let counts = profile.counts();
        let most = counts.iter().copied().max().unwrap_or(0) as f64;
        let least = counts.iter().copied().min().unwrap_or(0) as f64;
        let smoothing: Vec<f64> = counts
            .iter()
            .map(|&n| {
                // All classes alike: all count as head.
                let x = if most > least { (n as f64 - least) / (most - least) } else { 1.0 };
                let quarter = x * std::f64::consts::FRAC_PI_2;
                let grown = match self.shape {
                    SmoothingShape::Concave => quarter.sin(),
                    SmoothingShape::Linear => x,
                    SmoothingShape::Convex => 1.0 - quarter.cos(),
                };
                self.tail + (self.head - self.tail) * grown
            })
            .collect();
        Ok(LabelAwareSmoothing { smoothing: constant(&smoothing, device) })
    }
}

/// See [`LabelAwareSmoothingConfig`].
#[derive(Debug, Clone)]
pub struct LabelAwareSmoothing {
    smoothing: Tensor<1>,
}

impl Loss for LabelAwareSmoothing {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let classes = logits.dims()[1] as f64;
        let smoothing = row(&self.smoothing, &logits);
        let own = targets.dense(&logits) * (smoothing.clone().neg() + 1.0);
        let even = targets.weigh(smoothing).unsqueeze_dim::<2>(1) / classes;
        Softmax::default().cross_entropy(logits, &Targets::Soft(own + even), None)
    }
}
