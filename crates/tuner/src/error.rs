use std::path::PathBuf;

use crate::{Distribution, State, Value};

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
    /// One name with two distributions in a study.
    #[error("parameter {name:?} is {old} and cannot be {new} in the same study")]
    Redefined {
        /// The parameter.
        name: String,
        /// The first distribution.
        old: Box<Distribution>,
        /// The other one.
        new: Box<Distribution>,
    },
    /// A condition on a parameter that is not in the space, has no such value, or waits
    /// for the conditional one itself.
    #[error("parameter {name:?} waits for {parent:?}, which cannot have the values asked for")]
    Condition {
        /// The conditional parameter.
        name: String,
        /// The one it depends on.
        parent: String,
    },
    /// A value that a parameter cannot take.
    #[error("parameter {name:?}: {value} is not a value of {distribution}")]
    NotAValue {
        /// The parameter.
        name: String,
        /// The value.
        value: Value,
        /// What it may be.
        distribution: Box<Distribution>,
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
    /// A suggester that needs a space before the first trial.
    #[error("{suggester} needs a static space: call Study::space first")]
    NoSpace {
        /// The suggester.
        suggester: &'static str,
    },
    /// A suggester that cannot work on several objectives, or on one.
    #[error("{what} works with {allowed} objectives, not {found}")]
    Objectives {
        /// The suggester, pruner or question.
        what: &'static str,
        /// How many it can have.
        allowed: &'static str,
        /// How many the study has.
        found: usize,
    },
    /// An ended trial was changed.
    #[error("trial {number} has ended as {state} and cannot change")]
    Ended {
        /// Its number.
        number: u64,
        /// Its state.
        state: State,
    },
    /// A study or trial that the storage does not hold.
    #[error("the storage holds no {what} {id}")]
    Missing {
        /// Study or trial.
        what: &'static str,
        /// Its id.
        id: u64,
    },
    /// The storage holds this study with other directions.
    #[error("study {name:?} is stored as {found}, not {expected}")]
    OtherStudy {
        /// The study.
        name: String,
        /// Directions found.
        found: String,
        /// Directions expected.
        expected: String,
    },
    /// Two studies of one name.
    #[error("a study {name:?} exists already")]
    Exists {
        /// The study.
        name: String,
    },
    /// A line of a journal that is no record.
    #[error("{path}:{line}: not a journal record: {reason}")]
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
    /// A database refused.
    #[error("{database}: {source}")]
    Database {
        /// Its address, without a password.
        database: String,
        /// Its reason.
        source: BoxError,
    },
    /// A database of another version of the schema.
    #[error("{database}: schema version {found}, not {expected}")]
    Schema {
        /// Its address, without a password.
        database: String,
        /// Version found.
        found: i64,
        /// Version understood.
        expected: i64,
    },
    /// Returned by an objective to end its trial early, after
    /// [`Trial::should_prune`](crate::Trial::should_prune) said so.
    #[error("the trial is pruned")]
    Pruned,
}

impl Error {
    pub(crate) fn redefined(name: &str, old: &Distribution, new: &Distribution) -> Self {
        Self::Redefined {
            name: name.to_owned(),
            old: Box::new(old.clone()),
            new: Box::new(new.clone()),
        }
    }

    pub(crate) fn io(path: &std::path::Path) -> impl Fn(std::io::Error) -> Self {
        let path = path.to_owned();
        move |source| Self::Io { path: path.clone(), source }
    }
}

/// A result with this crate's [`Error`](enum@Error).
pub type Result<T, E = Error> = std::result::Result<T, E>;
