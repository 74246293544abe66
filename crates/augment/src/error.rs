use std::path::PathBuf;

use counterweight_core::OutOfRange;

/// What can be wrong with an augmenter's configuration or its data.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter outside its range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// Labels, lengths or files.
    #[error(transparent)]
    Core(#[from] counterweight_core::Error),
    /// A number that cannot be used.
    #[error("row {row}, column {column}: {value} is not a finite number")]
    Value {
        /// The row, from 0.
        row: usize,
        /// The column, from 0.
        column: usize,
        /// The value.
        value: f64,
    },
    /// A class that the generator was not trained on.
    #[error("class {class} has no rows to learn from; classes with rows: {known:?}")]
    Class {
        /// The class asked for.
        class: usize,
        /// The classes with rows.
        known: Vec<usize>,
    },
    /// Training left the finite numbers.
    #[error("training diverged at step {step}: the {what} is {value}; lower the learning rate")]
    Diverged {
        /// The step, from 0.
        step: usize,
        /// What is not finite.
        what: &'static str,
        /// Its value.
        value: f64,
    },
    /// Training was stopped by its flag.
    #[error("training was interrupted after {epochs} epochs")]
    Interrupted {
        /// Epochs that are done; a checkpoint holds them.
        epochs: usize,
    },
    /// A file that holds something else.
    #[error("{path}: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A pattern that is no regular expression.
    #[error("pattern {pattern:?}: {reason}")]
    Pattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        reason: String,
    },
    /// An external step, such as a translator, failed.
    #[error("{step}: {reason}")]
    External {
        /// The step.
        step: &'static str,
        /// Its message.
        reason: String,
    },
    /// The device gave no answer.
    #[error("device: {reason}")]
    Device {
        /// Its message.
        reason: String,
    },
}

/// A result with this crate's [`Error`](enum@Error).
pub type Result<T, E = Error> = std::result::Result<T, E>;
