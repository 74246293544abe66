//! A whole treatment as a value.

mod space;

use counterweight_augment::AugmentConfig;
use counterweight_core::ensure;
use counterweight_encoder::{EncoderConfig, PretrainedConfig, Schedule, TransformerConfig};
use counterweight_losses::{Input, LossConfig, Reduction};
use counterweight_metrics::{DecisionConfig, Metric};
use counterweight_samplers::SamplerConfig;
use serde::{Deserialize, Serialize};

pub use space::RecipeSpace;

use crate::{Error, Result};

/// Encoder, loss, sampler, augmenter, optimiser and decision of one training run.
///
/// Every field has a default, so a TOML file names only what differs; unknown names and
/// values out of range are errors.
///
/// ```
/// use counterweight::Recipe;
///
/// let recipe = Recipe::from_toml(r#"
///     epochs = 5
///     loss = { kind = "focal", gamma = 1.5 }
///     sampler = { kind = "square_root" }
///     augment = { kind = "mixup", alpha = 0.2 }
/// "#)?;
/// assert_eq!(Recipe::from_toml(&recipe.to_toml()?)?, recipe);
///
/// let unknown = Recipe::from_toml("loss = { kind = \"vocal\" }").unwrap_err();
/// assert!(unknown.to_string().contains("focal"), "the message lists what there is");
/// # Ok::<(), counterweight::Error>(())
/// ```
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Recipe {
    /// Seed of everything random. Default: 0.
    pub seed: u64,
    /// Most epochs, at least 1. Default: 8.
    pub epochs: usize,
    /// Texts per step, at least 1. Default: 256.
    pub batch_size: usize,
    /// Epochs without improvement on dev before training stops, at least 1. Default: 3.
    pub patience: usize,
    /// The metric on dev that chooses the epoch. Default: macro-F1.
    pub select: Metric,
    /// How a batch's losses become one number. Default: mean.
    pub reduction: Reduction,
    /// The encoder. Default: hashed n-grams.
    pub encoder: EncoderConfig,
    /// Dropout before the head, in `[0, 1)`. Default: 0.
    pub dropout: f64,
    /// The loss. Default: cross entropy.
    pub loss: LossConfig,
    /// The batch sampler. Default: uniform.
    pub sampler: SamplerConfig,
    /// The augmenter. Default: none.
    pub augment: AugmentConfig,
    /// Last of the `epochs` without augmentation, so that the model ends on data as they are (He et
    /// al. 2019). Training that loses its patience before never gets there. Default: 0.
    pub clean_epochs: usize,
    /// The optimiser.
    pub optimizer: OptimizerConfig,
    /// How probabilities become decisions. Default: the most probable class.
    pub decision: DecisionConfig,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            seed: 0,
            epochs: 8,
            batch_size: 256,
            patience: 3,
            select: Metric::MacroF1,
            reduction: Reduction::Mean,
            encoder: EncoderConfig::default(),
            dropout: 0.0,
            loss: LossConfig::default(),
            sampler: SamplerConfig::default(),
            augment: AugmentConfig::default(),
            clean_epochs: 0,
            optimizer: OptimizerConfig::default(),
            decision: DecisionConfig::default(),
        }
    }
}

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
    /// Largest norm of each tensor's gradient, positive. Default: 1.
    pub clip_norm: f64,
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
            schedule: Schedule::default(),
        }
    }
}

impl Recipe {
    /// The defaults for a small transformer trained from scratch: AdamW, 4 epochs of
    /// batches of 32.
    pub fn transformer() -> Self {
        Self {
            epochs: 4,
            batch_size: 32,
            encoder: EncoderConfig::Transformer(TransformerConfig::default()),
            dropout: 0.1,
            optimizer: OptimizerConfig {
                kind: OptimizerKind::Adamw,
                learning_rate: 5e-4,
                weight_decay: 0.01,
                ..OptimizerConfig::default()
            },
            ..Self::default()
        }
    }

    /// The defaults for fine-tuning a checkpoint: AdamW at 5e-5, 4 epochs of batches of 16.
    ///
    /// ```
    /// use counterweight::Recipe;
    /// use counterweight::encoder::{LoraConfig, PretrainedConfig};
    ///
    /// let whole = Recipe::pretrained(PretrainedConfig::new("all-MiniLM-L6-v2"));
    /// let lora = PretrainedConfig::new("all-MiniLM-L6-v2").with_lora(LoraConfig::new());
    /// let few = Recipe::pretrained(lora);
    /// assert_ne!(whole.to_toml()?, few.to_toml()?);
    /// # Ok::<(), counterweight::Error>(())
    /// ```
    pub fn pretrained(encoder: PretrainedConfig) -> Self {
        // Low-rank updates begin at 0 and want a larger rate.
        let learning_rate = if encoder.lora.is_some() { 1e-3 } else { 5e-5 };
        let mut recipe = Self { batch_size: 16, ..Self::transformer() };
        recipe.optimizer.learning_rate = learning_rate;
        recipe.encoder = EncoderConfig::Pretrained(encoder);
        recipe
    }

    /// Reads a recipe and checks its numbers.
    ///
    /// # Errors
    /// For unknown names, wrong types and values out of range.
    pub fn from_toml(text: &str) -> Result<Self> {
        let recipe: Self =
            toml::from_str(text).map_err(|e| Error::Recipe { reason: e.to_string() })?;
        recipe.check()?;
        Ok(recipe)
    }

    /// Writes the recipe as TOML.
    ///
    /// # Errors
    /// When a value has no TOML form (an integer above `i64::MAX`).
    pub fn to_toml(&self) -> Result<String> {
        toml::to_string_pretty(self).map_err(|e| Error::Recipe { reason: e.to_string() })
    }

    /// Checks what does not need the data; losses are checked against a small profile, so
    /// that γ = −1 is refused before any file is read.
    ///
    /// # Errors
    /// Naming the parameter, its value and the allowed range.
    pub fn check(&self) -> Result<()> {
        let positive =
            [("epochs", self.epochs), ("batch_size", self.batch_size), ("patience", self.patience)];
        let range = counterweight_core::Error::from;
        for (name, value) in positive {
            ensure(name, value as f64, value >= 1, "[1, inf)").map_err(range)?;
        }
        let o = &self.optimizer;
        for (name, value) in [("learning_rate", o.learning_rate), ("clip_norm", o.clip_norm)] {
            ensure(name, value, value > 0.0 && value.is_finite(), "(0, inf)").map_err(range)?;
        }
        let decay = o.weight_decay;
        ensure("weight_decay", decay, decay >= 0.0 && decay.is_finite(), "[0, inf)")
            .map_err(range)?;
        ensure("dropout", self.dropout, (0.0..1.0).contains(&self.dropout), "[0, 1)")
            .map_err(range)?;
        o.schedule.check()?;
        self.encoder.check()?;
        self.sampler.init(&[0], 0)?;
        self.augment.check()?;
        if matches!(self.augment, AugmentConfig::CutMix(_) | AugmentConfig::Images(_)) {
            return Err(crate::train::no_text(&self.augment));
        }
        self.loss.check()?;
        // A classifier's outputs are logits; of the other losses, none would fit them.
        if !matches!(self.loss.input(), Input::Logits | Input::Binary) {
            return Err(Error::Recipe {
                reason: format!(
                    "the loss {} is not one of a classifier's logits",
                    self.loss.kind()
                ),
            });
        }
        if self.reduction == Reduction::None {
            let reason = "training needs a reduction to one number, not none".to_owned();
            return Err(Error::Recipe { reason });
        }
        Ok(())
    }
}
