//! Rankings: how good a list is for its query, and how evenly lists treat the items.

mod exposure;
mod query;

pub use exposure::{EntropyBase, ExposureReport, GiniScale, ItemExposure, Novelty};
pub use query::{AveragePrecision, Gain, RankedQuery, Ties, mean_over_queries};
