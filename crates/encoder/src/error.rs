use std::path::PathBuf;

use counterweight_core::OutOfRange;

/// What can be wrong with texts, configurations and model files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter outside its range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// Labels or files that do not fit.
    #[error(transparent)]
    Data(#[from] counterweight_core::Error),
    /// The tokeniser refused a text, a corpus or a file.
    #[error("tokenizer: {reason}")]
    Tokenizer {
        /// Its reason.
        reason: String,
    },
    /// A configuration with a value this encoder does not have.
    #[error("{name} = {value:?} is not supported; supported: {allowed}")]
    Unsupported {
        /// The field.
        name: &'static str,
        /// Its value.
        value: String,
        /// What is supported.
        allowed: &'static str,
    },
    /// An encoder and a featurizer of different kinds.
    #[error("a {encoder} encoder cannot read {featurizer} features")]
    Mismatch {
        /// The encoder's kind.
        encoder: &'static str,
        /// The featurizer's kind.
        featurizer: &'static str,
    },
    /// A tokenizer with ids that the model's embedding has not.
    #[error("the tokenizer has {tokenizer} ids, but the model's embedding {model} rows")]
    Vocabulary {
        /// One more than the tokenizer's largest id.
        tokenizer: usize,
        /// The embedding's rows.
        model: usize,
    },
    /// A tensor could not be read back from its device.
    #[error("reading from the device: {reason}")]
    Device {
        /// Why.
        reason: String,
    },
    /// Weights that do not fit the model.
    #[error("{path}: {missing} missing and {unused} unexpected tensors: {names}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// Tensors the model needs and the file lacks.
        missing: usize,
        /// Tensors of the file that the model has no place for.
        unused: usize,
        /// The first of them.
        names: String,
    },
    /// A file that cannot be parsed.
    #[error("{path}: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
}

/// A result with this crate's [`Error`](enum@Error).
pub type Result<T, E = Error> = std::result::Result<T, E>;
