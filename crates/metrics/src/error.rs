use counterweight_core::OutOfRange;

/// What can be wrong with predictions and decision searches.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter outside its range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// Labels or profiles that do not fit.
    #[error(transparent)]
    Data(#[from] counterweight_core::Error),
    /// A row of probabilities that is no distribution.
    #[error("probabilities of row {row} {problem}")]
    NotADistribution {
        /// The row.
        row: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// A score that is no number.
    #[error("score {value} of row {row} is not a number")]
    Score {
        /// The row.
        row: usize,
        /// The score.
        value: f64,
    },
    /// A tensor that cannot be read from its device.
    #[error("cannot read a tensor from its device: {reason}")]
    Device {
        /// burn's reason.
        reason: String,
    },
    /// Two models judged on different rows.
    #[error("the predictions compared are of different rows; both must have the same truth")]
    DifferentRows,
    /// No decision satisfies the floor.
    #[error("no decision reaches {metric} >= {at_least}; the best found is {best}")]
    FloorUnreachable {
        /// The constrained metric.
        metric: crate::Metric,
        /// Its floor.
        at_least: f64,
        /// The best value found.
        best: f64,
    },
}

/// A result with this crate's [`Error`](enum@Error).
pub type Result<T, E = Error> = std::result::Result<T, E>;
