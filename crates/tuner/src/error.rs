use std::path::PathBuf;

/// An error of the user's objective.
pub type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// What can go wrong in a study.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A range without values, or with a bound its scale does not allow.
    #[error("parameter {name:?}: range {low}..={high} is not valid; need {allowed}")]
    Range {
        /// The parameter.
        name: String,
        /// Lower bound.
        low: f64,
        /// Upper bound.
        high: f64,
        /// What is needed.
        allowed: &'static str,
    },
    /// A categorical parameter without choices.
    #[error("parameter {name:?} has no choices; at least 1 is needed")]
    NoChoices {
        /// The parameter.
        name: String,
    },
    /// A parameter asked twice in one trial under different distributions.
    #[error("parameter {name:?} was suggested before with another distribution in this trial")]
    Redefined {
        /// The parameter.
        name: String,
    },
    /// A setting outside its range.
    #[error("{name} = {value} is outside {allowed}")]
    OutOfRange {
        /// The setting.
        name: &'static str,
        /// The value.
        value: f64,
        /// The allowed range.
        allowed: &'static str,
    },
    /// Grid search needs a finite static space.
    #[error("grid search: parameter {name:?} is continuous without a step")]
    NotFinite {
        /// The parameter.
        name: String,
    },
    /// Grid search needs a space before the first trial.
    #[error("grid search needs a static space: call Study::space first")]
    NoSpace,
    /// A trial that is not running was told.
    #[error("trial {number} is not running and cannot be told a value")]
    NotRunning {
        /// Its number.
        number: u64,
    },
    /// A file of another study.
    #[error("{path}: the journal is of study {found:?}, not {expected:?}")]
    OtherStudy {
        /// The journal.
        path: PathBuf,
        /// Name and direction found.
        found: String,
        /// Name and direction expected.
        expected: String,
    },
    /// A line of a journal that is no record.
    #[error("{path}:{line}: not a study record: {reason}")]
    Journal {
        /// The journal.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// Why.
        reason: String,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// The objective failed; the trial is recorded as failed.
    #[error("trial {number} failed: {source}")]
    Objective {
        /// The trial.
        number: u64,
        /// The objective's error.
        source: BoxError,
    },
}

/// A result with this crate's [`Error`](enum@Error).
pub type Result<T, E = Error> = std::result::Result<T, E>;
