//! Learning from imbalanced data on [burn](https://burn.dev).
//!
//! Imbalance is treated at five places, each a small crate with one trait:
//!
//! | place | crate | trait |
//! | --- | --- | --- |
//! | the data | [`samplers`] | [`Resampler`](samplers::Resampler) plans which rows there should be |
//! | the batch | [`samplers`], [`augment`] | [`IndexSampler`](samplers::IndexSampler), [`Augmenter`](augment::Augmenter) |
//! | the loss | [`losses`] | [`Loss`](losses::Loss) |
//! | the decision | [`metrics`] | [`Decision`](metrics::Decision) |
//! | the search | [`tuner`] | [`Suggester`](tuner::Suggester) |
//!
//! A [`Recipe`] is one choice at each place. [`train`] runs it, [`tune`] searches for a
//! better one, [`compare`] shows accuracy and fairness before and after.
//!
//! ```
//! use counterweight::prelude::*;
//!
//! let texts = ["red dress", "long dress", "dress", "summer dress", "blue jeans", "old jeans"];
//! let names = ["dress", "dress", "dress", "dress", "jeans", "jeans"];
//! let texts: Vec<String> = texts.iter().cycle().take(60).enumerate()
//!     .map(|(i, t)| format!("{t} number {i}")).collect();
//! let names: Vec<&str> = names.iter().copied().cycle().take(60).collect();
//! let data = TextData::new(texts, &names)?;
//! let splits = data.split([0.6, 0.2, 0.2], 7, &data.duplicates(0.99), SegmentRule::default())?;
//!
//! let recipe = Recipe::from_toml(r#"
//!     batch_size = 8
//!     encoder = { kind = "ngram", dim = 8 }
//!     loss = { kind = "logit_adjusted", tau = 1.0 }
//!     sampler = { kind = "square_root" }
//! "#)?;
//! let trained = train(&recipe, &splits, &Device::flex(), &TrainOptions::new())?;
//! let answers = trained.model.classify(&["a green dress"])?;
//! assert_eq!(answers[0].class, "dress");
//! # Ok::<(), counterweight::Error>(())
//! ```

pub use counterweight_augment as augment;
pub use counterweight_core as core;
pub use counterweight_encoder as encoder;
pub use counterweight_kernels as kernels;
pub use counterweight_losses as losses;
pub use counterweight_metrics as metrics;
pub use counterweight_samplers as samplers;
pub use counterweight_tuner as tuner;

mod card;
mod compare;
mod data;
pub mod device;
mod error;
#[cfg(doctest)]
mod guide;
mod model;
pub mod prelude;
mod recipe;
mod substitutes;
mod train;
mod tune;

pub use card::Evaluation;
pub use compare::{CompareReport, compare};
pub use data::{PredictionTable, Skipped, Table, TextData, TextReader, TextSplits};
pub use error::{Error, Result};
pub use model::{Answer, Model};
pub use recipe::{Recipe, RecipeSpace};
pub use substitutes::MaskedSubstitutes;
#[cfg(feature = "tui")]
pub use train::Dashboard;
pub use train::{
    ClipNorm, ContrastiveConfig, Epoch, Fitted, OptimizerConfig, OptimizerKind, Prepared, Task,
    TrainOptions, Trained, Trainer, train, train_prepared,
};
pub use tune::{TuneOptions, Tuned, tune};
