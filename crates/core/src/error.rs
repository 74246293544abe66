use std::path::PathBuf;

use crate::OutOfRange;

/// What can be wrong with labels, profiles, splits and files.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A parameter outside its range.
    #[error(transparent)]
    OutOfRange(#[from] OutOfRange),
    /// There is nothing to work on.
    #[error("{what} is empty; at least one item is needed")]
    Empty {
        /// What was empty.
        what: &'static str,
    },
    /// A label that the encoder has never seen.
    #[error("unknown class {label:?}; known classes: {known}")]
    UnknownClass {
        /// The label as given.
        label: String,
        /// The first known classes, comma separated.
        known: String,
    },
    /// A class id at or above the number of classes.
    #[error("class id {id} at row {row} is outside 0..{classes}")]
    ClassId {
        /// The offending id.
        id: usize,
        /// The row it stands in.
        row: usize,
        /// The number of classes.
        classes: usize,
    },
    /// Two arrays that must be aligned are not.
    #[error("{what} has {got} items, expected {expected}")]
    Length {
        /// The array's name.
        what: &'static str,
        /// Its length.
        got: usize,
        /// The length it should have.
        expected: usize,
    },
    /// A file could not be read or written.
    #[error("{path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// The operating system's reason.
        source: std::io::Error,
    },
    /// A picture could not be drawn.
    #[error("cannot draw {what}: {reason}")]
    Plot {
        /// The picture.
        what: &'static str,
        /// The plotting library's reason.
        reason: String,
    },
}

/// A result with this crate's [`Error`](enum@Error).
pub type Result<T, E = Error> = std::result::Result<T, E>;
