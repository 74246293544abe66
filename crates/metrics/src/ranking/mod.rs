//! Rankings: how good a list is for its query, and how evenly lists treat the items.

mod exposure;
mod query;

pub use exposure::{EntropyBase, ExposureReport, GiniScale, ItemExposure, Novelty, SegmentParity};
pub use query::{AveragePrecision, Gain, QueryMean, RankedQuery, Ties};
