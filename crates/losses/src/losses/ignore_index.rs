use burn::tensor::{Device, Tensor};
use counterweight_core::ClassProfile;
use counterweight_kernels::{mean, sum, widen};

use super::wrapper::forward;
use crate::macros::loss_config;
use crate::{Loss, LossConfig, Reduction, Result, Targets};

loss_config! {
    /// Any loss of single examples, without the rows whose class id is `index`: padding and
    /// continued word pieces of sequence labels.
    ///
    /// Flatten `[batch, length, classes]` to rows. Ignored rows cost 0, and
    /// [`Reduction::Mean`] divides by the rows kept (by 1 when there are none), as PyTorch's
    /// `ignore_index` does. Losses over pairs of rows (contrastive, AUC) still see ignored
    /// rows as class 0. Soft targets are kept as they are.
    IgnoreIndexConfig: wrapper {
        /// The loss.
        loss / with_loss: Box<LossConfig> = Box::default(), inner;
        /// The id. Default: −100.
        index / with_index: i64 = -100, any;
    }
}

impl IgnoreIndexConfig {
    /// `loss` without the rows of −100.
    #[must_use]
    pub fn new(loss: impl Into<LossConfig>) -> Self {
        Self { loss: Box::new(loss.into()), ..Self::default() }
    }

    /// Checks the loss.
    ///
    /// # Errors
    /// What the loss reports.
    pub fn init(&self, profile: &ClassProfile, device: &Device) -> Result<IgnoreIndex> {
        self.check()?;
        Ok(IgnoreIndex { inner: self.loss.init(profile, device)?, index: self.index })
    }
}

/// See [`IgnoreIndexConfig`].
#[derive(Debug)]
pub struct IgnoreIndex {
    inner: Box<dyn Loss>,
    index: i64,
}

impl IgnoreIndex {
    /// Targets with a harmless id in the ignored rows, and 1 for the rows kept.
    fn split(&self, logits: &Tensor<2>, targets: &Targets) -> (Targets, Option<Tensor<1>>) {
        let Targets::Ids(ids) = targets else { return (targets.clone(), None) };
        let ignored = ids.clone().equal_elem(self.index);
        let kept = ignored.clone().bool_not().float().cast(logits.dtype());
        (Targets::Ids(ids.clone().mask_fill(ignored, 0)), Some(kept))
    }
}

impl Loss for IgnoreIndex {
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let (targets, kept) = self.split(&logits, targets);
        let loss = self.inner.compute(logits, &targets);
        match kept {
            Some(kept) => loss * kept,
            None => loss,
        }
    }

    fn weights(&self, logits: &Tensor<2>, targets: &Targets) -> Option<Tensor<1>> {
        let (targets, kept) = self.split(logits, targets);
        match (self.inner.weights(logits, &targets), kept) {
            (Some(weights), Some(kept)) => Some(weights * kept),
            (weights, kept) => weights.or(kept),
        }
    }

    fn forward(&self, logits: Tensor<2>, targets: &Targets, reduction: Reduction) -> Tensor<1> {
        let losses = self.per_example(logits.clone(), targets);
        let logits = widen(logits);
        let divisor = match reduction {
            Reduction::None => return losses,
            Reduction::Sum => None,
            Reduction::Mean => self.split(&logits, targets).1,
            Reduction::WeightedMean => self.weights(&logits, targets),
        };
        let empty = losses.dims()[0] == 0;
        match (reduction, divisor) {
            _ if empty => sum(losses),
            (_, Some(weights)) => {
                let total = sum(weights);
                let none = total.clone().equal_scalar(0.0);
                sum(losses) / total.mask_fill(none, 1.0)
            }
            (Reduction::Sum, None) => sum(losses),
            (_, None) => mean(losses),
        }
    }

    fn end_batch(&mut self, logits: Tensor<2>, targets: &Targets) {
        let (targets, _) = self.split(&logits, targets);
        self.inner.end_batch(logits, &targets);
    }

    forward!(inner: set_epoch, begin_batch, state);
}
