//! More of the tail: batches mixed ([`Mixup`], [`Remix`], [`CutMix`]), images and texts changed
//! ([`Images`], [`Eda`], [`CharacterNoise`], [`Substitution`], [`BackTranslation`]), rows of tables made by
//! models of the class ([`Copula`], [`Tvae`], [`CtGan`], [`Vae`], [`Gan`]), and a check that they are true
//! to the data ([`Fidelity`], [`FidelityGate`], [`Transfer`]).
//!
//! An [`Augmenter`] takes a batch of features and soft targets and returns another, a
//! [`TextAugmenter`] a text; what they draw is decided by a seed and drawn on the host, never by a
//! hidden generator.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use counterweight_augment::{Augmenter, Batch, Mixup};
//!
//! let device = Device::flex();
//! let batch = Batch {
//!     features: Tensor::<2>::from_floats([[0.0, 0.0], [1.0, 1.0]], &device),
//!     targets: Tensor::from_floats([[1.0, 0.0], [0.0, 1.0]], &device),
//! };
//! let mixed = Mixup::new().with_alpha(0.4).init()?.augment(batch, 7);
//! let sums = mixed.targets.sum_dim(1).into_data().try_to_vec::<f32>().unwrap();
//! assert!(sums.iter().all(|s| (s - 1.0).abs() < 1e-6));
//! # Ok::<(), counterweight_augment::Error>(())
//! ```

mod augmenter;
mod config;
mod error;
mod fidelity;
mod generate;
mod image;
mod macros;
mod mix;
mod strength;
mod table;
mod text;
mod token_dropout;

pub use augmenter::{Augmenter, Batch, Mixer};
pub use config::AugmentConfig;
pub use counterweight_core::OutOfRange;
pub use error::{Error, Result};
pub use fidelity::{
    Failure, Fidelity, FidelityGate, FidelityReport, NearestRecords, PairDifference, TestResult,
    Transfer, TransferScores,
};
pub use generate::{
    Copula, CopulaModel, CtGan, Gan, GanModel, Generator, GeneratorConfig, Training, Tvae, Vae,
    VaeModel,
};
pub use image::{ImageAugmenter, ImageTransform, Images, RandAugment, Rectangle};
pub use mix::{CutMix, CutMixAugmenter, Mixup, MixupAugmenter, Remix, RemixAugmenter};
pub use strength::Strength;
pub use table::Column;
#[cfg(feature = "jieba")]
pub use text::Jieba;
pub use text::{
    BackTranslation, BackTranslator, CharacterNoise, CharacterNoiser, Characters, Eda,
    EdaAugmenter, Lexicon, Protection, Segmenter, Substitutes, Substitution, SubstitutionAugmenter,
    TextAugmenter, Translator, Words,
};
pub use token_dropout::{TokenDropout, TokenDropoutAugmenter};
