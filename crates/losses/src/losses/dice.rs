use burn::tensor::activation::sigmoid;
use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;
use serde::{Deserialize, Serialize};

use crate::macros::loss_config;
use crate::{Loss, Result, Targets};

/// Over what the overlap of a Dice, Tversky or Lovász loss is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Overlap {
    /// Over the columns of each example (pixels, tokens, labels).
    #[default]
    Example,
    /// Over the rows of the batch, for each column; then the mean over columns. A number
    /// of the batch: every example carries it, so that the mean over examples is it.
    Column,
}

loss_config! {
    /// Dice loss on sigmoids (Milletari et al., 3DV 2016).
    ///
    /// `loss = 1 − (2 Σ p t + s) / (Σ p + Σ t + s)`, p = σ(z), or with `squared` sums of
    /// squares in the denominator, as in the paper. The smoothing s keeps an absent target
    /// (Σ t = 0) defined: it then costs `1 − s / (Σ p + s)`; with `ignore_absent` it costs
    /// nothing (and columns without a positive leave the mean).
    DiceConfig {
        /// s > 0. Default: 1; MONAI's is 1e-5.
        smooth / with_smooth: f64 = 1.0, positive;
        /// Squares in the denominator. Default: no.
        squared / with_squared: bool = false, any;
        /// No loss for an absent target. Default: no.
        ignore_absent / with_ignore_absent: bool = false, any;
        /// Over what the overlap is taken. Default: each example.
        over / with_over: Overlap = Overlap::Example, any;
    }
}

impl DiceConfig {
    /// Checks the parameters.
    ///
    /// # Errors
    /// [`Error::OutOfRange`](crate::Error::OutOfRange).
    pub fn init(&self, _profile: &ClassProfile, _device: &Device) -> Result<Dice> {
        self.check()?;
        Ok(Dice { config: self.clone() })
    }
}

/// See [`DiceConfig`].
#[derive(Debug, Clone)]
pub struct Dice {
    config: DiceConfig,
}

impl Loss for Dice {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let DiceConfig { smooth, squared, ignore_absent, over } = self.config;
        let t = targets.indicators(&logits);
        let p = sigmoid(logits);
        overlap_loss(p, t, over, ignore_absent, |p, t, sum| {
            let both = sum(p.clone() * t.clone()) * 2.0 + smooth;
            let all = if squared { sum(p.square()) + sum(t.square()) } else { sum(p) + sum(t) };
            (both / (all + smooth)).neg() + 1.0
        })
    }
}

/// Applies `f(p, t, sum)` along the chosen direction: `[batch]`.
pub(super) fn overlap_loss(
    p: Tensor<2>,
    t: Tensor<2>,
    over: Overlap,
    ignore_absent: bool,
    f: impl Fn(Tensor<2>, Tensor<2>, &dyn Fn(Tensor<2>) -> Tensor<2>) -> Tensor<2>,
) -> Tensor<1> {
    let batch = p.dims()[0];
    let dim = usize::from(over == Overlap::Example);
    let sum = |x: Tensor<2>| x.sum_dim(dim);
    let mut loss = f(p, t.clone(), &sum);
    let mut kept = Tensor::ones_like(&loss);
    if ignore_absent {
        let absent = sum(t).equal_scalar(0.0);
        loss = loss.mask_fill(absent.clone(), 0.0);
        kept = kept.mask_fill(absent, 0.0);
    }
    match over {
        Overlap::Example => loss.squeeze_dim(1),
        Overlap::Column => {
            let columns = kept.sum_dim(1).clamp_min(1.0);
            (loss.sum_dim(1) / columns).expand([batch, 1]).squeeze_dim(1)
        }
    }
}
