use std::fmt::Debug;

use burn::tensor::{Device, Tensor};
use counterweight_kernels::{mean, sum, widen};
use serde::{Deserialize, Serialize};

use crate::Targets;

/// How the losses of a batch become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// `Σ loss / batch`; 0 for an empty batch.
    #[default]
    Mean,
    /// `Σ loss`.
    Sum,
    /// `Σ loss / Σ weight`, where an example's weight is `Σ_c t_c w_c`: PyTorch's
    /// `mean` for class ids. The same as `Mean` for losses without weights; 0 when all
    /// weights in the batch are 0.
    WeightedMean,
    /// The losses as they are, `[batch]`.
    None,
}

/// What else may be known about a batch, for the losses that use it.
#[derive(Debug, Clone, Copy, Default)]
pub struct BatchInfo<'a> {
    /// Which rows of the training set the batch holds.
    pub rows: Option<&'a [usize]>,
    /// What the last layer received, `[batch, features]`.
    pub features: Option<&'a Tensor<2>>,
    /// A teacher's logits, `[batch, classes]`.
    pub teacher: Option<&'a Tensor<2>>,
}

/// A loss on a batch of model outputs.
///
/// The outputs are logits for most losses; [`LossKind::input`](crate::LossKind::input)
/// says what each loss of this crate takes.
///
/// ```compile_fail
/// // Logits are a matrix: a vector does not compile.
/// use burn::tensor::{Device, Tensor};
/// use counterweight_losses::{Loss, Reduction, Targets};
/// fn f(loss: &dyn Loss, logits: Tensor<1>, targets: &Targets) {
///     loss.forward(logits, targets, Reduction::Mean);
/// }
/// ```
pub trait Loss: Debug + Send + Sync {
    /// The loss of each example of a batch that is not empty: what a loss implements.
    /// Callers use [`per_example`](Self::per_example).
    ///
    /// # Shapes
    /// `logits`: `[batch, classes]`, f32 or f64; result: `[batch]`.
    fn compute(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1>;

    /// The weight `[batch]` of each example under [`Reduction::WeightedMean`], if the
    /// loss has any.
    fn weights(&self, _logits: &Tensor<2>, _targets: &Targets) -> Option<Tensor<1>> {
        None
    }

    /// Tells the loss which epoch (from 0) begins; only schedules care.
    fn set_epoch(&mut self, _epoch: usize) {}

    /// Tells the loss what else is known about the batch that comes next. A loss that
    /// needs one of these says so, and treats it as constant.
    fn begin_batch(&mut self, _batch: &BatchInfo<'_>) {}

    /// Tells the loss that the optimiser took its step on this batch; only losses with a
    /// state of their own care. `logits` carry no gradient.
    fn end_batch(&mut self, _logits: Tensor<2>, _targets: &Targets) {}

    /// The state to put into a checkpoint; empty for a loss without one. Reads the device.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Puts a [`state`](Self::state) back.
    fn set_state(&mut self, _state: &[f64]) {}

    /// The loss of each example; empty for an empty batch.
    ///
    /// # Shapes
    /// `logits`: `[batch, classes]`, result: `[batch]`. Half-precision logits are
    /// computed, and the losses returned, in f32.
    ///
    /// # Panics
    /// When shapes do not fit, as burn's operations do.
    fn per_example(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1> {
        let [batch, columns] = logits.dims();
        assert_eq!(targets.len(), batch, "there must be one target per row of logits");
        let logits = widen(logits);
        if batch == 0 || columns == 0 {
            // Nothing, but still a function of the logits, so that `backward` works.
            return logits.sum_dim(1).squeeze_dim(1);
        }
        self.compute(logits, targets)
    }

    /// The loss of a batch, as a tensor of one element but for [`Reduction::None`].
    ///
    /// # Panics
    /// As [`per_example`](Self::per_example).
    fn forward(&self, logits: Tensor<2>, targets: &Targets, reduction: Reduction) -> Tensor<1> {
        let batch = logits.dims()[0];
        let weights = match reduction {
            Reduction::WeightedMean if batch > 0 => self.weights(&widen(logits.clone()), targets),
            _ => None,
        };
        let losses = self.per_example(logits, targets);
        match reduction {
            Reduction::None => losses,
            _ if batch == 0 => sum(losses),
            Reduction::Sum => sum(losses),
            Reduction::Mean => mean(losses),
            Reduction::WeightedMean => match weights {
                None => mean(losses),
                Some(weights) => {
                    let total = sum(weights);
                    let none = total.clone().equal_scalar(0.0);
                    sum(losses) / total.mask_fill(none, 1.0)
                }
            },
        }
    }
}

/// Instead of −∞ for a logit that must not count: no other in reach makes up for it, and it
/// is finite in every type.
pub(crate) const MASKED: f64 = -1e5;

/// A per-class constant as `[1, classes]`, on the device and in the dtype of the
/// logits (a no-op when it is there already).
pub(crate) fn row(constant: &Tensor<1>, logits: &Tensor<2>) -> Tensor<2> {
    let constant = constant.clone().to_device(&logits.device()).cast(logits.dtype());
    constant.unsqueeze_dim(0)
}

/// [`row`] beside sigmoids: with a single column, two entries are those of classes 0 and
/// 1, and the column is class 1.
pub(crate) fn columns(constant: &Tensor<1>, logits: &Tensor<2>) -> Tensor<2> {
    let row = row(constant, logits);
    if logits.dims()[1] == 1 && row.dims()[1] == 2 { row.slice([0..1, 1..2]) } else { row }
}

/// `[1, classes]` filled with one value.
pub(crate) fn filled(value: f64, logits: &Tensor<2>) -> Tensor<2> {
    let options = (&logits.device().without_autodiff(), logits.dtype());
    let filled = Tensor::full([1, logits.dims()[1]], value, options);
    filled.to_device(&logits.device())
}

/// The per-example weights that class weights give.
pub(crate) fn class_weights(
    weights: Option<&Tensor<1>>,
    logits: &Tensor<2>,
    targets: &Targets,
) -> Option<Tensor<1>> {
    weights.map(|weights| targets.weigh(row(weights, logits)))
}

/// A per-class constant on a device, outside the autodiff graph.
pub(crate) fn constant(values: &[f64], device: &Device) -> Tensor<1> {
    let values: Vec<f32> = values.iter().map(|&v| v as f32).collect();
    Tensor::from_data(burn::tensor::TensorData::from(values.as_slice()), device)
}
