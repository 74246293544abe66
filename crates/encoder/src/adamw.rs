use burn::optim::{AdamWState, AdaptiveMomentumState, LearningRate, ModuleOptimizer, Optimizer};
use burn::tensor::{Device, Tensor};
use counterweight_core::ensure;
use counterweight_kernels::{AdamStep, adam_step, widen};
use serde::{Deserialize, Serialize};

use crate::Result;

/// AdamW (Loshchilov and Hutter, ICLR 2019) as burn's, in one pass.
///
/// With short texts much of a step is the update of the embeddings, and burn's own AdamW goes over
/// every weight a dozen times. The state is burn's, so that the records of either continue in
/// the other.
///
/// ```
/// use burn::optim::ModuleOptimizer;
/// use counterweight_encoder::AdamW;
///
/// let optimizer: ModuleOptimizer = AdamW::new().with_weight_decay(0.01).init()?;
/// # let _ = optimizer;
/// # Ok::<(), counterweight_encoder::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AdamW {
    /// What is kept of the first moment, in `[0, 1)`. Default: 0.9.
    pub beta_1: f64,
    /// What is kept of the second moment, in `[0, 1)`. Default: 0.999.
    pub beta_2: f64,
    /// Added to the root of the second moment, positive. Default: 1e-8, PyTorch's.
    pub epsilon: f64,
    /// Weight decay, ≥ 0. Default: 0.01.
    pub weight_decay: f64,
}

impl Default for AdamW {
    fn default() -> Self {
        Self { beta_1: 0.9, beta_2: 0.999, epsilon: 1e-8, weight_decay: 0.01 }
    }
}

impl AdamW {
    /// The defaults.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the weight decay.
    #[must_use]
    pub fn with_weight_decay(mut self, weight_decay: f64) -> Self {
        self.weight_decay = weight_decay;
        self
    }

    /// An optimizer of a whole module.
    ///
    /// # Errors
    /// When a field is out of range.
    pub fn init(&self) -> Result<ModuleOptimizer> {
        for (name, beta) in [("beta_1", self.beta_1), ("beta_2", self.beta_2)] {
            ensure(name, beta, (0.0..1.0).contains(&beta), "[0, 1)")?;
        }
        let (epsilon, decay) = (self.epsilon, self.weight_decay);
        ensure("epsilon", epsilon, epsilon > 0.0 && epsilon.is_finite(), "(0, inf)")?;
        ensure("weight_decay", decay, decay >= 0.0 && decay.is_finite(), "[0, inf)")?;
        Ok(ModuleOptimizer::from(self.clone()))
    }
}

impl Optimizer for AdamW {
    type State<const D: usize> = AdamWState<D>;

    fn step<const D: usize>(
        &self,
        lr: LearningRate,
        tensor: Tensor<D>,
        grad: Tensor<D>,
        state: Option<Self::State<D>>,
    ) -> (Tensor<D>, Option<Self::State<D>>) {
        let (time, moments) = match state {
            Some(AdamWState { momentum }) => {
                (momentum.time + 1, [momentum.moment_1, momentum.moment_2])
            }
            // Moments of f16 and bf16 are kept in f32.
            None => (1, [widen(grad.zeros_like()), widen(grad.zeros_like())]),
        };
        let step = AdamStep {
            rate: lr,
            decay: self.weight_decay,
            beta_1: self.beta_1,
            beta_2: self.beta_2,
            epsilon: self.epsilon,
            time: i32::try_from(time).unwrap_or(i32::MAX),
        };
        let (tensor, [first, second]) = adam_step(tensor, grad, moments, step);
        (tensor, Some(AdamWState::new(AdaptiveMomentumState::new(time, first, second))))
    }

    fn to_device<const D: usize>(mut state: Self::State<D>, device: &Device) -> Self::State<D> {
        state.momentum = state.momentum.to_device(device);
        state
    }
}
