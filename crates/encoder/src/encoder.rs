use burn::module::Module;
use burn::tensor::{Device, Tensor};
use serde::{Deserialize, Serialize};

use crate::{
    Bert, BertConfig, Error, Featurizer, NgramConfig, NgramEncoder, Result, TextBatch, WordPieces,
    seeded,
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
    Transformer(BertConfig),
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
                let (size, length) = (config.vocab_size, config.max_position_embeddings);
                Featurizer::WordPieces(WordPieces::train(corpus, size, length)?)
            }
        })
    }

    /// A model for the featurizer's vocabulary, its weights drawn by the seed.
    ///
    /// # Errors
    /// For a field out of range, or a featurizer of the other kind.
    pub fn init(&self, featurizer: &Featurizer, seed: u64, device: &Device) -> Result<TextEncoder> {
        let vocabulary = featurizer.vocabulary();
        match (self, featurizer) {
            (Self::Ngram(config), Featurizer::Ngrams(_)) => {
                let encoder = TextEncoder::Ngram(config.init(vocabulary, device)?);
                Ok(seeded(encoder, INITIAL_EMBEDDING, seed))
            }
            (Self::Transformer(config), Featurizer::WordPieces(_)) => {
                // The trainer may stop short of the wanted size.
                let mut config = config.clone();
                config.vocab_size = vocabulary;
                Ok(seeded(TextEncoder::Transformer(config.init(device)?), 0.02, seed))
            }
            _ => Err(Error::Mismatch { encoder: self.name(), featurizer: featurizer.kind() }),
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
        }
    }

    /// Deviation of the head's initial weights. For n-grams it is large against the
    /// embeddings', so that the embeddings learn and the head stays a random projection:
    /// the model then behaves as multinomial regression on the n-grams. For a
    /// transformer it is BERT's.
    pub(crate) fn head_deviation(&self) -> f64 {
        match self {
            Self::Ngram(_) => 1.0,
            Self::Transformer(_) => 0.02,
        }
    }

    /// `"ngram"` or `"transformer"`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Ngram(_) => "ngram",
            Self::Transformer(_) => "transformer",
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
    Transformer(Bert),
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
