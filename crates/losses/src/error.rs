use counterweight_core::OutOfRange;

/// What can be wrong with a loss configuration.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter outside its range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// A list with one entry per class has another length.
    #[error("{name} has {got} entries, but there are {classes} classes")]
    ClassCount {
        /// The parameter.
        name: &'static str,
        /// Entries given.
        got: usize,
        /// Classes of the profile.
        classes: usize,
    },
}

/// A result with this crate's [`Error`](enum@Error).
pub type Result<T, E = Error> = std::result::Result<T, E>;
