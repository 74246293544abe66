//! Text encoders on [burn](https://burn.dev): a BERT-compatible transformer and a
//! hashed n-gram embedding bag under one [`Encoder`] trait, with tokenisation, length
//! buckets, schedules and a model directory.
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

mod batch;
mod bert;
mod classifier;
mod encoder;
mod error;
mod featurizer;
mod init;
mod model_dir;
mod ngram;
mod schedule;

pub use batch::{Encoded, TextBatch, length_buckets};
pub use bert::{Bert, BertConfig, Pooling};
pub use classifier::TextClassifier;
pub use encoder::{Encoder, EncoderConfig, TextEncoder};
pub use error::{Error, Result};
pub use featurizer::{Featurizer, HashedNgrams, WordPieces};
pub use init::seeded;
pub use model_dir::{ModelDir, load_weights, weights_bytes};
pub use ngram::{NgramConfig, NgramEncoder};
pub use schedule::Schedule;
