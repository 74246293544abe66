//! A whole treatment as a value.

mod space;

use counterweight_augment::AugmentConfig;
use counterweight_core::ensure;
use counterweight_encoder::{
    ClassifierConfig, EncoderConfig, Freeze, HeadKind, PretrainedConfig, TransformerConfig,
};
use counterweight_losses::{Input, LossConfig, Reduction};
use counterweight_metrics::{DecisionConfig, Metric};
use counterweight_samplers::SamplerConfig;
use serde::{Deserialize, Serialize};

pub use space::RecipeSpace;

use crate::{ContrastiveConfig, Error, OptimizerConfig, OptimizerKind, Result, Trainer};

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
    /// Fine-tuning of the encoder on pairs of texts beforehand, for few labels. Default: none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contrastive: Option<ContrastiveConfig>,
    /// Dropout before the head, in `[0, 1)`. Default: 0.
    pub dropout: f64,
    /// How vectors become logits. Default: a linear layer.
    pub head: HeadKind,
    /// Whether the head begins at the classes' mean vectors, as the nearest-class-mean classifier (weight
    /// imprinting, Qi, Brown and Lowe, CVPR 2018), and not at drawn numbers: for few texts of a
    /// class and an encoder that already tells texts apart. Default: false.
    pub imprint: bool,
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
            contrastive: None,
            dropout: 0.0,
            head: HeadKind::default(),
            imprint: false,
            loss: LossConfig::default(),
            sampler: SamplerConfig::default(),
            augment: AugmentConfig::default(),
            clean_epochs: 0,
            optimizer: OptimizerConfig::default(),
            decision: DecisionConfig::default(),
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

    /// The defaults for fine-tuning a checkpoint: AdamW at 5e-5 and thirty times that for the head,
    /// 4 epochs of batches of 16. Low-rank updates learn at 1e-3, a prompt or a prefix at 1e-2.
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
        // What begins at nothing wants a larger rate than what was trained before.
        let virtual_tokens = encoder.prompt.or(encoder.prefix);
        let (learning_rate, head_factor) = match (&encoder.lora, virtual_tokens) {
            (_, Some(_)) => (1e-2, 1.0),
            (Some(_), None) => (1e-3, 3.0),
            (None, None) if encoder.freeze == Freeze::All => (1e-2, 1.0),
            (None, None) => (5e-5, 30.0),
        };
        let mut recipe = Self { batch_size: 16, ..Self::transformer() };
        recipe.optimizer.learning_rate = learning_rate;
        recipe.optimizer.head_factor = head_factor;
        recipe.encoder = EncoderConfig::Pretrained(encoder);
        recipe
    }

    /// What stands on the encoder.
    pub(crate) fn head(&self, classes: usize) -> ClassifierConfig {
        ClassifierConfig::new(classes).with_dropout(self.dropout).with_head(self.head)
    }

    /// What of it is not the task's.
    pub(crate) fn trainer(&self) -> Trainer {
        Trainer::new(self.optimizer)
            .with_epochs(self.epochs)
            .with_patience(self.patience)
            .with_seed(self.seed)
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
        self.optimizer.check()?;
        self.head(2).check()?;
        self.encoder.check()?;
        if let Some(contrastive) = &self.contrastive {
            contrastive.check()?;
            if matches!(&self.encoder, EncoderConfig::Pretrained(p) if p.freeze == Freeze::All) {
                let reason = "contrastive fine-tuning of a frozen encoder".to_owned();
                return Err(Error::Recipe { reason });
            }
        }
        self.sampler.init(&[0], 0)?;
        self.augment.check()?;
        if matches!(self.augment, AugmentConfig::CutMix(_) | AugmentConfig::Images(_)) {
            return Err(crate::train::no_text(&self.augment));
        }
        self.loss.check()?;
        // A classifier's outputs are logits; of the other losses, none would fit them.
        let fits = match self.loss.input() {
            Input::Logits | Input::Binary => true,
            Input::Cosines => matches!(self.head, HeadKind::Cosine { .. }),
            _ => false,
        };
        if !fits {
            return Err(Error::Recipe {
                reason: format!(
                    "the loss {} is not one of the outputs of a {} head",
                    self.loss.kind(),
                    if self.head == HeadKind::Linear { "linear" } else { "cosine" },
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
