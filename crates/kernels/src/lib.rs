//! Row operations that every loss is made of, and those of a transformer's block, fused on
//! the CPU.
//!
//! Losses are of two families: softmax over a row ([`log_prob`], [`soft_cross_entropy`],
//! [`log_softmax`], [`contrast`]) and sigmoids summed over a row ([`binary_focal`]). Each has a
//! hand-written gradient on every device: the softmax family recomputes the row instead of keeping
//! it, the sigmoid family keeps its slopes, made of what the value is made of. On burn's `Flex`
//! backend they are one vectorised pass in parallel over rows, on cards kernels; other backends run
//! the same formula in tensor operations. [`sum`] and [`mean`] put a batch's losses together.
//!
//! A block is made of [`dense`], [`gelu`], [`add_norm`], [`attention`] and [`dropout`], fused on
//! `Flex`; attention and what sums a row or a column are kernels on cards.
//! [`normalized`], [`cosines`] and [`pairwise_cosines`] compare embeddings, [`gaussian_draw`] and
//! [`gaussian_divergence`] are a variational autoencoder's, [`gumbel_softmax`],
//! [`segment_cross_entropy`] and [`batch_norm_relu`] those of networks that generate tables, [`warp`] moves images, [`mix_rows`] and
//! [`mix_pairs`] add them, [`recolour`] and [`equalize_rows`] change their values, and
//! [`adam_step`] is a step of AdamW.
//!
//! Logits in half precision are computed, and the losses returned, in f32.
//!
//! ```
//! use burn::tensor::{Device, Int, Tensor};
//! use counterweight_kernels::log_prob;
//!
//! let device = Device::flex().autodiff();
//! let logits = Tensor::<2>::from_floats([[0.0, 0.0], [1e4, -1e4]], &device).require_grad();
//! let ids = Tensor::<1, Int>::from_ints([1, 0], &device);
//! let none = Tensor::zeros([1, 2], &device);
//! let value = log_prob(logits.clone(), ids, none.clone(), none, 1.0);
//! let gradient = logits.grad(&value.clone().sum().backward()).unwrap();
//! assert_eq!(gradient.into_data().try_to_vec::<f32>().unwrap(), [-0.5, 0.5, 0.0, 0.0]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod adam;
mod autodiff;
mod binary;
mod block;
mod composed;
#[cfg(feature = "cube")]
mod cube;
mod equalize;
#[cfg(feature = "flex")]
mod flex;
mod gaussian;
mod mix;
mod noise;
mod normalized;
mod ops;
mod plain;
mod real;
mod recolour;
#[cfg(feature = "flex")]
mod rows;
mod segments;
mod softmax;
#[cfg(feature = "flex")]
mod tasks;
mod total;
mod warp;

pub use adam::{AdamStep, adam_step};
pub use binary::{BinaryFocal, binary_focal};
pub use block::{add_norm, attention, batch_norm_relu, dense, dense_transposed, dropout, gelu};
pub use equalize::equalize_rows;
pub use gaussian::{gaussian_divergence, gaussian_draw};
pub use mix::{mix_pairs, mix_parts, mix_rows};
pub use noise::gumbel;
pub use normalized::{cosines, normalized, pairwise_cosines};
pub use recolour::{Recolour, recolour};
pub use segments::{Segments, gumbel_softmax, segment_cross_entropy};
pub use softmax::{contrast, log_prob, log_softmax, soft_cross_entropy, widen};
pub use total::{mean, sum};
pub use warp::warp;
