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
    /// A probability that is none.
    #[error("probability {value} of row {row} is outside [0, 1]")]
    Probability {
        /// The row.
        row: usize,
        /// The value.
        value: f64,
    },
    /// A report that cannot be written as JSON.
    #[error("cannot write JSON: {reason}")]
    Json {
        /// serde's reason.
        reason: String,
    },
    /// A tensor that cannot be read from its device.
    #[cfg(feature = "burn")]
    #[error(transparent)]
    Device(#[from] burn::tensor::TensorReadError),
    /// Two models judged on different rows.
    #[error("the predictions compared are of different rows; both must have the same truth")]
    DifferentRows,
    /// No threshold satisfies the constraint.
    #[error("no threshold reaches {at_least} of the constrained metric; the best found is {best}")]
    ConstraintUnreachable {
        /// The least allowed value.
        at_least: f64,
        /// The best value found.
        best: f64,
    },
    /// A confusion matrix that does not determine the priors.
    #[error("predictions do not tell the classes apart: their confusion matrix is singular")]
    Singular,
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
