use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::{
    Error, Featurizer, Freeze, LoraConfig, NgramConfig, NgramEncoder, Pieces, PretrainedConfig,
    Result, TextBatch, TextTokenizer, Transformer, TransformerConfig, seeded,
};

/// Deviation of an n-gram's initial vector: small, so that n-grams without evidence add
/// nothing but noise too small to matter.
const INITIAL_EMBEDDING: f64 = 1e-3;

/// Turns a batch of texts into one vector each.
pub trait Encoder {
    /// `[batch, dim]`.
    fn encode(&self, batch: &TextBatch) -> Tensor<2>;

    /// The width of the vectors.
    fn dim(&self) -> usize;
}

/// Which encoder, as a value.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EncoderConfig {
    /// Hashed n-grams.
    Ngram(NgramConfig),
    /// A transformer trained from scratch, with a WordPiece vocabulary from the corpus.
    Transformer(TransformerConfig),
    /// A checkpoint to be fine-tuned.
    Pretrained(PretrainedConfig),
}

/// An encoder without its weights: what a saved model needs to be built again.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
#[non_exhaustive]
pub enum EncoderShape {
    /// Hashed n-grams.
    Ngram {
        /// Its configuration.
        config: NgramConfig,
        /// Rows of the embedding.
        vocabulary: usize,
    },
    /// A transformer.
    Transformer {
        /// Its configuration.
        config: TransformerConfig,
        /// Its low-rank updates.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lora: Option<LoraConfig>,
        /// Its trained vectors before every text.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prompt: Option<usize>,
        /// Its trained keys and values before every text's.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        prefix: Option<usize>,
    },
}

impl EncoderShape {
    /// A model with these dimensions and arbitrary weights.
    ///
    /// # Errors
    /// When a field is out of range.
    pub fn init(&self, device: &Device) -> Result<TextEncoder> {
        Ok(match self {
            Self::Ngram { config, vocabulary } => {
                TextEncoder::Ngram(config.init(*vocabulary, device)?)
            }
            Self::Transformer { config, lora, prompt, prefix } => {
                let mut model = config.init(device)?;
                if let Some(lora) = lora {
                    model = model.with_lora(lora, 0)?;
                }
                if let Some(tokens) = prompt {
                    model = model.with_prompt(*tokens, 0)?;
                }
                if let Some(tokens) = prefix {
                    model = model.with_prefix(*tokens, 0)?;
                }
                TextEncoder::Transformer(model)
            }
        })
    }

    /// Deviation of the head's initial weights. For n-grams it is large against the
    /// embeddings', so that the embeddings learn and the head stays a random projection:
    /// the model then behaves as multinomial regression on the n-grams. For a
    /// transformer it is BERT's.
    pub(crate) fn head_deviation(&self) -> f64 {
        match self {
            Self::Ngram { .. } => 1.0,
            Self::Transformer { .. } => 0.02,
        }
    }
}

impl Default for EncoderConfig {
    fn default() -> Self {
        Self::Ngram(NgramConfig::default())
    }
}

impl EncoderConfig {
    /// Fits tokenisation on the training texts.
    ///
    /// # Errors
    /// For a field out of range, or a corpus without vocabulary.
    pub fn fit_featurizer<S: AsRef<str> + Sync>(&self, corpus: &[S]) -> Result<Featurizer> {
        Ok(match self {
            Self::Ngram(config) => Featurizer::Ngrams(config.fit(corpus)?),
            Self::Transformer(config) => {
                config.check()?;
                let (size, length) = (config.vocab_size, config.max_length());
                Featurizer::Tokens(match config.pieces {
                    Pieces::WordPiece => TextTokenizer::train(corpus, size, length)?,
                    Pieces::ByteLevelBpe => TextTokenizer::train_bpe(corpus, size, length)?,
                })
            }
            Self::Pretrained(config) => Featurizer::Tokens(config.tokenizer()?),
        })
    }

    /// What the encoder is for the featurizer's vocabulary.
    ///
    /// # Errors
    /// For a field out of range, a featurizer of the other kind, or a checkpoint that cannot
    /// be read.
    pub fn shape(&self, featurizer: &Featurizer) -> Result<EncoderShape> {
        let vocabulary = featurizer.vocabulary();
        match (self, featurizer) {
            (Self::Ngram(config), Featurizer::Ngrams(_)) => {
                config.check()?;
                Ok(EncoderShape::Ngram { config: config.clone(), vocabulary })
            }
            (Self::Transformer(config), Featurizer::Tokens(_)) => {
                config.check()?;
                // The trainer may stop short of the wanted size.
                let config = TransformerConfig { vocab_size: vocabulary, ..config.clone() };
                Ok(EncoderShape::Transformer { config, lora: None, prompt: None, prefix: None })
            }
            (Self::Pretrained(pretrained), Featurizer::Tokens(_)) => {
                let config = pretrained.config()?;
                if vocabulary > config.vocab_size {
                    let model = config.vocab_size;
                    return Err(Error::Vocabulary { tokenizer: vocabulary, model });
                }
                let PretrainedConfig { lora, prompt, prefix, .. } = pretrained.clone();
                Ok(EncoderShape::Transformer { config, lora, prompt, prefix })
            }
            _ => Err(Error::Mismatch { encoder: self.name(), featurizer: featurizer.kind() }),
        }
    }

    /// A model for the featurizer's vocabulary, its weights drawn by the seed, or the
    /// checkpoint's.
    ///
    /// # Errors
    /// As [`shape`](Self::shape), and when the checkpoint's weights do not fit.
    pub fn init(&self, featurizer: &Featurizer, seed: u64, device: &Device) -> Result<TextEncoder> {
        let shape = self.shape(featurizer)?;
        match self {
            Self::Ngram(_) => Ok(seeded(shape.init(device)?, INITIAL_EMBEDDING, seed)),
            Self::Transformer(_) => Ok(seeded(shape.init(device)?, 0.02, seed)),
            Self::Pretrained(config) => Ok(TextEncoder::Transformer(config.load(seed, device)?)),
        }
    }

    /// Checks the fields' ranges.
    ///
    /// # Errors
    /// Naming the field, its value and the range.
    pub fn check(&self) -> Result<()> {
        match self {
            Self::Ngram(config) => config.check(),
            Self::Transformer(config) => config.check(),
            Self::Pretrained(config) => config.check(),
        }
    }

    /// `"ngram"`, `"transformer"` or `"pretrained"`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ngram(_) => "ngram",
            Self::Transformer(_) => "transformer",
            Self::Pretrained(_) => "pretrained",
        }
    }
}

/// Any encoder, chosen at run time.
// One exists per model, so the size of the larger variant does not matter.
#[expect(clippy::large_enum_variant)]
#[derive(Module, Debug)]
pub enum TextEncoder {
    /// Hashed n-grams.
    Ngram(NgramEncoder),
    /// A transformer.
    Transformer(Transformer),
}

impl TextEncoder {
    /// Freezes weights; all others are trained. Of n-grams all or none can be.
    #[must_use]
    pub fn frozen(self, freeze: Freeze) -> Self {
        match self {
            Self::Ngram(encoder) if freeze == Freeze::None => Self::Ngram(encoder),
            Self::Ngram(encoder) => Self::Ngram(encoder.no_grad()),
            Self::Transformer(encoder) => Self::Transformer(encoder.frozen(freeze)),
        }
    }

    /// The encoder with all dropouts at 0, on any device.
    #[must_use]
    pub fn without_dropout(self) -> Self {
        match self {
            Self::Ngram(encoder) => Self::Ngram(encoder),
            Self::Transformer(encoder) => Self::Transformer(encoder.without_dropout()),
        }
    }
}

impl Encoder for TextEncoder {
    fn encode(&self, batch: &TextBatch) -> Tensor<2> {
        match self {
            Self::Ngram(encoder) => encoder.encode(batch),
            Self::Transformer(encoder) => encoder.encode(batch),
        }
    }

    fn dim(&self) -> usize {
        match self {
            Self::Ngram(encoder) => encoder.dim(),
            Self::Transformer(encoder) => encoder.dim(),
        }
    }
}
