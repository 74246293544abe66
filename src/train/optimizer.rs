//! The update rule of a training.

use burn::grad_clipping::GradientClippingConfig;
use burn::module::{Module, ParamGroup, ParamId};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::lr_scheduler::LrSchedulerConfig;
use burn::optim::lr_scheduler::module_lr_scheduler::ModuleLrSchedulerConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{
    AdaGradConfig, AdamConfig, GradientsParams, LBFGS, LBFGSConfig, LineSearchFn, ModuleOptimizer,
    SgdConfig,
};
use burn::store::RecordError;
use burn::tensor::Bytes;
use counterweight_core::ensure;
use counterweight_encoder::{AdamW, Schedule, layer_depths};
use serde::{Deserialize, Serialize};

use super::gradients::{Flat, clipped};
use crate::{Error, Result};

/// The update rule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum OptimizerKind {
    /// Stochastic gradient descent with momentum .9 and L2 decay. For the n-gram encoder:
    /// an n-gram is updated in proportion to its evidence, where Adam moves rare ones as
    /// far as common ones and overfits them.
    #[default]
    Sgd,
    /// AdamW (Loshchilov and Hutter, ICLR 2019), for the transformer.
    Adamw,
    /// Adam (Kingma and Ba, ICLR 2015): the decay is part of the gradient.
    Adam,
    /// AdaGrad (Duchi et al., JMLR 2011), ε = 1e-10.
    Adagrad,
    /// L-BFGS (Liu and Nocedal 1989) with a history of 10 and a strong Wolfe line search, up to
    /// 20 iterations on each batch: for few weights and large batches, such as the head
    /// over a frozen encoder. It takes the learning rate as its first step; decay and factors on
    /// the rate must be off, and gradients are not clipped.
    Lbfgs,
}

/// Of what the gradient's norm is bounded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClipNorm {
    /// Of each tensor's gradient by itself.
    #[default]
    Tensor,
    /// Of all gradients together, as PyTorch's `clip_grad_norm_` over a model.
    Model,
}

/// The optimiser with warm-up, decay and clipping. The defaults suit the n-gram encoder.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OptimizerConfig {
    /// The update rule. Default: SGD.
    pub kind: OptimizerKind,
    /// Peak learning rate, positive. Default: 0.5; AdamW from scratch wants about 5e-4.
    pub learning_rate: f64,
    /// Weight decay, ≥ 0. Default: 2e-4; AdamW wants about 0.01.
    pub weight_decay: f64,
    /// Largest norm of a gradient, positive. Default: 1.
    pub clip_norm: f64,
    /// Of which gradient. Default: each tensor's.
    pub clip: ClipNorm,
    /// Factor on the learning rate from each of the encoder's layers to the one below it, in
    /// `(0, 1]`: the top layer learns at `d` times the rate, the next at `d²`, the embeddings
    /// at `d` to the number of layers + 1 (Howard and Ruder, ACL 2018). Default: 1.
    pub layer_decay: f64,
    /// Factor on the learning rate of all that comes after the encoder's layers, positive: a new head
    /// on a checkpoint wants 10 to 100 times the rate of what is trained already. Default: 1.
    pub head_factor: f64,
    /// Batches whose gradients are averaged, weighted by their rows, before a step, at least 1:
    /// the step of a batch so many times as large in the memory of one. Default: 1.
    pub accumulate: usize,
    /// Warm-up and decay.
    pub schedule: Schedule,
}

impl Default for OptimizerConfig {
    fn default() -> Self {
        Self {
            kind: OptimizerKind::Sgd,
            learning_rate: 0.5,
            weight_decay: 2e-4,
            clip_norm: 1.0,
            clip: ClipNorm::Tensor,
            layer_decay: 1.0,
            head_factor: 1.0,
            accumulate: 1,
            schedule: Schedule::default(),
        }
    }
}

impl OptimizerConfig {
    /// Checks the fields' ranges.
    ///
    /// # Errors
    /// Naming the field, its value and the range.
    pub fn check(&self) -> Result<()> {
        let range = counterweight_core::Error::from;
        for (name, value) in [
            ("learning_rate", self.learning_rate),
            ("clip_norm", self.clip_norm),
            ("head_factor", self.head_factor),
        ] {
            ensure(name, value, value > 0.0 && value.is_finite(), "(0, inf)").map_err(range)?;
        }
        let decay = self.weight_decay;
        ensure("weight_decay", decay, decay >= 0.0 && decay.is_finite(), "[0, inf)")
            .map_err(range)?;
        let layers = self.layer_decay;
        ensure("layer_decay", layers, layers > 0.0 && layers <= 1.0, "(0, 1]").map_err(range)?;
        let batches = self.accumulate;
        ensure("accumulate", batches as f64, batches >= 1, "[1, inf)").map_err(range)?;
        if self.kind == OptimizerKind::Lbfgs {
            ensure("weight_decay of lbfgs", decay, decay == 0.0, "0").map_err(range)?;
            ensure("layer_decay of lbfgs", layers, layers == 1.0, "1").map_err(range)?;
            let head = self.head_factor;
            ensure("head_factor of lbfgs", head, head == 1.0, "1").map_err(range)?;
            ensure("accumulate of lbfgs", batches as f64, batches == 1, "1").map_err(range)?;
        }
        Ok(self.schedule.check()?)
    }

    pub(super) fn init(&self) -> Result<Optimizer> {
        self.check()?;
        let clip = (self.clip == ClipNorm::Tensor)
            .then_some(GradientClippingConfig::Norm(self.clip_norm as f32));
        let decay = WeightDecayConfig { penalty: self.weight_decay as f32 };
        let rule = match self.kind {
            OptimizerKind::Adamw => {
                let rule = AdamW::new().with_weight_decay(self.weight_decay).init()?;
                match clip {
                    Some(clip) => rule.with_grad_clipping(clip.init()),
                    None => rule,
                }
            }
            OptimizerKind::Adam => AdamConfig::new()
                .with_epsilon(1e-8)
                .with_weight_decay(Some(decay))
                .with_grad_clipping(clip)
                .init(),
            OptimizerKind::Adagrad => AdaGradConfig::new()
                .with_epsilon(1e-10)
                .with_weight_decay(Some(decay))
                .with_grad_clipping(clip)
                .init(),
            OptimizerKind::Sgd => SgdConfig::new()
                .with_momentum(Some(MomentumConfig {
                    momentum: 0.9,
                    dampening: 0.0,
                    nesterov: false,
                }))
                .with_weight_decay(Some(decay))
                .with_gradient_clipping(clip)
                .init(),
            OptimizerKind::Lbfgs => {
                let rule = LBFGSConfig::new()
                    .with_history_size(10)
                    .with_line_search_fn(LineSearchFn::StrongWolfe)
                    .init();
                return Ok(Optimizer::Lbfgs(Box::new(rule)));
            }
        };
        let clip = (self.clip == ClipNorm::Model).then_some(self.clip_norm);
        Ok(Optimizer::Each { rule, clip })
    }
}

/// An update rule with its state.
pub(super) enum Optimizer {
    /// One tensor at a time, after a bound on the norm of all gradients.
    Each { rule: ModuleOptimizer, clip: Option<f64> },
    /// All weights at once.
    Lbfgs(Box<LBFGS>),
}

impl Optimizer {
    pub(super) fn to_bytes(&self) -> Result<Bytes, RecordError> {
        match self {
            Self::Each { rule, .. } => rule.into_bytes(),
            Self::Lbfgs(rule) => rule.into_bytes(),
        }
    }

    pub(super) fn restored(self, bytes: Bytes) -> Result<Self, RecordError> {
        Ok(match self {
            Self::Each { rule, clip } => Self::Each { rule: rule.from_bytes(bytes)?, clip },
            Self::Lbfgs(rule) => Self::Lbfgs(Box::new(rule.from_bytes(bytes)?)),
        })
    }
}

/// The learning rate of each part of a model, as a factor.
pub(super) struct LayerRates(Vec<(f64, Vec<ParamId>)>);

impl LayerRates {
    pub(super) fn new<M: Module>(model: &M, config: &OptimizerConfig) -> Self {
        let (decay, head) = (config.layer_decay, config.head_factor);
        if decay == 1.0 && head == 1.0 {
            return Self(Vec::new());
        }
        let factor = |depth| if depth == 0 { head } else { decay.powi(depth as i32) };
        let depths = layer_depths(model).into_iter();
        Self(depths.map(|(depth, ids)| (factor(depth), ids)).collect())
    }

    /// Steps a model whose gradients are known.
    pub(super) fn step<M: Module>(
        &self,
        rule: &mut ModuleOptimizer,
        clip: Option<f64>,
        rate: f64,
        model: M,
        gradients: GradientsParams,
    ) -> Result<M> {
        let gradients = match clip {
            Some(clip) => clipped(&model, gradients, clip),
            None => gradients,
        };
        if self.0.is_empty() {
            return Ok(rule.step(rate, model, gradients));
        }
        let mut rates = ModuleLrSchedulerConfig::new(LrSchedulerConfig::Constant(rate));
        for (factor, ids) in &self.0 {
            let group = ParamGroup::from_ids(ids.clone());
            rates = rates.with_group(group, LrSchedulerConfig::Constant(rate * factor));
        }
        let mut rates = rates.init().map_err(|reason| Error::Recipe { reason })?;
        Ok(rule.step(rates.step(), model, gradients))
    }
}

/// A step of L-BFGS over the trained weights of a model; `gradients` gives loss and gradients of a
/// model on the batch. The loss before the step comes back with the new model.
pub(super) fn lbfgs_step<M: Module>(
    rule: &mut LBFGS,
    rate: f64,
    model: M,
    mut gradients: impl FnMut(&M) -> Result<(f64, GradientsParams)>,
) -> Result<(M, f64)> {
    let flat = Flat::of(&model);
    let (mut first, mut failed) = (None, None);
    let (flat, _) = rule.step(rate, flat, |flat: Flat| {
        let at = flat.put_into(model.clone());
        match gradients(&at) {
            Ok((loss, gradients)) => {
                first.get_or_insert(loss);
                (loss, flat.gradients(&at, gradients))
            }
            // The line search ends where nothing descends any more.
            Err(error) => {
                failed.get_or_insert(error);
                (0.0, flat.no_gradients())
            }
        }
    });
    match failed {
        Some(error) => Err(error),
        None => Ok((flat.put_into(model), first.unwrap_or(0.0))),
    }
}
