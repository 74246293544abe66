use std::fmt::Debug;

use burn::tensor::{Device, Int, Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// What a batch should have been classified as.
#[derive(Debug, Clone)]
pub enum Targets {
    /// Class ids `[batch]`, each below the number of classes.
    Ids(Tensor<1, Int>),
    /// A distribution over the classes per row (from mixup, smoothing,
    /// distillation) or, for multi-label losses, an indicator per class:
    /// `[batch, classes]`, entries in `[0, 1]`.
    Soft(Tensor<2>),
}

impl Targets {
    /// Class ids on a device.
    pub fn from_ids(ids: &[usize], device: &Device) -> Self {
        let ids: Vec<i32> = ids.iter().map(|&id| id as i32).collect();
        Self::Ids(Tensor::from_data(TensorData::from(ids.as_slice()), device))
    }

    /// `Σ_c t_c · values_c` per row: a gather for ids, a weighted sum otherwise.
    ///
    /// # Shapes
    /// `values`: `[batch, classes]`, result: `[batch]`.
    pub fn pick(&self, values: Tensor<2>) -> Tensor<1> {
        match self {
            Self::Ids(ids) => values.gather(1, ids.clone().unsqueeze_dim(1)).squeeze_dim(1),
            Self::Soft(soft) => {
                let soft = soft.clone().cast(values.dtype());
                (values * soft).sum_dim(1).squeeze_dim(1)
            }
        }
    }

    /// The targets as rows of `[batch, classes]` on the device and in the dtype of
    /// `like`; ids become one-hot.
    pub fn dense(&self, like: &Tensor<2>) -> Tensor<2> {
        match self {
            Self::Ids(ids) => {
                let [batch, classes] = like.dims();
                let columns = Tensor::<1, Int>::arange(0..classes as i64, &ids.device())
                    .unsqueeze_dim::<2>(0)
                    .expand([batch, classes]);
                let rows = ids.clone().unsqueeze_dim::<2>(1).expand([batch, classes]);
                rows.equal(columns).float().cast(like.dtype())
            }
            Self::Soft(soft) => soft.clone().cast(like.dtype()),
        }
    }
}

/// How the losses of a batch become one number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reduction {
    /// `Σ loss / batch`.
    #[default]
    Mean,
    /// `Σ loss`.
    Sum,
    /// `Σ loss / Σ weight`, where an example's weight is `Σ_c t_c w_c`: PyTorch's
    /// `mean` for class ids. The same as `Mean` for losses without class weights;
    /// 0 when all weights in the batch are 0.
    WeightedMean,
}

/// A loss on a batch of logits.
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
    /// The loss of each example.
    ///
    /// # Shapes
    /// `logits`: `[batch, classes]`, result: `[batch]`.
    ///
    /// # Panics
    /// When shapes do not fit, as burn's operations do.
    fn per_example(&self, logits: Tensor<2>, targets: &Targets) -> Tensor<1>;

    /// The class weights `[classes]` that [`Reduction::WeightedMean`] divides by,
    /// if the loss has any.
    fn class_weights(&self) -> Option<&Tensor<1>> {
        None
    }

    /// Tells the loss which epoch (from 0) begins; only schedules care.
    fn set_epoch(&mut self, _epoch: usize) {}

    /// The loss of a batch as a tensor of one element.
    fn forward(&self, logits: Tensor<2>, targets: &Targets, reduction: Reduction) -> Tensor<1> {
        match reduction {
            Reduction::Mean => self.per_example(logits, targets).mean(),
            Reduction::Sum => self.per_example(logits, targets).sum(),
            Reduction::WeightedMean => match self.class_weights() {
                None => self.per_example(logits, targets).mean(),
                Some(weights) => {
                    let total = targets.pick(row(weights, &logits).expand(logits.dims())).sum();
                    let tiny = total.clone().equal_scalar(0.0);
                    let total = total.mask_fill(tiny, 1.0);
                    self.per_example(logits, targets).sum() / total
                }
            },
        }
    }
}

/// A per-class constant as `[1, classes]`, on the device and in the dtype of the
/// logits (a no-op when it is there already).
pub(crate) fn row(constant: &Tensor<1>, logits: &Tensor<2>) -> Tensor<2> {
    let constant = constant.clone().to_device(&logits.device()).cast(logits.dtype());
    constant.unsqueeze_dim(0)
}
