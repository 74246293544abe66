use std::path::PathBuf;

/// What can go wrong between a data file and a saved model. The parts' own errors keep
/// their messages.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Labels, profiles, splits, files.
    #[error(transparent)]
    Core(#[from] counterweight_core::Error),
    /// A loss.
    #[error(transparent)]
    Loss(#[from] counterweight_losses::Error),
    /// A sampler or resampler.
    #[error(transparent)]
    Sampler(#[from] counterweight_samplers::Error),
    /// An augmenter.
    #[error(transparent)]
    Augment(#[from] counterweight_augment::Error),
    /// Metrics or a decision.
    #[error(transparent)]
    Metrics(#[from] counterweight_metrics::Error),
    /// An encoder or model files.
    #[error(transparent)]
    Encoder(#[from] counterweight_encoder::Error),
    /// A study.
    #[error(transparent)]
    Tuner(#[from] counterweight_tuner::Error),
    /// A file that cannot be opened or read.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A row of a CSV file that cannot be read.
    #[error("{path}, row {row}: {reason}")]
    Row {
        /// The file.
        path: PathBuf,
        /// The row, from 1, the header not counted.
        row: usize,
        /// Why.
        reason: String,
    },
    /// A column that the file does not have.
    #[error("{path} has no column {column:?}; it has: {columns}")]
    Column {
        /// The file.
        path: PathBuf,
        /// The wanted column.
        column: String,
        /// The columns there are.
        columns: String,
    },
    /// A class that cannot have a column of its own in a file of predictions.
    #[error("class {name:?} {problem}")]
    ClassName {
        /// The class.
        name: String,
        /// Why not.
        problem: &'static str,
    },
    /// A cell that is empty or no finite number.
    #[error("{path}, row {row}, column {column:?}: {value:?} is not a finite number")]
    Cell {
        /// The file.
        path: PathBuf,
        /// The row, from 1.
        row: usize,
        /// The column.
        column: String,
        /// The cell.
        value: String,
    },
    /// A text without a word.
    #[error("text {row} is empty; at least one letter or digit is needed")]
    EmptyText {
        /// Its position, from 0.
        row: usize,
    },
    /// A recipe that cannot be read.
    #[error("recipe: {reason}")]
    Recipe {
        /// What TOML or serde says, with the allowed names.
        reason: String,
    },
    /// A search space with a path that no recipe has.
    #[error("search space: {path:?}: {reason}")]
    SpacePath {
        /// The path.
        path: String,
        /// Why.
        reason: String,
    },
    /// No trial of a search completed.
    #[error("no trial of the search completed; trial {number} failed: {reason}")]
    NoTrial {
        /// The first that failed.
        number: u64,
        /// Why.
        reason: String,
    },
    /// Training gave NaN or infinity.
    #[error(
        "the loss of epoch {epoch} is {loss}; lower optimizer.learning_rate (now {learning_rate})"
    )]
    Diverged {
        /// The epoch.
        epoch: usize,
        /// Its mean loss.
        loss: f64,
        /// The peak learning rate.
        learning_rate: f64,
    },
    /// The stop flag was set. Checkpoint and journal, if asked for, hold what is finished.
    #[error("interrupted in {during}")]
    Interrupted {
        /// What was not finished.
        during: String,
    },
    /// A checkpoint of another recipe or data set.
    #[error("{path}: the checkpoint is of another {what}; remove it or train without resuming")]
    Checkpoint {
        /// The checkpoint.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// A device that this build or this machine does not have.
    #[error("no device {name:?}: {reason}")]
    NoDevice {
        /// The name asked for.
        name: String,
        /// Why not, with what there is.
        reason: String,
    },
    /// A tensor could not be read from its device.
    #[error("cannot read a tensor from its device: {reason}")]
    Device {
        /// burn's reason.
        reason: String,
    },
}

/// A result with this crate's [`Error`](enum@Error).
pub type Result<T, E = Error> = std::result::Result<T, E>;
