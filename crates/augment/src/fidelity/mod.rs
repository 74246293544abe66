//! Whether synthetic rows follow the distribution of the real ones.

mod columns;
mod gate;
mod logistic;
mod nearest;
mod report;
mod space;
mod transfer;
mod two_sample;

pub use gate::{Failure, FidelityGate};
pub use nearest::NearestRecords;
pub use report::{Fidelity, FidelityReport, PairDifference};
pub use transfer::{Transfer, TransferScores};
pub use two_sample::TestResult;

pub(crate) use columns::column_distance;
