//! Text encoders on [burn](https://burn.dev) under one [`Encoder`] trait: transformers of the
//! BERT family and GPT-2, loaded from Hugging Face checkpoints or trained from scratch, and a
//! hashed n-gram embedding bag; with tokenisation, length buckets, LoRA, schedules and a
//! model directory.
//!
//! ```
//! use burn::tensor::Device;
//! use counterweight_encoder::{Encoder, EncoderConfig, NgramConfig, TextBatch};
//!
//! let device = Device::flex();
//! let texts = ["a red dress", "blue jeans", "a blue dress"];
//! let config = EncoderConfig::Ngram(NgramConfig::new().with_min_count(1).with_dim(8));
//! let featurizer = config.fit_featurizer(&texts)?;
//! let encoder = config.init(&featurizer, 7, &device)?;
//!
//! let rows: Vec<_> = texts.iter().map(|t| featurizer.encode(t)).collect::<Result<_, _>>()?;
//! let batch = TextBatch::new(&rows.iter().collect::<Vec<_>>(), &device);
//! assert_eq!(encoder.encode(&batch).dims(), [3, 8]);
//! # Ok::<(), counterweight_encoder::Error>(())
//! ```

mod adamw;
mod adapter;
mod batch;
mod checkpoint;
mod encoder;
mod error;
mod explain;
mod featurizer;
mod heads;
mod init;
mod layers;
mod lora;
mod model_dir;
mod ngram;
mod precision;
mod pretrained;
mod schedule;
mod transformer;

pub use adamw::AdamW;
pub use batch::{Encoded, TextBatch, length_buckets};
pub use checkpoint::{Checkpoint, WeightType, save_checkpoint};
pub use encoder::{Encoder, EncoderConfig, EncoderShape, TextEncoder};
pub use error::{Error, Result};
pub use explain::{Attribution, Explanation, Share};
pub use featurizer::{Featurizer, HashedNgrams, Pieces, Spans, TextTokenizer, Truncation};
pub use heads::{
    ClassifierConfig, DualEncoder, Guess, HeadKind, Hidden, MaskedLm, PromptClassifier,
    SentenceEncoder, Tagged, TextClassifier, TokenClassifier, Verbalizer, hide_tokens,
};
pub use init::seeded;
pub use layers::layer_depths;
pub use lora::{Freeze, LoraConfig, Target, trainable};
pub use model_dir::{ModelDir, load_weights, weights_bytes, weights_bytes_at};
pub use ngram::{NgramConfig, NgramEncoder};
pub use precision::Precision;
pub use pretrained::PretrainedConfig;
pub use schedule::Schedule;
pub use transformer::{Activation, Architecture, Pooling, Transformer, TransformerConfig};
