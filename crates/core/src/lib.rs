//! What every part of counterweight shares and no part needs burn for: class
//! profiles, label encoding, leakage-free splits, duplicate detection, seeds,
//! progress and safe file writing.
//!
//! ```
//! use counterweight_core::{ClassProfile, LabelEncoder, SegmentRule, Split};
//!
//! let raw = ["shoe", "shoe", "shoe", "shoe", "hat", "hat", "glove"];
//! let labels = LabelEncoder::fit(raw);
//! let y = labels.encode(raw)?;
//! let profile = ClassProfile::from_labels(&y, labels.names())?
//!     .with_rule(SegmentRule::Counts { head_above: 3, tail_below: 2 })?;
//! assert_eq!(profile.imbalance_factor(), 4.0);
//! let parts = Split::stratified([0.5, 0.25, 0.25]).with_seed(7).indices(&y)?;
//! assert_eq!(parts.iter().map(Vec::len).sum::<usize>(), 7);
//! # Ok::<(), counterweight_core::Error>(())
//! ```

mod check;
mod duplicates;
mod error;
mod io;
mod kolmogorov;
mod labels;
mod lbfgs;
pub mod pages;
#[cfg(feature = "plot")]
pub mod plot;
mod profile;
mod progress;
mod seed;
mod split;
pub mod threads;

pub use check::{OutOfRange, ensure, ensure_length};
pub use duplicates::{Duplicates, normalise};
pub use error::{Error, Result};
pub use io::write_atomic;
pub use kolmogorov::kolmogorov_smirnov;
pub use labels::{LabelEncoder, class_count};
pub use lbfgs::minimise;
pub use profile::{ClassProfile, Segment, SegmentRule};
pub use progress::{NoProgress, Progress, TerminalProgress};
pub use seed::{Rng, SplitMix, derive, rng};
pub use split::Split;
