//! Losses for imbalanced data on [burn](https://burn.dev) tensors: classes, labels,
//! rankings, embeddings and values.
//!
//! Every loss is a serialisable `*Config` with `with_*` setters; `init` checks it
//! against a [`ClassProfile`](counterweight_core::ClassProfile) and gives a value
//! that implements [`Loss`]. [`LossConfig`] holds any of them, so a loss is also a
//! line in a recipe.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use counterweight_core::ClassProfile;
//! use counterweight_losses::{FocalConfig, Loss, Reduction, Targets};
//!
//! let device = Device::flex();
//! let profile = ClassProfile::from_counts([900, 90, 10])?;
//! let loss = FocalConfig::new().with_gamma(2.0).init(&profile, &device)?;
//!
//! let logits = Tensor::<2>::from_floats([[2.0, 0.5, -1.0], [0.1, 0.2, 0.3]], &device);
//! let targets = Targets::Ids(Tensor::from_ints([0, 2], &device));
//! let value = loss.forward(logits, &targets, Reduction::Mean);
//! assert!(value.into_scalar::<f32>() > 0.0);
//!
//! let err = FocalConfig::new().with_gamma(-1.0).init(&profile, &device).unwrap_err();
//! assert_eq!(err.to_string(), "gamma = -1 is outside [0, inf)");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Conventions
//! - Logits are `[batch, classes]`; targets are class ids `[batch]` or a
//!   distribution (multi-label: indicators) `[batch, classes]`, see [`Targets`]. Losses
//!   of scores, embeddings, cosines or values take those in the place of logits:
//!   [`LossKind::input`] says which.
//! - A loss that needs more than that is told by [`Loss::begin_batch`]; one that learns
//!   does so in [`Loss::end_batch`].
//! - All arithmetic is in log space; logits of ±1e4 give finite values and
//!   gradients.
//! - [`Reduction::Mean`] divides by the batch size, [`Reduction::WeightedMean`] by
//!   the sum of the class weights, as PyTorch's `mean` does for class ids.

mod config;
mod error;
mod family;
mod head;
mod loss;
mod losses;
mod macros;
mod propensity;
mod regression;
mod targets;
#[cfg(feature = "testing")]
pub mod testing;
mod weights;

pub use config::{Input, LossConfig, LossKind};
pub use error::{Error, Result};
pub use head::CosineHead;
pub use loss::{BatchInfo, Loss, Reduction};
pub use losses::*;
pub use propensity::inverse_propensities;
pub use regression::{LabelDistributionSmoothing, label_distribution_smoothing};
pub use targets::Targets;
pub use weights::{ClassWeights, PosWeight};
